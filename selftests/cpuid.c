// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the guest's CPUID says: vee's default, a table of the caller's, and what
 * vee keeps up to date in either.
 */
#include "vee_util.h"

#define OSXSAVE		0x08000000U

enum { EAX, EBX, ECX, EDX };

FIXTURE(cpuid) {
	struct guest g;
	struct vee_cpuid_entry table[VEE_MAX_CPUID];
	__u32 count;
};

FIXTURE_SETUP(cpuid)
{
	guest_open(_metadata, &self->g);
	self->count = VEE_MAX_CPUID;
	ASSERT_EQ(0, vcpu_get_cpuid(self->g.vcpu, self->table, &self->count));
}

FIXTURE_TEARDOWN(cpuid)
{
	guest_close(&self->g);
}

static struct vee_cpuid_entry *find(struct vee_cpuid_entry *table, __u32 count,
				    __u32 leaf, __u32 subleaf)
{
	__u32 i;

	for (i = 0; i < count; i++) {
		if (table[i].leaf != leaf)
			continue;
		if (!(table[i].flags & VEE_CPUID_SUBLEAF) ||
		    table[i].subleaf == subleaf)
			return &table[i];
	}
	return NULL;
}

static __u32 word(const struct vee_cpuid_entry *entry, unsigned int reg)
{
	const __u32 out[] = { entry->eax, entry->ebx, entry->ecx, entry->edx };

	return out[reg];
}

/*
 * The same bytes in each mode; run in real mode, where CR4 can be 0 and so asks
 * nothing of the table.
 */
GUEST_CODE(cpuid_code, 64, "cpuid; hlt");

/* Runs CPUID in the guest; the answers are in its registers. */
static int guest_cpuid(struct guest *g, __u32 leaf, __u32 subleaf)
{
	int ret;

	g->page->regs.rax = leaf;
	g->page->regs.rcx = subleaf;
	guest_set_rip(g, GPA_CODE);
	ret = guest_run(g);
	return ret ? ret : g->page->exit.reason == VEE_EXIT_HLT;
}

/* --- the default ----------------------------------------------------------- */

TEST_F(cpuid, table_is_sane)
{
	const struct vee_cpuid_entry *t = self->table;
	__u32 i, j;

	ASSERT_LT(4, self->count);
	ASSERT_GE(VEE_MAX_CPUID, self->count);
	for (i = 0; i < self->count; i++) {
		EXPECT_EQ(0, t[i].flags & ~VEE_CPUID_SUBLEAF);
		EXPECT_EQ(0, t[i].reserved);
		EXPECT_TRUE(t[i].flags || !t[i].subleaf);
		for (j = 0; j < i; j++) {
			EXPECT_FALSE(t[i].leaf == t[j].leaf &&
				     t[i].subleaf == t[j].subleaf)
				TH_LOG("leaf %#x twice", t[i].leaf);
		}
	}
}

TEST_F(cpuid, guest_sees_the_table)
{
	struct guest *g = &self->g;
	__u32 i;

	GUEST_REAL(g, cpuid_code);
	for (i = 0; i < self->count; i++) {
		const struct vee_cpuid_entry *e = &self->table[i];
		__u32 kept_up = e->leaf == 1 ? OSXSAVE : 0;

		ASSERT_EQ(1, guest_cpuid(g, e->leaf, e->subleaf));
		EXPECT_EQ(e->eax, g->page->regs.rax) TH_LOG("%#x", e->leaf);
		EXPECT_EQ(e->ecx & ~kept_up, g->page->regs.rcx & ~kept_up)
			TH_LOG("%#x", e->leaf);
		EXPECT_EQ(e->edx, g->page->regs.rdx) TH_LOG("%#x", e->leaf);
		if (e->leaf == 0xd)
			continue;
		EXPECT_EQ(e->ebx, g->page->regs.rbx) TH_LOG("%#x", e->leaf);
	}
}

TEST_F(cpuid, unknown_leaves)
{
	static const __u32 unknown[] = { 0x12345678, 0x80000099, 0xffffffff };
	struct guest *g = &self->g;
	unsigned int i;

	GUEST_REAL(g, cpuid_code);
	for (i = 0; i < ARRAY_SIZE(unknown); i++) {
		g->page->regs.rbx = -1ULL;
		g->page->regs.rdx = -1ULL;
		ASSERT_EQ(1, guest_cpuid(g, unknown[i], 3));
		EXPECT_EQ(0, g->page->regs.rax | g->page->regs.rbx |
			     g->page->regs.rcx | g->page->regs.rdx)
			TH_LOG("%#x", unknown[i]);
	}
}

