// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Register by register after the data sheet of the MC146818A. Not there are time
 * bases other than 32.768 kHz, daylight saving and the square-wave output, which
 * PCs don't connect. The weekday follows from the date.
 */
#include <string.h>
#include <time.h>

#include "mc146818.h"

#define PORT		0x70
#define PORT_INDEX	0
#define NMI_MASK	0x80
#define INDEX_BITS	0x7f

enum {
	SECONDS, SECONDS_ALARM, MINUTES, MINUTES_ALARM, HOURS, HOURS_ALARM,
	DAY_OF_WEEK, DATE, MONTH, YEAR, REG_A, REG_B, REG_C, REG_D,
};

#define A_UIP		0x80
#define A_DV		0x70
#define A_DV_32768	0x20
#define A_DV_RESET	0x60	/* these two bits: the divider stands still */
#define A_RS		0x0f
#define A_RS_1024	0x06
#define B_SET		0x80
#define B_UIE		0x10
#define B_24H		0x02
#define B_DM		0x04	/* binary */
#define C_IRQF		0x80
#define C_PF		0x40
#define C_AF		0x20
#define C_UF		0x10
#define C_FLAGS		0x70	/* each at the place of its enable in B */
#define D_VRT		0x80

#define HOURS_PM	0x80
#define ALARM_ANY	0xc0	/* both bits: any value will do */
#define ANY		(-1)

#define UIP_NS		244000	/* from there to the update */
#define BASE_HZ		32768
#define HALF_SECOND	(CLOCK_NS / 2)
#define MINUTE		60
#define HOUR		3600
#define DAY		86400

/* --- what a BIOS finds in the memory --- */

#define CMOS_EQUIPMENT		0x14
#define EQUIPMENT_FPU		0x02
#define CMOS_BASE_KB		0x15
#define CMOS_EXTENDED_KB	0x17
#define CMOS_SUM_FIRST		0x10
#define CMOS_SUM_LAST		0x2d
#define CMOS_SUM		0x2e	/* high byte first */
#define CMOS_EXTENDED_KB_2	0x30
#define CMOS_CENTURY		0x32
#define CMOS_ABOVE_16M		0x34	/* in 64 KiB */
#define CMOS_BOOT_3		0x38	/* third device; bit 0: no check of floppies */
#define CMOS_BOOT_1_2		0x3d	/* second and first device */
#define CMOS_ABOVE_4G		0x5b	/* in 64 KiB, three bytes */
#define CMOS_OTHER_CPUS		0x5f
#define BOOT_FLOPPY		1
#define BOOT_DISK		2
#define BOOT_CDROM		3
#define NO_FLOPPY_CHECK		1

#define KB(bytes)	((bytes) >> 10)
#define MB		(1ULL << 20)
#define BASE_KB		640
#define UNIT_SHIFT	16

/* --- binary and BCD, 24 and 12 hours --- */

static uint8_t encode(const struct rtc *rtc, unsigned int value)
{
	if (rtc->ram[REG_B] & B_DM)
		return value;
	return value / 10 % 10 << 4 | value % 10;
}

static int decode(const struct rtc *rtc, uint8_t value)
{
	return rtc->ram[REG_B] & B_DM ? value : (value >> 4) * 10 + (value & 15);
}

static uint8_t encode_hour(const struct rtc *rtc, unsigned int hour)
{
	if (rtc->ram[REG_B] & B_24H)
		return encode(rtc, hour);
	return encode(rtc, (hour + 11) % 12 + 1) | (hour >= 12 ? HOURS_PM : 0);
}

static int decode_hour(const struct rtc *rtc, uint8_t value)
{
	if (rtc->ram[REG_B] & B_24H)
		return decode(rtc, value);
	return decode(rtc, value & ~HOURS_PM) % 12 +
	       (value & HOURS_PM ? 12 : 0);
}

/* --- time --- */

static bool divider_stands(const struct rtc *rtc)
{
	return (rtc->ram[REG_A] & A_DV_RESET) == A_DV_RESET;
}

static bool stopped(const struct rtc *rtc)
{
	return rtc->ram[REG_B] & B_SET || divider_stands(rtc);
}

static int64_t date_at(const struct rtc *rtc, uint64_t ns)
{
	return (int64_t)((ns + rtc->phase_ns) / CLOCK_NS) + rtc->offset_s;
}

/* When the date's second after the one at @ns begins. */
static uint64_t next_second(const struct rtc *rtc, uint64_t ns)
{
	return ns + CLOCK_NS - (ns + rtc->phase_ns) % CLOCK_NS;
}

