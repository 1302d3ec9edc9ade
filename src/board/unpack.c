/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unpack.c - gzip by zlib, zstd by libzstd, into a buffer that grows up to a limit
 *
 * How it works: both libraries are driven as streams; the buffer doubles when it is full, so a small file that claims to be huge costs
 * at most twice the limit.
 * Threads: values.
 */
#include "board/unpack.h"

#include "base/own.h"

#include <errno.h>
#include <stdbool.h>
#include <zlib.h>
#include <zstd.h>

enum { UNPACK_FIRST_BYTES = 4 << 20, UNPACK_ZSTD_WINDOW_LOG = 27 };

struct unpack_buffer {
	uint8_t *bytes;
	size_t used, size, limit;
};

/* Make room for at least one more byte.  One byte over the limit is allowed: it shows that there is more. */
static int buffer_grow(struct unpack_buffer *b)
{
	if (b->used < b->size) {
		return 0;
	}
	if (b->size > b->limit) {
		return -EFBIG;
	}
	size_t size = b->size ? b->size * 2 : UNPACK_FIRST_BYTES;
	size = size > b->limit ? b->limit + 1 : size;
	uint8_t *bytes = realloc(b->bytes, size);
	if (!bytes) {
		return -ENOMEM;
	}
	b->bytes = bytes;
	b->size = size;
	return 0;
}

static int unpack_gzip(struct unpack_buffer *b, const uint8_t *in, size_t in_len)
{
	z_stream stream = {.next_in = (Bytef *)in, .avail_in = (uInt)in_len};
	if (in_len > UINT32_MAX || inflateInit2(&stream, 15 + 16) != Z_OK) {
		return -ENOMEM;
	}
	int rc = 0;
	for (int status = Z_OK; rc == 0 && status != Z_STREAM_END;) {
		rc = buffer_grow(b);
		if (rc == 0) {
			size_t room = b->size - b->used;
			uInt step = room > UINT32_MAX ? UINT32_MAX : (uInt)room;
			stream.next_out = b->bytes + b->used;
			stream.avail_out = step;
			status = inflate(&stream, Z_NO_FLUSH);
			b->used += step - stream.avail_out;
			rc = status == Z_OK || status == Z_STREAM_END ? 0 : -EBADMSG;
		}
	}
	inflateEnd(&stream);
	return rc;
}

static int unpack_zstd(struct unpack_buffer *b, const uint8_t *in, size_t in_len)
{
	ZSTD_DCtx *context = ZSTD_createDCtx();
	if (!context) {
		return -ENOMEM;
	}
	ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, UNPACK_ZSTD_WINDOW_LOG);
	ZSTD_inBuffer input = {in, in_len, 0};
	int rc = 0;
	for (size_t more = 1; rc == 0 && more != 0;) {
		rc = buffer_grow(b);
		if (rc == 0) {
			ZSTD_outBuffer output = {b->bytes, b->size, b->used};
			size_t used_before = input.pos;
			more = ZSTD_decompressStream(context, &output, &input);
			bool stuck = output.pos == b->used && input.pos == used_before;
			b->used = output.pos;
			rc = ZSTD_isError(more) || (more && stuck) ? -EBADMSG : 0;
		}
	}
	ZSTD_freeDCtx(context);
	return rc;
}

int unpack(enum unpack_format format, const uint8_t *in, size_t in_len, size_t limit, uint8_t **out,
	   size_t *out_len, struct error *err)
{
	struct unpack_buffer b = {.limit = limit};
	int rc = format == UNPACK_GZIP ? unpack_gzip(&b, in, in_len) : unpack_zstd(&b, in, in_len);
	if (rc == 0 && b.used > limit) {
		rc = -EFBIG;
	}
	if (rc == 0) {
		*out = b.bytes;
		*out_len = b.used;
		return 0;
	}
	free(b.bytes);
	if (rc == -EFBIG) {
		return error_set(err, rc, "decompresses to more than %zu MiB", limit >> 20);
	}
	return error_set(err, rc, rc == -ENOMEM ? "out of memory while decompressing" :
						  "compressed data is damaged or cut short");
}
