/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vkshare.c - images and buffers shared between programs, and shown, as dma-bufs
 *
 *   vkshare pair
 *     Two processes: each sees what the other draws into one image and writes into one buffer.  An
 *     import that says another layout is refused, or gets that layout.
 *   vkshare show CARD
 *     Draws a pattern into an image and shows that itself on the first screen of CARD.
 *
 * Every format modifier of the driver that can be copied to and from is tried.
 * Threads: one in each process.
 */
#include "gpu.h"

#include <drm/drm.h>
#include <drm/drm_fourcc.h>
#include <drm/drm_mode.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SHARE_WIDTH = 301, SHARE_HEIGHT = 97, SHARE_BUFFER = 12345, SHARE_MOST = 8 };

static const VkFormat share_format = VK_FORMAT_B8G8R8A8_UNORM;
static const VkExternalMemoryHandleTypeFlagBits share_handle =
	VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT;
/* As of a window's image: to be drawn to as well. */
static const VkImageUsageFlags share_usage = VK_IMAGE_USAGE_TRANSFER_SRC_BIT |
					     VK_IMAGE_USAGE_TRANSFER_DST_BIT |
					     VK_IMAGE_USAGE_COLOR_ATTACHMENT_BIT;

/* What one process tells the other about an image; its descriptor comes along. */
struct share_note {
	uint64_t modifier, bytes;
	VkSubresourceLayout layout;
};

struct shared_image {
	VkImage image;
	VkDeviceMemory memory;
	VkExtent2D size;
	uint32_t first_row, row_step; /* rows of the pattern that it shows; step 0: all */
};

static void share_open(struct gpu *gpu)
{
	static const char *const names[] = {
		"VK_KHR_external_memory_fd", "VK_EXT_external_memory_dma_buf",
		"VK_EXT_image_drm_format_modifier", "VK_EXT_queue_family_foreign"};
	gpu_open_with(gpu, 0, names, 4, NULL);
}

#define SHARE_FN(gpu, name) ((PFN_##name)vkGetDeviceProcAddr((gpu)->device, #name))

/* Modifiers of one plane that can be copied to and from, and shared both ways. */
static uint32_t share_modifiers(struct gpu *gpu, uint64_t found[SHARE_MOST])
{
	const VkFormatFeatureFlags need = VK_FORMAT_FEATURE_TRANSFER_SRC_BIT |
					  VK_FORMAT_FEATURE_TRANSFER_DST_BIT |
					  VK_FORMAT_FEATURE_COLOR_ATTACHMENT_BIT;
	VkDrmFormatModifierPropertiesEXT all[64];
	VkDrmFormatModifierPropertiesListEXT list = {
		VK_STRUCTURE_TYPE_DRM_FORMAT_MODIFIER_PROPERTIES_LIST_EXT,
		.drmFormatModifierCount = 64, .pDrmFormatModifierProperties = all};
	VkFormatProperties2 properties = {VK_STRUCTURE_TYPE_FORMAT_PROPERTIES_2, &list};
	uint32_t count = 0;
	vkGetPhysicalDeviceFormatProperties2(gpu->physical, share_format, &properties);
	for (uint32_t i = 0; i < list.drmFormatModifierCount && count < SHARE_MOST; i++) {
		VkPhysicalDeviceImageDrmFormatModifierInfoEXT modifier = {
			VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_IMAGE_DRM_FORMAT_MODIFIER_INFO_EXT,
			.drmFormatModifier = all[i].drmFormatModifier};
		VkPhysicalDeviceExternalImageFormatInfo external = {
			VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_EXTERNAL_IMAGE_FORMAT_INFO, &modifier,
			share_handle};
		VkPhysicalDeviceImageFormatInfo2 info = {
			VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_IMAGE_FORMAT_INFO_2,
			&external,
			share_format,
			VK_IMAGE_TYPE_2D,
			VK_IMAGE_TILING_DRM_FORMAT_MODIFIER_EXT,
			share_usage,
			0};
		VkExternalImageFormatProperties can = {
			VK_STRUCTURE_TYPE_EXTERNAL_IMAGE_FORMAT_PROPERTIES};
		VkImageFormatProperties2 out = {VK_STRUCTURE_TYPE_IMAGE_FORMAT_PROPERTIES_2, &can};
		const VkExternalMemoryFeatureFlags both =
			VK_EXTERNAL_MEMORY_FEATURE_EXPORTABLE_BIT |
			VK_EXTERNAL_MEMORY_FEATURE_IMPORTABLE_BIT;
		if ((all[i].drmFormatModifierTilingFeatures & need) == need &&
		    all[i].drmFormatModifierPlaneCount == 1 &&
		    vkGetPhysicalDeviceImageFormatProperties2(gpu->physical, &info, &out) ==
			    VK_SUCCESS &&
		    (can.externalMemoryProperties.externalMemoryFeatures & both) == both) {
			found[count++] = all[i].drmFormatModifier;
		}
	}
	return count;
}

