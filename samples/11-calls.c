// SPDX-License-Identifier: GPL-2.0-only
/*
 * What isolation costs: the same function called ten thousand times, each time in a virtual
 * machine that is as fresh as the first. It keeps count of its calls, and never gets beyond
 * 1. (10-function.c says how one file is two programs.)
 */
#ifdef GUEST

#include <fn.h>

FN_BUFFERS(4096, 4096);

static int calls;

long fn_call(const void *in, size_t in_bytes, void *out, size_t out_room)
{
	calls++;
	memcpy(out, &calls, sizeof(calls));
	return sizeof(calls);
}

#else

#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <vee.h>

extern const char image[], image_end[];
asm(".pushsection .rodata; .balign 16\n"
"image:	.incbin	\"11-calls.elf\"\n"
"image_end: .popsection\n");

#define CALLS	10000
#define NO_VEE	"/dev/vee (loaded? \"vee check\" tells more; \"make demo\" runs this without VMX)"

int main(void)
{
	const struct vee_fn_options options = { .memory = 0x140000 };
	unsigned long long began, most = 0, least = -1ULL, all = 0;
	struct vee_fn *fn;
	int count, ret;

	setlinebuf(stdout);
	ret = vee_fn_load(&fn, image, image_end - image, &options, stderr);
	if (ret) {
		errno = -ret;
		err(1, NO_VEE);
	}
	for (int i = 0; i < CALLS; i++) {
		began = __builtin_ia32_rdtsc();
		ret = vee_fn_call(fn, "call", 4, &count, sizeof(count), stderr);
		began = __builtin_ia32_rdtsc() - began;
		if (ret != sizeof(count))
			errx(1, "call %d has failed", i);
		if (count != 1)
			errx(1, "call %d sees what another has left", i);
		all += began;
		least = began < least ? began : least;
		most = began > most ? began : most;
	}
	printf("%d calls, each the first of its machine\n", CALLS);
	printf("ticks of the TSC for each: %llu, from %llu to %llu\n", all / CALLS, least, most);
	vee_fn_free(fn);
	return 0;
}

#endif
