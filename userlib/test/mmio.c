// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The MMIO assist against the CPU: each form is run on the machine at hand with
 * its operand in memory, and by the assist with the operand in a device, from the
 * same random state. Registers, flags and memory must come out the same.
 */
#include <cpuid.h>

#include "test.h"

#define DEVICE_GPA	0xfee00000ULL
#define ROUNDS		300

#define LOGIC_UNDEFINED	RFLAGS_AF
#define BT_UNDEFINED	(RFLAGS_OF | RFLAGS_SF | RFLAGS_AF | RFLAGS_PF)
#define XSAVE_BV_ALL	7
#define XSAVE_BV_SSE	2

#define STATUS		(RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | \
			 RFLAGS_SF | RFLAGS_OF)

static _Alignas(4096) uint8_t memory[PAGE_BYTES];
static uint8_t device[PAGE_BYTES];
static struct rig rig;
static int device_error;
static bool device_everywhere;
static int accesses;
static uint64_t last_gpa;

static int touch_device(void *arg, uint64_t gpa, void *data, unsigned int bytes,
			bool write)
{
	uint64_t at = gpa - DEVICE_GPA;

	accesses++;
	last_gpa = gpa;
	if (device_error)
		return device_error;
	if (device_everywhere)
		at &= PAGE_OFFSET - 7;
	if (!CHECK(within(at, bytes, PAGE_BYTES)) || !CHECK(arg == &rig))
		return -EIO;
	move_bytes(device + at, data, bytes, write);
	return 0;
}

static void set_exit(const uint8_t *code, size_t bytes, uint64_t gva)
{
	struct vee_exit *exit = &rig.vcpu->page->exit;

	memset(exit, 0, sizeof(*exit));
	exit->reason = VEE_EXIT_MMIO;
	exit->memory.gva_valid = 1;
	exit->memory.gva = gva;
	exit->memory.access = VEE_READ | VEE_WRITE;
	exit->memory.gpa = DEVICE_GPA + (gva & PAGE_OFFSET);
	exit->memory.insn_bytes = VEE_INSN_MAX;
	exit->memory.code_width = test_code_width(rig.vcpu->page);
	memset(exit->memory.insn, 0xcc, VEE_INSN_MAX);
	memcpy(exit->memory.insn, code, bytes);
	rig.vcpu->page->resume = VEE_RESUME_HERE;
	rig.vcpu->page->dirty = 0;
}

static int assist(void)
{
	accesses = 0;
	return vee_mmio_assist(rig.vcpu, touch_device, &rig);
}

static void begin_64bit(void)
{
	rig_begin(&rig);
	vee_vcpu_set_long_mode(rig.vcpu, 0, 0x1000);
	fake.identity = true;
	fake_paging(&rig);
	device_error = 0;
}

static void begin(unsigned int mode)
{
	begin_64bit();
	if (mode == 4)
		vee_vcpu_set_protected_mode(rig.vcpu, 0x1000);
	else if (mode == 2)
		vee_vcpu_set_real_mode(rig.vcpu, 0, 0x1000);
}

/* Values that make flags interesting turn up more often than chance has them. */
static uint64_t random_value(void)
{
	static const uint64_t corners[] = {
		0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff,
		0x80000000, 0xffffffff, 0x7fffffffffffffff, 0x8000000000000000,
		0xffffffffffffffff, 0x0f, 0x10,
	};
	uint64_t choice = test_random();

	if (choice & 0x100)
		return test_random();
	return corners[choice & 15];
}

static void random_state(struct native *native, uint64_t gva)
{
	for (int i = 0; i < 16; i++)
		native->gpr[i] = random_value();
	for (int i = 0; i < 16 * 16; i++)
		native->xmm[i / 16][i % 16] = test_random();
	native->gpr[RDI] = gva;
	native->rflags = RFLAGS_1 | (test_random() & STATUS);
	for (int i = 0; i < 64; i++)
		memory[(gva & PAGE_OFFSET) - 32 + i] = test_random();
	/* So that comparisons find something equal, too. */
	if (test_random() & 1)
		memcpy(memory + (gva & PAGE_OFFSET), &native->gpr[RAX], 8);
	if (!(test_random() & 7))
		memcpy(memory + (gva & PAGE_OFFSET) + 8, &native->gpr[RDX], 8);
	if (!(test_random() & 7))
		memcpy(memory + (gva & PAGE_OFFSET) + 4, &native->gpr[RDX], 4);
	memcpy(device, memory, sizeof(device));
}

static void load_state(const struct native *native)
{
	memcpy(rig.vcpu->page->regs.gpr, native->gpr, sizeof(native->gpr));
	rig.vcpu->page->regs.rflags = native->rflags;
	memset(fake.xsave, 0x5a, sizeof(fake.xsave));
	memcpy(fake.xsave + XSAVE_XMM, native->xmm, sizeof(native->xmm));
	fake.xsave[XSAVE_BV] = XSAVE_BV_ALL;
}

static void compare(const struct native *native, uint64_t undefined, size_t bytes)
{
	const struct vee_vcpu_page *page = rig.vcpu->page;

	for (int i = 0; i < 16; i++)
		CHECK_EQUAL(page->regs.gpr[i], native->gpr[i]);
	CHECK_EQUAL(page->regs.rflags & ~undefined & STATUS,
		    native->rflags & ~undefined & STATUS);
	CHECK(!memcmp(memory, device, sizeof(memory)));
	CHECK(!memcmp(fake.xsave + XSAVE_XMM, native->xmm, sizeof(native->xmm)));
	CHECK_EQUAL(fake.xsave[XSAVE_BV], XSAVE_BV_ALL);
	CHECK_EQUAL(fake.xsave[XSAVE_YMM], 0x5a);
	CHECK_EQUAL(page->resume, VEE_RESUME_NEXT);
	CHECK_EQUAL(page->exit.instruction_length, bytes);
	CHECK_EQUAL(page->regs.rip, 0x1000);
}

/* From @native on, with the operand at @gva. False: the assist doesn't do it. */
static bool try_once(const uint8_t *code, size_t bytes, struct native *native,
		     uint64_t gva, uint64_t undefined)
{
	load_state(native);
	native_run(native, code, bytes);
	set_exit(code, bytes, gva);
	if (!CHECK(!assist()))
		return false;
	compare(native, undefined, bytes);
	return true;
}

static void name_form(const uint8_t *code, size_t bytes)
{
	test_case("%02x %02x %02x %02x %02x", code[0], code[1],
		  bytes > 2 ? code[2] : 0, bytes > 3 ? code[3] : 0,
		  bytes > 4 ? code[4] : 0);
}

/* An instruction whose operand in memory is [RDI]. */
static void try_form(const uint8_t *code, size_t bytes, uint64_t undefined)
{
	uint64_t gva = (uintptr_t)memory + 0x800;
	struct native native;

	name_form(code, bytes);
	for (int i = 0; i < ROUNDS; i++) {
		random_state(&native, gva);
		if (!try_once(code, bytes, &native, gva, undefined))
			return;
	}
}

#define FORM(undefined, ...) do {					\
	static const uint8_t code_[] = { __VA_ARGS__ };			\
									\
	try_form(code_, sizeof(code_), undefined);			\
} while (0)

/* The same with 16, 32 and 64 bits of operand. */
#define FORM_SIZES(undefined, ...) do {					\
	uint64_t undefined_ = (undefined);				\
									\
	FORM(undefined_, __VA_ARGS__);					\
	FORM(undefined_, 0x66, __VA_ARGS__);				\
	FORM(undefined_, 0x48, __VA_ARGS__);				\
} while (0)

