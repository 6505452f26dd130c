// SPDX-License-Identifier: GPL-2.0-only
/*
 * The interface itself: layout, sizes, flags, pointers, descriptors, and each
 * errno that linux/vee.h names.
 */
#include <limits.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <sys/resource.h>

#include <linux/capability.h>

#include "vee_util.h"

#define VMCS_GUEST_RIP	0x681e
/* Of struct vee_info when it was first published. */
#define INFO_FIRST_SIZE	120
#define MAP_GPA		0x10000000ULL	/* where nothing is mapped */

GUEST_CODE(spin, 64, SPIN);
GUEST_CODE(halt, 64, "hlt; hlt");

/* --- layout: no module needed ---------------------------------------------- */

struct layout {
	const char *what;
	size_t is;
	size_t should;
};

#define SIZE(type, should) \
	{ "sizeof " #type, sizeof(struct type), should }
#define OFFSET(type, member, should) \
	{ #type "." #member, offsetof(struct type, member), should }

static const struct layout layouts[] = {
	SIZE(vee_info, 200),
	OFFSET(vee_info, features, 24),
	OFFSET(vee_info, xcr0, 40),
	OFFSET(vee_info, vmx_basic, 56),
	OFFSET(vee_info, vmx_ept_vpid, 112),
	OFFSET(vee_info, vmx_cr0_fixed0, 120),
	OFFSET(vee_info, perf_global_ctrl, 176),
	OFFSET(vee_info, phys_bits, 184),
	OFFSET(vee_info, cpuid_7_ecx, 196),
	SIZE(vee_vm_create, 8),
	SIZE(vee_step, 16),
	OFFSET(vee_step, result, 4),
	OFFSET(vee_step, budget_us, 8),
	SIZE(vee_run_each, 24),
	OFFSET(vee_run_each, steps, 16),
	SIZE(vee_map, 56),
	OFFSET(vee_map, gpa, 8),
	OFFSET(vee_map, hva, 16),
	OFFSET(vee_map, bytes, 24),
	OFFSET(vee_map, access, 32),
	OFFSET(vee_map, pool, 40),
	OFFSET(vee_map, pool_bytes, 48),
	SIZE(vee_unmap, 24),
	SIZE(vee_dirty, 48),
	OFFSET(vee_dirty, gpa, 16),
	OFFSET(vee_dirty, room, 40),
	SIZE(vee_template, 48),
	OFFSET(vee_template, first, 12),
	OFFSET(vee_template, gpa, 16),
	OFFSET(vee_template, pages, 24),
	OFFSET(vee_template, hva, 40),
	SIZE(vee_vcpu_create, 24),
	OFFSET(vee_vcpu_create, page, 16),
	SIZE(vee_regs, 144),
	OFFSET(vee_regs, rcx, 8),
	OFFSET(vee_regs, rdx, 16),
	OFFSET(vee_regs, rbx, 24),
	OFFSET(vee_regs, rsp, 32),
	OFFSET(vee_regs, r15, 120),
	OFFSET(vee_regs, rip, 128),
	OFFSET(vee_regs, rflags, 136),
	SIZE(vee_segment, 24),
	OFFSET(vee_segment, limit, 8),
	OFFSET(vee_segment, access_rights, 12),
	OFFSET(vee_segment, selector, 16),
	SIZE(vee_table, 16),
	SIZE(vee_segments, 224),
	OFFSET(vee_segments, tr, 168),
	OFFSET(vee_segments, idtr, 208),
	SIZE(vee_control, 56),
	OFFSET(vee_control, xcr0, 48),
	SIZE(vee_debug, 48),
	SIZE(vee_msrs, 88),
	OFFSET(vee_msrs, tsc_offset, 80),
	SIZE(vee_event, 8),
	SIZE(vee_events, 40),
	OFFSET(vee_events, delivering, 16),
	OFFSET(vee_events, nmi, 32),
	SIZE(vee_apic, 192),
	OFFSET(vee_apic, irr, 24),
	OFFSET(vee_apic, tpr, 120),
	OFFSET(vee_apic, lvt, 144),
	OFFSET(vee_apic, eoi, 188),
	SIZE(vee_apic_access, 16),
	SIZE(vee_vcpu_state, 920),
	OFFSET(vee_vcpu_state, xsave, 16),
	OFFSET(vee_vcpu_state, cpuid_count, 36),
	OFFSET(vee_vcpu_state, pdpte, 56),
	OFFSET(vee_vcpu_state, sent_interrupt, 88),
	OFFSET(vee_vcpu_state, tpr_threshold, 124),
	OFFSET(vee_vcpu_state, regs, 128),
	OFFSET(vee_vcpu_state, segments, 272),
	OFFSET(vee_vcpu_state, control, 496),
	OFFSET(vee_vcpu_state, debug, 552),
	OFFSET(vee_vcpu_state, msrs, 600),
	OFFSET(vee_vcpu_state, events, 688),
	OFFSET(vee_vcpu_state, apic, 728),
	SIZE(vee_signal, 24),
	OFFSET(vee_signal, address, 8),
	SIZE(vee_exit_pio, 32),
	OFFSET(vee_exit_pio, count, 8),
	SIZE(vee_exit_memory, 48),
	OFFSET(vee_exit_memory, insn_bytes, 26),
	OFFSET(vee_exit_memory, code_width, 42),
	OFFSET(vee_exit_memory, insn, 27),
	OFFSET(vee_exit_memory, apic, 43),
	SIZE(vee_exit_msr, 16),
	SIZE(vee_exit_cpuid, 24),
	SIZE(vee_exit_hypercall, 8),
	SIZE(vee_exit_debug, 16),
	SIZE(vee_exit_entry, 8),
	SIZE(vee_exit, 152),
	OFFSET(vee_exit, qualification, 8),
	OFFSET(vee_exit, flags, 16),
	OFFSET(vee_exit, pio, 24),
	SIZE(vee_vcpu_page, 1008),
	OFFSET(vee_vcpu_page, generation, 8),
	OFFSET(vee_vcpu_page, prefetch, 24),
	OFFSET(vee_vcpu_page, inject, 48),
	OFFSET(vee_vcpu_page, exit, 56),
	OFFSET(vee_vcpu_page, regs, 208),
	OFFSET(vee_vcpu_page, segments, 352),
	OFFSET(vee_vcpu_page, control, 576),
	OFFSET(vee_vcpu_page, debug, 632),
	OFFSET(vee_vcpu_page, msrs, 680),
	OFFSET(vee_vcpu_page, events, 768),
	OFFSET(vee_vcpu_page, refused, 808),
	OFFSET(vee_vcpu_page, copies, 812),
	OFFSET(vee_vcpu_page, apic, 816),
	SIZE(vee_kick, 16),
	SIZE(vee_sync, 16),
	SIZE(vee_translate, 32),
	SIZE(vee_cpuid_entry, 32),
	SIZE(vee_cpuid, 24),
	SIZE(vee_xsave, 24),
	SIZE(vee_vmcs_field, 24),
	SIZE(vee_vmcs_value, 16),
	SIZE(vee_vmcs_snapshot, 24),
	SIZE(vee_stats, 816),
	SIZE(vee_inject, 16),
	SIZE(vee_coalesce, 32),
	OFFSET(vee_coalesce, space, 24),
	SIZE(vee_doorbell, 40),
	OFFSET(vee_doorbell, eventfd, 28),
	OFFSET(vee_doorbell, width, 32),
	SIZE(vee_bind, 32),
	OFFSET(vee_bind, data, 16),
	OFFSET(vee_bind, eventfd, 20),
	OFFSET(vee_bind, remove, 24),
	OFFSET(vee_bind, eoi, 28),
	SIZE(vee_post, 24),
	OFFSET(vee_post, vcpu, 22),
	OFFSET(vee_post_ring, tail, 64),
	OFFSET(vee_post_ring, posts, 128),
	SIZE(vee_uring_signal, 16),
	OFFSET(vee_uring_signal, data, 8),
	OFFSET(vee_uring_signal, flags, 12),
	SIZE(vee_uring_cmd, 16),
	OFFSET(vee_uring_cmd, budget_us, 8),
	OFFSET(vee_uring_cmd, flags, 12),
};

TEST(struct_layout)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(layouts); i++) {
		EXPECT_EQ(layouts[i].should, layouts[i].is)
			TH_LOG("%s", layouts[i].what);
	}
}

