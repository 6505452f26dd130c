// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Mode by mode after the data sheet of the 8254. A channel is not stepped: where
 * it is follows from when its count was loaded, so time may jump.
 */
#include <string.h>

#include "i8254.h"

#define PIT_PORT	0x40
#define PIT_PORTS	4
#define CONTROL_WORD	3	/* the port after the channels' */

/* The tick is 12 periods of 14.318181... MHz (315/22), that is 21 in 17600 ns. */
#define RATIO_TICKS	21
#define RATIO_NS	17600
#define TICK_HZ		(CLOCK_NS / RATIO_NS * RATIO_TICKS)

#define CONTROL_BCD	0x01
#define CONTROL_M	0x0e
#define CONTROL_RW	0x30
#define CONTROL_BITS	0x3f
#define M_SHIFT		1
#define SC_SHIFT	6
#define RW_LATCH	0x00
#define RW_LOW		0x10
#define RW_HIGH		0x20
#define RW_BOTH		0x30

#define SC_READ_BACK	3	/* in place of a channel */
#define READ_BACK_NO_COUNT	0x20
#define READ_BACK_NO_STATUS	0x10
#define READ_BACK_CHANNEL_0	0x02

#define STATUS_OUTPUT	0x80
#define STATUS_NULL	0x40

#define PORT61		0x61
#define PORT61_GATE2	0x01
#define PORT61_WRITABLE	0x0f	/* gate, speaker, and two enables for errors */
#define PORT61_REFRESH	0x10	/* toggles with each refresh of memory */
#define PORT61_OUT2	0x20
#define REFRESH_TICKS	18

enum {
	TERMINAL_COUNT, ONE_SHOT, RATE, SQUARE_WAVE, SOFTWARE_STROBE,
	HARDWARE_STROBE,
};

/* --- time --- */

static int64_t now_tick(const struct pit *pit)
{
	uint64_t ns = clock_now(pit->clock) - pit->begin_ns;

	return ns / RATIO_NS * RATIO_TICKS +
	       ns % RATIO_NS * RATIO_TICKS / RATIO_NS;
}

/* The first nanosecond of a tick. */
static uint64_t tick_ns(const struct pit *pit, int64_t tick)
{
	uint64_t rest = tick % RATIO_TICKS * RATIO_NS;

	return pit->begin_ns + (uint64_t)(tick / RATIO_TICKS) * RATIO_NS +
	       (rest + RATIO_TICKS - 1) / RATIO_TICKS;
}

/* --- where a channel is --- */

static bool is_periodic(const struct pit_channel *channel)
{
	return channel->mode == RATE || channel->mode == SQUARE_WAVE;
}

/* The gate as a level; in the other modes only its rise matters. */
static bool gate_holds(const struct pit_channel *channel)
{
	return channel->mode != ONE_SHOT && channel->mode != HARDWARE_STROBE;
}

/* Ticks counted since the load; -1: the load is at the next tick. */
static int64_t position(const struct pit_channel *channel, int64_t tick)
{
	return channel->paused ? channel->held : tick - channel->start;
}

/* Of a square wave an odd count's first half is the longer one. */
static int64_t first_half(const struct pit_channel *channel)
{
	return (channel->count + 1) / 2;
}

/* The position at which the output of a mode without a period rises. */
static int64_t rise_position(const struct pit_channel *channel)
{
	bool strobe = channel->mode >= SOFTWARE_STROBE;

	return channel->count + strobe;
}

static bool periodic_output(const struct pit_channel *channel, int64_t at)
{
	if (channel->paused || at < 0)
		return true;
	at %= channel->count;
	if (channel->mode == RATE)
		return at != channel->count - 1;
	return at < first_half(channel);
}

static bool output(const struct pit_channel *channel, int64_t tick)
{
	int64_t at = position(channel, tick);

	if (!channel->running)
		return channel->mode != TERMINAL_COUNT;
	if (is_periodic(channel))
		return periodic_output(channel, at);
	switch (channel->mode) {
	case TERMINAL_COUNT:
		return at >= channel->count;
	case ONE_SHOT:
		return at < 0 || at >= channel->count;
	default:
		return at != channel->count;
	}
}

