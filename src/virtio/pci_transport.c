/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pci_transport.c - virtio over PCI, modern only (virtio 1.2, 4.1)
 *
 * How it works: BAR 0 has four 4 KiB parts.  A read of the common configuration takes a picture of the whole register
 * block and cuts the bytes out; a write goes to every register that it covers completely.  So all access widths work.
 * Interrupts go to the vector the driver chose, or to the ISR register and INTA while MSI-X is off.
 * Threads: registers from any vCPU (transport->lock guards the select registers); interrupts from any thread: vectors are
 * atomic, isr_lock guards the ISR register together with the level of INTA.
 * Locks, in order: host configuration, transport->lock, device->lock, isr_lock, those of src/pci.
 */
#include "virtio/pci_transport.h"

#include "base/log.h"
#include "base/own.h"
#include "virtio/transport.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum {
	VPCI_REGISTER_BAR = 0,
	VPCI_SHM_BAR = 2,
	VPCI_MSIX_BAR = 4,

	/* parts of BAR 0 */
	VPCI_COMMON = 0x0000,
	VPCI_ISR = 0x1000,
	VPCI_DEVICE = 0x2000,
	VPCI_NOTIFY = 0x3000,
	VPCI_PART_LEN = 0x1000,
	VPCI_BAR_LEN = 0x4000,
	VPCI_NOTIFY_STRIDE = 4,

	/* capability types: virtio 1.2, 4.1.4 */
	VPCI_CAP_COMMON = 1,
	VPCI_CAP_NOTIFY = 2,
	VPCI_CAP_ISR = 3,
	VPCI_CAP_DEVICE = 4,
	VPCI_CAP_PCI = 5,
	VPCI_CAP_SHM = 8,
	VPCI_CAP_VENDOR = 0x09,

	VPCI_ISR_QUEUE = 1,
	VPCI_ISR_CONFIG = 2,
	VPCI_NO_VECTOR = 0xffff,

	VPCI_RESET_PATIENCE_MS = 100,
	VPCI_SYSTEM_RESET_PATIENCE_MS = 10000,
};

/* struct virtio_pci_common_cfg: virtio 1.2, 4.1.4.3 */
struct vpci_common {
	uint32_t device_feature_select, device_feature, driver_feature_select, driver_feature;
	uint16_t config_vector, queue_count;
	uint8_t status, generation;
	uint16_t queue_select, queue_size, queue_vector, queue_enable, queue_notify_off;
	uint32_t queue_descriptors[2], queue_driver[2], queue_device[2];
	uint16_t queue_notify_data, queue_reset;
};
static_assert(sizeof(struct vpci_common) == 0x3c, "layout of the common configuration");

/* struct virtio_pci_cap without id and next, and the tails of its longer forms */
struct vpci_capability {
	uint8_t cap_len, type, bar, shm_id, padding[2];
	uint32_t offset, len;
	uint32_t extra[2]; /* notify: multiplier; shm: offset and length, high halves; pci: data */
} __attribute__((packed));

struct vpci {
	struct virtio_device *device;
	struct pci_device *pci;
	unsigned vector_count;
	unsigned window_cap; /* offset of the PCI configuration access capability */
	pthread_mutex_t lock; /* guards the three selects */
	uint32_t device_feature_select, driver_feature_select;
	uint16_t queue_select;
	pthread_mutex_t isr_lock; /* guards isr */
	uint8_t isr;
	atomic_ushort config_vector, queue_vectors[VIRTIO_MAX_QUEUES];
};

static void vpci_interrupt(struct vpci *vpci, uint16_t vector, uint8_t isr_bit)
{
	if (pci_device_msix_enabled(vpci->pci)) {
		pci_device_raise_msix(vpci->pci, vector);
		return;
	}
	LOCKED(&vpci->isr_lock);
	vpci->isr |= isr_bit;
	pci_device_set_intx(vpci->pci, true);
}

static void vpci_queue_interrupt(void *transport, unsigned queue)
{
	struct vpci *vpci = transport;
	vpci_interrupt(vpci, atomic_load(&vpci->queue_vectors[queue]), VPCI_ISR_QUEUE);
}

