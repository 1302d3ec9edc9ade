/* SPDX-License-Identifier: Apache-2.0 */
/* doctor.h - `oriel doctor`: what this host offers, what is missing, and what to do about it */
#ifndef ORIEL_CLI_DOCTOR_H
#define ORIEL_CLI_DOCTOR_H

/* Prints to stdout.  0 if a VM with a shared GPU can run here, 1 if something needed is missing. */
int command_doctor(int argc, char **argv);

#endif
