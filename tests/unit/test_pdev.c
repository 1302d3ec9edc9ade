/* SPDX-License-Identifier: Apache-2.0 */
/* test_pdev.c - a vfio-user device of our own server behind a root port, as a guest sees it */
#include "base/log.h"
#include "base/own.h"
#include "bus/bus.h"
#include "bus/irq.h"
#include "passthrough/pdev.h"
#include "passthrough/vfu_server.h"
#include "passthrough/vfu_stream.h"
#include "unit.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

#define MEM64 UINT64_C(0x8000000000)

enum {
	ECAM = 0x3f000000,
	MEM32 = 0x10000000,
	RAM = 0x40000000,
	PORT_SLOT = 1,
	BAR_LEN = 0x4000,
	TABLE = 0x2000,
	PENDING = 0x3000,
	VECTORS = 12,
	CAP_EXPRESS = 0x40,
	CAP_MSIX = 0x80,
	COMMAND_ON = 0x0006,
	SLOT_CONTROL = 0x18,
	SLOT_STATUS = 0x1a,
};

/* ----- the device ----- */

struct device {
	uint8_t config[4096];
	uint32_t registers[BAR_LEN / 4];
	int fd; /* backs the first page of the BAR */
	bool seal;
	atomic_uint unmasks, resets, maps;
	atomic_uint last_write; /* offset in the BAR */
	atomic_bool connected;
	int reset_status;		   /* of its reset */
	bool reset_renames, reset_shrinks; /* what that does to it */
	uint64_t bar_len;
};

static void device_region(void *opaque, unsigned index, struct backend_region *out)
{
	const struct device *d = opaque;
	out->readable = out->writable = true;
	if (index == BACKEND_CONFIG) {
		out->size = sizeof(d->config);
	} else if (index == 0) {
		*out = (struct backend_region){d->bar_len, true, true, d->fd, 0, 1, {{0, 0x1000}}};
	}
}

static int device_read(void *opaque, unsigned region, uint64_t offset, void *to, size_t len)
{
	const struct device *d = opaque;
	memcpy(to, (region == BACKEND_CONFIG ? d->config : (const uint8_t *)d->registers) + offset,
	       len);
	return 0;
}

static int device_write(void *opaque, unsigned region, uint64_t offset, const void *from,
			size_t len)
{
	struct device *d = opaque;
	if (region == BACKEND_CONFIG) {
		memcpy(d->config + offset, from, offset < 4 ? 0 : len);
		d->config[0x10] = 0x0c; /* the kind of BAR stays */
	} else {
		memcpy((uint8_t *)d->registers + offset, from, len);
		atomic_store(&d->last_write, (unsigned)offset);
	}
	return 0;
}

static unsigned device_irqs(void *opaque, unsigned index)
{
	return index == BACKEND_MSIX ? VECTORS : index == BACKEND_INTX;
}

static int device_reset(void *opaque)
{
	struct device *d = opaque;
	atomic_fetch_add(&d->resets, 1);
	d->config[0] ^= d->reset_renames;
	d->bar_len = d->reset_shrinks ? BAR_LEN / 2 : BAR_LEN;
	return d->reset_status;
}

static int device_memory(void *opaque, const struct vfu_server_map *map, bool added)
{
	atomic_fetch_add(&((struct device *)opaque)->maps, added ? 1 : -1u);
	return 0;
}

static void device_unmask(void *opaque)
{
	atomic_fetch_add(&((struct device *)opaque)->unmasks, 1);
}

static void device_connected(void *opaque, bool connected)
{
	atomic_store(&((struct device *)opaque)->connected, connected);
}

static const struct vfu_server_ops device_ops = {
	.region = device_region,
	.read = device_read,
	.write = device_write,
	.irqs = device_irqs,
	.reset = device_reset,
	.memory = device_memory,
	.unmask_intx = device_unmask,
	.connected = device_connected,
};

static void put32(struct device *d, unsigned at, uint32_t value)
{
	memcpy(d->config + at, &value, sizeof(value));
}