static void vpci_config_interrupt(void *transport)
{
	struct vpci *vpci = transport;
	vpci_interrupt(vpci, atomic_load(&vpci->config_vector), VPCI_ISR_CONFIG);
}

static const struct virtio_transport_ops vpci_transport_ops = {vpci_queue_interrupt,
							       vpci_config_interrupt};

/* Reading the ISR register clears it and lowers the line (4.1.4.5). */
static uint8_t vpci_take_isr(struct vpci *vpci)
{
	LOCKED(&vpci->isr_lock);
	uint8_t isr = vpci->isr;
	vpci->isr = 0;
	pci_device_set_intx(vpci->pci, false);
	return isr;
}

static void vpci_forget_vectors(struct vpci *vpci)
{
	atomic_store(&vpci->config_vector, VPCI_NO_VECTOR);
	for (unsigned i = 0; i < VIRTIO_MAX_QUEUES; i++) {
		atomic_store(&vpci->queue_vectors[i], VPCI_NO_VECTOR);
	}
}

static void vpci_reset(struct vpci *vpci, unsigned patience_ms)
{
	virtio_transport_set_status(vpci->device, 0, patience_ms);
	vpci_forget_vectors(vpci);
	vpci_take_isr(vpci);
}

static void vpci_fill_queue(struct vpci *vpci, struct vpci_common *common)
{
	unsigned index = vpci->queue_select;
	if (index >= vpci->device->queue_count) {
		return; /* size 0: no such queue */
	}
	struct virtio_queue_setup setup = virtio_transport_queue(vpci->device, index);
	common->queue_size = setup.size;
	common->queue_vector = atomic_load(&vpci->queue_vectors[index]);
	common->queue_enable = setup.enabled;
	common->queue_notify_off = (uint16_t)index;
	memcpy(common->queue_descriptors, &setup.descriptors, 8);
	memcpy(common->queue_driver, &setup.driver_area, 8);
	memcpy(common->queue_device, &setup.device_area, 8);
}

static void vpci_fill_common(struct vpci *vpci, struct vpci_common *common)
{
	struct virtio_device *device = vpci->device;
	LOCKED(&vpci->lock);
	*common = (struct vpci_common){
		.device_feature_select = vpci->device_feature_select,
		.device_feature = virtio_transport_offered(device, vpci->device_feature_select),
		.driver_feature_select = vpci->driver_feature_select,
		.driver_feature = virtio_transport_accepted(device, vpci->driver_feature_select),
		.config_vector = atomic_load(&vpci->config_vector),
		.queue_count = (uint16_t)device->queue_count,
		.status = virtio_transport_status(device),
		.generation = virtio_transport_generation(device),
		.queue_select = vpci->queue_select,
		.queue_vector = VPCI_NO_VECTOR,
	};
	vpci_fill_queue(vpci, common);
}

static uint16_t vpci_valid_vector(const struct vpci *vpci, uint32_t vector)
{
	return (uint16_t)(vector < vpci->vector_count ? vector : VPCI_NO_VECTOR);
}

static void vpci_set_half(uint64_t *whole, unsigned half, uint32_t value)
{
	unsigned shift = half * 32;
	*whole = (*whole & ~((uint64_t)UINT32_MAX << shift)) | (uint64_t)value << shift;
}

static void vpci_write_queue(struct vpci *vpci, unsigned reg, uint32_t value)
{
	unsigned index = vpci->queue_select;
	if (index >= vpci->device->queue_count) {
		return;
	}
	struct virtio_queue_setup setup = virtio_transport_queue(vpci->device, index);
	switch (reg) {
	case offsetof(struct vpci_common, queue_size): setup.size = (uint16_t)value; break;
	case offsetof(struct vpci_common, queue_vector):
		atomic_store(&vpci->queue_vectors[index], vpci_valid_vector(vpci, value));
		return;
	case offsetof(struct vpci_common, queue_enable): setup.enabled |= value == 1; break;
	case offsetof(struct vpci_common, queue_descriptors): vpci_set_half(&setup.descriptors, 0, value); break;
	case offsetof(struct vpci_common, queue_descriptors[1]): vpci_set_half(&setup.descriptors, 1, value); break;
	case offsetof(struct vpci_common, queue_driver): vpci_set_half(&setup.driver_area, 0, value); break;
	case offsetof(struct vpci_common, queue_driver[1]): vpci_set_half(&setup.driver_area, 1, value); break;
	case offsetof(struct vpci_common, queue_device): vpci_set_half(&setup.device_area, 0, value); break;
	case offsetof(struct vpci_common, queue_device[1]): vpci_set_half(&setup.device_area, 1, value); break;
	default: return;
	}
	virtio_transport_set_queue(vpci->device, index, &setup);
}

