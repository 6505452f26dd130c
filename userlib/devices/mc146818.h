/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The PC's clock and battery-backed memory, a Motorola MC146818.
 *
 * The date is the host's (UTC) at the moment when it was made, and goes on with
 * the monotonic clock: where the host's is set while the guest runs, the guest's
 * is not, as with a clock of its own. What the guest writes moves its date alone.
 */
#ifndef VEE_MC146818_H
#define VEE_MC146818_H

#include "bus.h"
#include "clock.h"
#include "irq.h"
#include "saved.h"

#define RTC_BYTES	128

/**
 * struct rtc - the clock
 * @bus: ports 70H and 71H
 * @clock: its time
 * @irq: IRQ8
 * @index: the byte that port 71H is about
 * @nmi_masked: bit 7 of port 70H
 * @ram: the bytes; those of the date are valid while the clock is stopped
 * @phase_ns: what its second is ahead of @clock's, below a second
 * @offset_s: what its date, in seconds, is ahead of @clock's
 * @seen_ns: @clock's time at the last advance
 */
struct rtc {
	struct bus_device bus;
	struct clock *clock;
	struct irq_line irq;
	uint8_t index;
	bool nmi_masked;
	uint8_t ram[RTC_BYTES];
	uint64_t phase_ns;
	int64_t offset_s;
	uint64_t seen_ns;
};

/* What a BIOS looks up: bytes of memory from 0 up, and from 4 GiB up; CPUs, 0: one. */
struct rtc_machine {
	uint64_t low;
	uint64_t high;
	unsigned int cpus;
};

void rtc_init(struct rtc *rtc, struct bus *ports, struct clock *clock,
	      struct irq_line irq, const struct rtc_machine *machine);
void rtc_advance(struct rtc *rtc);
uint64_t rtc_next_ns(const struct rtc *rtc);

extern const struct saved_device rtc_saved;

#endif /* VEE_MC146818_H */