static void device_init(struct device *d, bool seal)
{
	d->bar_len = BAR_LEN;
	put32(d, 0x00, 0x56781234);
	put32(d, 0x04, 0x00100000);
	put32(d, 0x10, 0x0000000c);
	put32(d, 0x34, CAP_EXPRESS);
	put32(d, 0x3c, 0x00000100);
	put32(d, CAP_EXPRESS, 0x00020010 | CAP_MSIX << 8);
	put32(d, CAP_MSIX, 0x00000011 | (VECTORS - 1) << 16);
	put32(d, CAP_MSIX + 4, TABLE);
	put32(d, CAP_MSIX + 8, PENDING);
	put32(d, 0xd0, 0xcafe0000); /* a register of its own */
	d->fd = memfd_create("bar", MFD_CLOEXEC | (seal ? MFD_ALLOW_SEALING : 0));
	assert_int_equal(ftruncate(d->fd, 0x1000), 0);
}

/* ----- the machine ----- */

struct bench {
	struct irq_chip chip;
	atomic_uint level, messages, message_data; /* level: a bit for each line */
	irq_end_fn on_end;
	void *on_end_opaque;
	struct bus *bus;
	struct pci_host *host;
	struct pci_device *port;
	struct gmem *gmem;
	struct pdev *pdev;
	atomic_uint gone, ejects;
	struct device device;
	struct loop *loop;
	struct vfu_server *server;
	pthread_t thread;
	char path[64];
};

static void chip_set_line(struct irq_chip *chip, unsigned line, bool level)
{
	struct bench *b = (struct bench *)chip;
	if (level) {
		atomic_fetch_or(&b->level, 1u << line);
	} else {
		atomic_fetch_and(&b->level, ~(1u << line));
	}
}

static void chip_send_msi(struct irq_chip *chip, uint64_t address, uint32_t data,
			  uint16_t requester)
{
	struct bench *b = (struct bench *)chip;
	atomic_store(&b->message_data, data | (unsigned)requester << 16);
	atomic_fetch_add(&b->messages, 1);
}

static int chip_watch_end(struct irq_chip *chip, unsigned line, irq_end_fn fn, void *opaque)
{
	struct bench *b = (struct bench *)chip;
	b->on_end = fn;
	b->on_end_opaque = opaque;
	return 0;
}

static const struct irq_chip_ops chip_ops = {chip_set_line, chip_send_msi, chip_watch_end};

static void on_eject(void *opaque)
{
	atomic_fetch_add(&((struct bench *)opaque)->ejects, 1);
}

static const struct pci_port_ops port_ops = {on_eject};

static void on_gone(void *opaque, const char *name, const char *why)
{
	atomic_fetch_add(&((struct bench *)opaque)->gone, 1);
}

static void *server_main(void *opaque)
{
	loop_run(opaque);
	return NULL;
}

static void server_start(struct bench *b)
{
	b->loop = loop_create(NULL);
	snprintf(b->path, sizeof(b->path), "/tmp/oriel-test-pdev-%d", (int)getpid());
	b->server = vfu_server_create(b->loop, b->path, &device_ops, &b->device, NULL);
	assert_non_null(b->server);
	pthread_create(&b->thread, NULL, server_main, b->loop);
}

static void server_stop(struct bench *b)
{
	if (b->server) {
		loop_stop(b->loop);
		pthread_join(b->thread, NULL);
		vfu_server_destroy(b->server);
		loop_destroy(b->loop);
		b->server = NULL;
	}
}

static uint64_t get(struct bench *b, uint64_t gpa, unsigned size)
{
	uint64_t value;
	bus_read(b->bus, gpa, size, &value);
	return value;
}

static void set(struct bench *b, uint64_t gpa, unsigned size, uint64_t value)
{
	bus_write(b->bus, gpa, size, value);
}

/* Register @reg of the port, and of what is behind it. */
static uint64_t port_at(unsigned reg)
{
	return ECAM + (PORT_SLOT << 15) + reg;
}

