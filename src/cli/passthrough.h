/* SPDX-License-Identifier: Apache-2.0 */
/*
 * passthrough.h - oriel passthrough: list, bind, restore
 * Threads: one.
 */
#ifndef ORIEL_CLI_PASSTHROUGH_H
#define ORIEL_CLI_PASSTHROUGH_H

/* The words after `oriel passthrough`.  Returns the exit status. */
int passthrough_command(int argc, char **argv);

#endif
