// SPDX-License-Identifier: GPL-2.0-only
/*
 * No memory, and arguments that can't be copied: each allocation and each copy that a
 * request makes fails in turn, by the kernel's fault injection (/proc/self/fail-nth).
 */
#include <dirent.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include "module_util.h"

#define FAIL_NTH	"/proc/self/fail-nth"
#define INJECTORS	"/sys/kernel/debug/"
#define MOST_FAULTS	400	/* no request has as many */
/*
 * Now and then what the kernel allocates for itself (a slab's page, a debug kernel's record)
 * takes the fault that was one of vee's in the sweep before: then another sweep tells.
 */
#define SWEEPS		8

#define MAP_GPA		0x10000000ULL
#define TEMPLATE_GPA	0x20000000ULL
#define PORT		0x50
#define MSI_ADDRESS	0xfee00000ULL

GUEST_CODE(halt, 64, "hlt");
GUEST_CODE(touch, 64, "movl $1, (%rbx); hlt");

/* --- the kernel's fault injection -------------------------------------------- */

/* Allocations that may wait, and single pages, fail too; none of it is logged. */
static struct setting {
	const char *file;
	const char *value;
	char before[16];
} settings[] = {
	{ INJECTORS "failslab/ignore-gfp-wait", "N", "" },
	{ INJECTORS "failslab/verbose", "0", "" },
	{ INJECTORS "failslab/times", "0", "" },
	{ INJECTORS "fail_page_alloc/ignore-gfp-wait", "N", "" },
	{ INJECTORS "fail_page_alloc/ignore-gfp-highmem", "N", "" },
	{ INJECTORS "fail_page_alloc/min-order", "0", "" },
	{ INJECTORS "fail_page_alloc/verbose", "0", "" },
	{ INJECTORS "fail_page_alloc/times", "0", "" },
	{ INJECTORS "fail_usercopy/verbose", "0", "" },
	{ INJECTORS "fail_usercopy/times", "0", "" },
};

static bool read_word(const char *path, char *word)
{
	FILE *f = fopen(path, "re");
	bool read = f && fscanf(f, "%15s", word) == 1;

	if (f)
		fclose(f);
	return read;
}

static void settings_change(struct __test_metadata *_metadata)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(settings); i++)
		if (read_word(settings[i].file, settings[i].before))
			EXPECT_EQ(0, write_file(settings[i].file, settings[i].value));
}

static void settings_restore(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(settings); i++)
		if (settings[i].before[0])
			write_file(settings[i].file, settings[i].before);
}

__attribute__((constructor)) static void need_injection(void)
{
	if (access(FAIL_NTH, W_OK))
		skip_all("no " FAIL_NTH ": it takes CONFIG_FAULT_INJECTION, and root");
	mount("debugfs", INJECTORS, "debugfs", 0, NULL);
	if (access(INJECTORS "failslab", F_OK) || access(INJECTORS "fail_page_alloc", F_OK))
		skip_all("the kernel has no failslab, or no fail_page_alloc");
}

/* For FIXTURE_SETUP: the descriptor of FAIL_NTH. */
static int injection_begin(struct __test_metadata *_metadata)
{
	int fd = open(FAIL_NTH, O_RDWR | O_CLOEXEC);

	ASSERT_LE(0, fd);
	settings_change(_metadata);
	return fd;
}

static void injection_end(int fd)
{
	close(fd);
	settings_restore();
}

/* The @n-th thing that can fail from now on does. */
static void arm(int fd, unsigned int n)
{
	char text[16];

	pwrite(fd, text, snprintf(text, sizeof(text), "%u", n), 0);
}

/* Did it? Reading may use up what was left: that fails, and counts as not. */
static bool disarm(int fd)
{
	char text[16] = "";
	bool injected = pread(fd, text, sizeof(text) - 1, 0) > 0 && text[0] == '0';

	/* Again, in case that it fell upon this very write. */
	arm(fd, 0);
	arm(fd, 0);
	return injected;
}

/* --- requests ------------------------------------------------------------------ */

static struct vee_cpuid_entry old_cpuid[VEE_MAX_CPUID], new_cpuid[VEE_MAX_CPUID];
static unsigned int cpuid_count;
static struct vee_vmcs_value vmcs_values[1024];
static unsigned char old_xsave[16384], new_xsave[16384];
static __u32 xsave_bytes;
static int bell_fd;
static int apic_vm;	/* one with local APICs */

