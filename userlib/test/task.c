// SPDX-License-Identifier: LGPL-2.1-or-later
/* Task switches: what is saved, what is loaded, and every fault on the way. */
#include "../task/task.h"
#include "test.h"

#define REASON_TASK_SWITCH	9
#define MEMORY		0x100000

#define GDT		0x1000
#define LDT		0x1800
#define OLD_TSS		0x2000
#define NEW_TSS		0x3000
#define STACK		0x5000
#define TABLES		0x10000

enum { CALL, IRET, JMP, GATE };

/* Selectors, and descriptors of what they are for. */
enum {
	CODE = 0x08, DATA = 0x10, OLD = 0x18, NEW = 0x20, LDT_SEL = 0x28,
	CODE3 = 0x30, DATA3 = 0x38, CONFORMING = 0x40, ABSENT = 0x48, READ_ONLY = 0x50,
	ABSENT_CODE = 0x58, EXECUTE_ONLY = 0x60, EXPAND_DOWN = 0x68, GDT_END = 0x70,
	IN_LDT = 0x04,
};

#define CODE_RIGHTS	0xc09a
#define DATA_RIGHTS	0xc092
#define TSS16_AVAILABLE	0x81
#define TSS32_AVAILABLE	0x89
#define TSS32_BUSY	0x8b

static struct rig rig;
static uint8_t *memory;
static struct vee_vcpu_page *page;

static void put16(uint32_t gpa, uint16_t value)
{
	memcpy(memory + gpa, &value, sizeof(value));
}

static void put32(uint32_t gpa, uint32_t value)
{
	memcpy(memory + gpa, &value, sizeof(value));
}

static void put64(uint32_t gpa, uint64_t value)
{
	memcpy(memory + gpa, &value, sizeof(value));
}

static uint16_t get16(uint32_t gpa)
{
	uint16_t value;

	memcpy(&value, memory + gpa, sizeof(value));
	return value;
}

static uint32_t get32(uint32_t gpa)
{
	uint32_t value;

	memcpy(&value, memory + gpa, sizeof(value));
	return value;
}

static void describe(uint32_t gpa, uint64_t base, uint64_t limit, uint64_t rights)
{
	put64(gpa, (limit & 0xffff) | (base & 0xffffff) << 16 | rights << 40 |
		   (limit & 0xf0000) << 32 | (base & 0xff000000) << 32);
}

static uint8_t rights_of(uint16_t selector)
{
	return memory[GDT + (selector & ~7) + 5];
}

static void set_up_gdt(void)
{
	describe(GDT + CODE, 0, 0xfffff, CODE_RIGHTS);
	describe(GDT + DATA, 0, 0xfffff, DATA_RIGHTS);
	describe(GDT + OLD, OLD_TSS, 0x67, TSS32_BUSY);
	describe(GDT + NEW, NEW_TSS, 0x67, TSS32_AVAILABLE);
	describe(GDT + LDT_SEL, LDT, 0xf, 0x82);
	describe(GDT + CODE3, 0, 0xfffff, CODE_RIGHTS | 0x60);
	describe(GDT + DATA3, 0, 0xfffff, DATA_RIGHTS | 0x60);
	describe(GDT + CONFORMING, 0, 0xfffff, CODE_RIGHTS | 0x4);
	describe(GDT + ABSENT, 0, 0xfffff, DATA_RIGHTS & ~0x80);
	describe(GDT + READ_ONLY, 0, 0xfffff, DATA_RIGHTS & ~0x2);
	describe(GDT + ABSENT_CODE, 0, 0xfffff, CODE_RIGHTS & ~0x80);
	describe(GDT + EXECUTE_ONLY, 0, 0xfffff, CODE_RIGHTS & ~0x2);
	describe(GDT + EXPAND_DOWN, 0, 0, 0x4096);
	describe(LDT, 0x1234, 0x5678, DATA_RIGHTS & ~0x8000);
}

/* The fields of a TSS, by their places. */
#define TSS(name)	(NEW_TSS + TSS_ ## name)
enum {
	TSS_LINK = 0x00, TSS_CR3 = 0x1c, TSS_EIP = 0x20, TSS_EFLAGS = 0x24,
	TSS_EAX = 0x28, TSS_ESP = 0x38, TSS_EDI = 0x44, TSS_ES = 0x48, TSS_CS = 0x4c,
	TSS_SS = 0x50, TSS_DS = 0x54, TSS_FS = 0x58, TSS_GS = 0x5c, TSS_LDT = 0x60,
	TSS_T = 0x64,
};

