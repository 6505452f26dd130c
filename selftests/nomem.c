// SPDX-License-Identifier: GPL-2.0-only
/*
 * No memory, and arguments that can't be copied: each allocation and each copy that a
 * request makes fails in turn, by the kernel's fault injection (/proc/self/fail-nth).
 *
 * With VEE_FAULTS in the environment (make faults) it takes longer: each request three times,
 * first touches of all kinds, loading the module more often; and says how much failed.
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
#define LONG_SWEEPS	3	/* at least, where time is no matter */

#define MAP_GPA		0x10000000ULL
#define TEMPLATE_GPA	0x20000000ULL
#define MARK_GPA	(GPA_DATA + PAGE_BYTES)
#define PORT		0x50
#define OTHER_PORT	0x58
#define MSI_ADDRESS	0xfee00000ULL
#define FIRST_VECTOR	0x30
#define VECTORS		0x80
#define APIC_TPR	0x80
#define APIC_SVR	0xf0
#define APIC_ENABLED	0x1ff
#define APIC_IRR	0x200
#define FIELD_SYSENTER_ESP	0x6824

/* vCPUs beside the first. */
#define SECOND_ID	1
#define THIRD_ID	2

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
static int apic_vcpu;
static struct guest other;	/* another vCPU of the same VM */
static unsigned int tries;

/* For what is to be there before, and may be. */
static int or_there(int ret)
{
	return ret == -EEXIST ? 0 : ret;
}

static int map_call(struct guest *g)
{
	return vm_map(g->vm, MAP_GPA, g->mem, PAGE_BYTES, VEE_READ);
}

static int map_undo(struct guest *g, int ret)
{
	return vm_unmap(g->vm, MAP_GPA, PAGE_BYTES);
}

static int unmap_setup(struct guest *g)
{
	return or_there(map_call(g));
}

static int unmap_call(struct guest *g)
{
	return vm_unmap(g->vm, MAP_GPA, PAGE_BYTES);
}

