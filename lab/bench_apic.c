// SPDX-License-Identifier: GPL-2.0-only
/*
 * What local APICs cost: on a machine with one CPU what the guest does with its own; on
 * one with two, interrupts from one CPU to the other.
 *
 * Guests take the time themselves, by RDTSC, as the program does, and both see the host's.
 */
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "bench_apic.h"
#include "bench_ticks.h"

#define ROUNDS		2000
#define ROUNDS_FAR	300	/* from CPU to CPU */

/* --- the guests ----------------------------------------------------------------- */

#define GPA_PD_HIGH	0x7000ULL
#define GPA_APIC	0xfee00000ULL

/* What guests and program tell each other, from GPA_MAILBOX on. */
#define AT_HANDLER	"0x11000"	/* the TSC there; 0: not yet */
#define AT_END		"0x11004"	/* the handler has done its EOI */
#define AT_READY	"0x11008"
#define AT_STOP		"0x1100c"
#define AT_LOCK		"0x11010"

struct mailbox {
	uint32_t at_handler;
	uint32_t ended;
	uint32_t ready;
	uint32_t stop;
	uint32_t lock;
};

static volatile struct mailbox *mailbox;

#define WRITE_MSR(index, low, high)				\
	"mov $" index ", %ecx; mov $" low ", %eax; mov $" high ", %edx; wrmsr\n"
#define MSR_EOI		"mov $0x80b, %ecx; xor %eax, %eax; xor %edx, %edx; wrmsr\n"
#define SELF_IPI	WRITE_MSR("0x83f", VALUE(VECTOR), "0")
#define IPI_TO(id)	WRITE_MSR("0x830", VALUE(VECTOR), id)

/* x2APIC mode, and on by the spurious-interrupt vector. */
#define X2APIC								\
	"mov $0x1b, %ecx; rdmsr; or $0x400, %eax; wrmsr\n"		\
	WRITE_MSR("0x80f", "0x1ff", "0")
#define XAPIC	"mov $0xfee00000, %ebx; movl $0x1ff, 0xf0(%rbx)\n"

#define SAMPLES_OF(rounds)						\
	"mov $" VALUE(GPA_SAMPLES) ", %edi; mov $" VALUE(rounds) ", %r12d\n"
#define TIME_BEGINS	"rdtsc; mov %eax, (%rdi)\n"
#define TIME_ENDS	"rdtsc; sub (%rdi), %eax; mov %eax, (%rdi); add $4, %rdi\n"
#define DONE		"out %al, $" VALUE(PORT_DONE) "\n"

/* What an operation takes. */
#define TIMED(name, setup, op)						\
	GUEST_CODE(name, setup SAMPLES_OF(ROUNDS)			\
		   "1:" TIME_BEGINS op TIME_ENDS			\
		   "dec %r12d; jnz 1b\n" DONE)

/* ... what leads to an interrupt, whose handler goes on to the next sample. */
#define INTERRUPTED(name, setup, op)					\
	GUEST_CODE(name, setup SAMPLES_OF(ROUNDS)			\
		   "sti\n"						\
		   "1: lea 4(%rdi), %r13\n" TIME_BEGINS op		\
		   "2: cmp %r13, %rdi; jne 2b\n"			\
		   "dec %r12d; jnz 1b\n" DONE)

GUEST_CODE(ipi_handler, TIME_ENDS MSR_EOI "iretq");
GUEST_CODE(eoi_handler, TIME_BEGINS MSR_EOI TIME_ENDS "iretq");
INTERRUPTED(self_ipi, X2APIC, SELF_IPI);
TIMED(closed_ipi, X2APIC, SELF_IPI);
/* Up and down. */
#define WRITE_TPR							\
	"xor $0x20, %r14d; mov %r14d, %eax; mov $0x808, %ecx; xor %edx, %edx; wrmsr\n"
/* In a million ticks, which never are over. */
#define SET_DEADLINE	"rdtsc; add $1000000, %eax; adc $0, %edx; mov $0x6e0, %ecx; wrmsr\n"
#define SET_COUNT	WRITE_MSR("0x838", "0x1000000", "0")

