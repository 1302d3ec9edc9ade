/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.c - what a VM shall be: option table, command line, config file
 *
 * How it works: each option is a row of name, argument, help and a setter; the command line and the file end in the same
 * config_set().
 * Threads: set-up only.
 */
#include "vmm/config.h"

#include "base/log.h"
#include "base/own.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

struct option_row {
	const char *name;
	const char *argument; /* NULL for a switch */
	const char *help;
	int (*set)(struct vm_config *config, const char *value, struct error *err);
};

static int set_string(char **to, const char *value, struct error *err)
{
	char *copy = strdup(value);
	if (!copy) {
		return error_set(err, -ENOMEM, "out of memory");
	}
	free(*to);
	*to = copy;
	return 0;
}

/* A number of bytes with K, M, G or T behind it. */
static int parse_size(const char *value, uint64_t *bytes, const char *option, struct error *err)
{
	static const char units[] = "KMGT";
	char *end;
	errno = 0;
	unsigned long long number = strtoull(value, &end, 10);
	unsigned shift = 0;
	const char *unit = *end ? strchr(units, toupper((unsigned char)*end)) : NULL;
	if (unit) {
		shift = 10 * (unsigned)(unit - units + 1);
		end++;
	}
	if (errno || !isdigit((unsigned char)value[0]) || *end || !number || number > UINT64_MAX >> shift) {
		return error_set(err, -EINVAL, "%s: '%s' is not a size; write for example 512M or 2G", option, value);
	}
	*bytes = (uint64_t)number << shift;
	return 0;
}

static int parse_number(const char *value, unsigned low, unsigned high, unsigned *number, const char *option,
			struct error *err)
{
	char *end;
	errno = 0;
	unsigned long parsed = strtoul(value, &end, 10);
	if (errno || !isdigit((unsigned char)value[0]) || *end || parsed < low || parsed > high) {
		return error_set(err, -EINVAL, "%s: '%s' is not a number from %u to %u", option, value, low, high);
	}
	*number = (unsigned)parsed;
	return 0;
}

/* Index of @value in the NULL-terminated @words. */
static int parse_word(const char *value, const char *const *words, const char *option, struct error *err)
{
	char all[128] = "";
	for (int i = 0; words[i]; i++) {
		if (!strcmp(value, words[i])) {
			return i;
		}
		snprintf(all + strlen(all), sizeof(all) - strlen(all), "%s%s", i ? ", " : "", words[i]);
	}
	return error_set(err, -EINVAL, "%s: '%s' is not one of: %s", option, value, all);
}

static int set_name(struct vm_config *c, const char *value, struct error *err)
{
	return set_string(&c->name, value, err);
}

static int set_kernel(struct vm_config *c, const char *value, struct error *err)
{
	return set_string(&c->kernel, value, err);
}

static int set_initrd(struct vm_config *c, const char *value, struct error *err)
{
	return set_string(&c->initrd, value, err);
}

static int set_append(struct vm_config *c, const char *value, struct error *err)
{
	return set_string(&c->append, value, err);
}

static int set_disk(struct vm_config *c, const char *value, struct error *err)
{
	if (c->disk_count == CONFIG_MAX_DISKS) {
		return error_set(err, -EINVAL, "--disk: more than %d disks", CONFIG_MAX_DISKS);
	}
	struct config_disk *disk = &c->disks[c->disk_count];
	int status = set_string(&disk->path, value, err);
	if (status) {
		return status;
	}
	size_t len = strlen(disk->path);
	if (len > 3 && !strcmp(disk->path + len - 3, ",ro")) {
		disk->path[len - 3] = '\0';
		disk->read_only = true;
	}
	c->disk_count++;
	return disk->path[0] ? 0 : error_set(err, -EINVAL, "--disk: the file name is empty");
}

static int set_memory(struct vm_config *c, const char *value, struct error *err)
{
	int status = parse_size(value, &c->memory_bytes, "--memory", err);
	if (!status && (c->memory_bytes < 64 << 20 || c->memory_bytes & 0xfffff)) {
		return error_set(err, -EINVAL, "--memory: '%s' must be a multiple of 1M and at least 64M", value);
	}
	return status;
}

static int set_cpus(struct vm_config *c, const char *value, struct error *err)
{
	return parse_number(value, 1, CONFIG_MAX_CPUS, &c->cpus, "--cpus", err);
}

