/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.h - what a VM shall be: parsed and validated before anything is opened
 *
 * One table of options serves the command line, the config file (`key = value`, the same names without dashes), the
 * help text and the man page's test.  Later settings win; lists add up.
 * Threads: set-up only.
 */
#ifndef ORIEL_VMM_CONFIG_H
#define ORIEL_VMM_CONFIG_H

#include "base/error.h"
#include "engine/engine.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { CONFIG_MAX_DISKS = 16, CONFIG_MAX_CPUS = 8, CONFIG_MAX_PASSTHROUGH = 8 };

enum config_gpu { CONFIG_GPU_NONE, CONFIG_GPU_2D, CONFIG_GPU_SHARED };
enum config_net { CONFIG_NET_NONE, CONFIG_NET_USER };
enum config_console { CONFIG_CONSOLE_STDIO, CONFIG_CONSOLE_NONE, CONFIG_CONSOLE_FILE };
enum config_display { CONFIG_DISPLAY_NONE, CONFIG_DISPLAY_PNG };
enum config_engine { CONFIG_ENGINE_AUTO, CONFIG_ENGINE_SOFT, CONFIG_ENGINE_KVM, CONFIG_ENGINE_HVF };

struct config_disk {
	char *path;
	bool read_only;
};

/* A whole PCI device for the guest; see docs/passthrough.md. */
struct config_passthrough {
	char *address;	       /* path of a vfio-user server's socket, or DDDD:BB:DD.F */
	bool vfio_user;
	unsigned trapped_bars; /* bit for each BAR */
	char *rom_file;
	bool no_rom;
	unsigned resets; /* bit for each enum backend_reset; 0: any */
};

/* All strings are owned by the config. */
struct vm_config {
	char *name;    /* in messages and process titles; default "vm" */
	char *kernel;  /* required */
	char *initrd;  /* may be NULL */
	char *append;  /* kernel command line; may be NULL */
	struct config_disk disks[CONFIG_MAX_DISKS];
	size_t disk_count;
	struct config_passthrough passthrough[CONFIG_MAX_PASSTHROUGH];
	size_t passthrough_count;
	unsigned hotplug_slots; /* empty slots for devices attached later */
	uint64_t memory_bytes; /* default 2 GiB */
	unsigned cpus;
	enum config_engine engine;
	bool soft_perf_map;   /* --engine soft,perf-map */
	bool soft_interp;     /* --engine soft,interp: no translation */
	bool translation_cache; /* keep translated code between runs */
	uint32_t soft_granule; /* --engine soft,granule=16k: as on a host with such pages; 0: as they are */
	bool soft_isv_strict; /* --engine soft,isv=strict: syndromes as hardware gives them */
	enum engine_cpu_model cpu;
	uint32_t psci_version; /* of the firmware calls: major << 16 | minor */
	enum config_gpu gpu;
	uint64_t gpu_memory_bytes; /* host memory of all contexts; 0: as guest RAM */
	char *gpu_server;	   /* path of oriel-gpu; NULL: beside the oriel binary, then $PATH */
	unsigned display_width, display_height;
	enum config_net net;
	enum config_console console;
	char *console_file;
	bool hvc; /* a virtio console beside the serial port */
	enum config_display display;
	char *display_file;
	bool rng;
	bool reboot; /* false: a reset ends the VM */
	bool engine_stats;	/* the engine's counters on stderr at exit */
	char *gdb;		/* where a debugger may connect: [HOST:]PORT or unix:PATH; may be NULL */
	bool gdb_waits;		/* nothing runs before one does */
	char *stats_file;	/* JSON counters at exit; may be NULL */
	unsigned boot_timeout_s; /* 0: none; else the guest must write to its console within it */
	int log_level;		 /* enum log_level */
};

/* Fill in the defaults. */
void config_init(struct vm_config *config);
void config_finish(struct vm_config *config);

/*
 * Parse the words after `oriel run` (argv[0] is the first of them).  --config FILE is read where it stands.  Returns 0,
 * or -EINVAL with one line in @err; 1 if --help was asked for.
 */
int config_parse(struct vm_config *config, int argc, char **argv, struct error *err) MUST_CHECK;

/*
 * Parse the argument of --passthrough, also for devices attached later.  Returns 0 or -EINVAL; what was allocated is freed by
 * config_passthrough_finish() in any case.
 */
int config_parse_passthrough(struct config_passthrough *device, const char *value, struct error *err) MUST_CHECK;
void config_passthrough_finish(struct config_passthrough *device);

/* What one option alone can not tell: missing kernel, contradictions. */
int config_check(const struct vm_config *config, struct error *err) MUST_CHECK;

/* Print the help of all options from the table. */
void config_help(FILE *out);

#endif
