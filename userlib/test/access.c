// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What the CPU does about an access, when the assists make it: both sides of a border,
 * checks and their faults, accessed and dirty flags, traps.
 */
#include "test.h"

#define RAM_BYTES	0x200000ULL	/* memory ends there, and a device begins */
#define PENDING_BS	0x4000

#define AR_READ_ONLY	0xc091U		/* data, 32 bits, 4 KiB units, accessed */
#define AR_READ_WRITE	0xc093U
#define AR_EXECUTE_ONLY	0xc099U
#define AR_EXPAND_DOWN	0xc097U

static struct rig rig;
static struct vee_vcpu_page *page;
static uint8_t *ram;
static uint8_t device[2 * PAGE_BYTES];	/* what is at RAM_BYTES */
static unsigned int accesses, widths;	/* of the device; the widths ORed */
static uint8_t port_data[64];
static unsigned int port_at;

static int touch_device(void *arg, uint64_t gpa, void *data, unsigned int bytes, bool write)
{
	uint64_t at = gpa - RAM_BYTES;

	(void)arg;
	accesses++;
	widths |= bytes;
	if (!within(at, bytes, sizeof(device))) {
		if (!write)
			memset(data, 0xff, bytes);
		return 0;
	}
	move_bytes(device + at, data, bytes, write);
	return 0;
}

static int touch_port(void *arg, uint16_t port, void *data, unsigned int bytes, bool write)
{
	(void)arg;
	(void)port;
	if (!CHECK(within(port_at, bytes, sizeof(port_data))))
		return -EIO;
	move_bytes(port_data + port_at, data, bytes, write);
	port_at += bytes;
	return 0;
}

static const struct vee_bus bus = { .memory = touch_device, .port = touch_port };

static void begin(unsigned int mode)
{
	ram = rig_begin_mode(&rig, mode, RAM_BYTES);
	page = rig.vcpu->page;
	for (size_t i = 0; i < sizeof(device); i++)
		device[i] = i + 0x80;
	for (size_t i = 0; i < sizeof(port_data); i++)
		port_data[i] = i + 0x40;
	page->valid = VEE_STATE_ALL;
}

/* An exit of the access to @gva, which is where paging is off or maps to itself. */
static int run(const uint8_t *code, size_t bytes, uint64_t gva)
{
	accesses = 0;
	widths = 0;
	memset(&page->exit, 0, sizeof(page->exit));
	page->exit.reason = VEE_EXIT_MMIO;
	page->exit.memory = (struct vee_exit_memory) {
		.gva_valid = 1, .gva = gva, .gpa = gva, .access = VEE_READ,
		.insn_bytes = bytes, .code_width = test_code_width(page),
	};
	memcpy(page->exit.memory.insn, code, bytes);
	page->resume = VEE_RESUME_HERE;
	page->inject = (struct vee_event) { 0 };
	page->dirty = 0;
	return vee_assist(rig.vcpu, &bus);
}

#define RUN(gva, ...) run((const uint8_t[]) { __VA_ARGS__ },			\
			  sizeof((const uint8_t[]) { __VA_ARGS__ }), gva)

static void check_fault(unsigned int vector, uint32_t error)
{
	CHECK_EQUAL(page->inject.flags & VEE_EVENT_VALID, VEE_EVENT_VALID);
	CHECK_EQUAL(page->inject.vector, vector);
	CHECK_EQUAL(page->inject.error_code, error);
	CHECK_EQUAL(page->resume, VEE_RESUME_HERE);
	CHECK_EQUAL(accesses, 0);
}

static void check_done(void)
{
	CHECK_EQUAL(page->inject.flags, 0);
	CHECK_EQUAL(page->resume, VEE_RESUME_NEXT);
}

/* --- borders --- */

static void memory_and_device(void)
{
	begin(4);
	memcpy(ram + RAM_BYTES - 2, "\x11\x22", 2);
	page->regs.rbx = RAM_BYTES - 2;
	CHECK_EQUAL(RUN(RAM_BYTES, 0x8b, 0x03), 0);	/* mov (%ebx), %eax */
	check_done();
	CHECK_EQUAL(page->regs.rax, 0x81802211);
	page->regs.rax = 0xddccbbaa;
	CHECK_EQUAL(RUN(RAM_BYTES, 0x89, 0x03), 0);
	check_done();
	CHECK(!memcmp(ram + RAM_BYTES - 2, "\xaa\xbb", 2));
	CHECK(!memcmp(device, "\xcc\xdd\x82", 3));
	page->regs.rax = 0x01010101;
	CHECK_EQUAL(RUN(RAM_BYTES, 0x01, 0x03), 0);	/* add %eax, (%ebx) */
	CHECK(!memcmp(ram + RAM_BYTES - 2, "\xab\xbc", 2));
	CHECK(!memcmp(device, "\xcd\xde", 2));
	rig_end(&rig);
}

