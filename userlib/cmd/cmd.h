/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The command "vee": what its files know of each other. */
#ifndef VEE_CMD_H
#define VEE_CMD_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <termios.h>

#include "../devices/bus.h"
#include "../devices/mp_table.h"
#include "../devices/pc.h"
#include "../devices/rom.h"
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
int cmd_dump(int argc, char **argv);
int cmd_list(int argc, char **argv);
int cmd_stat(int argc, char **argv);
int cmd_new(int argc, char **argv);

/* dump.c: a snapshot of a vCPU's VMCS to a file; a status. */
int dump_save(struct vee_vcpu *vcpu, const char *path);

/* --- what there is of each guest --- */

/* What the command line says. */
struct options {
	const char *path;	/* what to run */
	bool bios;		/* it is a ROM */
	const char *cmdline;
	const char *initrd;
	const char *dump;	/* where to keep the VMCS of an entry that fails */
	const char *serial;	/* NULL: standard input and output */
	const char *pci_serial;	/* NULL: there is none */
	const char *gdb;	/* where it connects to; NULL: nowhere */
	bool gdb_stop;		/* before the first instruction */
	uint64_t memory;	/* bytes */
	unsigned int cpus;	/* with local APICs; 0: one without */
	double timeout;		/* seconds; 0: none */
	bool trace;
	const char *trace_path;	/* NULL: standard error */
	bool trace_io;
	bool stats;
	const char *save;	/* where to, when it is asked for; NULL: nowhere */
	const char *load;	/* what to run, in place of @path */
	const char *send;	/* where to, when it is asked for; NULL: nowhere */
	const char *receive;	/* what to run comes from there, @load, too; NULL: nowhere */
	unsigned int downtime;	/* milliseconds for which it may stand still */
	struct vee_saved *saved;	/* what is loaded, open */
};

#define CPU_NAME_BYTES	32

#define OUTLET_BYTES	65536
#define OUTLET_PATIENCE	2	/* tenths of a second that the end waits for it */

/* Output on its way to @fd. */
struct outlet {
	int fd;			/* -1: to nowhere */
	struct machine *machine;
	pthread_t thread;
	pthread_mutex_t lock;	/* guards what follows */
	pthread_cond_t changed;
	uint8_t bytes[OUTLET_BYTES];
	size_t head;
	atomic_size_t count;	/* may be read without it, as may @error */
	atomic_int error;	/* errno, when no more can be written; else 0 */
};

/* What stands at the other end of the serial port, and of the debug ports. */
struct console {
	int in;			/* -1: none */
	int out;		/* likewise */
	atomic_int raw_mode;	/* @in is a terminal, and in raw mode */
	struct termios cooked;
	struct termios raw;
	pthread_t reader;
	bool escaped;		/* the last byte was the first of the escape */
	bool stalled;		/* input waits for... */
	pthread_cond_t room;	/* ...this; with the machine's lock */
	struct outlet serial;
	struct outlet pci_serial;
	struct outlet debug;
	int pci_serial_fd;	/* -1: none */
};

struct file {
	uint8_t *data;
	size_t bytes;
};

/* One of a machine's. */
struct cpu {
	struct machine *machine;
	struct vee_vcpu *vcpu;
	char name[CPU_NAME_BYTES];	/* begins what is said of it */
	pthread_t thread;	/* not the first one's */
	bool halted;		/* halt.c's, with the machine's lock, as is what follows */
	uint64_t answered;	/* the machine's question that it was last to hear of */
};

