// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include "test.h"

static void creation_passes_errors_on(void)
{
	struct vee_vm *vm = NULL;
	struct vee_info info;

	fake.error = -EMFILE;
	CHECK_EQUAL(vee_vm_create(&vm), -EMFILE);
	CHECK(!vm);
	CHECK_EQUAL(vee_get_info(&info), -EMFILE);
	fake.error = 0;
	CHECK_EQUAL(vee_get_info(&info), 0);
	CHECK_EQUAL(info.api_version, VEE_API_VERSION);
	vee_vm_destroy(NULL);
	vee_vcpu_destroy(NULL);
}

static void creation_has_errors_of_its_own(void)
{
	struct vee_vm *vm = NULL;
	struct vee_info info;

	fake.open_error = ENOENT;
	CHECK_EQUAL(vee_vm_create(&vm), -ENOENT);
	CHECK_EQUAL(vee_get_info(&info), -ENOENT);
	fake.open_error = EACCES;
	CHECK_EQUAL(vee_vm_create(&vm), -EACCES);
	CHECK_EQUAL(vee_get_info(&info), -EACCES);
	fake.open_error = 0;
	fake.api_version = VEE_API_VERSION + 1;
	CHECK_EQUAL(vee_vm_create(&vm), -EPROTONOSUPPORT);
	CHECK(!vm);
	/* To say which it is must still be possible. */
	CHECK_EQUAL(vee_get_info(&info), 0);
	CHECK_EQUAL(info.api_version, VEE_API_VERSION + 1);
}

/* It stays open, and is used as it is. */
static void creation_on_an_open_device(void)
{
	int device = open("/dev/vee", O_RDWR | O_CLOEXEC);
	struct vee_vm *vm = NULL;

	CHECK(device >= 0);
	fake.open_error = ENOENT;
	for (int i = 0; i < 3; i++) {
		CHECK_EQUAL(vee_vm_create_on(&vm, device, VEE_VM_LOCAL_APIC), 0);
		CHECK_EQUAL(fake.vm_flags, VEE_VM_LOCAL_APIC);
		CHECK(vee_vm_fd(vm) != device);
		vee_vm_destroy(vm);
	}
	fake.error = -ENOTTY;
	CHECK_EQUAL(vee_vm_create_on(&vm, device, 0), -ENOTTY);
	fake.error = 0;
	fake.api_version = VEE_API_VERSION + 1;
	CHECK_EQUAL(vee_vm_create_on(&vm, device, 0), -EPROTONOSUPPORT);
	CHECK_EQUAL(close(device), 0);
}

static struct rig allocating;

static int create_vm(void)
{
	struct vee_vm *vm = NULL;
	int err = vee_vm_create(&vm);

	CHECK(!vm == !!err);
	vee_vm_destroy(vm);
	return err;
}

static int create_vcpu(void)
{
	struct vee_vcpu *vcpu = NULL;
	int err = vee_vcpu_create(allocating.vm, 1, &vcpu);

	CHECK(!vcpu == !!err);
	vee_vcpu_destroy(vcpu);
	return err;
}

/* Nothing that failed is there. */
static int alloc_slot(void)
{
	int err = vee_vm_alloc(allocating.vm, 0x1000, 0x1000, NULL);

	CHECK(!vee_vm_at(allocating.vm, 0x1000, 1) == !!err);
	CHECK_EQUAL(fake.map_count, !err);
	return err;
}

static void allocations_can_fail(void)
{
	rig_begin(&allocating);
	CHECK_EQUAL(fail_each_allocation(create_vm), 1);
	CHECK_EQUAL(fail_each_allocation(alloc_slot), 1);
	CHECK_EQUAL(fail_each_allocation(create_vcpu), 2);
	rig_end(&allocating);
}

static void slots_are_found(void)
{
	struct rig rig;
	uint8_t *low, *high;

	rig_begin(&rig);
	CHECK_EQUAL(vee_vm_alloc(rig.vm, 0x100000, 0x2000, (void **)&high), 0);
	CHECK_EQUAL(vee_vm_alloc(rig.vm, 0, 0x1000, (void **)&low), 0);
	CHECK(vee_vm_at(rig.vm, 0, 1) == low);
	CHECK(vee_vm_at(rig.vm, 0xfff, 1) == low + 0xfff);
	CHECK(!vee_vm_at(rig.vm, 0xfff, 2));
	CHECK(!vee_vm_at(rig.vm, 0x1000, 1));
	CHECK(vee_vm_at(rig.vm, 0x100fff, 0x1001) == high + 0xfff);
	CHECK(!vee_vm_at(rig.vm, 0x100fff, 0x1002));
	CHECK(!vee_vm_at(rig.vm, 0x100000, SIZE_MAX));
	CHECK(!vee_vm_at(rig.vm, UINT64_MAX, 2));
	CHECK(!vee_vm_at(rig.vm, 0, 0));
	CHECK_EQUAL(vee_vm_alloc(rig.vm, 0x101000, 0x1000, NULL), -EEXIST);
	CHECK_EQUAL(vee_vm_alloc(rig.vm, 0x300000, 0, NULL), -EINVAL);
	CHECK_EQUAL(vee_vm_alloc(rig.vm, 0x300000, 0x1001, NULL), -EINVAL);
	CHECK_EQUAL(vee_vm_unmap(rig.vm, 0x100000, 0x1000), -ENOENT);
	CHECK(vee_vm_at(rig.vm, 0x100000, 1) == high);
	CHECK_EQUAL(vee_vm_unmap(rig.vm, 0x100000, 0x2000), 0);
	CHECK(!vee_vm_at(rig.vm, 0x100000, 1));
	rig_end(&rig);
}

