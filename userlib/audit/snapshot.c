// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A VMCS to keep, with the machine that it is of: taken, written to a file, read from
 * one, and shown. The file is text, a line each:
 *
 *	vee-vmcs VERSION
 *	machine NAME
 *	info MEMBER VALUE		of struct vee_info: all of them, or none
 *	field ENCODING VALUE|withheld	# NAME
 *	end FIELDS			so that a file that is cut is seen to be
 */
#include <cpuid.h>
#include <stdio.h>
#include <stdlib.h>

#include "audit/audit.h"

#define FORMAT_VERSION	1
#define MAGIC		"vee-vmcs"
#define MAX_FIELDS	1024
#define MACHINE_BYTES	49	/* CPUID leaves 80000002H to 80000004H, and a NUL */
#define LINE_BYTES	256
#define BRAND_LEAF	0x80000002U
#define BRAND_LEAVES	3

/*
 * @told: of the machine, a bit for each of members[]
 * @named: so is its name
 */
struct vee_snapshot {
	char machine[MACHINE_BYTES];
	bool named;
	uint32_t told;
	struct vee_info info;
	unsigned int count;
	struct vee_vmcs_value values[MAX_FIELDS];
};

#define INFO(member) \
	{ #member, offsetof(struct vee_info, member), sizeof(((struct vee_info *)0)->member) }

/* What an audit goes by, and what tells one module from another. */
static const struct {
	const char *name;
	size_t offset;
	size_t bytes;
} members[] = {
	INFO(api_version), INFO(features), INFO(vmx_basic), INFO(vmx_misc), INFO(vmx_pin),
	INFO(vmx_proc), INFO(vmx_proc2), INFO(vmx_exit), INFO(vmx_entry), INFO(vmx_ept_vpid),
	INFO(vmx_cr0_fixed0), INFO(vmx_cr0_fixed1), INFO(vmx_cr4_fixed0), INFO(vmx_cr4_fixed1),
	INFO(vmx_vmfunc), INFO(vmx_proc3), INFO(vmx_exit2), INFO(perf_global_ctrl),
	INFO(phys_bits), INFO(linear_bits), INFO(cpuid_7_ebx), INFO(cpuid_7_ecx),
};

#define MEMBERS		(sizeof(members) / sizeof(members[0]))
#define ALL_TOLD	((uint32_t)(BIT(MEMBERS) - 1))

_Static_assert(MEMBERS <= 32, "told");

static uint64_t get_member(const struct vee_snapshot *s, unsigned int i)
{
	uint64_t value = 0;

	memcpy(&value, (const char *)&s->info + members[i].offset, members[i].bytes);
	return value;
}

/* --- from a vCPU -------------------------------------------------------------------- */

static void name_machine(char *name)
{
	unsigned int words[4 * BRAND_LEAVES] = { 0 };

	for (unsigned int i = 0; i < BRAND_LEAVES; i++)
		__get_cpuid(BRAND_LEAF + i, &words[4 * i], &words[4 * i + 1], &words[4 * i + 2],
			    &words[4 * i + 3]);
	memcpy(name, words, sizeof(words));
	name[sizeof(words)] = 0;
}

int vee_snapshot_take(struct vee_vcpu *vcpu, struct vee_snapshot **snapshot)
{
	struct vee_snapshot *s = calloc(1, sizeof(*s));
	int err;

	if (!s)
		return -ENOMEM;
	name_machine(s->machine);
	s->count = MAX_FIELDS;
	err = vee_get_info(&s->info);
	if (!err)
		err = vee_vcpu_vmcs_snapshot(vcpu, s->values, &s->count);
	if (err)
		free(s);
	else
		*snapshot = s;
	return err;
}

void vee_snapshot_free(struct vee_snapshot *snapshot)
{
	free(snapshot);
}

int vee_snapshot_audit(const struct vee_snapshot *snapshot, struct vee_broken_rule *broken,
		       unsigned int room, unsigned int *unjudged)
{
	return vee_audit(&snapshot->info, snapshot->values, snapshot->count, broken, room,
			 unjudged);
}

int vee_vcpu_audit(struct vee_vcpu *vcpu, struct vee_broken_rule *broken, unsigned int room,
		   unsigned int *unjudged)
{
	struct vee_snapshot *s;
	int ret = vee_snapshot_take(vcpu, &s);

	if (ret)
		return ret;
	ret = vee_snapshot_audit(s, broken, room, unjudged);
	vee_snapshot_free(s);
	return ret;
}

/* --- to a file ---------------------------------------------------------------------- */

static void write_field(const struct vee_vmcs_value *field, FILE *out)
{
	fprintf(out, "field %#x ", field->encoding);
	if (field->flags & VEE_VMCS_WITHHELD)
		fputs("withheld", out);
	else
		fprintf(out, "%#llx", (unsigned long long)field->value);
	fprintf(out, "\t# %s\n", vee_vmcs_name(field->encoding));
}

int vee_snapshot_write(const struct vee_snapshot *snapshot, FILE *out)
{
	fprintf(out, MAGIC " %d\nmachine %s\n", FORMAT_VERSION, snapshot->machine);
	for (unsigned int i = 0; i < MEMBERS; i++)
		fprintf(out, "info %s %#llx\n", members[i].name,
			(unsigned long long)get_member(snapshot, i));
	for (unsigned int i = 0; i < snapshot->count; i++)
		write_field(&snapshot->values[i], out);
	fprintf(out, "end %u\n", snapshot->count);
	return fflush(out) || ferror(out) ? -EIO : 0;
}

/* --- from a file -------------------------------------------------------------------- */

/* All of @text, which is a number of up to @bytes. */
static bool parse_number(const char *text, size_t bytes, uint64_t *value)
{
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	*value = strtoull(text, &end, 0);
	return !errno && !*end && *value <= low_bits(bytes);
}

static bool take_machine(struct vee_snapshot *s, const char *name)
{
	if (s->named || strlen(name) >= sizeof(s->machine))
		return false;
	for (const char *c = name; *c; c++)
		if (*c < ' ' || *c > '~')
			return false;
	strcpy(s->machine, name);
	s->named = true;
	return true;
}

static bool take_info(struct vee_snapshot *s, char *rest)
{
	char *number = strchr(rest, ' ');
	uint64_t value;

	if (!number)
		return false;
	*number++ = 0;
	for (unsigned int i = 0; i < MEMBERS; i++) {
		if (strcmp(members[i].name, rest))
			continue;
		if (s->told & BIT(i) || !parse_number(number, members[i].bytes, &value))
			return false;
		s->told |= BIT(i);
		memcpy((char *)&s->info + members[i].offset, &value, members[i].bytes);
		return true;
	}
	return false;
}

static bool is_known(const struct vee_snapshot *s, uint32_t encoding)
{
	for (unsigned int i = 0; i < s->count; i++)
		if (s->values[i].encoding == encoding)
			return true;
	return false;
}

static bool take_field(struct vee_snapshot *s, char *rest)
{
	struct vee_vmcs_value field = { 0 };
	char *value = strchr(rest, ' '), *comment = strchr(rest, '\t');
	uint64_t encoding, number = 0;

	if (!value || s->count == MAX_FIELDS)
		return false;
	*value++ = 0;
	if (comment)
		*comment = 0;
	if (!strcmp(value, "withheld"))
		field.flags = VEE_VMCS_WITHHELD;
	else if (!parse_number(value, sizeof(number), &number))
		return false;
	if (!parse_number(rest, sizeof(field.encoding), &encoding) || is_known(s, encoding))
		return false;
	field.encoding = encoding;
	field.value = number;
	s->values[s->count++] = field;
	return true;
}

static bool begins(const char *line, const char *word, char **rest)
{
	size_t length = strlen(word);

	*rest = (char *)line + length;
	return !strncmp(line, word, length);
}

/* A line that went missing would be a capability that the CPU has not got. */
static bool is_whole(const struct vee_snapshot *s, const char *rest)
{
	uint64_t count;

	return parse_number(rest, sizeof(s->count), &count) && count == s->count &&
	       (!s->told || s->told == ALL_TOLD);
}

/* More to come: 1. All is there: 0. -EINVAL. */
static int take_line(struct vee_snapshot *s, char *line)
{
	char *rest;

	if (begins(line, "machine ", &rest))
		return take_machine(s, rest) ? 1 : -EINVAL;
	if (begins(line, "info ", &rest))
		return take_info(s, rest) ? 1 : -EINVAL;
	if (begins(line, "field ", &rest))
		return take_field(s, rest) ? 1 : -EINVAL;
	if (begins(line, "end ", &rest) && is_whole(s, rest))
		return 0;
	return -EINVAL;
}

/* A whole line, without its end: 0. -ENODATA: the file is over before that. */
static int read_line(FILE *in, char *line)
{
	size_t length;

	if (!fgets(line, LINE_BYTES, in))
		return ferror(in) ? -EIO : -ENODATA;
	length = strlen(line);
	if (length && line[length - 1] == '\n') {
		line[length - 1] = 0;
		return 0;
	}
	return feof(in) ? -ENODATA : -EINVAL;
}

static int read_version(FILE *in)
{
	char line[LINE_BYTES];
	char *rest;
	uint64_t version;
	int err = read_line(in, line);

	if (err == -EIO)
		return err;
	if (err || !begins(line, MAGIC " ", &rest) || !parse_number(rest, 4, &version))
		return -EBADMSG;
	return version == FORMAT_VERSION ? 0 : -EPROTONOSUPPORT;
}

static int read_all(struct vee_snapshot *s, FILE *in, unsigned int *at)
{
	char line[LINE_BYTES];
	int ret;

	*at = 1;
	ret = read_version(in);
	if (ret)
		return ret;
	do {
		(*at)++;
		ret = read_line(in, line);
		if (!ret)
			ret = take_line(s, line);
	} while (ret > 0);
	return ret;
}

int vee_snapshot_read(struct vee_snapshot **snapshot, FILE *in, unsigned int *line)
{
	struct vee_snapshot *s = calloc(1, sizeof(*s));
	unsigned int at;
	int err;

	if (!s)
		return -ENOMEM;
	err = read_all(s, in, &at);
	if (line)
		*line = at;
	if (err)
		free(s);
	else
		*snapshot = s;
	return err;
}

/* --- for people --------------------------------------------------------------------- */

/* Much room, since controls have long names. */
#define BITS_BYTES	1200

static void print_field(const struct vee_vmcs_value *field, FILE *out)
{
	char bits[BITS_BYTES];

	fprintf(out, "  %04x  %-47s ", field->encoding, vee_vmcs_name(field->encoding));
	if (field->flags & VEE_VMCS_WITHHELD) {
		fputs("withheld: the host's\n", out);
		return;
	}
	fprintf(out, "%#llx", (unsigned long long)field->value);
	if (vee_vmcs_bits(field->encoding, field->value, bits, sizeof(bits)))
		fprintf(out, "  (%s)", bits);
	fputc('\n', out);
}

int vee_snapshot_print(const struct vee_snapshot *snapshot, FILE *out)
{
	static const struct {
		enum vmcs_group group;
		const char *name;
	} groups[] = {
		{ VMCS_GROUP_GUEST, "Guest-state area" },
		{ VMCS_GROUP_CONTROL, "Control fields" },
		{ VMCS_GROUP_HOST, "Host-state area" },
		{ VMCS_GROUP_READ_ONLY, "VM-exit information" },
	};

	fprintf(out, "VMCS of %s\n",
		*snapshot->machine ? snapshot->machine : "a CPU without a name");
	for (unsigned int i = 0; i < sizeof(groups) / sizeof(*groups); i++) {
		fprintf(out, "\n%s\n", groups[i].name);
		for (unsigned int n = 0; n < snapshot->count; n++)
			if (VMCS_GROUP(snapshot->values[n].encoding) == groups[i].group)
				print_field(&snapshot->values[n], out);
	}
	return ferror(out) ? -EIO : 0;
}
