/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What /proc/PID/fdinfo tells of a VM and of a vCPU.
 */
#ifndef _VEE_FDINFO_H
#define _VEE_FDINFO_H

struct file;
struct seq_file;

/* For file_operations.show_fdinfo. */
void fdinfo_show_vm(struct seq_file *seq, struct file *file);
void fdinfo_show_vcpu(struct seq_file *seq, struct file *file);

#endif /* _VEE_FDINFO_H */
