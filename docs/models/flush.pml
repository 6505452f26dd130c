/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The host takes a page that a guest is using: kmod/memory/slots.c, presence.c, fault.c, ept.h
 * and flush_stale() in kmod/vcpu/run.c.
 *
 * Two vCPUs of a VM run on two CPUs, and each may move to the other CPU between two stretches.
 * They read one page. The host replaces it: it calls the notifier, takes the page out of
 * its own page table, and gives it to somebody else. From then on no access of the guest's may
 * reach it, neither by the EPT nor by what a CPU has cached of the EPT.
 *
 * Who invalidates changes the tables, then the generation, then looks who is present; who is
 * about to enter says that it is present, then looks at the generation. With a full barrier
 * on either side one of the two sees the other. And a fault that has looked up the page before
 * the host began must not map it after: that is what the sequence number is for.
 *
 * What is left out: levels of tables, templates, recorded writes.
 *
 * Wrong on purpose, one at a time: BUG_BEGIN_BARRIER, BUG_FLUSH_BARRIER, BUG_GENERATION_FIRST,
 * BUG_NO_WAIT, BUG_LOOK_EARLY, BUG_NO_RETRY, BUG_PART_EARLY.
 */
#define HOST	2	/* whose CPU that is */
#define CPUS	3
#define NOBODY	9
#define FIRST	(CPUS + 1)	/* of the vCPUs' processes: after to_memory() and host() */

#define PRESENT(vcpu)	(vcpu)	/* 0: on no CPU, else 1 + which */
#define GENERATION	2
#define ENTRY		3	/* the EPT's: which page, 0: none */
#define SEEN(cpu)	(4 + (cpu))	/* ept.cpu_generation[] */
#define VARS		6
#include "tso.h"

#define PAGES	2
byte host_page = 1;		/* the host's page table: which page it is; 0: none */
bool gone[PAGES + 1];		/* given to somebody else */
byte seq;			/* of the notifier; odd: a change is under way */
byte cached[2];			/* by each CPU, of the EPT */
byte lock = NOBODY;		/* memory.lock */
bool taken_up[2];		/* a CPU is a vCPU's */
bool irqs_off[2], ipi[2];

#define SPIN_LOCK(me)	atomic { lock == NOBODY && empty(buffer[me]) -> lock = me }
#define SPIN_UNLOCK(me)	atomic { empty(buffer[me]) -> lock = NOBODY }

/* --- the host ------------------------------------------------------------------- */

/* smp_call_function_many() to one: it waits till the interrupt has been. */
inline call(cpu)
{
	atomic { if :: irqs_off[cpu] -> ipi[cpu] = true :: else fi };
#ifndef BUG_NO_WAIT
	!ipi[cpu]
#endif
}

/* `presence_flush()` in `presence.c` */
inline presence_flush()
{
#ifndef BUG_FLUSH_BARRIER
	BARRIER(HOST);
#endif
	present[0] = LOAD(PRESENT(0));
	present[1] = LOAD(PRESENT(1));
	/* Sending an interrupt is one at the latest. */
	BARRIER(HOST);
	if :: present[0] -> call(present[0] - 1) :: else fi;
	if :: present[1] -> call(present[1] - 1) :: else fi
}

/* `zap_piece()` in `slots.c` */
inline zap()
{
	SPIN_LOCK(HOST);
	if
	:: LOAD(ENTRY) ->
#ifndef BUG_GENERATION_FIRST
		STORE(HOST, ENTRY, 0);
#endif
		/* `ept_new_generation()` in `ept.c` */
		STORE(HOST, GENERATION, LOAD(GENERATION) + 1);
#ifdef BUG_GENERATION_FIRST
		STORE(HOST, ENTRY, 0);
#endif
		presence_flush()
	:: else
	fi;
	SPIN_UNLOCK(HOST)
}

