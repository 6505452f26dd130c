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

/* --- runs --- */

#define DEVICE		0xd0000000ULL

static const struct vee_exit eoi = { .reason = VEE_EXIT_EOI, .eoi.vector = VECTOR };
static const struct vee_exit hlt = { .reason = VEE_EXIT_HLT };
static const struct vee_exit outb = {
	.reason = VEE_EXIT_PIO, .instruction_length = 1,
	.pio = { .port = 0x80, .width = 1, .direction = VEE_PIO_OUT, .data = 0x5a },
};

static struct rig rig;
static unsigned int ports, stores;
static int refusal;

static void begin_vcpu(void)
{
	rig_begin_mode(&rig, 8, 0x10000);
	fake.rip = 0x1000;
	begin();
	ports = 0;
	stores = 0;
	refusal = 0;
}

static void end_vcpu(void)
{
	end();
	rig_end(&rig);
}

static int take_port(void *arg, uint16_t port, void *data, unsigned int bytes, bool write)
{
	CHECK(arg == &rig && port == 0x80 && *(uint8_t *)data == 0x5a && bytes == 1 && write);
	ports++;
	return refusal;
}

static int take_store(void *arg, uint64_t gpa, void *data, unsigned int bytes, bool write)
{
	CHECK(arg == &rig && gpa == DEVICE && data && bytes == 4 && write);
	stores++;
	return 0;
}

static const struct vee_bus devices = {
	.memory = take_store, .port = take_port, .arg = &rig,
};

static int run_through(const struct vee_exit *exits, const struct vee_bus *bus)
{
	fake.runs = 0;
	fake.exits = exits;
	return vee_irqchip_run(rig.vcpu, chip, bus);
}

/* MOV [RAX], ECX */
static struct vee_exit store_at(uint64_t gpa)
{
	rig.vcpu->page->regs.rax = gpa;
	return (struct vee_exit) {
		.reason = VEE_EXIT_MMIO, .instruction_length = 2,
		.memory = {
			.gpa = gpa, .access = VEE_WRITE,
			.insn = { 0x89, 0x08 }, .insn_bytes = 2, .code_width = 8,
		},
	};
}

/* Up to an exit that is nobody's, past a signal. */
static void answered(void)
{
	const struct vee_exit exits[] = { eoi, outb, eoi, hlt };

	begin_vcpu();
	route(16, VECTOR | LEVEL);
	vee_irqchip_set(chip, 16, true);
	fake.run_error = -EINTR;
	CHECK_EQUAL(run_through(exits, &devices), 0);
	CHECK_EQUAL(rig.vcpu->page->exit.reason, VEE_EXIT_HLT);
	CHECK_EQUAL(fake.runs, 5);
	CHECK_EQUAL(fake.signals, 3);
	CHECK_EQUAL(ports, 1);
	end_vcpu();
}

static void memory_of_all(void)
{
	struct vee_exit exits[] = { hlt, hlt };

	begin_vcpu();
	exits[0] = store_at(DEVICE);
	CHECK_EQUAL(run_through(exits, &devices), 0);
	CHECK_EQUAL(stores, 1);
	CHECK_EQUAL(run_through(exits, NULL), -ENOENT);
	rig.vcpu->page->regs.rcx = 0x11;
	exits[0] = store_at(WINDOW);
	CHECK_EQUAL(run_through(exits, &devices), 0);
	CHECK_EQUAL(stores, 1);
	end_vcpu();
}

static void not_answered(void)
{
	const struct vee_exit exits[] = { outb, hlt };

	begin_vcpu();
	CHECK_EQUAL(run_through(exits, NULL), 0);
	CHECK_EQUAL(rig.vcpu->page->exit.reason, VEE_EXIT_PIO);
	refusal = -EPROTO;
	CHECK_EQUAL(run_through(exits, &devices), -EPROTO);
	CHECK_EQUAL(fake.runs, 1);
	fake.run_error = -EBUSY;
	CHECK_EQUAL(run_through(exits, &devices), -EBUSY);
	end_vcpu();
}

const struct test tests[] = {
	{ "life", life },
	{ "window", window },
	{ "edge", edge },
	{ "level", level },
	{ "many threads", many_threads },
	{ "exits of a run that are answered", answered },
	{ "memory of chip and devices", memory_of_all },
	{ "exits of a run that are not", not_answered },
	{ 0 }
};
