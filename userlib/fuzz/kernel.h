/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The kernel in a fuzzer's process. */
#ifndef VEE_FUZZ_KERNEL_H
#define VEE_FUZZ_KERNEL_H

/* Of each vCPU. */
#define XSAVE_BYTES	832
/* Of the host. */
#define TSC_KHZ		2000000
#define GPA_BITS	40

/* The fuzzer's: what comes of a request on a VM or a vCPU. 0, or an error. */
int kernel_answer(unsigned long request, void *arg);

#endif /* VEE_FUZZ_KERNEL_H */
