/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unpack.h - decompress a whole buffer, never to more than a limit
 * Threads: values.
 */
#ifndef ORIEL_BOARD_UNPACK_H
#define ORIEL_BOARD_UNPACK_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

enum unpack_format { UNPACK_GZIP, UNPACK_ZSTD };

/*
 * Decompress @in into a new buffer *out of *out_len bytes, which the caller frees.  Bytes after the end of the stream are ignored.
 * -EFBIG if more than @limit bytes would come out, -EBADMSG if the data is damaged or cut short, -ENOMEM; *out is untouched then.
 */
int unpack(enum unpack_format format, const uint8_t *in, size_t in_len, size_t limit, uint8_t **out,
	   size_t *out_len, struct error *err) MUST_CHECK;

#endif
