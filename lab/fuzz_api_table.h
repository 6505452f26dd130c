/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The requests of <linux/vee.h>, for the fuzzer of them: on which descriptor each is made, and
 * what is in each member of its struct.
 */
#ifndef LAB_FUZZ_API_TABLE_H
#define LAB_FUZZ_API_TABLE_H

#include <stddef.h>

#include <linux/vee.h>

enum target { ON_DEVICE, ON_VM, ON_VCPU, TARGETS };

/* What a member holds. */
enum kind {
	IS_SIZE,
	IS_FLAGS,	/* a few low bits */
	IS_ZERO,	/* reserved, or the kernel's */
	IS_GPA,
	IS_HVA,		/* memory of the caller's, to be lent */
	IS_BYTES,	/* a length in pages, or of a watch */
	IS_ACCESS,
	IS_BUFFER,	/* an address that the kernel reads or writes at */
	IS_COUNT,	/* of what is in the buffer */
	IS_XSAVE,	/* the size of an XSAVE area */
	IS_SKIP,	/* groups to leave out */
	IS_SMALL,	/* an operation, a switch */
	IS_EVENTFD,
	IS_ID,
	IS_GENERATION,
	IS_EVENT,
	IS_GROUPS,
	IS_GVA,
	IS_MESSAGE,	/* the address of an interrupt by message */
	IS_DATA,
	IS_FIELD,	/* of the VMCS */
	IS_OFFSET,	/* in the page of a local APIC */
	IS_PAGE,	/* 0, or the address of a vCPU page to be */
	IS_STATE,	/* registers: any */
};

struct member {
	unsigned short offset;
	unsigned short bytes;
	enum kind kind;
};

#define MEMBERS_MAX	32

/**
 * struct request - one that can be made
 * @bytes: of its struct; 0: it has none
 */
struct request {
	const char *name;
	unsigned int number;
	enum target target;
	unsigned int bytes;
	struct member members[MEMBERS_MAX];
};

#define MEMBER(type, member, kind)						\
	{ offsetof(struct type, member), sizeof(((struct type *)0)->member), kind }
/* All begin alike. */
#define REQUEST(number, target, type, ...)					\
	{ #number, number, target, sizeof(struct type), {			\
		MEMBER(type, size, IS_SIZE), MEMBER(type, flags, IS_FLAGS), __VA_ARGS__ } }