static int map_call(struct guest *g)
{
	return vm_map(g->vm, MAP_GPA, g->mem, PAGE_BYTES, VEE_READ);
}

static int map_undo(struct guest *g, int ret)
{
	return vm_unmap(g->vm, MAP_GPA, PAGE_BYTES);
}

static int template_map_at(struct guest *g, __u64 gpa)
{
	struct vee_map map = {
		.size = sizeof(map),
		.gpa = gpa,
		.hva = (unsigned long)g->mem,
		.bytes = PAGE_BYTES,
		.access = VEE_READ | VEE_WRITE,
		.pool = (unsigned long)g->mem + GUEST_BYTES - PAGE_BYTES,
		.pool_bytes = PAGE_BYTES,
	};

	return vee_call(g->vm, VEE_VM_MAP, &map);
}

static int template_map_call(struct guest *g)
{
	return template_map_at(g, MAP_GPA);
}

static int template(struct guest *g, __u32 operation, __u32 flags)
{
	struct vee_template arg = {
		.size = sizeof(arg), .operation = operation, .flags = flags, .gpa = TEMPLATE_GPA,
	};

	return vee_call(g->vm, VEE_VM_TEMPLATE, &arg);
}

static int template_copy_call(struct guest *g)
{
	return template(g, VEE_TEMPLATE_LOCATE, VEE_TEMPLATE_WRITE);
}

static int template_copy_undo(struct guest *g, int ret)
{
	return template(g, VEE_TEMPLATE_RESET, 0);
}

static int create_call(struct guest *g)
{
	return vm_create(g->dev);
}

static int create_apic_call(struct guest *g)
{
	return vm_create_with(g->dev, VEE_VM_LOCAL_APIC);
}

static int close_undo(struct guest *g, int ret)
{
	return close(ret);
}

static int vcpu_call(struct guest *g)
{
	return vcpu_create(g->vm, 1);
}

/* It runs, even where it has to do without something. */
static int vcpu_undo(struct guest *g, int ret)
{
	struct guest second = *g;
	int err;

	second.borrowed = true;
	second.vcpu = ret;
	second.page = vcpu_page(ret);
	GUEST_LONG(&second, halt);
	err = guest_run(&second) || second.page->exit.reason != VEE_EXIT_HLT;
	guest_close(&second);
	return err;
}

static int coalesce(struct guest *g, __u32 remove)
{
	struct vee_coalesce arg = {
		.size = sizeof(arg),
		.first = PORT,
		.bytes = 1,
		.remove = remove,
	};

	return vee_call(g->vm, VEE_VM_COALESCE, &arg);
}

static int coalesce_call(struct guest *g)
{
	return coalesce(g, 0);
}

static int coalesce_undo(struct guest *g, int ret)
{
	return coalesce(g, 1);
}

static int coalesce_undo_call(struct guest *g)
{
	return coalesce(g, 1);
}

static int coalesce_redo(struct guest *g, int ret)
{
	return coalesce(g, 0);
}

static int doorbell(struct guest *g, __u8 remove)
{
	struct vee_doorbell arg = {
		.size = sizeof(arg),
		.address = PORT,
		.eventfd = bell_fd,
		.remove = remove,
	};

	return vee_call(g->vm, VEE_VM_DOORBELL, &arg);
}

static int doorbell_call(struct guest *g)
{
	return doorbell(g, 0);
}

static int doorbell_undo(struct guest *g, int ret)
{
	return doorbell(g, 1);
}

static int dirty(struct guest *g, __u32 operation, __u64 gpa)
{
	__u64 page;
	struct vee_dirty arg = {
		.size = sizeof(arg),
		.operation = operation,
		.gpa = gpa,
		.bytes = PAGE_BYTES,
	};

	if (operation == VEE_DIRTY_FETCH) {
		arg.pages = (unsigned long)&page;
		arg.room = 1;
	}
	return vee_call(g->vm, VEE_VM_DIRTY, &arg);
}

static int dirty_start_call(struct guest *g)
{
	return dirty(g, VEE_DIRTY_START, 0);
}

