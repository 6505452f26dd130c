// SPDX-License-Identifier: GPL-2.0-only
/*
 * The host's end of the lab: runs Bochs without a display, copies the
 * command's output from the debug port to stdout as it comes, ties a terminal
 * to the lab's shell, keeps the time limit, and says how it all ended.
 *
 * usage: host [-s] [-r] [-g] [-t SECONDS] [-q SECONDS] [-d DIR] WORK-DIR
 *
 * WORK-DIR holds bochsrc, and gets console.log and bochs.log. With -r it also holds
 * bochs.rc, the commands for Bochs' debugger, which is else told by this program. DIR is
 * removed at the end.
 *
 * The limit counts the lab's own time, which load and slow machines don't change:
 * SIGINT takes Bochs to its debugger between two instructions, which the lab can't
 * notice, the debugger says how many there were, and is told to go on.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "complaint.h"
#include "frame.h"

/* Exit statuses of lab/run that are not the command's. */
#define EXIT_REPORT	70	/* the kernel complained, or died */
#define EXIT_NO_START	71	/* the command was never started */
#define EXIT_TIMEOUT	124	/* as timeout(1) has it */

#define TAIL_LINES	60

/* What a second of the limit is, whatever rate the lab believes in (--tsc-khz). */
#define TICKS_PER_SECOND	100000000ull

/* Milliseconds from one look at the emulator to the next. */
#define LOOK_INTERVAL	1000

/*
 * How many looks in a row may find that the emulator had no CPU time at all; and
 * how many seconds of CPU time it may take for its clock to move.
 */
#define PATIENCE	60

static struct {
	const char *work;
	const char *remove;
	bool shell;
	bool times;		/* VEE_LAB_TIMES: say when each stage came */
	double began;
	int limit;
	int silence;		/* the limit for that; 0: none */
	int patience;
	bool rc_file;		/* -r */
	bool debugger_option;	/* -g: this Bochs has its debugger only if asked */
	pid_t bochs;
	int from_bochs;
	int to_bochs;		/* its debugger's commands */
	int terminal;		/* master end of the lab's second serial port */
	bool raw;
	struct termios saved;
} host = { .patience = PATIENCE, .to_bochs = -1, .terminal = -1 };

enum end { LAB_ENDED, OVER_LIMIT, SILENT, STANDS_STILL, CLOCK_STANDS_STILL };

/* The emulator's clock and what it took to move it. */
static struct {
	unsigned long long ticks;	/* when it was last asked */
	unsigned long long printed;	/* likewise, when the lab last printed */
	double cpu;			/* seconds of CPU time, at the last look */
	double cpu_moved;		/* likewise, when ticks last changed */
	int idle_looks;			/* that found no more of it, in a row */
	bool answers;			/* the debugger has come up */
} progress;

/* What the lab has said so far. */
static struct {
	int stream;
	int high;
	bool boot, init, start, end, reset, report, error;
	off_t console;		/* how long console.log was when init began */
	char status[16];
	size_t status_size;
} lab;

static volatile sig_atomic_t caught;

