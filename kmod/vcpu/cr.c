// SPDX-License-Identifier: GPL-2.0-only
/*
 * Control registers, EFER and XCR0.
 *
 * CR0 and CR4 are split between the guest and vee by a mask (SDM 3C, "Guest/Host
 * Masks and Read Shadows for CR0 and CR4"): the guest changes its own bits
 * without an exit; a change of any other bit comes here, and reads give the
 * shadow. Paging-mode bits are vee's, so that EFER.LMA, the "IA-32e mode guest"
 * control and the PDPTEs stay in step. What is #GP follows SDM 2B, "MOV-Move
 * to/from Control Registers".
 */
#include <linux/string.h>
#include <asm/msr-index.h>
#include <asm/processor-flags.h>

#include "memory/vm.h"
#include "memory/walk.h"
#include "vcpu/cr.h"
#include "vcpu/event.h"
#include "vcpu/fetch.h"
#include "vcpu/staged.h"
#include "vcpu/vcpu.h"
#include "vmx/caps.h"
#include "vmx/vmcs.h"

#define CR0_GUEST	(X86_CR0_TS | X86_CR0_MP | X86_CR0_EM | X86_CR0_WP | \
			 X86_CR0_AM)
#define CR0_DEFINED	(CR0_GUEST | X86_CR0_PE | X86_CR0_ET | X86_CR0_NE | \
			 X86_CR0_NW | X86_CR0_CD | X86_CR0_PG)

/* Bits of CR4 with no consequence that vee must draw. */
#define CR4_GUEST	(X86_CR4_VME | X86_CR4_PVI | X86_CR4_TSD | X86_CR4_DE | \
			 X86_CR4_PSE | X86_CR4_PGE | X86_CR4_PCE | \
			 X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT | X86_CR4_UMIP | \
			 X86_CR4_FSGSBASE | X86_CR4_SMEP | X86_CR4_SMAP)

/* The caller has what it stands for done: see VEE_INTERCEPT_DESCRIPTOR. */
u64 cr4_without_cpu(void)
{
	return caps_has(VEE_FEATURE_DESCRIPTOR_EXITING) ? X86_CR4_UMIP & ~vee_caps.cr4_fixed1 : 0;
}

/* --- reading and writing ----------------------------------------------------- */

u64 cr0_read(void)
{
	return (vmcs_read(VMCS_GUEST_CR0) & CR0_GUEST) |
	       (vmcs_read(VMCS_CR0_READ_SHADOW) & ~CR0_GUEST);
}

u64 cr4_read(void)
{
	u64 mask = vmcs_read(VMCS_CR4_MASK);

	return (vmcs_read(VMCS_GUEST_CR4) & ~mask) |
	       (vmcs_read(VMCS_CR4_READ_SHADOW) & mask);
}

/*
 * An entry wants the fixed bits of CR0 but for PE and PG ("unrestricted guest");
 * CD and NW stay 0, or the guest could switch off the host's caches.
 */
static void cr0_write(struct vee_vcpu *vcpu, u64 cr0)
{
	u64 fixed = vee_caps.cr0_fixed0 & ~(X86_CR0_PE | X86_CR0_PG);

	cr0 |= X86_CR0_ET;
	if ((cr0 ^ vcpu->cr.cr0) & X86_CR0_PG)
		vpid_flush(&vcpu->vpid);
	vcpu->cr.cr0 = cr0;
	vmcs_write(VMCS_CR0_READ_SHADOW, cr0);
	vmcs_write(VMCS_GUEST_CR0, (cr0 & ~(X86_CR0_CD | X86_CR0_NW)) | fixed);
}

/* MCE stays 1: with it 0 a machine check would shut the host down. */
static void cr4_write(struct vee_vcpu *vcpu, u64 cr4)
{
	vmcs_write(VMCS_CR4_READ_SHADOW, cr4);
	vmcs_write(VMCS_GUEST_CR4, (cr4 & ~cr4_without_cpu()) | vee_caps.cr4_fixed0 |
				   X86_CR4_MCE);
	fpu_set_osxsave(&vcpu->fpu, cr4 & X86_CR4_OSXSAVE);
	vpid_flush(&vcpu->vpid);
}

