// SPDX-License-Identifier: GPL-2.0-only
/* Paths to be traced, under the engine at hand. */
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>

#include "bench_path.h"
#include "bench_watch.h"

PATH(out, "out %al, $" VALUE(PORT));
PATH(cpuid, "xor %eax, %eax; cpuid");
/* IA32_LSTAR, which both engines answer in the kernel. */
PATH(wrmsr, "mov $0xc0000082, %ecx; xor %eax, %eax; xor %edx, %edx; wrmsr");
PATH(cr0, "mov %cr0, %rax; xor $0x20, %eax; mov %rax, %cr0");
PATH(mmio, "mov %eax, 0x20000000");
PATH(hlt, "hlt");

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
	while (engine->run(&g) != STOP_DONE)
		;
	engine->destroy(&g);
	for (int i = 0; i < PATH_SECTIONS; i++)
		path_told(what);
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
