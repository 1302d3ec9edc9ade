/* SPDX-License-Identifier: Apache-2.0 */
/* test_pci.c - configuration space, BARs, MSI-X and INTx as a guest sees them; virtio's registers over PCI */
#include "fake_driver.h"
#include "unit.h"

#include "base/log.h"
#include "bus/bus.h"
#include "pci/pci.h"
#include "virtio/pci_transport.h"
#include "virtio/transport.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>

enum {
	ECAM = 0x3f000000,
	MEM32 = 0x10000000,
	MEM32_LEN = 0x1000000,
	COMMAND_MEMORY = 2,
	BUDGET = 8,
};
#define MEM64	  UINT64_C(0x8000000000)
#define MEM64_LEN UINT64_C(0x100000000)

struct fake_chip {
	struct irq_chip base;
	bool level[64];
	unsigned messages, line_changes;
	uint64_t address;
	uint32_t data;
	uint16_t requester;
};

static void chip_set_line(struct irq_chip *chip, unsigned line, bool level)
{
	struct fake_chip *fake = (struct fake_chip *)chip;
	fake->level[line] = level;
	fake->line_changes++;
}

static void chip_send_msi(struct irq_chip *chip, uint64_t address, uint32_t data, uint16_t requester)
{
	struct fake_chip *fake = (struct fake_chip *)chip;
	fake->messages++;
	fake->address = address;
	fake->data = data;
	fake->requester = requester;
}

static const struct irq_chip_ops chip_ops = {chip_set_line, chip_send_msi};

struct bridge {
	struct fake_chip chip;
	struct bus *bus;
	struct pci_host *host;
	uint64_t window; /* last place of a window BAR */
	unsigned window_moves, resets;
};

static void bridge_init(struct bridge *b)
{
	*b = (struct bridge){.chip.base.ops = &chip_ops, .bus = bus_create(), .window = 1};
	const struct pci_host_config config = {
		.bus = b->bus,
		.irq = &b->chip.base,
		.ecam = {ECAM, 1 << 20},
		.memory32 = {MEM32, MEM32_LEN},
		.memory64 = {MEM64, MEM64_LEN},
		.intx_lines = {3, 4, 5, 6},
		.msi_vector_budget = BUDGET,
	};
	b->host = pci_host_create(&config, NULL);
	assert_non_null(b->host);
}

static void bridge_finish(struct bridge *b)
{
	pci_host_destroy(b->host);
	bus_destroy(b->bus);
}

static uint64_t bus_get(struct bridge *b, uint64_t gpa, unsigned size)
{
	uint64_t value;
	bus_read(b->bus, gpa, size, &value);
	return value;
}

static uint64_t config_address(unsigned slot, unsigned reg)
{
	return ECAM + (slot << 15) + reg;
}

static uint32_t config_get(struct bridge *b, unsigned slot, unsigned reg, unsigned size)
{
	return (uint32_t)bus_get(b, config_address(slot, reg), size);
}

static void config_set(struct bridge *b, unsigned slot, unsigned reg, unsigned size, uint32_t value)
{
	assert_true(bus_write(b->bus, config_address(slot, reg), size, value));
}

/* Register BARs answer with a tag and the offset. */
static uint64_t tag_read(void *opaque, uint64_t offset, unsigned size)
{
	return (uintptr_t)opaque << 16 | offset;
}

static void tag_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
}

static const struct bus_ops tag_ops = {tag_read, tag_write};

static void on_place(void *opaque, uint64_t gpa)
{
	struct bridge *b = opaque;
	b->window = gpa;
	b->window_moves++;
}

static void on_reset(void *opaque)
{
	((struct bridge *)opaque)->resets++;
}

static struct pci_device *make_device(struct bridge *b, unsigned slot)
{
	static const struct pci_device_ops ops = {.on_reset = on_reset};
	const struct pci_device_config config = {
		.name = "dev",
		.vendor_id = 0x1234,
		.device_id = 0x5678,
		.class_code = 0x010203,
		.revision = 9,
		.subsystem_vendor_id = 0xabcd,
		.subsystem_id = 0xef01,
		.has_intx = true,
	};
	struct pci_device *device = pci_device_create(b->host, slot, &config, &ops, b, NULL);
	assert_non_null(device);
	return device;
}

