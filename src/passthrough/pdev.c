/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pdev.c - a foreign PCI device: opened, described, connected, let go
 *
 * Threads: see pdev.h.
 */
#include "base/os.h"
#include "passthrough/pdev_priv.h"

#include "base/log.h"
#include "base/own.h"
#include "passthrough/vfio_host.h"
#include "passthrough/vfu_client.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

/* ----- the service thread ----- */

static void *pdev_main(void *opaque)
{
	struct pdev *pdev = opaque;
	loop_run(pdev->loop);
	return NULL;
}

static int service_start(struct pdev *pdev, struct error *err)
{
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before); /* signals belong to other threads */
	int rc = pthread_create(&pdev->thread, NULL, pdev_main, pdev);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc != 0) {
		return error_set(err, -rc, "%s: can not start a thread: %s", pdev->name,
				 strerror(rc));
	}
	os_name_thread(pdev->thread, "passthrough");
	pdev->has_thread = true;
	return 0;
}

static void service_stop(struct pdev *pdev)
{
	if (pdev->has_thread) {
		loop_stop(pdev->loop);
		pthread_join(pdev->thread, NULL);
		pdev->has_thread = false;
	}
}

/* Service thread: the backend is lost. */
static void on_backend_gone(void *opaque, const char *why)
{
	struct pdev *pdev = opaque;
	if (!atomic_exchange(&pdev->gone, true) && pdev->pci && pdev->parts.on_gone) {
		if (!pdev->backend->raw) {
			pdev_gate_close(pdev);
			pdev_bars_hide(pdev);
		}
		pci_device_attach_bell(pdev->pci, PCI_IRQ_INTX, 0, -1, -1); /* lowers it */
		pdev->parts.on_gone(pdev->parts.opaque, pdev->name, why);
	}
}

/* ----- opening ----- */

static int open_backend(struct pdev *pdev, const struct pdev_options *options, struct error *err)
{
	if (options->kind == PDEV_VFIO) {
		pdev->backend = vfio_open(pdev->parts.vfio, options->address, pdev->loop,
					  on_backend_gone, pdev, err);
		return pdev->backend ? service_start(pdev, err) : -ENODEV;
	}
	const struct vfu_client_config config = {
		.path = options->address,
		.timeout_ms = options->timeout_ms,
		.loop = pdev->loop,
		.on_gone = on_backend_gone,
		.opaque = pdev,
	};
	pdev->backend = vfu_client_connect(&config, err);
	int status = pdev->backend ? service_start(pdev, err) : -ENODEV;
	return status < 0 ? status : vfu_client_negotiate(pdev->backend, err);
}

struct description {
	struct backend_region regions[BACKEND_REGIONS];
	unsigned irqs[BACKEND_IRQS];
	uint8_t registers[VCONFIG_LEN];
	size_t register_len;
};

static int describe_regions(struct pdev *pdev, struct description *d, struct error *err)
{
	for (unsigned i = 0; i < BACKEND_REGIONS; i++) {
		int status = backend_region(pdev->backend, i, &d->regions[i], err);
		if (status < 0) {
			return status;
		}
	}
	for (unsigned i = 0; i < BACKEND_IRQS; i++) {
		int status = backend_irqs(pdev->backend, i, &d->irqs[i], err);
		if (status < 0) {
			return status;
		}
	}
	return 0;
}

static int describe_registers(struct pdev *pdev, struct description *d, struct error *err)
{
	uint64_t size = d->regions[BACKEND_CONFIG].size;
	if (size < 256 || size > VCONFIG_LEN) {
		return error_set(err, -EINVAL, "%s: configuration space of %llu bytes", pdev->name,
				 (unsigned long long)size);
	}
	d->register_len = size < VCONFIG_LEN ? 256 : VCONFIG_LEN;
	int status = backend_read(pdev->backend, BACKEND_CONFIG, 0, d->registers, d->register_len);
	return status < 0
		       ? error_set(err, status, "%s: its configuration space can not be read: %s",
				   pdev->name, status == -ENODEV ? "it is gone" : strerror(-status))
		       : 0;
}

