// SPDX-License-Identifier: LGPL-2.1-or-later
#include "audit/audit.h"

#define AUDIT_GROUP	audit_execution_controls
#define AUDIT_SECTION	"Checks on VMX Controls"

/* SDM 3C, "Extended-Page-Table Pointer (EPTP)" */
#define EPTP_TYPE	BITS(2, 0)
#define EPTP_WALK	BITS(5, 3)
#define EPTP_WALK_4	(3ULL << 3)
#define EPTP_WALK_5	(4ULL << 3)
#define EPTP_AD		BIT(6)
#define EPTP_SSS	BIT(7)
#define EPTP_RESERVED	BITS(11, 8)
#define TYPE_UC		0
#define TYPE_WB		6

/* SDM 3D, appendix "VPID and EPT Capabilities" */
#define CAP_WALK_4	BIT(6)
#define CAP_WALK_5	BIT(7)
#define CAP_UC		BIT(8)
#define CAP_WB		BIT(14)
#define CAP_AD		BIT(21)
#define CAP_SSS		BIT(23)

#define CAP(bit)	(a->info->vmx_ept_vpid & CAP_##bit)

#define VMFUNC_EPTP_SWITCHING	BIT(0)
#define TPR_THRESHOLD_MAX	15
#define VECTOR_MAX		255

/* SDM 3D, appendix "Miscellaneous Data" */
static unsigned int cr3_targets(const struct audit *a)
{
	return a->info->vmx_misc >> 16 & 0x1ff;
}

static bool walk_is_there(struct audit *a)
{
	uint64_t walk = V(EPTP) & EPTP_WALK;

	return (walk == EPTP_WALK_4 && CAP(WALK_4)) || (walk == EPTP_WALK_5 && CAP(WALK_5));
}

static bool type_is_there(struct audit *a)
{
	uint64_t type = V(EPTP) & EPTP_TYPE;

	return (type == TYPE_UC && CAP(UC)) || (type == TYPE_WB && CAP(WB));
}

static bool pid_table_fits(struct audit *a)
{
	uint64_t last = V(PID_POINTER_TABLE) + 8 * V(LAST_PID_POINTER_INDEX) + 7;

	return audit_fits(a, V(PID_POINTER_TABLE)) && audit_fits(a, last);
}

