// SPDX-License-Identifier: GPL-2.0-only
/*
 * Process 1 of the lab: mounts what a small Linux needs, inserts vee.ko,
 * runs the command with its output going to Bochs' debug port, looks at what
 * the kernel logged meanwhile, and powers off.
 *
 * It is C and not a shell script because each process that a script starts
 * costs the emulator a few million instructions.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/ioctl.h>
#include <sys/klog.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "complaint.h"
#include "frame.h"

#define SYSLOG_ACTION_READ_ALL		3
#define SYSLOG_ACTION_SIZE_BUFFER	10

/* Taint bits that mean trouble (Documentation/admin-guide/tainted-kernels). */
#define TAINT_BAD	(1ul << 4 |	/* machine check */	\
			 1ul << 5 |	/* bad page */		\
			 1ul << 7 |	/* oops */		\
			 1ul << 9 |	/* warning */		\
			 1ul << 14)	/* soft lockup */

/* Tenths of a second for the last reference to the module to go. */
#define UNLOAD_TRIES	100

/* Logged before the command, so that only what comes after it is judged. */
#define LOG_MARK	"lab: init"

/* What lab/run put into /lab. */
static const char command_file[] = "/lab/command";
static const char module_file[] = "/lab/vee.ko";
/*
 * Bochs 2.7 recognises no interrupt in a guest that is entered with RFLAGS.IF 0,
 * until the guest changes IF: such a guest must leave by itself now and then.
 */
static const char module_params[] = "slice_us=1000";
/* It is there if the command, or a shell, is to run on the terminal. */
static const char terminal_file[] = "/lab/terminal";
/* It is there if the kernel has kmemleak. */
static const char scan_file[] = "/lab/scan";

static void send_byte(unsigned char byte)
{
	outb(byte, E9_PORT);
}

static void send_data(const char *data, size_t size)
{
	static unsigned char frame[2 * 65536];

	while (size) {
		size_t n = size < 65536 ? size : 65536;
		const unsigned char *p = frame;
		unsigned long count = 2 * n;
		size_t i;

		for (i = 0; i < n; i++) {
			unsigned char c = data[i];

			frame[2 * i] = FRAME_HIGH | c >> 4;
			frame[2 * i + 1] = FRAME_LOW | (c & 15);
		}
		asm volatile("rep outsb" : "+S"(p), "+c"(count)
			     : "d"(E9_PORT) : "memory");
		data += n;
		size -= n;
	}
}

__attribute__((format(printf, 2, 3)))
static void send_text(unsigned char stream, const char *format, ...)
{
	char text[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	send_byte(stream);
	send_data(text, strlen(text));
}

static void power_off(void)
{
	send_byte(FRAME_END);
	sync();
	reboot(RB_POWER_OFF);
	for (;;)
		pause();
}

static void fail(const char *what)
{
	send_text(FRAME_ERROR, "%s: %s\n", what, strerror(errno));
	power_off();
}

static void mount_on(const char *type, const char *where, const char *options)
{
	mkdir(where, 0755);
	/* Not every kernel has every file system; the command will notice. */
	mount(type, where, type, 0, options);
}

static void link_to(const char *what, const char *name)
{
	if (symlink(what, name))
		fail(name);
}

static void mount_all(void)
{
	mount_on("proc", "/proc", NULL);
	mount_on("sysfs", "/sys", NULL);
	mount_on("devtmpfs", "/dev", NULL);
	mount_on("devpts", "/dev/pts", "ptmxmode=0666");
	mount_on("tmpfs", "/dev/shm", NULL);
	mount_on("tmpfs", "/tmp", NULL);
	mount_on("tmpfs", "/run", NULL);
	mount_on("debugfs", "/sys/kernel/debug", NULL);
	mount_on("tracefs", "/sys/kernel/tracing", NULL);
	link_to("/proc/self/fd", "/dev/fd");
	link_to("/proc/self/fd/0", "/dev/stdin");
	link_to("/proc/self/fd/1", "/dev/stdout");
	link_to("/proc/self/fd/2", "/dev/stderr");
}

static void loopback_up(void)
{
	struct ifreq request = { .ifr_name = "lo" };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	if (fd < 0)
		return;
	if (!ioctl(fd, SIOCGIFFLAGS, &request)) {
		request.ifr_flags |= IFF_UP;
		ioctl(fd, SIOCSIFFLAGS, &request);
	}
	close(fd);
}

static bool write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool written;

	if (fd < 0)
		return false;
	written = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	close(fd);
	return written;
}

