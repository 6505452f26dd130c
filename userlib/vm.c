// SPDX-License-Identifier: LGPL-2.1-or-later
/* VMs and the memory that they have. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "internal.h"

#define DEVICE "/dev/vee"
#define HUGE_BYTES (2ULL << 20)

struct slot {
	uint64_t gpa;
	uint64_t bytes;
	uint8_t *hva;
	unsigned int access;
	bool owned;		/* by vee_vm_alloc() */
	uint8_t *pool;		/* of vee_vm_map_template() */
	uint64_t pool_bytes;
	struct known *known;	/* with a pool */
};

/*
 * @lock guards @slots: vCPU threads look addresses up while another one maps.
 * It is not held across a request, so a request and its entry in @slots are not
 * one step; the order is such that the kernel never has a slot whose memory the
 * library could free.
 */
struct vee_vm {
	int fd;
	unsigned int page_bytes;	/* of vee_info, as @xsave_bytes */
	unsigned int xsave_bytes;
	unsigned int gpa_bits;
	unsigned int flags;		/* of vee_vm_create_with() */
	unsigned int dirty_ranges;	/* of vee_vm_dirty_start() */
	pthread_rwlock_t lock;
	struct slot *slots;	/* ascending, never overlapping */
	size_t count;
	size_t room;
	struct post_office office;
	struct vee_vcpu *vcpus[VEE_MAX_VCPUS];
	unsigned int vcpu_count;
	unsigned int vcpus_gone;	/* ever */
	struct fork *fork;		/* of vee_vm_fork() */
	uint64_t since;			/* see vm_since() */
};

int vee_request(int fd, unsigned long request, void *arg)
{
	int ret = ioctl(fd, request, arg);

	return ret < 0 ? -errno : ret;
}

