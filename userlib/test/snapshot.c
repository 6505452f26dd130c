// SPDX-License-Identifier: LGPL-2.1-or-later
/* VMCSs in files: whole, cut, changed, of other versions; and what bits are called. */
#include "../audit/audit.h"
#include "test.h"

#define FILE_BYTES	32768

static char text[FILE_BYTES];
static size_t text_bytes;
static struct vee_snapshot *snapshot;
static unsigned int line;

/* Reads @bytes of what is at @from; frees what it was. */
static int read_text(const char *from, size_t bytes)
{
	FILE *in = fmemopen((void *)from, bytes ? bytes : 1, "r");
	int err;

	if (!in)
		abort();
	if (!bytes)
		fgetc(in);
	line = 0;
	err = vee_snapshot_read(&snapshot, in, &line);
	fclose(in);
	if (!err)
		vee_snapshot_free(snapshot);
	return err;
}

static int read_string(const char *string)
{
	return read_text(string, strlen(string));
}

static int write_text(const struct vee_snapshot *s)
{
	FILE *out = fmemopen(text, sizeof(text), "w");
	int err = vee_snapshot_write(s, out);

	text_bytes = ftell(out);
	fclose(out);
	return err;
}

/* What the stand-in has, with a guest that is nearly right. */
static void take(struct vee_snapshot **s)
{
	struct rig rig;

	rig_begin(&rig);
	fake.vmcs_value = 2;
	CHECK_EQUAL(vee_snapshot_take(rig.vcpu, s), 0);
	rig_end(&rig);
}

static void there_and_back(void)
{
	struct vee_broken_rule broken[2], again[2];
	struct vee_snapshot *s, *copy;
	static char first[FILE_BYTES];
	FILE *in;

	take(&s);
	CHECK_EQUAL(write_text(s), 0);
	memcpy(first, text, sizeof(first));
	in = fmemopen(text, text_bytes, "r");
	CHECK_EQUAL(vee_snapshot_read(&copy, in, &line), 0);
	fclose(in);
	CHECK(vee_snapshot_audit(s, broken, 2, NULL) > 2);
	CHECK_EQUAL(vee_snapshot_audit(copy, again, 2, NULL), vee_snapshot_audit(s, NULL, 0, NULL));
	CHECK_EQUAL(broken[1].rule == again[1].rule, true);
	CHECK_EQUAL(write_text(copy), 0);
	CHECK(!memcmp(first, text, text_bytes));
	vee_snapshot_free(s);
	vee_snapshot_free(copy);
}

/* At whatever byte. */
static void cut(void)
{
	struct vee_snapshot *s;

	take(&s);
	write_text(s);
	for (size_t bytes = 1; bytes < text_bytes; bytes++) {
		int err = read_text(text, bytes);

		test_case("%zu of %zu bytes", bytes, text_bytes);
		CHECK(err == (line == 1 ? -EBADMSG : -ENODATA));
	}
	CHECK_EQUAL(read_text(text, text_bytes), 0);
	vee_snapshot_free(s);
}

static void versions(void)
{
	CHECK_EQUAL(read_string("vee-vmcs 1\nend 0\n"), 0);
	CHECK_EQUAL(read_string("vee-vmcs 0\nend 0\n"), -EPROTONOSUPPORT);
	CHECK_EQUAL(read_string("vee-vmcs 2\nnew words\n"), -EPROTONOSUPPORT);
	CHECK_EQUAL(read_string("vee-vmcs 4294967296\nend 0\n"), -EBADMSG);
	CHECK_EQUAL(read_string("vee-vmcs\nend 0\n"), -EBADMSG);
	CHECK_EQUAL(read_string("\x7f\x45LF"), -EBADMSG);
	CHECK_EQUAL(read_string("\n"), -EBADMSG);
}

#define BEGIN	"vee-vmcs 1\n"

