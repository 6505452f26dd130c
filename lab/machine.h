/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What programs share that run random instructions in a guest: where its tables are in its
 * memory, what is in them at first, and numbers that are the same each time.
 */
#ifndef LAB_MACHINE_H
#define LAB_MACHINE_H

#include <err.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <Zydis/Zydis.h>

#define GPA_GDT		0x1000U
#define GPA_LDT		0x1800U
#define GPA_IDT		0x2000U
#define GPA_TSS		0x3800U
#define GPA_TASK	0x3a00U	/* another task's */
#define GPA_STUBS	0x3c00U	/* a HLT for each vector */
#define GPA_PML4	0x4000U
#define GPA_PDPT	0x5000U
#define GPA_PD		0x6000U
#define GPA_PT		0x7000U
#define GPA_CODE	0x8000U
#define GPA_STACK	0xa000U	/* of CPL 0; that of CPL 3 is a page above */
#define GPA_PDPT_PAE	0xc000U
#define GPA_PD_32	0xd000U
#define GPA_PT_32	0xe000U
#define GPA_DEVICE	0x10000U
#define GPA_DEVICE_IDT	0x11000U	/* if the tables are in the device... */
#define GPA_DEVICE_GDT	0x11400U
#define GPA_DEVICE_LDT	0x11600U
#define GPA_DEVICE_TSS	0x11800U	/* ...which they have to the end */
#define DEVICE_BYTES	0x2000U
#define RAM_BYTES	0x14000U	/* the device's place among it */
#define PAGE_BYTES	0x1000U

#define HLT		0xf4
#define DR7_ENABLED	0xffU
#define VECTORS		256
#define FAULTS		32
#define TSS_LIMIT	0x67

#define STATUS_FLAGS	0x8d5ULL
#define RFLAGS_TF	0x100ULL
#define RFLAGS_AC	0x40000ULL
#define RFLAGS_VM	0x20000ULL
#define RFLAGS_RF	0x10000ULL
#define RFLAGS_NT	0x4000ULL
#define RFLAGS_IOPL	0x3000ULL
#define RFLAGS_VIF	0x80000ULL
#define IOPL_SHIFT	12
#define CR0_PE		0x1ULL
#define CR0_EM		0x4ULL
#define CR0_TS		0x8ULL
#define CR0_ET		0x10ULL
#define CR0_WP		0x10000ULL
#define CR0_AM		0x40000ULL
#define CR0_PG		0x80000000ULL
#define CR4_VME		0x1ULL
#define CR4_DE		0x8ULL
#define CR4_PSE		0x10ULL
#define CR4_PAE		0x20ULL
#define CR4_MCE		0x40ULL
#define CR4_OSFXSR	0x200ULL
#define CR4_OSXSAVE	0x40000ULL
#define CR4_SMAP	0x200000ULL
#define XCR0_AVX	7
#define EFER_LME	0x100ULL
#define EFER_LMA	0x400ULL
#define EFER_NXE	0x800ULL

enum { CODE0 = 0x08, DATA0 = 0x10, CODE3 = 0x1b, DATA3 = 0x23, READ_ONLY = 0x28, TSS = 0x30,
	LDT = 0x40, CODE64 = 0x50, CODE64_3 = 0x5b, DOWN = 0x60, ABSENT = 0x68,
	CONFORMING = 0x70, SMALL = 0x78, TSS_FREE = 0x80, GATE = 0x90, GATE_16 = 0xa0,
	GATE_CONFORMING = 0xb0, GATE_0 = 0xc0, GATE_3 = 0xd0, GATE_TASK = 0xe0, CODE16 = 0xf0,
	CONFORMING64 = 0xf8, GDT_END = 0x100 };

enum mode { LONG0, LONG3, COMPAT0, COMPAT3, PROTECTED0, PROTECTED3, SMALL0, SMALL3, REAL,
	VIRTUAL, MODES };

/**
 * struct kind - what a mode is
 * @width: bytes of an address by default
 * @level: CPL
 * @is_long: IA-32e mode
 * @has_bases: segments begin at the device, whose offsets have 16 bits then
 */
struct kind {
	const char *name;
	unsigned int width;
	unsigned int level;
	bool is_long;
	bool has_bases;
};

