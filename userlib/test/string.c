// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * String instructions of the MMIO assist against the CPU: both ends are memory
 * for the CPU; for the assist one end or both are a device, and each call does
 * what an exit would find to do, until the instruction is over.
 */
#include <sys/mman.h>

#include "test.h"

#define SOURCE_GPA	0x10000ULL
#define TARGET_GPA	0x20000ULL
#define END_BYTES	(2 * PAGE_BYTES)
#define DEVICE_OFFSET	0xf0000000ULL

#define FLAGS		(RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | \
			 RFLAGS_SF | RFLAGS_DF | RFLAGS_OF)

static uint8_t *source, *target;		/* the CPU's */
static uint8_t *ram_source, *ram_target;	/* the guest's, or the device's */
static struct rig rig;
static bool source_is_device, target_is_device;
static uint64_t first_touched;

static int touch_device(void *arg, uint64_t gpa, void *data, unsigned int bytes,
			bool write)
{
	uint8_t *at;

	(void)arg;
	gpa -= DEVICE_OFFSET;
	if (!first_touched)
		first_touched = gpa;
	if (gpa >= TARGET_GPA)
		at = ram_target + (gpa - TARGET_GPA);
	else
		at = ram_source + (gpa - SOURCE_GPA);
	move_bytes(at, data, bytes, write);
	return 0;
}

static void *pages(size_t bytes)
{
	return mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
}

static void map_end(const uint8_t *native, uint64_t gpa, bool is_device)
{
	for (uint64_t at = 0; at < END_BYTES; at += PAGE_BYTES)
		fake_map((uintptr_t)native + at,
			 gpa + at + (is_device ? DEVICE_OFFSET : 0),
			 VEE_READ | VEE_WRITE, false);
}

static void begin(bool source_device, bool target_device)
{
	rig_begin(&rig);
	vee_vcpu_set_long_mode(rig.vcpu, 0, 0x1000);
	source_is_device = source_device;
	target_is_device = target_device;
	vee_vm_alloc(rig.vm, SOURCE_GPA, END_BYTES, (void **)&ram_source);
	vee_vm_alloc(rig.vm, TARGET_GPA, END_BYTES, (void **)&ram_target);
	source = pages(END_BYTES);
	target = pages(END_BYTES);
	fake.page_count = 0;
	map_end(source, SOURCE_GPA, source_device);
	map_end(target, TARGET_GPA, target_device);
	fake_paging(&rig);
}

static void end(void)
{
	munmap(source, END_BYTES);
	munmap(target, END_BYTES);
	rig_end(&rig);
}

/* As the CPU would: the end that is a device, the source first. */
static void set_exit(const uint8_t *code, bool has_source)
{
	struct vee_vcpu_page *page = rig.vcpu->page;
	struct vee_exit_memory *memory = &page->exit.memory;
	struct vee_translate at = { .size = sizeof(at) };

	memset(&page->exit, 0, sizeof(page->exit));
	page->exit.reason = VEE_EXIT_MMIO;
	page->resume = VEE_RESUME_HERE;
	memory->gva_valid = 1;
	memory->gva = source_is_device && has_source ? page->regs.rsi :
						       page->regs.rdi;
	if (vee_vcpu_translate(rig.vcpu, memory->gva, &at))
		memory->gva_valid = 0;
	memory->gpa = at.gpa;
	memory->access = VEE_READ | VEE_WRITE;
	memory->insn_bytes = VEE_INSN_MAX;
	memory->code_width = test_code_width(page);
	memcpy(memory->insn, code, 4);
}

static void fill_ends(void)
{
	for (size_t i = 0; i < END_BYTES; i++) {
		source[i] = test_random() % 3;
		target[i] = test_random() % 8 ? source[i] : test_random();
	}
	memcpy(ram_source, source, END_BYTES);
	memcpy(ram_target, target, END_BYTES);
}

static void compare(const struct native *native)
{
	const struct vee_regs *regs = &rig.vcpu->page->regs;

	for (int i = 0; i < 16; i++)
		CHECK_EQUAL(regs->gpr[i], native->gpr[i]);
	CHECK_EQUAL(regs->rflags & FLAGS, native->rflags & FLAGS);
	CHECK(!memcmp(source, ram_source, END_BYTES));
	CHECK(!memcmp(target, ram_target, END_BYTES));
}

/* An element that lies half in the device is left to the caller. */
static bool run_assist(const uint8_t *code, bool has_source)
{
	for (int calls = 0; calls < 100000; calls++) {
		int err;

		set_exit(code, has_source);
		err = vee_mmio_assist(rig.vcpu, touch_device, NULL);
		if (err == -EOPNOTSUPP && !(rig.vcpu->page->resume))
			return false;
		if (!CHECK(!err))
			return false;
		if (rig.vcpu->page->resume == VEE_RESUME_NEXT)
			return true;
	}
	return CHECK(!"it ends");
}

