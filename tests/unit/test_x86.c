/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_x86.c - the assembler against a disassembler (libcapstone)
 *
 * How it works: every operation is assembled with low and high registers and several memory
 * operands, and must read back as what was meant.  Sizes of memory operands ("dword ptr") are left
 * out of the comparison: they follow from the operation.
 */
#include "engine/soft/jit/x86.h"

#include "unit.h"

#define x86_reg capstone_x86_reg /* it has our names */
#include <capstone/capstone.h>
#undef x86_reg
#include <stdio.h>
#include <stdlib.h>

static csh handle;
static uint8_t buffer[64];
static struct x86 x;

/* Take "xmmword ptr " and the like away. */
static void drop_sizes(char *text)
{
	char *ptr;
	while ((ptr = strstr(text, " ptr "))) {
		char *start = ptr;
		while (start > text && start[-1] != ' ') {
			start--;
		}
		memmove(start, ptr + 5, strlen(ptr + 5) + 1);
	}
}

static void begin(void)
{
	memset(buffer, 0, sizeof(buffer));
	x = (struct x86){.at = buffer,
			 .end = buffer + sizeof(buffer),
			 .rbp_low = INT32_MIN,
			 .rbp_high = INT32_MAX,
			 .pointers = UINT16_MAX,
			 .floor = buffer};
}

/* What was assembled since begin() is the one instruction @wanted. */
static void expect(const char *wanted)
{
	cs_insn *insn;
	char text[200] = "(nothing)";
	size_t size = (size_t)(x.at - buffer), count = cs_disasm(handle, buffer, size, 0, 1, &insn);
	size_t length = count ? insn[0].size : 0;
	if (count) {
		snprintf(text, sizeof(text), "%s%s%s", insn[0].mnemonic,
			 insn[0].op_str[0] ? " " : "", insn[0].op_str);
		drop_sizes(text);
		cs_free(insn, count);
	}
	if (strcmp(text, wanted) != 0 || length != size || size > X86_ROOM) {
		fail_msg("wanted \"%s\", is \"%s\" (%zu of %zu bytes)", wanted, text, length, size);
	}
}

#define CHECK(wanted, ...)                                                                         \
	do {                                                                                       \
		begin();                                                                           \
		__VA_ARGS__;                                                                       \
		expect(wanted);                                                                    \
	} while (0)

static const struct {
	struct x86_mem m;
	const char *text;
} memory[] = {
	{{.base = RBP, .index = RSP, .disp = 0x40}, "[rbp + 0x40]"},
	{{.base = RCX, .index = RSP}, "[rcx]"},
	{{.base = RBP, .index = RSP}, "[rbp]"},
	{{.base = R13, .index = RSP}, "[r13]"},
	{{.base = R12, .index = RSP, .disp = 0x12345}, "[r12 + 0x12345]"},
	{{.base = RSP, .index = RSP, .disp = -8}, "[rsp - 8]"},
	{{.base = RAX, .index = R9, .scale = 2, .disp = 8}, "[rax + r9*4 + 8]"},
	{{.base = R15, .index = RDX, .scale = 0}, "[r15 + rdx]"},
};
enum { MEMORIES = sizeof(memory) / sizeof(memory[0]) };

/* ----- rows of V_ operations ----- */

enum form { TWO, THREE, TWO_IMM, THREE_IMM, SHIFT };