static bool has_cpuid1_ecx(unsigned int bits)
{
	unsigned int eax, ebx, ecx, edx;

	return __get_cpuid(1, &eax, &ebx, &ecx, &edx) && ecx & bits;
}

static void loads_and_stores(void)
{
	begin_64bit();
	FORM(0, 0x88, 0x07);		/* mov %al, (%rdi) */
	FORM(0, 0x88, 0x27);		/* mov %ah, (%rdi) */
	FORM(0, 0x40, 0x88, 0x37);	/* mov %sil, (%rdi) */
	FORM(0, 0x44, 0x88, 0x07);	/* mov %r8b, (%rdi) */
	FORM(0, 0x44, 0x88, 0x3f);	/* mov %r15b, (%rdi) */
	FORM_SIZES(0, 0x89, 0x07);
	FORM(0, 0x4c, 0x89, 0x3f);	/* mov %r15, (%rdi) */
	FORM(0, 0x8a, 0x07);
	FORM(0, 0x8a, 0x27);		/* mov (%rdi), %ah */
	FORM(0, 0x8a, 0x3f);		/* mov (%rdi), %bh */
	FORM(0, 0x40, 0x8a, 0x37);
	FORM(0, 0x44, 0x8a, 0x07);
	FORM_SIZES(0, 0x8b, 0x0f);
	FORM(0, 0xc6, 0x07, 0x5a);
	FORM(0, 0x66, 0xc7, 0x07, 0x34, 0x92);
	FORM(0, 0xc7, 0x07, 0x78, 0x56, 0x34, 0x92);
	FORM(0, 0x48, 0xc7, 0x07, 0x78, 0x56, 0x34, 0x92);
	FORM(0, 0x0f, 0xc3, 0x07);	/* movnti */
	FORM(0, 0x48, 0x0f, 0xc3, 0x07);
	rig_end(&rig);
}

static void extending_loads(void)
{
	begin_64bit();
	FORM_SIZES(0, 0x0f, 0xb6, 0x07);
	FORM(0, 0x0f, 0xb7, 0x07);
	FORM(0, 0x48, 0x0f, 0xb7, 0x07);
	FORM_SIZES(0, 0x0f, 0xbe, 0x07);
	FORM(0, 0x0f, 0xbf, 0x07);
	FORM(0, 0x48, 0x0f, 0xbf, 0x07);
	FORM(0, 0x48, 0x63, 0x07);
	FORM(0, 0x4c, 0x63, 0x07);
	rig_end(&rig);
}

static void byte_swapping(void)
{
	if (!has_cpuid1_ecx(bit_MOVBE))
		return;
	begin_64bit();
	FORM_SIZES(0, 0x0f, 0x38, 0xf0, 0x07);
	FORM_SIZES(0, 0x0f, 0x38, 0xf1, 0x07);
	rig_end(&rig);
}

/* ADD, OR, ADC, SBB, AND, SUB, XOR, CMP: by bits 5 to 3 of the opcode. */
static void try_arithmetic(unsigned int op, uint64_t undefined)
{
	static const uint8_t prefixes[] = { 0, 0x66, 0x48 };
	uint8_t code[8];

	for (int prefix = 0; prefix < 3; prefix++) {
		uint8_t *p = code;

		if (prefixes[prefix])
			*p++ = prefixes[prefix];
		for (unsigned int form = 0; form < 4; form++) {
			p[0] = op << 3 | form;
			p[1] = 0x0f;		/* CL/ECX, (%rdi) */
			try_form(code, p + 2 - code, undefined);
		}
		p[0] = 0x83;
		p[1] = op << 3 | 0x07;
		p[2] = 0x85;
		try_form(code, p + 3 - code, undefined);
		p[0] = 0x80;
		try_form(code, p + 3 - code, undefined);
		p[0] = 0x81;
		p[3] = 0xf0;
		p[4] = 0x7f;
		p[5] = 0xff;
		try_form(code, p + (prefixes[prefix] == 0x66 ? 4 : 6) - code,
			 undefined);
	}
}

static void arithmetic(void)
{
	begin_64bit();
	for (unsigned int op = 0; op < 8; op++)
		try_arithmetic(op, op == 1 || op == 4 || op == 6 ?
				   LOGIC_UNDEFINED : 0);
	FORM(LOGIC_UNDEFINED, 0x84, 0x0f);	/* test */
	FORM_SIZES(LOGIC_UNDEFINED, 0x85, 0x0f);
	FORM(LOGIC_UNDEFINED, 0xf6, 0x07, 0x81);
	FORM(LOGIC_UNDEFINED, 0xf7, 0x07, 1, 2, 3, 0x84);
	FORM(0, 0xfe, 0x07);			/* inc, dec */
	FORM(0, 0xfe, 0x0f);
	FORM_SIZES(0, 0xff, 0x07);
	FORM_SIZES(0, 0xff, 0x0f);
	FORM(0, 0xf6, 0x17);			/* not, neg */
	FORM(0, 0xf6, 0x1f);
	FORM_SIZES(0, 0xf7, 0x17);
	FORM_SIZES(0, 0xf7, 0x1f);
	FORM(0, 0xf0, 0x01, 0x0f);		/* lock add */
	FORM(0, 0xf0, 0x48, 0x29, 0x0f);	/* lock sub */
	rig_end(&rig);
}

/*
 * SDM 2, "SAL/SAR/SHL/SHR" and "RCL/RCR/ROL/ROR". OF counts for shifts by 1 alone, CF
 * not where nothing of the operand is left; @op is bits 5 to 3 of the second byte.
 */
static uint64_t shift_undefined(unsigned int op, unsigned int count, unsigned int bits)
{
	uint64_t undefined = 0;

	count &= bits == 64 ? 63 : 31;
	if (count && op >= 4)
		undefined |= RFLAGS_AF;
	if (count > 1)
		undefined |= RFLAGS_OF;
	if (op < 7 && op >= 4 && count >= bits)
		undefined |= RFLAGS_CF;
	return undefined;
}

static void try_shift_by_cl(const uint8_t *code, size_t bytes, unsigned int op,
			    unsigned int bits)
{
	uint64_t gva = (uintptr_t)memory + 0x800;
	struct native native;

	name_form(code, bytes);
	for (int i = 0; i < 10 * ROUNDS; i++) {
		random_state(&native, gva);
		if (!try_once(code, bytes, &native, gva,
			      shift_undefined(op, native.gpr[RCX] & 0xff, bits)))
			return;
	}
}

/* By 1, by an immediate byte, and by CL. */
static void try_shifts(unsigned int op, uint8_t prefix, unsigned int bits)
{
	uint8_t code[4], *p = code;

	if (prefix)
		*p++ = prefix;
	p[0] = bits == 8 ? 0xd0 : 0xd1;
	p[1] = op << 3 | 0x07;
	try_form(code, p + 2 - code, shift_undefined(op, 1, bits));
	p[0] = bits == 8 ? 0xc0 : 0xc1;
	for (unsigned int count = 0; count < 256; count += count < 72 ? 1 : 61) {
		p[2] = count;
		try_form(code, p + 3 - code, shift_undefined(op, count, bits));
	}
	p[0] = bits == 8 ? 0xd2 : 0xd3;
	try_shift_by_cl(code, p + 2 - code, op, bits);
}

static void shifts(void)
{
	begin_64bit();
	/* ROL, ROR, RCL, RCR, SHL, SHR, SHL once more, SAR */
	for (unsigned int op = 0; op < 8; op++) {
		try_shifts(op, 0, 8);
		try_shifts(op, 0x66, 16);
		try_shifts(op, 0, 32);
		try_shifts(op, 0x48, 64);
	}
	rig_end(&rig);
}