static uint64_t dev_at(unsigned reg)
{
	return ECAM + (1 << 20) + reg;
}

/* What a guest's PCI core does: bus numbers, windows, BAR 0 at MEM64. */
static void enumerate(struct bench *b)
{
	set(b, port_at(0x18), 4, 0x00010100);
	set(b, port_at(0x20), 4, 0x1010 << 16 | 0x1000);
	set(b, port_at(0x24), 4, 0);
	set(b, port_at(0x28), 4, MEM64 >> 32);
	set(b, port_at(0x2c), 4, MEM64 >> 32);
	set(b, port_at(4), 2, COMMAND_ON);
	set(b, dev_at(0x10), 4, 0);
	set(b, dev_at(0x14), 4, MEM64 >> 32);
	set(b, dev_at(4), 2, COMMAND_ON);
}

static int plug(struct bench *b, const struct pdev_options *more, struct error *err)
{
	struct pdev_options options = more ? *more : (struct pdev_options){0};
	const struct pdev_parts parts = {
		.host = b->host, .port = b->port, .gmem = b->gmem, .on_gone = on_gone, .opaque = b};
	options.kind = PDEV_VFIO_USER;
	options.address = b->path;
	options.timeout_ms = 8000;
	b->pdev = pdev_create(&options, &parts, err);
	if (!b->pdev) {
		return -1;
	}
	pci_port_announce(b->port);
	return 0;
}

static void machine_start(struct bench *b, bool seal)
{
	*b = (struct bench){.chip.ops = &chip_ops, .bus = bus_create(), .gmem = gmem_create()};
	const struct pci_host_config config = {
		.bus = b->bus,
		.irq = &b->chip,
		.ecam = {ECAM, 2 << 20},
		.memory32 = {MEM32, 0x1000000},
		.memory64 = {MEM64, UINT64_C(1) << 39},
		.intx_lines = {3, 4, 5, 6},
		.msi_vector_budget = 32,
	};
	assert_int_equal(gmem_add_ram(b->gmem, RAM, 0x100000, NULL), 0);
	gmem_seal(b->gmem);
	b->host = pci_host_create(&config, NULL);
	b->port = pci_port_create(b->host, "port", &port_ops, b, NULL);
	assert_non_null(b->port);
	device_init(&b->device, seal);
	server_start(b);
}

static void bench_start(struct bench *b)
{
	struct error err = {0};
	machine_start(b, true);
	if (plug(b, NULL, &err) < 0) {
		fail_msg("%s", err.text);
	}
	enumerate(b);
}

static void bench_finish(struct bench *b)
{
	pci_host_destroy(b->host);
	server_stop(b);
	bus_destroy(b->bus);
	gmem_destroy(b->gmem);
	close(b->device.fd);
}

static void wait_for(atomic_uint *what, unsigned value)
{
	for (int i = 0; i < 3000 && atomic_load(what) != value; i++) {
		usleep(1000);
	}
	assert_int_equal(atomic_load(what), value);
}

/* ----- tests ----- */

static void configuration_is_ours_and_the_devices(void **state)
{
	struct bench b;
	bench_start(&b);
	assert_int_equal(get(&b, dev_at(0), 4), 0x56781234);
	assert_int_equal(get(&b, dev_at(0xd0), 4), 0xcafe0000);
	set(&b, dev_at(0xd2), 2, 0xbeef);
	assert_int_equal(get(&b, dev_at(0xd0), 4), 0xbeef0000);
	assert_int_equal(get(&b, dev_at(4), 4), 0x00100000 | COMMAND_ON);
	set(&b, dev_at(0x10), 4, UINT32_MAX);
	set(&b, dev_at(0x14), 4, UINT32_MAX);
	assert_int_equal(get(&b, dev_at(0x10), 8), (UINT64_MAX - BAR_LEN + 1) | 0xc);
	assert_int_equal(b.device.config[4], COMMAND_ON); /* there it decodes all the time */
	set(&b, dev_at(4), 2, 0);
	assert_int_equal(b.device.config[4], 2);
	assert_int_not_equal(b.device.config[0x15] | b.device.config[0x14],
			     0xff); /* and at an address of its own */
	bench_finish(&b);
}