void efer_write(struct vee_vcpu *vcpu, u64 efer)
{
	u32 entry = vcpu->controls.entry & ~ENTRY_IA32E_GUEST;

	if (efer & EFER_LMA)
		entry |= ENTRY_IA32E_GUEST;
	if (entry != vcpu->controls.entry)
		vmcs_write(VMCS_ENTRY_CONTROLS, entry);
	vcpu->controls.entry = entry;
	vmcs_write(VMCS_GUEST_EFER, efer);
	vcpu->msrs.syscall_enabled = efer & EFER_SCE;
	if (vcpu->msrs.syscall_enabled && !vcpu->msrs.syscall_loaded)
		guest_msrs_load_syscall(&vcpu->msrs);
}

void cr_read(struct vee_vcpu *vcpu, struct vee_control *control)
{
	control->cr0 = cr0_read();
	control->cr2 = vcpu->cr.cr2;
	control->cr3 = vmcs_read(VMCS_GUEST_CR3);
	control->cr4 = cr4_read();
	control->cr8 = tpr_read_cr8(&vcpu->tpr);
	control->efer = vmcs_read(VMCS_GUEST_EFER);
	control->xcr0 = vcpu->fpu.xcr0;
}

/* The guest owns what it may set: reserved bits exit, and are #GP. */
void cr_own(struct vee_vcpu *vcpu)
{
	u64 cr4 = cr4_read();

	vmcs_write(VMCS_CR0_MASK, ~CR0_GUEST);
	vmcs_write(VMCS_CR4_MASK,
		   ~(CR4_GUEST & vcpu->cr.cr4_allowed & ~cr4_without_cpu()));
	vmcs_write(VMCS_CR4_READ_SHADOW, cr4);
}

/* --- checks ------------------------------------------------------------------ */

static bool cr0_valid(u64 cr0)
{
	if (cr0 >> 32)
		return false;
	if (cr0 & X86_CR0_PG && !(cr0 & X86_CR0_PE))
		return false;
	return !(cr0 & X86_CR0_NW) || cr0 & X86_CR0_CD;
}

static bool cr4_valid(struct vee_vcpu *vcpu, u64 cr4)
{
	return !(cr4 & ~vcpu->cr.cr4_allowed);
}

bool efer_valid(const struct vee_vcpu *vcpu, u64 efer)
{
	return !(efer & ~vcpu->cr.efer_allowed);
}

u32 cr_bad_member(struct vee_vcpu *vcpu, const struct vee_control *control)
{
	u64 cr0 = control->cr0, efer = control->efer;
	u64 lma = cr0 & X86_CR0_PG && efer & EFER_LME ? EFER_LMA : 0;

	if (!cr0_valid(cr0))
		return MEMBER(control.cr0);
	if (!cr4_valid(vcpu, control->cr4))
		return MEMBER(control.cr4);
	if (!efer_valid(vcpu, efer) || (efer & EFER_LMA) != lma)
		return MEMBER(control.efer);
	if (control->cr8 > TPR_CLASS_MAX)
		return MEMBER(control.cr8);
	return xcr0_valid(&vcpu->fpu, control->xcr0) ? 0 : MEMBER(control.xcr0);
}

/* --- PDPTEs ------------------------------------------------------------------ */

bool cr_uses_pdptes(u64 cr0, u64 cr4, u64 efer)
{
	return cr0 & X86_CR0_PG && cr4 & X86_CR4_PAE && !(efer & EFER_LME);
}

/* SDM 3A, "PAE Paging": present, and bits that must then be 0. */
#define PDPTE_PRESENT	BIT_ULL(0)
#define PDPTE_RESERVED	(GENMASK_ULL(63, 52) | GENMASK_ULL(8, 5) | GENMASK_ULL(2, 1))
#define CR3_PDPT	GENMASK_ULL(31, 5)

static int read_pdptes(struct vee_vcpu *vcpu, u64 gpa, u64 pdpte[4])
{
	struct memory *memory = &vcpu->vm->memory;
	int err = mem_lock(memory, !vcpu->runner.is_inline);

	if (err)
		return err;
	err = mem_read(memory, gpa, pdpte, 4 * sizeof(*pdpte), &vcpu->absent);
	mem_unlock(memory);
	return err;
}

