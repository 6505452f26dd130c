// SPDX-License-Identifier: GPL-2.0-only
/* Twice as many of it, and so on, and each stays. */
#include <unistd.h>

int main(void)
{
	for (;;)
		fork();
}