TIMED(tpr, X2APIC, WRITE_TPR);
/* By the LVT timer register, in either mode. */
TIMED(deadline, X2APIC WRITE_MSR("0x832", "0x40040", "0"), SET_DEADLINE);
TIMED(count, X2APIC WRITE_MSR("0x832", VALUE(VECTOR), "0"), SET_COUNT);

#define PAGE_EOI	"movl $0, 0xb0(%rbx)\n"
/* The interrupt command register: fixed, assert, shorthand "self". */
#define PAGE_SELF_IPI	"movl $0x44040, 0x300(%rbx)\n"

GUEST_CODE(ipi_handler_page, TIME_ENDS PAGE_EOI "iretq");
GUEST_CODE(eoi_handler_page, TIME_BEGINS PAGE_EOI TIME_ENDS "iretq");
INTERRUPTED(self_ipi_page, XAPIC, PAGE_SELF_IPI);
TIMED(tpr_page, XAPIC, "xor $0x20, %r14d; mov %r14d, 0x80(%rbx)\n");
TIMED(count_page, XAPIC "movl $" VALUE(VECTOR) ", 0x320(%rbx)\n", "movl $0x1000000, 0x380(%rbx)\n");

/* Two CPUs. */
#define READY		X2APIC "movl $1, " AT_READY "\n"
/* With interrupts open: Bochs 2.7 ends no stay for one of the host's with them closed. */
#define WAIT_READY	X2APIC "sti\n 1: cmpl $0, " AT_READY "; je 1b\n"

GUEST_CODE(note_handler,
	   "rdtsc; mov %eax, " AT_HANDLER "\n" MSR_EOI "movl $1, " AT_END "; iretq");
/* Computes on, with interrupts open. */
GUEST_CODE(spin, READY "sti\n 1: cmpl $0, " AT_STOP "; je 1b\n" DONE);
GUEST_CODE(halt, READY "1: sti; hlt; cli; cmpl $0, " AT_STOP "; je 1b\n" DONE);
/* The other one is to be back at what it does before the next. */
GUEST_CODE(send, WAIT_READY SAMPLES_OF(ROUNDS_FAR)
	   "1: movl $0, " AT_HANDLER "; movl $0, " AT_END "\n"
	   "rdtsc; mov %eax, %r14d\n" IPI_TO("1")
	   "2: mov " AT_HANDLER ", %eax; test %eax, %eax; jz 2b\n"
	   "sub %r14d, %eax; mov %eax, (%rdi); add $4, %rdi\n"
	   "3: cmpl $0, " AT_END "; je 3b\n"
	   "mov $1000, %ecx; 4: dec %ecx; jnz 4b\n"
	   "dec %r12d; jnz 1b\n"
	   "movl $1, " AT_STOP "\n" DONE);

/* Two that wake each other: R15 counts what came, R13 says up to when to wait. */
#define AWAIT	"inc %r13d; 2: cli; cmp %r13d, %r15d; je 3f; sti; hlt; jmp 2b; 3:\n"

GUEST_CODE(count_handler, "inc %r15d\n" MSR_EOI "iretq");
GUEST_CODE(ping, WAIT_READY "xor %r13d, %r13d; xor %r15d, %r15d\n" SAMPLES_OF(ROUNDS_FAR)
	   "1:" TIME_BEGINS IPI_TO("1") AWAIT TIME_ENDS "dec %r12d; jnz 1b\n"
	   "movl $1, " AT_STOP "\n" IPI_TO("1") DONE);
GUEST_CODE(pong, "xor %r13d, %r13d; xor %r15d, %r15d\n" READY
	   "1:" AWAIT "cmpl $0, " AT_STOP "; jne 4f\n" IPI_TO("0") "jmp 1b; 4:" DONE);

/*
 * A lock as by futex. Its bit 0 says whose it is, bit 1 that the other one has asked the
 * kernel to be woken: that is what HLT and the IPI stand for. Who has it keeps it for 200
 * instructions.
 */