/* The kernel has booted with one (lab/run). */
static void cpus_up(void)
{
	char path[64];

	for (int cpu = 1;; cpu++) {
		snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%d/online", cpu);
		if (access(path, W_OK))
			return;
		if (!write_file(path, "1"))
			fail("lab: a CPU that does not come up");
	}
}

static void set_up(void)
{
	struct rlimit no_core = { 0, 0 };
	int fd;

	umask(022);
	mount_all();
	fd = open("/dev/null", O_RDWR);
	if (fd >= 0) {
		dup2(fd, 0);
		dup2(fd, 1);
		dup2(fd, 2);
		if (fd > 2)
			close(fd);
	}
	cpus_up();
	loopback_up();
	if (sethostname("lab", 3) || chdir("/root"))
		fail("lab: host name or folder");
	setrlimit(RLIMIT_CORE, &no_core);
	clearenv();
	setenv("PATH", "/usr/bin:/bin:/usr/sbin:/sbin:/root", 1);
	setenv("HOME", "/root", 1);
	setenv("TERM", "linux", 1);
	setenv("VEE_LAB", "1", 1);
}

static char *read_file(const char *path, size_t *size)
{
	char *data = NULL;
	size_t have = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return NULL;
	for (;;) {
		ssize_t n;

		data = realloc(data, have + 4097);
		if (!data)
			break;
		n = read(fd, data + have, 4096);
		if (n <= 0)
			break;
		have += n;
	}
	close(fd);
	if (data)
		data[have] = 0;
	*size = have;
	return data;
}

static void log_mark(void)
{
	if (!write_file("/dev/kmsg", "<6>" LOG_MARK "\n"))
		fail("lab: /dev/kmsg");
}

static unsigned long taint(void)
{
	unsigned long bits = 0;
	size_t size;
	char *text = read_file("/proc/sys/kernel/tainted", &size);

	if (text)
		bits = strtoul(text, NULL, 10);
	free(text);
	return bits;
}

/* The kernel's log since LOG_MARK; the caller frees what *all points to. */
static char *kernel_log(char **all)
{
	int size = klogctl(SYSLOG_ACTION_SIZE_BUFFER, NULL, 0);
	char *log = size > 0 ? calloc(1, size + 1) : NULL;
	char *mark;

	*all = log;
	if (!log || klogctl(SYSLOG_ACTION_READ_ALL, log, size) < 0)
		return "";
	mark = strstr(log, LOG_MARK);
	return mark ? mark : log;
}

static bool has_complaint(const char *log)
{
	char *copy = strdup(log), *rest = copy, *line;
	bool found = false;

	while (!found && (line = strsep(&rest, "\n")))
		found = is_complaint(line);
	free(copy);
	return found;
}

/* It ends the scanning, and is a report: kmemleak turns itself off when it is short of memory. */
static void no_scan(const char *what)
{
	send_text(FRAME_REPORT, "lab: no scan for leaks: %s: %s\n", what, strerror(errno));
}

/*
 * kmemleak reports an object that two scans saw no pointer to, and that was 5 s
 * old at the second. A scan takes a lock for each pointer that it finds, which
 * lockdep has long seen: without its looks at them a scan takes half as long.
 */
