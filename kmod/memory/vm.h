/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A VM: what its virtual processors share.
 */
#ifndef _VEE_VM_H
#define _VEE_VM_H

#include <linux/kref.h>
#include <linux/types.h>

#include "linux/vee.h"
#include "memory/post.h"
#include "memory/slots.h"

struct apic_bus;

/**
 * struct vee_vm - a VM
 * @memory: its guest-physical memory
 * @number: which of those since the module was loaded, from 1
 * @process: whose it is, as the first PID namespace numbers it
 * @ref: one for its descriptor, one for each vCPU
 * @ids: which ids of vCPUs are taken, under @memory.lock
 * @office: writes that end no run
 * @bus: where its local APICs hear of each other, NULL: it has none
 * @bus_free: ends it with the VM
 */
struct vee_vm {
	struct memory memory;
	u32 number;
	pid_t process;
	struct kref ref;
	DECLARE_BITMAP(ids, VEE_MAX_VCPUS);
	struct post_office office;
	struct apic_bus *bus;
	void (*bus_free)(struct apic_bus *bus);
};

struct vee_vm *vm_create(void);
void vm_put(struct vee_vm *vm);
/*
 * A vCPU with number @id gets a reference, and may be present until it parts; then
 * vm_put() follows. -EEXIST: there is one with this number.
 */
int vm_join(struct vee_vm *vm, unsigned int id, struct presence *presence);
void vm_part(struct vee_vm *vm, unsigned int id, struct presence *presence);

#endif /* _VEE_VM_H */
