// SPDX-License-Identifier: LGPL-2.1-or-later
/* VEE_EXIT_DESCRIPTOR: what a guest does to GDTR, IDTR, LDTR and TR, wherever its operand is. */
#include "test.h"

#define RAM_BYTES	0x200000ULL
#define GDT_GPA		0x10000ULL
#define OPERAND		0x20000ULL
#define LDT		0x08
#define TSS		0x18

static const uint64_t gdt[5] = { 0, 0x000082009000001f, 0, 0x0000890080000067, 0 };

static struct rig rig;
static struct vee_vcpu_page *page;
static uint8_t *ram;

static void begin(bool in_long_mode)
{
	rig_begin(&rig);
	page = rig.vcpu->page;
	if (in_long_mode)
		vee_vcpu_set_long_mode(rig.vcpu, 0, 0x1000);
	else
		vee_vcpu_set_protected_mode(rig.vcpu, 0x1000);
	CHECK_EQUAL(vee_vm_alloc(rig.vm, 0, RAM_BYTES, (void **)&ram), 0);
	if (in_long_mode) {
		fake.identity = true;
		fake_paging(&rig);
	}
	memcpy(ram + GDT_GPA, gdt, sizeof(gdt));
	page->segments.gdtr = (struct vee_table) { .base = GDT_GPA, .limit = sizeof(gdt) - 1 };
	page->segments.ldtr.selector = 0x1234;
	page->segments.tr.selector = 0x5678;
	page->events = (struct vee_events) { 0 };
	page->regs.rbx = OPERAND;
}

static int run_insn(const uint8_t *code, size_t bytes)
{
	memset(&page->exit, 0, sizeof(page->exit));
	page->exit.reason = VEE_EXIT_DESCRIPTOR;
	page->exit.memory = (struct vee_exit_memory) {
		.insn_bytes = bytes, .code_width = test_code_width(page),
	};
	memcpy(page->exit.memory.insn, code, bytes);
	page->resume = VEE_RESUME_HERE;
	page->inject = (struct vee_event) { 0 };
	page->dirty = 0;
	return vee_mmio_assist(rig.vcpu, NULL, NULL);
}

#define RUN(...) run_insn((const uint8_t[]) { __VA_ARGS__ },			\
			  sizeof((const uint8_t[]) { __VA_ARGS__ }))

static void check_done(void)
{
	CHECK_EQUAL(page->resume, VEE_RESUME_NEXT);
	CHECK(!(page->inject.flags & VEE_EVENT_VALID));
}

static void stores_to_memory(void)
{
	struct { uint16_t limit; uint64_t base; } __attribute__((packed)) table;
	uint16_t selector;

	begin(true);
	CHECK_EQUAL(RUN(0x0f, 0x01, 0x03), 0);		/* sgdt (%rbx) */
	check_done();
	memcpy(&table, ram + OPERAND, sizeof(table));
	CHECK_EQUAL(table.base, GDT_GPA);
	CHECK_EQUAL(table.limit, sizeof(gdt) - 1);
	page->segments.idtr = (struct vee_table) { .base = 0x123456789abc, .limit = 0xfff };
	CHECK_EQUAL(RUN(0x0f, 0x01, 0x0b), 0);		/* sidt (%rbx) */
	memcpy(&table, ram + OPERAND, sizeof(table));
	CHECK_EQUAL(table.base, 0x123456789abc);
	CHECK_EQUAL(table.limit, 0xfff);
	CHECK_EQUAL(RUN(0x0f, 0x00, 0x03), 0);		/* sldt (%rbx) */
	memcpy(&selector, ram + OPERAND, sizeof(selector));
	CHECK_EQUAL(selector, 0x1234);
	CHECK_EQUAL(RUN(0x0f, 0x00, 0x0b), 0);		/* str (%rbx) */
	memcpy(&selector, ram + OPERAND, sizeof(selector));
	CHECK_EQUAL(selector, 0x5678);
	rig_end(&rig);
}

/* A selector in 64 or 32 bits is zero-extended; in 16 the rest stays. */
static void stores_to_registers(void)
{
	begin(true);
	page->regs.rax = UINT64_MAX;
	CHECK_EQUAL(RUN(0x0f, 0x00, 0xc0), 0);		/* sldt %eax */
	check_done();
	CHECK_EQUAL(page->regs.rax, 0x1234);
	page->regs.r9 = UINT64_MAX;
	CHECK_EQUAL(RUN(0x49, 0x0f, 0x00, 0xc9), 0);	/* str %r9 */
	CHECK_EQUAL(page->regs.r9, 0x5678);
	page->regs.rax = UINT64_MAX;
	CHECK_EQUAL(RUN(0x66, 0x0f, 0x00, 0xc8), 0);	/* str %ax */
	CHECK_EQUAL(page->regs.rax, 0xffffffffffff5678);
	rig_end(&rig);
}

static void loads(void)
{
	static const uint8_t table[] = { 0xff, 0x0f, 0x00, 0x00, 0x05, 0x00, 0x00, 0x00, 0, 0 };

	begin(false);
	CHECK_EQUAL(RUN(0x0f, 0x00, 0xd0), 0);		/* lldt %ax: 0 */
	check_done();
	CHECK_EQUAL(page->segments.ldtr.access_rights & VEE_AR_UNUSABLE, VEE_AR_UNUSABLE);
	page->regs.rax = LDT;
	CHECK_EQUAL(RUN(0x0f, 0x00, 0xd0), 0);		/* lldt %ax */
	CHECK_EQUAL(page->segments.ldtr.selector, LDT);
	CHECK_EQUAL(page->segments.ldtr.limit, 0x1f);
	memcpy(ram + OPERAND, &(uint16_t) { TSS }, sizeof(uint16_t));
	CHECK_EQUAL(RUN(0x0f, 0x00, 0x1b), 0);		/* ltr (%ebx) */
	CHECK_EQUAL(page->segments.tr.selector, TSS);
	CHECK_EQUAL(page->segments.tr.access_rights & VEE_AR_TYPE, 11);
	memcpy(ram + OPERAND, table, sizeof(table));
	CHECK_EQUAL(RUN(0x0f, 0x01, 0x1b), 0);		/* lidt (%ebx) */
	CHECK_EQUAL(page->segments.idtr.base, 0x50000);
	CHECK_EQUAL(page->segments.idtr.limit, 0xfff);
	CHECK_EQUAL(RUN(0x0f, 0x01, 0x13), 0);		/* lgdt (%ebx) */
	CHECK_EQUAL(page->segments.gdtr.base, 0x50000);
	rig_end(&rig);
}

const struct test tests[] = {
	{ "stores to memory", stores_to_memory },
	{ "stores to registers", stores_to_registers },
	{ "loads", loads },
	{ 0 }
};