static const struct row {
	unsigned op;
	const char *name;
	enum form form;
} rows[] = {
	{V_MOVDQA, "vmovdqa", TWO},
	{V_MOVDQU, "vmovdqu", TWO},
	{V_MOVQ, "vmovq", TWO},
	{V_MOVSHDUP, "vmovshdup", TWO},
	{V_MOVDDUP, "vmovddup", TWO},
	{V_PBROADCASTB, "vpbroadcastb", TWO},
	{V_PBROADCASTW, "vpbroadcastw", TWO},
	{V_PBROADCASTD, "vpbroadcastd", TWO},
	{V_PBROADCASTQ, "vpbroadcastq", TWO},
	{V_PTEST, "vptest", TWO},
	{V_TESTPS, "vtestps", TWO},
	{V_TESTPD, "vtestpd", TWO},
	{V_PABSB, "vpabsb", TWO},
	{V_PABSW, "vpabsw", TWO},
	{V_PABSD, "vpabsd", TWO},
	{V_PMOVSXBW, "vpmovsxbw", TWO},
	{V_PMOVSXWD, "vpmovsxwd", TWO},
	{V_PMOVSXDQ, "vpmovsxdq", TWO},
	{V_PMOVZXBW, "vpmovzxbw", TWO},
	{V_PMOVZXWD, "vpmovzxwd", TWO},
	{V_PMOVZXDQ, "vpmovzxdq", TWO},
	{V_PHMINPOSUW, "vphminposuw", TWO},
	{V_SQRTPS, "vsqrtps", TWO},
	{V_SQRTPD, "vsqrtpd", TWO},
	{V_UCOMISS, "vucomiss", TWO},
	{V_UCOMISD, "vucomisd", TWO},
	{V_CVTPS2PD, "vcvtps2pd", TWO},
	{V_CVTPD2PS, "vcvtpd2ps", TWO},
	{V_CVTTPS2DQ, "vcvttps2dq", TWO},
	{V_CVTDQ2PS, "vcvtdq2ps", TWO},
	{V_CVTDQ2PD, "vcvtdq2pd", TWO},
	{V_CVTPH2PS, "vcvtph2ps", TWO},
	{V_AESIMC, "vaesimc", TWO},
	{V_MOVHLPS, "vmovhlps", THREE},
	{V_MOVLHPS, "vmovlhps", THREE},
	{V_PAND, "vpand", THREE},
	{V_PANDN, "vpandn", THREE},
	{V_POR, "vpor", THREE},
	{V_PXOR, "vpxor", THREE},
	{V_PADDB, "vpaddb", THREE},
	{V_PADDW, "vpaddw", THREE},
	{V_PADDD, "vpaddd", THREE},
	{V_PADDQ, "vpaddq", THREE},
	{V_PSUBB, "vpsubb", THREE},
	{V_PSUBW, "vpsubw", THREE},
	{V_PSUBD, "vpsubd", THREE},
	{V_PSUBQ, "vpsubq", THREE},
	{V_PADDSB, "vpaddsb", THREE},
	{V_PADDSW, "vpaddsw", THREE},
	{V_PADDUSB, "vpaddusb", THREE},
	{V_PADDUSW, "vpaddusw", THREE},
	{V_PSUBSB, "vpsubsb", THREE},
	{V_PSUBSW, "vpsubsw", THREE},
	{V_PSUBUSB, "vpsubusb", THREE},
	{V_PSUBUSW, "vpsubusw", THREE},
	{V_PCMPEQB, "vpcmpeqb", THREE},
	{V_PCMPEQW, "vpcmpeqw", THREE},
	{V_PCMPEQD, "vpcmpeqd", THREE},
	{V_PCMPEQQ, "vpcmpeqq", THREE},
	{V_PCMPGTB, "vpcmpgtb", THREE},
	{V_PCMPGTW, "vpcmpgtw", THREE},
	{V_PCMPGTD, "vpcmpgtd", THREE},
	{V_PCMPGTQ, "vpcmpgtq", THREE},
	{V_PMAXSB, "vpmaxsb", THREE},
	{V_PMAXSW, "vpmaxsw", THREE},
	{V_PMAXSD, "vpmaxsd", THREE},
	{V_PMAXUB, "vpmaxub", THREE},
	{V_PMAXUW, "vpmaxuw", THREE},
	{V_PMAXUD, "vpmaxud", THREE},
	{V_PMINSB, "vpminsb", THREE},
	{V_PMINSW, "vpminsw", THREE},
	{V_PMINSD, "vpminsd", THREE},
	{V_PMINUB, "vpminub", THREE},
	{V_PMINUW, "vpminuw", THREE},
	{V_PMINUD, "vpminud", THREE},
	{V_PMULLW, "vpmullw", THREE},
	{V_PMULLD, "vpmulld", THREE},
	{V_PMULHW, "vpmulhw", THREE},
	{V_PMULHUW, "vpmulhuw", THREE},
	{V_PMULDQ, "vpmuldq", THREE},
	{V_PMULUDQ, "vpmuludq", THREE},
	{V_PMADDWD, "vpmaddwd", THREE},
	{V_PMADDUBSW, "vpmaddubsw", THREE},
	{V_PMULHRSW, "vpmulhrsw", THREE},
	{V_PAVGB, "vpavgb", THREE},
	{V_PAVGW, "vpavgw", THREE},
	{V_PSADBW, "vpsadbw", THREE},
	{V_PSLLVD, "vpsllvd", THREE},
	{V_PSLLVQ, "vpsllvq", THREE},
	{V_PSRLVD, "vpsrlvd", THREE},
	{V_PSRLVQ, "vpsrlvq", THREE},
	{V_PSRAVD, "vpsravd", THREE},
	{V_PSHUFB, "vpshufb", THREE},
	{V_PUNPCKLBW, "vpunpcklbw", THREE},
	{V_PUNPCKLWD, "vpunpcklwd", THREE},
	{V_PUNPCKLDQ, "vpunpckldq", THREE},
	{V_PUNPCKLQDQ, "vpunpcklqdq", THREE},
	{V_PUNPCKHBW, "vpunpckhbw", THREE},
	{V_PUNPCKHWD, "vpunpckhwd", THREE},
	{V_PUNPCKHDQ, "vpunpckhdq", THREE},
	{V_PUNPCKHQDQ, "vpunpckhqdq", THREE},
	{V_PACKSSWB, "vpacksswb", THREE},
	{V_PACKSSDW, "vpackssdw", THREE},
	{V_PACKUSWB, "vpackuswb", THREE},
	{V_PACKUSDW, "vpackusdw", THREE},
	{V_PHADDW, "vphaddw", THREE},
	{V_PHADDD, "vphaddd", THREE},
	{V_ADDSS, "vaddss", THREE},
	{V_ADDSD, "vaddsd", THREE},
	{V_ADDPS, "vaddps", THREE},
	{V_ADDPD, "vaddpd", THREE},
	{V_SUBSS, "vsubss", THREE},
	{V_SUBSD, "vsubsd", THREE},
	{V_SUBPS, "vsubps", THREE},
	{V_SUBPD, "vsubpd", THREE},
	{V_MULSS, "vmulss", THREE},
	{V_MULSD, "vmulsd", THREE},
	{V_MULPS, "vmulps", THREE},
	{V_MULPD, "vmulpd", THREE},
	{V_DIVSS, "vdivss", THREE},
	{V_DIVSD, "vdivsd", THREE},
	{V_DIVPS, "vdivps", THREE},
	{V_DIVPD, "vdivpd", THREE},
	{V_MAXSS, "vmaxss", THREE},
	{V_MAXSD, "vmaxsd", THREE},
	{V_MAXPS, "vmaxps", THREE},
	{V_MAXPD, "vmaxpd", THREE},
	{V_MINSS, "vminss", THREE},
	{V_MINSD, "vminsd", THREE},
	{V_MINPS, "vminps", THREE},
	{V_MINPD, "vminpd", THREE},
	{V_SQRTSS, "vsqrtss", THREE},
	{V_SQRTSD, "vsqrtsd", THREE},
	{V_CVTSS2SD, "vcvtss2sd", THREE},
	{V_CVTSD2SS, "vcvtsd2ss", THREE},
	{V_FMADDPS, "vfmadd231ps", THREE},
	{V_FMADDPD, "vfmadd231pd", THREE},
	{V_FMADDSS, "vfmadd231ss", THREE},
	{V_FMADDSD, "vfmadd231sd", THREE},
	{V_FMSUBSS, "vfmsub231ss", THREE},
	{V_FMSUBSD, "vfmsub231sd", THREE},
	{V_FNMADDPS, "vfnmadd231ps", THREE},
	{V_FNMADDPD, "vfnmadd231pd", THREE},
	{V_FNMADDSS, "vfnmadd231ss", THREE},
	{V_FNMADDSD, "vfnmadd231sd", THREE},
	{V_FNMSUBSS, "vfnmsub231ss", THREE},
	{V_FNMSUBSD, "vfnmsub231sd", THREE},
	{V_AESENC, "vaesenc", THREE},
	{V_AESENCLAST, "vaesenclast", THREE},
	{V_AESDEC, "vaesdec", THREE},
	{V_AESDECLAST, "vaesdeclast", THREE},
	{V_PSHUFD, "vpshufd", TWO_IMM},
	{V_PSHUFLW, "vpshuflw", TWO_IMM},
	{V_PSHUFHW, "vpshufhw", TWO_IMM},
	{V_ROUNDPS, "vroundps", TWO_IMM},
	{V_ROUNDPD, "vroundpd", TWO_IMM},
	{V_INSERTPS, "vinsertps", THREE_IMM},
	{V_BLENDPS, "vblendps", THREE_IMM},
	{V_PBLENDW, "vpblendw", THREE_IMM},
	{V_SHUFPS, "vshufps", THREE_IMM},
	{V_SHUFPD, "vshufpd", THREE_IMM},
	{V_PALIGNR, "vpalignr", THREE_IMM},
	{V_CMPSS, "vcmpless", THREE_IMM},
	{V_CMPSD, "vcmplesd", THREE_IMM},
	{V_CMPPS, "vcmpleps", THREE_IMM},
	{V_CMPPD, "vcmplepd", THREE_IMM},
	{V_ROUNDSS, "vroundss", THREE_IMM},
	{V_ROUNDSD, "vroundsd", THREE_IMM},
	{V_PCLMULQDQ, "vpclmulqdq", THREE_IMM},
	{V_PSRLW, "vpsrlw", SHIFT},
	{V_PSRAW, "vpsraw", SHIFT},
	{V_PSLLW, "vpsllw", SHIFT},
	{V_PSRLD, "vpsrld", SHIFT},
	{V_PSRAD, "vpsrad", SHIFT},
	{V_PSLLD, "vpslld", SHIFT},
	{V_PSRLQ, "vpsrlq", SHIFT},
	{V_PSLLQ, "vpsllq", SHIFT},
	{V_PSRLDQ, "vpsrldq", SHIFT},
	{V_PSLLDQ, "vpslldq", SHIFT},
};