static void set_up_new_task(void)
{
	put32(TSS(EIP), 0x4000);
	put32(TSS(EFLAGS), 0x202);
	for (unsigned int i = 0; i < 8; i++)
		put32(TSS(EAX) + 4 * i, 0x11111111 * (i + 1));
	put32(TSS(ESP), STACK);
	put32(TSS(CS), CODE);
	put32(TSS(SS), DATA);
	put32(TSS(DS), DATA);
	put32(TSS(ES), IN_LDT);
	put32(TSS(FS), 0);
	put32(TSS(GS), CODE);
	put32(TSS(LDT), LDT_SEL);
}

static void set_up_old_task(void)
{
	struct vee_segments *segments = &page->segments;

	vee_vcpu_set_protected_mode(rig.vcpu, 0x1234);
	segments->gdtr.base = GDT;
	segments->gdtr.limit = GDT_END - 1;
	segments->tr = (struct vee_segment) {
		.base = OLD_TSS, .limit = 0x67, .access_rights = TSS32_BUSY,
		.selector = OLD,
	};
	for (unsigned int i = 0; i < 8; i++)
		page->regs.gpr[i] = 0x01010101 * (i + 1);
	page->regs.rflags = 0x4006;
	page->debug.dr7 = 0x6ff;
	page->dirty = 0;
}

static void begin(unsigned int source, uint16_t selector)
{
	void *hva;

	rig_begin(&rig);
	vee_vm_alloc(rig.vm, 0, MEMORY, &hva);
	memory = hva;
	page = rig.vcpu->page;
	set_up_gdt();
	set_up_new_task();
	set_up_old_task();
	page->exit.reason = VEE_EXIT_OTHER;
	page->exit.hardware_reason = REASON_TASK_SWITCH;
	page->exit.qualification = (uint64_t)source << 30 | selector;
	page->exit.instruction_length = 7;
	page->exit.flags = VEE_EXIT_INTERRUPT_READY | VEE_EXIT_NMI_READY;
	if (source == IRET)
		describe(GDT + NEW, NEW_TSS, 0x67, TSS32_BUSY);
}

static void begin_event(uint8_t type, uint8_t vector)
{
	begin(GATE, NEW);
	page->events.delivering = (struct vee_event) {
		.vector = vector, .type = type, .flags = VEE_EVENT_VALID,
	};
	if (type == VEE_EVENT_EXCEPTION && vector >= VECTOR_TS && vector <= VECTOR_PF) {
		page->events.delivering.flags |= VEE_EVENT_ERROR_CODE;
		page->events.delivering.error_code = 0x1234;
	}
	page->exit.flags |= VEE_EXIT_EVENT_PENDING;
}

static void check_loaded(void)
{
	const struct vee_segments *segments = &page->segments;

	CHECK_EQUAL(page->regs.rip, 0x4000);
	CHECK_EQUAL(page->regs.rax, 0x11111111);
	CHECK_EQUAL(page->regs.rdi, 0x88888888);
	CHECK_EQUAL(page->regs.rsp, STACK);
	CHECK_EQUAL(segments->cs.selector, CODE);
	CHECK_EQUAL(segments->cs.access_rights, CODE_RIGHTS | 1);
	CHECK_EQUAL(segments->cs.limit, UINT32_MAX);
	CHECK_EQUAL(segments->es.base, 0x1234);
	CHECK_EQUAL(segments->es.limit, 0x5678);
	CHECK_EQUAL(segments->fs.access_rights, VEE_AR_UNUSABLE);
	CHECK_EQUAL(segments->ldtr.base, LDT);
	CHECK_EQUAL(segments->tr.selector, NEW);
	CHECK_EQUAL(segments->tr.base, NEW_TSS);
	CHECK_EQUAL(segments->tr.access_rights, TSS32_BUSY);
	CHECK(page->control.cr0 & CR0_TS);
	CHECK_EQUAL(page->debug.dr7, 0x6aa);
	CHECK_EQUAL(rights_of(CODE) & 1, 1);
	CHECK_EQUAL(memory[LDT + 5] & 1, 1);
	CHECK_EQUAL(page->exit.flags, 0);
	CHECK_EQUAL(page->resume, VEE_RESUME_DONE);
	CHECK(!(page->inject.flags & VEE_EVENT_VALID));
}

static void check_saved(uint32_t eip, uint32_t eflags)
{
	CHECK_EQUAL(get32(OLD_TSS + TSS_EIP), eip);
	CHECK_EQUAL(get32(OLD_TSS + TSS_EFLAGS), eflags);
	CHECK_EQUAL(get32(OLD_TSS + TSS_EAX), 0x01010101);
	CHECK_EQUAL(get32(OLD_TSS + TSS_EDI), 0x08080808);
	CHECK_EQUAL(get16(OLD_TSS + TSS_CS), 8);
	CHECK_EQUAL(get16(OLD_TSS + TSS_GS), 16);
	CHECK_EQUAL(get32(OLD_TSS + TSS_LDT), 0);
}

