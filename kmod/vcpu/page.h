/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The vCPU page: memory of the kernel's that the caller maps, or a page of the caller's.
 */
#ifndef _VEE_PAGE_H
#define _VEE_PAGE_H

#include <linux/types.h>

struct page;
struct vee_vcpu;

/* @hva: where the caller has it, 0: nowhere yet. */
int vcpu_page_make(struct vee_vcpu *vcpu, u64 hva);
void vcpu_page_free(struct vee_vcpu *vcpu);
/* How many pages of templates the VM has had copied. */
void vcpu_page_tell_copies(struct vee_vcpu *vcpu);

#endif /* _VEE_PAGE_H */