static VkResult share_create_image(struct gpu *gpu, VkExtent2D size, const void *modifiers,
				   VkImage *image)
{
	VkExternalMemoryImageCreateInfo external = {
		VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_IMAGE_CREATE_INFO, modifiers, share_handle};
	VkImageCreateInfo info = {VK_STRUCTURE_TYPE_IMAGE_CREATE_INFO,
				  &external,
				  .imageType = VK_IMAGE_TYPE_2D,
				  .format = share_format,
				  .extent = {size.width, size.height, 1},
				  .mipLevels = 1,
				  .arrayLayers = 1,
				  .samples = VK_SAMPLE_COUNT_1_BIT,
				  .tiling = VK_IMAGE_TILING_DRM_FORMAT_MODIFIER_EXT,
				  .usage = share_usage};
	return vkCreateImage(gpu->device, &info, NULL, image);
}

/* The first of @types, for a buffer the first that can be mapped if there is one. */
static uint32_t share_pick_type(struct gpu *gpu, uint32_t types, bool mapped)
{
	VkPhysicalDeviceMemoryProperties memory;
	vkGetPhysicalDeviceMemoryProperties(gpu->physical, &memory);
	for (uint32_t i = 0; mapped && i < memory.memoryTypeCount; i++) {
		if (types & 1u << i &&
		    memory.memoryTypes[i].propertyFlags & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT) {
			return i;
		}
	}
	return (uint32_t)__builtin_ctz(types);
}

/* Memory of its own for an image or buffer: new and to be exported (@fd -1), or @fd, which is
 * taken. */
static VkDeviceMemory share_allocate(struct gpu *gpu, VkImage image, VkBuffer buffer, int fd)
{
	VkMemoryRequirements need;
	VkMemoryDedicatedAllocateInfo dedicated = {VK_STRUCTURE_TYPE_MEMORY_DEDICATED_ALLOCATE_INFO,
						   NULL, image, buffer};
	VkExportMemoryAllocateInfo export = {VK_STRUCTURE_TYPE_EXPORT_MEMORY_ALLOCATE_INFO,
					     &dedicated, share_handle};
	VkImportMemoryFdInfoKHR import = {VK_STRUCTURE_TYPE_IMPORT_MEMORY_FD_INFO_KHR, &dedicated,
					  share_handle, fd};
	VkMemoryFdPropertiesKHR fits = {VK_STRUCTURE_TYPE_MEMORY_FD_PROPERTIES_KHR,
					.memoryTypeBits = ~0u};
	VkDeviceMemory memory;
	if (image) {
		vkGetImageMemoryRequirements(gpu->device, image, &need);
	} else {
		vkGetBufferMemoryRequirements(gpu->device, buffer, &need);
	}
	if (fd >= 0) {
		GPU_CHECK(SHARE_FN(gpu, vkGetMemoryFdPropertiesKHR)(gpu->device, share_handle, fd,
								    &fits));
	}
	uint32_t types = need.memoryTypeBits & fits.memoryTypeBits;
	if (!types) {
		gpu_die("no type of memory fits: 0x%x, 0x%x", need.memoryTypeBits,
			fits.memoryTypeBits);
	}
	VkMemoryAllocateInfo info = {VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
				     fd < 0 ? (const void *)&export : &import, need.size,
				     share_pick_type(gpu, types, buffer != VK_NULL_HANDLE)};
	GPU_CHECK(vkAllocateMemory(gpu->device, &info, NULL, &memory));
	if (image) {
		GPU_CHECK(vkBindImageMemory(gpu->device, image, memory, 0));
	} else {
		GPU_CHECK(vkBindBufferMemory(gpu->device, buffer, memory, 0));
	}
	return memory;
}

