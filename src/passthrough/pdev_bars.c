/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pdev_bars.c - accesses to the BARs of a foreign device
 *
 * How it works: what the backend lets us map is mapped here, and an access to it is a load or store
 * of the guest's width; the rest goes to the backend, access by access.  The MSI-X table is ours
 * (src/pci keeps it).  A server's memory is mapped only if it can be sealed against shrinking,
 * since a page that vanished would end the VM.  What the kernel's VFIO maps are the device's own
 * registers, and an engine may show them to the guest itself (bus_ops.memory); while the device can
 * not be reached, the kernel takes the pages away, and accesses come here.  A server's memory is
 * not shown so: on Arm, a guest that maps it as a device's would not see what is in caches.
 * Threads: accesses from any vCPU; see pdev_priv.h for the gate.
 */
#include "base/os.h"
#include "passthrough/pdev_priv.h"

#include "base/log.h"
#include "base/own.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PAGE = 4096, GATE_POLL_US = 20 };

static bool gate_enter(struct pdev *pdev)
{
	atomic_fetch_add(&pdev->inside, 1);
	if (!atomic_load(&pdev->gone) && !atomic_load(&pdev->closed)) {
		return true;
	}
	atomic_fetch_sub(&pdev->inside, 1);
	return false;
}

static void gate_leave(struct pdev *pdev)
{
	atomic_fetch_sub(&pdev->inside, 1);
}

/* Accesses are bounded by the backend's time-out, and rare enough while one waits here. */
void pdev_gate_close(struct pdev *pdev)
{
	atomic_store(&pdev->closed, true);
	while (atomic_load(&pdev->inside)) {
		usleep(GATE_POLL_US);
	}
}

void pdev_gate_open(struct pdev *pdev)
{
	atomic_store(&pdev->closed, false);
}

/* ----- accesses ----- */

static bool bar_is_table(const struct pdev_bar *bar, uint64_t offset)
{
	const struct vconfig_msix *msix = &bar->pdev->config.msix;
	return bar->pdev->irqs.msix_count && bar->index == msix->table_bar &&
	       offset >= msix->table_offset && offset - msix->table_offset < msix->count * 16;
}

static bool bar_is_pending(const struct pdev_bar *bar, uint64_t offset)
{
	const struct vconfig_msix *msix = &bar->pdev->config.msix;
	return bar->pdev->irqs.msix_count && bar->index == msix->pending_bar &&
	       offset >= msix->pending_offset &&
	       offset - msix->pending_offset < (msix->count + 63) / 64 * 8;
}

/* Where [offset, offset+size) is mapped here, or NULL. */
static volatile void *bar_mapped(const struct pdev_bar *bar, uint64_t offset, unsigned size)
{
	for (unsigned i = 0; i < bar->mapped_count; i++) {
		const struct pdev_mapped *m = &bar->mapped[i];
		if (offset >= m->offset && offset - m->offset < m->len &&
		    size <= m->len - (offset - m->offset)) {
			return m->hva + (offset - m->offset);
		}
	}
	return NULL;
}

/* One access of the guest's width; a device must not see it torn or repeated. */
static uint64_t load_volatile(const volatile void *at, unsigned size)
{
	switch (size) {
	case 1: return *(const volatile uint8_t *)at;
	case 2: return *(const volatile uint16_t *)at;
	case 4: return *(const volatile uint32_t *)at;
	default: return *(const volatile uint64_t *)at;
	}
}

static void store_volatile(volatile void *at, unsigned size, uint64_t value)
{
	switch (size) {
	case 1: *(volatile uint8_t *)at = (uint8_t)value; break;
	case 2: *(volatile uint16_t *)at = (uint16_t)value; break;
	case 4: *(volatile uint32_t *)at = (uint32_t)value; break;
	default: *(volatile uint64_t *)at = value; break;
	}
}

static uint64_t bar_ask(struct pdev_bar *bar, uint64_t offset, unsigned size)
{
	uint64_t value = UINT64_MAX;
	int status = backend_read(bar->pdev->backend, bar->index, offset, &value, size);
	if (status < 0) {
		log_limited(LOG_WARN, "%s: read of BAR %u at 0x%" PRIx64 ": %s", bar->pdev->name,
			    bar->index, offset, strerror(-status));
		return UINT64_MAX;
	}
	return value;
}

