/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exits.c - what a vCPU left the guest for
 *
 * How it works: hv_vcpu_run() leaves pc at the instruction that could not be done, but for HVC
 * behind it; what we do for the instruction ends with moving pc. Threads: the vCPU thread.
 */
#include "base/log.h"
#include "engine/hvf/hvf.h"
#include "engine/soft/exception.h"
#include "engine/soft/mmu.h"

#include <inttypes.h>

/* Syndrome of a data abort (Arm ARM D24.2.40). */
#define ISS_ISV	  (1u << 24)
#define ISS_SSE	  (1u << 21)
#define ISS_SF	  (1u << 15)
#define ISS_CM	  (1u << 8)
#define ISS_S1PTW (1u << 7)
#define ISS_WNR	  (1u << 6)

#define ISS_WFE	  1u /* TI: not WFI */
#define PSTATE_SS (UINT64_C(1) << 21)

enum {
	FAULT_EXTERNAL = 0x10,
	FAULT_EXTERNAL_WALK = 0x14, /* plus the level */
	PAGE = 4096,		    /* the smallest of the guest's */
};

/* The instruction at pc is done, for a software step too. */
static void go_on(const struct hvf_vcpu *vcpu)
{
	uint64_t pstate = hvf_get(vcpu, HV_REG_CPSR);
	hvf_set(vcpu, HV_REG_PC, hvf_get(vcpu, HV_REG_PC) + 4);
	if (pstate & PSTATE_SS) {
		hvf_set(vcpu, HV_REG_CPSR, pstate & ~PSTATE_SS);
	}
}

static bool no_memory(const struct hvf_vcpu *vcpu)
{
	log_error("vcpu%u: no memory to do an access by hand", vcpu->base.index);
	return false;
}

static bool raise(struct hvf_vcpu *vcpu, unsigned ec, uint32_t iss, uint64_t far)
{
	return hvf_raise(vcpu, ec, iss, true, far) || no_memory(vcpu);
}

/* ----- accesses to what is no memory ----- */

/* What a load puts into its register. */
static uint64_t extended(uint32_t iss, uint64_t value, unsigned size)
{
	unsigned unused = 64 - 8 * size;
	if (iss & ISS_SSE) {
		value = (uint64_t)((int64_t)(value << unused) >> unused);
	}
	return iss & ISS_SF ? value : (uint32_t)value;
}

static bool read_device(struct hvf_vcpu *vcpu, uint32_t iss, uint64_t gpa, unsigned size,
			uint64_t *value)
{
	const struct engine_config *config = &vcpu->engine->config;
	hvf_count(&vcpu->exits.reads);
	*value = 0;
	return hvf_window_has(vcpu->engine, gpa, size) ||
	       config->host_ops->mmio_read(config->host, vcpu->base.index, gpa, size, value);
}

static bool write_device(struct hvf_vcpu *vcpu, uint64_t gpa, unsigned size, uint64_t value)
{
	const struct engine_config *config = &vcpu->engine->config;
	hvf_count(&vcpu->exits.writes);
	return hvf_window_has(vcpu->engine, gpa, size) ||
	       config->host_ops->mmio_write(config->host, vcpu->base.index, gpa, size, value);
}

/* One general register, as the syndrome says. */
static bool access_described(struct hvf_vcpu *vcpu, uint32_t iss, uint64_t va, uint64_t gpa)
{
	unsigned size = 1u << (iss >> 22 & 3), reg = iss >> 16 & 31;
	uint64_t value = 0;
	bool good;
	if (iss & ISS_WNR) {
		value = reg == 31 ? 0 : hvf_get(vcpu, HV_REG_X0 + reg);
		value &= size == 8 ? UINT64_MAX : (UINT64_C(1) << 8 * size) - 1;
		good = write_device(vcpu, gpa, size, value);
	} else {
		good = read_device(vcpu, iss, gpa, size, &value);
	}
	if (!good) {
		return raise(vcpu, EC_DATA_ABORT_EL0, FAULT_EXTERNAL | (iss & ISS_WNR), va);
	}
	if (!(iss & ISS_WNR) && reg != 31) {
		hvf_set(vcpu, HV_REG_X0 + reg, extended(iss, value, size));
	}
	go_on(vcpu);
	return true;
}

/* Hardware's words hold for an access inside a page of the guest. */
static bool is_described(uint32_t iss, uint64_t va)
{
	return iss & ISS_ISV && va % PAGE + (1u << (iss >> 22 & 3)) <= PAGE;
}

