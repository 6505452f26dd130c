// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * After the IA-PC HPET Specification 1.0a, "Register Model". Registers of 64 bits
 * come as two of 32; none has more than 32 bits that say something.
 */
#include <string.h>

#include "hpet.h"

#define TICK_NS		100
#define PERIOD_FS	(TICK_NS * 1000000U)

#define CAPABILITIES	0x000
#define CLOCK_PERIOD	0x004
#define CONFIG		0x010
#define STATUS		0x020
#define COUNTER		0x0f0
#define TIMER_0		0x100
#define TIMER_BYTES	0x20
#define TIMER_CONFIG	0x00
#define TIMER_COMPARATOR	0x08

#define ENABLE_CNF	0x1
#define LEG_RT_CNF	0x2

#define INT_TYPE_CNF	0x02	/* level-triggered */
#define INT_ENB_CNF	0x04
#define TYPE_CNF	0x08	/* periodic */
#define PER_INT_CAP	0x10
#define VAL_SET_CNF	0x40
#define TIMER_WRITABLE	(INT_TYPE_CNF | INT_ENB_CNF)
#define PERIODIC_WRITABLE	(TIMER_WRITABLE | TYPE_CNF | VAL_SET_CNF)

#define WRAP		(1ULL << 32)

/* --- time --- */

static bool is_running(const struct hpet *hpet)
{
	return hpet->config & ENABLE_CNF;
}

/* The counter, not cut to 32 bits. */
static uint64_t count_at(const struct hpet *hpet, uint64_t now)
{
	if (!is_running(hpet))
		return hpet->begin;
	return hpet->begin + (now - hpet->begin_ns) / TICK_NS;
}

static uint64_t count_ns(const struct hpet *hpet, uint64_t count)
{
	return hpet->begin_ns + (count - hpet->begin) * TICK_NS;
}

static void set_count(struct hpet *hpet, uint32_t count, uint64_t now)
{
	hpet->begin = count;
	hpet->begin_ns = now;
	hpet->seen = count;
}

/* How far it is to where the counter is next what the comparator is. */
static uint64_t distance(const struct hpet *hpet, const struct hpet_timer *timer)
{
	uint32_t ticks = timer->comparator - (uint32_t)hpet->seen;

	return ticks ? ticks : WRAP;
}

/* --- interrupts --- */

bool hpet_replaces_legacy(const struct hpet *hpet)
{
	return hpet->config & LEG_RT_CNF;
}

static bool is_routed(const struct hpet *hpet, unsigned int n)
{
	return n < HPET_ROUTED && hpet_replaces_legacy(hpet) &&
	       hpet->timers[n].config & INT_ENB_CNF;
}

static bool is_level(const struct hpet_timer *timer)
{
	return timer->config & INT_TYPE_CNF;
}

/* The line of a level-triggered timer is up as long as its status is. */
static void move_levels(struct hpet *hpet)
{
	for (unsigned int n = 0; n < HPET_ROUTED; n++)
		if (is_routed(hpet, n) && is_level(&hpet->timers[n]))
			irq_set(&hpet->irqs[n], hpet->status >> n & 1);
}

static void fire(struct hpet *hpet, unsigned int n)
{
	if (is_level(&hpet->timers[n])) {
		hpet->status |= 1U << n;
		move_levels(hpet);
	} else if (is_routed(hpet, n)) {
		irq_set(&hpet->irqs[n], false);
		irq_set(&hpet->irqs[n], true);
	}
}

/* However many periods are over, it is one interrupt. */
static void advance_timer(struct hpet *hpet, unsigned int n, uint64_t count)
{
	struct hpet_timer *timer = &hpet->timers[n];
	uint64_t first = distance(hpet, timer), passed = count - hpet->seen;

	if (passed < first)
		return;
	if (timer->config & TYPE_CNF && timer->period)
		timer->comparator += ((passed - first) / timer->period + 1) *
				     timer->period;
	fire(hpet, n);
}

static void advance_to(struct hpet *hpet, uint64_t now)
{
	uint64_t count = count_at(hpet, now);

	for (unsigned int n = 0; n < HPET_TIMERS; n++)
		advance_timer(hpet, n, count);
	hpet->seen = count;
}

void hpet_advance(struct hpet *hpet)
{
	advance_to(hpet, clock_now(hpet->clock));
}

/* Another one while the last one waits would make no difference. */
static bool is_told(const struct hpet *hpet, unsigned int n)
{
	return is_level(&hpet->timers[n]) ? hpet->status >> n & 1 :
					    irq_waits(&hpet->irqs[n]);
}