static int dirty_start_undo(struct guest *g, int ret)
{
	return dirty(g, VEE_DIRTY_STOP, 0);
}

static int dirty_bitmap_call(struct guest *g)
{
	__u64 bitmap;
	struct vee_dirty arg = {
		.size = sizeof(arg),
		.operation = VEE_DIRTY_FETCH,
		.flags = VEE_DIRTY_BITMAP,
		.gpa = GPA_DATA,
		.bytes = PAGE_BYTES,
		.pages = (unsigned long)&bitmap,
		.room = 1,
	};

	return vee_call(g->vm, VEE_VM_DIRTY, &arg);
}

static int dirty_fetch_call(struct guest *g)
{
	return dirty(g, VEE_DIRTY_FETCH, GPA_DATA);
}

/* It is told by the first call that doesn't fail, or a failure has lost it. */
static int dirty_fetch_undo(struct guest *g, int ret)
{
	return ret == 1 ? dirty(g, VEE_DIRTY_MARK, GPA_DATA) : -ENOENT;
}

static int bind_bell(__u32 remove)
{
	struct vee_bind arg = {
		.size = sizeof(arg),
		.address = remove ? 0 : MSI_ADDRESS,
		.eventfd = bell_fd,
		.remove = remove,
	};

	return vee_call(apic_vm, VEE_VM_BIND, &arg);
}

static int bind_call(struct guest *g)
{
	return bind_bell(0);
}

static int bind_undo(struct guest *g, int ret)
{
	return bind_bell(1);
}

static int cpuid(struct guest *g, unsigned long request, struct vee_cpuid_entry *table,
		 unsigned int count)
{
	struct vee_cpuid arg = {
		.size = sizeof(arg),
		.count = count,
		.entries = (unsigned long)table,
	};
	int ret = vee_call(g->vcpu, request, &arg);

	cpuid_count = arg.count;
	return ret;
}

/* One entry less, for a change. */
static int cpuid_call(struct guest *g)
{
	return cpuid(g, VEE_VCPU_SET_CPUID, old_cpuid, cpuid_count - 1);
}

static bool cpuid_kept(struct guest *g)
{
	unsigned int count = cpuid_count + 1;
	int ret = cpuid(g, VEE_VCPU_GET_CPUID, new_cpuid, VEE_MAX_CPUID);

	return !ret && cpuid_count == count &&
	       !memcmp(old_cpuid, new_cpuid, count * sizeof(*old_cpuid));
}

static int cpuid_undo(struct guest *g, int ret)
{
	return cpuid(g, VEE_VCPU_SET_CPUID, old_cpuid, cpuid_count + 1);
}

static int xsave(struct guest *g, unsigned long request, unsigned char *area)
{
	struct vee_xsave arg = {
		.size = sizeof(arg),
		.bytes = xsave_bytes,
		.area = (unsigned long)area,
	};

	return vee_call(g->vcpu, request, &arg);
}

#define XSAVE_ST0	32
#define XSTATE_BV	512

static int xsave_call(struct guest *g)
{
	memcpy(new_xsave, old_xsave, sizeof(old_xsave));
	new_xsave[XSAVE_ST0] ^= 1;
	new_xsave[XSTATE_BV] |= 1;
	return xsave(g, VEE_VCPU_SET_XSAVE, new_xsave);
}

static bool xsave_kept(struct guest *g)
{
	return !xsave(g, VEE_VCPU_GET_XSAVE, new_xsave) &&
	       !memcmp(old_xsave, new_xsave, sizeof(old_xsave));
}

static int xsave_undo(struct guest *g, int ret)
{
	return xsave(g, VEE_VCPU_SET_XSAVE, old_xsave);
}

static struct vee_vcpu_state old_state, new_state;

static int save(struct guest *g, struct vee_vcpu_state *state, unsigned char *area)
{
	*state = (struct vee_vcpu_state) {
		.size = sizeof(*state),
		.xsave = (unsigned long)area,
		.xsave_bytes = xsave_bytes,
		.cpuid = (unsigned long)new_cpuid,
		.cpuid_count = VEE_MAX_CPUID,
	};
	return vee_call(g->vcpu, VEE_VCPU_SAVE, state);
}

