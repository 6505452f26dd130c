// SPDX-License-Identifier: LGPL-2.1-or-later
/* What a compiler takes for granted, even of a program that has no library. */
#include "guest.h"

void *memcpy(void *to, const void *from, size_t bytes)
{
	void *begin = to;

	asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(bytes) :: "memory");
	return begin;
}

void *memmove(void *to, const void *from, size_t bytes)
{
	char *a = to;
	const char *b = from;

	if (a <= b || a >= b + bytes)
		return memcpy(to, from, bytes);
	while (bytes--)
		((volatile char *)a)[bytes] = b[bytes];
	return to;
}

void *memset(void *to, int byte, size_t bytes)
{
	void *begin = to;

	asm volatile("rep stosb" : "+D"(to), "+c"(bytes) : "a"(byte) : "memory");
	return begin;
}

int memcmp(const void *a, const void *b, size_t bytes)
{
	const unsigned char *x = a, *y = b;

	for (; bytes; bytes--, x++, y++)
		if (*x != *y)
			return *x - *y;
	return 0;
}

size_t strlen(const char *string)
{
	const volatile char *end = string;

	while (*end)
		end++;
	return end - string;
}
