/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A VMCS's way between CPUs: kmod/vmx/root.c, root.h and vmcs.h.
 *
 * Two vCPUs, each run by a thread of its own that the scheduler moves between two CPUs, while
 * one CPU goes offline and comes back; in the end each VMCS is freed. A CPU keeps of an active
 * VMCS what it likes until VMCLEAR (SDM 3C, "Software Use of Virtual-Machine Control
 * Structures"), so one may be active on one CPU alone, VMLAUNCH takes a clear one and VMRESUME
 * one that was launched since, and a page may be freed only when no CPU has it active. VMXOFF
 * must find none, or its data is lost.
 *
 * What the code knows of this, `struct vmcs` in `held.h` and vmx_current, is in lower case;
 * what the CPU does, in capitals: that the two agree is what the assertions say. vmcs.cpu is
 * the only member that others than its CPU look at. It says NO_CPU last, so that who reads
 * it may go by the rest.
 *
 * What is left out: windows, where each bracket begins and ends with VMCLEAR, and others who
 * use VMX.
 *
 * Wrong on purpose, one at a time: BUG_NO_PULL, BUG_NO_VMCLEAR, BUG_LAUNCHED, BUG_CURRENT,
 * BUG_CPU_FIRST, BUG_TEARDOWN, BUG_FREE.
 */
#ifndef SHORT
#define ENTRIES	3
#else
#define ENTRIES	2
#endif

#define NO_CPU	9
#define NONE	9

/* The code's, of each VMCS */
byte cpu[2] = NO_CPU;
bool launched[2];
byte linked[2] = NO_CPU;	/* on whose list */
/* ... and of each CPU */
byte current[2] = NONE;
bool resident[2] = true;
bool online[2] = true;

/* The CPU's */
byte CURRENT[2] = NONE;
byte ACTIVE[2] = NO_CPU;	/* of each VMCS: where */
bool LAUNCHED[2];
bool freed[2];

bool runs_thread[2];		/* preemption is off, or a bracket's interrupts */
bool irqs_off[2];

/* What an interrupt does, and a bracket: nothing else of that CPU's in between. */
#define IRQS_OFF(here)	atomic { !irqs_off[here] -> irqs_off[here] = true }
#define IRQS_ON(here)	irqs_off[here] = false

inline VMCLEAR(here, vmcs)
{
	atomic {
		/* On the CPU where it is active, or nowhere: `clear_here()` in `root.c` */
		assert(!freed[vmcs] && (ACTIVE[vmcs] == here || ACTIVE[vmcs] == NO_CPU));
		ACTIVE[vmcs] = NO_CPU;
		LAUNCHED[vmcs] = false;
		if :: CURRENT[here] == vmcs -> CURRENT[here] = NONE :: else fi
	}
}

inline VMPTRLD(here, vmcs)
{
	atomic {
		/* Active on no other CPU: `activate()` in `root.c` */
		assert(!freed[vmcs] && (ACTIVE[vmcs] == here || ACTIVE[vmcs] == NO_CPU));
		ACTIVE[vmcs] = here;
		CURRENT[here] = vmcs
	}
}

/* --- root.c ------------------------------------------------------------------------ */

/* `deactivate()` in `root.c` */
inline deactivate(here, vmcs)
{
#ifdef BUG_CPU_FIRST
	cpu[vmcs] = NO_CPU;
#endif
#ifndef BUG_NO_VMCLEAR
	VMCLEAR(here, vmcs);
#endif
#ifndef BUG_LAUNCHED
	launched[vmcs] = false;
#endif
#ifndef BUG_CURRENT
	if :: current[here] == vmcs -> current[here] = NONE :: else fi;
#endif
	/* It is in the list that is edited: `deactivate()` in `root.c` */
	assert(linked[vmcs] == here);
	linked[vmcs] = NO_CPU;
#ifndef BUG_CPU_FIRST
	cpu[vmcs] = NO_CPU
#endif
}

/*
 * `vmx_root_clear()` in `root.c`: by an interrupt where it is active. Either that CPU takes it,
 * `clear_here()` in `root.c`, or it is offline, and its teardown was there first.
 */
inline clear(vmcs)
{
	there = cpu[vmcs];
	if
	:: there == NO_CPU
	:: else ->
		if
		:: IRQS_OFF(there);
			if
			:: online[there] && cpu[vmcs] == there -> deactivate(there, vmcs)
			:: else
			fi;
			IRQS_ON(there)
		:: !online[there]
		fi
	fi;
	there = 0
}

/* `vmx_root_load()` in `root.c` where VMX is resident. "refused": -EAGAIN */
inline load(here, vmcs)
{
	/* Nowhere, or here: `vmx_root_pull()` in `root.h` */
	assert(cpu[vmcs] == here || cpu[vmcs] == NO_CPU);
	refused = !resident[here];
	if
	:: refused
	:: else ->
		if
		:: cpu[vmcs] == NO_CPU ->
			/* `activate()` in `root.c` */
			VMCLEAR(here, vmcs);
#ifndef BUG_LAUNCHED
			launched[vmcs] = false;
#endif
			/* On one list at most: `activate()` in `root.c` */
			assert(linked[vmcs] == NO_CPU);
			linked[vmcs] = here;
			cpu[vmcs] = here
		:: else
		fi;
		/* `make_current()` in `root.c` */
		VMPTRLD(here, vmcs);
		current[here] = vmcs
	fi
}

/* --- a vCPU's thread ----------------------------------------------------------------- */

/* `vmx_enter_guest()` in `entry.h`, and `enter_and_handle()` in `run.c`, which notes it */
inline enter(here, vmcs)
{
	atomic {
		/* The VMCS at hand is the one: `vmx_root_enter()` in `root.h` */
		assert(CURRENT[here] == vmcs && !freed[vmcs]);
		/* VMRESUME or VMLAUNCH, as the CPU wants it: `enter_and_handle()` in `run.c` */
		assert(LAUNCHED[vmcs] == launched[vmcs]);
		LAUNCHED[vmcs] = true;
		launched[vmcs] = true
	}
}

/* `stretch()` in `run.c` */
inline stretch(vmcs)
{
	/* Wherever the scheduler has put it: preemption off. */
	atomic {
		if
		:: !runs_thread[0] && online[0] -> here = 0
		:: !runs_thread[1] && online[1] -> here = 1
		fi;
		runs_thread[here] = true
	};
	/* `vmx_root_pull()` in `root.h` */
#ifndef BUG_NO_PULL
	if :: cpu[vmcs] != here -> clear(vmcs) :: else fi;
#endif
	IRQS_OFF(here);
	/* `vmx_root_enter()` in `root.h` */
	if
	:: current[here] == vmcs -> refused = false
	:: else -> load(here, vmcs)
	fi;
	if :: refused :: else -> enter(here, vmcs); entries++ fi;
	IRQS_ON(here);
	atomic { runs_thread[here] = false; here = 0 }
}

active [2] proctype vcpu()
{
	byte here, there, entries;
	bool refused;

	do
	:: entries == ENTRIES -> break
	/* `try_elsewhere()` in `run.c` */
	:: else -> stretch(_pid)
	od;
	/* `vmx_root_free()` in `root.c`, from any CPU */
#ifndef BUG_FREE
	clear(_pid);
#endif
	freed[_pid] = true;
	/* No CPU writes to a page that is somebody else's: `vmx_root_free()` in `root.c` */
	assert(ACTIVE[_pid] == NO_CPU)
}

/* --- a CPU goes and comes back ----------------------------------------------------------- */

active proctype hotplug()
{
	/* `cpu_down_here()` in `root.c`, on that CPU, whose threads are still there */
	atomic { !runs_thread[1] -> runs_thread[1] = true };
	IRQS_OFF(1);
	/* `turn_off()` in `root.c` */
#ifndef BUG_TEARDOWN
	if :: linked[0] == 1 -> deactivate(1, 0) :: else fi;
	if :: linked[1] == 1 -> deactivate(1, 1) :: else fi;
#endif
	/* `leave_operation()` in `root.c` */
	resident[1] = false;
	current[1] = NONE;
	/* VMXOFF, with nothing active: `turn_off()` in `root.c` */
	assert(ACTIVE[0] != 1 && ACTIVE[1] != 1);
	CURRENT[1] = NONE;
	IRQS_ON(1);
	runs_thread[1] = false;
	/* The last threads are moved off it. */
	atomic { !runs_thread[1] && !irqs_off[1] -> online[1] = false };
	/* `cpu_up_here()` in `root.c` */
	atomic { online[1] = true; resident[1] = true }
}