struct machine {
	const struct options *options;
	const char *name;	/* begins what is said of it */
	FILE *trace;		/* NULL: none */
	struct file image;	/* until it is loaded */
	struct file initrd;
	struct vee_vm *vm;
	struct cpu cpus[VEE_MAX_VCPUS];
	unsigned int cpu_count;
	pthread_mutex_t lock;	/* guards what follows, up to @rom */
	struct bus ports;
	struct bus memory;
	struct pc pc;
	struct cpu *keeper;	/* whose run ends when the devices next have to advance... */
	uint64_t kept_ns;	/* ...at this moment */
	bool told;		/* the first CPU knows that INTR is asserted */
	uint64_t question;	/* halt.c's: how often whoever was last to halt has asked... */
	pthread_cond_t answers;	/* ...and to this, with the machine's lock, others answer */
	struct rom rom;
	struct moved_clock clock;	/* the devices' */
	atomic_bool save_asked;	/* save.c's */
	unsigned int waiting;	/* CPUs that wait for it, with the lock and @answers */
	atomic_int move;	/* move.c's: how far it is */
	atomic_int move_fd;	/* -1: not connected */
	pthread_t mover;	/* the first CPU's, until all have ended, as is this: */
	bool has_mover;
	uint64_t tsc_offset;	/* the TSC's when IA32_TSC_ADJUST is 0 */
	uint32_t tsc_khz;	/* 0: not known */
	uint32_t microcode;	/* its revision */
	struct console console;
	struct vee_gdb *gdb;	/* NULL: none */
	uint64_t end_ns;	/* when its time is up; 0: never */
	struct cpu *_Atomic ender;	/* the CPU that ends it; NULL: it goes on */
	bool timed_out;		/* the ender's, as is this, until all have ended: */
	int status;
	pthread_t thread;	/* not the first guest's */
	struct machine *next;	/* terminal.c's */
};