static void calls(void)
{
	begin(CALL, NEW);
	put16(OLD_TSS + TSS_CS + 2, 0xbeef);
	CHECK_EQUAL(vee_task_switch_assist(rig.vcpu), 0);
	check_loaded();
	check_saved(0x1234 + 7, 0x4006);
	CHECK_EQUAL(get16(OLD_TSS + TSS_CS + 2), 0xbeef);
	CHECK_EQUAL(page->regs.rflags, 0x4202);
	CHECK_EQUAL(get16(TSS(LINK)), OLD);
	CHECK_EQUAL(rights_of(OLD), TSS32_BUSY);
	CHECK_EQUAL(rights_of(NEW), TSS32_BUSY);
	rig_end(&rig);
}

static void jumps(void)
{
	begin(JMP, NEW);
	put32(TSS(EFLAGS), 0xffffffff & ~RFLAGS_VM);
	CHECK_EQUAL(vee_task_switch_assist(rig.vcpu), 0);
	check_loaded();
	check_saved(0x1234 + 7, 0x4006);
	CHECK_EQUAL(page->regs.rflags, 0x3d7fd7);
	CHECK_EQUAL(get16(TSS(LINK)), 0);
	CHECK_EQUAL(rights_of(OLD), TSS32_AVAILABLE);
	CHECK_EQUAL(rights_of(NEW), TSS32_BUSY);
	rig_end(&rig);
}

static void returns(void)
{
	begin(IRET, NEW);
	page->events.interruptibility = VEE_BLOCKING_BY_NMI | VEE_BLOCKING_BY_STI;
	CHECK_EQUAL(vee_task_switch_assist(rig.vcpu), 0);
	check_loaded();
	check_saved(0x1234 + 7, 0x0006);
	CHECK_EQUAL(page->regs.rflags, 0x0202);
	CHECK_EQUAL(rights_of(OLD), TSS32_AVAILABLE);
	CHECK_EQUAL(rights_of(NEW), TSS32_BUSY);
	CHECK_EQUAL(page->events.interruptibility, 0);
	rig_end(&rig);
}

/* --- gates --- */

static void delivers(void)
{
	static const struct {
		uint8_t type, vector;
		uint32_t eip, esp;
	} cases[] = {
		{ VEE_EVENT_INTERRUPT, 0x20, 0x1234, STACK },
		{ VEE_EVENT_NMI, 2, 0x1234, STACK },
		{ VEE_EVENT_EXCEPTION, 6, 0x1234, STACK },
		{ VEE_EVENT_EXCEPTION, 13, 0x1234, STACK - 4 },
		{ VEE_EVENT_SOFT_INTERRUPT, 0x80, 0x123b, STACK },
		{ VEE_EVENT_SOFT_EXCEPTION, 3, 0x123b, STACK },
		{ VEE_EVENT_PRIV_SOFT_EXCEPTION, 1, 0x123b, STACK },
	};

	for (unsigned int i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		bool nmi = cases[i].type == VEE_EVENT_NMI;

		test_case("type %u, vector %u", cases[i].type, cases[i].vector);
		begin_event(cases[i].type, cases[i].vector);
		page->events.interruptibility = VEE_BLOCKING_BY_STI;
		CHECK_EQUAL(vee_task_switch_assist(rig.vcpu), 0);
		CHECK_EQUAL(page->regs.rsp, cases[i].esp);
		page->regs.rsp = STACK;
		check_loaded();
		check_saved(cases[i].eip, 0x4006);
		CHECK_EQUAL(page->regs.rflags, 0x4202);
		CHECK_EQUAL(get16(TSS(LINK)), OLD);
		CHECK_EQUAL(page->events.delivering.flags, 0);
		CHECK_EQUAL(page->events.interruptibility, nmi ? VEE_BLOCKING_BY_NMI : 0);
		if (cases[i].esp != STACK)
			CHECK_EQUAL(get32(STACK - 4), 0x1234);
		rig_end(&rig);
	}
}

