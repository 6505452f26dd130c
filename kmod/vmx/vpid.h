/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Virtual-processor identifiers: under one a CPU keeps a guest's translations over
 * VM entries and exits (SDM 3C, "Virtual Processor Identifiers (VPIDs)").
 */
#ifndef _VEE_VMX_VPID_H
#define _VEE_VMX_VPID_H

#include <linux/types.h>

/**
 * struct vpid - a virtual processor's identifier
 * @id: the identifier, 0: none
 * @cpu: the CPU where translations under @id are its own, -1: none
 */
struct vpid {
	u16 id;
	int cpu;
};

void vpid_alloc(struct vpid *vpid);
void vpid_free(struct vpid *vpid);
/*
 * Inside the bracket: forgets the translations under @vpid here. On any other CPU
 * that is done once the virtual processor is there: see @cpu.
 */
void vpid_flush(struct vpid *vpid);

#endif /* _VEE_VMX_VPID_H */
