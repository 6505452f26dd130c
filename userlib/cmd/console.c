// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A guest's serial port on this process's standard input and output, or wherever
 * --serial says. Input comes by a thread, output goes by another (outlet.c). And a second
 * one, on PCI, whose output goes to a file.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd.h"

#define ESCAPE		0x01	/* Ctrl-A... */
#define ESCAPE_QUIT	'x'	/* ...then this */
#define ESCAPE_SAVE	's'
#define ESCAPE_MOVE	'm'

#define INPUT_BYTES	512

/* --- output --- */

/* All are called with the machine's lock held: they don't wait. */
void console_send(void *arg, const uint8_t *bytes, size_t count)
{
	struct machine *machine = arg;

	outlet_put(&machine->console.serial, bytes, count);
}

void console_send_pci(void *arg, const uint8_t *bytes, size_t count)
{
	struct machine *machine = arg;

	outlet_put(&machine->console.pci_serial, bytes, count);
}

void console_debug(void *arg, uint8_t byte)
{
	struct machine *machine = arg;

	outlet_put(&machine->console.debug, &byte, 1);
}

void console_make_room(struct machine *machine)
{
	outlet_wait(&machine->console.serial, OUTLET_BYTES / 2);
	outlet_wait(&machine->console.pci_serial, OUTLET_BYTES / 2);
	outlet_wait(&machine->console.debug, OUTLET_BYTES / 2);
}

void console_drain(struct machine *machine)
{
	outlet_wait(&machine->console.serial, 0);
	outlet_wait(&machine->console.pci_serial, 0);
	outlet_wait(&machine->console.debug, 0);
}

/* --- input --- */

/* With the machine's lock held, after the guest may have read something. */
void console_look_for_room(struct machine *machine)
{
	struct console *console = &machine->console;

	if (console->stalled && uart_room(&machine->pc.uart) >= INPUT_BYTES) {
		console->stalled = false;
		pthread_cond_signal(&console->room);
	}
}

static void wait_for_room(struct machine *machine)
{
	machine->console.stalled = true;
	wait_a_while(&machine->console.room, &machine->lock);
}

/* Waits for the guest to take what there is no room for. */
static void deliver(struct machine *machine, const uint8_t *bytes, size_t count)
{
	pthread_mutex_lock(&machine->lock);
	while (count && !console_quits()) {
		unsigned int n = pc_receive(&machine->pc, bytes, count);

		bytes += n;
		count -= n;
		if (n)
			cpu_kick(&machine->cpus[0]);	/* INTR, or a deadline */
		if (count)
			wait_for_room(machine);
	}
	pthread_mutex_unlock(&machine->lock);
}

/* Returns false if the byte belongs to the escape. */
static bool passes(struct console *console, uint8_t byte)
{
	if (!console->escaped && byte == ESCAPE) {
		console->escaped = true;
		return false;
	}
	if (console->escaped && (byte | 0x20) == ESCAPE_QUIT) {
		console_quit();
		return false;
	}
	if (console->escaped && (byte | 0x20) == ESCAPE_SAVE) {
		console->escaped = false;
		console_save();
		return false;
	}
	if (console->escaped && (byte | 0x20) == ESCAPE_MOVE) {
		console->escaped = false;
		console_move();
		return false;
	}
	console->escaped = false;
	return true;
}

/* Takes out what is not for the guest; returns how many bytes are. */
static size_t filter(struct console *console, uint8_t *bytes, size_t count)
{
	size_t kept = 0;

	if (!console->raw_mode)
		return count;
	for (size_t i = 0; i < count && !console_quits(); i++)
		if (passes(console, bytes[i]))
			bytes[kept++] = bytes[i];
	return kept;
}

/* False: no more will come. */
static bool can_go_on(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	if (errno == EAGAIN)
		poll(&poll_fd, 1, -1);
	else if (errno != EINTR)
		return false;
	return true;
}