/* Behind --engine soft: comma options. */
static int set_soft_options(struct vm_config *c, const char *options, struct error *err)
{
	AUTO_FREE char *copy = strdup(options);
	if (!copy) {
		return error_set(err, -ENOMEM, "out of memory");
	}
	char *rest = copy, *option;
	while ((option = strsep(&rest, ","))) {
		if (!strcmp(option, "interp")) {
			c->soft_interp = true;
		} else if (!strcmp(option, "isv=strict")) {
			c->soft_isv_strict = true;
		} else if (!strcmp(option, "perf-map")) {
			c->soft_perf_map = true;
		} else if (!strcmp(option, "granule=16k") || !strcmp(option, "granule=64k")) {
			c->soft_granule = option[8] == '1' ? 16 << 10 : 64 << 10;
		} else {
			return error_set(err, -EINVAL,
					 "--engine: soft has no option '%s', only: interp, isv=strict, perf-map, "
					 "granule=16k, granule=64k",
					 option);
		}
	}
	return 0;
}

static int set_engine(struct vm_config *c, const char *value, struct error *err)
{
	const char *comma = strchrnul(value, ',');
	AUTO_FREE char *name = strndup(value, (size_t)(comma - value));
	if (!name) {
		return error_set(err, -ENOMEM, "out of memory");
	}
	int word = parse_word(name, (const char *const[]){"auto", "soft", "kvm", "hvf", NULL}, "--engine", err);
	if (word < 0) {
		return word;
	}
	c->engine = (enum config_engine)word;
	c->soft_interp = c->soft_isv_strict = c->soft_perf_map = false;
	c->soft_granule = 0;
	if (*comma && c->engine != CONFIG_ENGINE_SOFT) {
		return error_set(err, -EINVAL, "--engine: %s takes no options; only soft does", name);
	}
	return *comma ? set_soft_options(c, comma + 1, err) : 0;
}

static int set_cpu(struct vm_config *c, const char *value, struct error *err)
{
	int word = parse_word(value, (const char *const[]){"default", "max", "baseline", "host", NULL}, "--cpu", err);
	c->cpu = word < 0 ? c->cpu : (enum engine_cpu_model)word;
	return word < 0 ? word : 0;
}

static int set_psci(struct vm_config *c, const char *value, struct error *err)
{
	int word = parse_word(value, (const char *const[]){"1.0", "1.1", NULL}, "--psci", err);
	c->psci_version = word < 0 ? c->psci_version : 0x10000 + (uint32_t)word;
	return word < 0 ? word : 0;
}

static int set_gpu(struct vm_config *c, const char *value, struct error *err)
{
	int word = parse_word(value, (const char *const[]){"none", "2d", "shared", NULL}, "--gpu", err);
	c->gpu = word < 0 ? c->gpu : (enum config_gpu)word;
	return word < 0 ? word : 0;
}

static int set_gpu_memory(struct vm_config *c, const char *value, struct error *err)
{
	return parse_size(value, &c->gpu_memory_bytes, "--gpu-memory", err);
}

static int set_gpu_server(struct vm_config *c, const char *value, struct error *err)
{
	return set_string(&c->gpu_server, value, err);
}

static int set_resolution(struct vm_config *c, const char *value, struct error *err)
{
	unsigned width, height;
	char rest;
	if (sscanf(value, "%5ux%5u%c", &width, &height, &rest) != 2 || width < 64 || height < 64 || width > 8192 ||
	    height > 8192) {
		return error_set(err, -EINVAL, "--resolution: '%s' is not WIDTHxHEIGHT from 64x64 to 8192x8192", value);
	}
	c->display_width = width;
	c->display_height = height;
	return 0;
}

static int set_net(struct vm_config *c, const char *value, struct error *err)
{
	int word = parse_word(value, (const char *const[]){"none", "user", NULL}, "--net", err);
	c->net = word < 0 ? c->net : (enum config_net)word;
	return word < 0 ? word : 0;
}

/* "KIND:FILE": stores FILE if @value has that prefix. */
static bool has_file(const char *value, const char *prefix, const char **file)
{
	size_t len = strlen(prefix);
	*file = value + len;
	return !strncmp(value, prefix, len) && value[len];
}

static int set_console(struct vm_config *c, const char *value, struct error *err)
{
	const char *file;
	if (has_file(value, "file:", &file)) {
		c->console = CONFIG_CONSOLE_FILE;
		return set_string(&c->console_file, file, err);
	}
	int word = parse_word(value, (const char *const[]){"stdio", "none", "file:FILE", NULL}, "--console", err);
	if (word == CONFIG_CONSOLE_FILE) {
		return error_set(err, -EINVAL, "--console: name a file behind 'file:'");
	}
	c->console = word < 0 ? c->console : (enum config_console)word;
	return word < 0 ? word : 0;
}