static bool map_there(struct guest *g)
{
	return map_call(g) == -EEXIST;
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

static void *own_page;	/* of the caller's, to be a vCPU page */

static int vcpu_call(struct guest *g)
{
	return vcpu_create(g->vm, SECOND_ID);
}

static int vcpu_page_call(struct guest *g)
{
	struct vee_vcpu_create create = {
		.size = sizeof(create),
		.id = SECOND_ID,
		.page = (unsigned long)own_page,
	};

	return vee_call(g->vm, VEE_VM_CREATE_VCPU, &create);
}

/* @vcpu runs, even where it has to do without something. */
static int runs_once(struct guest *g, int vcpu, struct vee_vcpu_page *page)
{
	struct guest second = *g;

	second.vcpu = vcpu;
	second.page = page;
	GUEST_LONG(&second, halt);
	return guest_run(&second) || page->exit.reason != VEE_EXIT_HLT;
}

static int vcpu_undo(struct guest *g, int ret)
{
	struct vee_vcpu_page *page = vcpu_page(ret);
	int err = page == MAP_FAILED || runs_once(g, ret, page);

	munmap(page, VEE_VCPU_PAGE_BYTES);
	return close(ret) ?: err;
}

static int vcpu_page_undo(struct guest *g, int ret)
{
	int err = runs_once(g, ret, own_page);

	return close(ret) ?: err;
}

/* A run that is to tell of CR8 takes a page the first time. */
static int tpr_setup(struct guest *g)
{
	if (!other.page) {
		other = *g;
		other.borrowed = true;
		other.vcpu = vcpu_create(g->vm, THIRD_ID);
		other.page = vcpu_page(other.vcpu);
		if (other.page == MAP_FAILED)
			return -errno;
	}
	GUEST_LONG(&other, halt);
	other.page->tpr_threshold = 15;
	return 0;
}

static int tpr_call(struct guest *g)
{
	return guest_run_once(&other);
}

static int tpr_undo(struct guest *g, int ret)
{
	int err = other.page->exit.reason != VEE_EXIT_TPR;

	guest_close(&other);
	other.page = NULL;
	return err;
}

static int coalesce_at(struct guest *g, __u64 port, __u32 remove)
{
	struct vee_coalesce arg = {
		.size = sizeof(arg),
		.first = port,
		.bytes = 1,
		.remove = remove,
	};

	return vee_call(g->vm, VEE_VM_COALESCE, &arg);
}

static int coalesce(struct guest *g, __u32 remove)
{
	return coalesce_at(g, PORT, remove);
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

/* And a second watch, so that there is a table to make without the first. */
static int coalesce_setup(struct guest *g)
{
	return or_there(coalesce(g, 0)) ?: or_there(coalesce_at(g, OTHER_PORT, 0));
}

static bool coalesce_there(struct guest *g)
{
	return coalesce(g, 0) == -EEXIST;
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

static int doorbell_setup(struct guest *g)
{
	return or_there(doorbell(g, 0));
}

static int doorbell_remove_call(struct guest *g)
{
	return doorbell(g, 1);
}

static bool doorbell_there(struct guest *g)
{
	return doorbell(g, 0) == -EEXIST;
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
#define LEGACY_BYTES	576U	/* with the header; AVX is behind it */

/* x87, and AVX if the CPU has that: an area that is copied to memory of its own. */
static unsigned char components(void)
{
	return 1 | (xsave_bytes > LEGACY_BYTES ? 4 : 0);
}

static int xsave_call(struct guest *g)
{
	memcpy(new_xsave, old_xsave, sizeof(old_xsave));
	new_xsave[XSAVE_ST0] ^= 1;
	new_xsave[XSTATE_BV] |= components();
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
	new_xsave[XSTATE_BV] |= components();
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

/* --- requests that allocate nothing ------------------------------------------------ */

static int info_call(struct guest *g)
{
	return vee_info(g->dev).size ? 0 : -errno;
}

static int halt_setup(struct guest *g)
{
	GUEST_LONG(g, halt);
	return 0;
}

static bool halts(struct guest *g)
{
	halt_setup(g);
	return !guest_run(g) && g->page->exit.reason == VEE_EXIT_HLT;
}

static struct vee_step short_run;

static int each_call(struct guest *g)
{
	struct vee_run_each arg = {
		.size = sizeof(arg), .count = 1, .steps = (unsigned long)&short_run,
	};

	short_run = (struct vee_step) { .vcpu = g->vcpu, .budget_us = 1000 };
	return vee_call(g->dev, VEE_RUN_EACH, &arg);
}

static bool each_not_begun(struct guest *g)
{
	return !short_run.result;
}

/* One that is paused goes on with what the page says now. */
static int each_undo(struct guest *g, int ret)
{
	return short_run.result <= 0 && short_run.result != -EINPROGRESS &&
	       short_run.result != -EAGAIN ? short_run.result ?: -EPROTO : !halts(g);
}

static int kick_call(struct guest *g)
{
	return vcpu_kick(g->vcpu, g->page->generation);
}

static int kick_undo(struct guest *g, int ret)
{
	return guest_run(g) || g->page->exit.reason != VEE_EXIT_KICKED;
}

static int inject_call(struct guest *g)
{
	return vcpu_inject(g->vcpu, VEE_EVENT_INTERRUPT, FIRST_VECTOR);
}

static int sync_call(struct guest *g)
{
	return vcpu_sync(g->vcpu, VEE_STATE_SEGMENTS);
}

static int translate_call(struct guest *g)
{
	struct vee_translate arg = { .size = sizeof(arg), .gva = GPA_CODE };
	int ret = vee_call(g->vcpu, VEE_VCPU_TRANSLATE, &arg);

	return !ret && arg.gpa != GPA_CODE ? -EPROTO : ret;
}

static int get_cpuid_call(struct guest *g)
{
	unsigned int count = cpuid_count;
	int ret = cpuid(g, VEE_VCPU_GET_CPUID, new_cpuid, VEE_MAX_CPUID);

	cpuid_count = count;
	return ret;
}

static int get_xsave_call(struct guest *g)
{
	return xsave(g, VEE_VCPU_GET_XSAVE, new_xsave);
}

static __u64 old_field;

static int field_read_call(struct guest *g)
{
	__u64 value;
	int ret = vmcs_read(g->vcpu, FIELD_SYSENTER_ESP, &value);

	return !ret && value != old_field ? -EPROTO : ret;
}

static int field_write_call(struct guest *g)
{
	return vmcs_write(g->vcpu, FIELD_SYSENTER_ESP, old_field ^ 1);
}

static bool field_kept(struct guest *g)
{
	return !field_read_call(g);
}

static int field_undo(struct guest *g, int ret)
{
	return vmcs_write(g->vcpu, FIELD_SYSENTER_ESP, old_field);
}

static int stats_call(struct guest *g)
{
	struct vee_stats arg = { .size = sizeof(arg) };
	int ret = vee_call(g->vcpu, VEE_VCPU_STATS, &arg);

	return !ret && !arg.entries ? -EPROTO : ret;
}

/* --- a local APIC -------------------------------------------------------------------- */

static int apic(__u32 flags, __u32 offset, __u32 *value)
{
	struct vee_apic_access arg = {
		.size = sizeof(arg), .flags = flags, .offset = offset, .value = *value,
	};
	int ret = vee_call(apic_vcpu, VEE_VCPU_APIC, &arg);

	*value = arg.value;
	return ret;
}

/* Or it takes no interrupts. */
static int apic_enable(void)
{
	__u32 value = APIC_ENABLED;

	return apic(VEE_APIC_WRITE, APIC_SVR, &value);
}

static int apic_read_call(struct guest *g)
{
	__u32 value = 0;

	return apic(0, APIC_TPR, &value);
}

static int apic_write_call(struct guest *g)
{
	__u32 value = 0x20;

	return apic(VEE_APIC_WRITE, APIC_TPR, &value);
}

static bool apic_kept(struct guest *g)
{
	__u32 value = 0;

	return !apic(0, APIC_TPR, &value) && !value;
}

static int apic_undo(struct guest *g, int ret)
{
	__u32 value = 0;

	return apic(VEE_APIC_WRITE, APIC_TPR, &value);
}

/* Another vector each time: what was sent is not taken back. */
static unsigned int vector_sent(void)
{
	return FIRST_VECTOR + tries % VECTORS;
}

static int signal_call(struct guest *g)
{
	struct vee_signal arg = {
		.size = sizeof(arg), .address = MSI_ADDRESS, .data = vector_sent(),
	};

	return vee_call(apic_vm, VEE_VM_SIGNAL, &arg);
}

static bool signal_waits(void)
{
	__u32 word = 0;

	apic(0, APIC_IRR + vector_sent() / 32 * 0x10, &word);
	return word & 1U << vector_sent() % 32;
}

static bool signal_not_sent(struct guest *g)
{
	return !signal_waits();
}

static int signal_undo(struct guest *g, int ret)
{
	return !signal_waits();
}

/* --- ranges and templates ------------------------------------------------------------- */

static int dirty_stop_setup(struct guest *g)
{
	return or_there(dirty(g, VEE_DIRTY_START, 0));
}

static int dirty_stop_call(struct guest *g)
{
	return dirty(g, VEE_DIRTY_STOP, 0);
}

static bool dirty_there(struct guest *g)
{
	return dirty(g, VEE_DIRTY_START, 0) == -EEXIST;
}

static int dirty_mark_call(struct guest *g)
{
	return dirty(g, VEE_DIRTY_MARK, MARK_GPA);
}

static bool not_marked(struct guest *g)
{
	return !dirty(g, VEE_DIRTY_FETCH, MARK_GPA);
}

static int dirty_mark_undo(struct guest *g, int ret)
{
	return dirty(g, VEE_DIRTY_FETCH, MARK_GPA) != 1;
}

static int template_reset_call(struct guest *g)
{
	return template(g, VEE_TEMPLATE_RESET, 0);
}

static int template_fetch_call(struct guest *g)
{
	__u64 page = 0;
	struct vee_template arg = {
		.size = sizeof(arg),
		.operation = VEE_TEMPLATE_FETCH,
		.gpa = TEMPLATE_GPA,
		.pages = (unsigned long)&page,
		.room = 1,
	};
	int ret = vee_call(g->vm, VEE_VM_TEMPLATE, &arg);

	return ret < 0 || (ret == 1 && page == TEMPLATE_GPA) ? ret : -EPROTO;
}

static int bind_setup(struct guest *g)
{
	return or_there(bind_bell(0));
}

static int bind_remove_call(struct guest *g)
{
	return bind_bell(1);
}

static bool bind_there(struct guest *g)
{
	return bind_bell(0) == -EEXIST;
}

/* --- the table -------------------------------------------------------------------------- */

/**
 * struct row - what is to fail
 * @request: its number; 0: it is no request
 * @setup: before each time, with nothing that fails: 0, or else
 * @call: the request: 0 or more, or -errno
 * @undo: takes back what was done, if @call has not failed: 0, or else
 * @kept: is all as it was, after a failure? Without it, to make the request again will tell
 * @in_part: a part is done when its answer can't be told, and the next finds it done
 * @no_copy: it copies nothing from or to the caller
 * @no_memory: it allocates nothing
 */
struct row {
	const char *name;
	unsigned long request;
	int (*setup)(struct guest *g);
	int (*call)(struct guest *g);
	int (*undo)(struct guest *g, int ret);
	bool (*kept)(struct guest *g);
	bool in_part;
	bool no_copy;
	bool no_memory;
};

#define CALL_UNDO(request, name, ...)	\
	{ #name, request, .call = name##_call, .undo = name##_undo, ##__VA_ARGS__ }
#define CALL(request, name, ...)	\
	{ #name, request, .call = name##_call, ##__VA_ARGS__ }

static const struct row rows[] = {
	CALL(VEE_GET_INFO, info, .no_memory = true),
	CALL(VEE_VM_CREATE, create, .undo = close_undo),
	CALL(VEE_VM_CREATE, create_apic, .undo = close_undo),
	CALL_UNDO(VEE_RUN_EACH, each, .setup = halt_setup, .kept = each_not_begun,
		  .no_memory = true),
	CALL_UNDO(VEE_VM_MAP, map),
	CALL(VEE_VM_MAP, template_map, .undo = map_undo),
	CALL(VEE_VM_UNMAP, unmap, .setup = unmap_setup, .kept = map_there, .no_memory = true),
	CALL_UNDO(VEE_VM_CREATE_VCPU, vcpu),
	CALL_UNDO(VEE_VM_CREATE_VCPU, vcpu_page),
	CALL_UNDO(VEE_VM_COALESCE, coalesce),
	{ "coalesce_no_more", VEE_VM_COALESCE, coalesce_setup, coalesce_undo_call,
	  .kept = coalesce_there },
	CALL_UNDO(VEE_VM_DOORBELL, doorbell),
	CALL(VEE_VM_DOORBELL, doorbell_remove, .setup = doorbell_setup, .kept = doorbell_there),
	CALL_UNDO(VEE_VM_SIGNAL, signal, .kept = signal_not_sent, .no_memory = true),
	CALL_UNDO(VEE_VM_BIND, bind),
	CALL(VEE_VM_BIND, bind_remove, .setup = bind_setup, .kept = bind_there,
	     .no_memory = true),
	CALL_UNDO(VEE_VM_DIRTY, dirty_start),
	CALL(VEE_VM_DIRTY, dirty_stop, .setup = dirty_stop_setup, .kept = dirty_there,
	     .no_memory = true),
	CALL_UNDO(VEE_VM_DIRTY, dirty_mark, .kept = not_marked, .no_memory = true),
	CALL_UNDO(VEE_VM_DIRTY, dirty_fetch),
	CALL(VEE_VM_DIRTY, dirty_bitmap, .undo = dirty_fetch_undo),
	CALL_UNDO(VEE_VM_TEMPLATE, template_copy, .in_part = true),
	CALL(VEE_VM_TEMPLATE, template_reset, .setup = template_copy_call, .no_memory = true),
	CALL(VEE_VM_TEMPLATE, template_fetch, .setup = template_copy_call, .no_memory = true),
	CALL_UNDO(VEE_VCPU_RUN, tpr, .setup = tpr_setup, .no_copy = true),
	CALL_UNDO(VEE_VCPU_KICK, kick, .kept = halts, .no_memory = true),
	CALL(VEE_VCPU_INJECT, inject, .undo = load_undo, .kept = state_kept, .no_memory = true),
	CALL(VEE_VCPU_SYNC, sync, .no_memory = true),
	CALL(VEE_VCPU_TRANSLATE, translate, .no_memory = true),
	CALL(VEE_VCPU_GET_CPUID, get_cpuid, .no_memory = true),
	CALL_UNDO(VEE_VCPU_SET_CPUID, cpuid, .kept = cpuid_kept),
	CALL(VEE_VCPU_GET_XSAVE, get_xsave, .no_memory = true),
	CALL_UNDO(VEE_VCPU_SET_XSAVE, xsave, .kept = xsave_kept),
	CALL(VEE_VCPU_VMCS_READ, field_read, .no_memory = true),
	CALL(VEE_VCPU_VMCS_WRITE, field_write, .undo = field_undo, .kept = field_kept,
	     .no_memory = true),
	CALL(VEE_VCPU_VMCS_SNAPSHOT, snapshot),
	CALL(VEE_VCPU_STATS, stats, .no_memory = true),
	CALL(VEE_VCPU_APIC, apic_read, .no_memory = true),
	CALL(VEE_VCPU_APIC, apic_write, .undo = apic_undo, .kept = apic_kept, .no_memory = true),
	CALL(VEE_VCPU_SAVE, save, .kept = state_kept, .no_memory = true),
	CALL_UNDO(VEE_VCPU_LOAD, load, .kept = state_kept),
	/* mmap(2) */
	CALL_UNDO(0, page, .no_copy = true),
	CALL_UNDO(0, ring, .no_copy = true),
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
	apic_vcpu = vcpu_create(apic_vm, 0);
	ASSERT_LE(0, apic_vcpu);
	ASSERT_EQ(0, apic_enable());
	own_page = anon_memory(PAGE_BYTES);
	ASSERT_NE(MAP_FAILED, own_page);
	ASSERT_EQ(0, cpuid(g, VEE_VCPU_GET_CPUID, old_cpuid, VEE_MAX_CPUID));
	ASSERT_EQ(0, dirty(g, VEE_DIRTY_START, GPA_DATA) ?: dirty(g, VEE_DIRTY_MARK, GPA_DATA));
	ASSERT_EQ(0, dirty(g, VEE_DIRTY_START, MARK_GPA));
	ASSERT_EQ(0, vmcs_read(g->vcpu, FIELD_SYSENTER_ESP, &old_field));
	ASSERT_EQ(0, template_map_at(g, TEMPLATE_GPA));
	xsave_bytes = vee_info(g->dev).xsave_bytes;
	ASSERT_EQ(0, xsave(g, VEE_VCPU_GET_XSAVE, old_xsave));
	ASSERT_EQ(0, save(g, &old_state, old_xsave));
	ASSERT_EQ(0, mlockall(MCL_CURRENT));
	return injection_begin(_metadata);
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
	if (other.page)
		guest_close(&other);
	close(apic_vcpu);
	close(apic_vm);
	close(bell_fd);
	guest_close(&self->g);
}

static bool in_full(void)
{
	return getenv("VEE_FAULTS");
}

/* How often there was what. */
struct tally {
	unsigned int faults;
	unsigned int no_memory;
	unsigned int no_copy;
};

/* What a VM has: its slots, vCPUs, tables. Sums, for something that differs. */
static void read_vm(const struct guest *g, char *text, size_t bytes)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", g->vm);
	memset(text, 0, bytes);
	read_text(path, text, bytes);
}

/* One that has failed, with @ret, has left all as it was. */
static void expect_undone(struct __test_metadata *_metadata, struct guest *g,
			  const struct row *row, int ret, const char *vm_before)
{
	bool memory = ret == -ENOMEM && !row->no_memory, copy = ret == -EFAULT && !row->no_copy;
	char vm_after[512];

	EXPECT_TRUE(memory || copy)
		TH_LOG("%s, fault in try %u: %s", row->name, tries, strerror(-ret));
	EXPECT_TRUE(!row->kept || row->kept(g)) TH_LOG("%s, try %u", row->name, tries);
	if (row->in_part)
		return;
	read_vm(g, vm_after, sizeof(vm_after));
	EXPECT_STREQ(vm_before, vm_after) TH_LOG("%s, try %u", row->name, tries);
}

/* All that can fail does, one after the other, until nothing is left to fail. */
static void sweep(struct __test_metadata *_metadata, struct guest *g, int fail_nth,
		  const struct row *row, struct tally *tally)
{
	bool injected = true;
	char vm_before[512];
	unsigned int n;
	int ret = 0;

	for (n = 1; injected && n < MOST_FAULTS; n++, tries++) {
		if (row->setup)
			ASSERT_EQ(0, row->setup(g)) TH_LOG("%s, set-up", row->name);
		read_vm(g, vm_before, sizeof(vm_before));
		arm(fail_nth, n);
		ret = row->call(g);
		injected = disarm(fail_nth);
		tally->faults += injected;
		tally->no_memory += ret == -ENOMEM;
		tally->no_copy += ret == -EFAULT;
		if (ret < 0)
			expect_undone(_metadata, g, row, ret, vm_before);
		else if (row->undo)
			EXPECT_EQ(0, row->undo(g, ret)) TH_LOG("%s, fault %u", row->name, n);
	}
	EXPECT_FALSE(injected) TH_LOG("%s", row->name);
	EXPECT_LE(0, ret) TH_LOG("%s: %s", row->name, strerror(-ret));
}

static void sweep_row(struct __test_metadata *_metadata, struct guest *g, int fail_nth,
		      const struct row *row)
{
	bool may_copy = !row->no_copy && !access(INJECTORS "fail_usercopy", F_OK);
	struct tally tally = { 0 };
	unsigned int i;

	for (i = 0; i < SWEEPS; i++) {
		sweep(_metadata, g, fail_nth, row, &tally);
		if ((tally.no_memory || row->no_memory) && (tally.no_copy || !may_copy) &&
		    (!in_full() || i + 1 >= LONG_SWEEPS))
			break;
	}
	EXPECT_TRUE(tally.no_memory || row->no_memory) TH_LOG("%s", row->name);
	EXPECT_TRUE(tally.no_copy || !may_copy) TH_LOG("%s", row->name);
	if (in_full())
		TH_LOG("%s: %u faults in %u sweeps, %u times no memory, %u no copy", row->name,
		       tally.faults, i + 1, tally.no_memory, tally.no_copy);
}

TEST_F_TIMEOUT(nomem, requests, 900)
{
	struct guest *g = &self->g;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		sweep_row(_metadata, g, self->fail_nth, &rows[i]);
		EXPECT_TRUE(WAIT_FOR(module_users() == self->users + !!other.page))
			TH_LOG("%s", rows[i].name);
	}
	EXPECT_TRUE(halts(g));
	EXPECT_TRUE(state_kept(g));
}

/* What the module knows, and so all that linux/vee.h has, is in the table. */
TEST_F(nomem, table_is_whole)
{
	int vcpu = vcpu_create(self->g.vm, SECOND_ID);
	const int fds[] = { self->g.dev, self->g.vm, vcpu };
	unsigned int i, nr, row, found = 0;

	ASSERT_LE(0, vcpu);
	for (i = 0; i < ARRAY_SIZE(fds); i++) {
		for (nr = 0; nr <= 0xff; nr++) {
			unsigned long request = _IO(VEE_IOCTL, nr);

			/* VEE_VCPU_RUN does: at the reset vector there is nothing. */
			if (vee_call(fds[i], request, NULL) == -ENOTTY)
				continue;
			for (row = 0; row < ARRAY_SIZE(rows); row++)
				if (rows[row].request == request)
					break;
			EXPECT_GT(ARRAY_SIZE(rows), row) TH_LOG("request %#x", nr);
			found++;
		}
	}
	EXPECT_LE(28, found);
	close(vcpu);
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

/**
 * struct touch - how memory is that the guest touches first
 * @lend: lends the VM PAGES_2M of @mem
 * @advice: for madvise(2)
 * @written: where in it the guest's write is afterwards
 * @least: as often there must have been no memory
 */
struct touch {
	const char *name;
	int (*lend)(struct guest *g, void *mem);
	int advice;
	unsigned long written;
	unsigned int least;
};

static int lend_plain(struct guest *g, void *mem)
{
	return vm_map(g->vm, MAP_GPA, mem, PAGES_2M, VEE_RWX);
}

static int lend_recorded(struct guest *g, void *mem)
{
	struct vee_dirty arg = {
		.size = sizeof(arg),
		.operation = VEE_DIRTY_START,
		.gpa = MAP_GPA,
		.bytes = PAGES_2M,
	};

	return lend_plain(g, mem) ?: vee_call(g->vm, VEE_VM_DIRTY, &arg);
}

/* Its first half is the template. */
static int lend_template(struct guest *g, void *mem)
{
	struct vee_map map = {
		.size = sizeof(map),
		.gpa = MAP_GPA,
		.hva = (unsigned long)mem,
		.bytes = PAGES_2M / 2,
		.access = VEE_RWX,
		.pool = (unsigned long)mem + PAGES_2M / 2,
		.pool_bytes = PAGES_2M / 2,
	};

	return vee_call(g->vm, VEE_VM_MAP, &map);
}

static const struct touch touches[] = {
	{ "small pages", lend_plain, MADV_NOHUGEPAGE, 0, 3 },
	{ "a huge page", lend_plain, MADV_HUGEPAGE, 0, 1 },
	{ "pages whose writes are recorded", lend_recorded, MADV_NOHUGEPAGE, 0, 3 },
	{ "a template", lend_template, MADV_NOHUGEPAGE, PAGES_2M / 2, 1 },
};

/* Nobody has touched it, guest or caller: pages and tables are all to be allocated. */
static void *fresh_memory(int advice)
{
	void *at = mmap(NULL, 2 * PAGES_2M, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	void *mem = (void *)(((unsigned long)at + PAGES_2M - 1) & -PAGES_2M);

	if (at == MAP_FAILED)
		return at;
	mprotect(mem, PAGES_2M, PROT_READ | PROT_WRITE | PROT_EXEC);
	munmap(at, mem - at);
	munmap(mem + PAGES_2M, PAGES_2M - (mem - at));
	madvise(mem, PAGES_2M, advice);
	return mem;
}

static unsigned int touch_sweep(struct __test_metadata *_metadata, struct guest *g,
				int fail_nth, const struct touch *t)
{
	const struct vee_exit *exit = &g->page->exit;
	unsigned int n, no_memory = 0;
	bool injected = true;

	for (n = 1; injected && n < MOST_FAULTS; n++) {
		unsigned char *mem = fresh_memory(t->advice);
		int ret;

		ASSERT_NE(MAP_FAILED, mem);
		ASSERT_EQ(0, t->lend(g, mem));
		GUEST_LONG(g, touch);
		g->page->regs.rbx = MAP_GPA;
		arm(fail_nth, n);
		ret = guest_run_once(g);
		injected = disarm(fail_nth);
		ASSERT_EQ(0, ret) TH_LOG("%s, fault %u: %s", t->name, n, strerror(-ret));
		if (exit->reason == VEE_EXIT_MEMORY) {
			no_memory++;
			EXPECT_TRUE(injected);
			EXPECT_EQ(-ENOMEM, exit->memory.error) TH_LOG("%s, fault %u", t->name, n);
			EXPECT_EQ(MAP_GPA, exit->memory.gpa);
			/* There is some again: the guest is none the wiser. */
			ASSERT_RUN(g, VEE_EXIT_HLT);
		}
		EXPECT_EQ(VEE_EXIT_HLT, exit->reason) TH_LOG("%s, fault %u", t->name, n);
		EXPECT_EQ(1, *(__u32 *)(mem + t->written)) TH_LOG("%s", t->name);
		ASSERT_EQ(0, vm_unmap(g->vm, MAP_GPA,
				      t->written ? PAGES_2M / 2 : PAGES_2M));
		munmap(mem, PAGES_2M);
	}
	EXPECT_FALSE(injected);
	return no_memory;
}

/* The caller's page, and the EPT's tables. */
TEST_F_TIMEOUT(nomem, first_touch, 300)
{
	unsigned int i, kind, no_memory;

	for (kind = 0; kind < (in_full() ? ARRAY_SIZE(touches) : 1); kind++) {
		const struct touch *t = &touches[kind];

		no_memory = 0;
		for (i = 0; i < SWEEPS && no_memory < t->least; i++)
			no_memory = touch_sweep(_metadata, &self->g, self->fail_nth, t);
		EXPECT_LE(t->least, no_memory) TH_LOG("%s", t->name);
		if (in_full())
			TH_LOG("first touch of %s: %u times no memory", t->name, no_memory);
	}
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

#define LOADS		60	/* at most: each takes the debug kernel a while */
#define LOADS_IN_FULL	240

/*
 * The kernel's own part of loading ends with the parameters, which are what fails first
 * in it without a stack in the log. What comes after is the kernel's sysfs, and vee.
 */
TEST_F_TIMEOUT(nomem_module, load, 1500)
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
	step = 1 + (last - first) / (in_full() ? LOADS_IN_FULL : LOADS);
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
	if (in_full())
		TH_LOG("loading: %u faults, %u times no memory", last - first, no_memory);
}

TEST_HARNESS_MAIN
