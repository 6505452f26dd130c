// SPDX-License-Identifier: GPL-2.0-only
/* It never ends. */
int main(void)
{
	for (;;)
		;
}
