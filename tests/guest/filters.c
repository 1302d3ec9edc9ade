/* SPDX-License-Identifier: Apache-2.0 */
/*
 * filters.c - random socket filters, which the guest's kernel translates to its own CPU's code
 *
 * Usage: filters [COUNT]
 *
 * How it works: a filter is a classic BPF program (Linux, Documentation/networking/filter.rst) on one end of a pair of datagram
 * sockets; what it returns is how many bytes of the datagram arrive.  Each runs in the kernel and here; the kernel makes new code for each, in
 * memory where the code of one before was.
 * Threads: one.
 */
#include <linux/filter.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST = 64, BYTES = 64, PACKETS = 4 };

static uint64_t state = 88172645463325252u;

static uint32_t below(uint32_t n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 32) % n;
}

static uint32_t load(const uint8_t *p, unsigned size)
{
	uint32_t value = 0;
	for (unsigned n = 0; n < size; n++) {
		value = value << 8 | p[n];
	}
	return value;
}

static uint32_t compute(unsigned op, uint32_t a, uint32_t b)
{
	switch (op) {
	case BPF_ADD: return a + b;
	case BPF_SUB: return a - b;
	case BPF_MUL: return a * b;
	case BPF_DIV: return b ? a / b : 0;
	case BPF_MOD: return b ? a % b : a;
	case BPF_OR: return a | b;
	case BPF_AND: return a & b;
	case BPF_XOR: return a ^ b;
	case BPF_LSH: return a << (b & 31);
	case BPF_RSH: return a >> (b & 31);
	default: return -a;
	}
}

static int jumps(unsigned op, uint32_t a, uint32_t b)
{
	return op == BPF_JEQ ? a == b : op == BPF_JGT ? a > b : op == BPF_JGE ? a >= b : (a & b) != 0;
}

/* What the filter returns for @packet. */
static uint32_t interpret(const struct sock_filter *f, const uint8_t *packet)
{
	static const unsigned sizes[] = {[BPF_W >> 3] = 4, [BPF_H >> 3] = 2, [BPF_B >> 3] = 1};
	uint32_t a = 0, x = 0, m[BPF_MEMWORDS] = {0};
	for (;; f++) {
		unsigned code = f->code;
		uint32_t b = BPF_SRC(code) == BPF_X ? x : f->k;
		switch (BPF_CLASS(code)) {
		case BPF_LD:
			a = BPF_MODE(code) == BPF_MEM   ? m[f->k]
			    : BPF_MODE(code) == BPF_IMM ? f->k
							: load(packet + f->k, sizes[BPF_SIZE(code) >> 3]);
			break;
		case BPF_LDX: x = BPF_MODE(code) == BPF_MEM ? m[f->k] : f->k; break;
		case BPF_ST: m[f->k] = a; break;
		case BPF_STX: m[f->k] = x; break;
		case BPF_ALU: a = compute(BPF_OP(code), a, b); break;
		case BPF_JMP: f += jumps(BPF_OP(code), a, b) ? f->jt : f->jf; break;
		case BPF_MISC:
			if (BPF_MISCOP(code) == BPF_TAX) {
				x = a;
			} else {
				a = x;
			}
			break;
		default: return a;
		}
	}
}

static struct sock_filter random_word(unsigned left)
{
	static const uint16_t ops[] = {BPF_ADD, BPF_SUB, BPF_MUL, BPF_OR, BPF_AND, BPF_XOR};
	static const uint16_t jump_ops[] = {BPF_JEQ, BPF_JGT, BPF_JGE, BPF_JSET};
	static const uint16_t sizes[] = {BPF_W, BPF_H, BPF_B};
	uint16_t source = below(2) ? BPF_X : BPF_K;
	uint32_t number = below(3) ? below(256) : (uint32_t)below(65536) << 16 | below(65536);
	switch (below(10)) {
	case 0: return (struct sock_filter){BPF_LD | BPF_ABS | sizes[below(3)], 0, 0, below(BYTES - 4)};
	case 1: return (struct sock_filter){BPF_LD | BPF_MEM, 0, 0, below(BPF_MEMWORDS)};
	case 2: return (struct sock_filter){BPF_LDX | BPF_IMM, 0, 0, number};
	case 3: return (struct sock_filter){BPF_ST, 0, 0, below(BPF_MEMWORDS)};
	case 4: return (struct sock_filter){BPF_MISC | (below(2) ? BPF_TAX : BPF_TXA), 0, 0, 0};
	case 5: return (struct sock_filter){BPF_ALU | (below(2) ? BPF_LSH : BPF_RSH) | BPF_K, 0, 0, below(32)};
	case 6:
		if (!below(4)) {
			return (struct sock_filter){BPF_ALU | BPF_NEG, 0, 0, 0};
		}
		return (struct sock_filter){BPF_ALU | (below(2) ? BPF_DIV : BPF_MOD) | BPF_K, 0, 0, number | 1};
	case 7:
		if (left > 1) {
			return (struct sock_filter){(uint16_t)(BPF_JMP | source | jump_ops[below(4)]), (uint8_t)below(left),
						    (uint8_t)below(left), number};
		} /* fall through */
	default: return (struct sock_filter){(uint16_t)(BPF_ALU | source | ops[below(6)]), 0, 0, number};
	}
}

/* @words of them: all stores first, because the kernel refuses loads of what may not have been stored. */
static unsigned make(struct sock_filter *f)
{
	unsigned count = BPF_MEMWORDS;
	for (unsigned n = 0; n < BPF_MEMWORDS; n++) {
		f[n] = (struct sock_filter){BPF_ST, 0, 0, n};
	}
	unsigned more = 1 + below(MOST - BPF_MEMWORDS - 4);
	for (unsigned n = 0; n < more; n++) {
		f[count++] = random_word(more - n);
	}
	f[count++] = (struct sock_filter){BPF_ALU | BPF_AND | BPF_K, 0, 0, BYTES / 2 - 1};
	f[count++] = (struct sock_filter){BPF_ALU | BPF_ADD | BPF_K, 0, 0, 1};
	f[count++] = (struct sock_filter){BPF_RET | BPF_A, 0, 0, 0};
	return count;
}

int main(int argc, char **argv)
{
	unsigned count = argc > 1 ? (unsigned)atoi(argv[1]) : 1000, wrong = 0;
	int ends[2];
	if (socketpair(AF_UNIX, SOCK_DGRAM, 0, ends)) {
		perror("socketpair");
		return 1;
	}
	for (unsigned n = 0; n < count; n++) {
		struct sock_filter words[MOST];
		struct sock_fprog program = {.filter = words};
		program.len = (unsigned short)make(words);
		if (setsockopt(ends[1], SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program))) {
			perror("SO_ATTACH_FILTER");
			return 1;
		}
		for (unsigned k = 0; k < PACKETS; k++) {
			uint8_t packet[BYTES], got[BYTES];
			for (unsigned b = 0; b < BYTES; b++) {
				packet[b] = (uint8_t)below(256);
			}
			uint32_t expected = interpret(words, packet);
			if (send(ends[0], packet, BYTES, 0) != BYTES) {
				perror("send");
				return 1;
			}
			ssize_t len = recv(ends[1], got, sizeof(got), 0);
			if (len != (ssize_t)expected && wrong++ < 5) {
				printf("filter %u, packet %u: %zd bytes, expected %u\n", n, k, len, expected);
			}
		}
	}
	printf("filters: %u run, %u wrong\n", count, wrong);
	return wrong != 0;
}
