/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The stub of gdb's remote serial protocol. Each file calls those to the right of it
 * alone, but for break.c, which takes breakpoints out of what memory.c reads:
 *
 *	serve.c -> commands.c -> monitor.c, registers.c, break.c -> debug.c -> memory.c
 *	  -> cpus.c -> link.c, packet.c
 *
 * What gdb sends is anybody's choice: all of it is checked before use.
 */
#ifndef VEE_GDB_H
#define VEE_GDB_H

#include "../internal.h"

/* --- packet.c: packets out of bytes, and bytes of packets --- */

#define PACKET_BYTES	0x2000	/* of a packet's contents, either way */
#define FRAME_BYTES	(2 * PACKET_BYTES + 4)	/* all escaped, and what is around */

enum packet_event {
	PACKET_NONE,		/* nothing yet */
	PACKET_WHOLE,		/* it is in @bytes */
	PACKET_BAD,		/* its checksum is wrong, or it is too long */
	PACKET_RESEND,		/* gdb has not understood the last reply */
	PACKET_INTERRUPT,	/* Ctrl-C */
};

enum packet_state {
	PACKET_OUTSIDE, PACKET_INSIDE, PACKET_ESCAPED, PACKET_SUM_HIGH, PACKET_SUM_LOW,
};

/* One on its way in. @bytes ends with a NUL when it is whole. */
struct packet {
	enum packet_state state;
	bool broken;
	uint8_t sum;
	uint8_t wanted;
	size_t count;
	char bytes[PACKET_BYTES + 1];
};

enum packet_event packet_take(struct packet *packet, uint8_t byte);
/* With escapes, runs and the checksum; returns how many bytes of @frame it is. */
size_t packet_frame(char frame[FRAME_BYTES], const char *bytes, size_t count);

/* -1: it is none. */
int hex_digit(char digit);
/* Up to 16 digits, and past them; false: there are none, or too many. */
bool hex_take(const char **at, uint64_t *value);
/* Two digits a byte; false: they are not. */
bool hex_bytes(const char *text, void *bytes, size_t count);

/* --- link.c: the connection, and who watches it while the guest runs --- */

#define LINK_BYTES	4096

/*
 * @listener: -1 if there was a connection from the start
 * @peer: -1: nobody is connected
 * @turned_away: who came last while somebody was; -1: nobody has
 * @path: of a socket that is to be removed
 * @wake: an eventfd that has the watcher look again
 * @serving: somebody reads; the watcher doesn't look
 * @attention: the watcher has seen something and ended a run for it
 * @kick: ends the runs, with...
 * @arg: ...this
 */
struct link {
	void (*kick)(void *arg);
	void *arg;
	int listener;
	int peer;
	int turned_away;
	char *path;
	int wake;
	pthread_t watcher;
	pthread_mutex_t lock;	/* guards what follows */
	pthread_cond_t changed;
	bool serving;
	bool attention;
	bool ends;
	size_t at;		/* not these three: they are the server's */
	size_t count;
	uint8_t bytes[LINK_BYTES];
};

/* All return 0 or -errno. */
int link_listen(struct link *link, const char *where);
int link_begin(struct link *link, void (*kick)(void *arg), void *arg);
void link_end(struct link *link);
/* From now on what comes is read, not watched; and back. */
void link_hold(struct link *link);
void link_release(struct link *link);
bool link_wants_attention(struct link *link);
/*
 * The next byte, or, while nobody is connected, a connection: LINK_NEW. Waits for
 * @timeout_ms, or as poll(2) does. -EAGAIN, -EINTR; -EPIPE: it is over.
 */
#define LINK_NEW	0x100
int link_take(struct link *link, int timeout_ms);
int link_send(struct link *link, const void *bytes, size_t count);
void link_hang_up(struct link *link);

/* --- the stub --- */

#define REGISTER_BYTES	32	/* of the largest */
#define XSAVE_COMPONENTS	8	/* those that gdb knows */
#define SOFTWARE_BREAKS	64
#define HARDWARE_BREAKS	4

/* By what the packets Z and z call them. */
enum break_type { BREAK_SOFTWARE, BREAK_HARDWARE, WATCH_WRITE, WATCH_READ, WATCH_ACCESS };