TEST(request_numbers)
{
	EXPECT_EQ(0xee00, VEE_GET_INFO);
	EXPECT_EQ(0xee01, VEE_VM_CREATE);
	EXPECT_EQ(0xee02, VEE_RUN_EACH);
	EXPECT_EQ(0xee10, VEE_VM_MAP);
	EXPECT_EQ(0xee11, VEE_VM_UNMAP);
	EXPECT_EQ(0xee12, VEE_VM_CREATE_VCPU);
	EXPECT_EQ(0xee13, VEE_VM_COALESCE);
	EXPECT_EQ(0xee14, VEE_VM_DOORBELL);
	EXPECT_EQ(0xee15, VEE_VM_SIGNAL);
	EXPECT_EQ(0xee16, VEE_VM_BIND);
	EXPECT_EQ(0xee17, VEE_VM_DIRTY);
	EXPECT_EQ(0xee18, VEE_VM_TEMPLATE);
	EXPECT_EQ(0xee20, VEE_VCPU_RUN);
	EXPECT_EQ(0xee21, VEE_VCPU_KICK);
	EXPECT_EQ(0xee22, VEE_VCPU_SYNC);
	EXPECT_EQ(0xee23, VEE_VCPU_TRANSLATE);
	EXPECT_EQ(0xee24, VEE_VCPU_GET_CPUID);
	EXPECT_EQ(0xee25, VEE_VCPU_SET_CPUID);
	EXPECT_EQ(0xee26, VEE_VCPU_GET_XSAVE);
	EXPECT_EQ(0xee27, VEE_VCPU_SET_XSAVE);
	EXPECT_EQ(0xee28, VEE_VCPU_VMCS_READ);
	EXPECT_EQ(0xee29, VEE_VCPU_VMCS_WRITE);
	EXPECT_EQ(0xee2a, VEE_VCPU_VMCS_SNAPSHOT);
	EXPECT_EQ(0xee2b, VEE_VCPU_STATS);
	EXPECT_EQ(0xee2c, VEE_VCPU_INJECT);
	EXPECT_EQ(0xee2d, VEE_VCPU_APIC);
	EXPECT_EQ(0xee2e, VEE_VCPU_SAVE);
	EXPECT_EQ(0xee2f, VEE_VCPU_LOAD);
}

TEST(vcpu_page_fits)
{
	EXPECT_EQ(PAGE_BYTES, VEE_VCPU_PAGE_BYTES);
	EXPECT_LE(sizeof(struct vee_vcpu_page), VEE_VCPU_PAGE_BYTES);
}

/* --- every request with a struct ------------------------------------------- */

static struct vee_cpuid_entry cpuid_table[VEE_MAX_CPUID];
static struct vee_vmcs_value vmcs_values[1024];
static unsigned char xsave_area[16384];

#define MSI_ADDRESS	0xfee00000ULL

static int apic_vm;	/* one with local APICs */

enum fd_kind { ON_DEV, ON_VM, ON_VCPU };

/**
 * struct request - a request and how to make a good argument for it
 * @name: for the log
 * @number: its number
 * @on: which descriptor takes it
 * @bytes: sizeof its struct
 * @reserved: offset of a 32-bit member that must be zero besides flags, or 0
 * @good: fills in a good argument; size is set and the rest zero
 */
struct request {
	const char *name;
	unsigned long number;
	enum fd_kind on;
	size_t bytes;
	size_t reserved;
	void (*good)(struct guest *g, void *arg);
	size_t first;		/* what was published first, if it has grown */
	bool needs_apics;	/* of a VM with local APICs */
};

static void good_nothing(struct guest *g,
			 void *arg)
{
}

static void good_run_each(struct guest *g, void *arg)
{
	static struct vee_step one;
	struct vee_run_each *each = arg;

	one = (struct vee_step) { .vcpu = g->vcpu };
	each->count = 1;
	each->steps = (unsigned long)&one;
}

static void good_map(struct guest *g, void *arg)
{
	struct vee_map *map = arg;

	vm_unmap(g->vm, MAP_GPA, PAGE_BYTES);
	map->gpa = MAP_GPA;
	map->hva = (unsigned long)g->mem;
	map->bytes = PAGE_BYTES;
	map->access = VEE_READ;
}

static void good_unmap(struct guest *g, void *arg)
{
	struct vee_unmap *unmap = arg;

	vm_map(g->vm, MAP_GPA, g->mem, PAGE_BYTES, VEE_READ);
	unmap->gpa = MAP_GPA;
	unmap->bytes = PAGE_BYTES;
}

static void good_vcpu_create(struct guest *g, void *arg)
{
	struct vee_vcpu_create *create = arg;

	create->id = 7;
}

static void good_coalesce(struct guest *g, void *arg)
{
	struct vee_coalesce *coalesce = arg;
	struct vee_coalesce last = {
		.size = sizeof(last),
		.first = 0x50,
		.bytes = 1,
		.remove = 1,
	};

	vee_call(g->vm, VEE_VM_COALESCE, &last);
	coalesce->first = last.first;
	coalesce->bytes = last.bytes;
}

static void good_doorbell(struct guest *g, void *arg)
{
	struct vee_doorbell *bell = arg;
	static struct vee_doorbell last;

	if (!last.size)
		last.eventfd = eventfd(0, EFD_CLOEXEC);
	last.size = sizeof(last);
	last.remove = 1;
	vee_call(g->vm, VEE_VM_DOORBELL, &last);
	bell->eventfd = last.eventfd;
}

static void good_signal(struct guest *g, void *arg)
{
	struct vee_signal *signal = arg;

	signal->address = MSI_ADDRESS;
}

static void good_bind(struct guest *g, void *arg)
{
	struct vee_bind *bind = arg;
	static struct vee_bind last;

	if (!last.size)
		last.eventfd = eventfd(0, EFD_CLOEXEC);
	last.size = sizeof(last);
	last.remove = 1;
	vee_call(apic_vm, VEE_VM_BIND, &last);
	bind->address = MSI_ADDRESS;
	bind->eventfd = last.eventfd;
}

static void good_dirty(struct guest *g, void *arg)
{
	struct vee_dirty *dirty = arg;

	dirty->operation = VEE_DIRTY_MARK;
	dirty->bytes = PAGE_BYTES;
}

