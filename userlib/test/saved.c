// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The devices' state as bytes: a PC that it was loaded into is from then on the same as the
 * one that it is of, whatever a guest does with both.
 */
#include <stdlib.h>

#include "../devices/pc.h"
#include "test.h"

#define STEPS		3000
#define SECOND		1000000000ULL

static uint64_t now_ns;

static uint64_t tell_now(struct clock *clock)
{
	(void)clock;
	return now_ns;
}

static struct clock pc_clock = { .now_ns = tell_now, .date_ns = tell_now };

struct machine {
	struct pc pc;
	struct bus ports;
	struct bus memory;
	uint64_t sent;		/* of all output, in its order */
};

static void send_serial(void *arg, const uint8_t *bytes, size_t count)
{
	struct machine *machine = arg;

	while (count--)
		machine->sent = machine->sent * 31 + *bytes++;
}

static void send_message(void *arg, uint64_t address, uint32_t data, bool level)
{
	struct machine *machine = arg;

	machine->sent = machine->sent * 31 + address + data * 7 + level;
}

static struct machine *make(void)
{
	struct machine *machine = calloc(1, sizeof(*machine));
	struct pc_config config = {
		.low_memory = 64 << 20, .clock = &pc_clock, .serial_send = send_serial,
		.message_send = send_message, .cpus = 2, .arg = machine, .host_bridge = true,
	};

	pc_init(&machine->pc, &machine->ports, &machine->memory, &config);
	return machine;
}

static uint8_t *save_of(const struct machine *machine)
{
	uint8_t *bytes = malloc(pc_saved_bytes());

	pc_save(&machine->pc, bytes);
	return bytes;
}

static bool same(const struct machine *a, const struct machine *b)
{
	uint8_t *x = save_of(a), *y = save_of(b);
	bool equal = !memcmp(x, y, pc_saved_bytes()) && a->sent == b->sent &&
		     pc_next_ns(&a->pc) == pc_next_ns(&b->pc) &&
		     pc_interrupt_pending(&a->pc) == pc_interrupt_pending(&b->pc);

	free(x);
	free(y);
	return equal;
}

/* --- what a guest does --- */

static const uint16_t ports[] = {
	0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1, 0x40, 0x41, 0x42, 0x43, 0x61, 0x60, 0x64, 0x70, 0x71,
	0x92, 0x3d4, 0x3d5, 0x3f8, 0x3f9, 0x3fa, 0x3fb, 0x3fc, 0x3fd, 0x3fe, 0x3ff, 0xcf8, 0xcfc,
	0x600, 0x604, 0x608,
};

struct step {
	unsigned int what;
	uint64_t address;
	uint64_t value;
	unsigned int bytes;
	bool write;
};

static struct step random_step(void)
{
	uint64_t random = test_random();
	struct step step = {
		.what = random % 16, .value = test_random(), .write = random >> 8 & 1,
		.bytes = random >> 9 & 1 ? 1 : random >> 10 & 1 ? 2 : 4,
	};

	if (step.what < 10)
		step.address = ports[(random >> 16) % (sizeof(ports) / sizeof(*ports))];
	else if (step.what < 12)
		step.address = HPET_BASE + (random >> 16) % 0x160 / 4 * 4;
	else
		step.address = IOAPIC_BASE + (random >> 16 & 1) * 16;
	return step;
}

/* What a guest sees of it. */
static uint64_t take(struct machine *machine, const struct step *step)
{
	uint64_t value = step->value;
	uint8_t input = value;

	pc_advance(&machine->pc);
	if (step->what == 15)
		return pc_receive(&machine->pc, &input, 1);
	if (step->what == 14)
		return pc_interrupt_pending(&machine->pc) ? pc_acknowledge(&machine->pc) : 0;
	bus_access(step->what < 10 ? &machine->ports : &machine->memory, step->address, &value,
		   step->what < 10 ? step->bytes : 4, step->write);
	return step->write ? 0 : value;
}

static void run(struct machine *a, struct machine *b)
{
	for (unsigned int i = 0; i < STEPS; i++) {
		struct step step = random_step();
		uint64_t seen = take(a, &step);

		test_case("step %u: %#llx", i, (unsigned long long)step.address);
		if (b)
			CHECK_EQUAL(take(b, &step), seen);
		now_ns += test_random() % (SECOND / 1000);
	}
}

static void test_goes_on(void)
{
	for (unsigned int round = 0; round < 20; round++) {
		struct machine *a = make(), *b;
		const char *name;
		uint8_t *bytes;

		run(a, NULL);
		bytes = save_of(a);
		now_ns += SECOND;
		b = make();
		now_ns -= SECOND;
		CHECK(pc_load(&b->pc, bytes, pc_saved_bytes(), &name));
		b->sent = a->sent;
		CHECK(same(a, b));
		run(a, b);
		CHECK(same(a, b));
		free(bytes);
		free(a);
		free(b);
	}
}

/* --- bytes that are not as they should be --- */

/* All or nothing; and what is taken does no harm. */
static void check_changed(uint8_t *bytes, size_t at, uint8_t mask)
{
	struct machine *machine = make();
	uint8_t *before = save_of(machine), *after;
	const char *name;

	bytes[at] ^= mask;
	if (pc_load(&machine->pc, bytes, pc_saved_bytes(), &name)) {
		for (unsigned int i = 0; i < 60; i++) {
			struct step step = random_step();

			take(machine, &step);
			now_ns += SECOND / 7;
		}
	} else {
		after = save_of(machine);
		CHECK(*name && !memcmp(before, after, pc_saved_bytes()));
		free(after);
	}
	bytes[at] ^= mask;
	free(before);
	free(machine);
}

static void test_changed(void)
{
	static const uint8_t masks[] = { 0x01, 0x80, 0xff };
	struct machine *machine = make();
	uint8_t *bytes;

	run(machine, NULL);
	bytes = save_of(machine);
	/* The serial port's queue is 64 KiB of anything. */
	for (size_t at = 0; at < pc_saved_bytes(); at += at > 1500 && at < 65000 ? 997 : 1)
		check_changed(bytes, at, masks[at % 3]);
	free(bytes);
	free(machine);
}

static void test_other_length(void)
{
	struct machine *machine = make();
	uint8_t *bytes = save_of(machine);
	const char *name;

	CHECK(!pc_load(&machine->pc, bytes, pc_saved_bytes() - 1, &name));
	CHECK(!strcmp(name, "MC6845"));
	CHECK(!pc_load(&machine->pc, bytes, 3, &name));
	CHECK(!strcmp(name, "PC"));
	CHECK(!pc_load(&machine->pc, bytes, 0, &name));
	CHECK(pc_load(&machine->pc, bytes, pc_saved_bytes(), &name));
	bytes = realloc(bytes, pc_saved_bytes() + 1);
	CHECK(!pc_load(&machine->pc, bytes, pc_saved_bytes() + 1, &name));
	free(bytes);
	free(machine);
}

/* The host's, moved. */
static void test_clock(void)
{
	struct moved_clock moved;
	uint64_t host;

	moved_clock_init(&moved);
	moved.ns = -clock_now(&host_clock);
	host = clock_now(&moved.clock);
	CHECK(host < SECOND);
	CHECK(clock_now(&moved.clock) >= host);
}

const struct test tests[] = {
	{ "goes on as the other", test_goes_on },
	{ "bytes are changed", test_changed },
	{ "another length", test_other_length },
	{ "a clock that was moved", test_clock },
	{ NULL, NULL },
};