/* SP alone, which wraps; and a stack that is too small. */
static void error_codes(void)
{
	begin_event(VEE_EVENT_EXCEPTION, VECTOR_GP);
	describe(GDT + DATA, 0, 0xffff, 0x92);
	put32(TSS(ESP), 0x12340000);
	CHECK_EQUAL(vee_task_switch_assist(rig.vcpu), 0);
	CHECK_EQUAL(page->regs.rsp, 0x1234fffc);
	CHECK_EQUAL(get32(0xfffc), 0x1234);
	rig_end(&rig);

	begin_event(VEE_EVENT_EXCEPTION, VECTOR_PF);
	describe(GDT + DATA, 0, 0xfff, 0x4092);
	CHECK_EQUAL(vee_task_switch_assist(rig.vcpu), 0);
	CHECK_EQUAL(page->inject.vector, VECTOR_DF);	/* #SS in a #PF */
	CHECK_EQUAL(page->regs.rsp, STACK);
	rig_end(&rig);

	begin_event(VEE_EVENT_EXCEPTION, VECTOR_GP);
	put32(TSS(SS), EXPAND_DOWN);
	CHECK_EQUAL(vee_task_switch_assist(rig.vcpu), 0);
	CHECK_EQUAL(get32(STACK - 4), 0x1234);
	rig_end(&rig);
}

/* --- 16 bits, virtual-8086 mode, T --- */

static void sixteen_bits(void)
{
	begin(CALL, NEW);
	describe(GDT + NEW, NEW_TSS, 0x2b, TSS16_AVAILABLE);
	page->segments.tr.access_rights = 0x83;
	memset(memory + NEW_TSS, 0, 0x68);
	put16(NEW_TSS + 0x0e, 0x4000);
	put16(NEW_TSS + 0x10, 0x0202);
	for (unsigned int i = 0; i < 8; i++)
		put16(NEW_TSS + 0x12 + 2 * i, 0x1111 * (i + 1));
	put16(NEW_TSS + 0x22, IN_LDT);
	put16(NEW_TSS + 0x24, CODE);
	put16(NEW_TSS + 0x26, DATA);
	put16(NEW_TSS + 0x28, DATA);
	put16(NEW_TSS + 0x2a, LDT_SEL);
	CHECK_EQUAL(vee_task_switch_assist(rig.vcpu), 0);
	CHECK_EQUAL(page->regs.rax, 0xffff1111);
	CHECK_EQUAL(page->regs.rdi, 0xffff8888);
	CHECK_EQUAL(page->regs.rip, 0x4000);
	CHECK_EQUAL(page->regs.rflags, 0x4202);
	CHECK_EQUAL(page->segments.es.base, 0x1234);
	CHECK_EQUAL(page->segments.gs.access_rights, VEE_AR_UNUSABLE);
	CHECK_EQUAL(page->segments.tr.access_rights, 0x83);
	CHECK_EQUAL(get16(OLD_TSS + 0x0e), 0x123b);
	CHECK_EQUAL(get16(OLD_TSS + 0x10), 0x4006);
	CHECK_EQUAL(get16(OLD_TSS + 0x12), 0x0101);
	CHECK_EQUAL(get16(OLD_TSS + 0x28), 16);
	CHECK_EQUAL(get16(OLD_TSS + 0x2a), 0);
	CHECK_EQUAL(get16(NEW_TSS), OLD);
	rig_end(&rig);
}

static void virtual_8086(void)
{
	begin(IRET, NEW);
	put32(TSS(EFLAGS), 0x20002);
	put32(TSS(CS), 0x1234);
	put32(TSS(SS), 0xffff);
	CHECK_EQUAL(vee_task_switch_assist(rig.vcpu), 0);
	CHECK_EQUAL(page->segments.cs.base, 0x12340);
	CHECK_EQUAL(page->segments.ss.base, 0xffff0);
	CHECK_EQUAL(page->segments.ss.access_rights, 0xf3);
	CHECK_EQUAL(page->segments.fs.limit, 0xffff);
	CHECK_EQUAL(page->regs.rflags, 0x20002);
	CHECK(!(page->inject.flags & VEE_EVENT_VALID));
	rig_end(&rig);
}

static void traps(void)
{
	begin(JMP, NEW);
	put16(TSS(T), 1);
	page->debug.dr7 |= 0x2000;
	CHECK_EQUAL(vee_task_switch_assist(rig.vcpu), 0);
	CHECK_EQUAL(page->inject.vector, VECTOR_DB);
	CHECK_EQUAL(page->inject.flags, VEE_EVENT_VALID);
	CHECK_EQUAL(page->debug.dr6 & 0x8000, 0x8000);
	page->inject.flags = 0;
	check_loaded();
	rig_end(&rig);
}

/* --- faults --- */

static void check_fault(uint8_t vector, uint32_t error_code)
{
	CHECK_EQUAL(page->inject.flags, VEE_EVENT_VALID | VEE_EVENT_ERROR_CODE);
	CHECK_EQUAL(page->inject.vector, vector);
	CHECK_EQUAL(page->inject.error_code, error_code);
}

