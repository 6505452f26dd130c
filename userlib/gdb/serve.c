// SPDX-License-Identifier: LGPL-2.1-or-later
/* A stub for gdb in a program that runs a vCPU: around its runs, in its own loop. */
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "gdb.h"

/* --- begin and end --- */

static void ask_to_look(void *gdb)
{
	cpus_kick(gdb);
}

static int prepare(struct vee_gdb *gdb, struct vee_vcpu *vcpu)
{
	pthread_condattr_t attributes;
	int err = cpus_add(gdb, vcpu);

	if (err)
		return err;
	gdb->cpu = gdb->cpus[0];
	gdb->told = gdb->cpu;
	registers_look(gdb);
	pthread_mutex_init(&gdb->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&gdb->changed, &attributes);
	return registers_describe(gdb);
}

static int create(struct vee_vcpu *vcpu, struct vee_gdb **gdb)
{
	struct vee_gdb *new = calloc(1, sizeof(*new));

	if (!new)
		return -ENOMEM;
	new->link.listener = -1;
	new->link.peer = -1;
	new->link.turned_away = -1;
	new->link.wake = -1;
	*gdb = new;
	return prepare(new, vcpu);
}

static void destroy(struct vee_gdb *gdb)
{
	if (!gdb)
		return;
	link_end(&gdb->link);
	cpus_free(gdb);
	free(gdb->description);
	free(gdb);
}

int vee_gdb_open(struct vee_vcpu *vcpu, const char *where, struct vee_gdb **gdb)
{
	struct vee_gdb *new = NULL;
	int err = create(vcpu, &new);

	if (!err)
		err = link_listen(&new->link, where);
	if (!err)
		err = link_begin(&new->link, ask_to_look, new);
	if (err)
		destroy(new);
	else
		*gdb = new;
	return err;
}

int vee_gdb_open_fd(struct vee_vcpu *vcpu, int fd, struct vee_gdb **gdb)
{
	struct vee_gdb *new = NULL;
	int err = create(vcpu, &new);

	if (!err) {
		new->link.peer = dup(fd);
		err = new->link.peer < 0 ? -errno : link_begin(&new->link, ask_to_look, new);
	}
	if (err)
		destroy(new);
	else
		*gdb = new;
	return err;
}

int vee_gdb_add(struct vee_gdb *gdb, struct vee_vcpu *vcpu)
{
	int err;

	if (vcpu->vm != gdb->cpus[0]->vcpu->vm)
		return -EXDEV;
	pthread_mutex_lock(&gdb->lock);
	err = cpus_add(gdb, vcpu);
	if (!err && gdb->stopping)
		cpus_halt(gdb->cpus[gdb->cpu_count - 1]);
	pthread_mutex_unlock(&gdb->lock);
	return err;
}

void vee_gdb_stop(struct vee_gdb *gdb)
{
	pthread_mutex_lock(&gdb->lock);
	cpus_halt(gdb->cpus[0]);
	cpus_stop(gdb);
	cpus_wish(gdb, GDB_WAIT);
	pthread_mutex_unlock(&gdb->lock);
}

bool vee_gdb_is_stepping(const struct vee_gdb *gdb)
{
	return cpus_step(gdb);
}

/* --- going on --- */

/* A stop that gdb has not been told of comes again, or has been told of before this. */
static int resume_cpu(struct vee_gdb *gdb, struct gdb_cpu *cpu)
{
	struct vee_vcpu_page *page = cpu->vcpu->page;
	int err;

	gdb->cpu = cpu;
	err = break_arm(gdb);
	if (err)
		return err;
	cpu->untold = false;
	cpu->has_area = false;
	cpu->stepping = cpu->wish == GDB_STEP;
	page->intercept &= ~VEE_INTERCEPT_STEP;
	if (cpu->stepping)
		page->intercept |= VEE_INTERCEPT_STEP;
	return 0;
}

