// SPDX-License-Identifier: LGPL-2.1-or-later
/* A stub for gdb in a program that runs a vCPU: around its runs, in its own loop. */
#include <stdlib.h>
#include <unistd.h>

#include "gdb.h"

/* --- begin and end --- */

static int create(struct vee_vcpu *vcpu, struct vee_gdb **gdb)
{
	struct vee_gdb *new = calloc(1, sizeof(*new));
	int err = new ? 0 : -ENOMEM;

	if (err)
		return err;
	new->vcpu = vcpu;
	new->link.listener = -1;
	new->link.peer = -1;
	new->link.turned_away = -1;
	new->link.wake = -1;
	new->signal = SIGNAL_TRAP;
	new->exit_is_ours = true;
	new->avx_at = registers_avx_at(vcpu);
	new->area = calloc(1, vm_xsave_bytes(vcpu->vm));
	*gdb = new;
	return new->area ? registers_describe(new) : -ENOMEM;
}

static void destroy(struct vee_gdb *gdb)
{
	if (!gdb)
		return;
	link_end(&gdb->link);
	free(gdb->description);
	free(gdb->area);
	free(gdb);
}

int vee_gdb_open(struct vee_vcpu *vcpu, const char *where, struct vee_gdb **gdb)
{
	struct vee_gdb *new = NULL;
	int err = create(vcpu, &new);

	if (!err)
		err = link_listen(&new->link, where);
	if (!err)
		err = link_begin(&new->link, vcpu);
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
		err = new->link.peer < 0 ? -errno : link_begin(&new->link, vcpu);
	}
	if (err)
		destroy(new);
	else
		*gdb = new;
	return err;
}

void vee_gdb_stop(struct vee_gdb *gdb)
{
	gdb->stopped = true;
	link_hold(&gdb->link);
}

bool vee_gdb_is_stepping(const struct vee_gdb *gdb)
{
	return gdb->stepping;
}

/* It has the guest as it was without. */
static void let_go(struct vee_gdb *gdb)
{
	gdb->stepping = false;
	gdb->physical = false;
	gdb->no_ack = false;
	gdb->vcpu->page->intercept &= ~VEE_INTERCEPT_STEP;
	memset(&gdb->packet, 0, sizeof(gdb->packet));
	break_remove_all(gdb);
	break_arm(gdb);
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
		gdb->signal = SIGNAL_TRAP;
		*gdb->why = 0;
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

static int resume(struct vee_gdb *gdb)
{
	struct vee_vcpu_page *page = gdb->vcpu->page;
	int err = break_arm(gdb);

	if (err)
		return err;
	gdb->has_area = false;
	gdb->stepping = gdb->action == GDB_STEP;
	page->intercept &= ~VEE_INTERCEPT_STEP;
	if (gdb->stepping)
		page->intercept |= VEE_INTERCEPT_STEP;
	gdb->stopped = false;
	link_release(&gdb->link);
	return gdb->exit_is_ours;
}

static int act(struct vee_gdb *gdb)
{
	if (gdb->action == GDB_KILL)
		return -ECANCELED;
	if (gdb->action == GDB_DETACH) {
		let_go(gdb);
		link_hang_up(&gdb->link);
	}
	return resume(gdb);
}

static int talk(struct vee_gdb *gdb, int timeout_ms)
{
	gdb->action = GDB_WAIT;
	while (gdb->action == GDB_WAIT) {
		int byte = link_take(&gdb->link, timeout_ms);

		if (byte < 0 && byte != -EPIPE)
			return byte;
		if (byte < 0)
			hang_up(gdb);
		else
			take(gdb, byte);
	}
	return act(gdb);
}

/* --- when it stops --- */

static void stop(struct vee_gdb *gdb, unsigned int signal, bool exit_is_ours)
{
	gdb->signal = signal;
	gdb->exit_is_ours = exit_is_ours;
	vee_gdb_stop(gdb);
	gdb->stepping = false;
	command_tell_stop(gdb);
}

static bool is_quiet(uint32_t reason)
{
	return reason == VEE_EXIT_NONE || reason == VEE_EXIT_INTERRUPTED ||
	       reason == VEE_EXIT_KICKED || reason == VEE_EXIT_DEADLINE;
}

/* A byte while the guest runs. True: it is stopped. */
static bool interrupts(struct vee_gdb *gdb, int byte)
{
	if (byte == LINK_NEW) {
		take(gdb, byte);
		gdb->stopped = true;
	} else if (packet_take(&gdb->packet, byte) == PACKET_INTERRUPT) {
		stop(gdb, SIGNAL_INT, true);
	} else {
		/* Nobody should ask anything now; talk() answers all the same. */
		gdb->stopped = gdb->packet.state != PACKET_OUTSIDE;
	}
	return gdb->stopped;
}

/* What the watcher has seen: gdb has come, has gone, or wants something. */
static void attend(struct vee_gdb *gdb)
{
	int byte;

	link_hold(&gdb->link);
	*gdb->why = 0;
	gdb->exit_is_ours = true;
	do {
		byte = link_take(&gdb->link, 0);
	} while (byte >= 0 && !interrupts(gdb, byte));
	if (byte == -EPIPE) {
		hang_up(gdb);
		act(gdb);
	} else if (byte < 0) {
		link_release(&gdb->link);
	}
}

/* 0: it is the caller's; 1: it is gdb's, or nobody's. */
static int judge_debug(struct vee_gdb *gdb)
{
	switch (break_judge(gdb)) {
	case BREAK_STOP:
		stop(gdb, SIGNAL_TRAP, true);
		return 1;
	case BREAK_GO_ON:
		return 1;
	default:
		return 0;
	}
}

static int judge_other(struct vee_gdb *gdb, uint32_t reason)
{
	if (gdb->link.peer >= 0 &&
	    (reason == VEE_EXIT_SHUTDOWN || reason == VEE_EXIT_ENTRY_FAILED)) {
		*gdb->why = 0;
		stop(gdb, SIGNAL_ABRT, false);
	} else if (link_wants_attention(&gdb->link)) {
		/* Once it has been handled: the next run ends before its first instruction. */
		vee_vcpu_kick(gdb->vcpu, gdb->vcpu->page->generation);
	}
	return 0;
}

static int judge(struct vee_gdb *gdb)
{
	uint32_t reason = gdb->vcpu->page->exit.reason;
	bool wanted;

	if (reason == VEE_EXIT_DEBUG)
		return judge_debug(gdb);
	if (!is_quiet(reason))
		return judge_other(gdb, reason);
	wanted = link_wants_attention(&gdb->link);
	if (wanted)
		attend(gdb);
	return wanted;
}

int vee_gdb_serve(struct vee_gdb *gdb, int timeout_ms)
{
	int ours = 0;

	if (!gdb->stopped)
		ours = judge(gdb);
	return gdb->stopped ? talk(gdb, timeout_ms) : ours;
}
