/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A function that vee_fn_call() calls, in a machine of its own: fn.c has main(), the
 * guest has fn_call() and FN_BUFFERS(), and fn_init() if it likes.
 */
#ifndef FN_H
#define FN_H

#include "fn_abi.h"
#include "guest.h"

/**
 * fn_call() - the function
 * @in: the call's bytes
 * @in_bytes: how many
 * @out: where the result is to go
 * @out_room: how much room there is
 *
 * All that it leaves behind, in memory and in registers, is gone before the next call.
 *
 * Return: how many bytes the result has; or a negative number, which the caller gets.
 */
long fn_call(const void *in, size_t in_bytes, void *out, size_t out_room);

/**
 * fn_init() - what is to be done once, and then there for each call
 */
void fn_init(void);

/**
 * fn_host() - call a function of the program that called
 * @number: which: 0 for its first
 * @in: the request
 * @in_bytes: how long that is
 * @out: room for the answer
 * @out_room: how much
 *
 * Return: how many bytes the answer has; or a negative number: the function's own, or
 * -FN_ENOSYS, -FN_EFAULT, -FN_EINVAL.
 */
static inline long fn_host(unsigned int number, const void *in, size_t in_bytes, void *out,
			   size_t out_room)
{
	return guest_call((unsigned long)FN_HOST + number, (uintptr_t)in, in_bytes,
			  (uintptr_t)out, out_room);
}

/**
 * fn_alloc() - guest_alloc(), or the end of the call, whose caller hears of too little memory
 * @bytes: how many
 *
 * Return: the memory.
 */
void *fn_alloc(size_t bytes);

/* How long a call's bytes and its result may be. */
#define FN_BUFFERS(in_room, out_room)				\
	char fn_in[in_room] __attribute__((aligned(4096)));	\
	char fn_out[out_room] __attribute__((aligned(4096)));	\
	const size_t fn_in_room = (in_room), fn_out_room = (out_room)

extern char fn_in[], fn_out[];
extern const size_t fn_in_room, fn_out_room;

#endif /* FN_H */