/* What has a wish; the others wait on. All or none. */
static int resume(struct vee_gdb *gdb)
{
	int err = 0;

	for (unsigned int i = 0; i < gdb->cpu_count && !err; i++)
		if (gdb->cpus[i]->wish != GDB_WAIT)
			err = resume_cpu(gdb, gdb->cpus[i]);
	if (err)
		return err;
	for (unsigned int i = 0; i < gdb->cpu_count; i++)
		if (gdb->cpus[i]->wish != GDB_WAIT)
			cpus_release(gdb->cpus[i]);
	gdb->stopping = false;
	link_release(&gdb->link);
	return 0;
}

/* It has the guest as it was without. */
static void let_go(struct vee_gdb *gdb)
{
	gdb->physical = false;
	gdb->no_ack = false;
	gdb->only = NULL;
	memset(&gdb->packet, 0, sizeof(gdb->packet));
	break_remove_all(gdb);
	for (unsigned int i = 0; i < gdb->cpu_count; i++) {
		gdb->cpu = gdb->cpus[i];
		gdb->cpu->stepping = false;
		gdb->cpu->untold = false;
		gdb->cpu->vcpu->page->intercept &= ~VEE_INTERCEPT_STEP;
		break_arm(gdb);
	}
	cpus_wish(gdb, GDB_CONTINUE);
}

static void kill_guest(struct vee_gdb *gdb)
{
	for (unsigned int i = 0; i < gdb->cpu_count; i++)
		gdb->cpus[i]->killed = true;
}

static void tell_of(struct vee_gdb *gdb, struct gdb_cpu *cpu)
{
	cpus_wish(gdb, GDB_WAIT);
	if (!cpu)
		return;
	cpu->untold = false;
	gdb->cpu = cpu;
	gdb->told = cpu;
	command_tell_stop(gdb);
}

/* As gdb has said; a stop that it has not heard of comes first. */
static int act(struct vee_gdb *gdb)
{
	struct gdb_cpu *untold;

	if (gdb->action == GDB_KILL) {
		kill_guest(gdb);
		return 0;
	}
	if (gdb->action == GDB_DETACH) {
		let_go(gdb);
		link_hang_up(&gdb->link);
		return resume(gdb);
	}
	untold = cpus_untold(gdb, true);
	if (!untold)
		return resume(gdb);
	tell_of(gdb, untold);
	return 0;
}

void vee_gdb_close(struct vee_gdb *gdb, unsigned int status)
{
	if (!gdb)
		return;
	link_hold(&gdb->link);
	command_tell_end(gdb, status);
	let_go(gdb);
	destroy(gdb);
}

/* --- while the guest is stopped --- */

static void acknowledge(struct vee_gdb *gdb, char answer)
{
	if (!gdb->no_ack && link_send(&gdb->link, &answer, 1))
		link_hang_up(&gdb->link);
}

/* A byte of gdb's, or that it has connected. */
static void take(struct vee_gdb *gdb, int byte)
{
	if (byte == LINK_NEW) {
		gdb->only = NULL;
		gdb->cpu = gdb->told;
		gdb->cpu->signal = SIGNAL_TRAP;
		*gdb->cpu->why = 0;
		return;
	}
	switch (packet_take(&gdb->packet, byte)) {
	case PACKET_WHOLE:
		acknowledge(gdb, '+');
		command_do(gdb);
		break;
	case PACKET_BAD:
		acknowledge(gdb, '-');
		break;
	case PACKET_RESEND:
		command_resend(gdb);
		break;
	case PACKET_INTERRUPT:		/* it is stopped already */
	case PACKET_NONE:
		break;
	}
}

/* Whoever listens waits for another gdb, but the guest doesn't. */
static void hang_up(struct vee_gdb *gdb)
{
	link_hang_up(&gdb->link);
	gdb->action = GDB_DETACH;
}

