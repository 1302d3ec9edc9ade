/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio_driver.c - a driver that does anything at all, to each virtio device behind the PCI transport
 *
 * How it works: the input is a program of operations: set-up, descriptors, ring entries, raw writes into memory, registers,
 * configuration space, notifications, bytes from the network peer.  The device's loop runs in a thread of its own, as in a
 * VM, so the driver also races with it.  At the end the device must still obey a reset within its patience.
 * Threads: the driver's (the fuzzer's) and the loop's.
 */
#include "fuzz.h"

#include "base/log.h"
#include "base/loop.h"
#include "bus/bus.h"
#include "devices/virtio_blk.h"
#include "devices/virtio_console.h"
#include "devices/virtio_net.h"
#include "devices/virtio_rng.h"
#include "display/display.h"
#include "gpu/virtio_gpu.h"
#include "mem/gmem.h"
#include "virtio/pci_transport.h"
#include "virtio/transport.h"

#include <assert.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define FUZZ_RAM    UINT64_C(0x40000000)
#define FUZZ_ECAM   UINT64_C(0x3f000000)
#define FUZZ_MEM32  UINT64_C(0x10000000)
#define FUZZ_MEM64  UINT64_C(0x8000000000)
enum {
	FUZZ_RAM_LEN = 1 << 20,
	FUZZ_DISK_LEN = 1 << 18,
	FUZZ_MAX_OPS = 2000,
	FUZZ_QUEUE_STRIDE = 0x8000, /* rings of queue i at RAM + i * stride; the rest is for buffers */
	FUZZ_DRIVER_AREA = 0x4000,
	FUZZ_DEVICE_AREA = 0x5000,
	FUZZ_DATA = 0x40000,
};

struct input {
	const uint8_t *at;
	size_t left;
};

static uint64_t input_take(struct input *in, unsigned bytes)
{
	uint64_t value = 0;
	for (unsigned i = 0; i < bytes && in->left; i++, in->at++, in->left--) {
		value |= (uint64_t)*in->at << (i * 8);
	}
	return value;
}

struct fuzz {
	struct irq_chip chip;
	struct bus *bus;
	struct gmem *gmem;
	struct loop *loop;
	struct pci_host *host;
	struct display *display;
	struct virtio_device *device;
	pthread_t thread;
	int peer, disk;
	uint8_t *ram;
	uint16_t size; /* of all queues */
};

static void chip_set_line(struct irq_chip *chip, unsigned line, bool level)
{
}

static void chip_send_msi(struct irq_chip *chip, uint64_t address, uint32_t data, uint16_t requester)
{
}

static const struct irq_chip_ops chip_ops = {chip_set_line, chip_send_msi};

static size_t console_output(void *opaque, const void *data, size_t len)
{
	return len;
}

