/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vconfig.c - the rules by which a foreign device's configuration space is shown
 *
 * How it works: first everything behind the header is the device's; then each known register is
 * given its rule.  Capabilities keep their places; those that make no sense in a guest are taken
 * out of the chain.  The device always stands behind a root port of ours, so its PCI Express
 * capability is shown as that of an endpoint on a link which the port agrees with. Invariants:
 * every walk is bounded; an offset is checked before it is used. Threads: values.
 */
#include "passthrough/vconfig.h"

#include <errno.h>
#include <string.h>

enum {
	REG_COMMAND = 0x04,
	REG_STATUS = 0x06,
	REG_CACHE_LINE = 0x0c,
	REG_LATENCY = 0x0d,
	REG_HEADER_TYPE = 0x0e,
	REG_BAR0 = 0x10,
	REG_CAPABILITIES = 0x34,
	REG_LINE = 0x3c,
	REG_PIN = 0x3d,
	FIRST_CAPABILITY = 0x40,
	STANDARD_END = 0x100,

	COMMAND_WRITABLE = 0x0546, /* memory, master, parity, SERR, INTx off */
	STATUS_HAS_LIST = 0x10,

	CAP_PM = 0x01,
	CAP_VPD = 0x03,
	CAP_MSI = 0x05,
	CAP_VENDOR = 0x09,
	CAP_EXPRESS = 0x10,
	CAP_MSIX = 0x11,

	EXPRESS_V1_LEN = 0x14,
	EXPRESS_V2_LEN = 0x3c,

	EXT_AER = 0x0001,
	EXT_SERIAL = 0x0003,
	EXT_VENDOR = 0x000b,
	EXT_ACS = 0x000d,
	EXT_REBAR = 0x0015,
	EXT_DVSEC = 0x0023,
};

static uint16_t load16(const uint8_t *at)
{
	return (uint16_t)(at[0] | at[1] << 8);
}

static uint32_t load32(const uint8_t *at)
{
	return load16(at) | (uint32_t)load16(at + 2) << 16;
}

static void store16(uint8_t *at, uint16_t value)
{
	at[0] = (uint8_t)value;
	at[1] = (uint8_t)(value >> 8);
}

static void store32(uint8_t *at, uint32_t value)
{
	store16(at, (uint16_t)value);
	store16(at + 2, (uint16_t)(value >> 16));
}

static void own(struct vconfig *c, unsigned at, unsigned len, enum vconfig_owner owner)
{
	memset(c->owner + at, owner, len);
}

static int build_header(struct vconfig *c, const struct vconfig_input *input, struct error *err)
{
	const uint8_t *r = input->registers;
	if (load16(r) == 0xffff || load16(r) == 0) {
		return error_set(err, -ENODEV, "its registers read as nothing (vendor 0x%04x)",
				 load16(r));
	}
	if ((r[REG_HEADER_TYPE] & 0x7f) != 0) {
		return error_set(err, -ENOTSUP,
				 "it is a bridge, which can not be handed to a guest");
	}
	own(c, 0, FIRST_CAPABILITY, VCONFIG_OURS);
	own(c, REG_COMMAND, 2, VCONFIG_COPIED);
	store16(c->image + REG_COMMAND, 0);
	store16(c->mask + REG_COMMAND, COMMAND_WRITABLE);
	own(c, REG_STATUS, 2, VCONFIG_DEVICE);
	c->mask[REG_CACHE_LINE] = 0xff;
	c->image[REG_CACHE_LINE] = c->image[REG_LATENCY] = 0;
	c->image[REG_HEADER_TYPE] = 0; /* one function */
	c->image[REG_HEADER_TYPE + 1] = 0;
	memset(c->image + 0x28, 0, 4); /* CardBus */
	c->mask[REG_LINE] = 0xff;
	c->image[REG_LINE] = 0;
	c->has_intx = r[REG_PIN] && input->intx_count;
	c->image[REG_PIN] = c->has_intx;
	return 0;
}