static const unsigned registers[] = {0, 5, 8, 15};

static bool has_imm(enum form form)
{
	return form == TWO_IMM || form == THREE_IMM;
}

/* The third of four numbers of @form: what a comparison calls 2 is in its name. */
static const char *imm_text(const struct row *row)
{
	return !has_imm(row->form) || strncmp(row->name, "vcmple", 6) == 0 ? "" : ", 2";
}

static void check_registers(const struct row *row, unsigned a, unsigned b, unsigned c)
{
	char wanted[100];
	begin();
	switch (row->form) {
	case TWO:
	case TWO_IMM:
		snprintf(wanted, sizeof(wanted), "%s xmm%u, xmm%u%s", row->name, a, c,
			 imm_text(row));
		x86_v(&x, row->op, a, 0, c);
		break;
	case SHIFT:
		snprintf(wanted, sizeof(wanted), "%s xmm%u, xmm%u, 7", row->name, a, c);
		x86_vshift(&x, row->op, a, c, 7);
		break;
	default:
		snprintf(wanted, sizeof(wanted), "%s xmm%u, xmm%u, xmm%u%s", row->name, a, b, c,
			 imm_text(row));
		x86_v(&x, row->op, a, b, c);
		break;
	}
	if (has_imm(row->form)) {
		x86_byte(&x, 2);
	}
	expect(wanted);
}

