/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The PC's timer, an Intel 8254, and port 61H, where channel 2's gate and output
 * are.
 *
 * Its time is the clock's, counted in whole ticks of 105/88 MHz since it was made:
 * everything it does happens at a tick with a number, so nothing drifts.
 *
 * Channel 0 requests IRQ0 when its output rises. A rise that comes while a request
 * still waits to be acknowledged is missed on real hardware, where it takes a
 * program that keeps interrupts off for long. Here it takes no more than a busy
 * host, and programs that count ticks to know the time would go slow. So missed
 * rises are kept, at most those of one second, and requested one by one, each as
 * soon as the one before has been acknowledged. They are forgotten when a program
 * sets the channel up anew, or when it unmasks IRQ0: those it can't have wanted.
 */
#ifndef VEE_I8254_H
#define VEE_I8254_H

#include "bus.h"
#include "clock.h"
#include "irq.h"
#include "saved.h"

#define PIT_CHANNELS	3

/**
 * struct pit_channel - one of the three
 * @control: of the last control word RW, M and BCD, as written
 * @mode: M, 0 to 5
 * @gate: its gate input
 * @loaded: a count has come since the control word
 * @running: loaded, and in modes 1 and 5 triggered
 * @paused: the gate keeps it from counting
 * @start: the tick at which the count was loaded; the next one right after a load
 * @held: @paused: how many ticks it had counted
 * @count: the count it was loaded with, 1 to 65536
 * @has_next: there is another one for later...
 * @next: ...this
 * @switch_tick: ...from this tick on; INT64_MAX: from the next trigger on
 * @seen: up to which tick its output has been looked at
 * @write_high: of a count's two bytes the first has been written
 * @write_low: that byte
 * @read_high: of a count's two bytes the first has been read
 * @count_latched: @count_latch holds
 * @count_latch: count to be read
 * @status_latched: @status_latch holds
 * @status_latch: status to be read
 */
struct pit_channel {
	uint8_t control;
	uint8_t mode;
	bool gate;
	bool loaded;
	bool running;
	bool paused;
	int64_t start;
	int64_t held;
	uint32_t count;
	bool has_next;
	uint32_t next;
	int64_t switch_tick;
	int64_t seen;
	bool write_high;
	uint8_t write_low;
	bool read_high;
	bool count_latched;
	uint16_t count_latch;
	bool status_latched;
	uint8_t status_latch;
};

/**
 * struct pit - the timer
 * @bus: ports 40H to 43H
 * @port61: the ports' place on the bus
 * @clock: its time
 * @irq: where channel 0's output goes
 * @begin_ns: when it was made
 * @channels: its channels
 * @missed: rises of channel 0's output that IRQ0 has still to tell of
 * @port61_bits: what the guest wrote to port 61H
 */
struct pit {
	struct bus_device bus;
	struct bus_device port61;
	struct clock *clock;
	struct irq_line irq;
	uint64_t begin_ns;
	struct pit_channel channels[PIT_CHANNELS];
	uint64_t missed;
	uint8_t port61_bits;
};

/* Ports 40H and 61H. No channel counts before the guest has set it up. */
void pit_init(struct pit *pit, struct bus *ports, struct clock *clock,
	      struct irq_line irq);
void pit_advance(struct pit *pit);
uint64_t pit_next_ns(const struct pit *pit);
/* IRQ0 was acknowledged: the next one that was missed takes its place. */
void pit_acknowledged(struct pit *pit);
/* IRQ0 is about to be unmasked: of those missed none is wanted. */
void pit_unmasked(struct pit *pit);

extern const struct saved_device pit_saved;
/* ... of each of its channels */
extern const struct saved_device pit_channel_saved;

#endif /* VEE_I8254_H */
