// SPDX-License-Identifier: GPL-2.0-only
/* More than anybody reads. */
#include <stdio.h>

int main(void)
{
	for (;;)
		puts("=== end 1");
}
