// SPDX-License-Identifier: GPL-2.0-only
/*
 * Eventfds that send a VM's local APICs a message when they are signalled: by any thread,
 * another process, or the kernel, and no thread of the caller's has a part in it.
 *
 * A bind waits in the eventfd's wait queue like any reader, but that its function sends
 * the message then and there: with the queue's lock held, and interrupts off unless
 * spinlocks sleep. To an APIC's mailbox nothing is locked, and to wake up a vCPU's
 * thread takes the scheduler's own locks alone (runner_nudge() in vcpu/runner.c). Whoever
 * has held the queue's lock once knows that no message is on its way: so a bind ends.
 *
 * The other way round, the end of a level-triggered interrupt is told to an eventfd by the
 * thread that runs the vCPU, between two stretches: signals take locks, and as many as there
 * are for a vector would keep interrupts off for too long. Which there are is under RCU.
 *
 * The eventfd tells when its last descriptor is closed, but there nothing may be freed. The
 * bind leaves the queue, and the next request, or the VM's end, does the rest.
 */
#include <linux/container_of.h>
#include <linux/err.h>
#include <linux/eventfd.h>
#include <linux/file.h>
#include <linux/list.h>
#include <linux/poll.h>
#include <linux/rculist.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/wait.h>

#include "compat.h"
#include "apic/bind.h"
#include "apic/bus.h"

/**
 * struct bind - an eventfd that sends a message
 * @link: in apic_bus.binds
 * @bus: whom to
 * @message: what
 * @eventfd: a reference to it, by which it is known
 * @queue: its wait queue
 * @waiter: what waits there
 * @by_vector: with @eoi: in apic_bus.ends
 * @eoi: a reference to the eventfd that hears of the interrupt's end; NULL: none does
 */
struct bind {
	struct list_head link;
	struct apic_bus *bus;
	struct apic_message message;
	struct eventfd_ctx *eventfd;
	wait_queue_head_t *queue;
	wait_queue_entry_t waiter;
	struct hlist_node by_vector;
	struct eventfd_ctx *eoi;
};

/* --- when it is signalled: with the queue's lock held ------------------------------- */

/* As a read(2) would: of two that wait for the same signal one has it. */
static void take_signal(struct bind *bind)
{
	u64 count;

	eventfd_ctx_do_read(bind->eventfd, &count);
	if (count)
		bus_send(bind->bus, &bind->message, NULL);
}

static int woken(wait_queue_entry_t *waiter, unsigned int mode, int sync, void *key)
{
	struct bind *bind = container_of(waiter, struct bind, waiter);
	__poll_t events = key_to_poll(key);

	if (events & EPOLLIN)
		take_signal(bind);
	/* The last descriptor was closed. */
	if (events & EPOLLHUP)
		list_del_init(&waiter->entry);
	return 0;
}

static bool is_closed(const struct bind *bind)
{
	return list_empty_careful(&bind->waiter.entry);
}

/* --- when an interrupt ends ---------------------------------------------------------- */

static struct hlist_head *ends_of(struct apic_bus *bus, u8 vector)
{
	return &bus->ends[vector % BUS_END_LISTS];
}

bool bind_hears_eoi(struct apic_bus *bus, u8 vector)
{
	const struct bind *bind;
	bool hears = false;

	rcu_read_lock();
	hlist_for_each_entry_rcu(bind, ends_of(bus, vector), by_vector)
		hears |= bind->message.vector == vector;
	rcu_read_unlock();
	return hears;
}

bool bind_tell_eoi(struct apic_bus *bus, u8 vector)
{
	const struct bind *bind;
	bool told = false;

	rcu_read_lock();
	hlist_for_each_entry_rcu(bind, ends_of(bus, vector), by_vector) {
		if (bind->message.vector == vector) {
			vee_eventfd_signal(bind->eoi);
			told = true;
		}
	}
	rcu_read_unlock();
	return told;
}

/* --- which there are: with apic_bus.change held -------------------------------------- */

/* What poll(2) would wait by. */
struct bind_poll {
	poll_table table;
	struct bind *bind;
};

/* What was signalled before is sent now. Nothing comes between the look and the wait. */
static void wait_in(struct file *file, wait_queue_head_t *queue, poll_table *table)
{
	struct bind *bind = container_of(table, struct bind_poll, table)->bind;

	bind->queue = queue;
	spin_lock_irq(&queue->lock);
	__add_wait_queue(queue, &bind->waiter);
	take_signal(bind);
	spin_unlock_irq(&queue->lock);
}

static struct bind *find(const struct apic_bus *bus, const struct eventfd_ctx *eventfd)
{
	struct bind *bind;

	list_for_each_entry(bind, &bus->binds, link)
		if (bind->eventfd == eventfd)
			return bind;
	return NULL;
}

/* It sends nothing any more, and hears nothing new. */
static void detach(struct bind *bind, struct list_head *detached)
{
	/* Takes the lock, also if it has left already: who was in woken() is out of it. */
	remove_wait_queue(bind->queue, &bind->waiter);
	if (bind->eoi)
		hlist_del_rcu(&bind->by_vector);
	list_move(&bind->link, detached);
	bind->bus->bind_count--;
}

