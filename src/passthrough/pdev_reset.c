/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pdev_reset.c - the reset ladder, and what a device needs after a reset
 *
 * Threads: set-up, or any vCPU with the PCI host's lock held.
 */
#include "passthrough/pdev_priv.h"

#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum {
	REG_VENDOR = 0x00,
	REG_COMMAND = 0x04,
	REG_BAR0 = 0x10,
	COMMAND_IO = 1,
	COMMAND_MEMORY = 2,
};

/* Where a raw device's BARs are, in its own eyes: outside of anything that guest memory can be. */
#define RAW_BARS_32 UINT64_C(0x10000000)
#define RAW_BARS_64 (UINT64_C(1) << 46)

static const char *const reset_names[BACKEND_RESET_COUNT] = {
	[BACKEND_RESET_NONE] = "none", [BACKEND_RESET_FLR] = "flr",	  [BACKEND_RESET_PM] = "pm",
	[BACKEND_RESET_BUS] = "bus",   [BACKEND_RESET_DEVICE] = "device",
};

const char *pdev_reset_used(const struct pdev *pdev)
{
	return reset_names[pdev->reset_used];
}

int pdev_write_command(struct pdev *pdev, uint16_t command)
{
	command = (uint16_t)((command | COMMAND_MEMORY) & ~COMMAND_IO);
	return backend_write(pdev->backend, BACKEND_CONFIG, REG_COMMAND, &command, sizeof(command),
			     false);
}

static int write_bar(struct pdev *pdev, unsigned index, uint64_t address)
{
	uint32_t words[2] = {(uint32_t)address, (uint32_t)(address >> 32)};
	int status = 0;
	for (unsigned i = 0; status == 0 && i <= pdev->config.bars[index].wide; i++) {
		status = backend_write(pdev->backend, BACKEND_CONFIG, REG_BAR0 + 4 * (index + i),
				       &words[i], 4, false);
	}
	return status;
}

/* Give each BAR of a raw device an address and let it decode. */
static int place_raw_bars(struct pdev *pdev)
{
	uint64_t next[2] = {RAW_BARS_32, RAW_BARS_64};
	for (unsigned i = 0; i < VCONFIG_BARS; i++) {
		const struct vconfig_bar *bar = &pdev->config.bars[i];
		if (!bar->size || bar->io) {
			continue;
		}
		uint64_t *at = &next[bar->wide];
		*at = (*at + bar->size - 1) & ~(bar->size - 1);
		int status = write_bar(pdev, i, *at);
		if (status < 0) {
			return status;
		}
		*at += bar->size;
	}
	return 0;
}

/* Is it the same device, with the same BARs? */
static bool is_intact(struct pdev *pdev)
{
	uint8_t vendor[4];
	struct backend_region region;
	if (backend_read(pdev->backend, BACKEND_CONFIG, REG_VENDOR, vendor, sizeof(vendor)) < 0 ||
	    memcmp(vendor, pdev->config.image + REG_VENDOR, sizeof(vendor)) != 0) {
		return false;
	}
	for (unsigned i = 0; i < VCONFIG_BARS; i++) {
		if (pdev->config.bars[i].size &&
		    (backend_region(pdev->backend, i, &region, NULL) < 0 ||
		     region.size != pdev->config.bars[i].size)) {
			return false;
		}
	}
	return true;
}

/* One way.  0, or -errno with @why filled. */
static int try_reset(struct pdev *pdev, enum backend_reset way, char *why, size_t room)
{
	int status = backend_reset(pdev->backend, way);
	bool intact = status == 0 && is_intact(pdev);
	if (!intact) {
		snprintf(why, room, "%s: %s", reset_names[way],
			 status < 0 ? strerror(-status) : "the device does not answer as before");
	}
	return status < 0 ? status : intact ? 0 : -EIO;
}

/*
 * Try the ways in order of how little else they touch.  A device without any is taken as it is, one
 * whose ways fail is not, unless the user says so (reset=none).
 */
static int climb_down(struct pdev *pdev, struct error *err)
{
	unsigned ways = backend_resets(pdev->backend);
	unsigned allowed = pdev->wanted_resets ? pdev->wanted_resets : ~0u;
	char why[160] = "it has no such way";
	for (unsigned way = BACKEND_RESET_FLR; way < BACKEND_RESET_COUNT; way++) {
		if (!(ways & allowed & 1u << way)) {
			continue;
		}
		if (try_reset(pdev, (enum backend_reset)way, why, sizeof(why)) == 0) {
			pdev->reset_used = (enum backend_reset)way;
			return 0;
		}
		log_warn("%s: reset by %s", pdev->name, why);
	}
	pdev->reset_used = BACKEND_RESET_NONE;
	bool may_skip =
		pdev->wanted_resets ? pdev->wanted_resets & 1u << BACKEND_RESET_NONE : !ways;
	if (may_skip && is_intact(pdev)) {
		return 0;
	}
	return error_set(err, -EIO,
			 "%s: the device could not be reset (%s); it may need the host to be "
			 "power-cycled, or reset=none takes it as it is",
			 pdev->name, may_skip ? "it does not answer as before" : why);
}

int pdev_reset(struct pdev *pdev, struct error *err)
{
	pdev_gate_close(pdev); /* mappings of a device in reset fault */
	int status = climb_down(pdev, err);
	if (status == 0 && pdev->backend->raw) {
		status = place_raw_bars(pdev);
	}
	if (status == 0) {
		status = pdev_write_command(pdev, 0);
	}
	if (status < 0) {
		return err && err->text[0]
			       ? status
			       : error_set(err, status, "%s: not usable after its reset: %s",
					   pdev->name, strerror(-status));
	}
	log_info("%s: reset by %s", pdev->name, pdev_reset_used(pdev));
	pdev_gate_open(pdev);
	return 0;
}
