/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The CRT controller of a color text screen, at ports 3D4H and 3D5H: a register's number,
 * and the register. There is no screen: text at B8000H is memory like any other, and what is
 * written here reads back, no more. Systems that print there keep the cursor's place in it
 * and nowhere else (registers 0EH and 0FH); of a place that is none some make an end.
 */
#ifndef VEE_MC6845_H
#define VEE_MC6845_H

#include "bus.h"
#include "saved.h"

/* A VGA's; the MC6845 itself has 18. */
#define MC6845_REGISTERS	25

/**
 * struct mc6845 - the controller
 * @bus: its ports
 * @index: which register is at port 3D5H
 * @registers: what was written; from MC6845_REGISTERS on there is none
 */
struct mc6845 {
	struct bus_device bus;
	uint8_t index;
	uint8_t registers[MC6845_REGISTERS];
};

extern const struct saved_device mc6845_saved;

void mc6845_init(struct mc6845 *crtc, struct bus *ports);

#endif /* VEE_MC6845_H */