/* One thread does, while the others wait: without the lock, as long as nothing comes. */
static int listen_to_gdb(struct vee_gdb *gdb, int timeout_ms)
{
	int byte;

	pthread_mutex_unlock(&gdb->lock);
	byte = link_take(&gdb->link, timeout_ms);
	pthread_mutex_lock(&gdb->lock);
	if (byte < 0 && byte != -EPIPE)
		return byte;
	if (byte < 0)
		hang_up(gdb);
	else
		take(gdb, byte);
	return 0;
}

/* Of all that have stopped for a reason gdb is told of one. Then it is gdb's turn. */
static int talk(struct vee_gdb *gdb, int timeout_ms)
{
	bool killed = false;
	int err = 0;

	gdb->talking = true;
	tell_of(gdb, cpus_untold(gdb, false));
	while (!err && !killed && !cpus_run(gdb)) {
		while (gdb->action == GDB_WAIT && !err)
			err = listen_to_gdb(gdb, timeout_ms);
		if (err)
			break;
		killed = gdb->action == GDB_KILL;
		err = act(gdb);
		gdb->action = GDB_WAIT;
	}
	gdb->talking = false;
	pthread_cond_broadcast(&gdb->changed);
	return err;
}

#define NS_PER_MS	1000000L
#define MS_PER_S	1000

/* Until something changes; -EAGAIN: nothing has for @timeout_ms. */
static int wait_for_others(struct vee_gdb *gdb, int timeout_ms)
{
	struct timespec end;

	if (timeout_ms < 0)
		return -pthread_cond_wait(&gdb->changed, &gdb->lock);
	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += timeout_ms / MS_PER_S;
	end.tv_nsec += timeout_ms % MS_PER_S * NS_PER_MS;
	if (end.tv_nsec >= MS_PER_S * NS_PER_MS) {
		end.tv_sec++;
		end.tv_nsec -= MS_PER_S * NS_PER_MS;
	}
	return pthread_cond_timedwait(&gdb->changed, &gdb->lock, &end) ? -EAGAIN : 0;
}

/* This thread's vCPU has stopped, and does not go on before gdb says so. */
static int wait_stopped(struct vee_gdb *gdb, struct gdb_cpu *cpu, int timeout_ms)
{
	int err = 0;

	while (!err && !cpu->runs && !cpu->killed) {
		if (gdb->talking || cpus_run(gdb))
			err = wait_for_others(gdb, timeout_ms);
		else
			err = talk(gdb, timeout_ms);
	}
	if (cpu->killed) {
		cpu->killed = false;
		return -ECANCELED;
	}
	if (err)
		return err;
	cpu->waits = false;
	return cpu->exit_is_ours;
}

/* --- when it stops --- */

/* Waits, for a reason of its own or since the others do. */
static void park(struct vee_gdb *gdb, struct gdb_cpu *cpu)
{
	cpus_halt(cpu);
	cpu->exit_is_ours = true;
	cpus_stop(gdb);
	pthread_cond_broadcast(&gdb->changed);
}

static void stop(struct vee_gdb *gdb, struct gdb_cpu *cpu, unsigned int signal)
{
	park(gdb, cpu);
	cpu->signal = signal;
	cpu->untold = true;
	cpu->lasting = signal == SIGNAL_ABRT || strstr(cpu->why, "watch:");
	cpu->exit_is_ours = signal != SIGNAL_ABRT;
	cpu->stepping = false;
}

static bool is_quiet(uint32_t reason)
{
	return reason == VEE_EXIT_NONE || reason == VEE_EXIT_INTERRUPTED ||
	       reason == VEE_EXIT_KICKED || reason == VEE_EXIT_DEADLINE;
}

/* All stop, and nothing is told unless gdb asks. */
static void stop_silently(struct vee_gdb *gdb, struct gdb_cpu *cpu)
{
	park(gdb, cpu);
	cpus_wish(gdb, GDB_WAIT);
}

