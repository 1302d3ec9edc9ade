/* SPDX-License-Identifier: Apache-2.0 */
/* test_config.c - the option table from command line and file */
#include "unit.h"
#include "vmm/config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct parsed {
	struct vm_config config;
	struct error err;
	int status;
};

static struct parsed parse(const char *const *words)
{
	struct parsed p = {0};
	int count = 0;
	while (words[count]) {
		count++;
	}
	config_init(&p.config);
	p.status = config_parse(&p.config, count, (char **)words, &p.err);
	if (!p.status) {
		p.status = config_check(&p.config, &p.err);
	}
	return p;
}

#define PARSE(...) parse((const char *const[]){__VA_ARGS__, NULL})

static void assert_refused(const char *const *words, const char *named)
{
	struct parsed p = parse(words);
	assert_int_equal(p.status, -EINVAL);
	if (!strstr(p.err.text, named)) {
		fail_msg("'%s' does not name '%s'", p.err.text, named);
	}
	config_finish(&p.config);
}

#define REFUSED(named, ...) assert_refused((const char *const[]){__VA_ARGS__, NULL}, named)

static void every_option_is_understood(void **state)
{
	struct parsed p = PARSE("--kernel", "Image", "--initrd=initrd.img", "--append", "a=b c", "--disk", "x.img,ro", "--disk",
				"y.img", "--memory", "512M", "--cpus", "2", "--gpu", "2d", "--net", "user", "--console",
				"file:log", "--display", "png:f.png", "--rng", "off", "--no-reboot", "--stats", "s.json",
				"--boot-timeout", "9", "--resolution", "640x480", "--cpu", "max", "--psci", "1.0", "--no-translation-cache", "--log", "debug", "--gdb", "[::1]:9");
	assert_int_equal(p.status, 0);
	assert_string_equal(p.config.gdb, "[::1]:9");
	assert_true(p.config.gdb_waits);
	assert_string_equal(p.config.kernel, "Image");
	assert_string_equal(p.config.initrd, "initrd.img");
	assert_string_equal(p.config.append, "a=b c");
	assert_int_equal(p.config.disk_count, 2);
	assert_string_equal(p.config.disks[0].path, "x.img");
	assert_true(p.config.disks[0].read_only);
	assert_false(p.config.disks[1].read_only);
	assert_int_equal(p.config.memory_bytes, 512 << 20);
	assert_int_equal(p.config.cpus, 2);
	assert_int_equal(p.config.gpu, CONFIG_GPU_2D);
	assert_int_equal(p.config.net, CONFIG_NET_USER);
	assert_string_equal(p.config.console_file, "log");
	assert_string_equal(p.config.display_file, "f.png");
	assert_false(p.config.rng);
	assert_false(p.config.reboot);
	assert_int_equal(p.config.boot_timeout_s, 9);
	assert_int_equal(p.config.display_height, 480);
	assert_int_equal(p.config.cpu, ENGINE_CPU_MAX);
	assert_int_equal(p.config.psci_version, 0x10000);
	assert_false(p.config.translation_cache);
	config_finish(&p.config);
}

static void bad_values_are_named(void **state)
{
	REFUSED("--kernel", "--memory", "1G");
	REFUSED("--memory", "--kernel", "k", "--memory", "lots");
	REFUSED("--memory", "--kernel", "k", "--memory", "1K");
	REFUSED("--memory", "--kernel", "k", "--memory", "99999999999T");
	REFUSED("--memory", "--kernel", "k", "--memory", "-1G");
	REFUSED("--cpus", "--kernel", "k", "--cpus", "0");
	REFUSED("shared", "--kernel", "k", "--gpu", "some");
	REFUSED("--wheels", "--kernel", "k", "--wheels", "4");
	REFUSED("stray", "--kernel", "k", "stray");
	REFUSED("needs an argument", "--kernel");
	REFUSED("file:", "--kernel", "k", "--console", "file:");
	REFUSED("--psci", "--kernel", "k", "--psci", "2.0");
	REFUSED("--hvc", "--kernel", "k", "--hvc", "yes");
	REFUSED("--resolution", "--kernel", "k", "--resolution", "640");
	REFUSED("--gdb", "--kernel", "k", "--gdb", ",run");
}

