// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * "vee run --send" and "--receive": a guest to another "vee run", while it runs.
 *
 * A thread sends its memory; towards the end all CPUs wait between two runs, as for --save,
 * and the thread holds the machine's lock until it is known who runs the guest, so that
 * nothing comes to its devices meanwhile. Who that is save/stream.h says.
 *
 * Where it goes is a Unix socket: only this machine's users reach one, and of these who has
 * the permission; ssh takes it to another machine, and sees to who may, and to secrecy.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "cmd.h"

#define WHY_BYTES	600
#define NS_PER_MS	1e6
#define FD_PREFIX	"fd:"

/* --- the socket --- */

/* A descriptor that was handed down; -1: @where is a path. */
static int inherited(const char *where)
{
	char *end;
	long fd;

	if (strncmp(where, FD_PREFIX, strlen(FD_PREFIX)))
		return -1;
	fd = strtol(where + strlen(FD_PREFIX), &end, 10);
	return *end || end == where + strlen(FD_PREFIX) || fd < 0 || fd > 1 << 20 ? -1 : (int)fd;
}

static int set_address(struct sockaddr_un *address, const char *path)
{
	*address = (struct sockaddr_un) { .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof(address->sun_path))
		return -ENAMETOOLONG;
	strcpy(address->sun_path, path);
	return 0;
}

/* -errno. */
static int connect_to(const char *where)
{
	struct sockaddr_un address;
	int fd = inherited(where), err;

	if (fd >= 0)
		return fd;
	err = set_address(&address, where);
	fd = err ? err : socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err ? err : -errno;
	if (!connect(fd, (const struct sockaddr *)&address, sizeof(address)))
		return fd;
	err = -errno;
	close(fd);
	return err;
}

static int accept_one(int listener, const struct sockaddr_un *address)
{
	mode_t before = umask(0077);
	int err = bind(listener, (const struct sockaddr *)address, sizeof(*address)) ? -errno : 0;
	int fd;

	umask(before);
	if (err)
		return err;
	fd = listen(listener, 1) ? -1 : accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	err = -errno;
	unlink(address->sun_path);
	return fd < 0 ? err : fd;
}

/* The first who comes. -errno. */
static int wait_for_peer(const char *where)
{
	struct sockaddr_un address;
	int listener = inherited(where), fd, err;

	if (listener >= 0)
		return listener;
	err = set_address(&address, where);
	if (err)
		return err;
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listener < 0)
		return -errno;
	fd = accept_one(listener, &address);
	close(listener);
	return fd;
}

/* --- sending --- */

/**
 * struct mover - a guest on its way
 * @machine: it
 * @locked: all its CPUs wait, and its lock is held
 * @machine_section: its sections' contents
 * @devices: likewise
 * @sections: they
 * @why: what went wrong
 */
struct mover {
	struct machine *machine;
	bool locked;
	struct saved_machine machine_section;
	uint8_t *devices;
	struct vee_section sections[SAVED_SECTIONS];
	char why[WHY_BYTES];
};

static bool all_wait(const struct machine *machine)
{
	return machine->waiting == machine->cpu_count;
}

/* For struct vee_sending. */
static int stop(void *arg, const struct vee_section **sections, unsigned int *count)
{
	struct mover *mover = arg;
	struct machine *machine = mover->machine;

	pthread_mutex_lock(&machine->lock);
	mover->locked = true;
	machine->move = MOVE_STOPS;
	machine_kick(machine);
	while (!all_wait(machine) && !machine_is_over(machine)) {
		wait_a_while(&machine->answers, &machine->lock);
		machine_kick(machine);
	}
	if (!all_wait(machine))
		return -ECANCELED;
	*sections = mover->sections;
	*count = SAVED_SECTIONS;
	return save_sections(machine, &mover->machine_section, mover->devices, mover->sections);
}

static void say_moved(const struct machine *machine, const struct vee_sending *sending,
		      double all_ms)
{
	fprintf(stderr, "%s: moved to %s in %.1f ms, %.1f of them at a standstill; %llu pages\n",
		machine->name, machine->options->send, all_ms, sending->stopped_ns / NS_PER_MS,
		(unsigned long long)sending->pages);
}

/* Nobody knows who runs it but, perhaps, a person. */
static void wait_for_word(struct mover *mover)
{
	struct machine *machine = mover->machine;

	fprintf(stderr, "%s: --send %s: %s; it stands still here, %s\n", machine->name,
		machine->options->send, mover->why, "until SIGUSR2 has it go on, or SIGTERM end");
	machine->move = MOVE_DOUBT;
	while (machine->move == MOVE_DOUBT && !machine_is_over(machine))
		wait_a_while(&machine->answers, &machine->lock);
}