/* How often the output rises from the tick after @from to @to. */
static uint64_t rises(const struct pit_channel *channel, int64_t from, int64_t to)
{
	int64_t first = from - channel->start, last = to - channel->start;

	if (!channel->running || channel->paused || last < 0)
		return 0;
	if (first < 0)
		first = 0;
	if (is_periodic(channel))
		return last / channel->count - first / channel->count;
	return first < rise_position(channel) && last >= rise_position(channel);
}

/* The tick of the next rise, or INT64_MAX. */
static int64_t next_rise(const struct pit_channel *channel)
{
	int64_t at = channel->seen - channel->start;

	if (!channel->running || channel->paused)
		return INT64_MAX;
	if (at < 0)
		at = 0;
	if (is_periodic(channel))
		return channel->start +
		       (at / channel->count + 1) * channel->count;
	if (at < rise_position(channel))
		return channel->start + rise_position(channel);
	return INT64_MAX;
}

/* --- the counting element, as it is read --- */

static unsigned int from_bcd(uint16_t value)
{
	return (value >> 12) * 1000 + (value >> 8 & 15) * 100 +
	       (value >> 4 & 15) * 10 + (value & 15);
}

static uint16_t to_bcd(unsigned int value)
{
	return value / 1000 % 10 << 12 | value / 100 % 10 << 8 |
	       value / 10 % 10 << 4 | value % 10;
}

/* Square waves count down by two in each half. */
static int64_t periodic_value(const struct pit_channel *channel, int64_t at)
{
	at %= channel->count;
	if (channel->mode == RATE)
		return channel->count - at;
	if (at >= first_half(channel))
		at -= first_half(channel);
	return (channel->count & ~1U) - 2 * at;
}

static uint16_t counting_element(const struct pit_channel *channel, int64_t tick)
{
	unsigned int modulus = channel->control & CONTROL_BCD ? 10000 : 65536;
	int64_t at = position(channel, tick), value = channel->count;

	if (channel->running && at >= 0 && is_periodic(channel))
		value = periodic_value(channel, at);
	else if (channel->running && at > 0)
		value -= at;
	value = (value % modulus + modulus) % modulus;
	return channel->control & CONTROL_BCD ? to_bcd(value) : value;
}

/* --- what happens to a channel --- */

static void start(struct pit_channel *channel, int64_t tick)
{
	channel->start = tick + 1;
	channel->held = 0;
	channel->running = true;
	channel->paused = gate_holds(channel) && !channel->gate;
}

/*
 * A new count for a period begins where the old one would have ended, or its
 * first half if it is a square wave's: then @start is where a whole period of the
 * new count would have begun.
 */
static void switch_count(struct pit_channel *channel)
{
	bool high = output(channel, channel->switch_tick - 1);

	channel->count = channel->next;
	channel->has_next = false;
	channel->start = channel->switch_tick;
	if (channel->mode == SQUARE_WAVE && high)
		channel->start -= first_half(channel);
}

/* Brings it to @tick; returns how often its output rose meanwhile. */
static uint64_t advance_channel(struct pit_channel *channel, int64_t tick)
{
	int64_t from = channel->seen;
	uint64_t count = 0;

	if (channel->has_next && channel->switch_tick <= tick) {
		count = rises(channel, from, channel->switch_tick);
		from = channel->switch_tick;
		switch_count(channel);
	}
	channel->seen = tick;
	return count + rises(channel, from, tick);
}

/* Where the present period, or half of a square wave, ends. */
static int64_t end_of_period(const struct pit_channel *channel, int64_t tick)
{
	int64_t at = tick - channel->start, whole;

	if (channel->paused)
		return INT64_MAX;
	if (at < 0)
		at = 0;
	whole = channel->start + at / channel->count * channel->count;
	if (channel->mode == SQUARE_WAVE && at % channel->count <
	    first_half(channel))
		return whole + first_half(channel);
	return whole + channel->count;
}

static void load_later(struct pit_channel *channel, uint32_t count,
		       int64_t switch_tick)
{
	channel->next = count;
	channel->has_next = true;
	channel->switch_tick = switch_tick;
}

