/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vm_passthrough.c - root ports, the foreign devices behind them, and what `oriel ctl` does with
 * both
 *
 * How it works: a device is attached by opening it behind an empty port and telling the guest.  It
 * is detached by asking the guest (the slot's attention button) and taking it out when the guest
 * has switched the slot off, or when the time is over, or at once. What is left of a detached
 * device is freed when no bus access is under way that might still know it. Threads: set-up, then
 * the control loop; on_eject and on_gone come from other threads.
 */
#include "base/log.h"
#include "bus/bus.h"
#include "passthrough/sysfs.h"
#include "vmm/control.h"
#include "vmm/vm_priv.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NS_PER_S UINT64_C(1000000000)

enum {
	DETACH_PATIENCE_S = 30,
	/* Linux overlooks what happens in the second after it has switched a slot off: nothing new
	   comes before. */
	EJECT_REST_MS = 1200,
};

static void slot_take_out(struct vm_slot *slot);

/* ----- devices ----- */

/* Service thread of the device. */
static void on_gone(void *opaque, const char *name, const char *why)
{
	log_error("%s: %s; the guest sees a device that reads as ones", name, why);
}

static void on_ejected(void *opaque)
{
	struct vm_slot *slot = opaque;
	slot->ejected = true;
	loop_timer_set(slot->patience, loop_now_ns() + EJECT_REST_MS * NS_PER_S / 1000);
}

/* A vCPU's thread: the guest has switched the slot off. */
static void on_eject(void *opaque)
{
	struct vm_slot *slot = opaque;
	if (loop_post(slot->vm->control, on_ejected, slot) < 0) {
		log_error("%s: out of memory, the device stays until it is detached by force",
			  slot->address);
	}
}

static void free_retired(struct vm *vm)
{
	if (bus_is_idle(vm->bus)) {
		while (vm->retired_count) {
			pci_device_free(vm->retired[--vm->retired_count]);
		}
	}
}

/* The board's window that 64-bit BARs of @need bytes fit in, wherever the guest puts them: twice
 * the next power of two. */
static uint64_t window_for(uint64_t need)
{
	uint64_t len = BOARD_PCI_MEM64_LEN;
	while (len / 2 < need && len < BOARD_PCI_MEM64_MAX) {
		len *= 2;
	}
	return len;
}

/* Will the BARs fit what the guest has set aside for the port?  A guest that has not looked at the
 * port yet makes room itself. */
static int check_windows(struct vm_slot *slot, struct error *err)
{
	uint64_t need_low, need_high, low, high;
	pdev_bar_bytes(slot->device, &need_low, &need_high);
	pci_port_windows(slot->port, &low, &high);
	if (need_high > BOARD_PCI_MEM64_MAX / 2 ||
	    (slot->vm->started && need_high > pci_host_memory64(slot->vm->pci) / 2)) {
		return error_set(err, -ENOSPC,
				 "%s: its BARs need %" PRIu64
				 " GiB, more than the board's window can hold%s",
				 slot->address, need_high >> 30,
				 need_high > BOARD_PCI_MEM64_MAX / 2
					 ? ""
					 : " now; give the device when the VM starts");
	}
	if (low && need_low > low) {
		return error_set(
			err, -ENOSPC,
			"%s: its BARs need %" PRIu64 " MiB, the guest has reserved %" PRIu64
			" MiB behind the slot: boot it with pci=hpmmiosize=%" PRIu64 "M",
			slot->address, (need_low >> 20) + 1, low >> 20, (need_low >> 19) + 2);
	}
	if (high && need_high > high) {
		return error_set(err, -ENOSPC,
				 "%s: its BARs need %" PRIu64
				 " MiB of prefetchable window, the guest has reserved %" PRIu64
				 " MiB behind the slot: boot it with pci=hpmmioprefsize=%" PRIu64
				 "M",
				 slot->address, need_high >> 20, high >> 20, need_high >> 19);
	}
	return 0;
}

static int slot_plug(struct vm_slot *slot, const struct config_passthrough *device,
		     struct error *err)
{
	struct vm *vm = slot->vm;
	const struct pdev_options options = {
		.kind = device->vfio_user ? PDEV_VFIO_USER : PDEV_VFIO,
		.address = device->address,
		.trapped_bars = device->trapped_bars,
		.rom_file = device->rom_file,
		.no_rom = device->no_rom,
		.resets = device->resets,
	};
	const struct pdev_parts parts = {
		.host = vm->pci,
		.port = slot->port,
		.gmem = vm->gmem,
		.vfio = vm->vfio,
		.on_gone = on_gone,
		.opaque = vm,
	};
	snprintf(slot->address, sizeof(slot->address), "%s%s",
		 device->vfio_user ? "vfio-user:" : "", device->address);
	slot->device = pdev_create(&options, &parts, err);
	if (!slot->device) {
		return -ENODEV;
	}
	int status = check_windows(slot, err);
	if (status < 0) {
		slot->device = NULL;
		pci_device_free(pci_port_unplug(slot->port)); /* the guest never saw it */
		return status;
	}
	pci_port_announce(slot->port);
	return 0;
}

/* The device leaves the slot now.  Answers who waits for that. */
static void slot_take_out(struct vm_slot *slot)
{
	struct vm *vm = slot->vm;
	struct pci_device *pci = pci_port_unplug(slot->port);
	pdev_detach(slot->device);
	slot->device = NULL;
	slot->ejected = false;
	loop_timer_set(slot->patience, 0);
	vm->retired[vm->retired_count++] = pci;
	free_retired(vm);
	log_info("%s: detached", slot->address);
	if (slot->waiting) {
		struct control_request *request = slot->waiting;
		slot->waiting = NULL;
		control_answer(request,
			       json_pack("{s:b,s:b}", "ok", 1, "forced", (int)slot->forced));
	}
}

/* The guest has let go, or did not in time. */
static void on_patience(void *opaque)
{
	struct vm_slot *slot = opaque;
	if (slot->device && slot->ejected) {
		slot_take_out(slot);
	} else if (slot->device) {
		log_warn("%s: the guest did not let go, the device is taken", slot->address);
		slot->forced = true;
		slot_take_out(slot);
	}
}

/* ----- requests ----- */

/* The slot whose device is @address, or the first empty one if that is NULL. */
static struct vm_slot *find_slot(struct vm *vm, const char *address)
{
	for (size_t i = 0; i < vm->slot_count; i++) {
		struct vm_slot *slot = &vm->slots[i];
		if (address ? slot->device && !strcmp(slot->address, address) : !slot->device) {
			return slot;
		}
	}
	return NULL;
}

void vm_request_attach(struct vm *vm, struct control_request *request, const json_t *body)
{
	struct config_passthrough device;
	struct error err = {0};
	const char *text = json_string_value(json_object_get(body, "device"));
	struct vm_slot *slot = find_slot(vm, NULL);
	if (!text) {
		control_refuse(request, "attach needs a device");
		return;
	}
	if (!slot || vm->retired_count == VM_MAX_SLOTS) {
		control_refuse(request, "no slot is empty: start the VM with --hotplug-slots");
		return;
	}
	free_retired(vm);
	int status = config_parse_passthrough(&device, text, &err);
	if (status == 0) {
		status = slot_plug(slot, &device, &err);
	}
	config_passthrough_finish(&device);
	if (status < 0) {
		control_refuse(request, err.text);
		return;
	}
	control_answer(request, json_pack("{s:b,s:i,s:s}", "ok", 1, "slot", (int)(slot - vm->slots),
					  "reset", pdev_reset_used(slot->device)));
}

void vm_request_detach(struct vm *vm, struct control_request *request, const json_t *body)
{
	const char *text = json_string_value(json_object_get(body, "device"));
	struct vm_slot *slot = text ? find_slot(vm, text) : NULL;
	json_int_t patience = json_integer_value(json_object_get(body, "timeout"));
	if (!slot) {
		control_refuse(request, "no such device is attached (oriel ctl status)");
		return;
	}
	if (slot->waiting) {
		control_refuse(request, "it is being detached already");
		return;
	}
	slot->waiting = request;
	slot->forced = json_is_true(json_object_get(body, "force"));
	if (slot->forced) {
		slot_take_out(slot);
		return;
	}
	patience = patience > 0 && patience < 3600 ? patience : DETACH_PATIENCE_S;
	loop_timer_set(slot->patience, loop_now_ns() + (uint64_t)patience * NS_PER_S);
	pci_port_request_eject(slot->port);
}

json_t *vm_slots_status(struct vm *vm)
{
	json_t *slots = json_array();
	for (size_t i = 0; i < vm->slot_count; i++) {
		const struct vm_slot *slot = &vm->slots[i];
		json_array_append_new(
			slots,
			slot->device
				? json_pack("{s:s,s:s,s:b,s:I,s:I}", "device", slot->address,
					    "reset", pdev_reset_used(slot->device), "gone",
					    (int)pdev_is_gone(slot->device), "interrupts_passed",
					    (json_int_t)pdev_interrupts_passed(slot->device),
					    "accesses_passed",
					    (json_int_t)pdev_accesses_passed(slot->device))
				: json_null());
	}
	return slots;
}

/* ----- set-up ----- */

struct holes {
	struct gmem *gmem;
	int rc;
};

static void keep_hole(void *opaque, uint64_t first, uint64_t last)
{
	struct holes *holes = opaque;
	holes->rc = holes->rc < 0 ? holes->rc : gmem_add_hole(holes->gmem, first, last);
}

int vm_keep_holes(struct vm *vm, struct error *err)
{
	const struct vm_config *config = vm->config;
	struct holes holes = {vm->gmem, 0};
	bool wanted = config->hotplug_slots > 0;
	for (size_t i = 0; i < config->passthrough_count; i++) {
		wanted = wanted || !config->passthrough[i].vfio_user;
	}
	if (wanted) {
		sysfs_each_reserved("/sys", keep_hole, &holes);
	}
	size_t count;
	const struct gmem_hole *hole = gmem_holes(vm->gmem, &count);
	for (size_t i = 0; i < count; i++) {
		log_info("guest memory at 0x%" PRIx64 "+0x%" PRIx64
			 " is left alone: the host's IOMMU reserves these addresses",
			 hole[i].gpa, hole[i].len);
	}
	return holes.rc < 0 ? error_set(err, holes.rc,
					"guest memory: the host's IOMMUs reserve more than %d "
					"ranges of it",
					GMEM_MAX_HOLES)
			    : 0;
}

static int create_slot(struct vm *vm, size_t index, struct error *err)
{
	static const struct pci_port_ops ops = {on_eject};
	struct vm_slot *slot = &vm->slots[index];
	char name[32];
	slot->vm = vm;
	snprintf(name, sizeof(name), "port%zu", index);
	slot->port = pci_port_create(vm->pci, name, &ops, slot, err);
	slot->patience = loop_add_timer(vm->control, on_patience, slot);
	if (!slot->port || !slot->patience) {
		return -ENOSPC;
	}
	const struct vm_config *config = vm->config;
	return index < config->passthrough_count ? slot_plug(slot, &config->passthrough[index], err)
						 : 0;
}

/* All devices are there: is the board's window large enough?  If not, the device tree has to say
 * so. */
static int make_window(struct vm *vm, struct error *err)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < vm->slot_count; i++) {
		uint64_t low = 0, high = 0;
		if (vm->slots[i].device) {
			pdev_bar_bytes(vm->slots[i].device, &low, &high);
		}
		sum += high;
	}
	uint64_t len = window_for(sum);
	vm->started = true;
	if (sum > BOARD_PCI_MEM64_MAX / 2) {
		return error_set(err, -ENOSPC,
				 "the BARs of all devices need %" PRIu64
				 " GiB, more than the board's window can hold",
				 sum >> 30);
	}
	if (len == pci_host_memory64(vm->pci)) {
		return 0;
	}
	pci_host_grow_memory64(vm->pci, len);
	return vm_load(vm, err);
}

int vm_create_passthrough(struct vm *vm, struct error *err)
{
	const struct vm_config *config = vm->config;
	vm->vfio = vfio_host_create();
	if (!vm->vfio) {
		return error_set(err, -ENOMEM, "out of memory");
	}
	vm->slot_count = config->passthrough_count + config->hotplug_slots;
	for (size_t i = 0; i < vm->slot_count; i++) {
		int status = create_slot(vm, i, err);
		if (status < 0) {
			return status;
		}
	}
	return make_window(vm, err);
}

void vm_free_detached(struct vm *vm)
{
	while (vm->retired_count) {
		pci_device_free(vm->retired[--vm->retired_count]);
	}
}
