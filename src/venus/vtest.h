/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vtest.h - front end for Venus drivers on the same machine: the vtest socket protocol
 * Threads: the process's first; each connection is a process of its own.
 */
#ifndef ORIEL_VENUS_VTEST_H
#define ORIEL_VENUS_VTEST_H

#include "base/error.h"
#include "venus/probe.h"
#include "wire/ledger.h"

#include <stdint.h>

struct vtest_config {
	const char *path;	 /* of the socket */
	struct probe_choice choice;
	uint64_t max_bytes;	 /* host memory for all clients together */
	unsigned max_clients;
};

/* Serve @config->path until SIGTERM or SIGINT.  0, or a negative errno with @err if it cannot start. */
int vtest_serve(const struct vtest_config *config, struct error *err) MUST_CHECK;

/*
 * Serve one connection (taken) in this process, until its end, with the devices of @probe.  Its memory is counted in @slot of
 * @ledger, NULL if there is no other client.  All borrowed.
 */
void vtest_serve_client(int socket, const struct vtest_config *config, const struct probe *probe, struct ledger *ledger,
			unsigned slot);

#endif