static int build_bars(struct vconfig *c, const struct vconfig_input *input, struct error *err)
{
	for (unsigned i = 0; i < VCONFIG_BARS; i++) {
		uint64_t size = input->bar_sizes[i];
		uint8_t bits = input->registers[REG_BAR0 + 4 * i];
		if (!size) {
			continue;
		}
		struct vconfig_bar *bar = &c->bars[i];
		*bar = (struct vconfig_bar){size, (bits & 7) == 4, (bits & 9) == 8, bits & 1};
		if (bar->io) {
			continue;
		}
		if (size < 16 || (size & (size - 1)) || size > UINT64_C(1) << 46 ||
		    (!bar->wide && size >> 31 > 1)) {
			return error_set(err, -EINVAL,
					 "BAR %u has 0x%llx bytes, which no BAR can have", i,
					 (unsigned long long)size);
		}
		if (bar->wide && (i + 1 == VCONFIG_BARS || input->bar_sizes[i + 1])) {
			return error_set(err, -EINVAL,
					 "BAR %u has 64 bits but no room for its upper half", i);
		}
		i += bar->wide;
	}
	return 0;
}

/* Power management: the device stays in D0, the guest's idea of its state is kept here.  No PME. */
static void show_power(struct vconfig *c, unsigned at)
{
	own(c, at, 8, VCONFIG_OURS);
	store16(c->image + at + 2, load16(c->image + at + 2) & 0x07ff);
	store32(c->image + at + 4, 0x0008); /* no soft reset on the way back to D0 */
	store16(c->mask + at + 4, 0x0003);
}

static bool show_msi(struct vconfig *c, const struct vconfig_input *input, unsigned at)
{
	uint16_t control = load16(c->image + at + 2);
	unsigned len = (control & 0x80 ? 14 : 10) + (control & 0x100 ? 10 : 0);
	if (!input->msi_count || at + len > STANDARD_END) {
		return false;
	}
	c->msi = at;
	own(c, at + 2, len - 2, VCONFIG_COPIED);
	return true;
}

static bool range_fits(const struct vconfig *c, unsigned bar, uint64_t offset, uint64_t len)
{
	return bar < VCONFIG_BARS && !c->bars[bar].io && offset <= c->bars[bar].size &&
	       len <= c->bars[bar].size - offset;
}

static int show_msix(struct vconfig *c, const struct vconfig_input *input, unsigned at,
		     struct error *err)
{
	struct vconfig_msix *msix = &c->msix;
	uint32_t table = load32(c->image + at + 4), pending = load32(c->image + at + 8);
	*msix = (struct vconfig_msix){
		.capability = at,
		.count = (load16(c->image + at + 2) & 0x7ffu) + 1,
		.table_bar = table & 7,
		.table_offset = table & ~7u,
		.pending_bar = pending & 7,
		.pending_offset = pending & ~7u,
	};
	if (!range_fits(c, msix->table_bar, msix->table_offset, msix->count * 16) ||
	    !range_fits(c, msix->pending_bar, msix->pending_offset, (msix->count + 63) / 64 * 8)) {
		return error_set(err, -EINVAL, "its MSI-X table lies outside its BARs");
	}
	msix->count = msix->count < input->msix_count ? msix->count : input->msix_count;
	store16(c->image + at + 2, 0);
	own(c, at + 2, 10, VCONFIG_OURS);
	own(c, at + 2, 2, VCONFIG_COPIED);
	return 0;
}

/* As an endpoint of a x1 link at least; payloads of 128 bytes, as the port has; no power states of
 * the link. */
static void show_link(uint8_t *image, uint8_t *mask)
{
	uint32_t capabilities =
		load32(image + 0x0c) & ~UINT32_C(0xff040c00) & ~UINT32_C(0x001c0000);
	uint16_t status = load16(image + 0x12) & 0x3ff;
	if (!(capabilities & 0x3f0)) {
		capabilities = (capabilities & ~UINT32_C(0x3ff)) | 0x11;
	}
	if (!(status & 0x3f0) || !(status & 0xf)) {
		status = (uint16_t)(capabilities & 0x3ff);
	}
	store32(image + 0x0c, capabilities);
	store16(image + 0x10, 0);
	store16(mask + 0x10, 0x00c0);
	store16(image + 0x12, status);
}

