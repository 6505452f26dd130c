// SPDX-License-Identifier: GPL-2.0-only
/*
 * The tracepoints of trace.h, made once.
 */
#include <linux/string.h>

#include "memory/vm.h"
#include "vcpu/vcpu.h"

#define CREATE_TRACE_POINTS
#include "trace.h"
