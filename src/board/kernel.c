/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel.c - recognise, decompress and check arm64 Linux kernels
 *
 * How it works: a file is looked at once; if it is compressed, what comes out is looked at once more, and must be a plain Image.
 * Threads: values.
 */
#include "board/kernel.h"

#include "base/own.h"
#include "board/unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

enum {
	IMAGE_HEADER_BYTES = 64,
	IMAGE_FLAG_BIG_ENDIAN = 1,
	IMAGE_OLD_TEXT_OFFSET = 0x80000, /* where image_size is 0 */
	ZBOOT_HEADER_BYTES = 64,
	PE_MACHINE_ARM64 = 0xaa64,
};

#define KERNEL_FILE_MAX ((off_t)1 << 30)
#define IMAGE_TEXT_MAX	(UINT64_C(2) << 20)

static uint64_t load_le(const uint8_t *at, unsigned bytes)
{
	uint64_t value = 0;
	for (unsigned i = 0; i < bytes; i++) {
		value |= (uint64_t)at[i] << (8 * i);
	}
	return value;
}

struct kernel_view {
	const uint8_t *bytes;
	size_t len;
};

static bool view_has(struct kernel_view v, size_t offset, const char *magic, size_t magic_len)
{
	return offset <= v.len && magic_len <= v.len - offset &&
	       memcmp(v.bytes + offset, magic, magic_len) == 0;
}

static bool view_is_image(struct kernel_view v)
{
	return v.len >= IMAGE_HEADER_BYTES && view_has(v, 0x38, "ARM\x64", 4);
}

static bool view_is_zboot(struct kernel_view v)
{
	return v.len >= ZBOOT_HEADER_BYTES && view_has(v, 0, "MZ", 2) && view_has(v, 4, "zimg", 4);
}

static const char *elf_machine_name(struct kernel_view v)
{
	uint64_t machine = v.len >= 20 ? load_le(v.bytes + 18, 2) : 0;
	switch (machine) {
	case 3:
		return "an ELF file for 32-bit x86";
	case 40:
		return "an ELF file for 32-bit Arm";
	case 62:
		return "an ELF file for x86-64";
	case 183:
		return "an ELF file for arm64 (a vmlinux? use arch/arm64/boot/Image)";
	case 243:
		return "an ELF file for RISC-V";
	default:
		return "an ELF file";
	}
}

static const char *pe_machine_name(struct kernel_view v)
{
	uint64_t pe = v.len >= 0x40 ? load_le(v.bytes + 0x3c, 4) : 0;
	if (!pe || pe + 6 > v.len || memcmp(v.bytes + pe, "PE\0\0", 4) != 0) {
		return "a DOS or EFI program";
	}
	switch (load_le(v.bytes + pe + 4, 2)) {
	case 0x8664:
		return "an EFI program for x86-64";
	case PE_MACHINE_ARM64:
		return "an EFI program for arm64, but no kernel Image";
	default:
		return "an EFI program for another architecture";
	}
}

/* What a file is that is no arm64 kernel; most telling first. */
static const char *kernel_describe(struct kernel_view v)
{
	static const struct {
		size_t offset, len;
		const char *magic, *what;
	} known[] = {
		{0x202, 4, "HdrS", "an x86 kernel (bzImage)"},
		{0x30, 5, "RISCV", "a RISC-V kernel Image"},
		{0x38, 4, "RSC\x05", "a RISC-V kernel Image"},
		{0x38, 4, "\xcd\x23\x82\x81", "a LoongArch kernel Image"},
		{0x24, 4, "\x18\x28\x6f\x01", "a 32-bit Arm kernel (zImage)"},
		{0, 4, "\x27\x05\x19\x56", "a U-Boot image (uImage)"},
		{0, 4, "\xd0\x0d\xfe\xed", "a device tree or FIT image"},
		{0, 6, "\xfd"
		       "7zXZ\0", "an xz file (decompress it first)"},
		{0, 3, "BZh", "a bzip2 file (decompress it first)"},
		{0, 4, "\x02\x21\x4c\x18", "an lz4 file (decompress it first)"},
		{0, 5, "\x5d\0\0\0\0", "an lzma file (decompress it first)"},
		{0, 8, "!<arch>\n", "a Debian package or archive"},
		{0, 6, "070701", "a cpio archive (an initrd?)"},
	};
	if (v.len == 0) {
		return "an empty file";
	}
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (view_has(v, known[i].offset, known[i].magic, known[i].len)) {
			return known[i].what;
		}
	}
	if (view_has(v, 0, "\x7f"
			   "ELF", 4)) {
		return elf_machine_name(v);
	}
	if (view_has(v, 0, "MZ", 2)) {
		return pe_machine_name(v);
	}
	return v.len < IMAGE_HEADER_BYTES ? "too short for a kernel" : "of a kind we do not know";
}

