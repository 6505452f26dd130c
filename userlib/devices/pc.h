/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What else programs expect of a PC, as far as it takes to keep them content
 * without interrupts: a timer that counts, interrupt controllers that hold what
 * is written to them, an empty PCI bus, a clock, and ways to reset.
 */
#ifndef VEE_PC_H
#define VEE_PC_H

#include "bus.h"

#define PIT_CHANNELS	3

struct pit_channel {
	uint64_t start_ns;	/* when it was loaded */
	uint32_t reload;	/* 1 to 65536 */
	uint16_t latch;
	uint8_t access;		/* 1: low byte, 2: high byte, 3: both in turn */
	uint8_t mode;
	bool latched;
	bool write_high;	/* of access 3: the high byte is next */
	bool read_high;
	uint8_t low;
};

struct pit {
	struct bus_device bus;
	struct pit_channel channels[PIT_CHANNELS];
};

/* A port that gives back what was written to it last. */
struct latch {
	struct bus_device bus;
	uint8_t values[2];
};

struct pc {
	struct pit pit;
	struct bus_device speaker;	/* port 61H: channel 2's gate and output */
	struct latch pic[2];
	struct bus_device keyboard;
	struct bus_device keyboard_data;
	struct bus_device fast_a20;
	struct bus_device pci;
	struct bus_device cmos;
	uint8_t speaker_bits;
	uint8_t cmos_index;
	uint32_t pci_address;
	bool reset;			/* the guest has asked for one */
};

/* Puts all of it on @ports. */
void pc_init(struct pc *pc, struct bus *ports);

#endif /* VEE_PC_H */