/*
 * @length: 0: this one is free
 * @type: what was asked for; a software one may be in a debug register
 * @gpa: software: where INT3 is, and...
 * @old: ...what it stands for
 */
struct breakpoint {
	uint64_t gva;
	uint64_t gpa;
	unsigned int length;
	enum break_type type;
	uint8_t old;
};

/* What gdb wants next. */
enum gdb_action { GDB_WAIT, GDB_CONTINUE, GDB_STEP, GDB_DETACH, GDB_KILL };

/*
 * A vCPU, which to gdb is a thread.
 *
 * @runs: to gdb it does
 * @waits: its thread does, for that; it may be away for a while, as its timeout was over
 * @wish: what gdb wants of it next: GDB_WAIT, GDB_CONTINUE, GDB_STEP
 * @untold: it has stopped for a reason of its own, and gdb has not been told
 * @lasting: and will not stop for that again when it goes on
 * @killed: its thread is still to be told that gdb wants the guest killed
 * @signal: by which it has stopped, as gdb counts them
 * @why: what the stop's reply has besides
 * @exit_is_ours: nothing of the exit that stopped it is left to the caller
 * @armed: the debug registers are gdb's; the guest's own are in...
 * @own: ...this, but for DR6, which is the CPU's
 * @lent: by debug register: the bit of DR6 by which the guest knows it, if it has it
 * @area: the guest's XSAVE area, as far as @has_area
 */
struct gdb_cpu {
	struct vee_vcpu *vcpu;
	bool runs;
	bool waits;
	enum gdb_action wish;
	bool untold;
	bool lasting;
	bool killed;
	bool stepping;
	bool exit_is_ours;
	unsigned int signal;
	char why[40];
	bool armed;
	struct vee_debug own;
	uint8_t lent[HARDWARE_BREAKS];
	bool has_area;
	uint8_t *area;
};

/*
 * All of it is its holder's who has @lock; @link has one of its own.
 *
 * @changed: what a thread may wait for has come
 * @cpus: as they were added
 * @cpu: the one that gdb asks about, or that is being looked at
 * @told: the one whose stop gdb was told of last
 * @only: the one that a plain "continue" or "step" is for; NULL: all
 * @stopping: who runs is to stop as soon as it can
 * @talking: one of the threads that wait is reading what gdb sends
 * @action: of the guest as a whole, GDB_CONTINUE standing for what each CPU's wish is
 * @at: where an XSAVE area has AVX's component and AVX-512's, by their numbers; 0: it hasn't
 */
struct vee_gdb {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct gdb_cpu *cpus[VEE_MAX_VCPUS];
	unsigned int cpu_count;
	struct gdb_cpu *cpu;
	struct gdb_cpu *told;
	struct gdb_cpu *only;
	bool stopping;
	bool talking;
	struct link link;
	struct packet packet;
	char reply[PACKET_BYTES];
	size_t reply_count;
	char frame[FRAME_BYTES];
	size_t frame_count;
	bool no_ack;
	bool tells_breaks;
	bool physical;
	bool i386;
	enum gdb_action action;
	struct breakpoint software[SOFTWARE_BREAKS];
	struct breakpoint hardware[HARDWARE_BREAKS];
	unsigned int at[XSAVE_COMPONENTS];
	char *description;
	size_t description_bytes;
};

/* --- cpus.c --- */

#define SIGNAL_INT	2
#define SIGNAL_TRAP	5
#define SIGNAL_ABRT	6

/* 0, -EEXIST, -ENOMEM. */
int cpus_add(struct vee_gdb *gdb, struct vee_vcpu *vcpu);
void cpus_free(struct vee_gdb *gdb);
/* NULL: it has not been added. */
struct gdb_cpu *cpus_of(const struct vee_gdb *gdb, const struct vee_vcpu *vcpu);
/* By gdb's number of it; NULL: there is none. */
struct gdb_cpu *cpus_find(const struct vee_gdb *gdb, uint64_t thread);
uint64_t cpus_thread(const struct gdb_cpu *cpu);
/* Does any? */
bool cpus_run(const struct vee_gdb *gdb);
bool cpus_step(const struct vee_gdb *gdb);
/* One with a stop to tell of, perhaps a @lasting one, and a wish to go on; NULL. */
struct gdb_cpu *cpus_untold(const struct vee_gdb *gdb, bool lasting);
/* The run of each that runs, or its next one, ends. */
void cpus_kick(const struct vee_gdb *gdb);
/* This one waits for gdb; and goes on. */
void cpus_halt(struct gdb_cpu *cpu);
void cpus_release(struct gdb_cpu *cpu);
/* All are to wait for gdb. */
void cpus_stop(struct vee_gdb *gdb);
/* Each gets the same wish. */
void cpus_wish(struct vee_gdb *gdb, enum gdb_action wish);