static void good_template(struct guest *g, void *arg)
{
	struct vee_template *template = arg;
	struct vee_map map = {
		.size = sizeof(map),
		.gpa = MAP_GPA,
		.hva = (unsigned long)g->mem,
		.bytes = PAGE_BYTES,
		.access = VEE_READ | VEE_WRITE,
		.pool = (unsigned long)g->mem + PAGE_BYTES,
		.pool_bytes = PAGE_BYTES,
	};

	vm_unmap(g->vm, MAP_GPA, PAGE_BYTES);
	vee_call(g->vm, VEE_VM_MAP, &map);
	template->operation = VEE_TEMPLATE_RESET;
	template->gpa = MAP_GPA;
}

static void good_kick(struct guest *g, void *arg)
{
	struct vee_kick *kick = arg;

	kick->generation = g->page->generation;
}

/* The guest takes what was sent before, so that there is room. */
static void good_inject(struct guest *g, void *arg)
{
	struct vee_inject *inject = arg;

	memset(&g->page->events, 0, sizeof(g->page->events));
	g->page->dirty |= VEE_STATE_EVENTS;
	GUEST_LONG(g, halt);
	guest_run(g);
	inject->event = (struct vee_event) {
		.vector = 0x40,
		.type = VEE_EVENT_INTERRUPT,
		.flags = VEE_EVENT_VALID,
	};
}

static void good_cpuid(struct guest *g, void *arg)
{
	struct vee_cpuid *cpuid = arg;

	cpuid->count = VEE_MAX_CPUID;
	cpuid->entries = (unsigned long)cpuid_table;
}

static void good_set_cpuid(struct guest *g, void *arg)
{
	struct vee_cpuid get = { .size = sizeof(get) };
	struct vee_cpuid *cpuid = arg;

	good_cpuid(g, &get);
	vee_call(g->vcpu, VEE_VCPU_GET_CPUID, &get);
	cpuid->count = get.count;
	cpuid->entries = get.entries;
}

static void good_xsave(struct guest *g, void *arg)
{
	struct vee_xsave *xsave = arg;

	xsave->bytes = vee_info(g->dev).xsave_bytes;
	xsave->area = (unsigned long)xsave_area;
}

static void good_set_xsave(struct guest *g, void *arg)
{
	struct vee_xsave get = { .size = sizeof(get) };
	struct vee_xsave *xsave = arg;

	good_xsave(g, &get);
	vee_call(g->vcpu, VEE_VCPU_GET_XSAVE, &get);
	xsave->bytes = get.bytes;
	xsave->area = get.area;
}

static void good_vmcs_field(struct guest *g, void *arg)
{
	struct vee_vmcs_field *field = arg;

	field->encoding = VMCS_GUEST_RIP;
	field->value = GPA_CODE;
}

static void good_snapshot(struct guest *g, void *arg)
{
	struct vee_vmcs_snapshot *snapshot = arg;

	snapshot->count = ARRAY_SIZE(vmcs_values);
	snapshot->values = (unsigned long)vmcs_values;
}

static void good_save(struct guest *g, void *arg)
{
	struct vee_vcpu_state *state = arg;

	g->page->resume = VEE_RESUME_HERE;
	state->xsave = (unsigned long)xsave_area;
	state->xsave_bytes = vee_info(g->dev).xsave_bytes;
	state->cpuid = (unsigned long)cpuid_table;
	state->cpuid_count = VEE_MAX_CPUID;
}

static void good_load(struct guest *g, void *arg)
{
	struct vee_vcpu_state *state = arg;

	state->size = sizeof(*state);
	good_save(g, state);
	vee_call(g->vcpu, VEE_VCPU_SAVE, state);
}

