/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A kick, a sent event, HLT and the wake-up: kmod/vcpu/runner.c and kmod/vcpu/halt.c.
 *
 * One thread runs a vCPU RUNS times. Meanwhile others want something of it: two to end
 * the run that they have read the number of, and one to wake the guest by an event.
 * Each sets its mark and then looks where the thread is; the thread says where it is and
 * then looks at the marks. Between the two there has to be a full barrier on either side, or
 * both look too early: the thread enters the guest or goes to sleep, and nobody tells it.
 *
 * A guest that is entered runs until an interrupt comes. So a kick that is lost shows at the
 * end, when nothing can move any more: a vCPU in the guest, or asleep, with a mark set.
 *
 * What is left out: deadlines and signals, which are marks like the other two, and inline
 * runs, where a run goes on in another thread.
 *
 * Wrong on purpose, one at a time: BUG_NUDGE_BARRIER, BUG_BEGIN_BARRIER, BUG_EARLY_LOOK,
 * BUG_ANY_RUN, BUG_OLDER_KICK, BUG_LOOKS_ON, BUG_SLEEPS_LATE. The barrier at the end of
 * stay() is one more than it takes: the look that follows has one before it.
 */
#define CPUS	4	/* the vCPU's thread's; the sender's; two kickers' */
#ifndef SHORT
#define RUNS	2
#else
#define RUNS	1
#endif

/* Of struct runner; the task's state; and what somebody sends. */
#define TASK		0
#define SLEEPS		1
#define LOOKS		2
#define GENERATION	3
#define KICKED		4
#define INTERRUPTIBLE	5
#define SENT		6
#define VARS		7
#include "tso.h"

bool irqs_off, ipi;	/* of the vCPU's CPU */
bool in_guest, asleep, off_cpu;
bool named[RUNS + 2];	/* which generations somebody wanted to end */

/* An interrupt comes at once where interrupts are on, and then has done its work. */
inline send_ipi(cpu)
{
	BARRIER(cpu);
	atomic { if :: irqs_off -> ipi = true :: else fi }
}

inline irqs_on()
{
	atomic { irqs_off = false; ipi = false }
}

/* --- who wants something ------------------------------------------------------ */

/* `runner_nudge()` in `runner.c`, after the barrier of `runner_interrupt()` in `runner.c` */
inline interrupt(cpu)
{
#ifndef BUG_NUDGE_BARRIER
	BARRIER(cpu);
#endif
	if
	:: !LOAD(TASK)
	:: else ->
		if
		:: LOAD(SLEEPS) ->
			/* wake_up_process(), under the scheduler's lock */
			BARRIER(cpu);
			memory[INTERRUPTIBLE] = false
		:: else ->
			if
			:: LOAD(LOOKS)
			:: else ->
				/* kick_process() */
				if :: off_cpu :: else -> send_ipi(cpu) fi
			fi
		fi
	fi
}

/* `runner_kick()` in `runner.c`, with the number that the vCPU page has */
proctype kicker(byte cpu)
{
	byte generation;

	if
	:: true	/* or nobody kicks */
	:: true ->
		generation = LOAD(GENERATION);
		if
		:: LOAD(GENERATION) != generation	/* -ESTALE */
		:: else ->
			named[generation] = true;
			/* A locked instruction. */
			atomic {
				if
#ifndef BUG_OLDER_KICK
				:: LOAD(KICKED) > generation
#endif
				:: else -> memory[KICKED] = generation
				fi
			};
			interrupt(cpu)
		fi
	fi
}

/* Of all whose mark is a plain store: `deadline_passed()` in `deadline.h`, say. */
proctype sender(byte cpu)
{
	STORE(cpu, SENT, true);
	interrupt(cpu)
}

/* --- the thread --------------------------------------------------------------- */

/* `runner_is_kicked()` in `runner.h` */
#ifndef BUG_ANY_RUN
#define IS_KICKED(generation)	(LOAD(KICKED) == generation)
#else
#define IS_KICKED(generation)	(LOAD(KICKED) != 0)
#endif

