/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What vee_explain() says of the board's guest. */
#ifndef VEE_SAID_H
#define VEE_SAID_H

#include "board.h"

extern char said[16384];

void explain(void);
void check_says(const char *words);
/* An exit of the mode at hand, with @code at RIP, which is 1000H. */
void set_exit(uint32_t reason, const char *code, size_t bytes);

/* A triple fault of that instruction, and words about one. */
#define SHUTDOWN(code) set_exit(VEE_EXIT_SHUTDOWN, code, sizeof(code) - 1)
#define UD2	"\x0f\x0b"
#define TRIED	", by trying the instruction: "
#define MISSED	" is not delivered: "

void put_gate(unsigned int vector, uint64_t low);
/* An IDT whose gates are all empty. */
void begin_idt(unsigned int mode);

#endif /* VEE_SAID_H */