TEST_F(cpuid, vendor)
{
	struct vee_cpuid_entry *e = find(self->table, self->count, 0, 0);
	__u32 host[4];

	host_cpuid(0, 0, host);
	ASSERT_NE(NULL, e);
	EXPECT_EQ(host[EBX], e->ebx);
	EXPECT_EQ(host[ECX], e->ecx);
	EXPECT_EQ(host[EDX], e->edx);
	EXPECT_LE(1, e->eax);
	EXPECT_GE(host[EAX], e->eax);
}

/* A guest's physical addresses are no wider than the host's. */
TEST_F(cpuid, address_width)
{
	struct vee_cpuid_entry *e = find(self->table, self->count, 0x80000008, 0);
	__u32 host[4];

	host_cpuid(0x80000008, 0, host);
	ASSERT_NE(NULL, e);
	EXPECT_LE(32, e->eax & 0xff);
	EXPECT_GE(host[EAX] & 0xff, e->eax & 0xff);
	EXPECT_EQ(48, e->eax >> 8 & 0xff);
}

struct feature_word {
	__u32 leaf, subleaf;
	unsigned int reg;
	__u32 own;	/* vee's to set, whatever the host has */
};

static const struct feature_word feature_words[] = {
	{ 1, 0, ECX, OSXSAVE | 1U << 31 },
	{ 1, 0, EDX, 0 },
	{ 7, 0, EBX, 0 },
	{ 7, 0, ECX, 0 },
	{ 7, 0, EDX, 0 },
	{ 7, 1, EAX, 0 },
	{ 0xd, 1, EAX, 0 },
	{ 0x80000001, 0, ECX, 0 },
	{ 0x80000001, 0, EDX, 0 },
	{ 0x80000007, 0, EDX, 0 },
};

/* No feature that the host has not got. */
TEST_F(cpuid, features_are_the_hosts)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(feature_words); i++) {
		const struct feature_word *f = &feature_words[i];
		struct vee_cpuid_entry *e = find(self->table, self->count,
						 f->leaf, f->subleaf);
		__u32 host[4];

		if (!e)
			continue;
		host_cpuid(f->leaf, f->subleaf, host);
		EXPECT_EQ(0, word(e, f->reg) & ~host[f->reg] & ~f->own)
			TH_LOG("leaf %#x.%u register %u: %#x, host %#x", f->leaf,
			       f->subleaf, f->reg, word(e, f->reg), host[f->reg]);
	}
}

/* As /proc/cpuinfo has it: what the kernel was told to do without isn't there. */
static bool kernel_has(const char *flags, const char *name)
{
	size_t length = strlen(name);
	const char *at = flags;

	while ((at = strstr(at, name))) {
		if (at[-1] == ' ' && (at[length] == ' ' || at[length] == '\n'))
			return true;
		at += length;
	}
	return false;
}

static const struct {
	const char *name;
	__u32 leaf, subleaf;
	unsigned int reg, bit;
} kernel_features[] = {
	{ "aes", 1, 0, ECX, 25 },
	{ "avx", 1, 0, ECX, 28 },
	{ "pcid", 1, 0, ECX, 17 },
	{ "rdrand", 1, 0, ECX, 30 },
	{ "sep", 1, 0, EDX, 11 },
	{ "avx2", 7, 0, EBX, 5 },
	{ "avx512f", 7, 0, EBX, 16 },
	{ "fsgsbase", 7, 0, EBX, 0 },
	{ "smap", 7, 0, EBX, 20 },
	{ "umip", 7, 0, ECX, 2 },
	{ "fsrm", 7, 0, EDX, 4 },
	{ "md_clear", 7, 0, EDX, 10 },
	{ "xsaveopt", 0xd, 1, EAX, 0 },
	{ "xsavec", 0xd, 1, EAX, 1 },
	{ "abm", 0x80000001, 0, ECX, 5 },
	{ "pdpe1gb", 0x80000001, 0, EDX, 26 },
};

TEST_F(cpuid, features_are_the_kernels)
{
	FILE *file = fopen("/proc/cpuinfo", "r");
	char line[4096] = "";
	unsigned int i;

	ASSERT_NE(NULL, file);
	while (strncmp(line, "flags", 5))
		ASSERT_NE(NULL, fgets(line, sizeof(line), file));
	fclose(file);
	for (i = 0; i < ARRAY_SIZE(kernel_features); i++) {
		struct vee_cpuid_entry *e = find(self->table, self->count,
						 kernel_features[i].leaf,
						 kernel_features[i].subleaf);

		if (!e || !(word(e, kernel_features[i].reg) &
			    1U << kernel_features[i].bit))
			continue;
		EXPECT_TRUE(kernel_has(line, kernel_features[i].name))
			TH_LOG("%s", kernel_features[i].name);
	}
}