/* An address of a page that counts while a control is 1. */
#define PAGE_RULE(id, condition, name, control, words) \
	RULE(id, words " must be a multiple of 4096 within the physical-address width", \
	     WHEN(condition, audit_is_page(a, V(name))), VMCS_##name, VMCS_##control)

/* What makes no sense without EPT. */
#define EPT_RULE(id, condition, control, words) \
	RULE(id, words " takes \"enable EPT\"", WHEN(condition, PROC2(EPT)), \
	     VMCS_##control, VMCS_PROC2_CONTROLS)

#define RULES { \
	RULE(PIN_ALLOWED, "bits must be as IA32_VMX_(TRUE_)PINBASED_CTLS allows", \
	     audit_allowed(a, a->info->vmx_pin, V(PIN_CONTROLS)), VMCS_PIN_CONTROLS) \
	RULE(PROC_ALLOWED, "bits must be as IA32_VMX_(TRUE_)PROCBASED_CTLS allows", \
	     audit_allowed(a, a->info->vmx_proc, V(PROC_CONTROLS)), VMCS_PROC_CONTROLS) \
	RULE(PROC2_ALLOWED, "bits must be as IA32_VMX_PROCBASED_CTLS2 allows", \
	     WHEN(PROC(SECONDARY_CONTROLS), \
		  audit_allowed(a, a->info->vmx_proc2, V(PROC2_CONTROLS))), \
	     VMCS_PROC2_CONTROLS) \
	RULE(PROC3_ALLOWED, "only bits that IA32_VMX_PROCBASED_CTLS3 has may be 1", \
	     audit_lacks(a, audit_proc3(a), ~a->info->vmx_proc3), VMCS_PROC3_CONTROLS) \
	RULE(CR3_TARGET_COUNT, "at most as many CR3-target values as IA32_VMX_MISC says", \
	     V(CR3_TARGET_COUNT) <= cr3_targets(a), VMCS_CR3_TARGET_COUNT) \
	PAGE_RULE(IO_BITMAP_A, PROC(USE_IO_BITMAPS), IO_BITMAP_A, PROC_CONTROLS, \
		  "with \"use I/O bitmaps\" each bitmap's address") \
	PAGE_RULE(IO_BITMAP_B, PROC(USE_IO_BITMAPS), IO_BITMAP_B, PROC_CONTROLS, \
		  "with \"use I/O bitmaps\" each bitmap's address") \
	PAGE_RULE(MSR_BITMAP, PROC(USE_MSR_BITMAPS), MSR_BITMAP, PROC_CONTROLS, \
		  "with \"use MSR bitmaps\" their address") \
	PAGE_RULE(VIRTUAL_APIC, PROC(TPR_SHADOW), VIRTUAL_APIC_ADDRESS, PROC_CONTROLS, \
		  "with \"use TPR shadow\" the virtual-APIC address") \
	RULE(TPR_THRESHOLD, \
	     "with \"use TPR shadow\", unless \"virtual-interrupt delivery\": at most 15", \
	     WHEN(PROC(TPR_SHADOW) && !PROC2(VIRTUAL_INTERRUPT_DELIVERY), \
		  V(TPR_THRESHOLD) <= TPR_THRESHOLD_MAX), \
	     VMCS_TPR_THRESHOLD, VMCS_PROC_CONTROLS, VMCS_PROC2_CONTROLS) \
	RULE(VIRTUAL_NMIS, "\"virtual NMIs\" takes \"NMI exiting\"", \
	     WHEN(PIN(VIRTUAL_NMIS), PIN(NMI_EXITING)), VMCS_PIN_CONTROLS) \
	RULE(NMI_WINDOW, "\"NMI-window exiting\" takes \"virtual NMIs\"", \
	     WHEN(PROC(NMI_WINDOW_EXITING), PIN(VIRTUAL_NMIS)), \
	     VMCS_PROC_CONTROLS, VMCS_PIN_CONTROLS) \
	PAGE_RULE(APIC_ACCESS, PROC2(VIRTUALIZE_APIC_ACCESSES), APIC_ACCESS_ADDRESS, \
		  PROC2_CONTROLS, "with \"virtualize APIC accesses\" the APIC-access address") \
	RULE(X2APIC_TPR_SHADOW, "\"virtualize x2APIC mode\" takes \"use TPR shadow\"", \
	     WHEN(PROC2(VIRTUALIZE_X2APIC_MODE), PROC(TPR_SHADOW)), \
	     VMCS_PROC2_CONTROLS, VMCS_PROC_CONTROLS) \
	RULE(APIC_REGISTERS_TPR_SHADOW, \
	     "\"APIC-register virtualization\" takes \"use TPR shadow\"", \
	     WHEN(PROC2(APIC_REGISTER_VIRTUALIZATION), PROC(TPR_SHADOW)), \
	     VMCS_PROC2_CONTROLS, VMCS_PROC_CONTROLS) \
	RULE(INTERRUPT_DELIVERY_TPR_SHADOW, \
	     "\"virtual-interrupt delivery\" takes \"use TPR shadow\"", \
	     WHEN(PROC2(VIRTUAL_INTERRUPT_DELIVERY), PROC(TPR_SHADOW)), \
	     VMCS_PROC2_CONTROLS, VMCS_PROC_CONTROLS) \
	RULE(IPI_TPR_SHADOW, "\"IPI virtualization\" takes \"use TPR shadow\"", \
	     WHEN(PROC3(IPI_VIRTUALIZATION), PROC(TPR_SHADOW)), \
	     VMCS_PROC3_CONTROLS, VMCS_PROC_CONTROLS) \
	RULE(X2APIC_APIC_ACCESSES, \
	     "\"virtualize x2APIC mode\" and \"virtualize APIC accesses\" exclude each other", \
	     WHEN(PROC2(VIRTUALIZE_X2APIC_MODE), !PROC2(VIRTUALIZE_APIC_ACCESSES)), \
	     VMCS_PROC2_CONTROLS) \
	RULE(INTERRUPT_DELIVERY_EXITING, \
	     "\"virtual-interrupt delivery\" takes \"external-interrupt exiting\"", \
	     WHEN(PROC2(VIRTUAL_INTERRUPT_DELIVERY), PIN(EXTERNAL_INTERRUPT_EXITING)), \
	     VMCS_PROC2_CONTROLS, VMCS_PIN_CONTROLS) \
	RULE(POSTED_INTERRUPT_DELIVERY, \
	     "\"process posted interrupts\" takes \"virtual-interrupt delivery\"", \
	     WHEN(PIN(POSTED_INTERRUPTS), PROC2(VIRTUAL_INTERRUPT_DELIVERY)), \
	     VMCS_PIN_CONTROLS, VMCS_PROC2_CONTROLS) \
	RULE(POSTED_INTERRUPT_ACK, \
	     "\"process posted interrupts\" takes \"acknowledge interrupt on exit\"", \
	     WHEN(PIN(POSTED_INTERRUPTS), EXIT(ACK_INTERRUPT)), \
	     VMCS_PIN_CONTROLS, VMCS_EXIT_CONTROLS) \
	RULE(POSTED_INTERRUPT_VECTOR, \
	     "with \"process posted interrupts\" the notification vector is at most 255", \
	     WHEN(PIN(POSTED_INTERRUPTS), V(POSTED_INTERRUPT_VECTOR) <= VECTOR_MAX), \
	     VMCS_POSTED_INTERRUPT_VECTOR, VMCS_PIN_CONTROLS) \
	RULE(POSTED_INTERRUPT_ALIGNED, \
	     "with \"process posted interrupts\" the descriptor is at a multiple of 64", \
	     WHEN(PIN(POSTED_INTERRUPTS), !(V(POSTED_INTERRUPT_DESCRIPTOR) & BITS(5, 0))), \
	     VMCS_POSTED_INTERRUPT_DESCRIPTOR, VMCS_PIN_CONTROLS) \
	RULE(POSTED_INTERRUPT_WIDTH, \
	     "with \"process posted interrupts\" it is within the physical-address width", \
	     WHEN(PIN(POSTED_INTERRUPTS), audit_fits(a, V(POSTED_INTERRUPT_DESCRIPTOR))), \
	     VMCS_POSTED_INTERRUPT_DESCRIPTOR, VMCS_PIN_CONTROLS) \
	RULE(VPID, "with \"enable VPID\" it must not be 0", \
	     WHEN(PROC2(VPID), V(VPID)), VMCS_VPID, VMCS_PROC2_CONTROLS) \
	RULE(EPTP_TYPE, "its memory type (bits 2:0) must be one that IA32_VMX_EPT_VPID_CAP has", \
	     WHEN(PROC2(EPT), type_is_there(a)), VMCS_EPTP) \
	RULE(EPTP_WALK, \
	     "its page-walk length less 1 (bits 5:3) must be one that IA32_VMX_EPT_VPID_CAP has", \
	     WHEN(PROC2(EPT), walk_is_there(a)), VMCS_EPTP) \
	RULE(EPTP_AD, "accessed and dirty flags (bit 6) take a CPU that has them", \
	     WHEN(PROC2(EPT) && V(EPTP) & EPTP_AD, CAP(AD)), VMCS_EPTP) \
	RULE(EPTP_SHADOW_STACK, "supervisor shadow-stack control (bit 7) takes a CPU that has it", \
	     WHEN(PROC2(EPT) && V(EPTP) & EPTP_SSS, CAP(SSS)), VMCS_EPTP) \
	RULE(EPTP_RESERVED, "bits 11:8 must be 0", \
	     WHEN(PROC2(EPT), !(V(EPTP) & EPTP_RESERVED)), VMCS_EPTP) \
	RULE(EPTP_WIDTH, "it must be within the physical-address width", \
	     WHEN(PROC2(EPT), audit_fits(a, V(EPTP))), VMCS_EPTP) \
	EPT_RULE(PML_EPT, PROC2(PML), PROC2_CONTROLS, "\"enable PML\"") \
	PAGE_RULE(PML_ADDRESS, PROC2(PML), PML_ADDRESS, PROC2_CONTROLS, \
		  "with \"enable PML\" the PML address") \
	EPT_RULE(UNRESTRICTED_GUEST_EPT, PROC2(UNRESTRICTED_GUEST), PROC2_CONTROLS, \
		 "\"unrestricted guest\"") \
	EPT_RULE(MODE_BASED_EXECUTE_EPT, PROC2(MODE_BASED_EXECUTE), PROC2_CONTROLS, \
		 "\"mode-based execute control for EPT\"") \
	EPT_RULE(SUB_PAGE_EPT, PROC2(SUB_PAGE_PERMISSIONS), PROC2_CONTROLS, \
		 "\"sub-page write permissions for EPT\"") \
	PAGE_RULE(SUB_PAGE_TABLE, PROC2(SUB_PAGE_PERMISSIONS), SPP_TABLE_POINTER, PROC2_CONTROLS, \
		  "with \"sub-page write permissions for EPT\" its table's address") \
	PAGE_RULE(VE_INFORMATION, PROC2(EPT_VIOLATION_VE), VE_INFORMATION_ADDRESS, \
		  PROC2_CONTROLS, "with \"EPT-violation #VE\" the information's address") \
	EPT_RULE(PT_EPT, PROC2(PT_GUEST_PHYSICAL), PROC2_CONTROLS, \
		 "\"Intel PT uses guest physical addresses\"") \
	RULE(PT_LOAD, \
	     "\"Intel PT uses guest physical addresses\" takes \"load IA32_RTIT_CTL\"", \
	     WHEN(PROC2(PT_GUEST_PHYSICAL), ENTRY(LOAD_RTIT_CTL)), \
	     VMCS_PROC2_CONTROLS, VMCS_ENTRY_CONTROLS) \
	RULE(PT_CLEAR, \
	     "\"Intel PT uses guest physical addresses\" takes \"clear IA32_RTIT_CTL\"", \
	     WHEN(PROC2(PT_GUEST_PHYSICAL), EXIT(CLEAR_RTIT_CTL)), \
	     VMCS_PROC2_CONTROLS, VMCS_EXIT_CONTROLS) \
	RULE(VM_FUNCTIONS, "only bits that IA32_VMX_VMFUNC has may be 1", \
	     WHEN(PROC2(VM_FUNCTIONS), \
		  audit_lacks(a, V(VM_FUNCTION_CONTROLS), ~a->info->vmx_vmfunc)), \
	     VMCS_VM_FUNCTION_CONTROLS) \
	EPT_RULE(EPTP_SWITCHING_EPT, PROC2(VM_FUNCTIONS) && \
		 V(VM_FUNCTION_CONTROLS) & VMFUNC_EPTP_SWITCHING, VM_FUNCTION_CONTROLS, \
		 "\"EPTP switching\" (bit 0)") \
	PAGE_RULE(EPTP_LIST, PROC2(VM_FUNCTIONS) && \
		  V(VM_FUNCTION_CONTROLS) & VMFUNC_EPTP_SWITCHING, EPTP_LIST_ADDRESS, \
		  VM_FUNCTION_CONTROLS, "with \"EPTP switching\" the list's address") \
	PAGE_RULE(VMREAD_BITMAP, PROC2(VMCS_SHADOWING), VMREAD_BITMAP, PROC2_CONTROLS, \
		  "with \"VMCS shadowing\" the VMREAD bitmap's address") \
	PAGE_RULE(VMWRITE_BITMAP, PROC2(VMCS_SHADOWING), VMWRITE_BITMAP, PROC2_CONTROLS, \
		  "with \"VMCS shadowing\" the VMWRITE bitmap's address") \
	PAGE_RULE(LOW_PASID, PROC2(PASID_TRANSLATION), LOW_PASID_DIRECTORY, PROC2_CONTROLS, \
		  "with \"PASID translation\" the low directory's address") \
	PAGE_RULE(HIGH_PASID, PROC2(PASID_TRANSLATION), HIGH_PASID_DIRECTORY, PROC2_CONTROLS, \
		  "with \"PASID translation\" the high directory's address") \
	RULE(TSC_MULTIPLIER, "with \"use TSC scaling\" it must not be 0", \
	     WHEN(PROC2(TSC_SCALING), V(TSC_MULTIPLIER)), \
	     VMCS_TSC_MULTIPLIER, VMCS_PROC2_CONTROLS) \
	EPT_RULE(HLAT_EPT, PROC3(HLAT), PROC3_CONTROLS, "\"enable HLAT\"") \
	RULE(HLATP_WIDTH, "with \"enable HLAT\" it is within the physical-address width", \
	     WHEN(PROC3(HLAT), audit_fits(a, V(HLATP))), VMCS_HLATP, VMCS_PROC3_CONTROLS) \
	RULE(HLATP_RESERVED, "with \"enable HLAT\" bits 2:0 and 11:5 must be 0", \
	     WHEN(PROC3(HLAT), !(V(HLATP) & (BITS(2, 0) | BITS(11, 5)))), \
	     VMCS_HLATP, VMCS_PROC3_CONTROLS) \
	EPT_RULE(PAGING_WRITE_EPT, PROC3(PAGING_WRITE), PROC3_CONTROLS, \
		 "\"EPT paging-write control\"") \
	EPT_RULE(PAGING_VERIFY_EPT, PROC3(PAGING_VERIFY), PROC3_CONTROLS, \
		 "\"guest-paging verification\"") \
	EPT_RULE(PEBS_EPT, PROC3(PEBS_GUEST_PHYSICAL), PROC3_CONTROLS, \
		 "\"PEBS uses guest physical addresses\"") \
	RULE(TIMER_DELIVERY, \
	     "\"APIC-timer virtualization\" takes \"virtual-interrupt delivery\"", \
	     WHEN(PROC3(APIC_TIMER), PROC2(VIRTUAL_INTERRUPT_DELIVERY)), \
	     VMCS_PROC3_CONTROLS, VMCS_PROC2_CONTROLS) \
	RULE(TIMER_RDTSC, \
	     "\"APIC-timer virtualization\" and \"RDTSC exiting\" exclude each other", \
	     WHEN(PROC3(APIC_TIMER), !PROC(RDTSC_EXITING)), \
	     VMCS_PROC3_CONTROLS, VMCS_PROC_CONTROLS) \
	RULE(TIMER_VECTOR, "with \"APIC-timer virtualization\" bits 15:8 must be 0", \
	     WHEN(PROC3(APIC_TIMER), V(VIRTUAL_TIMER_VECTOR) <= VECTOR_MAX), \
	     VMCS_VIRTUAL_TIMER_VECTOR, VMCS_PROC3_CONTROLS) \
	RULE(PID_TABLE_ALIGNED, \
	     "with \"IPI virtualization\" the PID-pointer table is at a multiple of 8", \
	     WHEN(PROC3(IPI_VIRTUALIZATION), !(V(PID_POINTER_TABLE) & BITS(2, 0))), \
	     VMCS_PID_POINTER_TABLE, VMCS_PROC3_CONTROLS) \
	RULE(PID_TABLE_WIDTH, \
	     "with \"IPI virtualization\" all of the table is within the physical-address width", \
	     WHEN(PROC3(IPI_VIRTUALIZATION), pid_table_fits(a)), \
	     VMCS_PID_POINTER_TABLE, VMCS_LAST_PID_POINTER_INDEX, VMCS_PROC3_CONTROLS) \
}

#include "audit/table.h"
