/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Paths to be traced, one instruction after the other: something is done some times
 * to warm up and then PATH_SECTIONS times more, each between two instructions at which
 * lab/run --trace begins and ends a section of its trace. A line
 * "section|engine|what" is printed for each section, in their order.
 */
#ifndef LAB_BENCH_PATH_H
#define LAB_BENCH_PATH_H

#include "bench.h"

/* Enough for all caches of the kernel's, and one without an interrupt in it. */
#define PATH_WARM	200
#define PATH_SECTIONS	5

/* Code of a guest that does @text, first @warm times; R13 is the memory to touch. */
#define PATH(name, text)	PATH_AFTER(name, "", PATH_WARM, text)
#define PATH_AFTER(name, before, warm, text)				\
	GUEST_CODE(name, before "\n"					\
		   "mov $" VALUE(GPA_TOUCH) ", %r13d\n"			\
		   "mov $" VALUE(warm) ", %r12d\n"			\
		   "1:\n" text "\n"					\
		   "dec %r12d\n"					\
		   "jnz 1b\n"						\
		   "mov $" VALUE(PATH_SECTIONS) ", %r12d\n"		\
		   "2: xchg %bx, %bx\n" text "\n"			\
		   "xchg %bx, %bx\n"					\
		   "dec %r12d\n"					\
		   "jnz 2b\n"						\
		   "out %al, $" VALUE(PORT_DONE))

/* What the paths do that several benchmarks have. */
#define DO_OUT		"out %al, $" VALUE(PORT)
#define DO_CPUID	"xor %eax, %eax; cpuid"
/* IA32_LSTAR, which both engines answer in the kernel. */
#define DO_WRMSR	"mov $0xc0000082, %ecx; xor %eax, %eax; xor %edx, %edx; wrmsr"
#define DO_CR0		"mov %cr0, %rax; xor $0x20, %eax; mov %rax, %cr0"
#define DO_MMIO		"mov %eax, 0x20000000"
#define DO_HLT		"hlt"

/*
 * What Linux has set up and in use when it does an OUT: CR4.OSXSAVE and OSFXSR, XCR0
 * with AVX, SYSCALL with handlers that are not the host's, vector registers that aren't
 * in their initial state.
 */
#define LIKE_LINUX							\
	"mov %cr4, %rax; or $0x40600, %eax; mov %rax, %cr4\n"		\
	"xor %ecx, %ecx; xor %edx, %edx; mov $7, %eax; xsetbv\n"	\
	"mov $0xc0000080, %ecx; rdmsr; or $1, %eax; wrmsr\n"		\
	"mov $0xc0000081, %ecx; xor %eax, %eax; mov $0x230010, %edx; wrmsr\n" \
	"mov $0xc0000082, %ecx; mov $0x83a00080, %eax; mov $-1, %edx; wrmsr\n" \
	"mov $0xc0000083, %ecx; mov $0x83a01650, %eax; wrmsr\n"		\
	"mov $0xc0000084, %ecx; mov $0x47700, %eax; xor %edx, %edx; wrmsr\n" \
	"vpcmpeqd %xmm0, %xmm0, %xmm0; vinsertf128 $1, %xmm0, %ymm0, %ymm0"

/* What lab/bench-model and lab/bench-real have in common, by name. */
#define NAME_PIO	"PIO OUT, bare guest"
#define NAME_LINUX	"PIO OUT, guest like Linux"
#define NAME_INTERRUPT	"interrupt, a whole round"
#define NAME_CPUID	"CPUID"
#define NAME_HLT	"HLT exit to user space"
#define NAME_MMIO	"MMIO write to user space"
#define NAME_WRMSR	"WRMSR"
#define NAME_CR0	"MOV to CR0"
#define NAME_POSTED	"OUT that is posted (KVM: coalesced)"
#define NAME_BELL	"OUT to an eventfd"

/* A guest's code; of PATH()'s: PATH_OF(name) */
struct path {
	const uint8_t *code, *end;
};

#define PATH_OF(name)	(&(const struct path) { name, name##_end })

/* Those that several benchmarks trace. */
extern const struct path path_out, path_cpuid, path_wrmsr, path_cr0, path_mmio, path_hlt;

/* Under the engine at hand, with @touch or NULL; once made, the guest is @prepare's. */
void path_trace(const char *what, const struct path *path, uint8_t *touch,
		void (*prepare)(struct guest *g));

/*
 * A guest that is at an OUT; then from the program's request to the next OUT, by way of the
 * guest's handler.
 */
void path_begin_interrupts(struct guest *g);
static inline void path_interrupt(struct guest *g)
{
	engine->inject(g);
	engine->run(g);
}

/* For @prepare: OUTs to PORT are posted, which KVM has room for 85 of; or ring a bell. */
void path_post(struct guest *g);
void path_ring(struct guest *g);

/* Of the program's own doing: where a section begins and ends, and what it is. */
void path_edge(void);
void path_told(const char *what);

#endif /* LAB_BENCH_PATH_H */