static void mapped_page_is_shared_and_the_rest_is_passed_on(void **state)
{
	struct bench b;
	uint32_t word = 0;
	bench_start(&b);
	set(&b, MEM64 + 0x10, 4, 0x11223344);
	assert_int_equal(pread(b.device.fd, &word, 4, 0x10), 4);
	assert_int_equal(word, 0x11223344);
	assert_int_equal(get(&b, MEM64 + 0x12, 2), 0x1122);
	assert_int_equal(b.device.registers[4], 0);
	set(&b, MEM64 + 0x1008, 4, 77);
	assert_int_equal(get(&b, MEM64 + 0x1008, 4), 77); /* in order behind the write */
	assert_int_equal(b.device.registers[0x1008 / 4], 77);
	set(&b, MEM64 + 0x1ffc, 8, UINT64_C(0x500000001)); /* over a border: passed on as it is */
	bench_finish(&b);
}

static void memory_that_could_vanish_is_not_mapped(void **state)
{
	struct bench b;
	log_set_level(LOG_ERROR);
	for (unsigned i = 0; i < 2; i++) { /* can not be sealed; or the user says so */
		machine_start(&b, i == 1);
		assert_int_equal(plug(&b, &(struct pdev_options){.trapped_bars = i}, NULL), 0);
		enumerate(&b);
		set(&b, MEM64 + 0x10, 4, 5);
		assert_int_equal(get(&b, MEM64 + 0x10, 4), 5);
		assert_int_equal(b.device.registers[4], 5);
		bench_finish(&b);
	}
}

static void bar_follows_its_register_and_the_ports_window(void **state)
{
	struct bench b;
	bench_start(&b);
	set(&b, MEM64 + 0x10, 4, 9);
	set(&b, dev_at(0x10), 4, 0x10000);
	assert_int_equal(get(&b, MEM64 + 0x10, 4), UINT32_MAX);
	assert_int_equal(get(&b, MEM64 + 0x10010, 4), 9);
	set(&b, dev_at(0x10), 4, 0x100000); /* behind the window of 1 MiB */
	assert_int_equal(get(&b, MEM64 + 0x100010, 4), UINT32_MAX);
	set(&b, port_at(0x26), 2, 0x10); /* which grows now */
	assert_int_equal(get(&b, MEM64 + 0x100010, 4), 9);
	set(&b, port_at(4), 2, 0);
	assert_int_equal(get(&b, MEM64 + 0x100010, 4), UINT32_MAX);
	bench_finish(&b);
}

static void fill_vector(struct bench *b, unsigned vector, uint32_t data, uint32_t masked)
{
	set(b, MEM64 + TABLE + vector * 16, 8, 0x8020040);
	set(b, MEM64 + TABLE + vector * 16 + 8, 4, data);
	set(b, MEM64 + TABLE + vector * 16 + 12, 4, masked);
}

static void msix_reaches_the_guest_unless_masked(void **state)
{
	struct bench b;
	bench_start(&b);
	assert_int_equal(get(&b, dev_at(CAP_MSIX), 4) >> 16, VECTORS - 1);
	fill_vector(&b, 10, 96, 0);
	fill_vector(&b, 3, 97, 1);
	set(&b, dev_at(CAP_MSIX + 2), 2, 0x8000);
	assert_int_equal(b.device.config[CAP_MSIX + 3], 0x80); /* the device was told */
	assert_int_equal(b.device.registers[(TABLE + 10 * 16 + 12) / 4], 0);
	vfu_server_trigger(b.server, BACKEND_MSIX, 10);
	wait_for(&b.messages, 1);
	assert_int_equal(atomic_load(&b.message_data), 96 | 0x0100 << 16); /* from bus 1 */
	vfu_server_trigger(b.server, BACKEND_MSIX, 3);
	for (int i = 0; i < 3000 && !get(&b, MEM64 + PENDING, 8); i++) {
		usleep(1000);
	}
	assert_int_equal(get(&b, MEM64 + PENDING, 8), 1 << 3);
	assert_int_equal(atomic_load(&b.messages), 1);
	set(&b, MEM64 + TABLE + 3 * 16 + 12, 4, 0);
	wait_for(&b.messages, 2);
	set(&b, dev_at(CAP_MSIX + 2), 2, 0);
	vfu_server_trigger(b.server, BACKEND_MSIX, 10); /* nobody listens any more */
	usleep(20000);
	assert_int_equal(atomic_load(&b.messages), 2);
	bench_finish(&b);
}

