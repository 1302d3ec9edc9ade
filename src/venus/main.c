/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main.c - oriel-gpu, the Vulkan server process
 * Threads: the first.
 */
#include "base/log.h"
#include "base/os.h"
#include "venus/probe.h"
#include "venus/server_wire.h"
#include "venus/vtest.h"
#include "wire/wire.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum main_mode { MODE_NONE, MODE_WIRE, MODE_VTEST, MODE_PROBE };

struct main_options {
	enum main_mode mode;
	int wire_fd;
	struct vtest_config vtest;
};

enum {
	OPTION_WIRE = 256,
	OPTION_WIRE_FD,
	OPTION_VTEST,
	OPTION_PROBE,
	OPTION_DEVICE,
	OPTION_LIMIT,
	OPTION_CLIENTS,
};

static const struct option main_long_options[] = {
	{"wire", no_argument, NULL, OPTION_WIRE},
	{"wire-fd", required_argument, NULL, OPTION_WIRE_FD},
	{"vtest", required_argument, NULL, OPTION_VTEST},
	{"probe", no_argument, NULL, OPTION_PROBE},
	{"gpu-device", required_argument, NULL, OPTION_DEVICE},
	{"memory-limit", required_argument, NULL, OPTION_LIMIT},
	{"max-clients", required_argument, NULL, OPTION_CLIENTS},
	{"verbose", no_argument, NULL, 'v'},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},
	{NULL, 0, NULL, 0},
};

static void main_usage(FILE *out)
{
	fputs("Usage: oriel-gpu --vtest SOCKET [options]\n"
	      "       oriel-gpu --probe [options]\n"
	      "       oriel-gpu --wire | --wire-fd N [options]   (started by oriel)\n"
	      "\n"
	      "Serves the host's Vulkan driver to Mesa's Venus driver.\n"
	      "\n"
	      "  --vtest SOCKET      serve programs of this machine or its containers; they set\n"
	      "                      VN_DEBUG=vtest and VTEST_SOCKET_NAME=SOCKET\n"
	      "  --probe             print what the Vulkan devices can do, as JSON\n"
	      "  --wire              serve oriel on descriptor 3\n"
	      "  --wire-fd N         serve oriel on descriptor N\n"
	      "  --gpu-device N|NAME show guests only device N, or devices with NAME in their name\n"
	      "  --memory-limit MIB  memory all vtest clients together may use (default 4096)\n"
	      "  --max-clients N     vtest clients at once (default 64)\n"
	      "  -v, --verbose       say more\n"
	      "  -h, --help          print this\n"
	      "      --version       print the version\n"
	      "\n"
	      "VK_DRIVER_FILES selects Vulkan drivers, as for every Vulkan program.\n",
	      out);
}

/* Parses a whole number in [least, most].  -1 if it is none. */
static long long main_number(const char *text, long long least, long long most)
{
	char *end;
	errno = 0;
	long long value = strtoll(text, &end, 10);
	return errno || *end || end == text || value < least || value > most ? -1 : value;
}

static bool main_set_mode(struct main_options *options, enum main_mode mode)
{
	if (options->mode != MODE_NONE) {
		log_error("only one of --vtest, --probe and --wire");
		return false;
	}
	options->mode = mode;
	return true;
}

static bool main_set_number(const char *name, const char *text, long long least, long long most,
			    long long *value)
{
	*value = main_number(text, least, most);
	if (*value < 0) {
		log_error("--%s: %s is not a number from %lld to %lld", name, text, least, most);
	}
	return *value >= 0;
}

static void main_set_device(struct main_options *options, const char *text)
{
	long long index = main_number(text, 0, PROBE_MAX_DEVICES - 1);
	options->vtest.choice.index = (int)index;
	options->vtest.choice.name = index < 0 ? text : NULL;
}

/* Takes one option.  False if it is wrong. */
static bool main_take_option(struct main_options *options, int option, const char *argument)
{
	long long value;
	switch (option) {
	case OPTION_WIRE:
		options->wire_fd = WIRE_SOCKET_FD;
		return main_set_mode(options, MODE_WIRE);
	case OPTION_WIRE_FD:
		if (!main_set_number("wire-fd", argument, 0, 1 << 20, &value)) {
			return false;
		}
		options->wire_fd = (int)value;
		return main_set_mode(options, MODE_WIRE);
	case OPTION_VTEST:
		options->vtest.path = argument;
		return main_set_mode(options, MODE_VTEST);
	case OPTION_PROBE:
		return main_set_mode(options, MODE_PROBE);
	case OPTION_DEVICE:
		main_set_device(options, argument);
		return true;
	case OPTION_LIMIT:
		if (!main_set_number("memory-limit", argument, 1, 1 << 30, &value)) {
			return false;
		}
		options->vtest.max_bytes = (uint64_t)value << 20;
		return true;
	case OPTION_CLIENTS:
		if (!main_set_number("max-clients", argument, 1, 4096, &value)) {
			return false;
		}
		options->vtest.max_clients = (unsigned)value;
		return true;
	case 'v':
		log_set_level(LOG_INFO);
		return true;
	default:
		return false;
	}
}

/* Fills @options.  -1 to go on, or the exit status. */
static int main_parse(struct main_options *options, int argc, char **argv)
{
	int option;
	while ((option = getopt_long(argc, argv, "vh", main_long_options, NULL)) >= 0) {
		if (option == 'h') {
			main_usage(stdout);
			return 0;
		}
		if (option == 'V') {
			puts("oriel-gpu " ORIEL_VERSION);
			return 0;
		}
		if (!main_take_option(options, option, optarg)) {
			return 2;
		}
	}
	if (optind < argc || options->mode == MODE_NONE) {
		main_usage(stderr);
		return 2;
	}
	return -1;
}

static int main_probe(const struct probe_choice *choice)
{
	struct probe probe;
	struct error err = {0};
	int status = probe_run(&probe, vkGetInstanceProcAddr, choice, &err);
	if (status) {
		log_error("%s", err.text);
	}
	probe_print_json(&probe);
	return status || !probe_first(&probe);
}

/* Each allocation and each ring takes descriptors. */
static void main_raise_limits(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

int main(int argc, char **argv)
{
	struct main_options options = {
		.vtest = {
			.choice = {.index = -1},
			.max_bytes = 4096ull << 20,
			.max_clients = 64,
		},
	};
	struct error err = {0};
	log_set_name("oriel-gpu");
	int status = main_parse(&options, argc, argv);
	if (status >= 0) {
		return status;
	}
	main_raise_limits();
	switch (options.mode) {
	case MODE_WIRE:
		os_end_me_first();
		return server_wire_run(options.wire_fd, &options.vtest.choice);
	case MODE_PROBE:
		return main_probe(&options.vtest.choice);
	default:
		break;
	}
	if (vtest_serve(&options.vtest, &err)) {
		log_error("%s", err.text);
		return 1;
	}
	return 0;
}