static void check_memory(const struct row *row, unsigned a, unsigned b, unsigned n)
{
	char wanted[100], first[20];
	bool two = row->form == TWO || row->form == TWO_IMM;
	snprintf(first, sizeof(first), two ? "xmm%u" : "xmm%u, xmm%u", a, b);
	snprintf(wanted, sizeof(wanted), "%s %s, %s%s", row->name, first, memory[n].text,
		 imm_text(row));
	begin();
	if (has_imm(row->form)) {
		x86_vrm_imm(&x, row->op, a, two ? 0 : b, memory[n].m, 2);
	} else {
		x86_vm(&x, row->op, a, two ? 0 : b, memory[n].m);
	}
	expect(wanted);
}

/* MOVHLPS and MOVLHPS have registers only; CVTPD2PS has another name then. */
static bool has_memory(const struct row *row)
{
	return row->form != SHIFT && row->op != V_MOVHLPS && row->op != V_MOVLHPS &&
	       row->op != V_CVTPD2PS;
}

static void test_vectors(void **state)
{
	for (unsigned k = 0; k < sizeof(rows) / sizeof(rows[0]); k++) {
		for (unsigned n = 0; n < 64; n++) {
			check_registers(&rows[k], registers[n & 3], registers[n >> 2 & 3],
					registers[n >> 4]);
		}
		for (unsigned n = 0; has_memory(&rows[k]) && n < 4 * MEMORIES; n++) {
			check_memory(&rows[k], registers[n & 3], registers[(n + 1) & 3], n / 4);
		}
	}
}

