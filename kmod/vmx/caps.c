// SPDX-License-Identifier: GPL-2.0-only
/*
 * What this CPU can do, and the controls chosen from it.
 *
 * Whatever is missing is said in one line, by the SDM's name for it, with what to
 * do about it. From then on the rest of vee takes all that it requires for granted.
 */
#define pr_fmt(fmt) "vee: " fmt

#include <linux/bitfield.h>
#include <linux/bits.h>
#include <linux/minmax.h>
#include <linux/printk.h>
#include <linux/smp.h>
#include <asm/fpu/types.h>
#include <asm/fpu/xcr.h>
#include <asm/msr.h>
#include <asm/processor.h>
#include <asm/special_insns.h>

#include "compat_cpu.h"
#include "vmx/caps.h"
#include "vmx/controls.h"

#define TRY_LAB "\"make demo\" runs vee in an emulated machine"

/* CPUID.01H:ECX: the CPU's own word; the kernel's flag heeds the firmware too. */
#define CPUID_1_ECX_VMX		BIT(5)

/* CR4.FRED; kernels that don't know of it have no name for it. */
#define CR4_FRED		BIT_ULL(32)

/* SDM 3D, appendix "Basic VMX Information" */
#define BASIC_REGION_BYTES	GENMASK_ULL(44, 32)
#define BASIC_MEMORY_TYPE	GENMASK_ULL(53, 50)
#define BASIC_TRUE_CONTROLS	BIT_ULL(55)
#define MEMORY_TYPE_WB		6

/* SDM 3D, appendix "Miscellaneous Data" */
#define MISC_TIMER_SHIFT	GENMASK_ULL(4, 0)

/* SDM 3D, appendix "VPID and EPT Capabilities" */
#define CAP_EXECUTE_ONLY	BIT_ULL(0)
#define CAP_WALK_4		BIT_ULL(6)
#define CAP_WRITE_BACK		BIT_ULL(14)
#define CAP_2M			BIT_ULL(16)
#define CAP_1G			BIT_ULL(17)
#define CAP_INVEPT		BIT_ULL(20)
#define CAP_ACCESSED_DIRTY	BIT_ULL(21)
#define CAP_INVEPT_SINGLE	BIT_ULL(25)
#define CAP_INVEPT_ALL		BIT_ULL(26)
#define CAP_INVVPID		BIT_ULL(32)
#define CAP_INVVPID_SINGLE	BIT_ULL(41)

/* What four levels of 512 entries reach. */
#define EPT_GPA_BITS		48

/* SDM 1, "XSAVE-Supported Features and State-Component Bitmaps" */
#define XCR0_OFFERED		(XFEATURE_MASK_FPSSE | XFEATURE_MASK_YMM | \
				 XFEATURE_MASK_AVX512)
/* SDM 1, "XSAVE Area": the legacy region and the header */
#define XSAVE_BYTES_MIN		576
/* SDM 1, "MXCSR Control and Status Register", if FXSAVE tells nothing */
#define MXCSR_MASK_DEFAULT	0xffbf

struct vee_caps vee_caps;

struct control {
	u8 word;
	u8 bit;
	u8 need;
	const char *name;
};