static struct pci_device *make_tagged(struct bridge *b, unsigned slot)
{
	struct pci_device *device = make_device(b, slot);
	assert_int_equal(pci_device_add_bar(device, 0, PCI_BAR_32, 0x4000, &tag_ops, (void *)(uintptr_t)slot, NULL), 0);
	return device;
}

static void absent_devices_read_as_ones(void **state)
{
	struct bridge b;
	bridge_init(&b);
	make_device(&b, 2);
	assert_int_equal(config_get(&b, 1, 0, 4), 0xffffffff);
	assert_int_equal(config_get(&b, 1, 0, 2), 0xffff);
	assert_int_equal(bus_get(&b, config_address(2, 0) + 0x1000, 4), 0xffffffff); /* function 1 */
	assert_int_equal(config_get(&b, 2, 0, 4), 0x56781234);
	assert_int_equal(config_get(&b, 2, 8, 4), 0x01020309);
	assert_int_equal(config_get(&b, 2, 0x2c, 4), 0xef01abcd);
	assert_int_equal(config_get(&b, 2, 0x3d, 1), 1);
	assert_int_equal(config_get(&b, 2, 0x100, 4), 0);
	assert_int_equal(config_get(&b, 0, 8, 4) >> 8, 0x060000);
	assert_int_equal(bus_get(&b, config_address(2, 0), 8), UINT64_C(0x56781234));
	config_set(&b, 2, 0, 4, 0);
	assert_int_equal(config_get(&b, 2, 0, 4), 0x56781234);
	assert_null(pci_device_create(b.host, 2, &(struct pci_device_config){.name = "x"},
				      &(struct pci_device_ops){0}, NULL, NULL));
	bridge_finish(&b);
}

static void bars_show_their_size_and_kind(void **state)
{
	struct bridge b;
	bridge_init(&b);
	struct pci_device *device = make_tagged(&b, 1);
	assert_int_equal(pci_device_add_window(device, 2, PCI_BAR_64_PREFETCHABLE, UINT64_C(1) << 31, on_place, &b, NULL), 0);
	for (unsigned reg = 0x10; reg < 0x28; reg += 4) {
		config_set(&b, 1, reg, 4, 0xffffffff);
	}
	assert_int_equal(config_get(&b, 1, 0x10, 4), 0xffffc000);
	assert_int_equal(config_get(&b, 1, 0x14, 4), 0);
	assert_int_equal(config_get(&b, 1, 0x18, 4), 0x8000000c);
	assert_int_equal(config_get(&b, 1, 0x1c, 4), 0xffffffff);
	assert_int_equal(config_get(&b, 1, 0x20, 4), 0);
	struct error err = {0};
	assert_int_equal(pci_device_add_window(device, 4, PCI_BAR_64, UINT64_C(1) << 40, on_place, &b, &err), -ENOSPC);
	bridge_finish(&b);
}

static void bars_move_and_go(void **state)
{
	struct bridge b;
	bridge_init(&b);
	make_tagged(&b, 1);
	config_set(&b, 1, 0x10, 4, MEM32 + 0x4000);
	assert_int_equal(bus_get(&b, MEM32 + 0x4000, 4), 0xffffffff); /* decoding is off */
	config_set(&b, 1, 4, 2, COMMAND_MEMORY);
	assert_int_equal(bus_get(&b, MEM32 + 0x4010, 4), 0x10010);
	config_set(&b, 1, 0x10, 4, MEM32 + 0x8000);
	assert_int_equal(bus_get(&b, MEM32 + 0x4010, 4), 0xffffffff);
	assert_int_equal(bus_get(&b, MEM32 + 0x8010, 4), 0x10010);
	config_set(&b, 1, 0x11, 1, 0xc0); /* one byte of the register */
	assert_int_equal(bus_get(&b, MEM32 + 0xc010, 4), 0x10010);
	config_set(&b, 1, 4, 2, 0);
	assert_int_equal(bus_get(&b, MEM32 + 0xc010, 4), 0xffffffff);
	bridge_finish(&b);
}