#define TAKE(me, other)							\
	"5: mov " AT_LOCK ", %eax; and $1, %eax; cmp $" me ", %eax; je 7f\n" \
	"mov $" other ", %eax; mov $2 + " other ", %ecx; lock cmpxchg %ecx, " AT_LOCK "\n" \
	"cli; cmpl $2 + " other ", " AT_LOCK "; je 6f; sti; jmp 5b\n"	\
	"6: sti; hlt; jmp 5b; 7:\n"
#define HOLD	"mov $100, %ecx; 8: dec %ecx; jnz 8b\n"
#define HAND_TO(other)							\
	"mov $" other ", %eax; xchg %eax, " AT_LOCK "; test $2, %al; jz 9f\n" \
	IPI_TO(other) "9:\n"

/* It can come late, when the one that it was to wake has the lock. */
GUEST_CODE(wake_handler,
	   "push %rax; push %rcx; push %rdx\n" MSR_EOI "pop %rdx; pop %rcx; pop %rax; iretq");
GUEST_CODE(lock_first, WAIT_READY SAMPLES_OF(ROUNDS_FAR)
	   "1:" TIME_BEGINS HOLD HAND_TO("1") TAKE("0", "1") TIME_ENDS
	   "dec %r12d; jnz 1b; movl $1, " AT_STOP "\n" HAND_TO("1") DONE);
GUEST_CODE(lock_second, READY "sti\n"
	   "1:" TAKE("1", "0") "cmpl $0, " AT_STOP "; jne 4f\n" HOLD HAND_TO("0")
	   "jmp 1b; 4:" DONE);

#define COPY(gpa, code)	memcpy(memory + (gpa), code, code##_end - (code))

/* The page of the registers, in xAPIC mode; bit 7: it is one of 2 MiB. */
static void map_registers(void)
{
	uint64_t *pdpt = (uint64_t *)(memory + GPA_PDPT);
	uint64_t *pd = (uint64_t *)(memory + GPA_PD_HIGH);

	pdpt[GPA_APIC >> 30] = GPA_PD_HIGH | 3;
	pd[GPA_APIC >> 21 & 511] = (GPA_APIC & ~(2 * MIB - 1)) | 0xe3;
}

static const struct apic_engine *apic;

/* --- one CPU ---------------------------------------------------------------------- */

static void measure_alone(const char *what)
{
	struct guest cpus[MAX_CPUS] = { { .memory = memory } };

	apic->create(cpus, 1);
	guest_run_to_the_end(&cpus[0]);
	apic->destroy(cpus, 1);
	tell(what, (uint32_t *)(memory + GPA_SAMPLES), ROUNDS);
}

#define ALONE(what, code, handler)					\
	do {								\
		COPY(GPA_CODE, code);					\
		COPY(GPA_HANDLER, handler);				\
		measure_alone(what);					\
	} while (0)

static void measure_one(void)
{
	ALONE("EOI of an edge interrupt, x2APIC", self_ipi, eoi_handler);
	ALONE("TPR write, x2APIC", tpr, ipi_handler);
	ALONE("IPI to itself, to its handler, x2APIC", self_ipi, ipi_handler);
	ALONE("IPI to itself that waits, x2APIC", closed_ipi, ipi_handler);
	ALONE("timer set by TSC deadline, x2APIC", deadline, ipi_handler);
	ALONE("timer set by its initial count, x2APIC", count, ipi_handler);
	ALONE("EOI of an edge interrupt, xAPIC", self_ipi_page, eoi_handler_page);
	ALONE("TPR write, xAPIC", tpr_page, ipi_handler_page);
	ALONE("IPI to itself, to its handler, xAPIC", self_ipi_page, ipi_handler_page);
	ALONE("timer set by its initial count, xAPIC", count_page, ipi_handler_page);
}

/* --- two CPUs ----------------------------------------------------------------------- */

static void stay_on(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die("the machine has no CPU %d", cpu);
}

static void *run_elsewhere(void *cpu)
{
	stay_on(1);
	guest_run_to_the_end(cpu);
	return NULL;
}