static const struct kind kinds[MODES] = {
	[LONG0] = { "64-bit, CPL 0", 8, 0, true, false },
	[LONG3] = { "64-bit, CPL 3", 8, 3, true, false },
	[COMPAT0] = { "compatibility, CPL 0", 4, 0, true, false },
	[COMPAT3] = { "compatibility, CPL 3", 4, 3, true, false },
	[PROTECTED0] = { "32-bit, CPL 0", 4, 0, false, false },
	[PROTECTED3] = { "32-bit, CPL 3", 4, 3, false, false },
	[SMALL0] = { "16-bit, CPL 0", 2, 0, false, true },
	[SMALL3] = { "16-bit, CPL 3", 2, 3, false, true },
	[REAL] = { "real", 2, 0, false, true },
	[VIRTUAL] = { "virtual-8086", 2, 3, false, true },
};

/* Of code whose addresses have @width bytes by default. */
static inline void make_decoder(ZydisDecoder *decoder, unsigned int width)
{
	if (width == 8)
		ZydisDecoderInit(decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	else if (width == 4)
		ZydisDecoderInit(decoder, ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32);
	else
		ZydisDecoderInit(decoder, ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16);
}

/* What is in memory at first, and what the next number is made of: the program has them, once. */
extern uint8_t pristine[RAM_BYTES];
extern uint64_t seed;

/* A machine's memory. */
static inline uint8_t *make_ram(void)
{
	uint8_t *memory = aligned_alloc(PAGE_BYTES, RAM_BYTES);

	if (!memory)
		err(1, "memory");
	memset(memory, 0, RAM_BYTES);
	return memory;
}

static inline uint64_t random64(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed * 0x2545f4914f6cdd1d;
}

static inline unsigned int pick(unsigned int count)
{
	return (random64() >> 32) % count;
}

static inline void put(uint32_t gpa, uint64_t value, unsigned int bytes)
{
	memcpy(pristine + gpa, &value, bytes);
}

/* A call gate, of 16 bytes in IA-32e mode. */
static inline void put_call_gate(uint32_t gdt, unsigned int at, uint16_t selector, uint16_t rights)
{
	put(gdt + at, (GPA_CODE + 0x800) | selector << 16 | (uint64_t)rights << 32, 8);
}

static inline void put_descriptors(uint32_t gdt, uint32_t ldt, uint32_t tss, bool is_long)
{
	const struct {
		uint16_t selector;
		uint64_t low;
	} all[] = {
		{ CODE0, 0x00cf9a000000ffff }, { DATA0, 0x00cf92000000ffff },
		{ CODE3 & ~3, 0x00cffa000000ffff }, { DATA3 & ~3, 0x00cff2000000ffff },
		{ READ_ONLY, 0x00cff0000000ffff },
		{ TSS, 0x00008b0000000067 | (uint64_t)tss << 16 },
		{ LDT, 0x000082000000001f | (uint64_t)ldt << 16 }, { CODE64, 0x00af9a000000ffff },
		{ CODE64_3 & ~3, 0x00affa000000ffff }, { DOWN, 0x0040f60000000fff },
		{ ABSENT, 0x00cf72000000ffff }, { CONFORMING, 0x00cf9e000000ffff },
		{ SMALL, 0x0040f20000010fff }, { TSS_FREE, 0x0000e90000000067 | GPA_TASK << 16 },
		{ CODE16, 0x008f9a000000ffff }, { CONFORMING64, 0x00af9e000000ffff },
	};

	memset(pristine + gdt, 0, GDT_END);
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		put(gdt + all[i].selector, all[i].low, 8);
	put_call_gate(gdt, GATE, is_long ? CODE64 : CODE0, 0xec02);
	put_call_gate(gdt, GATE_16, CODE0, 0xe403);
	put_call_gate(gdt, GATE_CONFORMING, is_long ? CONFORMING64 : CONFORMING, 0xec01);
	put_call_gate(gdt, GATE_0, is_long ? CODE64 : CODE0, 0x8c00);
	put_call_gate(gdt, GATE_3, is_long ? CODE64_3 : CODE3, 0xec1f);
	put(gdt + GATE_TASK, 0x0000e50000000000 | TSS_FREE << 16, 8);
	put(ldt + 8, 0x00cff2000000ffff, 8);
}

/* Tables and the inner stack are the supervisor's. */
static inline uint64_t page_entry(unsigned int number)
{
	uint64_t gpa = number * PAGE_BYTES;

	return gpa | (gpa < GPA_CODE || gpa == GPA_STACK - PAGE_BYTES ? 3 : 7);
}

static inline void put_pages(void)
{
	put(GPA_PML4, GPA_PDPT | 7, 8);
	put(GPA_PDPT, GPA_PD | 7, 8);
	put(GPA_PDPT_PAE, GPA_PD | 1, 8);
	put(GPA_PD, GPA_PT | 7, 8);
	put(GPA_PD_32, GPA_PT_32 | 7, 4);
	for (unsigned int i = 0; i < RAM_BYTES / PAGE_BYTES; i++) {
		put(GPA_PT + 8 * i, page_entry(i), 8);
		put(GPA_PT_32 + 4 * i, page_entry(i), 4);
	}
}

static inline void put_gates(uint32_t idt, unsigned int count, bool is_long)
{
	for (unsigned int i = 0; i < count; i++) {
		uint64_t stub = GPA_STUBS + i;

		if (is_long)
			put(idt + 16 * i, stub | CODE64 << 16 | 0x8e0000000000, 8);
		else
			put(idt + 8 * i, stub | CODE0 << 16 | 0x8e0000000000, 8);
	}
}

static inline void put_tss(uint32_t tss, bool is_long)
{
	memset(pristine + tss, 0, TSS_LIMIT + 1);
	put(tss + 4, GPA_STACK, 8);
	if (!is_long)
		put(tss + 8, DATA0, 2);
	put(tss + 102, TSS_LIMIT + 1, 2);
}

/* A task of CPL 0 that halts. */
static inline void put_task(uint32_t cr3)
{
	static const uint16_t selectors[] = { DATA3, CODE0, DATA0, DATA3, 0, DATA3 };

	put_tss(GPA_TASK, false);
	put(GPA_TASK + 28, cr3, 4);
	put(GPA_TASK + 32, GPA_CODE + 0x900, 4);
	put(GPA_TASK + 36, 2, 4);
	put(GPA_TASK + 56, GPA_STACK, 4);
	for (unsigned int i = 0; i < 6; i++)
		put(GPA_TASK + 72 + 4 * i, selectors[i], 2);
}

/* Those in memory too if those in the device are in use: who writes there hits nothing. */
static inline void put_tables(bool is_long, bool in_device, uint32_t cr3)
{
	memset(pristine + GPA_IDT, 0, PAGE_BYTES);
	put_gates(GPA_IDT, VECTORS, is_long);
	for (unsigned int i = 0; i < VECTORS; i++)
		put(4 * i, GPA_STUBS + i, 4);
	put_tss(GPA_TSS, is_long);
	put_task(cr3);
	put_pages();
	put_descriptors(GPA_GDT, GPA_LDT, GPA_TSS, is_long);
	if (!in_device)
		return;
	memset(pristine + GPA_DEVICE_IDT, 0, PAGE_BYTES);
	put_gates(GPA_DEVICE_IDT, FAULTS, is_long);
	put_tss(GPA_DEVICE_TSS, is_long);
	put_descriptors(GPA_DEVICE_GDT, GPA_DEVICE_LDT, GPA_DEVICE_TSS, is_long);
}

static inline uint16_t some_selector(void)
{
	static const uint16_t selectors[] = {
		0, 3, CODE0, DATA0, CODE3, DATA3, READ_ONLY, READ_ONLY | 3, TSS, LDT, CODE64,
		CODE64_3, DOWN | 3, ABSENT, ABSENT | 3, CONFORMING, SMALL | 3, TSS_FREE, 0x0c, 0x0f,
		GATE, GATE_16, GATE_CONFORMING, GATE_0, GATE_3, GATE | 3, GATE_TASK, CODE16,
		CONFORMING64, GDT_END,
	};

	return selectors[pick(sizeof(selectors) / sizeof(*selectors))];
}

/* Selectors, addresses, small numbers, and whatever. */
static inline uint64_t some_value(void)
{
	switch (pick(6)) {
	case 0:
		return some_selector();
	case 1:
		return GPA_CODE + pick(PAGE_BYTES) + ((uint64_t)some_selector() << 32);
	case 5:
		return GPA_CODE + pick(PAGE_BYTES) + ((uint64_t)some_selector() << 16);
	case 2:
		return pick(64);
	default:
		return random64();
	}
}

#endif /* LAB_MACHINE_H */
