// SPDX-License-Identifier: GPL-2.0-only
/*
 * Many vCPUs on one thread: 64 VMs in turn, and by io_uring.
 */
#include <liburing.h>
#include <string.h>
#include <x86intrin.h>

#include <vee.h>

#include "bench.h"

#define MACHINES	64
#define ROUNDS		1000
#define BUDGET_US	10000	/* no step comes near it */

static struct guest guests[MACHINES];
static uint32_t ticks[ROUNDS];

GUEST_CODE(exits, "1: out %al, $" VALUE(PORT) "; jmp 1b");

/* All machines have the same memory: they only read it. */
static void build(const uint8_t *code, const uint8_t *end, unsigned int count)
{
	memcpy(memory + GPA_CODE, code, end - code);
	for (unsigned int i = 0; i < count; i++) {
		guests[i] = (struct guest) { .memory = memory };
		engine->create(&guests[i]);
	}
}

static void tear_down(unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		engine->destroy(&guests[i]);
}

static void measure_in_turn(const char *what, unsigned int count)
{
	build(exits, exits_end, count);
	for (int round = 0; round < ROUNDS; round++) {
		uint64_t before = __rdtsc();

		for (unsigned int i = 0; i < count; i++)
			if (engine->run(&guests[i]) != STOP_PIO)
				die("not an OUT");
		ticks[round] = (__rdtsc() - before) / count;
	}
	tear_down(count);
	tell(what, ticks, ROUNDS);
}

static struct vee_vcpu *vcpu_of(const struct guest *g)
{
	return ((struct vee_guest *)g->private)->vcpu;
}

static void next_step(struct vee_ring *ring)
{
	struct vee_ring_event event;

	need(vee_ring_wait(ring, &event), "waiting");
	if (event.result != VEE_EXIT_PIO)
		die("not an OUT: %d", event.result);
	vee_done(event.vcpu);
	need(vee_ring_run(ring, event.vcpu, BUDGET_US), "a run");
}

/* What libvee puts together, as requests of one's own. */
static void request_run(struct vee_ring *ring, unsigned int i)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(vee_ring_uring(ring));
	struct vee_uring_cmd cmd = { .budget_us = BUDGET_US };

	io_uring_prep_rw(IORING_OP_URING_CMD, sqe, vcpu_of(&guests[i])->fd, NULL, 0, 0);
	sqe->cmd_op = VEE_VCPU_RUN;
	memcpy(sqe->cmd, &cmd, sizeof(cmd));
	sqe->user_data = 2 * i;
}

static void next_request(struct vee_ring *ring)
{
	struct vee_ring_event event;

	need(vee_ring_wait(ring, &event), "waiting");
	if (event.result != VEE_EXIT_PIO)
		die("not an OUT: %d", event.result);
	vee_done(vcpu_of(&guests[event.data / 2]));
	request_run(ring, event.data / 2);
}

static void measure_ring(const char *what, void (*next)(struct vee_ring *ring))
{
	struct vee_ring *ring;

	build(exits, exits_end, MACHINES);
	need(vee_ring_create(&ring, MACHINES), "io_uring");
	for (int i = 0; i < MACHINES; i++)
		if (next == next_request)
			request_run(ring, i);
		else
			need(vee_ring_run(ring, vcpu_of(&guests[i]), BUDGET_US), "a run");
	for (int round = 0; round < ROUNDS; round++) {
		uint64_t before = __rdtsc();

		for (int i = 0; i < MACHINES; i++)
			next(ring);
		ticks[round] = (__rdtsc() - before) / MACHINES;
	}
	vee_ring_destroy(ring);
	tear_down(MACHINES);
	tell(what, ticks, ROUNDS);
}

void measure(void)
{
	measure_in_turn("one VM", 1);
	measure_in_turn("64 VMs in turn", MACHINES);
	if (engine == &engine_kvm)
		return;
	measure_ring("64 VMs by io_uring, one thread", next_step);
	measure_ring("64 VMs by io_uring, a request each", next_request);
}
