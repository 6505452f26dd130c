// SPDX-License-Identifier: LGPL-2.1-or-later
/* Page tables: four levels, as SDM 3A, "4-Level Paging and 5-Level Paging" has them. */
#include "guest.h"

#define ENTRIES		512
#define ADDRESS		0x000ffffffffff000UL
#define PAGE		4096UL
/* What a table allows is for its pages to restrict. */
#define TABLE		(GUEST_PRESENT | GUEST_WRITE | GUEST_USER)

static uint64_t tables[GUEST_TABLES][ENTRIES] __attribute__((aligned(4096)));
static unsigned int tables_made;

/* Level 3 is CR3's table, level 0 that of pages. */
static unsigned int index_at(uintptr_t gva, unsigned int level)
{
	return gva >> (12 + 9 * level) & (ENTRIES - 1);
}

/* A table for @entry, in which all is as it was. */
static int make_table(uint64_t *entry)
{
	uint64_t *table;

	if (tables_made == GUEST_TABLES)
		return -1;
	table = tables[tables_made++];
	if (*entry & GUEST_PRESENT)
		for (unsigned int i = 0; i < ENTRIES; i++)
			table[i] = (*entry & ~GUEST_LARGE) + i * PAGE;
	*entry = (uintptr_t)table | TABLE;
	return 0;
}

int guest_map_page(uintptr_t gva, uint64_t gpa, unsigned long flags)
{
	uint64_t *table, *entry;
	uintptr_t cr3;

	asm volatile("mov %%cr3, %0" : "=r"(cr3));
	table = (uint64_t *)(cr3 & ADDRESS);
	for (unsigned int level = 3; level; level--) {
		entry = &table[index_at(gva, level)];
		if (level > 1 && (*entry & GUEST_PRESENT) && (*entry & GUEST_LARGE))
			return -1;
		if (!(*entry & GUEST_PRESENT) || (*entry & GUEST_LARGE))
			if (make_table(entry))
				return -1;
		table = (uint64_t *)(*entry & ADDRESS);
	}
	table[index_at(gva, 0)] = (gpa & ADDRESS) | flags;
	asm volatile("invlpg (%0)" :: "r"(gva) : "memory");
	return 0;
}
