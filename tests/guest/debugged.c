/* SPDX-License-Identifier: Apache-2.0 */
/*
 * debugged.c - a program in the guest for a debugger on the host: counts until it is told to stop
 *
 * It is linked at an address of its own, so breakpoints there meet no other program.
 * Threads: one.
 */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

volatile uint64_t counter, stop;

__attribute__((noinline)) void count(uint64_t n)
{
	counter += n;
	__asm__ volatile("" : : : "memory");
}

int main(void)
{
	puts("debugged ready");
	fflush(stdout);
	for (uint64_t round = 1; !stop; round++) {
		count(round);
		usleep(2000);
	}
	printf("debugged stop %" PRIu64 "\n", stop);
	return 0;
}