#define REQUEST(number, on, type, reserved, good) \
	{ #number, number, on, sizeof(struct type), reserved, good, 0, false }
#define APIC_REQUEST(number, type, reserved, good) \
	{ #number, number, ON_VM, sizeof(struct type), offsetof(struct type, reserved), good, \
	  0, true }
#define GROWN_REQUEST(number, on, type, reserved, good, first) \
	{ #number, number, on, sizeof(struct type), reserved, good, first, false }

static const struct request requests[] = {
	GROWN_REQUEST(VEE_GET_INFO, ON_DEV, vee_info, 0, good_nothing, INFO_FIRST_SIZE),
	REQUEST(VEE_VM_CREATE, ON_DEV, vee_vm_create, 0, good_nothing),
	REQUEST(VEE_RUN_EACH, ON_DEV, vee_run_each,
		offsetof(struct vee_run_each, reserved), good_run_each),
	GROWN_REQUEST(VEE_VM_MAP, ON_VM, vee_map, offsetof(struct vee_map, reserved), good_map,
		      offsetof(struct vee_map, pool)),
	REQUEST(VEE_VM_UNMAP, ON_VM, vee_unmap, 0, good_unmap),
	GROWN_REQUEST(VEE_VM_CREATE_VCPU, ON_VM, vee_vcpu_create,
		      offsetof(struct vee_vcpu_create, reserved), good_vcpu_create,
		      offsetof(struct vee_vcpu_create, page)),
	REQUEST(VEE_VM_DIRTY, ON_VM, vee_dirty,
		offsetof(struct vee_dirty, reserved), good_dirty),
	REQUEST(VEE_VM_TEMPLATE, ON_VM, vee_template,
		offsetof(struct vee_template, first), good_template),
	REQUEST(VEE_VM_COALESCE, ON_VM, vee_coalesce, 0, good_coalesce),
	REQUEST(VEE_VM_DOORBELL, ON_VM, vee_doorbell,
		offsetof(struct vee_doorbell, reserved), good_doorbell),
	APIC_REQUEST(VEE_VM_SIGNAL, vee_signal, reserved, good_signal),
	/* Without VEE_BIND_EOI. */
	APIC_REQUEST(VEE_VM_BIND, vee_bind, eoi, good_bind),
	REQUEST(VEE_VCPU_KICK, ON_VCPU, vee_kick, 0, good_kick),
	REQUEST(VEE_VCPU_SYNC, ON_VCPU, vee_sync,
		offsetof(struct vee_sync, reserved), good_nothing),
	REQUEST(VEE_VCPU_TRANSLATE, ON_VCPU, vee_translate, 0, good_nothing),
	REQUEST(VEE_VCPU_GET_CPUID, ON_VCPU, vee_cpuid,
		offsetof(struct vee_cpuid, reserved), good_cpuid),
	REQUEST(VEE_VCPU_SET_CPUID, ON_VCPU, vee_cpuid,
		offsetof(struct vee_cpuid, reserved), good_set_cpuid),
	REQUEST(VEE_VCPU_GET_XSAVE, ON_VCPU, vee_xsave,
		offsetof(struct vee_xsave, reserved), good_xsave),
	REQUEST(VEE_VCPU_SET_XSAVE, ON_VCPU, vee_xsave,
		offsetof(struct vee_xsave, reserved), good_set_xsave),
	REQUEST(VEE_VCPU_VMCS_READ, ON_VCPU, vee_vmcs_field,
		offsetof(struct vee_vmcs_field, reserved), good_vmcs_field),
	REQUEST(VEE_VCPU_VMCS_WRITE, ON_VCPU, vee_vmcs_field,
		offsetof(struct vee_vmcs_field, reserved), good_vmcs_field),
	REQUEST(VEE_VCPU_VMCS_SNAPSHOT, ON_VCPU, vee_vmcs_snapshot,
		offsetof(struct vee_vmcs_snapshot, reserved), good_snapshot),
	REQUEST(VEE_VCPU_STATS, ON_VCPU, vee_stats, 0, good_nothing),
	REQUEST(VEE_VCPU_INJECT, ON_VCPU, vee_inject, 0, good_inject),
	REQUEST(VEE_VCPU_SAVE, ON_VCPU, vee_vcpu_state, 0, good_save),
	REQUEST(VEE_VCPU_LOAD, ON_VCPU, vee_vcpu_state, 0, good_load),
};

static const struct request * const requests_end =
	requests + ARRAY_SIZE(requests);

FIXTURE(abi) {
	struct guest g;
	union {
		__u32 size;
		__u32 words[2 * PAGE_BYTES / 4];
	} arg;
};

FIXTURE_SETUP(abi)
{
	guest_open(_metadata, &self->g);
	apic_vm = vm_create_with(self->g.dev, VEE_VM_LOCAL_APIC);
	ASSERT_LE(0, apic_vm);
	GUEST_LONG(&self->g, halt);
}

FIXTURE_TEARDOWN(abi)
{
	close(apic_vm);
	guest_close(&self->g);
}

static int fd_of(const struct guest *g, enum fd_kind kind)
{
	return kind == ON_DEV ? g->dev : kind == ON_VM ? g->vm : g->vcpu;
}

static void good_arg(struct guest *g, const struct request *request, void *arg,
		     size_t bytes)
{
	memset(arg, 0, bytes);
	*(__u32 *)arg = request->bytes;
	request->good(g, arg);
}

/* Makes the request; what it created is closed again. */
static int call(struct guest *g, const struct request *request, void *arg)
{
	int fd = request->needs_apics ? apic_vm : fd_of(g, request->on);
	int ret = vee_call(fd, request->number, arg);

	if (ret > 0) {
		close(ret);
		ret = 0;
	}
	return ret;
}

TEST_F(abi, good_arguments)
{
	const struct request *r;

	for (r = requests; r < requests_end; r++) {
		good_arg(&self->g, r, &self->arg, sizeof(self->arg));
		EXPECT_EQ(0, call(&self->g, r, &self->arg)) TH_LOG("%s", r->name);
	}
}

TEST_F(abi, size_zero)
{
	const struct request *r;

	for (r = requests; r < requests_end; r++) {
		good_arg(&self->g, r, &self->arg, sizeof(self->arg));
		self->arg.size = 0;
		EXPECT_EQ(-EINVAL, call(&self->g, r, &self->arg))
			TH_LOG("%s", r->name);
	}
}

TEST_F(abi, size_too_small)
{
	const struct request *r;
	unsigned int i;

	for (r = requests; r < requests_end; r++) {
		size_t first = r->first ? r->first : r->bytes;
		const __u32 small[] = { 1, 4, first - 4, first - 1 };

		for (i = 0; i < ARRAY_SIZE(small); i++) {
			good_arg(&self->g, r, &self->arg, sizeof(self->arg));
			self->arg.size = small[i];
			EXPECT_EQ(-EINVAL, call(&self->g, r, &self->arg))
				TH_LOG("%s, size %u", r->name, small[i]);
		}
	}
}

/* A program built with a later header, which makes no use of what is new. */
TEST_F(abi, longer_with_zeros)
{
	static const unsigned int more[] = { 1, 4, 8, 64, 1000 };
	const struct request *r;
	unsigned int i;

	for (r = requests; r < requests_end; r++) {
		for (i = 0; i < ARRAY_SIZE(more); i++) {
			good_arg(&self->g, r, &self->arg, sizeof(self->arg));
			self->arg.size = r->bytes + more[i];
			EXPECT_EQ(0, call(&self->g, r, &self->arg))
				TH_LOG("%s + %u", r->name, more[i]);
		}
	}
}

TEST_F(abi, longer_with_something)
{
	static const unsigned int more[] = { 1, 4, 8, 64, 1000 };
	unsigned char *bytes = (unsigned char *)&self->arg;
	const struct request *r;
	unsigned int i;

	for (r = requests; r < requests_end; r++) {
		for (i = 0; i < ARRAY_SIZE(more); i++) {
			good_arg(&self->g, r, &self->arg, sizeof(self->arg));
			self->arg.size = r->bytes + more[i];
			bytes[r->bytes + more[i] - 1] = 1;
			EXPECT_EQ(-E2BIG, call(&self->g, r, &self->arg))
				TH_LOG("%s + %u", r->name, more[i]);
		}
	}
}

/* Nobody's struct is larger than a page, be it all zeros. */
TEST_F(abi, longest)
{
	static const struct {
		__u32 size;
		int ret;
	} cases[] = {
		{ PAGE_BYTES - 1, 0 },
		{ PAGE_BYTES, 0 },
		{ PAGE_BYTES + 1, -E2BIG },
		{ 2 * PAGE_BYTES, -E2BIG },
		{ 1U << 31, -E2BIG },
		{ -1U, -E2BIG },
	};
	const struct request *r;
	unsigned int i;

	for (r = requests; r < requests_end; r++) {
		for (i = 0; i < ARRAY_SIZE(cases); i++) {
			good_arg(&self->g, r, &self->arg, sizeof(self->arg));
			self->arg.size = cases[i].size;
			EXPECT_EQ(cases[i].ret, call(&self->g, r, &self->arg))
				TH_LOG("%s, size %u", r->name, cases[i].size);
		}
	}
}

/* Bit 0 is VEE_VM_LOCAL_APIC or VEE_SIGNAL_LEVEL. */
static bool has_flag(const struct request *r)
{
	return r->number == VEE_VM_CREATE || r->number == VEE_VM_SIGNAL ||
	       r->number == VEE_VM_BIND;
}

TEST_F(abi, unknown_flags)
{
	const struct request *r;
	unsigned int bit;

	for (r = requests; r < requests_end; r++) {
		for (bit = 0; bit < 32; bit += 31) {
			if (!bit && has_flag(r))
				continue;
			good_arg(&self->g, r, &self->arg, sizeof(self->arg));
			self->arg.words[1] = 1U << bit;
			EXPECT_EQ(-EINVAL, call(&self->g, r, &self->arg))
				TH_LOG("%s, flag %u", r->name, bit);
		}
	}
}

TEST_F(abi, reserved_members)
{
	const struct request *r;

	for (r = requests; r < requests_end; r++) {
		if (!r->reserved)
			continue;
		good_arg(&self->g, r, &self->arg, sizeof(self->arg));
		self->arg.words[r->reserved / 4] = 1U << 31;
		EXPECT_EQ(-EINVAL, call(&self->g, r, &self->arg))
			TH_LOG("%s", r->name);
	}
}

TEST_F(abi, bad_pointers)
{
	static void * const bad[] = {
		NULL,
		(void *)8,
		(void *)(BIT_ULL(47)),
		(void *)0xffff888000000000,
		(void *)-PAGE_BYTES,
	};
	const struct request *r;
	unsigned int i;

	for (r = requests; r < requests_end; r++) {
		for (i = 0; i < ARRAY_SIZE(bad); i++) {
			EXPECT_EQ(-EFAULT, call(&self->g, r, bad[i]))
				TH_LOG("%s at %p", r->name, bad[i]);
		}
	}
}

/* The size can be read, but the struct's last byte lies in no mapping. */
TEST_F(abi, pointer_across_the_end)
{
	unsigned char *two = anon_memory(2 * PAGE_BYTES);
	const struct request *r;
	unsigned char *arg;

	ASSERT_NE(MAP_FAILED, two);
	ASSERT_EQ(0, munmap(two + PAGE_BYTES, PAGE_BYTES));
	for (r = requests; r < requests_end; r++) {
		good_arg(&self->g, r, &self->arg, sizeof(self->arg));
		arg = two + PAGE_BYTES - (r->bytes - 1);
		memcpy(arg, &self->arg, r->bytes - 1);
		EXPECT_EQ(-EFAULT, call(&self->g, r, arg)) TH_LOG("%s", r->name);
	}
	munmap(two, PAGE_BYTES);
}

/* Results cannot be written back: the request fails, and no descriptor leaks. */
TEST_F(abi, read_only_argument)
{
	static const unsigned long writes[] = {
		VEE_GET_INFO, VEE_VCPU_TRANSLATE, VEE_VCPU_GET_CPUID,
		VEE_VCPU_VMCS_READ, VEE_VCPU_VMCS_SNAPSHOT, VEE_VCPU_STATS,
		VEE_VCPU_SAVE,
	};
	const struct request *r;
	unsigned int i;
	void *arg = anon_memory(PAGE_BYTES);

	ASSERT_NE(MAP_FAILED, arg);
	for (r = requests; r < requests_end; r++) {
		for (i = 0; i < ARRAY_SIZE(writes); i++) {
			if (r->number != writes[i])
				continue;
			mprotect(arg, PAGE_BYTES, PROT_READ | PROT_WRITE);
			good_arg(&self->g, r, arg, PAGE_BYTES);
			mprotect(arg, PAGE_BYTES, PROT_READ);
			EXPECT_EQ(-EFAULT, call(&self->g, r, arg))
				TH_LOG("%s", r->name);
		}
	}
	munmap(arg, PAGE_BYTES);
}

/* --- descriptors ----------------------------------------------------------- */

TEST_F(abi, unknown_requests)
{
	static const unsigned long unknown[] = {
		_IO(VEE_IOCTL, 0x03), _IO(VEE_IOCTL, 0x0f),
		_IO(VEE_IOCTL, 0x19), _IO(VEE_IOCTL, 0x30),
		_IO(VEE_IOCTL, 0xff), _IO(0xae, 0x00),
		_IOW(VEE_IOCTL, 0x00, struct vee_info),
		_IOWR(VEE_IOCTL, 0x10, struct vee_map),
		_IOR(VEE_IOCTL, 0x20, int),
		0, 0xee, ULONG_MAX & 0xffff0000,
	};
	enum fd_kind kind;
	unsigned int i;

	for (kind = ON_DEV; kind <= ON_VCPU; kind++) {
		for (i = 0; i < ARRAY_SIZE(unknown); i++) {
			EXPECT_EQ(-ENOTTY, vee_call(fd_of(&self->g, kind),
						    unknown[i], &self->arg))
				TH_LOG("descriptor %u, %#lx", kind, unknown[i]);
		}
	}
}

/* Every request on the two kinds of descriptor that it is not for. */
TEST_F(abi, wrong_descriptor)
{
	const struct request *r;
	enum fd_kind kind;

	for (r = requests; r < requests_end; r++) {
		for (kind = ON_DEV; kind <= ON_VCPU; kind++) {
			if (kind == r->on)
				continue;
			good_arg(&self->g, r, &self->arg, sizeof(self->arg));
			EXPECT_EQ(-ENOTTY, vee_call(fd_of(&self->g, kind),
						    r->number, &self->arg))
				TH_LOG("%s on descriptor %u", r->name, kind);
		}
	}
	EXPECT_EQ(-ENOTTY, vee_call(self->g.dev, VEE_VCPU_RUN, NULL));
	EXPECT_EQ(-ENOTTY, vee_call(self->g.vm, VEE_VCPU_RUN, NULL));
}

TEST_F(abi, close_on_exec)
{
	EXPECT_EQ(FD_CLOEXEC, fcntl(self->g.vm, F_GETFD));
	EXPECT_EQ(FD_CLOEXEC, fcntl(self->g.vcpu, F_GETFD));
}

/* What a child of fork() gets from every request but those of /dev/vee. */
static int try_all_as_stranger(struct guest *g, void *arg, size_t bytes)
{
	const struct request *r;

	for (r = requests; r < requests_end; r++) {
		if (r->on == ON_DEV)
			continue;
		good_arg(g, r, arg, bytes);
		if (call(g, r, arg) != -EIO)
			return 1 + (r - requests);
	}
	return guest_run(g) == -EIO ? 0 : 100;
}

/* Children can be made with the descriptors, not with the address space. */
TEST_F(abi, other_address_space)
{
	struct guest *g = &self->g;
	int status;
	pid_t child;

	child = fork();
	ASSERT_LE(0, child);
	if (!child) {
		struct vee_vcpu_page copy = { .generation = 1 };

		/* The child need not have the mapping of the page. */
		g->page = &copy;
		_exit(try_all_as_stranger(g, &self->arg, sizeof(self->arg)));
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	ASSERT_TRUE(WIFEXITED(status));
	EXPECT_EQ(0, WEXITSTATUS(status))
		TH_LOG("request %d of the table (100: run)", WEXITSTATUS(status));
	ASSERT_HLT(g, GPA_CODE);
}

/* A thread that shares the address space is no stranger. */
TEST_F(abi, other_thread)
{
	struct runner r;

	ASSERT_EQ(0, runner_start(&r, &self->g));
	EXPECT_EQ(0, runner_join(&r));
	EXPECT_EQ(VEE_EXIT_HLT, self->g.page->exit.reason);
}

/* EBUSY on everything but what is for other threads, from start to end of a run. */
TEST_F(abi, busy)
{
	struct guest *g = &self->g;
	const struct request *r;
	struct runner runner;

	GUEST_LONG(g, spin);
	ASSERT_EQ(0, runner_start(&runner, g));
	ASSERT_TRUE(WAIT_FOR(guest_read32(g, GPA_DATA)));
	for (r = requests; r < requests_end; r++) {
		if (r->on != ON_VCPU || r->number == VEE_VCPU_KICK ||
		    r->number == VEE_VCPU_INJECT)
			continue;
		memset(&self->arg, 0, sizeof(self->arg));
		self->arg.size = r->bytes;
		/* The good_ functions would make requests of their own. */
		if (r->good != good_set_cpuid && r->good != good_set_xsave)
			r->good(g, &self->arg);
		else if (r->good == good_set_xsave)
			good_xsave(g, &self->arg);
		EXPECT_EQ(-EBUSY, call(g, r, &self->arg)) TH_LOG("%s", r->name);
	}
	EXPECT_EQ(-EBUSY, guest_run(g));
	EXPECT_EQ(0, vcpu_kick(g->vcpu, g->page->generation));
	EXPECT_EQ(0, runner_join(&runner));
	EXPECT_EQ(VEE_EXIT_KICKED, g->page->exit.reason);
}

TEST_F(abi, mmap_of_the_page)
{
	int fd = self->g.vcpu, rw = PROT_READ | PROT_WRITE;

	EXPECT_EQ(MAP_FAILED, mmap(NULL, 2 * PAGE_BYTES, rw, MAP_SHARED, fd, 0));
	EXPECT_EQ(MAP_FAILED,
		  mmap(NULL, PAGE_BYTES, rw, MAP_SHARED, fd, PAGE_BYTES));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE_BYTES, rw, MAP_PRIVATE, fd, 0));
	EXPECT_EQ(MAP_FAILED,
		  mmap(NULL, PAGE_BYTES, rw, MAP_SHARED, self->g.vm, 0));
	EXPECT_EQ(MAP_FAILED,
		  mmap(NULL, PAGE_BYTES, rw, MAP_SHARED, self->g.dev, 0));
	ASSERT_HLT(&self->g, GPA_CODE);
}

/* Two mappings show the same page. */
TEST_F(abi, mmap_twice)
{
	struct vee_vcpu_page *second = vcpu_page(self->g.vcpu);

	ASSERT_NE(MAP_FAILED, second);
	second->regs.rbx = 0x1234;
	EXPECT_EQ(0x1234, self->g.page->regs.rbx);
	munmap(second, PAGE_BYTES);
	ASSERT_HLT(&self->g, GPA_CODE);
}

TEST_F(abi, out_of_descriptors)
{
	struct rlimit old, none;
	int vm, vcpu;

	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &old));
	none = old;
	none.rlim_cur = 0;
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &none));
	vm = vm_create(self->g.dev);
	vcpu = vcpu_create(self->g.vm, 1);
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &old));
	EXPECT_EQ(-EMFILE, vm);
	EXPECT_EQ(-EMFILE, vcpu);
	/* The id was not used up. */
	vcpu = vcpu_create(self->g.vm, 1);
	EXPECT_LE(0, vcpu);
	close(vcpu);
}