static int share_export(struct gpu *gpu, VkDeviceMemory memory)
{
	VkMemoryGetFdInfoKHR get = {VK_STRUCTURE_TYPE_MEMORY_GET_FD_INFO_KHR, NULL, memory,
				    share_handle};
	int fd;
	GPU_CHECK(SHARE_FN(gpu, vkGetMemoryFdKHR)(gpu->device, &get, &fd));
	return fd;
}

/* A new image; *note says how it lies in the descriptor returned. */
static int share_make_image(struct gpu *gpu, VkExtent2D size, uint64_t modifier,
			    struct shared_image *out, struct share_note *note)
{
	VkImageDrmFormatModifierListCreateInfoEXT list = {
		VK_STRUCTURE_TYPE_IMAGE_DRM_FORMAT_MODIFIER_LIST_CREATE_INFO_EXT, NULL, 1,
		&modifier};
	VkImageDrmFormatModifierPropertiesEXT chosen = {
		VK_STRUCTURE_TYPE_IMAGE_DRM_FORMAT_MODIFIER_PROPERTIES_EXT};
	VkImageSubresource plane = {VK_IMAGE_ASPECT_MEMORY_PLANE_0_BIT_EXT, 0, 0};
	*out = (struct shared_image){.size = size};
	*note = (struct share_note){0};
	GPU_CHECK(share_create_image(gpu, size, &list, &out->image));
	out->memory = share_allocate(gpu, out->image, VK_NULL_HANDLE, -1);
	GPU_CHECK(SHARE_FN(gpu, vkGetImageDrmFormatModifierPropertiesEXT)(gpu->device, out->image,
									  &chosen));
	vkGetImageSubresourceLayout(gpu->device, out->image, &plane, &note->layout);
	note->modifier = chosen.drmFormatModifier;
	if (note->modifier != modifier) {
		gpu_die("modifier 0x%llx was wanted, 0x%llx came", (unsigned long long)modifier,
			(unsigned long long)note->modifier);
	}
	return share_export(gpu, out->memory);
}

/* The image of @note, of which the importer says that it has other rows: see struct shared_image.
 */
static VkResult share_import_image(struct gpu *gpu, const struct share_note *note,
				   struct shared_image *image)
{
	uint32_t step = image->row_step ? image->row_step : 1;
	VkSubresourceLayout layout = {.offset = note->layout.offset +
						note->layout.rowPitch * image->first_row,
				      .rowPitch = note->layout.rowPitch * step};
	VkImageDrmFormatModifierExplicitCreateInfoEXT import = {
		VK_STRUCTURE_TYPE_IMAGE_DRM_FORMAT_MODIFIER_EXPLICIT_CREATE_INFO_EXT, NULL,
		note->modifier, 1, &layout};
	image->size = (VkExtent2D){SHARE_WIDTH, (SHARE_HEIGHT - image->first_row) / step};
	return share_create_image(gpu, image->size, &import, &image->image);
}

