/* SPDX-License-Identifier: Apache-2.0 */
/* test_binding.c - what is said about a host's PCI devices, on a made-up /sys */
#include "passthrough/binding.h"
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct tree {
	char root[64], sys[80], records[80], proc[80];
	struct binding_paths paths;
};

static void put(const struct tree *t, const char *path, const char *text)
{
	char full[256];
	snprintf(full, sizeof(full), "%s/%s", t->root, path);
	for (char *slash = strchr(full + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		(void)!mkdir(full, 0755);
		*slash = '/';
	}
	FILE *file = fopen(full, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void put_link(const struct tree *t, const char *path, const char *target)
{
	char full[256];
	snprintf(full, sizeof(full), "%s/%s", t->root, path);
	assert_int_equal(symlink(target, full), 0);
}

static void put_device(const struct tree *t, const char *bdf, const char *class_code,
		       const char *driver, const char *group)
{
	const char *const files[][2] = {
		{"vendor", "0x8086\n"},
		{"device", "0x10d3\n"},
		{"class", class_code},
		{"reset_method", "flr bus\n"},
		{"resource",
		 "0xfe000000 0xfe003fff 0x200\n0x0 0x0 0x0\n0x8000000000 0x9fffffffff 0x14220c\n"},
	};
	char path[160];
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		snprintf(path, sizeof(path), "sys/bus/pci/devices/%s/%s", bdf, files[i][0]);
		put(t, path, files[i][1]);
	}
	if (driver) {
		snprintf(path, sizeof(path), "sys/bus/pci/devices/%s/driver", bdf);
		put_link(t, path, driver);
	}
	if (group) {
		snprintf(path, sizeof(path), "sys/bus/pci/devices/%s/iommu_group", bdf);
		put_link(t, path, group);
	}
}

static void tree_init(struct tree *t)
{
	snprintf(t->root, sizeof(t->root), "/tmp/oriel-test-XXXXXX");
	assert_non_null(mkdtemp(t->root));
	snprintf(t->sys, sizeof(t->sys), "%s/sys", t->root);
	snprintf(t->records, sizeof(t->records), "%s/run/records", t->root);
	snprintf(t->proc, sizeof(t->proc), "%s/proc", t->root);
	t->paths = (struct binding_paths){t->sys, t->records, t->proc};
	put(t, "proc/self/mountinfo", "");
	put(t, "proc/swaps", "Filename Type\n");
	put_device(t, "0000:00:01.0", "0x060400\n", "../../drivers/pcieport", "../../groups/7");
	put_device(t, "0000:01:00.0", "0x030000\n", "../../drivers/nvidia", "../../groups/7");
	put_device(t, "0000:01:00.1", "0x040300\n", "../../drivers/snd_hda_intel",
		   "../../groups/7");
	put_device(t, "0000:02:00.0", "0x010802\n", "../../drivers/vfio-pci", "../../groups/9");
	put_device(t, "0000:03:00.0", "0x020000\n", "../../drivers/e1000e", NULL);
}

static void tree_finish(struct tree *t)
{
	char command[96];
	snprintf(command, sizeof(command), "rm -rf %s", t->root);
	assert_int_equal(system(command), 0);
}

static void devices_are_listed_in_order_with_their_parts(void **state)
{
	struct tree t;
	struct sysfs_device *all;
	size_t count;
	tree_init(&t);
	assert_int_equal(sysfs_list_devices(t.sys, &all, &count, NULL), 0);
	assert_int_equal(count, 5);
	assert_string_equal(all[1].bdf, "0000:01:00.0");
	assert_string_equal(all[1].driver, "nvidia");
	assert_string_equal(all[1].resets, "flr bus");
	assert_int_equal(all[1].group, 7);
	assert_int_equal(all[1].class_code, 0x030000);
	assert_int_equal(all[1].bars[0], 0x4000);
	assert_int_equal(all[1].bars[1], 0);
	assert_true(all[1].bars[2] == UINT64_C(1) << 37);
	assert_int_equal(all[4].group, -1);
	assert_true(sysfs_is_bridge(&all[0]));
	free(all);
	assert_int_equal(sysfs_list_devices("/nonexistent", &all, &count, NULL), -ENOENT);
	tree_finish(&t);
}

static void assert_says(const struct tree *t, size_t index, const char *what)
{
	struct sysfs_device *all;
	size_t count;
	char why[512] = "";
	assert_int_equal(sysfs_list_devices(t->sys, &all, &count, NULL), 0);
	bool ready = binding_is_ready(&t->paths, &all[index], all, count, why, sizeof(why));
	assert_int_equal(ready, what == NULL);
	if (what && !strstr(why, what)) {
		fail_msg("'%s' does not say '%s'", why, what);
	}
	free(all);
}

static void each_obstacle_is_named_with_its_remedy(void **state)
{
	struct tree t;
	tree_init(&t);
	assert_says(&t, 0, "bridge");
	assert_says(&t, 1, "driver nvidia: oriel passthrough bind 0000:01:00.0");
	assert_says(&t, 2, "0000:01:00.0 (nvidia), which has to go along");
	assert_says(&t, 3, NULL);
	assert_says(&t, 4, "intel_iommu=on");
	tree_finish(&t);
}

static bool refuse(void *opaque, const struct sysfs_device *device)
{
	unsigned *asked = opaque;
	assert_string_equal(device->bdf, "0000:01:00.1");
	++*asked;
	return false;
}

static void neighbours_are_asked_for_and_nothing_changes_without_consent(void **state)
{
	struct tree t;
	struct error err = {0};
	unsigned asked = 0;
	tree_init(&t);
	assert_int_equal(binding_bind(&t.paths, "0000:01:00.0", refuse, &asked, &err), -ECANCELED);
	assert_int_equal(asked, 1);
	assert_non_null(strstr(err.text, "snd_hda_intel"));
	assert_int_equal(access(t.records, F_OK), -1);
	assert_int_equal(binding_bind(&t.paths, "0000:03:00.0", refuse, &asked, &err), -ENOTSUP);
	assert_int_equal(binding_bind(&t.paths, "0000:00:01.0", refuse, &asked, &err), -ENOTSUP);
	assert_int_equal(binding_bind(&t.paths, "0000:09:00.0", refuse, &asked, &err), -ENODEV);
	tree_finish(&t);
}

static void mounted_and_up_devices_stay(void **state)
{
	struct tree t;
	struct error err = {0};
	unsigned asked = 0;
	tree_init(&t);
	put(&t, "sys/bus/pci/devices/0000:02:00.0/block/nvme0n1/dev", "259:0\n");
	put(&t, "sys/dev/block/none", "");
	put_link(&t, "sys/dev/block/259:0", "../../bus/pci/devices/0000:02:00.0/block/nvme0n1");
	put(&t, "proc/self/mountinfo", "25 1 259:0 / /home rw - ext4 /dev/x rw\n");
	assert_says(&t, 3, "mounted at /home");
	assert_int_equal(binding_bind(&t.paths, "0000:02:00.0", refuse, &asked, &err), -EBUSY);
	put(&t, "proc/self/mountinfo", "");
	assert_says(&t, 3, NULL);
	put(&t, "sys/bus/pci/devices/0000:02:00.0/net/eth0/flags", "0x1003\n");
	put(&t, "sys/class/net/none", "");
	put_link(&t, "sys/class/net/eth0", "../../bus/pci/devices/0000:02:00.0/net/eth0");
	assert_says(&t, 3, "ip link set eth0 down");
	tree_finish(&t);
}

static void only_what_was_bound_is_given_back(void **state)
{
	struct tree t;
	struct error err = {0};
	tree_init(&t);
	assert_int_equal(binding_restore(&t.paths, "0000:02:00.0", &err), -ENOENT);
	put(&t, "run/records/0000:09:00.0", "nvme"); /* a device that was pulled meanwhile */
	assert_int_equal(binding_restore(&t.paths, "0000:09:00.0", &err), 0);
	assert_int_equal(binding_restore(&t.paths, "0000:09:00.0", &err), -ENOENT);
	put(&t, "run/records/0000:02:00.0", "nvme");
	put(&t, "sys/bus/pci/devices/0000:02:00.0/driver_override", "vfio-pci\n");
	assert_true(binding_restore(&t.paths, "0000:02:00.0", &err) <
		    0); /* this /sys binds nothing: the record stays */
	char path[128];
	snprintf(path, sizeof(path), "%s/0000:02:00.0", t.records);
	assert_int_equal(access(path, F_OK), 0);
	tree_finish(&t);
}

static void device_without_driver_may_get_its_group_later(void **state)
{
	struct tree t;
	struct error err = {0};
	unsigned asked = 0;
	tree_init(&t);
	put_device(&t, "0000:04:00.0", "0x010802\n", NULL, NULL);
	assert_says(&t, 5, "no IOMMU stands before it"); /* this host has none at all */
	put(&t, "sys/class/iommu/smmu3.0/uevent", "");
	assert_says(&t, 5, "it has no driver: oriel passthrough bind 0000:04:00.0");
	assert_says(&t, 4, "no IOMMU stands before it"); /* has a driver, and no group all the same */
	put(&t, "sys/bus/pci/devices/0000:04:00.0/driver_override", "");
	put(&t, "sys/bus/pci/drivers_probe", "");
	assert_int_equal(binding_bind(&t.paths, "0000:04:00.0", refuse, &asked, &err), -ENODEV);
	assert_non_null(strstr(err.text, "vfio-pci did not take it"));
	assert_int_equal(asked, 0);
	char path[128];
	snprintf(path, sizeof(path), "%s/0000:04:00.0", t.records);
	assert_int_equal(access(path, F_OK), -1); /* given back */
	tree_finish(&t);
}

struct found {
	unsigned count;
	uint64_t first, last; /* of all */
};

static void on_reserved(void *opaque, uint64_t first, uint64_t last)
{
	struct found *found = opaque;
	found->first = found->count++ && found->first < first ? found->first : first;
	found->last = found->last > last ? found->last : last;
}

static void reserved_addresses_of_all_groups_are_found(void **state)
{
	struct tree t;
	struct found found = {0};
	tree_init(&t);
	sysfs_each_reserved(t.sys, on_reserved, &found);
	assert_int_equal(found.count, 0);
	put(&t, "sys/kernel/iommu_groups/7/reserved_regions",
	    "0x00000000000e0000 0x00000000000fffff direct-relaxable\n"
	    "0x00000000fee00000 0x00000000feefffff msi\n");
	put(&t, "sys/kernel/iommu_groups/9/reserved_regions",
	    "0x00000000fee00000 0x00000000feefffff msi\n"
	    "0x000000fd00000000 0x000000ffffffffff reserved\n"
	    "nonsense\n");
	sysfs_each_reserved(t.sys, on_reserved, &found);
	assert_int_equal(found.count, 3);
	assert_int_equal(found.first, 0xfee00000);
	assert_true(found.last == UINT64_C(0xffffffffff));
	tree_finish(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(devices_are_listed_in_order_with_their_parts),
		cmocka_unit_test(each_obstacle_is_named_with_its_remedy),
		cmocka_unit_test(neighbours_are_asked_for_and_nothing_changes_without_consent),
		cmocka_unit_test(mounted_and_up_devices_stay),
		cmocka_unit_test(only_what_was_bound_is_given_back),
		cmocka_unit_test(device_without_driver_may_get_its_group_later),
		cmocka_unit_test(reserved_addresses_of_all_groups_are_found),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