/* Widths are those that a device's function is promised. */
static void two_devices(void)
{
	begin(4);
	page->regs.rbx = RAM_BYTES + PAGE_BYTES - 1;
	CHECK_EQUAL(RUN(page->regs.rbx, 0x66, 0x8b, 0x03), 0);
	check_done();
	CHECK_EQUAL(page->regs.rax & 0xffff, 0x807f);
	page->regs.rbx -= 2;
	memcpy(device + PAGE_BYTES - 3, "\1\2\3\4\5\6\7", 7);
	CHECK_EQUAL(RUN(page->regs.rbx, 0x8b, 0x03), 0);
	CHECK_EQUAL(page->regs.rax, 0x04030201);
	CHECK_EQUAL(widths, 1 | 2);
	CHECK_EQUAL(accesses, 3);	/* 3 bytes and 1 */
	/* Where nothing is, all ones. */
	page->regs.rbx = RAM_BYTES + sizeof(device) - 1;
	device[sizeof(device) - 1] = 0;
	CHECK_EQUAL(RUN(page->regs.rbx, 0x66, 0x8b, 0x03), 0);
	CHECK_EQUAL(page->regs.rax & 0xffff, 0xff00);
	rig_end(&rig);
}

static void strings_cross(void)
{
	begin(4);
	page->regs.rsi = RAM_BYTES - 6;
	page->regs.rdi = 0x1000;
	page->regs.rcx = 3;
	memcpy(ram + RAM_BYTES - 6, "abcdef", 6);
	memcpy(device, "ghijkl", 6);
	for (int i = 0; i < 10 && page->regs.rcx; i++)
		CHECK_EQUAL(RUN(RAM_BYTES, 0xf3, 0xa5), 0);
	check_done();
	CHECK(!memcmp(ram + 0x1000, "abcdefghijkl", 12));
	/* INSD and OUTSD, with half of it in the device. */
	port_at = 0;
	page->exit.reason = VEE_EXIT_PIO;
	page->exit.pio = (struct vee_exit_pio) {
		.width = 4, .direction = VEE_PIO_IN, .string = 1, .address_width = 4,
		.count = 1, .gva = RAM_BYTES - 2,
	};
	page->regs.rdi = RAM_BYTES - 2;
	CHECK_EQUAL(vee_assist(rig.vcpu, &bus), 0);
	CHECK(!memcmp(ram + RAM_BYTES - 2, "\x40\x41", 2));
	CHECK(!memcmp(device, "\x42\x43", 2));
	page->exit.pio.direction = VEE_PIO_OUT;
	page->regs.rsi = RAM_BYTES - 2;
	CHECK_EQUAL(vee_assist(rig.vcpu, &bus), 0);
	CHECK(!memcmp(port_data + 4, "\x40\x41\x42\x43", 4));
	rig_end(&rig);
}

/* --- segments --- */

static int do_pio(unsigned int direction, uint64_t count)
{
	accesses = 0;
	port_at = 0;
	memset(&page->exit, 0, sizeof(page->exit));
	page->exit.reason = VEE_EXIT_PIO;
	page->exit.pio = (struct vee_exit_pio) {
		.width = 1, .direction = direction, .string = 1, .count = count,
		.rep = count != 1, .address_width = test_code_width(page),
		.gva = direction == VEE_PIO_IN ? page->segments.es.base + page->regs.rdi :
						 page->segments.ds.base + page->regs.rsi,
	};
	page->regs.rcx = count;
	page->resume = VEE_RESUME_HERE;
	page->inject = (struct vee_event) { 0 };
	return vee_assist(rig.vcpu, &bus);
}

static void check_ins(uint64_t rdi, unsigned int vector)
{
	test_case("EDI %#llx", (unsigned long long)rdi);
	page->regs.rdi = rdi;
	CHECK_EQUAL(do_pio(VEE_PIO_IN, 1), 0);
	if (vector)
		check_fault(vector, 0);
	else
		check_done();
	CHECK_EQUAL(port_at, !vector);
}

static void segments_of_ins(void)
{
	struct vee_segment *es;

	begin(4);
	es = &page->segments.es;
	es->limit = 0xfff;
	check_ins(0xfff, 0);
	check_ins(0x1000, 13);
	es->access_rights = AR_EXPAND_DOWN;
	check_ins(0xfff, 13);
	check_ins(0x1000, 0);
	es->access_rights = AR_READ_ONLY;
	es->limit = UINT32_MAX;
	check_ins(0x1000, 13);
	es->access_rights = AR_READ_WRITE | VEE_AR_UNUSABLE;
	check_ins(0x1000, 13);
	/* In real mode the type is no matter. */
	page->control.cr0 &= ~CR0_PE;
	es->access_rights = AR_READ_ONLY;
	check_ins(0x1000, 0);
	rig_end(&rig);
}