static void random_state(struct native *native, uint64_t width)
{
	uint64_t count = test_random() % 300;

	memset(native, 0, sizeof(*native));
	native->gpr[RAX] = test_random() & 0x0202020202020202;
	native->gpr[RCX] = count;
	/* Aligned but for RSI, so that only memory crosses pages. */
	native->gpr[RSI] = (uintptr_t)source + PAGE_BYTES - 256;
	native->gpr[RDI] = (uintptr_t)target + PAGE_BYTES - 512;
	native->gpr[RSI] += test_random() % 64 * width;
	native->gpr[RDI] += test_random() % 64 * width;
	if (!source_is_device)
		native->gpr[RSI] += test_random() % width;
	native->rflags = RFLAGS_1;
	if (test_random() & 1) {
		native->rflags |= RFLAGS_DF;
		native->gpr[RSI] += 1024;
		native->gpr[RDI] += 1024;
	}
}

static void try_form(const uint8_t *code, size_t bytes, uint64_t width)
{
	bool has_source = (code[bytes - 1] & ~1) != 0xaa &&
			  (code[bytes - 1] & ~1) != 0xae;
	struct native native;

	for (int i = 0; i < 40; i++) {
		test_case("%02x %02x %02x, round %d", code[0], code[1], code[2], i);
		fill_ends();
		random_state(&native, width);
		memcpy(rig.vcpu->page->regs.gpr, native.gpr, sizeof(native.gpr));
		rig.vcpu->page->regs.rflags = native.rflags;
		native_run(&native, code, bytes);
		if (CHECK(run_assist(code, has_source)))
			compare(&native);
	}
}

static void try_all(const uint8_t *opcodes, size_t count)
{
	static const uint8_t reps[] = { 0, 0xf3, 0xf2 };

	for (size_t i = 0; i < count; i++)
		for (int rep = 0; rep < 3; rep++)
			for (uint64_t width = 1; width <= 8; width *= 2) {
				uint8_t code[4] = { 0 }, *p = code;

				if (reps[rep])
					*p++ = reps[rep];
				if (width == 2)
					*p++ = 0x66;
				if (width == 8)
					*p++ = 0x48;
				*p++ = opcodes[i] | (width > 1);
				try_form(code, p - code, width);
			}
}

static void memory_to_device(void)
{
	begin(false, true);
	try_all((const uint8_t[]) { 0xa4, 0xaa }, 2);
	end();
}

static void device_to_memory(void)
{
	begin(true, false);
	try_all((const uint8_t[]) { 0xa4, 0xac }, 2);
	end();
}

static void device_to_device(void)
{
	begin(true, true);
	try_all((const uint8_t[]) { 0xa4 }, 1);
	end();
}

static void comparisons(void)
{
	begin(true, false);
	try_all((const uint8_t[]) { 0xa6 }, 1);
	end();
	begin(false, true);
	try_all((const uint8_t[]) { 0xa6, 0xae }, 2);
	end();
}

/* CMPSB of two devices: what is subtracted from is read first, as the CPU comes to it first. */
static void source_first(void)
{
	static const uint8_t code[4] = { 0xa6 };
	struct vee_regs *regs;

	begin(true, true);
	regs = &rig.vcpu->page->regs;
	regs->rsi = (uintptr_t)source + 5;
	regs->rdi = (uintptr_t)target + 6;
	ram_source[5] = 2;
	ram_target[6] = 3;
	first_touched = 0;
	set_exit(code, true);
	CHECK_EQUAL(vee_mmio_assist(rig.vcpu, touch_device, NULL), 0);
	CHECK_EQUAL(first_touched, SOURCE_GPA + 5);
	CHECK_EQUAL(regs->rflags & RFLAGS_CF, RFLAGS_CF);
	end();
}

static void narrow_addresses(void)
{
	/* With 32-bit addresses the upper halves are cleared. */
	begin(false, true);
	try_form((const uint8_t[]) { 0x67, 0xf3, 0xa4, 0 }, 3, 1);
	try_form((const uint8_t[]) { 0x67, 0xa5, 0, 0 }, 2, 4);
	end();
}

