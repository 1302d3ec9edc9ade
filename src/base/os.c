/* SPDX-License-Identifier: Apache-2.0 */
/*
 * os.c - the platform layer on Linux
 *
 * Threads: see os.h.
 */
#include "base/os.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <malloc.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

/* ----- bells ----- */

int os_bell(void)
{
	return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

void os_bell_ring(int bell)
{
	const uint64_t one = 1;
	(void)!write(bell, &one, sizeof(one)); /* fails only if it rings already, 2^64 - 1 times */
}

bool os_bell_clear(int bell)
{
	uint64_t rings;
	return read(bell, &rings, sizeof(rings)) == sizeof(rings);
}

/* ----- memory ----- */

static const struct {
	unsigned ours, theirs;
} seal_bits[] = {
	{OS_SEAL_SHRINK, F_SEAL_SHRINK}, {OS_SEAL_GROW, F_SEAL_GROW},
	{OS_SEAL_WRITE, F_SEAL_WRITE},	 {OS_SEAL_FUTURE_WRITE, F_SEAL_FUTURE_WRITE},
	{OS_SEAL_SEALS, F_SEAL_SEAL},
};

int os_memory(const char *name)
{
	return memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
}

bool os_discard_some(int fd, uint64_t *at, size_t len)
{
	off_t data = lseek(fd, (off_t)*at, SEEK_DATA);
	if (data < 0 ||
	    fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, data, (off_t)len) < 0) {
		return false;
	}
	*at = (uint64_t)data + len;
	return true;
}

int os_seal(int fd, unsigned seals)
{
	unsigned bits = 0;
	for (size_t n = 0; n < sizeof(seal_bits) / sizeof(seal_bits[0]); n++) {
		bits |= seals & seal_bits[n].ours ? seal_bits[n].theirs : 0;
	}
	return fcntl(fd, F_ADD_SEALS, bits);
}

int os_seals(int fd)
{
	int bits = fcntl(fd, F_GET_SEALS);
	unsigned seals = 0;
	for (size_t n = 0; bits >= 0 && n < sizeof(seal_bits) / sizeof(seal_bits[0]); n++) {
		seals |= (unsigned)bits & seal_bits[n].theirs ? seal_bits[n].ours : 0;
	}
	return bits < 0 ? -1 : (int)seals;
}

bool os_is_sealed(int fd, unsigned seals)
{
	int have = os_seals(fd);
	return have >= 0 && ((unsigned)have & seals) == seals;
}

bool os_file_has(int fd, uint64_t offset, uint64_t len)
{
	struct stat st;
	uint64_t end;
	return fstat(fd, &st) == 0 && !__builtin_add_overflow(offset, len, &end) &&
	       st.st_size >= 0 && end <= (uint64_t)st.st_size;
}

bool os_is_memory(int fd)
{
	struct statfs filesystem;
	return fstatfs(fd, &filesystem) == 0 && filesystem.f_type == TMPFS_MAGIC;
}

bool os_is_dma_buf(int fd)
{
	struct statfs filesystem;
	return fstatfs(fd, &filesystem) == 0 && filesystem.f_type == DMA_BUF_MAGIC;
}

/* A driver that has nothing to do says so by an error or success; the bytes are there in any case.
 */
static void os_dma_buf_sync(int fd, uint64_t flags)
{
	struct dma_buf_sync sync = {.flags = flags};
	while (ioctl(fd, DMA_BUF_IOCTL_SYNC, &sync) < 0 && (errno == EINTR || errno == EAGAIN)) {
	}
}

void os_dma_buf_begin_read(int fd)
{
	os_dma_buf_sync(fd, DMA_BUF_SYNC_START | DMA_BUF_SYNC_READ);
}

void os_dma_buf_end_read(int fd)
{
	os_dma_buf_sync(fd, DMA_BUF_SYNC_END | DMA_BUF_SYNC_READ);
}

void os_prefer_huge(void *at, size_t len)
{
	(void)madvise(at, len, MADV_HUGEPAGE);
}

void os_end_me_first(void)
{
	static const char most[] = "1000"; /* before all that have less */
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (fd >= 0) {
		ssize_t done = write(fd, most, sizeof(most) - 1);
		(void)done;
		close(fd);
	}
}

/* Source: proc_pid_statm(5): size, resident, shared, ..., in pages. */
uint64_t os_own_memory(void)
{
	char text[128] = {0};
	int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		return 0;
	}
	ssize_t got = read(fd, text, sizeof(text) - 1);
	close(fd);
	unsigned long long resident, shared;
	bool told = got > 0 && sscanf(text, "%*u %llu %llu", &resident, &shared) == 2;
	return told && resident > shared ? (resident - shared) * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

void os_trim_heap(void)
{
#ifdef __GLIBC__
	malloc_trim(0);
#endif
}

/* ----- sockets and pipes ----- */

int os_socket_of(int family, int type, bool nonblocking)
{
	return socket(family, type | SOCK_CLOEXEC | (nonblocking ? SOCK_NONBLOCK : 0), 0);
}

int os_socket(int type, bool nonblocking)
{
	return os_socket_of(AF_UNIX, type, nonblocking);
}

int os_accept(int listener, bool nonblocking)
{
	return accept4(listener, NULL, NULL, SOCK_CLOEXEC | (nonblocking ? SOCK_NONBLOCK : 0));
}

int os_socketpair(int type, int ends[2])
{
	return socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends);
}

int os_pipe(int ends[2])
{
	return pipe2(ends, O_CLOEXEC);
}

/* ----- threads and processes ----- */

void os_name_thread(pthread_t thread, const char *name)
{
	pthread_setname_np(thread, name);
}

unsigned os_cpus(void)
{
	cpu_set_t cpus;
	return sched_getaffinity(0, sizeof(cpus), &cpus) == 0 ? (unsigned)CPU_COUNT(&cpus) : 1;
}

void os_wake_precisely(void)
{
	prctl(PR_SET_TIMERSLACK, 1000ul, 0ul, 0ul, 0ul);
}

void os_set_nice(int nice)
{
	setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), nice);
}

void os_die_with_parent(int signal)
{
	prctl(PR_SET_PDEATHSIG, signal);
}

int os_signals(const sigset_t *set)
{
	return signalfd(-1, set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int os_take_signal(int fd)
{
	struct signalfd_siginfo info;
	return read(fd, &info, sizeof(info)) == sizeof(info) ? (int)info.ssi_signo : 0;
}

/* ----- disks ----- */

int os_device_bytes(int fd, uint64_t *bytes)
{
	return ioctl(fd, BLKGETSIZE64, bytes);
}

ssize_t os_pwritev(int fd, const struct iovec *iov, int count, off_t offset, bool durable)
{
	return pwritev2(fd, iov, count, offset, durable ? RWF_DSYNC : 0);
}

int os_zero(int fd, off_t offset, off_t len, bool keep_blocks)
{
	int mode = keep_blocks ? FALLOC_FL_ZERO_RANGE : FALLOC_FL_PUNCH_HOLE;
	return fallocate(fd, mode | FALLOC_FL_KEEP_SIZE, offset, len);
}

int os_sync_data(int fd)
{
	return fdatasync(fd);
}

/* ----- randomness ----- */

ssize_t os_random(void *to, size_t len, bool wait)
{
	return getrandom(to, len, wait ? 0 : GRND_NONBLOCK);
}