/* The old task is as it was. */
static void check_stays(uint8_t vector, uint32_t error_code)
{
	static const uint8_t nothing[0x68];
	uint8_t rights = rights_of(NEW);

	CHECK_EQUAL(vee_task_switch_assist(rig.vcpu), 0);
	check_fault(vector, error_code);
	CHECK_EQUAL(page->regs.rip, 0x1234);
	CHECK_EQUAL(page->dirty & (VEE_STATE_REGS | VEE_STATE_SEGMENTS), 0);
	CHECK(!memcmp(memory + OLD_TSS, nothing, sizeof(nothing)));
	CHECK_EQUAL(rights_of(OLD), TSS32_BUSY);
	CHECK_EQUAL(rights_of(NEW), rights);
	CHECK_EQUAL(get16(TSS(LINK)), 0);
	if (vector == VECTOR_PF)
		CHECK_EQUAL(page->control.cr2, OLD_TSS);
	rig_end(&rig);
}

static void faults_of_the_old_task(void)
{
	begin(CALL, NEW | 4);
	check_stays(VECTOR_GP, NEW | 4);
	begin(CALL, GDT_END);
	check_stays(VECTOR_GP, GDT_END);
	begin(IRET, GDT_END);
	check_stays(VECTOR_TS, GDT_END);
	begin(JMP, OLD);
	check_stays(VECTOR_GP, OLD);
	begin(IRET, NEW);
	describe(GDT + NEW, NEW_TSS, 0x67, TSS32_AVAILABLE);
	check_stays(VECTOR_TS, NEW);
	begin(CALL, DATA);
	check_stays(VECTOR_GP, DATA);
	begin(CALL, NEW);
	describe(GDT + NEW, NEW_TSS, 0x67, TSS32_AVAILABLE & ~0x80);
	check_stays(VECTOR_NP, NEW);
	begin(CALL, NEW);
	describe(GDT + NEW, NEW_TSS, 0x66, TSS32_AVAILABLE);
	check_stays(VECTOR_TS, NEW);
	begin(CALL, NEW | 3);
	describe(GDT + NEW, NEW_TSS, 0x2a, TSS16_AVAILABLE);
	check_stays(VECTOR_TS, NEW);
}

/* What has been switched to faults: @field of its TSS is @value. */
static void check_new_faults(uint32_t field, uint16_t value, uint8_t vector)
{
	test_case("field %#x, value %#x", field, value);
	begin(CALL, NEW);
	put16(NEW_TSS + field, value);
	CHECK_EQUAL(vee_task_switch_assist(rig.vcpu), 0);
	check_fault(vector, value & ~3);
	CHECK_EQUAL(page->regs.rip, 0x4000);
	CHECK_EQUAL(page->segments.tr.selector, NEW);
	CHECK_EQUAL(page->segments.gs.selector, field == TSS_GS ? value : CODE);
	CHECK(page->segments.gs.access_rights & VEE_AR_UNUSABLE);
	check_saved(0x123b, 0x4006);
	rig_end(&rig);
}

static void faults_of_the_new_task(void)
{
	static const uint32_t data[] = { TSS_DS, TSS_ES, TSS_FS, TSS_GS };

	check_new_faults(TSS_LDT, GDT_END, VECTOR_TS);
	check_new_faults(TSS_LDT, DATA, VECTOR_TS);
	check_new_faults(TSS_LDT, IN_LDT, VECTOR_TS);
	check_new_faults(TSS_CS, 0, VECTOR_TS);
	check_new_faults(TSS_CS, GDT_END, VECTOR_TS);
	check_new_faults(TSS_CS, DATA, VECTOR_TS);
	check_new_faults(TSS_CS, CODE | 3, VECTOR_TS);
	check_new_faults(TSS_CS, ABSENT_CODE, VECTOR_NP);
	check_new_faults(TSS_SS, 0, VECTOR_TS);
	check_new_faults(TSS_SS, 3, VECTOR_TS);
	check_new_faults(TSS_SS, GDT_END, VECTOR_TS);
	check_new_faults(TSS_SS, CODE, VECTOR_TS);
	check_new_faults(TSS_SS, READ_ONLY, VECTOR_TS);
	check_new_faults(TSS_SS, ABSENT, VECTOR_SS);
	check_new_faults(TSS_SS, DATA3 | 3, VECTOR_TS);
	check_new_faults(TSS_SS, DATA | 3, VECTOR_TS);
	for (unsigned int i = 0; i < sizeof(data) / sizeof(*data); i++) {
		check_new_faults(data[i], GDT_END, VECTOR_TS);
		check_new_faults(data[i], IN_LDT + 0x10, VECTOR_TS);
		check_new_faults(data[i], LDT_SEL, VECTOR_TS);
		check_new_faults(data[i], EXECUTE_ONLY, VECTOR_TS);
		check_new_faults(data[i], DATA | 1, VECTOR_TS);
		check_new_faults(data[i], ABSENT, VECTOR_NP);
	}
}