#define FILE_MAX	"/proc/sys/fs/file-max"

/* All that this process is permitted, or nothing, for the time being. */
static int use_capabilities(bool use)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
	int i;

	if (syscall(SYS_capget, &header, data))
		return -errno;
	for (i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
		data[i].effective = use ? data[i].permitted : 0;
	return syscall(SYS_capset, &header, data) ? -errno : 0;
}

/* The limit is the system's, and does not hold for CAP_SYS_ADMIN. */
TEST_F(abi, out_of_files)
{
	long most = read_number(FILE_MAX);
	char text[32];
	int vm, vcpu;

	if (!getenv("VEE_LAB"))
		VEE_SKIP("it takes files from all of the system: for the lab alone");
	snprintf(text, sizeof(text), "%ld", most);
	ASSERT_EQ(0, write_file(FILE_MAX, "0"));
	EXPECT_EQ(0, use_capabilities(false));
	vm = vm_create(self->g.dev);
	vcpu = vcpu_create(self->g.vm, 1);
	EXPECT_EQ(0, use_capabilities(true));
	ASSERT_EQ(0, write_file(FILE_MAX, text));
	EXPECT_EQ(-ENFILE, vm);
	EXPECT_EQ(-ENFILE, vcpu);
	vcpu = vcpu_create(self->g.vm, 1);
	EXPECT_LE(0, vcpu);
	close(vcpu);
}

