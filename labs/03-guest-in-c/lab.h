/* SPDX-License-Identifier: GPL-2.0-only */
/* Lab 3: what guest.c, the lab's, and tables.c, yours, know of each other. */
#ifndef LAB_H
#define LAB_H

#include <guest.h>

/* A page without an owner. */
#define FREE_PAGES	16

/* --- tables.c --- */

/* Tables of your own, that map the first GiB to itself, and CR3. */
void make_tables(void);

/*
 * Has the page of 4 KiB at @gva be that at @gpa, with GUEST_PRESENT, GUEST_WRITE in @flags,
 * whatever was there. Returns 0, or -1 if there is no page left for a table.
 */
int map_page(uintptr_t gva, uint64_t gpa, unsigned long flags);

/* An IDT of your own, with handlers for #BP and #PF. */
void make_idt(void);

/* What the handlers have seen: how many of each, and the last #PF's error code. */
extern volatile unsigned int breakpoints, faults;
extern volatile unsigned long last_error;

/* --- guest.c --- */

/* A page of zeros, by its address, which is its physical address, too; 0: none is left. */
uint64_t new_page(void);

/* Pages that are to come as they are touched: the handler of #PF brings them. */
#define LAZY		0x8000100000UL
#define LAZY_PAGES	3

#endif
