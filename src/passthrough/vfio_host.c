/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vfio_host.c - PCI devices of this host, by the kernel's VFIO
 *
 * How it works: container, group, device, as linux/vfio.h describes them.  Before memory is pinned
 * the limits are looked at, since the kernel's own answer is only "no memory". Threads: see
 * vfio_host.h.
 */
#include "passthrough/vfio_host.h"

#include "base/log.h"
#include "base/os.h"
#include "base/own.h"
#include "passthrough/vfio_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>

enum { VFIO_INFO_ROOM = 4096 };

struct vfio_host *vfio_host_create(void)
{
	struct vfio_host *host = calloc(1, sizeof(*host));
	for (unsigned i = 0; host && i < VFIO_MAX_GROUPS; i++) {
		host->groups[i].fd = -1;
	}
	if (host) {
		host->container = -1;
	}
	return host;
}

void vfio_host_destroy(struct vfio_host *host)
{
	if (host) {
		for (unsigned i = 0; i < VFIO_MAX_GROUPS; i++) {
			own_close(&host->groups[i].fd);
		}
		own_close(&host->container);
		free(host);
	}
}

/* ----- container and groups ----- */

static int open_container(struct vfio_host *host, struct error *err)
{
	if (host->container >= 0) {
		return 0;
	}
	host->container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
	if (host->container < 0) {
		return error_errno(err, "/dev/vfio/vfio (load the module: modprobe vfio-pci)");
	}
	if (ioctl(host->container, VFIO_GET_API_VERSION) != VFIO_API_VERSION ||
	    ioctl(host->container, VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU) <= 0) {
		return error_set(
			err, -ENOTSUP,
			"this kernel's VFIO has no type 1 IOMMU (modprobe vfio_iommu_type1)");
	}
	return 0;
}

/* Names those that are in the way of group @number. */
static int group_not_viable(int number, struct error *err)
{
	struct sysfs_device *devices;
	size_t count;
	char names[256] = "";
	if (sysfs_list_devices("/sys", &devices, &count, err) < 0) {
		return -EPERM;
	}
	for (size_t i = 0; i < count; i++) {
		if (devices[i].group == number && !sysfs_is_free(&devices[i])) {
			size_t len = strlen(names);
			snprintf(names + len, sizeof(names) - len, "%s%s (%s)", len ? ", " : "",
				 devices[i].bdf, devices[i].driver);
		}
	}
	free(devices);
	return error_set(err, -EPERM,
			 "IOMMU group %d is not complete: the host still uses %s; oriel "
			 "passthrough bind takes all of them",
			 number, names);
}

static int open_group(int number, struct error *err)
{
	char path[64];
	struct vfio_group_status status = {.argsz = sizeof(status)};
	snprintf(path, sizeof(path), "/dev/vfio/%d", number);
	AUTO_FD int fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0 && errno == EBUSY) {
		return error_set(err, -EBUSY, "%s is in use by another program (another VM?)",
				 path);
	}
	if (fd < 0) {
		return error_errno(
			err, "%s (is the device bound to vfio-pci, and may you open it?)", path);
	}
	if (ioctl(fd, VFIO_GROUP_GET_STATUS, &status) < 0) {
		return error_errno(err, "%s", path);
	}
	if (!(status.flags & VFIO_GROUP_FLAGS_VIABLE)) {
		return group_not_viable(number, err);
	}
	return fd_take(&fd);
}

static int set_iommu(struct vfio_host *host, struct error *err)
{
	if (host->has_iommu) {
		return 0;
	}
	if (ioctl(host->container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) < 0) {
		return errno == EPERM ? error_set(err, -EPERM,
						  "this host does not remap interrupts, so a "
						  "device could forge them: turn that on in the "
						  "firmware, or accept the risk with "
						  "vfio_iommu_type1.allow_unsafe_interrupts=1")
				      : error_errno(err, "VFIO: the IOMMU can not be set up");
	}
	host->has_iommu = true;
	return 0;
}