#define MAX_VMS		MODULE "/parameters/max_vms"
#define MAX_VCPUS	MODULE "/parameters/max_vcpus"

/* Ceilings of whoever loaded the module (limits.c): the one VM and its vCPU are all. */
TEST_F(abi, out_of_quota)
{
	int vm, vcpu;

	if (write_file(MAX_VMS, "1") || write_file(MAX_VCPUS, "1"))
		VEE_SKIP("the module's parameters are root's to change");
	vm = vm_create(self->g.dev);
	vcpu = vcpu_create(self->g.vm, 1);
	ASSERT_EQ(0, write_file(MAX_VMS, "0"));
	ASSERT_EQ(0, write_file(MAX_VCPUS, "0"));
	EXPECT_EQ(-EDQUOT, vm);
	EXPECT_EQ(-EDQUOT, vcpu);
	vcpu = vcpu_create(self->g.vm, 1);
	EXPECT_LE(0, vcpu);
	close(vcpu);
}

/* --- /dev/vee -------------------------------------------------------------- */

TEST_F(abi, info)
{
	struct vee_info info = vee_info(self->g.dev);
	__u32 low, high;

	EXPECT_EQ(VEE_API_VERSION, info.api_version);
	EXPECT_EQ(VEE_MAX_VCPUS, info.max_vcpus);
	EXPECT_EQ(VEE_MAX_SLOTS, info.max_slots);
	EXPECT_EQ(VEE_VCPU_PAGE_BYTES, info.vcpu_page_bytes);
	EXPECT_EQ(0, info.features >> 19);
	EXPECT_LE(32, info.gpa_bits);
	EXPECT_GE(52, info.gpa_bits);
	EXPECT_LT(0, info.tsc_khz);
	EXPECT_EQ(0, info.reserved);
	EXPECT_EQ(0, info.flags);
	asm volatile("xgetbv" : "=a" (low), "=d" (high) : "c" (0));
	EXPECT_EQ(1, info.xcr0 & 1);
	EXPECT_EQ(0, info.xcr0 & ~(low | (__u64)high << 32));
}

/* Size of the XSAVE area: where the last component that it covers ends. */
TEST_F(abi, info_xsave_bytes)
{
	struct vee_info info = vee_info(self->g.dev);
	__u32 bytes = 576, r[4];
	unsigned int i;

	for (i = 2; i < 63; i++) {
		if (!(info.xcr0 & BIT_ULL(i)))
			continue;
		host_cpuid(0xd, i, r);
		if (bytes < r[0] + r[1])
			bytes = r[0] + r[1];
	}
	EXPECT_EQ(bytes, info.xsave_bytes);
}

/* What the features say must be what the capability MSRs say. */
TEST_F(abi, info_capabilities)
{
	struct vee_info info = vee_info(self->g.dev);
	__u32 pin = info.vmx_pin >> 32, proc2 = info.vmx_proc2 >> 32;

	EXPECT_NE(0, info.vmx_basic);
	EXPECT_NE(0, info.vmx_exit);
	EXPECT_NE(0, info.vmx_entry);
	/* What vee cannot do without: secondary controls, EPT, no real-mode limits. */
	EXPECT_TRUE(info.vmx_proc >> 63);
	EXPECT_TRUE(proc2 & 1U << 1);
	EXPECT_TRUE(proc2 & 1U << 7);
	EXPECT_TRUE(!(info.features & VEE_FEATURE_PREEMPTION_TIMER) ||
		    pin & 1U << 6);
	EXPECT_TRUE(!(info.features & VEE_FEATURE_VPID) || proc2 & 1U << 5);
	EXPECT_TRUE(!(info.features & VEE_FEATURE_RDTSCP) || proc2 & 1U << 3);
	EXPECT_TRUE(!(info.features & VEE_FEATURE_PAUSE_LOOP) || proc2 & 1U << 10);
	EXPECT_TRUE(!(info.features & VEE_FEATURE_INVPCID) ||
		    proc2 & 1U << 12);
	EXPECT_TRUE(!(info.features & VEE_FEATURE_EPT_EXECUTE_ONLY) ||
		    info.vmx_ept_vpid & 1);
	EXPECT_TRUE(!(info.features & VEE_FEATURE_EPT_2M) ||
		    info.vmx_ept_vpid & 1U << 16);
	EXPECT_TRUE(!(info.features & VEE_FEATURE_EPT_1G) ||
		    info.vmx_ept_vpid & 1U << 17);
}

