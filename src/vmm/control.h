/* SPDX-License-Identifier: Apache-2.0 */
/*
 * control.h - the socket by which `oriel ctl` speaks to a running VM: a JSON object a line, each
 * answered by one
 *
 * Requests have "command"; answers have "ok", and "error" if it is false.  Whoever may connect (the
 * user who runs the VM, and root) may do all of it. Threads: the loop's.
 */
#ifndef ORIEL_VMM_CONTROL_H
#define ORIEL_VMM_CONTROL_H

#include "base/loop.h"

#include <jansson.h>

struct control;
/* A request that waits for its answer. */
struct control_request;

/*
 * Do what @body asks for, and answer now or later by control_answer(), exactly once.  @body is
 * borrowed for the call.
 */
typedef void (*control_fn)(void *opaque, struct control_request *request, const json_t *body);

enum { CONTROL_PATH_ROOM = 108, CONTROL_MAX_CLIENTS = 8 };

/*
 * Where the socket of VM @name is: $XDG_RUNTIME_DIR/oriel/NAME.sock, else /run/oriel for root and
 * /tmp/oriel-UID for others. -ENAMETOOLONG.
 */
int control_path(const char *name, char path[CONTROL_PATH_ROOM]) MUST_CHECK;

struct control *control_create(struct loop *loop, const char *name, control_fn fn, void *opaque,
			       struct error *err) MUST_CHECK;
/* Accepts NULL.  Requests without an answer are dropped. */
void control_destroy(struct control *control);
/* Takes @answer; NULL means that memory ran out. */
void control_answer(struct control_request *request, json_t *answer);
/* The answer is that it can not be done: one line that says why. */
void control_refuse(struct control_request *request, const char *why);

#endif
