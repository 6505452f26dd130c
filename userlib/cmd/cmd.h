/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The command "vee": what its files know of each other. */
#ifndef VEE_CMD_H
#define VEE_CMD_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "../devices/bus.h"
#include "../devices/pc.h"
#include "../devices/uart.h"
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
};

struct machine {
	struct vee_vm *vm;
	struct vee_vcpu *vcpu;
	struct bus ports;
	struct bus memory;
	struct uart uart;
	struct pc pc;
	uint32_t tsc_khz;
};

/* Both say what is wrong, and return an exit status. */
int machine_create(struct machine *machine, const struct options *options);
int machine_load(struct machine *machine, const struct options *options);

/* --- console.c: the terminal, or whatever stands in its place --- */

/* Raw mode, and a thread that brings input to the UART. -errno. */
int console_begin(struct machine *machine);
void console_end(void);
void console_send(void *arg, uint8_t byte);
/* Something asks for the end: a signal, the escape, a broken pipe. */
bool console_wants_end(void);
/* The signal that did, or 0. */
int console_signal(void);
bool console_output_failed(void);

/* --- msr.c --- */

/* false: the guest has no such register. */
bool msr_read(const struct machine *machine, uint32_t index, uint64_t *value);
bool msr_write(uint32_t index);

/* --- report.c: what went wrong, in the guest or at a VM entry --- */

void report_registers(struct vee_vcpu *vcpu);
void report_entry_failure(struct vee_vcpu *vcpu);
void trace_exit(const struct machine *machine);

#endif /* VEE_CMD_H */