static int build_config(struct pdev *pdev, const struct description *d, struct error *err)
{
	struct vconfig_input input = {
		.registers = d->registers,
		.len = d->register_len,
		.intx_count = pci_host_tells_intx_end(pdev->parts.host) ? d->irqs[BACKEND_INTX] : 0,
		.msi_count = d->irqs[BACKEND_MSI],
		.msix_count = d->irqs[BACKEND_MSIX],
		/* A guest that resets one function does not mean all that is on its bus. */
		.can_reset = (backend_resets(pdev->backend) & ~(1u << BACKEND_RESET_BUS)) != 0,
	};
	for (unsigned i = 0; i < VCONFIG_BARS; i++) {
		input.bar_sizes[i] = d->regions[i].size;
	}
	int status = vconfig_build(&pdev->config, &input, err);
	if (status < 0) {
		error_context(err, "%s", pdev->name);
	}
	return status;
}

static int map_memory(struct pdev *pdev, struct error *err)
{
	for (size_t i = 0; i < gmem_region_count(pdev->parts.gmem); i++) {
		const struct gmem_region *r = gmem_region(pdev->parts.gmem, i);
		uint64_t at = 0, len;
		for (; (len = gmem_skip_holes(pdev->parts.gmem, r, &at)) > 0; at += len) {
			int status = backend_dma_map(pdev->backend, r->gpa + at, len, r->hva + at,
						     r->fd, at, !r->read_only, err);
			if (status < 0) {
				return status;
			}
		}
	}
	return 0;
}

/* A server forgets by itself when the connection ends; the kernel's mappings may be shared with
 * other devices. */
static void quiet_and_unmap(struct pdev *pdev)
{
	if (!atomic_load(&pdev->gone)) { /* a device that was at work is not let loose on what comes
					    after us */
		(void)!pdev_write_command(pdev, 0);
		int status = pdev->reset_used != BACKEND_RESET_NONE
				     ? backend_reset(pdev->backend, pdev->reset_used)
				     : 0;
		if (status < 0) { /* the next start will see whether it can be had again */
			log_warn("%s: could not be reset when it was let go: %s", pdev->name,
				 strerror(-status));
		}
	}
	for (size_t i = 0; i < gmem_region_count(pdev->parts.gmem) && !atomic_load(&pdev->gone);
	     i++) {
		const struct gmem_region *r = gmem_region(pdev->parts.gmem, i);
		uint64_t at = 0, len;
		for (; (len = gmem_skip_holes(pdev->parts.gmem, r, &at)) > 0; at += len) {
			(void)!backend_dma_unmap(pdev->backend, r->gpa + at, len);
		}
	}
}

/* ----- in the guest ----- */

/* System reset, or of the slot. */
static void on_reset(void *opaque)
{
	struct pdev *pdev = opaque;
	struct error err = {0};
	if (atomic_load(&pdev->gone)) {
		return;
	}
	pdev_irqs_off(pdev);
	if (pdev_reset(pdev, &err) < 0) {
		log_limited(LOG_ERROR, "%s", err.text);
	}
	pdev_irqs_update(pdev);
}

static void on_intx_end(void *opaque)
{
	pdev_irqs_ended(opaque);
}

static void on_destroy(void *opaque)
{
	struct pdev *pdev = opaque;
	pdev_detach(pdev);
	free(pdev->rom);
	free(pdev);
}

static const struct pci_device_ops pdev_pci_ops = {
	.config_read = pdev_config_read,
	.config_write = pdev_config_write,
	.on_reset = on_reset,
	.on_intx_end = on_intx_end,
	.on_destroy = on_destroy,
};

static int create_pci(struct pdev *pdev, struct error *err)
{
	const struct pci_device_config config = {.name = pdev->name, .port = pdev->parts.port};
	pdev->pci = pci_device_create(pdev->parts.host, PCI_SLOT_ANY, &config, &pdev_pci_ops, pdev,
				      err);
	if (!pdev->pci) {
		return -ENOSPC;
	}
	pci_device_load_config(pdev->pci, pdev->config.image, pdev->config.mask);
	pci_device_hook_config(pdev->pci, 0, PCI_CONFIG_LEN);
	return 0;
}

