/* SPDX-License-Identifier: Apache-2.0 */
/* kms.h - show frames on a display through DRM/KMS, with the kernel's interface alone */
#ifndef VKSCENE_KMS_H
#define VKSCENE_KMS_H

#include <stdint.h>

struct kms {
	int fd;
	uint32_t width, height, pitch, framebuffer, crtc, connector;
	uint8_t *pixels; /* the whole mapped framebuffer, B, G, R, X */
};

/* Take the first connected display of @path ("/dev/dri/card0") at its preferred mode.  Ends the program on failure. */
void kms_open(struct kms *kms, const char *path);
/* Copy @width x @height pixels to the middle of the display and tell the kernel that they changed. */
void kms_show(struct kms *kms, const uint32_t *pixels, uint32_t width, uint32_t height);

#endif
