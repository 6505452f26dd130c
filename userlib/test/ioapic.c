// SPDX-License-Identifier: LGPL-2.1-or-later
#include "../devices/ioapic.h"
#include "bench.h"

#define LOGICAL		0x0800
#define LOW		0x2000
#define REMOTE_IRR	0x4000
#define LEVEL		0x8000
#define MASKED		0x10000

static struct ioapic ioapic;

static unsigned int unmasked_pin, unmasked_count;

static void begin(void)
{
	bench_begin();
	unmasked_count = 0;
	ioapic_init(&ioapic, 5, bench_take_message, &bench);
	CHECK_EQUAL(bus_add(&bench.memory, &ioapic.bus), 0);
}

static uint32_t entry(unsigned int pin)
{
	return ioapic_get(0x10 + 2 * pin);
}

/* The upper half first, as software does that wants no message for somebody else. */
static void set_entry(unsigned int pin, uint32_t low, uint8_t destination)
{
	ioapic_put(0x11 + 2 * pin, (uint32_t)destination << 24);
	ioapic_put(0x10 + 2 * pin, low);
}

static void set(unsigned int pin, bool level)
{
	struct irq_line line = ioapic_line(&ioapic, pin);

	irq_set(&line, level);
}

static bool waits(unsigned int pin)
{
	struct irq_line line = ioapic_line(&ioapic, pin);

	return irq_waits(&line);
}

static void pulse(unsigned int pin)
{
	set(pin, true);
	set(pin, false);
}

static void after_power_on(void)
{
	begin();
	CHECK_EQUAL(fetch(IOAPIC_BASE, 4), 0);
	CHECK_EQUAL(ioapic_get(0), 5 << 24);
	CHECK_EQUAL(ioapic_get(1), 0x00170020);
	CHECK_EQUAL(ioapic_get(2), 5 << 24);
	for (unsigned int pin = 0; pin < IOAPIC_PINS; pin++) {
		CHECK_EQUAL(entry(pin), MASKED);
		CHECK_EQUAL(ioapic_get(0x11 + 2 * pin), 0);
		CHECK(ioapic_is_masked(&ioapic, pin));
		pulse(pin);
	}
	CHECK_EQUAL(bench_messages(), 0);
	ioapic_init(&ioapic, 0xfff, bench_take_message, &bench);
	CHECK_EQUAL(ioapic.id, 0x0f000000);
}

static void what_can_be_written(void)
{
	begin();
	ioapic_put(0, 0xffffffff);
	CHECK_EQUAL(ioapic_get(0), 0x0f000000);
	CHECK_EQUAL(ioapic_get(2), 0x0f000000);	/* loaded with it */
	ioapic_put(1, 0);
	CHECK_EQUAL(ioapic_get(1), 0x00170020);
	ioapic_put(2, 0);
	CHECK_EQUAL(ioapic_get(2), 0x0f000000);
	for (unsigned int pin = 0; pin < IOAPIC_PINS; pin++) {
		set_entry(pin, 0xffffffff, 0xff);
		CHECK_EQUAL(entry(pin), 0x0001afff);
		CHECK_EQUAL(ioapic_get(0x11 + 2 * pin), 0xff000000);
		ioapic_put(0x11 + 2 * pin, 0xa5ffffff);
		CHECK_EQUAL(entry(pin), 0x0001afff);
		CHECK_EQUAL(ioapic_get(0x11 + 2 * pin), 0xa5000000);
		ioapic_put(0x10 + 2 * pin, MASKED | 0x31);
		CHECK_EQUAL(entry(pin), MASKED | 0x31);
		CHECK_EQUAL(ioapic_get(0x11 + 2 * pin), 0xa5000000);
	}
	for (unsigned int index = 3; index < 0x100; index++) {
		if (index == 0x10)
			index = 0x40;
		ioapic_put(index, 0xffffffff);
		CHECK_EQUAL(ioapic_get(index), 0);
		CHECK_EQUAL(fetch(IOAPIC_BASE, 4), index);
	}
	CHECK_EQUAL(entry(23), MASKED | 0x31);
	CHECK_EQUAL(bench_messages(), 0);
}

