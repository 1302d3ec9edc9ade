/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server_wire.h - front end for oriel: one context over the messages of wire/wire.h
 * Threads: the process's first.
 */
#ifndef ORIEL_VENUS_SERVER_WIRE_H
#define ORIEL_VENUS_SERVER_WIRE_H

struct probe_choice;

/* Serve @socket (SOCK_SEQPACKET, taken) until its end.  Returns the exit status of the process. */
int server_wire_run(int socket, const struct probe_choice *choice);

#endif
