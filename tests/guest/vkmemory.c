/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vkmemory.c - what programs see of GPU memory: odd sizes at all places, and its end
 *
 *   vkmemory odd ROUNDS    allocates and frees at random, and looks from both sides whether
 *                          anybody writes into another's memory
 *   vkmemory fill BYTES    maps pieces of BYTES until there is no more, gives all back, maps one
 *   vkmemory hold BYTES    takes so much without mapping any, until SIGTERM
 *   vkmemory leak COUNT    makes so many shader modules of 16 KiB
 *   vkmemory record COUNT  twice: records and runs so many command buffers, keeps them until all
 *                          were run, and gives them back
 *   vkmemory rest COUNT    the same, and then does nothing until SIGTERM
 *
 * Threads: one.
 */
#include "gpu.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	MEMORY_TRIES = 200,
	MEMORY_MOST = 4096,
	MEMORY_HOLD = 16 << 20,
	MEMORY_SLOTS = 48,
	MEMORY_UNIT = 64,
	MEMORY_LARGEST = 131328,
	MEMORY_COPIES = 5000,
	MEMORY_CODE = 4 * 1024, /* words: what the ring has room for, so that no more is on its way */
};

struct piece {
	VkDeviceMemory memory; /* VK_NULL_HANDLE: none */
	VkBuffer buffer;       /* over its whole MEMORY_UNITs; VK_NULL_HANDLE: too small */
	uint8_t *mapped;
	uint32_t size, usable, seed;
};

static uint32_t memory_random(uint32_t *state)
{
	*state = *state * 1664525 + 1013904223;
	return *state >> 8;
}

static uint32_t memory_type(struct gpu *gpu)
{
	const VkMemoryPropertyFlags want =
		VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
	VkPhysicalDeviceMemoryProperties memory;
	vkGetPhysicalDeviceMemoryProperties(gpu->physical, &memory);
	for (uint32_t i = 0; i < memory.memoryTypeCount; i++) {
		if ((memory.memoryTypes[i].propertyFlags & want) == want) {
			return i;
		}
	}
	gpu_die("no memory that can be mapped");
}

/* Mesa's Venus takes small pieces out of larger ones, but not if anything is chained. */
static VkResult memory_take(struct gpu *gpu, uint32_t type, VkDeviceSize size,
			    VkDeviceMemory *memory)
{
	VkMemoryAllocateFlagsInfo nothing = {VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_FLAGS_INFO};
	VkMemoryAllocateInfo info = {VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO, &nothing,
				     .allocationSize = size, .memoryTypeIndex = type};
	return vkAllocateMemory(gpu->device, &info, NULL, memory);
}

/* Allocates and maps.  What failed is the answer. */
static VkResult memory_get(struct gpu *gpu, uint32_t type, VkDeviceSize size,
			   VkDeviceMemory *memory, uint8_t **mapped)
{
	VkResult result = memory_take(gpu, type, size, memory);
	if (result == VK_SUCCESS) {
		result = vkMapMemory(gpu->device, *memory, 0, VK_WHOLE_SIZE, 0, (void **)mapped);
		if (result != VK_SUCCESS) {
			vkFreeMemory(gpu->device, *memory, NULL);
		}
	}
	return result;
}

static uint8_t piece_byte(const struct piece *piece, uint32_t at)
{
	return (uint8_t)((piece->seed + at * 2654435761u) >> 24);
}

static void piece_check(const struct piece *piece, const uint8_t *bytes, uint32_t count,
			const char *who)
{
	for (uint32_t i = 0; i < count; i++) {
		if (bytes[i] != piece_byte(piece, i)) {
			gpu_die("%s sees %02x at %u of %u bytes, not %02x", who, bytes[i], i,
				piece->size, piece_byte(piece, i));
		}
	}
}

static void piece_write(struct piece *piece, uint32_t seed)
{
	piece->seed = seed;
	for (uint32_t i = 0; i < piece->size; i++) {
		piece->mapped[i] = piece_byte(piece, i);
	}
}

static void piece_make(struct gpu *gpu, struct piece *piece, uint32_t type, uint32_t size)
{
	piece->size = size;
	piece->usable = size / MEMORY_UNIT * MEMORY_UNIT;
	GPU_CHECK(memory_get(gpu, type, size, &piece->memory, &piece->mapped));
	if (!piece->usable) {
		return;
	}
	VkBufferCreateInfo info = {VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO, .size = piece->usable,
				   .usage = VK_BUFFER_USAGE_TRANSFER_SRC_BIT |
					    VK_BUFFER_USAGE_TRANSFER_DST_BIT};
	GPU_CHECK(vkCreateBuffer(gpu->device, &info, NULL, &piece->buffer));
	VkMemoryRequirements needs;
	vkGetBufferMemoryRequirements(gpu->device, piece->buffer, &needs);
	if (needs.size > size) {
		gpu_die("a buffer of %u bytes needs %llu", piece->usable,
			(unsigned long long)needs.size);
	}
	GPU_CHECK(vkBindBufferMemory(gpu->device, piece->buffer, piece->memory, 0));
}