/* `wakes()` in `halt.c` */
#define WAKES	(LOAD(SENT) || IS_KICKED(generation))

/* `stay()` in `halt.c`: as long as it likes */
inline stay()
{
	STORE(0, LOOKS, true);
	do
	:: WAKES -> break
	:: true -> break
	od;
#ifndef BUG_LOOKS_ON
	STORE_BARRIER(0, LOOKS, false)
#endif
}

/* `sleep_till_woken()` in `halt.c` */
inline sleep_till_woken()
{
#ifndef BUG_SLEEPS_LATE
	STORE(0, SLEEPS, true);
#endif
	do
	:: true ->
		/* `sleep_once()` in `halt.c`: set_current_state() */
		STORE_BARRIER(0, INTERRUPTIBLE, true);
		if :: WAKES -> break :: else fi;
#ifdef BUG_SLEEPS_LATE
		STORE_BARRIER(0, SLEEPS, true);
#endif
		/* schedule() */
		atomic { asleep = true; off_cpu = true };
end_asleep:	atomic { !LOAD(INTERRUPTIBLE) -> asleep = false; off_cpu = false }
	od;
	STORE(0, INTERRUPTIBLE, false);
	STORE_BARRIER(0, SLEEPS, false)
}

/* `in_bracket()` in `run.c`, with the entry. */
inline bracket(generation)
{
#ifdef BUG_EARLY_LOOK
	kicked = IS_KICKED(generation);
#endif
	irqs_off = true;
	/* `may_enter()` in `run.c`: with interrupts off, so that none can come unseen. */
#ifndef BUG_EARLY_LOOK
	kicked = IS_KICKED(generation);
#endif
	if
	:: kicked ->
		/* A kick ends the run that it names: `runner_is_kicked()` in `runner.h`. */
		assert(named[generation]);
		next = USER
	:: else ->
		/* `event_take_sent()` in `event.h` */
		if
		:: LOAD(SENT) -> BARRIER(0); memory[SENT] = false; halted = false
		:: else
		fi;
		if
		:: halted -> next = SLEEP
		:: else ->
			in_guest = true;
			if
			:: true -> skip;
end_guest:			ipi -> next = HOST
			:: true -> halted = true; next = HOST	/* HLT */
			:: true -> next = USER			/* any other exit */
			fi;
			in_guest = false
		fi
	fi;
	kicked = false;
	irqs_on()
}

mtype = { HOST, SLEEP, USER };

/* `run_here()` in `run.c`, between two ends of runs */
proctype vcpu()
{
	byte generation = 1;
	bool halted, kicked;
	mtype next = HOST;

	do
	:: generation > RUNS -> break
	:: else ->
		STORE(0, TASK, true);
		do
		:: true ->
			/* Out of the stretch it may be off its CPU for a while. */
			if
			:: atomic { BARRIER(0) -> off_cpu = true }; atomic { off_cpu = false }
			:: true
			fi;
			/* `presence_begin()` in `presence.h` is the barrier of every stretch. */
#ifndef BUG_BEGIN_BARRIER
			BARRIER(0);
#endif
			bracket(generation);
			if
			:: next == USER -> break
			:: next == SLEEP ->
				/* `halt_sleep()` in `halt.c` */
				if :: stay() :: true fi;
				if :: WAKES :: else -> sleep_till_woken() fi
			:: else
			fi
		od;
		STORE(0, TASK, false);
		/* `run_end()` in `run.c` */
		generation++;
		STORE(0, GENERATION, generation)
	od
}

init
{
	atomic {
		memory[GENERATION] = 1;	/* `runner_init()` in `runner.c` */
		run vcpu();
		run sender(1);
#ifndef SHORT
		run kicker(2);
#endif
		run kicker(3)
	}
}

/* When nothing moves any more, whoever wanted something has got it. */
active proctype quiet()
{
	timeout;
	/* What `runner_interrupt()` in `runner.c` is for. */
	assert(!(in_guest || asleep) || (!LOAD(SENT) && !named[LOAD(GENERATION)]))
}
