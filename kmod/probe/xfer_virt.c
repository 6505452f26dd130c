// SPDX-License-Identifier: GPL-2.0-only
/* ... for whoever runs a guest. */
#include <linux/entry-virt.h>

int probe(void);

int probe(void)
{
	return xfer_to_guest_mode_handle_work();
}