struct no_feature {
	const char *name;
	__u32 leaf, subleaf;
	unsigned int reg, bit;
};

/* What takes support that vee doesn't give. */
static const struct no_feature no_features[] = {
	{ "DTES64", 1, 0, ECX, 2 },
	{ "MONITOR", 1, 0, ECX, 3 },
	{ "DS-CPL", 1, 0, ECX, 4 },
	{ "VMX", 1, 0, ECX, 5 },
	{ "SMX", 1, 0, ECX, 6 },
	{ "PDCM", 1, 0, ECX, 15 },
	{ "x2APIC", 1, 0, ECX, 21 },
	{ "TSC-deadline", 1, 0, ECX, 24 },
	{ "DS", 1, 0, EDX, 21 },
	{ "SGX", 7, 0, EBX, 2 },
	{ "Processor Trace", 7, 0, EBX, 25 },
	{ "PKU", 7, 0, ECX, 3 },
	{ "WAITPKG", 7, 0, ECX, 5 },
	{ "CET_SS", 7, 0, ECX, 7 },
	{ "LA57", 7, 0, ECX, 16 },
	{ "KL", 7, 0, ECX, 23 },
	{ "ENQCMD", 7, 0, ECX, 29 },
	{ "UINTR", 7, 0, EDX, 5 },
	{ "CET_IBT", 7, 0, EDX, 20 },
	{ "AMX-BF16", 7, 0, EDX, 22 },
	{ "AMX-TILE", 7, 0, EDX, 24 },
	{ "XSAVES", 0xd, 1, EAX, 3 },
	{ "XFD", 0xd, 1, EAX, 4 },
	{ "SVM", 0x80000001, 0, ECX, 2 },
};

TEST_F(cpuid, features_not_offered)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(no_features); i++) {
		const struct no_feature *f = &no_features[i];
		struct vee_cpuid_entry *e = find(self->table, self->count,
						 f->leaf, f->subleaf);

		EXPECT_EQ(0, e ? word(e, f->reg) & 1U << f->bit : 0)
			TH_LOG("%s", f->name);
	}
}

/* Features that hang on a VMX control are there only with it. */
TEST_F(cpuid, features_with_controls)
{
	__u64 features = vee_info(self->g.dev).features;
	struct vee_cpuid_entry *ext = find(self->table, self->count,
					   0x80000001, 0);
	struct vee_cpuid_entry *seven = find(self->table, self->count, 7, 0);

	EXPECT_TRUE(features & VEE_FEATURE_RDTSCP || !ext ||
		    !(ext->edx & 1U << 27));
	EXPECT_TRUE(features & VEE_FEATURE_INVPCID || !seven ||
		    !(seven->ebx & 1U << 10));
}

/* The bit "there is a hypervisor" and the hypervisor's leaves go together. */
TEST_F(cpuid, hypervisor)
{
	struct vee_cpuid_entry *one = find(self->table, self->count, 1, 0);

	ASSERT_NE(NULL, one);
	EXPECT_EQ(!!(one->ecx & 1U << 31),
		  !!find(self->table, self->count, 0x40000000, 0));
}

/* No performance counters: version 0. */
TEST_F(cpuid, performance_counters)
{
	struct vee_cpuid_entry *e = find(self->table, self->count, 0xa, 0);

	EXPECT_EQ(0, e ? e->eax & 0xff : 0);
}

/* Of power there is nothing to manage, and there is no local APIC's timer. */
TEST_F(cpuid, nothing_thermal)
{
	GUEST_REAL(&self->g, cpuid_code);
	ASSERT_EQ(1, guest_cpuid(&self->g, 6, 0));
	EXPECT_EQ(0, self->g.page->regs.rax | self->g.page->regs.rbx |
		     self->g.page->regs.rcx | self->g.page->regs.rdx);
}

