// SPDX-License-Identifier: LGPL-2.1-or-later
/* Local APICs: messages, and accesses to registers, which the tests have in the kernel's place. */
#include "test.h"

#define APIC_PAGE	0xfee00000ULL
#define DEVICE_PAGE	0xd0000000ULL
#define RAM_BYTES	0x10000ULL
#define BASE_X2APIC	0x400ULL
#define BASE_ENABLED	0x800ULL

#define TPR		0x080
#define EOI		0x0b0
#define ICR		0x300
#define REG(offset)	(fake.apic[(offset) / 16])

static struct rig rig;
static struct vee_vcpu_page *page;
static uint8_t *ram;
static unsigned int accesses;	/* of what is no APIC's */
static uint64_t accessed;

static int touch(void *arg, uint64_t gpa, void *data, unsigned int bytes, bool write)
{
	CHECK(arg == &accesses);
	accesses++;
	accessed = gpa;
	if (!write)
		memset(data, 0xdd, bytes);
	return 0;
}

static int touch_port(void *arg, uint16_t port, void *data, unsigned int bytes, bool write)
{
	(void)arg;
	(void)port;
	if (!write)
		memset(data, 0x11, bytes);
	return 0;
}

static const struct vee_bus bus = { .memory = touch, .port = touch_port, .arg = &accesses };

static void begin_with(unsigned int flags)
{
	accesses = 0;
	if (vee_vm_create_with(&rig.vm, flags) || vee_vcpu_create(rig.vm, 0, &rig.vcpu) ||
	    vee_vm_alloc(rig.vm, 0, RAM_BYTES, (void **)&ram))
		abort();
	page = rig.vcpu->page;
	vee_vcpu_set_protected_mode(rig.vcpu, 0x1000);
	page->apic.base = APIC_PAGE | BASE_ENABLED;
	for (unsigned int i = 0; i < PAGE_BYTES / 16; i++)
		fake.apic[i] = 0x03020100 + i;
}

/* An exit of @code's access to @gpa, of which the module says whether it is the APIC's. */
static int run(uint64_t gpa, bool is_apic, const uint8_t *code, size_t bytes)
{
	page->exit = (struct vee_exit) {
		.reason = VEE_EXIT_MMIO,
		.memory = {
			.gpa = gpa, .access = VEE_READ | VEE_WRITE, .apic = is_apic,
			.insn_bytes = bytes, .code_width = 4,
		},
	};
	memcpy(page->exit.memory.insn, code, bytes);
	page->resume = VEE_RESUME_HERE;
	page->valid = VEE_STATE_ALL;
	page->dirty = 0;
	fake.syncs = 0;
	fake.apic_reads = 0;
	fake.apic_writes = 0;
	return vee_assist(rig.vcpu, &bus);
}

#define RUN(gpa, is_apic, ...) run(gpa, is_apic, (const uint8_t[]) { __VA_ARGS__ },	\
				   sizeof((const uint8_t[]) { __VA_ARGS__ }))

static void what_is_asked_for(void)
{
	struct vee_vm *vm;

	CHECK_EQUAL(vee_vm_create_with(&vm, VEE_VM_LOCAL_APIC), 0);
	CHECK_EQUAL(fake.vm_flags, VEE_VM_LOCAL_APIC);
	CHECK_EQUAL(vee_vm_signal(vm, APIC_PAGE | 3 << 12, 0x31, VEE_SIGNAL_LEVEL), 0);
	CHECK_EQUAL(fake.signal.size, sizeof(fake.signal));
	CHECK_EQUAL(fake.signal.address, APIC_PAGE | 3 << 12);
	CHECK_EQUAL(fake.signal.data, 0x31);
	CHECK_EQUAL(fake.signal.flags, VEE_SIGNAL_LEVEL);
	fake.error = -ENODEV;
	CHECK_EQUAL(vee_vm_signal(vm, APIC_PAGE, 0x31, 0), -ENODEV);
	fake.error = 0;
	vee_vm_destroy(vm);
	CHECK_EQUAL(vee_vm_create(&vm), 0);
	CHECK_EQUAL(fake.vm_flags, 0);
	vee_vm_destroy(vm);
	fake.error = -EINVAL;
	CHECK_EQUAL(vee_vm_create_with(&vm, 2), -EINVAL);
	fake.error = 0;
}

