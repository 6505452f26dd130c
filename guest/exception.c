// SPDX-License-Identifier: LGPL-2.1-or-later
/* The IDT, and one function for all that it leads to. */
#include "guest.h"

/* SDM 3A, "64-Bit Mode IDT" and "IDT Descriptors". */
struct gate {
	uint16_t offset_low;
	uint16_t selector;
	uint16_t type;
	uint16_t offset_middle;
#ifdef __x86_64__
	uint32_t offset_high;
	uint32_t reserved;
#endif
};

#define VECTORS		256
#define STUB_BYTES	16	/* of each in start64.S, start32.S */
#define CODE_SELECTOR	8
#define INTERRUPT_GATE	0x8e00	/* present, DPL 0; IF is clear in the handler */

void (*guest_handler)(struct guest_frame *frame);
static struct gate idt[VECTORS];

static const char *const names[] = {
	"divide error", "debug", "NMI", "breakpoint", "overflow", "bound range exceeded",
	"invalid opcode", "device not available", "double fault", "coprocessor overrun",
	"invalid TSS", "segment not present", "stack fault", "general protection",
	"page fault", "reserved", "x87 error", "alignment check", "machine check",
	"SIMD floating point", "virtualization", "control protection",
};

static void show(struct guest_frame *frame)
{
	unsigned long cr2;
	const char *name = frame->vector < sizeof(names) / sizeof(names[0]) ?
			   names[frame->vector] : "interrupt";

	asm volatile("mov %%cr2, %0" : "=r"(cr2));
	guest_print("guest: exception %lu, %s, error code %lx, at %lx", frame->vector, name,
		    frame->error, frame->ip);
	if (frame->vector == 14)
		guest_print(", of address %lx", cr2);
	guest_print("\n");
	guest_exit(1);
}

static void set_gate(struct gate *gate, uintptr_t stub)
{
	gate->offset_low = stub;
	gate->selector = CODE_SELECTOR;
	gate->type = INTERRUPT_GATE;
	gate->offset_middle = stub >> 16;
#ifdef __x86_64__
	gate->offset_high = stub >> 32;
#endif
}

void guest_catch(void (*handler)(struct guest_frame *frame))
{
	struct {
		uint16_t limit;
		uintptr_t base;
	} __attribute__((packed)) idtr = { sizeof(idt) - 1, (uintptr_t)idt };

	guest_handler = handler ? handler : show;
	for (int i = 0; i < VECTORS; i++)
		set_gate(&idt[i], (uintptr_t)guest_stubs + i * STUB_BYTES);
	asm volatile("lidt %0" :: "m"(idtr));
}
