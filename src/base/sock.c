/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sock.c - messages with descriptors over UNIX sockets
 * Threads: any.
 */
#include "base/sock.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union sock_control {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(sizeof(int) * SOCK_MAX_FDS)];
};

ssize_t sock_send(int socket, const void *data, size_t len, const int *fds, size_t fd_count)
{
	assert(fd_count <= SOCK_MAX_FDS);
	struct iovec iov = {.iov_base = (void *)data, .iov_len = len};
	union sock_control control = {0};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
	if (fd_count) {
		message.msg_control = control.bytes;
		message.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
		struct cmsghdr *header = CMSG_FIRSTHDR(&message);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
		memcpy(CMSG_DATA(header), fds, sizeof(int) * fd_count);
	}
	ssize_t sent;
	do {
		sent = sendmsg(socket, &message, MSG_NOSIGNAL);
	} while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : sent;
}

/* Collects the received descriptors; what does not fit in @room is closed and reported. */
static int sock_collect(struct msghdr *message, int *fds, size_t room, size_t *count)
{
	int status = 0;
	*count = 0;
	for (struct cmsghdr *h = CMSG_FIRSTHDR(message); h; h = CMSG_NXTHDR(message, h)) {
		if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS) {
			continue;
		}
		size_t number = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < number; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(h) + i * sizeof(int), sizeof(int));
			if (*count < room) {
				fds[(*count)++] = fd;
			} else {
				close(fd);
				status = -EMSGSIZE;
			}
		}
	}
	return status;
}

ssize_t sock_recv(int socket, void *data, size_t len, int *fds, size_t *fd_count)
{
	struct iovec iov = {.iov_base = data, .iov_len = len};
	union sock_control control;
	struct msghdr message = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	size_t room = fd_count ? *fd_count : 0;
	size_t count = 0;
	ssize_t got;
	do {
		got = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
	} while (got < 0 && errno == EINTR);
	if (got < 0) {
		return -errno;
	}
	int status = sock_collect(&message, fds, room, &count);
	if (status || (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC))) {
		while (count) {
			close(fds[--count]);
		}
		got = -EMSGSIZE;
	}
	if (fd_count) {
		*fd_count = count;
	}
	return got;
}
