// SPDX-License-Identifier: GPL-2.0-only
/*
 * Raw access to the VMCS: what may be read and written and by whom, and that a
 * guest state which the CPU refuses is reported as the CPU left it.
 */
#include <linux/capability.h>

#include "vee_util.h"

/* SDM 3D, appendix "Field Encoding in VMCS". */
#define ENCODINGS		0x8000U
#define FIELD_HIGH(encoding)	((encoding) & 1)
#define FIELD_TYPE(encoding)	((encoding) >> 10 & 3)
#define FIELD_WIDTH(encoding)	((encoding) >> 13 & 3)
enum { TYPE_CONTROL, TYPE_READ_ONLY, TYPE_GUEST, TYPE_HOST };

#define GUEST_CS_SELECTOR	0x0802
#define GUEST_LDTR_SELECTOR	0x080c
#define GUEST_LINK_POINTER	0x2800
#define GUEST_DEBUGCTL		0x2802
#define GUEST_PAT		0x2804
#define GUEST_EFER		0x2806
#define EXIT_REASON		0x4402
#define GUEST_GDTR_LIMIT	0x4810
#define GUEST_IDTR_LIMIT	0x4812
#define GUEST_CS_ACCESS		0x4816
#define GUEST_SS_ACCESS		0x4818
#define GUEST_LDTR_ACCESS	0x4820
#define GUEST_TR_ACCESS		0x4822
#define GUEST_INTERRUPTIBILITY	0x4824
#define GUEST_ACTIVITY		0x4826
#define GUEST_PREEMPTION_TIMER	0x482e
#define GUEST_CR0		0x6800
#define GUEST_CR3		0x6802
#define GUEST_CR4		0x6804
#define GUEST_CS_BASE		0x6808
#define GUEST_FS_BASE		0x680e
#define GUEST_TR_BASE		0x6814
#define GUEST_GDTR_BASE		0x6816
#define GUEST_IDTR_BASE		0x6818
#define GUEST_DR7		0x681a
#define GUEST_RSP		0x681c
#define GUEST_RIP		0x681e
#define GUEST_RFLAGS		0x6820
#define GUEST_PENDING_DEBUG	0x6822
#define GUEST_SYSENTER_ESP	0x6824
#define TSC_OFFSET		0x2010

#define NONCANONICAL		0x0000800000000000ULL
#define KERNEL_HALF		0xffff800000000000ULL
#define ENTRY_FAILED_GUEST	0x80000021U

GUEST_CODE(halt, 64, "hlt; hlt; hlt");

struct snapshot {
	struct vee_vmcs_value values[1024];
	__u32 count;
};

FIXTURE(vmcs) {
	struct guest g;
	struct snapshot s;
};

/* On one CPU: those of Bochs 2.7 differ in the fields that they have. */
FIXTURE_SETUP(vmcs)
{
	ASSERT_EQ(0, pin_to_cpu(0));
	guest_open(_metadata, &self->g);
	GUEST_LONG(&self->g, halt);
	ASSERT_HLT(&self->g, GPA_CODE);
}

FIXTURE_TEARDOWN(vmcs)
{
	guest_close(&self->g);
}

static int take_snapshot(struct guest *g, struct snapshot *s)
{
	struct vee_vmcs_snapshot snapshot = {
		.size = sizeof(snapshot),
		.count = ARRAY_SIZE(s->values),
		.values = (unsigned long)s->values,
	};
	int ret = vee_call(g->vcpu, VEE_VCPU_VMCS_SNAPSHOT, &snapshot);

	s->count = snapshot.count;
	return ret;
}

static struct vee_vmcs_value *find(struct snapshot *s, __u32 encoding)
{
	__u32 i;

	for (i = 0; i < s->count; i++) {
		if (s->values[i].encoding == encoding)
			return &s->values[i];
	}
	return NULL;
}

/* --- reading --------------------------------------------------------------- */

TEST_F(vmcs, read_every_encoding)
{
	__u32 encoding, there = 0, strange = 0;
	__u64 value;

	for (encoding = 0; encoding < ENCODINGS; encoding++) {
		int ret = vmcs_read(self->g.vcpu, encoding, &value);

		if (!ret && !FIELD_HIGH(encoding))
			there++;
		else if (ret != -ENOENT)
			strange++;
	}
	EXPECT_LT(100, there);
	EXPECT_EQ(0, strange);
}

