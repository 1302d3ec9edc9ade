/* SPDX-License-Identifier: Apache-2.0 */
/*
 * frames_gl.c - keeps the frames of a program that draws by OpenGL ES and EGL
 *
 * EGL 1.5, 3.10.
 * Threads: one context, one thread.
 */
#include "frames.h"

#include <stdlib.h>
#include <string.h>

enum { GL_VIEWPORT = 0x0ba2, GL_UNSIGNED_BYTE = 0x1401, GL_RGBA = 0x1908 };

typedef void (*gl_proc)(void);

/* The real ones, as the program found them. */
static unsigned (*gl_swap)(void *display, void *surface);
static gl_proc (*gl_get_proc)(const char *name);

static void gl_keep(void)
{
	void (*get)(unsigned, int *) = (void (*)(unsigned, int *))gl_get_proc("glGetIntegerv");
	void (*read)(int, int, int, int, unsigned, unsigned, void *) = (void (*)(
		int, int, int, int, unsigned, unsigned, void *))gl_get_proc("glReadPixels");
	int view[4];
	get(GL_VIEWPORT, view);
	uint32_t width = (uint32_t)view[2], height = (uint32_t)view[3];
	ptrdiff_t step = (ptrdiff_t)width * 4;
	uint8_t *pixels = malloc((size_t)step * height);
	if (!pixels || !height) {
		frames_die("a frame has no pixels");
	}
	read(0, 0, view[2], view[3], GL_RGBA, GL_UNSIGNED_BYTE, pixels);
	frames_write(pixels + step * (ptrdiff_t)(height - 1), -step, width, height, 0);
	free(pixels);
}

unsigned eglSwapBuffers(void *display, void *surface);
unsigned eglSwapBuffers(void *display, void *surface)
{
	if (!gl_swap) { /* the program is linked with EGL */
		gl_swap = (unsigned (*)(void *, void *))frames_real("eglSwapBuffers");
		gl_get_proc = (gl_proc(*)(const char *))frames_real("eglGetProcAddress");
	}
	if (frames_wanted()) {
		gl_keep();
	}
	unsigned done = gl_swap(display, surface);
	frames_next();
	return done;
}

static void *gl_instead(const char *name, void *found);

static gl_proc gl_own_get_proc(const char *name)
{
	return (gl_proc)gl_instead(name, (void *)gl_get_proc(name));
}

/* Notes the real function and gives ours. */
static void *gl_instead(const char *name, void *found)
{
	if (found && !strcmp(name, "eglSwapBuffers")) {
		gl_swap = (unsigned (*)(void *, void *))found;
		return (void *)eglSwapBuffers;
	}
	if (found && !strcmp(name, "eglGetProcAddress")) {
		gl_get_proc = (gl_proc(*)(const char *))found;
		return (void *)gl_own_get_proc;
	}
	return found;
}

/* For programs that load EGL themselves. */
void *dlsym(void *restrict library, const char *restrict name);
void *dlsym(void *restrict library, const char *restrict name)
{
	void *found = frames_look(library, name);
	return frames_of_program(__builtin_return_address(0)) ? gl_instead(name, found) : found;
}