/* A byte while the guest runs. True: it is stopped. */
static bool interrupts(struct vee_gdb *gdb, struct gdb_cpu *cpu, int byte)
{
	if (byte == LINK_NEW) {
		take(gdb, byte);
		stop_silently(gdb, cpu);
	} else if (packet_take(&gdb->packet, byte) == PACKET_INTERRUPT) {
		stop(gdb, cpu, SIGNAL_INT);
	} else if (gdb->packet.state != PACKET_OUTSIDE) {
		/* Nobody should ask anything now; talk() answers all the same. */
		stop_silently(gdb, cpu);
	}
	return !cpu->runs;
}

/* What the watcher has seen: gdb has come, has gone, or wants something. */
static void attend(struct vee_gdb *gdb, struct gdb_cpu *cpu)
{
	int byte;

	link_hold(&gdb->link);
	gdb->told = cpu;
	*cpu->why = 0;
	do {
		byte = link_take(&gdb->link, 0);
	} while (byte >= 0 && !interrupts(gdb, cpu, byte));
	if (byte == -EPIPE) {
		/* Once all of them are stopped. */
		hang_up(gdb);
		stop_silently(gdb, cpu);
	} else if (byte < 0) {
		link_release(&gdb->link);
	}
}

/* 0: it is the caller's; 1: it is gdb's, or nobody's. */
static int judge_debug(struct vee_gdb *gdb, struct gdb_cpu *cpu)
{
	gdb->cpu = cpu;
	switch (break_judge(gdb)) {
	case BREAK_STOP:
		stop(gdb, cpu, SIGNAL_TRAP);
		return 1;
	case BREAK_GO_ON:
		return 1;
	default:
		return 0;
	}
}

static int judge_other(struct vee_gdb *gdb, struct gdb_cpu *cpu, uint32_t reason)
{
	if (gdb->link.peer >= 0 &&
	    (reason == VEE_EXIT_SHUTDOWN || reason == VEE_EXIT_ENTRY_FAILED)) {
		*cpu->why = 0;
		stop(gdb, cpu, SIGNAL_ABRT);
	}
	return 0;
}

/* Somebody wants it stopped, and there is nothing else to do for it. */
static int judge_quiet(struct vee_gdb *gdb, struct gdb_cpu *cpu)
{
	bool wanted = gdb->stopping;

	if (wanted) {
		park(gdb, cpu);
	} else {
		wanted = link_wants_attention(&gdb->link);
		if (wanted)
			attend(gdb, cpu);
	}
	return wanted;
}

static int judge(struct vee_gdb *gdb, struct gdb_cpu *cpu)
{
	uint32_t reason = cpu->vcpu->page->exit.reason;
	int ours;

	if (is_quiet(reason))
		return judge_quiet(gdb, cpu);
	if (reason == VEE_EXIT_DEBUG)
		ours = judge_debug(gdb, cpu);
	else
		ours = judge_other(gdb, cpu, reason);
	/* Once it has been handled: the next run ends before its first instruction. */
	if (cpu->runs && (gdb->stopping || link_wants_attention(&gdb->link)))
		vee_vcpu_kick(cpu->vcpu, cpu->vcpu->page->generation);
	return ours;
}

int vee_gdb_serve_vcpu(struct vee_gdb *gdb, struct vee_vcpu *vcpu, int timeout_ms)
{
	struct gdb_cpu *cpu;
	int ret = 0;

	pthread_mutex_lock(&gdb->lock);
	cpu = cpus_of(gdb, vcpu);
	if (!cpu)
		ret = -EINVAL;
	else if (!cpu->waits)
		ret = judge(gdb, cpu);
	if (cpu && cpu->waits)
		ret = wait_stopped(gdb, cpu, timeout_ms);
	pthread_mutex_unlock(&gdb->lock);
	return ret;
}

int vee_gdb_serve(struct vee_gdb *gdb, int timeout_ms)
{
	return vee_gdb_serve_vcpu(gdb, gdb->cpus[0]->vcpu, timeout_ms);
}
