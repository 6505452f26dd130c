// SPDX-License-Identifier: LGPL-2.1-or-later
/* vCPUs: their lives, and the requests on them. */
#include <cpuid.h>
#include <stdlib.h>
#include <unistd.h>

#include "internal.h"

/* The page is this process's own memory: to map the kernel's costs more than a vCPU. */
static int create(struct vee_vcpu *vcpu)
{
	struct vee_vcpu_create create = {
		.size = sizeof(create),
		.id = vcpu->id,
	};

	vcpu->page = aligned_alloc(PAGE_BYTES, vm_page_bytes(vcpu->vm));
	if (!vcpu->page)
		return -ENOMEM;
	create.page = (uintptr_t)vcpu->page;
	vcpu->fd = vee_request(vee_vm_fd(vcpu->vm), VEE_VM_CREATE_VCPU, &create);
	if (vcpu->fd >= 0)
		return 0;
	free(vcpu->page);
	return vcpu->fd;
}

int vee_vcpu_create(struct vee_vm *vm, unsigned int id, struct vee_vcpu **vcpu)
{
	struct vee_vcpu *new = calloc(1, sizeof(*new));
	int err;

	if (!new)
		return -ENOMEM;
	new->vm = vm;
	new->id = id;
	err = create(new);
	if (err) {
		free(new);
		return err;
	}
	vm_set_vcpu(vm, id, new);
	*vcpu = new;
	return 0;
}

void vee_vcpu_destroy(struct vee_vcpu *vcpu)
{
	if (!vcpu)
		return;
	vm_set_vcpu(vcpu->vm, vcpu->id, NULL);
	close(vcpu->fd);
	free(vcpu->page);
	free(vcpu->assist);
	free(vcpu->exits);
	free(vcpu);
}

int run_failed(struct vee_vcpu *vcpu, int err)
{
	vcpu->error = err;
	vcpu->error_generation = vcpu->page->generation;
	return err;
}

static __attribute__((noinline)) int run_noting(struct vee_vcpu *vcpu)
{
	int err;

	exits_begin(vcpu);
	err = run_request(vcpu->fd);
	if (err)
		return run_failed(vcpu, err);
	exits_end(vcpu);
	return 0;
}

/* Not an instruction more than it takes: this is on the way of every exit. */
int vee_vcpu_run(struct vee_vcpu *vcpu)
{
	int err;

	if (vcpu->exits)
		return run_noting(vcpu);
	err = run_request(vcpu->fd);
	return err ? run_failed(vcpu, err) : err;
}

/* Also called from signal handlers: nothing but the system call. */
int vee_vcpu_kick(struct vee_vcpu *vcpu, uint64_t generation)
{
	struct vee_kick kick = {
		.size = sizeof(kick),
		.generation = generation,
	};
	int saved = errno;
	int err = vee_request(vcpu->fd, VEE_VCPU_KICK, &kick);

	errno = saved;
	return err;
}

/* Likewise. */
int vee_vcpu_inject(struct vee_vcpu *vcpu, uint8_t type, uint8_t vector)
{
	struct vee_inject inject = {
		.size = sizeof(inject),
		.event = {
			.vector = vector,
			.type = type,
			.flags = VEE_EVENT_VALID,
		},
	};
	int saved = errno;
	int err = vee_request(vcpu->fd, VEE_VCPU_INJECT, &inject);

	errno = saved;
	return err;
}

int vee_vcpu_sync(struct vee_vcpu *vcpu, unsigned int groups)
{
	struct vee_sync sync = {
		.size = sizeof(sync),
		.groups = groups,
	};

	if (vcpu_has(vcpu, groups))
		return 0;
	return vee_request(vcpu->fd, VEE_VCPU_SYNC, &sync);
}

int vee_vcpu_translate(struct vee_vcpu *vcpu, uint64_t gva,
		       struct vee_translate *out)
{
	memset(out, 0, sizeof(*out));
	out->size = sizeof(*out);
	out->gva = gva;
	return vee_request(vcpu->fd, VEE_VCPU_TRANSLATE, out);
}

int vee_vcpu_get_cpuid(struct vee_vcpu *vcpu, struct vee_cpuid_entry *entries,
		       unsigned int *count)
{
	struct vee_cpuid cpuid = {
		.size = sizeof(cpuid),
		.count = *count,
		.entries = (uintptr_t)entries,
	};
	int err = vee_request(vcpu->fd, VEE_VCPU_GET_CPUID, &cpuid);

	if (!err || err == -E2BIG)
		*count = cpuid.count;
	return err;
}