static void privilege_levels(void)
{
	begin(CALL, NEW);
	put32(TSS(CS), CODE3 | 3);
	put32(TSS(SS), DATA3 | 3);
	put32(TSS(DS), DATA3 | 3);
	put32(TSS(ES), CONFORMING | 3);
	put32(TSS(GS), 0);
	CHECK_EQUAL(vee_task_switch_assist(rig.vcpu), 0);
	CHECK(!(page->inject.flags & VEE_EVENT_VALID));
	CHECK_EQUAL(page->segments.ss.access_rights & VEE_AR_DPL, VEE_AR_DPL);
	rig_end(&rig);

	begin(CALL, NEW);
	put32(TSS(CS), CONFORMING | 3);
	put32(TSS(SS), DATA3 | 3);
	CHECK_EQUAL(vee_task_switch_assist(rig.vcpu), 0);
	check_fault(VECTOR_TS, DATA);	/* DS, of DPL 0 */
	CHECK_EQUAL(page->segments.cs.selector, CONFORMING | 3);
	CHECK_EQUAL(page->segments.ss.access_rights & VEE_AR_DPL, VEE_AR_DPL);
	rig_end(&rig);
}

/* The EXT bit; #DF; a shutdown; an interrupt that waits again. */
static void faults_of_events(void)
{
	begin_event(VEE_EVENT_INTERRUPT, 0x20);
	put16(TSS(DS), GDT_END);
	CHECK_EQUAL(vee_task_switch_assist(rig.vcpu), 0);
	check_fault(VECTOR_TS, GDT_END | 1);
	CHECK_EQUAL(page->events.interrupt.flags, 0);
	rig_end(&rig);

	begin_event(VEE_EVENT_INTERRUPT, 0x20);
	describe(GDT + NEW, NEW_TSS, 0x66, TSS32_AVAILABLE);
	CHECK_EQUAL(vee_task_switch_assist(rig.vcpu), 0);
	check_fault(VECTOR_TS, NEW | 1);
	CHECK_EQUAL(page->events.interrupt.vector, 0x20);
	CHECK_EQUAL(page->events.delivering.flags, 0);
	rig_end(&rig);

	begin_event(VEE_EVENT_NMI, 2);
	describe(GDT + NEW, NEW_TSS, 0x66, TSS32_AVAILABLE);
	CHECK_EQUAL(vee_task_switch_assist(rig.vcpu), 0);
	check_fault(VECTOR_TS, NEW | 1);
	CHECK_EQUAL(page->events.nmi.vector, 2);
	CHECK_EQUAL(page->events.nmi.flags, VEE_EVENT_VALID);
	CHECK_EQUAL(page->events.interrupt.flags, 0);
	rig_end(&rig);

	begin_event(VEE_EVENT_SOFT_INTERRUPT, 0x20);
	put16(TSS(DS), GDT_END);
	CHECK_EQUAL(vee_task_switch_assist(rig.vcpu), 0);
	check_fault(VECTOR_TS, GDT_END);
	rig_end(&rig);

	begin_event(VEE_EVENT_EXCEPTION, VECTOR_GP);
	put16(TSS(DS), GDT_END);
	CHECK_EQUAL(vee_task_switch_assist(rig.vcpu), 0);
	check_fault(VECTOR_DF, 0);
	rig_end(&rig);

	begin_event(VEE_EVENT_EXCEPTION, VECTOR_DF);
	put16(TSS(DS), GDT_END);
	CHECK_EQUAL(vee_task_switch_assist(rig.vcpu), -ENOTRECOVERABLE);
	CHECK_EQUAL(page->regs.rip, 0x1234);
	CHECK_EQUAL(get32(OLD_TSS + TSS_EIP), 0);
	CHECK_EQUAL(rights_of(NEW), TSS32_AVAILABLE);
	rig_end(&rig);
}

/* --- paging --- */

#define NEW_TABLES	0x20000
#define HIGH		0x400000	/* what only the new task maps, to 0 */

/* The first 4 MiB to themselves; accessed flags are to appear. */
static void map_32bit(uint32_t tables)
{
	put32(tables, (tables + 0x1000) | 7);
	for (unsigned int i = 0; i < 1024; i++)
		put32(tables + 0x1000 + 4 * i, i << 12 | 7);
}

static void turn_paging_on(uint64_t cr4)
{
	page->control.cr0 |= CR0_PG | CR0_WP;
	page->control.cr4 = cr4;
	page->control.cr3 = TABLES;
}

