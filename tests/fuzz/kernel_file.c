/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel_file.c - fuzz target: any bytes as a kernel file
 *
 * Invariants checked: what is accepted is no larger than the limit; what is refused leaves a message and nothing else.
 * Threads: one.
 */
#include "board/kernel.h"

#include "fuzz.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kernel kernel;
	struct error err = {0};
	uint8_t *bytes = malloc(size ? size : 1);
	memcpy(bytes, data, size);
	if (kernel_parse(&kernel, "K", bytes, size, 4 << 20, &err) == 0) {
		assert(kernel.len <= 4 << 20 && kernel.memory_len >= kernel.len);
		kernel_free(&kernel);
	} else {
		assert(err.text[0] && !strchr(err.text, '\n') && !kernel.bytes);
	}
	return 0;
}