/* SHLD and SHRD; what is left of 16 bits shifted by more is undefined, too. */
static void double_shifts(void)
{
	static const uint8_t prefixes[] = { 0x66, 0x48, 0 };
	static const unsigned int bits[] = { 16, 64, 32 };
	uint8_t code[5];

	begin_64bit();
	for (int i = 0; i < 6; i++) {
		unsigned int wide = bits[i / 2];
		uint8_t *p = code;

		if (prefixes[i / 2])
			*p++ = prefixes[i / 2];
		p[0] = 0x0f;
		p[1] = i % 2 ? 0xac : 0xa4;
		p[2] = 0x17;		/* (%rdi), %edx */
		for (unsigned int count = 0; count < wide; count++) {
			p[3] = count;
			try_form(code, p + 4 - code, shift_undefined(4, count, wide));
		}
		p[1]++;
		if (wide > 16)
			try_shift_by_cl(code, p + 3 - code, 4, wide);
	}
	rig_end(&rig);
}

#define IMUL_UNDEFINED	(RFLAGS_SF | RFLAGS_ZF | RFLAGS_AF | RFLAGS_PF)

static void multiplication(void)
{
	begin_64bit();
	FORM_SIZES(IMUL_UNDEFINED, 0x0f, 0xaf, 0x0f);
	FORM_SIZES(IMUL_UNDEFINED, 0x6b, 0x0f, 0x85);
	FORM(IMUL_UNDEFINED, 0x66, 0x69, 0x0f, 0x34, 0x92);
	FORM(IMUL_UNDEFINED, 0x48, 0x69, 0x0f, 0x78, 0x56, 0x34, 0x92);
	FORM(IMUL_UNDEFINED, 0xf6, 0x27);	/* mul, imul with the accumulator */
	FORM(IMUL_UNDEFINED, 0xf6, 0x2f);
	FORM_SIZES(IMUL_UNDEFINED, 0xf7, 0x27);
	FORM_SIZES(IMUL_UNDEFINED, 0xf7, 0x2f);
	if (has_cpuid1_ecx(bit_POPCNT)) {
		FORM(0, 0xf3, 0x0f, 0xb8, 0x07);
		FORM(0, 0x66, 0xf3, 0x0f, 0xb8, 0x07);
		FORM(0, 0xf3, 0x48, 0x0f, 0xb8, 0x07);
	}
	rig_end(&rig);
}

/* Operands whose quotient fits: the CPU at hand must not see a #DE. */
static void random_division(struct native *native, uint64_t *divisor, unsigned int width,
			    bool is_signed)
{
	uint64_t below = low_bits(width) >> is_signed;
	uint64_t high, low = test_random() & below;
	__uint128_t dividend = 0;

	*divisor = test_random() >> test_random() % (width * 8) & below;
	if (!*divisor)
		*divisor = 3;
	high = *divisor >> is_signed;
	if (high)
		high = test_random() % high;
	dividend = (__uint128_t)high << width * 8 | low;
	if (is_signed && test_random() & 1)
		dividend = -dividend;
	if (is_signed && test_random() & 1)
		*divisor = -*divisor;
	native->gpr[RAX] = dividend;
	native->gpr[RDX] = dividend >> width * 8;
}

static void try_division(const uint8_t *code, size_t bytes, unsigned int width,
			 bool is_signed)
{
	uint64_t gva = (uintptr_t)memory + 0x800, divisor;
	struct native native;

	name_form(code, bytes);
	for (int i = 0; i < ROUNDS; i++) {
		random_state(&native, gva);
		random_division(&native, &divisor, width, is_signed);
		memcpy(memory + (gva & PAGE_OFFSET), &divisor, width);
		memcpy(device, memory, sizeof(device));
		if (!try_once(code, bytes, &native, gva, STATUS))
			return;
	}
}

/* 1 byte each: what divides a dividend so that the quotient does not fit. */
static void check_division_error(uint8_t modrm, uint16_t ax, uint8_t divisor)
{
	struct vee_vcpu_page *page = rig.vcpu->page;

	test_case("modrm %02x, %04x by %02x", modrm, ax, divisor);
	page->regs.rax = ax;
	page->inject = (struct vee_event) { 0 };
	device[0] = divisor;
	set_exit((const uint8_t[]) { 0xf6, modrm }, 2, page->regs.rdi);
	CHECK_EQUAL(assist(), 0);
	CHECK_EQUAL(page->inject.flags, VEE_EVENT_VALID);
	CHECK_EQUAL(page->inject.vector, 0);
	CHECK_EQUAL(page->regs.rax, ax);
	CHECK_EQUAL(page->resume, VEE_RESUME_HERE);
}

static void division(void)
{
	begin_64bit();
	for (int is_signed = 0; is_signed < 2; is_signed++) {
		uint8_t code[] = { 0x66, 0xf7, is_signed ? 0x3f : 0x37 };

		try_division(code, 3, 2, is_signed);
		try_division(code + 1, 2, 4, is_signed);
		code[0] = 0x48;
		try_division(code, 3, 8, is_signed);
		code[1] = 0xf6;
		try_division(code + 1, 2, 1, is_signed);
	}
	rig.vcpu->page->regs.rdi = 0;
	check_division_error(0x37, 0x1234, 0);
	check_division_error(0x37, 0x0100, 1);
	check_division_error(0x3f, 0x1234, 0);
	check_division_error(0x3f, 0x0080, 1);
	check_division_error(0x3f, 0xff80, 0xff);	/* 128 */
	check_division_error(0x3f, 0x8000, 0xff);
	rig_end(&rig);
}

#define SCAN_UNDEFINED	(STATUS & ~RFLAGS_ZF)
#define COUNT_UNDEFINED	(STATUS & ~(RFLAGS_ZF | RFLAGS_CF))

static bool has_cpuid7_ebx(unsigned int bits)
{
	unsigned int eax, ebx, ecx, edx;

	return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) && ebx & bits;
}

static void scans(void)
{
	begin_64bit();
	FORM_SIZES(SCAN_UNDEFINED, 0x0f, 0xbc, 0x0f);	/* bsf, bsr */
	FORM_SIZES(SCAN_UNDEFINED, 0x0f, 0xbd, 0x0f);
	/* lzcnt, tzcnt; where the CPU has them not, bsr and bsf */
	FORM(COUNT_UNDEFINED | RFLAGS_CF, 0xf3, 0x0f, 0xbd, 0x0f);
	FORM(COUNT_UNDEFINED | RFLAGS_CF, 0x66, 0xf3, 0x0f, 0xbd, 0x0f);
	FORM(COUNT_UNDEFINED | RFLAGS_CF, 0xf3, 0x48, 0x0f, 0xbd, 0x0f);
	FORM(COUNT_UNDEFINED | RFLAGS_CF, 0xf3, 0x0f, 0xbc, 0x0f);
	FORM(COUNT_UNDEFINED | RFLAGS_CF, 0x66, 0xf3, 0x0f, 0xbc, 0x0f);
	FORM(COUNT_UNDEFINED | RFLAGS_CF, 0xf3, 0x48, 0x0f, 0xbc, 0x0f);
	if (has_cpuid7_ebx(bit_BMI)) {
		FORM(COUNT_UNDEFINED, 0xf3, 0x0f, 0xbc, 0x0f);
		FORM(COUNT_UNDEFINED, 0xf3, 0x48, 0x0f, 0xbc, 0x0f);
	}
	if (has_cpuid7_ebx(bit_ADX)) {
		FORM(0, 0x66, 0x0f, 0x38, 0xf6, 0x0f);	/* adcx, adox */
		FORM(0, 0x66, 0x48, 0x0f, 0x38, 0xf6, 0x0f);
		FORM(0, 0xf3, 0x0f, 0x38, 0xf6, 0x0f);
		FORM(0, 0xf3, 0x48, 0x0f, 0x38, 0xf6, 0x0f);
	}
	rig_end(&rig);
}

