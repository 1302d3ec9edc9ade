/* SPDX-License-Identifier: Apache-2.0 */
/*
 * binding.c - taking devices of this host from their drivers and back
 *
 * How it works: driver_override names the only driver that may take a device; then it is unbound
 * and probed anew.  Each write to the kernel is done by a child process with a time-out, since a
 * driver may hang while it lets go. Threads: the command line's.
 */
#include "passthrough/binding.h"

#include "base/log.h"
#include "base/own.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { WRITE_TIMEOUT_MS = 20000, WRITE_POLL_MS = 5 };

static const char vfio_driver[] = "vfio-pci";

/* ----- writes that may hang ----- */

/* Exit status of the child: errno of its write, or 0. */
static int write_in_child(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, text, strlen(text)) < 0) {
		return errno;
	}
	return 0;
}

static int write_kernel(const char *path, const char *text, struct error *err)
{
	pid_t child = fork();
	if (child < 0) {
		return error_errno(err, "can not start a helper");
	}
	if (child == 0) {
		_exit(write_in_child(path, text));
	}
	for (unsigned waited = 0; waited < WRITE_TIMEOUT_MS; waited += WRITE_POLL_MS) {
		int status;
		pid_t got = waitpid(child, &status, WNOHANG);
		if (got == child && WIFEXITED(status) && WEXITSTATUS(status) == 0) {
			return 0;
		}
		if (got != 0) {
			errno = got == child && WIFEXITED(status) ? WEXITSTATUS(status) : EIO;
			return error_errno(err, "%s", path);
		}
		nanosleep(&(struct timespec){.tv_nsec = WRITE_POLL_MS * 1000000L}, NULL);
	}
	kill(child, SIGKILL); /* takes effect when the driver comes back, if ever */
	return error_set(err, -ETIMEDOUT,
			 "%s: the driver does not let go within %d s; see the kernel's log", path,
			 WRITE_TIMEOUT_MS / 1000);
}

static int write_device(const struct binding_paths *paths, const char *bdf, const char *file,
			const char *text, struct error *err)
{
	char path[PATH_MAX];
	snprintf(path, sizeof(path), "%s/bus/pci/devices/%s/%s", paths->sysfs, bdf, file);
	return write_kernel(path, text, err);
}

/* ----- what is in the way ----- */

/* True if what @link leads to lies below device @bdf. */
static bool lies_below(const struct binding_paths *paths, const char *link, const char *bdf)
{
	char path[PATH_MAX], target[PATH_MAX];
	snprintf(path, sizeof(path), "%s/%s", paths->sysfs, link);
	char needle[SYSFS_BDF_LEN + 2];
	snprintf(needle, sizeof(needle), "/%s/", bdf);
	return realpath(path, target) && strstr(target, needle);
}

/* Where a file system of the device is mounted; false if none is. */
static bool is_mounted(const struct binding_paths *paths, const char *bdf, char *where, size_t room)
{
	char path[PATH_MAX], link[64], mount[512];
	unsigned major_number, minor_number;
	snprintf(path, sizeof(path), "%s/self/mountinfo", paths->proc);
	FILE *file = fopen(path, "re");
	AUTO_FREE char *line = NULL;
	size_t line_room = 0;
	bool found = false;
	while (file && !found && getline(&line, &line_room, file) > 0) {
		if (sscanf(line, "%*d %*d %u:%u %*s %511s", &major_number, &minor_number, mount) ==
		    3) {
			snprintf(link, sizeof(link), "dev/block/%u:%u", major_number, minor_number);
			found = lies_below(paths, link, bdf);
		}
	}
	if (file) {
		fclose(file);
	}
	if (found) {
		snprintf(where, room, "%.*s", (int)room - 1, mount);
	}
	return found;
}

static bool is_swap(const struct binding_paths *paths, const char *bdf)
{
	char path[PATH_MAX], device[512], link[64];
	struct stat st;
	snprintf(path, sizeof(path), "%s/swaps", paths->proc);
	FILE *file = fopen(path, "re");
	AUTO_FREE char *line = NULL;
	size_t room = 0;
	bool found = false;
	while (file && !found && getline(&line, &room, file) > 0) {
		if (sscanf(line, "%511s", device) == 1 && stat(device, &st) == 0 &&
		    S_ISBLK(st.st_mode)) {
			snprintf(link, sizeof(link), "dev/block/%u:%u", major(st.st_rdev),
				 minor(st.st_rdev));
			found = lies_below(paths, link, bdf);
		}
	}
	if (file) {
		fclose(file);
	}
	return found;
}

/* A network interface of the device that is up. */
static bool is_network_up(const struct binding_paths *paths, const char *bdf, char *name,
			  size_t room)
{
	char path[PATH_MAX], link[300], state[32];
	snprintf(path, sizeof(path), "%s/class/net", paths->sysfs);
	DIR *dir = opendir(path);
	bool found = false;
	for (struct dirent *entry; dir && !found && (entry = readdir(dir));) {
		snprintf(link, sizeof(link), "class/net/%s", entry->d_name);
		if (entry->d_name[0] == '.' || !lies_below(paths, link, bdf)) {
			continue;
		}
		snprintf(link, sizeof(link), "class/net/%s/flags", entry->d_name);
		sysfs_read_line(paths->sysfs, link, state, sizeof(state));
		found = strtoul(state, NULL, 0) & 1; /* IFF_UP */
		snprintf(name, room, "%.*s", (int)room - 1, entry->d_name);
	}
	if (dir) {
		closedir(dir);
	}
	return found;
}