/* An Image with an EFI stub says in its PE sections how long the file is.  True if bytes are missing. */
static bool image_is_cut(struct kernel_view v)
{
	uint64_t pe = load_le(v.bytes + 0x3c, 4);
	if (!view_has(v, 0, "MZ", 2) || !pe) {
		return false; /* no PE header: nothing to check against */
	}
	if (pe + 24 > v.len) {
		return true;
	}
	uint64_t sections = load_le(v.bytes + pe + 6, 2);
	uint64_t table = pe + 24 + load_le(v.bytes + pe + 20, 2);
	if (memcmp(v.bytes + pe, "PE\0\0", 4) != 0) {
		return false;
	}
	for (uint64_t i = 0; i < sections; i++) {
		uint64_t at = table + i * 40;
		if (at + 40 > v.len ||
		    load_le(v.bytes + at + 20, 4) + load_le(v.bytes + at + 16, 4) > v.len) {
			return true;
		}
	}
	return false;
}

static int kernel_check_image(struct kernel *kernel, const char *name, struct error *err)
{
	struct kernel_view v = {kernel->bytes, kernel->len};
	uint64_t image_size = load_le(v.bytes + 0x10, 8);
	kernel->text_offset = image_size ? load_le(v.bytes + 0x08, 8) : IMAGE_OLD_TEXT_OFFSET;
	kernel->memory_len = image_size > v.len ? image_size : v.len;
	if (image_size && load_le(v.bytes + 0x18, 8) & IMAGE_FLAG_BIG_ENDIAN) {
		return error_set(err, -ENOTSUP, "kernel %s: is big-endian; only little-endian ones run", name);
	}
	if (kernel->text_offset >= IMAGE_TEXT_MAX || image_size > (UINT64_C(1) << 40)) {
		return error_set(err, -EBADMSG, "kernel %s: has a damaged header", name);
	}
	if (image_is_cut(v)) {
		return error_set(err, -EBADMSG, "kernel %s: the file is cut short (%zu bytes)", name, v.len);
	}
	return 0;
}

/* Where the compressed Image lies in the file, and how it is compressed. */
struct kernel_payload {
	size_t offset, len;
	enum unpack_format format;
};

static int zboot_payload(struct kernel_view v, const char *name, struct kernel_payload *payload,
			 struct error *err)
{
	uint64_t offset = load_le(v.bytes + 8, 4), len = load_le(v.bytes + 12, 4);
	char type[33] = "";
	memcpy(type, v.bytes + 0x18, 32);
	if (offset > v.len || len > v.len - offset) {
		return error_set(err, -EBADMSG, "kernel %s: the file is cut short (%zu bytes)", name, v.len);
	}
	*payload = (struct kernel_payload){.offset = offset, .len = len};
	if (strncmp(type, "gzip", 4) == 0) {
		payload->format = UNPACK_GZIP;
		return 0;
	}
	if (strncmp(type, "zstd", 4) == 0) {
		payload->format = UNPACK_ZSTD;
		return 0;
	}
	for (char *c = type; *c; c++) {
		*c = *c < ' ' || *c > '~' ? '?' : *c;
	}
	return error_set(err, -ENOTSUP, "kernel %s: EFI zboot with %s compression; only gzip and zstd are known",
			 name, *type ? type : "no");
}

