// SPDX-License-Identifier: GPL-2.0-only
/* Paths to be traced, under the engine at hand. */
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>

#include "bench_path.h"
#include "bench_watch.h"

PATH(out, DO_OUT);
PATH(cpuid, DO_CPUID);
PATH(wrmsr, DO_WRMSR);
PATH(cr0, DO_CR0);
PATH(mmio, DO_MMIO);
PATH(hlt, DO_HLT);
GUEST_CODE(handler, "iretq");
GUEST_CODE(interruptible, "1: sti; " DO_OUT "; jmp 1b");

const struct path path_out = { out, out_end }, path_cpuid = { cpuid, cpuid_end },
	path_wrmsr = { wrmsr, wrmsr_end }, path_cr0 = { cr0, cr0_end },
	path_mmio = { mmio, mmio_end }, path_hlt = { hlt, hlt_end };

void path_edge(void)
{
	asm volatile("xchg %%bx, %%bx" : : : "memory");
}

void path_told(const char *what)
{
	printf("section|%s|%s\n", engine->name, what);
}

void path_trace(const char *what, const struct path *path, uint8_t *touch,
		void (*prepare)(struct guest *g))
{
	struct guest g = { .memory = memory, .touch = touch };

	memcpy(memory + GPA_CODE, path->code, path->end - path->code);
	engine->create(&g);
	if (prepare)
		prepare(&g);
	guest_run_to_the_end(&g);
	engine->destroy(&g);
	for (int i = 0; i < PATH_SECTIONS; i++)
		path_told(what);
}

void path_begin_interrupts(struct guest *g)
{
	memcpy(memory + GPA_HANDLER, handler, handler_end - handler);
	memcpy(memory + GPA_CODE, interruptible, interruptible_end - interruptible);
	engine->create(g);
	engine->run(g);
}

static void watch_port(struct guest *g, const struct watch *watch)
{
	const struct watcher *watcher = engine == &engine_kvm ? &watcher_kvm : &watcher_vee;

	watcher->set(g, watch, false);
}

void path_post(struct guest *g)
{
	watch_port(g, &(struct watch) { .address = PORT });
}

void path_ring(struct guest *g)
{
	static int fd = -1;

	if (fd < 0)
		fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	watch_port(g, &(struct watch) { .address = PORT, .bell = true, .eventfd = fd });
}
