// SPDX-License-Identifier: GPL-2.0-only
/*
 * CPUID: a table of answers for each vCPU, which user space may replace.
 *
 * The default is what the host answers, less what its kernel does without (the
 * CPU's errata, clearcpuid=), and less what vee does not offer: VMX, MONITOR, the
 * APIC and its timer, performance counters, XSAVES, and whatever would need an MSR
 * that vee does not keep. It is made from a list of masks; a leaf that is not on the
 * list answers zeros.
 */
#include <linux/bitops.h>
#include <linux/minmax.h>
#include <linux/overflow.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <linux/uaccess.h>
#include <asm/cpufeatures.h>
#include <asm/fpu/types.h>
#include <asm/msr-index.h>
#include <asm/processor.h>
#include <asm/processor-flags.h>
#include <asm/tsc.h>

#include "compat_cpu.h"
#include "vcpu/cpuid.h"
#include "vcpu/cr.h"
#include "vcpu/event.h"
#include "vcpu/exit_user.h"
#include "vcpu/vcpu.h"
#include "vmx/caps.h"
#include "vmx/vmcs.h"

/* --- the default ---------------------------------------------------------------- */

struct leaf_mask {
	u32 leaf;
	u32 subleaf;
	u32 flags;
	u32 eax, ebx, ecx, edx;
};

#define ALL	0xffffffffU

/* A bit of asm/cpufeatures.h is 32 times its word, plus its place in it. */
#define F(name)	BIT(X86_FEATURE_##name & 31)

#define LEAF1_ECX (F(XMM3) | F(PCLMULQDQ) | F(SSSE3) | F(FMA) | F(CX16) |	\
	F(PCID) | F(XMM4_1) | F(XMM4_2) | F(MOVBE) | F(POPCNT) | F(AES) |	\
	F(XSAVE) | F(AVX) | F(F16C) | F(RDRAND))

#define LEAF1_EDX (F(FPU) | F(VME) | F(DE) | F(PSE) | F(TSC) | F(MSR) |		\
	F(PAE) | F(CX8) | F(SEP) | F(PGE) | F(CMOV) | F(PAT) | F(PSE36) |	\
	F(CLFLUSH) | F(MMX) | F(FXSR) | F(XMM) | F(XMM2))

#define LEAF7_EBX (F(FSGSBASE) | F(BMI1) | F(AVX2) | F(SMEP) | F(BMI2) |		\
	F(ERMS) | F(INVPCID) | F(AVX512F) | F(AVX512DQ) | F(RDSEED) | F(ADX) |	\
	F(SMAP) | F(AVX512IFMA) | F(CLFLUSHOPT) | F(CLWB) | F(AVX512CD) |	\
	F(SHA_NI) | F(AVX512BW) | F(AVX512VL))

#define LEAF7_ECX (F(AVX512VBMI) | F(UMIP) | F(AVX512_VBMI2) | F(GFNI) |	\
	F(VAES) | F(VPCLMULQDQ) | F(AVX512_VNNI) | F(AVX512_BITALG) |		\
	F(AVX512_VPOPCNTDQ) | F(RDPID))

#define LEAF7_EDX (F(FSRM) | F(MD_CLEAR))

#define LEAFD1_EAX (F(XSAVEOPT) | F(XSAVEC) | F(XGETBV1))

#define EXT1_ECX (F(LAHF_LM) | F(ABM) | F(3DNOWPREFETCH))
#define EXT1_EDX (F(SYSCALL) | F(NX) | F(GBPAGES) | F(RDTSCP) | F(LM))

#define INVARIANT_TSC	BIT(8)
#define XSAVE_ALIGNED	BIT(1)	/* to 64 bytes in the compacted format */

#define PLAIN(leaf, eax, ebx, ecx, edx)	{ leaf, 0, 0, eax, ebx, ecx, edx }
#define SUB(leaf, subleaf, eax, ebx, ecx, edx) \
	{ leaf, subleaf, VEE_CPUID_SUBLEAF, eax, ebx, ecx, edx }