TEST_F(vmcs, no_such_encoding)
{
	static const __u32 none[] = {
		0x1000, 0x7ffe, 0x8000, 0xffff, 0x681e | 1U << 15,
		0x681e | 1U << 12, 0x681e | 1U << 31, GUEST_PAT | 1, -1U,
	};
	__u64 value;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(none); i++) {
		EXPECT_EQ(-ENOENT, vmcs_read(self->g.vcpu, none[i], &value))
			TH_LOG("%#x", none[i]);
		EXPECT_EQ(-ENOENT, vmcs_write(self->g.vcpu, none[i], 0))
			TH_LOG("%#x", none[i]);
	}
}

/* Before the first run there is something to read, too. */
TEST_F(vmcs, read_before_first_run)
{
	struct guest fresh;
	__u64 value;

	guest_open_sibling(_metadata, &self->g, &fresh, 1);
	EXPECT_EQ(0, vmcs_read(fresh.vcpu, GUEST_RFLAGS, &value));
	EXPECT_EQ(0, vmcs_write(fresh.vcpu, GUEST_RSP, 0x1234));
	EXPECT_EQ(0, vmcs_read(fresh.vcpu, GUEST_RSP, &value));
	EXPECT_EQ(0x1234, value);
	guest_close(&fresh);
}

TEST_F(vmcs, read_matches_page)
{
	struct guest *g = &self->g;
	__u64 value;

	EXPECT_EQ(0, vmcs_read(g->vcpu, GUEST_RIP, &value));
	EXPECT_EQ(GPA_CODE, value);
	EXPECT_EQ(0, vmcs_read(g->vcpu, GUEST_RSP, &value));
	EXPECT_EQ(GPA_STACK, value);
	EXPECT_EQ(0, vmcs_read(g->vcpu, GUEST_CS_SELECTOR, &value));
	EXPECT_EQ(SEL_CODE64, value);
	EXPECT_EQ(0, vmcs_read(g->vcpu, GUEST_CS_ACCESS, &value));
	EXPECT_EQ(AR_CODE64, value);
	EXPECT_EQ(0, vmcs_read(g->vcpu, EXIT_REASON, &value));
	EXPECT_EQ(12, value);
}

TEST_F(vmcs, snapshot)
{
	__u32 i, j, wrong = 0;
	__u64 value;

	ASSERT_EQ(0, take_snapshot(&self->g, &self->s));
	for (i = 0; i < self->s.count; i++) {
		const struct vee_vmcs_value *v = &self->s.values[i];

		EXPECT_EQ(0, v->flags);
		EXPECT_FALSE(FIELD_HIGH(v->encoding));
		EXPECT_EQ(0, vmcs_read(self->g.vcpu, v->encoding, &value))
			TH_LOG("%#x", v->encoding);
		/* What is the guest's does not change while it is not running. */
		if (FIELD_TYPE(v->encoding) == TYPE_GUEST)
			wrong += value != v->value;
		for (j = 0; j < i; j++)
			wrong += v->encoding == self->s.values[j].encoding;
	}
	EXPECT_EQ(0, wrong);
	EXPECT_NE(NULL, find(&self->s, GUEST_RIP));
	EXPECT_NE(NULL, find(&self->s, GUEST_CR0));
	EXPECT_NE(NULL, find(&self->s, EXIT_REASON));
}

/* All that can be read is in the snapshot. */
TEST_F(vmcs, snapshot_is_complete)
{
	__u32 encoding, there = 0;
	__u64 value;

	ASSERT_EQ(0, take_snapshot(&self->g, &self->s));
	for (encoding = 0; encoding < ENCODINGS; encoding += 2)
		there += !vmcs_read(self->g.vcpu, encoding, &value);
	EXPECT_EQ(there, self->s.count);
}

/* --- without CAP_SYS_ADMIN ------------------------------------------------- */

static int drop_sys_admin(void)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &header, data))
		return -errno;
	data[0].effective &= ~(1U << CAP_SYS_ADMIN);
	data[0].permitted &= ~(1U << CAP_SYS_ADMIN);
	return syscall(SYS_capset, &header, data) ? -errno : 0;
}

/* Where the host's kernel and its tables are, linear and physical. */
static const __u32 host_addresses[] = {
	0x2000, 0x2002, 0x2004, 0x2006, 0x2008, 0x200a, 0x200e, 0x2012, 0x2014,
	0x201a, 0x6c02, 0x6c06, 0x6c08, 0x6c0a, 0x6c0c, 0x6c0e, 0x6c10, 0x6c12,
	0x6c14, 0x6c16,
};

