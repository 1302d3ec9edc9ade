/* SPDX-License-Identifier: Apache-2.0 */
/*
 * absent.c - where there is no Hypervisor.framework
 *
 * Threads: any.
 */
#include "engine/engine.h"

struct engine *hvf_engine_create(const struct engine_config *config, struct error *err)
{
	error_set(err, -EOPNOTSUPP,
		  "Hypervisor.framework is a part of macOS on Apple-silicon Macs; this host has "
		  "none");
	return NULL;
}
