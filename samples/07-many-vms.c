// SPDX-License-Identifier: GPL-2.0-only
/*
 * 64 virtual machines, and one thread that runs all of them to their ends. Each
 * guest adds up its numbers, writes to a port after each, and the thread answers
 * whichever has written: through io_uring, so that a system call does many steps of
 * many guests. Every eighth guest then does not halt but goes round for ever: those
 * go on in threads of the kernel's, where they keep nobody, until they are cancelled.
 */
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <vee.h>

/* The guest, in real mode: its number is in BX, how many numbers to add in CX. */
extern const char guest[], guest_end[];
asm(".pushsection .rodata; .code16\n"
"guest:	xor	%ax, %ax\n"
"next:	add	%cx, %ax\n"
"	out	%ax, $0x10\n"		/* the sum so far: an exit */
"	loop	next\n"
"	test	$7, %bx\n"
"	jz	spin\n"
"	hlt\n"
"spin:	sti\n"
"	jmp	spin\n"
"guest_end: .code64; .popsection\n");

#define MACHINES	64
#define ROUNDS		20
#define CODE		0x1000
#define MEMORY		0x10000
#define BUDGET_US	1000	/* a step takes far less, going round for ever more */

#define NO_VEE	"/dev/vee (loaded? \"vee check\" tells more; \"make demo\" runs this without VMX)"

struct machine {
	struct vee_vm *vm;
	struct vee_vcpu *vcpu;
	unsigned int steps;
	unsigned int sum;
};

static struct machine machines[MACHINES];

static void check(int ret, const char *what)
{
	if (ret < 0) {
		errno = -ret;
		err(1, "%s", what);
	}
}

static void build(struct machine *m, unsigned int number)
{
	check(vee_vm_create(&m->vm), NO_VEE);
	check(vee_vm_alloc(m->vm, 0, MEMORY, NULL), "giving the VM memory");
	check(vee_vm_write(m->vm, CODE, guest, guest_end - guest), "copying the guest");
	check(vee_vcpu_create(m->vm, 0, &m->vcpu), "making a vCPU");
	vee_vcpu_set_real_mode(m->vcpu, CODE >> 4, 0);
	m->vcpu->page->regs.rbx = number;
	m->vcpu->page->regs.rcx = ROUNDS;
}

static struct machine *machine_of(const struct vee_vcpu *vcpu)
{
	struct machine *m = machines;

	while (m->vcpu != vcpu)
		m++;
	return m;
}

/* One step is over. True: so is the machine. */
static bool answer(struct vee_ring *ring, struct machine *m, int result)
{
	switch (result) {
	case VEE_EXIT_PIO:
		m->sum = m->vcpu->page->exit.pio.data;
		m->steps++;
		vee_done(m->vcpu);
		break;
	case -EINTR:
	case -ECANCELED:
		if (m->steps == ROUNDS)
			return true;	/* by us, below */
		break;
	case VEE_EXIT_HLT:
		return true;
	default:
		check(result, "running a guest");
		vee_explain(m->vcpu, stderr);
		errx(1, "a guest stopped: %s", vee_exit_name(result));
	}
	check(vee_ring_run(ring, m->vcpu, BUDGET_US), "queueing a run");
	return false;
}

int main(void)
{
	unsigned int halted = 0, cancelled = 0, steps = 0;
	struct vee_ring *ring;
	int ret;

	check(vee_ring_create(&ring, MACHINES), "a ring of io_uring's (\"vee check\" tells more)");
	for (int i = 0; i < MACHINES; i++) {
		build(&machines[i], i);
		check(vee_ring_run(ring, machines[i].vcpu, BUDGET_US), "queueing a run");
	}
	while (halted + cancelled < MACHINES) {
		struct vee_ring_event event;

		ret = vee_ring_wait(ring, &event);
		if (ret == -EINTR)
			continue;
		check(ret, "waiting");
		if (!answer(ring, machine_of(event.vcpu), event.result))
			continue;
		if (event.result == VEE_EXIT_HLT)
			halted++;
		else
			cancelled++;
		/* The others have no end of their own. */
		if (halted == MACHINES - MACHINES / 8 && !cancelled)
			for (int i = 0; i < MACHINES; i += 8)
				check(vee_ring_cancel(ring, machines[i].vcpu), "cancelling");
	}
	for (int i = 0; i < MACHINES; i++) {
		steps += machines[i].steps;
		if (machines[i].sum != ROUNDS * (ROUNDS + 1) / 2)
			errx(1, "machine %d counted to %u", i, machines[i].sum);
		vee_vcpu_destroy(machines[i].vcpu);
		vee_vm_destroy(machines[i].vm);
	}
	vee_ring_destroy(ring);
	printf("%d machines, %u steps, one thread: %u halted, %u were cancelled\n",
	       MACHINES, steps, halted, cancelled);
	return 0;
}
