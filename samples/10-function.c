// SPDX-License-Identifier: GPL-2.0-only
/*
 * A parser that its program need not trust. What reads JSON here, jsmn, runs in a virtual
 * machine of its own: bytes go in, bytes come out, and whatever an input makes of it is
 * an error of that call. This file is both: compiled with GUEST it is the function, and
 * else the program that calls it. (guest/README.md says what a guest in C has.)
 */
struct part {			/* of the input: has it no parts itself? and where it is */
	int is_leaf;
	int begin;
	int end;
};

#define RESULT_ROOM	0x80000

#ifdef GUEST

#include <fn.h>
#include <jsmn.h>

FN_BUFFERS(0x10000, RESULT_ROOM);

/* A mistake, as parsers have them: nobody has asked how long the string is. */
static void keep_first_string(const char *text, const jsmntok_t *token)
{
	char name[16];

	memcpy(name, text + token->start, token->end - token->start);
	asm volatile("" :: "r"(name) : "memory");
}

long fn_call(const void *in, size_t in_bytes, void *out, size_t out_room)
{
	struct part *parts = out;
	jsmntok_t *tokens;
	jsmn_parser parser;
	int count;

	jsmn_init(&parser);
	count = jsmn_parse(&parser, in, in_bytes, NULL, 0);
	if (count < 0 || count * sizeof(*parts) > out_room)
		return -1;
	tokens = fn_alloc(count * sizeof(*tokens));
	jsmn_init(&parser);
	count = jsmn_parse(&parser, in, in_bytes, tokens, count);
	for (int i = 0; i < count; i++)
		parts[i] = (struct part) {
			tokens[i].type >= JSMN_STRING, tokens[i].start, tokens[i].end,
		};
	if (count > 1 && tokens[1].type == JSMN_STRING)
		keep_first_string(in, &tokens[1]);
	return count < 0 ? count : (long)(count * sizeof(*parts));
}

#else

#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vee.h>

extern const char image[], image_end[];
asm(".pushsection .rodata; .balign 16\n"
"image:	.incbin	\"10-function.elf\"\n"
"image_end: .popsection\n");

#define NO_VEE	"/dev/vee (loaded? \"vee check\" tells more; \"make demo\" runs this without VMX)"

/* The function may be in anyone's hands by now: its result is looked at before it is used. */
static void show(const char *text, size_t bytes, const struct part *parts, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (parts[i].begin < 0 || parts[i].begin > parts[i].end ||
		    (size_t)parts[i].end > bytes)
			errx(1, "no parser would say this");
		if (parts[i].is_leaf)
			printf("  %.*s", parts[i].end - parts[i].begin, text + parts[i].begin);
	}
	putchar('\n');
}

static int parse(struct vee_fn *fn, const char *text)
{
	static struct part parts[RESULT_ROOM / sizeof(struct part)];
	int bytes = vee_fn_call(fn, text, strlen(text), parts, sizeof(parts), stdout);

	if (bytes >= 0)
		show(text, strlen(text), parts, bytes / sizeof(parts[0]));
	else
		printf("  and the call gives %s\n", strerror(-bytes));
	return bytes;
}

int main(void)
{
	const struct vee_fn_options options = {
		.memory = 0x1c0000,		/* 1 MiB of it is below the program */
		.deadline_ns = 2000000000,
	};
	const char *good = "{ \"name\": \"vee\", \"years\": 1, \"free\": true }";
	char text[0xf000];
	struct vee_fn *fn;
	int ret;

	setlinebuf(stdout);
	ret = vee_fn_load(&fn, image, image_end - image, &options, stderr);
	if (ret) {
		errno = -ret;
		err(1, NO_VEE);
	}
	printf("what is in %s\n", good);
	if (parse(fn, good) <= 0)
		errx(1, "that is good JSON");

	printf("cut short:\n");
	if (parse(fn, "{ \"name\": ") != -EBADMSG)
		errx(1, "that is none");

	printf("more than it has memory for:\n");
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = i % 2 ? '1' : ',';
	text[0] = '[';
	text[sizeof(text) - 2] = ']';
	text[sizeof(text) - 1] = '\0';
	if (parse(fn, text) != -EDQUOT)
		errx(1, "that are 30,000 numbers, 16 bytes each");

	printf("a string that its author has not thought of:\n");
	snprintf(text, sizeof(text), "{ \"%01000d\": 1 }", 0);
	if (parse(fn, text) != -ENOTRECOVERABLE)
		errx(1, "that should overwrite a return address");

	printf("and as if nothing had been:\n");
	ret = parse(fn, good);
	vee_fn_free(fn);
	return ret <= 0;
}

#endif