static uint64_t bar_read_inside(struct pdev_bar *bar, uint64_t offset, unsigned size)
{
	struct pdev *pdev = bar->pdev;
	const struct vconfig_msix *msix = &pdev->config.msix;
	if (bar_is_table(bar, offset)) {
		return pci_device_msix_table_read(pdev->pci, offset - msix->table_offset, size);
	}
	if (bar_is_pending(bar, offset)) {
		uint64_t ours = pci_device_msix_pending_read(pdev->pci,
							     offset - msix->pending_offset, size);
		return ours | (pdev->backend->raw ? bar_ask(bar, offset, size) : 0);
	}
	const volatile void *at = bar_mapped(bar, offset, size);
	return at && (uintptr_t)at % size == 0 ? load_volatile(at, size)
					       : bar_ask(bar, offset, size);
}

static uint64_t bar_read(void *opaque, uint64_t offset, unsigned size)
{
	struct pdev_bar *bar = opaque;
	atomic_fetch_add_explicit(&bar->pdev->accesses, 1, memory_order_relaxed);
	if (!gate_enter(bar->pdev)) {
		return UINT64_MAX;
	}
	uint64_t value = bar_read_inside(bar, offset, size);
	gate_leave(bar->pdev);
	return value;
}

static void bar_tell(struct pdev_bar *bar, uint64_t offset, unsigned size, uint64_t value)
{
	int status = backend_write(bar->pdev->backend, bar->index, offset, &value, size, true);
	if (status < 0) {
		log_limited(LOG_WARN, "%s: write to BAR %u at 0x%" PRIx64 ": %s", bar->pdev->name,
			    bar->index, offset, strerror(-status));
	}
}

static void bar_write_inside(struct pdev_bar *bar, uint64_t offset, unsigned size, uint64_t value)
{
	struct pdev *pdev = bar->pdev;
	if (bar_is_table(bar, offset)) {
		pci_device_msix_table_write(pdev->pci, offset - pdev->config.msix.table_offset,
					    size, value);
		if (pdev->backend->raw) { /* the mask bits count there too */
			bar_tell(bar, offset, size, value);
		}
		return;
	}
	if (bar_is_pending(bar, offset)) {
		return;
	}
	volatile void *at = bar_mapped(bar, offset, size);
	if (at && (uintptr_t)at % size == 0) {
		store_volatile(at, size, value);
	} else {
		bar_tell(bar, offset, size, value);
	}
}

static void bar_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
	struct pdev_bar *bar = opaque;
	atomic_fetch_add_explicit(&bar->pdev->accesses, 1, memory_order_relaxed);
	if (gate_enter(bar->pdev)) {
		bar_write_inside(bar, offset, size, value);
		gate_leave(bar->pdev);
	}
}

static void *bar_memory(void *opaque, unsigned n, uint64_t *offset, uint64_t *len)
{
	const struct pdev_bar *bar = opaque;
	if (bar->pdev->backend->raw || n >= bar->mapped_count) {
		return NULL;
	}
	*offset = bar->mapped[n].offset;
	*len = bar->mapped[n].len;
	return bar->mapped[n].hva;
}

static const struct bus_ops bar_ops = {.read = bar_read, .write = bar_write, .memory = bar_memory};

static uint64_t rom_read(void *opaque, uint64_t offset, unsigned size)
{
	const struct pdev *pdev = opaque;
	uint64_t value = 0;
	if (atomic_load(&pdev->gone)) {
		return UINT64_MAX;
	}
	memcpy(&value, pdev->rom + offset, size);
	return value;
}

static void rom_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
}

static const struct bus_ops rom_ops = {rom_read, rom_write};

/* ----- mappings ----- */