int open_device(void)
{
	int fd = open(DEVICE, O_RDWR | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static int get_info(int fd, struct vee_info *info)
{
	memset(info, 0, sizeof(*info));
	info->size = sizeof(*info);
	return vee_request(fd, VEE_GET_INFO, info);
}

int vee_get_info(struct vee_info *info)
{
	int fd = open_device();
	int err;

	if (fd < 0)
		return fd;
	err = get_info(fd, info);
	close(fd);
	return err;
}

/* The VM's descriptor. */
static int create_fd(int device, struct vee_info *info, unsigned int flags)
{
	struct vee_vm_create create = { .size = sizeof(create), .flags = flags };
	int err = get_info(device, info);

	if (!err && info->api_version != VEE_API_VERSION)
		err = -EPROTONOSUPPORT;
	return err ? err : vee_request(device, VEE_VM_CREATE, &create);
}

int vee_vm_create_on(struct vee_vm **vm, int device, unsigned int flags)
{
	struct vee_vm *new = calloc(1, sizeof(*new));
	struct vee_info info;
	int err;

	if (!new)
		return -ENOMEM;
	new->fd = create_fd(device, &info, flags);
	if (new->fd < 0) {
		err = new->fd;
		free(new);
		return err;
	}
	new->page_bytes = info.vcpu_page_bytes;
	new->xsave_bytes = info.xsave_bytes;
	new->gpa_bits = info.gpa_bits;
	new->flags = flags;
	pthread_rwlock_init(&new->lock, NULL);
	post_init(&new->office, new->fd);
	*vm = new;
	return 0;
}

/* The device's descriptor is needed no longer than this. */
int vee_vm_create_with(struct vee_vm **vm, unsigned int flags)
{
	int device = open_device();
	int err;

	if (device < 0)
		return device;
	err = vee_vm_create_on(vm, device, flags);
	close(device);
	return err;
}

int vee_vm_create(struct vee_vm **vm)
{
	return vee_vm_create_with(vm, 0);
}

/* Its memory, if that is the library's. */
static void free_slot(const struct slot *slot)
{
	if (slot->owned)
		munmap(slot->hva, slot->bytes);
	free(slot->known);
}

void vee_vm_destroy(struct vee_vm *vm)
{
	if (!vm)
		return;
	close(vm->fd);
	for (size_t i = 0; i < vm->count; i++)
		free_slot(&vm->slots[i]);
	fork_free(vm->fork);
	pthread_rwlock_destroy(&vm->lock);
	post_destroy(&vm->office);
	free(vm->slots);
	free(vm);
}

int vee_vm_fd(const struct vee_vm *vm)
{
	return vm->fd;
}

struct post_office *vm_post_office(struct vee_vm *vm)
{
	return &vm->office;
}

unsigned int *vm_dirty_ranges(struct vee_vm *vm)
{
	return &vm->dirty_ranges;
}

bool vm_has_apics(const struct vee_vm *vm)
{
	return vm->flags & VEE_VM_LOCAL_APIC;
}

unsigned int vm_page_bytes(const struct vee_vm *vm)
{
	return vm->page_bytes;
}

unsigned int vm_gpa_bits(const struct vee_vm *vm)
{
	return vm->gpa_bits;
}

unsigned int vm_xsave_bytes(const struct vee_vm *vm)
{
	return vm->xsave_bytes;
}

unsigned int vm_flags(const struct vee_vm *vm)
{
	return vm->flags;
}

void vm_set_vcpu(struct vee_vm *vm, unsigned int id, struct vee_vcpu *vcpu)
{
	struct vee_vcpu *before = __atomic_exchange_n(&vm->vcpus[id], vcpu, __ATOMIC_ACQ_REL);

	__atomic_fetch_add(&vm->vcpu_count, !!vcpu - !!before, __ATOMIC_RELAXED);
	if (!vcpu)
		__atomic_fetch_add(&vm->vcpus_gone, 1, __ATOMIC_RELAXED);
}

unsigned int vm_vcpu_count(const struct vee_vm *vm)
{
	return __atomic_load_n(&vm->vcpu_count, __ATOMIC_RELAXED);
}

struct vee_vcpu *vee_vm_vcpu(const struct vee_vm *vm, unsigned int id)
{
	if (id >= VEE_MAX_VCPUS)
		return NULL;
	return __atomic_load_n(&vm->vcpus[id], __ATOMIC_ACQUIRE);
}

/* What one told that is gone is in no sum. */
uint64_t vm_copies(const struct vee_vm *vm)
{
	uint64_t sum = (uint64_t)__atomic_load_n(&vm->vcpus_gone, __ATOMIC_RELAXED) << 40;
	unsigned int left = vm_vcpu_count(vm);

	for (unsigned int id = 0; left && id < VEE_MAX_VCPUS; id++) {
		const struct vee_vcpu *vcpu = vee_vm_vcpu(vm, id);
		uint32_t copies = vcpu ? __atomic_load_n(&vcpu->page->copies, __ATOMIC_RELAXED) : 0;

		if (vcpu && !copies)
			return 0;
		sum += copies;
		left -= !!vcpu;
	}
	return sum;
}

struct fork **vm_fork(struct vee_vm *vm)
{
	return &vm->fork;
}

uint64_t *vm_since(struct vee_vm *vm)
{
	return &vm->since;
}

/* Looking does not change a VM; the lock that it takes does not count. */
static void lock_to_read(const struct vee_vm *vm)
{
	pthread_rwlock_rdlock((pthread_rwlock_t *)&vm->lock);
}

static void lock_to_write(const struct vee_vm *vm)
{
	pthread_rwlock_wrlock((pthread_rwlock_t *)&vm->lock);
}

static void unlock(const struct vee_vm *vm)
{
	pthread_rwlock_unlock((pthread_rwlock_t *)&vm->lock);
}

/* Index of the first slot that ends above @gpa; vm->count if none does. */
static size_t find_slot(const struct vee_vm *vm, uint64_t gpa)
{
	size_t low = 0, high = vm->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct slot *slot = &vm->slots[middle];

		if (slot->gpa + (slot->bytes - 1) < gpa)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static int make_room(struct vee_vm *vm)
{
	size_t room = vm->room ? vm->room * 2 : 8;
	struct slot *slots;

	if (vm->count < vm->room)
		return 0;
	slots = realloc(vm->slots, room * sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	vm->slots = slots;
	vm->room = room;
	return 0;
}

static void insert_slot(struct vee_vm *vm, const struct slot *slot)
{
	size_t at = find_slot(vm, slot->gpa);

	memmove(&vm->slots[at + 1], &vm->slots[at],
		(vm->count - at) * sizeof(*slot));
	vm->slots[at] = *slot;
	vm->count++;
}

static int request_map(struct vee_vm *vm, const struct slot *slot)
{
	struct vee_map map = {
		.size = sizeof(map),
		.gpa = slot->gpa,
		.hva = (uintptr_t)slot->hva,
		.bytes = slot->bytes,
		.access = slot->access,
		.pool = (uintptr_t)slot->pool,
		.pool_bytes = slot->pool_bytes,
	};

	return vee_request(vm->fd, VEE_VM_MAP, &map);
}

/*
 * The kernel is asked under the lock: it knows which ranges overlap, and what it
 * grants must be in the list before anyone else asks.
 */
static int add_slot(struct vee_vm *vm, const struct slot *slot)
{
	int err;

	lock_to_write(vm);
	err = make_room(vm);
	if (!err)
		err = request_map(vm, slot);
	if (!err)
		insert_slot(vm, slot);
	unlock(vm);
	return err;
}

int vee_vm_map(struct vee_vm *vm, uint64_t gpa, void *hva, size_t bytes,
	       unsigned int access)
{
	struct slot slot = {
		.gpa = gpa, .bytes = bytes, .hva = hva, .access = access,
	};

	return add_slot(vm, &slot);
}

int vee_vm_map_template(struct vee_vm *vm, uint64_t gpa, const void *hva, size_t bytes,
			void *pool, size_t pool_bytes, unsigned int access)
{
	struct slot slot = {
		.gpa = gpa, .bytes = bytes, .hva = (uint8_t *)hva, .access = access,
		.pool = pool, .pool_bytes = pool_bytes,
	};
	int err;

	if (!pool_bytes)
		return -EINVAL;
	slot.known = known_make();
	err = slot.known ? add_slot(vm, &slot) : -ENOMEM;
	if (err)
		free(slot.known);
	return err;
}

int vm_map_owned(struct vee_vm *vm, uint64_t gpa, void *hva, size_t bytes,
		 unsigned int access)
{
	struct slot slot = {
		.gpa = gpa, .bytes = bytes, .hva = hva, .access = access, .owned = true,
	};

	return add_slot(vm, &slot);
}

/*
 * Memory whose address agrees with @gpa modulo 2 MiB, so that a huge page of the
 * host's can be one of the guest's.
 */
static void *alloc_aligned(uint64_t gpa, size_t bytes)
{
	const int how = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
	uint8_t *room, *hva;
	size_t before;

	if (bytes < HUGE_BYTES || bytes > SIZE_MAX - HUGE_BYTES)
		return mmap(NULL, bytes, PROT_READ | PROT_WRITE, how, -1, 0);
	room = mmap(NULL, bytes + HUGE_BYTES, PROT_READ | PROT_WRITE, how, -1, 0);
	if (room == MAP_FAILED)
		return MAP_FAILED;
	before = (gpa - (uintptr_t)room) % HUGE_BYTES;
	hva = room + before;
	if (before)
		munmap(room, before);
	munmap(hva + bytes, HUGE_BYTES - before);
	/* Where the machine's administrator leaves the choice to programs. */
	madvise(hva, bytes, MADV_HUGEPAGE);
	return hva;
}

int vee_vm_alloc(struct vee_vm *vm, uint64_t gpa, size_t bytes, void **hva)
{
	struct slot slot = {
		.gpa = gpa, .bytes = bytes, .owned = true,
		.access = VEE_READ | VEE_WRITE | VEE_EXECUTE,
	};
	int err;

	if (!bytes || (bytes | gpa) % PAGE_BYTES)
		return -EINVAL;
	slot.hva = alloc_aligned(gpa, bytes);
	if (slot.hva == MAP_FAILED)
		return -ENOMEM;
	err = add_slot(vm, &slot);
	if (err) {
		munmap(slot.hva, bytes);
		return err;
	}
	if (hva)
		*hva = slot.hva;
	return 0;
}

static int remove_slot(struct vee_vm *vm, uint64_t gpa, uint64_t bytes,
		       struct slot *removed)
{
	struct vee_unmap unmap = {
		.size = sizeof(unmap), .gpa = gpa, .bytes = bytes,
	};
	size_t at = find_slot(vm, gpa);
	int err = vee_request(vm->fd, VEE_VM_UNMAP, &unmap);

	if (err)
		return err;
	if (at == vm->count || vm->slots[at].gpa != gpa)
		return -ENOENT;
	*removed = vm->slots[at];
	vm->count--;
	memmove(&vm->slots[at], &vm->slots[at + 1],
		(vm->count - at) * sizeof(*removed));
	return 0;
}

int vee_vm_unmap(struct vee_vm *vm, uint64_t gpa, size_t bytes)
{
	struct slot slot;
	int err;

	lock_to_write(vm);
	err = remove_slot(vm, gpa, bytes, &slot);
	unlock(vm);
	if (!err)
		free_slot(&slot);
	return err;
}

/**
 * struct piece - of guest memory, in one slot
 * @hva: where it is, or, of one with a template, where that is
 * @bytes: how much; 0: no slot
 * @copied: not NULL: the slot, which has a template, and the piece is in one page
 */
struct piece {
	uint8_t *hva;
	uint64_t bytes;
	const struct slot *copied;
};

/* From @gpa on, at most @bytes. */
static struct piece piece(const struct vee_vm *vm, uint64_t gpa, uint64_t bytes,
			  unsigned int access)
{
	size_t at = find_slot(vm, gpa);
	struct piece piece = { 0 };
	const struct slot *slot;

	if (at == vm->count)
		return piece;
	slot = &vm->slots[at];
	if (gpa < slot->gpa || access & ~slot->access)
		return piece;
	piece.hva = slot->hva + (gpa - slot->gpa);
	piece.bytes = min_u64(bytes, slot->bytes - (gpa - slot->gpa));
	piece.copied = slot->pool_bytes ? slot : NULL;
	if (piece.copied)
		piece.bytes = min_u64(piece.bytes, PAGE_BYTES - (gpa & PAGE_OFFSET));
	return piece;
}

/* Where it is, written or not. 0, or as VEE_TEMPLATE_LOCATE. */
static int locate(const struct vee_vm *vm, uint64_t gpa, bool write, struct piece *piece)
{
	const struct slot *slot = piece->copied;
	int err = slot ? template_locate(vm, gpa, write, &piece->hva) : 0;

	if (slot && write && !err)
		known_locate(slot->known, (piece->hva - slot->pool) / PAGE_BYTES);
	return err;
}

int vm_find(const struct vee_vm *vm, uint64_t gpa, size_t bytes, unsigned int access,
	    bool write, uint8_t **hva)
{
	struct piece found;
	int err = 0;

	*hva = NULL;
	lock_to_read(vm);
	found = piece(vm, gpa, bytes, access);
	if (bytes && found.bytes == bytes) {
		err = locate(vm, gpa, write, &found);
		*hva = err ? NULL : found.hva;
	}
	unlock(vm);
	return err;
}

void *vm_at_for(const struct vee_vm *vm, uint64_t gpa, size_t bytes,
		unsigned int access)
{
	uint8_t *hva;

	vm_find(vm, gpa, bytes, access, access & VEE_WRITE, &hva);
	return hva;
}

void *vee_vm_at(const struct vee_vm *vm, uint64_t gpa, size_t bytes)
{
	uint8_t *hva;

	vm_find(vm, gpa, bytes, 0, true, &hva);
	return hva;
}

bool vm_template(const struct vee_vm *vm, uint64_t gpa, struct vm_template *template)
{
	bool there = false;
	size_t at;

	lock_to_read(vm);
	at = find_slot(vm, gpa);
	if (at < vm->count) {
		const struct slot *slot = &vm->slots[at];

		*template = (struct vm_template) {
			.gpa = slot->gpa, .hva = slot->hva, .pool = slot->pool,
			.pool_bytes = slot->pool_bytes, .known = slot->known,
		};
		there = gpa >= slot->gpa && slot->pool_bytes;
	}
	unlock(vm);
	return there;
}

static bool has(const struct vee_vm *vm, uint64_t gpa, uint64_t bytes,
		unsigned int access)
{
	if (!within(gpa, bytes, UINT64_MAX))
		return false;
	while (bytes) {
		uint64_t n = piece(vm, gpa, bytes, access).bytes;

		if (!n)
			return false;
		gpa += n;
		bytes -= n;
	}
	return true;
}

bool vm_has(const struct vee_vm *vm, uint64_t gpa, uint64_t bytes,
	    unsigned int access)
{
	bool all;

	lock_to_read(vm);
	all = has(vm, gpa, bytes, access);
	unlock(vm);
	return all;
}

enum copy { COPY_OUT, COPY_IN, COPY_ZERO };

static void copy_piece(enum copy copy, uint8_t *hva, uint8_t *buf, size_t bytes)
{
	if (copy == COPY_OUT)
		memcpy(buf, hva, bytes);
	else if (copy == COPY_IN)
		memcpy(hva, buf, bytes);
	else
		memset(hva, 0, bytes);
}

/* Slots that have all of it. */
static int copy_pieces(const struct vee_vm *vm, enum copy copy, uint64_t gpa, uint8_t *buf,
		       uint64_t bytes)
{
	while (bytes) {
		struct piece now = piece(vm, gpa, bytes, 0);
		int err = locate(vm, gpa, copy != COPY_OUT, &now);

		if (err)
			return err;
		copy_piece(copy, now.hva, buf, now.bytes);
		buf += copy == COPY_ZERO ? 0 : now.bytes;
		gpa += now.bytes;
		bytes -= now.bytes;
	}
	return 0;
}

/* What will be written of templates is copied before: then nothing fails halfway. */
static int make_copies(const struct vee_vm *vm, uint64_t gpa, uint64_t bytes)
{
	while (bytes) {
		struct piece now = piece(vm, gpa, bytes, 0);
		int err = locate(vm, gpa, true, &now);

		if (err)
			return err;
		gpa += now.bytes;
		bytes -= now.bytes;
	}
	return 0;
}

/* All of it or nothing. */
static int copy_guest(const struct vee_vm *vm, enum copy copy, uint64_t gpa,
		      uint8_t *buf, uint64_t bytes)
{
	int err = -EFAULT;

	lock_to_read(vm);
	if (has(vm, gpa, bytes, 0)) {
		if (copy != COPY_OUT && !within(gpa & PAGE_OFFSET, bytes, PAGE_BYTES))
			err = make_copies(vm, gpa, bytes);
		else
			err = 0;
		if (!err)
			err = copy_pieces(vm, copy, gpa, buf, bytes);
	}
	unlock(vm);
	if (!err && copy != COPY_OUT)
		vm_mark(vm, gpa, bytes);
	return err;
}

int vee_vm_read(const struct vee_vm *vm, uint64_t gpa, void *buf, size_t bytes)
{
	return copy_guest(vm, COPY_OUT, gpa, buf, bytes);
}

int vee_vm_write(const struct vee_vm *vm, uint64_t gpa, const void *buf,
		 size_t bytes)
{
	return copy_guest(vm, COPY_IN, gpa, (uint8_t *)buf, bytes);
}

static uint8_t nothing;	/* never accessed; NULL + 0 would be undefined */

int vm_zero(const struct vee_vm *vm, uint64_t gpa, uint64_t bytes)
{
	return copy_guest(vm, COPY_ZERO, gpa, &nothing, bytes);
}

static int list_ram(const struct vee_vm *vm, struct range *ranges)
{
	unsigned int access = VEE_READ | VEE_WRITE;
	int count = 0;

	for (size_t i = 0; i < vm->count; i++) {
		const struct slot *slot = &vm->slots[i];

		if ((slot->access & access) != access)
			continue;
		if (count && ranges[count - 1].end == slot->gpa)
			ranges[count - 1].end += slot->bytes;
		else
			ranges[count++] = (struct range) {
				slot->gpa, slot->gpa + slot->bytes,
			};
	}
	return count;
}

int vm_ram(const struct vee_vm *vm, struct range **ranges)
{
	int count = -ENOMEM;

	lock_to_read(vm);
	*ranges = calloc(vm->count + 2, sizeof(**ranges));
	if (*ranges)
		count = list_ram(vm, *ranges);
	unlock(vm);
	return count;
}

int vm_all_slots(const struct vee_vm *vm, struct vm_slot **slots)
{
	int count = -ENOMEM;

	lock_to_read(vm);
	*slots = calloc(vm->count + 1, sizeof(**slots));
	if (*slots)
		count = vm->count;
	for (int i = 0; i < count; i++)
		(*slots)[i] = (struct vm_slot) {
			.gpa = vm->slots[i].gpa, .bytes = vm->slots[i].bytes,
			.hva = vm->slots[i].hva, .access = vm->slots[i].access,
			.pool = vm->slots[i].pool,
		};
	unlock(vm);
	return count;
}

int vm_slots(const struct vee_vm *vm, struct vm_slot **slots)
{
	int count = vm_all_slots(vm, slots);

	for (int i = 0; i < count; i++)
		if ((*slots)[i].pool) {
			free(*slots);
			*slots = NULL;
			return -EOPNOTSUPP;
		}
	return count;
}

/* A template that the caller has given is not what was there. */
static bool is_memory(const struct vee_vm *vm, const struct slot *slot)
{
	return !slot->pool_bytes || fork_owns(vm->fork, slot->pool);
}

bool vm_slots_are(const struct vee_vm *vm, const struct vm_slot *slots, size_t count)
{
	bool same;

	lock_to_read(vm);
	same = vm->count == count;
	for (size_t i = 0; same && i < count; i++)
		same = vm->slots[i].gpa == slots[i].gpa &&
		       vm->slots[i].bytes == slots[i].bytes &&
		       vm->slots[i].access == slots[i].access &&
		       is_memory(vm, &vm->slots[i]);
	unlock(vm);
	return same;
}