TEST_F(cpuid, apic_id)
{
	struct vee_cpuid_entry table[VEE_MAX_CPUID], *e;
	__u32 count = VEE_MAX_CPUID, subleaf;
	int vcpu = vcpu_create(self->g.vm, 5);

	ASSERT_LE(0, vcpu);
	ASSERT_EQ(0, vcpu_get_cpuid(vcpu, table, &count));
	e = find(table, count, 1, 0);
	ASSERT_NE(NULL, e);
	EXPECT_EQ(5, e->ebx >> 24);
	for (subleaf = 0; subleaf < 2; subleaf++) {
		e = find(table, count, 0xb, subleaf);
		EXPECT_EQ(5, e ? e->edx : 5);
	}
	close(vcpu);
}

/* --- what is kept up to date ----------------------------------------------- */

GUEST_CODE(toggle_osxsave, 64,
	   "mov $1, %eax; cpuid; mov %ecx, %esi;"
	   "mov %cr4, %rax; or $0x40000, %eax; mov %rax, %cr4;"
	   "mov $1, %eax; cpuid; mov %ecx, %edi;"
	   "mov %cr4, %rax; and $0xfffbffff, %eax; mov %rax, %cr4;"
	   "mov $1, %eax; cpuid; mov %ecx, %ebp; hlt");

TEST_F(cpuid, osxsave)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, toggle_osxsave);
	ASSERT_RUN(g, VEE_EXIT_HLT);
	EXPECT_EQ(0, g->page->regs.rsi & OSXSAVE);
	EXPECT_EQ(OSXSAVE, g->page->regs.rdi & OSXSAVE);
	EXPECT_EQ(0, g->page->regs.rbp & OSXSAVE);
}

/* Whatever the caller's table says of it. */
TEST_F(cpuid, osxsave_over_table)
{
	struct guest *g = &self->g;

	find(self->table, self->count, 1, 0)->ecx |= OSXSAVE;
	ASSERT_EQ(0, vcpu_set_cpuid(g->vcpu, self->table, self->count));
	GUEST_LONG(g, toggle_osxsave);
	ASSERT_RUN(g, VEE_EXIT_HLT);
	EXPECT_EQ(0, g->page->regs.rsi & OSXSAVE);
	EXPECT_EQ(OSXSAVE, g->page->regs.rdi & OSXSAVE);
}

TEST_F(cpuid, xsave_size)
{
	struct vee_info info = vee_info(self->g.dev);
	struct guest *g = &self->g;
	const struct {
		__u64 xcr0;
		__u32 bytes;
	} sizes[] = {
		{ 1, 576 }, { 3, 576 }, { 7, 832 },
		{ info.xcr0, info.xsave_bytes },
	};
	unsigned int i;

	GUEST_REAL(g, cpuid_code);
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		if (sizes[i].xcr0 & ~info.xcr0)
			continue;
		g->page->control.xcr0 = sizes[i].xcr0;
		g->page->control.cr4 |= X86_CR4_OSXSAVE;
		g->page->dirty |= VEE_STATE_CONTROL;
		ASSERT_EQ(1, guest_cpuid(g, 0xd, 0));
		EXPECT_EQ(sizes[i].bytes, g->page->regs.rbx);
		EXPECT_EQ(info.xsave_bytes, g->page->regs.rcx);
		EXPECT_EQ(info.xcr0,
			  g->page->regs.rax | g->page->regs.rdx << 32);
	}
}

/* Behind the legacy region and the header, one component after the other. */
static __u32 compacted_bytes(__u64 xcr0)
{
	__u32 bytes = 576, i, out[4];

	for (i = 2; i < 32; i++) {
		if (!(xcr0 & BIT_ULL(i)))
			continue;
		host_cpuid(0xd, i, out);
		if (out[2] & 2)
			bytes = (bytes + 63) & ~63U;
		bytes += out[0];
	}
	return bytes;
}

TEST_F(cpuid, xsave_size_compacted)
{
	struct vee_info info = vee_info(self->g.dev);
	const __u64 xcr0[] = { 1, 3, 7, info.xcr0 };
	struct guest *g = &self->g;
	unsigned int i;

	/* The kernel may do without XSAVEC; vee's answer is the same. */
	find(self->table, self->count, 0xd, 1)->eax |= 2;
	ASSERT_EQ(0, vcpu_set_cpuid(g->vcpu, self->table, self->count));
	GUEST_REAL(g, cpuid_code);
	for (i = 0; i < ARRAY_SIZE(xcr0); i++) {
		if (xcr0[i] & ~info.xcr0)
			continue;
		g->page->control.xcr0 = xcr0[i];
		g->page->control.cr4 |= X86_CR4_OSXSAVE;
		g->page->dirty |= VEE_STATE_CONTROL;
		ASSERT_EQ(1, guest_cpuid(g, 0xd, 1));
		EXPECT_EQ(compacted_bytes(xcr0[i]), g->page->regs.rbx);
	}
}

