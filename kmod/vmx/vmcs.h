/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One VMCS. All but vmcs_complain() and the vmcs_field_ functions is for inside the
 * bracket (root.h): it goes to the VMCS that is current.
 */
#ifndef _VEE_VMX_VMCS_H
#define _VEE_VMX_VMCS_H

#include <linux/bits.h>
#include <linux/compiler.h>
#include <linux/smp.h>
#include <linux/types.h>
#include <asm/msr-index.h>
#include <asm/special_insns.h>

#include "linux/vee.h"
#include "vmx/controls.h"
#include "vmx/fields.h"
#include "vmx/insn.h"

/*
 * An access that fails leaves a note, read out at the end of the bracket: a call here
 * would cost every access that works its registers. Two at once leave either.
 */
#define VMCS_FAILED		BIT_ULL(32)
#define VMCS_FAILED_WRITE	BIT_ULL(33)
extern u64 vmcs_failed;

void vmcs_complain(void);

static __always_inline u64 vmcs_read(u32 field)
{
	u64 value;

	if (unlikely(vmread_raw(field, &value)))
		WRITE_ONCE(vmcs_failed, field | VMCS_FAILED);
	return value;
}

static __always_inline void vmcs_write(u32 field, u64 value)
{
	if (unlikely(vmwrite_raw(field, value)))
		WRITE_ONCE(vmcs_failed, field | VMCS_FAILED | VMCS_FAILED_WRITE);
}

/* Fields that a copy is kept of are written only when they change. */
static __always_inline void vmcs_set_control(u32 field, u32 *copy, u32 value)
{
	if (*copy == value)
		return;
	*copy = value;
	vmcs_write(field, value);
}

/**
 * struct vmcs_controls - copies of what a VMCS holds
 * @pin: pin-based controls
 * @proc: primary processor-based controls
 * @entry: VM-entry controls
 * @exceptions: exception bitmap
 * @timer: preemption-timer value
 * @chosen_for: whoever chooses them notes here for what; U32_MAX: for nothing yet
 * @set_up: vmcs_setup() was called
 */
struct vmcs_controls {
	u32 pin;
	u32 proc;
	u32 entry;
	u32 exceptions;
	u32 timer;
	u32 chosen_for;
	bool set_up;
};

static inline void vmcs_set_proc(struct vmcs_controls *controls, u32 bit, bool on)
{
	vmcs_set_control(VMCS_PROC_CONTROLS, &controls->proc,
			 on ? controls->proc | bit : controls->proc & ~bit);
}

static inline void vmcs_set_pin(struct vmcs_controls *controls, u32 bit, bool on)
{
	vmcs_set_control(VMCS_PIN_CONTROLS, &controls->pin,
			 on ? controls->pin | bit : controls->pin & ~bit);
}

static inline void vmcs_set_exceptions(struct vmcs_controls *controls, u32 bitmap)
{
	vmcs_set_control(VMCS_EXCEPTION_BITMAP, &controls->exceptions, bitmap);
}

/* An entry loads the timer from the field and leaves the field as it is. */
static inline void vmcs_set_timer(struct vmcs_controls *controls, u32 value)
{
	vmcs_set_pin(controls, PIN_PREEMPTION_TIMER, true);
	vmcs_set_control(VMCS_PREEMPTION_TIMER, &controls->timer, value);
}

/* Is the guest in IA-32e mode, IA32_EFER.LMA? */
static inline bool vmcs_long_mode(const struct vmcs_controls *controls)
{
	return controls->entry & ENTRY_IA32E_GUEST;
}

static inline bool vmcs_64bit_code(const struct vmcs_controls *controls)
{
	return vmcs_long_mode(controls) &&
	       vmcs_read(VMCS_GUEST_CS_ACCESS_RIGHTS) & VEE_AR_L;
}

#define AR_DPL_SHIFT	5

static inline unsigned int vmcs_cpl(void)
{
	return (vmcs_read(VMCS_GUEST_SS_ACCESS_RIGHTS) & VEE_AR_DPL) >> AR_DPL_SHIFT;
}

/**
 * struct vmcs_links - what a VMCS refers to
 * @eptp: EPTP
 * @msr_bitmap: host-physical address of the MSR bitmap
 * @vpid: virtual-processor identifier, 0: none
 */
struct vmcs_links {
	u64 eptp;
	u64 msr_bitmap;
	u16 vpid;
};

/* Once after vmx_root_alloc(): all that is no guest state, and not from vmcs_load_host(). */
void vmcs_setup(struct vmcs_controls *controls, const struct vmcs_links *links);

/* --- the host's state: where a VM exit leads to ------------------------------ */

/**
 * struct vmcs_host - copies of what a VMCS holds
 * @cpu: the CPU that its per-CPU host fields are for
 * @cr3: HOST_CR3
 * @cr4: HOST_CR4
 * @fs_base: HOST_FS_BASE
 */
struct vmcs_host {
	int cpu;
	u64 cr3;
	u64 cr4;
	u64 fs_base;
};

void vmcs_load_host_cpu(struct vmcs_host *host);

static __always_inline void vmcs_set_host(u32 field, u64 *copy, u64 value)
{
	if (*copy == value)
		return;
	*copy = value;
	vmcs_write(field, value);
}

/*
 * What differs from one entry to the next: CR3 (PCID), CR4 (the kernel toggles
 * bits per task), the caller's FS base.
 */
static __always_inline void vmcs_load_host(struct vmcs_host *host, u64 fs_base)
{
	if (unlikely(host->cpu != smp_processor_id()))
		vmcs_load_host_cpu(host);
	vmcs_set_host(VMCS_HOST_CR3, &host->cr3, __read_cr3());
	vmcs_set_host(VMCS_HOST_CR4, &host->cr4, native_read_cr4());
	vmcs_set_host(VMCS_HOST_FS_BASE, &host->fs_base, fs_base);
}

/* --- what user space may see and change -------------------------------------- */

int vmcs_field_check(u32 encoding);
int vmcs_field_writable(u32 encoding, u64 value);

/* Of the others the host has the use. */
static inline bool vmcs_debugctl_fits(u64 value)
{
	return !(value & ~(u64)DEBUGCTLMSR_BTF);
}

bool vmcs_field_withheld(u32 encoding);
unsigned int vmcs_snapshot(struct vee_vmcs_value *values);
extern const unsigned int vmcs_field_count;

/* --- what is in fields --------------------------------------------------------- */

/* SDM 3C, "VM-Entry Controls for Event Injection"; exits use the same layout. */
#define INFO_VECTOR(info)	((info) & 0xff)
#define INFO_TYPE(info)		(((info) >> 8) & 7)
#define INFO_TYPE_SHIFT		8
#define INFO_TYPE_VECTOR	0x7ff
#define INFO_ERROR_CODE		BIT(11)
#define INFO_NMI_UNBLOCKING	BIT(12)
#define INFO_VALID		BIT(31)

/* In the pending debug exceptions: a single step; a breakpoint that DR7 enables. */
#define PENDING_DEBUG_BS	BIT_ULL(14)
#define PENDING_DEBUG_BREAKPOINT	BIT_ULL(12)
#define PENDING_DEBUG_TRAPS	(PENDING_DEBUG_BS | PENDING_DEBUG_BREAKPOINT)

#endif /* _VEE_VMX_VMCS_H */
