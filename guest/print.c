// SPDX-License-Identifier: LGPL-2.1-or-later
/* printf() of the least that is of use. */
#include <stdarg.h>
#include <stdbool.h>

#include "guest.h"

static void put(char c)
{
	guest_out8(GUEST_PORT_CONSOLE, c);
}

static void put_string(const char *string, unsigned int width)
{
	size_t length;

	if (!string)
		string = "(null)";
	for (length = strlen(string); width > length; width--)
		put(' ');
	while (*string)
		put(*string++);
}

/*
 * Digits come from the right. Divided by hand: for 64 bits in 32-bit code the compiler
 * would call a library that is not there.
 */
static unsigned int divide(unsigned long long *value, unsigned int base)
{
	unsigned long long rest = 0;

	for (int bit = 63; bit >= 0; bit--) {
		rest = rest << 1 | (*value >> bit & 1);
		*value &= ~(1ULL << bit);
		if (rest >= base) {
			rest -= base;
			*value |= 1ULL << bit;
		}
	}
	return rest;
}

static void put_number(unsigned long long value, unsigned int base, unsigned int width,
		       char fill, bool negative)
{
	char digits[24];
	unsigned int count = 0;

	do {
		digits[count++] = "0123456789abcdef"[divide(&value, base)];
	} while (value);
	if (negative && fill == '0')
		put('-');
	for (; width > count + negative; width--)
		put(fill);
	if (negative && fill != '0')
		put('-');
	while (count)
		put(digits[--count]);
}

/* By how many "l" there are before the letter. */
static unsigned long long next(va_list *args, unsigned int longs, bool is_signed)
{
	if (longs > 1)
		return va_arg(*args, unsigned long long);
	if (is_signed)
		return longs ? va_arg(*args, long) : va_arg(*args, int);
	return longs ? va_arg(*args, unsigned long) : va_arg(*args, unsigned int);
}

static void put_argument(char letter, unsigned int longs, unsigned int width, char fill,
			 va_list *args)
{
	unsigned long long value;

	switch (letter) {
	case 'c':
		put(va_arg(*args, int));
		break;
	case 's':
		put_string(va_arg(*args, const char *), width);
		break;
	case 'd':
		value = next(args, longs, true);
		put_number((long long)value < 0 ? -value : value, 10, width, fill,
			   (long long)value < 0);
		break;
	case 'u':
		put_number(next(args, longs, false), 10, width, fill, false);
		break;
	case 'p':
		put_string("0x", 0);
		put_number((uintptr_t)va_arg(*args, void *), 16, width, '0', false);
		break;
	case 'x':
		put_number(next(args, longs, false), 16, width, fill, false);
		break;
	default:
		put(letter);
	}
}

void guest_print(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	for (; *format; format++) {
		unsigned int width = 0, longs = 0;
		char fill = ' ';

		if (*format != '%') {
			put(*format);
			continue;
		}
		if (*++format == '0')
			fill = '0';
		for (; *format >= '0' && *format <= '9'; format++)
			width = width * 10 + (*format - '0');
		for (; *format == 'l' || *format == 'z'; format++)
			longs++;
		if (!*format)
			break;
		put_argument(*format, longs, width, fill, &args);
	}
	va_end(args);
}
