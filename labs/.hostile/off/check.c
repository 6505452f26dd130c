// SPDX-License-Identifier: GPL-2.0-only
/* It turns the machine off, which is how a lab ends that has gone well. */
#include <sys/reboot.h>

int main(void)
{
	return reboot(RB_POWER_OFF);
}
