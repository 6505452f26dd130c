/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The benchmark of VM exits: the same guest under vee and under KVM.
 *
 * The guest's code and memory are made once, here; an engine only has to make a
 * VM of them, run it to the next exit, and complete that.
 */
#ifndef LAB_BENCH_H
#define LAB_BENCH_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define KIB		(1ULL << 10)
#define MIB		(1ULL << 20)

/* Guest memory, identity-mapped by the guest's own tables. */
#define GUEST_BYTES	MIB
#define GPA_PML4	0x1000ULL
#define GPA_PDPT	0x2000ULL
#define GPA_PD		0x3000ULL
#define GPA_GDT		0x4000ULL
#define GPA_IDT		0x5000ULL
#define GPA_HANDLER	0x6000ULL
#define GPA_CODE	0x8000ULL
#define GPA_STACK	0x10000ULL
#define GPA_MAILBOX	0x11000ULL	/* the TSC at the interrupt handler */
#define GPA_SAMPLES	0x20000ULL
#define GPA_TOUCH	(64 * MIB)	/* a second slot: memory to touch */
#define TOUCH_BYTES	(64 * MIB)
#define GPA_MMIO	(512 * MIB)	/* no slot */

/* Where vCPU 1 begins. */
#define GPA_CODE_OF(id)		(GPA_CODE + 0x1000 * (id))
#define GPA_STACK_OF(id)	(GPA_STACK - 0x1000 * (id))

#define VECTOR		0x40
#define PORT		0x10
#define PORT_DONE	0xff
#define OUT_BYTES	2	/* of the instruction with a port in it */

/* Guest code, 64 bit, that runs wherever it is copied to. */
#define GUEST_CODE(name, text)						\
	extern const uint8_t name[], name##_end[];			\
	asm(".pushsection .rodata\n" #name ":\n" text "\n"		\
	    #name "_end: .popsection\n")
#define STRING_OF(x)	#x
#define VALUE(x)	STRING_OF(x)

enum stop {
	STOP_PIO,
	STOP_DONE,
	STOP_HLT,
	STOP_MMIO,
	STOP_OTHER,
};

struct guest {
	uint8_t *memory;
	uint8_t *touch;
	int vm;
	int vcpu;
	void *run;	/* the page that kernel and program share */
	void *private;	/* the engine's own */
};

/* What engine_vee keeps in guest.private. */
struct vee_guest {
	struct vee_vm *vm;
	struct vee_vcpu *vcpu;
};

/* Into a VM that has been made: @g's memory, and a vCPU in long mode. */
void guest_map_memory(struct guest *g);
void guest_add_vcpu(struct guest *g, unsigned int id);

struct engine {
	const char *name;
	int (*open)(void);
	void (*create)(struct guest *g);
	void (*destroy)(struct guest *g);
	enum stop (*run)(struct guest *g);	/* completes the exit before, too */
	void (*inject)(struct guest *g);
	/* At an OUT: reads RIP and changes RAX; with @rip goes past it by RIP. */
	void (*change_regs)(struct guest *g, bool rip);
};

extern const struct engine engine_vee, engine_kvm;

/* bench_common.c chooses the engine, makes the guest's memory, and calls measure(). */
extern const struct engine *engine;
extern uint8_t *memory;

void measure(void);
void measure_idle_memory(void);
/* Under the engine at hand, up to the guest's OUT to PORT_DONE. */
void guest_run_to_the_end(struct guest *g);
/* @ret: 0 or more, or -errno, which ends the program. */
void need(int ret, const char *what);
void tell(const char *what, uint32_t *samples, unsigned int count);
/* From a 2 MiB boundary on. */
void *map(size_t bytes, int advice);

/* Ends the program: a figure that could not be had must not look like one. */
#define die(...) (fprintf(stderr, "bench: " __VA_ARGS__), fputc('\n', stderr), exit(1))

#endif /* LAB_BENCH_H */
