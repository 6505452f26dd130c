// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Local APICs: messages to them, and the accesses in xAPIC mode that the CPU leaves to
 * the library.
 */
#include "internal.h"

/* SDM 3A, "Local APIC Register Address Map": each register has the first 4 of 16 bytes. */
#define REG_SPACING	16U
#define REG_BYTES	4U
#define REG_EOI		0x0b0

/* SDM 3A, "Local APIC Status and Location": of IA32_APIC_BASE. */
#define BASE_X2APIC	0x400ULL
#define BASE_ENABLED	0x800ULL

int vee_vm_signal(struct vee_vm *vm, uint64_t address, uint32_t data, unsigned int flags)
{
	struct vee_signal signal = {
		.size = sizeof(signal),
		.flags = flags,
		.address = address,
		.data = data,
	};

	return vee_request(vee_vm_fd(vm), VEE_VM_SIGNAL, &signal);
}

static int change_bind(struct vee_vm *vm, struct vee_bind bind)
{
	bind.size = sizeof(bind);
	return vee_request(vee_vm_fd(vm), VEE_VM_BIND, &bind);
}

int vee_vm_bind(struct vee_vm *vm, int eventfd, uint64_t address, uint32_t data,
		unsigned int flags)
{
	return change_bind(vm, (struct vee_bind) {
		.flags = flags,
		.address = address,
		.data = data,
		.eventfd = eventfd,
	});
}

int vee_vm_bind_level(struct vee_vm *vm, int eventfd, int eoi, uint64_t address, uint32_t data)
{
	return change_bind(vm, (struct vee_bind) {
		.flags = VEE_SIGNAL_LEVEL | VEE_BIND_EOI,
		.address = address,
		.data = data,
		.eventfd = eventfd,
		.eoi = eoi,
	});
}

int vee_vm_unbind(struct vee_vm *vm, int eventfd)
{
	return change_bind(vm, (struct vee_bind) { .eventfd = eventfd, .remove = 1 });
}

/* --- registers --- */

static int request(struct vee_vcpu *vcpu, uint32_t offset, uint32_t flags, uint32_t *value)
{
	struct vee_apic_access access = {
		.size = sizeof(access),
		.flags = flags,
		.offset = offset,
		.value = *value,
	};
	int err = vee_request(vcpu->fd, VEE_VCPU_APIC, &access);

	*value = access.value;
	return err;
}

/* The @bytes at @at of a register, which has all of them. */
static int read_reg(struct vee_vcpu *vcpu, uint32_t reg, unsigned int at, uint8_t *data,
		    unsigned int bytes)
{
	uint32_t value = 0;
	int err = request(vcpu, reg, 0, &value);

	memcpy(data, (uint8_t *)&value + at, bytes);
	return err;
}

/* The rest stays, as where the CPU writes to the page. EOI has nothing to stay. */
static int write_reg(struct vee_vcpu *vcpu, uint32_t reg, unsigned int at, const uint8_t *data,
		     unsigned int bytes)
{
	uint32_t value = 0;
	int err = 0;

	if (bytes < REG_BYTES && reg != REG_EOI)
		err = request(vcpu, reg, 0, &value);
	memcpy((uint8_t *)&value + at, data, bytes);
	return err ? err : request(vcpu, reg, VEE_APIC_WRITE, &value);
}

/* Between registers is nothing: it reads as 0. */
static int touch_reg(struct vee_vcpu *vcpu, uint32_t reg, unsigned int at, uint8_t *data,
		     unsigned int bytes, bool write)
{
	unsigned int there = at < REG_BYTES ? min_u64(bytes, REG_BYTES - at) : 0;

	if (!write)
		memset(data + there, 0, bytes - there);
	if (!there)
		return 0;
	return write ? write_reg(vcpu, reg, at, data, there) :
		       read_reg(vcpu, reg, at, data, there);
}

static int touch(struct vee_vcpu *vcpu, uint32_t offset, uint8_t *data, unsigned int bytes,
		 bool write)
{
	int err = 0;

	while (!err && bytes) {
		unsigned int at = offset % REG_SPACING;
		unsigned int n = min_u64(bytes, REG_SPACING - at);

		err = touch_reg(vcpu, offset - at, at, data, n, write);
		offset += n;
		data += n;
		bytes -= n;
	}
	return err;
}

/* --- whose is an access? --- */

static bool in_same_page(uint64_t a, uint64_t b)
{
	return !((a ^ b) & ~PAGE_OFFSET);
}

/* The exit tells of the page that it was about; the others are looked for. */
static int find(struct vee_vcpu *vcpu, uint64_t gpa, bool *is_apic)
{
	const struct vee_exit *exit = &vcpu->page->exit;
	uint64_t base;
	int err;

	if (exit->reason == VEE_EXIT_MMIO && in_same_page(exit->memory.gpa, gpa)) {
		*is_apic = exit->memory.apic;
		return 0;
	}
	err = vee_vcpu_sync(vcpu, VEE_STATE_APIC);
	base = vcpu->page->apic.base;
	*is_apic = (base & (BASE_ENABLED | BASE_X2APIC)) == BASE_ENABLED && in_same_page(base, gpa);
	return err;
}

int apic_touch(void *arg, uint64_t gpa, void *data, unsigned int bytes, bool write)
{
	const struct apic_front *front = arg;
	bool is_apic;
	int err = find(front->vcpu, gpa, &is_apic);

	if (err)
		return err;
	if (is_apic)
		return touch(front->vcpu, gpa & PAGE_OFFSET, data, bytes, write);
	return front->fn ? front->fn(front->arg, gpa, data, bytes, write) : -EFAULT;
}
