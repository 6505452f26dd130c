// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Terminals in raw mode, put back on every way out: at the end, at exit(3), at a
 * signal that ends or stops the process. And these signals.
 */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "cmd.h"

/* Signal handlers have no other way to get at what is each guest's. */
static struct machine *_Atomic machines;
static atomic_int signal_seen, quit;

static const int ends[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
static const int crashes[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT };

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

/* --- terminals --- */

/*
 * Both may be called from a signal handler. Neither waits for output to drain: a
 * stopped terminal would keep it waiting.
 */
static void set_raw(const struct machine *machine)
{
	const struct console *console = &machine->console;

	if (console->raw_mode)
		tcsetattr(console->in, TCSANOW, &console->raw);
}

static void set_cooked(const struct machine *machine)
{
	const struct console *console = &machine->console;

	if (console->raw_mode)
		tcsetattr(console->in, TCSANOW, &console->cooked);
}

static void for_each(void (*function)(const struct machine *machine))
{
	for (struct machine *at = machines; at; at = at->next)
		function(at);
}

void terminal_begin(struct machine *machine)
{
	struct console *console = &machine->console;

	machine->next = machines;
	machines = machine;
	if (!isatty(console->in) || tcgetattr(console->in, &console->cooked))
		return;
	console->raw = console->cooked;
	console->raw.c_iflag &= ~(BRKINT | ICRNL | INPCK | ISTRIP | IXON);
	console->raw.c_lflag &= ~(ECHO | ICANON | IEXTEN | ISIG);
	console->raw.c_cc[VMIN] = 1;
	console->raw.c_cc[VTIME] = 0;
	console->raw_mode = 1;
	set_raw(machine);
}

void terminal_end(struct machine *machine)
{
	set_cooked(machine);
	machine->console.raw_mode = 0;
}

/* --- the end --- */

void console_quit(void)
{
	quit = 1;
	for_each(machine_kick);
}

void console_save(void)
{
	for (struct machine *at = machines; at; at = at->next)
		save_ask(at);
}

void console_move(void)
{
	for (struct machine *at = machines; at; at = at->next)
		move_ask(at);
}

bool console_quits(void)
{
	return quit;
}

int console_signal(void)
{
	return signal_seen;
}

/* --- signals --- */

static void on_end(int number)
{
	signal_seen = number;
	console_quit();
}

static void on_save(int number)
{
	int saved = errno;

	(void)number;
	console_save();
	errno = saved;
}

static void on_move(int number)
{
	int saved = errno;

	(void)number;
	console_move();
	errno = saved;
}

static void on_stop(int number)
{
	int saved = errno;

	(void)number;
	for_each(set_cooked);
	raise(SIGSTOP);
	errno = saved;
}

/* Whoever had the terminal meanwhile left it as it likes. */
static void on_continue(int number)
{
	int saved = errno;

	(void)number;
	for_each(set_raw);
	errno = saved;
}

/* Of this process's own making: the default action follows. */
static void on_crash(int number)
{
	for_each(set_cooked);
	signal(number, SIG_DFL);
	raise(number);
}

static void at_exit(void)
{
	for_each(set_cooked);
}

void catch_signals(void)
{
	struct sigaction action = { .sa_handler = on_end };

	atexit(at_exit);
	for (size_t i = 0; i < COUNT(ends); i++)
		sigaction(ends[i], &action, NULL);
	action.sa_handler = on_crash;
	for (size_t i = 0; i < COUNT(crashes); i++)
		sigaction(crashes[i], &action, NULL);
	action.sa_flags = SA_RESTART;
	action.sa_handler = on_save;
	sigaction(SIGUSR1, &action, NULL);
	action.sa_handler = on_move;
	sigaction(SIGUSR2, &action, NULL);
	action.sa_handler = on_stop;
	sigaction(SIGTSTP, &action, NULL);
	action.sa_handler = on_continue;
	sigaction(SIGCONT, &action, NULL);
	action.sa_handler = SIG_IGN;
	sigaction(SIGPIPE, &action, NULL);
}

/*
 * What the handlers above are for the first thread takes. A crash, or the stop of
 * who reads a terminal from the background, is for the thread that it happens to.
 */
static void block_signals(sigset_t *before)
{
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < COUNT(ends); i++)
		sigaddset(&set, ends[i]);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	sigaddset(&set, SIGTSTP);
	sigaddset(&set, SIGCONT);
	pthread_sigmask(SIG_BLOCK, &set, before);
}

int start_thread(pthread_t *thread, void *(*function)(void *arg), void *arg)
{
	sigset_t before;
	int err;

	block_signals(&before);
	err = pthread_create(thread, NULL, function, arg);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -err;
}
