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
#define TIMER_ROUTES	0x04
#define TIMER_COMPARATOR	0x08

#define ENABLE_CNF	0x1
#define LEG_RT_CNF	0x2

#define INT_TYPE_CNF	0x02	/* level-triggered */
#define INT_ENB_CNF	0x04
#define TYPE_CNF	0x08	/* periodic */
#define PER_INT_CAP	0x10
#define VAL_SET_CNF	0x40
#define INT_ROUTE_CNF	0x3e00U
#define INT_ROUTE_SHIFT	9
#define TIMER_WRITABLE	(INT_TYPE_CNF | INT_ENB_CNF)
#define PERIODIC_WRITABLE	(TIMER_WRITABLE | TYPE_CNF | VAL_SET_CNF)

#define WRAP		(1ULL << 32)

#define NOWHERE		(-1)
#define FIRST_IRQ	32
#define WIRES		(FIRST_IRQ + HPET_LEGACY)

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

static bool is_level(const struct hpet_timer *timer)
{
	return timer->config & INT_TYPE_CNF;
}

static unsigned int route_of(uint32_t config)
{
	return (config & INT_ROUTE_CNF) >> INT_ROUTE_SHIFT;
}

/* The number of a timer's wire: a pin's, or behind these IRQ0's or IRQ8's. */
static int wire_of(const struct hpet *hpet, unsigned int n)
{
	const struct hpet_timer *timer = &hpet->timers[n];
	unsigned int route = route_of(timer->config);

	if (!(timer->config & INT_ENB_CNF))
		return NOWHERE;
	if (n < HPET_LEGACY && hpet_replaces_legacy(hpet))
		return FIRST_IRQ + n;
	return hpet->routes >> route & 1 ? (int)route : NOWHERE;
}

static struct irq_line line_of(const struct hpet *hpet, int wire)
{
	struct irq_line line = hpet->pins;

	if (wire >= FIRST_IRQ)
		return hpet->irqs[wire - FIRST_IRQ];
	line.irq = wire;
	return line;
}

static void set_wire(const struct hpet *hpet, int wire, bool level)
{
	struct irq_line line = line_of(hpet, wire);

	irq_set(&line, level);
}

/*
 * The wire of a level-triggered timer is up as long as its status is. Several may
 * have one, and what a timer leaves goes down.
 */
static void move_levels(struct hpet *hpet)
{
	uint64_t held = 0, moved = hpet->held;

	for (unsigned int n = 0; n < HPET_TIMERS; n++) {
		int wire = wire_of(hpet, n);

		if (wire == NOWHERE || !is_level(&hpet->timers[n]))
			continue;
		moved |= 1ULL << wire;
		if (hpet->status >> n & 1)
			held |= 1ULL << wire;
	}
	hpet->held = held;
	for (int wire = 0; wire < WIRES; wire++)
		if (moved >> wire & 1)
			set_wire(hpet, wire, held >> wire & 1);
}

/*
 * IRQ0 and IRQ8 stay up, as the 8259As want it. A pin's wire goes back to where it
 * was, so that others can have it; up and down are both an edge, whichever is asked for.
 */
static void fire_edge(const struct hpet *hpet, int wire)
{
	if (wire >= FIRST_IRQ) {
		set_wire(hpet, wire, false);
		set_wire(hpet, wire, true);
	} else if (wire != NOWHERE && !(hpet->held >> wire & 1)) {
		set_wire(hpet, wire, true);
		set_wire(hpet, wire, false);
	}
}

static void fire(struct hpet *hpet, unsigned int n)
{
	if (is_level(&hpet->timers[n])) {
		hpet->status |= 1U << n;
		move_levels(hpet);
	} else {
		fire_edge(hpet, wire_of(hpet, n));
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
static bool is_told(const struct hpet *hpet, unsigned int n, int wire)
{
	struct irq_line line = line_of(hpet, wire);

	return is_level(&hpet->timers[n]) ? hpet->status >> n & 1 : irq_waits(&line);
}

uint64_t hpet_next_ns(const struct hpet *hpet)
{
	uint64_t next = CLOCK_NEVER;

	for (unsigned int n = 0; n < HPET_TIMERS; n++) {
		uint64_t count = hpet->seen + distance(hpet, &hpet->timers[n]);
		int wire = wire_of(hpet, n);

		if (is_running(hpet) && wire != NOWHERE && !is_told(hpet, n, wire))
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

static uint32_t read_timer(const struct hpet *hpet, const struct hpet_timer *timer,
			   uint64_t offset)
{
	switch (offset % TIMER_BYTES) {
	case TIMER_CONFIG:
		return timer->config;
	case TIMER_ROUTES:
		return hpet->routes;
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
		return read_timer(hpet, timer, offset);
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

/* By a route that there isn't it goes as before, as is seen when it is read back. */
static void write_timer_config(const struct hpet *hpet, struct hpet_timer *timer,
			       uint32_t value)
{
	uint32_t writable = timer->config & PER_INT_CAP ? PERIODIC_WRITABLE :
							  TIMER_WRITABLE;

	if (hpet->routes >> route_of(value) & 1)
		writable |= INT_ROUTE_CNF;
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

static void write_timer(const struct hpet *hpet, struct hpet_timer *timer,
			uint64_t offset, uint32_t value)
{
	if (offset % TIMER_BYTES == TIMER_CONFIG)
		write_timer_config(hpet, timer, value);
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
		write_timer(hpet, timer, offset, value);
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

void hpet_init(struct hpet *hpet, struct bus *memory,
	       const struct hpet_config *config)
{
	memset(hpet, 0, sizeof(*hpet));
	hpet->clock = config->clock;
	memcpy(hpet->irqs, config->irqs, sizeof(hpet->irqs));
	hpet->pins = config->pins;
	hpet->routes = config->routes;
	for (unsigned int n = 0; n < HPET_TIMERS; n++)
		hpet->timers[n].comparator = UINT32_MAX;
	hpet->timers[0].config = PER_INT_CAP;
	hpet->bus = (struct bus_device) {
		.name = "HPET", .first = HPET_BASE, .count = HPET_BYTES,
		.width = sizeof(uint32_t), .access = access_hpet,
	};
	bus_add(memory, &hpet->bus);
}

/* --- as bytes --- */

static const struct saved_member members[] = {
	SAVED(struct hpet, held),
	SAVED(struct hpet, config),
	SAVED(struct hpet, status),
	SAVED(struct hpet, begin_ns),
	SAVED(struct hpet, begin),
	SAVED(struct hpet, seen),
	SAVED(struct hpet, timers[0].config),
	SAVED(struct hpet, timers[0].comparator),
	SAVED(struct hpet, timers[0].period),
	SAVED(struct hpet, timers[1].config),
	SAVED(struct hpet, timers[1].comparator),
	SAVED(struct hpet, timers[1].period),
	SAVED(struct hpet, timers[2].config),
	SAVED(struct hpet, timers[2].comparator),
	SAVED(struct hpet, timers[2].period),
};

/* It has no other wires. */
static bool fits(const void *device)
{
	const struct hpet *hpet = device;

	return !(hpet->held & ~(hpet->routes | ((1ULL << HPET_LEGACY) - 1) << FIRST_IRQ));
}

const struct saved_device hpet_saved = SAVED_DEVICE("HPET", 1, members, fits);
