/* SPDX-License-Identifier: Apache-2.0 */
/*
 * math.h - the little of macOS that our engines use, so that they compile without Apple's SDK
 *
 * Our own declarations; sizes and values are those of macOS on arm64.  Threads: as POSIX says.
 */
#ifndef ORIEL_TESTS_MACOS_MATH_H
#define ORIEL_TESTS_MACOS_MATH_H

double sqrt(double x);
float sqrtf(float x);
double fma(double x, double y, double z);
float fmaf(float x, float y, float z);

#endif
