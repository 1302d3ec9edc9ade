/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pac.c - hypercalls that change pointer authentication keys
 *
 * Threads: the calling vCPU's.
 */
#include "board/pac.h"

enum pac_function {
	PAC_SET_INITIAL_STATE,
	PAC_GET_DEFAULT_KEYS,
	PAC_SET_A_KEYS,
	PAC_SET_B_KEYS,
	PAC_SET_DIVERSIFIER,	    /* of EL0 */
	PAC_SET_DIVERSIFIER_AT_EL1, /* x1: off or on; x2: the key */
	PAC_SET_G_KEY,
};

/* Keys are numbers that count up from these: A at once, the diversifier, B, G. */
#define PAC_SEED_A	     UINT64_C(0xfeedfacefeedfacf)
#define PAC_SEED_DIVERSIFIER (PAC_SEED_A + 4)
#define PAC_SEED_B	     (PAC_SEED_A + 6)
#define PAC_SEED_G	     (PAC_SEED_A + 10)

enum { AT_EL0 = 1 << 0, AT_EL1 = 1 << 1 };

static bool set_pair(struct engine_vcpu *vcpu, enum engine_key insn, enum engine_key data,
		     uint64_t seed)
{
	return engine_vcpu_set_key(vcpu, insn, seed, seed + 1) &&
	       engine_vcpu_set_key(vcpu, data, seed + 2, seed + 3);
}

static bool set_a(struct engine_vcpu *vcpu, uint64_t seed)
{
	return set_pair(vcpu, ENGINE_KEY_IA, ENGINE_KEY_DA, seed);
}

static bool set_b(struct engine_vcpu *vcpu, uint64_t seed)
{
	return set_pair(vcpu, ENGINE_KEY_IB, ENGINE_KEY_DB, seed);
}

static bool set_one(struct engine_vcpu *vcpu, enum engine_key key, uint64_t seed)
{
	return engine_vcpu_set_key(vcpu, key, seed, seed + 1);
}

static bool set_initial_state(struct engine_vcpu *vcpu)
{
	return set_one(vcpu, ENGINE_KEY_DIVERSIFIER, PAC_SEED_DIVERSIFIER) &&
	       engine_vcpu_set_diversified(vcpu, AT_EL0) && set_a(vcpu, PAC_SEED_A) &&
	       set_b(vcpu, PAC_SEED_B) && set_one(vcpu, ENGINE_KEY_GA, PAC_SEED_G);
}

void pac_call(struct engine_vcpu *vcpu, uint64_t x[8])
{
	bool good = true;
	switch ((uint32_t)x[0] - PAC_CALL_FIRST) {
	case PAC_SET_INITIAL_STATE: good = set_initial_state(vcpu); break;
	case PAC_GET_DEFAULT_KEYS:
		x[1] = PAC_SEED_A;
		x[2] = PAC_SEED_B;
		x[3] = PAC_SEED_DIVERSIFIER;
		x[4] = PAC_SEED_G;
		break;
	case PAC_SET_A_KEYS: good = set_a(vcpu, x[1]); break;
	case PAC_SET_B_KEYS: good = set_b(vcpu, x[1]); break;
	case PAC_SET_DIVERSIFIER: good = set_one(vcpu, ENGINE_KEY_DIVERSIFIER, x[1]); break;
	case PAC_SET_DIVERSIFIER_AT_EL1:
		good = set_one(vcpu, ENGINE_KEY_DIVERSIFIER, x[2]) &&
		       engine_vcpu_set_diversified(vcpu, x[1] & 1 ? AT_EL0 | AT_EL1 : AT_EL0);
		break;
	case PAC_SET_G_KEY: good = set_one(vcpu, ENGINE_KEY_GA, x[1]); break;
	default: good = false; break;
	}
	x[0] = good ? 0 : UINT64_MAX;
}
