// SPDX-License-Identifier: GPL-2.0-only
/*
 * The machine goes down while a guest runs. Runs in the lab, on two CPUs: a child
 * calls reboot(2) on one, a guest goes round on the other. From when vee is told, no
 * CPU goes into VMX operation any more, and a run must end with ESHUTDOWN. Says so by
 * the debug port itself: nobody may get to copy a pipe any more.
 * It ends with the machine: lab/check looks at the console then.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <stdbool.h>
#include <sys/io.h>
#include <sys/reboot.h>
#include <time.h>
#include <unistd.h>

#include "frame.h"
#include "spinner.h"

#define LIMIT_S		5

static void say(const char *text)
{
	outb(FRAME_OUTPUT, E9_PORT);
	for (; *text; text++) {
		outb(FRAME_HIGH | (unsigned char)*text >> 4, E9_PORT);
		outb(FRAME_LOW | (*text & 15), E9_PORT);
	}
}

/* Once the guest runs for sure. */
static void go_down(void)
{
	struct timespec while_it_runs = { .tv_nsec = 300000000 };

	pin_to_cpu(0);
	nanosleep(&while_it_runs, NULL);
	reboot(RB_POWER_OFF);
	say("reboot(2) has returned\n");
	_exit(1);
}

/* Until @error is what a run gives; false after the time limit. */
static bool runs_until(struct vee_vcpu *vcpu, int error)
{
	time_t end = time(NULL) + LIMIT_S;

	while (time(NULL) < end) {
		vcpu->page->deadline_ns = 50000000;
		if (vee_vcpu_run(vcpu) == error)
			return true;
	}
	return false;
}

int main(void)
{
	struct vee_vcpu *vcpu;

	if (iopl(3))
		err(1, "iopl");
	pin_to_cpu(1);
	vcpu = make_spinner();
	if (!fork())
		go_down();
	if (!runs_until(vcpu, -ESHUTDOWN))
		errx(1, "the guest still runs");
	say("the guest is refused: ESHUTDOWN\n");
	/* And stays refused, to the end of the machine. */
	if (runs_until(vcpu, 0))
		say("the guest runs again\n");
	errx(1, "the machine is still up");
}