/* OUTSB from DS, and by the instruction's prefix from SS: #GP, #SS. */
static void segments_of_outs(void)
{
	begin(4);
	page->segments.ds.access_rights = AR_EXECUTE_ONLY;
	page->regs.rsi = 0x2000;
	CHECK_EQUAL(do_pio(VEE_PIO_OUT, 1), 0);
	check_fault(13, 0);
	CHECK_EQUAL(port_at, 0);
	page->segments.ds.access_rights = AR_READ_WRITE;
	page->segments.ds.limit = 0x2003;
	CHECK_EQUAL(do_pio(VEE_PIO_OUT, 16), 0);
	for (int i = 0; i < 16 && !page->inject.flags; i++) {
		page->exit.pio.count = page->regs.rcx;
		page->exit.pio.gva = page->regs.rsi;
		CHECK_EQUAL(vee_assist(rig.vcpu, &bus), 0);
	}
	CHECK_EQUAL(page->inject.vector, 13);
	CHECK_EQUAL(page->regs.rcx, 12);
	CHECK_EQUAL(page->regs.rsi, 0x2004);
	CHECK_EQUAL(port_at, 4);
	rig_end(&rig);
}

static void strings_check_the_other_end(void)
{
	begin(4);
	page->segments.es.access_rights = AR_READ_ONLY;
	page->regs.rsi = RAM_BYTES;
	page->regs.rdi = 0x1000;
	CHECK_EQUAL(RUN(RAM_BYTES, 0xa4), 0);
	check_fault(13, 0);
	/* Through CS, which can't be written. */
	page->regs.rbx = 0x1000;
	CHECK_EQUAL(RUN(RAM_BYTES, 0x2e, 0x89, 0x03), 0);
	check_fault(13, 0);
	rig_end(&rig);
}

/* An operand of which the exit was about the second half. */
static void segments_of_operands(void)
{
	begin(4);
	page->regs.rbx = RAM_BYTES - 2;
	page->segments.ds.limit = RAM_BYTES;
	page->segments.ss.limit = RAM_BYTES;
	CHECK_EQUAL(RUN(RAM_BYTES, 0x8b, 0x03), 0);		/* mov (%ebx), %eax */
	check_fault(13, 0);
	CHECK_EQUAL(RUN(RAM_BYTES, 0x36, 0x8b, 0x03), 0);	/* mov %ss:(%ebx), %eax */
	check_fault(12, 0);
	CHECK_EQUAL(RUN(RAM_BYTES, 0x8b, 0x04, 0x24), 0);	/* ESP is 0 */
	check_done();
	page->segments.ss.limit = RAM_BYTES + 1;
	CHECK_EQUAL(RUN(RAM_BYTES, 0x36, 0x8b, 0x03), 0);
	check_done();
	page->segments.ss.access_rights = AR_EXPAND_DOWN;
	CHECK_EQUAL(RUN(RAM_BYTES, 0x36, 0x8b, 0x03), 0);
	check_fault(12, 0);
	page->segments.ss.limit = RAM_BYTES - 3;
	CHECK_EQUAL(RUN(RAM_BYTES, 0x36, 0x8b, 0x03), 0);
	check_done();
	/* An expand-down segment of 16 bits ends at FFFFH. */
	page->segments.ss.access_rights = AR_EXPAND_DOWN & ~VEE_AR_DB;
	CHECK_EQUAL(RUN(RAM_BYTES, 0x36, 0x8b, 0x03), 0);
	check_fault(12, 0);
	rig_end(&rig);
}

/* SDM 1, "Canonical Addressing": #SS where the address is by RBP or RSP. */
static void canonical_operands(void)
{
	begin(8);
	page->regs.rbx = 0x7ffffffffffe;
	page->regs.rbp = 0x7ffffffffffe;
	CHECK_EQUAL(RUN(RAM_BYTES, 0x8b, 0x03), 0);		/* mov (%rbx), %eax */
	check_fault(13, 0);
	CHECK_EQUAL(RUN(RAM_BYTES, 0x8b, 0x45, 0x00), 0);	/* mov (%rbp), %eax */
	check_fault(12, 0);
	page->segments.fs.base = 1ULL << 62;
	CHECK_EQUAL(RUN(RAM_BYTES, 0x64, 0x8b, 0x45, 0x00), 0);	/* mov %fs:(%rbp), %eax */
	check_fault(13, 0);
	rig_end(&rig);
}

/* SDM 3B, "Real-Address Mode Operation": an operand ends at FFFFH, an address wraps there. */
static void real_mode_wraps(void)
{
	begin(2);
	page->regs.rbx = 0xffff;
	page->regs.rsi = 0x201;
	memcpy(ram + 0x200, "\x11\x22", 2);
	CHECK_EQUAL(RUN(RAM_BYTES, 0x8b, 0x00), 0);		/* mov (%bx,%si), %ax */
	check_done();
	CHECK_EQUAL(page->regs.rax & 0xffff, 0x2211);
	CHECK_EQUAL(RUN(RAM_BYTES, 0x8b, 0x07), 0);		/* mov (%bx), %ax */
	CHECK_EQUAL(page->inject.vector, 13);
	CHECK_EQUAL(page->inject.flags, VEE_EVENT_VALID);
	CHECK_EQUAL(RUN(RAM_BYTES, 0x36, 0x8b, 0x07), 0);	/* mov %ss:(%bx), %ax */
	CHECK_EQUAL(page->inject.vector, 12);
	CHECK_EQUAL(page->inject.flags, VEE_EVENT_VALID);
	CHECK_EQUAL(accesses, 0);
	/* The top of 1 MiB and what follows is one, without A20's gate. */
	page->segments.ds.base = 0xffff0;
	page->regs.rbx = 0x0f;
	memcpy(ram + 0xfffff, "\x33\x44", 2);
	CHECK_EQUAL(RUN(RAM_BYTES, 0x8b, 0x07), 0);
	check_done();
	CHECK_EQUAL(page->regs.rax & 0xffff, 0x4433);
	rig_end(&rig);
}

