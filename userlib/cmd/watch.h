/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* VMs of this machine, as /proc has them: "vee list" and "vee stat". */
#ifndef VEE_WATCH_H
#define VEE_WATCH_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "../vee.h"

/* What a thread has had of the CPU, in clock ticks (sysconf(3)). */
struct times {
	uint64_t guest;
	uint64_t kernel;
	uint64_t user;
};

struct watched_vcpu {
	uint32_t id;
	uint32_t thread;	/* its TID; 0: none, or not to be seen from here */
	bool has_times;
	struct times times;	/* of the thread, whatever else it does */
	uint64_t runs;
	uint64_t entries;
	uint64_t faults;
	uint64_t flushes;
	__u64 exits[VEE_STATS_REASONS];
};

/* A descriptor's text. */
struct fdinfo {
	uint32_t vm;
	uint32_t process;
	uint32_t vcpus;
	uint32_t slots;
	uint64_t lent_kib;
	uint64_t mapped_kib;
	uint64_t tables_kib;
	struct watched_vcpu vcpu;	/* if it is a vCPU's */
};

#define OWNER_BYTES	33
#define COMMAND_BYTES	256

struct watched_vm {
	struct fdinfo text;	/* less the vCPU */
	pid_t pid;		/* whose it is, or else who has it */
	char owner[OWNER_BYTES];
	char command[COMMAND_BYTES];
	unsigned int vcpu_count;
	struct watched_vcpu vcpus[VEE_MAX_VCPUS];	/* those that are seen, by id */
	struct watched_vcpu all;	/* their sum, of times that of their threads */
};

struct watch {
	struct watched_vm *vms;	/* by number */
	unsigned int count;
	bool hidden;		/* not every process may be looked into */
	int error;		/* of a text that is no use, by process @of; 0: none */
	pid_t of;
	double seconds;		/* when, CLOCK_MONOTONIC */
};

/* --- fdinfo.c --- */

/*
 * 0; -ENODATA: the module is too old to tell anything; -EPROTONOSUPPORT: its text is of another
 * version; -EBADMSG: it is cut, or none at all.
 */
int fdinfo_parse(const char *text, bool vcpu, struct fdinfo *info);

/* --- watch.c --- */

/* Where /proc is. */
extern const char *watch_proc;

/* All that may be seen; -errno: there is no /proc, or no memory. */
int watch_take(struct watch *watch);
/* Keeps VMs that have one of @numbers, or are of a process that has. */
void watch_select(struct watch *watch, const uint32_t *numbers, unsigned int count);
void watch_free(struct watch *watch);
/* Says what hinders, or why there is nothing to see. A status. */
int watch_complain(const struct watch *watch);

/* --- words.c --- */

/* As a string of JSON's. */
void put_json_string(FILE *out, const char *text);
/* In it nothing does anything to a terminal. */
void put_plain(FILE *out, const char *text);
/* A VM's first members, without the braces. */
void put_json_vm(FILE *out, const struct watched_vm *vm);

/* --- screen.c --- */

/* Since @before, a watch of the same VMs; NULL: since each vCPU was made. */
void put_stat(FILE *out, const struct watch *before, const struct watch *now);
void put_json_stat(FILE *out, const struct watch *now);
/* As much of @text as fits, in the place of what was there. */
void put_screen(FILE *out, const char *text, unsigned int rows, unsigned int columns);

#endif /* VEE_WATCH_H */