/* As it was first published: what was appended since is not written. */
TEST_F(abi, info_of_an_older_program)
{
	struct vee_info old = { .size = INFO_FIRST_SIZE, .phys_bits = 0x5a5a };

	ASSERT_EQ(0, vee_call(self->g.dev, VEE_GET_INFO, &old));
	EXPECT_NE(0, old.vmx_ept_vpid);
	EXPECT_EQ(0, old.vmx_cr0_fixed1);
	EXPECT_EQ(0x5a5a, old.phys_bits);
	old.size = INFO_FIRST_SIZE - 8;
	EXPECT_EQ(-EINVAL, vee_call(self->g.dev, VEE_GET_INFO, &old));
}

/* What the checks of a VM entry go by. */
TEST_F(abi, info_limits)
{
	struct vee_info info = vee_info(self->g.dev);
	__u32 r[4];

	/* Bits that must be 1 may be 1; CR0.NE, PG and PE; CR4.VMXE. */
	EXPECT_EQ(0, info.vmx_cr0_fixed0 & ~info.vmx_cr0_fixed1);
	EXPECT_EQ(0, info.vmx_cr4_fixed0 & ~info.vmx_cr4_fixed1);
	EXPECT_EQ(0x80000021, info.vmx_cr0_fixed0 & 0x80000021);
	EXPECT_EQ(0x2000, info.vmx_cr4_fixed0 & 0x2000);
	host_cpuid(0x80000008, 0, r);
	EXPECT_EQ(r[0] & 0xff, info.phys_bits);
	EXPECT_EQ(r[0] >> 8 & 0xff, info.linear_bits);
	EXPECT_LE(info.gpa_bits, info.phys_bits);
	host_cpuid(7, 0, r);
	EXPECT_EQ(r[1], info.cpuid_7_ebx);
	/* OSPKE is the kernel's, not the CPU's. */
	EXPECT_EQ(0, (r[2] ^ info.cpuid_7_ecx) & ~0x10U);
	if (!(info.vmx_proc2 >> 32 & 1U << 13))
		EXPECT_EQ(0, info.vmx_vmfunc);
	if (!(info.vmx_proc >> 32 & 1U << 17))
		EXPECT_EQ(0, info.vmx_proc3);
	if (!(info.vmx_exit >> 63))
		EXPECT_EQ(0, info.vmx_exit2);
}

/* --- a VM ------------------------------------------------------------------ */

TEST_F(abi, vcpu_ids)
{
	int fds[VEE_MAX_VCPUS];
	__u32 id;

	EXPECT_EQ(-EEXIST, vcpu_create(self->g.vm, 0));
	EXPECT_EQ(-EINVAL, vcpu_create(self->g.vm, VEE_MAX_VCPUS));
	EXPECT_EQ(-EINVAL, vcpu_create(self->g.vm, 1U << 31));
	EXPECT_EQ(-EINVAL, vcpu_create(self->g.vm, -1U));
	for (id = 1; id < VEE_MAX_VCPUS; id++) {
		fds[id] = vcpu_create(self->g.vm, id);
		ASSERT_LE(0, fds[id]) TH_LOG("vCPU %u", id);
	}
	EXPECT_EQ(-EEXIST, vcpu_create(self->g.vm, 63));
	for (id = 1; id < VEE_MAX_VCPUS; id++)
		close(fds[id]);
}

/* Destroying a vCPU takes its descriptor and its mapping, and frees its id. */
TEST_F(abi, vcpu_id_again)
{
	struct guest sibling;

	guest_open_sibling(_metadata, &self->g, &sibling, 5);
	EXPECT_EQ(-EEXIST, vcpu_create(self->g.vm, 5));
	guest_close(&sibling);
	guest_open_sibling(_metadata, &self->g, &sibling, 5);
	GUEST_LONG(&sibling, halt);
	ASSERT_HLT(&sibling, GPA_CODE);
	guest_close(&sibling);
}

struct bad_map {
	const char *what;
	__u64 gpa;
	__u64 offset;	/* of hva, in a good mapping of two pages */
	__u64 bytes;
	__u32 access;
	int error;
};

static const struct bad_map bad_maps[] = {
	{ "gpa alignment", MAP_GPA + 1, 0, 4096, VEE_READ, -EINVAL },
	{ "gpa alignment", MAP_GPA + 2048, 0, 4096, VEE_READ, -EINVAL },
	{ "hva alignment", MAP_GPA, 1, 4096, VEE_READ, -EINVAL },
	{ "length alignment", MAP_GPA, 0, 4095, VEE_READ, -EINVAL },
	{ "length alignment", MAP_GPA, 0, 1, VEE_READ, -EINVAL },
	{ "length 0", MAP_GPA, 0, 0, VEE_READ, -EINVAL },
	{ "no access", MAP_GPA, 0, 4096, 0, -EINVAL },
	{ "write without read", MAP_GPA, 0, 4096, VEE_WRITE, -EINVAL },
	{ "execute without read", MAP_GPA, 0, 4096, VEE_EXECUTE, -EINVAL },
	{ "without read", MAP_GPA, 0, 4096, VEE_WRITE | VEE_EXECUTE, -EINVAL },
	{ "unknown access", MAP_GPA, 0, 4096, VEE_READ | 8, -EINVAL },
	{ "unknown access", MAP_GPA, 0, 4096, VEE_RWX | 1U << 31, -EINVAL },
	{ "gpa wraps", -PAGE_BYTES, 0, 2 * PAGE_BYTES, VEE_READ, -EINVAL },
	{ "gpa ends at 2^64", -PAGE_BYTES, 0, PAGE_BYTES, VEE_READ, -EINVAL },
	{ "length wraps", MAP_GPA, 0, -PAGE_BYTES, VEE_READ, -EINVAL },
	{ "beyond 52 bits", BIT_ULL(52), 0, PAGE_BYTES, VEE_READ, -EINVAL },
	{ "hva not mapped", MAP_GPA, 2 * PAGE_BYTES, PAGE_BYTES, VEE_READ,
	  -EFAULT },
	{ "hva half mapped", MAP_GPA, PAGE_BYTES, 2 * PAGE_BYTES, VEE_READ,
	  -EFAULT },
};

TEST_F(abi, map_errors)
{
	unsigned char *three = anon_memory(3 * PAGE_BYTES);
	const struct bad_map *bad;

	ASSERT_NE(MAP_FAILED, three);
	ASSERT_EQ(0, munmap(three + 2 * PAGE_BYTES, PAGE_BYTES));
	for (bad = bad_maps; bad < bad_maps + ARRAY_SIZE(bad_maps); bad++) {
		EXPECT_EQ(bad->error, vm_map(self->g.vm, bad->gpa,
					     three + bad->offset, bad->bytes,
					     bad->access))
			TH_LOG("%s", bad->what);
	}
	/* None of them left anything behind. */
	EXPECT_EQ(0, vm_map(self->g.vm, MAP_GPA, three, PAGE_BYTES, VEE_READ));
	ASSERT_HLT(&self->g, GPA_CODE);
	munmap(three, 2 * PAGE_BYTES);
}

