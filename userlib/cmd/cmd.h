/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The command "vee": what its files know of each other. */
#ifndef VEE_CMD_H
#define VEE_CMD_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "../devices/bus.h"
#include "../devices/pc.h"
#include "../vee.h"

/* Exit statuses. */
#define STATUS_OK	0
#define STATUS_FAILED	1
#define STATUS_TIMEOUT	124

/* One line on stderr, "vee: ..."; a macro so that the compiler sees the format. */
#define fail(...) (fprintf(stderr, "vee: " __VA_ARGS__), end_failure())

/* main.c: returns STATUS_FAILED. */
int end_failure(void);

int cmd_check(int argc, char **argv);
int cmd_run(int argc, char **argv);

/* --- machine.c --- */

struct options {
	const char *path;
	const char *cmdline;
	const char *initrd;
	uint64_t memory;	/* bytes */
	double timeout;		/* seconds; 0: none */
	bool trace;
	bool trace_io;
	bool stats;
};

struct machine {
	struct vee_vm *vm;
	struct vee_vcpu *vcpu;
	pthread_mutex_t lock;	/* guards the three that follow */
	struct bus ports;
	struct bus memory;
	struct pc pc;
	uint64_t tsc_offset;	/* the TSC's when IA32_TSC_ADJUST is 0 */
};

/* An answer where a program could end: go on, or end with an exit status. */
#define GO_ON	(-1)

/* run.c: runs the guest that @options describe; an exit status. */
int run(const struct options *options);

/* Both say what is wrong, and return an exit status. */
int machine_create(struct machine *machine, const struct options *options);
int machine_load(struct machine *machine, const struct options *options);

/* What the guest reaches through a bus, and what of it waits to go out. */
void machine_access(struct machine *machine, struct bus *bus, uint64_t address,
		    void *data, unsigned int bytes, bool write);
void machine_flush(struct machine *machine);

/* --- console.c: the terminal, or whatever stands in its place --- */

/* Raw mode, and a thread that brings input to the UART. -errno. */
int console_begin(struct machine *machine);
void console_end(void);
void console_send(void *arg, const uint8_t *bytes, size_t count);
/* The debug ports': standard error. */
void console_debug(void *arg, uint8_t byte);
/* Something asks for the end: a signal, the escape, a broken pipe. */
bool console_wants_end(void);
/* The signal that did, or 0. */
int console_signal(void);
bool console_output_failed(void);

/* --- cpuid.c --- */

/* Before the vCPU first runs. -errno. */
int cpuid_prepare(struct machine *machine, uint32_t tsc_khz);

/* --- msr.c --- */

/* false: the guest has no such register. */
bool msr_read(struct machine *machine, uint32_t index, uint64_t *value);
bool msr_write(struct machine *machine, uint32_t index, uint64_t value);

/* --- report.c: what went wrong, in the guest or at a VM entry --- */

void report_registers(struct vee_vcpu *vcpu);
void report_entry_failure(struct vee_vcpu *vcpu);
void report_stats(struct vee_vcpu *vcpu);
void trace_exit(const struct machine *machine);
/* For struct bus: tells of an access; @arg is a name for the bus. */
void trace_io(void *arg, const struct bus_event *event);
void report_misses(const struct bus *bus, const char *name);

#endif /* VEE_CMD_H */