/* --- the caller's table ---------------------------------------------------- */

TEST_F(cpuid, round_trip)
{
	struct vee_cpuid_entry again[VEE_MAX_CPUID];
	__u32 count = VEE_MAX_CPUID, i;

	find(self->table, self->count, 0, 0)->ebx = 0x12345678;
	ASSERT_EQ(0, vcpu_set_cpuid(self->g.vcpu, self->table, self->count));
	ASSERT_EQ(0, vcpu_get_cpuid(self->g.vcpu, again, &count));
	ASSERT_EQ(self->count, count);
	for (i = 0; i < count; i++) {
		const struct vee_cpuid_entry *e = &self->table[i];
		struct vee_cpuid_entry *same = find(again, count, e->leaf,
						    e->subleaf);

		ASSERT_NE(NULL, same);
		EXPECT_EQ(0, memcmp(e, same, sizeof(*e)))
			TH_LOG("leaf %#x", e->leaf);
	}
}

TEST_F(cpuid, subleaves)
{
	static const struct vee_cpuid_entry table[] = {
		{ .leaf = 4, .subleaf = 2, .flags = VEE_CPUID_SUBLEAF, .eax = 42 },
		{ .leaf = 4, .flags = VEE_CPUID_SUBLEAF, .eax = 40 },
		{ .leaf = 0x40000000, .eax = 7, .ebx = 0x21656576 },
		{ .leaf = 0, .eax = 4 },
		{ .leaf = -1U, .subleaf = 3, .flags = VEE_CPUID_SUBLEAF, .eax = 9 },
	};
	static const __u32 cases[][3] = {
		{ 4, 0, 40 }, { 4, 1, 0 }, { 4, 2, 42 }, { 4, -1U, 0 },
		{ 0, 0, 4 }, { 0, 99, 4 }, { 0x40000000, 0, 7 },
		{ 0x40000000, 5, 7 }, { 1, 0, 0 }, { -1U, 3, 9 }, { -1U, 0, 0 },
	};
	struct guest *g = &self->g;
	unsigned int i;

	ASSERT_EQ(0, vcpu_set_cpuid(g->vcpu, table, ARRAY_SIZE(table)));
	GUEST_REAL(g, cpuid_code);
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		ASSERT_EQ(1, guest_cpuid(g, cases[i][0], cases[i][1]));
		EXPECT_EQ(cases[i][2], g->page->regs.rax)
			TH_LOG("%#x.%#x", cases[i][0], cases[i][1]);
	}
}

TEST_F(cpuid, empty_table)
{
	struct guest *g = &self->g;
	__u32 count = VEE_MAX_CPUID;

	ASSERT_EQ(0, vcpu_set_cpuid(g->vcpu, self->table, 0));
	ASSERT_EQ(0, vcpu_get_cpuid(g->vcpu, self->table, &count));
	EXPECT_EQ(0, count);
	GUEST_REAL(g, cpuid_code);
	ASSERT_EQ(1, guest_cpuid(g, 0, 0));
	EXPECT_EQ(0, g->page->regs.rax | g->page->regs.rbx |
		     g->page->regs.rcx | g->page->regs.rdx);
}

TEST_F(cpuid, full_table)
{
	struct vee_cpuid_entry table[VEE_MAX_CPUID + 1] = { { 0 } };
	struct guest *g = &self->g;
	__u32 i;

	for (i = 0; i < ARRAY_SIZE(table); i++) {
		table[i].leaf = 1000 - i;
		table[i].ebx = i + 5;
	}
	EXPECT_EQ(-EINVAL, vcpu_set_cpuid(g->vcpu, table, ARRAY_SIZE(table)));
	EXPECT_EQ(-EINVAL, vcpu_set_cpuid(g->vcpu, table, -1U));
	ASSERT_EQ(0, vcpu_set_cpuid(g->vcpu, table, VEE_MAX_CPUID));
	GUEST_REAL(g, cpuid_code);
	ASSERT_EQ(1, guest_cpuid(g, 1000, 0));
	EXPECT_EQ(5, g->page->regs.rbx);
	ASSERT_EQ(1, guest_cpuid(g, 1000 - (VEE_MAX_CPUID - 1), 0));
	EXPECT_EQ(5 + VEE_MAX_CPUID - 1, g->page->regs.rbx);
	ASSERT_EQ(1, guest_cpuid(g, 1000 - VEE_MAX_CPUID, 0));
	EXPECT_EQ(0, g->page->regs.rbx);
}

