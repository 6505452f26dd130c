/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The device, from which all other descriptors come.
 */
#ifndef _VEE_IOCTL_H
#define _VEE_IOCTL_H

#include <linux/fs.h>

extern const struct file_operations device_fops;

#endif /* _VEE_IOCTL_H */
