/* SPDX-License-Identifier: Apache-2.0 */
/*
 * device.h - oriel device: serve one of our devices to another VMM
 * Threads: one.
 */
#ifndef ORIEL_CLI_DEVICE_H
#define ORIEL_CLI_DEVICE_H

/* The words after `oriel device`.  Returns the exit status. */
int device_command(int argc, char **argv);

#endif
