/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main.c - the oriel program: run, passthrough, doctor, version, help
 *
 * How it works: `run` parses everything first, starts the broker while the process has one thread, assembles the VM, and
 * waits in a signal thread for SIGTERM and SIGINT.
 * Threads: main runs the VM's loop; one thread waits for signals.
 */
#include "base/log.h"
#include "base/own.h"
#include "cli/ctl.h"
#include "cli/device.h"
#include "cli/doctor.h"
#include "cli/passthrough.h"
#include "vmm/broker.h"
#include "vmm/config.h"
#include "vmm/vm.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum exit_status {
	EXIT_POWERED_OFF = 0,
	EXIT_ERROR = 1,
	EXIT_USAGE = 2,
	EXIT_RESET = 3,
	EXIT_BOOT_TIMEOUT = 4,
	EXIT_QUIT = 5,
	EXIT_BY_SIGNAL = 128, /* plus the signal's number */
};

struct stopper {
	struct vm *vm;
	sigset_t signals;
	int caught; /* read after pthread_join() */
};

static void *wait_for_signal(void *opaque)
{
	struct stopper *stopper = opaque;
	sigwait(&stopper->signals, &stopper->caught);
	if (stopper->caught != SIGUSR2) { /* SIGUSR2: the VM ended by itself */
		vm_stop(stopper->vm);
	}
	return NULL;
}

static int exit_status_of(enum vm_end end, int caught)
{
	switch (end) {
	case VM_POWERED_OFF: return EXIT_POWERED_OFF;
	case VM_RESET: return EXIT_RESET;
	case VM_BOOT_TIMEOUT: return EXIT_BOOT_TIMEOUT;
	case VM_QUIT: return EXIT_QUIT;
	case VM_STOPPED: return EXIT_BY_SIGNAL + caught;
	case VM_FAILED: return EXIT_ERROR;
	}
	return EXIT_ERROR;
}

static int complain(const struct error *err)
{
	log_error("%s", err->text);
	return EXIT_ERROR;
}

/* Run the assembled VM under signal control. */
static int run_vm(struct vm *vm, const struct vm_config *config, struct stopper *stopper)
{
	pthread_t thread;
	struct error err = {0};
	if (pthread_create(&thread, NULL, wait_for_signal, stopper) != 0) {
		error_set(&err, -1, "can not start a thread");
		return complain(&err);
	}
	enum vm_end end = vm_run(vm);
	pthread_kill(thread, SIGUSR2);
	pthread_join(thread, NULL);
	if (end == VM_BOOT_TIMEOUT) {
		log_error("the guest said nothing on its console within %u s: check --kernel and console= in --append",
			  config->boot_timeout_s);
	}
	if (config->engine_stats) {
		vm_print_engine_stats(vm);
	}
	if (config->stats_file && vm_write_stats(vm, config->stats_file, &err) < 0) {
		return complain(&err);
	}
	return exit_status_of(end, stopper->caught);
}

/* The programs that this VM will need, found before anything starts. */
static int find_helpers(const struct vm_config *config, char **gpu_server, char **passt, struct error *err)
{
	if (config->gpu == CONFIG_GPU_SHARED) {
		*gpu_server = broker_find_program("oriel-gpu", config->gpu_server, err);
		if (!*gpu_server) {
			return -ENOENT;
		}
	}
	if (config->net == CONFIG_NET_USER) {
		*passt = broker_find_program("passt", NULL, err);
		if (!*passt) {
			return -ENOENT;
		}
	}
	return 0;
}

static int run_config(const struct vm_config *config)
{
	struct stopper stopper = {0};
	struct error err = {0};
	sigemptyset(&stopper.signals);
	sigaddset(&stopper.signals, SIGTERM);
	sigaddset(&stopper.signals, SIGINT);
	sigaddset(&stopper.signals, SIGHUP);
	sigaddset(&stopper.signals, SIGUSR2);
	AUTO_FREE char *gpu_server = NULL;
	AUTO_FREE char *passt = NULL;
	if (find_helpers(config, &gpu_server, &passt, &err) < 0) {
		return complain(&err);
	}
	struct broker *broker = broker_start(&(struct broker_config){gpu_server, passt}, &err);
	if (!broker) {
		return complain(&err);
	}
	/* After the broker: helpers start with the signals of the shell. */
	pthread_sigmask(SIG_BLOCK, &stopper.signals, NULL);
	signal(SIGPIPE, SIG_IGN);
	int status = EXIT_ERROR;
	stopper.vm = vm_create(config, broker, &err);
	if (stopper.vm) {
		status = run_vm(stopper.vm, config, &stopper);
		vm_destroy(stopper.vm);
	} else {
		complain(&err);
	}
	broker_stop(broker);
	return status;
}

static int command_run(int argc, char **argv)
{
	struct vm_config config;
	struct error err = {0};
	config_init(&config);
	int status = config_parse(&config, argc, argv, &err);
	if (status > 0) {
		config_help(stdout);
		config_finish(&config);
		return EXIT_POWERED_OFF;
	}
	if (!status) {
		status = config_check(&config, &err);
	}
	if (status) {
		complain(&err);
		config_finish(&config);
		return EXIT_USAGE;
	}
	log_set_level((enum log_level)config.log_level);
	status = run_config(&config);
	config_finish(&config);
	return status;
}

static int command_version(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	puts("oriel " ORIEL_VERSION);
	return 0;
}

static int command_help(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	puts("Usage: oriel COMMAND [options]\n"
	     "\n"
	     "  run          boot a VM and stay until it ends (oriel run --help)\n"
	     "  ctl          speak to a running VM: status, attach, detach\n"
	     "  device       serve our virtio-gpu to another VMM over vfio-user\n"
	     "  passthrough  devices of this host: list, bind, restore\n"
	     "  doctor       say what this host offers and what is missing\n"
	     "  version      print the version\n"
	     "  help         this text");
	return 0;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(int argc, char **argv);
	} commands[] = {
		{"run", command_run},	      {"doctor", command_doctor}, {"passthrough", passthrough_command}, {"ctl", ctl_command}, {"device", device_command},
		{"version", command_version},   {"--version", command_version}, {"help", command_help},
		{"--help", command_help},
	};
	const char *word = argc > 1 ? argv[1] : "";
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (!strcmp(word, commands[i].name)) {
			return commands[i].run(argc - 2, argv + 2);
		}
	}
	log_error(*word ? "unknown command '%s'; see oriel help" : "no command given; see oriel help%s", word);
	return EXIT_USAGE;
}
