/* SPDX-License-Identifier: Apache-2.0 */
/*
 * device.c - oriel device gpu: our virtio-gpu for another VMM, over vfio-user
 * Threads: main serves; one waits for signals.
 */
#include "cli/device.h"

#include "base/log.h"
#include "vmm/device_server.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { STATUS_OK = 0, STATUS_ERROR = 1, STATUS_USAGE = 2 };

static const char usage[] =
	"Usage: oriel device gpu --vfio-user SOCKET [--resolution WxH] [--display png:FILE]\n"
	"\n"
	"Serve a virtio-gpu with a display, without the shared GPU, to a VMM that speaks "
	"vfio-user, until SIGTERM.\n";

struct stopper {
	struct device_server *server;
	sigset_t signals;
};

static void *wait_for_signal(void *opaque)
{
	struct stopper *stopper = opaque;
	int caught;
	sigwait(&stopper->signals, &caught);
	device_server_stop(stopper->server);
	return NULL;
}

static bool parse(int argc, char **argv, struct device_server_config *config)
{
	for (int i = 1; i + 1 < argc; i += 2) {
		char rest;
		if (!strcmp(argv[i], "--vfio-user")) {
			config->socket = argv[i + 1];
		} else if (!strcmp(argv[i], "--display") && !strncmp(argv[i + 1], "png:", 4) &&
			   argv[i + 1][4]) {
			config->png = argv[i + 1] + 4;
		} else if (strcmp(argv[i], "--resolution") != 0 ||
			   sscanf(argv[i + 1], "%5ux%5u%c", &config->width, &config->height,
				  &rest) != 2 ||
			   config->width < 64 || config->height < 64 || config->width > 8192 ||
			   config->height > 8192) {
			return false;
		}
	}
	return argc % 2 == 1 && !strcmp(argv[0], "gpu") && config->socket;
}

int device_command(int argc, char **argv)
{
	struct device_server_config config = {.width = 1280, .height = 800};
	struct stopper stopper = {0};
	struct error err = {0};
	pthread_t thread;
	bool help = argc && (!strcmp(argv[0], "--help") || !strcmp(argv[0], "-h"));
	if (help || !argc || !parse(argc, argv, &config)) {
		fputs(usage, help ? stdout : stderr);
		return help ? STATUS_OK : STATUS_USAGE;
	}
	sigemptyset(&stopper.signals);
	sigaddset(&stopper.signals, SIGTERM);
	sigaddset(&stopper.signals, SIGINT);
	sigaddset(&stopper.signals, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &stopper.signals, NULL);
	stopper.server = device_server_create(&config, &err);
	if (!stopper.server || pthread_create(&thread, NULL, wait_for_signal, &stopper) != 0) {
		log_error("%s", err.text[0] ? err.text : "can not start a thread");
		device_server_destroy(stopper.server);
		return STATUS_ERROR;
	}
	device_server_run(stopper.server);
	pthread_join(thread, NULL);
	device_server_destroy(stopper.server);
	return STATUS_OK;
}
