// SPDX-License-Identifier: GPL-2.0-only
/*
 * A kernel that is none: it has a header like Linux' own, looks at what its loader has made
 * for it, and says what is wrong. This file is the lab's: the grader has its own.
 */
#include <stdbool.h>

#include "boot.h"
#include "guest.h"

#define WANTED		0x200000UL	/* .entry of build.mk */
#define INIT_BYTES	0x1000000UL
#define LAST_OF_HEADER	0x264		/* 4 bytes: END_MARK */
#define END_MARK	0x65626f72
#define LEAST_BYTES	512		/* of the initial RAM disk, and what it was before */
#define MOST_BYTES	65536

/*
 * What the file begins with. The third sector is executed if the second is taken for the last
 * one of the set-up code.
 */
asm("	.pushsection .setup, \"ax\"\n"
"setup:	.org	0x1f1; .byte 2\n"
"	.org	0x1fe; .word 0xaa55\n"
"	.byte	0xeb, 0x66\n"
"	.ascii	\"HdrS\"\n"
"	.word	0x20f\n"
"	.org	0x211; .byte 1\n"		/* loaded high */
"	.org	0x214; .long 0x100000\n"
"	.org	0x22c; .long 0x7fffffff\n"
"	.org	0x230; .long 0x200000\n"
"	.byte	1\n"				/* relocatable */
"	.org	0x238; .long 2047\n"
"	.org	0x258; .quad 0x200000\n"
"	.org	0x260; .long 0x1000000\n"
"	.long	0x65626f72\n"
"	.org	0x400\n"
"	mov	$0x300000, %esp\n"
"	call	1f\n"
"	.asciz	\"entry: in the last sector of the set-up code\\n\"\n"
"1:	pop	%ebx\n"
"2:	mov	(%ebx), %al\n"
"	inc	%ebx\n"
"	test	%al, %al\n"
"	jz	3f\n"
"	out	%al, $0xe9\n"
"	jmp	2b\n"
"3:	mov	$1, %al\n"
"	out	%al, $0xf4\n"
"	.org	0x600\n"
"	.popsection\n"

/* There is no stack, and where this is has to be found out first. */
"	.pushsection .entry, \"ax\"\n"
"	mov	$stack_end, %esp\n"
"	call	1f\n"
"1:	pop	%eax\n"
"	sub	$10, %eax\n"		/* from 1: back to here */
"	cmp	$0x200000, %eax\n"
"	jne	2f\n"
"	mov	%cs, %eax\n"
"	push	%eax\n"
"	push	%esi\n"
"	call	probe\n"
"2:	call	3f\n"
"	.asciz	\"entry: not where the kernel wants to be\\n\"\n"
"3:	pop	%ebx\n"
"4:	mov	(%ebx), %al\n"
"	inc	%ebx\n"
"	test	%al, %al\n"
"	jz	5f\n"
"	out	%al, $0xe9\n"
"	jmp	4b\n"
"5:	mov	$1, %al\n"
"	out	%al, $0xf4\n"
"	.popsection\n"
"	.pushsection .bss\n"
"	.balign	16\n"
"	.skip	4096\n"
"stack_end:\n"
"	.popsection\n");

static bool all_good = true;

static uint32_t get(const uint8_t *page, unsigned int at, unsigned int bytes)
{
	uint32_t value = 0;

	memcpy(&value, page + at, bytes);
	return value;
}

/* @wrong: what is; NULL: nothing. */
static void tell(const char *what, const char *wrong, const char *good)
{
	guest_print("%s: %s\n", what, wrong ? wrong : good);
	if (wrong)
		all_good = false;
}

