// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The connection to gdb: a port of this machine, a Unix socket, or a socket that
 * somebody else connected. While the guest runs a thread watches it, and ends the run
 * when something comes; it reads nothing.
 */
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "gdb.h"

#define PORT_MAX	65535
#define PATIENCE_MS	5000	/* with a gdb that takes no reply */
#define PAUSE_MS	100	/* where no file can be opened for one more */

/* --- where it listens --- */

static int listen_at(struct link *link, const struct sockaddr *address, socklen_t bytes)
{
	int on = 1;

	link->listener = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (link->listener < 0)
		return -errno;
	if (address->sa_family == AF_INET)
		setsockopt(link->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	return bind(link->listener, address, bytes) || listen(link->listener, 1) ? -errno : 0;
}

static int listen_port(struct link *link, unsigned long port)
{
	const struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};

	return listen_at(link, (const struct sockaddr *)&address, sizeof(address));
}

static int listen_path(struct link *link, const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int err;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	err = listen_at(link, (const struct sockaddr *)&address, sizeof(address));
	if (err)
		return err;
	link->path = strdup(path);
	/* Whoever may connect has the guest. */
	chmod(path, 0600);
	return link->path ? 0 : -ENOMEM;
}

int link_listen(struct link *link, const char *where)
{
	char *end;
	unsigned long port = strtoul(where, &end, 10);

	if (*where < '0' || *where > '9' || *end)
		return *where ? listen_path(link, where) : -EINVAL;
	return port && port <= PORT_MAX ? listen_port(link, port) : -EINVAL;
}

/* --- the watcher --- */

/* What is looked at changes, as far as the lock is held. */
static int watched_fd(const struct link *link)
{
	return link->peer >= 0 ? link->peer : link->listener;
}

/* While there is one gdb another one may come there; -1: it can't. */
static int closed_fd(const struct link *link)
{
	return link->peer >= 0 ? link->listener : -1;
}

/*
 * gdb shows what is behind "E.", and that the connection is closed, if it is still there when
 * gdb asks for more: to write to one that isn't is SIGPIPE to gdb. So it stays until the next.
 */
