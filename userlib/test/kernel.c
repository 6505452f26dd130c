// SPDX-License-Identifier: LGPL-2.1-or-later
/* The frame of the tests, and a stand-in for /dev/vee (ld's --wrap). */
#include <fcntl.h>
#include <liburing.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <unistd.h>

#include "calls.h"
#include "test.h"
#include "vmx/fields.h"

/* --- the frame --- */

#define MAX_SHOWN	10	/* per test */

static bool failed;
static int failures_shown;
static const char *why_skipped;
char test_case_name[200];

bool test_check(bool good, const char *what, const char *file, int line)
{
	if (good)
		return true;
	if (++failures_shown <= MAX_SHOWN)
		printf("# %s:%d: %s; %s\n", file, line, what, test_case_name);
	failed = true;
	return false;
}

bool test_equal(uint64_t a, uint64_t b, const char *what, const char *file,
		int line)
{
	if (test_check(a == b, what, file, line))
		return true;
	if (failures_shown <= MAX_SHOWN)
		printf("#   %#llx, not %#llx\n", (unsigned long long)a,
		       (unsigned long long)b);
	return false;
}

void test_skip(const char *why)
{
	why_skipped = why;
}

int main(void)
{
	int count = 0, failures = 0;

	while (tests[count].name)
		count++;
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("KTAP version 1\n1..%d\n", count);
	for (int i = 0; i < count; i++) {
		failed = false;
		failures_shown = 0;
		why_skipped = NULL;
		*test_case_name = 0;
		memset(&fake, 0, sizeof(fake));
		tests[i].run();
		failures += failed;
		printf("%sok %d %s%s%s\n", failed ? "not " : "", i + 1, tests[i].name,
		       why_skipped ? " # SKIP " : "", why_skipped ? why_skipped : "");
	}
	printf("# passed: %d, failed: %d\n", count - failures, failures);
	return failures != 0;
}

