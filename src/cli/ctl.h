/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ctl.h - oriel ctl: speak to a running VM
 * Threads: one.
 */
#ifndef ORIEL_CLI_CTL_H
#define ORIEL_CLI_CTL_H

/* The words after `oriel ctl`.  Returns the exit status. */
int ctl_command(int argc, char **argv);

#endif
