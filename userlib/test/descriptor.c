// SPDX-License-Identifier: LGPL-2.1-or-later
/* VEE_EXIT_DESCRIPTOR: what a guest does to GDTR, IDTR, LDTR and TR, wherever its operand is. */
#include "board.h"

#define OPERAND		0x20000ULL

static void begin_descriptor(unsigned int mode)
{
	begin(mode);
	page->segments.ldtr.selector = 0x1234;
	page->segments.tr.selector = 0x5678;
	page->regs.rbx = OPERAND;
}

static void stores_to_memory(void)
{
	struct { uint16_t limit; uint64_t base; } __attribute__((packed)) table;
	uint16_t selector;

	begin_descriptor(8);
	CHECK_EQUAL(RUN_FOR(VEE_EXIT_DESCRIPTOR, 0x0f, 0x01, 0x03), 0);		/* sgdt (%rbx) */
	check_done();
	memcpy(&table, ram + OPERAND, sizeof(table));
	CHECK_EQUAL(table.base, GDT_GPA);
	CHECK_EQUAL(table.limit, sizeof(gdt) - 1);
	page->segments.idtr = (struct vee_table) { .base = 0x123456789abc, .limit = 0xfff };
	CHECK_EQUAL(RUN_FOR(VEE_EXIT_DESCRIPTOR, 0x0f, 0x01, 0x0b), 0);		/* sidt (%rbx) */
	memcpy(&table, ram + OPERAND, sizeof(table));
	CHECK_EQUAL(table.base, 0x123456789abc);
	CHECK_EQUAL(table.limit, 0xfff);
	CHECK_EQUAL(RUN_FOR(VEE_EXIT_DESCRIPTOR, 0x0f, 0x00, 0x03), 0);		/* sldt (%rbx) */
	memcpy(&selector, ram + OPERAND, sizeof(selector));
	CHECK_EQUAL(selector, 0x1234);
	CHECK_EQUAL(RUN_FOR(VEE_EXIT_DESCRIPTOR, 0x0f, 0x00, 0x0b), 0);		/* str (%rbx) */
	memcpy(&selector, ram + OPERAND, sizeof(selector));
	CHECK_EQUAL(selector, 0x5678);
	rig_end(&rig);
}

/* A selector in 64 or 32 bits is zero-extended; in 16 the rest stays. */
static void stores_to_registers(void)
{
	begin_descriptor(8);
	page->regs.rax = UINT64_MAX;
	CHECK_EQUAL(RUN_FOR(VEE_EXIT_DESCRIPTOR, 0x0f, 0x00, 0xc0), 0);		/* sldt %eax */
	check_done();
	CHECK_EQUAL(page->regs.rax, 0x1234);
	page->regs.r9 = UINT64_MAX;
	CHECK_EQUAL(RUN_FOR(VEE_EXIT_DESCRIPTOR, 0x49, 0x0f, 0x00, 0xc9), 0);	/* str %r9 */
	CHECK_EQUAL(page->regs.r9, 0x5678);
	page->regs.rax = UINT64_MAX;
	CHECK_EQUAL(RUN_FOR(VEE_EXIT_DESCRIPTOR, 0x66, 0x0f, 0x00, 0xc8), 0);	/* str %ax */
	CHECK_EQUAL(page->regs.rax, 0xffffffffffff5678);
	rig_end(&rig);
}

static void loads(void)
{
	static const uint8_t table[] = { 0xff, 0x0f, 0x00, 0x00, 0x05, 0x00, 0x00, 0x00, 0, 0 };

	begin_descriptor(4);
	CHECK_EQUAL(RUN_FOR(VEE_EXIT_DESCRIPTOR, 0x0f, 0x00, 0xd0), 0);		/* lldt %ax: 0 */
	check_done();
	CHECK_EQUAL(page->segments.ldtr.access_rights & VEE_AR_UNUSABLE, VEE_AR_UNUSABLE);
	page->regs.rax = LDT;
	CHECK_EQUAL(RUN_FOR(VEE_EXIT_DESCRIPTOR, 0x0f, 0x00, 0xd0), 0);		/* lldt %ax */
	CHECK_EQUAL(page->segments.ldtr.selector, LDT);
	CHECK_EQUAL(page->segments.ldtr.limit, 0x1f);
	memcpy(ram + OPERAND, &(uint16_t) { TSS }, sizeof(uint16_t));
	CHECK_EQUAL(RUN_FOR(VEE_EXIT_DESCRIPTOR, 0x0f, 0x00, 0x1b), 0);		/* ltr (%ebx) */
	CHECK_EQUAL(page->segments.tr.selector, TSS);
	CHECK_EQUAL(page->segments.tr.access_rights & VEE_AR_TYPE, 11);
	memcpy(ram + OPERAND, table, sizeof(table));
	CHECK_EQUAL(RUN_FOR(VEE_EXIT_DESCRIPTOR, 0x0f, 0x01, 0x1b), 0);		/* lidt (%ebx) */
	CHECK_EQUAL(page->segments.idtr.base, 0x50000);
	CHECK_EQUAL(page->segments.idtr.limit, 0xfff);
	CHECK_EQUAL(RUN_FOR(VEE_EXIT_DESCRIPTOR, 0x0f, 0x01, 0x13), 0);		/* lgdt (%ebx) */
	CHECK_EQUAL(page->segments.gdtr.base, 0x50000);
	rig_end(&rig);
}

const struct test tests[] = {
	{ "stores to memory", stores_to_memory },
	{ "stores to registers", stores_to_registers },
	{ "loads", loads },
	{ 0 }
};
