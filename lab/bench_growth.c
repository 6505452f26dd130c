// SPDX-License-Identifier: GPL-2.0-only
/*
 * How what a VM costs grows: with the VMs that are alive, a VM's slots, its vCPUs, and the
 * size of a memory of which little is used. vee alone; a line "what: how many" for each.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <vee.h>

#include "bench.h"
#include "bench_ticks.h"

#define ROUNDS		20
#define MOST_VMS	1000
#define MOST_SLOTS	512
#define MOST_VCPUS	64
#define MOST_GIB	64
#define GIB		(1ULL << 30)
#define PAGE		4096
#define ALL_ACCESS	(VEE_READ | VEE_WRITE | VEE_EXECUTE)

static int device;

static struct vee_vm *make_vm(void)
{
	struct vee_vm *vm;

	need(vee_vm_create_on(&vm, device, 0), "VM");
	return vm;
}

static void tell_of(const char *what, unsigned int many, uint32_t *ticks)
{
	char name[96];

	snprintf(name, sizeof(name), "%s: %u", what, many);
	tell(name, ticks, ROUNDS);
}

/* --- VMs -------------------------------------------------------------------------- */

static void time_lives(unsigned int alive)
{
	uint32_t ticks[ROUNDS];

	for (int i = 0; i < ROUNDS; i++) {
		struct guest g = { .memory = memory };
		uint64_t before = __rdtsc();

		engine->create(&g);
		engine->run(&g);
		engine->destroy(&g);
		ticks[i] = __rdtsc() - before;
	}
	tell_of("a VM made, run and torn down, VMs alive", alive, ticks);
}

static void measure_vms(void)
{
	static struct guest guests[MOST_VMS];

	for (unsigned int i = 0; i < MOST_VMS; i++) {
		if (i == 1 || i == 10 || i == 100)
			time_lives(i);
		guests[i] = (struct guest) { .memory = memory };
		engine->create(&guests[i]);
		engine->run(&guests[i]);
	}
	time_lives(MOST_VMS);
	for (unsigned int i = 0; i < MOST_VMS; i++)
		engine->destroy(&guests[i]);
}

/* --- slots ------------------------------------------------------------------------- */

/* Each of a page, with room between them, so that each is one for itself. */
static uint64_t slot_gpa(unsigned int number)
{
	return 2 * PAGE * (uint64_t)number;
}

static void time_slots(struct vee_vm *vm, uint8_t *lent, unsigned int there)
{
	uint32_t added[ROUNDS], taken[ROUNDS];

	for (int i = 0; i < ROUNDS; i++) {
		uint64_t before = __rdtsc(), between;

		need(vee_vm_map(vm, slot_gpa(there), lent + slot_gpa(there), PAGE, ALL_ACCESS),
		     "slot");
		between = __rdtsc();
		need(vee_vm_unmap(vm, slot_gpa(there), PAGE), "slot");
		added[i] = between - before;
		taken[i] = __rdtsc() - between;
	}
	tell_of("a slot added, slots there", there, added);
	tell_of("a slot taken back, slots there", there, taken);
}

static void measure_slots(void)
{
	uint8_t *lent = map(2 * PAGE * MOST_SLOTS, MADV_NOHUGEPAGE);
	struct vee_vm *vm = make_vm();

	for (unsigned int i = 0; i < MOST_SLOTS; i++) {
		if (i == 0 || i == 8 || i == 64 || i == MOST_SLOTS - 1)
			time_slots(vm, lent, i);
		need(vee_vm_map(vm, slot_gpa(i), lent + slot_gpa(i), PAGE, ALL_ACCESS), "slot");
	}
	vee_vm_destroy(vm);
}

/* --- vCPUs --------------------------------------------------------------------------- */

static void time_vcpus(struct vee_vm *vm, unsigned int there)
{
	uint32_t ticks[ROUNDS];

	for (int i = 0; i < ROUNDS; i++) {
		uint64_t before = __rdtsc();
		struct vee_vcpu *vcpu;

		need(vee_vcpu_create(vm, there, &vcpu), "vCPU");
		vee_vcpu_destroy(vcpu);
		ticks[i] = __rdtsc() - before;
	}
	tell_of("a vCPU made and torn down, vCPUs there", there, ticks);
}

static void measure_vcpus(void)
{
	struct vee_vcpu *vcpus[MOST_VCPUS];
	struct vee_vm *vm = make_vm();

	for (unsigned int i = 0; i < MOST_VCPUS; i++) {
		if (i == 0 || i == 1 || i == 8 || i == MOST_VCPUS - 1)
			time_vcpus(vm, i);
		need(vee_vcpu_create(vm, i, &vcpus[i]), "vCPU");
	}
	for (unsigned int i = 0; i < MOST_VCPUS; i++)
		vee_vcpu_destroy(vcpus[i]);
	vee_vm_destroy(vm);
}

/* --- memory ------------------------------------------------------------------------------ */

/* RCX pages from RSI on, a GiB from one to the next. */
GUEST_CODE(touch_far,
	   "1: mov (%rsi), %al; add $0x40000000, %rsi; loop 1b; out %al, $" VALUE(PORT_DONE));

static void map_far(void)
{
	uint64_t *pdpt = (uint64_t *)(memory + GPA_PDPT);

	for (uint64_t i = 1; i <= MOST_GIB; i++)
		pdpt[i] = i * GIB | 0xe3;	/* 1 GiB, accessed, dirty */
}

static uint32_t time_end(uint8_t *far, unsigned int gib)
{
	struct guest g = { .memory = memory };
	struct vee_guest *v;
	uint64_t before;

	engine->create(&g);
	v = g.private;
	need(vee_vm_map(v->vm, GIB, far, gib * GIB, ALL_ACCESS), "memory");
	v->vcpu->page->regs.rsi = GIB;
	v->vcpu->page->regs.rcx = gib;
	engine->run(&g);
	before = __rdtsc();
	engine->destroy(&g);
	return __rdtsc() - before;
}

static void measure_memory(void)
{
	uint8_t *far = mmap(NULL, MOST_GIB * GIB, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (far == MAP_FAILED)
		die("no room for %d GiB", MOST_GIB);
	map_far();
	memcpy(memory + GPA_CODE, touch_far, touch_far_end - touch_far);
	for (unsigned int gib = 1; gib <= MOST_GIB; gib *= 4) {
		uint32_t ticks[ROUNDS];

		for (int i = 0; i < ROUNDS; i++)
			ticks[i] = time_end(far, gib);
		tell_of("torn down, GiB of memory with a page in each", gib, ticks);
	}
}

GUEST_CODE(once, "out %al, $" VALUE(PORT_DONE));

void measure(void)
{
	const struct rlimit files = { 4 * MOST_VMS, 4 * MOST_VMS };

	device = open("/dev/vee", O_RDWR | O_CLOEXEC);
	need(device < 0 || setrlimit(RLIMIT_NOFILE, &files) ? -errno : 0, "descriptors");
	memcpy(memory + GPA_CODE, once, once_end - once);
	measure_vms();
	measure_slots();
	measure_vcpus();
	measure_memory();
}
