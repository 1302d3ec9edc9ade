/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pdev_config.c - configuration space of a foreign device: what goes to it
 *
 * How it works: src/pci keeps the bytes that are ours, and has already changed them when a write
 * arrives here. Threads: any vCPU, with the PCI host's lock held.
 */
#include "passthrough/pdev_priv.h"

#include "base/log.h"

#include <string.h>

enum {
	REG_COMMAND = 0x04,
	REG_STATUS = 0x06,
	STATUS_HAS_LIST = 0x10,
	EXPRESS_DEVICE_CONTROL_HIGH = 9,
	EXPRESS_FLR = 0x80,
};

static bool touches(unsigned offset, unsigned size, unsigned at, unsigned len)
{
	return offset < at + len && at < offset + size;
}

static bool any_of(const struct pdev *pdev, unsigned offset, unsigned size,
		   enum vconfig_owner at_least)
{
	for (unsigned i = 0; i < size; i++) {
		if (pdev->config.owner[offset + i] >= at_least) {
			return true;
		}
	}
	return false;
}

bool pdev_config_read(void *opaque, unsigned offset, unsigned size, uint32_t *value)
{
	struct pdev *pdev = opaque;
	uint8_t ours[4] = {0}, theirs[4] = {0};
	if (atomic_load(&pdev->gone)) {
		*value = UINT32_MAX >> (32 - size * 8);
		return true;
	}
	if (!any_of(pdev, offset, size, VCONFIG_DEVICE)) {
		return false;
	}
	pci_device_peek_config(pdev->pci, offset, ours, size);
	if (backend_read(pdev->backend, BACKEND_CONFIG, offset, theirs, size) < 0) {
		memset(theirs, 0xff, sizeof(theirs));
	}
	*value = 0;
	for (unsigned i = 0; i < size; i++) {
		uint8_t byte =
			pdev->config.owner[offset + i] == VCONFIG_DEVICE ? theirs[i] : ours[i];
		if (offset + i == REG_STATUS) {
			byte = (uint8_t)((theirs[i] & ~STATUS_HAS_LIST) |
					 (ours[i] & STATUS_HAS_LIST));
		}
		*value |= (uint32_t)byte << (i * 8);
	}
	return true;
}

/* The bytes of a write that are not only ours, as one access if it can be. */
static void forward(struct pdev *pdev, unsigned offset, unsigned size, uint32_t value)
{
	const uint8_t *owner = pdev->config.owner + offset;
	bool all = true;
	for (unsigned i = 0; i < size; i++) {
		all = all && owner[i] != VCONFIG_OURS && !touches(offset + i, 1, REG_COMMAND, 2);
	}
	unsigned step = all ? size : 1;
	for (unsigned i = 0; i < size; i += step) {
		uint32_t piece = value >> (i * 8);
		if ((all || owner[i] != VCONFIG_OURS) && !touches(offset + i, 1, REG_COMMAND, 2) &&
		    backend_write(pdev->backend, BACKEND_CONFIG, offset + i, &piece, step, false) <
			    0) {
			log_limited(LOG_WARN, "%s: write of configuration register 0x%x failed",
				    pdev->name, offset + i);
		}
	}
}

static void follow_command(struct pdev *pdev)
{
	uint8_t bytes[2];
	pci_device_peek_config(pdev->pci, REG_COMMAND, bytes, sizeof(bytes));
	if (pdev_write_command(pdev, (uint16_t)(bytes[0] | bytes[1] << 8)) < 0) {
		log_limited(LOG_WARN, "%s: the command register can not be written", pdev->name);
	}
}

static void reset_function(struct pdev *pdev)
{
	struct error err = {0};
	pdev_irqs_off(pdev);
	if (pdev_reset(pdev, &err) < 0) {
		log_limited(LOG_ERROR, "%s", err.text);
	}
	follow_command(pdev);
	pdev_irqs_update(pdev);
}

void pdev_config_write(void *opaque, unsigned offset, unsigned size, uint32_t value)
{
	struct pdev *pdev = opaque;
	if (atomic_load(&pdev->gone)) {
		return;
	}
	unsigned control = pdev->config.express + EXPRESS_DEVICE_CONTROL_HIGH;
	if (pdev->config.express && touches(offset, size, control, 1) &&
	    (value >> (control - offset) * 8 & EXPRESS_FLR)) {
		reset_function(pdev);
		return;
	}
	if (touches(offset, size, REG_COMMAND, 2)) {
		follow_command(pdev);
	}
	bool messages = pci_device_msix_enabled(pdev->pci) || pci_device_msi_enabled(pdev->pci);
	if (messages) { /* the device gets its eventfds before it is told to use them, and loses
			   them after */
		pdev_irqs_update(pdev);
	}
	if (any_of(pdev, offset, size, VCONFIG_COPIED)) {
		forward(pdev, offset, size, value);
	}
	pdev_irqs_update(pdev);
}
