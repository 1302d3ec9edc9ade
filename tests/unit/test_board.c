/* SPDX-License-Identifier: Apache-2.0 */
/* test_board.c - firmware calls, the device tree, kernel files of all kinds, placement in memory, the board as a whole */
#include "base/own.h"
#include "board/board.h"
#include "board/devicetree.h"
#include "board/kernel.h"
#include "board/loader.h"
#include "board/smccc.h"
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <libfdt.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

/* ----- PSCI ----- */

struct machine {
	uint64_t entry, context;
	unsigned started, stopped;
	int ended; /* 1 off, 2 reset */
};

static int machine_cpu_on(void *opaque, unsigned target, uint64_t entry, uint64_t context)
{
	struct machine *m = opaque;
	m->started = target;
	m->entry = entry;
	m->context = context;
	return target == 0 ? PSCI_ALREADY_ON : PSCI_SUCCESS;
}

static void machine_cpu_off(void *opaque, unsigned vcpu)
{
	((struct machine *)opaque)->stopped = vcpu;
}

static enum psci_affinity machine_affinity(void *opaque, unsigned target)
{
	return target == 0 ? PSCI_AFFINITY_ON : PSCI_AFFINITY_OFF;
}

static void machine_end(void *opaque, unsigned vcpu, bool reset)
{
	((struct machine *)opaque)->ended = reset ? 2 : 1;
}

static int64_t call(struct machine *m, uint64_t x0, uint64_t x1, uint64_t x2, uint64_t x3)
{
	static const struct psci_ops ops = {machine_cpu_on, machine_cpu_off, machine_affinity, machine_end};
	const struct psci psci = {&ops, m, 20, 0x10001};
	uint64_t x[8] = {x0, x1, x2, x3};
	psci_call(&psci, 1, x);
	return (int64_t)x[0];
}

static void psci_answers_what_linux_asks(void **state)
{
	struct machine m = {0};
	assert_int_equal(call(&m, 0x84000000, 0, 0, 0), 0x10001);
	assert_int_equal(call(&m, 0x84000006, 0, 0, 0), 2);
	assert_int_equal(call(&m, 0x8400000a, 0x80000000, 0, 0), 0);
	assert_int_equal(call(&m, 0x80000000, 0, 0, 0), 0x10001);
	assert_int_equal(call(&m, 0x80000001, 0x80008000, 0, 0), -1);
	assert_int_equal(call(&m, 0x8400000a, 0xc4000001, 0, 0), 0);
	assert_int_equal(call(&m, 0x8400000a, 0xc400000e, 0, 0), -1);
	assert_int_equal(call(&m, 0x8400000a, 0xc4000012, 0, 0), -1);
	assert_int_equal(call(&m, 0xc4000003, 0x100, 0x40200000, 7), 0);
	assert_int_equal(m.started, 16);
	assert_int_equal(m.entry, 0x40200000);
	assert_int_equal(m.context, 7);
	assert_int_equal(call(&m, 0x84000003, 0x1, 0xffffffff40200000, 7), 0);
	assert_int_equal(m.entry, 0x40200000); /* 32-bit form */
	assert_int_equal(call(&m, 0xc4000003, 0, 0x40200000, 0), PSCI_ALREADY_ON);
	assert_int_equal(call(&m, 0xc4000003, 0x200, 0x40200000, 0), PSCI_INVALID_PARAMETERS);
	assert_int_equal(call(&m, 0xc4000003, 1ull << 63, 0x40200000, 0), PSCI_INVALID_PARAMETERS);
	assert_int_equal(call(&m, 0xc4000003, 1, 0x40200001, 0), PSCI_INVALID_ADDRESS);
	assert_int_equal(call(&m, 0xc4000004, 0, 0, 0), 0);
	assert_int_equal(call(&m, 0xc4000004, 1, 0, 0), 1);
	assert_int_equal(call(&m, 0xc4000004, 1, 1, 0), PSCI_INVALID_PARAMETERS);
	assert_int_equal(call(&m, 0xdeadbeef, 0, 0, 0), -1);
	assert_int_equal(call(&m, 0xc4000008, 0, 0, 0), -1); /* no 64-bit form */
	assert_int_equal(m.ended, 0);
	call(&m, 0x84000002, 0, 0, 0);
	assert_int_equal(m.stopped, 1);
	call(&m, 0x84000008, 0, 0, 0);
	assert_int_equal(m.ended, 1);
	call(&m, 0x84000009, 0, 0, 0);
	assert_int_equal(m.ended, 2);
}

