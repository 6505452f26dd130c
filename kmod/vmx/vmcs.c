// SPDX-License-Identifier: GPL-2.0-only
/*
 * One VMCS: checked access, set-up from tables, the host's side of it, and what
 * user space may see and change of it.
 */
#define pr_fmt(fmt) "vee: " fmt

#include <linux/printk.h>
#include <asm/desc.h>
#include <asm/msr.h>
#include <asm/processor.h>
#include <asm/segment.h>
#include <asm/special_insns.h>
#include <asm/tlbflush.h>

#include "compat_cpu.h"
#include "vmx/caps.h"
#include "vmx/entry.h"
#include "vmx/vmcs.h"

struct field {
	u32 encoding;
	const char *name;
};

#define VMCS_FIELD(name, encoding, width, group, description) \
	{ encoding, #name },
static const struct field fields[] = VMCS_FIELDS;

#undef VMCS_FIELD

const unsigned int vmcs_field_count = ARRAY_SIZE(fields);

static const struct field *find_field(u32 encoding)
{
	for (int i = 0; i < ARRAY_SIZE(fields); i++)
		if (fields[i].encoding == encoding)
			return &fields[i];
	return NULL;
}

u64 vmcs_failed;

/* A field that this engine uses and this CPU hasn't got: a bug in caps.c. */
void vmcs_complain(void)
{
	u64 failed = xchg(&vmcs_failed, 0);
	u32 encoding = failed;
	const struct field *field = find_field(encoding);

	if (failed)
		pr_err_ratelimited("%s of %s (%#x) failed; please report this\n",
				   failed & VMCS_FAILED_WRITE ? "VMWRITE" : "VMREAD",
				   field ? field->name : "an unknown field", encoding);
}

/* --- set-up ---------------------------------------------------------------- */

struct setting {
	u32 field;
	u64 value;
};

/*
 * What is the same for every vCPU and never changes. Host selectors must have
 * RPL and TI 0 (SDM 3C, "Checks on Host Segment and Descriptor-Table
 * Registers"), which the caller's DS, ES, FS and GS may not: who enters a guest
 * puts those back.
 */
static const struct setting constant[] = {
	{ VMCS_PF_ERROR_CODE_MASK, 0 },
	{ VMCS_PF_ERROR_CODE_MATCH, 0 },
	{ VMCS_CR3_TARGET_COUNT, 0 },
	{ VMCS_EXIT_MSR_STORE_COUNT, 0 },
	{ VMCS_EXIT_MSR_LOAD_COUNT, 0 },
	{ VMCS_ENTRY_MSR_LOAD_COUNT, 0 },
	{ VMCS_ENTRY_INTERRUPTION_INFO, 0 },
	{ VMCS_VMCS_LINK_POINTER, ~0ULL },
	{ VMCS_GUEST_DEBUGCTL, 0 },
	{ VMCS_HOST_ES_SELECTOR, 0 },
	{ VMCS_HOST_CS_SELECTOR, __KERNEL_CS },
	{ VMCS_HOST_SS_SELECTOR, __KERNEL_DS },
	{ VMCS_HOST_DS_SELECTOR, 0 },
	{ VMCS_HOST_FS_SELECTOR, 0 },
	{ VMCS_HOST_GS_SELECTOR, 0 },
	{ VMCS_HOST_TR_SELECTOR, GDT_ENTRY_TSS * 8 },
};

static void apply(const struct setting *settings, size_t count)
{
	for (size_t i = 0; i < count; i++)
		vmcs_write(settings[i].field, settings[i].value);
}

static u64 read_msr(u32 index)
{
	u64 value;

	rdmsrq(index, value);
	return value;
}

static void setup_controls(const struct vmcs_links *links)
{
	const u32 *control = vee_caps.control;
	/* An entry fails with the control and no VPID. */
	u32 proc2 = control[VMX_PROC2] & ~(links->vpid ? 0 : PROC2_VPID);
	const struct setting settings[] = {
		{ VMCS_PIN_CONTROLS, control[VMX_PIN] },
		{ VMCS_PROC_CONTROLS, control[VMX_PROC] },
		{ VMCS_PROC2_CONTROLS, proc2 },
		{ VMCS_EXIT_CONTROLS, control[VMX_EXIT] },
		{ VMCS_ENTRY_CONTROLS, control[VMX_ENTRY] },
		{ VMCS_EXCEPTION_BITMAP, 0 },
		{ VMCS_MSR_BITMAP, links->msr_bitmap },
		{ VMCS_EPTP, links->eptp },
	};

	apply(settings, ARRAY_SIZE(settings));
	if (links->vpid)
		vmcs_write(VMCS_VPID, links->vpid);
	if (caps_has(VEE_FEATURE_PREEMPTION_TIMER))
		vmcs_write(VMCS_PREEMPTION_TIMER, 0);
	/* The shortest, which the CPU adds to as it needs. */
	if (proc2 & PROC2_INSTRUCTION_TIMEOUT)
		vmcs_write(VMCS_INSTRUCTION_TIMEOUT, 0);
	/* Every leaf: there is no SGX for the guest. */
	if (proc2 & PROC2_ENCLS_EXITING)
		vmcs_write(VMCS_ENCLS_EXITING_BITMAP, ~0ULL);
	if (proc2 & PROC2_ENCLV_EXITING)
		vmcs_write(VMCS_ENCLV_EXITING_BITMAP, ~0ULL);
}

static void setup_host(void)
{
	struct desc_ptr idt;

	store_idt(&idt);

	const struct setting settings[] = {
		{ VMCS_HOST_CR0, read_cr0() },
		{ VMCS_HOST_EFER, read_msr(MSR_EFER) },
		{ VMCS_HOST_PAT, read_msr(MSR_IA32_CR_PAT) },
		{ VMCS_HOST_SYSENTER_CS, read_msr(MSR_IA32_SYSENTER_CS) },
		{ VMCS_HOST_SYSENTER_EIP, read_msr(MSR_IA32_SYSENTER_EIP) },
		{ VMCS_HOST_IDTR_BASE, idt.address },
		{ VMCS_HOST_RIP, (u64)vmx_exit_point },
	};

	apply(settings, ARRAY_SIZE(settings));
}

void vmcs_setup(struct vmcs_controls *controls, const struct vmcs_links *links)
{
	apply(constant, ARRAY_SIZE(constant));
	setup_controls(links);
	setup_host();
	*controls = (struct vmcs_controls) {
		.pin = vee_caps.control[VMX_PIN],
		.proc = vee_caps.control[VMX_PROC],
		.entry = vee_caps.control[VMX_ENTRY],
		.chosen_for = U32_MAX,
		.set_up = true,
	};
}

/* --- host state ------------------------------------------------------------ */

/* A 64-bit TSS descriptor keeps its base in four parts. */
static u64 tss_base(const struct desc_ptr *gdt)
{
	const struct ldttss_desc *tss = (void *)(gdt->address + GDT_ENTRY_TSS * 8);

	return tss->base0 | (u64)tss->base1 << 16 | (u64)tss->base2 << 24 |
	       (u64)tss->base3 << 32;
}

/* What differs from one CPU to the next. */
void vmcs_load_host_cpu(struct vmcs_host *host)
{
	struct desc_ptr gdt;

	native_store_gdt(&gdt);

	const struct setting settings[] = {
		{ VMCS_HOST_GDTR_BASE, gdt.address },
		{ VMCS_HOST_TR_BASE, tss_base(&gdt) },
		{ VMCS_HOST_GS_BASE, read_msr(MSR_GS_BASE) },
		{ VMCS_HOST_SYSENTER_ESP, read_msr(MSR_IA32_SYSENTER_ESP) },
	};

	apply(settings, ARRAY_SIZE(settings));
	host->cpu = smp_processor_id();
}

/* --- what user space may see and change ------------------------------------ */

/* The upper half of a 64-bit field, for 32-bit code. */
#define ENCODING_HIGH	BIT(0)

int vmcs_field_check(u32 encoding)
{
	if (encoding & ENCODING_HIGH || !find_field(encoding))
		return -ENOENT;
	return 0;
}

/* Guest-state fields that reach the host, or that vee keeps in step itself. */
static const u32 unwritable[] = {
	VMCS_GUEST_INTERRUPT_STATUS,
	VMCS_PML_INDEX,
	VMCS_VMCS_LINK_POINTER,
	VMCS_GUEST_EFER,
	VMCS_GUEST_PERF_GLOBAL_CTRL,
	VMCS_GUEST_RTIT_CTL,
	VMCS_GUEST_LBR_CTL,
	VMCS_GUEST_SPEC_CTRL,
	VMCS_GUEST_DEADLINE,
	VMCS_GUEST_SMBASE,
	VMCS_PREEMPTION_TIMER,
	VMCS_GUEST_CR0,
	VMCS_GUEST_CR4,
};

static bool too_wide(u32 encoding, u64 value)
{
	switch (VMCS_WIDTH(encoding)) {
	case VMCS_WIDTH_16:
		return value >> 16;
	case VMCS_WIDTH_32:
		return value >> 32;
	default:
		return false;
	}
}

int vmcs_field_writable(u32 encoding, u64 value)
{
	if (VMCS_GROUP(encoding) != VMCS_GROUP_GUEST)
		return -EPERM;
	for (int i = 0; i < ARRAY_SIZE(unwritable); i++)
		if (unwritable[i] == encoding)
			return -EPERM;
	if (too_wide(encoding, value))
		return -EINVAL;
	if (encoding == VMCS_GUEST_DEBUGCTL && !vmcs_debugctl_fits(value))
		return -EINVAL;
	/* Shutdown and wait-for-SIPI would hold the CPU. */
	if (encoding == VMCS_GUEST_ACTIVITY && value > VEE_ACTIVITY_HLT)
		return -EINVAL;
	return 0;
}

/* Host state and the addresses of our tables would give away KASLR's secret. */
bool vmcs_field_withheld(u32 encoding)
{
	switch (VMCS_GROUP(encoding)) {
	case VMCS_GROUP_HOST:
		return true;
	case VMCS_GROUP_CONTROL:
		return VMCS_WIDTH(encoding) == VMCS_WIDTH_64 &&
		       encoding != VMCS_TSC_OFFSET;
	default:
		return false;
	}
}

/* Fills @values, room for vmcs_field_count; returns how many this CPU has. */
unsigned int vmcs_snapshot(struct vee_vmcs_value *values)
{
	unsigned int count = 0;

	for (int i = 0; i < ARRAY_SIZE(fields); i++) {
		struct vee_vmcs_value *value = &values[count];

		value->encoding = fields[i].encoding;
		value->flags = 0;
		if (!vmread_raw(value->encoding, &value->value))
			count++;
	}
	return count;
}
