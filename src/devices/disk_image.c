/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk_image.c - open and lock a raw disk image
 *
 * How it works: an open-file-description lock over the whole file; other VMs, also in the same process, see it, and it
 * disappears with the last descriptor, so a crash leaves nothing behind.
 * Threads: any.
 */
#include "devices/disk_image.h"

#include "base/log.h"
#include "base/os.h"
#include "base/own.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

static int disk_open_error(const char *path, bool read_only, struct error *err)
{
	switch (errno) {
	case ENOENT: return error_set(err, -ENOENT, "disk image %s does not exist", path);
	case EISDIR: return error_set(err, -EISDIR, "disk image %s is a directory", path);
	case EACCES:
	case EPERM:
	case EROFS:
		if (!read_only) {
			int code = -errno;
			return error_set(err, code, "disk image %s cannot be written: %s (attach it with ,ro)", path,
					 strerror(errno));
		}
		/* fall through */
	default: return error_errno(err, "open disk image %s", path);
	}
}

static int disk_lock(int fd, const char *path, bool read_only, struct error *err)
{
	struct flock lock = {.l_type = read_only ? F_RDLCK : F_WRLCK, .l_whence = SEEK_SET};
	if (fcntl(fd, F_OFD_SETLK, &lock) == 0) {
		return 0;
	}
	if (errno == EAGAIN || errno == EACCES) {
		return error_set(err, -EBUSY,
				 read_only ? "disk image %s is being written by another VM" :
					     "disk image %s is in use by another VM (stop it, or attach it with ,ro in both)",
				 path);
	}
	log_warn("disk image %s: its file system has no locks (%s); make sure that no other VM uses it", path,
		 strerror(errno));
	return 0;
}

static int disk_length(int fd, const char *path, uint64_t *len, struct error *err)
{
	struct stat st;
	if (fstat(fd, &st) < 0) {
		return error_errno(err, "disk image %s", path);
	}
	if (S_ISREG(st.st_mode)) {
		*len = (uint64_t)st.st_size;
		return 0;
	}
	if (!S_ISBLK(st.st_mode)) {
		return error_set(err, -EINVAL, "disk image %s is neither a file nor a block device", path);
	}
	if (os_device_bytes(fd, len) < 0) {
		return error_errno(err, "size of block device %s", path);
	}
	return 0;
}

static int disk_check_length(const char *path, uint64_t len, unsigned block_size, struct error *err)
{
	if (!len) {
		return error_set(err, -EINVAL, "disk image %s is empty", path);
	}
	if (len % block_size) {
		return error_set(err, -EINVAL, "disk image %s: its length of %" PRIu64
				 " bytes is not a multiple of %u: cut short, or not a raw image", path, len, block_size);
	}
	return 0;
}

/* Other formats work byte for byte too, but that is rarely what was meant. */
static void disk_warn_of_format(int fd, const char *path)
{
	char magic[8] = {0};
	if (pread(fd, magic, sizeof(magic), 0) != sizeof(magic)) {
		return;
	}
	const char *format = !memcmp(magic, "QFI\xfb", 4) ? "qcow2" :
			     !memcmp(magic, "KDMV", 4)    ? "VMDK" :
			     !memcmp(magic, "vhdxfile", 8) ? "VHDX" :
							     NULL;
	if (format) {
		log_warn("disk image %s looks like %s, but is shown to the guest as a raw disk", path, format);
	}
}

int disk_image_open(struct disk_image *image, const char *path, bool read_only, unsigned block_size,
		    struct error *err)
{
	/* O_NONBLOCK: opening a FIFO by mistake must not wait for a writer */
	AUTO_FD int fd = open(path, (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0) {
		return disk_open_error(path, read_only, err);
	}
	int ret = disk_length(fd, path, &image->len, err);
	if (ret == 0) {
		ret = disk_lock(fd, path, read_only, err);
	}
	if (ret == 0) {
		ret = disk_check_length(path, image->len, block_size, err);
	}
	if (ret < 0) {
		return ret;
	}
	disk_warn_of_format(fd, path);
	fcntl(fd, F_SETFL, 0); /* io_uring would fail with EAGAIN where it should wait */
	image->fd = fd_take(&fd);
	return 0;
}
