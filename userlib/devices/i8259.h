/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The PC's interrupt controllers: a pair of Intel 8259As. */
#ifndef VEE_I8259_H
#define VEE_I8259_H

#include "bus.h"
#include "irq.h"
#include "saved.h"

#define PIC_IRQS	16

/**
 * struct i8259 - one of the two
 * @bus: its two ports
 * @elcr_bus: its edge/level control register, which chip sets added
 * @lines: levels of its eight inputs
 * @edges: inputs that rose and were not acknowledged since
 * @isr: in service
 * @imr: masked
 * @elcr: inputs that are level-triggered
 * @icw2: vector of input 0
 * @icw4: ICW4 as written; 0 if ICW1 said that there is none
 * @expected: the next ICW that port 1 takes, 2 to 4; 0: it is OCW1
 * @ready: initialised since power-on
 * @single: ICW1: no ICW3 comes
 * @has_icw4: ICW1: an ICW4 comes
 * @lowest: the input of lowest priority
 * @rotates: rotate in automatic-EOI mode
 * @special_mask: special mask mode
 * @reads_isr: port 0 reads ISR, else IRR
 * @poll: the next read is a poll
 * @slave: the second of the pair
 * @pic: the pair
 */
struct i8259 {
	struct bus_device bus;
	struct bus_device elcr_bus;
	uint8_t lines;
	uint8_t edges;
	uint8_t isr;
	uint8_t imr;
	uint8_t elcr;
	uint8_t icw2;
	uint8_t icw4;
	uint8_t expected;
	bool ready;
	bool single;
	bool has_icw4;
	uint8_t lowest;
	bool rotates;
	bool special_mask;
	bool reads_isr;
	bool poll;
	bool slave;
	struct pic *pic;
};

/**
 * struct pic_hooks - what others may want to know
 * @acknowledged: a request was taken by the CPU
 * @unmasked: an input is no longer masked; before that has any effect
 * @arg: for both
 */
struct pic_hooks {
	void (*acknowledged)(void *arg, unsigned int irq);
	void (*unmasked)(void *arg, unsigned int irq);
	void *arg;
};

struct pic {
	struct i8259 master;
	struct i8259 slave;
	struct pic_hooks hooks;
};

/* Ports 20H, A0H and 4D0H. Nothing is requested before the guest has set it up. */
void pic_init(struct pic *pic, struct bus *ports);
/* The wire from a device. */
struct irq_line pic_line(struct pic *pic, unsigned int irq);
/* As firmware sets up ELCR. */
void pic_set_level_triggered(struct pic *pic, unsigned int irq);
/* INTR: an interrupt is requested. */
bool pic_pending(const struct pic *pic);
/*
 * The INTA cycle: the CPU takes the interrupt; gives its vector. If the request
 * went away meanwhile it is that of input 7, as on the chip (a spurious IRQ).
 */
uint8_t pic_acknowledge(struct pic *pic);

/* Of each of the two. */
extern const struct saved_device i8259_saved;

#endif /* VEE_I8259_H */