static const struct leaf_mask defaults[] = {
	PLAIN(0x0, 0, ALL, ALL, ALL),
	/* EBX: brand index and CLFLUSH size; the APIC id is the vCPU's */
	PLAIN(0x1, ALL, 0xffff, LEAF1_ECX, LEAF1_EDX),
	PLAIN(0x2, ALL, ALL, ALL, ALL),
	/* EAX 31:14 count the cores and threads that share: one */
	SUB(0x4, 0, 0x3fff, ALL, ALL, ALL),
	SUB(0x4, 1, 0x3fff, ALL, ALL, ALL),
	SUB(0x4, 2, 0x3fff, ALL, ALL, ALL),
	SUB(0x4, 3, 0x3fff, ALL, ALL, ALL),
	PLAIN(0x6, 0, 0, 0, 0),
	SUB(0x7, 0, 0, LEAF7_EBX, LEAF7_ECX, LEAF7_EDX),
	SUB(0xd, 0, 0, 0, 0, 0),
	SUB(0xd, 1, LEAFD1_EAX, 0, 0, 0),
	SUB(0xd, 2, ALL, ALL, XSAVE_ALIGNED, 0),
	SUB(0xd, 5, ALL, ALL, XSAVE_ALIGNED, 0),
	SUB(0xd, 6, ALL, ALL, XSAVE_ALIGNED, 0),
	SUB(0xd, 7, ALL, ALL, XSAVE_ALIGNED, 0),
	PLAIN(0x15, ALL, ALL, ALL, 0),
	PLAIN(0x16, 0xffff, 0xffff, 0xffff, 0),
	PLAIN(0x80000000, 0, 0, 0, 0),
	PLAIN(0x80000001, 0, 0, EXT1_ECX, EXT1_EDX),
	PLAIN(0x80000002, ALL, ALL, ALL, ALL),
	PLAIN(0x80000003, ALL, ALL, ALL, ALL),
	PLAIN(0x80000004, ALL, ALL, ALL, ALL),
	PLAIN(0x80000006, 0, 0, ALL, 0),
	PLAIN(0x80000007, 0, 0, 0, INVARIANT_TSC),
	PLAIN(0x80000008, 0, 0, 0, 0),
};

#define MAX_BASIC	0x16
#define MAX_EXTENDED	0x80000008
#define LINEAR_BITS	48
#define XSAVE_SMALLEST	576	/* legacy region and header */

#define APIC_ID_SHIFT	24

/* With a local APIC, which is vee's own. */
#define APIC_ECX (F(X2APIC) | F(TSC_DEADLINE_TIMER))
#define APIC_EDX F(APIC)

static void with_apic(struct vee_cpuid_entry *entry)
{
	switch (entry->leaf) {
	case 0x1:
		entry->ecx |= tsc_khz ? APIC_ECX : F(X2APIC);
		entry->edx |= APIC_EDX;
		break;
	case 0x6:
		/* Its timer goes on in HLT, the deepest state that there is. */
		entry->eax |= F(ARAT);
		break;
	}
}

static u32 in_use(enum cpuid_leafs word)
{
	return boot_cpu_data.x86_capability[word];
}

/* What is no good for the host's kernel is none for the guest's. */
static void without_unused(struct vee_cpuid_entry *entry)
{
	switch (entry->leaf) {
	case 0x1:
		entry->ecx &= in_use(CPUID_1_ECX);
		entry->edx &= in_use(CPUID_1_EDX);
		break;
	case 0x7:
		entry->ebx &= in_use(CPUID_7_0_EBX);
		entry->ecx &= in_use(CPUID_7_ECX);
		entry->edx &= in_use(CPUID_7_EDX);
		break;
	case 0xd:
		if (entry->subleaf == 1)
			entry->eax &= in_use(CPUID_D_1_EAX);
		break;
	case 0x80000001:
		entry->ecx &= in_use(CPUID_8000_0001_ECX);
		entry->edx &= in_use(CPUID_8000_0001_EDX);
		break;
	}
}

/* What hangs together with another choice of vee's, register by register. */
static void without_controls(struct vee_cpuid_entry *entry)
{
	switch (entry->leaf) {
	case 0x7:
		if (!caps_has(VEE_FEATURE_INVPCID))
			entry->ebx &= ~F(INVPCID);
		if (!caps_has(VEE_FEATURE_RDTSCP))
			entry->ecx &= ~F(RDPID);
		break;
	case 0x80000001:
		/* Outside 64-bit mode the host's CPUID may hide SYSCALL. */
		entry->edx |= F(SYSCALL);
		if (!caps_has(VEE_FEATURE_RDTSCP))
			entry->edx &= ~F(RDTSCP);
		break;
	}
}

