/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sync.h - submissions, and SYNC_FD semaphores on drivers that have none
 * Threads: the lane's.
 */
#ifndef ORIEL_VENUS_SYNC_H
#define ORIEL_VENUS_SYNC_H

struct venus_call;
struct venus_object;

/* Frees the data of a VkSemaphore object. */
void sync_free_data(struct venus_object *object);

int sync_create_semaphore(struct venus_call *call);
int sync_queue_submit(struct venus_call *call);
int sync_queue_submit2(struct venus_call *call);
int sync_queue_bind_sparse(struct venus_call *call);
int sync_wait_semaphores(struct venus_call *call);
int sync_import_semaphore_resource(struct venus_call *call);
int sync_wait_semaphore_resource(struct venus_call *call);

#endif