static uint32_t share_pixel(uint32_t x, uint32_t y, uint32_t seed)
{
	return 0xff000000u | ((x * 2654435u + y * 40503u + seed * 97u) & 0xffffff);
}

/* A transition; @from or @to is outside where the image comes from there, or goes there. */
static void share_hand_over(VkCommandBuffer cmd, VkImage image, VkImageLayout layout, uint32_t from,
			    uint32_t to)
{
	VkImageMemoryBarrier2 barrier = {VK_STRUCTURE_TYPE_IMAGE_MEMORY_BARRIER_2,
					 NULL,
					 VK_PIPELINE_STAGE_2_ALL_COMMANDS_BIT,
					 VK_ACCESS_2_MEMORY_WRITE_BIT,
					 VK_PIPELINE_STAGE_2_ALL_COMMANDS_BIT,
					 VK_ACCESS_2_MEMORY_READ_BIT | VK_ACCESS_2_MEMORY_WRITE_BIT,
					 layout,
					 VK_IMAGE_LAYOUT_GENERAL,
					 from,
					 to,
					 image,
					 {VK_IMAGE_ASPECT_COLOR_BIT, 0, 1, 0, 1}};
	VkDependencyInfo dependency = {VK_STRUCTURE_TYPE_DEPENDENCY_INFO,
				       .imageMemoryBarrierCount = 1,
				       .pImageMemoryBarriers = &barrier};
	vkCmdPipelineBarrier2(cmd, &dependency);
}

static void share_take(VkCommandBuffer cmd, VkImage image)
{
	share_hand_over(cmd, image, VK_IMAGE_LAYOUT_GENERAL, VK_QUEUE_FAMILY_FOREIGN_EXT, 0);
}

static void share_give(VkCommandBuffer cmd, VkImage image)
{
	share_hand_over(cmd, image, VK_IMAGE_LAYOUT_GENERAL, 0, VK_QUEUE_FAMILY_FOREIGN_EXT);
}

/* Fills the image with pattern @seed and gives it away. */
static void share_draw(struct gpu *gpu, const struct shared_image *image, uint32_t seed, bool fresh)
{
	const VkExtent2D size = image->size;
	struct gpu_buffer staging =
		gpu_buffer_create(gpu, (VkDeviceSize)size.width * size.height * 4,
				  VK_BUFFER_USAGE_TRANSFER_SRC_BIT, true);
	uint32_t *pixels = staging.mapped;
	for (uint32_t i = 0; i < size.width * size.height; i++) {
		pixels[i] = share_pixel(i % size.width, i / size.width, seed);
	}
	VkBufferImageCopy copy = {.imageSubresource = {VK_IMAGE_ASPECT_COLOR_BIT, 0, 0, 1},
				  .imageExtent = {size.width, size.height, 1}};
	VkCommandBuffer cmd = gpu_begin_once(gpu);
	if (fresh) {
		share_hand_over(cmd, image->image, VK_IMAGE_LAYOUT_UNDEFINED, 0, 0);
	} else {
		share_take(cmd, image->image);
	}
	vkCmdCopyBufferToImage(cmd, staging.buffer, image->image, VK_IMAGE_LAYOUT_GENERAL, 1,
			       &copy);
	share_give(cmd, image->image);
	gpu_end_once(gpu, cmd);
	gpu_buffer_destroy(gpu, &staging);
}