static int set_display(struct vm_config *c, const char *value, struct error *err)
{
	const char *file;
	if (has_file(value, "png:", &file)) {
		c->display = CONFIG_DISPLAY_PNG;
		return set_string(&c->display_file, file, err);
	}
	int word = parse_word(value, (const char *const[]){"none", "png:FILE", NULL}, "--display", err);
	if (word == CONFIG_DISPLAY_PNG) {
		return error_set(err, -EINVAL, "--display: name a file behind 'png:'");
	}
	c->display = word < 0 ? c->display : (enum config_display)word;
	return word < 0 ? word : 0;
}

static int set_passthrough(struct vm_config *c, const char *value, struct error *err)
{
	if (c->passthrough_count == CONFIG_MAX_PASSTHROUGH) {
		return error_set(err, -EINVAL, "--passthrough: more than %d devices", CONFIG_MAX_PASSTHROUGH);
	}
	return config_parse_passthrough(&c->passthrough[c->passthrough_count++], value, err);
}

static int set_hotplug_slots(struct vm_config *c, const char *value, struct error *err)
{
	return parse_number(value, 0, CONFIG_MAX_PASSTHROUGH, &c->hotplug_slots, "--hotplug-slots", err);
}

static int set_rng(struct vm_config *c, const char *value, struct error *err)
{
	int word = parse_word(value, (const char *const[]){"off", "on", NULL}, "--rng", err);
	c->rng = word < 0 ? c->rng : word == 1;
	return word < 0 ? word : 0;
}

static int set_hvc(struct vm_config *c, const char *value, struct error *err)
{
	int word = parse_word(value, (const char *const[]){"off", "on", NULL}, "--hvc", err);
	c->hvc = word < 0 ? c->hvc : word == 1;
	return word < 0 ? word : 0;
}

static int set_no_reboot(struct vm_config *c, const char *value, struct error *err)
{
	int word = value ? parse_word(value, (const char *const[]){"off", "on", NULL}, "--no-reboot", err) : 1;
	c->reboot = word < 0 ? c->reboot : word == 0;
	return word < 0 ? word : 0;
}

static int set_engine_stats(struct vm_config *c, const char *value, struct error *err)
{
	int word = value ? parse_word(value, (const char *const[]){"off", "on", NULL}, "--engine-stats", err) : 1;
	c->engine_stats = word < 0 ? c->engine_stats : word == 1;
	return word < 0 ? word : 0;
}

static int set_no_translation_cache(struct vm_config *c, const char *value, struct error *err)
{
	const char *const words[] = {"off", "on", NULL};
	int word = value ? parse_word(value, words, "--no-translation-cache", err) : 1;
	c->translation_cache = word < 0 ? c->translation_cache : word == 0;
	return word < 0 ? word : 0;
}

static int set_stats(struct vm_config *c, const char *value, struct error *err)
{
	return set_string(&c->stats_file, value, err);
}

/* ADDRESS[,run] */
static int set_gdb(struct vm_config *c, const char *value, struct error *err)
{
	int status = set_string(&c->gdb, value, err);
	if (status) {
		return status;
	}
	size_t len = strlen(c->gdb);
	c->gdb_waits = len < 4 || strcmp(c->gdb + len - 4, ",run") != 0;
	if (!c->gdb_waits) {
		c->gdb[len - 4] = '\0';
	}
	return c->gdb[0] ? 0 : error_set(err, -EINVAL, "--gdb: '%s' is not [HOST:]PORT or unix:PATH", value);
}

static int set_boot_timeout(struct vm_config *c, const char *value, struct error *err)
{
	return parse_number(value, 0, 86400, &c->boot_timeout_s, "--boot-timeout", err);
}

static int set_log(struct vm_config *c, const char *value, struct error *err)
{
	int word = parse_word(value, (const char *const[]){"error", "warn", "info", "debug", NULL}, "--log", err);
	c->log_level = word < 0 ? c->log_level : word;
	return word < 0 ? word : 0;
}

static int set_config(struct vm_config *config, const char *path, struct error *err);

/* Where the text of an option begins in its further lines. */
#define HELP_INDENT "                                   "

