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

static void access_sum(void *data, bool write)
{
	uint32_t addend;

	if (write) {
		memcpy(&addend, data, sizeof(addend));
		sum += addend;
	} else {
		memcpy(data, &sum, sizeof(sum));
		sum = 0;
	}
}

/* Task "registers": one access. What no register answers reads as ones. */
static int access_device(void *arg, uint64_t gpa, void *data, unsigned int bytes, bool write)
{
	uint64_t reg = gpa - DEVICE;

	if (!write)
		memset(data, 0xff, bytes);
	if (reg == REG_ID && !write)
		memcpy(data, &(uint32_t){ ID }, 4);
	else if (reg == REG_VALUE && write)
		memcpy(&value, data, bytes);
	else if (reg == REG_VALUE)
		memcpy(data, &value, bytes);
	else if (reg >= REG_SUM && reg < REG_SUM_END)
		access_sum(data, write);
	return 0;
}

/* --- which instruction was it? --- */

#define REX_W	8
#define REX_R	4

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
	unsigned int rex = 0, at = 0, mod, rm, base;

	if (known < VEE_INSN_MAX)	/* its end could be beyond */
		return false;
	if ((insn[at] & 0xf0) == 0x40)
		rex = insn[at++];
	if (insn[at] != 0x89 && insn[at] != 0x8b)
		return false;
	mov->write = insn[at++] == 0x89;
	mov->bytes = rex & REX_W ? 8 : 4;
	mod = insn[at] >> 6;
	mov->reg = (insn[at] >> 3 & 7) | (rex & REX_R ? 8 : 0);
	rm = insn[at++] & 7;
	base = rm;
	if (rm == 4)
		base = insn[at++] & 7;	/* SIB */
	if (mod == 1)
		at += 1;
	else if (mod == 2 || (mod == 0 && base == 5))
		at += 4;
	mov->length = at;
	return mod != 3;
}

/* ...and does it. */
static void do_mov(const struct mov *mov, uint64_t gpa)
{
	uint64_t *reg = (uint64_t *)&vcpu->page->regs.gpr[mov->reg];

	if (!mov->write)
		*reg = 0;	/* a load of 4 bytes clears the upper half */
	access_device(NULL, gpa, reg, mov->bytes, mov->write);
	if (mov->reg == 4)
		vcpu->page->dirty |= VEE_STATE_REGS;	/* RSP is the VMCS's */
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
	check(vee_mmio_assist(vcpu, access_device, NULL), "an instruction");
}

/* --- jobs --- */

/* Task "doorbell": the eventfd, and that a write to REG_BELL signals it. */
static void make_bell(void)
{
	struct vee_doorbell doorbell = {
		.address = DEVICE + REG_BELL,
		.space = VEE_SPACE_MEMORY,
		.width = 4,
	};

	bell = eventfd(0, EFD_CLOEXEC);
	if (bell < 0)
		err(1, "an eventfd");
	doorbell.eventfd = bell;
	check(vee_vm_doorbell(vcpu->vm, &doorbell), "a doorbell");
}

/* Likewise: the job that is in the guest's memory at @gpa. All in it is the guest's choice. */
static void do_job(uint64_t gpa)
{
	struct job *job = vee_vm_at(vcpu->vm, gpa, sizeof(*job));
	uint32_t status = STATUS_BAD, count;
	const uint32_t *numbers;
	uint64_t total = 0;

	if (!job)
		return;
	count = *(volatile uint32_t *)&job->count;	/* once: the guest may change it */
	numbers = vee_vm_at(vcpu->vm, *(volatile uint64_t *)&job->gpa, count * sizeof(*numbers));
	if (numbers) {
		for (uint32_t i = 0; i < count; i++)
			total += numbers[i];
		status = STATUS_DONE;
	}
	job->sum = total;
	__atomic_store_n(&job->status, status, __ATOMIC_RELEASE);
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
	uint64_t count = 0;

	if (read(bell, &count, sizeof(count)) < 0)
		err(1, "the bell");
	return count;
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

static uint64_t rung;

static void wait_for_bell(struct vee_ring *ring)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(vee_ring_uring(ring));

	io_uring_prep_read(sqe, bell, &rung, sizeof(rung), 0);
	sqe->user_data = READ_BELL;
}

/*
 * Task "uring": until the guest halts. One ring has both: the guest's run, and a read of
 * the bell, for the guest rings and then waits, without an exit, for its job to be done.
 */
static void run_on_ring(void)
{
	enum what what = GO_ON;
	struct vee_ring *ring;

	check(vee_ring_create(&ring, 1), "a ring");
	wait_for_bell(ring);
	check(vee_ring_run(ring, vcpu, BUDGET_US), "queueing a run");
	while (what == GO_ON) {
		struct vee_ring_event event;
		int ret = vee_ring_wait(ring, &event);

		if (ret == -EINTR)
			continue;
		check(ret, "waiting");
		if (!event.vcpu) {
			check(event.result, "the bell");
			do_jobs(rung);
			wait_for_bell(ring);
			continue;
		}
		if (event.result != -EINTR) {
			check(event.result, "running the guest");
			what = answer();
		}
		if (what == GO_ON)
			check(vee_ring_run(ring, vcpu, BUDGET_US), "queueing a run");
	}
	vee_ring_destroy(ring);
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