/* All that a file says of a machine, but for its widths. */
#define INFO \
	"info api_version 1\ninfo features 0\ninfo vmx_basic 0\ninfo vmx_misc 0\n" \
	"info vmx_pin 0\ninfo vmx_proc 0\ninfo vmx_proc2 0\ninfo vmx_exit 0\n" \
	"info vmx_entry 0\ninfo vmx_ept_vpid 0\ninfo vmx_cr0_fixed0 0\n" \
	"info vmx_cr0_fixed1 0\ninfo vmx_cr4_fixed0 0\ninfo vmx_cr4_fixed1 0\n" \
	"info vmx_vmfunc 0\ninfo vmx_proc3 0\ninfo vmx_exit2 0\ninfo perf_global_ctrl 0\n" \
	"info cpuid_7_ebx 0\ninfo cpuid_7_ecx 0\n"
#define WIDTHS	"info phys_bits 40\ninfo linear_bits 48\n"

static void nonsense(void)
{
	static const char *const lines[] = {
		"", "end", "end 1", "end x", "end -1", "end 0 ", "machine \x01", "machine \xff",
		"machine 1234567890123456789012345678901234567890123456789",
		"info", "info vmx_pin", "info vmx_pin ", "info vmx_pin x", "info no_such 1",
		"info vmx_pin 0x10000000000000000", "info phys_bits 0x100000000", "info size 5",
		"info phys_bits -1", "info phys_bits 1 2", "field", "field 0x6800",
		"field 0x6800 ", "field 0x6800 x", "field x 1", "field 0x100000000 1",
		"field 0x6800 0x10000000000000000", "field -1 1", "field 0x6800 with",
		"field  0x6800 1", "something else",
	};
	char file[256];

	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
		snprintf(file, sizeof(file), BEGIN "%s\nend 0\n", lines[i]);
		test_case("%s", lines[i]);
		CHECK_EQUAL(read_string(file), -EINVAL);
		CHECK_EQUAL(line, 2);
	}
	CHECK_EQUAL(read_string(BEGIN "field 0 1\nfield 0 1\nend 2\n"), -EINVAL);
	CHECK_EQUAL(line, 3);
	CHECK_EQUAL(read_string(BEGIN "field 0 1\nend 2\n"), -EINVAL);
	CHECK_EQUAL(read_text(BEGIN "machine a\0b\nend 0\n", sizeof(BEGIN) + 16), -EINVAL);
}

/* A line that is missing, or is there twice, wherever it is. */
static void lines_lost_and_doubled(void)
{
	static char file[2 * FILE_BYTES];
	struct vee_snapshot *s;

	take(&s);
	write_text(s);
	text[text_bytes] = 0;
	for (char *at = text, *next; *at; at = next) {
		next = strchr(at, '\n') + 1;
		test_case("%.*s", (int)(next - at - 1), at);
		snprintf(file, sizeof(file), "%.*s%s", (int)(at - text), text, next);
		if (strncmp(at, "machine ", 8))
			CHECK(read_string(file) < 0);
		else
			CHECK_EQUAL(read_string(file), 0);
		if (!strncmp(at, "end ", 4))
			break;
		snprintf(file, sizeof(file), "%.*s%s", (int)(next - text), text, at);
		CHECK_EQUAL(read_string(file), -EINVAL);
	}
	vee_snapshot_free(s);
}

static void too_much(void)
{
	char *file = malloc(65536);
	size_t used = sprintf(file, BEGIN);

	for (unsigned int i = 0; i < 1024; i++)
		used += sprintf(file + used, "field %u withheld\n", i);
	strcpy(file + used, "end 1024\n");
	CHECK_EQUAL(read_string(file), 0);
	strcpy(file + used, "field 9999 1\nend 1025\n");
	CHECK_EQUAL(read_string(file), -EINVAL);
	used = sprintf(file, BEGIN "machine ");
	memset(file + used, 'x', 1000);
	strcpy(file + used + 1000, "\nend 0\n");
	CHECK_EQUAL(read_string(file), -EINVAL);
	free(file);
}

/* Any byte may be any other: it is read or refused, and nothing worse. */
static void changed(void)
{
	struct vee_snapshot *s;

	take(&s);
	write_text(s);
	for (int i = 0; i < 20000; i++) {
		size_t at = test_random() % text_bytes;
		char was = text[at];
		int err;

		text[at] = test_random();
		err = read_text(text, text_bytes);
		test_case("byte %zu is %#x", at, text[at] & 0xff);
		CHECK(!err || err == -EINVAL || err == -EBADMSG || err == -EPROTONOSUPPORT ||
		      err == -ENODATA);
		text[at] = was;
	}
	vee_snapshot_free(s);
}