static void cpuid_is_set(struct vee_vcpu *vcpu, const struct vee_cpuid_entry *entries,
			 unsigned int count)
{
	vcpu->has_cpuid = true;
	features_of(entries, count, vcpu->features);
}

int vee_vcpu_set_cpuid(struct vee_vcpu *vcpu,
		       const struct vee_cpuid_entry *entries,
		       unsigned int count)
{
	struct vee_cpuid cpuid = {
		.size = sizeof(cpuid),
		.count = count,
		.entries = (uintptr_t)entries,
	};
	int err = vee_request(vcpu->fd, VEE_VCPU_SET_CPUID, &cpuid);

	if (!err)
		cpuid_is_set(vcpu, entries, count);
	return err;
}

static int xsave(struct vee_vcpu *vcpu, unsigned long request, const void *area,
		 size_t bytes)
{
	struct vee_xsave xsave = {
		.size = sizeof(xsave),
		.bytes = bytes,
		.area = (uintptr_t)area,
	};

	if (bytes > UINT32_MAX)
		return -EINVAL;
	return vee_request(vcpu->fd, request, &xsave);
}

int vee_vcpu_get_xsave(struct vee_vcpu *vcpu, void *area, size_t bytes)
{
	return xsave(vcpu, VEE_VCPU_GET_XSAVE, area, bytes);
}

int vee_vcpu_set_xsave(struct vee_vcpu *vcpu, const void *area, size_t bytes)
{
	return xsave(vcpu, VEE_VCPU_SET_XSAVE, area, bytes);
}

int vee_vcpu_save(struct vee_vcpu *vcpu, struct vee_vcpu_state *state)
{
	state->size = sizeof(*state);
	state->flags = 0;
	return vee_request(vcpu->fd, VEE_VCPU_SAVE, state);
}

int vcpu_load(struct vee_vcpu *vcpu, const struct vee_vcpu_state *state)
{
	return vee_request(vcpu->fd, VEE_VCPU_LOAD, (void *)state);
}

int vee_vcpu_load(struct vee_vcpu *vcpu, struct vee_vcpu_state *state)
{
	int err;

	state->size = sizeof(*state);
	state->flags = 0;
	err = vcpu_load(vcpu, state);
	if (!err && state->parts & ~state->skip & VEE_STATE_CPUID)
		cpuid_is_set(vcpu, (const void *)(uintptr_t)state->cpuid, state->cpuid_count);
	return err;
}

unsigned int xsave_offset(unsigned int component)
{
	unsigned int eax, ebx = 0, ecx, edx;

	__get_cpuid_count(0xd, component, &eax, &ebx, &ecx, &edx);
	return ebx;
}

int vee_vcpu_vmcs_read(struct vee_vcpu *vcpu, uint32_t encoding, uint64_t *value)
{
	struct vee_vmcs_field field = {
		.size = sizeof(field),
		.encoding = encoding,
	};
	int err = vee_request(vcpu->fd, VEE_VCPU_VMCS_READ, &field);

	if (!err)
		*value = field.value;
	return err;
}

int vee_vcpu_vmcs_write(struct vee_vcpu *vcpu, uint32_t encoding, uint64_t value)
{
	struct vee_vmcs_field field = {
		.size = sizeof(field),
		.encoding = encoding,
		.value = value,
	};

	return vee_request(vcpu->fd, VEE_VCPU_VMCS_WRITE, &field);
}

int vee_vcpu_vmcs_snapshot(struct vee_vcpu *vcpu, struct vee_vmcs_value *values,
			   unsigned int *count)
{
	struct vee_vmcs_snapshot snapshot = {
		.size = sizeof(snapshot),
		.count = *count,
		.values = (uintptr_t)values,
	};
	int err = vee_request(vcpu->fd, VEE_VCPU_VMCS_SNAPSHOT, &snapshot);

	if (!err || err == -E2BIG)
		*count = snapshot.count;
	return err;
}

int vee_vcpu_stats(struct vee_vcpu *vcpu, struct vee_stats *stats)
{
	memset(stats, 0, sizeof(*stats));
	stats->size = sizeof(*stats);
	return vee_request(vcpu->fd, VEE_VCPU_STATS, stats);
}