static void pairs(void)
{
	begin_64bit();
	FORM(0, 0x0f, 0xc7, 0x0f);		/* cmpxchg8b */
	FORM(0, 0xf0, 0x0f, 0xc7, 0x0f);
	if (has_cpuid1_ecx(bit_CMPXCHG16B))
		FORM(0, 0x48, 0x0f, 0xc7, 0x0f);
	rig_end(&rig);
}

static void selectors(void)
{
	struct vee_segments *segments;

	begin_64bit();
	segments = &rig.vcpu->page->segments;
	segments->gs.selector = 0x1234;
	rig.vcpu->page->regs.rdi = 0;
	memset(device, 0x55, 16);
	set_exit((const uint8_t[]) { 0x8c, 0x2f }, 2, 0);	/* mov %gs, (%rdi) */
	CHECK_EQUAL(assist(), 0);
	CHECK(!memcmp(device, "\x34\x12\x55", 3));
	set_exit((const uint8_t[]) { 0x48, 0x8c, 0x1f }, 3, 0);	/* %ds; 2 bytes, too */
	CHECK_EQUAL(assist(), 0);
	CHECK(!memcmp(device, "\x10\x00\x55", 3));
	rig_end(&rig);
}

static void exchanges(void)
{
	begin_64bit();
	FORM(0, 0x86, 0x0f);			/* xchg */
	FORM(0, 0x86, 0x2f);			/* with %ch */
	FORM_SIZES(0, 0x87, 0x0f);
	FORM(0, 0x0f, 0xc0, 0x0f);		/* xadd */
	FORM_SIZES(0, 0x0f, 0xc1, 0x0f);
	FORM(0, 0x0f, 0xb0, 0x0f);		/* cmpxchg */
	FORM_SIZES(0, 0x0f, 0xb1, 0x0f);
	FORM(0, 0xf0, 0x0f, 0xb1, 0x0f);
	rig_end(&rig);
}

static void conditions(void)
{
	uint8_t code[4] = { 0x48, 0x0f };

	begin_64bit();
	for (unsigned int condition = 0; condition < 16; condition++) {
		code[2] = 0x40 | condition;	/* cmovcc (%rdi), %rcx and %ecx */
		code[3] = 0x0f;
		try_form(code, 4, 0);
		try_form(code + 1, 3, 0);
		code[2] = 0x90 | condition;	/* setcc (%rdi) */
		code[3] = 0x07;
		try_form(code + 1, 3, 0);
	}
	rig_end(&rig);
}

static void bits_by_immediate(void)
{
	begin_64bit();
	FORM_SIZES(BT_UNDEFINED, 0x0f, 0xba, 0x27, 5);
	FORM_SIZES(BT_UNDEFINED, 0x0f, 0xba, 0x2f, 15);
	FORM_SIZES(BT_UNDEFINED, 0x0f, 0xba, 0x37, 31);
	FORM_SIZES(BT_UNDEFINED, 0x0f, 0xba, 0x3f, 63);
	rig_end(&rig);
}

/* BT with a register reaches beyond its operand: by whole operands. */
static void try_bits(const uint8_t *code, size_t bytes, int64_t width)
{
	uint64_t gva = (uintptr_t)memory + 0x800;
	struct native native;

	test_case("%02x %02x %02x", code[0], code[1], code[2]);
	for (int i = 0; i < ROUNDS; i++) {
		int64_t bit = (int64_t)(test_random() & 511) - 256;

		random_state(&native, gva);
		native.gpr[RCX] = width == 2 ? (uint16_t)bit :
				  width == 4 ? (uint32_t)bit : (uint64_t)bit;
		if (!try_once(code, bytes, &native,
			      gva + (bit - (bit & (width * 8 - 1))) / 8, BT_UNDEFINED))
			return;
	}
}

static void bits_by_register(void)
{
	static const uint8_t opcodes[] = { 0xa3, 0xab, 0xb3, 0xbb };

	begin_64bit();
	for (int i = 0; i < 4; i++) {
		uint8_t code[4] = { 0x66, 0x0f, opcodes[i], 0x0f };

		try_bits(code, 4, 2);
		try_bits(code + 1, 3, 4);
		code[0] = 0x48;
		try_bits(code, 4, 8);
	}
	rig_end(&rig);
}

static void vectors(void)
{
	begin_64bit();
	FORM(0, 0x0f, 0x10, 0x07);		/* movups, both ways */
	FORM(0, 0x44, 0x0f, 0x11, 0x3f);	/* movups %xmm15, (%rdi) */
	FORM(0, 0x0f, 0x28, 0x0f);		/* movaps */
	FORM(0, 0x0f, 0x29, 0x0f);
	FORM(0, 0x66, 0x0f, 0x10, 0x07);	/* movupd */
	FORM(0, 0x66, 0x0f, 0x11, 0x07);
	FORM(0, 0x66, 0x0f, 0x28, 0x07);	/* movapd */
	FORM(0, 0x66, 0x0f, 0x29, 0x07);
	FORM(0, 0xf3, 0x0f, 0x6f, 0x17);	/* movdqu */
	FORM(0, 0xf3, 0x0f, 0x7f, 0x17);
	FORM(0, 0x66, 0x44, 0x0f, 0x6f, 0x07);	/* movdqa */
	FORM(0, 0x66, 0x0f, 0x7f, 0x07);
	FORM(0, 0x66, 0x0f, 0x6e, 0x07);	/* movd */
	FORM(0, 0x66, 0x0f, 0x7e, 0x07);
	FORM(0, 0x66, 0x48, 0x0f, 0x6e, 0x07);	/* movq, in two encodings */
	FORM(0, 0x66, 0x48, 0x0f, 0x7e, 0x07);
	FORM(0, 0xf3, 0x0f, 0x7e, 0x07);
	FORM(0, 0x66, 0x0f, 0xd6, 0x07);
	FORM(0, 0xf3, 0x0f, 0x10, 0x07);	/* movss */
	FORM(0, 0xf3, 0x0f, 0x11, 0x07);
	FORM(0, 0xf2, 0x0f, 0x10, 0x07);	/* movsd */
	FORM(0, 0xf2, 0x0f, 0x11, 0x07);
	FORM(0, 0x0f, 0x2b, 0x07);		/* movntps */
	FORM(0, 0x66, 0x0f, 0x2b, 0x07);	/* movntpd */
	FORM(0, 0x66, 0x0f, 0xe7, 0x07);	/* movntdq */
	FORM(0, 0xf2, 0x0f, 0xf0, 0x07);	/* lddqu */
	FORM(0, 0x0f, 0x12, 0x07);		/* movlps, movhps, movlpd, movhpd */
	FORM(0, 0x0f, 0x13, 0x07);
	FORM(0, 0x0f, 0x16, 0x0f);
	FORM(0, 0x0f, 0x17, 0x0f);
	FORM(0, 0x66, 0x0f, 0x12, 0x07);
	FORM(0, 0x66, 0x0f, 0x13, 0x07);
	FORM(0, 0x66, 0x44, 0x0f, 0x16, 0x07);
	FORM(0, 0x66, 0x0f, 0x17, 0x07);
	if (has_cpuid1_ecx(bit_SSE4_1))
		FORM(0, 0x66, 0x0f, 0x38, 0x2a, 0x07);	/* movntdqa */
	rig_end(&rig);
}