static void date_to_ram(struct rtc *rtc, int64_t date)
{
	time_t seconds = date;
	struct tm tm = { 0 };

	gmtime_r(&seconds, &tm);
	rtc->ram[SECONDS] = encode(rtc, tm.tm_sec);
	rtc->ram[MINUTES] = encode(rtc, tm.tm_min);
	rtc->ram[HOURS] = encode_hour(rtc, tm.tm_hour);
	rtc->ram[DAY_OF_WEEK] = encode(rtc, tm.tm_wday + 1);
	rtc->ram[DATE] = encode(rtc, tm.tm_mday);
	rtc->ram[MONTH] = encode(rtc, tm.tm_mon + 1);
	rtc->ram[YEAR] = encode(rtc, (tm.tm_year + 1900) % 100);
	rtc->ram[CMOS_CENTURY] = encode(rtc, (tm.tm_year + 1900) / 100);
}

/* A date that there is not, such as June 31st, is the one that follows. */
static int64_t date_from_ram(const struct rtc *rtc)
{
	int year = decode(rtc, rtc->ram[CMOS_CENTURY]) * 100 +
		   decode(rtc, rtc->ram[YEAR]);
	struct tm tm = {
		.tm_sec = decode(rtc, rtc->ram[SECONDS]),
		.tm_min = decode(rtc, rtc->ram[MINUTES]),
		.tm_hour = decode_hour(rtc, rtc->ram[HOURS]),
		.tm_mday = decode(rtc, rtc->ram[DATE]),
		.tm_mon = decode(rtc, rtc->ram[MONTH]) - 1,
		.tm_year = year - 1900,
	};

	return timegm(&tm);
}

static void set_date(struct rtc *rtc, uint64_t ns, int64_t date)
{
	rtc->offset_s += date - date_at(rtc, ns);
}

/* --- interrupts --- */

/* Of the periodic interrupt; 0: none. The fastest two rates are slower ones. */
static unsigned int period_shift(const struct rtc *rtc)
{
	unsigned int rate = rtc->ram[REG_A] & A_RS;

	if (!rate || divider_stands(rtc))
		return 0;
	return rate < 3 ? rate + 6 : rate - 1;
}

/* How many periods of the time base are over. */
static uint64_t base_at(const struct rtc *rtc, uint64_t ns)
{
	ns += rtc->phase_ns;
	return ns / CLOCK_NS * BASE_HZ + ns % CLOCK_NS * BASE_HZ / CLOCK_NS;
}

static uint64_t next_period(const struct rtc *rtc, uint64_t ns)
{
	unsigned int shift = period_shift(rtc);
	uint64_t base;

	if (!shift)
		return CLOCK_NEVER;
	base = ((base_at(rtc, ns) >> shift) + 1) << shift;
	return base / BASE_HZ * CLOCK_NS +
	       (base % BASE_HZ * CLOCK_NS + BASE_HZ - 1) / BASE_HZ -
	       rtc->phase_ns;
}

static int decode_alarm(const struct rtc *rtc, int index)
{
	uint8_t value = rtc->ram[index];

	if ((value & ALARM_ANY) == ALARM_ANY)
		return ANY;
	return index == HOURS_ALARM ? decode_hour(rtc, value) :
				      decode(rtc, value);
}

/*
 * How many seconds until the first one of the day, after @date, that the alarm is
 * set to; -1: there is none. Steps by hours, minutes or seconds: what differs.
 */
static int64_t until_alarm(const struct rtc *rtc, int64_t date)
{
	int hour = decode_alarm(rtc, HOURS_ALARM);
	int minute = decode_alarm(rtc, MINUTES_ALARM);
	int second = decode_alarm(rtc, SECONDS_ALARM);
	int64_t at = date + 1;

	while (at <= date + DAY) {
		int day_second = (at % DAY + DAY) % DAY;

		if (hour != ANY && day_second / HOUR != hour)
			at += HOUR - day_second % HOUR;
		else if (minute != ANY && day_second / MINUTE % MINUTE != minute)
			at += MINUTE - day_second % MINUTE;
		else if (second != ANY && day_second % MINUTE != second)
			at++;
		else
			return at - date;
	}
	return -1;
}

static void update_irq(struct rtc *rtc)
{
	uint8_t flags = rtc->ram[REG_C] & C_FLAGS;

	rtc->ram[REG_C] = flags & rtc->ram[REG_B] ? flags | C_IRQF : flags;
	irq_set(&rtc->irq, rtc->ram[REG_C] & C_IRQF);
}

