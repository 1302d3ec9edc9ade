/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_x86_evex.c - the assembler's AVX-512 forms against a disassembler (objdump, as libcapstone 4
 * knows few of them)
 *
 * Usage: test-x86-evex OBJDUMP
 *
 * How it works: all forms are assembled one behind the other with low and high registers and
 * several memory operands, disassembled at once, and each line must read as what was meant.
 */
#include "engine/soft/jit/x86.h"

#include "base/own.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { CODE_ROOM = 1 << 20, WANTED = 1 << 14, TEXT = 80 };

static const char *objdump;
static uint8_t code[CODE_ROOM];
static char wanted[WANTED][TEXT];
static unsigned count;
static struct x86 x;

enum form { TWO, THREE, THREE_IMM, SHIFT, NARROW };

static const struct row {
	unsigned op;
	const char *name;
	enum form form;
} rows[] = {
	{E_PTERNLOGD, "vpternlogd", THREE_IMM},
	{E_PMAXSQ, "vpmaxsq", THREE},
	{E_PMINSQ, "vpminsq", THREE},
	{E_PMAXUQ, "vpmaxuq", THREE},
	{E_PMINUQ, "vpminuq", THREE},
	{E_PABSQ, "vpabsq", TWO},
	{E_PMULLQ, "vpmullq", THREE},
	{E_PLZCNTD, "vplzcntd", TWO},
	{E_PLZCNTQ, "vplzcntq", TWO},
	{E_PSLLVW, "vpsllvw", THREE},
	{E_PSRLVW, "vpsrlvw", THREE},
	{E_PSRAVW, "vpsravw", THREE},
	{E_PSRAVQ, "vpsravq", THREE},
	{E_PSRAQ, "vpsraq", SHIFT},
	{E_PROLD, "vprold", SHIFT},
	{E_PROLQ, "vprolq", SHIFT},
	{E_PRORD, "vprord", SHIFT},
	{E_PRORQ, "vprorq", SHIFT},
	{E_PMOVQD, "vpmovqd", NARROW},
	{E_PMOVSQD, "vpmovsqd", NARROW},
	{E_PMOVUSQD, "vpmovusqd", NARROW},
	{E_PERMI2W, "vpermi2w", THREE},
	{E_PERMT2W, "vpermt2w", THREE},
	{E_PERMB, "vpermb", THREE},
	{E_PERMI2B, "vpermi2b", THREE},
	{E_PERMT2B, "vpermt2b", THREE},
	{E_POPCNTB, "vpopcntb", TWO},
	{E_POPCNTW, "vpopcntw", TWO},
	{E_PDPBUSD, "vpdpbusd", THREE},
	{E_CVTPS2UDQ, "vcvtps2udq", TWO},
	{E_CVTTPS2UDQ, "vcvttps2udq", TWO},
	{E_CVTPD2QQ, "vcvtpd2qq", TWO},
	{E_CVTTPD2QQ, "vcvttpd2qq", TWO},
	{E_CVTPD2UQQ, "vcvtpd2uqq", TWO},
	{E_CVTTPD2UQQ, "vcvttpd2uqq", TWO},
	{E_CVTUDQ2PS, "vcvtudq2ps", TWO},
	{E_CVTQQ2PD, "vcvtqq2pd", TWO},
	{E_CVTUQQ2PD, "vcvtuqq2pd", TWO},
};

static const struct {
	struct x86_mem m;
	const char *text;
} memory[] = {
	{{.base = RBP, .index = RSP, .disp = 0x40}, "[rbp+0x40]"},
	{{.base = RBP, .index = RSP, .disp = -0x40}, "[rbp-0x40]"},
	{{.base = RCX, .index = RSP}, "[rcx]"},
	{{.base = R13, .index = RSP}, "[r13+0x0]"},
	{{.base = R12, .index = RSP, .disp = 0x12345}, "[r12+0x12345]"},
	{{.base = RAX, .index = R9, .scale = 2, .disp = 8}, "[rax+r9*4+0x8]"},
};

static void want(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	assert_true(count < WANTED && x.at < code + CODE_ROOM - X86_ROOM);
	vsnprintf(wanted[count++], TEXT, format, args);
	va_end(args);
}

static void add_registers(const struct row *row, unsigned a, unsigned b, unsigned c)
{
	switch (row->form) {
	case TWO:
		want("%s xmm%u,xmm%u", row->name, a, c);
		x86_v(&x, row->op, a, 0, c);
		break;
	case SHIFT:
		want("%s xmm%u,xmm%u,0x7", row->name, a, c);
		x86_vshift(&x, row->op, a, c, 7);
		break;
	case NARROW:
		want("%s xmm%u,xmm%u", row->name, c, a);
		x86_v(&x, row->op, a, 0, c);
		break;
	case THREE_IMM:
		want("%s xmm%u,xmm%u,xmm%u,0xca", row->name, a, b, c);
		x86_vrr_imm(&x, row->op, a, b, c, 0xca);
		break;
	default:
		want("%s xmm%u,xmm%u,xmm%u", row->name, a, b, c);
		x86_v(&x, row->op, a, b, c);
		break;
	}
}

