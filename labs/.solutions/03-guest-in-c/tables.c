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

/* Task "tables". */
void make_tables(void)
{
	pml4[0] = (uintptr_t)pdpt | GUEST_PRESENT | GUEST_WRITE;
	pdpt[0] = (uintptr_t)directory | GUEST_PRESENT | GUEST_WRITE;
	for (unsigned int i = 0; i < 512; i++)
		directory[i] = i * LARGE_BYTES | GUEST_PRESENT | GUEST_WRITE | GUEST_LARGE;
	write_cr3((uintptr_t)pml4);
}

/* The table that @entry leads to, which is made if there is none; NULL: no page is left. */
static uint64_t *next_table(uint64_t *entry)
{
	if (!(*entry & GUEST_PRESENT)) {
		uint64_t page = new_page();

		if (!page)
			return NULL;
		*entry = page | GUEST_PRESENT | GUEST_WRITE;
	}
	return (uint64_t *)(*entry & TABLE_MASK);
}

/* Tasks "map" and "change". */
int map_page(uintptr_t gva, uint64_t gpa, unsigned long flags)
{
	uint64_t *table = pml4;

	for (int shift = 39; shift > 12; shift -= 9) {
		table = next_table(&table[gva >> shift & 511]);
		if (!table)
			return -1;
	}
	table[gva >> 12 & 511] = gpa | flags;
	asm volatile("invlpg (%0)" :: "r"(gva) : "memory");
	return 0;
}

static __attribute__((interrupt)) void on_breakpoint(void *frame)
{
	(void)frame;
	breakpoints++;
}

/* A page that wasn't there, or may not be written: a new one, or a copy. */
static void bring_page(uintptr_t gva, bool copy)
{
	uint64_t page = new_page();

	if (!page) {
		guest_print("no page is left\n");
		guest_exit(1);
	}
	if (copy)
		memcpy((void *)page, (const void *)gva, PAGE_BYTES);
	map_page(gva, page, GUEST_PRESENT | GUEST_WRITE);
}

/* Tasks "lazy" and "copy". The error code: SDM 3A, "Page-Fault Exceptions". */
static __attribute__((interrupt)) void on_page_fault(void *frame, unsigned long error)
{
	uintptr_t gva = read_cr2() & ~(PAGE_BYTES - 1);

	(void)frame;
	faults++;
	last_error = error;
	bring_page(gva, error & GUEST_PRESENT);
}

static void set_gate(unsigned int vector, uintptr_t handler)
{
	idt[vector] = (struct gate){
		.offset_low = handler,
		.selector = CODE_SELECTOR,
		.type = GATE_INTERRUPT,
		.offset_middle = handler >> 16,
		.offset_high = handler >> 32,
	};
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
