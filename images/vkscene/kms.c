/* SPDX-License-Identifier: Apache-2.0 */
/* kms.c - show frames on a display through DRM/KMS: a dumb buffer, one mode set, then dirty rectangles */
#include "kms.h"

#include "gpu.h"

#include <drm.h>
#include <drm_mode.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

static void kms_ioctl(struct kms *kms, unsigned long request, void *argument, const char *what)
{
	if (ioctl(kms->fd, request, argument) < 0) {
		gpu_die("display: %s: %m", what);
	}
}

/* The first connected connector with its preferred (first) mode, and an encoder's crtc. */
static struct drm_mode_modeinfo kms_find_mode(struct kms *kms)
{
	uint32_t crtcs[8], connectors[16];
	struct drm_mode_card_res card = {.crtc_id_ptr = (uintptr_t)crtcs, .count_crtcs = 8,
					 .connector_id_ptr = (uintptr_t)connectors, .count_connectors = 16};
	kms_ioctl(kms, DRM_IOCTL_MODE_GETRESOURCES, &card, "get resources");
	for (uint32_t i = 0; i < card.count_connectors && i < 16; i++) {
		struct drm_mode_get_connector c = {.connector_id = connectors[i]};
		kms_ioctl(kms, DRM_IOCTL_MODE_GETCONNECTOR, &c, "probe connector");
		struct drm_mode_modeinfo *modes = calloc(c.count_modes + 1, sizeof(*modes));
		struct drm_mode_get_connector again = {.connector_id = connectors[i], .count_modes = c.count_modes,
						       .modes_ptr = (uintptr_t)modes};
		kms_ioctl(kms, DRM_IOCTL_MODE_GETCONNECTOR, &again, "get connector");
		struct drm_mode_modeinfo mode = modes[0];
		free(modes);
		if (again.connection == 1 && again.count_modes && card.count_crtcs) {
			kms->connector = connectors[i];
			kms->crtc = crtcs[0];
			return mode;
		}
	}
	gpu_die("display: no connected output");
}

static void kms_make_buffer(struct kms *kms)
{
	struct drm_mode_create_dumb dumb = {.width = kms->width, .height = kms->height, .bpp = 32};
	kms_ioctl(kms, DRM_IOCTL_MODE_CREATE_DUMB, &dumb, "create buffer");
	kms->pitch = dumb.pitch;
	struct drm_mode_fb_cmd fb = {.width = kms->width, .height = kms->height, .pitch = dumb.pitch, .bpp = 32,
				     .depth = 24, .handle = dumb.handle};
	kms_ioctl(kms, DRM_IOCTL_MODE_ADDFB, &fb, "add framebuffer");
	kms->framebuffer = fb.fb_id;
	struct drm_mode_map_dumb map = {.handle = dumb.handle};
	kms_ioctl(kms, DRM_IOCTL_MODE_MAP_DUMB, &map, "map buffer");
	kms->pixels = mmap(NULL, dumb.size, PROT_READ | PROT_WRITE, MAP_SHARED, kms->fd, (off_t)map.offset);
	if (kms->pixels == MAP_FAILED) {
		gpu_die("display: map buffer: %m");
	}
	memset(kms->pixels, 0, dumb.size);
}

void kms_open(struct kms *kms, const char *path)
{
	*kms = (struct kms){.fd = open(path, O_RDWR | O_CLOEXEC)};
	if (kms->fd < 0) {
		gpu_die("display: open %s: %m", path);
	}
	struct drm_mode_modeinfo mode = kms_find_mode(kms);
	kms->width = mode.hdisplay;
	kms->height = mode.vdisplay;
	kms_make_buffer(kms);
	struct drm_mode_crtc crtc = {.set_connectors_ptr = (uintptr_t)&kms->connector, .count_connectors = 1,
				     .crtc_id = kms->crtc, .fb_id = kms->framebuffer, .mode_valid = 1, .mode = mode};
	kms_ioctl(kms, DRM_IOCTL_MODE_SETCRTC, &crtc, "set mode");
}

void kms_show(struct kms *kms, const uint32_t *pixels, uint32_t width, uint32_t height)
{
	uint32_t w = width < kms->width ? width : kms->width, h = height < kms->height ? height : kms->height;
	uint32_t left = (kms->width - w) / 2, top = (kms->height - h) / 2;
	for (uint32_t y = 0; y < h; y++) {
		memcpy(kms->pixels + (size_t)(top + y) * kms->pitch + left * 4u, pixels + (size_t)y * width, w * 4u);
	}
	struct drm_clip_rect clip = {(uint16_t)left, (uint16_t)top, (uint16_t)(left + w), (uint16_t)(top + h)};
	struct drm_mode_fb_dirty_cmd dirty = {.fb_id = kms->framebuffer, .num_clips = 1, .clips_ptr = (uintptr_t)&clip};
	kms_ioctl(kms, DRM_IOCTL_MODE_DIRTYFB, &dirty, "show frame");
}