static struct vee_snapshot *read_from(char *file)
{
	FILE *in = fmemopen(file, strlen(file), "r");
	struct vee_snapshot *s;

	CHECK_EQUAL(vee_snapshot_read(&s, in, NULL), 0);
	fclose(in);
	return s;
}

/* A file of another machine: its CR3 fits there, not here, or the other way round. */
static void of_another_cpu(void)
{
	static const char format[] = BEGIN INFO
		"info phys_bits %u\ninfo linear_bits 48\nfield 0x6802 0x8000000000\nend 1\n";
	struct vee_broken_rule broken;
	struct vee_snapshot *s;
	char file[1024];

	for (unsigned int bits = 39; bits <= 40; bits++) {
		snprintf(file, sizeof(file), format, bits);
		s = read_from(file);
		CHECK_EQUAL(vee_snapshot_audit(s, &broken, 1, NULL), bits == 39);
		vee_snapshot_free(s);
	}
	CHECK(!strcmp(broken.rule, "GUEST_CR3_WIDTH"));
}

/* Of a module that didn't say what the checks go by: it can be shown, not judged. */
static void of_an_old_module(void)
{
	static char file[] = BEGIN INFO "info phys_bits 0\ninfo linear_bits 0\n"
		"field 0x6802 0x1000\nend 1\n";
	struct vee_snapshot *s = read_from(file);

	CHECK_EQUAL(vee_snapshot_audit(s, NULL, 0, NULL), -EOPNOTSUPP);
	vee_snapshot_free(s);
}

static void shown(void)
{
	static char file[] = BEGIN "machine A CPU\nfield 0x6c00 withheld\tx\n"
		"field 0x6800 0x80000021\nfield 0x1234 5\nend 3\n";
	struct vee_snapshot *s = read_from(file);
	FILE *out = fmemopen(text, sizeof(text), "w");

	CHECK_EQUAL(vee_snapshot_print(s, out), 0);
	fclose(out);
	CHECK(strstr(text, "VMCS of A CPU\n"));
	CHECK(strstr(text, "0x80000021  (PE, NE, PG)\n"));
	CHECK(strstr(text, "host CR0"));
	CHECK(strstr(text, "withheld: the host's\n"));
	vee_snapshot_free(s);
}

/* What was withheld of it stays so in a copy. */
static void withheld_again(void)
{
	static char file[] = BEGIN "field 0x6c00 withheld\tx\nend 1\n";
	struct vee_snapshot *s = read_from(file);
	FILE *out = fmemopen(text, sizeof(text), "w");

	CHECK_EQUAL(vee_snapshot_write(s, out), 0);
	fclose(out);
	CHECK(strstr(text, "field 0x6c00 withheld\t# host CR0\n"));
	vee_snapshot_free(s);
}

static int read_empty(void)
{
	FILE *in = fopen("/dev/null", "re");
	struct vee_snapshot *s;
	int err = vee_snapshot_read(&s, in, NULL);

	fclose(in);
	return err == -EBADMSG ? 0 : err;
}

/* A directory can be opened, and not be read. */
static void unreadable(void)
{
	FILE *in = fopen("/", "re");
	struct vee_snapshot *s;
	unsigned int line = 0;

	CHECK_EQUAL(vee_snapshot_read(&s, in, &line), -EIO);
	CHECK_EQUAL(line, 1);
	fclose(in);
	CHECK_EQUAL(fail_each_allocation(read_empty), 1);
}

static void to_a_full_disk(void)
{
	FILE *full = fopen("/dev/full", "w");
	struct vee_snapshot *s;

	take(&s);
	CHECK_EQUAL(vee_snapshot_write(s, full), -EIO);
	fclose(full);
	vee_snapshot_free(s);
}