static bool show_express(struct vconfig *c, const struct vconfig_input *input, unsigned at)
{
	uint8_t *image = c->image + at, *mask = c->mask + at;
	unsigned version = image[2] & 0xf, type = image[2] >> 4;
	unsigned len = version >= 2 ? EXPRESS_V2_LEN : EXPRESS_V1_LEN;
	if (at + len > STANDARD_END || (type != 0 && type != 1 && type != 9)) {
		return false;
	}
	own(c, at, len, VCONFIG_OURS);
	memset(c->mask + at, 0, len);
	c->express = at;
	store16(image + 2, (uint16_t)(version ? version : 1)); /* an endpoint */
	uint32_t device = load32(image + 4) & ~UINT32_C(0x1000001f);
	store32(image + 4, device | (input->can_reset ? UINT32_C(1) << 28 : 0));
	store16(image + 8, 0);
	store16(mask + 8, 0x7f1f);
	store16(image + 10, 0);
	show_link(image, mask);
	if (version >= 2) {
		store32(image + 0x24,
			load32(image + 0x24) & 0x39f); /* time-outs, AtomicOps as a completer */
		store16(mask + 0x28, 0x001f);
		store16(image + 0x28, 0);
		store16(image + 0x2a, 0);
		store16(image + 0x30, 0);
		store16(mask + 0x30, 0x000f);
		store16(image + 0x32, 0);
		memset(image + 0x34, 0, 8);
	}
	return true;
}

/* Give the capability at @at its rule.  1: shown; 0: hidden; -errno. */
static int show_capability(struct vconfig *c, const struct vconfig_input *input, unsigned at,
			   struct error *err)
{
	switch (c->image[at]) {
	case CAP_PM: show_power(c, at); return at + 8 <= STANDARD_END;
	case CAP_MSI: return c->msi ? 0 : show_msi(c, input, at);
	case CAP_MSIX: {
		if (c->msix.capability || !input->msix_count || at + 12 > STANDARD_END) {
			return 0;
		}
		int status = show_msix(c, input, at, err);
		return status < 0 ? status : 1;
	}
	case CAP_EXPRESS: return c->express ? 0 : show_express(c, input, at);
	case CAP_VPD:
	case CAP_VENDOR: return 1;
	default: return 0;
	}
}

/* What a walk over a chain found at each dword. */
enum { NOTHING, SHOWN, HIDDEN };

/* Registers of hidden capabilities, up to the next one or @end, read as zero and take nothing. */
static void hide_registers(struct vconfig *c, const uint8_t *found, unsigned start, unsigned end)
{
	bool hiding = false;
	for (unsigned at = start; at < end; at += 4) {
		hiding = found[at / 4] == HIDDEN || (hiding && found[at / 4] == NOTHING);
		if (hiding) {
			own(c, at, 4, VCONFIG_OURS);
			memset(c->image + at, 0, 4);
		}
	}
}

static int build_capabilities(struct vconfig *c, const struct vconfig_input *input,
			      struct error *err)
{
	const uint8_t *r = input->registers;
	uint8_t found[STANDARD_END / 4] = {NOTHING};
	unsigned link = REG_CAPABILITIES; /* the byte that points to the next one shown */
	unsigned at = load16(r + REG_STATUS) & STATUS_HAS_LIST ? r[REG_CAPABILITIES] & 0xfcu : 0;
	c->image[link] = 0;
	while (at >= FIRST_CAPABILITY && found[at / 4] == NOTHING) {
		unsigned next = r[at + 1] & 0xfcu;
		int shown = at + 4 <= STANDARD_END ? show_capability(c, input, at, err) : 0;
		if (shown < 0) {
			return shown;
		}
		if (shown) {
			own(c, at, 2, VCONFIG_OURS);
			c->image[link] = (uint8_t)at;
			link = at + 1;
			c->image[link] = 0;
		}
		found[at / 4] = shown ? SHOWN : HIDDEN;
		at = next;
	}
	hide_registers(c, found, FIRST_CAPABILITY, STANDARD_END);
	return 0;
}