static int adopt_interrupts(struct pdev *pdev, const struct description *d, struct error *err)
{
	int msi = 0, msix = 0;
	if (pdev->config.msix.capability) {
		msix = pci_device_adopt_msix(pdev->pci, pdev->config.msix.capability,
					     pdev->config.msix.count, err);
	}
	if (msix >= 0 && pdev->config.msi) {
		msi = pci_device_adopt_msi(pdev->pci, pdev->config.msi, err);
	}
	if (msix < 0 || msi < 0) {
		return msix < 0 ? msix : msi;
	}
	unsigned msi_count =
		(unsigned)msi < d->irqs[BACKEND_MSI] ? (unsigned)msi : d->irqs[BACKEND_MSI];
	return pdev_irqs_init(pdev, msi_count, (unsigned)msix, err);
}

static int connect_guest(struct pdev *pdev, const struct pdev_options *options,
			 const struct description *d, struct error *err)
{
	int status = create_pci(pdev, err);
	if (status == 0) {
		status = adopt_interrupts(pdev, d, err);
	}
	if (status == 0) {
		status = pdev_bars_init(pdev, d->regions, options->trapped_bars, err);
	}
	if (status == 0) {
		status = pdev_rom_init(pdev, options, &d->regions[BACKEND_ROM], err);
	}
	if (status == 0) {
		pdev_irqs_update(pdev);
	}
	return status;
}

static int pdev_open(struct pdev *pdev, const struct pdev_options *options, struct error *err)
{
	AUTO_FREE struct description *d = calloc(1, sizeof(*d));
	pdev->loop = d ? loop_create(err) : NULL;
	if (!pdev->loop) {
		return -ENOMEM;
	}
	int status = open_backend(pdev, options, err);
	if (status == 0) {
		status = describe_regions(pdev, d, err);
	}
	if (status == 0) {
		status = describe_registers(pdev, d, err);
	}
	if (status == 0) {
		status = build_config(pdev, d, err);
	}
	if (status == 0) {
		status = pdev_reset(pdev, err);
	}
	if (status == 0) {
		status = map_memory(pdev, err);
	}
	return status == 0 ? connect_guest(pdev, options, d, err) : status;
}

struct pdev *pdev_create(const struct pdev_options *options, const struct pdev_parts *parts,
			 struct error *err)
{
	struct pdev *pdev = calloc(1, sizeof(*pdev));
	if (!pdev) {
		error_set(err, -ENOMEM, "out of memory");
		return NULL;
	}
	snprintf(pdev->name, sizeof(pdev->name), "%s%s",
		 options->kind == PDEV_VFIO_USER ? "vfio-user:" : "", options->address);
	pdev->parts = *parts;
	pdev->wanted_resets = options->resets;
	pdev->irqs.ended = -1;
	atomic_store(&pdev->irqs.mode, PDEV_IRQ_OFF);
	if (pdev_open(pdev, options, err) == 0) {
		return pdev;
	}
	if (pdev->pci) {
		pci_device_free(
			pci_port_unplug(parts->port)); /* nobody knew it: no access is in flight */
	} else {
		on_destroy(pdev);
	}
	return NULL;
}

void pdev_detach(struct pdev *pdev)
{
	pdev_gate_close(pdev);
	if (pdev->pci && pdev->backend) {
		pdev_irqs_off(pdev);
		quiet_and_unmap(pdev);
	}
	atomic_store(&pdev->gone, true);
	service_stop(pdev);
	pdev_irqs_finish(pdev);
	pdev_bars_finish(pdev);
	backend_destroy(pdev->backend);
	pdev->backend = NULL;
	loop_destroy(pdev->loop);
	pdev->loop = NULL;
}

uint64_t pdev_interrupts_passed(struct pdev *pdev)
{
	return atomic_load(&pdev->irqs.passed);
}

uint64_t pdev_accesses_passed(struct pdev *pdev)
{
	return atomic_load(&pdev->accesses);
}

bool pdev_is_gone(struct pdev *pdev)
{
	return atomic_load(&pdev->gone);
}

void pdev_bar_bytes(const struct pdev *pdev, uint64_t *memory, uint64_t *prefetchable)
{
	*memory = *prefetchable = 0;
	for (unsigned i = 0; i < VCONFIG_BARS; i++) {
		const struct vconfig_bar *bar = &pdev->config.bars[i];
		uint64_t *sum = bar->wide && bar->prefetchable ? prefetchable : memory;
		*sum += bar->io ? 0 : bar->size;
	}
}