static int load(struct guest *g, struct vee_vcpu_state *state, unsigned char *area)
{
	state->xsave = (unsigned long)area;
	state->cpuid = (unsigned long)old_cpuid;
	return vee_call(g->vcpu, VEE_VCPU_LOAD, state);
}

static bool state_kept(struct guest *g)
{
	if (save(g, &new_state, new_xsave))
		return false;
	new_state.xsave = old_state.xsave;
	new_state.cpuid = old_state.cpuid;
	new_state.tsc = old_state.tsc;
	return !memcmp(&old_state, &new_state, sizeof(old_state)) &&
	       !memcmp(old_xsave, new_xsave, sizeof(old_xsave)) &&
	       !memcmp(old_cpuid, new_cpuid, old_state.cpuid_count * sizeof(*old_cpuid));
}

static int save_call(struct guest *g)
{
	return save(g, &new_state, new_xsave);
}

/* A bit of each kind differs, and there is an answer less. */
static int load_call(struct guest *g)
{
	struct vee_vcpu_state other = old_state;

	memcpy(new_xsave, old_xsave, sizeof(old_xsave));
	new_xsave[XSAVE_ST0] ^= 1;
	new_xsave[XSTATE_BV] |= 1;
	other.cpuid_count--;
	other.regs.r15 ^= 1;
	other.control.cr2 ^= 1;
	other.msrs.lstar ^= 1;
	other.deadline_ns ^= 1;
	return load(g, &other, new_xsave);
}

static int load_undo(struct guest *g, int ret)
{
	return load(g, &old_state, old_xsave);
}

static int snapshot_call(struct guest *g)
{
	struct vee_vmcs_snapshot arg = {
		.size = sizeof(arg),
		.count = ARRAY_SIZE(vmcs_values),
		.values = (unsigned long)vmcs_values,
	};

	return vee_call(g->vcpu, VEE_VCPU_VMCS_SNAPSHOT, &arg);
}

static void *mapping;

static int map_shared(int fd, size_t bytes)
{
	mapping = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	return mapping == MAP_FAILED ? -errno : 0;
}

static int page_call(struct guest *g)
{
	return map_shared(g->vcpu, VEE_VCPU_PAGE_BYTES);
}

static int page_undo(struct guest *g, int ret)
{
	return ((struct vee_vcpu_page *)mapping)->size != sizeof(struct vee_vcpu_page) ||
	       munmap(mapping, VEE_VCPU_PAGE_BYTES);
}

static int ring_call(struct guest *g)
{
	return map_shared(g->vm, VEE_POST_RING_BYTES);
}

static int ring_undo(struct guest *g, int ret)
{
	return munmap(mapping, VEE_POST_RING_BYTES);
}

FIXTURE(request) {
	struct guest g;
	int fail_nth;
	long users;
};

/*
 * What is to fail. @undo makes it possible once more: 0, or else. @kept tells if all is
 * as it was after a failure; without it, to make the request again will. @no_copy: it
 * copies nothing from or to the caller. @no_memory: it allocates nothing. @begins_done: it
 * takes away what is to be there.
 */
FIXTURE_VARIANT(request) {
	int (*call)(struct guest *g);
	int (*undo)(struct guest *g, int ret);
	bool (*kept)(struct guest *g);
	bool no_copy;
	bool no_memory;
	bool begins_done;
};

FIXTURE_VARIANT_ADD(request, vm_create) {
	.call = create_call,
	.undo = close_undo,
};

FIXTURE_VARIANT_ADD(request, vm_create_with_apics) {
	.call = create_apic_call,
	.undo = close_undo,
};

FIXTURE_VARIANT_ADD(request, vm_map) {
	.call = map_call,
	.undo = map_undo,
};

FIXTURE_VARIANT_ADD(request, vm_map_template) {
	.call = template_map_call,
	.undo = map_undo,
};

FIXTURE_VARIANT_ADD(request, template_copy) {
	.call = template_copy_call,
	.undo = template_copy_undo,
};

FIXTURE_VARIANT_ADD(request, create_vcpu) {
	.call = vcpu_call,
	.undo = vcpu_undo,
};

FIXTURE_VARIANT_ADD(request, coalesce) {
	.call = coalesce_call,
	.undo = coalesce_undo,
};

