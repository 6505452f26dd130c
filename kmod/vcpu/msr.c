// SPDX-License-Identifier: GPL-2.0-only
/*
 * MSRs that exit: those that vee answers, and that all others are the caller's.
 */
#include <linux/nospec.h>
#include <asm/msr-index.h>
#include <asm/processor-flags.h>

#include "compat_cpu.h"
#include "vcpu/cr.h"
#include "vcpu/event.h"
#include "vcpu/exit_user.h"
#include "vcpu/local.h"
#include "vcpu/local_exit.h"
#include "vcpu/msr.h"
#include "vcpu/vcpu.h"
#include "vmx/caps.h"
#include "vmx/vmcs.h"

/* --- writes that vee does --------------------------------------------------------- */

/* False: #GP. */
typedef bool (*write_fn)(struct vee_vcpu *vcpu, u64 *place, u32 index, u64 value);

static bool canonical(u64 gva)
{
	return (s64)(gva << 16) >> 16 == gva;
}

static bool write_syscall(struct vee_vcpu *vcpu, u64 *place, u32 index, u64 value)
{
	*place = value;
	if (vcpu->msrs.syscall_loaded)
		wrmsrq(index, value);
	return true;
}

static bool write_address(struct vee_vcpu *vcpu, u64 *place, u32 index, u64 value)
{
	return canonical(value) && write_syscall(vcpu, place, index, value);
}

static bool write_mask(struct vee_vcpu *vcpu, u64 *place, u32 index, u64 value)
{
	return !(value >> 32) && write_syscall(vcpu, place, index, value);
}

static bool write_tsc_aux(struct vee_vcpu *vcpu, u64 *place, u32 index, u64 value)
{
	if (value >> 32)
		return false;
	*place = value;
	guest_msrs_load_tsc_aux(&vcpu->msrs);
	return true;
}

/* LMA is the CPU's; LME can't change under paging (SDM 3A, "IA32_EFER MSR"). */
static bool write_efer(struct vee_vcpu *vcpu, u64 *place, u32 index, u64 value)
{
	u64 old = vmcs_read(VMCS_GUEST_EFER);

	if (!efer_valid(vcpu, value))
		return false;
	if ((value ^ old) & EFER_LME && vcpu->cr.cr0 & X86_CR0_PG)
		return false;
	efer_write(vcpu, (value & ~EFER_LMA) | (old & EFER_LMA));
	/* NXE changes what the cached translations mean. */
	vpid_flush(&vcpu->vpid);
	return true;
}

static bool write_tsc(struct vee_vcpu *vcpu, u64 *place, u32 index, u64 value)
{
	vmcs_write(VMCS_TSC_OFFSET, value - rdtsc());
	if (local_is_there(&vcpu->apic))
		local_tsc_changed(vcpu);
	return true;
}

/* The last-branch records are the host's: LBR stays 0, and the rest there is not. */
static bool write_debugctl(struct vee_vcpu *vcpu, u64 *place, u32 index, u64 value)
{
	if (value & ~(DEBUGCTLMSR_BTF | DEBUGCTLMSR_LBR))
		return false;
	vmcs_write(VMCS_GUEST_DEBUGCTL, value & DEBUGCTLMSR_BTF);
	return true;
}

#define AT(name, fn, member) { name, fn, offsetof(struct vee_msrs, member), 0, true }

/**
 * struct handler - an MSR that exits
 * @index: which
 * @write: WRMSR
 * @place: where in struct vee_msrs it is kept
 * @field: or which field of the VMCS it is
 * @readable: RDMSR exits too, and reads it there
 */
struct handler {
	u32 index;
	write_fn write;
	u16 place;
	u32 field;
	bool readable;
};

/* Those of SYSCALL, from MSR_STAR on: all in a row. */
static const struct handler syscall_msrs[] = {
	AT(MSR_STAR,		write_syscall,	star),
	AT(MSR_LSTAR,		write_address,	lstar),
	AT(MSR_CSTAR,		write_address,	cstar),
	AT(MSR_SYSCALL_MASK,	write_mask,	sfmask),
};

static const struct handler handlers[] = {
	{ MSR_EFER,		write_efer },
	{ MSR_IA32_TSC,		write_tsc },
	{ MSR_IA32_DEBUGCTLMSR,	write_debugctl, 0, VMCS_GUEST_DEBUGCTL, true },
};

static const struct handler tsc_aux = AT(MSR_TSC_AUX, write_tsc_aux, tsc_aux);

/* The guest says which: nor is one beyond called by speculation. */
static const struct handler *syscall_handler(u32 nth)
{
	return &syscall_msrs[array_index_nospec(nth, ARRAY_SIZE(syscall_msrs))];
}

/* On a CPU without SYSCALL or RDTSCP what goes with it is an MSR like any other. */
static const struct handler *find_handler(struct vee_vcpu *vcpu, u32 index)
{
	u32 nth = index - MSR_STAR;

	if (nth < ARRAY_SIZE(syscall_msrs))
		return vcpu->cr.efer_allowed & EFER_SCE ? syscall_handler(nth) : NULL;
	for (int i = 0; i < ARRAY_SIZE(handlers); i++)
		if (handlers[i].index == index)
			return &handlers[i];
	return index == MSR_TSC_AUX && vcpu->msrs.has_tsc_aux ? &tsc_aux : NULL;
}

/* --- exits ---------------------------------------------------------------------------- */

static noinline enum next ask_caller(struct vee_vcpu *vcpu, u32 reason, u32 index, u64 value)
{
	vcpu->page->exit.msr = (struct vee_exit_msr) {
		.index = index,
		.value = value,
	};
	return exit_user(vcpu, reason);
}

static u64 read_kept(const struct vee_vcpu *vcpu, const struct handler *handler)
{
	if (handler->field)
		return vmcs_read(handler->field);
	return *(const u64 *)((const void *)&vcpu->msrs.values + handler->place);
}

/* The local APIC's, if there is one, or the caller's. */
static noinline enum next rdmsr_elsewhere(struct vee_vcpu *vcpu, u32 index)
{
	if (local_has_msr(&vcpu->apic, index))
		return local_rdmsr(vcpu, index);
	return ask_caller(vcpu, VEE_EXIT_RDMSR, index, 0);
}

enum next exit_rdmsr(struct vee_vcpu *vcpu)
{
	struct vee_regs *regs = guest_regs(vcpu);
	u32 index = READ_ONCE(regs->rcx);
	const struct handler *handler = find_handler(vcpu, index);
	u64 value;

	if (!handler || !handler->readable)
		return rdmsr_elsewhere(vcpu, index);
	value = read_kept(vcpu, handler);
	regs->rax = (u32)value;
	regs->rdx = value >> 32;
	return event_skip(vcpu);
}

static noinline enum next wrmsr_here(struct vee_vcpu *vcpu, u32 index)
{
	u64 value = guest_edx_eax(vcpu);
	const struct handler *handler = find_handler(vcpu, index);

	if (!handler)
		return ask_caller(vcpu, VEE_EXIT_WRMSR, index, value);
	if (!handler->write(vcpu, (void *)&vcpu->msrs.values + handler->place, index, value))
		return event_gp(vcpu);
	return event_skip(vcpu);
}

enum next exit_wrmsr(struct vee_vcpu *vcpu)
{
	u32 index = READ_ONCE(guest_regs(vcpu)->rcx);

	/* The most frequent, if there is one. */
	if (local_has_msr(&vcpu->apic, index))
		return local_wrmsr(vcpu, index);
	return wrmsr_here(vcpu, index);
}
