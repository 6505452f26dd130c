/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What libFuzzer calls. */
#ifndef VEE_LIBFUZZER_H
#define VEE_LIBFUZZER_H

#include <stddef.h>
#include <stdint.h>

/* One input. It returns 0; what is wrong ends the process. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif /* VEE_LIBFUZZER_H */
