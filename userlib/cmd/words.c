// SPDX-License-Identifier: LGPL-2.1-or-later
/* Words that others have chosen, a program's name say: for a terminal, and in JSON. */
#include <inttypes.h>

#include "watch.h"

static bool is_plain(unsigned char c)
{
	return c >= ' ' && c < 0x7f;
}

void put_plain(FILE *out, const char *text)
{
	for (; *text; text++)
		fputc(is_plain(*text) ? *text : '?', out);
}

/* How many bytes a character of UTF-8 has that begins here; 0: none does. */
static unsigned int utf8_bytes(const char *text)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	const unsigned char *at = (const unsigned char *)text;
	unsigned int bytes = *at >= 0xf0 ? 4 : *at >= 0xe0 ? 3 : *at >= 0xc0 ? 2 : 0;
	uint32_t code = bytes ? *at & (0x7f >> bytes) : 0;

	for (unsigned int i = 1; i < bytes; i++) {
		if ((at[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (at[i] & 0x3f);
	}
	if (!bytes || code < least[bytes] || code > 0x10ffff || (code & ~0x7ffU) == 0xd800)
		return 0;
	return bytes;
}

/* What is no UTF-8 is taken for Latin-1. */
void put_json_string(FILE *out, const char *text)
{
	fputc('"', out);
	while (*text) {
		unsigned int bytes = utf8_bytes(text);

		if (bytes) {
			fwrite(text, 1, bytes, out);
			text += bytes;
			continue;
		}
		if (*text == '"' || *text == '\\')
			fprintf(out, "\\%c", *text);
		else if (is_plain(*text))
			fputc(*text, out);
		else
			fprintf(out, "\\u%04x", (unsigned char)*text);
		text++;
	}
	fputc('"', out);
}

void put_json_vm(FILE *out, const struct watched_vm *vm)
{
	fprintf(out, "\"vm\":%" PRIu32 ",\"pid\":%d,\"owner\":", vm->text.vm, (int)vm->pid);
	put_json_string(out, vm->owner);
	fputs(",\"command\":", out);
	put_json_string(out, vm->command);
	fprintf(out, ",\"slots\":%" PRIu32 ",\"lent_kib\":%" PRIu64 ",\"mapped_kib\":%" PRIu64
		",\"tables_kib\":%" PRIu64, vm->text.slots, vm->text.lent_kib,
		vm->text.mapped_kib, vm->text.tables_kib);
}
