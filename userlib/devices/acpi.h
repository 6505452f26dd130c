/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ACPI: the fixed hardware that it takes to switch off, a timer, and the tables
 * that say where they are.
 *
 * At 600H: PM1a event block (status, enable), at 604H PM1a control, at 608H the
 * power-management timer (32 bits, 3.579545 MHz). There is no SMI command port:
 * ACPI is always on. The SCI is at IRQ9, level-triggered: the 8259As', and the I/O
 * APIC's if there is one.
 *
 * The hardware-reduced model would need no PM1 blocks, but no interrupt controller
 * of a PC's either: systems with one take it that the 8259As aren't there.
 */
#ifndef VEE_ACPI_H
#define VEE_ACPI_H

#include "bus.h"
#include "clock.h"
#include "irq.h"
#include "saved.h"

#define ACPI_IRQ	9

/**
 * struct acpi - the fixed hardware
 * @pm1: PM1a event and control blocks
 * @timer: the power-management timer
 * @clock: its time
 * @irq: the SCI
 * @power_off: the guest switches itself off
 * @arg: for @power_off
 * @begin_ns: when the timer was 0
 * @seen_ns: @clock's time at the last advance
 * @status: PM1_STS
 * @enable: PM1_EN
 * @control: PM1_CNT
 */
struct acpi {
	struct bus_device pm1;
	struct bus_device timer;
	struct clock *clock;
	struct irq_line irq;
	void (*power_off)(void *arg);
	void *arg;
	uint64_t begin_ns;
	uint64_t seen_ns;
	uint16_t status;
	uint16_t enable;
	uint16_t control;
};

/* How it is made. */
struct acpi_config {
	struct clock *clock;
	struct irq_line irq;
	void (*power_off)(void *arg);
	void *arg;
};

void acpi_init(struct acpi *acpi, struct bus *ports,
	       const struct acpi_config *config);
void acpi_advance(struct acpi *acpi);
uint64_t acpi_next_ns(const struct acpi *acpi);

/* Where systems look for the first of the tables, every 16 bytes. */
#define ACPI_AREA	0xe0000
#define ACPI_AREA_END	0x100000

#define ACPI_CPUS	64
#define ACPI_TABLES_BYTES	0x1000	/* enough for as many */

/**
 * struct acpi_machine - what the tables say that there is
 * @cpus: how many CPUs have a local APIC, of numbers from 0 up; 0: none, nor is there an
 *	I/O APIC
 * @hpet: an HPET
 * @pci: a PCI bus
 */
struct acpi_machine {
	unsigned int cpus;
	bool hpet;
	bool pci;
};

/*
 * Writes the tables to @buf, which the guest has at @gpa, a multiple of 64 in the
 * area above. Returns how many bytes they take, or -ENOSPC, -EINVAL.
 */
int acpi_build(void *buf, size_t size, uint64_t gpa, const struct acpi_machine *machine);

extern const struct saved_device acpi_saved;

#endif /* VEE_ACPI_H */