static void on_signal(int signal)
{
	caught = signal;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static const char *work_path(const char *name)
{
	static char path[4096];

	snprintf(path, sizeof(path), "%s/%s", host.work, name);
	return path;
}

static void remove_dir(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;

	if (!dir)
		return;
	while ((entry = readdir(dir)))
		unlinkat(dirfd(dir), entry->d_name, 0);
	closedir(dir);
	rmdir(path);
}

static void finish(int code)
{
	if (host.raw)
		tcsetattr(0, TCSADRAIN, &host.saved);
	if (host.bochs > 0) {
		kill(host.bochs, SIGKILL);
		waitpid(host.bochs, NULL, 0);
	}
	if (host.remove)
		remove_dir(host.remove);
	exit(code);
}

static void put(int fd, const char *data, size_t size)
{
	while (size) {
		ssize_t n = write(fd, data, size);

		if (n < 0 && errno == EINTR && !caught)
			continue;
		if (n < 0)
			finish(128 + SIGPIPE);
		data += n;
		size -= n;
	}
}

static off_t file_size(const char *name)
{
	struct stat st;

	return stat(work_path(name), &st) ? 0 : st.st_size;
}

struct log {
	const char *text, *end;
};

/* An empty one is like one that is not there. It stays mapped: the lab is at its end. */
static struct log map_log(const char *name)
{
	int fd = open(work_path(name), O_RDONLY | O_CLOEXEC);
	struct log log = { 0 };
	struct stat st;
	void *text;

	if (fd < 0)
		return log;
	if (!fstat(fd, &st) && st.st_size) {
		text = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
		if (text != MAP_FAILED)
			log = (struct log){ text, (char *)text + st.st_size };
	}
	close(fd);
	return log;
}

static const char *next_line(const char *line, const char *end)
{
	const char *newline = memchr(line, '\n', end - line);

	return newline ? newline + 1 : end;
}

/* Prints the last lines, which begin nowhere before @from. */
static void print_tail(const char *name, const char *from, const char *end)
{
	const char *at = end;
	int lines = 0;

	if (from == end)
		return;
	for (at = end - 1; at > from; at--)
		if (at[-1] == '\n' && ++lines == TAIL_LINES)
			break;
	fprintf(stderr, "lab: the end of %s:\n", name);
	put(2, at, end - at);
}

/* For a lab that died before it could say why. */
static void print_log(const char *name)
{
	struct log log = map_log(name);

	print_tail(name, log.text, log.end);
}

/* The first line of the kernel's that is a complaint; @end if there is none. */
static const char *find_complaint(const char *line, const char *end)
{
	char copy[1024];

	for (; line < end; line = next_line(line, end)) {
		size_t size = next_line(line, end) - line;

		if (size >= sizeof(copy))
			size = sizeof(copy) - 1;
		memcpy(copy, line, size);
		copy[size] = 0;
		if (is_complaint(copy))
			break;
	}
	return line;
}

/*
 * What the kernel complained about first can be far from the log's end. What it
 * says before init is about the emulated CPU.
 */
static void print_console(void)
{
	struct log log = map_log("console.log");
	const char *first = log.end, *at;
	int lines;

	if (lab.init && lab.console < log.end - log.text)
		first = find_complaint(log.text + lab.console, log.end);
	at = first;

	for (lines = 0; at < log.end && lines < TAIL_LINES; lines++)
		at = next_line(at, log.end);
	if (first < log.end) {
		fprintf(stderr, "lab: the kernel complained:\n");
		put(2, first, at - first);
	} else {
		at = log.text;
	}
	print_tail("console.log", at, log.end);
}

/*
 * The only display library of Debian's bochs that needs no terminal and no X
 * listens on a TCP port. In a network name space of its own nobody can reach
 * that port, and any number of labs can have it.
 */
static void close_network(void)
{
	if (unshare(CLONE_NEWNET))
		unshare(CLONE_NEWUSER | CLONE_NEWNET);
}

static void exec_bochs(int out)
{
	char config[4096];
	int fd;

	/* A session of its own: Ctrl-C is ours, and stops the debugger. */
	setsid();
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	close_network();
	fd = open("/dev/null", O_RDONLY);
	dup2(fd, 0);
	dup2(out, 1);
	fd = open(work_path("bochs.out"), O_WRONLY | O_CREAT | O_TRUNC, 0666);
	dup2(fd, 2);
	snprintf(config, sizeof(config), "%s", work_path("bochsrc"));
	execlp("bochs-bin", "bochs-bin", "-q", "-f", config, "-rc",
	       work_path("bochs.rc"), host.debugger_option ? "-debugger" : NULL,
	       (char *)NULL);
	_exit(127);
}

/* For writing and reading, so that nobody waits for the other to open it. */
static void open_debugger(void)
{
	const char *path = work_path("bochs.rc");

	if (host.rc_file)
		return;
	if (mkfifo(path, 0600))
		err(EXIT_NO_START, "%s", path);
	host.to_bochs = open(path, O_RDWR | O_CLOEXEC);
	if (host.to_bochs < 0)
		err(EXIT_NO_START, "%s", path);
}

static void start_bochs(void)
{
	int pipe_fds[2];

	open_debugger();
	if (pipe2(pipe_fds, O_CLOEXEC))
		err(EXIT_NO_START, "pipe");
	host.bochs = fork();
	if (host.bochs < 0)
		err(EXIT_NO_START, "fork");
	if (!host.bochs)
		exec_bochs(pipe_fds[1]);
	close(pipe_fds[1]);
	host.from_bochs = pipe_fds[0];
}

/* The serial port's end is a link in the work folder that bochsrc names. */
static void open_terminal(void)
{
	struct termios raw;
	int fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);

	if (fd < 0 || grantpt(fd) || unlockpt(fd))
		err(EXIT_NO_START, "cannot get a pseudo-terminal");
	unlink(work_path("terminal"));
	if (symlink(ptsname(fd), work_path("terminal")))
		err(EXIT_NO_START, "%s", work_path("terminal"));
	host.terminal = fd;
	/* Held open, so that reads don't fail before Bochs opens its end. */
	if (open(ptsname(fd), O_RDWR | O_NOCTTY | O_CLOEXEC) < 0)
		err(EXIT_NO_START, "%s", ptsname(fd));
	tcgetattr(fd, &raw);
	cfmakeraw(&raw);
	tcsetattr(fd, TCSANOW, &raw);
}