static const struct option_row rows[] = {
	{"kernel", "FILE", "arm64 kernel: Image, gzip'ed Image or EFI zboot (required)", set_kernel},
	{"initrd", "FILE", "initial RAM disk", set_initrd},
	{"append", "STRING", "kernel command line", set_append},
	{"disk", "FILE[,ro]", "raw disk image as a virtio disk, repeatable; ,ro: read only", set_disk},
	{"memory", "SIZE", "guest RAM (default 2G)", set_memory},
	{"cpus", "N", "number of vCPUs (default 1)", set_cpus},
	{"engine", "auto|kvm|hvf|soft[,OPT]", "CPU engine (default auto: the best that this host has); options of soft: interp\n"
	 HELP_INDENT "(no translation), perf-map (for perf), isv=strict (report accesses as hardware does),\n"
	 HELP_INDENT "granule=16k|64k (map GPU memory as a host with such pages does)", set_engine},
	{"no-translation-cache", NULL, "keep no translated code between runs (in $XDG_CACHE_HOME/oriel)",
	 set_no_translation_cache},
	{"cpu", "default|max|baseline|host", "CPU model: fast; all features; Armv8.0; what this host runs best", set_cpu},
	{"psci", "1.1|1.0", "version of the power calls that the guest sees (default 1.1)", set_psci},
	{"gpu", "shared|2d|none", "shared: the host's Vulkan driver; 2d: a display alone (default shared)", set_gpu},
	{"gpu-memory", "SIZE", "limit for the guest's GPU memory (default: as guest RAM)", set_gpu_memory},
	{"gpu-server", "FILE", "the oriel-gpu program (default: beside oriel, then $PATH)", set_gpu_server},
	{"display", "none|png:FILE", "png: write the last frame shown to FILE at exit (default none)", set_display},
	{"resolution", "WxH", "preferred mode of the display (default 1280x800)", set_resolution},
	{"net", "user|none", "user: the host's network through passt (default none)", set_net},
	{"passthrough", "DEVICE[,...]", "a whole PCI device: DDDD:BB:DD.F or vfio-user:SOCKET, repeatable", set_passthrough},
	{"hotplug-slots", "N", "empty slots for devices that oriel ctl attaches later (default 0)", set_hotplug_slots},
	{"console", "stdio|none|file:FILE", "where the serial port goes (default stdio; Ctrl-A x quits)", set_console},
	{"hvc", "on|off", "a virtio console (hvc0) too: shares --console, gets what is typed (default off)", set_hvc},
	{"rng", "on|off", "random numbers from the host (default on)", set_rng},
	{"no-reboot", NULL, "end the VM when the guest resets", set_no_reboot},
	{"boot-timeout", "SECONDS", "end the VM if its console says nothing within that time (default 0: never)",
	 set_boot_timeout},
	{"gdb", "[HOST:]PORT|unix:PATH[,run]", "wait for a debugger there (default host: 127.0.0.1); run: do not wait", set_gdb},
	{"engine-stats", NULL, "print the CPU engine's counters on stderr at exit", set_engine_stats},
	{"stats", "FILE", "write counters as JSON to FILE at exit", set_stats},
	{"name", "STRING", "name of the VM in messages", set_name},
	{"log", "error|warn|info|debug", "how much to say on stderr (default warn)", set_log},
	{"config", "FILE", "read options from FILE: lines of 'key = value', names as here", set_config},
};

void config_init(struct vm_config *config)
{
	*config = (struct vm_config){
		.memory_bytes = (uint64_t)2 << 30,
		.cpus = 1,
		.psci_version = 0x10001,
		.gpu = CONFIG_GPU_SHARED,
		.display_width = 1280,
		.display_height = 800,
		.rng = true,
		.reboot = true,
		.translation_cache = true,
		.log_level = LOG_WARN,
	};
}

void config_finish(struct vm_config *config)
{
	for (size_t i = 0; i < CONFIG_MAX_DISKS; i++) {
		free(config->disks[i].path);
	}
	for (size_t i = 0; i < CONFIG_MAX_PASSTHROUGH; i++) {
		config_passthrough_finish(&config->passthrough[i]);
	}
	free(config->name);
	free(config->kernel);
	free(config->initrd);
	free(config->append);
	free(config->gpu_server);
	free(config->console_file);
	free(config->display_file);
	free(config->stats_file);
	free(config->gdb);
	*config = (struct vm_config){0};
}

static const struct option_row *find_row(const char *name, size_t len)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (strlen(rows[i].name) == len && !strncmp(rows[i].name, name, len)) {
			return &rows[i];
		}
	}
	return NULL;
}

