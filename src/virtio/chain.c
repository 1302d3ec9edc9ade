/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chain.c - copies between a chain's buffers and our memory, parts of iovec lists
 * Threads: the owner of the chain.
 */
#include "virtio/virtq.h"

#include <string.h>

/* Part of one iovec that the range [*offset, ...) covers; *offset becomes relative to the next one. */
static struct iovec chain_step(const struct iovec *iov, uint64_t *offset, uint64_t len)
{
	if (*offset >= iov->iov_len) {
		*offset -= iov->iov_len;
		return (struct iovec){0};
	}
	size_t left = iov->iov_len - *offset;
	struct iovec part = {(uint8_t *)iov->iov_base + *offset, left < len ? left : len};
	*offset = 0;
	return part;
}

size_t virtq_chain_read(const struct virtq_chain *chain, uint64_t offset, void *to, size_t len)
{
	size_t done = 0;
	for (unsigned i = 0; i < chain->readable_count && done < len; i++) {
		struct iovec part = chain_step(&chain->readable[i], &offset, len - done);
		if (part.iov_len) {
			memcpy((uint8_t *)to + done, part.iov_base, part.iov_len);
			done += part.iov_len;
		}
	}
	return done;
}

size_t virtq_chain_write(const struct virtq_chain *chain, uint64_t offset, const void *from, size_t len)
{
	size_t done = 0;
	for (unsigned i = 0; i < chain->writable_count && done < len; i++) {
		struct iovec part = chain_step(&chain->writable[i], &offset, len - done);
		if (part.iov_len) {
			memcpy(part.iov_base, (const uint8_t *)from + done, part.iov_len);
			done += part.iov_len;
		}
	}
	return done;
}

unsigned virtq_slice(const struct iovec *from, unsigned count, uint64_t offset, uint64_t len, struct iovec *to)
{
	unsigned made = 0;
	for (unsigned i = 0; i < count && len; i++) {
		struct iovec part = chain_step(&from[i], &offset, len);
		if (part.iov_len) {
			to[made++] = part;
			len -= part.iov_len;
		}
	}
	return len ? 0 : made;
}