/* What XSTATE_BV says is as after RESET is 0, whatever is in the area. */
static void vectors_after_reset(void)
{
	static const uint8_t zeros[16 * 16];

	begin_64bit();
	rig.vcpu->page->regs.rdi = 0x10;
	memset(fake.xsave, 0x5a, sizeof(fake.xsave));
	fake.xsave[XSAVE_BV] = XSAVE_BV_ALL & ~XSAVE_BV_SSE;
	memset(device, 0xff, sizeof(device));
	set_exit((const uint8_t[]) { 0x0f, 0x11, 0x07 }, 3, 0x10);
	CHECK_EQUAL(assist(), 0);
	CHECK_EQUAL(accesses, 2);
	CHECK(!memcmp(device + 0x10, zeros, 16));
	CHECK(device[0xf] == 0xff && device[0x20] == 0xff);
	memset(device + 0x10, 0x77, 16);
	set_exit((const uint8_t[]) { 0x0f, 0x10, 0x07 }, 3, 0x10);
	CHECK_EQUAL(assist(), 0);
	CHECK_EQUAL(fake.xsave[XSAVE_BV], XSAVE_BV_ALL);
	CHECK(!memcmp(fake.xsave + XSAVE_XMM, device + 0x10, 16));
	CHECK(!memcmp(fake.xsave + XSAVE_XMM + 16, zeros, sizeof(zeros) - 16));
	CHECK_EQUAL(fake.xsave[XSAVE_YMM], 0x5a);
	rig_end(&rig);
}

/* --- AVX --- */

static int do_avx(const uint8_t *code, size_t bytes)
{
	set_exit(code, bytes, 0x10);
	accesses = 0;
	return assist();
}

#define AVX(...) do_avx((const uint8_t[]) { __VA_ARGS__ },		\
			sizeof((const uint8_t[]) { __VA_ARGS__ }))

/* Of XMM1 or YMM1: @count bytes of it are @value, and nothing else is there. */
static void check_loaded(uint8_t value, unsigned int count)
{
	uint8_t whole[32] = { 0 };

	memset(whole, value, count);
	CHECK(!memcmp(fake.xsave + XSAVE_XMM + 16, whole, 16));
	CHECK(!memcmp(fake.xsave + XSAVE_YMM + 16, whole + 16, 16));
	CHECK_EQUAL(fake.xsave[XSAVE_YMM + 15], 0x5a);
	CHECK_EQUAL(fake.xsave[XSAVE_YMM + 32], 0x5a);
	CHECK_EQUAL(fake.xsave[XSAVE_BV], XSAVE_BV_ALL);
	memset(fake.xsave + XSAVE_YMM, 0x5a, 64);
}

static void avx_loads(void)
{
	begin_64bit();
	rig.vcpu->page->regs.rdi = 0x10;
	memset(fake.xsave, 0x5a, sizeof(fake.xsave));
	fake.xsave[XSAVE_BV] = XSAVE_BV_ALL;
	memset(device, 0x77, sizeof(device));
	CHECK_EQUAL(AVX(0xc5, 0xfe, 0x6f, 0x0f), 0);	/* vmovdqu (%rdi), %ymm1 */
	CHECK_EQUAL(accesses, 4);
	check_loaded(0x77, 32);
	CHECK_EQUAL(AVX(0xc5, 0xf8, 0x10, 0x0f), 0);	/* vmovups (%rdi), %xmm1 */
	check_loaded(0x77, 16);
	CHECK_EQUAL(AVX(0xc5, 0xfa, 0x7e, 0x0f), 0);	/* vmovq */
	CHECK_EQUAL(accesses, 1);
	check_loaded(0x77, 8);
	CHECK_EQUAL(AVX(0xc5, 0xf9, 0x6e, 0x0f), 0);	/* vmovd */
	check_loaded(0x77, 4);
	CHECK_EQUAL(AVX(0xc5, 0xfa, 0x10, 0x0f), 0);	/* vmovss */
	check_loaded(0x77, 4);
	/* SSE leaves the upper half as it is. */
	CHECK_EQUAL(AVX(0x0f, 0x10, 0x0f), 0);		/* movups */
	CHECK_EQUAL(fake.xsave[XSAVE_YMM + 16], 0x5a);
	rig_end(&rig);
}

static void avx_stores(void)
{
	begin_64bit();
	rig.vcpu->page->regs.rdi = 0x10;
	memset(fake.xsave, 0x5a, sizeof(fake.xsave));
	fake.xsave[XSAVE_BV] = XSAVE_BV_ALL;
	memset(fake.xsave + XSAVE_XMM + 16, 0x11, 16);
	memset(fake.xsave + XSAVE_YMM + 16, 0x22, 16);
	memset(device, 0xff, sizeof(device));
	CHECK_EQUAL(AVX(0xc5, 0xfd, 0xe7, 0x0f), 0);	/* vmovntdq %ymm1, (%rdi) */
	CHECK_EQUAL(accesses, 4);
	CHECK_EQUAL(device[0x10 + 15], 0x11);
	CHECK_EQUAL(device[0x10 + 16], 0x22);
	CHECK_EQUAL(device[0x10 + 31], 0x22);
	CHECK_EQUAL(device[0x10 + 32], 0xff);
	CHECK_EQUAL(AVX(0xc5, 0xf8, 0x17, 0x0f), 0);	/* vmovhps %xmm1, (%rdi) */
	CHECK_EQUAL(device[0x10], 0x11);
	CHECK_EQUAL(accesses, 1);
	/* What is as after RESET is 0. */
	fake.xsave[XSAVE_BV] &= ~4;
	CHECK_EQUAL(AVX(0xc5, 0xfc, 0x11, 0x0f), 0);	/* vmovups %ymm1, (%rdi) */
	CHECK_EQUAL(device[0x10 + 15], 0x11);
	CHECK_EQUAL(device[0x10 + 16], 0);
	CHECK_EQUAL(device[0x10 + 31], 0);
	rig_end(&rig);
}

static void checksums(void)
{
	if (!has_cpuid1_ecx(bit_SSE4_2))
		return;
	begin_64bit();
	FORM(0, 0xf2, 0x0f, 0x38, 0xf0, 0x07);		/* crc32b (%rdi), %eax */
	FORM(0, 0xf2, 0x48, 0x0f, 0x38, 0xf0, 0x07);
	FORM(0, 0x66, 0xf2, 0x0f, 0x38, 0xf1, 0x07);
	FORM(0, 0xf2, 0x0f, 0x38, 0xf1, 0x07);
	FORM(0, 0xf2, 0x4c, 0x0f, 0x38, 0xf1, 0x07);
	rig_end(&rig);
}

/* --- addresses, without the CPU's help --- */

static bool faults_at(uint64_t gva)
{
	const struct vee_vcpu_page *page = rig.vcpu->page;

	if ((int64_t)(gva << 16) >> 16 != (int64_t)gva)
		return page->inject.vector == 13;
	return page->inject.vector == 14 && page->control.cr2 == gva;
}

/* The operand is at @gva, whether the exit says so or the assist has to find it. */
static void check_address(const uint8_t *code, size_t bytes, uint64_t gva)
{
	test_case("%02x %02x %02x %02x", code[0], code[1], code[2], code[3]);
	set_exit(code, bytes, gva);
	rig.vcpu->page->inject.flags = 0;
	CHECK_EQUAL(assist(), 0);
	CHECK_EQUAL(accesses, 1);
	CHECK_EQUAL(rig.vcpu->page->inject.flags, 0);
	set_exit(code, bytes, gva);
	rig.vcpu->page->exit.memory.gva_valid = 0;
	device_everywhere = true;
	CHECK_EQUAL(assist(), 0);
	device_everywhere = false;
	CHECK(accesses ? last_gpa == gva : faults_at(gva));
	CHECK_EQUAL(rig.vcpu->page->resume, accesses ? VEE_RESUME_NEXT : VEE_RESUME_HERE);
}

