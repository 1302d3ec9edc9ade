/* SPDX-License-Identifier: Apache-2.0 */
/*
 * frames.h - what the libraries that keep a program's frames share
 *
 * Threads: all but frames_time() are for the one that shows frames.
 */
#ifndef ORIEL_TESTS_FRAMES_H
#define ORIEL_TESTS_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Ends the program with 70 and one line. */
_Noreturn void frames_die(const char *why);

/* The next library's function of that name; there is one, or the program ends. */
void *frames_real(const char *name);

/* What `dlsym(library, name)` is if nobody interferes. */
void *frames_look(void *library, const char *name);

/* True if @caller is code of the program itself. */
bool frames_of_program(void *caller);

/* True if the frame that is about to be shown shall be kept. */
bool frames_wanted(void);

/* Keeps it.  @row: the first of @height rows of @width pixels of four bytes, @step bytes apart; the
 * byte @red of 0 or 2 is red. */
void frames_write(const uint8_t *row, ptrdiff_t step, uint32_t width, uint32_t height, int red);

/* A frame has been shown: time goes on, or the program ends. */
void frames_next(void);

#endif