TEST_F(vmcs, unprivileged_read)
{
	__u64 value;
	unsigned int i;

	ASSERT_EQ(0, drop_sys_admin());
	for (i = 0; i < ARRAY_SIZE(host_addresses); i++) {
		int ret = vmcs_read(self->g.vcpu, host_addresses[i], &value);

		EXPECT_TRUE(ret == -EPERM || ret == -ENOENT)
			TH_LOG("%#x: %d", host_addresses[i], ret);
		EXPECT_EQ(0, value);
	}
	EXPECT_EQ(0, vmcs_read(self->g.vcpu, GUEST_RIP, &value));
	EXPECT_EQ(0, vmcs_read(self->g.vcpu, EXIT_REASON, &value));
}

/* None of the fields shows a kernel address, but for the guest's own. */
TEST_F(vmcs, unprivileged_sees_no_address)
{
	__u32 encoding;
	__u64 value;

	ASSERT_EQ(0, drop_sys_admin());
	for (encoding = 0; encoding < ENCODINGS; encoding += 2) {
		if (FIELD_TYPE(encoding) == TYPE_GUEST ||
		    encoding == TSC_OFFSET || FIELD_WIDTH(encoding) != 3)
			continue;
		if (vmcs_read(self->g.vcpu, encoding, &value))
			continue;
		/* Masks of control registers are no addresses. */
		EXPECT_FALSE(value >= KERNEL_HALF && value < -BIT_ULL(32))
			TH_LOG("%#x: %#llx", encoding, value);
	}
}

TEST_F(vmcs, unprivileged_snapshot)
{
	unsigned int i, withheld = 0;

	ASSERT_EQ(0, drop_sys_admin());
	ASSERT_EQ(0, take_snapshot(&self->g, &self->s));
	for (i = 0; i < ARRAY_SIZE(host_addresses); i++) {
		struct vee_vmcs_value *v = find(&self->s, host_addresses[i]);

		if (!v)
			continue;
		EXPECT_EQ(VEE_VMCS_WITHHELD, v->flags)
			TH_LOG("%#x", v->encoding);
		EXPECT_EQ(0, v->value);
		withheld++;
	}
	EXPECT_LT(10, withheld);
	ASSERT_NE(NULL, find(&self->s, GUEST_RIP));
	EXPECT_EQ(0, find(&self->s, GUEST_RIP)->flags);
	EXPECT_EQ(GPA_CODE, find(&self->s, GUEST_RIP)->value);
}

/* --- writing --------------------------------------------------------------- */

TEST_F(vmcs, writable_fields)
{
	static const struct {
		__u32 encoding;
		__u64 value;
	} writes[] = {
		{ GUEST_CS_SELECTOR, 0xfff8 },
		{ GUEST_PAT, 0x0606060606060606 },
		{ GUEST_GDTR_LIMIT, 0x1234 },
		{ GUEST_CS_ACCESS, AR_CODE32 },
		{ GUEST_INTERRUPTIBILITY, VEE_BLOCKING_BY_NMI },
		{ GUEST_ACTIVITY, VEE_ACTIVITY_HLT },
		{ GUEST_CR3, 0x12345000 },
		{ GUEST_FS_BASE, 0xffff888000000000 },
		{ GUEST_DR7, 0x400 },
		{ GUEST_RSP, 0xdeadbeefdeadbeef },
		{ GUEST_RIP, 0xfeedfeedfeedfeed },
		{ GUEST_RFLAGS, 0x46 },
		{ GUEST_PENDING_DEBUG, 0x1000 },
		{ GUEST_SYSENTER_ESP, 0x7fffffffffff },
	};
	__u64 value;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(writes); i++) {
		EXPECT_EQ(0, vmcs_write(self->g.vcpu, writes[i].encoding,
					writes[i].value))
			TH_LOG("%#x", writes[i].encoding);
		EXPECT_EQ(0, vmcs_read(self->g.vcpu, writes[i].encoding, &value));
		EXPECT_EQ(writes[i].value, value)
			TH_LOG("%#x", writes[i].encoding);
	}
}

