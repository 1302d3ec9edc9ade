/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model.c - the CPU models that vCPUs of hypervisors show
 *
 * Threads: see model.h.
 */
#include "engine/model.h"

#include <stdio.h>
#include <string.h>

enum { NO_FP = 0xf };

/* The most that each 4-bit field may say, lowest field first; F where the host's value stays. */
static const struct {
	const char *name;
	uint32_t reg;
	uint64_t most;
} ids[] = {
	/* CSV3, CSV2 stay; GIC; no half precision; EL3 and EL2 as the kernel has them; AArch64
	   alone */
	{"ID_AA64PFR0", ENGINE_SYSREG(3, 0, 0, 4, 0), 0xff0000000f00ff11},
	{"ID_AA64ISAR0", ENGINE_SYSREG(3, 0, 0, 6, 0), 0x11120},
	{"ID_AA64ISAR1", ENGINE_SYSREG(3, 0, 0, 6, 1), 0},
	{"ID_AA64ISAR2", ENGINE_SYSREG(3, 0, 0, 6, 2), 0},
	/* all of MMFR0 stays: address sizes and granules of the host */
	{"ID_AA64MMFR1", ENGINE_SYSREG(3, 0, 0, 7, 1), 0x00000000000000f0},
	{"ID_AA64MMFR2", ENGINE_SYSREG(3, 0, 0, 7, 2), 0xf000000000000000},
};

/* Does a field of value @is show more than @most?  FP and AdvSIMD count from F, which is none. */
static bool is_more(unsigned is, unsigned most, bool is_fp)
{
	return is_fp ? is != NO_FP && is > most : is > most;
}

unsigned model_baseline(const struct model_access *vcpu, char *list, size_t len)
{
	unsigned kept = 0;
	list[0] = '\0';
	for (size_t n = 0; n < sizeof(ids) / sizeof(ids[0]); n++) {
		uint64_t value;
		if (vcpu->get(vcpu->opaque, ids[n].reg, &value) < 0) {
			continue;
		}
		for (unsigned low = 0; low < 64; low += 4) {
			unsigned is = value >> low & 0xf, most = ids[n].most >> low & 0xf;
			if (!is_more(is, most, n == 0 && (low == 16 || low == 20))) {
				continue;
			}
			uint64_t less = (value & ~(UINT64_C(0xf) << low)) | (uint64_t)most << low;
			if (vcpu->set(vcpu->opaque, ids[n].reg, less) == 0) {
				value = less;
				continue;
			}
			size_t used = strlen(list);
			snprintf(list + used, len - used, "%s%s[%u:%u]", used ? ", " : "",
				 ids[n].name, low + 3, low);
			kept++;
		}
	}
	return kept;
}

uint32_t model_key(enum engine_key key)
{
	static const uint32_t lows[] = {[ENGINE_KEY_IA] = ENGINE_SYSREG(3, 0, 2, 1, 0),
					[ENGINE_KEY_IB] = ENGINE_SYSREG(3, 0, 2, 1, 2),
					[ENGINE_KEY_DA] = ENGINE_SYSREG(3, 0, 2, 2, 0),
					[ENGINE_KEY_DB] = ENGINE_SYSREG(3, 0, 2, 2, 2),
					[ENGINE_KEY_GA] = ENGINE_SYSREG(3, 0, 2, 3, 0)};
	return lows[key];
}