static struct vfio_group *find_group(struct vfio_host *host, int number)
{
	struct vfio_group *free_one = NULL;
	for (unsigned i = 0; i < VFIO_MAX_GROUPS; i++) {
		struct vfio_group *group = &host->groups[i];
		if (group->fd >= 0 && group->number == number) {
			return group;
		}
		free_one = group->fd < 0 ? group : free_one;
	}
	return free_one;
}

static void put_group(struct vfio_host *host, struct vfio_group *group)
{
	if (--group->users == 0) {
		own_close(&group->fd); /* leaves the container, too */
		for (unsigned i = 0; i < VFIO_MAX_GROUPS; i++) {
			if (host->groups[i].fd >= 0) {
				return;
			}
		}
		host->has_iommu = false; /* the last one: mappings are gone */
		host->map_count = 0;
	}
}

static struct vfio_group *get_group(struct vfio_host *host, int number, struct error *err)
{
	struct vfio_group *group = find_group(host, number);
	if (!group) {
		error_set(err, -ENOSPC, "more than %d IOMMU groups", VFIO_MAX_GROUPS);
		return NULL;
	}
	if (group->fd >= 0) {
		group->users++;
		return group;
	}
	int fd = open_group(number, err);
	if (fd < 0) {
		return NULL;
	}
	*group = (struct vfio_group){number, fd, 1};
	int status = open_container(host, err);
	if (status == 0 && ioctl(fd, VFIO_GROUP_SET_CONTAINER, &host->container) < 0) {
		status = error_errno(err, "VFIO: group %d", number);
	}
	if (status == 0) {
		status = set_iommu(host, err);
	}
	if (status < 0) {
		put_group(host, group);
		return NULL;
	}
	return group;
}

/* ----- regions ----- */

/* The sparse areas of a region, if it has some. */
static void parse_areas(const struct vfio_region_info *info, struct backend_region *out)
{
	uint32_t at = info->flags & VFIO_REGION_INFO_FLAG_CAPS ? info->cap_offset : 0;
	for (unsigned hops = 0;
	     at && at + sizeof(struct vfio_info_cap_header) <= info->argsz && hops < 16; hops++) {
		const struct vfio_info_cap_header *cap = (const void *)((const uint8_t *)info + at);
		const struct vfio_region_info_cap_sparse_mmap *sparse = (const void *)cap;
		if (cap->id == VFIO_REGION_INFO_CAP_SPARSE_MMAP) {
			out->area_count = sparse->nr_areas < BACKEND_MAX_AREAS ? sparse->nr_areas
									       : BACKEND_MAX_AREAS;
			for (unsigned i = 0; i < out->area_count; i++) {
				out->areas[i] = (struct backend_area){sparse->areas[i].offset,
								      sparse->areas[i].size};
			}
		}
		at = cap->next;
	}
}

static int vfio_region(struct backend *backend, unsigned index, struct backend_region *out,
		       struct error *err)
{
	struct vfio_device *device = vfio_device(backend);
	uint64_t room[VFIO_INFO_ROOM / 8] = {0};
	struct vfio_region_info *info = (struct vfio_region_info *)room;
	info->argsz = sizeof(room);
	info->index = index;
	*out = (struct backend_region){.fd = -1};
	if (ioctl(device->fd, VFIO_DEVICE_GET_REGION_INFO, info) < 0) {
		return errno == EINVAL ? 0 : error_errno(err, "%s: region %u", device->bdf, index);
	}
	if (info->argsz > sizeof(room)) {
		return error_set(err, -E2BIG, "%s: region %u has too many parts", device->bdf,
				 index);
	}
	out->size = info->size;
	out->readable = info->flags & VFIO_REGION_INFO_FLAG_READ;
	out->writable = info->flags & VFIO_REGION_INFO_FLAG_WRITE;
	device->offsets[index] = info->offset;
	if (info->size >= 4096 && (info->flags & VFIO_REGION_INFO_FLAG_MMAP)) {
		out->fd = device->fd;
		out->fd_offset = info->offset;
		out->area_count = 1;
		out->areas[0] = (struct backend_area){0, info->size};
		parse_areas(info, out);
	}
	return 0;
}