/* True if the host would miss the device; @why says what it does. */
static bool is_in_use(const struct binding_paths *paths, const char *bdf, char *why, size_t room)
{
	char what[256];
	if (is_mounted(paths, bdf, what, sizeof(what))) {
		snprintf(why, room, "%s holds the file system mounted at %s: umount it first", bdf,
			 what);
		return true;
	}
	if (is_swap(paths, bdf)) {
		snprintf(why, room, "%s holds swap space: swapoff it first", bdf);
		return true;
	}
	if (is_network_up(paths, bdf, what, sizeof(what))) {
		snprintf(why, room,
			 "%s is the host's network interface %s: ip link set %s down first", bdf,
			 what, what);
		return true;
	}
	return false;
}

static bool can_ever(const struct binding_paths *paths, const struct sysfs_device *device,
		     char *why, size_t room)
{
	if (sysfs_is_bridge(device)) {
		snprintf(why, room, "it is a bridge");
		return false;
	}
	if (device->group < 0 && !sysfs_may_get_group(paths->sysfs, device)) {
		snprintf(why, room,
			 "no IOMMU stands before it: turn it on in the firmware (VT-d, AMD-Vi, "
			 "SMMU), and on Intel boot with "
			 "intel_iommu=on");
		return false;
	}
	return true;
}

bool binding_is_ready(const struct binding_paths *paths, const struct sysfs_device *device,
		      const struct sysfs_device *all, size_t count, char *why, size_t room)
{
	if (!can_ever(paths, device, why, room) || is_in_use(paths, device->bdf, why, room)) {
		return false;
	}
	for (size_t i = 0; i < count; i++) {
		if (device->group < 0 || all[i].group != device->group || sysfs_is_free(&all[i])) {
			continue;
		}
		if (!strcmp(all[i].bdf, device->bdf)) {
			snprintf(why, room,
				 "the host uses it with driver %s: oriel passthrough bind %s",
				 device->driver, device->bdf);
		} else {
			snprintf(why, room,
				 "its IOMMU group %d also has %s (%s), which has to go along: "
				 "oriel passthrough bind %s",
				 device->group, all[i].bdf, all[i].driver, device->bdf);
		}
		return false;
	}
	if (strcmp(device->driver, vfio_driver) != 0) {
		snprintf(why, room, "it has no driver: oriel passthrough bind %s", device->bdf);
		return false;
	}
	return true;
}

/* ----- records ----- */

static int record_driver(const struct binding_paths *paths, const struct sysfs_device *device,
			 struct error *err)
{
	char path[PATH_MAX];
	snprintf(path, sizeof(path), "%s", paths->records);
	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		(void)!mkdir(path, 0755);
		*slash = '/';
	}
	(void)!mkdir(path, 0755);
	snprintf(path, sizeof(path), "%s/%s", paths->records, device->bdf);
	AUTO_FD int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0 && errno == EEXIST) {
		return 0; /* from before: that is what counts */
	}
	if (fd < 0 || write(fd, device->driver, strlen(device->driver)) < 0 || fsync(fd) < 0) {
		return error_errno(err, "%s", path);
	}
	return 0;
}

int binding_each_record(const struct binding_paths *paths, int (*fn)(void *opaque, const char *bdf),
			void *opaque)
{
	DIR *dir = opendir(paths->records);
	int status = 0;
	for (struct dirent *entry; dir && status == 0 && (entry = readdir(dir));) {
		if (entry->d_name[0] != '.') {
			status = fn(opaque, entry->d_name);
		}
	}
	if (dir) {
		closedir(dir);
	}
	return status;
}

/* ----- binding ----- */

static int unbind(const struct binding_paths *paths, const struct sysfs_device *device,
		  struct error *err)
{
	return device->driver[0]
		       ? write_device(paths, device->bdf, "driver/unbind", device->bdf, err)
		       : 0;
}

static int probe(const struct binding_paths *paths, const char *bdf, struct error *err)
{
	char path[PATH_MAX];
	snprintf(path, sizeof(path), "%s/bus/pci/drivers_probe", paths->sysfs);
	return write_kernel(path, bdf, err);
}

static int take(const struct binding_paths *paths, const struct sysfs_device *device,
		struct error *err)
{
	struct sysfs_device now;
	if (!strcmp(device->driver, vfio_driver)) {
		return 0;
	}
	int status = record_driver(paths, device, err);
	if (status == 0) {
		status = write_device(paths, device->bdf, "driver_override", vfio_driver, err);
	}
	if (status == 0) {
		status = unbind(paths, device, err);
	}
	if (status == 0) {
		status = probe(paths, device->bdf, err);
	}
	if (status == 0 && (!sysfs_read_device(paths->sysfs, device->bdf, &now) ||
			    strcmp(now.driver, vfio_driver) != 0)) {
		status = error_set(
			err, -ENODEV,
			"%s: vfio-pci did not take it (modprobe vfio-pci; see the kernel's log)",
			device->bdf);
	}
	return status;
}