/* 0 stands for 2^16 or 10^4. What has a period can't have one of 1. */
static uint32_t count_of(const struct pit_channel *channel, uint16_t value)
{
	bool bcd = channel->control & CONTROL_BCD;
	uint32_t count = bcd ? from_bcd(value) : value;

	if (!count)
		count = bcd ? 10000 : 65536;
	return is_periodic(channel) && count == 1 ? 2 : count;
}

static void load(struct pit_channel *channel, uint16_t value, int64_t tick)
{
	uint32_t count = count_of(channel, value);

	if (!gate_holds(channel)) {
		load_later(channel, count, INT64_MAX);
	} else if (is_periodic(channel) && channel->loaded) {
		load_later(channel, count, end_of_period(channel, tick));
	} else {
		channel->count = count;
		start(channel, tick);
	}
	channel->loaded = true;
}

static void trigger(struct pit_channel *channel, int64_t tick)
{
	if (channel->has_next)
		channel->count = channel->next;
	channel->has_next = false;
	start(channel, tick);
}

static void set_gate(struct pit_channel *channel, bool gate, int64_t tick)
{
	bool rises = gate && !channel->gate, falls = !gate && channel->gate;

	advance_channel(channel, tick);
	channel->gate = gate;
	if (!channel->loaded)
		return;
	if (rises && (!gate_holds(channel) || is_periodic(channel))) {
		trigger(channel, tick);
	} else if (rises && channel->paused) {
		channel->start = tick - channel->held;
		channel->paused = false;
	} else if (falls && gate_holds(channel) && !channel->paused) {
		channel->held = position(channel, tick);
		channel->paused = true;
		if (channel->has_next)
			channel->switch_tick = INT64_MAX;
	}
}

/* --- its registers --- */

/* In mode 0 the first byte of two stops it. */
static void write_first_byte(struct pit_channel *channel, uint8_t value)
{
	channel->write_low = value;
	channel->write_high = true;
	if (channel->mode == TERMINAL_COUNT) {
		channel->loaded = false;
		channel->running = false;
	}
}

static void write_count(struct pit_channel *channel, uint8_t value, int64_t tick)
{
	uint8_t rw = channel->control & CONTROL_RW;

	if (rw == RW_LOW) {
		load(channel, value, tick);
	} else if (rw == RW_HIGH) {
		load(channel, value << 8, tick);
	} else if (channel->write_high) {
		channel->write_high = false;
		load(channel, channel->write_low | value << 8, tick);
	} else {
		write_first_byte(channel, value);
	}
}

static uint8_t read_count(struct pit_channel *channel, int64_t tick)
{
	uint8_t rw = channel->control & CONTROL_RW;
	uint16_t value = channel->count_latched ? channel->count_latch :
						  counting_element(channel, tick);
	bool high = rw == RW_HIGH || channel->read_high;

	if (rw == RW_BOTH)
		channel->read_high = !channel->read_high;
	if (!channel->read_high)
		channel->count_latched = false;
	return high ? value >> 8 : value;
}

static uint8_t read_channel(struct pit_channel *channel, int64_t tick)
{
	if (!channel->status_latched)
		return read_count(channel, tick);
	channel->status_latched = false;
	return channel->status_latch;
}

static void latch_count(struct pit_channel *channel, int64_t tick)
{
	if (channel->count_latched)
		return;
	channel->count_latch = counting_element(channel, tick);
	channel->count_latched = true;
}

/* The count that was written last is not yet what is counted. */
static bool null_count(const struct pit_channel *channel, int64_t tick)
{
	return !channel->loaded || channel->has_next ||
	       position(channel, tick) < 0;
}

static void latch_status(struct pit_channel *channel, int64_t tick)
{
	if (channel->status_latched)
		return;
	channel->status_latch = channel->control;
	if (output(channel, tick))
		channel->status_latch |= STATUS_OUTPUT;
	if (null_count(channel, tick))
		channel->status_latch |= STATUS_NULL;
	channel->status_latched = true;
}

static void read_back(struct pit *pit, uint8_t value, int64_t tick)
{
	for (int i = 0; i < PIT_CHANNELS; i++) {
		struct pit_channel *channel = &pit->channels[i];

		if (!(value & READ_BACK_CHANNEL_0 << i))
			continue;
		advance_channel(channel, tick);
		if (!(value & READ_BACK_NO_COUNT))
			latch_count(channel, tick);
		if (!(value & READ_BACK_NO_STATUS))
			latch_status(channel, tick);
	}
}