int cr_read_pdptes(struct vee_vcpu *vcpu, u64 cr3, u64 pdpte[4])
{
	int err = read_pdptes(vcpu, cr3 & CR3_PDPT, pdpte);

	if (err)
		return err == -EBUSY ? -EAGAIN : err;
	for (int i = 0; i < 4; i++) {
		u64 beyond = ~GENMASK_ULL(vee_caps.gpa_bits - 1, 0);

		if (!(pdpte[i] & PDPTE_PRESENT))
			continue;
		if (pdpte[i] & (PDPTE_RESERVED | beyond))
			return -EINVAL;
	}
	return 0;
}

static void read_pdpte_registers(u64 pdpte[4])
{
	pdpte[0] = vmcs_read(VMCS_GUEST_PDPTE0);
	pdpte[1] = vmcs_read(VMCS_GUEST_PDPTE1);
	pdpte[2] = vmcs_read(VMCS_GUEST_PDPTE2);
	pdpte[3] = vmcs_read(VMCS_GUEST_PDPTE3);
}

static void write_pdptes(const u64 pdpte[4])
{
	vmcs_write(VMCS_GUEST_PDPTE0, pdpte[0]);
	vmcs_write(VMCS_GUEST_PDPTE1, pdpte[1]);
	vmcs_write(VMCS_GUEST_PDPTE2, pdpte[2]);
	vmcs_write(VMCS_GUEST_PDPTE3, pdpte[3]);
}

void cr_read_paging(struct vee_vcpu *vcpu, struct paging *paging)
{
	paging->cr0 = vcpu->cr.cr0;
	paging->cr3 = vmcs_read(VMCS_GUEST_CR3);
	paging->cr4 = cr4_read();
	paging->efer = vmcs_read(VMCS_GUEST_EFER);
	if (cr_uses_pdptes(paging->cr0, paging->cr4, paging->efer))
		read_pdpte_registers(paging->pdpte);
}

/*
 * SDM 3A, "PDPTE Registers": which changes have the CPU read them from memory;
 * otherwise they stay, whatever is in memory by now.
 */
#define CR0_LOADS_PDPTES	(X86_CR0_PG | X86_CR0_CD | X86_CR0_NW)
#define CR4_LOADS_PDPTES	(X86_CR4_PAE | X86_CR4_PGE | X86_CR4_PSE | \
				 X86_CR4_SMEP)

noinline void cr_note(struct vee_vcpu *vcpu)
{
	vcpu->cr.cr3 = vmcs_read(VMCS_GUEST_CR3);
	vcpu->cr.cr4 = cr4_read();
}

/* As noted; under paging LME is LMA. */
static bool was_pae(const struct vee_vcpu *vcpu)
{
	u64 efer = vmcs_long_mode(&vcpu->controls) ? EFER_LME | EFER_LMA : 0;

	return cr_uses_pdptes(vcpu->cr.cr0, vcpu->cr.cr4, efer);
}

bool cr_loads_pdptes(const struct vee_vcpu *vcpu, const struct vee_control *control)
{
	const struct control_regs *old = &vcpu->cr;

	return !was_pae(vcpu) || control->cr3 != old->cr3 ||
	       (control->cr0 ^ old->cr0) & CR0_LOADS_PDPTES ||
	       (control->cr4 ^ old->cr4) & CR4_LOADS_PDPTES;
}

void cr_load(struct vee_vcpu *vcpu, const struct vee_control *control, const u64 *pdpte)
{
	cr0_write(vcpu, control->cr0);
	vmcs_write(VMCS_GUEST_CR3, control->cr3);
	cr4_write(vcpu, control->cr4);
	efer_write(vcpu, control->efer);
	if (pdpte)
		write_pdptes(pdpte);
	vcpu->cr.cr2 = control->cr2;
	tpr_write_cr8(&vcpu->tpr, control->cr8);
	fpu_set_xcr0(&vcpu->fpu, control->xcr0);
}

/* --- MOV to CR0 and CR4 ------------------------------------------------------ */

/*
 * The sleeping half of a move that turns PAE paging on or changes it: the
 * PDPTEs come from guest memory. The result goes the way of a state that the
 * caller has set.
 */
