/* SPDX-License-Identifier: Apache-2.0 */
/*
 * edid.h - the description of a monitor that has one preferred size (VESA E-EDID 1.4)
 * Threads: pure.
 */
#ifndef ORIEL_GPU_EDID_H
#define ORIEL_GPU_EDID_H

#include <stdint.h>

enum { EDID_BYTES = 128, EDID_MAX_SIDE = 4095 };

/* Fill a base block for @width x @height pixels (1..EDID_MAX_SIDE; larger ones are cut) at 60 Hz.
 */
void edid_make(uint8_t edid[EDID_BYTES], uint32_t width, uint32_t height);

#endif
