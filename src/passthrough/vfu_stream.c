/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vfu_stream.c - vfio-user messages over a stream socket
 *
 * How it works: the header is received first and alone, so that descriptors of two messages never
 * mix; its size is checked before a byte of the body is waited for. Threads: see vfu_stream.h.
 */
#include "passthrough/vfu_stream.h"

#include "base/own.h"
#include "base/sock.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

static_assert((int)VFU_MAX_FDS <= (int)SOCK_MAX_FDS, "descriptors of a message");

void vfu_reader_init(struct vfu_reader *reader)
{
	*reader = (struct vfu_reader){.want = sizeof(struct vfu_header)};
}

static void reader_drop_fds(struct vfu_reader *reader)
{
	for (size_t i = 0; i < reader->message.fd_count; i++) {
		own_close(&reader->message.fds[i]);
	}
	reader->message.fd_count = 0;
}

void vfu_reader_finish(struct vfu_reader *reader)
{
	reader_drop_fds(reader);
	free(reader->body);
	reader->body = NULL;
}

int vfu_message_take_fd(struct vfu_message *message, size_t index)
{
	return index < message->fd_count ? fd_take(&message->fds[index]) : -1;
}

/* Receive up to reader->want; descriptors add up. */
static int reader_receive(struct vfu_reader *reader, int socket)
{
	struct vfu_message *message = &reader->message;
	size_t head = sizeof(message->header);
	uint8_t *to = reader->got < head ? (uint8_t *)&message->header + reader->got
					 : reader->body + (reader->got - head);
	size_t room = VFU_MAX_FDS - message->fd_count;
	ssize_t got = sock_recv(socket, to, reader->want - reader->got,
				message->fds + message->fd_count, &room);
	if (got <= 0) {
		return got == 0 ? -ENODATA : got == -EMSGSIZE ? -EPROTO : (int)got;
	}
	message->fd_count += room;
	reader->got += (size_t)got;
	return 0;
}

static int reader_open_body(struct vfu_reader *reader)
{
	size_t size = reader->message.header.size, head = sizeof(struct vfu_header);
	if (size < head || size - head > VFU_BODY_LIMIT) {
		return -EPROTO;
	}
	if (size - head > reader->room) {
		uint8_t *body = realloc(reader->body, size - head);
		if (!body) {
			return -ENOMEM;
		}
		reader->body = body;
		reader->room = size - head;
	}
	reader->want = size;
	return 0;
}

int vfu_reader_pull(struct vfu_reader *reader, int socket, struct vfu_message **message)
{
	size_t head = sizeof(struct vfu_header);
	if (reader->got == reader->want && reader->got >= head) { /* the last one was handed out */
		reader_drop_fds(reader);
		reader->got = 0;
		reader->want = head;
	}
	while (reader->got < reader->want) {
		int status = reader_receive(reader, socket);
		if (status < 0) {
			return status == -EAGAIN ? 0 : status;
		}
		if (reader->got == head && reader->want == head) {
			status = reader_open_body(reader);
			if (status < 0) {
				return status;
			}
		}
	}
	reader->message.body = reader->body;
	reader->message.len = reader->want - head;
	*message = &reader->message;
	return 1;
}

/* Skip @sent bytes of the first iovecs. */
static void iov_advance(struct msghdr *message, size_t sent)
{
	while (message->msg_iovlen && sent >= message->msg_iov->iov_len) {
		sent -= message->msg_iov->iov_len;
		message->msg_iov++;
		message->msg_iovlen--;
	}
	if (message->msg_iovlen) {
		message->msg_iov->iov_base = (uint8_t *)message->msg_iov->iov_base + sent;
		message->msg_iov->iov_len -= sent;
	}
}

static void put_fds(struct msghdr *message, void *control, const int *fds, size_t fd_count)
{
	message->msg_control = control;
	message->msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
	struct cmsghdr *header = CMSG_FIRSTHDR(message);
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
	memcpy(CMSG_DATA(header), fds, sizeof(int) * fd_count);
}

int vfu_send(int socket, struct vfu_header *header, const struct vfu_part *parts, size_t part_count,
	     const int *fds, size_t fd_count, unsigned timeout_ms)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int) * VFU_MAX_FDS)];
	} control = {0};
	struct iovec iov[1 + VFU_MAX_PARTS] = {{.iov_base = header, .iov_len = sizeof(*header)}};
	assert(part_count <= VFU_MAX_PARTS && fd_count <= VFU_MAX_FDS);
	size_t size = sizeof(*header);
	for (size_t i = 0; i < part_count; i++) {
		iov[1 + i] =
			(struct iovec){.iov_base = (void *)parts[i].data, .iov_len = parts[i].len};
		size += parts[i].len;
	}
	header->size = (uint32_t)size;
	struct msghdr message = {.msg_iov = iov, .msg_iovlen = 1 + part_count};
	if (fd_count) {
		put_fds(&message, control.bytes, fds, fd_count);
	}
	while (size) {
		ssize_t sent = sendmsg(socket, &message, MSG_NOSIGNAL);
		if (sent < 0 && errno == EINTR) {
			continue;
		}
		if (sent < 0 && errno == EAGAIN) {
			struct pollfd writable = {.fd = socket, .events = POLLOUT};
			if (poll(&writable, 1, (int)timeout_ms) == 0) {
				return -ETIMEDOUT;
			}
			continue;
		}
		if (sent < 0) {
			return -errno;
		}
		size -= (size_t)sent;
		iov_advance(&message, (size_t)sent);
		message.msg_control = NULL; /* descriptors went with the first bytes */
		message.msg_controllen = 0;
	}
	return 0;
}