/* It counts as the last exit's: the page is stale, and what is dirty wins. */
TEST_F(vmcs, write_and_page)
{
	struct guest *g = &self->g;

	ASSERT_EQ(0, vcpu_sync(g->vcpu, VEE_STATE_ALL));
	ASSERT_EQ(0, vmcs_write(g->vcpu, GUEST_RIP, GPA_CODE + 1));
	EXPECT_EQ(0, g->page->valid);
	ASSERT_EQ(0, vcpu_sync(g->vcpu, VEE_STATE_REGS));
	EXPECT_EQ(GPA_CODE + 1, g->page->regs.rip);
	ASSERT_HLT(g, GPA_CODE + 1);
	ASSERT_EQ(0, vmcs_write(g->vcpu, GUEST_RIP, GPA_CODE + 1));
	guest_set_rip(g, GPA_CODE + 2);
	ASSERT_HLT(g, GPA_CODE + 2);
}

/*
 * The value that a field has already is written back to every encoding: outside
 * the guest-state area that is -EPERM, and the guest runs after it as before.
 */
TEST_F(vmcs, write_every_encoding)
{
	__u32 encoding, allowed = 0;
	__u64 value;

	for (encoding = 0; encoding < ENCODINGS; encoding++) {
		int known = vmcs_read(self->g.vcpu, encoding, &value);
		int ret = vmcs_write(self->g.vcpu, encoding, value);

		if (known) {
			EXPECT_TRUE(ret == -ENOENT || ret == -EPERM)
				TH_LOG("%#x: %d", encoding, ret);
		} else if (FIELD_TYPE(encoding) != TYPE_GUEST) {
			EXPECT_EQ(-EPERM, ret) TH_LOG("%#x", encoding);
		} else {
			EXPECT_TRUE(!ret || ret == -EPERM)
				TH_LOG("%#x: %d", encoding, ret);
			allowed += !ret;
		}
	}
	EXPECT_LT(30, allowed);
	ASSERT_HLT(&self->g, GPA_CODE);
}

/* Guest state that has another door, or could reach the host. */
TEST_F(vmcs, write_forbidden)
{
	static const __u32 forbidden[] = {
		GUEST_LINK_POINTER, GUEST_PREEMPTION_TIMER, GUEST_CR0,
		GUEST_CR4, GUEST_EFER,
	};
	__u64 value, after;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(forbidden); i++) {
		int ret = vmcs_read(self->g.vcpu, forbidden[i], &value);

		if (ret == -ENOENT)
			continue;
		EXPECT_EQ(-EPERM, vmcs_write(self->g.vcpu, forbidden[i], ~value))
			TH_LOG("%#x", forbidden[i]);
		EXPECT_EQ(0, vmcs_read(self->g.vcpu, forbidden[i], &after));
		EXPECT_EQ(value, after);
	}
}

TEST_F(vmcs, write_too_wide)
{
	static const struct {
		__u32 encoding;
		__u64 value;
	} wide[] = {
		{ GUEST_CS_SELECTOR, 0x10000 },
		{ GUEST_CS_SELECTOR, -1ULL },
		{ GUEST_CS_ACCESS, BIT_ULL(32) },
		{ GUEST_GDTR_LIMIT, BIT_ULL(63) },
		{ GUEST_ACTIVITY, 2 },
		{ GUEST_ACTIVITY, 3 },
		{ GUEST_ACTIVITY, 4 },
		{ GUEST_ACTIVITY, -1U },
		{ GUEST_ACTIVITY, BIT_ULL(32) },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(wide); i++) {
		EXPECT_EQ(-EINVAL, vmcs_write(self->g.vcpu, wide[i].encoding,
					      wide[i].value))
			TH_LOG("%#x = %#llx", wide[i].encoding, wide[i].value);
	}
	ASSERT_HLT(&self->g, GPA_CODE);
}

/* --- broken guest state ---------------------------------------------------- */

struct broken {
	const char *rule;
	__u32 encoding;
	__u64 value;
};

/*
 * Each breaks one rule of SDM 3C, "Checks on the Guest State Area", in a guest
 * in 64-bit mode.
 */
