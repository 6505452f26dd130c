/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a function in a machine of its own and vee_fn_call() say to each other: by
 * VMCALL, with what it asks for in RAX and arguments in RDI, RSI, RDX and RCX; the
 * answer comes in RAX. Addresses are physical. At the start RDI is where the guest's
 * own memory ends.
 */
#ifndef FN_ABI_H
#define FN_ABI_H

/*
 * Made up for a call: from here it begins, each time in a machine as it is now. Its
 * bytes are put to RDI, where there is room for RSI, the result's come from RDX, where
 * there is room for RCX. The answer: how many bytes there are.
 */
#define FN_READY	0
/* The call is over: so many bytes, RDI, are its result; or an error of its own, -RDI. */
#define FN_DONE		1
/* It takes more memory than there is. */
#define FN_NO_MEMORY	2
/*
 * Host function 0, 1 and so on: a request of RSI bytes at RDI; RCX bytes of room for
 * its answer at RDX. The answer: how many there are, or an error as a negative.
 */
#define FN_HOST		16

/* Errors of FN_HOST besides the host function's own; they are those of Linux. */
#define FN_ENOSYS	38	/* there is no such function */
#define FN_EFAULT	14	/* an address or a length that leads out of its memory */
#define FN_EINVAL	22	/* request and answer overlap */

#endif /* FN_ABI_H */
