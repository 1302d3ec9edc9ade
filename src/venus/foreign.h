/* SPDX-License-Identifier: Apache-2.0 */
/*
 * foreign.h - hooks of barriers, for VK_EXT_queue_family_foreign where the driver lacks it
 * Threads: the lane's.
 */
#ifndef ORIEL_VENUS_FOREIGN_H
#define ORIEL_VENUS_FOREIGN_H

struct venus_call;

int foreign_pipeline_barrier(struct venus_call *call);
int foreign_pipeline_barrier2(struct venus_call *call);
int foreign_wait_events(struct venus_call *call);
int foreign_wait_events2(struct venus_call *call);
int foreign_set_event2(struct venus_call *call);

#endif
