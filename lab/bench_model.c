// SPDX-License-Identifier: GPL-2.0-only
/* The paths of lab/bench-model. */
#include "bench.h"
#include "bench_kvm.h"
#include "bench_path.h"

/* With those that are traced no more than KVM has room for. */
#define WARM_POSTS	64

PATH_AFTER(out_linux, LIKE_LINUX, PATH_WARM, DO_OUT);
PATH_AFTER(out_posted, "", WARM_POSTS, DO_OUT);

/* KVM has neither SYSCALL nor XSAVE for a vCPU without a table for CPUID. */
static void trace_linux(void)
{
	const bool before = kvm_has_cpuid;

	kvm_has_cpuid = true;
	path_trace(NAME_LINUX, PATH_OF(out_linux), NULL, NULL);
	kvm_has_cpuid = before;
}

static void trace_interrupts(void)
{
	struct guest g = { .memory = memory };

	path_begin_interrupts(&g);
	for (int i = 0; i < PATH_WARM; i++)
		path_interrupt(&g);
	for (int i = 0; i < PATH_SECTIONS; i++) {
		path_edge();
		path_interrupt(&g);
		path_edge();
		path_told(NAME_INTERRUPT);
	}
	engine->destroy(&g);
}

void measure(void)
{
	path_trace(NAME_PIO, &path_out, NULL, NULL);
	trace_linux();
	trace_interrupts();
	path_trace(NAME_CPUID, &path_cpuid, NULL, NULL);
	path_trace(NAME_HLT, &path_hlt, NULL, NULL);
	path_trace(NAME_MMIO, &path_mmio, NULL, NULL);
	path_trace(NAME_WRMSR, &path_wrmsr, NULL, NULL);
	path_trace(NAME_CR0, &path_cr0, NULL, NULL);
	path_trace(NAME_POSTED, PATH_OF(out_posted), NULL, path_post);
	path_trace(NAME_BELL, &path_out, NULL, path_ring);
}