#define AVX512_EBX (F(AVX512F) | F(AVX512DQ) | F(AVX512IFMA) | F(AVX512CD) |	\
	F(AVX512BW) | F(AVX512VL))
#define AVX512_ECX (F(AVX512VBMI) | F(AVX512_VBMI2) | F(AVX512_VNNI) |		\
	F(AVX512_BITALG) | F(AVX512_VPOPCNTDQ))

/* Instructions whose state XCR0 can't have are not there. */
static void without_state(struct vee_cpuid_entry *entry)
{
	if (!(vee_caps.xcr0 & XFEATURE_MASK_YMM)) {
		if (entry->leaf == 0x1)
			entry->ecx &= ~(F(AVX) | F(FMA) | F(F16C));
		if (entry->leaf == 0x7)
			entry->ebx &= ~F(AVX2);
	}
	if (!(vee_caps.xcr0 & XFEATURE_MASK_OPMASK) && entry->leaf == 0x7) {
		entry->ebx &= ~AVX512_EBX;
		entry->ecx &= ~AVX512_ECX;
	}
	if (entry->leaf == 0xd && entry->subleaf >= 2 &&
	    !(vee_caps.xcr0 & BIT_ULL(entry->subleaf))) {
		entry->eax = 0;
		entry->ebx = 0;
	}
}

/* What is not the host's to say. */
static void own_answers(struct vee_cpuid_entry *entry)
{
	switch (entry->leaf) {
	case 0x0:
		entry->eax = MAX_BASIC;
		break;
	case 0xd:
		if (entry->subleaf)
			break;
		entry->eax = (u32)vee_caps.xcr0;
		entry->edx = vee_caps.xcr0 >> 32;
		entry->ecx = vee_caps.xsave_bytes;
		break;
	case 0x80000000:
		entry->eax = MAX_EXTENDED;
		break;
	case 0x80000008:
		entry->eax = vee_caps.gpa_bits | LINEAR_BITS << 8;
		break;
	}
}

/* What the host has of @mask's leaf, as far as guests may have it. */
static void make_offer(struct vee_cpuid_entry *entry, const struct leaf_mask *mask)
{
	u32 highest = cpuid_eax(mask->leaf & 0x80000000);

	*entry = (struct vee_cpuid_entry) {
		.leaf = mask->leaf,
		.subleaf = mask->subleaf,
		.flags = mask->flags,
	};
	if (mask->leaf <= highest)
		cpuid_count(mask->leaf, mask->subleaf, &entry->eax, &entry->ebx,
			    &entry->ecx, &entry->edx);
	entry->eax &= mask->eax;
	entry->ebx &= mask->ebx;
	entry->ecx &= mask->ecx;
	entry->edx &= mask->edx;
	without_unused(entry);
	without_controls(entry);
	without_state(entry);
	own_answers(entry);
}

/* --- look-up ---------------------------------------------------------------------- */

static u64 key(const struct vee_cpuid_entry *entry)
{
	return (u64)entry->leaf << 32 | entry->subleaf;
}

static int by_key(const void *a, const void *b)
{
	u64 left = key(a), right = key(b);

	return left < right ? -1 : left > right;
}

/*
 * Where a leaf's entries may begin: the leaves of a range (basic, hypervisor's,
 * extended) differ in their low bits, so a slot of the index is seldom shared.
 */
static unsigned int slot(u32 leaf)
{
	return (leaf ^ leaf >> 26) % CPUID_SLOTS;
}

/* From the back, so that a slot ends up with the first of its entries. */
static void make_index(struct guest_cpuid *cpuid)
{
	memset(cpuid->first, cpuid->count, sizeof(cpuid->first));
	for (unsigned int i = cpuid->count; i-- > 0;)
		cpuid->first[slot(cpuid->entries[i].leaf)] = i;
}

/* What isn't there is zeros: the entry behind the last, which no leaf is behind. */
static __always_inline const struct vee_cpuid_entry *find(const struct guest_cpuid *cpuid,
							  u32 leaf, u32 subleaf)
{
	const struct vee_cpuid_entry *entry = cpuid->entries + cpuid->first[slot(leaf)];

	for (; entry->leaf <= leaf; entry++)
		if (entry->leaf == leaf &&
		    (!(entry->flags & VEE_CPUID_SUBLEAF) || entry->subleaf == subleaf))
			return entry;
	return cpuid->entries + cpuid->count;
}