static void set_mode(struct pit_channel *channel, uint8_t value, int64_t tick)
{
	bool gate = channel->gate;

	memset(channel, 0, sizeof(*channel));
	channel->gate = gate;
	channel->seen = tick;
	channel->control = value & CONTROL_BITS;
	channel->mode = (value & CONTROL_M) >> M_SHIFT;
	/* The first bit of three matters only in modes 4 and 5. */
	if (channel->mode > HARDWARE_STROBE)
		channel->mode -= SOFTWARE_STROBE;
}

/* --- channel 0's output: IRQ0 --- */

static void request(struct pit *pit)
{
	irq_set(&pit->irq, false);
	irq_set(&pit->irq, true);
}

static void request_missed(struct pit *pit)
{
	if (!pit->missed || irq_waits(&pit->irq))
		return;
	pit->missed--;
	request(pit);
}

static uint64_t most_missed(const struct pit_channel *channel)
{
	return is_periodic(channel) ? TICK_HZ / channel->count + 1 : 1;
}

static void advance_to(struct pit *pit, int64_t tick)
{
	struct pit_channel *channel = &pit->channels[0];

	pit->missed += advance_channel(channel, tick);
	if (channel->running && pit->missed > most_missed(channel))
		pit->missed = most_missed(channel);
	request_missed(pit);
}

void pit_advance(struct pit *pit)
{
	advance_to(pit, now_tick(pit));
}

/* While a request waits there is nothing to tell: the rest is merely missed. */
uint64_t pit_next_ns(const struct pit *pit)
{
	int64_t tick = next_rise(&pit->channels[0]);

	if (pit->channels[0].has_next && pit->channels[0].switch_tick < tick)
		tick = pit->channels[0].switch_tick;
	if (tick == INT64_MAX || irq_waits(&pit->irq))
		return CLOCK_NEVER;
	return tick_ns(pit, tick);
}

void pit_acknowledged(struct pit *pit)
{
	pit_advance(pit);
}

void pit_unmasked(struct pit *pit)
{
	pit_advance(pit);
	pit->missed = 0;
}

/* The wire follows what a control word or a count does to the output at once. */
static void follow_output(struct pit *pit, bool before, int64_t tick)
{
	bool after = output(&pit->channels[0], tick);

	if (after && !before)
		request(pit);
	else if (!after && before)
		irq_set(&pit->irq, false);
}

/* --- ports --- */

static void write_control(struct pit *pit, uint8_t value, int64_t tick)
{
	struct pit_channel *channel;

	if (value >> SC_SHIFT == SC_READ_BACK) {
		read_back(pit, value, tick);
		return;
	}
	channel = &pit->channels[value >> SC_SHIFT];
	if ((value & CONTROL_RW) == RW_LATCH) {
		latch_count(channel, tick);
		return;
	}
	set_mode(channel, value, tick);
	if (channel == &pit->channels[0])
		pit->missed = 0;
}

static void write_port(struct pit *pit, uint64_t offset, uint8_t value,
		       int64_t tick)
{
	bool before = output(&pit->channels[0], tick);

	if (offset == CONTROL_WORD)
		write_control(pit, value, tick);
	else
		write_count(&pit->channels[offset], value, tick);
	follow_output(pit, before, tick);
}

static void access_pit(struct bus_device *device, uint64_t offset, void *data,
		       unsigned int bytes, bool write)
{
	struct pit *pit = bus_owner(device, struct pit, bus);
	int64_t tick = now_tick(pit);
	uint8_t *value = data;

	(void)bytes;
	advance_to(pit, tick);
	for (int i = 1; i < PIT_CHANNELS; i++)
		advance_channel(&pit->channels[i], tick);
	if (write)
		write_port(pit, offset, *value, tick);
	else if (offset != CONTROL_WORD)
		*value = read_channel(&pit->channels[offset], tick);
}

