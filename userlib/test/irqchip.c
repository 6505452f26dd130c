// SPDX-License-Identifier: LGPL-2.1-or-later
/* vee_irqchip_: what of the I/O APIC's goes where, and from many threads. */
#include <pthread.h>

#include "test.h"

#define WINDOW		0xfec00000ULL
#define TABLE		0x10
#define LEVEL		0x8000
#define VECTOR		0x40
#define THREADS		4
#define EDGES		2000

static struct vee_vm *vm;
static struct vee_irqchip *chip;

static void begin(void)
{
	if (vee_vm_create_with(&vm, VEE_VM_LOCAL_APIC) || vee_irqchip_create(vm, &chip))
		abort();
}

static void end(void)
{
	vee_irqchip_destroy(chip);
	vee_vm_destroy(vm);
}

static void put(uint8_t index, uint32_t value)
{
	uint32_t select = index;

	CHECK_EQUAL(vee_irqchip_access(chip, WINDOW, &select, 4, true), 0);
	CHECK_EQUAL(vee_irqchip_access(chip, WINDOW + 0x10, &value, 4, true), 0);
}

/* To the APIC with number 3. */
static void route(unsigned int pin, uint32_t entry)
{
	put(TABLE + 2 * pin + 1, 3U << 24);
	put(TABLE + 2 * pin, entry);
}

static void life(void)
{
	CHECK_EQUAL(vee_vm_create(&vm), 0);
	CHECK_EQUAL(vee_irqchip_create(vm, &chip), -ENODEV);
	vee_vm_destroy(vm);
	CHECK_EQUAL(vee_vm_create_with(&vm, VEE_VM_LOCAL_APIC), 0);
	fake.fail_allocation = 1;
	CHECK_EQUAL(vee_irqchip_create(vm, &chip), -ENOMEM);
	CHECK_EQUAL(vee_irqchip_create(vm, &chip), 0);
	vee_irqchip_destroy(chip);
	vee_irqchip_destroy(NULL);
	vee_vm_destroy(vm);
}

static void window(void)
{
	uint64_t data = 0;
	uint32_t select = 1;

	begin();
	CHECK_EQUAL(vee_irqchip_access(chip, WINDOW, &select, 4, true), 0);
	CHECK_EQUAL(vee_irqchip_access(chip, WINDOW + 0x10, &data, 8, false), 0);
	CHECK_EQUAL(data, (VEE_IRQCHIP_PINS - 1) << 16 | 0x20);
	CHECK_EQUAL(vee_irqchip_access(chip, WINDOW - 1, &data, 1, false), -ENOENT);
	CHECK_EQUAL(vee_irqchip_access(chip, WINDOW - 4, &data, 8, false), -ENOENT);
	CHECK_EQUAL(vee_irqchip_access(chip, WINDOW + 0x3f8, &data, 8, false), 0);
	CHECK_EQUAL(vee_irqchip_access(chip, WINDOW + 0x3fc, &data, 8, false), -ENOENT);
	CHECK_EQUAL(vee_irqchip_access(chip, UINT64_MAX, &data, 1, false), -ENOENT);
	end();
}

static void edge(void)
{
	begin();
	CHECK_EQUAL(vee_irqchip_set(chip, 5, true), 0);
	CHECK_EQUAL(vee_irqchip_set(chip, 5, false), 0);
	CHECK_EQUAL(fake.signals, 0);
	route(5, VECTOR);
	CHECK_EQUAL(vee_irqchip_set(chip, 5, true), 0);
	CHECK_EQUAL(vee_irqchip_set(chip, 5, true), 0);
	CHECK_EQUAL(fake.signals, 1);
	CHECK_EQUAL(fake.signal.address, 0xfee00000 | 3 << 12);
	CHECK_EQUAL(fake.signal.data & 0xff, VECTOR);
	CHECK_EQUAL(fake.signal.flags, 0);
	CHECK_EQUAL(vee_irqchip_set(chip, VEE_IRQCHIP_PINS, true), -EINVAL);
	end();
}

/* Asserted still when the guest is done, it comes again. */
static void level(void)
{
	begin();
	route(16, VECTOR | LEVEL);
	CHECK_EQUAL(vee_irqchip_set(chip, 16, true), 0);
	CHECK_EQUAL(fake.signals, 1);
	CHECK_EQUAL(fake.signal.flags, VEE_SIGNAL_LEVEL);
	CHECK_EQUAL(vee_irqchip_set(chip, 16, true), 0);
	CHECK_EQUAL(fake.signals, 1);
	vee_irqchip_eoi(chip, VECTOR + 1);
	CHECK_EQUAL(fake.signals, 1);
	vee_irqchip_eoi(chip, VECTOR);
	CHECK_EQUAL(fake.signals, 2);
	CHECK_EQUAL(vee_irqchip_set(chip, 16, false), 0);
	vee_irqchip_eoi(chip, VECTOR);
	CHECK_EQUAL(fake.signals, 2);
	end();
}

static void *make_edges(void *pin)
{
	for (int i = 0; i < EDGES; i++) {
		vee_irqchip_set(chip, (uintptr_t)pin, true);
		vee_irqchip_set(chip, (uintptr_t)pin, false);
	}
	return NULL;
}

/* Levels are kept by bits of one word: without the lock some edges go missing. */
static void many_threads(void)
{
	pthread_t threads[THREADS];

	begin();
	for (uintptr_t i = 0; i < THREADS; i++)
		route(i, VECTOR + i);
	for (uintptr_t i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, make_edges, (void *)i);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	CHECK_EQUAL(fake.signals, THREADS * EDGES);
	end();
}

const struct test tests[] = {
	{ "life", life },
	{ "window", window },
	{ "edge", edge },
	{ "level", level },
	{ "many threads", many_threads },
	{ 0 }
};