static void binds(void)
{
	struct vee_vm *vm;

	CHECK_EQUAL(vee_vm_create_with(&vm, VEE_VM_LOCAL_APIC), 0);
	CHECK_EQUAL(vee_vm_bind(vm, 7, APIC_PAGE | 3 << 12, 0x31, VEE_SIGNAL_LEVEL), 0);
	CHECK_EQUAL(fake.bind.size, sizeof(fake.bind));
	CHECK_EQUAL(fake.bind.flags, VEE_SIGNAL_LEVEL);
	CHECK_EQUAL(fake.bind.address, APIC_PAGE | 3 << 12);
	CHECK_EQUAL(fake.bind.data, 0x31);
	CHECK_EQUAL(fake.bind.eventfd, 7);
	CHECK_EQUAL(fake.bind.remove, 0);
	CHECK_EQUAL(fake.bind.eoi, 0);
	/* A wire, and the one that tells of its EOI. */
	CHECK_EQUAL(vee_vm_bind_level(vm, 7, 9, APIC_PAGE | 3 << 12, 0x8031), 0);
	CHECK(!memcmp(&fake.bind, &(struct vee_bind) {
		.size = sizeof(fake.bind), .flags = VEE_SIGNAL_LEVEL | VEE_BIND_EOI,
		.address = APIC_PAGE | 3 << 12, .data = 0x8031, .eventfd = 7, .eoi = 9,
	}, sizeof(fake.bind)));
	CHECK_EQUAL(vee_vm_unbind(vm, 7), 0);
	CHECK(!memcmp(&fake.bind, &(struct vee_bind) {
		.size = sizeof(fake.bind), .eventfd = 7, .remove = 1,
	}, sizeof(fake.bind)));
	fake.error = -ENOENT;
	CHECK_EQUAL(vee_vm_unbind(vm, 7), -ENOENT);
	fake.error = -ENODEV;
	CHECK_EQUAL(vee_vm_bind_level(vm, 7, 9, APIC_PAGE, 0x31), -ENODEV);
	fake.error = -EEXIST;
	CHECK_EQUAL(vee_vm_bind(vm, 7, APIC_PAGE, 0x31, 0), -EEXIST);
	fake.error = 0;
	vee_vm_destroy(vm);
}

/* One request each, and none besides. */
static void whole_registers(void)
{
	begin_with(VEE_VM_LOCAL_APIC);
	page->regs.rbx = APIC_PAGE + TPR;
	REG(TPR) = 0x12345678;
	CHECK_EQUAL(RUN(page->regs.rbx, true, 0x8b, 0x03), 0);	/* mov (%ebx), %eax */
	CHECK_EQUAL(page->regs.rax, 0x12345678);
	CHECK_EQUAL(page->resume, VEE_RESUME_NEXT);
	CHECK_EQUAL(fake.apic_reads, 1);
	page->regs.rax = 0x50;
	CHECK_EQUAL(RUN(page->regs.rbx, true, 0x89, 0x03), 0);
	CHECK_EQUAL(REG(TPR), 0x50);
	CHECK_EQUAL(fake.apic_reads, 0);
	CHECK_EQUAL(fake.apic_writes, 1);
	CHECK_EQUAL(fake.apic_offset, TPR);
	page->regs.rbx = APIC_PAGE + 0xff0;
	CHECK_EQUAL(RUN(page->regs.rbx, true, 0x8b, 0x03), 0);
	CHECK_EQUAL(fake.apic_offset, 0xff0);
	CHECK_EQUAL(fake.syncs, 0);
	CHECK_EQUAL(accesses, 0);
	rig_end(&rig);
}