active proctype host()
{
	byte present[2];

	/* `slot_invalidate()` in `slots.c` */
	SPIN_LOCK(HOST);
	seq++;
	SPIN_UNLOCK(HOST);
	zap();
	/* What the guest had is somebody else's from now on. */
	atomic { gone[host_page] = true; host_page = 2 };
	/* The change is over. */
	seq++
}

/* --- a vCPU --------------------------------------------------------------------- */

/* `fault_resolve()` in `fault.c`, of a guest that has left its bracket. */
inline fault()
{
	atomic { seq % 2 == 0 -> look = seq };	/* `watch_begin()` in `watch.h` */
	page = host_page;			/* with a reference */
	/* `fault_map()` in `fault.c` */
	SPIN_LOCK(cpu);
	if
#ifndef BUG_NO_RETRY
	:: seq != look				/* `watch_is_over()` in `watch.h` */
#endif
	:: else ->
		/* What is there is this page: `ept_change_leaf()` in `ept.c` */
		assert(!LOAD(ENTRY) || LOAD(ENTRY) == page);
		STORE(cpu, ENTRY, page)		/* `ept_map()` in `ept.c` */
	fi;
	SPIN_UNLOCK(cpu)
}

/* `flush_stale()` in `run.c`, `ept_flush_this_cpu()` in `ept.h` */
inline flush_stale()
{
	generation = LOAD(GENERATION);
	if
	:: LOAD(SEEN(cpu)) == generation
	:: else ->
		/* INVEPT, and what its own CPU alone looks at: `ept_flush_to()` in `ept.c` */
		atomic { cached[cpu] = 0; memory[SEEN(cpu)] = generation }
	fi
}

/* The guest reads the page, as often as it likes, until it exits or is made to. */
inline in_guest()
{
	do
	:: atomic { !cached[cpu] && LOAD(ENTRY) -> cached[cpu] = LOAD(ENTRY) }
	:: atomic { cached[cpu] ->
		/* No vCPU can reach it any more: `zap_piece()` in `slots.c` has returned. */
		assert(!gone[cached[cpu]])
	   }
	:: atomic { !cached[cpu] && !LOAD(ENTRY) -> violation = true }; break
	:: ipi[cpu] -> break
	:: true -> break
	od
}

/* `bracket_enter()` to `bracket_leave()` in `run.c`: a flush for each, and one interrupt */
inline bracket()
{
	irqs_off[cpu] = true;
#ifndef BUG_LOOK_EARLY
	flush_stale();
#endif
	in_guest();
	atomic { irqs_off[cpu] = false; ipi[cpu] = false }
}

/* `stretch()` in `run.c`: two brackets at most */
inline stretch(vcpu)
{
	/* Preemption off: a CPU of its own, and the other one perhaps the next time. */
	atomic {
		if
		:: !taken_up[0] -> cpu = 0
		:: !taken_up[1] -> cpu = 1
		fi;
		taken_up[cpu] = true
	};
#ifdef BUG_LOOK_EARLY
	flush_stale();
#endif
	/* `presence_begin()` in `presence.h` */
	STORE(cpu, PRESENT(vcpu), cpu + 1);
#ifndef BUG_BEGIN_BARRIER
	BARRIER(cpu);
#endif
#ifdef BUG_PART_EARLY
	STORE(cpu, PRESENT(vcpu), 0);
#endif
	bracket();
	/* `exit_fault()` in `mmio.c` */
	if :: violation -> violation = false; fault() :: else fi;
	if :: bracket(); violation = false :: true fi;
	/* `presence_end()` in `presence.h`: a release, which needs no barrier */
	STORE(cpu, PRESENT(vcpu), 0);
	/* The scheduler has one before another thread runs here. */
	atomic { BARRIER(cpu) -> taken_up[cpu] = false; cpu = 0; generation = 0 }
}

active [2] proctype vcpu()
{
	byte cpu, generation, look, page;
	byte me = _pid - FIRST;
	bool violation;

	stretch(me);
#ifndef SHORT
	stretch(me)
#endif
}