/* IOREGSEL has eight bits, by whatever width; IOWIN is written as a whole. */
static void widths(void)
{
	begin();
	for (unsigned int bytes = 1; bytes <= 4; bytes *= 2) {
		store(IOAPIC_BASE, 0, 4);
		store(IOAPIC_BASE, 0xffffff01, bytes);
		CHECK_EQUAL(fetch(IOAPIC_BASE, 4), 1);
	}
	CHECK_EQUAL(fetch(IOAPIC_BASE + 0x10, 1), 0x20);
	CHECK_EQUAL(fetch(IOAPIC_BASE + 0x12, 1), 0x17);
	CHECK_EQUAL(fetch(IOAPIC_BASE + 0x12, 2), 0x17);
	CHECK_EQUAL(fetch(IOAPIC_BASE + 0x10, 8), 0x00170020);
	CHECK_EQUAL(fetch(IOAPIC_BASE + 0x13, 4), 0);
	store(IOAPIC_BASE, 0, 4);
	store(IOAPIC_BASE + 0x10, 0, 1);
	store(IOAPIC_BASE + 0x10, 0, 2);
	store(IOAPIC_BASE + 0x12, 0, 2);
	store(IOAPIC_BASE + 0x13, 0, 1);
	store(IOAPIC_BASE + 0x01, 0xff, 1);
	CHECK_EQUAL(ioapic_get(0), 5 << 24);
	store(IOAPIC_BASE + 0x10, 0x03000000, 8);
	CHECK_EQUAL(ioapic_get(0), 3 << 24);
	/* As libvee has it, without a bus that splits. */
	ioapic_access(&ioapic, 0x10, &(uint64_t) { 0x07000000 }, 8, true);
	CHECK_EQUAL(ioapic_get(0), 7 << 24);
}

static void other_offsets(void)
{
	begin();
	store(IOAPIC_BASE, 1, 4);
	for (unsigned int offset = 4; offset < IOAPIC_BYTES; offset += 4) {
		if (offset == 0x10)
			continue;
		store(IOAPIC_BASE + offset, 0xffffffff, 4);
		CHECK_EQUAL(fetch(IOAPIC_BASE + offset, 4), 0);
	}
	CHECK_EQUAL(fetch(IOAPIC_BASE, 4), 1);
	CHECK_EQUAL(ioapic_get(0), 5 << 24);
	CHECK_EQUAL(fetch(IOAPIC_BASE + IOAPIC_BYTES, 4), 0xffffffff);
}

static void edges(void)
{
	begin();
	set_entry(4, 0x31, 3);
	CHECK_EQUAL(bench_messages(), 0);
	set(4, true);
	CHECK_EQUAL(bench_messages(), 1);
	CHECK_EQUAL(bench.sent.address, 0xfee03000);
	CHECK_EQUAL(bench.sent.data, 0x31);
	CHECK(!bench.sent.level && !waits(4));
	set(4, true);
	set(4, false);
	CHECK_EQUAL(bench_messages(), 0);
	CHECK_EQUAL(entry(4), 0x31);		/* idle */
	set(4, true);
	CHECK_EQUAL(bench_messages(), 1);
	ioapic_eoi(&ioapic, 0x31);
	CHECK_EQUAL(bench_messages(), 0);
	pulse(5);
	CHECK_EQUAL(bench_messages(), 0);
}

/* The data sheet: not delivered, nor held pending. */
static void edges_at_a_masked_pin(void)
{
	begin();
	set_entry(4, MASKED | 0x31, 0);
	set(4, true);
	set_entry(4, 0x31, 0);
	CHECK_EQUAL(bench_messages(), 0);
	set(4, false);
	set(4, true);
	CHECK_EQUAL(bench_messages(), 1);
}

static void active_low(void)
{
	begin();
	set(4, true);				/* its wire at rest */
	set_entry(4, LOW | 0x31, 0);
	CHECK_EQUAL(bench_messages(), 0);
	set(4, false);
	CHECK_EQUAL(bench_messages(), 1);
	set(4, true);
	CHECK_EQUAL(bench_messages(), 0);
	set_entry(4, LOW | LEVEL | 0x31, 0);
	CHECK_EQUAL(bench_messages(), 0);
	set(4, false);
	CHECK_EQUAL(bench_messages(), 1);
	ioapic_eoi(&ioapic, 0x31);
	CHECK_EQUAL(bench_messages(), 1);
	set(4, true);
	ioapic_eoi(&ioapic, 0x31);
	CHECK_EQUAL(bench_messages(), 0);
	set_entry(4, LEVEL | 0x31, 0);		/* what was at rest no longer is */
	CHECK_EQUAL(bench_messages(), 1);
}

