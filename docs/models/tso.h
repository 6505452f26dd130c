/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Memory as x86 has it: what a CPU stores goes through a buffer of its own and comes to
 * memory later, in order; only then do others see it. A full barrier waits until the buffer
 * is empty (SDM 3A, "Memory Ordering in P6 and More Recent Processor Families"). So a
 * "store one thing, load another" on each of two CPUs may find both loads too early, and
 * that is all that x86 reorders.
 *
 * A model that includes this says how many CPUS there are, and has an enumeration of VARS
 * things that two of them share. Who alone stores a thing remembers it itself, and who has
 * just had a barrier may go by memory: so no load here looks into the buffer.
 */
byte memory[VARS];
chan buffer[CPUS] = [2] of { byte, byte };

#define STORE(cpu, what, value)	buffer[cpu]!what, value
#define LOAD(what)		memory[what]
#define BARRIER(cpu)		empty(buffer[cpu])
/* What smp_store_mb() is, and also any locked instruction. */
#define STORE_BARRIER(cpu, what, value)	STORE(cpu, what, value); BARRIER(cpu)

active [CPUS] proctype to_memory()
{
	byte what, value;

end:	do
	:: atomic { buffer[_pid]?what, value -> memory[what] = value; what = 0; value = 0 }
	od
}
