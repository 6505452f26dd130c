/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Control registers, EFER and XCR0. Inside the bracket, but for cr_read_pdptes() and what
 * checks values.
 */
#ifndef _VEE_CR_H
#define _VEE_CR_H

#include <linux/types.h>
#include <asm/msr-index.h>

#include "linux/vee.h"
#include "vcpu/vmexit.h"

struct paging;

/**
 * struct control_regs - control registers as far as no VMCS keeps them
 * @cr0: CR0 as last written by vee; right in all bits that exit, PE and PG
 *	among them
 * @cr2: CR2
 * @cr3: CR3 at the end of the last bracket, in PAE paging
 * @cr4: CR4, likewise
 * @cr4_allowed: bits of CR4 that the guest may set
 * @efer_allowed: ... of IA32_EFER
 */
struct control_regs {
	u64 cr0;
	u64 cr2;
	u64 cr3;
	u64 cr4;
	u64 cr4_allowed;
	u64 efer_allowed;
};

/* Bits of CR4 that the CPU hasn't, and a guest may have all the same: UMIP. */
u64 cr4_without_cpu(void);
u64 cr0_read(void);
u64 cr4_read(void);
void efer_write(struct vee_vcpu *vcpu, u64 efer);
void cr_own(struct vee_vcpu *vcpu);
/* The first that can't be so: MEMBER() of staged.h; 0: none. */
u32 cr_bad_member(struct vee_vcpu *vcpu, const struct vee_control *control);
bool efer_valid(const struct vee_vcpu *vcpu, u64 efer);
/*
 * 0; -EINVAL: a reserved bit is set; -EFAULT: no memory there; -EINTR; -EAGAIN:
 * fetch_missing(), which an inline run can't.
 */
int cr_read_pdptes(struct vee_vcpu *vcpu, u64 cr3, u64 pdpte[4]);
bool cr_uses_pdptes(u64 cr0, u64 cr4, u64 efer);
/* In PAE paging: at the end of a bracket, for the next. */
void cr_note(struct vee_vcpu *vcpu);
/* Between brackets: with @control, in PAE paging, are the PDPTEs to be read? */
bool cr_loads_pdptes(const struct vee_vcpu *vcpu, const struct vee_control *control);
/* The group as a whole. @pdpte: NULL: they stay */
void cr_load(struct vee_vcpu *vcpu, const struct vee_control *control, const u64 *pdpte);
/* What the CPU translates addresses with. */
void cr_read_paging(struct vee_vcpu *vcpu, struct paging *paging);
void cr_read(struct vee_vcpu *vcpu, struct vee_control *control);

/* SDM 3C, "Exit Qualification for Control-Register Accesses". */
#define CR_NUMBER(q)	((q) & 0xf)

/* Of exits for such an access, by CR_NUMBER(). */
enum next cr_access_cr0(struct vee_vcpu *vcpu);
enum next cr_access_cr4(struct vee_vcpu *vcpu);
enum next cr_access_cr8(struct vee_vcpu *vcpu);
enum next exit_tpr(struct vee_vcpu *vcpu);
enum next exit_xsetbv(struct vee_vcpu *vcpu);

#endif /* _VEE_CR_H */
