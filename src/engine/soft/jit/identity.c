/* SPDX-License-Identifier: Apache-2.0 */
/* identity.c - see identity.h */
#include "engine/soft/jit/identity.h"

#include "engine/soft/jit/jit.h"
#include "engine/soft/sysreg.h"

#include <assert.h>
#include <cpuid.h>
#include <elf.h>
#include <link.h>
#include <string.h>

enum { BUILD_ID_ROOM = 32 };

struct parts {
	uint8_t build_id[BUILD_ID_ROOM];
	uint32_t host[4][4]; /* CPUID leaves */
	uint64_t registers[8];
	uint32_t features; /* as far as the system lets them be used */
	uint8_t options[4];
};
static_assert(sizeof(struct parts) <= JIT_IDENTITY_BYTES, "it fits");

bool jit_is_supported(void)
{
	return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") &&
	       __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("fma") &&
	       __builtin_cpu_supports("f16c") && __builtin_cpu_supports("popcnt");
}

unsigned jit_host_features(bool plain)
{
	if (plain || !__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
	    !__builtin_cpu_supports("avx512cd") || !__builtin_cpu_supports("avx512dq") ||
	    !__builtin_cpu_supports("avx512vl")) {
		return 0;
	}
	bool bytes = __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512bitalg");
	return JIT_HOST_AVX512 | (bytes ? JIT_HOST_BYTES : 0) |
	       (__builtin_cpu_supports("avx512vnni") ? JIT_HOST_DOT : 0);
}

/* The build ID in the notes from @at to @end. */
static bool find_build_id(const uint8_t *at, const uint8_t *end, uint8_t *id)
{
	while ((size_t)(end - at) >= sizeof(ElfW(Nhdr))) {
		const ElfW(Nhdr) *note = (const ElfW(Nhdr) *)at;
		const uint8_t *name = at + sizeof(*note),
			      *desc = name + ((note->n_namesz + 3) & ~3u);
		if (note->n_type == NT_GNU_BUILD_ID && note->n_namesz == 4 &&
		    !memcmp(name, "GNU", 4) && note->n_descsz <= BUILD_ID_ROOM) {
			memcpy(id, desc, note->n_descsz);
			return true;
		}
		at = desc + ((note->n_descsz + 3) & ~3u);
	}
	return false;
}

/* The first object that is visited is the program. */
static int look_at_program(struct dl_phdr_info *info, size_t size, void *opaque)
{
	for (unsigned n = 0; n < info->dlpi_phnum; n++) {
		const ElfW(Phdr) *segment = &info->dlpi_phdr[n];
		const uint8_t *at = (const uint8_t *)(info->dlpi_addr + segment->p_vaddr);
		if (segment->p_type == PT_NOTE &&
		    find_build_id(at, at + segment->p_memsz, opaque)) {
			return 1;
		}
	}
	return -1;
}

/* Features as CPUID gives them; leaf 1's EBX differs between cores. */
static void read_host(uint32_t host[4][4])
{
	static const unsigned leaves[] = {1, 7, 0xd, 0x80000001};
	for (unsigned n = 0; n < 4; n++) {
		uint32_t *r = host[n];
		unsigned subleaf = leaves[n] == 0xd ? 1 : 0;
		if (__get_cpuid_count(leaves[n], subleaf, &r[0], &r[1], &r[2], &r[3]) &&
		    leaves[n] == 1) {
			r[1] = 0;
		}
	}
	host[2][1] = host[2][2] = host[2][3] = 0; /* sizes of state areas */
}

bool jit_identify(const struct engine_config *config, const struct sysregs *s,
		  struct jit_identity *identity)
{
	struct parts parts = {0};
	if (dl_iterate_phdr(look_at_program, parts.build_id) != 1) {
		return false;
	}
	read_host(parts.host);
	const uint64_t registers[] = {s->pfr0,	s->pfr1,  s->isar0, s->isar1,
				      s->isar2, s->mmfr0, s->mmfr1, s->mmfr2};
	memcpy(parts.registers, registers, sizeof(registers));
	parts.features = jit_host_features(config->plain_host);
	parts.options[0] = (uint8_t)config->cpu;
	parts.options[1] = config->isv_strict;
	*identity = (struct jit_identity){0};
	memcpy(identity, &parts, sizeof(parts));
	return true;
}
