/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Short runs of many vCPUs, one after the other.
 */
#ifndef _VEE_EACH_H
#define _VEE_EACH_H

struct vee_run_each;

long each_run(const struct vee_run_each *arg);

#endif /* _VEE_EACH_H */
