// SPDX-License-Identifier: GPL-2.0-only
/* Lab 4: interrupts. README.md says what is to be done; guest.h has the guest. */
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <vee.h>

#include "guest.h"

#define RFLAGS_IF	0x200
#define NS_PER_MS	1000000ULL

static struct vee_vcpu *vcpu;

/* The devices: which of them wants an interrupt, and the timer's state. */
static bool timer_wants, key_wants;
static uint64_t period_ns;	/* 0: it doesn't tick */
static uint64_t next_ns;	/* when it does next */
static uint8_t ticks;

/* libvee's functions return 0 or more, or -errno. */
static void check(int ret, const char *what)
{
	if (ret < 0) {
		errno = -ret;
		err(1, "%s", what);
	}
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

/*
 * Tasks "wake" and "two": before each run. If a device wants an interrupt and the guest is
 * ready for it, it has it, one a run. If there is one more, or the guest is not ready, the
 * next run is to end as soon as it is.
 */
static void deliver(void)
{
	struct vee_vcpu_page *page = vcpu->page;
	bool ready = page->exit.flags & VEE_EXIT_INTERRUPT_READY;

	if (ready && timer_wants) {
		vee_inject_interrupt(vcpu, VECTOR_TIMER);
		timer_wants = false;
	} else if (ready && key_wants) {
		vee_inject_interrupt(vcpu, VECTOR_KEY);
		key_wants = false;
	}
	if (timer_wants || key_wants)
		page->intercept |= VEE_INTERCEPT_INTERRUPT_WINDOW;
	else
		page->intercept &= ~VEE_INTERCEPT_INTERRUPT_WINDOW;
}

/* Tasks "spin" and "busy": before each run. It ends when the timer ticks next. */
static void set_deadline(void)
{
	uint64_t now = now_ns();

	if (!period_ns)
		vcpu->page->deadline_ns = 0;
	else
		vcpu->page->deadline_ns = next_ns > now ? next_ns - now : 1;
}

/* Likewise: after each run. Is it time for a tick? */
static void look_at_timer(void)
{
	if (!period_ns || now_ns() < next_ns)
		return;
	timer_wants = true;
	ticks++;
	next_ns += period_ns;
}

/* What the guest tells, each part on a line of its name. */
static void tell(char letter)
{
	static const char *const parts[] = { "wake", "two", "spin", "busy", "count" };
	static unsigned int part;
	static bool begun;

	if (!begun && part < 5)
		printf("%s: ", parts[part++]);
	begun = letter != '\n';
	putchar(letter);
}

/* An OUT. */
static void write_port(unsigned int port, unsigned int value)
{
	switch (port) {
	case PORT_STORY:
		tell(value);
		break;
	case PORT_BOTH:
		timer_wants = true;
		key_wants = true;
		break;
	case PORT_PERIOD:
		period_ns = value * NS_PER_MS;
		next_ns = now_ns() + period_ns;
		break;
	}
	vee_done(vcpu);
}

/* Task "count": an IN. */
static void read_port(unsigned int port)
{
	vee_done_in(vcpu, port == PORT_TICKS ? ticks : 0xff);
}

/* HLT: false if the guest has interrupts off, and this is its end. */
static bool halt(void)
{
	if (!(vcpu->page->regs.rflags & RFLAGS_IF))
		return false;
	timer_wants = true;
	vee_done(vcpu);
	return true;
}

/* What the last run ended for. False: the guest is done. */
static bool answer(void)
{
	const struct vee_exit *exit = &vcpu->page->exit;

	switch (exit->reason) {
	case VEE_EXIT_PIO:
		if (exit->pio.direction == VEE_PIO_OUT)
			write_port(exit->pio.port, exit->pio.data);
		else
			read_port(exit->pio.port);
		return true;
	case VEE_EXIT_HLT:
		return halt();
	case VEE_EXIT_INTERRUPT_WINDOW:
	case VEE_EXIT_DEADLINE:
		return true;
	default:
		vee_explain(vcpu, stdout);
		return false;
	}
}

static void make_guest(void)
{
	struct vee_vm *vm;

	check(vee_vm_create(&vm), "making a VM");
	check(vee_vm_alloc(vm, 0, MEMORY, NULL), "giving it memory");
	check(vee_vm_write(vm, CODE, guest, guest_end - guest), "copying the guest");
	check(vee_vcpu_create(vm, 0, &vcpu), "making a vCPU");
	vee_vcpu_set_real_mode(vcpu, CODE >> 4, 0);
}

int main(void)
{
	int ret;

	setlinebuf(stdout);
	make_guest();
	do {
		deliver();
		set_deadline();
		ret = vee_vcpu_run(vcpu);
		if (ret == -EINTR)	/* a signal, and no exit to answer */
			continue;
		check(ret, "running the guest");
		look_at_timer();
	} while (ret == -EINTR || answer());
	puts("the guest is done");
	return 0;
}
