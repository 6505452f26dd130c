/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A terminal of 80 by 25 characters, as far as memtest86+ speaks to one over a
 * serial line: text, ESC [ row ; column H to move, ESC [ J to clear.
 */
#ifndef SCREEN_H
#define SCREEN_H

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define SCREEN_ROWS	25
#define SCREEN_COLUMNS	80

struct screen {
	char text[SCREEN_ROWS][SCREEN_COLUMNS + 1];
	int row, column;
	enum { TEXT, ESCAPE, NUMBERS } state;
	int number[2], numbers;
};

static void screen_clear(struct screen *s)
{
	for (int i = 0; i < SCREEN_ROWS; i++)
		memset(s->text[i], ' ', SCREEN_COLUMNS);
	s->row = 0;
	s->column = 0;
}

/* The letter that ends an escape sequence; colours and the cursor's looks pass. */
static void screen_command(struct screen *s, char letter)
{
	if (letter == 'J') {
		screen_clear(s);
	} else if (letter == 'H') {	/* counts from 1 */
		s->row = s->number[0] ? s->number[0] - 1 : 0;
		s->column = s->number[1] ? s->number[1] - 1 : 0;
	}
}

static void screen_put(struct screen *s, unsigned char c)
{
	if (c == '\033') {
		s->state = ESCAPE;
	} else if (s->state == ESCAPE) {
		s->state = c == '[' ? NUMBERS : TEXT;
		s->number[0] = 0;
		s->number[1] = 0;
		s->numbers = 0;
	} else if (s->state == NUMBERS && isdigit(c)) {
		s->number[s->numbers] = (s->number[s->numbers] * 10 + c - '0') % 1000;
	} else if (s->state == NUMBERS && c == ';') {
		s->numbers = 1;
	} else if (s->state == NUMBERS && isalpha(c)) {
		screen_command(s, c);
		s->state = TEXT;
	} else if (s->state == TEXT && s->row < SCREEN_ROWS && s->column < SCREEN_COLUMNS) {
		s->text[s->row][s->column++] = isprint(c) ? c : ' ';
	}
}

static void screen_print(const struct screen *s)
{
	for (int i = 0; i < SCREEN_ROWS; i++)
		printf("| %s |\n", s->text[i]);
}

/* The number behind the first @label on the screen, -1 if there is none. */
static int screen_number(const struct screen *s, const char *label)
{
	for (int i = 0; i < SCREEN_ROWS; i++) {
		const char *found = strstr(s->text[i], label);
		int number;

		if (found && sscanf(found + strlen(label), "%d", &number) == 1)
			return number;
	}
	return -1;
}

#endif