static void bits(void)
{
	static const struct {
		uint32_t encoding;
		uint64_t value;
		const char *words;
	} cases[] = {
		{ VMCS_GUEST_CR0, 0x31, "PE, ET, NE" },
		{ VMCS_GUEST_CR4, 0x8000, "reserved bits 0x8000" },
		{ VMCS_GUEST_RFLAGS, 0x3202, "bit 1, IF, IOPL 3" },
		{ VMCS_GUEST_CS_ACCESS_RIGHTS, 0xe0fb, "type 11, S, DPL 3, P, L, D/B, G" },
		{ VMCS_GUEST_TR_ACCESS_RIGHTS, 0x1008b, "type 11, P, unusable" },
		{ VMCS_GUEST_INTERRUPTIBILITY, 0x21, "blocking by STI, reserved bits 0x20" },
		{ VMCS_GUEST_ACTIVITY, 3, "wait-for-SIPI" },
		{ VMCS_GUEST_ACTIVITY, 4, "" },
		{ VMCS_EXIT_REASON, 12, "HLT" },
		{ VMCS_VM_INSTRUCTION_ERROR, 0, "" },
		{ VMCS_VM_INSTRUCTION_ERROR, 7, "VM entry with invalid control fields" },
		{ VMCS_PIN_CONTROLS, 0x0b, "external-interrupt exiting, NMI exiting" },
		{ VMCS_ENTRY_INTERRUPTION_INFO, 0x80000b0e,
		  "valid, type 3, vector 14, error code" },
		{ VMCS_GUEST_CS_SELECTOR, 0x1f, "index 3, TI, RPL 3" },
		{ VMCS_EPTP, 0x123405e,
		  "memory type 6, page-walk length less 1: 3, accessed and dirty flags" },
		{ VMCS_PROC3_CONTROLS, 0x110, "IPI virtualization, APIC-timer virtualization" },
		{ VMCS_PROC3_CONTROLS, 0x80, "virtualize IA32_SPEC_CTRL" },
		{ VMCS_EXIT2_CONTROLS, 6, "load FRED, load IA32_SPEC_CTRL" },
		{ VMCS_GUEST_RIP, 5, "" },
		{ UINT32_MAX, 5, "" },
	};
	char words[100];

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		size_t length = vee_vmcs_bits(cases[i].encoding, cases[i].value, words,
					      sizeof(words));

		test_case("%#x", cases[i].encoding);
		CHECK_EQUAL(length, strlen(cases[i].words));
		if (!CHECK(!strcmp(words, cases[i].words)))
			printf("# %s\n", words);
		for (size_t bytes = 0; bytes <= length; bytes++) {
			memset(words, 'x', sizeof(words));
			CHECK_EQUAL(vee_vmcs_bits(cases[i].encoding, cases[i].value, words, bytes),
				    length);
			CHECK_EQUAL(words[bytes], 'x');
		}
	}
}

static int take_one(void)
{
	struct vee_snapshot *s;
	struct rig rig;
	int err;

	rig_begin(&rig);
	err = vee_snapshot_take(rig.vcpu, &s);
	if (!err)
		vee_snapshot_free(s);
	rig_end(&rig);
	return err;
}

static void no_snapshot(void)
{
	struct vee_snapshot *s;
	struct rig rig;

	rig_begin(&rig);
	fake.error = -ESHUTDOWN;
	CHECK_EQUAL(vee_snapshot_take(rig.vcpu, &s), -ESHUTDOWN);
	fake.error = 0;
	fake.fail_allocation = 1;
	CHECK_EQUAL(vee_snapshot_take(rig.vcpu, &s), -ENOMEM);
	rig_end(&rig);
	CHECK_EQUAL(take_one(), 0);
	vee_snapshot_free(NULL);
}

const struct test tests[] = {
	{ "to a file and back", there_and_back },
	{ "a file that is cut", cut },
	{ "versions", versions },
	{ "lines that make no sense", nonsense },
	{ "lines that are missing, or there twice", lines_lost_and_doubled },
	{ "more than there can be", too_much },
	{ "a file that somebody changed", changed },
	{ "of another CPU", of_another_cpu },
	{ "of a module that is too old", of_an_old_module },
	{ "shown", shown },
	{ "what was withheld, written again", withheld_again },
	{ "a file that can't be read", unreadable },
	{ "to a full disk", to_a_full_disk },
	{ "bits in words", bits },
	{ "none to be had", no_snapshot },
	{ 0 }
};
