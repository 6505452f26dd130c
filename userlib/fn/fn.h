/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Functions in machines of their own. */
#ifndef VEE_FN_H
#define VEE_FN_H

#include "internal.h"

/* A VM that is as the snapshot has it, or is at a call. */
struct machine {
	struct vee_vm *vm;
	struct vee_vcpu *vcpu;
};

/* Where the guest wants its bytes, and has its result: all of it is in its memory. */
struct buffers {
	uint64_t in;
	uint64_t in_room;
	uint64_t out;
	uint64_t out_room;
};

/* @idle: those that nobody has, the last one used last. */
struct vee_fn {
	struct vee_fn_options options;
	struct buffers buffers;
	struct vee_vm_snapshot *snapshot;
	pthread_mutex_t lock;
	pthread_cond_t given_back;
	struct machine *idle;
	unsigned int idle_count;
	unsigned int made;
};

/* --- run.c --- */

/*
 * Runs @machine until it is at FN_READY or FN_DONE, @until, and has it do what it asks of
 * the host meanwhile. 0, or -ETIME, -EDQUOT, -ENOTRECOVERABLE, or an error of the engine's;
 * @why, if not NULL, has been told.
 */
int fn_run(const struct vee_fn *fn, struct machine *machine, unsigned int until, FILE *why);

/* --- pool.c --- */

int fn_make_machine(const struct vee_fn *fn, struct machine *machine);
int fn_take(struct vee_fn *fn, struct machine *machine);
/* Puts it back to the snapshot; one that can't be is destroyed. */
void fn_give_back(struct vee_fn *fn, struct machine *machine);
void fn_destroy_machine(struct machine *machine);

#endif /* VEE_FN_H */
