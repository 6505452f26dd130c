// SPDX-License-Identifier: GPL-2.0-only
/*
 * Machines that begin as a template: one made for a call and thrown away after, and one that
 * is put back after each call, whatever it has written.
 */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench_calls.h"
#include "bench_template.h"
#include "bench_ticks.h"

#define LIVES		100
#define ROUNDS		200

/*
 * One more than RDI; and 1 is added to a word of each of RSI pages, the first of which is to
 * be 0, or RAX is not what it should be.
 */
GUEST_CODE(write_some,
	   "lea 1(%rdi), %rax; mov %esi, %ecx; jrcxz 2f\n"
	   "mov $" VALUE(GPA_WRITTEN) ", %ebx; add (%rbx), %rax\n"
	   "1: incl (%rbx); add $4096, %rbx; dec %ecx; jnz 1b\n"
	   "2: out %al, $" VALUE(PORT));

static const struct template_engine *templates;
static const struct call_engine *calls;

void template_open(const struct template_engine *engine)
{
	int fd = memfd_create("template", MFD_CLOEXEC);

	if (fd < 0 || write(fd, memory, GUEST_BYTES) != GUEST_BYTES)
		die("no memory for the template");
	engine->open(fd);
	close(fd);
}

static void make_template(void)
{
	memcpy(memory + GPA_CODE, write_some, write_some_end - write_some);
	memset(memory + GPA_WRITTEN, 0, WRITTEN_MOST * 4096);
	template_open(templates);
}

static void call(struct guest *g, uint64_t argument, unsigned int pages)
{
	uint64_t result = calls->call_with(g, argument, pages);

	if (result != RESULT_OF(argument))
		die("%s: a call gave %#llx", engine->name, (unsigned long long)result);
}

/* --- made for one call ---------------------------------------------------------------- */

static void live(unsigned int pages)
{
	struct guest g = { 0 };

	templates->create(&g);
	call(&g, 5, pages);
	templates->destroy(&g);
}

static void measure_life(const char *what, unsigned int pages)
{
	uint32_t ticks[LIVES];

	for (int i = 0; i < LIVES; i++) {
		uint64_t before = __rdtsc();

		live(pages);
		ticks[i] = __rdtsc() - before;
	}
	tell(what, ticks, LIVES);
}

/* --- put back after each ---------------------------------------------------------------- */

static void measure_put_back(const char *what, unsigned int pages)
{
	struct guest g = { 0 };
	uint32_t ticks[ROUNDS];

	templates->create_kept(&g);
	for (int i = -2; i < ROUNDS; i++) {
		uint64_t before = __rdtsc();

		call(&g, i, pages);
		templates->put_back(&g);
		if (i >= 0)
			ticks[i] = __rdtsc() - before;
	}
	templates->destroy_kept(&g);
	tell(what, ticks, ROUNDS);
}

void measure_template(void)
{
	templates = engine == &engine_kvm ? &template_kvm : &template_vee;
	calls = engine == &engine_kvm ? &calls_kvm : &calls_vee;
	make_template();
	measure_life("a VM on a template (copy-on-write), to the result and all gone", 0);
	measure_life("the same, of a call that writes 4 pages", 4);
	measure_put_back("a call that writes 4 pages, and they are put back", 4);
	measure_put_back("the same of 16 pages", 16);
}