FIXTURE_VARIANT_ADD(request, coalesce_no_more) {
	.call = coalesce_undo_call,
	.undo = coalesce_redo,
	.begins_done = true,
};

FIXTURE_VARIANT_ADD(request, doorbell) {
	.call = doorbell_call,
	.undo = doorbell_undo,
};

FIXTURE_VARIANT_ADD(request, dirty_start) {
	.call = dirty_start_call,
	.undo = dirty_start_undo,
};

FIXTURE_VARIANT_ADD(request, dirty_fetch) {
	.call = dirty_fetch_call,
	.undo = dirty_fetch_undo,
};

FIXTURE_VARIANT_ADD(request, dirty_bitmap) {
	.call = dirty_bitmap_call,
	.undo = dirty_fetch_undo,
};

FIXTURE_VARIANT_ADD(request, bind) {
	.call = bind_call,
	.undo = bind_undo,
};

FIXTURE_VARIANT_ADD(request, set_cpuid) {
	.call = cpuid_call,
	.undo = cpuid_undo,
	.kept = cpuid_kept,
};

FIXTURE_VARIANT_ADD(request, set_xsave) {
	.call = xsave_call,
	.undo = xsave_undo,
	.kept = xsave_kept,
};

FIXTURE_VARIANT_ADD(request, save) {
	.call = save_call,
	.kept = state_kept,
	.no_memory = true,
};

FIXTURE_VARIANT_ADD(request, load) {
	.call = load_call,
	.undo = load_undo,
	.kept = state_kept,
};

FIXTURE_VARIANT_ADD(request, snapshot) {
	.call = snapshot_call,
};

FIXTURE_VARIANT_ADD(request, map_page) {
	.call = page_call,
	.undo = page_undo,
	.no_copy = true,
};

FIXTURE_VARIANT_ADD(request, map_ring) {
	.call = ring_call,
	.undo = ring_undo,
	.no_copy = true,
};

/* What the tests touch is in memory, so that no page fault of theirs is the one to fail. */
static int prepare(struct __test_metadata *_metadata, struct guest *g)
{
	int dev = vee_open(_metadata);

	close(dev);
	guest_open(_metadata, g);
	GUEST_LONG(g, halt);
	ASSERT_HLT(g, GPA_CODE);
	bell_fd = eventfd(0, EFD_CLOEXEC);
	apic_vm = create_apic_call(g);
	ASSERT_LE(0, apic_vm);
	ASSERT_EQ(0, cpuid(g, VEE_VCPU_GET_CPUID, old_cpuid, VEE_MAX_CPUID));
	ASSERT_EQ(0, dirty(g, VEE_DIRTY_START, GPA_DATA) ?: dirty(g, VEE_DIRTY_MARK, GPA_DATA));
	ASSERT_EQ(0, template_map_at(g, TEMPLATE_GPA));
	xsave_bytes = vee_info(g->dev).xsave_bytes;
	ASSERT_EQ(0, xsave(g, VEE_VCPU_GET_XSAVE, old_xsave));
	ASSERT_EQ(0, save(g, &old_state, old_xsave));
	ASSERT_EQ(0, mlockall(MCL_CURRENT));
	return injection_begin(_metadata);
}

FIXTURE_SETUP(request)
{
	self->fail_nth = prepare(_metadata, &self->g);
	self->users = module_users();
}

FIXTURE_TEARDOWN(request)
{
	injection_end(self->fail_nth);
	close(apic_vm);
	close(bell_fd);
	guest_close(&self->g);
}