/* SDM 3A, "Local APIC Register Address Map": what is not so is anybody's guess, and ours this. */
static void other_widths(void)
{
	begin_with(VEE_VM_LOCAL_APIC);
	page->regs.rbx = APIC_PAGE + TPR;
	REG(TPR) = 0x44332211;
	CHECK_EQUAL(RUN(page->regs.rbx, true, 0x8a, 0x43, 0x02), 0);	/* mov 2(%ebx), %al */
	CHECK_EQUAL(page->regs.rax & 0xff, 0x33);
	CHECK_EQUAL(RUN(page->regs.rbx, true, 0x66, 0x8b, 0x43, 0x03), 0); /* ... 3(), %ax */
	CHECK_EQUAL(page->regs.rax & 0xffff, 0x0044);
	CHECK_EQUAL(RUN(page->regs.rbx, true, 0x8b, 0x43, 0x04), 0);	/* 4(): nothing there */
	CHECK_EQUAL(page->regs.rax, 0);
	CHECK_EQUAL(fake.apic_reads, 0);
	page->regs.rax = 0xaabbccdd;
	CHECK_EQUAL(RUN(page->regs.rbx, true, 0x88, 0x43, 0x01), 0);	/* mov %al, 1(%ebx) */
	CHECK_EQUAL(REG(TPR), 0x4433dd11);
	CHECK_EQUAL(RUN(page->regs.rbx, true, 0x89, 0x43, 0x04), 0);
	CHECK_EQUAL(RUN(page->regs.rbx, true, 0x89, 0x43, 0x0c), 0);
	CHECK_EQUAL(fake.apic_writes, 0);
	/* From one register's room to the next. */
	CHECK_EQUAL(RUN(page->regs.rbx, true, 0x89, 0x43, 0x0e), 0);	/* mov %eax, 14(%ebx) */
	CHECK_EQUAL(REG(TPR), 0x4433dd11);
	CHECK_EQUAL(fake.apic_offset, TPR + 0x10);
	CHECK_EQUAL(REG(TPR + 0x10) & 0xffff, 0xaabb);
	/* Only what there is to keep is read: not of the EOI, whose reading is an error. */
	page->regs.rbx = APIC_PAGE + EOI;
	CHECK_EQUAL(RUN(page->regs.rbx, true, 0xc6, 0x03, 0x00), 0);	/* movb $0, (%ebx) */
	CHECK_EQUAL(fake.apic_reads, 0);
	CHECK_EQUAL(fake.apic_writes, 1);
	CHECK_EQUAL(accesses, 0);
	rig_end(&rig);
}

/* Of 8 bytes and more, and such as read before they write. */
static void other_instructions(void)
{
	begin_with(VEE_VM_LOCAL_APIC);
	page->regs.rbx = APIC_PAGE + ICR;
	memset(fake.xsave, 0x5a, sizeof(fake.xsave));
	memset(fake.xsave + XSAVE_BV, 0, 64);
	fake.xsave[XSAVE_BV] = 2;
	page->control.cr4 |= CR4_OSFXSR;
	CHECK_EQUAL(RUN(page->regs.rbx, true, 0x0f, 0x11, 0x03), 0);	/* movups %xmm0, (%ebx) */
	CHECK_EQUAL(REG(ICR), 0x5a5a5a5a);
	CHECK_EQUAL(fake.apic_writes, 1);
	CHECK_EQUAL(RUN(page->regs.rbx, true, 0x83, 0x0b, 0x01), 0);	/* orl $1, (%ebx) */
	CHECK_EQUAL(REG(ICR), 0x5a5a5a5b);
	page->regs.rdi = page->regs.rbx;
	page->regs.rsi = 0x8000;
	memcpy(ram + 0x8000, "\x31\x00\x04\x00", 4);
	CHECK_EQUAL(RUN(page->regs.rbx, true, 0xa5), 0);		/* movsl */
	CHECK_EQUAL(REG(ICR), 0x40031);
	CHECK_EQUAL(accesses, 0);
	rig_end(&rig);
}

