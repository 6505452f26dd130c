// SPDX-License-Identifier: LGPL-2.1-or-later
/* Writes of the guest's that end no run: posted to the VM's ring, or a doorbell. */
#include <sys/mman.h>

#include "internal.h"

void post_init(struct post_office *office, int vm_fd)
{
	office->vm_fd = vm_fd;
	pthread_mutex_init(&office->lock, NULL);
}

void post_destroy(struct post_office *office)
{
	if (office->ring)
		munmap(office->ring, VEE_POST_RING_BYTES);
	pthread_mutex_destroy(&office->lock);
}

/* Before anything can be posted, so that whoever takes it finds the ring. */
static int map_ring(struct post_office *office)
{
	void *ring;

	if (office->ring)
		return 0;
	ring = mmap(NULL, VEE_POST_RING_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
		    office->vm_fd, 0);
	if (ring == MAP_FAILED)
		return -errno;
	office->ring = ring;
	return 0;
}

int vee_vm_coalesce(struct vee_vm *vm, const struct vee_coalesce *range)
{
	struct post_office *office = vm_post_office(vm);
	struct vee_coalesce arg = *range;
	int err;

	arg.size = sizeof(arg);
	pthread_mutex_lock(&office->lock);
	err = map_ring(office);
	pthread_mutex_unlock(&office->lock);
	return err ? err : vee_request(office->vm_fd, VEE_VM_COALESCE, &arg);
}

int vee_vm_doorbell(struct vee_vm *vm, const struct vee_doorbell *doorbell)
{
	struct vee_doorbell arg = *doorbell;

	arg.size = sizeof(arg);
	return vee_request(vm_post_office(vm)->vm_fd, VEE_VM_DOORBELL, &arg);
}

static bool take(struct vee_post_ring *ring, struct vee_post *post)
{
	uint32_t head = ring->head;

	/* With the kernel's release: it has put all of the post there before. */
	if (__atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE) == head)
		return false;
	*post = ring->posts[head % VEE_POSTS];
	/* With the kernel's acquire: it may put another one there from now on. */
	__atomic_store_n(&ring->head, head + 1, __ATOMIC_RELEASE);
	return true;
}

bool vee_vm_take_post(struct vee_vm *vm, struct vee_post *post)
{
	struct post_office *office = vm_post_office(vm);
	bool taken;

	pthread_mutex_lock(&office->lock);
	taken = office->ring && take(office->ring, post);
	pthread_mutex_unlock(&office->lock);
	return taken;
}