static struct virtio_device *make_disk(struct fuzz *f, bool read_only)
{
	char path[64];
	f->disk = memfd_create("fuzz-disk", MFD_CLOEXEC);
	assert(f->disk >= 0 && ftruncate(f->disk, FUZZ_DISK_LEN) == 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", f->disk);
	const struct virtio_blk_config config = {
		.name = "disk0", .path = path, .read_only = read_only, .force_threads = read_only};
	return virtio_blk_create(&config, f->gmem, f->loop, NULL);
}

static struct virtio_device *make_net(struct fuzz *f)
{
	int pair[2];
	assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	f->peer = pair[0];
	const struct virtio_net_config config = {.name = "net0", .mac = {2}, .peer = pair[1]};
	return virtio_net_create(&config, f->gmem, f->loop, NULL);
}

static struct virtio_device *make_console(struct fuzz *f)
{
	const struct virtio_console_config config = {.name = "console0", .output = console_output};
	return virtio_console_create(&config, f->gmem, f->loop, NULL);
}

static struct virtio_device *make_gpu(struct fuzz *f)
{
	const struct virtio_gpu_config config = {.limit_2d = 4 << 20, .memory_limit = 4 << 20};
	f->display = display_create(1, 64, 64);
	const struct virtio_gpu_parts parts = {.loop = f->loop, .gmem = f->gmem, .display = f->display};
	return virtio_gpu_create(&config, &parts, NULL);
}

static struct virtio_device *make_device(struct fuzz *f, unsigned kind)
{
	switch (kind % 6) {
	case 0: return make_disk(f, false);
	case 1: return make_disk(f, true);
	case 2: return make_net(f);
	case 3: return make_console(f);
	case 4: return virtio_rng_create("rng0", f->gmem, f->loop, NULL);
	default: return make_gpu(f);
	}
}

static void *run_loop(void *opaque)
{
	loop_run(opaque);
	return NULL;
}

static void fuzz_open(struct fuzz *f, unsigned kind)
{
	*f = (struct fuzz){.chip.ops = &chip_ops, .bus = bus_create(), .gmem = gmem_create(), .peer = -1, .disk = -1};
	assert(gmem_add_ram(f->gmem, FUZZ_RAM, FUZZ_RAM_LEN, NULL) == 0);
	gmem_seal(f->gmem);
	f->ram = gmem_ring(f->gmem, FUZZ_RAM, FUZZ_RAM_LEN);
	f->loop = loop_create(NULL);
	const struct pci_host_config config = {
		.bus = f->bus,
		.irq = &f->chip,
		.ecam = {FUZZ_ECAM, 1 << 20},
		.memory32 = {FUZZ_MEM32, 1 << 24},
		.memory64 = {FUZZ_MEM64, UINT64_C(1) << 32},
		.intx_lines = {0, 1, 2, 3},
		.msi_vector_budget = 16,
	};
	f->host = pci_host_create(&config, NULL);
	f->device = make_device(f, kind);
	assert(f->device && virtio_pci_attach(f->host, 1, f->device, NULL) == 0);
	bus_write(f->bus, FUZZ_ECAM + 0x8010, 4, FUZZ_MEM32);
	bus_write(f->bus, FUZZ_ECAM + 0x8020, 4, FUZZ_MEM32 + 0x100000);
	bus_write(f->bus, FUZZ_ECAM + 0x8004, 2, 6);
	int ret = pthread_create(&f->thread, NULL, run_loop, f->loop);
	assert(ret == 0);
}

static void fuzz_close(struct fuzz *f)
{
	virtio_transport_set_status(f->device, 0, 10000);
	assert(virtio_transport_status(f->device) == 0);
	loop_stop(f->loop);
	pthread_join(f->thread, NULL);
	pci_host_destroy(f->host);
	display_destroy(f->display);
	bus_destroy(f->bus);
	loop_destroy(f->loop);
	gmem_destroy(f->gmem);
	if (f->peer >= 0) {
		close(f->peer);
	}
	if (f->disk >= 0) {
		close(f->disk);
	}
}

/* A sensible start, so that the rest of the program reaches the device. */
static void op_start(struct fuzz *f, struct input *in)
{
	uint32_t refused = (uint32_t)input_take(in, 1) << 24 | (uint32_t)input_take(in, 1);
	f->size = (uint16_t)(1u << (input_take(in, 1) % 7));
	virtio_transport_set_status(f->device, 0, 1000);
	virtio_transport_set_status(f->device, 3, 0);
	virtio_transport_accept(f->device, 0, virtio_transport_offered(f->device, 0) & ~refused);
	virtio_transport_accept(f->device, 1, 1);
	virtio_transport_set_status(f->device, 0xb, 0);
	for (unsigned i = 0; i < f->device->queue_count; i++) {
		uint64_t base = FUZZ_RAM + i * FUZZ_QUEUE_STRIDE;
		memset(f->ram + i * FUZZ_QUEUE_STRIDE, 0, FUZZ_QUEUE_STRIDE);
		struct virtio_queue_setup setup = {f->size, true, base, base + FUZZ_DRIVER_AREA, base + FUZZ_DEVICE_AREA};
		virtio_transport_set_queue(f->device, i, &setup);
	}
	virtio_transport_set_status(f->device, 0xf, 0);
}

static uint8_t *queue_base(struct fuzz *f, struct input *in)
{
	return f->ram + input_take(in, 1) % f->device->queue_count * FUZZ_QUEUE_STRIDE;
}

static void op_descriptor(struct fuzz *f, struct input *in)
{
	uint8_t *desc = queue_base(f, in) + input_take(in, 1) % 64 * 16;
	uint64_t gpa = FUZZ_RAM + FUZZ_DATA + input_take(in, 2) * 8;
	uint32_t len = (uint32_t)input_take(in, 2);
	uint16_t flags = (uint16_t)input_take(in, 1), next = (uint16_t)(input_take(in, 1) % 64);
	memcpy(desc, &gpa, 8);
	memcpy(desc + 8, &len, 4);
	memcpy(desc + 12, &flags, 2);
	memcpy(desc + 14, &next, 2);
}

static void op_offer(struct fuzz *f, struct input *in)
{
	uint16_t *avail = (uint16_t *)(queue_base(f, in) + FUZZ_DRIVER_AREA);
	unsigned slot = f->size ? avail[1] % f->size : 0;
	avail[2 + slot] = (uint16_t)(input_take(in, 1) % 64);
	__atomic_store_n(&avail[1], (uint16_t)(avail[1] + 1), __ATOMIC_RELEASE);
}

/* Up to 64 bytes anywhere in RAM: headers, indirect tables, or the rings themselves. */
static void op_memory(struct fuzz *f, struct input *in)
{
	size_t at = input_take(in, 1) & 1 ? FUZZ_DATA + input_take(in, 2) * 8 : input_take(in, 3) % FUZZ_RAM_LEN;
	size_t len = input_take(in, 1) % 64;
	for (size_t i = 0; i < len && at + i < FUZZ_RAM_LEN; i++) {
		f->ram[at + i] = (uint8_t)input_take(in, 1);
	}
}

static void op_register(struct fuzz *f, struct input *in)
{
	static const uint64_t bases[] = {FUZZ_MEM32, FUZZ_MEM32 + 0x1000, FUZZ_MEM32 + 0x2000, FUZZ_MEM32 + 0x3000,
					 FUZZ_MEM32 + 0x100000, FUZZ_MEM32 + 0x101000, FUZZ_ECAM + 0x8000};
	uint64_t how = input_take(in, 1), value;
	uint64_t gpa = bases[how % 7] + input_take(in, 1);
	unsigned size = 1u << (how >> 3 & 3);
	if (how & 0x80) {
		bus_write(f->bus, gpa, size, input_take(in, size));
	} else {
		bus_read(f->bus, gpa, size, &value);
	}
}

static void op_peer(struct fuzz *f, struct input *in)
{
	uint8_t bytes[512];
	size_t len = input_take(in, 1) & 0xff;
	for (size_t i = 0; i < len; i++) {
		bytes[i] = (uint8_t)input_take(in, 1);
	}
	if (f->peer >= 0) {
		(void)!send(f->peer, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);
		(void)!recv(f->peer, bytes, sizeof(bytes), MSG_DONTWAIT);
	}
}

static void on_meet(void *opaque)
{
	sem_post(opaque);
}

/* Wait until the loop has done what is ready. */
static void op_meet(struct fuzz *f)
{
	sem_t met;
	sem_init(&met, 0, 0);
	int ret = loop_post(f->loop, on_meet, &met);
	assert(ret == 0);
	while (sem_wait(&met) < 0) {
	}
	sem_destroy(&met);
}

static void fuzz_op(struct fuzz *f, struct input *in)
{
	switch (input_take(in, 1) % 16) {
	case 0: op_start(f, in); break;
	case 1:
	case 2:
	case 3: op_descriptor(f, in); break;
	case 4:
	case 5:
	case 6: op_offer(f, in); break;
	case 7:
	case 8:
	case 9: op_memory(f, in); break;
	case 10:
	case 11: virtio_transport_notify(f->device, (unsigned)input_take(in, 1)); break;
	case 12: op_register(f, in); break;
	case 13: op_peer(f, in); break;
	case 14: op_meet(f); break;
	default: virtio_transport_config_write(f->device, input_take(in, 1), 1u << (input_take(in, 1) & 3), input_take(in, 4)); break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct input in = {data, len};
	struct fuzz fuzz;
	log_set_level(LOG_ERROR);
	fuzz_open(&fuzz, (unsigned)input_take(&in, 1));
	op_start(&fuzz, &in);
	for (unsigned i = 0; in.left && i < FUZZ_MAX_OPS; i++) {
		fuzz_op(&fuzz, &in);
	}
	fuzz_close(&fuzz);
	return 0;
}