static uint8_t read_port61(struct pit *pit, int64_t tick)
{
	struct pit_channel *channel = &pit->channels[2];
	uint8_t value = pit->port61_bits;

	advance_channel(channel, tick);
	if (tick / REFRESH_TICKS & 1)
		value |= PORT61_REFRESH;
	if (output(channel, tick))
		value |= PORT61_OUT2;
	return value;
}

static void access_port61(struct bus_device *device, uint64_t offset,
			  void *data, unsigned int bytes, bool write)
{
	struct pit *pit = bus_owner(device, struct pit, port61);
	int64_t tick = now_tick(pit);
	uint8_t *value = data;

	(void)offset;
	(void)bytes;
	if (!write) {
		*value = read_port61(pit, tick);
		return;
	}
	pit->port61_bits = *value & PORT61_WRITABLE;
	set_gate(&pit->channels[2], *value & PORT61_GATE2, tick);
}

void pit_init(struct pit *pit, struct bus *ports, struct clock *clock,
	      struct irq_line irq)
{
	memset(pit, 0, sizeof(*pit));
	pit->clock = clock;
	pit->irq = irq;
	pit->begin_ns = clock_now(clock);
	for (int i = 0; i < PIT_CHANNELS; i++) {
		set_mode(&pit->channels[i], RW_BOTH | RATE << M_SHIFT, 0);
		pit->channels[i].gate = i != 2;
	}
	pit->bus = (struct bus_device) {
		.name = "8254", .first = PIT_PORT, .count = PIT_PORTS,
		.width = 1, .access = access_pit,
	};
	pit->port61 = (struct bus_device) {
		.name = "port 61H", .first = PORT61, .count = 1, .width = 1,
		.access = access_port61,
	};
	bus_add(ports, &pit->bus);
	bus_add(ports, &pit->port61);
}

/* --- as bytes --- */

static const struct saved_member channel_members[] = {
	SAVED_UP_TO(struct pit_channel, control, CONTROL_BITS),
	SAVED_UP_TO(struct pit_channel, mode, HARDWARE_STROBE),
	SAVED_BOOL(struct pit_channel, gate),
	SAVED_BOOL(struct pit_channel, loaded),
	SAVED_BOOL(struct pit_channel, running),
	SAVED_BOOL(struct pit_channel, paused),
	SAVED(struct pit_channel, start),
	SAVED(struct pit_channel, held),
	SAVED_UP_TO(struct pit_channel, count, 65536),
	SAVED_BOOL(struct pit_channel, has_next),
	SAVED_UP_TO(struct pit_channel, next, 65536),
	SAVED(struct pit_channel, switch_tick),
	SAVED(struct pit_channel, seen),
	SAVED_BOOL(struct pit_channel, write_high),
	SAVED(struct pit_channel, write_low),
	SAVED_BOOL(struct pit_channel, read_high),
	SAVED_BOOL(struct pit_channel, count_latched),
	SAVED(struct pit_channel, count_latch),
	SAVED_BOOL(struct pit_channel, status_latched),
	SAVED(struct pit_channel, status_latch),
};

static const struct saved_member members[] = {
	SAVED(struct pit, begin_ns),
	SAVED(struct pit, missed),
	SAVED_UP_TO(struct pit, port61_bits, PORT61_WRITABLE),
};

/* Ticks, with room to reckon with them; INT64_MAX is never. */
#define TICKS_MAX	(INT64_MAX / 4)

static bool is_tick(int64_t tick)
{
	return tick >= -TICKS_MAX && tick <= TICKS_MAX;
}

/* What is divided by is not 0, and a period is none of 1. */
static bool channel_fits(const void *device)
{
	const struct pit_channel *channel = device;
	uint32_t least = is_periodic(channel) ? 2 : 1;

	return is_tick(channel->start) && is_tick(channel->held) && is_tick(channel->seen) &&
	       (is_tick(channel->switch_tick) || channel->switch_tick == INT64_MAX) &&
	       (!channel->loaded || channel->count >= least || channel->has_next) &&
	       (!channel->running || channel->count >= least) &&
	       (!channel->has_next || channel->next >= least);
}

const struct saved_device pit_channel_saved =
	SAVED_DEVICE("8254 channel", 1, channel_members, channel_fits);
const struct saved_device pit_saved = SAVED_DEVICE("8254", 1, members, NULL);