/* ----- all firmware calls ----- */

/* An engine that has the architecture's keys and no diversifier. */
static bool plain_set_key(struct engine_vcpu *vcpu, enum engine_key key, uint64_t low, uint64_t high)
{
	return key != ENGINE_KEY_DIVERSIFIER && high == low + 1;
}

static bool plain_set_diversified(struct engine_vcpu *vcpu, unsigned levels)
{
	return false;
}

static int64_t firmware_call(struct smccc *smccc, uint64_t x0, uint64_t x1)
{
	static const struct engine_ops ops = {.vcpu_set_key = plain_set_key, .vcpu_set_diversified = plain_set_diversified};
	struct engine engine = {&ops};
	struct engine_vcpu vcpu = {&engine, 0};
	uint64_t x[8] = {x0, x1};
	smccc_call(smccc, &vcpu, x);
	return (int64_t)x[0];
}

static void calls_go_to_their_owner(void **state)
{
	struct smccc smccc;
	smccc_init(&smccc, &(struct psci){.vcpus = 1, .version = 0x10000}, true);
	assert_int_equal(firmware_call(&smccc, 0x84000000, 0), 0x10000); /* as configured */
	assert_int_equal(firmware_call(&smccc, 0x80000000, 0), 0x10001);
	assert_int_equal(firmware_call(&smccc, 0xc1000002, 5), 0);
	assert_int_equal(firmware_call(&smccc, 0xc1000006, 5), 0);
	assert_int_equal(firmware_call(&smccc, 0xc1000000, 0), -1); /* needs the diversifier */
	assert_int_equal(firmware_call(&smccc, 0xc1000004, 5), -1);
	assert_int_equal(firmware_call(&smccc, 0xc1000007, 5), -1);
	assert_int_equal(firmware_call(&smccc, 0xc3000003, 0), -1);
	assert_int_equal(firmware_call(&smccc, 0x8600ff01, 0), -1);
	assert_int_equal(firmware_call(&smccc, 0x04000000, 0), -1); /* yielding call */
	smccc.keys = false;
	assert_int_equal(firmware_call(&smccc, 0xc1000002, 5), -1);
	smccc_finish(&smccc);
}

static void calls_are_counted_by_id(void **state)
{
	struct smccc smccc;
	struct smccc_count counts[SMCCC_COUNTED];
	uint64_t others;
	smccc_init(&smccc, &(struct psci){.vcpus = 1, .version = 0x10001}, false);
	for (unsigned n = 0; n < 3 * SMCCC_COUNTED; n++) {
		firmware_call(&smccc, 0x86001000 + n / 2, 0);
	}
	assert_int_equal(smccc_counts(&smccc, counts, &others), SMCCC_COUNTED);
	assert_int_equal(counts[5].function, 0x86001005);
	assert_int_equal(counts[5].calls, 2);
	assert_int_equal(others, SMCCC_COUNTED);
	smccc_finish(&smccc);
}

/* ----- device tree ----- */

static void devicetree_holds_what_linux_needs(void **state)
{
	static uint8_t tree[0x10000];
	struct error err;
	struct devicetree_config config = {
		.vcpus = 18,
		.ram_bytes = 5ull << 30,
		.bootargs = "console=ttyAMA0",
		.initrd_start = 0x48000000,
		.initrd_end = 0x48001000,
		.pci = true,
	};
	int len = devicetree_build(&config, tree, sizeof(tree), &err);
	assert_true(len > 0);
	assert_int_equal(fdt_check_full(tree, (size_t)len), 0);
	int node = fdt_path_offset(tree, "/cpus/cpu@101");
	assert_true(node > 0);
	int chosen = fdt_path_offset(tree, "/chosen");
	assert_string_equal(fdt_getprop(tree, chosen, "bootargs", NULL), "console=ttyAMA0");
	assert_int_equal(fdt64_ld(fdt_getprop(tree, chosen, "linux,initrd-end", NULL)), 0x48001000);
	int v2m = fdt_node_offset_by_compatible(tree, -1, "arm,gic-v2m-frame");
	int pci = fdt_path_offset(tree, "/pcie@4010000000");
	assert_int_equal(fdt32_ld(fdt_getprop(tree, pci, "msi-parent", NULL)), fdt_get_phandle(tree, v2m));
	assert_int_equal(devicetree_build(&config, tree, 1000, &err), -ENOSPC);
	assert_non_null(strstr(err.text, "does not fit"));
}