/* So that a huge page here can be one there. */
static void large_memory_is_aligned_with_the_guests(void)
{
	static const uint64_t where[] = { 0, 0x100000, 0x1fff000, 0x40200000 };
	struct rig rig;
	uint8_t *hva;

	rig_begin(&rig);
	for (size_t i = 0; i < sizeof(where) / sizeof(*where); i++) {
		CHECK_EQUAL(vee_vm_alloc(rig.vm, where[i], 0x401000, (void **)&hva), 0);
		CHECK_EQUAL(((uintptr_t)hva - where[i]) % (2 << 20), 0);
		hva[0] = 1;
		hva[0x400fff] = 1;
		CHECK_EQUAL(vee_vm_unmap(rig.vm, where[i], 0x401000), 0);
	}
	CHECK_EQUAL(vee_vm_alloc(rig.vm, 0x123, 0x401000, NULL), -EINVAL);
	rig_end(&rig);
}

static void copies_cross_slots_or_do_nothing(void)
{
	char in[0x1800], out[0x1800];
	struct rig rig;

	memset(in, 'x', sizeof(in));
	rig_begin(&rig);
	CHECK_EQUAL(vee_vm_alloc(rig.vm, 0x1000, 0x1000, NULL), 0);
	CHECK_EQUAL(vee_vm_alloc(rig.vm, 0x2000, 0x1000, NULL), 0);
	CHECK_EQUAL(vee_vm_write(rig.vm, 0x1800, in, sizeof(in)), 0);
	CHECK_EQUAL(vee_vm_read(rig.vm, 0x1800, out, sizeof(out)), 0);
	CHECK(!memcmp(in, out, sizeof(in)));
	memset(in, 'y', sizeof(in));
	CHECK_EQUAL(vee_vm_write(rig.vm, 0x1801, in, sizeof(in)), -EFAULT);
	CHECK_EQUAL(vee_vm_write(rig.vm, UINT64_MAX - 1, in, sizeof(in)), -EFAULT);
	CHECK_EQUAL(vee_vm_read(rig.vm, 0xfff, out, 2), -EFAULT);
	CHECK_EQUAL(vee_vm_read(rig.vm, 0x1801, in, 1), 0);
	CHECK(in[0] == 'x');
	CHECK_EQUAL(vee_vm_read(rig.vm, 0x5000, in, 0), 0);
	rig_end(&rig);
}

static void ranges_join_where_they_touch(void)
{
	static _Alignas(4096) uint8_t rom[PAGE_BYTES];
	struct range *ram;
	struct rig rig;

	rig_begin(&rig);
	CHECK_EQUAL(vee_vm_alloc(rig.vm, 0x2000, 0x1000, NULL), 0);
	CHECK_EQUAL(vee_vm_alloc(rig.vm, 0x1000, 0x1000, NULL), 0);
	CHECK_EQUAL(vee_vm_alloc(rig.vm, 0x5000, 0x1000, NULL), 0);
	CHECK_EQUAL(vee_vm_map(rig.vm, 0x3000, rom, sizeof(rom), VEE_READ), 0);
	CHECK_EQUAL(vm_ram(rig.vm, &ram), 2);
	CHECK(ram[0].gpa == 0x1000 && ram[0].end == 0x3000);
	CHECK(ram[1].gpa == 0x5000 && ram[1].end == 0x6000);
	free(ram);
	/* The caller may fill what the guest may only read. */
	CHECK_EQUAL(vee_vm_write(rig.vm, 0x3000, "rom", 3), 0);
	CHECK(!memcmp(rom, "rom", 3));
	CHECK(!vm_at_for(rig.vm, 0x3000, 1, VEE_WRITE));
	rig_end(&rig);
}

static void *look_up(void *arg)
{
	unsigned long *wrong = calloc(1, sizeof(*wrong));

	for (int i = 0; i < 20000; i++)
		if (!vee_vm_at(arg, 0x1000, 0x1000))
			++*wrong;
	return wrong;
}

static void many_threads_look_up_while_one_maps(void)
{
	pthread_t threads[3];
	struct rig rig;

	rig_begin(&rig);
	CHECK_EQUAL(vee_vm_alloc(rig.vm, 0x1000, 0x1000, NULL), 0);
	for (int i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, look_up, rig.vm);
	for (int i = 0; i < 1000; i++) {
		CHECK_EQUAL(vee_vm_alloc(rig.vm, 0, 0x1000, NULL), 0);
		CHECK_EQUAL(vee_vm_unmap(rig.vm, 0, 0x1000), 0);
	}
	for (int i = 0; i < 3; i++) {
		void *wrong;

		pthread_join(threads[i], &wrong);
		CHECK_EQUAL(*(unsigned long *)wrong, 0);
		free(wrong);
	}
	rig_end(&rig);
}