static const struct broken breakages[] = {
	{ "RFLAGS bit 1 is 1", GUEST_RFLAGS, 0 },
	{ "RFLAGS bit 15 is 0", GUEST_RFLAGS, 0x8002 },
	{ "RFLAGS high half is 0", GUEST_RFLAGS, BIT_ULL(40) | 2 },
	{ "RFLAGS.VM is 0 in IA-32e mode", GUEST_RFLAGS, 0x20002 },
	{ "CS is code", GUEST_CS_ACCESS, 0xa092 },
	{ "CS is present", GUEST_CS_ACCESS, 0xa01b },
	{ "CS.D is 0 if L is 1", GUEST_CS_ACCESS, 0xe09b },
	{ "CS reserved bits are 0", GUEST_CS_ACCESS, 0xa49b },
	{ "CS base fits 32 bits", GUEST_CS_BASE, BIT_ULL(32) },
	{ "SS is read/write data", GUEST_SS_ACCESS, 0xc091 },
	{ "TR is usable", GUEST_TR_ACCESS, 0x1008b },
	{ "TR is busy", GUEST_TR_ACCESS, 0x89 },
	{ "TR base is canonical", GUEST_TR_BASE, NONCANONICAL },
	{ "LDTR is an LDT", GUEST_LDTR_ACCESS, 0x83 },
	{ "GDTR base is canonical", GUEST_GDTR_BASE, NONCANONICAL },
	{ "IDTR base is canonical", GUEST_IDTR_BASE, NONCANONICAL },
	{ "GDTR limit has 16 bits", GUEST_GDTR_LIMIT, 0x10000 },
	{ "IDTR limit has 16 bits", GUEST_IDTR_LIMIT, 0x10000 },
	{ "CR3 fits the physical-address width", GUEST_CR3, BIT_ULL(53) },
	{ "DR7 high half is 0", GUEST_DR7, BIT_ULL(32) | 0x400 },
	{ "SYSENTER_ESP is canonical", GUEST_SYSENTER_ESP, NONCANONICAL },
	{ "FS base is canonical", GUEST_FS_BASE, NONCANONICAL },
	{ "PAT has memory types only", GUEST_PAT, 0x0207040600070406 },
	{ "interruptibility reserved bits are 0", GUEST_INTERRUPTIBILITY, 0x20 },
	{ "blocking by STI or MOV SS, not both", GUEST_INTERRUPTIBILITY, 3 },
	{ "no blocking by STI with IF 0", GUEST_INTERRUPTIBILITY, 1 },
	{ "pending debug reserved bits are 0", GUEST_PENDING_DEBUG, 0x10 },
};

TEST_F(vmcs, entry_failure)
{
	struct guest *g = &self->g;
	const struct broken *b;

	for (b = breakages; b < breakages + ARRAY_SIZE(breakages); b++) {
		__u64 good, value;

		ASSERT_EQ(0, vmcs_read(g->vcpu, b->encoding, &good));
		ASSERT_EQ(0, vmcs_write(g->vcpu, b->encoding, b->value))
			TH_LOG("%s", b->rule);
		ASSERT_EQ(0, guest_run(g));
		EXPECT_EQ(VEE_EXIT_ENTRY_FAILED, g->page->exit.reason)
			TH_LOG("%s: %s", b->rule, guest_describe(g));
		EXPECT_EQ(0, g->page->exit.entry.instruction_error);
		EXPECT_EQ(ENTRY_FAILED_GUEST, g->page->exit.hardware_reason);
		/* The VMCS is as the failed entry left it. */
		EXPECT_EQ(0, vmcs_read(g->vcpu, b->encoding, &value));
		EXPECT_EQ(b->value, value) TH_LOG("%s", b->rule);
		ASSERT_EQ(0, vmcs_write(g->vcpu, b->encoding, good));
		ASSERT_HLT(g, GPA_CODE);
	}
}

/* Outside 64-bit code RIP has 32 bits. */
TEST_F(vmcs, entry_failure_rip)
{
	struct guest *g = &self->g;

	GUEST_PROTECTED(g, halt);
	ASSERT_HLT(g, GPA_CODE);
	ASSERT_EQ(0, vmcs_write(g->vcpu, GUEST_RIP, BIT_ULL(32) | GPA_CODE));
	ASSERT_RUN(g, VEE_EXIT_ENTRY_FAILED);
	EXPECT_EQ(ENTRY_FAILED_GUEST, g->page->exit.hardware_reason);
	guest_set_rip(g, GPA_CODE);
	ASSERT_HLT(g, GPA_CODE);
}