static void share_expect(struct gpu *gpu, const struct shared_image *image, uint32_t seed,
			 const char *who)
{
	const VkExtent2D size = image->size;
	struct gpu_buffer staging =
		gpu_buffer_create(gpu, (VkDeviceSize)size.width * size.height * 4,
				  VK_BUFFER_USAGE_TRANSFER_DST_BIT, true);
	VkBufferImageCopy copy = {.imageSubresource = {VK_IMAGE_ASPECT_COLOR_BIT, 0, 0, 1},
				  .imageExtent = {size.width, size.height, 1}};
	VkCommandBuffer cmd = gpu_begin_once(gpu);
	share_take(cmd, image->image);
	vkCmdCopyImageToBuffer(cmd, image->image, VK_IMAGE_LAYOUT_GENERAL, staging.buffer, 1,
			       &copy);
	share_give(cmd, image->image);
	gpu_end_once(gpu, cmd);
	const uint32_t *pixels = staging.mapped;
	for (uint32_t i = 0; i < size.width * size.height; i++) {
		uint32_t row = i / size.width * (image->row_step ? image->row_step : 1);
		uint32_t wanted = share_pixel(i % size.width, image->first_row + row, seed);
		if (pixels[i] != wanted) {
			gpu_die("%s sees %08x at %u,%u, not %08x", who, pixels[i], i % size.width,
				i / size.width, wanted);
		}
	}
	gpu_buffer_destroy(gpu, &staging);
}

/* --- two processes --- */

static void send_note(int socket, const struct share_note *note, int fd)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {.header = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
	struct iovec part = {(void *)note, sizeof(*note)};
	struct msghdr message = {.msg_iov = &part,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = sizeof(control)};
	memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	if (sendmsg(socket, &message, 0) != sizeof(*note)) {
		gpu_die("the other process does not listen");
	}
	close(fd);
}

static int receive_note(int socket, struct share_note *note)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec part = {note, sizeof(*note)};
	struct msghdr message = {.msg_iov = &part,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = sizeof(control)};
	int fd;
	if (recvmsg(socket, &message, 0) != sizeof(*note) ||
	    control.header.cmsg_type != SCM_RIGHTS) {
		gpu_die("the other process said nothing");
	}
	memcpy(&fd, CMSG_DATA(&control.header), sizeof(fd));
	return fd;
}

/* Both come here before either goes on. */
static void meet(int socket)
{
	char token = 0;
	if (write(socket, &token, 1) != 1 || read(socket, &token, 1) != 1) {
		gpu_die("the other process is gone");
	}
}

static VkBuffer make_buffer(struct gpu *gpu)
{
	VkExternalMemoryBufferCreateInfo external = {
		VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_BUFFER_CREATE_INFO, NULL, share_handle};
	VkBufferCreateInfo info = {VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO, &external,
				   .size = SHARE_BUFFER, .usage = VK_BUFFER_USAGE_TRANSFER_DST_BIT};
	VkBuffer buffer;
	GPU_CHECK(vkCreateBuffer(gpu->device, &info, NULL, &buffer));
	return buffer;
}

static void fill_buffer(struct gpu *gpu, VkBuffer buffer, uint32_t word)
{
	VkCommandBuffer cmd = gpu_begin_once(gpu);
	vkCmdFillBuffer(cmd, buffer, 0, SHARE_BUFFER & ~3u, word);
	gpu_memory_barrier(cmd, VK_PIPELINE_STAGE_2_ALL_COMMANDS_BIT, VK_ACCESS_2_MEMORY_WRITE_BIT,
			   VK_PIPELINE_STAGE_2_HOST_BIT, VK_ACCESS_2_HOST_READ_BIT);
	gpu_end_once(gpu, cmd);
}