/* Operations whose operands are not all XMM registers, or that come without VEX. */
static void test_special_vectors(void **state)
{
	CHECK("vmovdqa [rbp + 0x40], xmm9", x86_vm(&x, V_MOVDQA_STORE, 9, 0, memory[0].m));
	CHECK("vmovdqu [rcx], xmm9", x86_vm(&x, V_MOVDQU_STORE, 9, 0, memory[1].m));
	CHECK("vmovq [r13], xmm1", x86_vm(&x, V_MOVQ_STORE, 1, 0, memory[3].m));
	CHECK("vmovss [rcx], xmm1", x86_vm(&x, V_MOVSS_STORE, 1, 0, memory[1].m));
	CHECK("vmovss xmm12, [rcx]", x86_vm(&x, V_MOVSS, 12, 0, memory[1].m));
	CHECK("vmovd xmm12, r9d", x86_v(&x, V_MOVD_IN, 12, 0, R9));
	CHECK("vmovd esi, xmm12", x86_v(&x, V_MOVD_OUT, 12, 0, RSI));
	CHECK("vmovq xmm2, r9", x86_v(&x, V_MOVQ_IN, 2, 0, R9));
	CHECK("vmovq rdx, xmm12", x86_v(&x, V_MOVQ_OUT, 12, 0, RDX));
	CHECK("vpinsrb xmm1, xmm9, r10d, 5", x86_vrr_imm(&x, V_PINSRB, 1, 9, R10, 5));
	CHECK("vpinsrw xmm1, xmm9, edx, 5", x86_vrr_imm(&x, V_PINSRW, 1, 9, RDX, 5));
	CHECK("vpinsrd xmm11, xmm9, edx, 3", x86_vrr_imm(&x, V_PINSRD, 11, 9, RDX, 3));
	CHECK("vpinsrq xmm11, xmm9, r8, 1", x86_vrr_imm(&x, V_PINSRQ, 11, 9, R8, 1));
	CHECK("vpinsrq xmm11, xmm9, [rcx], 1", x86_vrm_imm(&x, V_PINSRQ, 11, 9, memory[1].m, 1));
	CHECK("vpextrb r10d, xmm9, 5", x86_vrr_imm(&x, V_PEXTRB, 9, 0, R10, 5));
	CHECK("vpextrw edx, xmm9, 5", x86_vrr_imm(&x, V_PEXTRW, 9, 0, RDX, 5));
	CHECK("vpextrd edx, xmm9, 3", x86_vrr_imm(&x, V_PEXTRD, 9, 0, RDX, 3));
	CHECK("vpextrq r8, xmm9, 1", x86_vrr_imm(&x, V_PEXTRQ, 9, 0, R8, 1));
	CHECK("vpextrw [rcx], xmm9, 1", x86_vrm_imm(&x, V_PEXTRW, 9, 0, memory[1].m, 1));
	CHECK("vpmovmskb ecx, xmm9", x86_v(&x, V_PMOVMSKB, RCX, 0, 9));
	CHECK("vmovmskps edx, xmm9", x86_v(&x, V_MOVMSKPS, RDX, 0, 9));
	CHECK("vmovmskpd r9d, xmm9", x86_v(&x, V_MOVMSKPD, R9, 0, 9));
	CHECK("vcvttsd2si rdx, xmm9", x86_vrr(&x, V_CVTTSD2SI, true, RDX, 0, 9));
	CHECK("vcvttsd2si edx, xmm9", x86_vrr(&x, V_CVTTSD2SI, false, RDX, 0, 9));
	CHECK("vcvttss2si rdx, xmm9", x86_vrr(&x, V_CVTTSS2SI, true, RDX, 0, 9));
	CHECK("vcvtsi2sd xmm1, xmm2, r9", x86_vrr(&x, V_CVTSI2SD, true, 1, 2, R9));
	CHECK("vcvtsi2sd xmm1, xmm2, edx", x86_vrr(&x, V_CVTSI2SD, false, 1, 2, RDX));
	CHECK("vcvtsi2ss xmm1, xmm2, rdx", x86_vrr(&x, V_CVTSI2SS, true, 1, 2, RDX));
	CHECK("vpblendvb xmm1, xmm12, xmm3, xmm13", x86_vrr_imm(&x, V_PBLENDVB, 1, 12, 3, 13 << 4));
	CHECK("vblendvps xmm1, xmm12, xmm3, xmm13", x86_vrr_imm(&x, V_BLENDVPS, 1, 12, 3, 13 << 4));
	CHECK("vblendvpd xmm1, xmm12, xmm3, xmm13", x86_vrr_imm(&x, V_BLENDVPD, 1, 12, 3, 13 << 4));
	CHECK("sha256rnds2 xmm13, xmm14", x86_rr(&x, X_SHA256RNDS2, false, 13, 14));
	CHECK("sha256msg1 xmm13, xmm4", x86_rr(&x, X_SHA256MSG1, false, 13, 4));
	CHECK("sha256msg2 xmm3, xmm14", x86_rr(&x, X_SHA256MSG2, false, 3, 14));
	CHECK("sha1rnds4 xmm13, xmm14, 2", x86_rr(&x, X_SHA1RNDS4, false, 13, 14); x86_byte(&x, 2));
	CHECK("sha1nexte xmm13, xmm14", x86_rr(&x, X_SHA1NEXTE, false, 13, 14));
	CHECK("sha1msg1 xmm13, xmm14", x86_rr(&x, X_SHA1MSG1, false, 13, 14));
	CHECK("sha1msg2 xmm13, xmm14", x86_rr(&x, X_SHA1MSG2, false, 13, 14));
}