static bool data_abort(struct hvf_vcpu *vcpu, uint32_t iss, uint64_t va, uint64_t gpa)
{
	if (iss & ISS_S1PTW) {
		return raise(vcpu, EC_DATA_ABORT_EL0,
			     FAULT_EXTERNAL_WALK | (iss & 3) | (iss & ISS_WNR), va);
	}
	if (hvf_window_is_mapped(vcpu->engine, gpa)) {
		return true; /* it got pages just now */
	}
	if (iss & ISS_CM) {
		go_on(vcpu); /* a device has no lines to maintain */
		return true;
	}
	if (is_described(iss, va)) {
		return access_described(vcpu, iss, va, gpa);
	}
	hvf_count(&vcpu->exits.undescribed);
	return hvf_assist(vcpu, gpa) || no_memory(vcpu);
}

static bool fetch_abort(struct hvf_vcpu *vcpu, uint32_t iss, uint64_t va)
{
	uint32_t fault = iss & ISS_S1PTW ? FAULT_EXTERNAL_WALK | (iss & 3) : FAULT_EXTERNAL;
	return raise(vcpu, EC_INSN_ABORT_EL0, fault, va);
}

/* ----- the other exceptions ----- */

static void call_firmware(struct hvf_vcpu *vcpu)
{
	const struct engine_config *config = &vcpu->engine->config;
	uint64_t x[8];
	hvf_count(&vcpu->exits.calls);
	for (unsigned n = 0; n < 8; n++) {
		x[n] = hvf_get(vcpu, HV_REG_X0 + n);
	}
	config->host_ops->hypercall(config->host, vcpu->base.index, x);
	for (unsigned n = 0; n < 8; n++) {
		hvf_set(vcpu, HV_REG_X0 + n, x[n]);
	}
}

static bool access_register(struct hvf_vcpu *vcpu, uint64_t syndrome)
{
	hvf_count(&vcpu->exits.registers);
	if (!hvf_access_sysreg(vcpu, syndrome)) {
		return hvf_raise(vcpu, EC_UNKNOWN, 0, false, 0) || no_memory(vcpu);
	}
	go_on(vcpu);
	return true;
}

static void wait_for(struct hvf_vcpu *vcpu, uint32_t iss)
{
	hvf_count(&vcpu->exits.waits);
	go_on(vcpu);
	if (!(iss & ISS_WFE)) { /* WFE may end at any time */
		hvf_wait(vcpu);
	}
}

static bool handle_exception(struct hvf_vcpu *vcpu, const hv_vcpu_exit_exception_t *e)
{
	uint32_t iss = (uint32_t)e->syndrome & 0x1ffffff;
	switch (e->syndrome >> 26 & 0x3f) {
	case EC_DATA_ABORT_EL0:
		return data_abort(vcpu, iss, e->virtual_address, e->physical_address);
	case EC_INSN_ABORT_EL0: return fetch_abort(vcpu, iss, e->virtual_address);
	case EC_SYSREG: return access_register(vcpu, e->syndrome);
	case EC_HVC: call_firmware(vcpu); return true;
	case EC_SMC:
		go_on(vcpu);
		call_firmware(vcpu);
		return true;
	case EC_WFX: wait_for(vcpu, iss); return true;
	default:
		log_error(
			"vcpu%u: Hypervisor.framework reports an exception with syndrome %#" PRIx64
			" at %#" PRIx64 ", which this version does not know",
			vcpu->base.index, e->syndrome, hvf_get(vcpu, HV_REG_PC));
		return false;
	}
}

bool hvf_handle_exit(struct hvf_vcpu *vcpu)
{
	switch (vcpu->exit->reason) {
	case HV_EXIT_REASON_EXCEPTION: return handle_exception(vcpu, &vcpu->exit->exception);
	case HV_EXIT_REASON_VTIMER_ACTIVATED:
		hvf_count(&vcpu->exits.timers);
		vcpu->timer_masked = true;
		return true;
	case HV_EXIT_REASON_CANCELED: hvf_count(&vcpu->exits.cancels); return true;
	case HV_EXIT_REASON_UNKNOWN: break;
	}
	log_error("vcpu%u: Hypervisor.framework stopped it for an unknown reason (%d)",
		  vcpu->base.index, (int)vcpu->exit->reason);
	return false;
}