static void scan_for_leaks(void)
{
	static const char file[] = "/sys/kernel/debug/kmemleak";
	struct timespec age = { .tv_sec = 5, .tv_nsec = 500000000 };
	size_t size;
	char *leaks;

	if (access(scan_file, F_OK))
		return;
	write_file("/proc/sys/kernel/prove_locking", "0");
	if (!write_file(file, "scan"))
		return no_scan(file);
	nanosleep(&age, NULL);
	if (!write_file(file, "scan"))
		return no_scan(file);
	leaks = read_file(file, &size);
	if (!leaks)
		return no_scan(file);
	if (size) {
		send_byte(FRAME_REPORT);
		send_data(leaks, size);
	}
	free(leaks);
}

static void report(unsigned long taint_before)
{
	unsigned long bad = taint() & ~taint_before & TAINT_BAD;
	char *all, *log = kernel_log(&all);

	if (bad || has_complaint(log)) {
		send_byte(FRAME_REPORT);
		send_data(log, strlen(log));
		if (bad)
			send_text(FRAME_REPORT, "kernel taint: %#lx\n", bad);
	}
	free(all);
}

static void insert_module(void)
{
	int fd = open(module_file, O_RDONLY | O_CLOEXEC);
	char *all, *log;
	int error;

	if (fd < 0)
		return;
	if (syscall(SYS_finit_module, fd, module_params, 0)) {
		error = errno;
		log = kernel_log(&all);
		send_byte(FRAME_ERROR);
		send_data(log, strlen(log));
		free(all);
		errno = error;
		fail("lab: cannot insert vee.ko");
	}
	close(fd);
}

static char **command_line(void)
{
	size_t size, at, n = 0;
	char *text = read_file(command_file, &size);
	char **argv;

	if (!text)
		return NULL;
	argv = calloc(size + 1, sizeof(*argv));
	for (at = 0; argv && at < size; at += strlen(text + at) + 1)
		argv[n++] = text + at;
	return argv;
}

static int exit_status(int status)
{
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status)
				   : WEXITSTATUS(status);
}

static void exec_command(char **argv, int out)
{
	/* What this process may do with ports its children need not. */
	iopl(0);
	dup2(out, 1);
	dup2(out, 2);
	execvp(argv[0], argv);
	dprintf(2, "lab: cannot run %s: %s\n", argv[0], strerror(errno));
	_exit(errno == ENOENT ? 127 : 126);
}

static void run_child(char **argv, int out)
{
	setsid();
	exec_command(argv, out);
}

/*
 * The command, or a shell, on the terminal. The end of a session's first process
 * hangs the terminal up, with what has not been sent: so that is another one, and
 * waits for it.
 */
static void run_on_terminal(char **argv, int fd)
{
	static char *shell[] = { "sh", "-l", NULL };
	int status = 0;
	pid_t child;

	setsid();
	ioctl(fd, TIOCSCTTY, 1);
	dup2(fd, 0);
	child = fork();
	if (!child)
		exec_command(argv ? argv : shell, fd);
	signal(SIGINT, SIG_IGN);
	signal(SIGQUIT, SIG_IGN);
	signal(SIGTSTP, SIG_IGN);
	waitpid(child, &status, 0);
	tcdrain(fd);
	_exit(exit_status(status));
}

/*
 * The second serial port, which the host ties to its terminal; -1: not this time.
 * Open before the host sends anything: a port that nobody has open loses it.
 */
