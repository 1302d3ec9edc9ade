/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vm_control.c - what `oriel ctl` asks of a VM
 *
 * How it works: the GPU belongs to the device loop, so a question about it goes there and comes
 * back; all who ask meanwhile get the same answer. Threads: the control loop, but for
 * copy_gpu_status().
 */
#include "base/log.h"
#include "vmm/control.h"
#include "vmm/vm_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void answer_status(struct vm *vm, struct control_request *request, json_t *gpu)
{
	json_t *answer = json_pack("{s:b,s:o}", "ok", 1, "slots", vm_slots_status(vm));
	if (answer && gpu) {
		json_object_set_new(answer, "gpu", gpu);
	}
	control_answer(request, answer);
}

/* Control loop again. */
static void answer_all(void *opaque)
{
	struct vm *vm = opaque;
	struct control_request *asking[CONTROL_MAX_CLIENTS];
	size_t count = vm->asking_count;
	memcpy(asking, vm->asking, sizeof(asking));
	vm->asking_count = 0; /* an answer may be followed by the next question at once */
	for (size_t i = 0; i < count; i++) {
		answer_status(vm, asking[i], vm_stats_of_gpu(&vm->gpu_status));
	}
}

/* Device loop. */
static void copy_gpu_status(void *opaque)
{
	struct vm *vm = opaque;
	virtio_gpu_stats(vm->gpu, &vm->gpu_status);
	if (loop_post(vm->control, answer_all, vm) < 0) {
		log_error("control socket: out of memory, a question is not answered");
	}
}

static void request_status(struct vm *vm, struct control_request *request)
{
	if (!vm->gpu) {
		answer_status(vm, request, NULL);
		return;
	}
	if (!vm->asking_count && loop_post(vm->device_loop, copy_gpu_status, vm) < 0) {
		control_refuse(request, "out of memory");
		return;
	}
	vm->asking[vm->asking_count++] = request; /* each client asks one thing at a time */
}

static void on_request(void *opaque, struct control_request *request, const json_t *body)
{
	struct vm *vm = opaque;
	const char *command = json_string_value(json_object_get(body, "command"));
	if (command && !strcmp(command, "attach")) {
		vm_request_attach(vm, request, body);
	} else if (command && !strcmp(command, "detach")) {
		vm_request_detach(vm, request, body);
	} else if (command && !strcmp(command, "status")) {
		request_status(vm, request);
	} else {
		control_refuse(request, "unknown command");
	}
}

int vm_create_control(struct vm *vm, struct error *err)
{
	const struct vm_config *config = vm->config;
	char name[16];
	if (!config->name && !vm->slot_count) {
		return 0; /* nothing that could be controlled, and nothing to call it by */
	}
	snprintf(name, sizeof(name), "%d", (int)getpid());
	vm->control_socket = control_create(vm->control, config->name ? config->name : name,
					    on_request, vm, err);
	return vm->control_socket ? 0 : -EINVAL;
}

void vm_destroy_control(struct vm *vm)
{
	control_destroy(vm->control_socket);
}
