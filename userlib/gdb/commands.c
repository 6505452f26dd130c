// SPDX-License-Identifier: LGPL-2.1-or-later
/* gdb's packets, and what is replied to each. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "gdb.h"

#define THREAD_ANY	0
#define THREAD_ALL	UINT64_MAX	/* -1 */

/* --- replies --- */

static void reply(struct vee_gdb *gdb, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Added to what there is; what there is no room for is cut. */
static void reply(struct vee_gdb *gdb, const char *format, ...)
{
	size_t room = PACKET_BYTES - gdb->reply_count;
	va_list args;
	int count;

	va_start(args, format);
	count = vsnprintf(gdb->reply + gdb->reply_count, room, format, args);
	va_end(args);
	if (count > 0)
		gdb->reply_count += min_u64(count, room ? room - 1 : 0);
}

static void reply_hex(struct vee_gdb *gdb, const void *bytes, size_t count)
{
	const uint8_t *from = bytes;

	for (size_t i = 0; i < count; i++)
		reply(gdb, "%02x", from[i]);
}

/* gdb shows the number; 0 is success. */
static void reply_error(struct vee_gdb *gdb, int err)
{
	gdb->reply_count = 0;
	if (err)
		reply(gdb, "E%02x", -err & 0xff);
	else
		reply(gdb, "OK");
}

static void send_reply(struct vee_gdb *gdb)
{
	gdb->frame_count = packet_frame(gdb->frame, gdb->reply, gdb->reply_count);
	gdb->reply_count = 0;
	command_resend(gdb);
}

void command_resend(struct vee_gdb *gdb)
{
	if (gdb->link.peer >= 0 && link_send(&gdb->link, gdb->frame, gdb->frame_count))
		link_hang_up(&gdb->link);
}

static void say_stop(struct vee_gdb *gdb)
{
	const struct gdb_cpu *cpu = gdb->cpu;

	reply(gdb, "T%02xthread:%llx;%s", cpu->signal, (unsigned long long)cpus_thread(cpu),
	      cpu->why);
}

void command_tell_stop(struct vee_gdb *gdb)
{
	say_stop(gdb);
	send_reply(gdb);
}

void command_tell_end(struct vee_gdb *gdb, unsigned int status)
{
	reply(gdb, "W%02x", status & 0xff);
	send_reply(gdb);
}

/* --- registers --- */

static void read_registers(struct vee_gdb *gdb, const char *args)
{
	uint8_t value[REGISTER_BYTES];

	(void)args;
	for (unsigned int i = 0; i < registers_count(gdb); i++) {
		int err = register_read(gdb, i, value);

		if (err) {
			reply_error(gdb, err);
			return;
		}
		reply_hex(gdb, value, register_bytes(gdb, i));
	}
}

static int write_one(struct vee_gdb *gdb, unsigned int number, const char **at)
{
	unsigned int bytes = register_bytes(gdb, number);
	uint8_t value[REGISTER_BYTES];

	if (!hex_bytes(*at, value, bytes))
		return -EINVAL;
	*at += 2 * bytes;
	return register_write(gdb, number, value);
}

/* A shorter list leaves the others as they are. */
static void write_registers(struct vee_gdb *gdb, const char *args)
{
	int err = 0;

	for (unsigned int i = 0; i < registers_count(gdb) && *args && !err; i++)
		err = write_one(gdb, i, &args);
	reply_error(gdb, err ? err : *args ? -EINVAL : 0);
}

static void read_register(struct vee_gdb *gdb, const char *args)
{
	uint8_t value[REGISTER_BYTES];
	uint64_t number;
	int err;

	if (!hex_take(&args, &number) || *args || number >= registers_count(gdb)) {
		reply_error(gdb, -EINVAL);
		return;
	}
	err = register_read(gdb, number, value);
	if (err)
		reply_error(gdb, err);
	else
		reply_hex(gdb, value, register_bytes(gdb, number));
}

static void write_register(struct vee_gdb *gdb, const char *args)
{
	uint64_t number;
	int err = -EINVAL;

	if (hex_take(&args, &number) && *args == '=' && number < registers_count(gdb)) {
		args++;
		err = write_one(gdb, number, &args);
	}
	reply_error(gdb, err);
}

/* --- memory --- */

/* "ADDRESS,LENGTH" and then @end. */
static bool take_range(const char **args, char end, uint64_t *gva, uint64_t *count)
{
	if (!hex_take(args, gva) || *(*args)++ != ',' || !hex_take(args, count))
		return false;
	return *(*args)++ == end;
}

static void read_memory(struct vee_gdb *gdb, const char *args)
{
	uint8_t bytes[PACKET_BYTES / 2 - 1];
	uint64_t gva, count;
	ssize_t got;

	if (!take_range(&args, 0, &gva, &count)) {
		reply_error(gdb, -EINVAL);
		return;
	}
	got = memory_read(gdb, gva, bytes, min_u64(count, sizeof(bytes)));
	if (got < 0)
		reply_error(gdb, got);
	else
		reply_hex(gdb, bytes, got);
}

static void write_memory(struct vee_gdb *gdb, const char *args)
{
	uint8_t bytes[PACKET_BYTES / 2];
	uint64_t gva, count;
	int err = -EINVAL;

	if (take_range(&args, ':', &gva, &count) && count <= sizeof(bytes) &&
	    strlen(args) == 2 * count && hex_bytes(args, bytes, count))
		err = memory_write(gdb, gva, bytes, count);
	reply_error(gdb, err);
}

static void write_binary(struct vee_gdb *gdb, const char *args)
{
	const char *end = gdb->packet.bytes + gdb->packet.count;
	uint64_t gva, count;
	int err = -EINVAL;

	if (take_range(&args, ':', &gva, &count) && args <= end && count == (size_t)(end - args))
		err = memory_write(gdb, gva, (const uint8_t *)args, count);
	reply_error(gdb, err);
}

/* As QEMU has it, for who has scripts for that. */
static void get_physical(struct vee_gdb *gdb, const char *args)
{
	(void)args;
	reply(gdb, "%d", gdb->physical);
}

static void set_physical(struct vee_gdb *gdb, const char *args)
{
	bool good = (*args == '0' || *args == '1') && !args[1];

	if (good)
		gdb->physical = *args == '1';
	reply_error(gdb, good ? 0 : -EINVAL);
}

/* --- going on --- */

static int jump(struct vee_gdb *gdb, uint64_t rip)
{
	int err = vee_vcpu_sync(gdb->cpu->vcpu, VEE_STATE_REGS);

	if (err)
		return err;
	gdb->cpu->vcpu->page->regs.rip = rip;
	gdb->cpu->vcpu->page->dirty |= VEE_STATE_REGS;
	return 0;
}

/* Without threads: as far as "Hc" has not named one, all of them do, but one alone steps. */
static void wish_plainly(struct vee_gdb *gdb, enum gdb_action wish)
{
	cpus_wish(gdb, gdb->only ? GDB_WAIT : GDB_CONTINUE);
	if (gdb->only)
		gdb->only->wish = wish;
	else if (wish == GDB_STEP)
		gdb->cpu->wish = wish;
	gdb->action = GDB_CONTINUE;
}

/* @args: an address to go on at, or nothing. */
static void go(struct vee_gdb *gdb, const char *args, enum gdb_action wish)
{
	uint64_t rip;
	int err = 0;

	if (*args)
		err = hex_take(&args, &rip) && !*args ? jump(gdb, rip) : -EINVAL;
	if (err)
		reply_error(gdb, err);
	else
		wish_plainly(gdb, wish);
}

static void go_on(struct vee_gdb *gdb, const char *args)
{
	go(gdb, args, GDB_CONTINUE);
}

static void step(struct vee_gdb *gdb, const char *args)
{
	go(gdb, args, GDB_STEP);
}

/* A guest has no signals: "C05;ADDRESS" is "cADDRESS". */
static const char *skip_signal(const char *args)
{
	uint64_t signal;

	hex_take(&args, &signal);
	return *args == ';' ? args + 1 : args;
}

static void go_on_signal(struct vee_gdb *gdb, const char *args)
{
	go_on(gdb, skip_signal(args));
}

static void step_signal(struct vee_gdb *gdb, const char *args)
{
	step(gdb, skip_signal(args));
}

static bool is_any(uint64_t thread)
{
	return thread == THREAD_ANY || thread == THREAD_ALL;
}

static bool take_thread(const char **args, uint64_t *thread)
{
	if (!strncmp(*args, "-1", 2)) {
		*args += 2;
		*thread = THREAD_ALL;
		return true;
	}
	return hex_take(args, thread);
}

/* One of "c", "C05", "s", "S05", perhaps ":THREAD"; false: it makes no sense. */
static bool take_action(const char **args, char *what, uint64_t *thread)
{
	uint64_t signal;

	*what = *(*args)++;
	*thread = THREAD_ALL;
	if (*what == 'C' || *what == 'S') {
		if (!hex_take(args, &signal))
			return false;
		*what |= 0x20;
	}
	if (*what != 'c' && *what != 's')
		return false;
	if (**args != ':')
		return true;
	++*args;
	return take_thread(args, thread);
}

/* For those of @thread that have no wish yet: the first of the list that is for one counts. */
static bool add_wish(const struct vee_gdb *gdb, enum gdb_action wishes[VEE_MAX_VCPUS],
		     uint64_t thread, enum gdb_action wish)
{
	bool found = false;

	for (unsigned int i = 0; i < gdb->cpu_count; i++) {
		if (!is_any(thread) && thread != cpus_thread(gdb->cpus[i]))
			continue;
		found = true;
		if (wishes[i] == GDB_WAIT)
			wishes[i] = wish;
	}
	return found;
}

/* A list as a whole, or nothing of it. */
static bool take_wishes(const struct vee_gdb *gdb, enum gdb_action wishes[VEE_MAX_VCPUS],
			const char *args)
{
	bool any = false;

	while (*args) {
		uint64_t thread;
		char what;

		if (*args++ != ';' || !*args || !take_action(&args, &what, &thread) ||
		    !add_wish(gdb, wishes, thread, what == 's' ? GDB_STEP : GDB_CONTINUE))
			return false;
		any = true;
	}
	return any;
}

static void continue_each(struct vee_gdb *gdb, const char *args)
{
	enum gdb_action wishes[VEE_MAX_VCPUS] = { GDB_WAIT };

	if (!take_wishes(gdb, wishes, args)) {
		reply_error(gdb, -EINVAL);
		return;
	}
	for (unsigned int i = 0; i < gdb->cpu_count; i++)
		gdb->cpus[i]->wish = wishes[i];
	gdb->action = GDB_CONTINUE;
}

static void say_continue(struct vee_gdb *gdb, const char *args)
{
	(void)args;
	reply(gdb, "vCont;c;C;s;S");
}

static void detach(struct vee_gdb *gdb, const char *args)
{
	(void)args;
	reply_error(gdb, 0);
	gdb->action = GDB_DETACH;
}

static void kill_guest(struct vee_gdb *gdb, const char *args)
{
	(void)args;
	gdb->action = GDB_KILL;
}

static void kill_politely(struct vee_gdb *gdb, const char *args)
{
	kill_guest(gdb, args);
	reply_error(gdb, 0);
}

/* --- breakpoints --- */

/* "TYPE,ADDRESS,LENGTH"; conditions, which may follow, are for who said that it has them. */
static bool take_break(const char *args, enum break_type *type, uint64_t *gva, uint64_t *length)
{
	uint64_t number;

	if (!hex_take(&args, &number) || *args++ != ',' || !hex_take(&args, gva) ||
	    *args++ != ',' || !hex_take(&args, length))
		return false;
	*type = min_u64(number, WATCH_ACCESS + 1);
	return !*args && *length <= UINT32_MAX;
}

typedef int (*break_fn)(struct vee_gdb *gdb, enum break_type type, uint64_t gva,
			unsigned int length);

static void change_break(struct vee_gdb *gdb, const char *args, break_fn change)
{
	enum break_type type;
	uint64_t gva, length;
	int err = -EINVAL;

	if (take_break(args, &type, &gva, &length))
		err = change(gdb, type, gva, length);
	if (err != -EOPNOTSUPP)		/* which is an empty reply */
		reply_error(gdb, err);
}

static void insert_break(struct vee_gdb *gdb, const char *args)
{
	change_break(gdb, args, break_insert);
}

static void remove_break(struct vee_gdb *gdb, const char *args)
{
	change_break(gdb, args, break_remove);
}

/* --- threads --- */

/* Which the packets of @what are for: "c" and "s", or those about registers and memory. */
static int choose_thread(struct vee_gdb *gdb, char what, uint64_t thread)
{
	struct gdb_cpu *cpu = cpus_find(gdb, thread);

	if (!cpu && !is_any(thread))
		return -EINVAL;
	if (what == 'c')
		gdb->only = cpu;
	else if (cpu)
		gdb->cpu = cpu;
	return 0;
}

static void set_thread(struct vee_gdb *gdb, const char *args)
{
	uint64_t thread;
	char what = *args;

	if (what)
		args++;
	reply_error(gdb, take_thread(&args, &thread) && !*args ?
			 choose_thread(gdb, what, thread) : -EINVAL);
}

static void is_alive(struct vee_gdb *gdb, const char *args)
{
	uint64_t thread;

	reply_error(gdb, take_thread(&args, &thread) && !*args && cpus_find(gdb, thread) ?
			 0 : -EINVAL);
}

static void current_thread(struct vee_gdb *gdb, const char *args)
{
	(void)args;
	reply(gdb, "QC%llx", (unsigned long long)cpus_thread(gdb->cpu));
}

static void list_threads(struct vee_gdb *gdb, const char *args)
{
	(void)args;
	for (unsigned int i = 0; i < gdb->cpu_count; i++)
		reply(gdb, "%c%llx", i ? ',' : 'm',
		      (unsigned long long)cpus_thread(gdb->cpus[i]));
}

static void end_threads(struct vee_gdb *gdb, const char *args)
{
	(void)args;
	reply(gdb, "l");
}

static void name_thread(struct vee_gdb *gdb, const char *args)
{
	struct gdb_cpu *cpu = NULL;
	uint64_t thread;
	char name[32];

	if (take_thread(&args, &thread) && !*args)
		cpu = cpus_find(gdb, thread);
	if (!cpu) {
		reply_error(gdb, -EINVAL);
		return;
	}
	reply_hex(gdb, name, snprintf(name, sizeof(name), "vCPU %u", cpu->vcpu->id));
}

/* --- the rest --- */

static void say_why(struct vee_gdb *gdb, const char *args)
{
	(void)args;
	say_stop(gdb);
}

static void attached(struct vee_gdb *gdb, const char *args)
{
	(void)args;
	reply(gdb, "1");
}

static void supported(struct vee_gdb *gdb, const char *args)
{
	gdb->tells_breaks = strstr(args, "swbreak+");
	reply(gdb, "PacketSize=%x;QStartNoAckMode+;qXfer:features:read+;vContSupported+;"
	      "swbreak+;hwbreak+", PACKET_BYTES);
}

/* That this one has come is said already. */
static void start_no_ack(struct vee_gdb *gdb, const char *args)
{
	(void)args;
	gdb->no_ack = true;
	reply_error(gdb, 0);
}

static void read_description(struct vee_gdb *gdb, const char *args)
{
	static const char annex[] = "target.xml:";
	uint64_t at, count;

	if (strncmp(args, annex, sizeof(annex) - 1)) {
		reply_error(gdb, -ENOENT);
		return;
	}
	args += sizeof(annex) - 1;
	if (!take_range(&args, 0, &at, &count) || at > gdb->description_bytes) {
		reply_error(gdb, -EINVAL);
		return;
	}
	count = min_u64(min_u64(count, PACKET_BYTES - 2), gdb->description_bytes - at);
	reply(gdb, "%c%.*s", at + count < gdb->description_bytes ? 'm' : 'l', (int)count,
	      gdb->description + at);
}

/* Its output comes in packets of their own, before the reply. */
static void show(struct vee_gdb *gdb, const char *text, size_t bytes)
{
	const size_t most = PACKET_BYTES / 2 - 1;

	for (size_t at = 0; at < bytes; at += most) {
		reply(gdb, "O");
		reply_hex(gdb, text + at, min_u64(bytes - at, most));
		send_reply(gdb);
	}
}

static void monitor(struct vee_gdb *gdb, const char *args)
{
	char line[PACKET_BYTES / 2 + 1] = "";
	size_t bytes, count = strlen(args) / 2;
	char *text;

	if (strlen(args) % 2 || !hex_bytes(args, line, count)) {
		reply_error(gdb, -EINVAL);
		return;
	}
	line[count] = 0;
	text = monitor_do(gdb, line, &bytes);
	if (text)
		show(gdb, text, bytes);
	free(text);
	reply_error(gdb, text ? 0 : -ENOMEM);
}

/* @whole: nothing may follow; the others get what does. */
static const struct {
	const char *name;
	bool whole;
	void (*act)(struct vee_gdb *gdb, const char *args);
} commands[] = {
	{ "?", true, say_why },
	{ "g", true, read_registers },
	{ "G", false, write_registers },
	{ "p", false, read_register },
	{ "P", false, write_register },
	{ "m", false, read_memory },
	{ "M", false, write_memory },
	{ "X", false, write_binary },
	{ "c", false, go_on },
	{ "C", false, go_on_signal },
	{ "s", false, step },
	{ "S", false, step_signal },
	{ "vCont?", true, say_continue },
	{ "vCont", false, continue_each },
	{ "vKill;", false, kill_politely },
	{ "Z", false, insert_break },
	{ "z", false, remove_break },
	{ "H", false, set_thread },
	{ "T", false, is_alive },
	{ "qC", true, current_thread },
	{ "qfThreadInfo", true, list_threads },
	{ "qsThreadInfo", true, end_threads },
	{ "qThreadExtraInfo,", false, name_thread },
	{ "qAttached", false, attached },
	{ "qSupported", false, supported },
	{ "QStartNoAckMode", true, start_no_ack },
	{ "qXfer:features:read:", false, read_description },
	{ "qRcmd,", false, monitor },
	{ "qqemu.PhyMemMode", true, get_physical },
	{ "Qqemu.PhyMemMode:", false, set_physical },
	{ "D", false, detach },
	{ "k", true, kill_guest },
};

static void find(struct vee_gdb *gdb, const char *packet)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++) {
		size_t length = strlen(commands[i].name);

		if (strncmp(packet, commands[i].name, length) ||
		    (commands[i].whole && packet[length]))
			continue;
		commands[i].act(gdb, packet + length);
		return;
	}
}

/* To what it doesn't know the reply is empty; to what makes the guest go on it comes later. */
void command_do(struct vee_gdb *gdb)
{
	gdb->reply_count = 0;
	find(gdb, gdb->packet.bytes);
	if (gdb->action == GDB_WAIT || gdb->reply_count)
		send_reply(gdb);
}