uint64_t test_random(void)
{
	static uint64_t state = 0x9e3779b97f4a7c15ULL;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

/* --- the kernel --- */

#define MAX_MAPS	VEE_MAX_SLOTS
#define GPA_BITS	40
#define LINEAR_BITS	48
#define VMX_BASIC	(6ULL << 50 | PAGE_BYTES << 32)	/* write-back; a VMCS's bytes */
#define ANY_CONTROL	(~0ULL << 32)	/* may be 0, may be 1 */

struct fake_kernel fake;
static struct vee_map maps[MAX_MAPS];
static struct vee_vcpu_page *page;	/* of the vCPU that is asked for something */
static struct vee_vcpu_page *pages[1 << 16];	/* by the vCPUs' descriptors */

static int new_fd(size_t bytes)
{
	int fd = __real_memfd_create("vee", MFD_CLOEXEC);

	if (fd >= 0 && __real_ftruncate(fd, bytes))
		abort();
	return fd;
}

int __wrap_open(const char *path, int flags, ...)
{
	if (strcmp(path, "/dev/vee"))
		return __real_open(path, flags, 0);
	errno = fake.open_error;
	return errno ? -1 : new_fd(0);
}

static bool fails(void)
{
	if (!fake.fail_allocation || --fake.fail_allocation)
		return false;
	errno = ENOMEM;
	return true;
}

void *__wrap_malloc(size_t bytes)
{
	return fails() ? NULL : __real_malloc(bytes);
}

void *__wrap_calloc(size_t count, size_t bytes)
{
	return fails() ? NULL : __real_calloc(count, bytes);
}

void *__wrap_aligned_alloc(size_t alignment, size_t bytes)
{
	return fails() ? NULL : __real_aligned_alloc(alignment, bytes);
}

void *__wrap_realloc(void *old, size_t bytes)
{
	return fails() ? NULL : __real_realloc(old, bytes);
}

unsigned int fail_each_allocation(int (*call)(void))
{
	unsigned int count = 0;
	bool failed;
	int ret;

	do {
		fake.fail_allocation = ++count;
		ret = call();
		failed = !fake.fail_allocation;
		fake.fail_allocation = 0;
		test_case("allocation %u", count);
		CHECK(failed ? ret == -ENOMEM : ret >= 0);
	} while (failed);
	return count - 1;
}

unsigned int fail_each_request(int error, int (*call)(void))
{
	unsigned int count = 0;
	bool failed;
	int ret;

	fake.request_error = error;
	do {
		fake.fail_request = ++count;
		ret = call();
		failed = !fake.fail_request;
		fake.fail_request = 0;
		test_case("request %u", count);
		if (failed)
			CHECK_EQUAL(ret, error);
		else
			CHECK(ret >= 0);
	} while (failed);
	*test_case_name = 0;
	return count - 1;
}

static unsigned int held_request, held_allocation;

void failures_hold(void)
{
	held_request = fake.fail_request;
	held_allocation = fake.fail_allocation;
	fake.fail_request = 0;
	fake.fail_allocation = 0;
	hold_calls(true);
}

void failures_go_on(void)
{
	fake.fail_request = held_request;
	fake.fail_allocation = held_allocation;
	hold_calls(false);
}

int __wrap_io_uring_submit(struct io_uring *uring)
{
	return fake.submits_nothing ? 0 : __real_io_uring_submit(uring);
}

static struct vee_run_each *each_of(const struct io_uring_sqe *sqe)
{
	struct vee_uring_cmd cmd;

	memcpy(&cmd, sqe->cmd, sizeof(cmd));
	return sqe->cmd_op == VEE_RUN_EACH ? (void *)(uintptr_t)cmd.arg : NULL;
}

/* What comes last is a batch; the kernel at hand knows no such request. */
int __wrap_io_uring_submit_and_get_events(struct io_uring *uring)
{
	unsigned int last = (uring->sq.sqe_tail - 1) & uring->sq.ring_mask;
	struct vee_run_each *each = each_of(&uring->sq.sqes[last]);
	int ret;

	for (uint32_t i = 0; fake.results && each && i < each->count; i++) {
		struct vee_step *step = (struct vee_step *)(uintptr_t)each->steps + i;

		if (step->vcpu >= 0)
			step->result = *fake.results++;
	}
	ret = __real_io_uring_submit_and_get_events(uring);
	if (each && fake.batch_begun)
		fake.batch_begun(uring);
	return ret;
}

static int get_info(struct vee_info *info)
{
	info->api_version = fake.api_version ? fake.api_version : VEE_API_VERSION;
	info->vcpu_page_bytes = VEE_VCPU_PAGE_BYTES;
	info->gpa_bits = GPA_BITS;
	info->tsc_khz = fake.tsc_khz;
	info->xsave_bytes = XSAVE_BYTES;
	info->vmx_basic = VMX_BASIC;
	info->vmx_pin = ANY_CONTROL;
	info->vmx_proc = ANY_CONTROL;
	info->vmx_proc2 = ANY_CONTROL;
	info->vmx_exit = ANY_CONTROL;
	info->vmx_entry = ANY_CONTROL;
	info->vmx_ept_vpid = ~0ULL;
	info->vmx_cr0_fixed1 = ~0ULL;
	info->vmx_cr4_fixed1 = ~0ULL;
	info->phys_bits = GPA_BITS;
	info->linear_bits = LINEAR_BITS;
	return 0;
}

static int add_map(const struct vee_map *map)
{
	if (map->gpa % PAGE_BYTES || map->hva % PAGE_BYTES ||
	    map->bytes % PAGE_BYTES || !map->bytes ||
	    !within(map->gpa, map->bytes, 1ULL << GPA_BITS))
		return -EINVAL;
	for (unsigned int i = 0; i < fake.map_count; i++)
		if (map->gpa < maps[i].gpa + maps[i].bytes &&
		    maps[i].gpa < map->gpa + map->bytes)
			return -EEXIST;
	if (fake.map_count == MAX_MAPS)
		return -ENOSPC;
	if (map->pool_bytes && fake.no_templates)
		return -E2BIG;
	copies_forget(map);
	maps[fake.map_count++] = *map;
	fake.map = *map;
	return 0;
}

const struct vee_map *fake_map_at(uint64_t gpa)
{
	for (unsigned int i = 0; i < fake.map_count; i++)
		if (gpa - maps[i].gpa < maps[i].bytes)
			return &maps[i];
	return NULL;
}

static int remove_map(const struct vee_unmap *unmap)
{
	for (unsigned int i = 0; i < fake.map_count; i++)
		if (unmap->gpa == maps[i].gpa && unmap->bytes == maps[i].bytes) {
			copies_forget(&maps[i]);
			maps[i] = maps[--fake.map_count];
			return 0;
		}
	return -ENOENT;
}

static int create_vcpu(const struct vee_vcpu_create *create)
{
	int fd;

	if (!create->page || create->page % VEE_VCPU_PAGE_BYTES)
		return -EINVAL;
	fd = new_fd(0);
	if (fd < 0 || fd >= (int)(sizeof(pages) / sizeof(*pages)))
		abort();
	page = (void *)(uintptr_t)create->page;
	pages[fd] = page;
	memset(page, 0, VEE_VCPU_PAGE_BYTES);
	page->size = sizeof(*page);
	page->prefetch = VEE_STATE_REGS | VEE_PREFETCH_INSN;
	page->valid = VEE_STATE_ALL;
	page->regs.rflags = RFLAGS_1;
	page->control.xcr0 = 1;
	return fd;
}

static int sync_groups(const struct vee_sync *sync)
{
	fake.syncs++;
	page->valid |= sync->groups;
	return 0;
}

#define VMCS_FIELD(name, encoding, width, group, description) encoding,
static const uint32_t encodings[] = VMCS_FIELDS;
#undef VMCS_FIELD

static int take_snapshot(struct vee_vmcs_snapshot *snapshot)
{
	struct vee_vmcs_value *values = (void *)(uintptr_t)snapshot->values;
	unsigned int room = snapshot->count;

	snapshot->count = VMCS_FIELD_COUNT;
	if (room < VMCS_FIELD_COUNT)
		return -E2BIG;
	for (unsigned int i = 0; i < VMCS_FIELD_COUNT; i++)
		values[i] = (struct vee_vmcs_value) {
			.encoding = encodings[i], .value = fake.vmcs_value,
		};
	if (fake.snapshot)
		fake.snapshot(values);
	return 0;
}

static int translate(struct vee_translate *at)
{
	fake.translations++;
	for (int i = 0; i < fake.page_count; i++) {
		const struct fake_page *known = &fake.pages[i];

		if ((at->gva & ~PAGE_OFFSET) != known->gva)
			continue;
		at->gpa = known->gpa + (at->gva & PAGE_OFFSET);
		at->access = known->access;
		at->user = known->user;
		return 0;
	}
	if (!fake.identity)
		return -ENOENT;
	at->gpa = at->gva;
	at->access = VEE_READ | VEE_WRITE | VEE_EXECUTE;
	return 0;
}

unsigned int __wrap_xsave_offset(unsigned int component)
{
	static const unsigned int offsets[] = {
		[2] = XSAVE_YMM, [5] = XSAVE_MASKS, [6] = XSAVE_ZMM_HIGH, [7] = XSAVE_HIGH_ZMM,
		[9] = XSAVE_PKRU,
	};
	bool avx512 = component >= 5 && component <= 7;

	if (component >= sizeof(offsets) / sizeof(*offsets) || (avx512 && !fake.avx512))
		return 0;
	if (component == 2 && fake.no_avx)
		return 0;
	return offsets[component];
}

static int move_xsave(const struct vee_xsave *xsave, bool set)
{
	void *area = (void *)(uintptr_t)xsave->area;

	if (xsave->bytes != XSAVE_BYTES)
		return -EINVAL;
	if (set)
		memcpy(fake.xsave, area, XSAVE_BYTES);
	else
		memcpy(area, fake.xsave, XSAVE_BYTES);
	return 0;
}

static int move_cpuid(struct vee_cpuid *cpuid, bool set)
{
	void *entries = (void *)(uintptr_t)cpuid->entries;

	if (set) {
		fake.cpuid_count = cpuid->count;
		memcpy(fake.cpuid, entries, cpuid->count * sizeof(*fake.cpuid));
	} else {
		cpuid->count = fake.cpuid_count;
		memcpy(entries, fake.cpuid, cpuid->count * sizeof(*fake.cpuid));
	}
	return 0;
}

static uint32_t all_parts(void)
{
	return VEE_STATE_ALL | VEE_STATE_XSAVE | VEE_STATE_CPUID | VEE_STATE_WISHES |
	       (fake.vm_flags & VEE_VM_LOCAL_APIC ? VEE_STATE_APIC : 0);
}

static int refuse(size_t member)
{
	page->refused = VEE_REFUSED_STATE + member;
	return -EINVAL;
}

/* All groups, which are one behind the other in the page, up to vee_vcpu_page.refused. */
#define GROUPS_BYTES	(offsetof(struct vee_vcpu_page, refused) - \
			 offsetof(struct vee_vcpu_page, regs))

