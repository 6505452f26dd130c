// SPDX-License-Identifier: GPL-2.0-only
/* More than any compiler has memory for. */
#define TEN(x) (x x x x x x x x x x)
#define MANY(x) TEN(TEN(TEN(TEN(TEN(TEN(x))))))

const char text[] = MANY(MANY("more "));
