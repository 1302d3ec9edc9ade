/* SPDX-License-Identifier: Apache-2.0 */
/*
 * device_server.h - one of our PCI devices, served to another VMM over vfio-user
 *
 * Threads: one caller; the device has a loop of its own.
 */
#ifndef ORIEL_VMM_DEVICE_SERVER_H
#define ORIEL_VMM_DEVICE_SERVER_H

#include "base/error.h"

struct device_server;

struct device_server_config {
	const char *socket; /* path to listen at */
	unsigned width, height;
	const char *png; /* file for the last frame shown; NULL: none */
};

/*
 * A virtio-gpu with a display and without a shared GPU: host memory that appears in a BAR while the
 * guest runs is what the protocol has no message for.  NULL with @err filled.
 */
struct device_server *device_server_create(const struct device_server_config *config,
					   struct error *err) MUST_CHECK;
/* Serve until device_server_stop(). */
void device_server_run(struct device_server *server);
/* Any thread. */
void device_server_stop(struct device_server *server);
/* Accepts NULL.  Writes the picture. */
void device_server_destroy(struct device_server *server);

#endif