static void address_spaces(void)
{
	begin(CALL, NEW);
	map_32bit(TABLES);
	map_32bit(NEW_TABLES);
	put32(NEW_TABLES + 4, 0x83);	/* 4 MiB */
	turn_paging_on(CR4_PSE);
	put32(TSS(CR3), NEW_TABLES);
	describe(GDT + LDT_SEL, HIGH + LDT, 0xf, 0x82);
	CHECK_EQUAL(vee_task_switch_assist(rig.vcpu), 0);
	CHECK(!(page->inject.flags & VEE_EVENT_VALID));
	CHECK_EQUAL(page->control.cr3, NEW_TABLES);
	CHECK_EQUAL(page->segments.es.base, 0x1234);
	CHECK_EQUAL(get32(NEW_TABLES + 4), 0xe3);
	CHECK_EQUAL(get32(TABLES + 0x1000 + 4 * (OLD_TSS >> 12)) & 0x60, 0x60);
	CHECK_EQUAL(get32(TABLES + 0x1000 + 4 * (STACK >> 12)) & 0x60, 0);
	rig_end(&rig);
}

static void page_faults(void)
{
	begin(CALL, NEW);
	map_32bit(TABLES);
	turn_paging_on(0);
	put32(TABLES + 0x1000 + 4 * (OLD_TSS >> 12), OLD_TSS | 5);
	page->control.cr2 = OLD_TSS + 1;
	check_stays(VECTOR_PF, 3);

	begin(CALL, NEW);
	map_32bit(TABLES);
	turn_paging_on(0);
	put32(TABLES + 0x1000 + 4 * (NEW_TSS >> 12), 0);
	describe(GDT + NEW, NEW_TSS - 0x20, 0x67, TSS32_AVAILABLE);
	CHECK_EQUAL(vee_task_switch_assist(rig.vcpu), 0);
	check_fault(VECTOR_PF, 0);
	CHECK_EQUAL(page->control.cr2, NEW_TSS);
	CHECK_EQUAL(page->regs.rip, 0x1234);
	rig_end(&rig);

	begin_event(VEE_EVENT_EXCEPTION, VECTOR_GP);	/* nor is its stack */
	map_32bit(TABLES);
	turn_paging_on(0);
	put32(TSS(CR3), TABLES);
	put32(TABLES + 0x1000 + 4 * ((STACK - 4) >> 12), 0);
	CHECK_EQUAL(vee_task_switch_assist(rig.vcpu), 0);
	check_fault(VECTOR_PF, 2);
	CHECK_EQUAL(page->control.cr2, STACK - 4);
	CHECK_EQUAL(page->regs.rip, 0x4000);
	CHECK_EQUAL(page->regs.rsp, STACK);
	rig_end(&rig);

	begin(CALL, NEW);		/* the GDT is not there in the new task */
	map_32bit(TABLES);
	map_32bit(NEW_TABLES);
	turn_paging_on(0);
	put32(NEW_TABLES + 0x1000 + 4 * (GDT >> 12), 0);
	put32(TSS(CR3), NEW_TABLES);
	CHECK_EQUAL(vee_task_switch_assist(rig.vcpu), 0);
	check_fault(VECTOR_PF, 0);
	CHECK_EQUAL(page->control.cr2, GDT + LDT_SEL);
	CHECK_EQUAL(page->control.cr3, NEW_TABLES);
	CHECK_EQUAL(page->regs.rip, 0x4000);
	rig_end(&rig);
}

static void map_pae(uint32_t tables)
{
	put64(tables, (tables + 0x1000) | 1);
	put64(tables + 0x1000, 0x83);	/* 2 MiB */
}

static void pae(void)
{
	begin(CALL, NEW);
	map_pae(TABLES);
	map_pae(NEW_TABLES);
	turn_paging_on(CR4_PAE);
	fake.vmcs_value = TABLES + 0x1000 + 1;	/* the first PDPTE register */
	put64(TABLES, 0);		/* memory is no matter */
	put32(TSS(CR3), NEW_TABLES);
	CHECK_EQUAL(vee_task_switch_assist(rig.vcpu), 0);
	check_loaded();
	CHECK_EQUAL(page->control.cr3, NEW_TABLES);
	CHECK_EQUAL(get32(NEW_TABLES + 0x1000), 0xe3);
	rig_end(&rig);

	begin(CALL, NEW);
	map_pae(NEW_TABLES);
	put64(TABLES + 0x1000, 0x83);
	turn_paging_on(CR4_PAE);
	put64(NEW_TABLES + 8, 0x1ff);	/* reserved bits */
	put32(TSS(CR3), NEW_TABLES);
	check_stays(VECTOR_GP, 0);

	begin(CALL, NEW);
	map_pae(TABLES);
	turn_paging_on(CR4_PAE);
	fake.vmcs_value = TABLES + 0x1000 + 1;
	put32(TSS(CR3), MEMORY);	/* where nothing is */
	CHECK_EQUAL(vee_task_switch_assist(rig.vcpu), -EFAULT);
	CHECK_EQUAL(page->control.cr3, TABLES);
	CHECK_EQUAL(get32(OLD_TSS + TSS_EIP), 0);
	rig_end(&rig);

	begin(CALL, NEW);
	put64(TABLES + 0x1000, 1ULL << 63 | 0x83);	/* XD, without NXE */
	turn_paging_on(CR4_PAE);
	CHECK_EQUAL(vee_task_switch_assist(rig.vcpu), 0);
	check_fault(VECTOR_PF, 9);
	rig_end(&rig);
}