static pthread_t begin_elsewhere(struct guest *cpu)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, run_elsewhere, cpu))
		die("no thread");
	return thread;
}

static void clear_mailbox(void)
{
	*mailbox = (struct mailbox) { 0 };
}

/* A message, or an eventfd that stands for one. */
static void send_once(struct guest *cpus, int bound)
{
	const uint64_t one = 1;

	if (bound < 0)
		apic->signal(cpus, VECTOR);
	else if (write(bound, &one, sizeof(one)) != sizeof(one))
		die("the eventfd can't be written");
}

/* @idle_us: until it halts, and KVM no longer looks whether it goes on soon */
static void time_signals(struct guest *cpus, int bound, unsigned int idle_us, uint32_t *ticks)
{
	while (!mailbox->ready)
		;
	for (int i = 0; i < ROUNDS_FAR; i++) {
		uint32_t before;

		usleep(idle_us);
		mailbox->at_handler = 0;
		mailbox->ended = 0;
		before = __rdtsc();
		send_once(cpus, bound);
		while (!mailbox->ended)
			;
		ticks[i] = mailbox->at_handler - before;
	}
}

/* From the program to a vCPU on another CPU. */
static void measure_signals(const char *what, bool by_eventfd, unsigned int idle_us)
{
	struct guest cpus[MAX_CPUS] = { { .memory = memory } };
	uint32_t ticks[ROUNDS_FAR];
	pthread_t thread;
	int bound = -1;

	COPY(GPA_HANDLER, note_handler);
	clear_mailbox();
	apic->create(cpus, 1);
	if (by_eventfd)
		bound = apic->bind(cpus, VECTOR);
	thread = begin_elsewhere(&cpus[0]);
	time_signals(cpus, bound, idle_us, ticks);
	mailbox->stop = 1;
	send_once(cpus, bound);
	pthread_join(thread, NULL);
	if (bound >= 0)
		close(bound);
	apic->destroy(cpus, 1);
	tell(what, ticks, ROUNDS_FAR);
}

static void measure_pair(const char *what)
{
	struct guest cpus[MAX_CPUS] = { { .memory = memory }, { .memory = memory } };
	pthread_t thread;

	clear_mailbox();
	apic->create(cpus, 2);
	thread = begin_elsewhere(&cpus[1]);
	guest_run_to_the_end(&cpus[0]);
	pthread_join(thread, NULL);
	apic->destroy(cpus, 2);
	tell(what, (uint32_t *)(memory + GPA_SAMPLES), ROUNDS_FAR);
}

/* A nap's end is no timer's tick, so that signals don't come at the host's. */
#define MOMENT_US	113
#define ASLEEP_US	1013

static void measure_two(void)
{
	stay_on(0);
	COPY(GPA_CODE, spin);
	measure_signals("message to a guest that runs, to its handler", false, MOMENT_US);
	COPY(GPA_CODE, halt);
	measure_signals("eventfd to a guest that halts, to its handler", true, ASLEEP_US);
	COPY(GPA_CODE_OF(0), send);
	COPY(GPA_CODE_OF(1), spin);
	measure_pair("IPI to a vCPU that runs, to its handler");
	COPY(GPA_CODE_OF(0), ping);
	COPY(GPA_CODE_OF(1), pong);
	COPY(GPA_HANDLER, count_handler);
	measure_pair("two vCPUs wake each other by IPI, both ways");
	COPY(GPA_HANDLER, wake_handler);
	COPY(GPA_CODE_OF(0), lock_first);
	COPY(GPA_CODE_OF(1), lock_second);
	measure_pair("two vCPUs hand a lock to and fro, both ways");
}

void measure(void)
{
	apic = engine == &engine_kvm ? &apic_kvm : &apic_vee;
	mailbox = (volatile struct mailbox *)(memory + GPA_MAILBOX);
	map_registers();
	if (sysconf(_SC_NPROCESSORS_ONLN) > 1)
		measure_two();
	else
		measure_one();
}