static const char *header_fault(const uint8_t *page)
{
	if ((uintptr_t)page < 0x1000 || (uintptr_t)page > HOLE - ZERO_PAGE_BYTES)
		return "RSI leads to no zero page";
	if (get(page, HEADER_MAGIC, 4) != MAGIC || get(page, HEADER_BOOT_FLAG, 2) != BOOT_FLAG)
		return "it is not in the zero page that RSI leads to";
	if (get(page, LAST_OF_HEADER, 4) != END_MARK)
		return "its end is missing";
	for (unsigned int at = 0; at < HEADER_BEGIN; at++)
		if (page[at] && at != E820_COUNT)
			return "what is before it in the zero page is not zero";
	return page[HEADER_LOADER] ? NULL : "nobody has loaded this kernel: HEADER_LOADER is 0";
}

static void look_at_cmdline(const uint8_t *page)
{
	uint32_t gpa = get(page, HEADER_CMDLINE, 4);

	if (!gpa || gpa >= HOLE)
		tell("command line", "HEADER_CMDLINE leads nowhere", NULL);
	else
		guest_print("command line: \"%s\"\n", (const char *)(uintptr_t)gpa);
}

/* Entries of memory that can be used. */
static void look_at_memory(const uint8_t *page)
{
	unsigned int count = page[E820_COUNT], told = 0;
	bool hole = true;

	guest_print("memory:");
	for (unsigned int i = 0; i < count && i < 128; i++) {
		const uint8_t *entry = page + E820_TABLE + i * E820_BYTES;
		uint32_t begin = get(entry, 0, 4), end = begin + get(entry, 8, 4);

		if (get(entry, 16, 4) != E820_RAM)
			continue;
		guest_print("%s 0x%x to 0x%x", told++ ? "," : "", begin, end - 1);
		hole &= end <= HOLE || begin >= HOLE_END;
	}
	guest_print("%s\n", !told ? " none" : hole ? "" : ", with the hole at 0xa0000");
	all_good &= told && hole;
}

/* Compressed by gzip, which ends with the size of what it was: this file here. */
static const char *initrd_fault(const uint8_t *page)
{
	uint32_t gpa = get(page, HEADER_RAMDISK, 4), bytes = get(page, HEADER_RAMDISK_BYTES, 4);
	const uint8_t *data = (const uint8_t *)(uintptr_t)gpa;
	uint32_t size;

	if (!gpa || bytes < LEAST_BYTES)
		return "there is none";
	if (gpa % 4096)
		return "it does not begin at a page";
	if (gpa < WANTED + INIT_BYTES)
		return "it is where the kernel unpacks itself: HEADER_INIT_BYTES";
	if (data[0] != 0x1f || data[1] != 0x8b)
		return "it does not begin as the file does";
	size = get(data, bytes - 4, 4);
	return size && size < MOST_BYTES ? NULL : "it does not end as the file does";
}

/*
 * What a selector is worth shows when it is loaded: without a GDT that is a triple fault,
 * and the loader's own command tells.
 */
static void look_at_selectors(uint32_t cs)
{
	uint32_t ds, es, ss;

	asm("mov %%ds, %0; mov %%es, %1; mov %%ss, %2" : "=r"(ds), "=r"(es), "=r"(ss));
	guest_print("selectors: cs 0x%x, ds 0x%x, es 0x%x, ss 0x%x\n", cs, ds, es, ss);
	if (cs != BOOT_CS || ds != BOOT_DS || es != BOOT_DS || ss != BOOT_DS) {
		all_good = false;
		return;
	}
	asm volatile("mov %0, %%ds; mov %0, %%es; ljmp %1, $1f; 1:"
		     :: "r"(ds), "i"(BOOT_CS) : "memory");
	guest_print("descriptors: loaded from the GDT\n");
}

/* Called by .entry alone. */
void probe(const uint8_t *page, uint32_t cs);

void probe(const uint8_t *page, uint32_t cs)
{
	const char *fault = header_fault(page);

	tell("entry", NULL, "at 0x200000");
	tell("header", fault, "it is in the zero page, and the zero page is zero else");
	if (!fault) {
		look_at_cmdline(page);
		look_at_memory(page);
		tell("initrd", initrd_fault(page), "whole, at a page, behind the kernel");
	}
	look_at_selectors(cs);
	if (all_good)
		guest_print("nothing is wrong\n");
	guest_exit(!all_good);
}
