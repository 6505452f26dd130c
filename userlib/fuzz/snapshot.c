// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A snapshot's file with anything at all in it (libFuzzer). By the first byte of the input
 * the rest is all of the file, or what follows a first line and what the machine is, or
 * fields with their values, which are put in the form of a file. What is read is judged,
 * shown and written; what is written is read again and must be the same, to the last byte
 * and in each verdict.
 */
#include <stdlib.h>
#include <string.h>

#include "../audit/audit.h"
#include "libfuzzer.h"

enum form { FIELDS, LINES, FILE_ITSELF, FORMS };

#define INPUT_MAX	4096
#define FILE_BYTES	65536
#define ROOM		8
#define TEXT_BYTES	(1U << 20)
#define LINE_BYTES	600

static const char begin[] =
	"vee-vmcs 1\n"
	"info vmx_basic 0xda040000000004\ninfo vmx_misc 0x300481e5\n"
	"info vmx_pin 0x7f00000016\ninfo vmx_proc 0xfff9fffe04006172\n"
	"info vmx_proc2 0x2dfffff00000000\ninfo vmx_exit 0x3ffffff00036dfb\n"
	"info vmx_entry 0x3ffff000011fb\ninfo vmx_ept_vpid 0xf0106334141\n"
	"info vmx_cr0_fixed0 0x80000021\ninfo vmx_cr0_fixed1 0xffffffff\n"
	"info vmx_cr4_fixed0 0x2000\ninfo vmx_cr4_fixed1 0x3727ff\n"
	"info vmx_vmfunc 1\ninfo vmx_proc3 0x10\ninfo vmx_exit2 0\n"
	"info perf_global_ctrl 0x70000000f\ninfo phys_bits 40\ninfo linear_bits 48\n"
	"info cpuid_7_ebx 0\ninfo cpuid_7_ecx 0\ninfo api_version 1\ninfo features 0\n";

static char text[2][TEXT_BYTES];

static struct vee_snapshot *read_text(const char *from, size_t bytes)
{
	struct vee_snapshot *snapshot = NULL;
	FILE *in = fmemopen((void *)from, bytes, "r");
	unsigned int line = 0;

	if (!in)
		abort();
	/* The words that it has for a file. */
	switch (vee_snapshot_read(&snapshot, in, &line)) {
	case 0:
	case -EBADMSG:
	case -EPROTONOSUPPORT:
	case -ENODATA:
	case -EINVAL:
		break;
	default:
		abort();
	}
	fclose(in);
	if (!line)
		abort();
	return snapshot;
}

static size_t write_text(const struct vee_snapshot *snapshot, char *to)
{
	FILE *out = fmemopen(to, TEXT_BYTES, "w");
	size_t bytes;

	if (!out || vee_snapshot_write(snapshot, out))
		abort();
	bytes = ftell(out);
	fclose(out);
	return bytes;
}

/* How many rules it breaks, each of them said in words. */
static int judge(const struct vee_snapshot *snapshot, unsigned int *unjudged)
{
	struct vee_broken_rule broken[ROOM];
	int count = vee_snapshot_audit(snapshot, broken, ROOM, unjudged);
	char line[LINE_BYTES];

	for (int i = 0; i < count && i < ROOM; i++)
		if (vee_audit_text(&broken[i], line, sizeof(line)) >= sizeof(line))
			abort();
	return count;
}

static void print(const struct vee_snapshot *snapshot)
{
	FILE *out = fmemopen(text[1], TEXT_BYTES, "w");

	if (!out || vee_snapshot_print(snapshot, out))
		abort();
	fclose(out);
}

static void compare(const struct vee_snapshot *snapshot)
{
	size_t bytes = write_text(snapshot, text[0]);
	struct vee_snapshot *again = read_text(text[0], bytes);
	unsigned int unjudged = 0, unjudged_again = 0;

	if (!again || judge(snapshot, &unjudged) != judge(again, &unjudged_again) ||
	    unjudged != unjudged_again)
		abort();
	if (write_text(again, text[1]) != bytes || memcmp(text[0], text[1], bytes))
		abort();
	vee_snapshot_free(again);
}

#define VMCS_FIELD(name, encoding, width, group, description) encoding,
static const uint16_t encodings[] = VMCS_FIELDS;
#undef VMCS_FIELD

#define STEP	9	/* a byte for the field, eight for its value */

/* Each field once, as it is first named. */
static size_t put_fields(char *file, const uint8_t *data, size_t size)
{
	bool there[VMCS_FIELD_COUNT] = { false };
	unsigned int count = 0;
	size_t used = 0;

	for (; size >= STEP; data += STEP, size -= STEP) {
		unsigned int field = *data % VMCS_FIELD_COUNT;
		uint64_t value;

		if (there[field])
			continue;
		there[field] = true;
		memcpy(&value, data + 1, sizeof(value));
		used += sprintf(file + used, "field %u %llu\n", encodings[field],
				(unsigned long long)value);
		count++;
	}
	return used + sprintf(file + used, "end %u\n", count);
}

static size_t put_file(char *file, enum form form, const uint8_t *data, size_t size)
{
	size_t used = 0;

	if (form != FILE_ITSELF) {
		used = sizeof(begin) - 1;
		memcpy(file, begin, used);
	}
	if (form == FIELDS)
		return used + put_fields(file + used, data, size);
	memcpy(file + used, data, size);
	return used + size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char file[FILE_BYTES];
	struct vee_snapshot *snapshot;

	if (size < 2 || size > INPUT_MAX)
		return 0;
	snapshot = read_text(file, put_file(file, *data % FORMS, data + 1, size - 1));
	if (!snapshot)
		return 0;
	print(snapshot);
	compare(snapshot);
	vee_snapshot_free(snapshot);
	return 0;
}