/* --- what follows from the table ----------------------------------------------------- */

enum { EBX, ECX, EDX };

static const struct {
	u64 cr4;
	u32 leaf;
	u8 reg;
	u32 bit;
} cr4_features[] = {
	{ X86_CR4_VME | X86_CR4_PVI,	0x1, EDX, F(VME) },
	{ X86_CR4_TSD,			0x1, EDX, F(TSC) },
	{ X86_CR4_DE,			0x1, EDX, F(DE) },
	{ X86_CR4_PSE,			0x1, EDX, F(PSE) },
	{ X86_CR4_PAE,			0x1, EDX, F(PAE) },
	{ X86_CR4_MCE,			0x1, EDX, F(MCE) },
	{ X86_CR4_PGE,			0x1, EDX, F(PGE) },
	{ X86_CR4_OSFXSR,		0x1, EDX, F(FXSR) },
	{ X86_CR4_OSXMMEXCPT,		0x1, EDX, F(XMM) },
	{ X86_CR4_PCIDE,		0x1, ECX, F(PCID) },
	{ X86_CR4_OSXSAVE,		0x1, ECX, F(XSAVE) },
	{ X86_CR4_FSGSBASE,		0x7, EBX, F(FSGSBASE) },
	{ X86_CR4_SMEP,			0x7, EBX, F(SMEP) },
	{ X86_CR4_SMAP,			0x7, EBX, F(SMAP) },
	{ X86_CR4_UMIP,			0x7, ECX, F(UMIP) },
};

static bool offers(const struct guest_cpuid *cpuid, u32 leaf, u8 reg, u32 bit)
{
	const struct vee_cpuid_entry *entry = find(cpuid, leaf, 0);
	const u32 regs[] = {
		[EBX] = entry->ebx,
		[ECX] = entry->ecx,
		[EDX] = entry->edx,
	};

	return regs[reg] & bit;
}

static u64 allowed_cr4(const struct guest_cpuid *cpuid)
{
	u64 allowed = X86_CR4_PCE;

	for (int i = 0; i < ARRAY_SIZE(cr4_features); i++)
		if (offers(cpuid, cr4_features[i].leaf, cr4_features[i].reg,
			   cr4_features[i].bit))
			allowed |= cr4_features[i].cr4;
	return allowed & (vee_caps.cr4_fixed1 | cr4_without_cpu());
}

static u64 allowed_efer(const struct guest_cpuid *cpuid)
{
	u64 allowed = 0;

	if (offers(cpuid, 0x80000001, EDX, F(SYSCALL)))
		allowed |= EFER_SCE;
	if (offers(cpuid, 0x80000001, EDX, F(LM)))
		allowed |= EFER_LME | EFER_LMA;
	if (offers(cpuid, 0x80000001, EDX, F(NX)))
		allowed |= EFER_NX;
	return allowed;
}

/* What the leaf of XCR0 says; but without the instructions no state of theirs. */
static u64 allowed_xcr0(const struct guest_cpuid *cpuid)
{
	const struct vee_cpuid_entry *entry = find(cpuid, 0xd, 0);
	u64 allowed = XFEATURE_MASK_FP | entry->eax | (u64)entry->edx << 32;

	if (!offers(cpuid, 0x1, ECX, F(AVX)))
		allowed &= ~(u64)(XFEATURE_MASK_YMM | XFEATURE_MASK_AVX512);
	if (!offers(cpuid, 0x7, EBX, F(AVX512F)))
		allowed &= ~(u64)XFEATURE_MASK_AVX512;
	return allowed & vee_caps.xcr0;
}

/*
 * Instructions that a control takes away: by 0 in it ("enable ..."), or by 1 ("...
 * exiting"), and then the exit is #UD. RDTSCP and RDPID share theirs.
 */
#define PROC2_ENABLING	(PROC2_RDTSCP | PROC2_INVPCID)
#define PROC2_EXITING	(PROC2_RDRAND_EXITING | PROC2_RDSEED_EXITING)

static const struct {
	u32 proc2;
	u32 leaf;
	u8 reg;
	u32 bit;
} proc2_features[] = {
	{ PROC2_RDTSCP,		0x80000001, EDX, F(RDTSCP) },
	{ PROC2_RDTSCP,		0x7, ECX, F(RDPID) },
	{ PROC2_INVPCID,	0x7, EBX, F(INVPCID) },
	{ PROC2_RDRAND_EXITING,	0x1, ECX, F(RDRAND) },
	{ PROC2_RDSEED_EXITING,	0x7, EBX, F(RDSEED) },
};

