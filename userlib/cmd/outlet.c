// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Output on its way out. What takes it may block for as long as it likes, a
 * stopped terminal or a full pipe: a thread of its own waits for that, and nobody
 * who puts something in.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"

#define A_WHILE_NS	100000000	/* between two looks at console_quits() */
#define SECOND_NS	1000000000

bool wait_a_while(pthread_cond_t *cond, pthread_mutex_t *lock)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += A_WHILE_NS;
	if (until.tv_nsec >= SECOND_NS) {
		until.tv_nsec -= SECOND_NS;
		until.tv_sec++;
	}
	return !pthread_cond_timedwait(cond, lock, &until);
}

/* False: no more can be written. */
static bool can_go_on(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLOUT };

	if (errno == EAGAIN)
		poll(&poll_fd, 1, -1);
	else if (errno != EINTR)
		return false;
	return true;
}

/* The bytes stay where they are meanwhile: others only append. */
static void write_some(struct outlet *outlet, size_t head, size_t count)
{
	ssize_t n;

	if (count > OUTLET_BYTES - head)
		count = OUTLET_BYTES - head;
	do
		n = write(outlet->fd, outlet->bytes + head, count);
	while (n < 0 && can_go_on(outlet->fd));
	if (n < 0)
		outlet->error = errno;
	pthread_mutex_lock(&outlet->lock);
	if (n > 0) {
		outlet->head = (head + n) % OUTLET_BYTES;
		outlet->count -= n;
	}
	pthread_cond_broadcast(&outlet->changed);
	pthread_mutex_unlock(&outlet->lock);
}

static void *write_output(void *arg)
{
	struct outlet *outlet = arg;

	while (!outlet->error) {
		size_t head, count;

		pthread_mutex_lock(&outlet->lock);
		while (!outlet->count)
			pthread_cond_wait(&outlet->changed, &outlet->lock);
		head = outlet->head;
		count = outlet->count;
		pthread_mutex_unlock(&outlet->lock);
		write_some(outlet, head, count);
	}
	machine_kick(outlet->machine);
	return NULL;
}

int outlet_begin(struct outlet *outlet, struct machine *machine, int fd)
{
	outlet->fd = fd;
	outlet->machine = machine;
	pthread_mutex_init(&outlet->lock, NULL);
	pthread_cond_init(&outlet->changed, NULL);
	if (fd < 0)
		return 0;
	return start_thread(&outlet->thread, write_output, outlet);
}

void outlet_put(struct outlet *outlet, const uint8_t *bytes, size_t count)
{
	if (outlet->fd < 0)
		return;
	pthread_mutex_lock(&outlet->lock);
	while (count-- && outlet->count < OUTLET_BYTES)
		outlet->bytes[(outlet->head + outlet->count++) % OUTLET_BYTES] =
			*bytes++;
	pthread_cond_broadcast(&outlet->changed);
	pthread_mutex_unlock(&outlet->lock);
}

void outlet_wait(struct outlet *outlet, size_t most)
{
	int patience = OUTLET_PATIENCE;

	if (outlet->count <= most)
		return;
	pthread_mutex_lock(&outlet->lock);
	while (outlet->count > most && !outlet->error && patience) {
		wait_a_while(&outlet->changed, &outlet->lock);
		if (console_quits())
			patience--;
	}
	pthread_mutex_unlock(&outlet->lock);
}