#define VMX_CONTROL(word, bit, need, name, description) \
	{ VMX_##word, bit, VMX_##need, description },
static const struct control controls[] = VMX_CONTROLS;
#undef VMX_CONTROL

static const struct {
	u32 msr;
	u32 true_msr;
	const char *name;
} words[VMX_WORDS] = {
	[VMX_PIN] = {
		MSR_IA32_VMX_PINBASED_CTLS, MSR_IA32_VMX_TRUE_PINBASED_CTLS,
		"pin-based VM-execution controls",
	},
	[VMX_PROC] = {
		MSR_IA32_VMX_PROCBASED_CTLS, MSR_IA32_VMX_TRUE_PROCBASED_CTLS,
		"primary processor-based VM-execution controls",
	},
	[VMX_PROC2] = {
		MSR_IA32_VMX_PROCBASED_CTLS2, MSR_IA32_VMX_PROCBASED_CTLS2,
		"secondary processor-based VM-execution controls",
	},
	[VMX_EXIT] = {
		MSR_IA32_VMX_EXIT_CTLS, MSR_IA32_VMX_TRUE_EXIT_CTLS,
		"VM-exit controls",
	},
	[VMX_ENTRY] = {
		MSR_IA32_VMX_ENTRY_CTLS, MSR_IA32_VMX_TRUE_ENTRY_CTLS,
		"VM-entry controls",
	},
};

/* One of the bits of each mask must be there. */
static const struct {
	u64 mask;
	const char *name;
} ept_needs[] = {
	{ CAP_WALK_4, "EPT with a page-walk length of 4" },
	{ CAP_WRITE_BACK, "EPT in write-back memory" },
	{ CAP_INVEPT, "INVEPT" },
	{ CAP_INVEPT_SINGLE | CAP_INVEPT_ALL, "INVEPT of one or all contexts" },
};

static const struct {
	u64 capability;
	u64 feature;
} ept_features[] = {
	{ CAP_EXECUTE_ONLY, VEE_FEATURE_EPT_EXECUTE_ONLY },
	{ CAP_2M, VEE_FEATURE_EPT_2M },
	{ CAP_1G, VEE_FEATURE_EPT_1G },
	{ CAP_ACCESSED_DIRTY, VEE_FEATURE_EPT_AD },
};

static int read_msr(u32 msr, u64 *value)
{
	if (!rdmsrq_safe(msr, value))
		return 0;
	pr_err("MSR %#x can't be read: the hypervisor below offers VMX only in part; "
	       TRY_LAB "\n", msr);
	return -ENODEV;
}

/* SDM 3C, "Enabling and Entering VMX Operation": unlocked is as good as on. */
static int check_firmware(void)
{
	u64 control;

	if (read_msr(MSR_IA32_FEAT_CTL, &control))
		return -ENODEV;
	if (!(control & FEAT_CTL_LOCKED) ||
	    control & FEAT_CTL_VMX_ENABLED_OUTSIDE_SMX)
		return 0;
	pr_err("the firmware has VMX disabled: enable Intel Virtualization Technology (VT-x) in the firmware set-up\n");
	return -ENODEV;
}

static int check_vmx(void)
{
	if (cpuid_ecx(1) & CPUID_1_ECX_VMX)
		return check_firmware();
	pr_err("this CPU has no Intel VMX: " TRY_LAB "\n");
	return -ENODEV;
}

static int check_host(void)
{
	u64 cr4 = native_read_cr4();

	/* The host's NMI handler is reached through the IDT: see the NMI exit. */
	if (cr4 & CR4_FRED) {
		pr_err("this kernel takes NMIs by FRED, not by an IDT: boot it with fred=off\n");
		return -ENODEV;
	}
	if (!(cr4 & X86_CR4_OSXSAVE)) {
		pr_err("this kernel runs without XSAVE: boot it without noxsave; or " TRY_LAB "\n");
		return -ENODEV;
	}
	return 0;
}

static int read_basic(void)
{
	u64 basic;

	if (read_msr(MSR_IA32_VMX_BASIC, &basic))
		return -ENODEV;
	vee_caps.basic = basic;
	if (FIELD_GET(BASIC_REGION_BYTES, basic) <= PAGE_SIZE &&
	    FIELD_GET(BASIC_MEMORY_TYPE, basic) == MEMORY_TYPE_WB)
		return 0;
	pr_err("this CPU wants its VMCS in other than one write-back page (IA32_VMX_BASIC %#llx): "
	       TRY_LAB "\n", basic);
	return -ENODEV;
}

static int read_fixed(void)
{
	return read_msr(MSR_IA32_VMX_MISC, &vee_caps.misc) ?:
	       read_msr(MSR_IA32_VMX_CR0_FIXED0, &vee_caps.cr0_fixed0) ?:
	       read_msr(MSR_IA32_VMX_CR0_FIXED1, &vee_caps.cr0_fixed1) ?:
	       read_msr(MSR_IA32_VMX_CR4_FIXED0, &vee_caps.cr4_fixed0) ?:
	       read_msr(MSR_IA32_VMX_CR4_FIXED1, &vee_caps.cr4_fixed1);
}

/*
 * SDM 3D, appendix "VM-Execution Controls": the lower half of a word's MSR has the
 * bits that must be 1, the upper half those that may be 1. The older MSRs have
 * some controls in the lower half that the TRUE ones leave free.
 */
static int read_word(enum vmx_word word, u64 *allowed)
{
	bool has_true = vee_caps.basic & BASIC_TRUE_CONTROLS;

	return read_msr(has_true ? words[word].true_msr : words[word].msr,
			allowed);
}

static u32 must_be_1(u64 allowed)
{
	return lower_32_bits(allowed);
}

static u32 may_be_1(u64 allowed)
{
	return upper_32_bits(allowed);
}

static bool acceptable(const struct control *control, u64 allowed)
{
	bool can_be_0 = !(must_be_1(allowed) & BIT(control->bit));
	bool can_be_1 = may_be_1(allowed) & BIT(control->bit);

	switch (control->need) {
	case VMX_REQUIRED:
		return can_be_1;
	case VMX_WANTED:
		return true;
	case VMX_CAPABLE:
		return can_be_0 && can_be_1;
	default:
		return can_be_0;
	}
}

static void refuse(const struct control *control, u64 allowed)
{
	bool has = may_be_1(allowed) & BIT(control->bit);

	pr_err("this CPU %s \"%s\" (bit %u of the %s): " TRY_LAB "\n",
	       has ? "insists on" : "lacks", control->name, control->bit,
	       words[control->word].name);
}

static bool starts_as_1(const struct control *control)
{
	return control->need == VMX_REQUIRED || control->need == VMX_WANTED;
}

/* Reserved bits that must be 1 stay so: SDM 3C, "Reserved Controls and Default Settings". */
static int choose_word(enum vmx_word word)
{
	u64 allowed = vee_caps.allowed[word];
	u32 chosen = 0;

	for (int i = 0; i < ARRAY_SIZE(controls); i++) {
		const struct control *control = &controls[i];

		if (control->word != word)
			continue;
		if (!acceptable(control, allowed)) {
			refuse(control, allowed);
			return -ENODEV;
		}
		if (starts_as_1(control))
			chosen |= BIT(control->bit);
	}
	vee_caps.control[word] = (chosen & may_be_1(allowed)) |
				 must_be_1(allowed);
	return 0;
}

/*
 * Word by word, since the secondary controls have an MSR only if the primary ones
 * offer to activate them.
 */
static int choose_controls(void)
{
	for (int word = 0; word < VMX_WORDS; word++) {
		int error = read_word(word, &vee_caps.allowed[word]) ?:
			    choose_word(word);

		if (error)
			return error;
	}
	return 0;
}

static int check_ept(void)
{
	if (read_msr(MSR_IA32_VMX_EPT_VPID_CAP, &vee_caps.ept_vpid))
		return -ENODEV;
	for (int i = 0; i < ARRAY_SIZE(ept_needs); i++) {
		if (vee_caps.ept_vpid & ept_needs[i].mask)
			continue;
		pr_err("this CPU lacks %s (IA32_VMX_EPT_VPID_CAP %#llx): "
		       TRY_LAB "\n", ept_needs[i].name,
		       vee_caps.ept_vpid);
		return -ENODEV;
	}
	return 0;
}

/* A tag that can't be invalidated is of no use: then every entry and exit flushes. */
static void drop_vpid_without_invvpid(void)
{
	const u64 need = CAP_INVVPID | CAP_INVVPID_SINGLE;

	if ((vee_caps.ept_vpid & need) != need)
		vee_caps.control[VMX_PROC2] &= ~PROC2_VPID;
}

/*
 * CPUID.1:EAX of those whose timer counts at another rate than IA32_VMX_MISC says: an
 * erratum in the specification updates of Nehalem, Westmere and early Ivy Bridge.
 */
static const u32 wrong_timer_rate[] = {
	0x106a0, 0x106a1, 0x106a4, 0x106a5, 0x106e5, 0x20652, 0x20655, 0x206e6, 0x306a8,
};

static bool has_timer(void)
{
	u32 signature = cpuid_eax(1);

	for (int i = 0; i < ARRAY_SIZE(wrong_timer_rate); i++)
		if (wrong_timer_rate[i] == signature)
			return false;
	return may_be_1(vee_caps.allowed[VMX_PIN]) & PIN_PREEMPTION_TIMER;
}

/* None without a TPR shadow (SDM 3C, "VM-Execution Control Fields" of the checks). */
static const struct {
	u32 control;
	u64 feature;
} apic_features[] = {
	{ PROC2_VIRTUALIZE_APIC_ACCESSES, VEE_FEATURE_APIC_ACCESSES },
	{ PROC2_VIRTUALIZE_X2APIC_MODE, VEE_FEATURE_X2APIC_MODE },
	{ PROC2_APIC_REGISTER_VIRTUALIZATION, VEE_FEATURE_APIC_REGISTERS },
	{ PROC2_VIRTUAL_INTERRUPT_DELIVERY, VEE_FEATURE_INTERRUPT_DELIVERY },
};

static void set_features(void)
{
	u32 proc2 = vee_caps.control[VMX_PROC2];
	u64 features = 0;

	for (int i = 0; i < ARRAY_SIZE(ept_features); i++)
		if (vee_caps.ept_vpid & ept_features[i].capability)
			features |= ept_features[i].feature;
	if (proc2 & PROC2_VPID)
		features |= VEE_FEATURE_VPID;
	if (proc2 & PROC2_RDTSCP)
		features |= VEE_FEATURE_RDTSCP;
	if (proc2 & PROC2_INVPCID)
		features |= VEE_FEATURE_INVPCID;
	if (has_timer())
		features |= VEE_FEATURE_PREEMPTION_TIMER;
	if (may_be_1(vee_caps.allowed[VMX_PROC]) & PROC_MONITOR_TRAP_FLAG)
		features |= VEE_FEATURE_MONITOR_TRAP_FLAG;
	if (may_be_1(vee_caps.allowed[VMX_PROC]) & PROC_TPR_SHADOW)
		features |= VEE_FEATURE_TPR_SHADOW;
	if (may_be_1(vee_caps.allowed[VMX_PROC2]) & PROC2_PAUSE_LOOP_EXITING)
		features |= VEE_FEATURE_PAUSE_LOOP;
	if (may_be_1(vee_caps.allowed[VMX_PROC2]) & PROC2_DESCRIPTOR_TABLE_EXITING)
		features |= VEE_FEATURE_DESCRIPTOR_EXITING;
	for (int i = 0; i < ARRAY_SIZE(apic_features); i++)
		if (may_be_1(vee_caps.allowed[VMX_PROC2]) & apic_features[i].control &&
		    features & VEE_FEATURE_TPR_SHADOW)
			features |= apic_features[i].feature;
	if (may_be_1(vee_caps.allowed[VMX_PROC2]) & PROC2_PML && features & VEE_FEATURE_EPT_AD)
		features |= VEE_FEATURE_PML;
	if (IS_ENABLED(CONFIG_IO_URING))
		features |= VEE_FEATURE_IO_URING;
	features |= VEE_FEATURE_LOCAL_APIC;
	vee_caps.features = features;
	vee_caps.timer_shift = FIELD_GET(MISC_TIMER_SHIFT, vee_caps.misc);
	vee_caps.gpa_bits = min_t(u8, boot_cpu_data.x86_phys_bits, EPT_GPA_BITS);
}

/* XSETBV faults on a part of AVX-512, or on AVX-512 without AVX. */
static u64 offered_xcr0(u64 host)
{
	u64 xcr0 = host & XCR0_OFFERED;

	if ((xcr0 & XFEATURE_MASK_AVX512) != XFEATURE_MASK_AVX512 ||
	    !(xcr0 & XFEATURE_MASK_YMM))
		xcr0 &= ~XFEATURE_MASK_AVX512;
	return xcr0;
}

static_assert(!(XCR0_OFFERED >> XSAVE_COMPONENTS));

/* SDM 2A, "CPUID": leaf 0DH, subleaf i: EAX has component i's size, EBX its offset. */
static void read_xsave_components(void)
{
	unsigned long components = vee_caps.xcr0 & ~(u64)XFEATURE_MASK_FPSSE;
	unsigned int i;

	vee_caps.xsave_bytes = XSAVE_BYTES_MIN;
	for_each_set_bit(i, &components, XSAVE_COMPONENTS) {
		u32 size, offset, ecx, edx;

		cpuid_count(0xd, i, &size, &offset, &ecx, &edx);
		vee_caps.xsave[i].offset = offset;
		vee_caps.xsave[i].bytes = size;
		vee_caps.xsave_bytes = max(vee_caps.xsave_bytes, offset + size);
	}
}

/* SDM 1, "Guidelines for Writing to the MXCSR Register" */
static u32 read_mxcsr_mask(void)
{
	static struct fxregs_state state __aligned(16);

	asm volatile("fxsave64 %[state]" : [state] "+m" (state));
	return state.mxcsr_mask ?: MXCSR_MASK_DEFAULT;
}

int caps_init(void)
{
	int error = check_vmx() ?: check_host() ?: read_basic() ?:
		    read_fixed() ?: choose_controls() ?: check_ept();

	if (error)
		return error;
	drop_vpid_without_invvpid();
	set_features();
	vee_caps.host_xcr0 = xgetbv(XCR_XFEATURE_ENABLED_MASK);
	vee_caps.xcr0 = offered_xcr0(vee_caps.host_xcr0);
	read_xsave_components();
	vee_caps.mxcsr_mask = read_mxcsr_mask();
	return 0;
}

static int refuse_cpu(const char *what)
{
	pr_err("CPU %d differs from the first in \"%s\": update the firmware and its microcode, or take that CPU offline\n",
	       raw_smp_processor_id(), what);
	return -ENODEV;
}

static const char *control_name(enum vmx_word word, unsigned int bit)
{
	for (int i = 0; i < ARRAY_SIZE(controls); i++)
		if (controls[i].word == word && controls[i].bit == bit)
			return controls[i].name;
	return words[word].name;
}

/* The bits that vee sets here at some time: at the start or at run time. */
static u32 used_bits(enum vmx_word word)
{
	u32 used = vee_caps.control[word];

	for (int i = 0; i < ARRAY_SIZE(controls); i++)
		if (controls[i].word == word &&
		    (controls[i].need == VMX_CAPABLE ||
		     controls[i].need == VMX_OPTIONAL))
			used |= BIT(controls[i].bit);
	return used & may_be_1(vee_caps.allowed[word]);
}

static int check_word(enum vmx_word word)
{
	u64 allowed;
	u32 wrong;

	if (read_word(word, &allowed))
		return -ENODEV;
	wrong = used_bits(word) & ~may_be_1(allowed);
	wrong |= must_be_1(allowed) & ~vee_caps.control[word];
	return wrong ? refuse_cpu(control_name(word, __ffs(wrong))) : 0;
}

static int check_same_msr(u32 msr, u64 expected, const char *name)
{
	u64 value;

	if (read_msr(msr, &value))
		return -ENODEV;
	return value == expected ? 0 : refuse_cpu(name);
}

static const struct {
	u32 msr;
	const u64 *expected;
	const char *name;
} same[] = {
	{ MSR_IA32_VMX_MISC, &vee_caps.misc, "IA32_VMX_MISC" },
	{ MSR_IA32_VMX_CR0_FIXED0, &vee_caps.cr0_fixed0, "IA32_VMX_CR0_FIXED0" },
	{ MSR_IA32_VMX_CR0_FIXED1, &vee_caps.cr0_fixed1, "IA32_VMX_CR0_FIXED1" },
	{ MSR_IA32_VMX_CR4_FIXED0, &vee_caps.cr4_fixed0, "IA32_VMX_CR4_FIXED0" },
	{ MSR_IA32_VMX_CR4_FIXED1, &vee_caps.cr4_fixed1, "IA32_VMX_CR4_FIXED1" },
	{ MSR_IA32_VMX_EPT_VPID_CAP, &vee_caps.ept_vpid, "IA32_VMX_EPT_VPID_CAP" },
};

int caps_check_this_cpu(void)
{
	/* IA32_VMX_BASIC first: it says how to read the words. */
	int error = check_vmx() ?:
		    check_same_msr(MSR_IA32_VMX_BASIC, vee_caps.basic, "IA32_VMX_BASIC");

	for (int word = 0; !error && word < VMX_WORDS; word++)
		error = check_word(word);
	for (int i = 0; !error && i < ARRAY_SIZE(same); i++)
		error = check_same_msr(same[i].msr, *same[i].expected, same[i].name);
	return error;
}

void caps_lock_feature_control(void)
{
	u64 control;

	if (rdmsrq_safe(MSR_IA32_FEAT_CTL, &control) ||
	    control & FEAT_CTL_LOCKED)
		return;
	wrmsrq_safe(MSR_IA32_FEAT_CTL, control | FEAT_CTL_LOCKED |
		    FEAT_CTL_VMX_ENABLED_OUTSIDE_SMX);
}
