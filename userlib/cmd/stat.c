// SPDX-License-Identifier: LGPL-2.1-or-later
/* "vee stat": what the VMs of this machine are at. */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "cmd.h"
#include "watch.h"

static const char usage[] =
	"usage: vee stat [options] [NUMBER ...]\n"
	"\n"
	"Shows what the VMs of this machine are at, of those that you may see, or of those\n"
	"alone that have one of the NUMBERs, or whose process has (\"vee list\"). On a\n"
	"terminal it is a screen that refreshes until Ctrl-C; otherwise all there is since\n"
	"each virtual CPU was made, once.\n"
	"\n"
	"  -o, --once            once, also on a terminal\n"
	"  -j, --json            as JSON, once; with --interval an object a line\n"
	"  -i, --interval SECONDS  refresh every so many seconds, 0.1 to 3600; else 1\n"
	"  -h, --help            this\n"
	"\n"
	"The status is 0, also if there are none; 1 if they can't be told, or if none has\n"
	"such a NUMBER.\n";

#define NUMBERS_MAX	64
#define INTERVAL_LEAST	0.1
#define INTERVAL_MOST	3600.0
#define NS_PER_S	1000000000LL
#define ROWS		24
#define COLUMNS		80
#define CLEAR_SCREEN	"\033[2J"

struct wishes {
	bool once;
	bool json;
	double interval;	/* 0: not said */
	uint32_t numbers[NUMBERS_MAX];
	unsigned int count;
};

/* --- looking --- */

static int no_such(const struct wishes *wishes)
{
	if (wishes->count == 1)
		return fail("no VM %u, nor a process %u that has one: see \"vee list\"",
			    wishes->numbers[0], wishes->numbers[0]);
	return fail("no VM, and no process that has one, has such a number: see \"vee list\"");
}

/* A status, and then nothing is to be freed. */
static int look(const struct wishes *wishes, struct watch *watch)
{
	int err = watch_take(watch);

	if (err)
		return fail("%s can't be read: %s", watch_proc, strerror(-err));
	watch_select(watch, wishes->numbers, wishes->count);
	if (watch->count || !wishes->count || watch->error)
		return STATUS_OK;
	watch_free(watch);
	return no_such(wishes);
}

static int once(const struct wishes *wishes)
{
	struct watch watch;
	int status = look(wishes, &watch);

	if (status)
		return status;
	if (wishes->json)
		put_json_stat(stdout, &watch);
	else
		put_stat(stdout, NULL, &watch);
	fflush(stdout);
	status = watch_complain(&watch);
	watch_free(&watch);
	return status;
}

/* --- again and again --- */

static void put_live(const struct watch *before, const struct watch *now)
{
	struct winsize size = { .ws_row = ROWS, .ws_col = COLUMNS };
	char *text = NULL;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);

	if (!out)
		return;
	if (!now->count)
		fputs("no VMs that you may see\n", out);
	put_stat(out, before, now);
	fclose(out);
	ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
	put_screen(stdout, text, size.ws_row ?: ROWS, size.ws_col ?: COLUMNS);
	free(text);
}

static void put_next(const struct wishes *wishes, const struct watch *before,
		     const struct watch *now, bool terminal)
{
	if (wishes->json) {
		put_json_stat(stdout, now);
	} else if (terminal) {
		put_live(before, now);
	} else {
		put_stat(stdout, before, now);
		putchar('\n');
	}
	fflush(stdout);
}

static void wait_for(double seconds)
{
	long long ns = seconds * NS_PER_S;
	const struct timespec time = { ns / NS_PER_S, ns % NS_PER_S };

	nanosleep(&time, NULL);
}

/* Until a signal, or nobody takes the output. */
static int again(const struct wishes *wishes, bool terminal)
{
	double interval = wishes->interval > 0 ? wishes->interval : 1;
	struct watch before, now;
	int status = look(wishes, &before);

	if (status)
		return status;
	status = watch_complain(&before);
	if (status) {
		watch_free(&before);
		return status;
	}
	if (terminal)
		fputs(CLEAR_SCREEN, stdout);
	put_next(wishes, NULL, &before, terminal);
	while (!ferror(stdout)) {
		wait_for(interval);
		status = look(wishes, &now);
		if (status)
			break;
		put_next(wishes, &before, &now, terminal);
		watch_free(&before);
		before = now;
	}
	watch_free(&before);
	return status;
}

/* --- the command line --- */

static bool get_interval(const char *text, double *seconds)
{
	char *end;

	*seconds = strtod(text, &end);
	return end != text && !*end && *seconds >= INTERVAL_LEAST && *seconds <= INTERVAL_MOST;
}

static bool get_number(const char *text, uint32_t *number)
{
	unsigned long value;
	char *end;

	errno = 0;
	value = strtoul(text, &end, 10);
	*number = value;
	return *text >= '0' && *text <= '9' && !*end && !errno && value && value <= UINT32_MAX;
}

static int stat_numbers(struct wishes *wishes, char *const *words)
{
	bool terminal = isatty(STDOUT_FILENO);

	if (wishes->count > NUMBERS_MAX)
		return fail("stat takes %d numbers at most", NUMBERS_MAX);
	for (unsigned int i = 0; i < wishes->count; i++)
		if (!get_number(words[i], &wishes->numbers[i]))
			return fail("%s: no number of a VM or process: see \"vee list\"",
				    words[i]);
	if (wishes->once || (!wishes->interval && (wishes->json || !terminal)))
		return once(wishes);
	return again(wishes, terminal && !wishes->json);
}

int cmd_stat(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "once", no_argument, NULL, 'o' },
		{ "json", no_argument, NULL, 'j' },
		{ "interval", required_argument, NULL, 'i' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 }
	};
	struct wishes wishes = { 0 };
	int option;

	argv[0] = "vee stat";
	while ((option = getopt_long(argc, argv, "oji:h", longs, NULL)) >= 0) {
		switch (option) {
		case 'o':
			wishes.once = true;
			break;
		case 'j':
			wishes.json = true;
			break;
		case 'i':
			if (!get_interval(optarg, &wishes.interval))
				return fail("--interval takes seconds, 0.1 to 3600");
			break;
		case 'h':
			fputs(usage, stdout);
			return STATUS_OK;
		default:
			return fail("\"vee stat --help\" tells the options");
		}
	}
	wishes.count = argc - optind;
	return stat_numbers(&wishes, argv + optind);
}