static int save_state(struct vee_vcpu_state *state)
{
	struct vee_cpuid cpuid = { .entries = state->cpuid };
	struct vee_xsave xsave = { .bytes = state->xsave_bytes, .area = state->xsave };

	if (state->skip & ~all_parts())
		return refuse(offsetof(struct vee_vcpu_state, skip));
	if (page->resume == VEE_RESUME_NEXT && !page->exit.instruction_length)
		return -EINVAL;
	if (page->resume == VEE_RESUME_NEXT)
		page->regs.rip += page->exit.instruction_length;
	page->resume = VEE_RESUME_HERE;
	state->parts = all_parts() & ~state->skip;
	state->tsc = ++fake.tsc + page->msrs.tsc_offset;
	memcpy(&state->regs, &page->regs, GROUPS_BYTES);
	memcpy(&state->apic, &page->apic, sizeof(state->apic));
	state->options = page->options;
	if (state->parts & VEE_STATE_CPUID)
		move_cpuid(&cpuid, false);
	state->cpuid_count = cpuid.count;
	return state->parts & VEE_STATE_XSAVE ? move_xsave(&xsave, false) : 0;
}

static int load_state(const struct vee_vcpu_state *state)
{
	struct vee_cpuid cpuid = { .count = state->cpuid_count, .entries = state->cpuid };
	struct vee_xsave xsave = { .bytes = state->xsave_bytes, .area = state->xsave };

	if ((state->parts | state->skip) != all_parts())
		return refuse(offsetof(struct vee_vcpu_state, parts));
	if (state->control.cr8 > 15) {
		page->refused = offsetof(struct vee_vcpu_page, control.cr8);
		return -EINVAL;
	}
	memcpy(&page->regs, &state->regs, GROUPS_BYTES);
	memcpy(&page->apic, &state->apic, sizeof(state->apic));
	page->resume = VEE_RESUME_HERE;
	page->inject = (struct vee_event) { 0 };
	page->dirty = 0;
	page->exit.reason = VEE_EXIT_NONE;
	if (!(state->skip & VEE_STATE_WISHES))
		page->options = state->options;
	if (!(state->skip & VEE_STATE_CPUID))
		move_cpuid(&cpuid, true);
	return state->skip & VEE_STATE_XSAVE ? 0 : move_xsave(&xsave, true);
}

