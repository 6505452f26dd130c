// SPDX-License-Identifier: GPL-2.0-only
/*
 * Lab 3: a guest that tries what tables.c has made, and says what came of it. This file is
 * the lab's: the grader has its own.
 */
#include "lab.h"

#define PAGE_BYTES	4096
#define LARGE_BYTES	0x200000UL
#define LARGE_PAGES	512
#define TABLE_MASK	0x000ffffffffff000UL

/* Where pages are mapped to be tried. */
#define HIGH		0x8000000000UL
#define SHARED		0x8000200000UL

static uint8_t pages[FREE_PAGES][PAGE_BYTES] __attribute__((aligned(PAGE_BYTES)));
static uint64_t first[512] __attribute__((aligned(PAGE_BYTES)));
static uint64_t second[512] __attribute__((aligned(PAGE_BYTES)));

uint64_t new_page(void)
{
	static unsigned int used;

	return used < FREE_PAGES ? (uintptr_t)pages[used++] : 0;
}

static uint64_t read_cr3(void)
{
	uint64_t cr3;

	asm volatile("mov %%cr3, %0" : "=r"(cr3));
	return cr3;
}

/* Where address @gva leads to by the tables in use; ~0: nowhere. */
static uint64_t walk(uintptr_t gva)
{
	uint64_t entry = read_cr3() | GUEST_PRESENT;

	for (int shift = 39; shift >= 12; shift -= 9) {
		const uint64_t *table = (const uint64_t *)(entry & TABLE_MASK);
		uint64_t offset = (1UL << shift) - 1;

		entry = table[gva >> shift & 511];
		if (!(entry & GUEST_PRESENT))
			return ~0UL;
		if (shift == 12 || (shift < 39 && entry & GUEST_LARGE))
			return (entry & TABLE_MASK & ~offset) | (gva & offset);
	}
	return ~0UL;
}

static void try_tables(void)
{
	uint64_t cr3 = read_cr3();

	make_tables();
	if (read_cr3() == cr3) {
		guest_print("tables: CR3 is as it was\n");
		guest_exit(1);
	}
	for (uintptr_t gva = 0; gva < LARGE_PAGES * LARGE_BYTES; gva += LARGE_BYTES) {
		if (walk(gva) == gva)
			continue;
		guest_print("tables: address 0x%lx leads to 0x%lx\n", gva, walk(gva));
		guest_exit(1);
	}
	guest_print("tables: each address of the first GiB leads to itself\n");
}

static void try_map(void)
{
	volatile uint64_t *high = (volatile uint64_t *)HIGH;
	uint64_t seen;

	if (map_page(HIGH, (uintptr_t)first, GUEST_PRESENT | GUEST_WRITE) ||
	    walk(HIGH) != (uintptr_t)first) {
		guest_print("map: address 0x%lx leads to 0x%lx\n", HIGH, walk(HIGH));
		guest_exit(1);
	}
	second[0] = 2;
	*high = 1;
	/* Between these two there is no VM exit, which might empty the TLB. */
	map_page(HIGH, (uintptr_t)second, GUEST_PRESENT | GUEST_WRITE);
	seen = *high;
	guest_print(first[0] == 1 ? "map: what was written there is in the page\n" :
		    "map: what was written there is nowhere\n");
	guest_print(seen == 2 ? "change: the new page is there\n" :
		    "change: the old page is still there\n");
}

static void try_idt(void)
{
	make_idt();
	asm volatile("int3");
	guest_print("idt: breakpoints: %u\n", breakpoints);
	if (!breakpoints)
		guest_exit(1);
}

static void try_lazy(void)
{
	volatile uint8_t *lazy = (volatile uint8_t *)LAZY;

	for (unsigned int i = 0; i < LAZY_PAGES; i++)
		lazy[i * PAGE_BYTES] = i;
	for (unsigned int i = 0; i < LAZY_PAGES; i++)
		if (lazy[i * PAGE_BYTES] != i)
			guest_print("lazy: page %u is another one\n", i);
	guest_print("lazy: faults: %u, error code 0x%lx\n", faults, last_error);
}

/* A page that is not to be changed. Who writes to it has a copy. */
static void try_copy(void)
{
	volatile uint64_t *shared = (volatile uint64_t *)SHARED;

	first[0] = 5;
	first[1] = 6;
	map_page(SHARED, (uintptr_t)first, GUEST_PRESENT);
	shared[0] = 7;
	guest_print("copy: the original is %lu, the copy %lu %lu, error code 0x%lx\n", first[0],
		    shared[0], shared[1], last_error);
}

int main(void)
{
	try_tables();
	try_map();
	try_idt();
	try_lazy();
	try_copy();
	return 0;
}