static void turn_away(struct link *link)
{
	static const char busy[] = "+$E.another gdb has this guest already#2f";
	int other = accept4(link->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (other < 0) {
		poll(NULL, 0, PAUSE_MS);
		return;
	}
	/* Whether that arrives is its own matter. */
	if (send(other, busy, sizeof(busy) - 1, MSG_NOSIGNAL) > 0)
		shutdown(other, SHUT_WR);
	if (link->turned_away >= 0)
		close(link->turned_away);
	link->turned_away = other;
}

/*
 * With the lock held. The runs that end may be the next ones; serve.c sees to the case
 * that one was about to end anyway.
 */
static void ask_attention(struct link *link)
{
	link->attention = true;
	link->kick(link->arg);
}

static void *watch(void *arg)
{
	struct link *link = arg;

	pthread_mutex_lock(&link->lock);
	while (!link->ends) {
		struct pollfd fds[] = {
			{ .fd = link->wake, .events = POLLIN },
			{ .fd = watched_fd(link), .events = POLLIN },
			{ .fd = closed_fd(link), .events = POLLIN },
		};
		uint64_t count;

		if (link->serving || link->attention) {
			pthread_cond_wait(&link->changed, &link->lock);
			continue;
		}
		pthread_mutex_unlock(&link->lock);
		poll(fds, 3, -1);
		pthread_mutex_lock(&link->lock);
		if (fds[0].revents && read(link->wake, &count, sizeof(count)) < 0)
			break;
		if (fds[2].revents && !link->serving && closed_fd(link) >= 0)
			turn_away(link);
		if (!fds[0].revents && fds[1].revents && !link->serving && !link->ends)
			ask_attention(link);
	}
	pthread_mutex_unlock(&link->lock);
	return NULL;
}

/* Signals are for the program's own threads. */
static int start_watcher(struct link *link)
{
	sigset_t all, before;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	err = pthread_create(&link->watcher, NULL, watch, link);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -err;
}

/* It is awake already where the count is at its end. */
static void wake(struct link *link)
{
	eventfd_write(link->wake, 1);
}

int link_begin(struct link *link, void (*kick)(void *arg), void *arg)
{
	int err;

	link->kick = kick;
	link->arg = arg;
	link->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (link->wake < 0)
		return -errno;
	pthread_mutex_init(&link->lock, NULL);
	pthread_cond_init(&link->changed, NULL);
	err = start_watcher(link);
	if (err) {
		close(link->wake);
		link->wake = -1;
	}
	return err;
}

static void close_sockets(struct link *link)
{
	if (link->peer >= 0)
		close(link->peer);
	if (link->turned_away >= 0)
		close(link->turned_away);
	if (link->listener >= 0)
		close(link->listener);
	if (link->path)
		unlink(link->path);
	free(link->path);
}

void link_end(struct link *link)
{
	if (link->wake >= 0) {
		pthread_mutex_lock(&link->lock);
		link->ends = true;
		pthread_cond_signal(&link->changed);
		wake(link);
		pthread_mutex_unlock(&link->lock);
		pthread_join(link->watcher, NULL);
		close(link->wake);
	}
	close_sockets(link);
}

void link_hold(struct link *link)
{
	pthread_mutex_lock(&link->lock);
	link->serving = true;
	pthread_mutex_unlock(&link->lock);
}

void link_release(struct link *link)
{
	pthread_mutex_lock(&link->lock);
	link->serving = false;
	link->attention = false;
	pthread_cond_signal(&link->changed);
	wake(link);		/* there may be another socket to look at */
	pthread_mutex_unlock(&link->lock);
}

bool link_wants_attention(struct link *link)
{
	bool wants;

	pthread_mutex_lock(&link->lock);
	wants = link->attention;
	pthread_mutex_unlock(&link->lock);
	return wants;
}

/* --- bytes --- */

void link_hang_up(struct link *link)
{
	pthread_mutex_lock(&link->lock);
	if (link->peer >= 0)
		close(link->peer);
	link->peer = -1;
	pthread_mutex_unlock(&link->lock);
	link->at = 0;
	link->count = 0;
}

static int take_connection(struct link *link)
{
	int on = 1;
	int peer = accept4(link->listener, NULL, NULL, SOCK_CLOEXEC);

	if (peer < 0)
		return errno == EINTR ? -EINTR : -EAGAIN;
	setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	pthread_mutex_lock(&link->lock);
	link->peer = peer;
	pthread_mutex_unlock(&link->lock);
	return LINK_NEW;
}

static int take_bytes(struct link *link)
{
	ssize_t count = recv(link->peer, link->bytes, sizeof(link->bytes), MSG_DONTWAIT);

	if (count <= 0)
		return count && (errno == EAGAIN || errno == EINTR) ? -errno : -EPIPE;
	link->at = 0;
	link->count = count;
	return link->bytes[link->at++];
}

int link_take(struct link *link, int timeout_ms)
{
	struct pollfd fds[] = {
		{ .fd = watched_fd(link), .events = POLLIN },
		{ .fd = closed_fd(link), .events = POLLIN },
	};

	if (link->at < link->count)
		return link->bytes[link->at++];
	if (fds[0].fd < 0)
		return -EPIPE;
	do {
		int ready = poll(fds, 2, timeout_ms);

		if (ready <= 0)
			return ready ? -errno : -EAGAIN;
		if (fds[1].revents)
			turn_away(link);
	} while (!fds[0].revents);
	return link->peer < 0 ? take_connection(link) : take_bytes(link);
}

int link_send(struct link *link, const void *bytes, size_t count)
{
	const uint8_t *from = bytes;

	while (count) {
		struct pollfd poll_fd = { .fd = link->peer, .events = POLLOUT };
		ssize_t sent = send(link->peer, from, count, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (sent < 0 && errno == EAGAIN && poll(&poll_fd, 1, PATIENCE_MS) > 0)
			continue;
		if (sent < 0 && errno != EINTR)
			return -EPIPE;
		if (sent > 0) {
			from += sent;
			count -= sent;
		}
	}
	return 0;
}