static void bars_stay_inside_the_windows(void **state)
{
	const uint32_t bad[] = {0, 0x40000000, ECAM, MEM32 + MEM32_LEN, MEM32 - 0x4000, 0xffffc000};
	struct bridge b;
	bridge_init(&b);
	make_tagged(&b, 1);
	config_set(&b, 1, 4, 2, COMMAND_MEMORY);
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		config_set(&b, 1, 0x10, 4, bad[i]);
		assert_int_not_equal(bus_get(&b, bad[i] + 0x10, 4), 0x10010);
	}
	config_set(&b, 1, 0x10, 4, MEM32 + MEM32_LEN - 0x4000);
	assert_int_equal(bus_get(&b, MEM32 + MEM32_LEN - 0x4000, 4), 0x10000);
	bridge_finish(&b);
}

static void overlapping_bars_wait_for_each_other(void **state)
{
	struct bridge b;
	bridge_init(&b);
	make_tagged(&b, 1);
	make_tagged(&b, 2);
	config_set(&b, 1, 0x10, 4, MEM32);
	config_set(&b, 2, 0x10, 4, MEM32);
	config_set(&b, 1, 4, 2, COMMAND_MEMORY);
	config_set(&b, 2, 4, 2, COMMAND_MEMORY);
	assert_int_equal(bus_get(&b, MEM32, 4), 0x10000);
	config_set(&b, 1, 0x10, 4, MEM32 + 0x4000); /* device 2 gets its place now */
	assert_int_equal(bus_get(&b, MEM32, 4), 0x20000);
	assert_int_equal(bus_get(&b, MEM32 + 0x4000, 4), 0x10000);
	bridge_finish(&b);
}

static void window_hears_where_it_is(void **state)
{
	struct bridge b;
	bridge_init(&b);
	struct pci_device *device = make_tagged(&b, 1);
	assert_int_equal(pci_device_add_window(device, 2, PCI_BAR_64_PREFETCHABLE, 0x100000, on_place, &b, NULL), 0);
	config_set(&b, 1, 4, 2, COMMAND_MEMORY);
	config_set(&b, 1, 0x18, 4, 0x40000000); /* would be over RAM: not decoded, nobody told */
	assert_int_equal(b.window_moves, 0);
	config_set(&b, 1, 0x1c, 4, MEM64 >> 32);
	assert_int_equal(b.window, MEM64 + 0x40000000);
	config_set(&b, 1, 0x18, 4, 0x50000000);
	assert_int_equal(b.window, MEM64 + 0x50000000);
	assert_int_equal(b.window_moves, 2);
	config_set(&b, 1, 4, 2, 0);
	assert_int_equal(b.window, PCI_NOWHERE);
	config_set(&b, 1, 4, 2, COMMAND_MEMORY);
	pci_host_reset(b.host);
	assert_int_equal(b.window, PCI_NOWHERE);
	assert_int_equal(b.resets, 1);
	assert_int_equal(config_get(&b, 1, 0x18, 4), 0xc);
	bridge_finish(&b);
}

/* A device with MSI-X in BAR 4, placed at MEM32. */
static struct pci_device *make_msix(struct bridge *b, unsigned wanted, int got)
{
	struct pci_device *device = make_device(b, 1);
	assert_int_equal(pci_device_add_msix(device, 4, wanted, NULL), got);
	config_set(b, 1, 0x20, 4, MEM32);
	config_set(b, 1, 4, 2, COMMAND_MEMORY);
	return device;
}

static void fill_vector(struct bridge *b, unsigned vector, uint32_t data, uint32_t mask)
{
	bus_write(b->bus, MEM32 + vector * 16, 8, UINT64_C(0x100000040));
	bus_write(b->bus, MEM32 + vector * 16 + 8, 4, data);
	bus_write(b->bus, MEM32 + vector * 16 + 12, 4, mask);
}

