// SPDX-License-Identifier: GPL-2.0-only
/*
 * How much of the kernel's memory an idle VM keeps: one vCPU and 1 MiB of memory, of
 * which the guest has touched all, and does nothing any more.
 *
 * The figure is the number of pages that are no longer free after a batch of VMs, by
 * the kernel's own count. The VMs share one guest memory, so none of it is in there;
 * the page tables and the mapping of the page that a vCPU shares with its program are.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"

#define BATCHES		8
#define BATCH		32	/* VMs: what is kept ready per CPU or slab is little then */

GUEST_CODE(touch_all,
	   "xor %edi, %edi\n"
	   "1: mov (%rdi), %al\n"
	   "add $4096, %edi\n"
	   "cmp $0x100000, %edi\n"
	   "jnz 1b\n"
	   "hlt");

static FILE *open_or_die(const char *path)
{
	FILE *file = fopen(path, "re");

	if (!file)
		die("%s can't be read", path);
	return file;
}

/* Free pages of all zones, those in the lists of the CPUs as well. */
static long free_pages(void)
{
	char line[256];
	long pages, sum = 0;
	FILE *file;

	/* Reading it folds in what each CPU has counted by itself. */
	file = open_or_die("/proc/sys/vm/stat_refresh");
	fread(line, 1, sizeof(line), file);
	fclose(file);
	file = open_or_die("/proc/zoneinfo");
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, " pages free %ld", &pages) == 1 ||
		    sscanf(line, " count: %ld", &pages) == 1)
			sum += pages;
	fclose(file);
	return sum;
}

/* What the VMs before have left to be freed is freed in the background. */
static long settled_free_pages(void)
{
	long before, now = free_pages();

	do {
		before = now;
		usleep(20000);
		now = free_pages();
	} while (now > before);
	return now;
}

void measure_idle_memory(void)
{
	static struct guest guests[BATCHES * BATCH];
	uint32_t bytes[BATCHES];
	long page = sysconf(_SC_PAGESIZE), before, now;

	memcpy(memory + GPA_CODE, touch_all, touch_all_end - touch_all);
	before = settled_free_pages();
	for (int i = 0; i < BATCHES * BATCH; i++) {
		guests[i] = (struct guest) { .memory = memory };
		engine->create(&guests[i]);
		if (engine->run(&guests[i]) != STOP_HLT)
			die("not a HLT");
		if ((i + 1) % BATCH)
			continue;
		now = free_pages();
		bytes[i / BATCH] = (before - now) * page / BATCH;
		before = now;
	}
	for (int i = 0; i < BATCHES * BATCH; i++)
		engine->destroy(&guests[i]);
	tell("idle VM, one vCPU and 1 MiB: bytes in the kernel", bytes, BATCHES);
}