static void exporter(int socket)
{
	struct gpu gpu = {0};
	uint64_t modifiers[SHARE_MOST];
	share_open(&gpu);
	uint32_t count = share_modifiers(&gpu, modifiers);
	struct share_note note = {.bytes = count};
	VkBuffer buffer = make_buffer(&gpu);
	VkDeviceMemory memory = share_allocate(&gpu, VK_NULL_HANDLE, buffer, -1);
	fill_buffer(&gpu, buffer, 0x12345678);
	send_note(socket, &note, share_export(&gpu, memory));
	meet(socket);
	for (uint32_t i = 0; i < count; i++) {
		struct shared_image image;
		int fd = share_make_image(&gpu, (VkExtent2D){SHARE_WIDTH, SHARE_HEIGHT},
					  modifiers[i], &image, &note);
		share_draw(&gpu, &image, 1, true);
		send_note(socket, &note, fd);
		meet(socket); /* the other has seen ours and drawn */
		share_expect(&gpu, &image, 2, "the maker");
		share_draw(&gpu, &image, 3, false);
		vkDestroyImage(gpu.device, image.image, NULL);
		vkFreeMemory(gpu.device, image.memory, NULL);
		meet(socket); /* the other has it still */
		printf("image with modifier 0x%llx, pitch %llu: shared\n",
		       (unsigned long long)modifiers[i], (unsigned long long)note.layout.rowPitch);
	}
	meet(socket);
	vkDestroyBuffer(gpu.device, buffer, NULL);
	vkFreeMemory(gpu.device, memory, NULL);
	gpu_close(&gpu);
}

/* What the driver accepts it must use; what it would not use it must refuse. */
static void try_layout(struct gpu *gpu, const struct share_note *note, int fd, uint32_t first_row,
		       uint32_t row_step)
{
	struct shared_image image = {.first_row = first_row, .row_step = row_step};
	VkResult result = share_import_image(gpu, note, &image);
	if (result == VK_SUCCESS) {
		image.memory = share_allocate(gpu, image.image, VK_NULL_HANDLE,
					      fcntl(fd, F_DUPFD_CLOEXEC, 0));
		share_expect(gpu, &image, 1, "the reader of some rows");
		vkDestroyImage(gpu->device, image.image, NULL);
		vkFreeMemory(gpu->device, image.memory, NULL);
	} else if (result != VK_ERROR_INVALID_DRM_FORMAT_MODIFIER_PLANE_LAYOUT_EXT) {
		gpu_die("another layout (row %u, step %u) gave VkResult %d", first_row, row_step,
			result);
	}
	printf("layout from row %u by %u: %s\n", first_row, row_step,
	       result == VK_SUCCESS ? "used" : "refused");
}

static void import_image(struct gpu *gpu, int socket)
{
	struct share_note note;
	struct shared_image image = {0};
	int fd = receive_note(socket, &note);
	if (note.modifier == DRM_FORMAT_MOD_LINEAR) {
		try_layout(gpu, &note, fd, 0, 2);
		try_layout(gpu, &note, fd, 16, 1);
	}
	GPU_CHECK(share_import_image(gpu, &note, &image));
	image.memory = share_allocate(gpu, image.image, VK_NULL_HANDLE, fd);
	share_expect(gpu, &image, 1, "the other");
	share_draw(gpu, &image, 2, false);
	meet(socket);
	meet(socket); /* its maker has drawn again and let go of it */
	share_expect(gpu, &image, 3, "the survivor");
	vkDestroyImage(gpu->device, image.image, NULL);
	vkFreeMemory(gpu->device, image.memory, NULL);
}

static void importer(int socket)
{
	struct gpu gpu = {0};
	struct share_note note;
	share_open(&gpu);
	VkBuffer buffer = make_buffer(&gpu);
	VkDeviceMemory memory =
		share_allocate(&gpu, VK_NULL_HANDLE, buffer, receive_note(socket, &note));
	uint32_t *words;
	GPU_CHECK(vkMapMemory(gpu.device, memory, 0, VK_WHOLE_SIZE, 0, (void **)&words));
	for (uint32_t i = 0; i < SHARE_BUFFER / 4; i++) {
		if (words[i] != 0x12345678) {
			gpu_die("the buffer's word %u is %x", i, words[i]);
		}
	}
	meet(socket);
	for (uint64_t i = 0; i < note.bytes; i++) {
		import_image(&gpu, socket);
	}
	meet(socket);
	vkDestroyBuffer(gpu.device, buffer, NULL);
	vkFreeMemory(gpu.device, memory, NULL);
	gpu_close(&gpu);
}