static void intx_stays_until_ended_and_comes_again(void **state)
{
	struct bench b;
	bench_start(&b);
	const unsigned line = 3 + PORT_SLOT % 4;
	vfu_server_trigger(b.server, BACKEND_INTX, 0);
	wait_for(&b.level, 1u << line);
	b.on_end(b.on_end_opaque, line);
	assert_int_equal(atomic_load(&b.level), 0); /* before the guest's next instruction */
	wait_for(&b.device.unmasks, 1);
	vfu_server_trigger(b.server, BACKEND_INTX, 0);
	wait_for(&b.level, 1u << line);
	set(&b, dev_at(4), 2, COMMAND_ON | 0x400); /* the guest turns INTx off */
	assert_int_equal(atomic_load(&b.level), 0);
	bench_finish(&b);
}

static void guests_reset_reaches_the_device(void **state)
{
	struct bench b;
	bench_start(&b);
	unsigned before = atomic_load(&b.device.resets);
	set(&b, dev_at(CAP_MSIX + 2), 2, 0x8000);
	set(&b, dev_at(CAP_EXPRESS + 8), 2, 0x8000); /* FLR */
	assert_int_equal(atomic_load(&b.device.resets), before + 1);
	assert_int_equal(b.device.config[4], COMMAND_ON);
	pci_host_reset(b.host);
	assert_int_equal(atomic_load(&b.device.resets), before + 2);
	assert_int_equal(get(&b, MEM64 + 0x10, 4), UINT32_MAX);
	enumerate(&b);
	vfu_server_trigger(b.server, BACKEND_INTX, 0); /* MSI-X is off again */
	wait_for(&b.level, 1u << 4);
	bench_finish(&b);
}

static void lost_server_leaves_ones(void **state)
{
	struct bench b;
	log_set_level(LOG_ERROR);
	bench_start(&b);
	set(&b, MEM64 + 0x10, 4, 9);
	server_stop(&b);
	wait_for(&b.gone, 1);
	assert_int_equal(get(&b, dev_at(0), 4), UINT32_MAX);
	assert_int_equal(get(&b, MEM64 + 0x10, 4), UINT32_MAX); /* mapped or not */
	assert_int_equal(get(&b, MEM64 + 0x1000, 4), UINT32_MAX);
	set(&b, MEM64 + 0x1000, 4, 1);
	set(&b, dev_at(4), 2, 0);
	pci_host_reset(b.host);
	bench_finish(&b);
}

