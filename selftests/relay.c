// SPDX-License-Identifier: GPL-2.0-only
/*
 * For move.sh: stands between a sender and a receiver, and breaks both connections at a step.
 * usage: relay AT TO STEP
 *
 * AT and TO are Unix sockets: it makes the one, and connects to the other. STEP is how many
 * bytes of the sender's get through, or "ready", "go", "done": the message that is the
 * first not to. Prints how many bytes of the sender's got through.
 */
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* What is the first not to get through. */
static long long last_byte = -1;	/* of the sender's; -1: all do */
static unsigned int last_turn = ~0U;	/* 1, 2, 3: the receiver's first word, the sender's, ... */

static int open_socket(const char *path, struct sockaddr_un *address)
{
	*address = (struct sockaddr_un) { .sun_family = AF_UNIX };
	strncpy(address->sun_path, path, sizeof(address->sun_path) - 1);
	return socket(AF_UNIX, SOCK_STREAM, 0);
}

static int sender_at(const char *path)
{
	struct sockaddr_un address;
	int fd = open_socket(path, &address);

	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) || listen(fd, 1))
		exit(1);
	return accept(fd, NULL, NULL);
}

static int receiver_at(const char *path)
{
	struct sockaddr_un address;
	int fd = open_socket(path, &address);

	return connect(fd, (struct sockaddr *)&address, sizeof(address)) ? -1 : fd;
}

/* From one to the other, and @passed counts. False: that was all. */
static bool pass(int from, int to, long long *passed)
{
	static char bytes[65536];
	size_t room = sizeof(bytes);
	ssize_t n, sent = 0;

	if (passed && last_byte >= 0 && *passed + (long long)room > last_byte)
		room = last_byte - *passed;
	n = room ? read(from, bytes, room) : 0;
	for (ssize_t more = 1; sent < n && more > 0; sent += more)
		more = write(to, bytes + sent, n - sent);
	if (passed && n > 0)
		*passed += n;
	return n > 0 && sent == n;
}

static long long relay(int sender, int receiver)
{
	struct pollfd fds[] = { { sender, POLLIN, 0 }, { receiver, POLLIN, 0 } };
	long long passed = 0;
	unsigned int turn = 0;

	while (poll(fds, 2, -1) > 0) {
		unsigned int from = fds[1].revents ? 1 : 0;

		turn += from != turn % 2;
		if (turn >= last_turn ||
		    !pass(fds[from].fd, fds[!from].fd, from ? NULL : &passed))
			break;
	}
	return passed;
}

int main(int argc, char **argv)
{
	static const char *const words[] = { "ready", "go", "done" };
	int sender, receiver;

	if (argc != 4)
		return 1;
	for (unsigned int i = 0; i < 3; i++)
		if (!strcmp(argv[3], words[i]))
			last_turn = i + 1;
	if (last_turn > 3)
		last_byte = atoll(argv[3]);
	signal(SIGPIPE, SIG_IGN);
	sender = sender_at(argv[1]);
	unlink(argv[1]);
	receiver = receiver_at(argv[2]);
	if (sender < 0 || receiver < 0)
		return 1;
	printf("%lld\n", relay(sender, receiver));
	return 0;
}
