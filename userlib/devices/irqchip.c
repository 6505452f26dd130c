// SPDX-License-Identifier: LGPL-2.1-or-later
/* An I/O APIC for programs of one's own: the chip, a lock, and a VM's local APICs. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "internal.h"
#include "ioapic.h"

_Static_assert(VEE_IRQCHIP_PINS == IOAPIC_PINS, "as the header has it");

#define IOAPIC_ID	0	/* as after power-on; the guest may give it another */

/* @lock: for @ioapic, which devices' threads and vCPUs' are at. */
struct vee_irqchip {
	pthread_mutex_t lock;
	struct vee_vm *vm;
	struct ioapic ioapic;
};

/* Nothing that the chip sends is refused, and none of it comes back in here. */
static void send(void *arg, uint64_t address, uint32_t data, bool level)
{
	struct vee_irqchip *chip = arg;

	vee_vm_signal(chip->vm, address, data, level ? VEE_SIGNAL_LEVEL : 0);
}

int vee_irqchip_create(struct vee_vm *vm, struct vee_irqchip **chip)
{
	struct vee_irqchip *new;

	if (!vm_has_apics(vm))
		return -ENODEV;
	new = calloc(1, sizeof(*new));
	if (!new)
		return -ENOMEM;
	new->vm = vm;
	pthread_mutex_init(&new->lock, NULL);
	ioapic_init(&new->ioapic, IOAPIC_ID, send, new);
	*chip = new;
	return 0;
}

void vee_irqchip_destroy(struct vee_irqchip *chip)
{
	if (!chip)
		return;
	pthread_mutex_destroy(&chip->lock);
	free(chip);
}

int vee_irqchip_set(struct vee_irqchip *chip, unsigned int pin, bool level)
{
	struct irq_line line;

	if (pin >= IOAPIC_PINS)
		return -EINVAL;
	pthread_mutex_lock(&chip->lock);
	line = ioapic_line(&chip->ioapic, pin);
	irq_set(&line, level);
	pthread_mutex_unlock(&chip->lock);
	return 0;
}

int vee_irqchip_access(void *arg, uint64_t gpa, void *data, unsigned int bytes, bool write)
{
	struct vee_irqchip *chip = arg;

	if (gpa < IOAPIC_BASE || !within(gpa - IOAPIC_BASE, bytes, IOAPIC_BYTES))
		return -ENOENT;
	pthread_mutex_lock(&chip->lock);
	ioapic_access(&chip->ioapic, gpa - IOAPIC_BASE, data, bytes, write);
	pthread_mutex_unlock(&chip->lock);
	return 0;
}

void vee_irqchip_eoi(struct vee_irqchip *chip, uint8_t vector)
{
	pthread_mutex_lock(&chip->lock);
	ioapic_eoi(&chip->ioapic, vector);
	pthread_mutex_unlock(&chip->lock);
}

/* --- a vCPU's run --- */

/* What vee_irqchip_run() answers exits with. */
struct machine {
	struct vee_irqchip *chip;
	const struct vee_bus *devices;
};

static int access_memory(void *arg, uint64_t gpa, void *data, unsigned int bytes,
			 bool write)
{
	const struct machine *machine = arg;
	int err = vee_irqchip_access(machine->chip, gpa, data, bytes, write);

	if (err == -ENOENT && machine->devices->memory)
		err = machine->devices->memory(machine->devices->arg, gpa, data, bytes, write);
	return err;
}

static int access_port(void *arg, uint16_t port, void *data, unsigned int bytes,
		       bool write)
{
	const struct machine *machine = arg;

	return machine->devices->port(machine->devices->arg, port, data, bytes, write);
}

/* What a run has ended with. True: it is done, or has failed, *@err. */
static bool is_answered(struct vee_vcpu *vcpu, struct machine *machine, int *err)
{
	const struct vee_exit *exit = &vcpu->page->exit;
	const struct vee_bus bus = {
		.memory = access_memory, .port = access_port, .arg = machine,
	};

	switch (exit->reason) {
	case VEE_EXIT_EOI:
		vee_irqchip_eoi(machine->chip, exit->eoi.vector);
		return true;
	case VEE_EXIT_PIO:
		if (!machine->devices->port)
			return false;
		break;
	case VEE_EXIT_MMIO:
		break;
	default:
		return false;
	}
	*err = vee_assist(vcpu, &bus);
	return true;
}

int vee_irqchip_run(struct vee_vcpu *vcpu, struct vee_irqchip *chip,
		    const struct vee_bus *devices)
{
	static const struct vee_bus none;
	struct machine machine = { .chip = chip, .devices = devices ? devices : &none };
	int err;

	do
		err = vee_vcpu_run(vcpu);
	while (err == -EINTR || (!err && is_answered(vcpu, &machine, &err) && !err));
	return err;
}