static void advance_date(struct rtc *rtc, uint64_t now)
{
	int64_t from = date_at(rtc, rtc->seen_ns), to = date_at(rtc, now);
	int64_t alarm;

	if (stopped(rtc) || to == from)
		return;
	rtc->ram[REG_C] |= C_UF;
	if (rtc->ram[REG_C] & C_AF)
		return;
	alarm = until_alarm(rtc, from);
	if (alarm > 0 && alarm <= to - from)
		rtc->ram[REG_C] |= C_AF;
}

static void advance_to(struct rtc *rtc, uint64_t now)
{
	if (next_period(rtc, rtc->seen_ns) <= now)
		rtc->ram[REG_C] |= C_PF;
	advance_date(rtc, now);
	rtc->seen_ns = now;
	update_irq(rtc);
}

void rtc_advance(struct rtc *rtc)
{
	advance_to(rtc, clock_now(rtc->clock));
}

static uint64_t alarm_ns(const struct rtc *rtc)
{
	int64_t alarm = until_alarm(rtc, date_at(rtc, rtc->seen_ns));

	if (alarm < 0)
		return CLOCK_NEVER;
	return next_second(rtc, rtc->seen_ns) + (alarm - 1) * CLOCK_NS;
}

/* What is enabled and has not happened. Once IRQ8 is up there is no more to tell. */
uint64_t rtc_next_ns(const struct rtc *rtc)
{
	uint8_t wanted = rtc->ram[REG_B] & ~rtc->ram[REG_C];
	uint64_t next = CLOCK_NEVER;

	if (rtc->ram[REG_C] & C_IRQF)
		return CLOCK_NEVER;
	if (wanted & C_PF)
		next = next_period(rtc, rtc->seen_ns);
	if (wanted & C_UF && !stopped(rtc))
		next = clock_earlier(next, next_second(rtc, rtc->seen_ns));
	if (wanted & C_AF && !stopped(rtc))
		next = clock_earlier(next, alarm_ns(rtc));
	return next;
}

/* --- registers --- */

static bool is_date(uint8_t index)
{
	switch (index) {
	case SECONDS:
	case MINUTES:
	case HOURS:
	case DAY_OF_WEEK:
	case DATE:
	case MONTH:
	case YEAR:
	case CMOS_CENTURY:
		return true;
	default:
		return false;
	}
}

static uint8_t read_a(const struct rtc *rtc, uint64_t now)
{
	bool soon = next_second(rtc, now) - now <= UIP_NS;

	return rtc->ram[REG_A] | (soon && !stopped(rtc) ? A_UIP : 0);
}

static uint8_t read_c(struct rtc *rtc)
{
	uint8_t value = rtc->ram[REG_C];

	rtc->ram[REG_C] = 0;
	update_irq(rtc);
	return value;
}

static uint8_t read_register(struct rtc *rtc, uint64_t now)
{
	switch (rtc->index) {
	case REG_A:
		return read_a(rtc, now);
	case REG_C:
		return read_c(rtc);
	}
	if (is_date(rtc->index) && !stopped(rtc))
		date_to_ram(rtc, date_at(rtc, now));
	return rtc->ram[rtc->index];
}

/*
 * Registers A and B stop the clock and let it go on. When the divider is let go
 * the first update comes half a second later.
 */
static void write_control(struct rtc *rtc, uint8_t value, uint64_t now)
{
	bool was_stopped = stopped(rtc), stood = divider_stands(rtc);
	bool sets = rtc->index == REG_B && value & B_SET;

	if (!was_stopped)
		date_to_ram(rtc, date_at(rtc, now));
	rtc->ram[rtc->index] = rtc->index == REG_A ? value & ~A_UIP : value;
	if (sets)
		rtc->ram[REG_B] &= ~B_UIE;
	if (stood && !divider_stands(rtc))
		rtc->phase_ns = (CLOCK_NS + HALF_SECOND - now % CLOCK_NS) %
				CLOCK_NS;
	if (was_stopped && !stopped(rtc))
		set_date(rtc, now, date_from_ram(rtc));
	update_irq(rtc);
}

static void write_date(struct rtc *rtc, uint8_t value, uint64_t now)
{
	if (!stopped(rtc))
		date_to_ram(rtc, date_at(rtc, now));
	rtc->ram[rtc->index] = value;
	if (!stopped(rtc))
		set_date(rtc, now, date_from_ram(rtc));
}

static void write_register(struct rtc *rtc, uint8_t value, uint64_t now)
{
	if (rtc->index == REG_A || rtc->index == REG_B)
		write_control(rtc, value, now);
	else if (is_date(rtc->index))
		write_date(rtc, value, now);
	else if (rtc->index != REG_C && rtc->index != REG_D)
		rtc->ram[rtc->index] = value;
}