#define ADDRESS(gva, ...) do {						\
	static const uint8_t code_[VEE_INSN_MAX] = { __VA_ARGS__ };			\
									\
	check_address(code_, sizeof(code_), gva);			\
} while (0)

static void addresses_in_64bit_mode(void)
{
	struct vee_vcpu_page *page;

	begin_64bit();
	page = rig.vcpu->page;
	page->regs.rip = 0xffffffff81000000;
	page->regs.rbx = 0x1000;
	page->regs.rbp = 0x40;
	page->regs.r12 = 0xffff800000000000;
	page->regs.r13 = 0xfffffffffffffff0;
	page->segments.fs.base = 0x7000;
	page->segments.ds.base = 0x10000;	/* counts as 0 */
	ADDRESS(0x1000, 0x8b, 0x03);
	ADDRESS(0x0ff8, 0x8b, 0x43, 0xf8);
	ADDRESS(0x1200, 0x8b, 0x83, 0x00, 0x02, 0, 0);
	ADDRESS(0x1100 + 0x40, 0x8b, 0x44, 0xab, 0x40);	/* rbx+rbp*4+0x40 */
	ADDRESS(0xffff800000000000, 0x41, 0x8b, 0x04, 0x24);
	ADDRESS(0xfffffffffffffff0, 0x41, 0x8b, 0x45, 0x00);
	ADDRESS(0xff0, 0x42, 0x8b, 0x04, 0x2b);		/* rbx+r13: it wraps */
	ADDRESS(0xffffffff81000106, 0x8b, 0x05, 0x00, 0x01, 0, 0);
	ADDRESS(0x8000, 0x64, 0x8b, 0x03);		/* fs: */
	ADDRESS(0x1000, 0x3e, 0x8b, 0x03);		/* ds: */
	ADDRESS(0xfffffff0, 0x67, 0x41, 0x8b, 0x45, 0x00); /* 32-bit address */
	ADDRESS(0x12345678, 0x8b, 0x04, 0x25, 0x78, 0x56, 0x34, 0x12);
	ADDRESS(0x0123456789abcde0, 0x48, 0xa1, 0xe0, 0xcd, 0xab, 0x89, 0x67,
		0x45, 0x23, 0x01);
	rig_end(&rig);
}

static void addresses_in_32bit_mode(void)
{
	struct vee_vcpu_page *page;

	begin(4);
	page = rig.vcpu->page;
	page->regs.rbx = 0xaaaaaaaa00001000;	/* the upper half is no part */
	page->regs.rbp = 0x2000;
	page->segments.ds.base = 0x100000;
	page->segments.ss.base = 0x200000;
	page->segments.es.base = 0xfffff000;
	ADDRESS(0x101000, 0x8b, 0x03);
	ADDRESS(0x202000, 0x8b, 0x45, 0x00);		/* ebp: ss */
	ADDRESS(0x0, 0x26, 0x8b, 0x03);		/* es: it wraps */
	ADDRESS(0x100008, 0xa1, 0x08, 0, 0, 0);
	ADDRESS(0x101000, 0x67, 0x8b, 0x07);		/* bx, 16-bit address */
	rig_end(&rig);
}

static void addresses_in_16bit_mode(void)
{
	struct vee_vcpu_page *page;

	begin(2);
	page = rig.vcpu->page;
	page->regs.rbx = 0xf000;
	page->regs.rsi = 0x2000;
	page->segments.ds.base = 0xb8000;
	page->segments.es.base = 0xa0000;
	ADDRESS(0xb8000 + 0xf000, 0x8b, 0x07);
	ADDRESS(0xb8000 + 0x1000, 0x8b, 0x00);	/* bx+si wraps at 64 KiB */
	ADDRESS(0xa0000 + 0x2000, 0x26, 0x8b, 0x04);
	ADDRESS(0xb8000 + 0x0678, 0xa1, 0x78, 0x06);
	ADDRESS(0xb8000 + 0x2000, 0x66, 0x67, 0x8b, 0x06);
	rig_end(&rig);
}

static void widths_depend_on_the_mode(void)
{
	static const uint8_t code[] = { 0x89, 0x07 };	/* [rdi]; in 16 bits [bx] */
	static const uint8_t expected[9] = { [2] = 2, [4] = 4, [8] = 4 };

	for (unsigned int mode = 2; mode <= 8; mode *= 2) {
		begin(mode);
		memset(device, 0, sizeof(device));
		rig.vcpu->page->regs.rax = 0x1122334455667788;
		set_exit(code, sizeof(code), 0);
		CHECK_EQUAL(assist(), 0);
		CHECK_EQUAL(device[expected[mode] - 1] != 0, 1);
		CHECK_EQUAL(device[expected[mode]], 0);
		rig_end(&rig);
	}
}

static void the_cache_knows_the_mode(void)
{
	static const uint8_t code[] = { 0x89, 0x07 };

	begin(4);
	rig.vcpu->page->regs.rax = 0x55667788;
	set_exit(code, sizeof(code), 0);
	CHECK_EQUAL(assist(), 0);
	CHECK_EQUAL(device[3], 0x55);
	memset(device, 0, sizeof(device));
	rig.vcpu->page->segments.cs.access_rights &= ~VEE_AR_DB;
	set_exit(code, sizeof(code), 0);
	CHECK_EQUAL(assist(), 0);
	CHECK_EQUAL(device[1], 0x77);
	CHECK_EQUAL(device[3], 0);
	/* Other bytes at the same RIP are another instruction. */
	set_exit((const uint8_t[]) { 0x88, 0x07 }, 2, 0);
	memset(device, 0, sizeof(device));
	CHECK_EQUAL(assist(), 0);
	CHECK_EQUAL(device[0], 0x88);
	CHECK_EQUAL(device[1], 0);
	rig_end(&rig);
}

/* --- the stack --- */

static void push_and_pop(void)
{
	uint64_t value = 0;
	struct vee_regs *regs;

	begin_64bit();
	CHECK_EQUAL(vee_vm_alloc(rig.vm, 0x8000, 0x2000, NULL), 0);
	regs = &rig.vcpu->page->regs;
	regs->rsp = 0x9004;	/* so that the 8 bytes lie in two pages */
	regs->rbx = 0x10;
	memcpy(device + 0x10, "\x88\x77\x66\x55\x44\x33\x22\x11", 8);
	set_exit((const uint8_t[]) { 0xff, 0x33 }, 2, 0x10);	/* push (%rbx) */
	CHECK_EQUAL(assist(), 0);
	CHECK_EQUAL(regs->rsp, 0x8ffc);
	CHECK_EQUAL(vee_vm_read(rig.vm, 0x8ffc, &value, 8), 0);
	CHECK_EQUAL(value, 0x1122334455667788);
	CHECK(rig.vcpu->page->dirty & VEE_STATE_REGS);
	regs->rbx = 0x20;
	set_exit((const uint8_t[]) { 0x8f, 0x03 }, 2, 0x20);	/* pop (%rbx) */
	CHECK_EQUAL(assist(), 0);
	CHECK_EQUAL(regs->rsp, 0x9004);
	CHECK(!memcmp(device + 0x20, device + 0x10, 8));
	/* The address of a POP through RSP is that after the POP. */
	set_exit((const uint8_t[]) { 0x8f, 0x04, 0x24 }, 3, 0x900c);
	CHECK_EQUAL(assist(), 0);
	/* A stack that is the device, too. */
	regs->rsp = DEVICE_GPA + 0x100;
	regs->rbx = 0x20;
	set_exit((const uint8_t[]) { 0xff, 0x33 }, 2, 0x20);
	CHECK_EQUAL(assist(), 0);
	CHECK_EQUAL(regs->rsp, DEVICE_GPA + 0xf8);
	CHECK(!memcmp(device + 0xf8, device + 0x20, 8));
	rig_end(&rig);
}

