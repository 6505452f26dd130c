// SPDX-License-Identifier: LGPL-2.1-or-later
#include <stddef.h>
#include <string.h>
#include <time.h>

#include "pc.h"

#define OWNER(device, member) \
	((struct pc *)((char *)(device) - offsetof(struct pc, member)))

/* --- the timer: Intel 8254 --- */

#define PIT_HZ		1193182ULL
#define NS		1000000000ULL
#define PIT_COMMAND	3
#define COMMAND_READBACK	3	/* in place of a channel */

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * NS + now.tv_nsec;
}

/* In whole seconds and the rest: a product of both would overflow in hours. */
static uint64_t elapsed(const struct pit_channel *channel)
{
	uint64_t ns = now_ns() - channel->start_ns;

	return ns / NS * PIT_HZ + ns % NS * PIT_HZ / NS;
}

/* Modes 2 and 3 start over at 0, the others go on at 65535. */
static uint16_t counter(const struct pit_channel *channel)
{
	uint64_t ticks = elapsed(channel);

	if (channel->mode == 2 || channel->mode == 3)
		ticks %= channel->reload;
	return channel->reload - ticks;
}

static bool output(const struct pit_channel *channel)
{
	uint64_t ticks = elapsed(channel);

	if (channel->mode == 3)
		return ticks % channel->reload < (channel->reload + 1) / 2;
	if (channel->mode == 2)
		return ticks % channel->reload != channel->reload - 1;
	return ticks >= channel->reload;
}

static void load(struct pit_channel *channel, uint16_t value)
{
	channel->reload = value ? value : 0x10000;
	channel->start_ns = now_ns();
}

static void write_channel(struct pit_channel *channel, uint8_t value)
{
	if (channel->access == 1) {
		load(channel, value);
	} else if (channel->access == 2) {
		load(channel, value << 8);
	} else if (channel->write_high) {
		load(channel, channel->low | value << 8);
		channel->write_high = false;
	} else {
		channel->low = value;
		channel->write_high = true;
	}
}

static uint8_t read_channel(struct pit_channel *channel)
{
	uint16_t value = channel->latched ? channel->latch : counter(channel);
	bool high = channel->access == 2 || channel->read_high;

	if (channel->access == 3)
		channel->read_high = !channel->read_high;
	if (channel->access != 3 || !channel->read_high)
		channel->latched = false;
	return high ? value >> 8 : value;
}

static void latch_channel(struct pit_channel *channel)
{
	if (channel->latched)
		return;
	channel->latch = counter(channel);
	channel->latched = true;
}

static void write_command(struct pit *pit, uint8_t value)
{
	struct pit_channel *channel;

	if (value >> 6 == COMMAND_READBACK)
		return;
	channel = &pit->channels[value >> 6];
	if (!(value & 0x30)) {
		latch_channel(channel);
		return;
	}
	channel->access = value >> 4 & 3;
	channel->mode = value >> 1 & 7;
	if (channel->mode > 5)
		channel->mode -= 4;	/* bit 2 counts in modes 4 and 5 alone */
	channel->write_high = false;
	channel->read_high = false;
	channel->latched = false;
	load(channel, 0);
}

static void access_pit(struct bus_device *device, uint64_t offset, void *data,
		       unsigned int bytes, bool write)
{
	struct pit *pit = (struct pit *)device;
	uint8_t *value = data;

	(void)bytes;
	if (offset == PIT_COMMAND && write)
		write_command(pit, *value);
	else if (offset != PIT_COMMAND && write)
		write_channel(&pit->channels[offset], *value);
	else if (offset != PIT_COMMAND)
		*value = read_channel(&pit->channels[offset]);
}

/* A rising gate starts channel 2 over. */
static void access_speaker(struct bus_device *device, uint64_t offset,
			   void *data, unsigned int bytes, bool write)
{
	struct pc *pc = OWNER(device, speaker);
	struct pit_channel *channel = &pc->pit.channels[2];
	uint8_t *value = data;

	(void)offset;
	(void)bytes;
	if (write) {
		if (*value & 1 && !(pc->speaker_bits & 1))
			channel->start_ns = now_ns();
		pc->speaker_bits = *value & 3;
	} else {
		*value = pc->speaker_bits | output(channel) << 5;
	}
}

/* --- interrupt controllers --- */

static void access_latch(struct bus_device *device, uint64_t offset, void *data,
			 unsigned int bytes, bool write)
{
	struct latch *latch = (struct latch *)device;
	uint8_t *value = data;

	(void)bytes;
	if (write)
		latch->values[offset] = *value;
	else	/* at offset 0: no interrupt is requested or in service */
		*value = offset ? latch->values[offset] : 0;
}

/* --- keyboard controller and the other ways to reset --- */

#define KEYBOARD_RESET	0xfe
#define FAST_A20	0x02
#define FAST_RESET	0x01