static void begin_alignment(void)
{
	begin(4);
	page->segments.ss.access_rights |= VEE_AR_DPL;
	page->control.cr0 |= CR0_AM;
	page->regs.rflags |= RFLAGS_AC;
}

static void try_alignment(const uint8_t *code, size_t bytes, unsigned int at, bool good)
{
	test_case("%02x %02x at %u", code[0], code[1], at);
	page->regs.rbx = RAM_BYTES - 8 + at;
	page->regs.rip = 0x1000;
	CHECK_EQUAL(run(code, bytes, RAM_BYTES), 0);
	if (good)
		CHECK(page->inject.vector != 17);
	else
		check_fault(17, 0);
	test_case("%s", "");
}

/* SDM 3A, "Alignment Check Exception", table: what is no number. */
static void alignment_of_pairs(void)
{
	static const uint8_t bound[] = { 0x62, 0x03 }, bound16[] = { 0x66, 0x62, 0x03 };
	static const uint8_t les[] = { 0xc4, 0x03 }, les16[] = { 0x66, 0xc4, 0x03 };
	static const uint8_t ljmp[] = { 0xff, 0x2b }, sgdt[] = { 0x0f, 0x01, 0x03 };

	begin_alignment();
	try_alignment(bound, 2, 4, true);
	try_alignment(bound, 2, 6, false);
	try_alignment(bound16, 3, 6, true);
	try_alignment(bound16, 3, 7, false);
	try_alignment(les, 2, 4, true);
	try_alignment(les, 2, 6, false);
	try_alignment(les16, 3, 6, true);
	try_alignment(les16, 3, 5, false);
	try_alignment(ljmp, 2, 6, false);
	try_alignment(sgdt, 3, 4, false);
	try_alignment(sgdt, 3, 6, true);
	rig_end(&rig);
}

/* A selector is one of 16 bits, whatever the stack moves by. */
static void alignment_of_selectors(void)
{
	static const uint8_t push[] = { 0x1e }, pop[] = { 0x07 }, push_eax[] = { 0x50 };

	begin_alignment();
	page->segments.gdtr = (struct vee_table) { .base = 0x3000, .limit = 0xf };
	page->regs.rsp = RAM_BYTES + 6;
	CHECK_EQUAL(run(push, 1, 0), 0);
	check_done();
	CHECK_EQUAL(page->regs.rsp, RAM_BYTES + 2);
	memset(device, 0, 8);
	CHECK_EQUAL(run(pop, 1, 0), 0);
	check_done();
	CHECK_EQUAL(page->regs.rsp, RAM_BYTES + 6);
	CHECK_EQUAL(run(push_eax, 1, 0), 0);
	check_fault(17, 0);
	page->regs.rsp = RAM_BYTES + 5;
	CHECK_EQUAL(run(push, 1, 0), 0);
	check_fault(17, 0);
	rig_end(&rig);
}

/* The CPU looks for the page first, and so the exit may be of that access itself. */
static void alignment_of_what_has_exited(void)
{
	static const uint8_t load[] = { 0x8b, 0x03 }, add[] = { 0x01, 0x03 };

	begin_alignment();
	page->regs.rbx = RAM_BYTES + 2;
	CHECK_EQUAL(run(load, sizeof(load), RAM_BYTES + 2), 0);
	check_fault(17, 0);
	CHECK_EQUAL(run(add, sizeof(add), RAM_BYTES + 2), 0);
	check_fault(17, 0);
	page->regs.rbx = RAM_BYTES + 4;
	CHECK_EQUAL(run(load, sizeof(load), RAM_BYTES + 4), 0);
	check_done();
	page->regs.rbx = RAM_BYTES + 2;
	page->segments.ss.access_rights &= ~VEE_AR_DPL;
	CHECK_EQUAL(run(load, sizeof(load), RAM_BYTES + 2), 0);
	check_done();
	rig_end(&rig);
}

/* SDM 3A, "Alignment Check Exception" */
static void alignment(void)
{
	begin_alignment();
	page->regs.rsi = RAM_BYTES;
	page->regs.rdi = 0x1002;
	CHECK_EQUAL(RUN(RAM_BYTES, 0xa5), 0);
	check_fault(17, 0);
	page->regs.rflags &= ~RFLAGS_AC;
	CHECK_EQUAL(RUN(RAM_BYTES, 0xa5), 0);
	check_done();
	rig_end(&rig);
}

/* --- pages --- */