/* A bad table is refused, and the one before stays. */
TEST_F(cpuid, bad_tables)
{
	static const struct vee_cpuid_entry bad[][2] = {
		{ { .leaf = 1 }, { .leaf = 1 } },
		{ { .leaf = 7, .subleaf = 1, .flags = VEE_CPUID_SUBLEAF },
		  { .leaf = 7, .subleaf = 1, .flags = VEE_CPUID_SUBLEAF } },
		{ { .leaf = 1, .flags = 2 }, { .leaf = 2 } },
		{ { .leaf = 1 }, { .leaf = 2, .flags = 1U << 31 } },
		{ { .leaf = 1, .reserved = 1 }, { .leaf = 2 } },
	};
	struct guest *g = &self->g;
	__u32 count = VEE_MAX_CPUID;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(-EINVAL, vcpu_set_cpuid(g->vcpu, bad[i], 2))
			TH_LOG("table %u", i);
	}
	EXPECT_EQ(-EFAULT, vcpu_set_cpuid(g->vcpu, NULL, 1));
	ASSERT_EQ(0, vcpu_get_cpuid(g->vcpu, self->table, &count));
	EXPECT_EQ(self->count, count);
}

TEST_F(cpuid, get_without_room)
{
	struct vee_cpuid_entry table[VEE_MAX_CPUID];
	__u32 count = 0;

	EXPECT_EQ(-E2BIG, vcpu_get_cpuid(self->g.vcpu, table, &count));
	EXPECT_EQ(self->count, count);
	memset(table, 0xff, sizeof(table));
	count = self->count - 1;
	EXPECT_EQ(-E2BIG, vcpu_get_cpuid(self->g.vcpu, table, &count));
	EXPECT_EQ(self->count, count);
	EXPECT_EQ(-1U, table[0].leaf);
	EXPECT_EQ(0, vcpu_get_cpuid(self->g.vcpu, table, &count));
	/* There may be more room than needed, and bad memory behind it. */
	count = -1U;
	EXPECT_EQ(0, vcpu_get_cpuid(self->g.vcpu, table, &count));
	EXPECT_EQ(self->count, count);
}

TEST_F(cpuid, one_vcpu_alone)
{
	static const struct vee_cpuid_entry table[] = { { .ebx = 99 } };
	struct guest *g = &self->g, sibling;

	guest_open_sibling(_metadata, g, &sibling, 1);
	ASSERT_EQ(0, vcpu_set_cpuid(g->vcpu, table, 1));
	GUEST_REAL(g, cpuid_code);
	GUEST_REAL(&sibling, cpuid_code);
	ASSERT_EQ(1, guest_cpuid(&sibling, 0, 0));
	EXPECT_NE(99, sibling.page->regs.rbx);
	ASSERT_EQ(1, guest_cpuid(g, 0, 0));
	EXPECT_EQ(99, g->page->regs.rbx);
	guest_close(&sibling);
}

/* CPUID needs no privilege. */
TEST_F(cpuid, user)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, cpuid_code);
	guest_set_user(g);
	g->page->regs.rbx = 0;
	ASSERT_VECTOR(g, VECTOR_GP);	/* the HLT behind it */
	EXPECT_EQ(find(self->table, self->count, 0, 0)->ebx, g->page->regs.rbx);
}

/* --- what the table takes away ------------------------------------------------ */

#define LEAF1_TSC	BIT_ULL(4)
#define LEAF1_AVX	BIT_ULL(28)
#define LEAF1_RDRAND	BIT_ULL(30)
#define LEAF7_INVPCID	BIT_ULL(10)
#define LEAF7_RDSEED	BIT_ULL(18)
#define LEAF7_AVX512F	BIT_ULL(16)
#define LEAF7_RDPID	BIT_ULL(22)
#define EXT_SYSCALL	BIT_ULL(11)
#define EXT_NX		BIT_ULL(20)
#define EXT_RDTSCP	BIT_ULL(27)
#define EXT_LM		BIT_ULL(29)

static __u32 *register_of(struct vee_cpuid_entry *entry, unsigned int reg)
{
	__u32 *out[] = { &entry->eax, &entry->ebx, &entry->ecx, &entry->edx };

	return out[reg];
}