/* No key was pressed, and it is always ready for a command. */
static void access_keyboard(struct bus_device *device, uint64_t offset,
			    void *data, unsigned int bytes, bool write)
{
	uint8_t *value = data;

	(void)offset;
	(void)bytes;
	if (!write)
		*value = 0;
	else if (*value == KEYBOARD_RESET)
		OWNER(device, keyboard)->reset = true;
}

static void access_keyboard_data(struct bus_device *device, uint64_t offset,
				 void *data, unsigned int bytes, bool write)
{
	(void)device;
	(void)offset;
	if (!write)
		memset(data, 0, bytes);
}

static void access_fast_a20(struct bus_device *device, uint64_t offset,
			    void *data, unsigned int bytes, bool write)
{
	uint8_t *value = data;

	(void)offset;
	(void)bytes;
	if (!write)
		*value = FAST_A20;	/* address line 20 is always on */
	else if (*value & FAST_RESET)
		OWNER(device, fast_a20)->reset = true;
}

/* --- PCI: mechanism #1, with nothing behind it --- */

#define PCI_BYTES	8
#define PCI_RESET	1	/* CF9H, in the address register's second byte */
#define RESET_CPU	0x04

static void access_pci(struct bus_device *device, uint64_t offset, void *data,
		       unsigned int bytes, bool write)
{
	struct pc *pc = OWNER(device, pci);

	if (offset == 0 && bytes == 4) {
		if (write)
			memcpy(&pc->pci_address, data, 4);
		else
			memcpy(data, &pc->pci_address, 4);
	} else if (offset == PCI_RESET && bytes == 1) {
		if (write && *(uint8_t *)data & RESET_CPU)
			pc->reset = true;
		else if (!write)
			*(uint8_t *)data = 0;
	}
}

/* --- the clock: Motorola MC146818 --- */

#define CMOS_DATA	1
#define CMOS_STATUS_B	0x0b
#define CMOS_STATUS_D	0x0d
#define STATUS_B_24H	0x02
#define STATUS_D_VALID	0x80

static uint8_t bcd(int value)
{
	return value / 10 % 10 << 4 | value % 10;
}

static uint8_t read_cmos(uint8_t index)
{
	time_t now = time(NULL);
	struct tm tm = { 0 };

	gmtime_r(&now, &tm);
	switch (index) {
	case 0x00:
		return bcd(tm.tm_sec);
	case 0x02:
		return bcd(tm.tm_min);
	case 0x04:
		return bcd(tm.tm_hour);
	case 0x06:
		return bcd(tm.tm_wday + 1);
	case 0x07:
		return bcd(tm.tm_mday);
	case 0x08:
		return bcd(tm.tm_mon + 1);
	case 0x09:
		return bcd(tm.tm_year);
	case 0x32:
		return bcd((tm.tm_year + 1900) / 100);
	case CMOS_STATUS_B:
		return STATUS_B_24H;
	case CMOS_STATUS_D:
		return STATUS_D_VALID;
	default:
		return 0;
	}
}

static void access_cmos(struct bus_device *device, uint64_t offset, void *data,
			unsigned int bytes, bool write)
{
	struct pc *pc = OWNER(device, cmos);
	uint8_t *value = data;

	(void)bytes;
	if (offset != CMOS_DATA && write)
		pc->cmos_index = *value & 0x7f;	/* bit 7 masks NMIs */
	else if (offset == CMOS_DATA && !write)
		*value = read_cmos(pc->cmos_index);
}

/* --- all of it --- */

static void add(struct bus *ports, struct bus_device *device, const char *name,
		uint16_t first, uint16_t count, bus_access_fn access)
{
	*device = (struct bus_device) {
		.name = name, .first = first, .count = count, .width = 1,
		.access = access,
	};
	bus_add(ports, device);
}

void pc_init(struct pc *pc, struct bus *ports)
{
	memset(pc, 0, sizeof(*pc));
	for (int i = 0; i < PIT_CHANNELS; i++) {
		pc->pit.channels[i].access = 3;
		load(&pc->pit.channels[i], 0);
	}
	add(ports, &pc->pit.bus, "PIT", 0x40, 4, access_pit);
	add(ports, &pc->speaker, "PIT gate", 0x61, 1, access_speaker);
	add(ports, &pc->pic[0].bus, "PIC", 0x20, 2, access_latch);
	add(ports, &pc->pic[1].bus, "second PIC", 0xa0, 2, access_latch);
	add(ports, &pc->keyboard_data, "keyboard", 0x60, 1, access_keyboard_data);
	add(ports, &pc->keyboard, "keyboard", 0x64, 1, access_keyboard);
	add(ports, &pc->fast_a20, "port 92H", 0x92, 1, access_fast_a20);
	add(ports, &pc->cmos, "CMOS", 0x70, 2, access_cmos);
	add(ports, &pc->pci, "PCI", 0xcf8, PCI_BYTES, access_pci);
	pc->pci.width = 4;
}
