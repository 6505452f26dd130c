// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the benchmarks under vee and KVM share: the choice of the engine, the guest's
 * memory, and a line for each figure with engine, name, minimum, median and 90th
 * percentile in ticks of the TSC, and the number of rounds.
 *
 * usage: bench vee|kvm [hold]; hold: has a virtual machine until it is ended
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>

#include "bench.h"
#include "bench_ticks.h"

const struct engine *engine;
uint8_t *memory;

void guest_run_to_the_end(struct guest *g)
{
	while (engine->run(g) != STOP_DONE)
		;
}

void need(int ret, const char *what)
{
	if (ret < 0)
		die("%s: %s: %s", engine->name, what, strerror(-ret));
}

void tell(const char *what, uint32_t *samples, unsigned int count)
{
	ticks_sort(samples, count);
	printf("%s|%s|%u|%u|%u|%u\n", engine->name, what, samples[0],
	       samples[count / 2], samples[count * 9 / 10], count);
	fflush(stdout);
}

void *map(size_t bytes, int advice)
{
	uint8_t *room = mmap(NULL, bytes + 2 * MIB, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (room == MAP_FAILED)
		die("no memory");
	room += -(uintptr_t)room % (2 * MIB);
	madvise(room, bytes, advice);
	return room;
}

/* The guest's own tables map 1 GiB of guest-physical memory to itself. */
static void write_tables(void)
{
	uint64_t *pml4 = (uint64_t *)(memory + GPA_PML4);
	uint64_t *pdpt = (uint64_t *)(memory + GPA_PDPT);
	uint64_t *pd = (uint64_t *)(memory + GPA_PD);
	uint64_t *gdt = (uint64_t *)(memory + GPA_GDT);
	uint64_t *gate = (uint64_t *)(memory + GPA_IDT + VECTOR * 16);

	pml4[0] = GPA_PDPT | 3;
	pdpt[0] = GPA_PD | 3;
	for (uint64_t i = 0; i < 512; i++)
		pd[i] = i * 2 * MIB | 0xe3;	/* 2 MiB, accessed, dirty */
	gdt[1] = 0x00af9b000000ffff;
	gdt[2] = 0x00cf93000000ffff;
	gate[0] = GPA_HANDLER | 8 << 16 | 0x8e00ULL << 32;
	gate[1] = 0;
}

static void hold(void)
{
	struct guest g = { .memory = memory };

	engine->create(&g);
	puts("held");
	fflush(stdout);
	pause();
}

int main(int argc, char **argv)
{
	engine = argc > 1 && !strcmp(argv[1], "kvm") ? &engine_kvm : &engine_vee;
	need(engine->open(), "its device can't be opened: is the module loaded?");
	memory = map(GUEST_BYTES, MADV_NOHUGEPAGE);
	memset(memory, 0, GUEST_BYTES);
	write_tables();
	if (argc > 2 && !strcmp(argv[2], "hold"))
		hold();
	else
		measure();
	return 0;
}