/* What the exit says is no APIC's is the caller's, and so is all in a VM without. */
static void elsewhere(void)
{
	begin_with(VEE_VM_LOCAL_APIC);
	page->regs.rbx = DEVICE_PAGE;
	CHECK_EQUAL(RUN(DEVICE_PAGE, false, 0x8b, 0x03), 0);
	CHECK_EQUAL(page->regs.rax, 0xdddddddd);
	CHECK_EQUAL(accesses, 1);
	/* In x2APIC mode the page is nobody's. */
	page->regs.rbx = APIC_PAGE + TPR;
	CHECK_EQUAL(RUN(page->regs.rbx, false, 0x8b, 0x03), 0);
	CHECK_EQUAL(accessed, APIC_PAGE + TPR);
	CHECK_EQUAL(accesses, 2);
	CHECK_EQUAL(fake.syncs, 0);
	CHECK_EQUAL(fake.apic_reads, 0);
	/* Without a function of the caller's. */
	CHECK_EQUAL(vee_mmio_assist(rig.vcpu, NULL, NULL), -EFAULT);
	page->exit.memory.apic = 1;
	CHECK_EQUAL(vee_mmio_assist(rig.vcpu, NULL, NULL), 0);
	rig_end(&rig);
	begin_with(0);
	page->regs.rbx = APIC_PAGE + TPR;
	CHECK_EQUAL(RUN(page->regs.rbx, false, 0x8b, 0x03), 0);
	CHECK_EQUAL(accesses, 1);
	CHECK_EQUAL(fake.syncs, 0);
	rig_end(&rig);
}

/* Of a page that the exit isn't about its base tells. */
static void another_page(void)
{
	begin_with(VEE_VM_LOCAL_APIC);
	page->apic.base = 0xd1000000ULL | BASE_ENABLED;
	page->regs.rsi = DEVICE_PAGE;
	page->regs.rdi = 0xd1000000ULL + ICR;
	CHECK_EQUAL(RUN(DEVICE_PAGE, false, 0xa5), 0);
	CHECK_EQUAL(accesses, 1);
	CHECK_EQUAL(REG(ICR), 0xdddddddd);
	CHECK_EQUAL(fake.syncs, 1);
	page->regs.rdi = APIC_PAGE + ICR;
	CHECK_EQUAL(RUN(DEVICE_PAGE, false, 0xa5), 0);
	CHECK_EQUAL(accesses, 3);
	page->apic.base |= BASE_X2APIC;
	page->regs.rdi = 0xd1000000ULL + ICR;
	CHECK_EQUAL(RUN(DEVICE_PAGE, false, 0xa5), 0);
	CHECK_EQUAL(accesses, 5);
	rig_end(&rig);
}

/* INS to a register; with vee_pio_assist() there is no device's memory at all. */
static void from_a_port(void)
{
	begin_with(VEE_VM_LOCAL_APIC);
	page->regs.rdi = APIC_PAGE + ICR;
	page->exit = (struct vee_exit) {
		.reason = VEE_EXIT_PIO, .instruction_length = 1,
		.pio = { .port = 0x10, .width = 4, .direction = VEE_PIO_IN, .string = 1,
			 .address_width = 4, .count = 1, .gva = APIC_PAGE + ICR },
	};
	CHECK_EQUAL(vee_assist(rig.vcpu, &bus), 0);
	CHECK_EQUAL(REG(ICR), 0x11111111);
	CHECK_EQUAL(accesses, 0);
	page->regs.rdi = APIC_PAGE + ICR;
	CHECK_EQUAL(vee_pio_assist(rig.vcpu, touch_port, NULL), -EFAULT);
	rig_end(&rig);
}