static char *trim(char *text)
{
	while (isspace((unsigned char)*text)) {
		text++;
	}
	size_t len = strlen(text);
	while (len && isspace((unsigned char)text[len - 1])) {
		text[--len] = '\0';
	}
	return text;
}

/* One line of a config file: blank, comment, or key = value. */
static int set_line(struct vm_config *config, char *line, struct error *err)
{
	char *key = trim(line);
	if (!*key || *key == '#') {
		return 0;
	}
	char *equals = strchr(key, '=');
	if (!equals) {
		return error_set(err, -EINVAL, "'%s' is not 'key = value'", key);
	}
	*equals = '\0';
	key = trim(key);
	const struct option_row *row = find_row(key, strlen(key));
	if (!row || row->set == set_config) {
		return error_set(err, -EINVAL, "unknown key '%s'; see oriel run --help", key);
	}
	return row->set(config, trim(equals + 1), err);
}

static int set_config(struct vm_config *config, const char *path, struct error *err)
{
	FILE *file = fopen(path, "re");
	if (!file) {
		return error_errno(err, "config file %s", path);
	}
	AUTO_FREE char *line = NULL;
	size_t room = 0;
	int status = 0;
	for (unsigned number = 1; !status && getline(&line, &room, file) >= 0; number++) {
		status = set_line(config, line, err);
		if (status) {
			error_context(err, "%s line %u", path, number);
		}
	}
	fclose(file);
	return status;
}

int config_parse(struct vm_config *config, int argc, char **argv, struct error *err)
{
	for (int i = 0; i < argc; i++) {
		const char *word = argv[i];
		if (!strcmp(word, "--help") || !strcmp(word, "-h")) {
			return 1;
		}
		if (strncmp(word, "--", 2) || !word[2]) {
			return error_set(err, -EINVAL, "unexpected argument '%s'; see oriel run --help", word);
		}
		const char *equals = strchr(word, '=');
		size_t len = equals ? (size_t)(equals - word) - 2 : strlen(word) - 2;
		const struct option_row *row = find_row(word + 2, len);
		if (!row) {
			return error_set(err, -EINVAL, "unknown option '%.*s'; see oriel run --help", (int)len + 2,
					 word);
		}
		const char *value = equals ? equals + 1 : NULL;
		if (row->argument && !value) {
			if (++i == argc) {
				return error_set(err, -EINVAL, "--%s needs an argument: %s", row->name,
						 row->argument);
			}
			value = argv[i];
		}
		int status = row->set(config, value, err);
		if (status) {
			return status;
		}
	}
	return 0;
}

int config_check(const struct vm_config *config, struct error *err)
{
	if (!config->kernel) {
		return error_set(err, -EINVAL, "no kernel: give --kernel FILE (an arm64 Image)");
	}
	if (config->display != CONFIG_DISPLAY_NONE && config->gpu == CONFIG_GPU_NONE) {
		return error_set(err, -EINVAL, "--display needs a GPU: use --gpu shared or --gpu 2d");
	}
	if (config->gpu_memory_bytes && config->gpu != CONFIG_GPU_SHARED) {
		return error_set(err, -EINVAL, "--gpu-memory belongs to --gpu shared");
	}
	if (config->gpu_memory_bytes & 0xfffff) {
		return error_set(err, -EINVAL, "--gpu-memory must be a multiple of 1M");
	}
	for (size_t i = 0; i < config->disk_count; i++) {
		for (size_t j = 0; j < i; j++) {
			if (!strcmp(config->disks[i].path, config->disks[j].path) &&
			    !(config->disks[i].read_only && config->disks[j].read_only)) {
				return error_set(err, -EINVAL, "--disk: %s is given twice and not read only",
						 config->disks[i].path);
			}
		}
	}
	return 0;
}

void config_help(FILE *out)
{
	fputs("Usage: oriel run --kernel FILE [options]\n\nBoot a VM and stay until it ends.\n\nOptions:\n", out);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char left[48];
		snprintf(left, sizeof(left), "--%s %s", rows[i].name, rows[i].argument ? rows[i].argument : "");
		fprintf(out, "  %-32s %s\n", left, rows[i].help);
	}
	fputs("  --help                           this text\n\n"
	      "Exit status: 0 the guest powered off; 1 error; 2 bad usage; 3 reset with --no-reboot;\n"
	      "4 the boot timeout passed; 5 quit from the console; 143 ended by SIGTERM, 130 by SIGINT.\n",
	      out);
}
