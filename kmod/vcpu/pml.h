/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The log of pages that a vCPU's guest has written, where that is recorded and the CPU has
 * page-modification logging; and the EPTP, which says so.
 */
#ifndef _VEE_PML_H
#define _VEE_PML_H

#include <linux/compiler.h>
#include <linux/types.h>

#include "memory/ept.h"
#include "memory/record.h"
#include "vcpu/vmexit.h"

/**
 * struct pml - a vCPU's log
 * @log: guest-physical addresses, from the last entry down; NULL: none yet
 * @eptp: what the VMCS has for EPTP, 0: not known
 * @on: the CPU writes to @log
 */
struct pml {
	u64 *log;
	u64 eptp;
	bool on;
};

/* Both inside the bracket. False: pml_sleep() has to make a log first. */
bool pml_load(struct vee_vcpu *vcpu);
void pml_empty(struct vee_vcpu *vcpu);
/* Where a run may sleep. */
enum next pml_sleep(struct vee_vcpu *vcpu);
void pml_free(struct pml *pml);

/* Before an entry: does the VMCS have what the VM's memory wants? @ept: the VM's */
static inline bool pml_fits(const struct pml *pml, const struct ept *ept)
{
	return !static_branch_unlikely(&writes_recorded) || pml->eptp == READ_ONCE(ept->eptp);
}

/* After it. */
static inline bool pml_is_on(const struct pml *pml)
{
	return static_branch_unlikely(&writes_recorded) && pml->on;
}

#endif /* _VEE_PML_H */