static void slot_tells_the_guest_and_waits_for_it(void **state)
{
	struct bench b;
	unsigned express = 0x40;
	machine_start(&b, true);
	set(&b, port_at(0x18), 4, 0x00010100);
	while (get(&b, port_at(express), 1) != 0x10) {
		express = (unsigned)get(&b, port_at(express + 1), 1);
	}
	assert_int_equal(get(&b, port_at(express + SLOT_STATUS), 2), 0);
	assert_int_equal(get(&b, dev_at(0), 4), UINT32_MAX);
	set(&b, port_at(express + SLOT_CONTROL), 2, 0x0429 | 0x1000); /* off, events on */
	assert_int_equal(plug(&b, NULL, NULL), 0);
	assert_int_equal(get(&b, port_at(express + SLOT_STATUS), 2),
			 0x148);			  /* present, both changed */
	assert_int_equal(atomic_load(&b.level), 1u << 4); /* MSI is off: by INTA */
	set(&b, port_at(express + SLOT_STATUS), 2, 0x108);
	assert_int_equal(atomic_load(&b.level), 0);
	assert_int_equal(get(&b, dev_at(0), 4), UINT32_MAX); /* without power */
	set(&b, port_at(express + SLOT_CONTROL), 2, 0x1029);
	assert_int_equal(get(&b, port_at(express + SLOT_STATUS), 2), 0x140); /* the link is up */
	assert_int_equal(get(&b, dev_at(0), 4), 0x56781234);
	enumerate(&b);
	set(&b, port_at(express + SLOT_STATUS), 2, 0x100);
	pci_port_request_eject(b.port);
	assert_int_equal(get(&b, port_at(express + SLOT_STATUS), 2), 0x41); /* the button */
	set(&b, port_at(express + SLOT_CONTROL), 2, 0x1429);
	assert_int_equal(atomic_load(&b.ejects), 1);
	assert_int_equal(get(&b, MEM64 + 0x10, 4), UINT32_MAX);
	bench_finish(&b);
}

static void device_comes_and_goes_many_times(void **state)
{
	struct bench b;
	bench_start(&b);
	for (unsigned i = 0; i < 20; i++) {
		struct pdev *pdev = b.pdev;
		struct pci_device *pci = pci_port_unplug(b.port);
		assert_non_null(pci);
		pdev_detach(pdev);
		assert_int_equal(get(&b, dev_at(0), 4), UINT32_MAX);
		assert_int_equal(get(&b, MEM64 + 0x1000, 4), UINT32_MAX);
		pci_device_free(pci);
		wait_for(&b.device.maps, 0);
		for (int n = 0; n < 3000 && atomic_load(&b.device.connected); n++) {
			usleep(1000);
		}
		assert_int_equal(plug(&b, NULL, NULL), 0); /* the vectors came back, too */
		enumerate(&b);
		assert_int_equal(get(&b, dev_at(CAP_MSIX + 2), 2), VECTORS - 1);
		set(&b, MEM64 + 0x1000, 4, i);
		assert_int_equal(get(&b, MEM64 + 0x1000, 4), i);
	}
	bench_finish(&b);
}

static void refused_devices_leave_nothing_behind(void **state)
{
	struct bench b;
	struct error err = {0};
	machine_start(&b, true);
	assert_int_equal(plug(&b, &(struct pdev_options){.rom_file = "/nonexistent.rom"}, &err),
			 -1);
	assert_non_null(strstr(err.text, "/nonexistent.rom"));
	assert_int_equal(plug(&b, &(struct pdev_options){.resets = 1u << BACKEND_RESET_BUS}, &err),
			 -1);
	assert_non_null(strstr(err.text, "reset"));
	b.device.config[CAP_MSIX + 6] = 0xff; /* a table far outside */
	for (int i = 0; i < 100 && plug(&b, NULL, &err) < 0 && !strstr(err.text, "MSI-X"); i++) {
		usleep(1000);
	}
	assert_non_null(strstr(err.text, "MSI-X"));
	b.device.config[CAP_MSIX + 6] = 0;
	int status = -1;
	for (int i = 0; i < 100 && status < 0;
	     i++) { /* the server needs a moment to see that the last one left */
		status = plug(&b, NULL, &err);
		usleep(status < 0 ? 1000 : 0);
	}
	assert_int_equal(status, 0);
	bench_finish(&b);
}

