/* SPDX-License-Identifier: Apache-2.0 */
/*
 * standin_priv.h - shared by the stand-in's files
 *
 * Threads: see standin.c.
 */
#ifndef ORIEL_TESTS_HVF_STANDIN_PRIV_H
#define ORIEL_TESTS_HVF_STANDIN_PRIV_H

#include "engine/engine.h"
#include "standin.h"

#include <pthread.h>
#include <stdatomic.h>

enum { STANDIN_PAGE = 16384, STANDIN_MAPPINGS = 32 };

struct standin_vcpu {
	struct engine_vcpu *inner; /* of the built-in engine, for ever */
	bool exists;
	pthread_t owner;
	bool inside;	       /* in the built-in engine */
	atomic_bool cancelled; /* any thread */
	/* Its own thread's: */
	hv_vcpu_exit_t exit;
	bool trapped; /* exit.exception is filled */
	bool pending[2];
	bool timer_level, timer_masked;
};

struct standin_mapping {
	uint8_t *addr;
	hv_ipa_t ipa;
	uint64_t size;
	hv_memory_flags_t flags;
};

struct standin_vm {
	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t gate;
	unsigned closed; /* vCPUs must wait outside */
	unsigned inside;
	struct engine *inner; /* NULL: no VM */
	uint32_t ipa_bits;
	struct standin_mapping mappings[STANDIN_MAPPINGS];
	unsigned mapping_count;
	struct standin_vcpu vcpus[STANDIN_VCPUS];
	unsigned made; /* vCPUs of the built-in engine */
};

/* The one of the process. */
extern struct standin_vm standin_vm;

/* The vCPU @id if it belongs to the calling thread, or NULL. */
struct standin_vcpu *standin_own(hv_vcpu_t id);

#endif
