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
 * The eventfd tells when its last descriptor is closed, but there nothing may be freed. The
 * bind leaves the queue, and the next request, or the VM's end, does the rest.
 */
#include <linux/container_of.h>
#include <linux/err.h>
#include <linux/eventfd.h>
#include <linux/file.h>
#include <linux/list.h>
#include <linux/poll.h>
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
 */
struct bind {
	struct list_head link;
	struct apic_bus *bus;
	struct apic_message message;
	struct eventfd_ctx *eventfd;
	wait_queue_head_t *queue;
	wait_queue_entry_t waiter;
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

static void end(struct bind *bind)
{
	/* Takes the lock, also if it has left already: who was in woken() is out of it. */
	remove_wait_queue(bind->queue, &bind->waiter);
	eventfd_ctx_put(bind->eventfd);
	list_del(&bind->link);
	bind->bus->bind_count--;
	kfree(bind);
}

static void end_closed(struct apic_bus *bus)
{
	struct bind *bind, *next;

	list_for_each_entry_safe(bind, next, &bus->binds, link)
		if (is_closed(bind))
			end(bind);
}

static void begin(struct bind *bind, struct file *file)
{
	struct bind_poll poll = { .bind = bind };

	list_add(&bind->link, &bind->bus->binds);
	bind->bus->bind_count++;
	init_waitqueue_func_entry(&bind->waiter, woken);
	init_poll_funcptr(&poll.table, wait_in);
	vfs_poll(file, &poll.table);
}

static int add(struct apic_bus *bus, struct file *file, struct eventfd_ctx *eventfd,
	       const struct apic_message *message)
{
	struct bind *bind;

	if (find(bus, eventfd))
		return -EEXIST;
	if (bus->bind_count == VEE_MAX_BINDS)
		return -ENOSPC;
	bind = kzalloc(sizeof(*bind), GFP_KERNEL_ACCOUNT);
	if (!bind)
		return -ENOMEM;
	bind->bus = bus;
	bind->message = *message;
	bind->eventfd = eventfd;
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

/* @message: NULL: whatever it sends it is to send no longer */
static int change(struct apic_bus *bus, struct file *file, const struct apic_message *message)
{
	struct eventfd_ctx *eventfd = eventfd_ctx_fileget(file);
	int err;

	if (IS_ERR(eventfd))
		return PTR_ERR(eventfd);
	mutex_lock(&bus->change);
	end_closed(bus);
	err = message ? add(bus, file, eventfd, message) : take_away(bus, eventfd);
	mutex_unlock(&bus->change);
	/* Otherwise the reference is the new bind's. */
	if (err || !message)
		eventfd_ctx_put(eventfd);
	return err;
}

static int check(const struct vee_bind *arg, struct apic_message *message)
{
	if (arg->remove > 1 || arg->reserved)
		return -EINVAL;
	if (!arg->remove)
		return bus_message(message, arg->address, arg->data, arg->flags);
	return arg->address || arg->data || arg->flags ? -EINVAL : 0;
}

int bind_change(struct apic_bus *bus, const struct vee_bind *arg)
{
	struct apic_message message;
	struct fd file;
	int err = check(arg, &message);

	if (err)
		return err;
	file = fdget(arg->eventfd);
	if (!fd_file(file))
		return -EBADF;
	err = change(bus, fd_file(file), arg->remove ? NULL : &message);
	fdput(file);
	return err;
}

void bind_end_all(struct apic_bus *bus)
{
	struct bind *bind, *next;

	list_for_each_entry_safe(bind, next, &bus->binds, link)
		end(bind);
}