/* All that can fail does, one after the other, until nothing is left to fail. */
TEST_F(request, fails)
{
	bool copy_failed = variant->no_copy || access(INJECTORS "fail_usercopy", F_OK);
	bool memory_failed = variant->no_memory, injected;
	struct guest *g = &self->g;
	unsigned int i, n;
	int ret = 0;

	/* A second watch, so that there is a table to make without the first. */
	if (variant->begins_done)
		ASSERT_EQ(0, doorbell_call(g) ?: variant->undo(g, 0));
	for (i = 0; i < SWEEPS && !(memory_failed && copy_failed); i++) {
		injected = true;
		for (n = 1; injected && n < MOST_FAULTS; n++) {
			arm(self->fail_nth, n);
			ret = variant->call(g);
			injected = disarm(self->fail_nth);
			memory_failed |= ret == -ENOMEM;
			copy_failed |= ret == -EFAULT;
			if (ret >= 0 && variant->undo)
				EXPECT_EQ(0, variant->undo(g, ret)) TH_LOG("fault %u", n);
			if (ret >= 0)
				continue;
			EXPECT_TRUE(injected && (ret == -ENOMEM || ret == -EFAULT))
				TH_LOG("fault %u: %s", n, strerror(-ret));
			EXPECT_TRUE(!variant->kept || variant->kept(g)) TH_LOG("fault %u", n);
			EXPECT_TRUE(WAIT_FOR(module_users() == self->users))
				TH_LOG("fault %u", n);
		}
		EXPECT_FALSE(injected);
		EXPECT_LE(0, ret) TH_LOG("%s", strerror(-ret));
	}
	EXPECT_TRUE(memory_failed);
	EXPECT_TRUE(copy_failed);
	GUEST_LONG(g, halt);
	ASSERT_HLT(g, GPA_CODE);
}

FIXTURE(nomem) {
	struct guest g;
	int fail_nth;
	long users;
};

FIXTURE_SETUP(nomem)
{
	self->fail_nth = prepare(_metadata, &self->g);
	self->users = module_users();
}

FIXTURE_TEARDOWN(nomem)
{
	injection_end(self->fail_nth);
	close(apic_vm);
	close(bell_fd);
	guest_close(&self->g);
}

/* What became of a process's first slot with a fault on the way. */
enum first_slot {
	MAPPED_NO_FAULT,
	MAPPED,
	NO_MEMORY,
	NO_COPY,
	WRONG_ERROR,
	NOT_LATER,
};

static enum first_slot first_slot(struct guest g, unsigned int n)
{
	int ret, fd = open(FAIL_NTH, O_RDWR | O_CLOEXEC);
	bool injected;

	g.dev = open("/dev/vee", O_RDWR | O_CLOEXEC);
	g.vm = vm_create(g.dev);
	mlockall(MCL_CURRENT);
	arm(fd, n);
	ret = map_call(&g);
	injected = disarm(fd);
	if (!ret)
		return injected ? MAPPED : MAPPED_NO_FAULT;
	if (ret != -ENOMEM && ret != -EFAULT)
		return WRONG_ERROR;
	if (map_call(&g))
		return NOT_LATER;
	return ret == -ENOMEM ? NO_MEMORY : NO_COPY;
}

/* How often there was no memory. */
static unsigned int first_slot_sweep(struct __test_metadata *_metadata, struct guest *g)
{
	unsigned int n, no_memory = 0;
	int status = 0;

	for (n = 1; n < MOST_FAULTS; n++) {
		pid_t child = fork();

		if (!child)
			_exit(first_slot(*g, n));
		EXPECT_EQ(child, waitpid(child, &status, 0));
		EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) <= NO_COPY)
			TH_LOG("fault %u: %#x", n, status);
		if (WEXITSTATUS(status) == MAPPED_NO_FAULT)
			break;
		no_memory += WEXITSTATUS(status) == NO_MEMORY;
	}
	EXPECT_GT(MOST_FAULTS, n);
	return no_memory;
}

/* It has more to allocate than others: the slot, and the address space's notifiers. */
TEST_F(nomem, first_slot)
{
	unsigned int i, no_memory = 0;

	for (i = 0; i < SWEEPS && no_memory < 2; i++)
		no_memory = first_slot_sweep(_metadata, &self->g);
	EXPECT_LE(2, no_memory);
	EXPECT_TRUE(WAIT_FOR(module_users() == self->users));
}

/* --- the guest's memory ---------------------------------------------------------- */

/* Nobody has touched it, guest or caller: pages and tables are all to be allocated. */
static void *map_fresh(struct __test_metadata *_metadata, struct guest *g)
{
	void *mem = anon_memory(PAGES_2M);

	ASSERT_NE(MAP_FAILED, mem);
	madvise(mem, PAGES_2M, MADV_NOHUGEPAGE);
	ASSERT_EQ(0, vm_map(g->vm, MAP_GPA, mem, PAGES_2M, VEE_RWX));
	return mem;
}