/* With the lock held, if it came to that. */
static void finish(struct mover *mover, int err, const struct vee_sending *sending, double ms)
{
	struct machine *machine = mover->machine;

	if (!err) {
		cpu_ends_machine(&machine->cpus[0]);
		say_moved(machine, sending, ms);
	} else if (err == -EINPROGRESS) {
		wait_for_word(mover);
	} else {
		fprintf(stderr, "%s: --send %s: %s; the guest goes on\n", machine->name,
			machine->options->send, mover->why);
	}
	if (!mover->locked)
		pthread_mutex_lock(&machine->lock);
	machine->move = MOVE_NONE;
	pthread_cond_broadcast(&machine->answers);
	pthread_mutex_unlock(&machine->lock);
}

static int open_socket(struct mover *mover)
{
	struct machine *machine = mover->machine;
	int fd = connect_to(machine->options->send);

	if (fd < 0) {
		snprintf(mover->why, WHY_BYTES, "%s", strerror(-fd));
		return fd;
	}
	machine->move_fd = fd;
	/* move_join() has looked for it already, perhaps. */
	if (!machine_is_over(machine))
		return 0;
	snprintf(mover->why, WHY_BYTES, "it is over");
	return -ECANCELED;
}

static int send_guest(struct mover *mover, struct vee_sending *sending)
{
	struct machine *machine = mover->machine;
	struct vee_vcpu *vcpus[VEE_MAX_VCPUS];
	int err = open_socket(mover);

	for (unsigned int i = 0; i < machine->cpu_count; i++)
		vcpus[i] = machine->cpus[i].vcpu;
	sending->vcpus = vcpus;
	if (!err)
		err = vee_send(sending, machine->move_fd, mover->why, WHY_BYTES);
	/* It is closed when nobody else can mean it any more: move_join(). */
	if (machine->move_fd >= 0)
		shutdown(machine->move_fd, SHUT_RDWR);
	return err;
}

static void *move(void *arg)
{
	struct machine *machine = arg;
	uint64_t before = clock_now(&host_clock);
	struct mover mover = { .machine = machine, .why = "no memory" };
	struct vee_sending sending = {
		.count = machine->cpu_count, .downtime_ms = machine->options->downtime,
		.stop = stop, .arg = &mover,
	};
	int err = -ENOMEM;

	mover.devices = malloc(pc_saved_bytes(&machine->pc));
	if (mover.devices)
		err = send_guest(&mover, &sending);
	finish(&mover, err, &sending, (clock_now(&host_clock) - before) / NS_PER_MS);
	free(mover.devices);
	return NULL;
}

void move_ask(struct machine *machine)
{
	int none = MOVE_NONE, doubt = MOVE_DOUBT;

	if (!machine->options->send ||
	    atomic_compare_exchange_strong(&machine->move, &doubt, MOVE_NONE))
		return;
	if (atomic_compare_exchange_strong(&machine->move, &none, MOVE_ASKED))
		machine_kick(machine);
}

/* The first CPU's thread does it: signals' handlers can't. */
static void begin(struct machine *machine)
{
	int err;

	move_join(machine);
	machine->move = MOVE_GOES;
	err = start_thread(&machine->mover, move, machine);
	machine->has_mover = !err;
	if (!err)
		return;
	machine->move = MOVE_NONE;
	fprintf(stderr, "%s: can't start a thread: %s; the guest goes on\n", machine->name,
		strerror(-err));
}

static bool stands_still(const struct machine *machine)
{
	return machine->move == MOVE_STOPS || machine->move == MOVE_DOUBT;
}

void move_serve(struct cpu *cpu)
{
	struct machine *machine = cpu->machine;

	if (machine->move == MOVE_ASKED && cpu == machine->cpus)
		begin(machine);
	if (!stands_still(machine))
		return;
	pthread_mutex_lock(&machine->lock);
	machine->waiting++;
	pthread_cond_broadcast(&machine->answers);
	while (stands_still(machine) && !machine_is_over(machine))
		wait_a_while(&machine->answers, &machine->lock);
	machine->waiting--;
	pthread_mutex_unlock(&machine->lock);
}

void move_join(struct machine *machine)
{
	if (!machine->has_mover)
		return;
	if (machine->move_fd >= 0)
		shutdown(machine->move_fd, SHUT_RDWR);
	pthread_join(machine->mover, NULL);
	machine->has_mover = false;
	if (machine->move_fd >= 0)
		close(machine->move_fd);
	machine->move_fd = -1;
}

/* --- receiving --- */

int receive_open(struct options *options)
{
	char why[WHY_BYTES];
	int fd = wait_for_peer(options->receive);

	if (fd < 0)
		return fail("--receive %s: %s", options->receive, strerror(-fd));
	if (vee_receive(fd, &options->saved, why, sizeof(why)))
		return fail("--receive %s: %s", options->receive, why);
	return load_look(options);
}

int receive_take_over(struct machine *machine)
{
	char why[WHY_BYTES];

	if (!machine->options->receive)
		return STATUS_OK;
	if (vee_take_over(machine->options->saved, why, sizeof(why)))
		return fail_of(machine, "--receive %s: %s; it doesn't run here",
			       machine->options->receive, why);
	vee_saved_close(machine->options->saved);
	return STATUS_OK;
}
