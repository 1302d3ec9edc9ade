/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hold_layer.c - a layer that stops a program for ever once it has presented HOLD_FRAMES frames
 *
 * So its window keeps showing that frame.  "held" on standard error says that it has come.
 * Threads: one instance, one device, one thread that presents.
 */
#include <stdlib.h>
#include <unistd.h>

#define LAYER_INSTANCE(X)
#define LAYER_DEVICE(X) X(vkQueuePresentKHR)
#include "layer.h"

static VKAPI_ATTR VkResult VKAPI_CALL layer_vkQueuePresentKHR(VkQueue queue,
							      const VkPresentInfoKHR *info)
{
	static long presented;
	VkResult result = next.vkQueuePresentKHR(queue, info);
	const char *frames = getenv("HOLD_FRAMES");
	if (++presented == (frames ? atol(frames) : 1)) {
		while (write(2, "held\n", 5) == 5) {
			for (;;) {
				pause();
			}
		}
	}
	return result;
}
