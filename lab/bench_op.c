// SPDX-License-Identifier: GPL-2.0-only
/* A guest that does something again and again, and measures it itself. */
#include <string.h>

#include "bench_op.h"

/* Around each operation; R12 counts, RDI goes along the samples. */
static const uint8_t begin[] = {
	0x0f, 0x31,			/* rdtsc */
	0x89, 0x07,			/* mov %eax, (%rdi) */
};

static const uint8_t end[] = {
	0x0f, 0x31,			/* rdtsc */
	0x2b, 0x07,			/* sub (%rdi), %eax */
	0x89, 0x07,			/* mov %eax, (%rdi) */
	0x48, 0x83, 0xc7, 0x04,		/* add $4, %rdi */
	0x41, 0xff, 0xcc,		/* dec %r12d */
	0x0f, 0x85,			/* jnz back to the begin */
};

static const uint8_t done[] = { 0xe6, PORT_DONE, 0xf4 };	/* out, hlt */

static uint8_t *put(uint8_t *at, const void *data, size_t bytes)
{
	memcpy(at, data, bytes);
	return at + bytes;
}

static uint8_t *put_mov(uint8_t *at, const char *opcode, uint32_t value)
{
	at = put(at, opcode, 2);
	return put(at, &value, sizeof(value));
}

/* mov $samples, %edi; mov $rounds, %r12d; mov $touch, %r13d; then the loop */
void op_write(const struct op *op)
{
	uint8_t *at = memory + GPA_CODE, *loop;
	int32_t back;

	if (op->before)
		at = put(at, op->before, op->before_bytes);
	*at++ = 0xbf;
	at = put(at, &(uint32_t) { GPA_SAMPLES }, 4);
	at = put_mov(at, "\x41\xbc", op->rounds);
	at = put_mov(at, "\x41\xbd", GPA_TOUCH);
	loop = at;
	at = put(at, begin, sizeof(begin));
	at = put(at, op->code, op->bytes);
	at = put(at, end, sizeof(end));
	back = loop - (at + 4);
	at = put(at, &back, sizeof(back));
	put(at, done, sizeof(done));
}

uint32_t *op_run(const struct op *op, uint8_t *touch)
{
	struct guest g = { .memory = memory, .touch = touch };

	op_write(op);
	engine->create(&g);
	guest_run_to_the_end(&g);
	engine->destroy(&g);
	return (uint32_t *)(memory + GPA_SAMPLES);
}
