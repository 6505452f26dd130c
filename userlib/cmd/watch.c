// SPDX-License-Identifier: LGPL-2.1-or-later
/* Looks for VMs in all of /proc, and puts together what the descriptors of each tell. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cmd.h"
#include "watch.h"

#define PATH_BYTES	512
#define STAT_BYTES	1024
#define TEXT_BYTES	16384
#define VMS_STEP	16

const char *watch_proc = "/proc";

/* A file in a process's folder. */
static size_t read_text(pid_t pid, const char *name, char *text, size_t room)
{
	char path[PATH_BYTES];
	size_t bytes;
	FILE *file;

	*text = 0;
	snprintf(path, sizeof(path), "%s/%d/%s", watch_proc, (int)pid, name);
	file = fopen(path, "re");
	if (!file)
		return 0;
	bytes = fread(text, 1, room - 1, file);
	text[bytes] = 0;
	fclose(file);
	return bytes;
}

/* --- one descriptor --- */

/* -ENOMEM: NULL. */
static struct watched_vm *find_vm(struct watch *watch, uint32_t number)
{
	struct watched_vm *vms = watch->vms;

	for (unsigned int i = 0; i < watch->count; i++)
		if (vms[i].text.vm == number)
			return &vms[i];
	if (!(watch->count % VMS_STEP)) {
		vms = realloc(vms, (watch->count + VMS_STEP) * sizeof(*vms));
		if (!vms)
			return NULL;
		watch->vms = vms;
	}
	memset(&vms[watch->count], 0, sizeof(*vms));
	return &vms[watch->count++];
}

/* After fork(2) two processes have it. */
static void add_vcpu(struct watched_vm *vm, const struct watched_vcpu *vcpu)
{
	unsigned int i = 0;

	while (i < vm->vcpu_count && vm->vcpus[i].id < vcpu->id)
		i++;
	if (i < vm->vcpu_count && vm->vcpus[i].id == vcpu->id)
		return;
	memmove(&vm->vcpus[i + 1], &vm->vcpus[i], (vm->vcpu_count - i) * sizeof(*vcpu));
	vm->vcpus[i] = *vcpu;
	vm->vcpu_count++;
}

static int take_text(struct watch *watch, pid_t pid, const char *text, bool vcpu)
{
	struct watched_vm *vm;
	struct fdinfo info;
	int err = fdinfo_parse(text, vcpu, &info);

	if (err) {
		watch->error = err;
		watch->of = pid;
		return 0;
	}
	vm = find_vm(watch, info.vm);
	if (!vm)
		return -ENOMEM;
	vm->text = info;
	if (!vm->pid || (pid_t)info.process == pid)
		vm->pid = pid;
	if (vcpu)
		add_vcpu(vm, &info.vcpu);
	return 0;
}

/* Who may list the descriptors of a process need not be one who may look at them. */
static void note_denial(struct watch *watch)
{
	watch->hidden |= errno == EACCES || errno == EPERM;
}

/* It may be gone by now, or be another one. */
static int look_at_fd(struct watch *watch, pid_t pid, int dir, const char *name)
{
	char link[32], path[32], text[TEXT_BYTES];
	ssize_t bytes = readlinkat(dir, name, link, sizeof(link) - 1);
	bool vcpu;

	if (bytes < 0) {
		note_denial(watch);
		return 0;
	}
	link[bytes] = 0;
	vcpu = !strcmp(link, "anon_inode:vee-vcpu");
	if (!vcpu && strcmp(link, "anon_inode:vee-vm"))
		return 0;
	snprintf(path, sizeof(path), "fdinfo/%.16s", name);
	if (!read_text(pid, path, text, sizeof(text)))
		return 0;
	return take_text(watch, pid, text, vcpu);
}

/* --- one process --- */

static int look_at_process(struct watch *watch, pid_t pid)
{
	char path[PATH_BYTES];
	struct dirent *entry;
	int err = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/%d/fd", watch_proc, (int)pid);
	dir = opendir(path);
	if (!dir) {
		note_denial(watch);
		return 0;
	}
	while (!err && (entry = readdir(dir)))
		err = look_at_fd(watch, pid, dirfd(dir), entry->d_name);
	closedir(dir);
	return err;
}

/* Whoever may not see a process at all there does not know of it either. */
static bool hides_processes(void)
{
	char text[TEXT_BYTES], *at;

	if (!geteuid() || !read_text(getpid(), "mounts", text, sizeof(text)))
		return false;
	at = strstr(text, "hidepid=");
	return at && strncmp(at, "hidepid=0", 9) && strncmp(at, "hidepid=off", 11);
}

/* --- what else is to be known of a VM --- */

/* Fields of /proc/PID/task/TID/stat, as proc(5) numbers them; the name's is 2. */
enum { NAME = 2, UTIME = 14, STIME = 15, GUEST_TIME = 43 };

static bool get_field(const char *text, int field, unsigned long *value)
{
	for (int at = NAME; text && at < field; at++) {
		text = strchr(text, ' ');
		if (text)
			text++;
	}
	return text && sscanf(text, "%lu", value) == 1;
}

/* A name may have spaces and parentheses. */
static bool read_times(pid_t pid, uint32_t tid, struct times *times)
{
	unsigned long utime, stime, guest;
	char path[32], text[STAT_BYTES], *behind;

	snprintf(path, sizeof(path), "task/%u/stat", tid);
	if (!read_text(pid, path, text, sizeof(text)))
		return false;
	behind = strrchr(text, ')');
	if (!behind || !get_field(behind, UTIME, &utime) || !get_field(behind, STIME, &stime) ||
	    !get_field(behind, GUEST_TIME, &guest))
		return false;
	*times = (struct times) {
		.guest = guest,
		.kernel = stime,
		.user = utime > guest ? utime - guest : 0,
	};
	return true;
}