static void devicetree_keeps_holes_from_the_guest(void **state)
{
	static uint8_t tree[0x10000];
	const struct gmem_hole holes[] = {{0xfee00000, 0x100000}, {0x140000000, 0x20000}};
	struct devicetree_config config = {.vcpus = 1, .ram_bytes = 5ull << 30};
	assert_true(devicetree_build(&config, tree, sizeof(tree), NULL) > 0);
	assert_true(fdt_path_offset(tree, "/reserved-memory") < 0);
	config.holes = holes;
	config.hole_count = 2;
	assert_true(devicetree_build(&config, tree, sizeof(tree), NULL) > 0);
	int node = fdt_path_offset(tree, "/reserved-memory/iommu@fee00000");
	assert_true(node > 0);
	assert_non_null(fdt_getprop(tree, node, "no-map", NULL));
	const fdt64_t *reg = fdt_getprop(tree, node, "reg", NULL);
	assert_true(fdt64_ld(reg) == 0xfee00000 && fdt64_ld(reg + 1) == 0x100000);
	assert_true(fdt_path_offset(tree, "/reserved-memory/iommu@140000000") > 0);
}

static void devicetree_passes_dtc(void **state)
{
	static uint8_t tree[0x10000];
	const struct gmem_hole hole = {0x50000000, 0x10000};
	struct devicetree_config config = {
		.vcpus = 2, .ram_bytes = 1 << 30, .pci = true, .holes = &hole, .hole_count = 1};
	int len = devicetree_build(&config, tree, sizeof(tree), NULL);
	char path[] = "/tmp/oriel-test-XXXXXX";
	AUTO_FD int fd = mkstemp(path);
	assert_int_equal(write(fd, tree, (size_t)len), len);
	char command[200], line[400] = "";
	snprintf(command, sizeof(command), "dtc -q -I dtb -O dtb -o /dev/null %s 2>&1 || echo failed $?", path);
	FILE *dtc = popen(command, "r");
	bool any = fgets(line, sizeof(line), dtc) != NULL;
	pclose(dtc);
	unlink(path);
	if (strstr(line, "not found")) {
		skip();
	}
	if (any) {
		fail_msg("%s", line);
	}
}

/* ----- kernels ----- */

static void store(uint8_t *at, uint64_t value, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++) {
		at[i] = (uint8_t)(value >> (8 * i));
	}
}

enum { IMAGE_LEN = 200000 };

/* An Image with a PE section that ends at the end of the file. */
static uint8_t *make_image(void)
{
	uint8_t *image = calloc(1, IMAGE_LEN);
	memcpy(image, "MZ", 2);
	store(image + 0x10, 300000, 8);
	store(image + 0x18, 0xa, 8);
	memcpy(image + 0x38, "ARM\x64", 4);
	store(image + 0x3c, 0x40, 4);
	memcpy(image + 0x40, "PE\0\0", 4);
	store(image + 0x44, 0xaa64, 2);
	store(image + 0x46, 1, 2);
	store(image + 0x54, 0, 2);
	store(image + 0x58 + 16, 100000, 4);
	store(image + 0x58 + 20, 100000, 4);
	for (unsigned i = 4096; i < IMAGE_LEN; i++) {
		image[i] = (uint8_t)(i * 7 ^ i >> 8);
	}
	return image;
}

static uint8_t *gzip(const uint8_t *in, size_t len, size_t *out_len)
{
	uint8_t *out = malloc(len + 1000);
	z_stream s = {.next_in = (Bytef *)in, .avail_in = (uInt)len, .next_out = out, .avail_out = (uInt)len + 1000};
	assert_int_equal(deflateInit2(&s, 1, Z_DEFLATED, 31, 8, 0), Z_OK);
	assert_int_equal(deflate(&s, Z_FINISH), Z_STREAM_END);
	*out_len = s.total_out;
	deflateEnd(&s);
	return out;
}

static void expect_image(uint8_t *bytes, size_t len)
{
	struct kernel kernel;
	struct error err = {0};
	AUTO_FREE uint8_t *image = make_image();
	if (kernel_parse(&kernel, "K", bytes, len, 1 << 20, &err) < 0) {
		fail_msg("%s", err.text);
	}
	assert_int_equal(kernel.len, IMAGE_LEN);
	assert_memory_equal(kernel.bytes, image, IMAGE_LEN);
	assert_int_equal(kernel.text_offset, 0);
	assert_int_equal(kernel.memory_len, 300000);
	kernel_free(&kernel);
}