static void accessed_and_dirty(void)
{
	uint64_t *entry;

	begin(8);
	fake.identity = false;
	fake_map(0x5000, 0x6000, VEE_READ | VEE_WRITE, false);
	fake_paging(&rig);
	entry = fake_entry(0x5000, 0);
	page->regs.rsi = 0x5000;
	page->regs.rdi = 0x5000;
	CHECK_EQUAL(do_pio(VEE_PIO_OUT, 1), 0);
	check_done();
	CHECK_EQUAL(*entry & 0xfff, 3 | ENTRY_ACCESSED);
	CHECK(*fake_entry(0x5000, 1) & ENTRY_ACCESSED);
	CHECK(*fake_entry(0x5000, 3) & ENTRY_ACCESSED);
	CHECK(!(*fake_entry(0x5000, 1) & ENTRY_DIRTY));
	CHECK_EQUAL(do_pio(VEE_PIO_IN, 1), 0);
	CHECK_EQUAL(*entry & 0xfff, 3 | ENTRY_ACCESSED | ENTRY_DIRTY);
	rig_end(&rig);
}

static void check_page(uint64_t entry, unsigned int direction, int error)
{
	test_case("entry %#llx, direction %u", (unsigned long long)entry, direction);
	*fake_entry(0x5000, 0) = entry;
	page->regs.rsi = 0x5010;
	page->regs.rdi = 0x5010;
	CHECK_EQUAL(do_pio(direction, 1), 0);
	if (error < 0) {
		check_done();
		return;
	}
	check_fault(14, error);
	CHECK_EQUAL(page->control.cr2, 0x5010);
	CHECK_EQUAL(port_at, 0);
	CHECK_EQUAL(*fake_entry(0x5000, 0), entry);
}

static void page_faults(void)
{
	begin(8);
	fake.identity = false;
	fake_map(0x5000, 0x6000, VEE_READ | VEE_WRITE, false);
	fake_paging(&rig);
	check_page(0, VEE_PIO_IN, 2);
	check_page(0, VEE_PIO_OUT, 0);
	check_page(0x6001, VEE_PIO_IN, 3);
	check_page(0x6001, VEE_PIO_OUT, -1);
	check_page(0x6003 | 1ULL << 51, VEE_PIO_OUT, 9);	/* a reserved bit */
	check_page(0x6003 | 1ULL << 51, VEE_PIO_IN, 0xb);
	check_page(0x6003 | 1ULL << 63, VEE_PIO_IN, 0xb);	/* without EFER.NXE */
	page->control.efer |= EFER_NXE;
	check_page(0x6003 | 1ULL << 63, VEE_PIO_IN, -1);
	check_page(0x6007, VEE_PIO_IN, -1);
	page->control.cr4 |= CR4_SMAP;
	check_page(0x6007, VEE_PIO_IN, 3);
	check_page(0x6007, VEE_PIO_OUT, 1);
	page->regs.rflags |= RFLAGS_AC;
	check_page(0x6007, VEE_PIO_IN, -1);
	page->segments.ss.access_rights |= VEE_AR_DPL;
	check_page(0x6003, VEE_PIO_IN, 7);
	rig_end(&rig);
}

static void set_pkru(uint32_t pkru)
{
	memcpy(fake.xsave + XSAVE_PKRU, &pkru, sizeof(pkru));
	fake.xsave[XSAVE_BV + 1] = 2;
}

#define KEY(number)	((uint64_t)(number) << 59)
#define NO_ACCESS(key)	(1U << 2 * (key))
#define NO_WRITE(key)	(2U << 2 * (key))
#define USER_PAGE	0x6007
#define SYSTEM_PAGE	0x6003

/* SDM 3A, "Protection Keys" and "Page-Fault Exceptions" */
static void protection_keys(void)
{
	begin(8);
	memset(fake.xsave, 0, sizeof(fake.xsave));
	fake.identity = false;
	fake_map(0x5000, 0x6000, VEE_READ | VEE_WRITE, false);
	fake_paging(&rig);
	page->control.cr0 |= CR0_WP;
	set_pkru(NO_ACCESS(3) | NO_WRITE(9) | NO_ACCESS(15));
	check_page(USER_PAGE | KEY(3), VEE_PIO_OUT, -1);	/* CR4.PKE is off */
	page->control.cr4 |= CR4_PKE;
	check_page(USER_PAGE | KEY(3), VEE_PIO_OUT, 0x21);
	check_page(USER_PAGE | KEY(3), VEE_PIO_IN, 0x23);
	check_page(USER_PAGE | KEY(15), VEE_PIO_OUT, 0x21);
	check_page(USER_PAGE | KEY(9), VEE_PIO_OUT, -1);
	check_page(USER_PAGE | KEY(9), VEE_PIO_IN, 0x23);
	check_page(USER_PAGE | KEY(4), VEE_PIO_IN, -1);
	check_page(USER_PAGE, VEE_PIO_IN, -1);
	check_page(SYSTEM_PAGE | KEY(3), VEE_PIO_IN, -1);	/* not a user page */
	/* Without WP the system may write where its programs may not; no access is that. */
	page->control.cr0 &= ~CR0_WP;
	check_page(USER_PAGE | KEY(9), VEE_PIO_IN, -1);
	check_page(USER_PAGE | KEY(3), VEE_PIO_IN, 0x23);
	page->segments.ss.access_rights |= VEE_AR_DPL;
	check_page(USER_PAGE | KEY(9), VEE_PIO_IN, 0x27);
	check_page(USER_PAGE | KEY(9), VEE_PIO_OUT, -1);
	/* With another reason beside it, both are told; a page that isn't there has no key. */
	check_page((USER_PAGE & ~2) | KEY(9), VEE_PIO_IN, 0x27);
	check_page((USER_PAGE & ~2) | KEY(4), VEE_PIO_IN, 7);
	check_page((USER_PAGE & ~1) | KEY(3), VEE_PIO_IN, 6);
	check_page(USER_PAGE | KEY(3) | 1ULL << 51, VEE_PIO_IN, 0xf);
	/* Its initial state, which XSAVE leaves out, forbids nothing. */
	fake.xsave[XSAVE_BV + 1] = 0;
	check_page(USER_PAGE | KEY(3), VEE_PIO_IN, -1);
	rig_end(&rig);
}

