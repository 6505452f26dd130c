// SPDX-License-Identifier: LGPL-2.1-or-later
#include <string.h>

#include "pc.h"

#define UART_PORT	0x3f8

#define IRQ_TIMER	0
#define IRQ_KEYBOARD	1
#define IRQ_UART	4
#define IRQ_RTC		8

static void on_acknowledged(void *arg, unsigned int irq)
{
	struct pc *pc = arg;

	if (irq == IRQ_TIMER)
		pit_acknowledged(&pc->pit);
}

static void on_unmasked(void *arg, unsigned int irq)
{
	struct pc *pc = arg;

	if (irq == IRQ_TIMER)
		pit_unmasked(&pc->pit);
}

static void on_reset(void *arg)
{
	struct pc *pc = arg;

	pc->request = PC_RESET;
}

static void on_power_off(void *arg)
{
	struct pc *pc = arg;

	pc->request = PC_POWER_OFF;
}

static void on_exit_port(void *arg, uint8_t status)
{
	struct pc *pc = arg;

	pc->exit_status = status;
	pc->request = PC_EXIT;
}

/* --- IRQ0 and IRQ8: the HPET's, when it replaces those who have them else --- */

static void set_legacy(void *arg, unsigned int irq, bool level)
{
	struct pc *pc = arg;
	struct irq_line line = pic_line(&pc->pic, irq);

	if (!hpet_replaces_legacy(&pc->hpet))
		irq_set(&line, level);
}

/* What goes nowhere is never acknowledged. */
static bool legacy_waits(void *arg, unsigned int irq)
{
	struct pc *pc = arg;
	struct irq_line line = pic_line(&pc->pic, irq);

	return hpet_replaces_legacy(&pc->hpet) || irq_waits(&line);
}

static struct irq_line legacy_line(struct pc *pc, unsigned int irq)
{
	return (struct irq_line) {
		.set = set_legacy, .waits = legacy_waits, .arg = pc, .irq = irq,
	};
}

static void init_timers(struct pc *pc, struct bus *ports, struct bus *memory,
			struct clock *clock, const struct pc_config *config)
{
	const struct irq_line irqs[HPET_ROUTED] = {
		pic_line(&pc->pic, IRQ_TIMER), pic_line(&pc->pic, IRQ_RTC),
	};
	struct rtc_memory bytes = {
		.low = config->low_memory, .high = config->high_memory,
	};

	hpet_init(&pc->hpet, memory, clock, irqs);
	pit_init(&pc->pit, ports, clock, legacy_line(pc, IRQ_TIMER));
	rtc_init(&pc->rtc, ports, clock, legacy_line(pc, IRQ_RTC), &bytes);
}

/* --- all of them --- */

/* As firmware leaves it: the SCI is level-triggered. */
static void init_pic(struct pc *pc, struct bus *ports)
{
	pic_init(&pc->pic, ports);
	pic_set_level_triggered(&pc->pic, ACPI_IRQ);
	pc->pic.hooks = (struct pic_hooks) {
		.acknowledged = on_acknowledged, .unmasked = on_unmasked,
		.arg = pc,
	};
}

static void init_uart(struct pc *pc, struct bus *ports, struct clock *clock,
		      const struct pc_config *config)
{
	struct uart_config uart = {
		.port = UART_PORT, .clock = clock,
		.irq = pic_line(&pc->pic, IRQ_UART),
		.send = config->serial_send, .arg = config->arg,
	};

	uart_init(&pc->uart, ports, &uart);
}

static void init_acpi(struct pc *pc, struct bus *ports, struct clock *clock)
{
	struct acpi_config acpi = {
		.clock = clock, .irq = pic_line(&pc->pic, ACPI_IRQ),
		.power_off = on_power_off, .arg = pc,
	};

	acpi_init(&pc->acpi, ports, &acpi);
}

static void init_pci(struct pc *pc, struct bus *ports, bool host_bridge)
{
	pci_init(&pc->pci, ports, on_reset, pc);
	if (!host_bridge)
		return;
	pci_init_host_bridge(&pc->host_bridge);
	pci_add(&pc->pci, &pc->host_bridge);
}

void pc_init(struct pc *pc, struct bus *ports, struct bus *memory,
	     const struct pc_config *config)
{
	struct clock *clock = config->clock ? config->clock : &host_clock;

	memset(pc, 0, sizeof(*pc));
	init_pic(pc, ports);
	init_timers(pc, ports, memory, clock, config);
	init_uart(pc, ports, clock, config);
	i8042_init(&pc->i8042, ports, pic_line(&pc->pic, IRQ_KEYBOARD),
		   on_reset, pc);
	init_pci(pc, ports, config->host_bridge);
	init_acpi(pc, ports, clock);
	debugcon_init(&pc->debugcon, ports, config->debug_send, config->arg);
	exit_port_init(&pc->exit_port, ports, on_exit_port, pc);
}

void pc_advance(struct pc *pc)
{
	pit_advance(&pc->pit);
	rtc_advance(&pc->rtc);
	hpet_advance(&pc->hpet);
	uart_advance(&pc->uart);
	acpi_advance(&pc->acpi);
}

uint64_t pc_next_ns(const struct pc *pc)
{
	uint64_t next = pit_next_ns(&pc->pit);

	next = clock_earlier(next, rtc_next_ns(&pc->rtc));
	next = clock_earlier(next, hpet_next_ns(&pc->hpet));
	next = clock_earlier(next, uart_next_ns(&pc->uart));
	return clock_earlier(next, acpi_next_ns(&pc->acpi));
}

bool pc_interrupt_pending(const struct pc *pc)
{
	return pic_pending(&pc->pic);
}

uint8_t pc_acknowledge(struct pc *pc)
{
	return pic_acknowledge(&pc->pic);
}

unsigned int pc_receive(struct pc *pc, const uint8_t *bytes, size_t count)
{
	return uart_receive(&pc->uart, bytes, count);
}

void pc_flush(struct pc *pc)
{
	uart_flush(&pc->uart);
}
