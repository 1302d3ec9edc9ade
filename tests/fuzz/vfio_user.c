/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vfio_user.c - a hostile vfio-user server
 *
 * The input is a list of steps, one for each command that the client sends: the right answer with
 * some bytes of it changed, an error, a closed socket, raw bytes, or a DMA command in between.  A
 * device that survives that is then used by a guest: registers, BARs, interrupts, reset. Threads:
 * the server has one of its own, the device another.
 */
#include "base/log.h"
#include "base/own.h"
#include "bus/bus.h"
#include "bus/irq.h"
#include "fuzz.h"
#include "passthrough/pdev.h"
#include "passthrough/vfu_stream.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

#define MEM64 UINT64_C(0x8000000000)

enum {
	ECAM = 0x3f000000,
	MEM32 = 0x10000000,
	RAM = 0x40000000,
	BAR_LEN = 0x4000,
	TIMEOUT_MS = 30,
	MAX_COMMANDS = 400
};

struct server {
	const uint8_t *at, *end;
	int listener, socket;
	int bar;
	int signal; /* an eventfd the client gave; -1: none */
	uint8_t config[4096];
	uint8_t answer[64 + 4096 + 16];
};

static uint32_t take8(struct server *s)
{
	return s->at < s->end ? *s->at++ : 0;
}

static uint32_t take16(struct server *s)
{
	uint32_t low = take8(s);
	return low | take8(s) << 8;
}

static void put32(uint8_t *at, uint32_t value)
{
	memcpy(at, &value, sizeof(value));
}

/* MSI at 0x40, MSI-X at 0x60, PCI Express at 0x80. */
static void init_config(struct server *s)
{
	put32(s->config + 0x00, 0x56781234);
	put32(s->config + 0x04, 0x00100000);
	put32(s->config + 0x10, 0x0000000c);
	put32(s->config + 0x34, 0x40);
	put32(s->config + 0x3c, 0x0100);
	put32(s->config + 0x40, 0x01866005);
	put32(s->config + 0x60, 0x00078011);
	put32(s->config + 0x64, 0x2000);
	put32(s->config + 0x68, 0x3000);
	put32(s->config + 0x80, 0x00020010);
	put32(s->config + 0x100, 0x18010001);
	put32(s->config + 0x180, 0x00010015);
	for (unsigned n = take8(s) % 16; n; n--) { /* some registers are lies from the start */
		unsigned at = take16(s) % sizeof(s->config);
		s->config[at] = (uint8_t)take8(s);
	}
}

/* The honest answer to @m; returns its length. */
static size_t honest_answer(struct server *s, const struct vfu_message *m, int *fd)
{
	static const char version[] =
		"\0\0\1\0{\"capabilities\":{\"max_msg_fds\":8,\"max_data_xfer_size\":4096}}";
	struct vfu_region_info info = {0};
	struct vfu_region_access access = {0};
	memcpy(&info, m->body, m->len < sizeof(info) ? m->len : sizeof(info));
	memcpy(&access, m->body, m->len < sizeof(access) ? m->len : sizeof(access));
	switch (m->header.command) {
	case VFU_VERSION: memcpy(s->answer, version, sizeof(version)); return sizeof(version);
	case VFU_DEVICE_GET_INFO:
		memcpy(s->answer, &(struct vfu_device_info){16, 3, 9, 5}, 16);
		return 16;
	case VFU_DEVICE_GET_REGION_INFO: {
		const struct vfu_cap cap = {VFU_CAP_SPARSE, 1, 0};
		const struct vfu_area areas[2] = {{0, 0x1000}, {0x3000, 0x1000}};
		info.size = info.index == 0 ? BAR_LEN : info.index == 7 ? 4096 : 0;
		info.flags = info.index == 0 ? 0xf : 3;
		info.cap_offset = 32;
		memcpy(s->answer, &info, 32);
		memcpy(s->answer + 32, &cap, 8);
		memcpy(s->answer + 40, &(struct vfu_sparse){2, 0}, 8);
		memcpy(s->answer + 48, areas, sizeof(areas));
		*fd = info.index == 0 ? s->bar : -1;
		return 80;
	}
	case VFU_DEVICE_GET_IRQ_INFO:
		memcpy(s->answer, &(struct vfu_irq_info){16, 1, 0, 8}, 16);
		return 16;
	case VFU_REGION_READ:
		memcpy(s->answer, &access, sizeof(access));
		access.count = access.count < 4096 ? access.count : 4096;
		memcpy(s->answer + 16, s->config + (access.region == 7 ? access.offset % 4096 : 0),
		       access.region == 7 && access.offset % 4096 + access.count > 4096
			       ? 0
			       : access.count);
		return 16 + access.count;
	case VFU_REGION_WRITE: memcpy(s->answer, &access, sizeof(access)); return 16;
	case VFU_DMA_UNMAP: return 24;
	default: return 0;
	}
}