static const struct request requests[] = {
	{ "VEE_VCPU_RUN", VEE_VCPU_RUN, ON_VCPU, 0, { { 0 } } },
	REQUEST(VEE_GET_INFO, ON_DEVICE, vee_info,
		{ 8, sizeof(struct vee_info) - 8, IS_STATE }),
	REQUEST(VEE_VM_CREATE, ON_DEVICE, vee_vm_create, { 0 }),
	REQUEST(VEE_RUN_EACH, ON_DEVICE, vee_run_each,
		MEMBER(vee_run_each, count, IS_COUNT), MEMBER(vee_run_each, reserved, IS_ZERO),
		MEMBER(vee_run_each, steps, IS_BUFFER)),
	REQUEST(VEE_VM_MAP, ON_VM, vee_map,
		MEMBER(vee_map, gpa, IS_GPA), MEMBER(vee_map, hva, IS_HVA),
		MEMBER(vee_map, bytes, IS_BYTES), MEMBER(vee_map, access, IS_ACCESS),
		MEMBER(vee_map, reserved, IS_ZERO), MEMBER(vee_map, pool, IS_ZERO),
		MEMBER(vee_map, pool_bytes, IS_ZERO)),
	/* A template: the same with a pool. */
	REQUEST(VEE_VM_MAP, ON_VM, vee_map,
		MEMBER(vee_map, gpa, IS_GPA), MEMBER(vee_map, hva, IS_HVA),
		MEMBER(vee_map, bytes, IS_BYTES), MEMBER(vee_map, access, IS_ACCESS),
		MEMBER(vee_map, reserved, IS_ZERO), MEMBER(vee_map, pool, IS_HVA),
		MEMBER(vee_map, pool_bytes, IS_BYTES)),
	REQUEST(VEE_VM_UNMAP, ON_VM, vee_unmap,
		MEMBER(vee_unmap, gpa, IS_GPA), MEMBER(vee_unmap, bytes, IS_BYTES)),
	REQUEST(VEE_VM_CREATE_VCPU, ON_VM, vee_vcpu_create,
		MEMBER(vee_vcpu_create, id, IS_ID), MEMBER(vee_vcpu_create, reserved, IS_ZERO),
		MEMBER(vee_vcpu_create, page, IS_PAGE)),
	REQUEST(VEE_VM_COALESCE, ON_VM, vee_coalesce,
		MEMBER(vee_coalesce, first, IS_GPA), MEMBER(vee_coalesce, bytes, IS_BYTES),
		MEMBER(vee_coalesce, space, IS_SMALL), MEMBER(vee_coalesce, remove, IS_SMALL)),
	REQUEST(VEE_VM_DOORBELL, ON_VM, vee_doorbell,
		MEMBER(vee_doorbell, address, IS_GPA), MEMBER(vee_doorbell, data, IS_SMALL),
		MEMBER(vee_doorbell, space, IS_SMALL), MEMBER(vee_doorbell, eventfd, IS_EVENTFD),
		MEMBER(vee_doorbell, width, IS_SMALL), MEMBER(vee_doorbell, match, IS_SMALL),
		MEMBER(vee_doorbell, remove, IS_SMALL), MEMBER(vee_doorbell, reserved, IS_ZERO)),
	REQUEST(VEE_VM_SIGNAL, ON_VM, vee_signal,
		MEMBER(vee_signal, address, IS_MESSAGE), MEMBER(vee_signal, data, IS_DATA),
		MEMBER(vee_signal, reserved, IS_ZERO)),
	REQUEST(VEE_VM_BIND, ON_VM, vee_bind,
		MEMBER(vee_bind, address, IS_MESSAGE), MEMBER(vee_bind, data, IS_DATA),
		MEMBER(vee_bind, eventfd, IS_EVENTFD), MEMBER(vee_bind, remove, IS_SMALL),
		MEMBER(vee_bind, eoi, IS_EVENTFD)),
	REQUEST(VEE_VM_DIRTY, ON_VM, vee_dirty,
		MEMBER(vee_dirty, operation, IS_SMALL), MEMBER(vee_dirty, reserved, IS_ZERO),
		MEMBER(vee_dirty, gpa, IS_GPA), MEMBER(vee_dirty, bytes, IS_BYTES),
		MEMBER(vee_dirty, pages, IS_BUFFER), MEMBER(vee_dirty, room, IS_COUNT)),
	REQUEST(VEE_VM_TEMPLATE, ON_VM, vee_template,
		MEMBER(vee_template, operation, IS_SMALL), MEMBER(vee_template, first, IS_SMALL),
		MEMBER(vee_template, gpa, IS_GPA), MEMBER(vee_template, pages, IS_BUFFER),
		MEMBER(vee_template, room, IS_COUNT), MEMBER(vee_template, hva, IS_ZERO)),
	REQUEST(VEE_VCPU_KICK, ON_VCPU, vee_kick, MEMBER(vee_kick, generation, IS_GENERATION)),
	REQUEST(VEE_VCPU_SYNC, ON_VCPU, vee_sync,
		MEMBER(vee_sync, groups, IS_GROUPS), MEMBER(vee_sync, reserved, IS_ZERO)),
	REQUEST(VEE_VCPU_TRANSLATE, ON_VCPU, vee_translate,
		MEMBER(vee_translate, gva, IS_GVA), MEMBER(vee_translate, gpa, IS_ZERO),
		MEMBER(vee_translate, access, IS_ZERO), MEMBER(vee_translate, user, IS_ZERO)),
	REQUEST(VEE_VCPU_GET_CPUID, ON_VCPU, vee_cpuid,
		MEMBER(vee_cpuid, count, IS_COUNT), MEMBER(vee_cpuid, reserved, IS_ZERO),
		MEMBER(vee_cpuid, entries, IS_BUFFER)),
	REQUEST(VEE_VCPU_SET_CPUID, ON_VCPU, vee_cpuid,
		MEMBER(vee_cpuid, count, IS_COUNT), MEMBER(vee_cpuid, reserved, IS_ZERO),
		MEMBER(vee_cpuid, entries, IS_BUFFER)),
	REQUEST(VEE_VCPU_GET_XSAVE, ON_VCPU, vee_xsave,
		MEMBER(vee_xsave, bytes, IS_XSAVE), MEMBER(vee_xsave, reserved, IS_ZERO),
		MEMBER(vee_xsave, area, IS_BUFFER)),
	REQUEST(VEE_VCPU_SET_XSAVE, ON_VCPU, vee_xsave,
		MEMBER(vee_xsave, bytes, IS_XSAVE), MEMBER(vee_xsave, reserved, IS_ZERO),
		MEMBER(vee_xsave, area, IS_BUFFER)),
	REQUEST(VEE_VCPU_VMCS_READ, ON_VCPU, vee_vmcs_field,
		MEMBER(vee_vmcs_field, encoding, IS_FIELD),
		MEMBER(vee_vmcs_field, reserved, IS_ZERO),
		MEMBER(vee_vmcs_field, value, IS_STATE)),
	REQUEST(VEE_VCPU_VMCS_WRITE, ON_VCPU, vee_vmcs_field,
		MEMBER(vee_vmcs_field, encoding, IS_FIELD),
		MEMBER(vee_vmcs_field, reserved, IS_ZERO),
		MEMBER(vee_vmcs_field, value, IS_STATE)),
	REQUEST(VEE_VCPU_VMCS_SNAPSHOT, ON_VCPU, vee_vmcs_snapshot,
		MEMBER(vee_vmcs_snapshot, count, IS_COUNT),
		MEMBER(vee_vmcs_snapshot, reserved, IS_ZERO),
		MEMBER(vee_vmcs_snapshot, values, IS_BUFFER)),
	REQUEST(VEE_VCPU_STATS, ON_VCPU, vee_stats,
		{ 8, sizeof(struct vee_stats) - 8, IS_STATE }),
	REQUEST(VEE_VCPU_INJECT, ON_VCPU, vee_inject, MEMBER(vee_inject, event, IS_EVENT)),
	REQUEST(VEE_VCPU_APIC, ON_VCPU, vee_apic_access,
		MEMBER(vee_apic_access, offset, IS_OFFSET),
		MEMBER(vee_apic_access, value, IS_STATE)),
	REQUEST(VEE_VCPU_SAVE, ON_VCPU, vee_vcpu_state,
		MEMBER(vee_vcpu_state, parts, IS_ZERO), MEMBER(vee_vcpu_state, skip, IS_SKIP),
		MEMBER(vee_vcpu_state, xsave, IS_BUFFER), MEMBER(vee_vcpu_state, cpuid, IS_BUFFER),
		MEMBER(vee_vcpu_state, xsave_bytes, IS_XSAVE),
		MEMBER(vee_vcpu_state, cpuid_count, IS_COUNT),
		{ offsetof(struct vee_vcpu_state, tsc),
		  sizeof(struct vee_vcpu_state) - offsetof(struct vee_vcpu_state, tsc), IS_STATE }),
	/* Of what was saved before, with something else here and there: see fill_load(). */
	REQUEST(VEE_VCPU_LOAD, ON_VCPU, vee_vcpu_state,
		{ 8, sizeof(struct vee_vcpu_state) - 8, IS_STATE }),
};

#define REQUESTS	(sizeof(requests) / sizeof(*requests))

#endif /* LAB_FUZZ_API_TABLE_H */