/*
 * OUTSB whose prefix is in a page that may be executed, and not read: by its protection key, and
 * at CPL 0 by CR4.SMAP (SDM 3A, "Access Rights" and "Protection Keys").
 */
static void check_prefix(unsigned int cpl)
{
	test_case("CPL %u", cpl);
	fake.page_count = 0;
	begin(8);
	memset(fake.xsave, 0, sizeof(fake.xsave));
	fake.identity = false;
	fake_map(0x5000, 0x6000, VEE_READ, true);
	fake_map(0x7000, 0x8000, VEE_READ, cpl == 3);
	fake_paging(&rig);
	*fake_entry(0x5000, 0) |= KEY(3);
	set_pkru(NO_ACCESS(3));
	page->control.cr4 |= CR4_SMAP | CR4_PKE;
	page->segments.ss.access_rights |= cpl << 5;
	page->segments.gs.base = 0x7000;
	page->regs.rip = 0x5000;
	page->regs.rsi = 0x10;
	memcpy(ram + 0x6000, "\x65\x6e", 2);
	ram[0x8010] = 0x77;
	port_at = 0;
	page->exit = (struct vee_exit) { .reason = VEE_EXIT_PIO, .instruction_length = 2 };
	page->exit.pio = (struct vee_exit_pio) {
		.width = 1, .direction = VEE_PIO_OUT, .string = 1, .count = 1, .address_width = 8,
		.gva = 0x7010,
	};
	CHECK_EQUAL(vee_assist(rig.vcpu, &bus), 0);
	check_done();
	CHECK_EQUAL(port_at, 1);
	CHECK_EQUAL(port_data[0], 0x77);
	rig_end(&rig);
}

static void code_is_fetched(void)
{
	check_prefix(0);
	check_prefix(3);
}

/* The first element is what faults, also downwards. */
static void cr2_downwards(void)
{
	begin(8);
	fake.identity = false;
	fake_paging(&rig);
	page->regs.rflags |= RFLAGS_DF;
	page->regs.rsi = 0x5800;
	CHECK_EQUAL(do_pio(VEE_PIO_OUT, 16), 0);
	check_fault(14, 0);
	CHECK_EQUAL(page->control.cr2, 0x5800);
	CHECK_EQUAL(page->regs.rcx, 16);
	/* Of one that crosses, what lies in the page that isn't there. */
	fake_map(0x5000, 0x6000, VEE_READ, false);
	fake_paging(&rig);
	page->regs.rflags &= ~RFLAGS_DF;
	page->regs.rbx = 0x5ffe;
	CHECK_EQUAL(RUN(RAM_BYTES, 0x8b, 0x03), 0);
	check_fault(14, 0);
	CHECK_EQUAL(page->control.cr2, 0x6000);
	rig_end(&rig);
}

/* What is to be written must be writable before it is read. */
static void updates_need_write_access(void)
{
	begin(8);
	fake.identity = false;
	fake_map(0x5000, RAM_BYTES, VEE_READ, false);
	fake_paging(&rig);
	page->regs.rbx = 0x5000;
	CHECK_EQUAL(RUN(0x5000, 0x01, 0x03), 0);
	check_fault(14, 3);
	CHECK_EQUAL(RUN(0x5000, 0x3b, 0x03), 0);	/* CMP only reads */
	check_done();
	rig_end(&rig);
}

/* Tables in a ROM: the flags go nowhere, the access goes on. */
static void tables_in_rom(void)
{
	static _Alignas(4096) uint64_t table[512];

	begin(8);
	table[5] = 0x6003;
	CHECK_EQUAL(vee_vm_map(rig.vm, 0x10000000, table, PAGE_BYTES, VEE_READ), 0);
	fake.identity = false;
	fake_map(0x5000, 0, VEE_READ, false);
	fake_paging(&rig);
	*fake_entry(0x5000, 1) = 0x10000007;
	page->regs.rdi = 0x5000;
	CHECK_EQUAL(do_pio(VEE_PIO_IN, 1), 0);
	check_done();
	CHECK_EQUAL(table[5], 0x6003);
	CHECK_EQUAL(ram[0x6000], 0x40);
	rig_end(&rig);
}