static void errors(void)
{
	begin_with(VEE_VM_LOCAL_APIC);
	page->regs.rbx = APIC_PAGE + TPR;
	CHECK_EQUAL(RUN(page->regs.rbx, true, 0x8b, 0x03), 0);
	page->regs.rax = 0x77;
	page->resume = VEE_RESUME_HERE;
	fake.error = -ESHUTDOWN;
	CHECK_EQUAL(vee_mmio_assist(rig.vcpu, touch, &accesses), -ESHUTDOWN);
	fake.error = 0;
	CHECK_EQUAL(page->regs.rax, 0x77);
	CHECK_EQUAL(page->resume, VEE_RESUME_HERE);
	/* Nor is it known where the page is that the exit isn't about. */
	page->regs.rsi = DEVICE_PAGE;
	page->regs.rdi = APIC_PAGE + ICR;
	page->valid = VEE_STATE_ALL & ~VEE_STATE_APIC;
	page->exit.memory.gpa = DEVICE_PAGE;
	page->exit.memory.apic = 0;
	page->exit.memory.insn[0] = 0xa5;
	fake.request_error = -ESHUTDOWN;
	fake.fail_request = 1;
	CHECK_EQUAL(vee_mmio_assist(rig.vcpu, touch, &accesses), -ESHUTDOWN);
	CHECK_EQUAL(page->regs.rdi, APIC_PAGE + ICR);
	rig_end(&rig);
}

static bool says(int (*say)(struct vee_vcpu *vcpu, FILE *out), const char *words)
{
	static char said[8192];
	FILE *out = fmemopen(said, sizeof(said), "w");
	int err = say(rig.vcpu, out);

	fclose(out);
	test_case("%.190s", words);
	if (!err && strstr(said, words))
		return true;
	printf("# said:\n%s", said);
	return false;
}

static void in_words(void)
{
	begin_with(VEE_VM_LOCAL_APIC);
	page->apic.svr = 0x1ff;
	page->apic.tpr = 0x20;
	page->apic.icr = 0x40031;
	page->apic.irr[1] = 0x20002;
	page->apic.isr[7] = 1U << 31;
	page->apic.start = VEE_APIC_WAITS_FOR_SIPI;
	fake.syncs = 0;
	CHECK(says(vee_dump_registers, "  APIC base fee00800  SVR 1ff  TPR 20  ICR"));
	CHECK_EQUAL(fake.syncs, 1);
	CHECK(says(vee_dump_registers, "  ICR 0000000000040031  waits for SIPI\n"));
	CHECK(says(vee_dump_registers, "  APIC requested: 21 31; in service: ff\n"));
	page->regs.rbx = APIC_PAGE + TPR;
	CHECK_EQUAL(RUN(page->regs.rbx, true, 0x8b, 0x03), 0);
	CHECK(says(vee_explain, "at gpa 0xfee00080, in its local APIC: vee_mmio_assist() does it"));
	fake.error = -EINVAL;
	vee_vcpu_run(rig.vcpu);
	fake.error = 0;
	page->refused = offsetof(struct vee_vcpu_page, apic.start);
	CHECK(says(vee_explain, "apic.start (group VEE_STATE_APIC) is 0x1: VEE_APIC_WAITS"));
	rig_end(&rig);
}

const struct test tests[] = {
	{ "what is asked for", what_is_asked_for },
	{ "binds", binds },
	{ "whole registers", whole_registers },
	{ "other widths", other_widths },
	{ "other instructions", other_instructions },
	{ "accesses elsewhere", elsewhere },
	{ "a page that the exit isn't about", another_page },
	{ "from a port", from_a_port },
	{ "errors", errors },
	{ "in words", in_words },
	{ 0 }
};