static void piece_drop(struct gpu *gpu, struct piece *piece)
{
	vkDestroyBuffer(gpu->device, piece->buffer, NULL);
	vkFreeMemory(gpu->device, piece->memory, NULL);
	*piece = (struct piece){0};
}

/* The GPU reads what the program wrote, and writes what the program reads. */
static void piece_exchange(struct gpu *gpu, struct piece *piece, struct gpu_buffer *own)
{
	if (!piece->buffer) {
		return;
	}
	VkBufferCopy all = {.size = piece->usable};
	VkCommandBuffer cmd = gpu_begin_once(gpu);
	vkCmdCopyBuffer(cmd, piece->buffer, own->buffer, 1, &all);
	gpu_end_once(gpu, cmd);
	piece_check(piece, own->mapped, piece->usable, "the GPU");
	struct piece next = *piece;
	next.seed = piece->seed * 3 + 1;
	for (uint32_t i = 0; i < piece->usable; i++) {
		((uint8_t *)own->mapped)[i] = piece_byte(&next, i);
	}
	cmd = gpu_begin_once(gpu);
	vkCmdCopyBuffer(cmd, own->buffer, piece->buffer, 1, &all);
	gpu_end_once(gpu, cmd);
	for (uint32_t i = piece->usable; i < piece->size; i++) {
		piece->mapped[i] = piece_byte(&next, i);
	}
	piece->seed = next.seed;
	piece_check(piece, piece->mapped, piece->size, "the program");
}

static void memory_odd(struct gpu *gpu, unsigned rounds)
{
	static const uint32_t sizes[] = {1, 4095, 4096, 4097, 131268, 8191, 65537, 16385, 100};
	static struct piece pieces[MEMORY_SLOTS];
	uint32_t type = memory_type(gpu), random = 1, made = 0;
	struct gpu_buffer own = gpu_buffer_create(
		gpu, MEMORY_LARGEST,
		VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT, true);
	for (unsigned round = 0; round < rounds; round++) {
		struct piece *piece = &pieces[memory_random(&random) % MEMORY_SLOTS];
		if (piece->memory) {
			piece_check(piece, piece->mapped, piece->size,
				    "the program, before the end,");
			piece_drop(gpu, piece);
			continue;
		}
		piece_make(gpu, piece, type,
			   sizes[memory_random(&random) % (sizeof(sizes) / sizeof(sizes[0]))]);
		made++;
		piece_write(piece, memory_random(&random));
		piece_exchange(gpu, piece, &own);
	}
	for (unsigned i = 0; i < MEMORY_SLOTS; i++) {
		if (pieces[i].memory) {
			piece_check(&pieces[i], pieces[i].mapped, pieces[i].size,
				    "the program, at the end,");
			piece_drop(gpu, &pieces[i]);
		}
	}
	gpu_buffer_destroy(gpu, &own);
	printf("odd: %u pieces of memory were their owner's alone\n", made);
}

static void memory_fill(struct gpu *gpu, VkDeviceSize size)
{
	static VkDeviceMemory memory[MEMORY_MOST];
	uint32_t type = memory_type(gpu), count = 0;
	uint8_t *mapped;
	VkResult result = VK_SUCCESS;
	while (count < MEMORY_MOST &&
	       (result = memory_get(gpu, type, size, &memory[count], &mapped)) == VK_SUCCESS) {
		memset(mapped, (int)count, size);
		count++;
	}
	printf("fill: %u pieces, then VkResult %d\n", count, result);
	fflush(stdout);
	for (uint32_t i = 0; i < count; i++) {
		vkFreeMemory(gpu->device, memory[i], NULL);
	}
	/* The guest's kernel gives memory back when it gets to it, so not always before the next
	 * allocation. */
	for (unsigned n = 0; n < MEMORY_TRIES && (result = memory_get(gpu, type, size, &memory[0],
								      &mapped)) != VK_SUCCESS;
	     n++) {
		nanosleep(&(struct timespec){.tv_nsec = 10 * 1000 * 1000}, NULL);
	}
	GPU_CHECK(result);
	memset(mapped, 1, size);
	vkFreeMemory(gpu->device, memory[0], NULL);
	printf("fill: there is room again\n");
}

static void memory_hold(struct gpu *gpu, VkDeviceSize size)
{
	uint32_t type = memory_type(gpu);
	VkDeviceMemory memory;
	uint8_t *mapped;
	for (VkDeviceSize had = 0; had < size; had += MEMORY_HOLD) {
		GPU_CHECK(memory_take(gpu, type, MEMORY_HOLD, &memory));
	}
	GPU_CHECK(memory_get(gpu, type, MEMORY_UNIT, &memory, &mapped)); /* after the others */
}

