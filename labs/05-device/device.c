// SPDX-License-Identifier: GPL-2.0-only
/* Lab 5: a device. README.md says what is to be done; lab.h has the guest. */
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <liburing.h>

#include "lab.h"

#define BUDGET_US	100	/* what of a run vee_ring_wait() may do itself */
#define READ_BELL	2	/* user_data of the ring's request: an even number */

static struct vee_vcpu *vcpu;
static int bell = -1;		/* an eventfd: counts how often the guest has rung */

/* --- the device --- */

static uint64_t value;		/* of REG_VALUE */
static uint32_t sum;		/* of REG_SUM */

/* Task "registers": one access. What no register answers reads as ones. */
static int access_device(void *arg, uint64_t gpa, void *data, unsigned int bytes, bool write)
{
	if (!write)
		memset(data, 0xff, bytes);
	return 0;
}

/* --- which instruction was it? --- */

struct mov {
	bool write;		/* from a register to the device */
	unsigned int bytes;	/* 4, or 8 */
	unsigned int reg;	/* which: 0 to 15 */
	unsigned int length;	/* of the instruction */
};

/*
 * Task "decode": is it a MOV between a general register and memory, 89H or 8BH, perhaps
 * with a REX prefix? False: no, or not all of it is among the @known bytes.
 */
static bool decode(const uint8_t *insn, unsigned int known, struct mov *mov)
{
	return false;
}

/* ...and does it. */
static void do_mov(const struct mov *mov, uint64_t gpa)
{
	/* vcpu->page->regs.gpr[] has the registers, by these numbers */
}

/* Tasks "registers" and "library": the guest has touched what is no memory. */
static void answer_mmio(void)
{
	struct vee_exit *exit = &vcpu->page->exit;
	struct mov mov;

	if (exit->memory.gpa == DEVICE + REG_BELL)
		bell_exits++;
	if (decode(exit->memory.insn, exit->memory.insn_bytes, &mov)) {
		do_mov(&mov, exit->memory.gpa);
		exit->instruction_length = mov.length;
		vee_done(vcpu);
		by_decode++;
		return;
	}
	by_library++;
	errx(1, "answer_mmio(): an access to 0x%llx is not answered", exit->memory.gpa);
}

/* --- jobs --- */

/* Task "doorbell": the eventfd, and that a write to REG_BELL signals it. */
static void make_bell(void)
{
}

/* Likewise: the job that is in the guest's memory at @gpa. All in it is the guest's choice. */
static void do_job(uint64_t gpa)
{
	/* vee_vm_at() gives guest memory; the status comes last, for the guest waits for it */
}

/* So many jobs more. */
static void do_jobs(uint64_t count)
{
	static uint64_t next = JOBS;

	for (; count; count--, next += sizeof(struct job))
		do_job(next);
}

/* Likewise: how often has the guest rung since? */
static uint64_t look_at_bell(void)
{
	return 0;
}

/* --- what a run ended for --- */

enum what { GO_ON, BY_RING, OVER };

static enum what answer_port(const struct vee_exit_pio *pio)
{
	vee_done(vcpu);
	if (pio->port == PORT_RING)
		return BY_RING;
	if (pio->port == PORT_LOOK)
		do_jobs(look_at_bell());
	else
		tell(pio->port, pio->data);
	return GO_ON;
}

static enum what answer(void)
{
	const struct vee_exit *why = &vcpu->page->exit;

	switch (why->reason) {
	case VEE_EXIT_PIO:
		return answer_port(&why->pio);
	case VEE_EXIT_MMIO:
		answer_mmio();
		return GO_ON;
	case VEE_EXIT_HLT:
		return OVER;
	default:
		vee_explain(vcpu, stdout);
		exit(1);
	}
}

/*
 * Task "uring": until the guest halts. One ring has both: the guest's run, and a read of
 * the bell, for the guest rings and then waits, without an exit, for its job to be done.
 */
static void run_on_ring(void)
{
	errx(1, "run_on_ring() is missing");
}

int main(void)
{
	enum what what = GO_ON;

	setlinebuf(stdout);
	vcpu = make_guest();
	make_bell();
	while (what == GO_ON) {
		int ret = vee_vcpu_run(vcpu);

		if (ret == -EINTR)	/* a signal, and no exit to answer */
			continue;
		check(ret, "running the guest");
		what = answer();
	}
	if (what == BY_RING)
		run_on_ring();
	puts("the guest is done");
	return 0;
}