/* Of 32 bits the upper half stays as it is, of 64 it is zero: SDM 2B, "PUSH". */
static void check_push_segment(unsigned int mode, const void *pushed)
{
	static const uint8_t push_fs[] = { 0x0f, 0xa0 };
	struct vee_vcpu_page *page;

	begin(mode);
	test_case("mode %u", mode);
	page = rig.vcpu->page;
	page->segments.fs.selector = 0x2b;
	page->regs.rsp = DEVICE_GPA + 0x100;
	memset(device, 0xee, sizeof(device));
	set_exit(push_fs, sizeof(push_fs), 0x100 - mode);
	CHECK_EQUAL(assist(), 0);
	CHECK_EQUAL(page->regs.rsp, DEVICE_GPA + 0x100 - mode);
	CHECK_EQUAL(device[0x100 - mode - 1], 0xee);
	CHECK(!memcmp(device + 0x100 - mode, pushed, mode));
	CHECK_EQUAL(device[0x100], 0xee);
	rig_end(&rig);
}

static void push_segment(void)
{
	check_push_segment(8, "\x2b\0\0\0\0\0\0\0");
	check_push_segment(4, "\x2b\0\xee\xee");
}

static void push_can_fault(void)
{
	struct vee_vcpu_page *page;

	begin_64bit();
	fake.identity = false;
	fake_paging(&rig);
	page = rig.vcpu->page;
	page->regs.rsp = 0x9000;
	set_exit((const uint8_t[]) { 0xff, 0x33 }, 2, 0);
	CHECK_EQUAL(assist(), 0);
	CHECK_EQUAL(accesses, 0);
	CHECK_EQUAL(page->inject.vector, 14);
	CHECK_EQUAL(page->inject.error_code, 2);
	CHECK_EQUAL(page->control.cr2, 0x8ff8);
	CHECK(page->dirty & VEE_STATE_CONTROL);
	CHECK_EQUAL(page->resume, VEE_RESUME_HERE);
	CHECK_EQUAL(page->regs.rsp, 0x9000);
	rig_end(&rig);
}

/* A stack that the guest may not write to, where a slot is: the device's to answer. */
static void push_to_rom(void)
{
	begin_64bit();
	CHECK_EQUAL(vee_vm_map(rig.vm, 0x8000, memory, PAGE_BYTES, VEE_READ), 0);
	rig.vcpu->page->regs.rsp = 0x9000;
	device_everywhere = true;
	memory[0xff8] = 0x5a;
	set_exit((const uint8_t[]) { 0xff, 0x33 }, 2, 0);
	CHECK_EQUAL(assist(), 0);
	device_everywhere = false;
	CHECK_EQUAL(accesses, 2);
	CHECK_EQUAL(last_gpa, 0x8ff8);
	CHECK_EQUAL(memory[0xff8], 0x5a);
	CHECK_EQUAL(rig.vcpu->page->regs.rsp, 0x8ff8);
	rig_end(&rig);
}

/* PUSH of the register at [BX], [EBX] or [RBX]: #SS(0) if @faults. */
static void check_push(unsigned int mode, uint64_t rsp, bool faults)
{
	static const uint8_t push[] = { [2] = 0x37, [4] = 0x33, [8] = 0x33 };
	struct vee_vcpu_page *page = rig.vcpu->page;

	test_case("mode %u, RSP %#llx", mode, (unsigned long long)rsp);
	page->regs.rsp = rsp;
	page->inject = (struct vee_event) { 0 };
	set_exit((const uint8_t[]) { 0xff, push[mode] }, 2, 0);
	CHECK_EQUAL(assist(), 0);
	CHECK_EQUAL(page->inject.flags & VEE_EVENT_VALID, faults);
	CHECK_EQUAL(page->inject.vector, faults ? 12 : 0);
	CHECK_EQUAL(page->inject.error_code, 0);
	CHECK_EQUAL(accesses, !faults);
	CHECK_EQUAL(page->resume, faults ? VEE_RESUME_HERE : VEE_RESUME_NEXT);
	CHECK_EQUAL(page->regs.rsp == rsp, faults);
}

static void stacks_have_limits(void)
{
	struct vee_segment *ss;

	begin(8);
	fake_map(0x7ffffffff000, 0x8000, VEE_READ | VEE_WRITE, false);
	fake_paging(&rig);
	CHECK_EQUAL(vee_vm_alloc(rig.vm, 0, 0x10000, NULL), 0);
	check_push(8, 0x800000000000, false);
	check_push(8, 0x800000000001, true);	/* it lies half beyond */
	check_push(8, 0x900000000000, true);
	rig_end(&rig);
	begin(4);
	CHECK_EQUAL(vee_vm_alloc(rig.vm, 0, 0x10000, NULL), 0);
	ss = &rig.vcpu->page->segments.ss;
	ss->limit = 0x7fff;
	check_push(4, 0x8000, false);
	check_push(4, 0x8001, true);
	ss->access_rights |= 0x4;		/* from 8000H to FFFFFFFFH */
	check_push(4, 0x8004, false);
	check_push(4, 0x8003, true);
	ss->access_rights |= VEE_AR_UNUSABLE;
	check_push(4, 0x9000, true);
	rig_end(&rig);
	begin(2);
	CHECK_EQUAL(vee_vm_alloc(rig.vm, 0, 0x10000, NULL), 0);
	check_push(2, 0, false);
	check_push(2, 1, true);			/* FFFFH and beyond */
	CHECK_EQUAL(rig.vcpu->page->inject.flags, VEE_EVENT_VALID);
	rig_end(&rig);
}

/* --- what it doesn't do --- */

static void check_refused(const uint8_t *code, size_t bytes)
{
	struct vee_vcpu_page before = *rig.vcpu->page;

	test_case("%02x %02x %02x", code[0], code[1], code[2]);
	set_exit(code, bytes, 0);
	before.exit = rig.vcpu->page->exit;
	before.dirty = 0;
	CHECK_EQUAL(assist(), -EOPNOTSUPP);
	CHECK_EQUAL(accesses, 0);
	CHECK(!memcmp(&before, rig.vcpu->page, sizeof(before)));
}

#define REFUSED(...) do {						\
	static const uint8_t code_[] = { __VA_ARGS__ };			\
									\
	check_refused(code_, sizeof(code_));				\
} while (0)

static void refuses_other_instructions(void)
{
	begin_64bit();
	REFUSED(0x90, 0x90, 0x90);
	REFUSED(0x0f, 0x0b, 0);			/* ud2 */
	REFUSED(0x0f, 0x58, 0x07);		/* addps */
	REFUSED(0xc5, 0xf8, 0x58, 0x07);	/* vaddps */
	REFUSED(0xc5, 0xf8, 0x12, 0x07);	/* vmovlps, with a second source */
	REFUSED(0xc5, 0xf8, 0x90, 0x07);	/* kmovw: no SETcc */
	REFUSED(0xd9, 0x07, 0);			/* fld */
	REFUSED(0x8d, 0x07, 0);			/* lea */
	REFUSED(0x0f, 0x18, 0x07);		/* prefetchnta */
	REFUSED(0x66, 0x66, 0x66);
	rig_end(&rig);
}