static void msix_masks_and_remembers(void **state)
{
	struct bridge b;
	bridge_init(&b);
	struct pci_device *device = make_msix(&b, 4, 4);
	unsigned cap = config_get(&b, 1, 0x34, 1);
	assert_int_equal(config_get(&b, 1, cap, 1), 0x11);
	assert_int_equal(config_get(&b, 1, cap + 2, 2), 3);
	assert_int_equal(bus_get(&b, MEM32 + 12, 4), 1); /* masked after reset */
	fill_vector(&b, 2, 77, 0);
	pci_device_raise_msix(device, 2);
	assert_int_equal(b.chip.messages, 0); /* MSI-X is off */
	config_set(&b, 1, cap + 2, 2, 0x8000);
	assert_int_equal(b.chip.messages, 0);
	pci_device_raise_msix(device, 2);
	assert_int_equal(b.chip.messages, 1);
	assert_int_equal(b.chip.data, 77);
	assert_true(b.chip.address == UINT64_C(0x100000040));
	assert_int_equal(b.chip.requester, 1 << 3);
	bus_write(b.bus, MEM32 + 2 * 16 + 12, 4, 1);
	pci_device_raise_msix(device, 2);
	pci_device_raise_msix(device, 2);
	assert_int_equal(b.chip.messages, 1);
	assert_int_equal(bus_get(&b, MEM32 + 4096, 8), 4);
	bus_write(b.bus, MEM32 + 4096, 8, 0); /* pending bits are read-only */
	bus_write(b.bus, MEM32 + 2 * 16 + 12, 4, 0);
	assert_int_equal(b.chip.messages, 2); /* once */
	assert_int_equal(bus_get(&b, MEM32 + 4096, 8), 0);
	config_set(&b, 1, cap + 2, 2, 0xc000);
	pci_device_raise_msix(device, 2);
	assert_int_equal(b.chip.messages, 2);
	config_set(&b, 1, cap + 2, 2, 0x8000);
	assert_int_equal(b.chip.messages, 3);
	pci_device_raise_msix(device, 4);
	pci_device_raise_msix(device, 0xffff);
	assert_int_equal(b.chip.messages, 3);
	bridge_finish(&b);
}

static void msix_stops_at_the_budget(void **state)
{
	log_set_level(LOG_ERROR);
	struct bridge b;
	bridge_init(&b);
	make_msix(&b, 100, BUDGET);
	assert_int_equal(pci_host_vectors_left(b.host), 0);
	struct pci_device *other = make_device(&b, 2);
	assert_int_equal(pci_device_add_msix(other, 4, 2, NULL), 0);
	assert_int_equal(config_get(&b, 2, 0x34, 1), 0);
	bridge_finish(&b);
}

static void intx_is_shared_masked_and_silenced(void **state)
{
	struct bridge b;
	bridge_init(&b);
	struct pci_device *one = make_device(&b, 2), *two = make_device(&b, 6);
	pci_device_set_intx(one, true);
	assert_true(b.chip.level[5]);
	assert_int_equal(config_get(&b, 2, 6, 2) & 8, 8);
	assert_int_equal(config_get(&b, 2, 4, 4) & 0x80000, 0x80000);
	pci_device_set_intx(two, true);
	pci_device_set_intx(one, false);
	assert_true(b.chip.level[5]);
	config_set(&b, 6, 4, 2, 0x400); /* INTx disable */
	assert_false(b.chip.level[5]);
	config_set(&b, 6, 4, 2, 0);
	assert_true(b.chip.level[5]);
	pci_device_set_intx(two, false);
	assert_false(b.chip.level[5]);
	bridge_finish(&b);
}

/* ---- virtio over PCI ---- */

struct vdev {
	struct virtio_device base;
	uint64_t placed;
	unsigned notified;
	uint8_t config[8];
};

static void vdev_notify(struct virtio_device *device, unsigned index)
{
	((struct vdev *)device)->notified++;
}

static uint64_t vdev_config_read(struct virtio_device *device, unsigned offset, unsigned size)
{
	return virtio_config_load(((struct vdev *)device)->config, 8, offset, size);
}

static void vdev_place(struct virtio_device *device, uint64_t gpa)
{
	((struct vdev *)device)->placed = gpa;
}

static void vdev_destroy(struct virtio_device *device)
{
	virtio_device_finish(device);
	free(device);
}