static bool ext_is_shown(unsigned id)
{
	return id == EXT_AER || id == EXT_SERIAL || id == EXT_VENDOR || id == EXT_ACS ||
	       id == EXT_REBAR || id == EXT_DVSEC;
}

/* Resizable BARs: only the present size is offered, so a guest has nothing to choose. */
static void pin_rebar(struct vconfig *c, unsigned at)
{
	unsigned bars = at + 12 <= VCONFIG_LEN ? c->image[at + 8] >> 5 & 7 : 0;
	for (unsigned i = 0; i < bars && at + 4 + 8 * (i + 1) <= VCONFIG_LEN; i++) {
		uint8_t *entry = c->image + at + 4 + 8 * i;
		unsigned size = load32(entry + 4) >> 8 & 0x3f; /* 2^size MiB */
		store32(entry, size < 28 ? UINT32_C(1) << (size + 4) : 0);
		store32(entry + 4, load32(entry + 4) & 0xffff);
		own(c, at + 4 + 8 * i, 8, VCONFIG_OURS);
	}
}

/* As hide_registers(), but the header at 0x100 holds the start of the chain. */
static void hide_extended(struct vconfig *c, const uint8_t *found)
{
	uint8_t first[4];
	memcpy(first, c->image + STANDARD_END, sizeof(first));
	hide_registers(c, found, STANDARD_END, VCONFIG_LEN);
	memcpy(c->image + STANDARD_END, first, sizeof(first));
}

/* The first header may not go, or Linux would stop there: it becomes one without meaning. */
static void build_extended(struct vconfig *c, const struct vconfig_input *input)
{
	uint8_t found[VCONFIG_LEN / 4] = {NOTHING};
	unsigned at = STANDARD_END, before = 0;
	if (input->len < VCONFIG_LEN || !c->express) {
		own(c, STANDARD_END, VCONFIG_LEN - STANDARD_END, VCONFIG_OURS);
		memset(c->image + STANDARD_END, 0, VCONFIG_LEN - STANDARD_END);
		return;
	}
	while (at >= STANDARD_END && at <= VCONFIG_LEN - 4 && found[at / 4] == NOTHING) {
		uint32_t header = load32(input->registers + at);
		unsigned next = header >> 20 & 0xffc, id = header & 0xffff;
		bool shown = header && header != UINT32_MAX && ext_is_shown(id);
		found[at / 4] = shown ? SHOWN : HIDDEN;
		if (at == STANDARD_END || shown) {
			own(c, at, 4, VCONFIG_OURS);
			store32(c->image + at, shown ? header & 0xfffff : 0);
			if (before) {
				store32(c->image + before, load32(c->image + before) | at << 20);
			}
			before = at;
		}
		if (shown && id == EXT_REBAR) {
			pin_rebar(c, at);
		}
		at = next;
	}
	hide_extended(c, found);
}

int vconfig_build(struct vconfig *config, const struct vconfig_input *input, struct error *err)
{
	memset(config, 0, sizeof(*config));
	memcpy(config->image, input->registers, VCONFIG_LEN);
	memset(config->owner, VCONFIG_DEVICE, VCONFIG_LEN);
	int status = build_header(config, input, err);
	if (!status) {
		status = build_bars(config, input, err);
	}
	if (!status) {
		status = build_capabilities(config, input, err);
	}
	if (!status) {
		build_extended(config, input);
		config->image[REG_STATUS] = config->image[REG_CAPABILITIES] ? STATUS_HAS_LIST : 0;
		config->image[REG_STATUS + 1] = 0;
	}
	return status;
}