static void free_bind(struct bind *bind)
{
	eventfd_ctx_put(bind->eventfd);
	if (bind->eoi)
		eventfd_ctx_put(bind->eoi);
	kfree(bind);
}

/* Who is about to tell them of an EOI has done so first. */
static void free_detached(struct list_head *detached)
{
	struct bind *bind, *next;
	bool heard = false;

	list_for_each_entry(bind, detached, link)
		heard |= !!bind->eoi;
	if (heard)
		synchronize_rcu_expedited();
	list_for_each_entry_safe(bind, next, detached, link)
		free_bind(bind);
}

static void end(struct bind *bind)
{
	LIST_HEAD(detached);

	detach(bind, &detached);
	free_detached(&detached);
}

static void end_closed(struct apic_bus *bus)
{
	struct bind *bind, *next;
	LIST_HEAD(detached);

	list_for_each_entry_safe(bind, next, &bus->binds, link)
		if (is_closed(bind))
			detach(bind, &detached);
	free_detached(&detached);
}

static void begin(struct bind *bind, struct file *file)
{
	struct bind_poll poll = { .bind = bind };

	list_add(&bind->link, &bind->bus->binds);
	bind->bus->bind_count++;
	if (bind->eoi)
		hlist_add_head_rcu(&bind->by_vector, ends_of(bind->bus, bind->message.vector));
	init_waitqueue_func_entry(&bind->waiter, woken);
	init_poll_funcptr(&poll.table, wait_in);
	vfs_poll(file, &poll.table);
}

/* @from: of it @eventfd, @message and @eoi, to which the references are taken over */
static int add(struct apic_bus *bus, struct file *file, const struct bind *from)
{
	struct bind *bind;

	if (find(bus, from->eventfd))
		return -EEXIST;
	if (bus->bind_count == VEE_MAX_BINDS)
		return -ENOSPC;
	bind = kzalloc(sizeof(*bind), GFP_KERNEL_ACCOUNT);
	if (!bind)
		return -ENOMEM;
	bind->bus = bus;
	bind->message = from->message;
	bind->eventfd = from->eventfd;
	bind->eoi = from->eoi;
	begin(bind, file);
	return 0;
}

static int take_away(struct apic_bus *bus, const struct eventfd_ctx *eventfd)
{
	struct bind *bind = find(bus, eventfd);

	if (!bind)
		return -ENOENT;
	end(bind);
	return 0;
}

static int change(struct apic_bus *bus, struct file *file, const struct bind *bind, bool remove)
{
	int err;

	mutex_lock(&bus->change);
	end_closed(bus);
	err = remove ? take_away(bus, bind->eventfd) : add(bus, file, bind);
	mutex_unlock(&bus->change);
	return err;
}

/* The eventfds of it; -EBADF, -EINVAL. */
static int get_eventfds(struct bind *bind, struct file *file, const struct vee_bind *arg)
{
	bind->eventfd = eventfd_ctx_fileget(file);
	if (IS_ERR(bind->eventfd))
		return PTR_ERR(bind->eventfd);
	bind->eoi = NULL;
	if (!(arg->flags & VEE_BIND_EOI))
		return 0;
	bind->eoi = eventfd_ctx_fdget(arg->eoi);
	if (!IS_ERR(bind->eoi) && bind->eoi != bind->eventfd)
		return 0;
	eventfd_ctx_put(bind->eventfd);
	if (IS_ERR(bind->eoi))
		return PTR_ERR(bind->eoi);
	/* Each EOI would be the next interrupt. */
	eventfd_ctx_put(bind->eoi);
	return -EINVAL;
}

static int change_file(struct apic_bus *bus, struct file *file, struct bind *bind,
		       const struct vee_bind *arg)
{
	int err = get_eventfds(bind, file, arg);

	if (err)
		return err;
	err = change(bus, file, bind, arg->remove);
	/* Otherwise the references are the new bind's. */
	if (err || arg->remove) {
		eventfd_ctx_put(bind->eventfd);
		if (bind->eoi)
			eventfd_ctx_put(bind->eoi);
	}
	return err;
}

static int check(const struct vee_bind *arg, struct apic_message *message)
{
	bool eoi = arg->flags & VEE_BIND_EOI;

	if (arg->remove > 1 || (eoi && !(arg->flags & VEE_SIGNAL_LEVEL)) || (!eoi && arg->eoi))
		return -EINVAL;
	if (!arg->remove)
		return bus_message(message, arg->address, arg->data, arg->flags);
	return arg->address || arg->data || arg->flags ? -EINVAL : 0;
}

int bind_change(struct apic_bus *bus, const struct vee_bind *arg)
{
	struct bind bind;
	struct fd file;
	int err = check(arg, &bind.message);

	if (err)
		return err;
	file = fdget(arg->eventfd);
	if (!fd_file(file))
		return -EBADF;
	err = change_file(bus, fd_file(file), &bind, arg);
	fdput(file);
	return err;
}

void bind_end_all(struct apic_bus *bus)
{
	struct bind *bind, *next;
	LIST_HEAD(detached);

	list_for_each_entry_safe(bind, next, &bus->binds, link)
		detach(bind, &detached);
	free_detached(&detached);
}