static void levels(void)
{
	begin();
	set_entry(9, LEVEL | 0x41, 7);
	set(9, true);
	CHECK_EQUAL(bench_messages(), 1);
	CHECK_EQUAL(bench.sent.address, 0xfee07000);
	CHECK_EQUAL(bench.sent.data, 0xc041);
	CHECK(bench.sent.level && waits(9));
	CHECK_EQUAL(entry(9), REMOTE_IRR | LEVEL | 0x41);
	set(9, false);				/* once, until its end */
	set(9, true);
	CHECK_EQUAL(bench_messages(), 0);
	ioapic_eoi(&ioapic, 0x42);
	CHECK_EQUAL(bench_messages(), 0);
	ioapic_eoi(&ioapic, 0x41);
	CHECK_EQUAL(bench_messages(), 1);		/* still up */
	set(9, false);
	CHECK_EQUAL(entry(9), REMOTE_IRR | LEVEL | 0x41);
	ioapic_eoi(&ioapic, 0x41);
	CHECK_EQUAL(bench_messages(), 0);
	CHECK_EQUAL(entry(9), LEVEL | 0x41);
	CHECK(!waits(9));
	ioapic_eoi(&ioapic, 0x41);		/* of nothing */
	CHECK_EQUAL(bench_messages(), 0);
}

static void levels_and_the_mask(void)
{
	begin();
	set_entry(9, MASKED | LEVEL | 0x41, 0);
	set(9, true);
	CHECK_EQUAL(bench_messages(), 0);
	set_entry(9, LEVEL | 0x41, 0);		/* it is looked at now */
	CHECK_EQUAL(bench_messages(), 1);
	set_entry(9, MASKED | LEVEL | 0x41, 0);
	CHECK_EQUAL(entry(9), MASKED | REMOTE_IRR | LEVEL | 0x41);
	ioapic_eoi(&ioapic, 0x41);
	CHECK_EQUAL(bench_messages(), 0);
	CHECK_EQUAL(entry(9), MASKED | LEVEL | 0x41);
	set(9, false);
	set_entry(9, LEVEL | 0x41, 0);
	CHECK_EQUAL(bench_messages(), 0);
	set(9, true);
	CHECK_EQUAL(bench_messages(), 1);
	set_entry(9, LEVEL | 0x41, 0);		/* writing it again is not its end */
	CHECK_EQUAL(bench_messages(), 0);
}

/* Several pins may have one vector: its end is that of all. */
static void a_shared_vector(void)
{
	begin();
	for (unsigned int pin = 16; pin < 20; pin++)
		set_entry(pin, LEVEL | 0x51, 0);
	set(16, true);
	set(19, true);
	CHECK_EQUAL(bench_messages(), 2);
	set(16, false);
	ioapic_eoi(&ioapic, 0x51);
	CHECK_EQUAL(bench_messages(), 1);
	CHECK_EQUAL(entry(16), LEVEL | 0x51);
	CHECK_EQUAL(entry(19), REMOTE_IRR | LEVEL | 0x51);
}

static void the_eoi_register(void)
{
	begin();
	set_entry(9, LEVEL | 0x41, 0);
	set(9, true);
	store(IOAPIC_BASE + 0x40, 0x42, 4);
	CHECK_EQUAL(entry(9), REMOTE_IRR | LEVEL | 0x41);
	store(IOAPIC_BASE + 0x40, 0xffffff41, 4);
	CHECK_EQUAL(bench_messages(), 2);
	set(9, false);
	store(IOAPIC_BASE + 0x40, 0x41, 1);
	CHECK_EQUAL(entry(9), LEVEL | 0x41);
	CHECK_EQUAL(fetch(IOAPIC_BASE + 0x40, 4), 0);
}

/* As software ends one on an 82093AA, which has no such register. */
static void the_trigger_mode_forgets(void)
{
	begin();
	set_entry(9, LEVEL | 0x41, 0);
	set(9, true);
	CHECK_EQUAL(bench_messages(), 1);
	ioapic_put(0x10 + 18, MASKED | 0x41);
	CHECK_EQUAL(entry(9), MASKED | 0x41);
	ioapic_put(0x10 + 18, MASKED | LEVEL | 0x41);
	CHECK_EQUAL(entry(9), MASKED | LEVEL | 0x41);
	ioapic_put(0x10 + 18, LEVEL | 0x41);
	CHECK_EQUAL(bench_messages(), 1);
	ioapic_put(0x10 + 18, LEVEL | REMOTE_IRR | 0x42);
	ioapic_eoi(&ioapic, 0x41);		/* no longer its vector */
	CHECK_EQUAL(entry(9), REMOTE_IRR | LEVEL | 0x42);
	begin();
	ioapic_put(0x10 + 18, MASKED | LEVEL | REMOTE_IRR | 0x42);
	CHECK_EQUAL(entry(9), MASKED | LEVEL | 0x42);	/* read-only */
}