static void add_memory(const struct row *row, unsigned a, unsigned b, unsigned n)
{
	switch (row->form) {
	case TWO:
		want("%s xmm%u,XMMWORD PTR %s", row->name, a, memory[n].text);
		x86_vm(&x, row->op, a, 0, memory[n].m);
		break;
	case THREE_IMM:
		want("%s xmm%u,xmm%u,XMMWORD PTR %s,0xca", row->name, a, b, memory[n].text);
		x86_vrm_imm(&x, row->op, a, b, memory[n].m, 0xca);
		break;
	case THREE:
		want("%s xmm%u,xmm%u,XMMWORD PTR %s", row->name, a, b, memory[n].text);
		x86_vm(&x, row->op, a, b, memory[n].m);
		break;
	default: break;
	}
}

static void add_rows(void)
{
	static const unsigned registers[] = {0, 5, 8, 15};
	for (unsigned k = 0; k < sizeof(rows) / sizeof(rows[0]); k++) {
		for (unsigned n = 0; n < 64; n++) {
			add_registers(&rows[k], registers[n & 3], registers[n >> 2 & 3],
				      registers[n >> 4]);
		}
		for (unsigned n = 0; n < 4 * sizeof(memory) / sizeof(memory[0]); n++) {
			add_memory(&rows[k], registers[n & 3], registers[(n + 1) & 3], n / 4);
		}
	}
}

static void add_general(void)
{
	want("vcvttsd2usi rdx,xmm9");
	x86_vrr(&x, E_CVTTSD2USI, true, RDX, 0, 9);
	want("vcvttsd2usi r9d,xmm1");
	x86_vrr(&x, E_CVTTSD2USI, false, R9, 0, 1);
	want("vcvttss2usi rdx,xmm9");
	x86_vrr(&x, E_CVTTSS2USI, true, RDX, 0, 9);
	want("vcvtusi2sd xmm1,xmm2,r9");
	x86_vrr(&x, E_CVTUSI2SD, true, 1, 2, R9);
	want("vcvtusi2ss xmm12,xmm2,edx");
	x86_vrr(&x, E_CVTUSI2SS, false, 12, 2, RDX);
}

/* The instruction in a line of objdump, with single blanks; NULL: there is none. */
static char *instruction(char *line)
{
	char *tab = strchr(line, '\t');
	if (!tab || !strchr(line, ':')) {
		return NULL;
	}
	char *text = tab + 1, *to = text;
	for (const char *from = text; *from && *from != '\n'; from++) {
		if (*from != ' ' || (to > text && to[-1] != ' ')) {
			*to++ = *from;
		}
	}
	*to = '\0';
	return text;
}

static void forms_read_back_as_meant(void **state)
{
	char path[] = "/tmp/oriel-evex-XXXXXX", command[400], line[400];
	x = (struct x86){.at = code,
			 .end = code + sizeof(code),
			 .rbp_low = INT32_MIN,
			 .rbp_high = INT32_MAX,
			 .pointers = UINT16_MAX,
			 .floor = code};
	add_rows();
	add_general();
	AUTO_FD int fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, code, (size_t)(x.at - code)), x.at - code);
	snprintf(command, sizeof(command),
		 "%s -D -b binary -mi386:x86-64 -Mintel --no-show-raw-insn %s", objdump, path);
	FILE *f = popen(command, "r");
	assert_non_null(f);
	unsigned seen = 0;
	while (fgets(line, sizeof(line), f)) {
		const char *text = instruction(line);
		if (text && strcmp(text, wanted[seen]) != 0) {
			unlink(path);
			fail_msg("wanted \"%s\", is \"%s\"", wanted[seen], text);
		}
		seen += text != NULL;
	}
	unlink(path);
	assert_int_equal(pclose(f), 0);
	assert_int_equal(seen, count);
}

/* What writes a general register makes it a pointer no longer. */
static void pointers_end_where_they_are_written(void **state)
{
	x = (struct x86){.at = code, .end = code + sizeof(code), .pointers = UINT16_MAX};
	x86_vrr(&x, E_CVTTSD2USI, true, RDX, 0, 9);
	assert_int_equal(x.pointers, UINT16_MAX & ~(1u << RDX));
	x86_vrr(&x, E_CVTTSS2USI, true, RSI, 0, 9);
	assert_int_equal(x.pointers, UINT16_MAX & ~(1u << RDX | 1u << RSI));
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: test-x86-evex OBJDUMP\n");
		return 2;
	}
	objdump = argv[1];
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(forms_read_back_as_meant),
		cmocka_unit_test(pointers_end_where_they_are_written),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
