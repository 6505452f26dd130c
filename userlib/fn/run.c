// SPDX-License-Identifier: LGPL-2.1-or-later
/* What a function asks of its host, and all the ways in which it can end. */
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

/* Nothing but this thread reaches the memory meanwhile: its one vCPU is here. */
static long call_host(const struct vee_fn *fn, const struct machine *machine,
		      uint64_t number, const struct vee_regs *regs)
{
	uint64_t in = regs->rdi, in_bytes = regs->rsi, out = regs->rdx, out_room = regs->rcx;
	long ret;

	if (number >= fn->options.host_count)
		return -FN_ENOSYS;
	if (!within(in, in_bytes, fn->options.memory) ||
	    !within(out, out_room, fn->options.memory))
		return -FN_EFAULT;
	if (overlap(in, in_bytes, out, out_room))
		return -FN_EINVAL;
	ret = fn->options.hosts[number](fn->options.arg, machine->memory + in, in_bytes,
					machine->memory + out, out_room);
	vm_mark(machine->vm, out, out_room);
	return ret > 0 && (uint64_t)ret > out_room ? -FN_EFAULT : ret;
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
		page->regs.rax = call_host(fn, machine, page->regs.rax - FN_HOST, &page->regs);
		vee_done(machine->vcpu);
	}
}