/* Not before the lab listens: until then Ctrl-C ends it. */
static void take_terminal(void)
{
	struct termios raw;

	if (!host.shell || tcgetattr(0, &host.saved))
		return;
	raw = host.saved;
	cfmakeraw(&raw);
	host.raw = !tcsetattr(0, TCSADRAIN, &raw);
}

static void data_byte(char c)
{
	switch (lab.stream) {
	case FRAME_STATUS:
		if (lab.status_size < sizeof(lab.status) - 1)
			lab.status[lab.status_size++] = c;
		break;
	case FRAME_REPORT:
		lab.report = true;
		put(2, &c, 1);
		break;
	case FRAME_ERROR:
		lab.error = true;
		put(2, &c, 1);
		break;
	}
}

static double bochs_cpu_time(void)
{
	struct timespec t = { 0 };
	clockid_t clock;

	if (!clock_getcpuclockid(host.bochs, &clock))
		clock_gettime(clock, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void command_byte(unsigned char byte)
{
	if (host.times)
		fprintf(stderr, "lab: %7.3f s, %7.3f s of CPU time: %s\n",
			now() - host.began, bochs_cpu_time(),
			byte == FRAME_BOOT ? "boot sector" :
			byte == FRAME_INIT ? "init" :
			byte == FRAME_START ? "command" :
			byte == FRAME_STATUS ? "command ended" :
			byte == FRAME_END ? "end" : "output");
	switch (byte) {
	case FRAME_OUTPUT:
	case FRAME_STATUS:
	case FRAME_ERROR:
		lab.stream = byte;
		break;
	case FRAME_REPORT:
		if (!lab.report)
			fprintf(stderr, "lab: the kernel complained:\n");
		lab.stream = byte;
		break;
	case FRAME_BOOT:
		lab.reset = lab.boot;
		lab.boot = true;
		break;
	case FRAME_INIT:
		lab.init = true;
		lab.console = file_size("console.log");
		break;
	case FRAME_START:
		lab.start = true;
		progress.printed = progress.ticks;
		take_terminal();
		break;
	case FRAME_END:
		lab.end = true;
		break;
	}
}

/* Before it waits for a command the debugger says "Next at t=" and the tick. */
static void debugger_line(const char *line)
{
	unsigned long long ticks;

	if (sscanf(line, "Next at t=%llu", &ticks) != 1)
		return;
	progress.answers = true;
	if (ticks != progress.ticks)
		progress.cpu_moved = bochs_cpu_time();
	progress.ticks = ticks;
	if (host.to_bochs >= 0)
		put(host.to_bochs, "c\n", 2);
}

static void debugger_byte(char c)
{
	static char line[80];
	static size_t size;

	if (c == '\n') {
		line[size] = 0;
		debugger_line(line);
		size = 0;
	} else if (size < sizeof(line) - 1) {
		line[size++] = c;
	}
}

static void decode(const unsigned char *frame, size_t size)
{
	static char text[65536];
	size_t n = 0;

	for (size_t i = 0; i < size; i++) {
		unsigned char kind = frame[i] & 0xf0;

		if (kind == FRAME_HIGH)
			lab.high = frame[i] & 15;
		else if (kind == FRAME_LOW && lab.stream == FRAME_OUTPUT)
			text[n++] = lab.high << 4 | (frame[i] & 15);
		else if (kind == FRAME_LOW)
			data_byte(lab.high << 4 | (frame[i] & 15));
		else if (kind >= 0xa0)
			command_byte(frame[i]);
		else
			debugger_byte(frame[i]);
	}
	if (n)
		progress.printed = progress.ticks;
	put(1, text, n);
}

static bool read_bochs(void)
{
	static unsigned char frame[65536];
	ssize_t n = read(host.from_bochs, frame, sizeof(frame));

	if (n > 0)
		decode(frame, n);
	return n > 0 || (n < 0 && errno == EINTR);
}

static bool copy(int from, int to)
{
	char data[4096];
	ssize_t n = read(from, data, sizeof(data));

	if (n > 0)
		put(to, data, n);
	return n > 0;
}

/* What the terminal still has when the lab has ended. */
static void drain_terminal(void)
{
	struct pollfd fd = { .fd = host.terminal, .events = POLLIN };

	while (host.shell && poll(&fd, 1, 0) > 0 && fd.revents & POLLIN)
		if (!copy(host.terminal, 1))
			break;
}

/*
 * Has the lab used up its time, or the emulator come to a halt? Where the debugger
 * has other things to do, the emulator's CPU time stands in for the lab's.
 */
static enum end look(void)
{
	double cpu = bochs_cpu_time();
	bool asks = host.to_bochs >= 0;

	progress.idle_looks = cpu > progress.cpu ? 0 : progress.idle_looks + 1;
	progress.cpu = cpu;
	if (!asks)
		progress.ticks = cpu * TICKS_PER_SECOND;
	if (progress.ticks >= host.limit * TICKS_PER_SECOND)
		return OVER_LIMIT;
	if (host.silence && lab.start &&
	    progress.ticks >= progress.printed + host.silence * TICKS_PER_SECOND)
		return SILENT;
	if (progress.idle_looks >= host.patience)
		return STANDS_STILL;
	if (asks && cpu - progress.cpu_moved >= host.patience)
		return CLOCK_STANDS_STILL;
	if (asks && progress.answers)
		kill(host.bochs, SIGINT);
	return LAB_ENDED;
}

/* Milliseconds until the next look, which is never long past. */
static int until(double next_look)
{
	double wait = (next_look - now()) * 1000;

	return wait > 0 ? wait + 1 : 0;
}

/* Returns once the lab has ended, died, hung, or run out of time. */
static enum end watch(void)
{
	double next_look = now() + LOOK_INTERVAL / 1e3;
	struct pollfd fds[3] = {
		{ .fd = host.from_bochs, .events = POLLIN },
		{ .fd = host.terminal, .events = POLLIN },
		{ .fd = -1, .events = POLLIN },
	};
	bool no_more = false;
	enum end end = LAB_ENDED;

	while (!lab.end && !lab.reset) {
		fds[2].fd = host.shell && lab.start && !no_more ? 0 : -1;
		if (poll(fds, 3, host.limit ? until(next_look) : -1) < 0 && errno != EINTR)
			err(EXIT_NO_START, "poll");
		if (caught)
			finish(128 + caught);
		if (fds[0].revents && !read_bochs())
			break;
		if (fds[1].revents && !copy(host.terminal, 1))
			fds[1].fd = -1;
		/* The end of a piped script is the end of the shell: ^D. */
		if (fds[2].revents && !copy(0, host.terminal)) {
			put(host.terminal, "\004", 1);
			no_more = true;
		}
		if (host.limit && now() >= next_look) {
			end = look();
			if (end != LAB_ENDED)
				break;
			next_look = now() + LOOK_INTERVAL / 1e3;
		}
	}
	return end;
}

static int hung(enum end end)
{
	double silent = (progress.ticks - progress.printed) / (double)TICKS_PER_SECOND;

	switch (end) {
	case OVER_LIMIT:
		fprintf(stderr, "lab: the time limit was reached, %d s of the lab's time; ",
			host.limit);
		fprintf(stderr, lab.start ? "the command last printed something %.0f s before\n" :
			"the command was not reached\n", silent);
		break;
	case SILENT:
		fprintf(stderr, "lab: the command printed nothing for %.0f s of the lab's time\n",
			silent);
		break;
	case STANDS_STILL:
		fprintf(stderr, "lab: the emulator stands still: for %d s it had no CPU time\n",
			host.patience);
		break;
	default:
		fprintf(stderr, "lab: the emulator hangs: it ran for %d s, and ", host.patience);
		fprintf(stderr, "the lab's time did not move\n");
	}
	print_console();
	return EXIT_TIMEOUT;
}

static int verdict(enum end end)
{
	if (end != LAB_ENDED)
		return hung(end);
	if (lab.error)
		return EXIT_NO_START;
	if (lab.end && lab.status_size)
		return lab.report ? EXIT_REPORT : atoi(lab.status);
	if (!lab.start) {
		fprintf(stderr, "lab: the machine did not get as far as %s\n",
			lab.init ? "the command" : "its first process");
		print_console();
		print_log("bochs.log");
		print_log("bochs.out");
		return EXIT_NO_START;
	}
	fprintf(stderr, "lab: the machine %s while the command ran\n",
		lab.reset ? "crashed and reset" : "went down");
	print_console();
	print_log("bochs.log");
	return EXIT_REPORT;
}

static void parse(int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "srgt:q:d:")) != -1) {
		switch (c) {
		case 's':
			host.shell = true;
			break;
		case 'r':
			host.rc_file = true;
			break;
		case 'g':
			host.debugger_option = true;
			break;
		case 't':
			host.limit = atoi(optarg);
			break;
		case 'q':
			host.silence = atoi(optarg);
			break;
		case 'd':
			host.remove = optarg;
			break;
		default:
			exit(2);
		}
	}
	if (optind + 1 != argc)
		errx(2, "usage: host [-s] [-r] [-g] [-t SECONDS] [-q SECONDS] [-d DIR] WORK-DIR");
	host.work = argv[optind];
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_signal };
	const char *patience = getenv("VEE_LAB_PATIENCE");
	enum end end;

	parse(argc, argv);
	if (patience)
		host.patience = atoi(patience);
	host.times = getenv("VEE_LAB_TIMES");
	host.began = now();
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
	if (host.shell)
		open_terminal();
	start_bochs();
	end = watch();
	drain_terminal();
	if (host.times && host.limit)
		fprintf(stderr, "lab: at the last look %.1f s of the lab's time had passed\n",
			progress.ticks / (double)TICKS_PER_SECOND);
	finish(verdict(end));
}