static int vfio_read(struct backend *backend, unsigned region, uint64_t offset, void *to,
		     size_t len)
{
	const struct vfio_device *device = vfio_device(backend);
	for (size_t done = 0; done < len;) {
		ssize_t got = pread(device->fd, (uint8_t *)to + done, len - done,
				    (off_t)(device->offsets[region] + offset + done));
		if (got <= 0) {
			return got < 0 ? -errno : -EIO;
		}
		done += (size_t)got;
	}
	return 0;
}

static int vfio_write(struct backend *backend, unsigned region, uint64_t offset, const void *from,
		      size_t len, bool posted)
{
	const struct vfio_device *device = vfio_device(backend);
	ssize_t put = pwrite(device->fd, from, len, (off_t)(device->offsets[region] + offset));
	return put == (ssize_t)len ? 0 : put < 0 ? -errno : -EIO;
}

/* ----- interrupts ----- */

static int vfio_irqs(struct backend *backend, unsigned index, unsigned *count, struct error *err)
{
	const struct vfio_device *device = vfio_device(backend);
	struct vfio_irq_info info = {.argsz = sizeof(info), .index = index};
	*count = 0;
	if (ioctl(device->fd, VFIO_DEVICE_GET_IRQ_INFO, &info) < 0) {
		return error_errno(err, "%s: interrupts", device->bdf);
	}
	*count = info.flags & VFIO_IRQ_INFO_EVENTFD ? info.count : 0;
	return 0;
}

static int set_irqs(const struct vfio_device *device, unsigned index, uint32_t flags,
		    const int *eventfds, unsigned count)
{
	size_t len = sizeof(struct vfio_irq_set) + count * sizeof(int);
	AUTO_FREE struct vfio_irq_set *set = calloc(1, len);
	if (!set) {
		return -ENOMEM;
	}
	*set = (struct vfio_irq_set){
		.argsz = (uint32_t)len, .flags = flags, .index = index, .count = count};
	if (eventfds) {
		memcpy(set->data, eventfds, count * sizeof(int));
	}
	return ioctl(device->fd, VFIO_DEVICE_SET_IRQS, set) < 0 ? -errno : 0;
}

static int vfio_set_irqs(struct backend *backend, unsigned index, const int *eventfds,
			 unsigned count)
{
	const struct vfio_device *device = vfio_device(backend);
	uint32_t data = count ? VFIO_IRQ_SET_DATA_EVENTFD : VFIO_IRQ_SET_DATA_NONE;
	return set_irqs(device, index, data | VFIO_IRQ_SET_ACTION_TRIGGER, count ? eventfds : NULL,
			count);
}

static int vfio_unmask_intx(struct backend *backend)
{
	return set_irqs(vfio_device(backend), VFIO_PCI_INTX_IRQ_INDEX,
			VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_UNMASK, NULL, 1);
}

static int vfio_unmask_intx_by(struct backend *backend, int eventfd)
{
	return set_irqs(vfio_device(backend), VFIO_PCI_INTX_IRQ_INDEX,
			VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_UNMASK, &eventfd, 1);
}

static void on_wanted_back(void *opaque, uint32_t events)
{
	struct vfio_device *device = opaque;
	(void)os_bell_clear(device->wanted_back);
	loop_remove(device->source);
	device->source = NULL;
	device->on_gone(device->opaque, "the host wants the device back");
}

/* ----- memory ----- */

static bool range_is_allowed(const struct vfio_iommu_type1_info *info, uint64_t iova, uint64_t len,
			     bool *known)
{
	uint32_t at = info->flags & VFIO_IOMMU_INFO_CAPS ? info->cap_offset : 0;
	for (unsigned hops = 0;
	     at && at + sizeof(struct vfio_info_cap_header) <= info->argsz && hops < 16; hops++) {
		const struct vfio_info_cap_header *cap = (const void *)((const uint8_t *)info + at);
		const struct vfio_iommu_type1_info_cap_iova_range *ranges = (const void *)cap;
		at = cap->next;
		if (cap->id != VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE) {
			continue;
		}
		*known = true;
		for (unsigned i = 0; i < ranges->nr_iovas; i++) {
			if (iova >= ranges->iova_ranges[i].start &&
			    iova + (len - 1) <= ranges->iova_ranges[i].end) {
				return true;
			}
		}
	}
	return false;
}