static int create_vm(const struct vee_vm_create *create)
{
	fake.vm_flags = create->flags;
	fake.map_count = 0;		/* it knows one VM at a time: the last */
	return new_fd(VEE_POST_RING_BYTES);
}

static int access_apic(struct vee_apic_access *access)
{
	uint32_t *reg = &fake.apic[access->offset / 16];

	if (access->offset % 16 || access->offset >= PAGE_BYTES)
		return -EINVAL;
	fake.apic_offset = access->offset;
	if (access->flags & VEE_APIC_WRITE) {
		fake.apic_writes++;
		*reg = access->value;
	} else {
		fake.apic_reads++;
		access->value = *reg;
	}
	return 0;
}

static int run_vcpu(void)
{
	int err = fake.run_error;

	fake.runs++;
	fake.run_error = 0;
	if (err)
		return err;
	if (fake.exits)
		page->exit = *fake.exits++;
	page->regs.rip = fake.rip;
	page->dirty = 0;
	page->resume = VEE_RESUME_HERE;
	page->inject = (struct vee_event) { 0 };
	if (fake.run)
		fake.run(page);
	return 0;
}

static int note_dirty(struct vee_dirty *dirty)
{
	fake.dirty = *dirty;
	fake.marks += dirty->operation == VEE_DIRTY_MARK;
	if (fake.answer_dirty)
		return fake.answer_dirty(dirty);
	return dirty->operation == VEE_DIRTY_FETCH ? 3 : 0;
}