static struct vdev *vdev_create(struct fake_driver *d)
{
	static const struct virtio_device_ops ops = {
		.config_read = vdev_config_read, .notify = vdev_notify, .destroy = vdev_destroy};
	struct vdev *v = calloc(1, sizeof(*v));
	assert_non_null(v);
	*v = (struct vdev){
		.base =
			{
				.name = "vdev",
				.ops = &ops,
				.loop = d->loop,
				.gmem = d->gmem,
				.id = VIRTIO_ID_GPU,
				.pci_class = 0x038000,
				.features = 3,
				.queue_count = 2,
				.queue_size = 64,
				.config_len = 8,
				.shm = {.id = 1, .len = UINT64_C(1) << 31, .place = vdev_place},
			},
		.config = {1, 2, 3, 4, 5, 6, 7, 8},
	};
	assert_int_equal(virtio_device_init(&v->base, NULL), 0);
	return v;
}

struct vrig {
	struct bridge b;
	struct fake_driver d;
	struct vdev *v;
	unsigned cap[9];   /* by configuration type */
};

enum { COMMON = MEM32, ISR = MEM32 + 0x1000, DEVCFG = MEM32 + 0x2000, NOTIFY = MEM32 + 0x3000, MSIX = MEM32 + 0x100000 };

static void vrig_init(struct vrig *r)
{
	bridge_init(&r->b);
	fake_init(&r->d);
	r->v = vdev_create(&r->d);
	assert_int_equal(virtio_pci_attach(r->b.host, 1, &r->v->base, NULL), 0);
	for (unsigned at = config_get(&r->b, 1, 0x34, 1); at; at = config_get(&r->b, 1, at + 1, 1)) {
		if (config_get(&r->b, 1, at, 1) == 9) {
			r->cap[config_get(&r->b, 1, at + 3, 1)] = at;
		}
	}
	config_set(&r->b, 1, 0x10, 4, MEM32);
	config_set(&r->b, 1, 0x20, 4, MSIX);
	config_set(&r->b, 1, 0x1c, 4, MEM64 >> 32);
	config_set(&r->b, 1, 4, 2, COMMAND_MEMORY);
}

static void vrig_finish(struct vrig *r)
{
	r->d.device = NULL;
	bridge_finish(&r->b);
	fake_finish(&r->d);
}

static void virtio_capabilities_lead_to_the_registers(void **state)
{
	struct vrig r;
	vrig_init(&r);
	assert_int_equal(config_get(&r.b, 1, 0, 4), 0x10501af4);
	for (unsigned type = 1; type <= 5; type++) {
		assert_int_not_equal(r.cap[type], 0);
	}
	unsigned shm = r.cap[8];
	assert_int_equal(config_get(&r.b, 1, shm + 2, 1), 24);
	assert_int_equal(config_get(&r.b, 1, shm + 4, 1), 2); /* BAR */
	assert_int_equal(config_get(&r.b, 1, shm + 5, 1), 1); /* shmid */
	assert_int_equal(config_get(&r.b, 1, shm + 8, 4), 0);
	assert_int_equal(config_get(&r.b, 1, shm + 12, 4), 0x80000000);
	assert_int_equal(config_get(&r.b, 1, shm + 20, 4), 0);
	assert_true(r.v->placed == MEM64);
	assert_int_equal(config_get(&r.b, 1, r.cap[2] + 16, 4), 4);
	assert_int_equal(bus_get(&r.b, COMMON + 0x12, 2), 2);
	assert_int_equal(bus_get(&r.b, COMMON + 0x18, 2), 64);
	assert_int_equal(bus_get(&r.b, DEVCFG + 2, 2), 0x0403);
	assert_int_equal(bus_get(&r.b, DEVCFG + 6, 4), 0x0807); /* half outside */
	vrig_finish(&r);
}