static enum next load_with_pdptes(struct vee_vcpu *vcpu)
{
	struct staged_state *staged = &vcpu->staged;
	int err;

	do {
		err = cr_read_pdptes(vcpu, staged->control.cr3, staged->pdpte);
	} while (err == -EAGAIN && !vcpu->runner.is_inline &&
		 !(err = fetch_missing(vcpu, true)));

	switch (err) {
	case 0:
		staged->groups |= VEE_STATE_CONTROL;
		staged->loads_pdptes = true;
		staged->next = true;
		return NEXT_ENTER;
	case -EAGAIN:
		return budget_end(&vcpu->limits);
	case -EINTR:
		/* The guest does it again. */
		return NEXT_HOST;
	default:
		staged->fault = true;
		return NEXT_ENTER;
	}
}

/* All of the group but what this move changes stays as it is. */
static enum next read_pdptes_first(struct vee_vcpu *vcpu, u64 cr0, u64 cr4, u64 efer)
{
	struct vee_control *control = &vcpu->staged.control;

	cr_read(vcpu, control);
	control->cr0 = cr0;
	control->cr4 = cr4;
	control->efer = efer;
	vcpu->exit.sleeper = load_with_pdptes;
	return NEXT_SLEEP;
}

#define TSS_BUSY_16BIT	3

/* SDM 3A, "IA-32e Mode Initialization" (the consistency checks) */
static bool may_activate_long_mode(u64 cr4)
{
	u64 tr = vmcs_read(VMCS_GUEST_TR_ACCESS_RIGHTS);

	return cr4 & X86_CR4_PAE && (tr & VEE_AR_TYPE) != TSS_BUSY_16BIT &&
	       !(vmcs_read(VMCS_GUEST_CS_ACCESS_RIGHTS) & VEE_AR_L);
}

static bool paging_switch_valid(struct vee_vcpu *vcpu, u64 cr0, u64 cr4, u64 efer)
{
	if (cr0 & X86_CR0_PG)
		return !(efer & EFER_LME) || may_activate_long_mode(cr4);
	return !vmcs_64bit_code(&vcpu->controls) && !(cr4 & X86_CR4_PCIDE);
}

static enum next switch_paging(struct vee_vcpu *vcpu, u64 cr0)
{
	u64 cr4 = cr4_read(), efer = vmcs_read(VMCS_GUEST_EFER);

	if (!paging_switch_valid(vcpu, cr0, cr4, efer))
		return event_gp(vcpu);
	efer &= ~EFER_LMA;
	if (cr0 & X86_CR0_PG && efer & EFER_LME)
		efer |= EFER_LMA;
	if (cr_uses_pdptes(cr0, cr4, efer))
		return read_pdptes_first(vcpu, cr0, cr4, efer);
	cr0_write(vcpu, cr0);
	efer_write(vcpu, efer);
	return event_skip(vcpu);
}

static enum next move_to_cr0(struct vee_vcpu *vcpu, u64 cr0)
{
	if (!cr0_valid(cr0))
		return event_gp(vcpu);
	/* Reserved bits below bit 32 are ignored. */
	cr0 = (cr0 & CR0_DEFINED) | X86_CR0_ET;
	if ((cr0 ^ vcpu->cr.cr0) & X86_CR0_PG)
		return switch_paging(vcpu, cr0);
	if ((cr0 ^ vcpu->cr.cr0) & CR0_LOADS_PDPTES && !vmcs_long_mode(&vcpu->controls)) {
		u64 cr4 = cr4_read(), efer = vmcs_read(VMCS_GUEST_EFER);

		if (cr_uses_pdptes(cr0, cr4, efer))
			return read_pdptes_first(vcpu, cr0, cr4, efer);
	}
	cr0_write(vcpu, cr0);
	return event_skip(vcpu);
}

/* SDM 2A, "LMSW": the low four bits, and PE can't be cleared. */
static enum next load_machine_status_word(struct vee_vcpu *vcpu)
{
	u64 low = X86_CR0_PE | X86_CR0_MP | X86_CR0_EM | X86_CR0_TS;
	u64 source = vcpu->exit.qualification >> 16;
	u64 cr0 = cr0_read();

