// SPDX-License-Identifier: GPL-2.0-only
/* Who had resume_user_mode_work() done for a guest says when that is over. */
#include <linux/rseq.h>

void probe(void);

void probe(void)
{
	rseq_virt_userspace_exit();
}