/* Those of PROC2_ENABLING and _EXITING whose instructions the guest has. */
static u32 offered_proc2(const struct guest_cpuid *cpuid)
{
	u32 offered = 0;

	for (int i = 0; i < ARRAY_SIZE(proc2_features); i++)
		if (offers(cpuid, proc2_features[i].leaf, proc2_features[i].reg,
			   proc2_features[i].bit))
			offered |= proc2_features[i].proc2;
	return offered;
}

static bool proc_has(u32 control)
{
	return upper_32_bits(vee_caps.allowed[VMX_PROC]) & control;
}

void cpuid_apply(struct vee_vcpu *vcpu)
{
	u32 enabling = vee_caps.control[VMX_PROC2] & PROC2_ENABLING;
	u32 exiting = upper_32_bits(vee_caps.allowed[VMX_PROC2]) & PROC2_EXITING;
	u32 offered = vcpu->cpuid.proc2;
	u32 proc2 = vmcs_read(VMCS_PROC2_CONTROLS) & ~(PROC2_ENABLING | PROC2_EXITING);

	vmcs_write(VMCS_PROC2_CONTROLS,
		   proc2 | (enabling & offered) | (exiting & ~offered));
	vcpu->msrs.has_tsc_aux = enabling & offered & PROC2_RDTSCP;
	if (proc_has(PROC_RDTSC_EXITING))
		vmcs_set_proc(&vcpu->controls, PROC_RDTSC_EXITING,
			      !vcpu->cpuid.has_tsc);
	cr_own(vcpu);
}

/* --- the default's table ------------------------------------------------------------- */

/* What follows from a table for the rest of a vCPU. */
struct allowances {
	u64 cr4;
	u64 efer;
	u64 xcr0;
	u8 apic;
};

/*
 * The same for each vCPU, and so are those who have nothing of their own in it: made as
 * the module loads, since each CPUID is dear, an exit, where this runs in a VM.
 */
static struct vee_cpuid_entry offers_made[ARRAY_SIZE(defaults) + 1] __ro_after_init;
static struct guest_cpuid offered __ro_after_init = { .entries = offers_made };
static struct allowances offered_allows __ro_after_init;

static u8 apic_offers(const struct guest_cpuid *cpuid)
{
	return (offers(cpuid, 0x1, ECX, F(X2APIC)) ? APIC_OFFERS_X2APIC : 0) |
	       (tsc_khz && offers(cpuid, 0x1, ECX, F(TSC_DEADLINE_TIMER)) ?
		APIC_OFFERS_DEADLINE : 0);
}

static struct allowances allowances_of(const struct guest_cpuid *cpuid)
{
	return (struct allowances){
		.cr4 = allowed_cr4(cpuid),
		.efer = allowed_efer(cpuid),
		.xcr0 = allowed_xcr0(cpuid),
		.apic = apic_offers(cpuid),
	};
}

/* @table is sorted, and has room for find()'s entry behind @count of them. */
static struct allowances index_table(struct guest_cpuid *cpuid, struct vee_cpuid_entry *table,
				     unsigned int count)
{
	table[count] = (struct vee_cpuid_entry){ .leaf = U32_MAX };
	cpuid->entries = table;
	cpuid->count = count;
	make_index(cpuid);
	cpuid->proc2 = offered_proc2(cpuid);
	cpuid->has_tsc = offers(cpuid, 0x1, EDX, F(TSC));
	return allowances_of(cpuid);
}

int cpuid_init(void)
{
	for (int i = 0; i < ARRAY_SIZE(defaults); i++)
		make_offer(&offers_made[i], &defaults[i]);
	offered_allows = index_table(&offered, offers_made, ARRAY_SIZE(defaults));
	return 0;
}

u32 cpuid_signature(void)
{
	return find(&offered, 0x1, 0)->eax;
}

/* --- setting and getting ------------------------------------------------------------- */

/* Room for @count entries, and for find()'s. */
static struct vee_cpuid_entry *make_table(unsigned int count)
{
	return kcalloc(count + 1, sizeof(struct vee_cpuid_entry), GFP_KERNEL_ACCOUNT);
}

