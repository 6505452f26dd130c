// SPDX-License-Identifier: LGPL-2.1-or-later
/* gdb's command "monitor": what vee knows of a guest and gdb has no words for. */
#include <stdio.h>
#include <stdlib.h>

#include "../explain/explain.h"
#include "gdb.h"

#define LINE_BYTES	16
#define DUMP_BYTES	64	/* of "phys", unless told otherwise */
#define DUMP_MAX	2048

static void complain(FILE *out, int err)
{
	if (err)
		fprintf(out, "vee: %s\n", strerror(-err));
}

static void say_exits(struct vee_gdb *gdb, const char *args, FILE *out)
{
	(void)args;
	if (vee_dump_exits(gdb->cpu->vcpu, out))
		fputs("vee: they are not kept: vee_vcpu_keep_exits()\n", out);
}

static void say_registers(struct vee_gdb *gdb, const char *args, FILE *out)
{
	(void)args;
	complain(out, vee_dump_registers(gdb->cpu->vcpu, out));
}

static void say_why(struct vee_gdb *gdb, const char *args, FILE *out)
{
	(void)args;
	complain(out, vee_explain(gdb->cpu->vcpu, out));
}

static void say_vmcs(struct vee_gdb *gdb, const char *args, FILE *out)
{
	struct vee_snapshot *snapshot;
	int err = vee_snapshot_take(gdb->cpu->vcpu, &snapshot);

	(void)args;
	if (!err) {
		err = vee_snapshot_print(snapshot, out);
		vee_snapshot_free(snapshot);
	}
	complain(out, err);
}

/* Level by level, as a read at CPL 0 would have it. */
static void walk(struct scratch *scratch, uint64_t gva, FILE *out)
{
	struct text text = { .out = out, .left = VEE_EXPLAIN_LINES };
	uint64_t gpa;
	int err;

	if (!(scratch->page.control.cr0 & CR0_PG)) {
		fputs("paging is off: the address is guest-physical\n", out);
		return;
	}
	err = guest_walk(&scratch->guest, gva, VEE_READ | GUEST_IMPLICIT, &gpa);
	tables_say(&text, scratch);
	if (!err)
		fprintf(out, "  gva %#llx is gpa %#llx\n", U(gva), U(gpa));
	else if (err != GUEST_FAULTED)
		fputs("  a table is where the guest has no memory\n", out);
}

static void say_walk(struct vee_gdb *gdb, const char *args, FILE *out)
{
	struct scratch *scratch = malloc(sizeof(*scratch));
	char *end;
	uint64_t gva = strtoull(args, &end, 0);
	int err = scratch ? scratch_begin(scratch, gdb->cpu->vcpu) : -ENOMEM;

	if (end == args || *end)
		fputs("vee: \"monitor walk ADDRESS\", a number\n", out);
	else if (err)
		complain(out, err);
	else
		walk(scratch, gva, out);
	free(scratch);
}

static void dump_line(FILE *out, uint64_t gpa, const uint8_t *bytes, size_t count)
{
	fprintf(out, "%#llx:", U(gpa));
	for (size_t i = 0; i < count; i++)
		fprintf(out, " %02x", bytes[i]);
	fputc('\n', out);
}

static void say_physical(struct vee_gdb *gdb, const char *args, FILE *out)
{
	char *end;
	uint64_t gpa = strtoull(args, &end, 0);
	uint64_t count = *end ? strtoull(end, &end, 0) : DUMP_BYTES;
	uint8_t bytes[DUMP_MAX];

	if (*end || end == args || !count || count > DUMP_MAX) {
		fprintf(out, "vee: \"monitor phys ADDRESS [BYTES]\", up to %d\n", DUMP_MAX);
		return;
	}
	if (vee_vm_read(gdb->cpu->vcpu->vm, gpa, bytes, count)) {
		fprintf(out, "vee: the guest has no memory at %#llx\n", U(gpa));
		return;
	}
	break_hide(gdb, gpa, bytes, count);
	for (uint64_t at = 0; at < count; at += LINE_BYTES)
		dump_line(out, gpa + at, bytes + at, min_u64(count - at, LINE_BYTES));
}

/* gdb asks for the description when it connects. */
static void set_arch(struct vee_gdb *gdb, const char *args, FILE *out)
{
	bool i386 = !strcmp(args, "i386"), before = gdb->i386;
	int err;

	if (!i386 && strcmp(args, "x86-64")) {
		fputs("vee: \"monitor arch i386\" or \"monitor arch x86-64\"\n", out);
		return;
	}
	gdb->i386 = i386;
	err = registers_describe(gdb);
	if (err) {
		gdb->i386 = before;
		complain(out, err);
		return;
	}
	fputs("from the next connection on: \"disconnect\", then \"target remote\"\n", out);
}

static const struct {
	const char *name;
	void (*act)(struct vee_gdb *gdb, const char *args, FILE *out);
	const char *help;
} commands[] = {
	{ "exits", say_exits, "the last exits, the latest first" },
	{ "why", say_why, "what the guest stopped for, in words" },
	{ "regs", say_registers, "the registers, with segments and tables" },
	{ "vmcs", say_vmcs, "the VMCS, by groups, each field's bits in words" },
	{ "walk", say_walk, "ADDRESS: the guest's page tables there, level by level" },
	{ "phys", say_physical, "ADDRESS [BYTES]: memory by guest-physical address" },
	{ "arch", set_arch, "i386 or x86-64: which registers gdb is told of" },
};

static void say_help(FILE *out)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++)
		fprintf(out, "%-6s %s\n", commands[i].name, commands[i].help);
}

static void find(struct vee_gdb *gdb, const char *line, FILE *out)
{
	size_t length = strcspn(line, " ");

	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++)
		if (length == strlen(commands[i].name) &&
		    !strncmp(line, commands[i].name, length)) {
			commands[i].act(gdb, line + length + strspn(line + length, " "), out);
			return;
		}
	if (length && strcmp(line, "help"))
		fputs("vee: no such command; these there are:\n", out);
	say_help(out);
}

char *monitor_do(struct vee_gdb *gdb, const char *line, size_t *bytes)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, bytes);

	if (!out)
		return NULL;
	find(gdb, line, out);
	if (fclose(out)) {
		free(text);
		return NULL;
	}
	return text;
}