/* Negotiate by registers, with both queues. */
static void vrig_start(struct vrig *r)
{
	bus_write(r->b.bus, COMMON + 0x14, 1, 0);
	bus_write(r->b.bus, COMMON + 0x14, 1, 3);
	bus_write(r->b.bus, COMMON + 0x00, 4, 1);
	assert_int_equal(bus_get(&r->b, COMMON + 4, 4), 1); /* VERSION_1 */
	bus_write(r->b.bus, COMMON + 0x08, 4, 1);
	bus_write(r->b.bus, COMMON + 0x0c, 4, 1);
	bus_write(r->b.bus, COMMON + 0x14, 1, 0xb);
	assert_int_equal(bus_get(&r->b, COMMON + 0x14, 1), 0xb);
	for (unsigned i = 0; i < 2; i++) {
		bus_write(r->b.bus, COMMON + 0x16, 2, i);
		bus_write(r->b.bus, COMMON + 0x18, 2, 8);
		bus_write(r->b.bus, COMMON + 0x1a, 2, i + 1);
		assert_int_equal(bus_get(&r->b, COMMON + 0x1a, 2), i + 1);
		bus_write(r->b.bus, COMMON + 0x20, 8, FAKE_RAM_BASE + i * 0x10000);
		bus_write(r->b.bus, COMMON + 0x28, 4, FAKE_RAM_BASE + i * 0x10000 + 0x1000);
		bus_write(r->b.bus, COMMON + 0x2c, 4, 0);
		bus_write(r->b.bus, COMMON + 0x30, 8, FAKE_RAM_BASE + i * 0x10000 + 0x2000);
		bus_write(r->b.bus, COMMON + 0x1c, 2, 1);
	}
	bus_write(r->b.bus, COMMON + 0x14, 1, 0xf);
	fake_pump(&r->d);
}

static void virtio_registers_set_a_device_up(void **state)
{
	struct vrig r;
	vrig_init(&r);
	vrig_start(&r);
	assert_int_equal(r.v->notified, 2);
	assert_true(bus_get(&r.b, COMMON + 0x20, 8) == FAKE_RAM_BASE + 0x10000);
	bus_write(r.b.bus, COMMON + 0x18, 2, 4); /* too late */
	assert_int_equal(bus_get(&r.b, COMMON + 0x18, 2), 8);
	bus_write(r.b.bus, NOTIFY + 4, 2, 1);
	fake_pump(&r.d);
	assert_int_equal(r.v->notified, 3);
	/* The kernel's way: the eventfd of the doorbell alone. */
	assert_int_equal(eventfd_write(virtio_transport_bell(&r.v->base, 1), 1), 0);
	fake_pump(&r.d);
	assert_int_equal(r.v->notified, 4);
	assert_int_equal(virtio_transport_bell(&r.v->base, 2), -1);
	bus_write(r.b.bus, NOTIFY + 4 * 40, 2, 40); /* no such queue */
	bus_write(r.b.bus, COMMON + 0x16, 2, 99);
	assert_int_equal(bus_get(&r.b, COMMON + 0x18, 2), 0);
	bus_write(r.b.bus, COMMON + 0x1c, 2, 1);
	bus_write(r.b.bus, COMMON + 0x1a, 2, 99);
	bus_write(r.b.bus, COMMON + 0x10, 2, 3); /* three vectors: 0..2 */
	assert_int_equal(bus_get(&r.b, COMMON + 0x10, 2), 0xffff);
	bus_write(r.b.bus, COMMON + 0x14, 1, 0);
	fake_pump(&r.d);
	assert_int_equal(bus_get(&r.b, COMMON + 0x14, 1), 0);
	bus_write(r.b.bus, COMMON + 0x16, 2, 0);
	assert_int_equal(bus_get(&r.b, COMMON + 0x1a, 2), 0xffff);
	assert_int_equal(bus_get(&r.b, COMMON + 0x18, 2), 64);
	vrig_start(&r);
	vrig_finish(&r);
}