/* Small and large; the VM is as before. */
static void no_addresses(void)
{
	struct rig rig;

	rig_begin(&rig);
	for (uint64_t bytes = PAGE_BYTES; bytes <= 4 * MIB; bytes *= 1024) {
		fail_call("mmap", 1, ENOMEM);
		CHECK_EQUAL(vee_vm_alloc(rig.vm, 0, bytes, NULL), -ENOMEM);
		CHECK(call_failed());
		CHECK(!vee_vm_at(rig.vm, 0, 1));
		CHECK_EQUAL(fake.map_count, 0);
	}
	rig_end(&rig);
}

/* What a program has asked the module for itself the library knows nothing of. */
static void a_slot_of_somebody_elses(void)
{
	static uint8_t memory[PAGE_BYTES] __attribute__((aligned(4096)));
	struct vee_map map = {
		.size = sizeof(map), .gpa = MIB, .bytes = PAGE_BYTES, .access = VEE_READ,
		.hva = (uintptr_t)memory,
	};
	struct rig rig;

	rig_begin(&rig);
	CHECK_EQUAL(vee_vm_alloc(rig.vm, 2 * MIB, PAGE_BYTES, NULL), 0);
	CHECK_EQUAL(vee_request(vee_vm_fd(rig.vm), VEE_VM_MAP, &map), 0);
	CHECK_EQUAL(vee_vm_unmap(rig.vm, MIB, PAGE_BYTES), -ENOENT);
	CHECK_EQUAL(fake.map_count, 1);
	CHECK(vee_vm_at(rig.vm, 2 * MIB, PAGE_BYTES));
	map.gpa = 3 * MIB;
	CHECK_EQUAL(vee_request(vee_vm_fd(rig.vm), VEE_VM_MAP, &map), 0);
	CHECK_EQUAL(vee_vm_unmap(rig.vm, 3 * MIB, PAGE_BYTES), -ENOENT);
	rig_end(&rig);
}

typedef void (*copy_fn)(uint8_t *to, const uint8_t *from);

/* Each way that this CPU has. */
static void pages_are_copied(void)
{
	static uint8_t from[PAGE_BYTES] __attribute__((aligned(4096)));
	static uint8_t to[3 * PAGE_BYTES] __attribute__((aligned(4096)));
	const copy_fn copies[] = {
		copy_page, copy_by_16,
		__builtin_cpu_supports("avx") ? copy_by_32 : copy_page,
		__builtin_cpu_supports("avx512f") ? copy_by_64 : copy_page,
	};

	for (unsigned int i = 0; i < sizeof(from); i++)
		from[i] = i * 7 + i / 256;
	for (unsigned int i = 0; i < sizeof(copies) / sizeof(*copies); i++) {
		test_case("%u", i);
		memset(to, 0xee, sizeof(to));
		copies[i](to + PAGE_BYTES, from);
		CHECK(!memcmp(to + PAGE_BYTES, from, PAGE_BYTES));
		CHECK(!memchr(to, 0, PAGE_BYTES) && to[0] == 0xee && to[PAGE_BYTES - 1] == 0xee);
		CHECK(to[2 * PAGE_BYTES] == 0xee);
	}
}

int __real_run_request(int fd);

/* It is fsync(2), which says of what it can't be done. */
static void the_system_call_of_a_run(void)
{
	int fds[2], fd = memfd_create("file", MFD_CLOEXEC);

	CHECK_EQUAL(__real_run_request(fd), 0);
	close(fd);
	CHECK_EQUAL(__real_run_request(fd), -EBADF);
	CHECK(!pipe(fds));
	CHECK_EQUAL(__real_run_request(fds[0]), -EINVAL);
	close(fds[0]);
	close(fds[1]);
}

const struct test tests[] = {
	{ "creation passes errors on", creation_passes_errors_on },
	{ "creation has errors of its own", creation_has_errors_of_its_own },
	{ "creation on an open device", creation_on_an_open_device },
	{ "allocations can fail", allocations_can_fail },
	{ "slots are found, and nothing beside them", slots_are_found },
	{ "large memory is aligned with the guest's",
	  large_memory_is_aligned_with_the_guests },
	{ "no addresses for it", no_addresses },
	{ "a slot that the library has not made", a_slot_of_somebody_elses },
	{ "pages are copied", pages_are_copied },
	{ "the system call of a run", the_system_call_of_a_run },
	{ "copies cross slots, or do nothing", copies_cross_slots_or_do_nothing },
	{ "RAM ranges join where they touch", ranges_join_where_they_touch },
	{ "threads look up while one maps", many_threads_look_up_while_one_maps },
	{ 0 }
};