/* --- commands.c --- */

/* What is in @packet; the reply is sent. */
void command_do(struct vee_gdb *gdb);
/* "T05...", and it is sent. */
void command_tell_stop(struct vee_gdb *gdb);
void command_tell_end(struct vee_gdb *gdb, unsigned int status);
void command_resend(struct vee_gdb *gdb);

/* --- monitor.c: the command "monitor" --- */

/* What gdb is to show: for free(3). NULL: no memory. */
char *monitor_do(struct vee_gdb *gdb, const char *line, size_t *bytes);

/* --- registers.c --- */

unsigned int registers_count(const struct vee_gdb *gdb);
unsigned int register_bytes(const struct vee_gdb *gdb, unsigned int number);
/* 0, or -errno: then the register is as it was. */
int register_read(struct vee_gdb *gdb, unsigned int number, void *value);
int register_write(struct vee_gdb *gdb, unsigned int number, const void *value);
/* Fills @at. */
void registers_look(struct vee_gdb *gdb);
/* In @description: as gdb's "Target Descriptions" has it. 0, -ENOMEM. */
int registers_describe(struct vee_gdb *gdb);

/* --- break.c --- */

enum break_verdict { BREAK_NONE, BREAK_STOP, BREAK_GO_ON };

/* 0; -EINVAL, -ENOSPC, -EFAULT; -EOPNOTSUPP: x86 has no such. */
int break_insert(struct vee_gdb *gdb, enum break_type type, uint64_t gva, unsigned int length);
int break_remove(struct vee_gdb *gdb, enum break_type type, uint64_t gva, unsigned int length);
void break_remove_all(struct vee_gdb *gdb);
/* Before the guest goes on. */
int break_arm(struct vee_gdb *gdb);
/* VEE_EXIT_DEBUG: is it gdb's, or has the guest been given it? */
enum break_verdict break_judge(struct vee_gdb *gdb);
/* What a page's bytes are without breakpoints, and what to write to keep them. */
void break_hide(const struct vee_gdb *gdb, uint64_t gpa, uint8_t *bytes, size_t count);
void break_keep(struct vee_gdb *gdb, uint64_t gpa, uint8_t *bytes, size_t count);

/* --- debug.c --- */

#define DR6_BD		0x2000ULL	/* a debug register was accessed */

/* Into the CPU, with the next run: gdb's with what of the guest's there is room for; */
void debug_load(struct vee_gdb *gdb);
/* and the guest's alone. */
void debug_unload(struct vee_gdb *gdb);
/* What of DR6 is the guest's to know. */
uint64_t debug_guest_dr6(const struct vee_gdb *gdb, uint64_t dr6);
/* The guest gets #DB, and of DR6 @dr6. 0, -errno. */
int debug_raise(struct vee_gdb *gdb, uint64_t dr6);
/* It is at MOV to or from a debug register, which is done with its own. 0, -errno. */
int debug_move(struct vee_gdb *gdb);

/* --- memory.c --- */

/* RIP as a linear address. */
int memory_rip(struct vee_gdb *gdb, uint64_t *gva);
/* By the guest's tables, or physical if gdb asked for that. -EFAULT: it is nowhere. */
int memory_find(struct vee_gdb *gdb, uint64_t gva, uint64_t *gpa);
/* How many bytes there were, or -errno. */
ssize_t memory_read(struct vee_gdb *gdb, uint64_t gva, uint8_t *bytes, size_t count);
/* All or, past the first page, some of it. 0, -errno. */
int memory_write(struct vee_gdb *gdb, uint64_t gva, const uint8_t *bytes, size_t count);

#endif /* VEE_GDB_H */