static unsigned int first_touch_sweep(struct __test_metadata *_metadata, struct guest *g,
				      int fail_nth)
{
	unsigned int n, no_memory = 0;
	bool injected = true;

	for (n = 1; injected && n < MOST_FAULTS; n++) {
		__u32 *mem = map_fresh(_metadata, g);
		const struct vee_exit *exit = &g->page->exit;
		int ret;

		GUEST_LONG(g, touch);
		g->page->regs.rbx = MAP_GPA;
		arm(fail_nth, n);
		ret = guest_run_once(g);
		injected = disarm(fail_nth);
		ASSERT_EQ(0, ret) TH_LOG("fault %u: %s", n, strerror(-ret));
		if (exit->reason == VEE_EXIT_MEMORY) {
			no_memory++;
			EXPECT_TRUE(injected);
			EXPECT_EQ(-ENOMEM, exit->memory.error) TH_LOG("fault %u", n);
			EXPECT_EQ(MAP_GPA, exit->memory.gpa);
			/* There is some again: the guest is none the wiser. */
			ASSERT_RUN(g, VEE_EXIT_HLT);
		}
		EXPECT_EQ(VEE_EXIT_HLT, exit->reason) TH_LOG("fault %u", n);
		EXPECT_EQ(1, *mem);
		ASSERT_EQ(0, vm_unmap(g->vm, MAP_GPA, PAGES_2M));
		munmap(mem, PAGES_2M);
	}
	EXPECT_FALSE(injected);
	return no_memory;
}

/* The caller's page, and the EPT's tables. */
TEST_F(nomem, first_touch)
{
	unsigned int i, no_memory = 0;

	for (i = 0; i < SWEEPS && no_memory < 3; i++)
		no_memory = first_touch_sweep(_metadata, &self->g, self->fail_nth);
	EXPECT_LE(3, no_memory);
}

/* --- the module -------------------------------------------------------------------- */

FIXTURE(nomem_module) {
	struct module as_it_was;
	int fail_nth;
};

FIXTURE_SETUP(nomem_module)
{
	module_take(_metadata, &self->as_it_was);
	self->fail_nth = injection_begin(_metadata);
}

FIXTURE_TEARDOWN(nomem_module)
{
	injection_end(self->fail_nth);
	module_give_back(_metadata, &self->as_it_was);
}

/* How many things could have failed while the module was loaded; @ret: how that went. */
static unsigned int count_faults(int fd, const struct module *module, const char *parameters,
				 int *ret)
{
	const unsigned int many = 1000000;
	char text[16] = "";

	arm(fd, many);
	*ret = module_load_with(module, parameters);
	pread(fd, text, sizeof(text) - 1, 0);
	disarm(fd);
	return many - atoi(text);
}

#define LOADS	60	/* at most: each takes the debug kernel a while */

/*
 * The kernel's own part of loading ends with the parameters, which are what fails first
 * in it without a stack in the log. What comes after is the kernel's sysfs, and vee.
 */
TEST_F_TIMEOUT(nomem_module, load, 250)
{
	const struct module *m = &self->as_it_was;
	unsigned int n, first, last, step, no_memory = 0;
	int ret;

	ASSERT_EQ(0, module_unload());
	first = count_faults(self->fail_nth, m, "slice_us=many", &ret);
	ASSERT_EQ(-EINVAL, ret);
	last = count_faults(self->fail_nth, m, m->parameters, &ret);
	ASSERT_EQ(0, ret);
	ASSERT_LT(first, last);
	step = 1 + (last - first) / LOADS;
	for (n = first + 1; n <= last; n += step) {
		ASSERT_EQ(0, module_unload()) TH_LOG("fault %u", n);
		arm(self->fail_nth, n);
		ret = module_load(m);
		disarm(self->fail_nth);
		if (!ret)
			continue;
		no_memory++;
		EXPECT_EQ(-ENOMEM, ret) TH_LOG("fault %u: %s", n, strerror(-ret));
		EXPECT_EQ(-1, module_users());
		EXPECT_EQ(-1, access("/dev/vee", F_OK));
		ASSERT_EQ(0, module_load(m)) TH_LOG("fault %u", n);
	}
	EXPECT_LT(0, no_memory) TH_LOG("faults %u to %u", first + 1, last);
}

TEST_HARNESS_MAIN
