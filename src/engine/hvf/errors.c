/* SPDX-License-Identifier: Apache-2.0 */
/*
 * errors.c - what the framework says of what it was asked
 * Threads: any.
 */
#include "base/log.h"
#include "engine/hvf/hvf.h"

const char *hvf_text(hv_return_t rc)
{
	switch (rc) {
	case HV_SUCCESS: return "no error";
	case HV_BUSY: return "busy";
	case HV_BAD_ARGUMENT: return "bad argument, or another thread's vCPU";
	case HV_ILLEGAL_GUEST_STATE: return "illegal guest state";
	case HV_NO_RESOURCES: return "no resources";
	case HV_NO_DEVICE: return "no such thing";
	case HV_DENIED: return "denied";
	case HV_EXISTS: return "it exists already";
	case HV_UNSUPPORTED: return "not supported by this Mac";
	default: return "unknown error";
	}
}

void hvf_must(const struct hvf_vcpu *vcpu, hv_return_t rc, const char *what)
{
	if (rc != HV_SUCCESS) {
		log_limited(LOG_ERROR, "vcpu%u: Hypervisor.framework refuses to %s: %s",
			    vcpu->base.index, what, hvf_text(rc));
	}
}