static int open_terminal(void)
{
	struct termios termios;
	int fd;

	if (access(terminal_file, F_OK))
		return -1;
	fd = open("/dev/ttyS1", O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		fail("lab: no terminal");
	tcgetattr(fd, &termios);
	cfsetspeed(&termios, B115200);
	tcsetattr(fd, TCSANOW, &termios);
	return fd;
}

/*
 * Reaps what has ended, the command and orphans alike. Returns true, with the
 * command's exit status, once @child was among them. busybox's poweroff, halt
 * and reboot ask process 1 by a signal: that ends the command too.
 */
static bool reap(pid_t child, int signals, int *code)
{
	struct signalfd_siginfo info;
	bool ended = false;
	int status;
	pid_t pid;

	if (read(signals, &info, sizeof(info)) == sizeof(info) &&
	    info.ssi_signo != SIGCHLD)
		ended = true;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		if (pid == child) {
			*code = exit_status(status);
			ended = true;
		}
	return ended;
}

static bool copy_some(int in)
{
	static char buffer[65536];
	ssize_t n = read(in, buffer, sizeof(buffer));

	if (n > 0)
		send_data(buffer, n);
	return n > 0;
}

/*
 * Copies until @child has ended, not until the pipe has: what the command left
 * running in the background may hold that open for ever.
 */
static int copy_output(pid_t child, int in, int signals)
{
	struct pollfd fds[2] = {
		{ .fd = in, .events = POLLIN },
		{ .fd = signals, .events = POLLIN },
	};
	bool ended = false;
	int code = 0;

	send_byte(FRAME_OUTPUT);
	while (!ended) {
		if (poll(fds, 2, -1) < 0)
			continue;
		if ((fds[0].revents & (POLLIN | POLLHUP)) && !copy_some(in))
			fds[0].fd = -1;
		if (fds[1].revents & POLLIN)
			ended = reap(child, signals, &code);
	}
	fcntl(in, F_SETFL, O_NONBLOCK);
	while (copy_some(in))
		;
	return code;
}

static int run_command(char **argv, int terminal)
{
	int pipe_fds[2], signals;
	sigset_t set, old;
	pid_t child;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_BLOCK, &set, &old);
	signals = signalfd(-1, &set, SFD_CLOEXEC);
	if (signals < 0 || pipe2(pipe_fds, O_CLOEXEC))
		fail("lab: signalfd or pipe");
	child = fork();
	if (child < 0)
		fail("lab: fork");
	if (!child) {
		sigprocmask(SIG_SETMASK, &old, NULL);
		if (terminal >= 0)
			run_on_terminal(argv, terminal);
		run_child(argv, pipe_fds[1]);
	}
	close(pipe_fds[1]);
	return copy_output(child, pipe_fds[0], signals);
}

/*
 * A module that can't go has a reference too many. What a process that was killed
 * held goes a little after it, io_uring's by a worker: there is some time for that.
 */
static void remove_module(void)
{
	struct timespec pause = { .tv_nsec = 100000000 };
	char *count;
	size_t size;
	int tries;

	for (tries = 0; tries < UNLOAD_TRIES; tries++) {
		if (!syscall(SYS_delete_module, "vee", O_NONBLOCK) || errno == ENOENT)
			return;
		nanosleep(&pause, NULL);
	}
	send_text(FRAME_REPORT, "lab: nothing runs any more, but vee.ko can't be removed: %s\n",
		  strerror(errno));
	count = read_file("/sys/module/vee/refcnt", &size);
	send_text(FRAME_REPORT, "lab: its reference count is %s", count ? count : "unknown\n");
	free(count);
}

/* Nothing may outlive the command: then the module can go, or is leaking. */
static void tidy_up(void)
{
	kill(-1, SIGKILL);
	while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
		;
	remove_module();
}

int main(void)
{
	unsigned long taint_before;
	int status, terminal;
	char **argv;

	if (iopl(3))
		return 1;
	send_byte(FRAME_INIT);
	set_up();
	taint_before = taint();
	log_mark();
	insert_module();
	argv = command_line();
	terminal = open_terminal();
	if (!argv && terminal < 0)
		fail("lab: no command");
	send_byte(FRAME_START);
	status = run_command(argv, terminal);
	tidy_up();
	scan_for_leaks();
	report(taint_before);
	send_text(FRAME_STATUS, "%d", status);
	power_off();
}