static int pair(void)
{
	int ends[2], status;
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) < 0) {
		gpu_die("no sockets");
	}
	pid_t child = fork();
	if (child == 0) {
		close(ends[0]);
		importer(ends[1]);
		exit(fflush(stdout));
	}
	close(ends[1]);
	exporter(ends[0]);
	if (waitpid(child, &status, 0) != child || status) {
		gpu_die("the other process ended with 0x%x", status);
	}
	puts("both agree");
	return 0;
}

/* --- a screen --- */

static int card_ioctl(int card, unsigned long request, void *argument, const char *what)
{
	int status = ioctl(card, request, argument);
	if (status < 0) {
		perror(what);
		exit(1);
	}
	return status;
}

/* The first screen's connector, CRTC and mode. */
static struct drm_mode_modeinfo find_mode(int card, uint32_t *connector, uint32_t *crtc)
{
	uint32_t connectors[SHARE_MOST], crtcs[SHARE_MOST];
	struct drm_mode_card_res all = {.connector_id_ptr = (uintptr_t)connectors,
					.count_connectors = SHARE_MOST,
					.crtc_id_ptr = (uintptr_t)crtcs,
					.count_crtcs = SHARE_MOST};
	struct drm_mode_modeinfo modes[64] = {0};
	card_ioctl(card, DRM_IOCTL_MODE_GETRESOURCES, &all, "resources");
	struct drm_mode_get_connector one = {.connector_id = connectors[0]};
	card_ioctl(card, DRM_IOCTL_MODE_GETCONNECTOR, &one, "connector");
	one = (struct drm_mode_get_connector){.connector_id = connectors[0],
					      .modes_ptr = (uintptr_t)modes,
					      .count_modes =
						      one.count_modes < 64 ? one.count_modes : 64};
	card_ioctl(card, DRM_IOCTL_MODE_GETCONNECTOR, &one, "modes");
	*connector = connectors[0];
	*crtc = crtcs[0];
	return modes[0];
}

static int show(const char *path)
{
	struct gpu gpu = {0};
	struct shared_image image;
	struct share_note note;
	uint32_t connector, crtc;
	int card = open(path, O_RDWR | O_CLOEXEC);
	struct drm_mode_modeinfo mode = find_mode(card, &connector, &crtc);
	share_open(&gpu);
	struct drm_prime_handle prime = {
		.fd = share_make_image(&gpu, (VkExtent2D){mode.hdisplay, mode.vdisplay},
				       DRM_FORMAT_MOD_LINEAR, &image, &note)};
	share_draw(&gpu, &image, 5, true);
	card_ioctl(card, DRM_IOCTL_PRIME_FD_TO_HANDLE, &prime, "take the image");
	struct drm_mode_fb_cmd2 fb = {.width = mode.hdisplay,
				      .height = mode.vdisplay,
				      .pixel_format = DRM_FORMAT_XRGB8888,
				      .handles = {prime.handle},
				      .pitches = {(uint32_t)note.layout.rowPitch},
				      .offsets = {(uint32_t)note.layout.offset}};
	card_ioctl(card, DRM_IOCTL_MODE_ADDFB2, &fb, "frame buffer");
	struct drm_mode_crtc set = {.set_connectors_ptr = (uintptr_t)&connector,
				    .count_connectors = 1,
				    .crtc_id = crtc,
				    .fb_id = fb.fb_id,
				    .mode_valid = 1,
				    .mode = mode};
	card_ioctl(card, DRM_IOCTL_MODE_SETCRTC, &set, "show it");
	printf("shown %ux%u\n", mode.hdisplay, mode.vdisplay);
	fflush(stdout);
	for (;;) {
		pause(); /* the picture stays as long as the program */
	}
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "pair")) {
		return pair();
	}
	if (argc == 3 && !strcmp(argv[1], "show")) {
		return show(argv[2]);
	}
	fputs("usage: vkshare pair|show CARD\n", stderr);
	return 2;
}
