// SPDX-License-Identifier: GPL-2.0-only
/* It breaks down. */
#include <signal.h>

int main(void)
{
	return raise(SIGSEGV);
}
