/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Requests on a descriptor: what its tables are made of. ioctl(2) and io_uring
 * are two doors to the same ones.
 */
#ifndef _VEE_REQUEST_H
#define _VEE_REQUEST_H

#include <linux/types.h>

#include "linux/vee.h"

/* Every struct of a request begins like this. */
struct request_header {
	u32 size;
	u32 flags;
};

union argument {
	struct request_header header;
	struct vee_info info;
	struct vee_vm_create vm_create;
	struct vee_run_each run_each;
	struct vee_map map;
	struct vee_unmap unmap;
	struct vee_dirty dirty;
	struct vee_template template;
	struct vee_vcpu_create vcpu_create;
	struct vee_coalesce coalesce;
	struct vee_doorbell doorbell;
	struct vee_signal signal;
	struct vee_bind bind;
	struct vee_kick kick;
	struct vee_inject inject;
	struct vee_sync sync;
	struct vee_translate translate;
	struct vee_cpuid cpuid;
	struct vee_xsave xsave;
	struct vee_vmcs_field field;
	struct vee_vmcs_snapshot snapshot;
	struct vee_stats stats;
	struct vee_apic_access apic;
	struct vee_vcpu_state state;
};

/**
 * struct vee_request - one request of a descriptor
 * @nr: its number
 * @name: ... as in linux/vee.h
 * @first_size: size of its struct when it was first published
 * @size: size of its struct now
 * @out: the struct goes back to the caller
 * @silent: ... but with such an argument, which has nothing to tell: a copy that failed would
 *	say of what is done, and maybe not twice, that it isn't
 * @flags: those that its struct may have
 * @unlocked: a vCPU's: may come while it runs
 * @handle: does it; @object is the VM or vCPU
 */
struct vee_request {
	unsigned int nr;
	const char *name;
	u16 first_size;
	u16 size;
	bool out;
	bool (*silent)(const union argument *arg);
	u32 flags;
	bool unlocked;
	long (*handle)(void *object, union argument *arg);
};

#define REQUEST(nr, type, fn, ...) \
	{ nr, #nr, sizeof(struct type), sizeof(struct type), .handle = fn, ##__VA_ARGS__ }
/* The same of a struct that has grown: @last was its last member when first published. */
#define REQUEST_GROWN(nr, type, last, fn, ...) \
	{ nr, #nr, offsetofend(struct type, last), sizeof(struct type), .handle = fn, \
	  ##__VA_ARGS__ }

const struct vee_request *request_find(const struct vee_request *requests, size_t count,
				       unsigned int nr);
/* With a checked copy of the struct at @user. */
long request_do(const struct vee_request *request, void *object, void __user *user);

/*
 * All of a vCPU's requests but VEE_VCPU_RUN: who may, the vCPU's lock, and the
 * request itself.
 */
long vcpu_request(void *vcpu, unsigned int nr, void __user *user);

#endif /* _VEE_REQUEST_H */