static void engine_options_belong_to_soft(void **state)
{
	struct parsed p = PARSE("--kernel", "k", "--engine", "soft,interp");
	assert_int_equal(p.status, 0);
	assert_int_equal(p.config.engine, CONFIG_ENGINE_SOFT);
	assert_true(p.config.soft_interp);
	assert_false(p.config.soft_isv_strict);
	config_finish(&p.config);
	p = PARSE("--kernel", "k", "--engine", "soft,isv=strict,interp");
	assert_int_equal(p.status, 0);
	assert_true(p.config.soft_interp);
	assert_true(p.config.soft_isv_strict);
	config_finish(&p.config);
	p = PARSE("--kernel", "k", "--engine", "soft,perf-map", "--engine-stats");
	assert_int_equal(p.status, 0);
	assert_true(p.config.soft_perf_map);
	assert_true(p.config.engine_stats);
	config_finish(&p.config);
	p = PARSE("--kernel", "k", "--engine", "soft,interp", "--engine", "kvm");
	assert_int_equal(p.status, 0);
	assert_int_equal(p.config.engine, CONFIG_ENGINE_KVM);
	assert_false(p.config.soft_interp);
	config_finish(&p.config);
	REFUSED("'turbo' is not one of: auto, soft, kvm", "--kernel", "k", "--engine", "turbo");
	p = PARSE("--kernel", "k", "--engine", "soft,granule=64k");
	assert_int_equal(p.config.soft_granule, 65536);
	config_finish(&p.config);
	REFUSED("no option 'granule=8k'", "--kernel", "k", "--engine", "soft,granule=8k");
	REFUSED("no option 'fast'", "--kernel", "k", "--engine", "soft,fast");
	REFUSED("no option 'isv=lax'", "--kernel", "k", "--engine", "soft,interp,isv=lax");
	REFUSED("no option ''", "--kernel", "k", "--engine", "soft,");
	REFUSED("kvm takes no options", "--kernel", "k", "--engine", "kvm,interp");
	REFUSED("auto takes no options", "--kernel", "k", "--engine", "auto,isv=strict");
}

static void contradictions_are_refused(void **state)
{
	REFUSED("--display", "--kernel", "k", "--gpu", "none", "--display", "png:x");
	REFUSED("--gpu-memory", "--kernel", "k", "--gpu", "2d", "--gpu-memory", "1G");
	REFUSED("twice", "--kernel", "k", "--disk", "a", "--disk", "a,ro");
}

static void a_file_has_the_same_keys(void **state)
{
	char path[] = "/tmp/oriel-config-XXXXXX";
	int fd = mkstemp(path);
	static const char text[] = "# a VM\nkernel = Image\n\n  memory=1G  \ndisk = a.img,ro\nno-reboot = on\n";
	assert_int_equal(write(fd, text, strlen(text)), (int)strlen(text));
	struct parsed p = PARSE("--config", path, "--memory", "3G");
	assert_int_equal(p.status, 0);
	assert_string_equal(p.config.kernel, "Image");
	assert_int_equal(p.config.memory_bytes, (uint64_t)3 << 30);
	assert_true(p.config.disks[0].read_only);
	assert_false(p.config.reboot);
	config_finish(&p.config);
	assert_int_equal(write(fd, "wheels = 4\n", 11), 11);
	REFUSED("line 7: unknown key 'wheels'", "--config", path);
	struct parsed missing = PARSE("--config", "/nonexistent");
	assert_int_equal(missing.status, -ENOENT);
	assert_non_null(strstr(missing.err.text, "/nonexistent"));
	config_finish(&missing.config);
	close(fd);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_option_is_understood),
		cmocka_unit_test(bad_values_are_named),
		cmocka_unit_test(engine_options_belong_to_soft),
		cmocka_unit_test(contradictions_are_refused),
		cmocka_unit_test(a_file_has_the_same_keys),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
