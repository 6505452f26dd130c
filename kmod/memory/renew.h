/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Requests about a slot that has a template.
 */
#ifndef _VEE_RENEW_H
#define _VEE_RENEW_H

struct memory;
struct vee_template;

/* VEE_VM_TEMPLATE. May sleep. */
long template_request(struct memory *memory, struct vee_template *arg);

#endif /* _VEE_RENEW_H */