static void *read_input(void *arg)
{
	struct machine *machine = arg;
	struct console *console = &machine->console;
	uint8_t bytes[INPUT_BYTES];

	while (!console_quits()) {
		ssize_t n = read(console->in, bytes, sizeof(bytes));

		if (n > 0)
			deliver(machine, bytes, filter(console, bytes, n));
		else if (!n || !can_go_on(console->in))
			break;
	}
	return NULL;
}

/* --- where it is --- */

static int cannot_open(const char *path)
{
	return fail("--serial %s: %s", path, strerror(errno));
}

/* Both ways, so that nobody need be at the other end yet, or stay there. */
static int open_fifo(const char *path, const char *suffix)
{
	char name[4096];

	snprintf(name, sizeof(name), "%s%s", path, suffix);
	return open(name, O_RDWR | O_CLOEXEC);
}

static int open_pair(struct console *console, const char *path)
{
	console->in = open_fifo(path, ".in");
	if (console->in >= 0)
		console->out = open_fifo(path, ".out");
	return console->in < 0 || console->out < 0 ? cannot_open(path) :
						     STATUS_OK;
}

/* A terminal gives input too. Any other file takes output alone. */
static int open_path(struct console *console, const char *path)
{
	struct stat stat;
	int fd = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC | O_CREAT, 0666);

	if (fd < 0 || fstat(fd, &stat))
		return cannot_open(path);
	if (S_ISREG(stat.st_mode) && ftruncate(fd, 0))
		return cannot_open(path);
	console->out = fd;
	if (isatty(fd))
		console->in = fd;
	return STATUS_OK;
}

static int open_pci_serial(struct machine *machine)
{
	struct console *console = &machine->console;
	const char *path = machine->options->pci_serial;

	console->pci_serial_fd = -1;
	if (!path)
		return STATUS_OK;
	console->pci_serial_fd = open(path, O_WRONLY | O_NOCTTY | O_CLOEXEC | O_CREAT | O_TRUNC,
				      0666);
	return console->pci_serial_fd < 0 ?
	       fail("--pci-serial %s: %s", path, strerror(errno)) : STATUS_OK;
}

static int open_serial(struct machine *machine)
{
	struct console *console = &machine->console;
	const char *path = machine->options->serial;
	char name[4096];

	console->in = -1;
	console->out = -1;
	if (!path) {
		console->in = STDIN_FILENO;
		console->out = STDOUT_FILENO;
		return STATUS_OK;
	}
	snprintf(name, sizeof(name), "%s.in", path);
	if (!access(name, F_OK))
		return open_pair(console, path);
	return open_path(console, path);
}

int console_open(struct machine *machine)
{
	int status = open_serial(machine);

	return status ? status : open_pci_serial(machine);
}

/* --- begin and end --- */

int console_begin(struct machine *machine)
{
	struct console *console = &machine->console;
	int err;

	pthread_cond_init(&console->room, NULL);
	terminal_begin(machine);
	if (console->raw_mode && console->in == STDIN_FILENO)
		fputs("vee: Ctrl-A x ends the guest\n", stderr);
	err = outlet_begin(&console->serial, machine, console->out);
	if (!err)
		err = outlet_begin(&console->pci_serial, machine, console->pci_serial_fd);
	if (!err)
		err = outlet_begin(&console->debug, machine, STDERR_FILENO);
	if (!err && console->in >= 0)
		err = start_thread(&console->reader, read_input, machine);
	return err ? fail("can't start a thread: %s", strerror(-err)) :
		     STATUS_OK;
}

/* The threads may still be waiting; they end with the process. */
void console_end(struct machine *machine)
{
	console_drain(machine);
	terminal_end(machine);
}

int console_status(struct machine *machine, int status)
{
	int error = machine->console.serial.error;

	if (!error)
		error = machine->console.pci_serial.error;
	if (error)
		fail_of(machine, "the guest's output is lost: %s", strerror(error));
	return error && !status ? STATUS_FAILED : status;
}
