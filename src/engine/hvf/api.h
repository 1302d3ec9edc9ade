/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api.h - what we use of Apple's Hypervisor framework for Apple silicon, and of Mach's clock
 *
 * Our own declarations, so that the engine compiles without Apple's SDK: names, types and values
 * are those of Apple's public documentation of the framework ("Hypervisor", "Apple Silicon" part;
 * macOS 13 and newer) and of mach/mach_time.h.  A vCPU's calls belong to the thread that created
 * it, but for hv_vcpus_exit().  Threads: as said at each call.
 */
#ifndef ORIEL_ENGINE_HVF_API_H
#define ORIEL_ENGINE_HVF_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ----- results ----- */

typedef int32_t hv_return_t; /* a mach_error_t */

#define HV_SUCCESS	       0
#define HV_ERROR	       ((hv_return_t)0xfae94001)
#define HV_BUSY		       ((hv_return_t)0xfae94002)
#define HV_BAD_ARGUMENT	       ((hv_return_t)0xfae94003)
#define HV_ILLEGAL_GUEST_STATE ((hv_return_t)0xfae94004)
#define HV_NO_RESOURCES	       ((hv_return_t)0xfae94005)
#define HV_NO_DEVICE	       ((hv_return_t)0xfae94006)
#define HV_DENIED	       ((hv_return_t)0xfae94007)
#define HV_EXISTS	       ((hv_return_t)0xfae94008)
#define HV_UNSUPPORTED	       ((hv_return_t)0xfae9400f)

/* ----- the VM: one a process; any thread ----- */

typedef struct hv_vm_config_s *hv_vm_config_t; /* released by os_release() */
typedef uint64_t hv_ipa_t;
typedef uint64_t hv_memory_flags_t;

enum {
	HV_MEMORY_READ = 1 << 0,
	HV_MEMORY_WRITE = 1 << 1,
	HV_MEMORY_EXEC = 1 << 2,
};

hv_vm_config_t hv_vm_config_create(void);
hv_return_t hv_vm_config_get_max_ipa_size(uint32_t *ipa_bit_length);
hv_return_t hv_vm_config_set_ipa_size(hv_vm_config_t config, uint32_t ipa_bit_length);
hv_return_t hv_vm_get_max_vcpu_count(uint32_t *max_vcpu_count);
hv_return_t hv_vm_create(hv_vm_config_t config);
/* All vCPUs must be gone. */
hv_return_t hv_vm_destroy(void);
/* Address, guest address and size are multiples of the host's page, 16 KiB. */
hv_return_t hv_vm_map(void *addr, hv_ipa_t ipa, size_t size, hv_memory_flags_t flags);
hv_return_t hv_vm_unmap(hv_ipa_t ipa, size_t size);
void os_release(void *object);

/* ----- vCPUs ----- */

typedef uint64_t hv_vcpu_t;
typedef struct hv_vcpu_config_s *hv_vcpu_config_t;

typedef enum {
	HV_EXIT_REASON_CANCELED, /* hv_vcpus_exit() */
	HV_EXIT_REASON_EXCEPTION,
	HV_EXIT_REASON_VTIMER_ACTIVATED, /* and is masked from here on */
	HV_EXIT_REASON_UNKNOWN,
} hv_exit_reason_t;

typedef struct {
	uint64_t syndrome; /* as ESR_EL2 */
	uint64_t virtual_address;
	hv_ipa_t physical_address;
} hv_vcpu_exit_exception_t;

typedef struct {
	hv_exit_reason_t reason;
	hv_vcpu_exit_exception_t exception;
} hv_vcpu_exit_t;

/* @exit: where hv_vcpu_run() says why it returned, valid as long as the vCPU. */
hv_return_t hv_vcpu_create(hv_vcpu_t *vcpu, hv_vcpu_exit_t **exit, hv_vcpu_config_t config);
hv_return_t hv_vcpu_destroy(hv_vcpu_t vcpu);
hv_return_t hv_vcpu_run(hv_vcpu_t vcpu);
/* Any thread.  Of a vCPU that does not run: its next run ends at once. */
hv_return_t hv_vcpus_exit(hv_vcpu_t *vcpus, uint32_t vcpu_count);

/* ----- registers ----- */

typedef uint32_t hv_reg_t;

enum {
	HV_REG_X0 = 0, /* up to X30 */
	HV_REG_PC = 31,
	HV_REG_FPCR = 32,
	HV_REG_FPSR = 33,
	HV_REG_CPSR = 34,
};

/* System registers: the number that MRS has, op0 and so on as ENGINE_SYSREG() puts them. */
typedef uint16_t hv_sys_reg_t;
typedef uint32_t hv_simd_fp_reg_t; /* Q0 to Q31: 0 to 31 */
typedef __attribute__((vector_size(16))) uint8_t hv_simd_fp_uchar16_t;

hv_return_t hv_vcpu_get_reg(hv_vcpu_t vcpu, hv_reg_t reg, uint64_t *value);
hv_return_t hv_vcpu_set_reg(hv_vcpu_t vcpu, hv_reg_t reg, uint64_t value);
hv_return_t hv_vcpu_get_simd_fp_reg(hv_vcpu_t vcpu, hv_simd_fp_reg_t reg,
				    hv_simd_fp_uchar16_t *value);
hv_return_t hv_vcpu_set_simd_fp_reg(hv_vcpu_t vcpu, hv_simd_fp_reg_t reg,
				    hv_simd_fp_uchar16_t value);
hv_return_t hv_vcpu_get_sys_reg(hv_vcpu_t vcpu, hv_sys_reg_t reg, uint64_t *value);
hv_return_t hv_vcpu_set_sys_reg(hv_vcpu_t vcpu, hv_sys_reg_t reg, uint64_t value);

/* ----- debugging: does what the guest does with it leave the guest? ----- */

hv_return_t hv_vcpu_set_trap_debug_exceptions(hv_vcpu_t vcpu, bool value);
hv_return_t hv_vcpu_set_trap_debug_reg_accesses(hv_vcpu_t vcpu, bool value);

/* ----- interrupts and the virtual timer ----- */

typedef uint32_t hv_interrupt_type_t;

enum { HV_INTERRUPT_TYPE_IRQ, HV_INTERRUPT_TYPE_FIQ };

/* For the next run alone. */
hv_return_t hv_vcpu_set_pending_interrupt(hv_vcpu_t vcpu, hv_interrupt_type_t type, bool pending);
hv_return_t hv_vcpu_set_vtimer_mask(hv_vcpu_t vcpu, bool vtimer_is_masked);
/* CNTVCT_EL0 is mach_absolute_time() less this. */
hv_return_t hv_vcpu_set_vtimer_offset(hv_vcpu_t vcpu, uint64_t vtimer_offset);

/* ----- Mach's clock ----- */

struct mach_timebase_info {
	uint32_t numer, denom; /* a tick is numer / denom ns */
};

uint64_t mach_absolute_time(void);
int mach_timebase_info(struct mach_timebase_info *info);

#endif
