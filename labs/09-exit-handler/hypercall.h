/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Lab 9: a VMCALL that the kernel answers. For the module, its tests and their guests.
 */
#ifndef LAB_HYPERCALL_H
#define LAB_HYPERCALL_H

/* RAX: how many VM exits of this vCPU's were there for the basic exit reason in RDI? */
#define HYPERCALL_EXITS		0x766565
/* The answer, in RAX, if no count is kept of it. */
#define HYPERCALL_NONE		0xffffffffffffffffULL

#ifdef __KERNEL__

#include "vcpu/vmexit.h"

/* Yours: the handler of the table's VMX_EXIT_VMCALL. Inside the bracket. */
enum next hypercall(struct vee_vcpu *vcpu);

/* vee's own: VEE_EXIT_HYPERCALL for the caller, who sees the guest as it is. */
enum next hypercall_to_caller(struct vee_vcpu *vcpu);

#endif /* __KERNEL__ */

#endif /* LAB_HYPERCALL_H */
