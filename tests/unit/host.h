/* SPDX-License-Identifier: Apache-2.0 */
/* host.h - an engine's host (engine.h) that has no devices, interrupt controller or timers: for tests to take parts of */
#ifndef ORIEL_TESTS_HOST_H
#define ORIEL_TESTS_HOST_H

#include "engine/engine.h"

static inline bool host_no_read(void *host, unsigned vcpu, uint64_t gpa, unsigned size, uint64_t *value)
{
	return false;
}

static inline bool host_no_write(void *host, unsigned vcpu, uint64_t gpa, unsigned size, uint64_t value)
{
	return false;
}

static inline bool host_no_icc_read(void *host, unsigned vcpu, uint32_t reg, uint64_t *value)
{
	return false;
}

static inline bool host_no_icc_write(void *host, unsigned vcpu, uint32_t reg, uint64_t value)
{
	return false;
}

static inline void host_no_hypercall(void *host, unsigned vcpu, uint64_t x[8])
{
}

static inline void host_no_timer_line(void *host, unsigned vcpu, enum engine_ppi ppi, bool level)
{
}

#endif