/* What the kernel would refuse with a bare number. */
static int check_limits(const struct vfio_host *host, uint64_t iova, uint64_t len,
			struct error *err)
{
	uint64_t room[VFIO_INFO_ROOM / 8] = {0};
	struct vfio_iommu_type1_info *info = (struct vfio_iommu_type1_info *)room;
	struct rlimit limit;
	bool known = false;
	info->argsz = sizeof(room);
	if (ioctl(host->container, VFIO_IOMMU_GET_INFO, info) == 0 && info->argsz <= sizeof(room) &&
	    !range_is_allowed(info, iova, len, &known) && known) {
		return error_set(err, -ERANGE,
				 "guest memory at 0x%" PRIx64 "+0x%" PRIx64
				 " covers addresses that this host's IOMMU reserves, which the "
				 "guest was not told of: start the VM anew",
				 iova, len);
	}
	if (geteuid() != 0 && getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur < len) {
		return error_set(err, -ENOMEM,
				 "%" PRIu64 " MiB of guest memory must be locked for the device, "
				 "but the limit is %" PRIu64
				 " KiB: raise it with ulimit -l (or LimitMEMLOCK= of the service)",
				 len >> 20, (uint64_t)limit.rlim_cur >> 10);
	}
	return 0;
}

static struct vfio_mapping *find_mapping(struct vfio_host *host, uint64_t iova, uint64_t len)
{
	for (unsigned i = 0; i < host->map_count; i++) {
		if (host->maps[i].iova == iova && host->maps[i].len == len) {
			return &host->maps[i];
		}
	}
	return NULL;
}

static int vfio_dma_map(struct backend *backend, uint64_t iova, uint64_t len, void *hva, int fd,
			uint64_t fd_offset, bool writable, struct error *err)
{
	struct vfio_host *host = vfio_device(backend)->host;
	struct vfio_mapping *mapping = find_mapping(host, iova, len);
	if (mapping) {
		mapping->users++;
		return 0;
	}
	if (host->map_count == VFIO_MAX_MAPS) {
		return error_set(err, -ENOSPC, "more than %d DMA mappings", VFIO_MAX_MAPS);
	}
	int status = check_limits(host, iova, len, err);
	if (status < 0) {
		return status;
	}
	const struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = VFIO_DMA_MAP_FLAG_READ | (writable ? VFIO_DMA_MAP_FLAG_WRITE : 0),
		.vaddr = (uintptr_t)hva,
		.iova = iova,
		.size = len,
	};
	if (ioctl(host->container, VFIO_IOMMU_MAP_DMA, &map) < 0) {
		return error_errno(err,
				   "%" PRIu64 " MiB of guest memory can not be pinned for the "
				   "device (free memory? ulimit -l?)",
				   len >> 20);
	}
	host->maps[host->map_count++] = (struct vfio_mapping){iova, len, 1};
	return 0;
}

static int vfio_dma_unmap(struct backend *backend, uint64_t iova, uint64_t len)
{
	struct vfio_host *host = vfio_device(backend)->host;
	struct vfio_mapping *mapping = find_mapping(host, iova, len);
	if (!mapping || --mapping->users) {
		return mapping ? 0 : -ENOENT;
	}
	*mapping = host->maps[--host->map_count];
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = sizeof(unmap), .iova = iova, .size = len};
	return ioctl(host->container, VFIO_IOMMU_UNMAP_DMA, &unmap) < 0 ? -errno : 0;
}

/* ----- opening ----- */

static void vfio_destroy(struct backend *backend)
{
	struct vfio_device *device = vfio_device(backend);
	loop_remove(device->source);
	own_close(&device->fd);
	own_close(&device->wanted_back);
	if (device->group) {
		put_group(device->host, device->group);
	}
	free(device);
}

