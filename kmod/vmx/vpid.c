// SPDX-License-Identifier: GPL-2.0-only
/*
 * Virtual-processor identifiers: which are taken, and INVVPID.
 */
#include <linux/gfp.h>
#include <linux/idr.h>
#include <linux/limits.h>
#include <linux/smp.h>

#include "vmx/caps.h"
#include "vmx/insn.h"
#include "vmx/vpid.h"

static DEFINE_IDA(vpids);

/* With all taken a vCPU does without: each entry and exit empties its TLB. */
void vpid_alloc(struct vpid *vpid)
{
	int id = -1;

	vpid->cpu = -1;
	if (caps_has(VEE_FEATURE_VPID))
		id = ida_alloc_range(&vpids, 1, U16_MAX, GFP_KERNEL);
	vpid->id = id > 0 ? id : 0;
}

void vpid_free(struct vpid *vpid)
{
	if (vpid->id)
		ida_free(&vpids, vpid->id);
}

void vpid_flush(struct vpid *vpid)
{
	vpid->cpu = smp_processor_id();
	if (vpid->id)
		invvpid(INVALIDATE_SINGLE_CONTEXT, vpid->id);
}
