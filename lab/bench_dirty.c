// SPDX-License-Identifier: GPL-2.0-only
/*
 * What it takes to be told which pages were written, and to have them count as clean: of
 * 1 GiB, of which the guest has written 262 pages far from each other.
 */
#include <string.h>
#include <sys/mman.h>

#include "bench_dirty.h"
#include "bench_ticks.h"

#define ROUNDS		20
#define GPA_PD_HIGH	0x7000ULL

GUEST_CODE(write_pages,
	   "1: mov $0x40000000, %ebx; mov $" VALUE(WRITTEN) ", %ecx\n"
	   "2: incl (%rbx); add $" VALUE(WRITTEN_STEP) " * 4096, %rbx; dec %ecx; jnz 2b\n"
	   "out %al, $" VALUE(PORT_DONE) "; jmp 1b");

static void *sparse;

/* The guest's tables map the sparse memory, too. */
static void map_sparse(void)
{
	uint64_t *pd = (uint64_t *)(memory + GPA_PD_HIGH);

	((uint64_t *)(memory + GPA_PDPT))[1] = GPA_PD_HIGH | 0x23;
	for (uint64_t i = 0; i < 512; i++)
		pd[i] = (GPA_SPARSE + i * 2 * MIB) | 0xe3;	/* accessed, dirty */
}

void dirty_write(struct guest *g)
{
	if (engine->run(g) != STOP_DONE)
		die("%s: the guest has not written", engine->name);
}

void dirty_fetch(struct guest *g, const struct dirty_way *way)
{
	unsigned int count = way->fetch(g);

	if (count != WRITTEN)
		die("%s: %u pages were written", engine->name, count);
}

/* Ticks a page. The first rounds have the pages and tables made. */
static void sample(struct guest *g, const struct dirty_way *way, uint32_t *ticks)
{
	for (int i = -2; i < ROUNDS; i++) {
		uint64_t before;

		dirty_write(g);
		before = __rdtsc();
		dirty_fetch(g, way);
		if (i >= 0)
			ticks[i] = (__rdtsc() - before) / WRITTEN;
	}
	ticks_sort(ticks, ROUNDS);
}

bool dirty_begin(struct guest *g, const struct dirty_way *way)
{
	void *hva = mmap(NULL, SPARSE_BYTES, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (hva == MAP_FAILED)
		die("no room");
	madvise(hva, SPARSE_BYTES, MADV_NOHUGEPAGE);
	memcpy(memory + GPA_CODE, write_pages, write_pages_end - write_pages);
	map_sparse();
	*g = (struct guest) { .memory = memory };
	sparse = hva;
	return way->begin(g, hva);
}

void dirty_end(struct guest *g)
{
	engine->destroy(g);
	munmap(sparse, SPARSE_BYTES);
}

static bool measure_way(const struct dirty_way *way, uint32_t *ticks)
{
	struct guest g;
	bool has = dirty_begin(&g, way);

	if (has)
		sample(&g, way, ticks);
	dirty_end(&g);
	return has;
}

void measure_dirty(void)
{
	const struct dirty_way *way = engine == &engine_kvm ? dirty_kvm : dirty_vee;
	uint32_t best[ROUNDS], ticks[ROUNDS];
	bool any = false;

	for (; way->begin; way++) {
		if (!measure_way(way, ticks) || (any && best[ROUNDS / 2] < ticks[ROUNDS / 2]))
			continue;
		memcpy(best, ticks, sizeof(best));
		any = true;
	}
	if (!any)
		die("%s: no way to find dirty pages", engine->name);
	tell("fetch and clear of dirty pages, per dirty page, 1 GiB, 0.1% dirty", best, ROUNDS);
}