static int check_area(const struct pdev *pdev, unsigned bar, const struct backend_region *region,
		      const struct backend_area *area, struct error *err)
{
	if ((area->offset | area->len) % PAGE || !area->len || area->offset > region->size ||
	    area->len > region->size - area->offset || region->fd_offset % PAGE ||
	    region->fd_offset > INT64_MAX - region->size) {
		return error_set(err, -EINVAL,
				 "%s: BAR %u: the part to be mapped at 0x%" PRIx64
				 " makes no sense",
				 pdev->name, bar, area->offset);
	}
	return 0;
}

/* A page behind the end of a file is fatal to touch: the file must be long enough, and stay so. */
static bool file_stays(int fd, uint64_t end)
{
	return (os_is_sealed(fd, OS_SEAL_SHRINK) || os_seal(fd, OS_SEAL_SHRINK) == 0) &&
	       os_file_has(fd, 0, end);
}

static void map_range(struct pdev_bar *bar, const struct backend_region *region, uint64_t start,
		      uint64_t end)
{
	if (start >= end || bar->mapped_count == PDEV_MAX_MAPPED) {
		return;
	}
	int prot = (region->readable ? PROT_READ : 0) | (region->writable ? PROT_WRITE : 0);
	void *hva = MAP_FAILED;
	if (prot == (PROT_READ | PROT_WRITE) &&
	    (!bar->pdev->backend->raw || file_stays(region->fd, region->fd_offset + end))) {
		hva = mmap(NULL, end - start, prot, MAP_SHARED | MAP_NORESERVE, region->fd,
			   (off_t)(region->fd_offset + start));
	}
	if (hva == MAP_FAILED) {
		log_info("%s: BAR %u: 0x%" PRIx64 " bytes at 0x%" PRIx64
			 " can not be mapped safely, each access is passed on",
			 bar->pdev->name, bar->index, end - start, start);
		return;
	}
	bar->mapped[bar->mapped_count++] = (struct pdev_mapped){start, end - start, hva};
}

/* Map an area but for the pages of the MSI-X table and pending bits. */
static void map_area(struct pdev_bar *bar, const struct backend_region *region,
		     const struct backend_area *area)
{
	const struct vconfig_msix *msix = &bar->pdev->config.msix;
	uint64_t hole = UINT64_MAX, hole_end = 0;
	if (msix->capability && bar->index == msix->table_bar) {
		hole = msix->table_offset;
		hole_end = msix->table_offset + msix->count * 16;
	}
	if (msix->capability && bar->index == msix->pending_bar) {
		uint64_t end = msix->pending_offset + (msix->count + 63) / 64 * 8;
		hole = msix->pending_offset < hole ? msix->pending_offset : hole;
		hole_end = end > hole_end ? end : hole_end;
	}
	uint64_t end = area->offset + area->len;
	if (hole >= end || hole_end <= area->offset) {
		map_range(bar, region, area->offset, end);
		return;
	}
	uint64_t before = hole / PAGE * PAGE, after = (hole_end + PAGE - 1) / PAGE * PAGE;
	map_range(bar, region, area->offset, before < end ? before : end);
	map_range(bar, region, after > area->offset ? after : area->offset, end);
}

static int bar_init(struct pdev_bar *bar, const struct backend_region *region, bool trapped,
		    struct error *err)
{
	struct pdev *pdev = bar->pdev;
	const struct vconfig_bar *shown = &pdev->config.bars[bar->index];
	bar->len = shown->size;
	for (unsigned i = 0; i < region->area_count; i++) {
		int status = check_area(pdev, bar->index, region, &region->areas[i], err);
		if (status < 0) {
			return status;
		}
		if (!trapped && region->fd >= 0) {
			map_area(bar, region, &region->areas[i]);
		}
	}
	enum pci_bar_kind kind = !shown->wide	       ? PCI_BAR_32
				 : shown->prefetchable ? PCI_BAR_64_PREFETCHABLE
						       : PCI_BAR_64;
	return pci_device_add_bar(pdev->pci, bar->index, kind, bar->len, &bar_ops, bar, err);
}