/* --- traps --- */

static void traps_of_rep(void)
{
	begin(8);
	page->regs.rflags |= RFLAGS_TF;
	page->regs.rsi = 0x5000;
	for (int left = 3; left > 1; left--) {
		page->events.pending_debug = 0;
		page->dirty = 0;
		CHECK_EQUAL(do_pio(VEE_PIO_OUT, left), 0);
		CHECK_EQUAL(page->regs.rcx, left - 1);
		CHECK_EQUAL(page->events.pending_debug, PENDING_BS);
		CHECK(page->dirty & VEE_STATE_EVENTS);
		CHECK_EQUAL(page->resume, VEE_RESUME_DONE);
		CHECK_EQUAL(page->regs.rflags & RFLAGS_RF, RFLAGS_RF);
		CHECK(page->dirty & VEE_STATE_REGS);
	}
	page->events.pending_debug = 0;
	page->exit.pio.count = 1;
	page->exit.pio.rep = 1;
	CHECK_EQUAL(vee_assist(rig.vcpu, &bus), 0);
	CHECK_EQUAL(page->events.pending_debug, 0);	/* VEE_RESUME_NEXT has that */
	CHECK_EQUAL(page->resume, VEE_RESUME_NEXT);
	page->regs.rcx = 2;
	page->regs.rdi = RAM_BYTES;
	CHECK_EQUAL(RUN(RAM_BYTES, 0xf3, 0xaa), 0);	/* rep stosb */
	CHECK_EQUAL(page->regs.rcx, 1);
	CHECK_EQUAL(page->events.pending_debug, PENDING_BS);
	CHECK_EQUAL(accesses, 1);
	rig_end(&rig);
}

/* What STI and MOV SS hold off is taken behind the first iteration, NMIs' blocking stays. */
static void iterations_end_blocking(void)
{
	begin(8);
	page->regs.rflags |= RFLAGS_TF;
	page->regs.rsi = 0x5000;
	page->events.interruptibility = VEE_BLOCKING_BY_STI | VEE_BLOCKING_BY_NMI;
	CHECK_EQUAL(do_pio(VEE_PIO_OUT, 3), 0);
	CHECK_EQUAL(page->regs.rcx, 2);
	CHECK_EQUAL(page->events.interruptibility, VEE_BLOCKING_BY_NMI);
	CHECK_EQUAL(page->events.pending_debug, PENDING_BS);
	CHECK(page->dirty & VEE_STATE_EVENTS);
	page->regs.rflags &= ~RFLAGS_TF;
	page->regs.rdi = RAM_BYTES + PAGE_BYTES - 1;
	page->events.interruptibility = VEE_BLOCKING_BY_MOV_SS;
	page->dirty = 0;
	CHECK_EQUAL(RUN(RAM_BYTES + PAGE_BYTES - 1, 0xf3, 0xaa), 0);	/* rep stosb */
	CHECK_EQUAL(page->regs.rcx, 1);
	CHECK_EQUAL(page->events.interruptibility, 0);
	CHECK(page->dirty & VEE_STATE_EVENTS);
	rig_end(&rig);
}

#define DEBUGCTL_BTF	0x2

/* An iteration is no branch. */
static void iterations_with_btf(void)
{
	begin(8);
	fake.vmcs_value = DEBUGCTL_BTF;
	page->regs.rflags |= RFLAGS_TF;
	page->regs.rsi = 0x5000;
	CHECK_EQUAL(do_pio(VEE_PIO_OUT, 3), 0);
	CHECK_EQUAL(page->regs.rcx, 2);
	CHECK_EQUAL(page->events.pending_debug, 0);
	page->regs.rdi = RAM_BYTES;
	CHECK_EQUAL(RUN(RAM_BYTES, 0xf3, 0xaa), 0);	/* rep stosb */
	CHECK_EQUAL(page->regs.rcx, 1);
	CHECK_EQUAL(page->events.pending_debug, 0);
	CHECK_EQUAL(page->resume, VEE_RESUME_DONE);
	fake.vmcs_value = 0;
	rig_end(&rig);
}

/* --- breakpoints --- */

#define DR7(number, kind, length) (1U << (2 * (number)) | (kind) << (16 + 4 * (number)) | \
				   (length) << (18 + 4 * (number)))
#define PENDING_B0	0x1001U
#define PENDING_B1	0x1002U

static void check_pending(uint64_t pending)
{
	CHECK_EQUAL(page->events.pending_debug, pending);
	CHECK_EQUAL(!!(page->dirty & VEE_STATE_EVENTS), !!pending);
	page->events.pending_debug = 0;
	page->dirty = 0;
}

static int watched_flags;