static void send_dma(struct server *s)
{
	uint32_t how = take8(s);
	struct vfu_header header = {.id = 7,
				    .command = how & 1 ? VFU_DMA_WRITE : VFU_DMA_READ,
				    .flags = how & 2 ? VFU_NO_REPLY : 0};
	struct vfu_dma_access access = {RAM + take16(s) * 256,
					how & 4 ? UINT64_MAX - how : take8(s)};
	static const uint8_t data[256];
	const struct vfu_part parts[] = {{&access, sizeof(access)},
					 {data, access.count < 256 ? access.count : 3}};
	(void)!vfu_send(s->socket, &header, parts, how & 1 ? 2 : 1, NULL, 0, TIMEOUT_MS);
}

/* One step; false closes the socket. */
static bool answer(struct server *s, struct vfu_message *m)
{
	uint32_t how = take8(s);
	int fd = -1;
	memset(s->answer, 0, 64);
	size_t len = honest_answer(s, m, &fd);
	if (m->header.command == VFU_DEVICE_SET_IRQS && m->fd_count && s->signal < 0) {
		s->signal = vfu_message_take_fd(m, 0);
	}
	struct vfu_header header = {
		.id = m->header.id, .command = m->header.command, .flags = VFU_REPLY};
	switch (how & 15) {
	case 1: return false;
	case 2: return true; /* and says nothing */
	case 3: header.flags |= VFU_ERROR, header.error = take16(s); break;
	case 4: header.id ^= 1; break;
	case 5: header.command = (uint16_t)take8(s); break;
	case 6: len = take8(s); break;
	case 7: {
		const struct vfu_header raw = {(uint16_t)take8(s), (uint16_t)take8(s),
					       take16(s) << (how >> 4), take8(s), 0};
		return write(s->socket, &raw, sizeof(raw)) == sizeof(raw);
	}
	case 8: fd = s->bar; break;
	default: break;
	}
	for (unsigned n = how >> 4 & 7; (how & 15) >= 9 && n; n--) {
		s->answer[take16(s) % sizeof(s->answer)] = (uint8_t)take8(s);
	}
	if (how & 0x80) {
		send_dma(s);
		if (s->signal >= 0) {
			(void)!write(s->signal, &(uint64_t){1}, 8);
		}
	}
	return vfu_send(s->socket, &header, &(struct vfu_part){s->answer, len}, 1, &fd, fd >= 0,
			TIMEOUT_MS) == 0;
}

static void *server_main(void *opaque)
{
	struct server *s = opaque;
	struct vfu_reader reader;
	struct vfu_message *m;
	s->socket = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);
	vfu_reader_init(&reader);
	for (unsigned n = 0; n < MAX_COMMANDS && vfu_reader_pull(&reader, s->socket, &m) > 0; n++) {
		if ((m->header.flags & VFU_TYPE_MASK) == 0 && !(m->header.flags & VFU_NO_REPLY) &&
		    !answer(s, m)) {
			break;
		}
	}
	vfu_reader_finish(&reader);
	shutdown(s->socket, SHUT_RDWR);
	return NULL;
}

static void no_line(struct irq_chip *chip, unsigned line, bool level)
{
}

