// SPDX-License-Identifier: GPL-2.0-only
/* A file that has no end. */
#include "/dev/zero"