static const struct backend_ops vfio_ops = {
	.kind = "vfio",
	.destroy = vfio_destroy,
	.region = vfio_region,
	.read = vfio_read,
	.write = vfio_write,
	.irqs = vfio_irqs,
	.set_irqs = vfio_set_irqs,
	.unmask_intx = vfio_unmask_intx,
	.unmask_intx_by = vfio_unmask_intx_by,
	.dma_map = vfio_dma_map,
	.dma_unmap = vfio_dma_unmap,
	.resets = vfio_resets,
	.reset = vfio_reset,
};

/* What sysfs already tells about a device that can not be had. */
static int check_device(const char *bdf, struct sysfs_device *found, struct error *err)
{
	if (!sysfs_read_device("/sys", bdf, found)) {
		return error_set(err, -ENODEV,
				 "%s: there is no such PCI device (oriel passthrough list)", bdf);
	}
	if (found->group < 0 && !sysfs_may_get_group("/sys", found)) {
		return error_set(err, -ENODEV,
				 "%s: no IOMMU stands before it: turn it on in the firmware, and "
				 "boot with intel_iommu=on (AMD: on "
				 "by itself)",
				 bdf);
	}
	if (strcmp(found->driver, "vfio-pci") != 0) {
		return error_set(err, -EBUSY, "%s: %s%s; run: oriel passthrough bind %s", bdf,
				 found->driver[0] ? "the host uses it with driver "
						  : "it has no driver",
				 found->driver, bdf);
	}
	return 0;
}

static int open_device(struct vfio_device *device, struct error *err)
{
	struct vfio_device_info info = {.argsz = sizeof(info)};
	device->fd = ioctl(device->group->fd, VFIO_GROUP_GET_DEVICE_FD, device->bdf);
	if (device->fd < 0 || ioctl(device->fd, VFIO_DEVICE_GET_INFO, &info) < 0) {
		return error_errno(err, "%s: VFIO", device->bdf);
	}
	if (!(info.flags & VFIO_DEVICE_FLAGS_PCI) || info.num_regions < BACKEND_REGIONS) {
		return error_set(err, -ENODEV, "%s: not a PCI device for VFIO", device->bdf);
	}
	device->has_function_reset = info.flags & VFIO_DEVICE_FLAGS_RESET;
	return 0;
}

/* Not all kernels have it; then the device can only be taken by force. */
static int watch_wanted_back(struct vfio_device *device, struct loop *loop, struct error *err)
{
	device->wanted_back = os_bell();
	if (device->wanted_back < 0) {
		return error_errno(err, "%s", device->bdf);
	}
	device->source = loop_add_fd(loop, device->wanted_back, LOOP_IN, on_wanted_back, device);
	if (!device->source) {
		return error_errno(err, "%s", device->bdf);
	}
	(void)!set_irqs(device, VFIO_PCI_REQ_IRQ_INDEX,
			VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
			&device->wanted_back, 1);
	return 0;
}

struct backend *vfio_open(struct vfio_host *host, const char *bdf, struct loop *loop,
			  backend_gone_fn on_gone, void *opaque, struct error *err)
{
	struct sysfs_device found;
	if (check_device(bdf, &found, err) < 0) {
		return NULL;
	}
	struct vfio_device *device = calloc(1, sizeof(*device));
	if (!device) {
		error_set(err, -ENOMEM, "out of memory");
		return NULL;
	}
	device->base = (struct backend){.ops = &vfio_ops};
	device->host = host;
	device->fd = device->wanted_back = -1;
	device->on_gone = on_gone;
	device->opaque = opaque;
	snprintf(device->bdf, sizeof(device->bdf), "%s", bdf);
	device->group = get_group(host, found.group, err);
	if (!device->group || open_device(device, err) < 0 ||
	    watch_wanted_back(device, loop, err) < 0) {
		vfio_destroy(&device->base);
		return NULL;
	}
	return &device->base;
}