/* Against a slot of pages 2 and 3; page numbers count from MAP_GPA. */
TEST_F(abi, map_overlaps)
{
	static const struct {
		unsigned int page, pages;
		int error;
	} cases[] = {
		{ 2, 2, -EEXIST }, { 2, 1, -EEXIST }, { 3, 1, -EEXIST },
		{ 1, 2, -EEXIST }, { 3, 2, -EEXIST }, { 1, 4, -EEXIST },
		{ 0, 3, -EEXIST }, { 0, 2, 0 }, { 4, 1, 0 },
	};
	int vm = self->g.vm;
	unsigned int i;

	ASSERT_EQ(0, vm_map(vm, MAP_GPA + 2 * PAGE_BYTES, self->g.mem,
			    2 * PAGE_BYTES, VEE_READ));
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		EXPECT_EQ(cases[i].error,
			  vm_map(vm, MAP_GPA + cases[i].page * PAGE_BYTES,
				 self->g.mem, cases[i].pages * PAGE_BYTES,
				 VEE_READ))
			TH_LOG("page %u, %u pages", cases[i].page,
			       cases[i].pages);
	}
	EXPECT_EQ(0, vm_unmap(vm, MAP_GPA + 2 * PAGE_BYTES, 2 * PAGE_BYTES));
}

TEST_F(abi, map_strange_addresses)
{
	int vm = self->g.vm;

	EXPECT_EQ(-EFAULT, vm_map(vm, MAP_GPA, NULL, PAGE_BYTES, VEE_READ));
	EXPECT_EQ(-EFAULT, vm_map(vm, MAP_GPA, (void *)0xffff888000000000,
				  PAGE_BYTES, VEE_READ));
	EXPECT_EQ(-EFAULT, vm_map(vm, MAP_GPA, (void *)(1UL << 62), PAGE_BYTES,
				  VEE_READ));
	EXPECT_EQ(-EINVAL, vm_map(vm, MAP_GPA, (void *)-PAGE_BYTES,
				  2 * PAGE_BYTES, VEE_READ));
}

/* A hole between two mappings makes the range one that is not all mapped. */
TEST_F(abi, map_hole)
{
	unsigned char *three = anon_memory(3 * PAGE_BYTES);

	ASSERT_NE(MAP_FAILED, three);
	ASSERT_EQ(0, munmap(three + PAGE_BYTES, PAGE_BYTES));
	EXPECT_EQ(-EFAULT, vm_map(self->g.vm, MAP_GPA, three, 3 * PAGE_BYTES,
				  VEE_READ));
	munmap(three, PAGE_BYTES);
	munmap(three + 2 * PAGE_BYTES, PAGE_BYTES);
}

/* The last page below 1 << gpa_bits, and the first one above. */
TEST_F(abi, map_gpa_bits)
{
	__u64 end = 1ULL << vee_info(self->g.dev).gpa_bits;
	int vm = self->g.vm;

	EXPECT_EQ(-EINVAL, vm_map(vm, end, self->g.mem, PAGE_BYTES, VEE_READ));
	EXPECT_EQ(-EINVAL, vm_map(vm, end - PAGE_BYTES, self->g.mem,
				  2 * PAGE_BYTES, VEE_READ));
	EXPECT_EQ(0, vm_map(vm, end - PAGE_BYTES, self->g.mem, PAGE_BYTES,
			    VEE_READ));
	EXPECT_EQ(0, vm_unmap(vm, end - PAGE_BYTES, PAGE_BYTES));
}

TEST_F(abi, unmap_errors)
{
	int vm = self->g.vm;

	EXPECT_EQ(-ENOENT, vm_unmap(vm, 0, PAGE_BYTES));
	EXPECT_EQ(-ENOENT, vm_unmap(vm, PAGE_BYTES, GUEST_BYTES - PAGE_BYTES));
	EXPECT_EQ(-ENOENT, vm_unmap(vm, 0, 2 * GUEST_BYTES));
	EXPECT_EQ(-ENOENT, vm_unmap(vm, 0, 0));
	EXPECT_EQ(-ENOENT, vm_unmap(vm, MAP_GPA, PAGE_BYTES));
	EXPECT_EQ(-ENOENT, vm_unmap(vm, -PAGE_BYTES, 2 * PAGE_BYTES));
	ASSERT_HLT(&self->g, GPA_CODE);
	EXPECT_EQ(0, vm_unmap(vm, 0, GUEST_BYTES));
	EXPECT_EQ(-ENOENT, vm_unmap(vm, 0, GUEST_BYTES));
}

/* --- a vCPU: errors of the other requests ---------------------------------- */

TEST_F(abi, sync_groups)
{
	struct guest *g = &self->g;

	EXPECT_EQ(-EINVAL, vcpu_sync(g->vcpu, 1U << 6));
	EXPECT_EQ(-EINVAL, vcpu_sync(g->vcpu, VEE_PREFETCH_INSN));
	EXPECT_EQ(-EINVAL, vcpu_sync(g->vcpu, -1U));
	EXPECT_EQ(0, vcpu_sync(g->vcpu, 0));
	EXPECT_EQ(0, vcpu_sync(g->vcpu, VEE_STATE_ALL));
}

TEST_F(abi, snapshot_room)
{
	struct vee_vmcs_snapshot snapshot = { .size = sizeof(snapshot) };
	struct guest *g = &self->g;
	__u32 count;

	EXPECT_EQ(-E2BIG, vee_call(g->vcpu, VEE_VCPU_VMCS_SNAPSHOT, &snapshot));
	count = snapshot.count;
	ASSERT_LT(50, count);
	ASSERT_GE(ARRAY_SIZE(vmcs_values), count);
	memset(vmcs_values, 0xff, sizeof(vmcs_values));
	snapshot.count = count - 1;
	snapshot.values = (unsigned long)vmcs_values;
	EXPECT_EQ(-E2BIG, vee_call(g->vcpu, VEE_VCPU_VMCS_SNAPSHOT, &snapshot));
	EXPECT_EQ(count, snapshot.count);
	EXPECT_EQ(-1U, vmcs_values[0].encoding);
	EXPECT_EQ(0, vee_call(g->vcpu, VEE_VCPU_VMCS_SNAPSHOT, &snapshot));
	EXPECT_EQ(count, snapshot.count);
	snapshot.count = -1U;
	EXPECT_EQ(0, vee_call(g->vcpu, VEE_VCPU_VMCS_SNAPSHOT, &snapshot));
	snapshot.count = count;
	snapshot.values = 0;
	EXPECT_EQ(-EFAULT, vee_call(g->vcpu, VEE_VCPU_VMCS_SNAPSHOT, &snapshot));
}

/* Second pointers: those inside the structs. */
TEST_F(abi, bad_inner_pointers)
{
	struct vee_xsave xsave = {
		.size = sizeof(xsave),
		.bytes = vee_info(self->g.dev).xsave_bytes,
		.area = 8,
	};
	struct vee_cpuid cpuid = {
		.size = sizeof(cpuid),
		.count = VEE_MAX_CPUID,
		.entries = 0xffff888000000000,
	};
	int fd = self->g.vcpu;

	EXPECT_EQ(-EFAULT, vee_call(fd, VEE_VCPU_GET_XSAVE, &xsave));
	EXPECT_EQ(-EFAULT, vee_call(fd, VEE_VCPU_SET_XSAVE, &xsave));
	EXPECT_EQ(-EFAULT, vee_call(fd, VEE_VCPU_GET_CPUID, &cpuid));
	EXPECT_EQ(-EFAULT, vee_call(fd, VEE_VCPU_SET_CPUID, &cpuid));
	ASSERT_HLT(&self->g, GPA_CODE);
}

TEST_HARNESS_MAIN
