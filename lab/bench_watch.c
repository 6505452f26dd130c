// SPDX-License-Identifier: GPL-2.0-only
/* Writes that end no run: what each costs the guest, and what it takes to have one such. */
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "bench_ticks.h"
#include "bench_watch.h"

#define ROUNDS		100
#define CHANGES		50
#define WRITES		64	/* at a time: KVM takes 85 of the 170 that its ring has room for */
#define RANGES		64	/* VEE_MAX_WATCHES */
#define PORT_HIGH	0x1000	/* where they are, 8 ports apart */
#define PORT_LAST	0x11f8

/* As bench.h has them, for the assembler. */
#define MAILBOX		0x11000
#define MMIO		0x20000000
_Static_assert(MAILBOX == GPA_MAILBOX && MMIO == GPA_MMIO, "one number for both");

#define WRITER(name, text)						\
	GUEST_CODE(name,						\
		   "1: rdtsc\n"						\
		   "mov %eax, %ebx\n"					\
		   "mov $" VALUE(WRITES) ", %ecx\n"			\
		   "2: " text "\n"					\
		   "dec %ecx\n"						\
		   "jnz 2b\n"						\
		   "rdtsc\n"						\
		   "sub %ebx, %eax\n"					\
		   "mov %eax, " VALUE(MAILBOX) "\n"			\
		   "out %eax, $" VALUE(PORT_DONE) "\n"			\
		   "jmp 1b")

WRITER(outs, "out %al, $" VALUE(PORT));
/* The MOV to DX is an instruction more. */
WRITER(outs_last, "mov $" VALUE(PORT_LAST) ", %edx; out %al, %dx");
WRITER(movs, "mov %eax, " VALUE(MMIO));

static const struct watcher *watcher;

static struct watch bell_at(uint64_t address, bool in_memory)
{
	struct watch watch = {
		.address = address, .memory = in_memory, .bell = true,
		.eventfd = eventfd(0, EFD_NONBLOCK),
	};

	need(watch.eventfd, "an eventfd");
	return watch;
}

static void build(struct guest *g, const uint8_t *code, const uint8_t *end)
{
	memcpy(memory + GPA_CODE, code, end - code);
	*g = (struct guest) { .memory = memory };
	engine->create(g);
}

/* All of them are as they are to be: posted, or not. */
static void measure_writes(const char *what, struct guest *g, bool posted)
{
	uint32_t ticks[ROUNDS];

	for (int i = 0; i < ROUNDS; i++) {
		if (engine->run(g) != STOP_DONE)
			die("%s: %s: an exit", engine->name, what);
		if (watcher->take(g) != (posted ? WRITES : 0))
			die("%s: %s: not all was posted", engine->name, what);
		ticks[i] = *(volatile uint32_t *)(memory + GPA_MAILBOX) / WRITES;
	}
	engine->destroy(g);
	tell(what, ticks, ROUNDS);
}

static void measure_posts(void)
{
	struct watch port = { .address = PORT }, mmio = { .address = GPA_MMIO, .memory = true };
	struct guest g;

	build(&g, outs, outs_end);
	watcher->set(&g, &port, false);
	measure_writes("OUT that is posted (KVM: coalesced)", &g, true);
	build(&g, outs_last, outs_last_end);
	for (unsigned int i = 0; i < RANGES; i++)
		watcher->set(&g, &(struct watch) { .address = PORT_HIGH + 8 * i }, false);
	measure_writes("OUT that is posted, to the last of 64 ranges", &g, true);
	build(&g, movs, movs_end);
	watcher->set(&g, &mmio, false);
	measure_writes("MMIO write that is posted (KVM: coalesced)", &g, true);
}

static void measure_bells(void)
{
	struct watch port = bell_at(PORT, false), mmio = bell_at(GPA_MMIO, true);
	struct guest g;

	build(&g, outs, outs_end);
	watcher->set(&g, &port, false);
	measure_writes("OUT to an eventfd", &g, false);
	build(&g, movs, movs_end);
	watcher->set(&g, &mmio, false);
	measure_writes("MMIO write to an eventfd (KVM: fast MMIO)", &g, false);
	close(port.eventfd);
	close(mmio.eventfd);
}

static void measure_changes(const char *add, const char *remove, const struct watch *watch)
{
	uint32_t adding[CHANGES], removing[CHANGES];
	struct guest g;

	build(&g, outs, outs_end);
	for (int i = 0; i < CHANGES; i++) {
		uint64_t before = __rdtsc(), between;

		watcher->set(&g, watch, false);
		between = __rdtsc();
		watcher->set(&g, watch, true);
		removing[i] = __rdtsc() - between;
		adding[i] = between - before;
	}
	engine->destroy(&g);
	tell(add, adding, CHANGES);
	tell(remove, removing, CHANGES);
}

void measure_watches(void)
{
	struct watch range = { .address = PORT }, bell = bell_at(PORT, false);

	watcher = engine == &engine_kvm ? &watcher_kvm : &watcher_vee;
	measure_posts();
	measure_bells();
	measure_changes("adding a range that is posted", "removing a range that is posted", &range);
	measure_changes("adding an eventfd", "removing an eventfd", &bell);
	close(bell.eventfd);
}
