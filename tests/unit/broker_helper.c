/* SPDX-License-Identifier: Apache-2.0 */
/*
 * broker_helper.c - stands for oriel-gpu in the broker's tests: does what single bytes on
 * descriptor 3 say
 *
 * f: answer with the open descriptors as a bit mask, and the number of arguments; x: exit 7; s:
 * stay forever, whatever happens to the socket; anything else or end of stream: exit 0. Threads:
 * one.
 */
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	uint8_t order;
	while (read(3, &order, 1) == 1) {
		uint32_t answer[2] = {0, (uint32_t)argc};
		switch (order) {
		case 'f':
			for (int fd = 0; fd < 32; fd++) {
				answer[0] |= fcntl(fd, F_GETFD) >= 0 ? 1u << fd : 0;
			}
			(void)!write(3, answer, sizeof(answer));
			break;
		case 'x': return 7;
		case 's':
			for (;;) {
				pause();
			}
		default: return 0;
		}
	}
	return argc == 2 && strcmp(argv[1], "--wire") == 0 ? 0 : 1;
}