void cpuid_free(struct guest_cpuid *cpuid)
{
	if (cpuid->entries != offers_made)
		kfree(cpuid->entries);
}

static void allow(struct vee_vcpu *vcpu, const struct allowances *allows)
{
	vcpu->cr.cr4_allowed = allows->cr4;
	vcpu->cr.efer_allowed = allows->efer;
	vcpu->fpu.xcr0_allowed = allows->xcr0;
	vcpu->apic.offers = allows->apic;
}

/* Takes over @table, sorted. */
static void use_table(struct vee_vcpu *vcpu, struct vee_cpuid_entry *table,
		      unsigned int count)
{
	struct allowances allows;

	cpuid_free(&vcpu->cpuid);
	allows = index_table(&vcpu->cpuid, table, count);
	allow(vcpu, &allows);
}

/* The kernel says so, by what it has seen, or was told; and may at any time. */
static void without_tsc(struct vee_cpuid_entry *entry)
{
	if (entry->leaf == 0x80000007)
		entry->edx &= ~INVARIANT_TSC;
}

static int reset_to_own(struct vee_vcpu *vcpu)
{
	struct vee_cpuid_entry *table = make_table(ARRAY_SIZE(defaults));
	bool unstable = check_tsc_unstable();

	if (!table)
		return -ENOMEM;
	memcpy(table, offers_made, sizeof(offers_made));
	for (int i = 0; i < ARRAY_SIZE(defaults); i++) {
		if (table[i].leaf == 0x1)
			table[i].ebx |= vcpu->id << APIC_ID_SHIFT;
		if (vcpu->apic.regs)
			with_apic(&table[i]);
		if (unstable)
			without_tsc(&table[i]);
	}
	use_table(vcpu, table, ARRAY_SIZE(defaults));
	return 0;
}

int cpuid_reset(struct vee_vcpu *vcpu)
{
	if (vcpu->id || vcpu->apic.regs || check_tsc_unstable())
		return reset_to_own(vcpu);
	vcpu->cpuid = offered;
	allow(vcpu, &offered_allows);
	return 0;
}

static bool entry_valid(const struct vee_cpuid_entry *entry)
{
	return !(entry->flags & ~VEE_CPUID_SUBLEAF) && !entry->reserved &&
	       (entry->flags & VEE_CPUID_SUBLEAF || !entry->subleaf);
}

/* Sorted, twins stand side by side; so do a plain leaf and its subleaf 0. */
static bool table_valid(const struct vee_cpuid_entry *table, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		if (!entry_valid(&table[i]))
			return false;
		if (!i || table[i - 1].leaf != table[i].leaf)
			continue;
		if (!(table[i - 1].flags & VEE_CPUID_SUBLEAF) ||
		    key(&table[i - 1]) == key(&table[i]))
			return false;
	}
	return true;
}

int cpuid_fetch(struct guest_cpuid *cpuid, const void __user *from, unsigned int count)
{
	struct vee_cpuid_entry *table;

	if (count > VEE_MAX_CPUID)
		return -EINVAL;
	table = make_table(count);
	if (!table)
		return -ENOMEM;
	if (copy_from_user(table, from, count * sizeof(*table))) {
		kfree(table);
		return -EFAULT;
	}
	sort(table, count, sizeof(*table), by_key, NULL);
	if (!table_valid(table, count)) {
		kfree(table);
		return -EINVAL;
	}
	index_table(cpuid, table, count);
	return 0;
}

void cpuid_exchange(struct vee_vcpu *vcpu, struct guest_cpuid *cpuid)
{
	struct allowances allows;

	swap(vcpu->cpuid, *cpuid);
	allows = allowances_of(&vcpu->cpuid);
	allow(vcpu, &allows);
}

int cpuid_set(struct vee_vcpu *vcpu, const struct vee_cpuid *arg)
{
	struct guest_cpuid cpuid;
	int err = cpuid_fetch(&cpuid, u64_to_user_ptr(arg->entries), arg->count);

	if (err)
		return err;
	cpuid_exchange(vcpu, &cpuid);
	cpuid_free(&cpuid);
	return 0;
}

int cpuid_put(const struct vee_vcpu *vcpu, void __user *to, u32 *count)
{
	unsigned int room = *count;

	*count = vcpu->cpuid.count;
	if (room < vcpu->cpuid.count)
		return -E2BIG;
	if (copy_to_user(to, vcpu->cpuid.entries,
			 vcpu->cpuid.count * sizeof(*vcpu->cpuid.entries)))
		return -EFAULT;
	return 0;
}