static int run_watched(const uint8_t *code, size_t bytes, uint64_t gva)
{
	struct vee_exit *exit = &page->exit;

	memset(exit, 0, sizeof(*exit));
	exit->reason = VEE_EXIT_MMIO;
	exit->flags = watched_flags;
	exit->memory = (struct vee_exit_memory) {
		.gva_valid = 1, .gva = gva, .gpa = gva, .access = VEE_READ | VEE_WRITE,
		.insn_bytes = bytes, .code_width = 4,
	};
	memcpy(exit->memory.insn, code, bytes);
	page->resume = VEE_RESUME_HERE;
	return vee_assist(rig.vcpu, &bus);
}

static void breakpoints(void)
{
	static const uint8_t load[] = { 0x8b, 0x03 }, store[] = { 0x89, 0x03 };

	begin(4);
	page->dirty = 0;
	watched_flags = VEE_EXIT_BREAKPOINTS;
	page->regs.rbx = RAM_BYTES;
	page->debug.dr[0] = RAM_BYTES + 3;	/* a byte that is written */
	page->debug.dr[1] = RAM_BYTES;		/* 4 bytes that are accessed */
	page->debug.dr7 = DR7(0, 1, 0) | DR7(1, 3, 3);
	CHECK_EQUAL(run_watched(load, 2, RAM_BYTES), 0);
	check_pending(PENDING_B1);
	CHECK_EQUAL(page->resume, VEE_RESUME_NEXT);
	CHECK_EQUAL(run_watched(store, 2, RAM_BYTES), 0);
	check_pending(PENDING_B0 | PENDING_B1);
	page->regs.rbx = RAM_BYTES + 4;
	CHECK_EQUAL(run_watched(store, 2, RAM_BYTES + 4), 0);
	check_pending(0);
	page->debug.dr7 = 0;
	page->regs.rbx = RAM_BYTES;
	CHECK_EQUAL(run_watched(store, 2, RAM_BYTES), 0);
	check_pending(0);
	rig_end(&rig);
}

/* With CR4.DE: ports. REP INSB meets the breakpoint on memory in its second iteration. */
static void breakpoints_of_ports(void)
{
	begin(4);
	page->dirty = 0;
	page->exit.reason = VEE_EXIT_PIO;
	page->exit.flags = VEE_EXIT_BREAKPOINTS;
	page->exit.pio = (struct vee_exit_pio) { .port = 0x61, .width = 1, .count = 1 };
	page->debug.dr[0] = 0x60;
	page->debug.dr7 = DR7(0, 2, 1);
	CHECK_EQUAL(vee_assist(rig.vcpu, &bus), 0);
	check_pending(0);
	page->control.cr4 |= 8;
	CHECK_EQUAL(vee_assist(rig.vcpu, &bus), 0);
	check_pending(PENDING_B0);
	page->debug.dr7 = DR7(1, 1, 0);
	page->debug.dr[1] = 0x5001;
	page->exit.pio = (struct vee_exit_pio) {
		.port = 0x61, .width = 1, .count = 3, .string = 1, .rep = 1,
		.direction = VEE_PIO_IN, .address_width = 4, .gva = 0x5000,
	};
	page->regs.rcx = 3;
	page->regs.rdi = 0x5000;
	CHECK_EQUAL(vee_assist(rig.vcpu, &bus), 0);
	check_pending(0);
	page->exit.pio.gva++;
	CHECK_EQUAL(vee_assist(rig.vcpu, &bus), 0);
	check_pending(PENDING_B1);
	CHECK_EQUAL(page->regs.rcx, 1);
	CHECK_EQUAL(page->resume, VEE_RESUME_DONE);
	rig_end(&rig);
}

const struct test tests[] = {
	{ "memory and a device", memory_and_device },
	{ "two devices, and nothing", two_devices },
	{ "strings across a border", strings_cross },
	{ "the segment of INS", segments_of_ins },
	{ "the segment of OUTS", segments_of_outs },
	{ "the other end of a string", strings_check_the_other_end },
	{ "segments of operands", segments_of_operands },
	{ "canonical addresses of operands", canonical_operands },
	{ "operands in real mode", real_mode_wraps },
	{ "alignment of what has exited", alignment_of_what_has_exited },
	{ "alignment", alignment },
	{ "alignment of pairs and far pointers", alignment_of_pairs },
	{ "alignment of selectors", alignment_of_selectors },
	{ "accessed and dirty flags", accessed_and_dirty },
	{ "page faults", page_faults },
	{ "protection keys", protection_keys },
	{ "the prefix of OUTS is fetched", code_is_fetched },
	{ "CR2 is the first byte that can't be had", cr2_downwards },
	{ "updates need write access", updates_need_write_access },
	{ "page tables in a ROM", tables_in_rom },
	{ "traps of a REP", traps_of_rep },
	{ "iterations of a REP end blocking", iterations_end_blocking },
	{ "iterations of a REP with BTF", iterations_with_btf },
	{ "breakpoints on data", breakpoints },
	{ "breakpoints on ports", breakpoints_of_ports },
	{ 0 }
};
