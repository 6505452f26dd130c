// SPDX-License-Identifier: GPL-2.0-only
/* The kernel has whoever uses VMX turn it off in an emergency. */
#include <asm/reboot.h>

void probe(cpu_emergency_virt_cb *callback);

void probe(cpu_emergency_virt_cb *callback)
{
	cpu_emergency_register_virt_callback(callback);
}