static int note_template(struct vee_template *template)
{
	fake.template = *template;
	return copies_answer(template);
}

static int move_field(struct vee_vmcs_field *field, bool write)
{
	if (write)
		fake.vmcs_value = field->value;
	else
		field->value = fake.vmcs_value;
	return 0;
}

static int answer(unsigned long request, void *arg)
{
	if (fake.error)
		return fake.error;
	if (fake.fail_request && !--fake.fail_request)
		return fake.request_error;
	switch (request) {
	case VEE_GET_INFO:
		return get_info(arg);
	case VEE_VM_CREATE:
		return create_vm(arg);
	case VEE_VM_MAP:
		return add_map(arg);
	case VEE_VM_UNMAP:
		return remove_map(arg);
	case VEE_VM_CREATE_VCPU:
		return create_vcpu(arg);
	case VEE_VM_COALESCE:
		fake.coalesce = *(struct vee_coalesce *)arg;
		return 0;
	case VEE_VM_DOORBELL:
		fake.doorbell = *(struct vee_doorbell *)arg;
		return 0;
	case VEE_VM_SIGNAL:
		fake.signal = *(struct vee_signal *)arg;
		__atomic_fetch_add(&fake.signals, 1, __ATOMIC_RELAXED);
		return 0;
	case VEE_VM_DIRTY:
		return note_dirty(arg);
	case VEE_VM_TEMPLATE:
		return note_template(arg);
	case VEE_VM_BIND:
		fake.bind = *(struct vee_bind *)arg;
		return 0;
	case VEE_VCPU_GET_CPUID:
		return move_cpuid(arg, false);
	case VEE_VCPU_SET_CPUID:
		return move_cpuid(arg, true);
	case VEE_VCPU_SAVE:
		return save_state(arg);
	case VEE_VCPU_LOAD:
		return load_state(arg);
	case VEE_VCPU_APIC:
		return access_apic(arg);
	case VEE_VCPU_SYNC:
		return sync_groups(arg);
	case VEE_VCPU_TRANSLATE:
		return translate(arg);
	case VEE_VCPU_GET_XSAVE:
	case VEE_VCPU_SET_XSAVE:
		return move_xsave(arg, request == VEE_VCPU_SET_XSAVE);
	case VEE_VCPU_STATS:
		((struct vee_stats *)arg)->entries = fake.runs;
		return ((struct vee_stats *)arg)->size == sizeof(struct vee_stats) ? 0 : -EINVAL;
	case VEE_VCPU_VMCS_READ:
	case VEE_VCPU_VMCS_WRITE:
		return move_field(arg, request == VEE_VCPU_VMCS_WRITE);
	case VEE_VCPU_VMCS_SNAPSHOT:
		return take_snapshot(arg);
	case VEE_VCPU_RUN:
		return run_vcpu();
	case VEE_VCPU_KICK:
		fake.kick = *(struct vee_kick *)arg;
		return 0;
	case VEE_VCPU_INJECT:
		fake.inject = *(struct vee_inject *)arg;
		return 0;
	default:
		return -ENOTTY;
	}
}

static bool is_vcpu(int fd)
{
	return fd >= 0 && fd < (int)(sizeof(pages) / sizeof(*pages)) && pages[fd];
}

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	va_list args;
	void *arg;
	int ret;

	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);
	if (_IOC_NR(request) >= _IOC_NR(VEE_VCPU_RUN) && is_vcpu(fd))
		page = pages[fd];
	ret = answer(request, arg);
	if (ret >= 0)
		return ret;
	errno = -ret;
	return -1;
}