/* What of the group has to move; -EBUSY or -ECANCELED if it may not. */
static int check_group(const struct binding_paths *paths, const struct sysfs_device *wanted,
		       const struct sysfs_device *all, size_t count, binding_ask_fn ask,
		       void *opaque, struct error *err)
{
	char why[512];
	for (size_t i = 0; i < count; i++) {
		const struct sysfs_device *device = &all[i];
		if (device->group != wanted->group || sysfs_is_bridge(device)) {
			continue;
		}
		if (is_in_use(paths, device->bdf, why, sizeof(why))) {
			return error_set(err, -EBUSY, "%s", why);
		}
		if (strcmp(device->bdf, wanted->bdf) != 0 && !sysfs_is_free(device) &&
		    !ask(opaque, device)) {
			return error_set(err, -ECANCELED,
					 "%s (driver %s) is in IOMMU group %d too and has to go "
					 "along; nothing was changed",
					 device->bdf, device->driver, device->group);
		}
	}
	return 0;
}

static int bind_group(const struct binding_paths *paths, const struct sysfs_device *wanted,
		      const struct sysfs_device *all, size_t count, struct error *err)
{
	int status = 0;
	for (size_t i = 0; status == 0 && i < count; i++) {
		bool member = all[i].group == wanted->group && !sysfs_is_bridge(&all[i]);
		if (member && (all[i].driver[0] || !strcmp(all[i].bdf, wanted->bdf))) {
			status = take(paths, &all[i], err);
		}
	}
	return status;
}

/* The whole group of @wanted, which is known now. */
static int bind_all(const struct binding_paths *paths, const struct sysfs_device *wanted,
		    binding_ask_fn ask, void *opaque, struct error *err)
{
	struct sysfs_device *all;
	size_t count;
	int status = sysfs_list_devices(paths->sysfs, &all, &count, err);
	if (status == 0) {
		status = check_group(paths, wanted, all, count, ask, opaque, err);
	}
	if (status == 0) {
		status = bind_group(paths, wanted, all, count, err);
	}
	free(all);
	return status;
}

/* vfio-pci is the driver that makes the kernel put @wanted into a group; it goes back if that may
 * not be had. */
static int bind_without_group(const struct binding_paths *paths, const struct sysfs_device *wanted,
			      binding_ask_fn ask, void *opaque, struct error *err)
{
	struct sysfs_device now;
	struct error ignored = {0};
	int status = take(paths, wanted, err);
	if (status == 0 && (!sysfs_read_device(paths->sysfs, wanted->bdf, &now) || now.group < 0)) {
		status = error_set(err, -ENOTSUP, "%s: no IOMMU stands before it", wanted->bdf);
	}
	if (status == 0) {
		status = bind_all(paths, &now, ask, opaque, err);
	}
	if (status < 0) {
		(void)!binding_restore(paths, wanted->bdf, &ignored);
	}
	return status;
}

int binding_bind(const struct binding_paths *paths, const char *bdf, binding_ask_fn ask,
		 void *opaque, struct error *err)
{
	struct sysfs_device wanted;
	char why[512];
	if (!sysfs_read_device(paths->sysfs, bdf, &wanted)) {
		return error_set(err, -ENODEV,
				 "%s: there is no such PCI device (oriel passthrough list)", bdf);
	}
	if (!can_ever(paths, &wanted, why, sizeof(why))) {
		return error_set(err, -ENOTSUP, "%s: %s", bdf, why);
	}
	return wanted.group < 0 ? bind_without_group(paths, &wanted, ask, opaque, err)
				: bind_all(paths, &wanted, ask, opaque, err);
}

int binding_restore(const struct binding_paths *paths, const char *bdf, struct error *err)
{
	struct sysfs_device now;
	char path[PATH_MAX], before[32];
	snprintf(path, sizeof(path), "%s/%s", paths->records, bdf);
	if (access(path, F_OK) < 0) {
		return error_set(err, -ENOENT, "%s was not bound by oriel", bdf);
	}
	sysfs_read_line(paths->records, bdf, before, sizeof(before));
	if (!sysfs_read_device(paths->sysfs, bdf, &now)) { /* pulled meanwhile */
		unlink(path);
		return 0;
	}
	int status = write_device(paths, bdf, "driver_override", "\n", err);
	if (status == 0 && !strcmp(now.driver, vfio_driver)) {
		status = unbind(paths, &now, err);
	}
	if (status == 0 && before[0]) {
		status = probe(paths, bdf, err);
	}
	if (status == 0 &&
	    (!sysfs_read_device(paths->sysfs, bdf, &now) || strcmp(now.driver, before) != 0)) {
		status =
			error_set(err, -ENODEV, "%s: driver %s did not take it back (modprobe %s?)",
				  bdf, before, before);
	}
	if (status == 0) {
		unlink(path);
	}
	return status;
}