static void vpci_write_common(struct vpci *vpci, unsigned reg, uint32_t value)
{
	LOCKED(&vpci->lock);
	switch (reg) {
	case offsetof(struct vpci_common, device_feature_select): vpci->device_feature_select = value; break;
	case offsetof(struct vpci_common, driver_feature_select): vpci->driver_feature_select = value; break;
	case offsetof(struct vpci_common, driver_feature):
		virtio_transport_accept(vpci->device, vpci->driver_feature_select, value);
		break;
	case offsetof(struct vpci_common, config_vector):
		atomic_store(&vpci->config_vector, vpci_valid_vector(vpci, value));
		break;
	case offsetof(struct vpci_common, status):
		if (value) {
			virtio_transport_set_status(vpci->device, (uint8_t)value, 0);
		} else {
			vpci_reset(vpci, VPCI_RESET_PATIENCE_MS);
		}
		break;
	case offsetof(struct vpci_common, queue_select): vpci->queue_select = (uint16_t)value; break;
	default: vpci_write_queue(vpci, reg, value); break;
	}
}

/* Size of the register that starts at @offset; addresses count as two registers of 4 bytes. */
static unsigned vpci_register_size(unsigned offset)
{
	switch (offset) {
	case offsetof(struct vpci_common, status):
	case offsetof(struct vpci_common, generation): return 1;
	default:
		return offset < offsetof(struct vpci_common, config_vector) ||
				       (offset >= offsetof(struct vpci_common, queue_descriptors) &&
					offset < offsetof(struct vpci_common, queue_notify_data)) ?
			       4 :
			       2;
	}
}

/* Writes every register that lies wholly inside the access. */
static void vpci_common_write(struct vpci *vpci, unsigned offset, unsigned size, uint64_t value)
{
	for (unsigned reg = 0; reg < sizeof(struct vpci_common); reg += vpci_register_size(reg)) {
		unsigned reg_size = vpci_register_size(reg);
		if (reg >= offset && reg + reg_size <= offset + size) {
			uint64_t bits = value >> ((reg - offset) * 8);
			vpci_write_common(vpci, reg, (uint32_t)(bits & (UINT64_MAX >> (64 - reg_size * 8))));
		}
	}
}

static uint64_t vpci_bar_read(void *opaque, uint64_t offset, unsigned size)
{
	struct vpci *vpci = opaque;
	unsigned within = offset % VPCI_PART_LEN;
	switch (offset - within) {
	case VPCI_COMMON: {
		struct vpci_common common;
		vpci_fill_common(vpci, &common);
		return virtio_config_load(&common, sizeof(common), within, size);
	}
	case VPCI_ISR: return within == 0 ? vpci_take_isr(vpci) : 0;
	case VPCI_DEVICE: return virtio_transport_config_read(vpci->device, within, size);
	default: return 0;
	}
}

static void vpci_bar_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
	struct vpci *vpci = opaque;
	unsigned within = offset % VPCI_PART_LEN;
	switch (offset - within) {
	case VPCI_COMMON: vpci_common_write(vpci, within, size, value); break;
	case VPCI_DEVICE: virtio_transport_config_write(vpci->device, within, size, value); break;
	case VPCI_NOTIFY: virtio_transport_notify(vpci->device, within / VPCI_NOTIFY_STRIDE); break;
	default: break;
	}
}

