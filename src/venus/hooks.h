/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hooks.h - the commands that need more than being passed to the driver
 *
 * Each hook is declared in the header of the file that has it; hooks.c is the one list of all.
 * Threads: a hook runs on the thread of its lane.
 */
#ifndef ORIEL_VENUS_HOOKS_H
#define ORIEL_VENUS_HOOKS_H

#include "venus/call.h"

/* For venus_dispatch_init(). */
extern const struct venus_hook hooks_table[];
/* venus_dispatch.data_free: frees what hooks attached to @object. */
void hooks_free_data(struct venus_dispatch *dispatch, struct venus_object *object);
/* venus_dispatch.told_lost: the device of the call's object. */
void hooks_note_told(const struct venus_call *call);

#endif
