/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The PC's keyboard controller, an Intel 8042, with nothing plugged in; and port
 * 92H, the other way to address line 20 and to reset.
 *
 * A byte for the keyboard or the mouse is answered at once with FEH and the status
 * bit of a time-out, as controllers do when nobody takes it: drivers give up then
 * instead of waiting. The controller has no port for a mouse.
 *
 * Address line 20 is always on; its bits merely read as they were written.
 */
#ifndef VEE_I8042_H
#define VEE_I8042_H

#include "bus.h"
#include "irq.h"
#include "saved.h"

#define I8042_RAM	32

/**
 * struct i8042 - the controller
 * @data: port 60H
 * @command: port 64H
 * @port92: port 92H
 * @irq: IRQ1
 * @reset: the guest asks for a reset
 * @arg: for @reset
 * @ram: its memory, of which byte 0 is the command byte
 * @status: status register
 * @output: output buffer
 * @pending: the command that takes the next byte at port 60H; 0: none
 * @a20: address line 20
 */
struct i8042 {
	struct bus_device data;
	struct bus_device command;
	struct bus_device port92;
	struct irq_line irq;
	void (*reset)(void *arg);
	void *arg;
	uint8_t ram[I8042_RAM];
	uint8_t status;
	uint8_t output;
	uint8_t pending;
	bool a20;
};

/* Ports 60H, 64H and 92H. */
void i8042_init(struct i8042 *i8042, struct bus *ports, struct irq_line irq,
		void (*reset)(void *arg), void *arg);

extern const struct saved_device i8042_saved;

#endif /* VEE_I8042_H */