static void no_message(struct irq_chip *chip, uint64_t address, uint32_t data, uint16_t requester)
{
}

static void on_eject(void *opaque)
{
}

static void use(struct bus *bus, struct pdev *pdev)
{
	const uint64_t port = ECAM + (1 << 15), dev = ECAM + (1 << 20);
	uint64_t value;
	(void)pdev;
	bus_write(bus, port + 0x18, 4, 0x00010100);
	bus_write(bus, port + 0x28, 4, MEM64 >> 32);
	bus_write(bus, port + 0x2c, 4, MEM64 >> 32);
	bus_write(bus, port + 0x20, 4, 0x10f01000);
	bus_write(bus, port + 4, 2, 6);
	bus_write(bus, dev + 0x14, 4, MEM64 >> 32);
	bus_write(bus, dev + 4, 2, 6);
	for (unsigned i = 0; i < 4096; i += 4) {
		bus_read(bus, dev + i, 4, &value);
	}
	for (unsigned i = 0; i < BAR_LEN; i += 0x7fc) {
		bus_write(bus, MEM64 + i, 4, i);
		bus_read(bus, MEM64 + i, 8, &value);
	}
	bus_write(bus, dev + 0x62, 2, 0x8000);
	bus_write(bus, dev + 0x62, 2, 0);
	bus_write(bus, dev + 0x42, 2, 0x0031);
	bus_write(bus, dev + 0x88, 2, 0x8000);
	bus_write(bus, dev + 0xf0, 4, UINT32_MAX);
}

static void run_guest(const char *path, const struct gmem *gmem)
{
	static const struct irq_chip_ops chip_ops = {no_line, no_message, NULL};
	static const struct pci_port_ops port_ops = {on_eject};
	struct irq_chip chip = {&chip_ops};
	struct bus *bus = bus_create();
	const struct pci_host_config config = {
		.bus = bus,
		.irq = &chip,
		.ecam = {ECAM, 2 << 20},
		.memory32 = {MEM32, 0x10000000},
		.memory64 = {MEM64, UINT64_C(1) << 39},
		.msi_vector_budget = 64,
	};
	struct pci_host *host = pci_host_create(&config, NULL);
	struct pci_device *port = pci_port_create(host, "port", &port_ops, NULL, NULL);
	const struct pdev_options options = {
		.kind = PDEV_VFIO_USER, .address = path, .timeout_ms = TIMEOUT_MS};
	const struct pdev_parts parts = {.host = host, .port = port, .gmem = gmem};
	struct error err = {0};
	struct pdev *pdev = pdev_create(&options, &parts, &err);
	if (pdev) {
		pci_port_announce(port);
		use(bus, pdev);
	} else {
		assert(err.text[0]);
	}
	pci_host_destroy(host);
	bus_destroy(bus);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct server s = {.at = data, .end = data + size, .socket = -1, .signal = -1};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	pthread_t thread;
	log_set_level(LOG_ERROR);
	snprintf(address.sun_path, sizeof(address.sun_path), "/tmp/oriel-fuzz-vfio-%d",
		 (int)getpid());
	unlink(address.sun_path);
	s.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	s.bar = memfd_create("bar", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	init_config(&s);
	struct gmem *gmem = gmem_create();
	if (s.listener < 0 || s.bar < 0 || ftruncate(s.bar, BAR_LEN) < 0 || !gmem ||
	    gmem_add_ram(gmem, RAM, 0x10000, NULL) < 0 ||
	    bind(s.listener, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(s.listener, 1) < 0) {
		abort();
	}
	gmem_seal(gmem);
	pthread_create(&thread, NULL, server_main, &s);
	run_guest(address.sun_path, gmem);
	shutdown(s.listener, SHUT_RDWR);
	pthread_join(thread, NULL);
	own_close(&s.socket);
	own_close(&s.listener);
	own_close(&s.bar);
	own_close(&s.signal);
	unlink(address.sun_path);
	gmem_destroy(gmem);
	return 0;
}
