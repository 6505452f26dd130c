// SPDX-License-Identifier: LGPL-2.1-or-later
/* What a function asks of its host, and all the ways in which it can end. */
#include <stdlib.h>
#include <time.h>

#include <fn_abi.h>
#include "fn.h"

#define NS_PER_S	1000000000ULL

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * NS_PER_S + now.tv_nsec;
}

/* The time that a call has is for all of its runs together. */
struct clock {
	uint64_t limit_ns;	/* 0: none */
	uint64_t began_ns;
};

static bool time_is_left(const struct clock *clock, struct vee_vcpu_page *page)
{
	uint64_t gone = clock->limit_ns ? now_ns() - clock->began_ns : 0;

	if (clock->limit_ns && gone >= clock->limit_ns)
		return false;
	page->deadline_ns = clock->limit_ns - gone;
	return true;
}

/* --- host functions --- */

static bool overlap(uint64_t a, uint64_t a_bytes, uint64_t b, uint64_t b_bytes)
{
	return a_bytes && b_bytes && a < b + b_bytes && b < a + a_bytes;
}

/*
 * A piece of the guest's memory, for a host function: where it is, if that is one piece
 * here as well, or a copy. Nothing but this thread reaches the memory meanwhile: its one
 * vCPU is here.
 */
struct lent {
	uint64_t gpa;
	size_t bytes;
	uint8_t *at;
	void *copy;
};

static int lend(const struct machine *machine, uint64_t gpa, size_t bytes, bool write,
		struct lent *lent)
{
	int err;

	*lent = (struct lent) { .gpa = gpa, .bytes = bytes };
	/* Of no bytes: an address all the same. */
	err = vm_find(machine->vm, gpa, bytes ? bytes : 1, 0, write && bytes, &lent->at);
	if (err || lent->at)
		return err;
	lent->copy = malloc(bytes + 1);
	if (!lent->copy)
		return -ENOMEM;
	lent->at = lent->copy;
	return vee_vm_read(machine->vm, gpa, lent->copy, bytes);
}

static int take_back(const struct machine *machine, struct lent *lent, bool written)
{
	int err = 0;

	if (written && lent->copy)
		err = vee_vm_write(machine->vm, lent->gpa, lent->copy, lent->bytes);
	else if (written)
		vm_mark(machine->vm, lent->gpa, lent->bytes);
	free(lent->copy);
	return err;
}

/* *@answer is the host function's. */
static int call_lent(const struct vee_fn *fn, const struct machine *machine,
		     vee_fn_host host, const struct vee_regs *regs, long *answer)
{
	struct lent in, out = { 0 };
	int err = lend(machine, regs->rdi, regs->rsi, false, &in), late;

	if (!err)
		err = lend(machine, regs->rdx, regs->rcx, true, &out);
	if (!err)
		*answer = host(fn->options.arg, in.at, in.bytes, out.at, out.bytes);
	take_back(machine, &in, false);
	late = take_back(machine, &out, !err);
	return err ? err : late;
}

static int call_host(const struct vee_fn *fn, const struct machine *machine,
		     uint64_t number, const struct vee_regs *regs, long *answer)
{
	uint64_t in = regs->rdi, in_bytes = regs->rsi, out = regs->rdx, out_room = regs->rcx;
	int err;

	*answer = -FN_ENOSYS;
	if (number >= fn->options.host_count)
		return 0;
	*answer = -FN_EFAULT;
	if (!within(in, in_bytes, fn->options.memory) ||
	    !within(out, out_room, fn->options.memory))
		return 0;
	*answer = -FN_EINVAL;
	if (overlap(in, in_bytes, out, out_room))
		return 0;
	err = call_lent(fn, machine, fn->options.hosts[number], regs, answer);
	if (*answer > 0 && (uint64_t)*answer > out_room)
		*answer = -FN_EFAULT;
	return err;
}

/* --- ends --- */

static int tell(FILE *why, struct vee_vcpu *vcpu, int err, const char *what)
{
	if (!why)
		return err;
	fprintf(why, "%s\n", what);
	vee_explain(vcpu, why);
	return err;
}

static int time_over(const struct vee_fn *fn, struct machine *machine, FILE *why)
{
	if (why)
		fprintf(why,
			"vee_fn_options.deadline_ns, %llu ns, is over, and the function is still at it:\n",
			(unsigned long long)fn->options.deadline_ns);
	if (why)
		vee_explain(machine->vcpu, why);
	return -ETIME;
}

static int no_memory(FILE *why, int err)
{
	if (why)
		fprintf(why, "what a host function is called with can't be had: %s\n",
			strerror(-err));
	return err;
}

static int memory_over(const struct vee_fn *fn, const struct machine *machine, FILE *why)
{
	if (why)
		fprintf(why,
			"the function wants %llu bytes more than vee_fn_options.memory, %zu\n",
			(unsigned long long)machine->vcpu->page->regs.rdi, fn->options.memory);
	return -EDQUOT;
}

static int crashed(struct machine *machine, FILE *why)
{
	return tell(why, machine->vcpu, -ENOTRECOVERABLE,
		    "the function has crashed, and its machine is put back:");
}

/* --- */

static int run_once(const struct clock *clock, struct vee_vcpu *vcpu)
{
	int err;

	do {
		if (!time_is_left(clock, vcpu->page)) {
			vcpu->page->exit.reason = VEE_EXIT_DEADLINE;
			return 0;
		}
		err = vee_vcpu_run(vcpu);
	} while (err == -EINTR);
	return err;
}

int fn_run(const struct vee_fn *fn, struct machine *machine, unsigned int until, FILE *why)
{
	const struct clock clock = {
		.limit_ns = fn->options.deadline_ns,
		.began_ns = fn->options.deadline_ns ? now_ns() : 0,
	};
	struct vee_vcpu_page *page = machine->vcpu->page;

	for (;;) {
		int err = run_once(&clock, machine->vcpu);
		long answer;

		if (err)
			return tell(why, machine->vcpu, err, "the machine can't be run:");
		if (page->exit.reason == VEE_EXIT_DEADLINE)
			return time_over(fn, machine, why);
		if (page->exit.reason != VEE_EXIT_HYPERCALL)
			return crashed(machine, why);
		if (page->regs.rax == until)
			return 0;
		if (page->regs.rax == FN_NO_MEMORY)
			return memory_over(fn, machine, why);
		if (page->regs.rax < FN_HOST)
			return crashed(machine, why);
		err = call_host(fn, machine, page->regs.rax - FN_HOST, &page->regs, &answer);
		if (err)
			return no_memory(why, err);
		page->regs.rax = answer;
		vee_done(machine->vcpu);
	}
}