/* As fail(), about a guest, and after what the guest itself has said. */
#define fail_of(machine, format, ...) \
	(machine_flush(machine), \
	 fprintf(stderr, "%s: " format, (machine)->name, ##__VA_ARGS__), \
	 end_failure())

/* As fail_of(), by the CPU that ends the guest: if another one has, it is silent. */
#define fail_cpu(cpu, format, ...) \
	(cpu_ends_machine(cpu) ? \
	 (machine_flush((cpu)->machine), \
	  fprintf(stderr, "%s: " format, (cpu)->name, ##__VA_ARGS__), \
	  end_failure()) : STATUS_FAILED)

/* An answer where a program could end: go on, or end with an exit status. */
#define GO_ON	(-1)

/* --- run.c --- */

#define MAX_GUESTS	8

/* Runs the guests that @options describe; an exit status. */
int run(struct options *options, unsigned int count);

/* --- cpu.c: the CPUs of a machine, each with a thread --- */

/* Until the guest is done: machine->status. The first CPU has this thread. */
void machine_go(struct machine *machine);
/* A signal, Ctrl-A x, or its time is up, or a CPU has ended it. */
bool machine_is_over(struct machine *machine);
/* False: another one has already, and says why. Else the others' runs end. */
bool cpu_ends_machine(struct cpu *cpu);
/* Ends a run: the one under way, or the next as soon as it begins. In signal handlers, too. */
void cpu_kick(const struct cpu *cpu);
void machine_kick(const struct machine *machine);

/* --- halt.c: HLT with interrupts off --- */

/* Before any of them runs: all but the first wait to be started. */
void halt_begin(struct cpu *cpu);
/* It is as it was saved. */
void halt_go_on(struct cpu *cpu);
/* After each run. */
void halt_look(struct cpu *cpu);
/* It is at HLT. True: so are all others, and the guest is done. Else the next run does it. */
bool halt_is_end(struct cpu *cpu);
/* It runs no more. */
void halt_leave(struct cpu *cpu);

/* --- save.c: --save and --load --- */

/* From any thread, and signal handlers. */
void save_ask(struct machine *machine);
/* Between runs, once it is asked for. */
void save_serve(struct cpu *cpu);
/* What is wrong they say; an exit status. */
int load_open(struct options *options);
int load_machine(struct machine *machine);
/* Sets what @saved says of the others. */
int load_look(struct options *options);

/**
 * struct saved_machine - what is neither a CPU's nor a device's
 * @version: of this
 * @bios: it runs a BIOS
 * @microcode: struct machine's
 * @pci_serial: it has a serial port on PCI
 * @now_ns: its clock
 * @adjust: IA32_TSC_ADJUST of the first CPU
 */
struct saved_machine {
	uint32_t version;
	uint32_t bios;
	uint32_t microcode;
	uint32_t pci_serial;
	uint64_t now_ns;
	uint64_t adjust;
};

#define SAVED_SECTIONS	2

/*
 * What is saved besides memory and CPUs, with the machine's lock, and none of them running:
 * into pc_saved_bytes() of @devices, and SAVED_SECTIONS. What the guest has sent it has
 * sent. -errno.
 */
int save_sections(struct machine *machine, struct saved_machine *saved, uint8_t *devices,
		  struct vee_section *sections);

/* --- move.c: --send and --receive --- */

enum {
	MOVE_NONE,
	MOVE_ASKED,
	MOVE_GOES,	/* and the guest runs */
	MOVE_STOPS,	/* it doesn't */
	MOVE_DOUBT,	/* ... and may run elsewhere */
};

/* From any thread, and signal handlers. */
void move_ask(struct machine *machine);
/* Between runs, when struct machine.move is not MOVE_NONE. */
void move_serve(struct cpu *cpu);
/* When the CPUs run no more. */
void move_join(struct machine *machine);
/* What is wrong they say; an exit status. */
int receive_open(struct options *options);
/* Nothing can go wrong any more. */
int receive_take_over(struct machine *machine);

/* --- exits.c --- */

/* What an exit asks for. GO_ON, or the machine's status. */
int exit_handle(struct cpu *cpu);
/* When no run has come to be. The machine's status. */
int exit_give_up(struct cpu *cpu);
/* After a line, if any, of what the command itself could not do. */
void exit_show_last(struct cpu *cpu);

/* --- apic.c: what is around the local APICs, if there are any --- */

/* As firmware leaves them. -errno. */
int apic_prepare(struct machine *machine);
/* The I/O APIC's, for struct pc_config. */
void apic_send(void *arg, uint64_t address, uint32_t data, bool level);
/* The 8259As' INTR gets through to the CPU, which doesn't run. */
bool apic_passes_intr(struct cpu *cpu);

/* --- gdb.c --- */

/* Besides a status: the exit is not gdb's; there is nothing more to do about it. */
#define GDB_NOT		(-2)
#define GDB_OVER	GO_ON

/* Says what is wrong, and returns an exit status. */
int gdb_open(struct machine *machine);
/* After a run, and before the first. */
int gdb_serve(struct cpu *cpu);
bool gdb_is_stepping(const struct machine *machine);
/* With the machine's status. */
void gdb_close(struct machine *machine);

/* --- initrd.c --- */

/* As far as can be told without unpacking all that Linux can. */
bool initrd_is_whole(const void *data, size_t bytes);

/* --- machine.c --- */

/*
 * All say what is wrong, and return an exit status. The files come first: what is
 * wrong with them is so with or without vee.
 */
int machine_read(struct machine *machine, const struct options *options);
int machine_create(struct machine *machine, const struct options *options,
		   const char *name);
int machine_load(struct machine *machine);
/* Why there is no VM. */
int cannot_create(int err);

/* What the guest reaches through a bus, and what of it waits to go out. */
void machine_access(struct machine *machine, struct bus *bus, uint64_t address,
		    void *data, unsigned int bytes, bool write);
void machine_flush(struct machine *machine);

/* --- console.c: what stands at the other end of the serial port --- */

/* Finds out where it is; says what is wrong, and returns an exit status. */
int console_open(struct machine *machine);
/* Raw mode, and the threads. Likewise. */
int console_begin(struct machine *machine);
/* Waits for the output to be gone. */
void console_end(struct machine *machine);
/* After that: the exit status @status, or another if some was lost, which it says. */
int console_status(struct machine *machine, int status);
void console_drain(struct machine *machine);
/* Before the devices may give output, without the machine's lock. */
void console_make_room(struct machine *machine);
/* After the guest may have read input, with it. */
void console_look_for_room(struct machine *machine);
void console_send(void *arg, const uint8_t *bytes, size_t count);
void console_send_pci(void *arg, const uint8_t *bytes, size_t count);
/* The debug ports': standard error. */
void console_debug(void *arg, uint8_t byte);

/* --- terminal.c: raw mode, signals, the end --- */

void catch_signals(void);
/* A thread that leaves the signals to others. -errno. */
int start_thread(pthread_t *thread, void *(*function)(void *arg), void *arg);
/* Raw mode, if its input is a terminal; from now on signals are about it too. */
void terminal_begin(struct machine *machine);
void terminal_end(struct machine *machine);
/* All guests are to end: a signal, the escape, the end of the first of them. */
void console_quit(void);
/* A signal or the escape asks for it. */
void console_save(void);
void console_move(void);
bool console_quits(void);
/* The signal that did it, or 0. */
int console_signal(void);

/* --- outlet.c --- */

/* -errno. */
int outlet_begin(struct outlet *outlet, struct machine *machine, int fd);
/* Never waits; what there is no room for is lost: outlet_wait() before. */
void outlet_put(struct outlet *outlet, const uint8_t *bytes, size_t count);
/* Until no more than @most are on their way, or never will be. */
void outlet_wait(struct outlet *outlet, size_t most);
/* For a change that a signal's handler can't tell of. False: none was told. */
bool wait_a_while(pthread_cond_t *cond, pthread_mutex_t *lock);

/* --- host.c: what "vee check" asks this machine --- */

struct host_cpuid {
	uint32_t eax, ebx, ecx, edx;
};

bool host_has(const char *path);
/* A file's beginning. */
bool host_text(const char *path, char *text, size_t room);
/* The line of a file that begins with @start: what follows it. */
bool host_line(const char *path, const char *start, char *text, size_t room);
#define HOST_NAME	64
/* What is in a folder, in order, but for names that are longer: how many, at most @room. */
size_t host_names(const char *path, char names[][HOST_NAME], size_t room);
/* False: there is none, or it takes root and the kernel's module msr. */
bool host_msr(uint32_t index, uint64_t *value);
void host_cpuid(uint32_t leaf, struct host_cpuid *regs);

/* --- bugs.c: what it says of the CPU's --- */

void check_bugs(void);

/* --- cpuid.c --- */

/* Before the CPU first runs. -errno. */
int cpuid_prepare(struct cpu *cpu);
/* EAX and EDX of leaf 1. -errno. */
int cpuid_identity(struct cpu *cpu, uint32_t *signature, uint32_t *features);

/* --- msr.c --- */

/* false: the guest has no such register. */
bool msr_read(struct cpu *cpu, uint32_t index, uint64_t *value);
/* 0: not known. */
uint32_t msr_host_microcode(void);
bool msr_write(struct cpu *cpu, uint32_t index, uint64_t value);

/* --- report.c: for people --- */

void report_stats(struct cpu *cpu);

/* VM exits for one reason. */
struct reason_count {
	unsigned int reason;
	uint64_t count;
};

/* The most frequent first. @sorted, @exits: VEE_STATS_REASONS of them */
void sort_exits(struct reason_count *sorted, const __u64 *exits);
/* Each exit. A status. */
int trace_open(struct machine *machine);
void trace_exit(const struct cpu *cpu);
/* For struct bus: tells of an access; @arg is a name for the bus. */
void trace_io(void *arg, const struct bus_event *event);
void report_misses(const struct bus *bus, const char *name);

#endif /* VEE_CMD_H */