static void access_data(struct rtc *rtc, uint8_t *value, bool write)
{
	uint64_t now = clock_now(rtc->clock);

	advance_to(rtc, now);
	if (write)
		write_register(rtc, *value, now);
	else
		*value = read_register(rtc, now);
}

static void access_rtc(struct bus_device *device, uint64_t offset, void *data,
		       unsigned int bytes, bool write)
{
	struct rtc *rtc = bus_owner(device, struct rtc, bus);
	uint8_t *value = data;

	(void)bytes;
	if (offset != PORT_INDEX) {
		access_data(rtc, value, write);
	} else if (write) {	/* it can't be read */
		rtc->index = *value & INDEX_BITS;
		rtc->nmi_masked = *value & NMI_MASK;
	}
}

/* --- init --- */

static void put(struct rtc *rtc, unsigned int index, uint64_t value,
		unsigned int bytes)
{
	uint64_t most = (1ULL << 8 * bytes) - 1;

	if (value > most)
		value = most;
	for (unsigned int i = 0; i < bytes; i++)
		rtc->ram[index + i] = value >> 8 * i;
}

static uint64_t above(uint64_t bytes, uint64_t start)
{
	return bytes > start ? bytes - start : 0;
}

static void put_sum(struct rtc *rtc)
{
	uint16_t sum = 0;

	for (int i = CMOS_SUM_FIRST; i <= CMOS_SUM_LAST; i++)
		sum += rtc->ram[i];
	rtc->ram[CMOS_SUM] = sum >> 8;
	rtc->ram[CMOS_SUM + 1] = sum;
}

static void put_machine(struct rtc *rtc, const struct rtc_machine *machine)
{
	uint64_t extended = KB(above(machine->low, MB));

	rtc->ram[CMOS_EQUIPMENT] = EQUIPMENT_FPU;
	put(rtc, CMOS_BASE_KB, BASE_KB, 2);
	put(rtc, CMOS_EXTENDED_KB, extended, 2);
	put(rtc, CMOS_EXTENDED_KB_2, extended, 2);
	put(rtc, CMOS_ABOVE_16M, above(machine->low, 16 * MB) >> UNIT_SHIFT, 2);
	put(rtc, CMOS_ABOVE_4G, machine->high >> UNIT_SHIFT, 3);
	rtc->ram[CMOS_OTHER_CPUS] = machine->cpus ? machine->cpus - 1 : 0;
	rtc->ram[CMOS_BOOT_1_2] = BOOT_CDROM << 4 | BOOT_DISK;
	rtc->ram[CMOS_BOOT_3] = BOOT_FLOPPY << 4 | NO_FLOPPY_CHECK;
	put_sum(rtc);
}

void rtc_init(struct rtc *rtc, struct bus *ports, struct clock *clock,
	      struct irq_line irq, const struct rtc_machine *machine)
{
	uint64_t date = clock->date_ns(clock);

	memset(rtc, 0, sizeof(*rtc));
	rtc->clock = clock;
	rtc->irq = irq;
	rtc->seen_ns = clock_now(clock);
	rtc->phase_ns = (date % CLOCK_NS + CLOCK_NS -
			 rtc->seen_ns % CLOCK_NS) % CLOCK_NS;
	set_date(rtc, rtc->seen_ns, date / CLOCK_NS);
	rtc->ram[REG_A] = A_DV_32768 | A_RS_1024;
	rtc->ram[REG_B] = B_24H;
	rtc->ram[REG_D] = D_VRT;
	put_machine(rtc, machine);
	rtc->bus = (struct bus_device) {
		.name = "MC146818", .first = PORT, .count = 2, .width = 1,
		.access = access_rtc,
	};
	bus_add(ports, &rtc->bus);
}

/* --- as bytes --- */

static const struct saved_member members[] = {
	SAVED_UP_TO(struct rtc, index, INDEX_BITS),
	SAVED_BOOL(struct rtc, nmi_masked),
	SAVED(struct rtc, ram),
	SAVED_UP_TO(struct rtc, phase_ns, CLOCK_NS - 1),
	SAVED(struct rtc, offset_s),
	SAVED_UP_TO(struct rtc, seen_ns, INT64_MAX / 4),
};

/* Seconds from 1970 to a date, less those since the host's start: of some century. */
#define OFFSET_MAX	(1LL << 40)

static bool fits(const void *device)
{
	const struct rtc *rtc = device;

	return rtc->offset_s >= -OFFSET_MAX && rtc->offset_s <= OFFSET_MAX;
}

const struct saved_device rtc_saved = SAVED_DEVICE("MC146818", 1, members, fits);