static void addresses_wrap_at_64k(void)
{
	struct vee_regs *regs;

	begin(false, true);
	regs = &rig.vcpu->page->regs;
	vee_vcpu_set_real_mode(rig.vcpu, 0x1000, 0x10);
	rig.vcpu->page->segments.es.base = 0xb8000;
	regs->rsi = 0xaaaa0000fffe;	/* the last word of the segment... */
	regs->rcx = 0xbbbb00000003;
	rig.vcpu->page->exit.reason = VEE_EXIT_MMIO;
	rig.vcpu->page->exit.memory = (struct vee_exit_memory) {
		.gva_valid = 1, .gva = 0xb8000,
		.gpa = DEVICE_OFFSET + SOURCE_GPA, .access = VEE_WRITE,
		.insn_bytes = 2, .insn = { 0xf3, 0xa5 }, .code_width = 2,
	};
	CHECK_EQUAL(vee_vm_alloc(rig.vm, 0x1e000, 0x2000, NULL), 0);
	CHECK_EQUAL(vee_mmio_assist(rig.vcpu, touch_device, NULL), 0);
	CHECK_EQUAL(rig.vcpu->page->resume, VEE_RESUME_DONE);
	CHECK_EQUAL(regs->rflags & RFLAGS_RF, RFLAGS_RF);
	CHECK_EQUAL(regs->rcx, 0xbbbb00000002);
	CHECK_EQUAL(regs->rsi, 0xaaaa00000000);	/* ...is followed by the first */
	CHECK_EQUAL(regs->rdi, 2);
	end();
}

static void memory_can_fault(void)
{
	static const uint8_t code[4] = { 0xf3, 0xa4 };
	struct vee_vcpu_page *page;

	begin(true, false);
	page = rig.vcpu->page;
	page->regs.rcx = 10;
	page->regs.rsi = (uintptr_t)source;
	page->regs.rdi = 0x7000;
	set_exit(code, true);
	CHECK_EQUAL(vee_mmio_assist(rig.vcpu, touch_device, NULL), 0);
	CHECK_EQUAL(page->inject.vector, 14);
	CHECK_EQUAL(page->inject.error_code, 2);
	CHECK_EQUAL(page->control.cr2, 0x7000);
	CHECK_EQUAL(page->regs.rcx, 10);
	CHECK_EQUAL(page->resume, VEE_RESUME_HERE);
	end();
}

/* MOVSB from the device to what is no address at all. */
static void addresses_must_be_canonical(void)
{
	static const uint8_t code[4] = { 0xf3, 0xa4 };
	struct vee_vcpu_page *page;

	begin(true, false);
	page = rig.vcpu->page;
	page->regs.rcx = 10;
	page->regs.rsi = (uintptr_t)source;
	page->regs.rdi = 0x800000000000;
	set_exit(code, true);
	CHECK_EQUAL(vee_mmio_assist(rig.vcpu, touch_device, NULL), 0);
	CHECK_EQUAL(page->inject.flags, VEE_EVENT_VALID | VEE_EVENT_ERROR_CODE);
	CHECK_EQUAL(page->inject.vector, 13);
	CHECK_EQUAL(page->inject.error_code, 0);
	CHECK_EQUAL(page->regs.rcx, 10);
	CHECK_EQUAL(page->resume, VEE_RESUME_HERE);
	end();
}

/* Those below the limit of ES are done, and the next one faults. */
static void segments_have_limits(void)
{
	static const uint8_t code[4] = { 0xf3, 0xa4 };
	struct vee_vcpu_page *page;
	int calls = 0;

	begin(true, false);
	page = rig.vcpu->page;
	vee_vcpu_set_protected_mode(rig.vcpu, 0x1000);
	fake_paging(&rig);
	page->segments.es.limit = (uintptr_t)target + 4;
	page->regs.rcx = 10;
	page->regs.rsi = (uintptr_t)source;
	page->regs.rdi = (uintptr_t)target;
	while (!page->inject.flags && calls++ < 10) {
		set_exit(code, true);
		CHECK_EQUAL(vee_mmio_assist(rig.vcpu, touch_device, NULL), 0);
	}
	CHECK_EQUAL(page->inject.vector, 13);
	CHECK_EQUAL(page->regs.rcx, 5);
	CHECK_EQUAL(page->regs.rdi, (uintptr_t)target + 5);
	CHECK_EQUAL(page->resume, VEE_RESUME_HERE);
	/* The stack's own, by a prefix: another vector. */
	page->inject = (struct vee_event) { 0 };
	page->segments.ss.limit = 0x10;
	page->segments.es.limit = UINT32_MAX;
	page->regs.rdi = page->regs.rsi;
	page->regs.rsi = (uintptr_t)target;
	set_exit((const uint8_t[]) { 0x36, 0xa4, 0, 0 }, false);
	CHECK_EQUAL(vee_mmio_assist(rig.vcpu, touch_device, NULL), 0);
	CHECK_EQUAL(page->inject.vector, 12);
	end();
}

const struct test tests[] = {
	{ "from memory to a device", memory_to_device },
	{ "from a device to memory", device_to_memory },
	{ "from device to device", device_to_device },
	{ "comparisons", comparisons },
	{ "CMPS reads its source first", source_first },
	{ "32-bit addresses in 64-bit mode", narrow_addresses },
	{ "16-bit addresses wrap", addresses_wrap_at_64k },
	{ "the memory side can fault", memory_can_fault },
	{ "addresses must be canonical", addresses_must_be_canonical },
	{ "segments have limits", segments_have_limits },
	{ 0 }
};
