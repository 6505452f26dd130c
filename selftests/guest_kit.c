// SPDX-License-Identifier: GPL-2.0-only
/*
 * A guest that tries what guest/ has, in 16, 32 and 64 bits: guest.sh knows what it has
 * to print.
 */
#include "guest.h"

static char zeros[5000];
static int number = 42;
static const char *volatile none;

static void print_all(void)
{
	guest_print("%d %u %x %c %s %%\n", -5, 7U, 0xbeef, 'x', "string");
	guest_print("[%5d] [%05d] [%4s] [%08lx]\n", 42, -42, "ab", 0x12UL);
	guest_print("%ld %llu %llx\n", -1L, 18446744073709551615ULL, 0x123456789abcdefULL);
	guest_print("%s %zu\n", none, sizeof(uint32_t));
}

static void move_bytes(void)
{
	char text[] = "0123456789";

	memmove(text + 2, text, 5);
	memmove(text + 7, text + 8, 2);
	memset(text, '-', 1);
	guest_print("%s %d %d %zu\n", text, memcmp("ab", "ac", 2) < 0, memcmp("ab", "ac", 1),
		    strlen(text));
}

#ifndef GUEST_16
static void count(struct guest_frame *frame)
{
	guest_print("exception %lu, error code %lx\n", frame->vector, frame->error);
	if (frame->vector == 6)
		frame->ip += 2;			/* past the UD2 */
}

static void take_exceptions(void)
{
	unsigned long kept = 0x5eed;

	guest_catch(count);
	asm volatile("ud2; int3; int $0x80" : "+b"(kept));
	asm volatile("int $0x81" :: "a"(1), "c"(2), "d"(3) : "memory");
	guest_print("kept %lx\n", kept);
}
#endif

#ifdef __x86_64__
#define WINDOW	0x40000000UL

static void map_pages(void)
{
	static char page[4096] __attribute__((aligned(4096)));
	volatile char *window = (char *)WINDOW;

	page[5] = 'p';
	guest_print("map %d", guest_map_page(WINDOW, (uintptr_t)page,
					     GUEST_PRESENT | GUEST_WRITE));
	guest_print(" %c", window[5]);
	window[6] = 'q';
	guest_print(" %c", page[6]);
	guest_print(" %d\n", guest_map_page(WINDOW + 4096, 0, 0));
}

static void use_heap(void)
{
	char *a, *b;

	guest_heap(0x180000);
	a = guest_alloc(5);
	b = guest_alloc(100);
	guest_print("heap %d %d %d %d\n", b - a == 16, a[0], !guest_alloc(0x100000),
		    !guest_alloc(SIZE_MAX));
}
#endif

int main(void)
{
	int sum = 0;

	for (size_t i = 0; i < sizeof(zeros); i++)
		sum += zeros[i];
	guest_print("number %d, zeros %d\n", number, sum);
	print_all();
	move_bytes();
#ifndef GUEST_16
	take_exceptions();
#endif
#ifdef __x86_64__
	map_pages();
	use_heap();
#endif
#ifndef GUEST_16
	guest_catch(NULL);
	guest_print("and now without a handler of its own\n");
	asm volatile("ud2");
#endif
	return 7;
}
