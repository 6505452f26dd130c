/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The devices of a PC, wired to a bus of ports, to one of memory and to each other.
 *
 * One thread at a time: whoever has more holds one mutex around bus_access() and
 * every call below. How a run loop goes, with that mutex held but in the run:
 *
 *	pc_advance(pc);
 *	if (pc_interrupt_pending(pc) && the vCPU can take an interrupt)
 *		inject pc_acknowledge(pc);
 *	else if (pc_interrupt_pending(pc))
 *		ask for an exit when it can;
 *	run until pc_next_ns(pc) at the latest;
 *	handle the exit, with bus_access() for ports and memory;
 *	look at pc->request;
 *
 * A vCPU that halts waits for the same moment, or for input. After input has come
 * (pc_receive()) pc_next_ns() and pc_interrupt_pending() are to be asked again.
 *
 * With an I/O APIC (pc_config.message_send) every interrupt is at both controllers, and
 * which of them the guest listens to is its affair: pc_interrupt_pending() is still the
 * 8259As' INTR, which is wired to LINT0 of the first local APIC. What the I/O APIC sends
 * goes out by message_send, and pc_eoi() is to be told of each end that it asked for.
 * There is no IMCR: the CPUs' LINT0 is always connected.
 */
#ifndef VEE_PC_H
#define VEE_PC_H

#include "acpi.h"
#include "bus.h"
#include "clock.h"
#include "debugcon.h"
#include "exit.h"
#include "hpet.h"
#include "i8042.h"
#include "i8254.h"
#include "i8259.h"
#include "ioapic.h"
#include "mc146818.h"
#include "mc6845.h"
#include "pci.h"
#include "pci_uart.h"
#include "uart.h"

/* What the guest asks of the machine as a whole. The last one counts. */
enum pc_request {
	PC_NONE,
	PC_RESET,
	PC_POWER_OFF,
	PC_EXIT,	/* with pc->exit_status */
};

/**
 * struct pc_config - how a PC is made
 * @low_memory: bytes of memory from 0 up
 * @high_memory: bytes of memory from 4 GiB up
 * @clock: its time; NULL: the host's
 * @serial_send: takes the output of the serial port
 * @debug_send: takes that of the debug ports; NULL: nobody does
 * @pci_serial_send: takes that of a second serial port, on PCI, where there is a host
 *	bridge then, too; NULL: there is none
 * @message_send: takes the messages of an I/O APIC, and MSIs of what is on PCI; NULL: there
 *	are none
 * @arg: for all of them
 * @cpus: with an I/O APIC: how many local APICs there are, of numbers from 0 up
 * @host_bridge: with the PCI host bridge that SeaBIOS looks for
 */
struct pc_config {
	uint64_t low_memory;
	uint64_t high_memory;
	struct clock *clock;
	uart_send_fn serial_send;
	void (*debug_send)(void *arg, uint8_t byte);
	uart_send_fn pci_serial_send;
	ioapic_send_fn message_send;
	void *arg;
	unsigned int cpus;
	bool host_bridge;
};

/* Where ISA's IRQ0 is at the I/O APIC; the other IRQs are at the pins of their numbers. */
#define PC_PIN_TIMER	2
/* PCI's interrupts: four wires that all devices share, active low. */
#define PC_PIN_PCI	16
#define PC_PCI_WIRES	4
/* All four are at this input of the 8259As, too, if there is a device. */
#define PC_PCI_IRQ	11
/* Where devices can be, beside the host bridge in slot 0. */
#define PC_PCI_SLOTS	4
#define PC_PCI_SERIAL	1
/* Where their ports can be. */
#define PC_PCI_PORTS	0xc000
#define PC_PCI_PORTS_BYTES	0x1000
/* Of these four the HPET's timers can have one each. */
#define PC_PIN_HPET	20

/* The wire that interrupt @pin (0, INTA#, to 3) of a device is on, of the four. */
static inline unsigned int pc_pci_wire(unsigned int device, unsigned int pin)
{
	return (device + pin) % PC_PCI_WIRES;
}

struct pc {
	struct pic pic;
	struct ioapic ioapic;
	struct pit pit;
	struct rtc rtc;
	struct hpet hpet;
	struct uart uart;
	struct i8042 i8042;
	struct pci pci;
	struct pci_function host_bridge;
	struct pci_uart pci_uart;
	struct acpi acpi;
	struct mc6845 crtc;
	struct debugcon debugcon;
	struct exit_port exit_port;
	uint8_t exit_status;
	enum pc_request request;
	struct clock *clock;
	ioapic_send_fn message_send;	/* and its argument */
	void *arg;
	bool has_ioapic;
	bool has_pci_uart;
	uint64_t tick_ns;	/* when IRQ0 last rose */
	uint32_t pci_lines[PC_PCI_WIRES];	/* devices that assert each */
};

/* Puts all of it on buses that were empty, in its state after power-on. */
void pc_init(struct pc *pc, struct bus *ports, struct bus *memory,
	     const struct pc_config *config);
/* Brings the devices to the present. */
void pc_advance(struct pc *pc);
/* When to do that next at the latest (CLOCK_MONOTONIC, in ns), or CLOCK_NEVER. */
uint64_t pc_next_ns(const struct pc *pc);
/* An interrupt is requested of the CPU; only taking it tells which one. */
bool pc_interrupt_pending(const struct pc *pc);
/* The CPU takes it: its vector. Once for each that is injected. */
uint8_t pc_acknowledge(struct pc *pc);
/* The end of an interrupt by message, which the I/O APIC asked to be told of. */
void pc_eoi(struct pc *pc, uint8_t vector);
/* The wire of a PCI device's interrupt @pin: 0, INTA#, to 3. */
struct irq_line pc_pci_line(struct pc *pc, unsigned int device, unsigned int pin);
/* Input for the serial port; returns how many bytes it took. */
unsigned int pc_receive(struct pc *pc, const uint8_t *bytes, size_t count);
/*
 * All devices' state as bytes: of pc_saved_bytes(), and back, into a PC that was made the
 * same. Its clock is then to go on from the moment of saving. False: nothing has changed,
 * and *@name is the device whose state can't be.
 */
size_t pc_saved_bytes(const struct pc *pc);
void pc_save(const struct pc *pc, uint8_t *to);
bool pc_load(struct pc *pc, const uint8_t *from, size_t bytes, const char **name);
/* At the end: output may still wait to go out. */
void pc_flush(struct pc *pc);

#endif /* VEE_PC_H */
