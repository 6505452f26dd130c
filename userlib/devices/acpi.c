// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * After the ACPI Specification 5.0, "ACPI Hardware Specification"; the ports are
 * as acpi_tables.c has them.
 */
#include <string.h>

#include "acpi.h"
#include "acpi_ports.h"

/* 3.579545 MHz is 315/88 MHz, that is 63 in 17600 ns. */
#define RATIO_TICKS	63
#define RATIO_NS	17600

#define PM1_STS		0
#define PM1_EN		2
#define PM1_CNT		4
#define PM1_BYTES	6
#define PM1_EVENTS	0x0721	/* TMR, GBL, PWRBTN, SLPBTN, RTC */
#define TMR_STS		0x0001
#define CNT_SCI_EN	0x0001
#define CNT_BM_RLD	0x0002
#define CNT_SLP_TYP	0x1c00
#define CNT_SLP_TYP_SHIFT	10
#define CNT_SLP_EN	0x2000
#define CNT_WRITABLE	(CNT_BM_RLD | CNT_SLP_TYP)

#define TIMER_BYTES	4
#define TIMER_HALF	31	/* TMR_STS tells of changes of the highest bit */

static uint64_t ticks_at(const struct acpi *acpi, uint64_t ns)
{
	ns -= acpi->begin_ns;
	return ns / RATIO_NS * RATIO_TICKS +
	       ns % RATIO_NS * RATIO_TICKS / RATIO_NS;
}

static uint64_t tick_ns(const struct acpi *acpi, uint64_t tick)
{
	uint64_t rest = tick % RATIO_TICKS * RATIO_NS;

	return acpi->begin_ns + tick / RATIO_TICKS * RATIO_NS +
	       (rest + RATIO_TICKS - 1) / RATIO_TICKS;
}

static void advance_to(struct acpi *acpi, uint64_t now)
{
	if (ticks_at(acpi, acpi->seen_ns) >> TIMER_HALF !=
	    ticks_at(acpi, now) >> TIMER_HALF)
		acpi->status |= TMR_STS;
	acpi->seen_ns = now;
	irq_set(&acpi->irq, acpi->status & acpi->enable);
}

void acpi_advance(struct acpi *acpi)
{
	advance_to(acpi, clock_now(acpi->clock));
}

uint64_t acpi_next_ns(const struct acpi *acpi)
{
	uint64_t half = ticks_at(acpi, acpi->seen_ns) >> TIMER_HALF;

	if (!(acpi->enable & ~acpi->status & TMR_STS))
		return CLOCK_NEVER;
	return tick_ns(acpi, (half + 1) << TIMER_HALF);
}

static uint16_t read_pm1(const struct acpi *acpi, uint64_t offset)
{
	switch (offset) {
	case PM1_STS:
		return acpi->status;
	case PM1_EN:
		return acpi->enable;
	default:
		return acpi->control | CNT_SCI_EN;
	}
}

/* SLP_EN reads as 0. No sleep but the soft-off state is announced. */
static void write_control(struct acpi *acpi, uint16_t value)
{
	acpi->control = value & CNT_WRITABLE;
	if (value & CNT_SLP_EN &&
	    (value & CNT_SLP_TYP) >> CNT_SLP_TYP_SHIFT == ACPI_SOFT_OFF)
		acpi->power_off(acpi->arg);
}

static void write_pm1(struct acpi *acpi, uint64_t offset, uint16_t value)
{
	switch (offset) {
	case PM1_STS:	/* written ones clear */
		acpi->status &= ~value;
		break;
	case PM1_EN:
		acpi->enable = value & PM1_EVENTS;
		break;
	default:
		write_control(acpi, value);
		break;
	}
}

/* Registers are of two bytes; one byte alone leaves the other as it is. */
static void access_pm1(struct bus_device *device, uint64_t offset, void *data,
		       unsigned int bytes, bool write)
{
	struct acpi *acpi = bus_owner(device, struct acpi, pm1);
	uint64_t now = clock_now(acpi->clock), at = offset & ~1ULL;
	uint16_t value;

	advance_to(acpi, now);
	value = read_pm1(acpi, at);
	if (bytes > sizeof(value) - (offset & 1))
		bytes = sizeof(value) - (offset & 1);
	if (!write) {
		memcpy(data, (uint8_t *)&value + (offset & 1), bytes);
		return;
	}
	if (at == PM1_STS)
		value = 0;
	memcpy((uint8_t *)&value + (offset & 1), data, bytes);
	write_pm1(acpi, at, value);
	advance_to(acpi, now);
}

static void access_timer(struct bus_device *device, uint64_t offset, void *data,
			 unsigned int bytes, bool write)
{
	struct acpi *acpi = bus_owner(device, struct acpi, timer);
	uint32_t value = ticks_at(acpi, clock_now(acpi->clock));

	if (!write)
		memcpy(data, (uint8_t *)&value + offset, bytes);
}

void acpi_init(struct acpi *acpi, struct bus *ports,
	       const struct acpi_config *config)
{
	memset(acpi, 0, sizeof(*acpi));
	acpi->clock = config->clock;
	acpi->irq = config->irq;
	acpi->power_off = config->power_off;
	acpi->arg = config->arg;
	acpi->begin_ns = clock_now(acpi->clock);
	acpi->seen_ns = acpi->begin_ns;
	acpi->pm1 = (struct bus_device) {
		.name = "ACPI PM1", .first = ACPI_PM1_EVENTS,
		.count = PM1_BYTES, .width = 2, .access = access_pm1,
	};
	acpi->timer = (struct bus_device) {
		.name = "ACPI timer", .first = ACPI_TIMER,
		.count = TIMER_BYTES, .width = 4, .access = access_timer,
	};
	bus_add(ports, &acpi->pm1);
	bus_add(ports, &acpi->timer);
}

/* --- as bytes --- */

static const struct saved_member members[] = {
	SAVED(struct acpi, begin_ns),
	SAVED(struct acpi, seen_ns),
	SAVED(struct acpi, status),
	SAVED(struct acpi, enable),
	SAVED(struct acpi, control),
};

const struct saved_device acpi_saved = SAVED_DEVICE("ACPI", 1, members, NULL);