/* ----- general registers ----- */

static const char *const names64[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
				      "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
static const char *const names32[] = {"eax", "ecx", "edx",  "ebx",  "esp",  "ebp",  "esi",  "edi",
				      "r8d", "r9d", "r10d", "r11d", "r12d", "r13d", "r14d", "r15d"};
static const char *const names8[] = {"al",  "cl",  "dl",   "bl",   "spl",  "bpl",  "sil",  "dil",
				     "r8b", "r9b", "r10b", "r11b", "r12b", "r13b", "r14b", "r15b"};

static const char *name_of(unsigned reg, bool wide)
{
	return wide ? names64[reg] : names32[reg];
}

static void test_wide_vectors(void **state)
{
	CHECK("vaddps ymm1, ymm12, ymm3", x86_y(&x, V_ADDPS, 1, 12, 3));
	CHECK("vfmadd231ps ymm13, ymm1, ymm14", x86_y(&x, V_FMADDPS, 13, 1, 14));
	CHECK("vmovdqa ymm1, ymm12", x86_y(&x, V_MOVDQA, 1, 0, 12));
	CHECK("vsqrtps ymm13, ymm13", x86_y(&x, V_SQRTPS, 13, 0, 13));
	CHECK("vcvtph2ps ymm13, xmm1", x86_y(&x, V_CVTPH2PS, 13, 0, 1));
	CHECK("vmovmskps edx, ymm9", x86_y(&x, V_MOVMSKPS, RDX, 0, 9));
	CHECK("vpaddd ymm1, ymm12, [rcx]", x86_ym(&x, V_PADDD, 1, 12, memory[1].m));
	CHECK("vcmpltps ymm1, ymm12, [rcx]", x86_ym_imm(&x, V_CMPPS, 1, 12, memory[1].m, 1));
	CHECK("vroundps ymm1, ymm12, 0xc", x86_y_imm(&x, V_ROUNDPS, 1, 0, 12, 12));
	CHECK("vcvtps2ph xmm1, ymm12, 4", x86_y_imm(&x, V_CVTPS2PH, 12, 0, 1, 4));
	CHECK("vextracti128 xmm1, ymm12, 1", x86_y_imm(&x, V_EXTRACTI128, 12, 0, 1, 1));
	CHECK("vpsrad ymm1, ymm12, 0x1f", x86_yshift(&x, V_PSRAD, 1, 12, 31));
	CHECK("vzeroupper", x86_vzeroupper(&x));
}

static void test_two_operands(void **state)
{
	static const struct {
		unsigned op;
		const char *name;
		bool reads_memory;
	} ops[] = {{X_ADD, "add", 1},	       {X_OR, "or", 1},
		   {X_ADC, "adc", 1},	       {X_SBB, "sbb", 1},
		   {X_AND, "and", 1},	       {X_SUB, "sub", 1},
		   {X_XOR, "xor", 1},	       {X_CMP, "cmp", 1},
		   {X_MOV, "mov", 1},	       {X_IMUL, "imul", 1},
		   {X_LZCNT, "lzcnt", 1},      {X_TZCNT, "tzcnt", 1},
		   {X_POPCNT, "popcnt", 1},    {X_CMOV + CC_E, "cmove", 1},
		   {X_CMOV + CC_L, "cmovl", 1}};
	char wanted[100];
	for (unsigned k = 0; k < sizeof(ops) / sizeof(ops[0]); k++) {
		for (unsigned n = 0; n < 512; n++) {
			unsigned a = n & 15, b = n >> 4 & 15;
			bool wide = n >> 8;
			snprintf(wanted, sizeof(wanted), "%s %s, %s", ops[k].name, name_of(a, wide),
				 name_of(b, wide));
			CHECK(wanted, x86_rr(&x, ops[k].op, wide, a, b));
		}
		for (unsigned n = 0; n < 32 * MEMORIES; n++) {
			unsigned a = n & 15;
			bool wide = n >> 4 & 1;
			snprintf(wanted, sizeof(wanted), "%s %s, %s", ops[k].name, name_of(a, wide),
				 memory[n / 32].text);
			CHECK(wanted, x86_rm(&x, ops[k].op, wide, a, memory[n / 32].m));
		}
	}
}

/* Extensions, stores and read-modify-write: every register, as bytes need care. */
static void test_sizes(void **state)
{
	static const struct {
		unsigned op;
		const char *name;
	} extends[] = {{X_MOVZX8, "movzx"}, {X_MOVSX8, "movsx"}};
	static const struct {
		unsigned op;
		const char *name;
		bool is_byte;
	} stores[] = {{X_STORE, "mov", 0},	  {X_STORE8, "mov", 1}, {X_CMPXCHG, "cmpxchg", 0},
		      {X_CMPXCHG8, "cmpxchg", 1}, {X_XADD, "xadd", 0},	{X_XADD8, "xadd", 1},
		      {X_XCHG, "xchg", 0},	  {X_XCHG8, "xchg", 1}};
	char wanted[100];
	for (unsigned n = 0; n < 256; n++) {
		unsigned a = n & 15, b = n >> 4;
		for (unsigned k = 0; k < 2; k++) {
			snprintf(wanted, sizeof(wanted), "%s %s, %s", extends[k].name, names32[a],
				 names8[b]);
			CHECK(wanted, x86_rr(&x, extends[k].op, false, a, b));
		}
		snprintf(wanted, sizeof(wanted), "movsxd %s, %s", names64[a], names32[b]);
		CHECK(wanted, x86_rr(&x, X_MOVSXD, true, a, b));
		snprintf(wanted, sizeof(wanted), "crc32 %s, %s", names32[a], names8[b]);
		CHECK(wanted, x86_rr(&x, X_CRC32_8, false, a, b));
	}
	for (unsigned n = 0; n < 16 * MEMORIES; n++) {
		unsigned a = n & 15;
		for (unsigned k = 0; k < sizeof(stores) / sizeof(stores[0]); k++) {
			const char *reg = stores[k].is_byte ? names8[a] : names32[a];
			snprintf(wanted, sizeof(wanted), "%s %s, %s", stores[k].name,
				 memory[n / 16].text, reg);
			CHECK(wanted, x86_rm(&x, stores[k].op, false, a, memory[n / 16].m));
		}
	}
	CHECK("mov [rcx], r9w", x86_rm(&x, X_STORE16, false, R9, memory[1].m));
	CHECK("movzx r9d, [rcx]", x86_rm(&x, X_MOVZX16, false, R9, memory[1].m));
	CHECK("movsx r9, [rcx]", x86_rm(&x, X_MOVSX16, true, R9, memory[1].m));
	CHECK("lea r9, [rax + r9*4 + 8]", x86_rm(&x, X_LEA, true, R9, memory[6].m));
	CHECK("crc32 rax, r9", x86_rr(&x, X_CRC32, true, RAX, R9));
}

static void test_immediates(void **state)
{
	static const char *const alus[] = {"add", "or", "adc", "sbb", "and", "sub", "xor", "cmp"};
	char wanted[100];
	for (unsigned n = 0; n < 8 * 16; n++) {
		unsigned reg = n & 15, alu = n >> 4;
		snprintf(wanted, sizeof(wanted), "%s %s, 0x64", alus[alu], names64[reg]);
		CHECK(wanted, x86_alu_imm(&x, (enum x86_alu)alu, true, reg, 100));
		snprintf(wanted, sizeof(wanted), "%s %s, 0x12345", alus[alu], names32[reg]);
		CHECK(wanted, x86_alu_imm(&x, (enum x86_alu)alu, false, reg, 0x12345));
	}
	for (unsigned n = 0; n < MEMORIES; n++) {
		snprintf(wanted, sizeof(wanted), "or %s, 0x12345", memory[n].text);
		CHECK(wanted, x86_alu_imm_mem(&x, ALU_OR, false, memory[n].m, 0x12345));
		snprintf(wanted, sizeof(wanted), "cmp %s, 5", memory[n].text);
		CHECK(wanted, x86_alu_imm_mem(&x, ALU_CMP, true, memory[n].m, 5));
		CHECK(wanted, x86_cmp8_mem(&x, memory[n].m, 5));
		snprintf(wanted, sizeof(wanted), "test %s, 0x1000000", memory[n].text);
		CHECK(wanted, x86_test_imm_mem(&x, memory[n].m, 1 << 24));
	}
	for (unsigned reg = 0; reg < 16; reg++) {
		snprintf(wanted, sizeof(wanted), "mov %s, 0x12345678", names32[reg]);
		CHECK(wanted, x86_mov_imm(&x, reg, 0x12345678));
		snprintf(wanted, sizeof(wanted), "mov %s, -5", names64[reg]);
		begin();
		x86_mov_imm(&x, reg, (uint64_t)-5);
		assert_int_equal(x.at - buffer, 7);
		snprintf(wanted, sizeof(wanted), "movabs %s, 0x123456789abcdef0", names64[reg]);
		CHECK(wanted, x86_mov_imm(&x, reg, 0x123456789abcdef0));
		snprintf(wanted, sizeof(wanted), "test %s, 0x12345", names32[reg]);
		CHECK(wanted, x86_test_imm(&x, false, reg, 0x12345));
		snprintf(wanted, sizeof(wanted), "bt %s, 0x21", names64[reg]);
		CHECK(wanted, x86_bt_imm(&x, reg, 33));
		snprintf(wanted, sizeof(wanted), "sar %s, 0xd", names64[reg]);
		CHECK(wanted, x86_shift_imm(&x, SH_SAR, true, reg, 13));
		snprintf(wanted, sizeof(wanted), "ror %s, cl", names32[reg]);
		CHECK(wanted, x86_shift_cl(&x, SH_ROR, false, reg));
		snprintf(wanted, sizeof(wanted), "idiv %s", names64[reg]);
		CHECK(wanted, x86_unary(&x, UN_IDIV, true, reg));
		snprintf(wanted, sizeof(wanted), "bswap %s", names32[reg]);
		CHECK(wanted, x86_bswap(&x, false, reg));
		snprintf(wanted, sizeof(wanted), "setb %s", names8[reg]);
		CHECK(wanted, x86_setcc(&x, CC_B, reg));
		snprintf(wanted, sizeof(wanted), "push %s", names64[reg]);
		CHECK(wanted, x86_push(&x, reg));
		snprintf(wanted, sizeof(wanted), "pop %s", names64[reg]);
		CHECK(wanted, x86_pop(&x, reg));
		snprintf(wanted, sizeof(wanted), "jmp %s", names64[reg]);
		CHECK(wanted, x86_jmp_reg(&x, reg));
	}
}

static void test_bmi(void **state)
{
	CHECK("shlx r9, rdx, rcx", x86_vrr(&x, V_SHLX, true, R9, RCX, RDX));
	CHECK("shrx r9d, r10d, ecx", x86_vrr(&x, V_SHRX, false, R9, RCX, R10));
	CHECK("sarx rax, rdx, r15", x86_vrr(&x, V_SARX, true, RAX, R15, RDX));
	CHECK("pdep eax, ecx, edx", x86_vrr(&x, V_PDEP, false, RAX, RCX, RDX));
	CHECK("pext ecx, eax, edx", x86_vrr(&x, V_PEXT, false, RCX, RAX, RDX));
	CHECK("mulx rcx, rsi, r9", x86_vrr(&x, V_MULX, true, RCX, RSI, R9));
	CHECK("andn rcx, rsi, r9", x86_vrr(&x, V_ANDN, true, RCX, RSI, R9));
	CHECK("rorx edx, ecx, 7", x86_rorx(&x, false, RDX, RCX, 7));
	CHECK("rorx r11, r12, 0x3f", x86_rorx(&x, true, R11, R12, 63));
}

static void test_flow(void **state)
{
	CHECK("jmp 0x20", x86_jmp(&x, buffer + 0x20));
	CHECK("jne 0x20", x86_jcc(&x, CC_NE, buffer + 0x20));
	CHECK("call 0x20", x86_call(&x, buffer + 0x20));
	CHECK("ja 6", x86_jcc_later(&x, CC_A));
	CHECK("jmp 5", x86_land(&x, x86_jmp_later(&x)));
	CHECK("call [rcx]", x86_call_mem(&x, memory[1].m));
	CHECK("ret", x86_ret(&x));
	CHECK("lahf", x86_lahf(&x));
	CHECK("sahf", x86_sahf(&x));
	CHECK("cmc", x86_cmc(&x));
	CHECK("stc", x86_stc(&x));
	CHECK("lock add [rcx], 5", x86_lock(&x);
	      x86_alu_imm_mem(&x, ALU_ADD, false, memory[1].m, 5));
}

int main(void)
{
	if (cs_open(CS_ARCH_X86, CS_MODE_64, &handle) != CS_ERR_OK) {
		return 1;
	}
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),	     cmocka_unit_test(test_special_vectors),
		cmocka_unit_test(test_two_operands), cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_immediates),   cmocka_unit_test(test_bmi),
		cmocka_unit_test(test_flow),	     cmocka_unit_test(test_wide_vectors),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
