// SPDX-License-Identifier: GPL-2.0-only
/* The function that fn.c calls: it does, well or badly, what its first byte says. */
#include "fn.h"
#include "fn_deeds.h"

FN_BUFFERS(8192, 8192);

static int initialized;
static int calls;
static char table[256];

void fn_init(void)
{
	initialized = 0x5eed;
	for (int i = 0; i < 256; i++)
		table[i] = 255 - i;
}

/* Is all as fn_init() left it? */
static long look(char *out)
{
	uint64_t cr0, dr0;
	int good = initialized == 0x5eed && !calls;

	for (int i = 0; i < 256; i++)
		good &= table[i] == (char)(255 - i);
	for (size_t i = 0; i < fn_out_room; i++)
		good &= !out[i];
	asm volatile("mov %%cr0, %0" : "=r"(cr0));
	asm volatile("mov %%dr0, %0" : "=r"(dr0));
	good &= cr0 >> 16 & 1 && !dr0;
	calls++;
	*out = good;
	return 1;
}

static long reverse(const char *in, size_t bytes, char *out)
{
	for (size_t i = 0; i < bytes; i++)
		out[i] = in[bytes - 1 - i];
	return bytes;
}

/* Writes to all memory from 64 KiB up, itself included, what is POP RSP as code. */
static void scribble(void)
{
	uintptr_t at = 0x10000;
	unsigned long count = (FN_TEST_MEMORY - at) / 8;

	asm volatile("rep stosq" : "+D"(at), "+c"(count) : "a"(0x5c5c5c5c5c5c5c5cULL) :
		     "memory");
}

static void wreck_tables(void)
{
	uintptr_t cr3;

	asm volatile("mov %%cr3, %0" : "=r"(cr3));
	memset((void *)cr3, 0, 4096);
	asm volatile("mov %0, %%cr3" :: "r"(cr3) : "memory");
}

static void wreck_registers(void)
{
	asm volatile("mov %0, %%dr0" :: "r"(0x1234UL));
	asm volatile("mov %%cr0, %%rax; and $~0x10000, %%rax; mov %%rax, %%cr0" ::: "rax");
	guest_wrmsr(0xc0000100, 0x1234);	/* IA32_FS_BASE */
	guest_halt();
}

static void eat(void)
{
	for (;;)
		fn_alloc(4096);
}

static void recurse(volatile char *before)
{
	volatile char here[4096];

	here[0] = before[0];
	if (here[0] != 77)
		recurse(here);
	before[0] = here[0];
}

/* Every pointer and length that can't be; how many got what they should. */
static long bad_pointers(void)
{
	static const uint64_t bad[] = {
		~0ULL, ~0ULL - 7, 1ULL << 63, 1ULL << 32, 0xffffffff, FN_TEST_MEMORY,
		FN_TEST_MEMORY - 1, 0x7fffffffffffffff,
	};
	static char buffer[16];
	long good = 0;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		good += fn_host(0, (void *)bad[i], 2, buffer, 16) == -FN_EFAULT;
		good += fn_host(0, buffer, 1, (void *)bad[i], 2) == -FN_EFAULT;
		good += fn_host(0, buffer, bad[i], buffer, 16) == -FN_EFAULT;
		good += fn_host(0, buffer, 1, buffer, bad[i]) == -FN_EFAULT;
	}
	good += fn_host(0, buffer, 8, buffer + 7, 2) == -FN_EINVAL;
	good += fn_host(1, buffer, 8, buffer + 8, 8) == -FN_ENOSYS;
	good += fn_host(~0U, buffer, 8, buffer + 8, 8) == -FN_ENOSYS;
	good += fn_host(0, "abc", 3, buffer, 16) == 3;
	good += !memcmp(buffer, "cba", 3);
	return good;
}

long fn_call(const void *in, size_t in_bytes, void *out, size_t out_room)
{
	const char *deed = in;
	char *text = out;

	(void)out_room;
	if (!in_bytes)
		return 0;
	switch (*deed) {
	case DEED_LOOK:
		return look(out);
	case DEED_REVERSE:
		return reverse(deed + 1, in_bytes - 1, out);
	case DEED_LOOP:
		for (;;)
			asm volatile("" ::: "memory");
	case DEED_LOOP_IN_HOST:
		for (;;)
			fn_host(0, "x", 1, out, 1);
	case DEED_EAT:
		eat();
		break;
	case DEED_TABLES:
		wreck_tables();
		break;
	case DEED_SCRIBBLE:
		scribble();
		break;
	case DEED_FAULT:
		asm volatile("ud2");
		break;
	case DEED_HLT:
		wreck_registers();
		break;
	case DEED_PORT:
		guest_out8(0x80, 1);
		break;
	case DEED_IN:
		text[0] = guest_in8(0x60);
		break;
	case DEED_MSR:
		guest_rdmsr(0x10a);
		break;
	case DEED_DEVICE:
		text[0] = *(volatile char *)0xb0000000;
		break;
	case DEED_READY:
		guest_call(FN_READY, 0, 0, 0, 0);
		break;
	case DEED_NO_CALL:
		guest_call(9, 0, 0, 0, 0);
		break;
	case DEED_TOO_LONG:
		return 8193;
	case DEED_FAIL:
		return -77;
	case DEED_BAD_POINTERS:
		text[0] = bad_pointers();
		return 1;
	case DEED_STACK:
		recurse(text);
		break;
	case DEED_HOST:
		return fn_host(0, deed + 1, in_bytes - 1, out, out_room);
	}
	return 0;
}
