// SPDX-License-Identifier: GPL-2.0-only
/* What the fuzzer's guests are told under both: a device, ports, MSRs that no engine has. */
#include "fuzz_guest.h"

struct step *next_step(struct trail *trail, enum stop stop, uint64_t what, uint64_t value)
{
	bool enough = trail->step_count == STEPS_MAX - 1 && stop < END_HLT;
	struct step *step = &trail->steps[trail->step_count++];

	*step = (struct step) {
		.stop = enough ? END_ENOUGH : stop, .what = what, .value = value,
		.bus = trail->bus_count,
	};
	return enough ? NULL : step;
}

static uint8_t byte_at(uint64_t address)
{
	return (address * 0x9e3779b97f4a7c15 >> 56) & 0x7f;
}

uint8_t device[MMIO_BYTES] __attribute__((aligned(PAGE_BYTES)));
static bool is_written = true;	/* is the device, or is nothing in it yet? */

static void reset_device(void)
{
	for (unsigned int i = 0; is_written && i < MMIO_BYTES; i++)
		device[i] = byte_at(GPA_MMIO + i);
	is_written = false;
}

static void write_device(unsigned int at, uint8_t byte)
{
	device[at] = byte;
	is_written = true;
}

/* The device keeps what is written, as memory does: see is_right(). */
static void beat(struct trail *trail, uint64_t address, uint8_t *byte, bool is_port, bool write)
{
	bool is_kept = !is_port && address - GPA_MMIO < MMIO_BYTES;

	if (!write)
		*byte = is_kept ? device[address - GPA_MMIO] : byte_at(address);
	else if (is_kept)
		write_device(address - GPA_MMIO, *byte);
	if (trail->bus_count < BUS_MAX)
		trail->bus[trail->bus_count++] =
			(struct beat) { address, trail->rip, *byte, is_port, write };
}

int touch_memory(void *trail, uint64_t gpa, void *data, unsigned int bytes, bool write)
{
	for (unsigned int i = 0; i < bytes; i++)
		beat(trail, gpa + i, (uint8_t *)data + i, false, write);
	return 0;
}

int touch_port(void *trail, uint16_t port, void *data, unsigned int bytes, bool write)
{
	for (unsigned int i = 0; i < bytes; i++)
		beat(trail, port + i, (uint8_t *)data + i, true, write);
	return 0;
}

bool is_x2apic(uint32_t index)
{
	return index - 0x800 < 0x100;
}

bool msr_answer(uint32_t index, uint64_t *value)
{
	*value = index * 0x9e3779b97f4a7c15;
	return !(index & 1) && !is_x2apic(index);
}

/*
 * Of a first touch that exits with RFLAGS.TF set the emulator makes a trap, where SDM 3C,
 * "Saving Non-Register State", has none: all pages are there from the start. RCX is 1.
 */
void make_touch(uint8_t *page)
{
	static const uint8_t code[] = { 0xfc, 0xf3, 0xac, HLT };	/* cld; rep lodsb; hlt */

	memcpy(page, code, sizeof(code));
}

void run_on(const struct engine *engine, const struct guest *g, struct trail *trail,
	    const struct trail *guide)
{
	reset_device();
	engine->run(&g->start, trail, guide);
	/* There the CPU writes it, unseen. */
	is_written |= engine == &engine_plain;
}