static void virtio_interrupts_take_their_way(void **state)
{
	struct vrig r;
	vrig_init(&r);
	vrig_start(&r);
	uint8_t generation = (uint8_t)bus_get(&r.b, COMMON + 0x15, 1);
	virtio_device_config_changed(&r.v->base);
	assert_int_not_equal(bus_get(&r.b, COMMON + 0x15, 1), generation);
	assert_true(r.b.chip.level[4]); /* slot 1 */
	assert_int_equal(bus_get(&r.b, ISR, 1), 2);
	assert_false(r.b.chip.level[4]);
	assert_int_equal(bus_get(&r.b, ISR, 1), 0);
	unsigned cap = config_get(&r.b, 1, 0x34, 1); /* MSI-X comes first */
	config_set(&r.b, 1, cap + 2, 2, 0x8000);
	bus_write(r.b.bus, MSIX, 8, 0x40);
	bus_write(r.b.bus, MSIX + 8, 8, 55);
	bus_write(r.b.bus, COMMON + 0x10, 2, 0);
	virtio_device_break(&r.v->base, "for a test");
	assert_int_equal(r.b.chip.messages, 1);
	assert_int_equal(r.b.chip.data, 55);
	assert_int_equal(bus_get(&r.b, COMMON + 0x14, 1), 0x4f);
	assert_false(r.b.chip.level[4]);
	vrig_finish(&r);
}

static void virtio_window_in_config_space_works(void **state)
{
	struct vrig r;
	vrig_init(&r);
	unsigned cap = r.cap[5];
	config_set(&r.b, 1, cap + 4, 1, 0);
	config_set(&r.b, 1, cap + 8, 4, 0x2004);
	config_set(&r.b, 1, cap + 12, 4, 2);
	assert_int_equal(config_get(&r.b, 1, cap + 16, 4), 0x0605);
	config_set(&r.b, 1, cap + 8, 4, 0x14);
	config_set(&r.b, 1, cap + 12, 4, 1);
	config_set(&r.b, 1, cap + 16, 4, 0xff01);
	assert_int_equal(bus_get(&r.b, COMMON + 0x14, 1), 1);
	const uint32_t bad[][3] = {{1, 0, 4}, {0, 0x3ffe, 4}, {0, 0x4000, 1}, {0, 2, 4}, {0, 0, 3}, {0, 0, 0}, {0, UINT32_MAX, 4}};
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		config_set(&r.b, 1, cap + 4, 1, bad[i][0]);
		config_set(&r.b, 1, cap + 8, 4, bad[i][1]);
		config_set(&r.b, 1, cap + 12, 4, bad[i][2]);
		config_set(&r.b, 1, cap + 16, 4, 0);
		config_get(&r.b, 1, cap + 16, 4);
	}
	assert_int_equal(bus_get(&r.b, COMMON + 0x14, 1), 1);
	vrig_finish(&r);
}

static void *run_loop(void *opaque)
{
	loop_run(opaque);
	return NULL;
}

static void virtio_reset_waits_for_the_loop(void **state)
{
	struct vrig r;
	vrig_init(&r);
	vrig_start(&r);
	pthread_t thread;
	assert_int_equal(pthread_create(&thread, NULL, run_loop, r.d.loop), 0);
	bus_write(r.b.bus, COMMON + 0x14, 1, 0);
	assert_int_equal(bus_get(&r.b, COMMON + 0x14, 1), 0); /* at once for a driver that does not poll */
	loop_stop(r.d.loop);
	pthread_join(thread, NULL);
	vrig_finish(&r);
}

int main(void)
{
	log_set_level(LOG_ERROR);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(absent_devices_read_as_ones),
		cmocka_unit_test(bars_show_their_size_and_kind),
		cmocka_unit_test(bars_move_and_go),
		cmocka_unit_test(bars_stay_inside_the_windows),
		cmocka_unit_test(overlapping_bars_wait_for_each_other),
		cmocka_unit_test(window_hears_where_it_is),
		cmocka_unit_test(msix_masks_and_remembers),
		cmocka_unit_test(msix_stops_at_the_budget),
		cmocka_unit_test(intx_is_shared_masked_and_silenced),
		cmocka_unit_test(virtio_capabilities_lead_to_the_registers),
		cmocka_unit_test(virtio_registers_set_a_device_up),
		cmocka_unit_test(virtio_interrupts_take_their_way),
		cmocka_unit_test(virtio_window_in_config_space_works),
		cmocka_unit_test(virtio_reset_waits_for_the_loop),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