	return move_to_cr0(vcpu, (cr0 & ~(low & ~X86_CR0_PE)) | (source & low));
}

#define CR3_PCID	GENMASK_ULL(11, 0)

static enum next move_to_cr4(struct vee_vcpu *vcpu, u64 cr4)
{
	u64 efer = vmcs_read(VMCS_GUEST_EFER), changed = cr4 ^ cr4_read();

	if (!cr4_valid(vcpu, cr4))
		return event_gp(vcpu);
	if (efer & EFER_LMA && !(cr4 & X86_CR4_PAE))
		return event_gp(vcpu);
	if (changed & cr4 & X86_CR4_PCIDE &&
	    (!(efer & EFER_LMA) || vmcs_read(VMCS_GUEST_CR3) & CR3_PCID))
		return event_gp(vcpu);
	if (changed & CR4_LOADS_PDPTES && cr_uses_pdptes(vcpu->cr.cr0, cr4, efer))
		return read_pdptes_first(vcpu, cr0_read(), cr4, efer);
	cr4_write(vcpu, cr4);
	return event_skip(vcpu);
}

/* --- exits ------------------------------------------------------------------- */

/* SDM 3C, "Exit Qualification for Control-Register Accesses"; the rest is in cr.h. */
#define CR_ACCESS(q)	(((q) >> 4) & 3)
#define CR_REGISTER(q)	(((q) >> 8) & 0xf)
#define CR_RSP		4

enum { CR_MOVE_TO, CR_MOVE_FROM, CR_CLTS, CR_LMSW };

/* MOV to a control register takes 32 bits outside 64-bit code. */
static u64 source_register(struct vee_vcpu *vcpu)
{
	unsigned int number = CR_REGISTER(vcpu->exit.qualification);
	u64 value;

	if (number == CR_RSP)
		value = vmcs_read(VMCS_GUEST_RSP);
	else
		value = READ_ONCE(guest_regs(vcpu)->gpr[number]);
	return vmcs_64bit_code(&vcpu->controls) ? value : (u32)value;
}

static enum next move_to_cr8(struct vee_vcpu *vcpu, u64 cr8)
{
	enum next next;

	if (cr8 > TPR_CLASS_MAX)
		return event_gp(vcpu);
	tpr_write_cr8(&vcpu->tpr, cr8);
	next = event_skip(vcpu);
	/* By way of may_enter(), which tells the caller, or the local APIC. */
	return vcpu->tpr.local || tpr_is_below(&vcpu->tpr) ? NEXT_HOST : next;
}

/* Without a TPR shadow. A local APIC of ours looks at it before the next entry. */
enum next cr_access_cr8(struct vee_vcpu *vcpu)
{
	unsigned int number = CR_REGISTER(vcpu->exit.qualification);
	u64 cr8 = tpr_read_cr8(&vcpu->tpr);

	if (CR_ACCESS(vcpu->exit.qualification) == CR_MOVE_TO)
		return move_to_cr8(vcpu, source_register(vcpu));
	if (number == CR_RSP)
		vmcs_write(VMCS_GUEST_RSP, cr8);
	else
		guest_regs(vcpu)->gpr[number] = cr8;
	return event_skip(vcpu);
}

/* With one, after the MOV: as above. */
enum next exit_tpr(struct vee_vcpu *vcpu)
{
	vcpu->step.done = true;
	return NEXT_HOST;
}

enum next cr_access_cr0(struct vee_vcpu *vcpu)
{
	if (CR_ACCESS(vcpu->exit.qualification) == CR_LMSW)
		return load_machine_status_word(vcpu);
	return move_to_cr0(vcpu, source_register(vcpu));
}

enum next cr_access_cr4(struct vee_vcpu *vcpu)
{
	return move_to_cr4(vcpu, source_register(vcpu));
}

enum next exit_xsetbv(struct vee_vcpu *vcpu)
{
	u64 value = guest_edx_eax(vcpu);

	if ((u32)READ_ONCE(guest_regs(vcpu)->rcx) || !xcr0_valid(&vcpu->fpu, value))
		return event_gp(vcpu);
	fpu_set_xcr0(&vcpu->fpu, value);
	return event_skip(vcpu);
}
