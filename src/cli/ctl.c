/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ctl.c - oriel ctl: status, attach and detach of a running VM
 * Threads: one.
 */
#include "cli/ctl.h"

#include "base/log.h"
#include "base/os.h"
#include "base/own.h"
#include "vmm/control.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

enum { STATUS_OK = 0, STATUS_ERROR = 1, STATUS_USAGE = 2 };

static const char usage[] = "Usage: oriel ctl VM status\n"
			    "       oriel ctl VM attach DEVICE[,...]\n"
			    "       oriel ctl VM detach [--force | --timeout SECONDS] DEVICE\n"
			    "\n"
			    "VM is what --name said, or the process id of oriel run without it.  "
			    "DEVICE is as for --passthrough.\n"
			    "detach asks the guest to let go, and takes the device when it did, or "
			    "after the time (default 30 s);\n"
			    "--force takes it at once.\n";

static int ctl_connect(const char *name, struct error *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	if (control_path(name, address.sun_path) < 0) {
		return error_set(err, -EINVAL, "'%s' can not be the name of a VM", name);
	}
	AUTO_FD int fd = os_socket(SOCK_STREAM, false);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		return error_errno(err, "VM %s: %s (does it run, with --name or slots?)", name,
				   address.sun_path);
	}
	return fd_take(&fd);
}

/* Send @request, read the line that answers it.  NULL with @err. */
static json_t *ctl_ask(int fd, const json_t *request, struct error *err)
{
	AUTO_FREE char *text = json_dumps(request, JSON_COMPACT);
	char line[64 << 10];
	size_t got = 0;
	if (!text || send(fd, text, strlen(text), MSG_NOSIGNAL) < 0 ||
	    send(fd, "\n", 1, MSG_NOSIGNAL) < 0) {
		error_errno(err, "the VM does not listen");
		return NULL;
	}
	while (got < sizeof(line) && !memchr(line, '\n', got)) {
		ssize_t more = recv(fd, line + got, sizeof(line) - got, 0);
		if (more <= 0) {
			error_set(err, -EIO, "the VM ended before it answered");
			return NULL;
		}
		got += (size_t)more;
	}
	json_t *answer = json_loadb(line, got, JSON_DISABLE_EOF_CHECK, NULL);
	if (!json_is_object(answer)) {
		error_set(err, -EPROTO, "the VM's answer is not understood");
		json_decref(answer);
		return NULL;
	}
	return answer;
}

static int ctl_run(const char *name, const json_t *request)
{
	struct error err = {0};
	AUTO_FD int fd = ctl_connect(name, &err);
	json_t *answer = fd < 0 ? NULL : ctl_ask(fd, request, &err);
	int status = STATUS_ERROR;
	if (!answer) {
		log_error("%s", err.text);
	} else if (json_is_true(json_object_get(answer, "ok"))) {
		json_dumpf(answer, stdout, JSON_COMPACT);
		putchar('\n');
		status = STATUS_OK;
	} else {
		const char *why = json_string_value(json_object_get(answer, "error"));
		log_error("%s", why ? why : "refused");
	}
	json_decref(answer);
	return status;
}

/* The words behind the VM's name as a request; NULL if they make none. */
static json_t *ctl_parse(int argc, char **argv)
{
	if (argc == 1 && !strcmp(argv[0], "status")) {
		return json_pack("{s:s}", "command", "status");
	}
	if (argc == 2 && !strcmp(argv[0], "attach")) {
		return json_pack("{s:s,s:s}", "command", "attach", "device", argv[1]);
	}
	if (argc == 2 && !strcmp(argv[0], "detach")) {
		return json_pack("{s:s,s:s}", "command", "detach", "device", argv[1]);
	}
	if (argc == 3 && !strcmp(argv[0], "detach") && !strcmp(argv[1], "--force")) {
		return json_pack("{s:s,s:s,s:b}", "command", "detach", "device", argv[2], "force",
				 1);
	}
	if (argc == 4 && !strcmp(argv[0], "detach") && !strcmp(argv[1], "--timeout") &&
	    atoi(argv[2]) > 0) {
		return json_pack("{s:s,s:s,s:i}", "command", "detach", "device", argv[3], "timeout",
				 atoi(argv[2]));
	}
	return NULL;
}

int ctl_command(int argc, char **argv)
{
	if (argc && (!strcmp(argv[0], "--help") || !strcmp(argv[0], "-h"))) {
		fputs(usage, stdout);
		return STATUS_OK;
	}
	json_t *request = argc > 1 ? ctl_parse(argc - 1, argv + 1) : NULL;
	if (!request) {
		fputs(usage, stderr);
		return STATUS_USAGE;
	}
	int status = ctl_run(argv[0], request);
	json_decref(request);
	return status;
}