static void kernel_plain_gzip_and_zstd(void **state)
{
	AUTO_FREE uint8_t *image = make_image();
	size_t len;
	expect_image(make_image(), IMAGE_LEN);
	uint8_t *packed = gzip(image, IMAGE_LEN, &len);
	expect_image(packed, len);
	packed = malloc(ZSTD_compressBound(IMAGE_LEN));
	len = ZSTD_compress(packed, ZSTD_compressBound(IMAGE_LEN), image, IMAGE_LEN, 3);
	expect_image(packed, len);
}

/* An EFI zboot file around @payload. */
static uint8_t *make_zboot(const char *type, const uint8_t *payload, size_t len)
{
	uint8_t *file = calloc(1, 4096 + len + 4);
	memcpy(file, "MZ\0\0zimg", 8);
	store(file + 8, 4096, 4);
	store(file + 12, len, 4);
	strcpy((char *)file + 0x18, type);
	memcpy(file + 0x38, "\xcd\x23\x82\x81", 4);
	memcpy(file + 4096, payload, len);
	return file;
}

static void kernel_in_efi_zboot(void **state)
{
	AUTO_FREE uint8_t *image = make_image();
	size_t len;
	AUTO_FREE uint8_t *packed = gzip(image, IMAGE_LEN, &len);
	expect_image(make_zboot("gzip", packed, len), 4096 + len + 4);
	AUTO_FREE uint8_t *zstd = malloc(ZSTD_compressBound(IMAGE_LEN));
	len = ZSTD_compress(zstd, ZSTD_compressBound(IMAGE_LEN), image, IMAGE_LEN, 3);
	expect_image(make_zboot("zstd22", zstd, len), 4096 + len + 4);
}

/* @bytes (from malloc) must be refused with a line that has @text. */
static void expect_refusal(uint8_t *bytes, size_t len, int rc, const char *text)
{
	struct kernel kernel;
	struct error err = {0};
	assert_int_equal(kernel_parse(&kernel, "K", bytes, len, 1 << 20, &err), rc);
	if (!strstr(err.text, text)) {
		fail_msg("'%s' has no '%s'", err.text, text);
	}
	assert_null(strchr(err.text, '\n'));
	assert_null(kernel.bytes);
}

static uint8_t *copy_of(const void *bytes, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);
	memcpy(copy, bytes, len);
	return copy;
}

static void kernel_of_another_kind_is_named(void **state)
{
	static uint8_t file[1024];
	expect_refusal(copy_of("", 0), 0, -ENOEXEC, "empty file");
	expect_refusal(copy_of("hello", 5), 5, -ENOEXEC, "too short");
	memcpy(file + 0x202, "HdrS", 4);
	memcpy(file, "MZ", 2);
	expect_refusal(copy_of(file, 1024), 1024, -ENOEXEC, "bzImage");
	memset(file, 0, sizeof(file));
	expect_refusal(copy_of(file, 1024), 1024, -ENOEXEC, "a kind we do not know");
	memcpy(file, "\x7f" "ELF", 4);
	store(file + 18, 62, 2);
	expect_refusal(copy_of(file, 1024), 1024, -ENOEXEC, "ELF file for x86-64");
	store(file + 18, 183, 2);
	expect_refusal(copy_of(file, 1024), 1024, -ENOEXEC, "vmlinux");
	memset(file, 0, sizeof(file));
	memcpy(file + 0x30, "RISCV\0\0\0RSC\x05", 12);
	expect_refusal(copy_of(file, 1024), 1024, -ENOEXEC, "RISC-V");
	memset(file, 0, sizeof(file));
	memcpy(file + 0x24, "\x18\x28\x6f\x01", 4);
	expect_refusal(copy_of(file, 1024), 1024, -ENOEXEC, "32-bit Arm");
	memset(file, 0, sizeof(file));
	memcpy(file, "MZ", 2);
	store(file + 0x3c, 0x80, 4);
	memcpy(file + 0x80, "PE\0\0\x64\x86", 6);
	expect_refusal(copy_of(file, 1024), 1024, -ENOEXEC, "EFI program for x86-64");
	store(file + 0x3c, 0xfffffff0, 4);
	expect_refusal(copy_of(file, 1024), 1024, -ENOEXEC, "DOS or EFI");
	size_t len;
	uint8_t *packed = gzip(file, 1024, &len);
	expect_refusal(packed, len, -ENOEXEC, "contains, compressed");
}

