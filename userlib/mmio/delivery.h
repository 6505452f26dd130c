/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The delivery of an event (SDM 2, "INT n"; SDM 3A, chapter "Interrupt and Exception
 * Handling"), and a far CALL or JMP through a call gate (SDM 2, "CALL"): event.c and gate.c
 * read the gate, handler.c finds the code, frame.c the stack, and pushes.
 */
#ifndef VEE_DELIVERY_H
#define VEE_DELIVERY_H

#include "mmio.h"

/* Error codes: a number in the IDT. */
#define ERROR_IDT	0x2U

/* SDM 3A, "IDT Descriptors": types, 32 bits in bit 3. */
#define GATE_INTERRUPT_16	6
#define GATE_TRAP_16		7
#define GATE_INTERRUPT		14
#define GATE_TRAP		15

/* What a call gate can have copied. */
#define PARAMETERS_MAX	31

/**
 * struct delivery - an event on its way to its handler, or a program through a call gate
 * @guest: as it was interrupted, but @mode for the stack
 * @event: what is delivered; NULL: nothing, it is a call gate
 * @jumps: by JMP, which changes no level
 * @ext: EXT of error codes
 * @redirected: a handler of the 8086 program's, in virtual-8086 mode
 * @inner: the handler is at another privilege level, or was reached from
 *	virtual-8086 mode: it has a stack of its own
 * @type: of the gate
 * @dpl: of the gate
 * @ist: of the gate, in IA-32e mode
 * @item: bytes of what is pushed
 * @selector: of the handler
 * @offset: of the handler
 * @cs: what it becomes
 * @ss: likewise
 * @rsp: the stack pointer, so far
 * @stack_mask: what of it counts
 * @next: with a call gate, RIP to come back to
 * @parameters: likewise, what goes to the inner stack, in the order of pushing
 * @parameter_count: how many
 */
struct delivery {
	struct guest guest;
	const struct vee_event *event;
	bool jumps;
	uint32_t ext;
	bool redirected;
	bool inner;
	unsigned int type;
	unsigned int dpl;
	unsigned int ist;
	unsigned int item;
	uint16_t selector;
	uint64_t offset;
	struct vee_segment cs;
	struct vee_segment ss;
	uint64_t rsp;
	uint64_t stack_mask;
	uint64_t next;
	uint32_t parameters[PARAMETERS_MAX];
	unsigned int parameter_count;
};

/* --- handler.c --- */

/* The code segment that @selector names, for a gate: @cs and @inner. */
int handler_find(struct delivery *delivery);
/* Is there code at the handler's address? */
int handler_check_entry(const struct delivery *delivery);

/* --- frame.c --- */

/* Events of the program's own doing, which go on after the instruction. */
bool event_is_software(const struct vee_event *event);
/* Has the current TSS @bytes at @at? #TS if it has them not. */
bool tss_has(const struct delivery *delivery, unsigned int at, unsigned int bytes);
int tss_read(const struct delivery *delivery, unsigned int at, void *data,
	     unsigned int bytes);
/* The stack to push to, with room for all that is to be pushed. 0, GUEST_FAULTED, -errno. */
int frame_find(struct delivery *delivery);
int frame_push(struct delivery *delivery);

#endif /* VEE_DELIVERY_H */