int pdev_bars_init(struct pdev *pdev, const struct backend_region *regions, unsigned trapped,
		   struct error *err)
{
	for (unsigned i = 0; i < VCONFIG_BARS; i++) {
		struct pdev_bar *bar = &pdev->bars[i];
		*bar = (struct pdev_bar){.pdev = pdev, .index = i};
		if (pdev->config.bars[i].size && pdev->config.bars[i].io) {
			log_info("%s: BAR %u has I/O ports, which this board has not: not shown",
				 pdev->name, i);
		}
		if (!pdev->config.bars[i].size || pdev->config.bars[i].io) {
			continue;
		}
		int status = bar_init(bar, &regions[i], trapped >> i & 1, err);
		if (status < 0) {
			return status;
		}
	}
	return 0;
}

void pdev_bars_hide(struct pdev *pdev)
{
	for (unsigned i = 0; i < VCONFIG_BARS; i++) {
		struct pdev_bar *bar = &pdev->bars[i];
		for (unsigned n = 0; n < bar->mapped_count; n++) {
			struct pdev_mapped *m = &bar->mapped[n];
			(void)!mmap(m->hva, m->len, PROT_NONE,
				    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
		}
	}
}

void pdev_bars_finish(struct pdev *pdev)
{
	for (unsigned i = 0; i < VCONFIG_BARS; i++) {
		struct pdev_bar *bar = &pdev->bars[i];
		while (bar->mapped_count) {
			struct pdev_mapped *m = &bar->mapped[--bar->mapped_count];
			munmap(m->hva, m->len);
		}
	}
}

/* ----- the expansion ROM ----- */

static uint64_t rom_room(uint64_t len)
{
	uint64_t room = 2048;
	while (room < len) {
		room *= 2;
	}
	return room;
}

static int rom_alloc(struct pdev *pdev, uint64_t len, struct error *err)
{
	pdev->rom_len = rom_room(len);
	pdev->rom = calloc(1, pdev->rom_len);
	return pdev->rom ? 0 : error_set(err, -ENOMEM, "%s: out of memory", pdev->name);
}

static int rom_load_file(struct pdev *pdev, const char *path, struct error *err)
{
	struct stat st;
	AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0) {
		return error_errno(err, "%s: ROM file %s", pdev->name, path);
	}
	if (st.st_size < 2 || st.st_size > PDEV_ROM_LIMIT) {
		return error_set(err, -EINVAL,
				 "%s: ROM file %s: %lld bytes are no ROM (up to 16 MiB)",
				 pdev->name, path, (long long)st.st_size);
	}
	int status = rom_alloc(pdev, (uint64_t)st.st_size, err);
	if (status == 0 && pread(fd, pdev->rom, (size_t)st.st_size, 0) != st.st_size) {
		return error_errno(err, "%s: ROM file %s", pdev->name, path);
	}
	if (status == 0 && (pdev->rom[0] != 0x55 || pdev->rom[1] != 0xaa)) {
		return error_set(err, -EINVAL,
				 "%s: ROM file %s does not begin with 55 aa: it is no option ROM",
				 pdev->name, path);
	}
	return status;
}

/* The device's own ROM, if it can be read; many can not, which is no reason to refuse the device.
 */
static int rom_load_device(struct pdev *pdev, const struct backend_region *region,
			   struct error *err)
{
	if (!region->size || region->size > PDEV_ROM_LIMIT) {
		return 0;
	}
	int status = rom_alloc(pdev, region->size, err);
	if (status < 0) {
		return status;
	}
	if (backend_read(pdev->backend, BACKEND_ROM, 0, pdev->rom, region->size) < 0 ||
	    pdev->rom[0] != 0x55 || pdev->rom[1] != 0xaa) {
		log_info("%s: its option ROM can not be read and is not shown (give rom=FILE)",
			 pdev->name);
		free(pdev->rom);
		pdev->rom = NULL;
	}
	return 0;
}

int pdev_rom_init(struct pdev *pdev, const struct pdev_options *options,
		  const struct backend_region *region, struct error *err)
{
	int status = 0;
	if (options->rom_file) {
		status = rom_load_file(pdev, options->rom_file, err);
	} else if (!options->no_rom) {
		status = rom_load_device(pdev, region, err);
	}
	if (status == 0 && pdev->rom) {
		status = pci_device_add_rom(pdev->pci, pdev->rom_len, &rom_ops, pdev, err);
	}
	return status;
}
