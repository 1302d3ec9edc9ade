/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel.h - arm64 Linux kernels as files: plain Image, compressed, or EFI zboot
 *
 * Format: Linux Documentation/arch/arm64/booting.rst; EFI zboot: its header says where a compressed Image lies in the file.
 * Threads: values.
 */
#ifndef ORIEL_BOARD_KERNEL_H
#define ORIEL_BOARD_KERNEL_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

struct kernel {
	uint8_t *bytes; /* the Image, decompressed; owned */
	size_t len;
	uint64_t text_offset; /* from a 2 MiB boundary to its first byte */
	uint64_t memory_len;  /* bytes of memory it needs from there on, >= len */
};

/*
 * Read and check @path.  An Image of more than @limit bytes (decompressed) is refused.  On failure nothing is kept
 * and @err says what the file is, if it is something else that we know.
 */
int kernel_load(struct kernel *kernel, const char *path, size_t limit, struct error *err) MUST_CHECK;
/* The same from memory: takes @bytes (from malloc), also on failure.  @name is for messages. */
int kernel_parse(struct kernel *kernel, const char *name, uint8_t *bytes, size_t len, size_t limit,
		 struct error *err) MUST_CHECK;
/* Accepts a zeroed kernel. */
void kernel_free(struct kernel *kernel);

#endif
