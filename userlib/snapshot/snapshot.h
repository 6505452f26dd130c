/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A VM as it was: the state of its vCPUs, and a copy of its memory. */
#ifndef VEE_SNAPSHOT_H
#define VEE_SNAPSHOT_H

#include "internal.h"

/* --- cpu.c --- */

/*
 * All of a vCPU that is the guest's, and the settings that a fork's vCPU is to have. The
 * caller's answer to the last exit is done, as the next run would do it.
 * @all: as cpu_put() loads it, again and again
 * @cpuid: NULL: the default
 */
struct cpu_state {
	struct vee_vcpu_state all;
	void *xsave;
	struct vee_cpuid_entry *cpuid;
	unsigned int id;
};

/* What cpu_free() frees is there, however it ends. */
int cpu_take(struct vee_vcpu *vcpu, struct cpu_state *state);
int cpu_put(struct vee_vcpu *vcpu, const struct cpu_state *state);
/* For a vCPU that has just been made. */
int cpu_begin(struct vee_vcpu *vcpu, const struct cpu_state *state);
void cpu_free(struct cpu_state *state);

/* --- memory.c --- */

/**
 * struct image - the copy of a VM's memory: a file without a name
 * @owners: the snapshot, and the VMs that have begun from it
 * @fd: forks map it copy-on-write, where they have no template
 * @copy: all of it, which nobody writes once it is taken; forks' templates
 * @bytes: how much
 */
struct image {
	unsigned int owners;
	int fd;
	uint8_t *copy;
	uint64_t bytes;
};

/**
 * struct memory - what the guest may write is copied
 * @slots: as they were
 * @offsets: where in the copy each is, or NOT_COPIED
 * @alone: no other slot has memory of this one's
 * @count: how many
 * @image: the copy; NULL: nothing is
 * @bytes: of it
 *
 * Of slots that share memory there is one copy, if one of them is written.
 */
struct memory {
	struct vm_slot *slots;
	uint64_t *offsets;
	bool *alone;
	size_t count;
	struct image *image;
	uint64_t bytes;
};

/* What memory_free() frees is there, however it ends. */
int memory_take(const struct vee_vm *vm, struct memory *memory);
/* @vm has the same slots, for these, and none is a template. */
void memory_put(struct vee_vm *vm, const struct memory *memory);
/* From here on have the kernel note what is written; of templates it does. */
int memory_watch(struct vee_vm *vm, const struct memory *memory);
/* Likewise memory_put(), if nothing but what it has noted differs. */
int memory_put_written(struct vee_vm *vm, const struct memory *memory);
void memory_free(struct memory *memory);

void image_put(struct image *image);

#define NOT_COPIED	UINT64_MAX

static inline bool is_written(const struct vm_slot *slot)
{
	return slot->access & VEE_WRITE;
}

/* --- fork.c --- */

/* For a VM that has just been made. */
int memory_fork(struct vee_vm *vm, const struct memory *memory);
/*
 * A slot of a fork's, which is a template of the snapshot that it was put back to last.
 * -ENOENT: it is none.
 */
int fork_put_back(struct vee_vm *vm, uint64_t gpa);

#endif /* VEE_SNAPSHOT_H */