static void kernel_damaged_or_cut_is_refused(void **state)
{
	expect_refusal(make_image(), IMAGE_LEN - 1, -EBADMSG, "cut short");
	expect_refusal(make_image(), 70, -EBADMSG, "cut short");
	uint8_t *image = make_image();
	store(image + 0x18, 0xb, 8);
	expect_refusal(image, IMAGE_LEN, -ENOTSUP, "big-endian");
	image = make_image();
	store(image + 8, 1ull << 40, 8);
	expect_refusal(image, IMAGE_LEN, -EBADMSG, "damaged header");
	AUTO_FREE uint8_t *good = make_image();
	size_t len;
	AUTO_FREE uint8_t *packed = gzip(good, IMAGE_LEN, &len);
	expect_refusal(copy_of(packed, len / 2), len / 2, -EBADMSG, "damaged or cut short");
	AUTO_FREE uint8_t *zboot = make_zboot("gzip", packed, len);
	expect_refusal(copy_of(zboot, 4096 + len / 2), 4096 + len / 2, -EBADMSG, "cut short");
	expect_refusal(make_zboot("lzma", packed, len), 4096 + len, -ENOTSUP, "lzma");
	expect_refusal(make_zboot("\x1b[31m", packed, len), 4096 + len, -ENOTSUP, "?[31m");
}

static void kernel_bomb_is_bounded(void **state)
{
	size_t len, size = 64 << 20;
	AUTO_FREE uint8_t *zeros = calloc(1, size);
	uint8_t *bomb = gzip(zeros, size, &len);
	expect_refusal(bomb, len, -EFBIG, "more than 1 MiB");
	bomb = malloc(ZSTD_compressBound(size));
	len = ZSTD_compress(bomb, ZSTD_compressBound(size), zeros, size, 1);
	expect_refusal(bomb, len, -EFBIG, "more than 1 MiB");
}

static void kernel_file_errors_name_the_file(void **state)
{
	struct kernel kernel;
	struct error err = {0};
	assert_int_equal(kernel_load(&kernel, "/nonexistent/Image", 1 << 20, &err), -ENOENT);
	assert_string_equal(err.text, "kernel /nonexistent/Image: No such file or directory");
	assert_int_equal(kernel_load(&kernel, "/dev", 1 << 20, &err), -EINVAL);
	assert_int_equal(kernel_load(&kernel, "/dev/zero", 1 << 20, &err), -EINVAL);
}

/* ----- placement ----- */

#define MIB (UINT64_C(1) << 20)

static void loader_finds_places_or_says_what_is_missing(void **state)
{
	struct kernel kernel = {.len = 10 * MIB, .memory_len = 37 * MIB};
	struct loader_plan plan;
	struct error err = {0};
	assert_int_equal(loader_plan(&plan, &kernel, 8 * MIB, 1024 * MIB, &err), 0);
	assert_int_equal(plan.fdt, 0x40000000);
	assert_int_equal(plan.entry, 0x40200000);
	assert_int_equal(plan.initrd, 0x48000000);
	assert_int_equal(loader_plan(&plan, &kernel, 8 * MIB, 64 * MIB, &err), 0);
	assert_int_equal(plan.initrd, 0x40000000 + 40 * MIB); /* small guest: right behind the kernel */
	assert_int_equal(loader_plan(&plan, &kernel, 0, 64 * MIB, &err), 0);
	assert_int_equal(plan.initrd, 0);
	assert_int_equal(loader_plan(&plan, &kernel, 0, 32 * MIB, &err), -ENOSPC);
	assert_non_null(strstr(err.text, "needs 39 MiB, but the guest has 32 MiB"));
	assert_int_equal(loader_plan(&plan, &kernel, 30 * MIB, 64 * MIB, &err), -ENOSPC);
	assert_non_null(strstr(err.text, "kernel and initrd"));
	assert_int_equal(loader_plan(&plan, &kernel, UINT64_MAX, 64 * MIB, &err), -ENOSPC);
	kernel.text_offset = 0x80000;
	kernel.memory_len = 300 * MIB;
	assert_int_equal(loader_plan(&plan, &kernel, 8 * MIB, 1024 * MIB, &err), 0);
	assert_int_equal(plan.entry, 0x40280000);
	assert_int_equal(plan.initrd, 0x40000000 + 304 * MIB);
}