/* The client's first question has room for the plain description alone (as QEMU's has). */
static void list_of_areas_is_promised_only_where_it_fits(void **state)
{
	struct bench b;
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct vfu_region_info info;
	struct vfu_reader reader;
	struct vfu_message *m;
	machine_start(&b, true);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", b.path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	vfu_reader_init(&reader);
	struct vfu_header header = {.command = VFU_VERSION};
	const struct vfu_version version = {VFU_MAJOR, VFU_MINOR};
	assert_int_equal(vfu_send(fd, &header, &(struct vfu_part){&version, sizeof(version)}, 1,
				  NULL, 0, 1000),
			 0);
	assert_int_equal(vfu_reader_pull(&reader, fd, &m), 1);
	for (unsigned room = sizeof(info); room; room = room == sizeof(info) ? info.argsz : 0) {
		header = (struct vfu_header){.command = VFU_DEVICE_GET_REGION_INFO};
		info = (struct vfu_region_info){.argsz = room};
		assert_int_equal(vfu_send(fd, &header, &(struct vfu_part){&info, sizeof(info)}, 1,
					  NULL, 0, 1000),
				 0);
		assert_int_equal(vfu_reader_pull(&reader, fd, &m), 1);
		bool whole = room > sizeof(info);
		memcpy(&info, m->body, sizeof(info));
		assert_true(info.argsz > sizeof(info));
		assert_int_equal(m->len, whole ? info.argsz : sizeof(info));
		assert_int_equal(!!(info.flags & VFU_REGION_HAS_CAPS), whole);
		assert_int_equal(info.cap_offset, whole ? sizeof(info) : 0);
		assert_int_equal(m->fd_count, whole);
	}
	vfu_reader_finish(&reader);
	close(fd);
	bench_finish(&b);
}

/* The server needs a moment to see that the last client left; @says is in the complaint then. */
static void refuses(struct bench *b, const struct pdev_options *options, const char *says)
{
	struct error err = {0};
	for (int i = 0; i < 1000 && plug(b, options, &err) < 0 && !strstr(err.text, says); i++) {
		usleep(1000);
	}
	assert_non_null(strstr(err.text, says));
}

static void failed_reset_refuses_the_device(void **state)
{
	const struct pdev_options as_it_is = {.resets = 1u << BACKEND_RESET_NONE};
	struct bench b;
	log_set_level(LOG_ERROR);
	machine_start(&b, true);
	b.device.reset_status = -ETIME;
	refuses(&b, NULL, "could not be reset (flr: Timer expired)");
	b.device.reset_status = 0;
	b.device.reset_renames = true;
	refuses(&b, NULL, "could not be reset (flr: the device does not answer as before)");
	b.device.reset_renames = false;
	b.device.reset_shrinks = true;
	refuses(&b, NULL, "could not be reset (flr: the device does not answer as before)");
	b.device.reset_shrinks = false;
	b.device.bar_len = BAR_LEN;
	refuses(&b, &(struct pdev_options){.resets = 1u << BACKEND_RESET_PM},
		"(it has no such way)");
	b.device.reset_status = -ETIME;
	int status = -1;
	for (int i = 0; i < 1000 && status < 0; i++) {
		status = plug(&b, &as_it_is, NULL);
		usleep(status < 0 ? 1000 : 0);
	}
	assert_int_equal(status, 0);
	assert_string_equal(pdev_reset_used(b.pdev), "none");
	bench_finish(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(failed_reset_refuses_the_device),
		cmocka_unit_test(list_of_areas_is_promised_only_where_it_fits),
		cmocka_unit_test(configuration_is_ours_and_the_devices),
		cmocka_unit_test(mapped_page_is_shared_and_the_rest_is_passed_on),
		cmocka_unit_test(memory_that_could_vanish_is_not_mapped),
		cmocka_unit_test(bar_follows_its_register_and_the_ports_window),
		cmocka_unit_test(msix_reaches_the_guest_unless_masked),
		cmocka_unit_test(intx_stays_until_ended_and_comes_again),
		cmocka_unit_test(guests_reset_reaches_the_device),
		cmocka_unit_test(lost_server_leaves_ones),
		cmocka_unit_test(slot_tells_the_guest_and_waits_for_it),
		cmocka_unit_test(device_comes_and_goes_many_times),
		cmocka_unit_test(refused_devices_leave_nothing_behind),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
