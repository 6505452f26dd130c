// SPDX-License-Identifier: GPL-2.0-only
/* The kernel has whoever uses VMX turn it off in an emergency. */
#include <asm/reboot.h>

static void callback(void)
{
}

void probe(void);

void probe(void)
{
	cpu_emergency_register_virt_callback(callback);
}