TEST_F(vmcs, entry_failure_snapshot)
{
	struct guest *g = &self->g;

	ASSERT_EQ(0, vmcs_write(g->vcpu, GUEST_RFLAGS, 0));
	ASSERT_RUN(g, VEE_EXIT_ENTRY_FAILED);
	EXPECT_EQ(0, g->page->exit.instruction_length);
	ASSERT_EQ(0, take_snapshot(&self->g, &self->s));
	ASSERT_NE(NULL, find(&self->s, GUEST_RFLAGS));
	EXPECT_EQ(0, find(&self->s, GUEST_RFLAGS)->value);
	EXPECT_EQ(ENTRY_FAILED_GUEST, find(&self->s, EXIT_REASON)->value);
	/* It stays so, run after run, until somebody repairs it. */
	ASSERT_RUN(g, VEE_EXIT_ENTRY_FAILED);
	guest_set_regs(g);
	ASSERT_HLT(g, GPA_CODE);
}

/* The first entry ever of a vCPU fails; a later one does not. */
TEST_F(vmcs, entry_failure_at_first)
{
	struct guest fresh;

	guest_open_sibling(_metadata, &self->g, &fresh, 1);
	GUEST_LONG(&fresh, halt);
	fresh.page->segments.tr.access_rights = VEE_AR_UNUSABLE;
	ASSERT_RUN(&fresh, VEE_EXIT_ENTRY_FAILED);
	EXPECT_EQ(ENTRY_FAILED_GUEST, fresh.page->exit.hardware_reason);
	guest_set_long(&fresh);
	ASSERT_HLT(&fresh, GPA_CODE);
	guest_close(&fresh);
}

/* An event that was to be injected is not lost with the entry. */
TEST_F(vmcs, entry_failure_keeps_event)
{
	struct guest *g = &self->g;

	ASSERT_EQ(0, vmcs_write(g->vcpu, GUEST_TR_ACCESS, 0x89));
	guest_inject_error(g, VECTOR_GP, 0x18);
	ASSERT_RUN(g, VEE_EXIT_ENTRY_FAILED);
	EXPECT_EQ(VEE_EXIT_EVENT_PENDING,
		  g->page->exit.flags & VEE_EXIT_EVENT_PENDING);
	ASSERT_EQ(0, vmcs_write(g->vcpu, GUEST_TR_ACCESS, AR_TSS_BUSY));
	ASSERT_VECTOR(g, VECTOR_GP);
	EXPECT_EQ(0x18, guest_read64(g, g->page->regs.rsp));
	EXPECT_EQ(GPA_STACK - 48, g->page->regs.rsp);
}

/* A broken segment through the page: refused there, or by the CPU. */
TEST_F(vmcs, entry_failure_by_page)
{
	struct guest *g = &self->g;
	int ret;

	g->page->segments.cs.access_rights = 0;
	g->page->dirty = VEE_STATE_SEGMENTS;
	ret = guest_run(g);
	EXPECT_TRUE(ret == -EINVAL ||
		    (!ret && g->page->exit.reason == VEE_EXIT_ENTRY_FAILED))
		TH_LOG("%d, %s", ret, guest_describe(g));
	GUEST_LONG(g, halt);
	ASSERT_HLT(g, GPA_CODE);
}

/* --- noise ----------------------------------------------------------------- */

static __u64 next_random(__u64 *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/*
 * Every writable field in turn takes values that were not thought about. The
 * guest may do as it likes then; the host goes on, and so does the guest with
 * the old value back in place.
 */
TEST_F(vmcs, random_values)
{
	struct guest *g = &self->g;
	__u64 state = 0x9e3779b97f4a7c15ULL, good, value;
	__u32 i, round;

	ASSERT_EQ(0, take_snapshot(&self->g, &self->s));
	for (i = 0; i < self->s.count; i++) {
		__u32 encoding = self->s.values[i].encoding;

		if (vmcs_read(g->vcpu, encoding, &good) ||
		    vmcs_write(g->vcpu, encoding, good))
			continue;
		for (round = 0; round < 4; round++) {
			value = next_random(&state) >> 16 * round;
			if (vmcs_write(g->vcpu, encoding, value))
				continue;
			g->page->deadline_ns = MS_NS;
			EXPECT_EQ(0, guest_run(g)) TH_LOG("%#x", encoding);
			g->page->deadline_ns = DEADLINE_NS;
			GUEST_LONG(g, halt);
			g->page->events = (struct vee_events) { 0 };
			g->page->dirty |= VEE_STATE_EVENTS;
			ASSERT_EQ(0, vmcs_write(g->vcpu, encoding, good));
			ASSERT_HLT(g, GPA_CODE);
		}
	}
}

TEST_HARNESS_MAIN