int cpuid_get(struct vee_vcpu *vcpu, struct vee_cpuid *arg)
{
	return cpuid_put(vcpu, u64_to_user_ptr(arg->entries), &arg->count);
}

/* --- the exit ---------------------------------------------------------------------------- */

/*
 * The size of the XSAVE area for the components that XCR0 enables: in the standard
 * format each has its place, in the compacted one they lie one behind the other
 * (SDM 1, "Standard Format" and "Compacted Format" of the extended region).
 */
static u32 xsave_size(struct vee_vcpu *vcpu, bool compacted)
{
	u32 size = XSAVE_SMALLEST;

	for (u32 i = 2; i < 32 && vcpu->fpu.xcr0 >> i; i++) {
		const struct vee_cpuid_entry *entry = find(&vcpu->cpuid, 0xd, i);

		if (!(vcpu->fpu.xcr0 & BIT_ULL(i)))
			continue;
		if (!compacted)
			size = max(size, entry->ebx + entry->eax);
		else if (entry->ecx & XSAVE_ALIGNED)
			size = ALIGN(size, 64) + entry->eax;
		else
			size += entry->eax;
	}
	return size;
}

/* The answers that follow the guest's own registers. */
static void keep_up(struct vee_vcpu *vcpu, struct vee_cpuid_entry *answer)
{
	if (answer->leaf == 0x1) {
		answer->ecx &= ~F(OSXSAVE);
		if (cr4_read() & X86_CR4_OSXSAVE)
			answer->ecx |= F(OSXSAVE);
		if (vcpu->apic.regs && !apic_is_enabled(&vcpu->apic))
			answer->edx &= ~APIC_EDX;
	} else if (answer->leaf == 0xd && !answer->subleaf) {
		answer->ebx = xsave_size(vcpu, false);
	} else if (answer->leaf == 0xd && answer->subleaf == 1 &&
		   answer->eax & F(XSAVEC)) {
		answer->ebx = xsave_size(vcpu, true);
	}
}

static enum next ask_caller(struct vee_vcpu *vcpu, u32 leaf, u32 subleaf,
			    const struct vee_cpuid_entry *answer)
{
	vcpu->page->exit.cpuid = (struct vee_exit_cpuid) {
		.leaf = leaf,
		.subleaf = subleaf,
		.eax = answer->eax,
		.ebx = answer->ebx,
		.ecx = answer->ecx,
		.edx = answer->edx,
	};
	return exit_user(vcpu, VEE_EXIT_CPUID);
}

static enum next answer(struct vee_vcpu *vcpu, u32 leaf, u32 subleaf,
			const struct vee_cpuid_entry *entry)
{
	struct vee_regs *regs = guest_regs(vcpu);

	if (unlikely(vcpu->wishes.intercept & VEE_INTERCEPT_CPUID))
		return ask_caller(vcpu, leaf, subleaf, entry);
	regs->rax = entry->eax;
	regs->rbx = entry->ebx;
	regs->rcx = entry->ecx;
	regs->rdx = entry->edx;
	return event_skip(vcpu);
}

/* 1 and 0DH are, and with 5 and 9 keep_up() does nothing: one comparison. */
static bool may_be_kept_up(u32 leaf)
{
	return (leaf & ~0xcU) == 1;
}

static noinline enum next answer_kept_up(struct vee_vcpu *vcpu, u32 leaf, u32 subleaf,
					 const struct vee_cpuid_entry *entry)
{
	struct vee_cpuid_entry kept_up = *entry;

	keep_up(vcpu, &kept_up);
	return answer(vcpu, leaf, subleaf, &kept_up);
}

enum next exit_cpuid(struct vee_vcpu *vcpu)
{
	const struct vee_regs *regs = guest_regs(vcpu);
	u32 leaf = READ_ONCE(regs->rax), subleaf = READ_ONCE(regs->rcx);
	const struct vee_cpuid_entry *entry = find(&vcpu->cpuid, leaf, subleaf);

	if (unlikely(may_be_kept_up(leaf)))
		return answer_kept_up(vcpu, leaf, subleaf, entry);
	return answer(vcpu, leaf, subleaf, entry);
}