static void loader_places_all_three(void **state)
{
	struct kernel kernel;
	struct loader_plan plan;
	struct error err = {0};
	struct devicetree_config tree = {.vcpus = 1, .ram_bytes = 64 * MIB};
	char path[] = "/tmp/oriel-test-XXXXXX";
	AUTO_FD int fd = mkstemp(path);
	assert_int_equal(write(fd, "initrd bytes", 12), 12);
	assert_int_equal(kernel_parse(&kernel, "K", make_image(), IMAGE_LEN, MIB, &err), 0);
	struct gmem *gmem = gmem_create();
	assert_int_equal(gmem_add_ram(gmem, BOARD_RAM_BASE, 64 * MIB, &err), 0);
	uint64_t len;
	assert_int_equal(loader_check_initrd(path, &len, &err), 0);
	assert_int_equal(loader_plan(&plan, &kernel, len, 64 * MIB, &err), 0);
	assert_int_equal(loader_place(&plan, gmem, &kernel, path, &tree, &err), 0);
	uint8_t bytes[64];
	assert_int_equal(gmem_read(gmem, plan.entry, bytes, 64), 0);
	assert_memory_equal(bytes, kernel.bytes, 64);
	assert_int_equal(gmem_read(gmem, plan.initrd, bytes, 12), 0);
	assert_memory_equal(bytes, "initrd bytes", 12);
	assert_int_equal(gmem_read(gmem, plan.fdt, bytes, 4), 0);
	assert_memory_equal(bytes, "\xd0\x0d\xfe\xed", 4);
	assert_int_equal(ftruncate(fd, 3), 0);
	assert_int_equal(loader_place(&plan, gmem, &kernel, path, &tree, &err), -EBUSY);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(loader_check_initrd(path, &len, &err), -EINVAL);
	unlink(path);
	assert_int_equal(loader_check_initrd(path, &len, &err), -ENOENT);
	gmem_destroy(gmem);
	kernel_free(&kernel);
}

/* ----- the board as a whole ----- */

static void ignore_line(void *opaque, unsigned vcpu, enum engine_line line, bool level)
{
}

static size_t swallow(void *opaque, const uint8_t *bytes, size_t len)
{
	return len;
}

static void no_room(void *opaque)
{
}

static void board_puts_devices_where_the_map_says(void **state)
{
	static const struct gicv3_cpu_ops cpu_ops = {ignore_line};
	static const struct pl011_backend serial = {swallow, no_room};
	struct board board;
	struct board_config config = {
		.vcpus = 2,
		.bus = bus_create(),
		.loop = loop_create(NULL),
		.cpu_ops = &cpu_ops,
		.serial = &serial,
	};
	uint64_t value;
	assert_int_equal(board_init(&board, &config, NULL), 0);
	assert_true(bus_read(config.bus, 0x0800ffe8, 4, &value));
	assert_int_equal(value, 0x3b);
	assert_true(bus_read(config.bus, 0x08020008, 4, &value));
	assert_int_equal(value, 96u << 16 | 192);
	assert_true(bus_read(config.bus, 0x080c0008, 4, &value));
	assert_int_equal(value, 1 << 8 | 1 << 4);
	assert_false(bus_read(config.bus, 0x080e0008, 4, &value));
	assert_true(bus_read(config.bus, 0x09000018, 4, &value));
	assert_int_equal(value, 0x90);
	assert_true(bus_read(config.bus, 0x3eff0000, 2, &value));
	assert_int_equal(value, 0xffff);
	board_press_power_key(&board);
	bus_read(config.bus, 0x09030020, 4, &value);
	assert_int_equal(value, 8);
	board_reset(&board);
	board_finish(&board);
	assert_false(bus_read(config.bus, 0x09000018, 4, &value));
	board_finish(&board);
	loop_destroy(config.loop);
	bus_destroy(config.bus);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(psci_answers_what_linux_asks),
		cmocka_unit_test(calls_go_to_their_owner),
		cmocka_unit_test(calls_are_counted_by_id),
		cmocka_unit_test(devicetree_holds_what_linux_needs),
		cmocka_unit_test(devicetree_keeps_holes_from_the_guest),
		cmocka_unit_test(devicetree_passes_dtc),
		cmocka_unit_test(kernel_plain_gzip_and_zstd),
		cmocka_unit_test(kernel_in_efi_zboot),
		cmocka_unit_test(kernel_of_another_kind_is_named),
		cmocka_unit_test(kernel_damaged_or_cut_is_refused),
		cmocka_unit_test(kernel_bomb_is_bounded),
		cmocka_unit_test(kernel_file_errors_name_the_file),
		cmocka_unit_test(loader_finds_places_or_says_what_is_missing),
		cmocka_unit_test(loader_places_all_three),
		cmocka_unit_test(board_puts_devices_where_the_map_says),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