int __wrap_run_request(int fd)
{
	(void)fd;
	return answer(VEE_VCPU_RUN, NULL);
}

/* --- the guest's page tables, of four levels --- */

#define TABLES_GPA	0xf000000000ULL
#define TABLE_COUNT	40
#define TABLE_RIGHTS	7	/* present, writable, user */
#define TABLE_ENTRIES	512
#define LARGE_BYTES	0x200000ULL
#define LARGE_PAGE	0x80

static _Alignas(4096) uint64_t tables[TABLE_COUNT][TABLE_ENTRIES];
static unsigned int table_count;

static uint64_t *next_table(uint64_t *entry)
{
	if (!*entry)
		*entry = (TABLES_GPA + PAGE_BYTES * table_count++) | TABLE_RIGHTS;
	return tables[(*entry - TABLES_GPA) / PAGE_BYTES];
}

uint64_t *fake_entry(uint64_t gva, unsigned int level)
{
	uint64_t *table = tables[0];

	for (unsigned int at = 3; at > level; at--)
		table = next_table(&table[gva >> (12 + 9 * at) & (TABLE_ENTRIES - 1)]);
	return &table[gva >> (12 + 9 * level) & (TABLE_ENTRIES - 1)];
}

static void fill_tables(void)
{
	memset(tables, 0, sizeof(tables));
	table_count = 1;
	for (uint64_t at = 0; fake.identity && at < 4 * GIB; at += LARGE_BYTES)
		*fake_entry(at, 1) = at | LARGE_PAGE | TABLE_RIGHTS;
	for (int i = 0; i < fake.page_count; i++) {
		const struct fake_page *known = &fake.pages[i];

		*fake_entry(known->gva, 0) = known->gpa | !!(known->access & VEE_READ) |
					     (known->access & VEE_WRITE) |
					     (known->user ? 4 : 0);
	}
}

/* Turns paging on, with tables in the guest's memory for what is known by now. */
void fake_paging(struct rig *rig)
{
	struct vee_control *control = &rig->vcpu->page->control;

	fill_tables();
	if (!vee_vm_at(rig->vm, TABLES_GPA, 1) &&
	    vee_vm_map(rig->vm, TABLES_GPA, tables, sizeof(tables), VEE_READ | VEE_WRITE))
		abort();
	control->cr0 |= CR0_PE | CR0_PG;
	control->cr3 = TABLES_GPA;
	control->cr4 |= CR4_PAE;
	control->efer |= EFER_LME | EFER_LMA;
}

void fake_map(uint64_t gva, uint64_t gpa, unsigned int access, bool user)
{
	fake.pages[fake.page_count++] = (struct fake_page) {
		.gva = gva, .gpa = gpa, .access = access, .user = user,
	};
}

void rig_begin(struct rig *rig)
{
	if (vee_vm_create(&rig->vm) || vee_vcpu_create(rig->vm, 0, &rig->vcpu))
		abort();
}

uint8_t *rig_begin_mode(struct rig *rig, unsigned int mode, uint64_t ram_bytes)
{
	uint8_t *ram;

	rig_begin(rig);
	if (mode == 8)
		vee_vcpu_set_long_mode(rig->vcpu, 0, 0x1000);
	else if (mode == 4)
		vee_vcpu_set_protected_mode(rig->vcpu, 0x1000);
	else
		vee_vcpu_set_real_mode(rig->vcpu, 0, 0x1000);
	if (vee_vm_alloc(rig->vm, 0, ram_bytes, (void **)&ram))
		abort();
	if (mode == 8) {
		fake.identity = true;
		fake_paging(rig);
	}
	return ram;
}

void rig_end(struct rig *rig)
{
	vee_vcpu_destroy(rig->vcpu);
	vee_vm_destroy(rig->vm);
	fake.map_count = 0;
}

/* --- a device ----------------------------------------------------------- */

int any_device(void *arg, uint64_t gpa, void *data, unsigned int bytes, bool write)
{
	(void)arg;
	(void)gpa;
	if (!write)
		memset(data, 0x77, bytes);
	return 0;
}