/* 1 if the file is compressed (*payload says how), 0 if not, negative on error. */
static int kernel_find_payload(struct kernel_view v, const char *name, struct kernel_payload *payload,
			       struct error *err)
{
	*payload = (struct kernel_payload){.len = v.len};
	if (view_has(v, 0, "\x1f\x8b", 2)) {
		payload->format = UNPACK_GZIP;
		return 1;
	}
	if (view_has(v, 0, "\x28\xb5\x2f\xfd", 4)) {
		payload->format = UNPACK_ZSTD;
		return 1;
	}
	if (!view_is_zboot(v)) {
		return 0;
	}
	int rc = zboot_payload(v, name, payload, err);
	return rc < 0 ? rc : 1;
}

int kernel_parse(struct kernel *kernel, const char *name, uint8_t *bytes, size_t len, size_t limit,
		 struct error *err)
{
	struct kernel_view v = {bytes, len};
	struct kernel_payload payload;
	*kernel = (struct kernel){.bytes = bytes, .len = len};
	int rc = view_is_image(v) ? 0 : kernel_find_payload(v, name, &payload, err);
	if (rc > 0) {
		rc = unpack(payload.format, bytes + payload.offset, payload.len, limit, &kernel->bytes,
			    &kernel->len, err);
		if (rc < 0) {
			error_context(err, "kernel %s", name);
		} else {
			free(bytes);
		}
	}
	v = (struct kernel_view){kernel->bytes, kernel->len};
	if (rc == 0 && !view_is_image(v)) {
		rc = error_set(err, -ENOEXEC, "kernel %s: is no arm64 Linux kernel but %s%s", name,
			       kernel->bytes == bytes ? "" : "contains, compressed, ", kernel_describe(v));
	}
	if (rc == 0) {
		rc = kernel_check_image(kernel, name, err);
	}
	if (rc == 0 && kernel->len > limit) {
		rc = error_set(err, -EFBIG, "kernel %s: %zu MiB are too many for the guest's memory", name,
			       kernel->len >> 20);
	}
	if (rc < 0) {
		kernel_free(kernel);
	}
	return rc;
}

static int read_all(int fd, uint8_t *bytes, size_t len)
{
	size_t done = 0;
	while (done < len) {
		ssize_t got = read(fd, bytes + done, len - done);
		if (got <= 0) {
			errno = got < 0 ? errno : EIO;
			return -errno;
		}
		done += (size_t)got;
	}
	return 0;
}

int kernel_load(struct kernel *kernel, const char *path, size_t limit, struct error *err)
{
	*kernel = (struct kernel){0};
	AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat status;
	if (fd < 0 || fstat(fd, &status) < 0) {
		return error_errno(err, "kernel %s", path);
	}
	if (!S_ISREG(status.st_mode)) {
		return error_set(err, -EINVAL, "kernel %s: is not a regular file", path);
	}
	if (status.st_size > KERNEL_FILE_MAX) {
		return error_set(err, -EFBIG, "kernel %s: too large for a kernel (%lld bytes)", path,
				 (long long)status.st_size);
	}
	size_t len = (size_t)status.st_size;
	uint8_t *bytes = malloc(len ? len : 1);
	if (!bytes) {
		return error_set(err, -ENOMEM, "kernel %s: out of memory", path);
	}
	if (read_all(fd, bytes, len) < 0) {
		free(bytes);
		return error_errno(err, "kernel %s", path);
	}
	return kernel_parse(kernel, path, bytes, len, limit, err);
}

void kernel_free(struct kernel *kernel)
{
	free(kernel->bytes);
	*kernel = (struct kernel){0};
}