static int vpci_doorbell(void *opaque, unsigned n, uint64_t *offset)
{
	struct vpci *vpci = opaque;
	*offset = VPCI_NOTIFY + n * VPCI_NOTIFY_STRIDE;
	return virtio_transport_bell(vpci->device, n);
}

static const struct bus_ops vpci_bar_ops = {vpci_bar_read, vpci_bar_write, vpci_doorbell};

static uint32_t vpci_load32(const uint8_t *bytes)
{
	uint32_t value;
	memcpy(&value, bytes, sizeof(value));
	return value;
}

/* The BAR access that the configuration access capability describes (4.1.4.9); false if it makes no sense. */
static bool vpci_window_target(struct vpci *vpci, uint32_t *offset, unsigned *size)
{
	uint8_t cap[16];
	pci_device_peek_config(vpci->pci, vpci->window_cap, cap, sizeof(cap));
	*offset = vpci_load32(cap + 8);
	*size = vpci_load32(cap + 12);
	return cap[4] == VPCI_REGISTER_BAR && (*size == 1 || *size == 2 || *size == 4) &&
	       *offset <= VPCI_BAR_LEN - *size && *offset % *size == 0;
}

static bool vpci_config_read(void *opaque, unsigned offset, unsigned size, uint32_t *value)
{
	struct vpci *vpci = opaque;
	uint32_t at;
	unsigned len;
	if (offset != vpci->window_cap + 16 || !vpci_window_target(vpci, &at, &len)) {
		return false;
	}
	*value = (uint32_t)vpci_bar_read(vpci, at, len);
	return true;
}

static void vpci_config_write(void *opaque, unsigned offset, unsigned size, uint32_t value)
{
	struct vpci *vpci = opaque;
	uint32_t at;
	unsigned len;
	if (offset == vpci->window_cap + 16 && vpci_window_target(vpci, &at, &len)) {
		vpci_bar_write(vpci, at, len, value & (UINT32_MAX >> (32 - len * 8)));
	}
}

static void vpci_on_reset(void *opaque)
{
	struct vpci *vpci = opaque;
	vpci_reset(vpci, VPCI_SYSTEM_RESET_PATIENCE_MS);
	if (virtio_transport_status(vpci->device)) {
		log_error("%s: the device does not finish its reset", vpci->device->name);
	}
}

static void vpci_on_destroy(void *opaque)
{
	struct vpci *vpci = opaque;
	virtio_device_destroy(vpci->device);
	pthread_mutex_destroy(&vpci->lock);
	pthread_mutex_destroy(&vpci->isr_lock);
	free(vpci);
}

static const struct pci_device_ops vpci_pci_ops = {vpci_config_read, vpci_config_write, vpci_on_reset,
						   vpci_on_destroy};

static void vpci_place_shm(void *opaque, uint64_t gpa)
{
	struct vpci *vpci = opaque;
	vpci->device->shm.place(vpci->device, gpa == PCI_NOWHERE ? VIRTIO_NOWHERE : gpa);
}

static int vpci_add_capability(struct vpci *vpci, const struct vpci_capability *cap, unsigned extra_words,
			       const void *mask)
{
	struct vpci_capability body = *cap;
	size_t len = offsetof(struct vpci_capability, extra) + 4 * extra_words;
	body.cap_len = (uint8_t)(len + 2);
	return pci_device_add_capability(vpci->pci, VPCI_CAP_VENDOR, &body, len, mask);
}

static int vpci_add_window_capability(struct vpci *vpci)
{
	static const struct vpci_capability mask = {
		.bar = 0xff, .offset = UINT32_MAX, .len = UINT32_MAX, .extra = {UINT32_MAX}};
	struct vpci_capability cap = {.type = VPCI_CAP_PCI};
	int at = vpci_add_capability(vpci, &cap, 1, &mask);
	if (at > 0) {
		vpci->window_cap = (unsigned)at;
		pci_device_hook_config(vpci->pci, vpci->window_cap + 16, 4);
	}
	return at;
}

