// SPDX-License-Identifier: LGPL-2.1-or-later
/* Packets of gdb's remote serial protocol: $contents#checksum. */
#include <stdio.h>

#include "gdb.h"

#define CTRL_C		0x03
#define ESCAPE		'}'
#define ESCAPE_BIT	0x20

/* A run is a byte, '*', and how many more there are, plus this. */
#define RUN_BASE	29
#define RUN_MIN		3
#define RUN_MAX		(126 - RUN_BASE)	/* '~' */

/* --- hexadecimal --- */

int hex_digit(char digit)
{
	if (digit >= '0' && digit <= '9')
		return digit - '0';
	digit |= 0x20;
	return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

bool hex_take(const char **at, uint64_t *value)
{
	const char *start = *at;

	*value = 0;
	while (hex_digit(**at) >= 0) {
		if (*value >> 60)
			return false;
		*value = *value << 4 | (unsigned int)hex_digit(*(*at)++);
	}
	return *at != start;
}

bool hex_bytes(const char *text, void *bytes, size_t count)
{
	uint8_t *to = bytes;

	for (size_t i = 0; i < count; i++) {
		int high = hex_digit(text[2 * i]);
		int low = high < 0 ? -1 : hex_digit(text[2 * i + 1]);

		if (low < 0)
			return false;
		to[i] = high << 4 | low;
	}
	return true;
}

/* --- in --- */

static void begin(struct packet *packet)
{
	packet->state = PACKET_INSIDE;
	packet->broken = false;
	packet->sum = 0;
	packet->count = 0;
}

static enum packet_event outside(struct packet *packet, uint8_t byte)
{
	switch (byte) {
	case '$':
		begin(packet);
		return PACKET_NONE;
	case '-':
		return PACKET_RESEND;
	case CTRL_C:
		return PACKET_INTERRUPT;
	default:
		return PACKET_NONE;
	}
}

static void append(struct packet *packet, uint8_t byte)
{
	if (packet->count == PACKET_BYTES)
		packet->broken = true;
	else
		packet->bytes[packet->count++] = byte;
}

static void inside(struct packet *packet, uint8_t byte)
{
	if (byte == '$') {	/* always escaped: the one before was cut off */
		begin(packet);
		return;
	}
	if (byte == '#') {
		packet->broken |= packet->state == PACKET_ESCAPED;
		packet->state = PACKET_SUM_HIGH;
		return;
	}
	packet->sum += byte;
	if (packet->state == PACKET_ESCAPED) {
		append(packet, byte ^ ESCAPE_BIT);
		packet->state = PACKET_INSIDE;
	} else if (byte == ESCAPE) {
		packet->state = PACKET_ESCAPED;
	} else {
		append(packet, byte);
	}
}

static enum packet_event sum(struct packet *packet, uint8_t byte)
{
	int digit = hex_digit(byte);

	packet->broken |= digit < 0;
	packet->wanted = packet->wanted << 4 | (digit & 0xf);
	if (packet->state == PACKET_SUM_HIGH) {
		packet->state = PACKET_SUM_LOW;
		return PACKET_NONE;
	}
	packet->state = PACKET_OUTSIDE;
	if (packet->broken || packet->wanted != packet->sum)
		return PACKET_BAD;
	packet->bytes[packet->count] = 0;
	return PACKET_WHOLE;
}

enum packet_event packet_take(struct packet *packet, uint8_t byte)
{
	switch (packet->state) {
	case PACKET_INSIDE:
	case PACKET_ESCAPED:
		inside(packet, byte);
		return PACKET_NONE;
	case PACKET_SUM_HIGH:
	case PACKET_SUM_LOW:
		return sum(packet, byte);
	default:
		return outside(packet, byte);
	}
}

/* --- out --- */

static bool is_special(char byte)
{
	return byte == '$' || byte == '#' || byte == ESCAPE || byte == '*';
}

/* How many more of the same follow, as a run may say it. */
static size_t run_length(const char *bytes, size_t count)
{
	size_t more = 0;

	while (more + 1 < count && more < RUN_MAX && bytes[more + 1] == *bytes)
		more++;
	if (more < RUN_MIN)
		return 0;
	while (is_special(more + RUN_BASE))
		more--;
	return more;
}

size_t packet_frame(char frame[FRAME_BYTES], const char *bytes, size_t count)
{
	size_t n = 0, at = 0;
	uint8_t sum = 0;

	frame[n++] = '$';
	while (at < count) {
		size_t more = is_special(bytes[at]) ? 0 : run_length(bytes + at, count - at);

		if (is_special(bytes[at])) {
			frame[n++] = ESCAPE;
			frame[n++] = bytes[at] ^ ESCAPE_BIT;
		} else {
			frame[n++] = bytes[at];
		}
		if (more) {
			frame[n++] = '*';
			frame[n++] = more + RUN_BASE;
		}
		at += more + 1;
	}
	for (size_t i = 1; i < n; i++)
		sum += frame[i];
	frame[n++] = '#';
	frame[n++] = "0123456789abcdef"[sum >> 4];
	frame[n++] = "0123456789abcdef"[sum & 0xf];
	return n;
}
