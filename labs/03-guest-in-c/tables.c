// SPDX-License-Identifier: GPL-2.0-only
/* Lab 3: page tables and an IDT. README.md says what is to be done. */
#include <stdbool.h>

#include "lab.h"

#define PAGE_BYTES	4096UL
#define LARGE_BYTES	0x200000UL
#define TABLE_MASK	0x000ffffffffff000UL

#define VECTOR_BP	3
#define VECTOR_PF	14

/* A 64-bit interrupt gate: SDM 3A, "64-Bit Mode IDT". */
struct gate {
	uint16_t offset_low;
	uint16_t selector;
	uint8_t ist;
	uint8_t type;
	uint16_t offset_middle;
	uint32_t offset_high;
	uint32_t reserved;
};

#define GATE_INTERRUPT	0x8e	/* present, privilege 0, type 14 */
#define CODE_SELECTOR	8	/* guest/start64.S has it */

volatile unsigned int breakpoints, faults;
volatile unsigned long last_error;

static uint64_t pml4[512] __attribute__((aligned(4096)));
static uint64_t pdpt[512] __attribute__((aligned(4096)));
static uint64_t directory[512] __attribute__((aligned(4096)));
static struct gate idt[256];

static void write_cr3(uint64_t cr3)
{
	asm volatile("mov %0, %%cr3" :: "r"(cr3) : "memory");
}

static uint64_t read_cr2(void)
{
	uint64_t cr2;

	asm volatile("mov %%cr2, %0" : "=r"(cr2));
	return cr2;
}

/* Task "tables": pml4, pdpt and directory are there, and are zeros. */
void make_tables(void)
{
}

/* Tasks "map" and "change". */
int map_page(uintptr_t gva, uint64_t gpa, unsigned long flags)
{
	return -1;
}

static __attribute__((interrupt)) void on_breakpoint(void *frame)
{
	breakpoints++;
}

/* Tasks "lazy" and "copy": #PF has an error code, SDM 3A, "Page-Fault Exceptions". */
static __attribute__((interrupt)) void on_page_fault(void *frame, unsigned long error)
{
	faults++;
	last_error = error;
	guest_print("a page fault at 0x%lx\n", read_cr2());
	guest_exit(1);
}

static void set_gate(unsigned int vector, uintptr_t handler)
{
	/* idt[vector] */
}

/* Task "idt". */
void make_idt(void)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) idtr = { sizeof(idt) - 1, (uintptr_t)idt };

	set_gate(VECTOR_BP, (uintptr_t)on_breakpoint);
	set_gate(VECTOR_PF, (uintptr_t)on_page_fault);
	asm volatile("lidt %0" :: "m"(idtr) : "memory");
}