/* Until SIGTERM. */
static void memory_rest(const sigset_t *end)
{
	int got;
	printf("there\n");
	fflush(stdout);
	sigwait(end, &got);
}

/* Records @value for the first word, and copies for others; runs it. */
static void memory_run(struct gpu *gpu, struct gpu_buffer *words, VkCommandBuffer cmd,
		       uint32_t value)
{
	VkCommandBufferBeginInfo begin = {VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
	VkSubmitInfo submit = {VK_STRUCTURE_TYPE_SUBMIT_INFO, .commandBufferCount = 1,
			       .pCommandBuffers = &cmd};
	VkBufferCopy copy = {4, 8, 4};
	GPU_CHECK(vkBeginCommandBuffer(cmd, &begin));
	vkCmdFillBuffer(cmd, words->buffer, 0, 4, value);
	for (int i = 0; i < MEMORY_COPIES; i++) {
		vkCmdCopyBuffer(cmd, words->buffer, words->buffer, 1, &copy);
	}
	GPU_CHECK(vkEndCommandBuffer(cmd));
	GPU_CHECK(vkQueueSubmit(gpu->queue, 1, &submit, VK_NULL_HANDLE));
	GPU_CHECK(vkQueueWaitIdle(gpu->queue));
	if (*(volatile uint32_t *)words->mapped != value) {
		gpu_die("command buffer %u was not run", value);
	}
}

static void memory_record(struct gpu *gpu, uint32_t count)
{
	struct gpu_buffer words = gpu_buffer_create(
		gpu, MEMORY_UNIT,
		VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT, true);
	VkCommandPoolCreateInfo info = {VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
					.queueFamilyIndex = gpu->family};
	for (int again = 0; again < 2; again++) {
		VkCommandPool pool;
		VkCommandBuffer cmd;
		GPU_CHECK(vkCreateCommandPool(gpu->device, &info, NULL, &pool));
		VkCommandBufferAllocateInfo one = {VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
						   .commandPool = pool, .commandBufferCount = 1};
		for (uint32_t i = 1; i <= count; i++) {
			GPU_CHECK(vkAllocateCommandBuffers(gpu->device, &one, &cmd));
			memory_run(gpu, &words, cmd, i);
		}
		printf("record: %u command buffers were run\n", count);
		fflush(stdout);
		vkDestroyCommandPool(gpu->device, pool, NULL);
	}
	gpu_buffer_destroy(gpu, &words);
}

/* Modules that the driver copies and nobody looks at. */
static void memory_leak(struct gpu *gpu, uint32_t count)
{
	static uint32_t code[MEMORY_CODE] = {
		0x07230203, 0x00010000, 0, 1, 0, /* SPIR-V 1.0 */
		0x00020011, 1,			 /* Shader */
		0x0003000e, 0,		1,	 /* logical addresses, GLSL450 */
	};
	for (uint32_t i = 10; i < MEMORY_CODE; i++) {
		code[i] = 0x00010000; /* nothing */
	}
	for (uint32_t i = 0; i < count; i++) {
		gpu_shader(gpu, code, sizeof(code));
	}
	printf("leak: %u modules\n", count);
}

int main(int argc, char **argv)
{
	sigset_t end;
	struct gpu gpu = {0};
	long long number = argc == 3 ? atoll(argv[2]) : 0;
	if (number <= 0 ||
	    (strcmp(argv[1], "odd") && strcmp(argv[1], "fill") && strcmp(argv[1], "hold") &&
	     strcmp(argv[1], "leak") && strcmp(argv[1], "record") && strcmp(argv[1], "rest"))) {
		fputs("usage: vkmemory odd ROUNDS | fill BYTES | hold BYTES | leak COUNT | "
		      "record COUNT | rest COUNT\n",
		      stderr);
		return 2;
	}
	sigemptyset(&end);
	sigaddset(&end, SIGTERM);
	sigprocmask(SIG_BLOCK, &end, NULL); /* also in the driver's threads */
	gpu_open(&gpu, 0);
	if (!strcmp(argv[1], "odd")) {
		memory_odd(&gpu, (unsigned)number);
	} else if (!strcmp(argv[1], "hold")) {
		memory_hold(&gpu, (VkDeviceSize)number);
		memory_rest(&end);
	} else if (!strcmp(argv[1], "leak")) {
		memory_leak(&gpu, (uint32_t)number);
	} else if (!strcmp(argv[1], "record")) {
		memory_record(&gpu, (uint32_t)number);
	} else if (!strcmp(argv[1], "rest")) {
		memory_record(&gpu, (uint32_t)number);
		memory_rest(&end);
	} else {
		memory_fill(&gpu, (VkDeviceSize)number);
	}
	gpu_close(&gpu);
	return 0;
}