GUEST_CODE(do_rdtsc, 64, "rdtsc; hlt");
GUEST_CODE(do_rdtscp, 64, "rdtscp; hlt");
GUEST_CODE(do_rdpid, 64, ".byte 0xf3, 0x0f, 0xc7, 0xf8; hlt");
GUEST_CODE(do_invpcid, 64, "mov $0x20000, %ebx; mov $2, %eax; invpcid (%rbx), %rax; hlt");
GUEST_CODE(do_rdrand, 64, "rdrand %rax; hlt");
GUEST_CODE(do_rdseed, 64, "rdseed %rax; hlt");
GUEST_CODE(set_nxe, 64, "mov $0xc0000080, %ecx; rdmsr; bts $11, %eax; wrmsr; hlt");
GUEST_CODE(set_sce, 64, "mov $0xc0000080, %ecx; rdmsr; bts $0, %eax; wrmsr; hlt");
GUEST_CODE(set_ymm, 64, "xor %ecx, %ecx; xor %edx, %edx; mov $7, %eax; xsetbv; hlt");
GUEST_CODE(set_zmm, 64, "xor %ecx, %ecx; xor %edx, %edx; mov $0xe7, %eax; xsetbv; hlt");

/* @proc, @proc2: the control that it takes, if any; @other: what shares that */
static const struct taken_away {
	const char *name;
	const unsigned char *code, *end;
	__u32 leaf;
	unsigned int reg;
	__u64 bit;
	__u32 proc, proc2;
	__u8 vector;
	struct {
		__u32 leaf;
		unsigned int reg;
		__u64 bit;
	} other;
} taken_away[] = {
	{ "do_rdtsc", do_rdtsc, do_rdtsc_end, 1, EDX, LEAF1_TSC, 1U << 12, 0, VECTOR_UD, { 0 } },
	{ "do_rdtscp", do_rdtscp, do_rdtscp_end, 0x80000001, EDX, EXT_RDTSCP, 0, 1U << 3, VECTOR_UD,
	  { 7, ECX, LEAF7_RDPID } },
	{ "do_rdpid", do_rdpid, do_rdpid_end, 7, ECX, LEAF7_RDPID, 0, 1U << 3, VECTOR_UD,
	  { 0x80000001, EDX, EXT_RDTSCP } },
	{ "do_invpcid", do_invpcid, do_invpcid_end,
	  7, EBX, LEAF7_INVPCID, 0, 1U << 12, VECTOR_UD, { 0 } },
	{ "do_rdrand", do_rdrand, do_rdrand_end,
	  1, ECX, LEAF1_RDRAND, 0, 1U << 11, VECTOR_UD, { 0 } },
	{ "do_rdseed", do_rdseed, do_rdseed_end,
	  7, EBX, LEAF7_RDSEED, 0, 1U << 16, VECTOR_UD, { 0 } },
	{ "set_nxe", set_nxe, set_nxe_end, 0x80000001, EDX, EXT_NX, 0, 0, VECTOR_GP, { 0 } },
	{ "set_sce", set_sce, set_sce_end, 0x80000001, EDX, EXT_SYSCALL, 0, 0, VECTOR_GP, { 0 } },
	{ "set_ymm", set_ymm, set_ymm_end, 1, ECX, LEAF1_AVX, 0, 0, VECTOR_GP, { 0 } },
	{ "set_ymm", set_ymm, set_ymm_end, 0xd, EAX, 4, 0, 0, VECTOR_GP, { 0 } },
	{ "set_zmm", set_zmm, set_zmm_end, 7, EBX, LEAF7_AVX512F, 0, 0, VECTOR_GP, { 0 } },
	{ "set_zmm", set_zmm, set_zmm_end, 0xd, EAX, 0xe0, 0, 0, VECTOR_GP, { 0 } },
};

static void start_bare(struct guest *g, const struct taken_away *t)
{
	guest_start(g, guest_set_long, t->code, t->end);
	g->page->control.efer = EFER_LME | EFER_LMA;
	g->page->control.cr4 |= X86_CR4_OSXSAVE;
}

static bool can_take_away(const struct guest *g, const struct taken_away *t)
{
	struct vee_info info = vee_info(g->dev);

	return !(t->proc & ~(info.vmx_proc >> 32)) && !(t->proc2 & ~(info.vmx_proc2 >> 32));
}

static void expect_fault(struct __test_metadata *_metadata, struct guest *g,
			 const struct taken_away *t)
{
	start_bare(g, t);
	ASSERT_VECTOR(g, t->vector);
}