static void destinations(void)
{
	begin();
	set_entry(1, LOGICAL | 0x61, 0xff);
	pulse(1);
	CHECK_EQUAL(bench.sent.address, 0xfeeff004);
	CHECK_EQUAL(bench.sent.data, 0x61);
	set_entry(1, LOGICAL | 0x100 | 0x61, 0x81);
	pulse(1);
	CHECK_EQUAL(bench.sent.address, 0xfee8100c);
	CHECK_EQUAL(bench.sent.data, 0x161);
	set_entry(1, LOGICAL | LEVEL | 0x100 | 0x61, 0x81);
	pulse(1);
	CHECK_EQUAL(bench.sent.address, 0xfee8100c);
	CHECK_EQUAL(bench.sent.data, 0xc161);
	CHECK_EQUAL(bench_messages(), 3);
}

/* NMI and INIT are edges whatever the trigger mode; others say nothing. */
static void delivery_modes(void)
{
	static const bool is_sent[8] = { true, true, [4] = true, [5] = true };

	for (unsigned int mode = 0; mode < 8; mode++) {
		test_case("mode %u", mode);
		begin();
		set_entry(3, mode << 8 | 0x71, 2);
		set(3, true);
		CHECK_EQUAL(bench_messages(), is_sent[mode]);
		if (is_sent[mode])
			CHECK_EQUAL(bench.sent.data, mode << 8 | 0x71);
		CHECK(!bench.sent.level);
		set(3, false);
		set_entry(3, LEVEL | mode << 8 | 0x71, 2);
		pulse(3);
		CHECK_EQUAL(bench_messages(), is_sent[mode]);
		CHECK_EQUAL(bench.sent.level, mode < 2);
		CHECK_EQUAL(entry(3), (mode < 2 ? REMOTE_IRR : 0) | LEVEL | mode << 8 | 0x71);
		pulse(3);
		CHECK_EQUAL(bench_messages(), is_sent[mode] && mode >= 2);
	}
	test_case("%s", "");
}

static void counted_edges(void)
{
	begin();
	ioapic_count(&ioapic, 2);
	set_entry(2, 0x30, 0);
	CHECK(!waits(2));
	pulse(2);
	CHECK_EQUAL(bench_messages(), 1);
	CHECK_EQUAL(bench.sent.data, 0x30);
	CHECK(bench.sent.level && waits(2));
	ioapic_eoi(&ioapic, 0x31);
	CHECK(waits(2));
	ioapic_eoi(&ioapic, 0x30);
	CHECK(!waits(2));
	pulse(2);
	ioapic_forget(&ioapic, 2);
	CHECK(!waits(2));
	pulse(2);
	set_entry(2, 0x30, 0);			/* who knows whose end will come */
	CHECK(!waits(2));
	set_entry(2, MASKED | 0x30, 0);
	pulse(2);
	CHECK(!waits(2));
	set_entry(2, 0x400, 0);			/* an NMI has no end */
	bench_messages();
	pulse(2);
	CHECK_EQUAL(bench_messages(), 1);
	CHECK(!bench.sent.level && !waits(2));
}

static void on_unmasked(void *arg, unsigned int pin)
{
	CHECK(arg == &bench);
	CHECK(ioapic_is_masked(&ioapic, pin));
	unmasked_pin = pin;
	unmasked_count++;
}

static void unmasking(void)
{
	begin();
	ioapic.unmasked = on_unmasked;
	ioapic_put(0x10 + 4, MASKED | 0x30);
	ioapic_put(0x11 + 4, 0);
	CHECK_EQUAL(unmasked_count, 0);
	ioapic_put(0x10 + 4, 0x30);
	CHECK_EQUAL(unmasked_count, 1);
	CHECK_EQUAL(unmasked_pin, 2);
	ioapic_put(0x10 + 4, 0x31);
	CHECK_EQUAL(unmasked_count, 1);
}

const struct test tests[] = {
	{ "after power-on", after_power_on },
	{ "what can be written", what_can_be_written },
	{ "widths", widths },
	{ "other offsets", other_offsets },
	{ "edges", edges },
	{ "edges at a masked pin", edges_at_a_masked_pin },
	{ "active low", active_low },
	{ "levels", levels },
	{ "levels and the mask", levels_and_the_mask },
	{ "a shared vector", a_shared_vector },
	{ "the EOI register", the_eoi_register },
	{ "the trigger mode forgets", the_trigger_mode_forgets },
	{ "destinations", destinations },
	{ "delivery modes", delivery_modes },
	{ "counted edges", counted_edges },
	{ "unmasking", unmasking },
	{ 0 }
};