/* --- what is not the guest's fault --- */

static void no_memory(void)
{
	begin(CALL, NEW);
	describe(GDT + NEW, MEMORY, 0x67, TSS32_AVAILABLE);
	CHECK_EQUAL(vee_task_switch_assist(rig.vcpu), -EFAULT);
	rig_end(&rig);

	begin(CALL, NEW);		/* found out when the switch is almost over */
	describe(GDT + LDT_SEL, MEMORY, 0xf, 0x82);
	CHECK_EQUAL(vee_task_switch_assist(rig.vcpu), -EFAULT);
	CHECK_EQUAL(get32(OLD_TSS + TSS_EIP), 0);
	CHECK_EQUAL(get16(TSS(LINK)), 0);
	CHECK_EQUAL(rights_of(NEW), TSS32_AVAILABLE);
	CHECK_EQUAL(rights_of(CODE) & 1, 0);
	CHECK_EQUAL(page->dirty, 0);
	CHECK_EQUAL(page->regs.rip, 0x1234);
	rig_end(&rig);

	begin(CALL, NEW);
	page->exit.hardware_reason = 0;
	CHECK_EQUAL(vee_task_switch_assist(rig.vcpu), -EINVAL);
	rig_end(&rig);

	begin(CALL, NEW);		/* where there are no tasks */
	page->control.cr0 &= ~CR0_PE;
	CHECK_EQUAL(vee_task_switch_assist(rig.vcpu), -EINVAL);
	page->control.cr0 |= CR0_PE;
	page->control.efer |= EFER_LMA;
	CHECK_EQUAL(vee_task_switch_assist(rig.vcpu), -EINVAL);
	rig_end(&rig);

	begin(CALL, NEW);
	page->valid = 0;
	fake.request_error = -EIO;
	fake.fail_request = 1;
	CHECK_EQUAL(vee_task_switch_assist(rig.vcpu), -EIO);
	CHECK_EQUAL(page->regs.rip, 0x1234);
	CHECK_EQUAL(get32(OLD_TSS + TSS_EIP), 0);
	CHECK_EQUAL(vee_task_switch_assist(rig.vcpu), 0);
	check_loaded();
	rig_end(&rig);
}

/* Descriptors in memory that the guest may only read: the flags go nowhere. */
static void read_only_tables(void)
{
	static uint8_t rom[0x1000] __attribute__((aligned(0x1000)));

	begin(CALL, NEW);
	memcpy(rom, memory + GDT, GDT_END);
	vee_vm_map(rig.vm, MEMORY, rom, sizeof(rom), VEE_READ);
	page->segments.gdtr.base = MEMORY;
	CHECK_EQUAL(vee_task_switch_assist(rig.vcpu), 0);
	CHECK(!(page->inject.flags & VEE_EVENT_VALID));
	CHECK_EQUAL(page->regs.rip, 0x4000);
	CHECK_EQUAL(page->segments.tr.access_rights, TSS32_BUSY);
	CHECK_EQUAL(rom[NEW + 5], TSS32_AVAILABLE);
	rig_end(&rig);
}

const struct test tests[] = {
	{ "CALL", calls },
	{ "JMP", jumps },
	{ "IRET", returns },
	{ "task gates", delivers },
	{ "error codes", error_codes },
	{ "16-bit TSSs", sixteen_bits },
	{ "virtual-8086 mode", virtual_8086 },
	{ "the T flag", traps },
	{ "faults of the old task", faults_of_the_old_task },
	{ "faults of the new task", faults_of_the_new_task },
	{ "privilege levels", privilege_levels },
	{ "faults of events", faults_of_events },
	{ "address spaces", address_spaces },
	{ "page faults", page_faults },
	{ "PAE paging", pae },
	{ "no memory", no_memory },
	{ "read-only tables", read_only_tables },
	{ 0 }
};