/* Of a kernel thread, or one that wants it so, the short name alone. */
static void read_command(struct watched_vm *vm)
{
	char *text = vm->command;
	size_t bytes = read_text(vm->pid, "cmdline", text, COMMAND_BYTES);

	/* Each word has a 0 at its end. */
	for (size_t i = 0; i + 1 < bytes; i++)
		if (!text[i])
			text[i] = ' ';
	if (*text)
		return;
	read_text(vm->pid, "comm", text, COMMAND_BYTES);
	text[strcspn(text, "\n")] = 0;
}

static void read_owner(struct watched_vm *vm)
{
	char path[PATH_BYTES];
	struct passwd *user;
	struct stat status;

	snprintf(path, sizeof(path), "%s/%d", watch_proc, (int)vm->pid);
	strcpy(vm->owner, "?");
	if (stat(path, &status))
		return;
	user = getpwuid(status.st_uid);
	if (user)
		snprintf(vm->owner, sizeof(vm->owner), "%s", user->pw_name);
	else
		snprintf(vm->owner, sizeof(vm->owner), "%u", status.st_uid);
}

/* --- the sum of its vCPUs --- */

static bool thread_is_new(const struct watched_vm *vm, unsigned int index)
{
	for (unsigned int i = 0; i < index; i++)
		if (vm->vcpus[i].thread == vm->vcpus[index].thread)
			return false;
	return vm->vcpus[index].has_times;
}

static void add_to_all(struct watched_vm *vm, unsigned int index)
{
	const struct watched_vcpu *vcpu = &vm->vcpus[index];
	struct watched_vcpu *all = &vm->all;

	all->runs += vcpu->runs;
	all->entries += vcpu->entries;
	all->faults += vcpu->faults;
	all->flushes += vcpu->flushes;
	for (unsigned int i = 0; i < VEE_STATS_REASONS; i++)
		all->exits[i] += vcpu->exits[i];
	if (!thread_is_new(vm, index))
		return;
	/* Equal as long as the threads are the same. */
	all->thread += vcpu->thread;
	all->has_times = true;
	all->times.guest += vcpu->times.guest;
	all->times.kernel += vcpu->times.kernel;
	all->times.user += vcpu->times.user;
}

static void complete(struct watched_vm *vm)
{
	pid_t pid = vm->text.process ? (pid_t)vm->text.process : vm->pid;

	read_owner(vm);
	read_command(vm);
	for (unsigned int i = 0; i < vm->vcpu_count; i++) {
		struct watched_vcpu *vcpu = &vm->vcpus[i];

		vcpu->has_times = vcpu->thread && read_times(pid, vcpu->thread, &vcpu->times);
		add_to_all(vm, i);
	}
}

/* --- all of them --- */

static int by_number(const void *a, const void *b)
{
	uint32_t left = ((const struct watched_vm *)a)->text.vm;
	uint32_t right = ((const struct watched_vm *)b)->text.vm;

	return left < right ? -1 : left > right;
}

static double seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

int watch_take(struct watch *watch)
{
	bool processes = false;
	struct dirent *entry;
	int err = 0;
	DIR *dir;

	memset(watch, 0, sizeof(*watch));
	dir = opendir(watch_proc);
	if (!dir)
		return -errno;
	watch->hidden = hides_processes();
	watch->seconds = seconds_now();
	while (!err && (entry = readdir(dir))) {
		pid_t pid = atoi(entry->d_name);

		if (pid <= 0)
			continue;
		processes = true;
		err = look_at_process(watch, pid);
	}
	closedir(dir);
	if (err || !processes) {
		watch_free(watch);
		return err ?: -ENOENT;
	}
	for (unsigned int i = 0; i < watch->count; i++)
		complete(&watch->vms[i]);
	if (watch->count)
		qsort(watch->vms, watch->count, sizeof(*watch->vms), by_number);
	return 0;
}

void watch_select(struct watch *watch, const uint32_t *numbers, unsigned int count)
{
	unsigned int kept = 0;

	for (unsigned int i = 0; count && i < watch->count; i++) {
		const struct watched_vm *vm = &watch->vms[i];
		bool wanted = false;

		for (unsigned int j = 0; j < count; j++)
			wanted |= numbers[j] == vm->text.vm || numbers[j] == (uint32_t)vm->pid;
		if (wanted && kept++ != i)
			watch->vms[kept - 1] = *vm;
	}
	if (count)
		watch->count = kept;
}

void watch_free(struct watch *watch)
{
	free(watch->vms);
	watch->vms = NULL;
	watch->count = 0;
}

int watch_complain(const struct watch *watch)
{
	switch (watch->error) {
	case 0:
		break;
	case -ENODATA:
		return fail("process %d: its VM's module is too old to tell: \"make unload load\"",
			    (int)watch->of);
	case -EPROTONOSUPPORT:
		return fail("process %d: its VM's module is another version: take its own \"vee\"",
			    (int)watch->of);
	default:
		return fail("process %d: what is told of its VM makes no sense",
			    (int)watch->of);
	}
	if (watch->count)
		return STATUS_OK;
	if (watch->hidden)
		fputs("vee: no VM that you may see: root sees those of all users\n", stderr);
	else if (!host_has("/sys/module/vee"))
		fputs("vee: no VMs: the module is not loaded; \"vee check\" tells more\n", stderr);
	else
		fputs("vee: no VMs\n", stderr);
	return STATUS_OK;
}
