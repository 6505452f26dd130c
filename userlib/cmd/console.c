// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The guest's serial port on this process's standard input and output. A terminal
 * is in raw mode meanwhile, and is put back on every way out: at the end, at
 * exit(3), at a signal that ends or stops the process.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "cmd.h"

#define ESCAPE		0x01	/* Ctrl-A... */
#define ESCAPE_QUIT	'x'	/* ...then this */

static struct termios cooked, raw;
/* Set by signal handlers and by the thread that reads. */
static atomic_int is_raw, signal_seen, quit, output_failed;
static struct vee_vcpu *running;

/* All of it may be called from a signal handler. */
static void set_raw(void)
{
	if (is_raw)
		tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
}

static void set_cooked(void)
{
	if (is_raw)
		tcsetattr(STDIN_FILENO, TCSADRAIN, &cooked);
}

/*
 * The run under way ends; between runs the next one does, as soon as it begins.
 * So nothing is lost however the two race.
 */
static void kick(void)
{
	struct vee_vcpu *vcpu = running;

	if (vcpu)
		vee_vcpu_kick(vcpu, __atomic_load_n(&vcpu->page->generation,
						    __ATOMIC_RELAXED));
}

static void on_end(int number)
{
	signal_seen = number;
	quit = 1;
	kick();
}

static void on_stop(int number)
{
	int saved = errno;

	(void)number;
	set_cooked();
	raise(SIGSTOP);
	set_raw();
	errno = saved;
}

/* Of this process's own making: the default action follows. */
static void on_crash(int number)
{
	set_cooked();
	signal(number, SIG_DFL);
	raise(number);
}

static void catch_signals(void)
{
	static const int ends[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
	static const int crashes[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT };
	struct sigaction action = { .sa_handler = on_end };

	for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++)
		sigaction(ends[i], &action, NULL);
	action.sa_handler = on_stop;
	sigaction(SIGTSTP, &action, NULL);
	action.sa_handler = on_crash;
	for (size_t i = 0; i < sizeof(crashes) / sizeof(*crashes); i++)
		sigaction(crashes[i], &action, NULL);
	action.sa_handler = SIG_IGN;
	sigaction(SIGPIPE, &action, NULL);
}

/* --- output --- */

static void output_error(void)
{
	struct pollfd poll_fd = { .fd = STDOUT_FILENO, .events = POLLOUT };

	if (errno == EINTR)
		return;
	if (errno == EAGAIN) {
		poll(&poll_fd, 1, -1);
		return;
	}
	output_failed = 1;
	quit = 1;
}

void console_send(void *arg, const uint8_t *bytes, size_t count)
{
	(void)arg;
	while (count && !quit) {
		ssize_t n = write(STDOUT_FILENO, bytes, count);

		if (n < 0) {
			output_error();
			continue;
		}
		bytes += n;
		count -= n;
	}
}

void console_debug(void *arg, uint8_t byte)
{
	(void)arg;
	fputc(byte, stderr);
}

/* --- input --- */

static bool receive(struct machine *machine, uint8_t byte)
{
	bool taken;

	pthread_mutex_lock(&machine->lock);
	taken = pc_receive(&machine->pc, &byte, 1);
	pthread_mutex_unlock(&machine->lock);
	return taken;
}

static void deliver(struct machine *machine, uint8_t byte)
{
	static const struct timespec a_while = { .tv_nsec = 1000000 };

	while (!quit && !receive(machine, byte))
		nanosleep(&a_while, NULL);
	/* It may raise an interrupt. */
	kick();
}

/* Returns false if the byte belongs to the escape. */
static bool passes(uint8_t byte)
{
	static bool escaped;

	if (!is_raw)
		return true;
	if (!escaped && byte == ESCAPE) {
		escaped = true;
		return false;
	}
	if (escaped && (byte | 0x20) == ESCAPE_QUIT) {
		quit = 1;
		kick();
		return false;
	}
	escaped = false;
	return true;
}

static void *read_input(void *arg)
{
	struct machine *machine = arg;
	uint8_t byte;
	ssize_t n;

	while (!quit) {
		n = read(STDIN_FILENO, &byte, 1);
		if (n == 1 && passes(byte))
			deliver(machine, byte);
		else if (!n || (n < 0 && errno != EINTR))
			break;
	}
	return NULL;
}

/* Signals are for the thread that runs the guest. */
static int start_reader(struct machine *machine)
{
	sigset_t all, before;
	pthread_t thread;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(&thread, NULL, read_input, machine);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (!err)
		pthread_detach(thread);
	return -err;
}

/* --- begin and end --- */

static void take_terminal(void)
{
	if (!isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, &cooked))
		return;
	raw = cooked;
	raw.c_iflag &= ~(BRKINT | ICRNL | INPCK | ISTRIP | IXON);
	raw.c_lflag &= ~(ECHO | ICANON | IEXTEN | ISIG);
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	is_raw = 1;
	set_raw();
	fputs("vee: Ctrl-A x ends the guest\n", stderr);
}

int console_begin(struct machine *machine)
{
	running = machine->vcpu;
	atexit(console_end);
	catch_signals();
	take_terminal();
	return start_reader(machine);
}

/* The reader may still be waiting for input; it ends with the process. */
void console_end(void)
{
	running = NULL;
	quit = 1;
	set_cooked();
	is_raw = 0;
}

bool console_wants_end(void)
{
	return quit;
}

int console_signal(void)
{
	return signal_seen;
}

bool console_output_failed(void)
{
	return output_failed;
}