static int vpci_add_shm_capability(struct vpci *vpci)
{
	const struct virtio_shm *shm = &vpci->device->shm;
	struct vpci_capability cap = {
		.type = VPCI_CAP_SHM,
		.bar = VPCI_SHM_BAR,
		.shm_id = shm->id,
		.len = (uint32_t)shm->len,
		.extra = {0, (uint32_t)(shm->len >> 32)},
	};
	return vpci_add_capability(vpci, &cap, 2, NULL);
}

static int vpci_add_capabilities(struct vpci *vpci, struct error *err)
{
	const struct vpci_capability parts[] = {
		{.type = VPCI_CAP_COMMON, .offset = VPCI_COMMON, .len = sizeof(struct vpci_common)},
		{.type = VPCI_CAP_ISR, .offset = VPCI_ISR, .len = 1},
		{.type = VPCI_CAP_DEVICE, .offset = VPCI_DEVICE, .len = VPCI_PART_LEN},
		{.type = VPCI_CAP_NOTIFY,
		 .offset = VPCI_NOTIFY,
		 .len = VIRTIO_MAX_QUEUES * VPCI_NOTIFY_STRIDE,
		 .extra = {VPCI_NOTIFY_STRIDE}},
	};
	for (unsigned i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		if (parts[i].type == VPCI_CAP_DEVICE && !vpci->device->config_len) {
			continue;
		}
		if (vpci_add_capability(vpci, &parts[i], parts[i].type == VPCI_CAP_NOTIFY, NULL) < 0) {
			return error_set(err, -ENOSPC, "%s: no room for capabilities", vpci->device->name);
		}
	}
	if (vpci_add_window_capability(vpci) < 0 ||
	    (vpci->device->shm.len && vpci_add_shm_capability(vpci) < 0)) {
		return error_set(err, -ENOSPC, "%s: no room for capabilities", vpci->device->name);
	}
	return 0;
}

static int vpci_add_bars(struct vpci *vpci, struct error *err)
{
	struct virtio_device *device = vpci->device;
	int ret = pci_device_add_msix(vpci->pci, VPCI_MSIX_BAR, device->queue_count + 1, err);
	if (ret < 0) {
		return ret;
	}
	vpci->vector_count = (unsigned)ret;
	ret = pci_device_add_bar(vpci->pci, VPCI_REGISTER_BAR, PCI_BAR_64, VPCI_BAR_LEN, &vpci_bar_ops, vpci,
				 err);
	if (ret == 0 && device->shm.len) {
		ret = pci_device_add_window(vpci->pci, VPCI_SHM_BAR, PCI_BAR_64_PREFETCHABLE, device->shm.len,
					    vpci_place_shm, vpci, err);
	}
	return ret;
}

static struct vpci *vpci_create(struct virtio_device *device)
{
	struct vpci *vpci = calloc(1, sizeof(*vpci));
	if (vpci) {
		vpci->device = device;
		pthread_mutex_init(&vpci->lock, NULL);
		pthread_mutex_init(&vpci->isr_lock, NULL);
		vpci_forget_vectors(vpci);
	}
	return vpci;
}

int virtio_pci_attach(struct pci_host *host, unsigned slot, struct virtio_device *device, struct error *err)
{
	struct vpci *vpci = vpci_create(device);
	if (!vpci) {
		virtio_device_destroy(device);
		return error_set(err, -ENOMEM, "virtio: out of memory");
	}
	struct pci_device_config config = {
		.name = device->name,
		.vendor_id = 0x1af4,
		.device_id = (uint16_t)(0x1040 + device->id),
		.subsystem_vendor_id = 0x1af4,
		.subsystem_id = 0x1100,
		.revision = 1,
		.class_code = device->pci_class,
		.has_intx = true,
	};
	vpci->pci = pci_device_create(host, slot, &config, &vpci_pci_ops, vpci, err);
	if (!vpci->pci) {
		vpci_on_destroy(vpci);
		return -ENOSPC;
	}
	virtio_transport_connect(device, &vpci_transport_ops, vpci);
	int ret = vpci_add_bars(vpci, err);
	return ret < 0 ? ret : vpci_add_capabilities(vpci, err); /* on failure the host still owns it */
}