static void refuses_other_exits(void)
{
	static const uint8_t code[] = { 0x89, 0x07 };
	struct vee_exit *exit;

	begin_64bit();
	exit = &rig.vcpu->page->exit;
	set_exit(code, sizeof(code), 0);
	exit->reason = VEE_EXIT_PIO;
	CHECK_EQUAL(assist(), -EINVAL);
	set_exit(code, sizeof(code), 0);
	exit->memory.access = VEE_EXECUTE;
	CHECK_EQUAL(assist(), -EOPNOTSUPP);
	set_exit(code, sizeof(code), 0);
	exit->memory.insn_bytes = 0;
	CHECK_EQUAL(assist(), -EOPNOTSUPP);
	set_exit(code, sizeof(code), 0);
	exit->memory.insn_bytes = 1;
	CHECK_EQUAL(assist(), -EOPNOTSUPP);
	set_exit(code, sizeof(code), 0);
	exit->memory.insn_bytes = 255;
	CHECK_EQUAL(assist(), -EOPNOTSUPP);
	rig_end(&rig);
}

static void errors_of_the_device_change_nothing(void)
{
	static const uint8_t codes[][3] = {
		{ 0x8b, 0x07 }, { 0x89, 0x07 }, { 0x01, 0x0f }, { 0x03, 0x0f },
		{ 0x87, 0x0f }, { 0x0f, 0xc1, 0x0f }, { 0x0f, 0xb1, 0x0f },
		{ 0xa5 }, { 0xab }, { 0xad }, { 0xae }, { 0xa6 },
		{ 0x0f, 0x10, 0x07 }, { 0x0f, 0x11, 0x07 },
	};

	begin_64bit();
	CHECK_EQUAL(vee_vm_alloc(rig.vm, 0x8000, 0x1000, NULL), 0);
	device_error = -EIO;
	for (size_t i = 0; i < sizeof(codes) / sizeof(*codes); i++) {
		struct vee_regs before;

		rig.vcpu->page->regs.rsi = 0x8000;
		before = rig.vcpu->page->regs;
		test_case("%02x %02x", codes[i][0], codes[i][1]);
		set_exit(codes[i], 3, i == 9 ? 0x8000 : 0);
		CHECK_EQUAL(assist(), -EIO);
		CHECK_EQUAL(rig.vcpu->page->resume, VEE_RESUME_HERE);
		CHECK(!memcmp(&before, &rig.vcpu->page->regs, sizeof(before)));
	}
	rig_end(&rig);
}

static int assist_again(void)
{
	static const uint8_t movups[] = { 0x0f, 0x10, 0x07 };
	int err;

	set_exit(movups, sizeof(movups), 0);
	err = assist();
	CHECK_EQUAL(accesses, err ? 0 : 2);
	CHECK_EQUAL(rig.vcpu->page->resume, err ? VEE_RESUME_HERE : VEE_RESUME_NEXT);
	return err;
}

/* The cache of what was decoded, and an XSAVE area. */
static void allocations_can_fail(void)
{
	begin_64bit();
	rig.vcpu->page->regs.rdi = 0;
	CHECK_EQUAL(fail_each_allocation(assist_again), 2);
	rig_end(&rig);
}

static void any_bytes_are_survived(void)
{
	uint8_t code[VEE_INSN_MAX];
	unsigned int done = 0;

	begin_64bit();
	device_everywhere = true;
	CHECK_EQUAL(vee_vm_alloc(rig.vm, 0, 0x10000, NULL), 0);
	for (int i = 0; i < 200000; i++) {
		struct vee_vcpu_page *page = rig.vcpu->page;

		for (size_t j = 0; j < sizeof(code); j++)
			code[j] = test_random();
		for (int j = 0; j < 16; j++)
			page->regs.gpr[j] = random_value();
		page->regs.rflags = test_random() & 0xfff;
		page->segments.cs.access_rights = test_random() & 0xffff;
		set_exit(code, sizeof(code), 0);
		page->exit.memory.gva_valid = 0;
		page->exit.memory.insn_bytes = test_random() % 16;
		done += !assist();
	}
	CHECK(done > 1000);
	device_everywhere = false;
	rig_end(&rig);
}

/* What can't be written because it may only be read is a device's to answer. */
static void writes_to_rom(void)
{
	static const uint8_t store[] = { 0x88, 0x07 };	/* mov %al, (%rdi) */
	struct vee_exit *exit;

	begin_64bit();
	exit = &rig.vcpu->page->exit;
	set_exit(store, sizeof(store), 0x5010);
	rig.vcpu->page->regs.rdi = 0x5010;
	rig.vcpu->page->regs.rax = 0x77;
	exit->reason = VEE_EXIT_MEMORY;
	exit->memory.error = -EACCES;
	exit->memory.access = VEE_READ;
	CHECK_EQUAL(assist(), -EINVAL);
	exit->memory.access = VEE_WRITE;
	exit->memory.error = -EFAULT;
	CHECK_EQUAL(assist(), -EINVAL);
	CHECK_EQUAL(accesses, 0);
	exit->memory.error = -EACCES;
	CHECK_EQUAL(assist(), 0);
	CHECK_EQUAL(accesses, 1);
	CHECK_EQUAL(device[0x10], 0x77);
	CHECK_EQUAL(rig.vcpu->page->resume, VEE_RESUME_NEXT);
	rig_end(&rig);
}

const struct test tests[] = {
	{ "loads and stores", loads_and_stores },
	{ "MOVZX, MOVSX, MOVSXD", extending_loads },
	{ "MOVBE", byte_swapping },
	{ "arithmetic and logic", arithmetic },
	{ "shifts and rotations", shifts },
	{ "XCHG, XADD, CMPXCHG", exchanges },
	{ "CMOVcc, SETcc", conditions },
	{ "BT and kin, immediate", bits_by_immediate },
	{ "BT and kin, register", bits_by_register },
	{ "SHLD, SHRD", double_shifts },
	{ "MUL, IMUL, POPCNT", multiplication },
	{ "CRC32", checksums },
	{ "loads of AVX", avx_loads },
	{ "stores of AVX", avx_stores },
	{ "DIV, IDIV", division },
	{ "BSF, BSR, LZCNT, TZCNT, ADCX, ADOX", scans },
	{ "CMPXCHG8B, CMPXCHG16B", pairs },
	{ "MOV of a segment register", selectors },
	{ "SSE moves", vectors },
	{ "SSE moves after RESET", vectors_after_reset },
	{ "addresses in 64-bit mode", addresses_in_64bit_mode },
	{ "addresses in 32-bit mode", addresses_in_32bit_mode },
	{ "addresses in 16-bit mode", addresses_in_16bit_mode },
	{ "widths depend on the mode", widths_depend_on_the_mode },
	{ "the cache knows mode and bytes", the_cache_knows_the_mode },
	{ "PUSH and POP", push_and_pop },
	{ "PUSH of a segment register", push_segment },
	{ "PUSH can fault", push_can_fault },
	{ "PUSH to what is read-only", push_to_rom },
	{ "PUSH beyond the stack's limit", stacks_have_limits },
	{ "refuses other instructions", refuses_other_instructions },
	{ "refuses other exits", refuses_other_exits },
	{ "errors of the device change nothing", errors_of_the_device_change_nothing },
	{ "allocations can fail", allocations_can_fail },
	{ "any bytes are survived", any_bytes_are_survived },
	{ "writes to a ROM", writes_to_rom },
	{ 0 }
};