TEST_F(cpuid, taken_away)
{
	struct guest *g = &self->g;
	unsigned int i, tried = 0;

	for (i = 0; i < ARRAY_SIZE(taken_away); i++) {
		const struct taken_away *t = &taken_away[i];
		struct vee_cpuid_entry table[VEE_MAX_CPUID], *entry;

		memcpy(table, self->table, sizeof(table));
		entry = find(table, self->count, t->leaf, 0);
		if (!entry || (*register_of(entry, t->reg) & t->bit) != t->bit ||
		    !can_take_away(g, t))
			continue;
		tried++;
		ASSERT_EQ(0, vcpu_set_cpuid(g->vcpu, table, self->count));
		start_bare(g, t);
		ASSERT_RUN(g, VEE_EXIT_HLT);
		*register_of(entry, t->reg) &= ~t->bit;
		entry = find(table, self->count, t->other.leaf, 0);
		*register_of(entry, t->other.reg) &= ~t->other.bit;
		ASSERT_EQ(0, vcpu_set_cpuid(g->vcpu, table, self->count));
		TH_LOG("without %s", t->name);
		expect_fault(_metadata, g, t);
	}
	EXPECT_LE(5, tried);
}

/* The caller can't set it either; nor LME and what goes with that. */
TEST_F(cpuid, taken_away_from_the_caller)
{
	struct vee_cpuid_entry *ext = find(self->table, self->count, 0x80000001, 0);
	struct guest *g = &self->g;

	ext->edx &= ~(__u32)EXT_NX;
	ASSERT_EQ(0, vcpu_set_cpuid(g->vcpu, self->table, self->count));
	GUEST_LONG(g, cpuid_code);
	EXPECT_EQ(-EINVAL, guest_run(g));
	g->page->control.efer &= ~EFER_NXE;
	ASSERT_RUN(g, VEE_EXIT_HLT);
	ext->edx &= ~(__u32)EXT_LM;
	ASSERT_EQ(0, vcpu_set_cpuid(g->vcpu, self->table, self->count));
	GUEST_LONG(g, cpuid_code);
	EXPECT_EQ(-EINVAL, guest_run(g));
	GUEST_REAL(g, cpuid_code);
	g->page->control.xcr0 = 7;
	find(self->table, self->count, 0xd, 0)->eax = 3;
	ASSERT_EQ(0, vcpu_set_cpuid(g->vcpu, self->table, self->count));
	EXPECT_EQ(-EINVAL, guest_run(g));
	g->page->control.xcr0 = 3;
	ASSERT_RUN(g, VEE_EXIT_HLT);
}

/* Without RDTSCP and RDPID there is no IA32_TSC_AUX: an MSR like any other. */
GUEST_CODE(read_tsc_aux, 64, "mov $0xc0000103, %ecx; rdmsr; hlt");

TEST_F(cpuid, taken_away_msr)
{
	struct guest *g = &self->g;

	find(self->table, self->count, 0x80000001, 0)->edx &= ~(__u32)EXT_RDTSCP;
	find(self->table, self->count, 7, 0)->ecx &= ~(__u32)LEAF7_RDPID;
	ASSERT_EQ(0, vcpu_set_cpuid(g->vcpu, self->table, self->count));
	GUEST_LONG(g, read_tsc_aux);
	ASSERT_RUN(g, VEE_EXIT_RDMSR);
	EXPECT_EQ(0xc0000103, g->page->exit.msr.index);
}

/* Likewise without SYSCALL. */
GUEST_CODE(read_lstar, 64, "mov $0xc0000082, %ecx; rdmsr; hlt");
GUEST_CODE(write_star, 64, "mov $0xc0000081, %ecx; wrmsr; hlt");

TEST_F(cpuid, taken_away_syscall)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, read_lstar);
	ASSERT_RUN(g, VEE_EXIT_HLT);
	find(self->table, self->count, 0x80000001, 0)->edx &= ~(__u32)EXT_SYSCALL;
	ASSERT_EQ(0, vcpu_set_cpuid(g->vcpu, self->table, self->count));
	GUEST_LONG(g, read_lstar);
	g->page->control.efer &= ~EFER_SCE;
	ASSERT_RUN(g, VEE_EXIT_RDMSR);
	EXPECT_EQ(0xc0000082, g->page->exit.msr.index);
	GUEST_LONG(g, write_star);
	g->page->control.efer &= ~EFER_SCE;
	ASSERT_RUN(g, VEE_EXIT_WRMSR);
	EXPECT_EQ(0xc0000081, g->page->exit.msr.index);
}

TEST_HARNESS_MAIN