uint64_t hpet_next_ns(const struct hpet *hpet)
{
	uint64_t next = CLOCK_NEVER;

	for (unsigned int n = 0; n < HPET_ROUTED; n++) {
		uint64_t count = hpet->seen + distance(hpet, &hpet->timers[n]);

		if (is_running(hpet) && is_routed(hpet, n) && !is_told(hpet, n))
			next = clock_earlier(next, count_ns(hpet, count));
	}
	return next;
}

/* --- registers --- */

/* The timer that a register is of, or NULL. */
static struct hpet_timer *timer_at(struct hpet *hpet, uint64_t offset)
{
	uint64_t n = (offset - TIMER_0) / TIMER_BYTES;

	return offset >= TIMER_0 && n < HPET_TIMERS ? &hpet->timers[n] : NULL;
}

static uint32_t read_timer(const struct hpet_timer *timer, uint64_t offset)
{
	switch (offset % TIMER_BYTES) {
	case TIMER_CONFIG:
		return timer->config;
	case TIMER_COMPARATOR:
		return timer->comparator;
	default:
		return 0;
	}
}

static uint32_t read_register(struct hpet *hpet, uint64_t offset)
{
	const struct hpet_timer *timer = timer_at(hpet, offset);

	if (timer)
		return read_timer(timer, offset);
	switch (offset) {
	case CAPABILITIES:
		return HPET_ID;
	case CLOCK_PERIOD:
		return PERIOD_FS;
	case CONFIG:
		return hpet->config;
	case STATUS:
		return hpet->status;
	case COUNTER:
		return hpet->seen;
	default:
		return 0;
	}
}

static void write_timer_config(struct hpet_timer *timer, uint32_t value)
{
	uint32_t writable = timer->config & PER_INT_CAP ? PERIODIC_WRITABLE :
							  TIMER_WRITABLE;

	timer->config = (timer->config & ~writable) | (value & writable);
}

/*
 * Of a periodic timer what is written is the period. It is the comparator, too, if
 * software has announced that, which holds for one write.
 */
static void write_comparator(struct hpet_timer *timer, uint32_t value)
{
	if (!(timer->config & TYPE_CNF) || timer->config & VAL_SET_CNF)
		timer->comparator = value;
	timer->period = value;
	timer->config &= ~VAL_SET_CNF;
}

static void write_timer(struct hpet_timer *timer, uint64_t offset, uint32_t value)
{
	if (offset % TIMER_BYTES == TIMER_CONFIG)
		write_timer_config(timer, value);
	else if (offset % TIMER_BYTES == TIMER_COMPARATOR)
		write_comparator(timer, value);
}

/* The counter goes on from where it is when it is started, and stays when stopped. */
static void write_config(struct hpet *hpet, uint32_t value, uint64_t now)
{
	set_count(hpet, hpet->seen, now);
	hpet->config = value & (ENABLE_CNF | LEG_RT_CNF);
}

static void write_register(struct hpet *hpet, uint64_t offset, uint32_t value,
			   uint64_t now)
{
	struct hpet_timer *timer = timer_at(hpet, offset);

	if (timer)
		write_timer(timer, offset, value);
	else if (offset == CONFIG)
		write_config(hpet, value, now);
	else if (offset == COUNTER)
		set_count(hpet, value, now);
	else if (offset == STATUS)	/* written ones clear */
		hpet->status &= ~value;
	move_levels(hpet);
}

/* Less than a whole register can be read, not written. */
static void access_hpet(struct bus_device *device, uint64_t offset, void *data,
			unsigned int bytes, bool write)
{
	struct hpet *hpet = bus_owner(device, struct hpet, bus);
	uint64_t now = clock_now(hpet->clock);
	unsigned int at = offset % sizeof(uint32_t);
	uint32_t value;

	advance_to(hpet, now);
	if (write && bytes == sizeof(value) && !at) {
		memcpy(&value, data, sizeof(value));
		write_register(hpet, offset, value, now);
	} else if (!write) {
		value = read_register(hpet, offset - at);
		if (bytes > sizeof(value) - at)
			bytes = sizeof(value) - at;
		memcpy(data, (uint8_t *)&value + at, bytes);
	}
}

void hpet_init(struct hpet *hpet, struct bus *memory, struct clock *clock,
	       const struct irq_line irqs[HPET_ROUTED])
{
	memset(hpet, 0, sizeof(*hpet));
	hpet->clock = clock;
	memcpy(hpet->irqs, irqs, sizeof(hpet->irqs));
	for (unsigned int n = 0; n < HPET_TIMERS; n++)
		hpet->timers[n].comparator = UINT32_MAX;
	hpet->timers[0].config = PER_INT_CAP;
	hpet->bus = (struct bus_device) {
		.name = "HPET", .first = HPET_BASE, .count = HPET_BYTES,
		.width = sizeof(uint32_t), .access = access_hpet,
	};
	bus_add(memory, &hpet->bus);
}
