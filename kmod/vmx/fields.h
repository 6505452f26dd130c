/* SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later */
/*
 * Every field of the VMCS (SDM 3D, appendix "Field Encoding in VMCS"), once.
 *
 *	VMCS_FIELD(name, encoding, width, group, description)
 *
 * Define VMCS_FIELD to what you need of a field, and VMCS_FIELDS is the whole
 * body, braces and all, of an enum, of an array's initialiser, of a switch.
 *
 * @name is without its prefix, VMCS_. @width is 16, 32, 64 or NATURAL; @group is
 * CONTROL, READ_ONLY (what a VM exit tells), GUEST or HOST; @description is the
 * SDM's own name for the field. Many fields are only on CPUs that have the
 * feature they belong to: VMREAD of another one fails.
 *
 * Module and library share this list, so there is nothing here of either.
 */
#ifndef _VEE_VMX_FIELDS_H
#define _VEE_VMX_FIELDS_H

#define VMCS_FIELDS { \
	/* 16-bit control fields */ \
	VMCS_FIELD(VPID, 0x0000, 16, CONTROL, "virtual-processor identifier") \
	VMCS_FIELD(POSTED_INTERRUPT_VECTOR, 0x0002, 16, CONTROL, \
		   "posted-interrupt notification vector") \
	VMCS_FIELD(EPTP_INDEX, 0x0004, 16, CONTROL, "EPTP index") \
	VMCS_FIELD(HLAT_PREFIX_SIZE, 0x0006, 16, CONTROL, "HLAT prefix size") \
	VMCS_FIELD(LAST_PID_POINTER_INDEX, 0x0008, 16, CONTROL, \
		   "last PID-pointer index") \
	VMCS_FIELD(VIRTUAL_TIMER_VECTOR, 0x000a, 16, CONTROL, \
		   "virtual timer vector") \
	/* 16-bit guest-state fields */ \
	VMCS_FIELD(GUEST_ES_SELECTOR, 0x0800, 16, GUEST, "guest ES selector") \
	VMCS_FIELD(GUEST_CS_SELECTOR, 0x0802, 16, GUEST, "guest CS selector") \
	VMCS_FIELD(GUEST_SS_SELECTOR, 0x0804, 16, GUEST, "guest SS selector") \
	VMCS_FIELD(GUEST_DS_SELECTOR, 0x0806, 16, GUEST, "guest DS selector") \
	VMCS_FIELD(GUEST_FS_SELECTOR, 0x0808, 16, GUEST, "guest FS selector") \
	VMCS_FIELD(GUEST_GS_SELECTOR, 0x080a, 16, GUEST, "guest GS selector") \
	VMCS_FIELD(GUEST_LDTR_SELECTOR, 0x080c, 16, GUEST, \
		   "guest LDTR selector") \
	VMCS_FIELD(GUEST_TR_SELECTOR, 0x080e, 16, GUEST, "guest TR selector") \
	VMCS_FIELD(GUEST_INTERRUPT_STATUS, 0x0810, 16, GUEST, \
		   "guest interrupt status") \
	VMCS_FIELD(PML_INDEX, 0x0812, 16, GUEST, "PML index") \
	VMCS_FIELD(GUEST_UINV, 0x0814, 16, GUEST, "guest UINV") \
	/* 16-bit host-state fields */ \
	VMCS_FIELD(HOST_ES_SELECTOR, 0x0c00, 16, HOST, "host ES selector") \
	VMCS_FIELD(HOST_CS_SELECTOR, 0x0c02, 16, HOST, "host CS selector") \
	VMCS_FIELD(HOST_SS_SELECTOR, 0x0c04, 16, HOST, "host SS selector") \
	VMCS_FIELD(HOST_DS_SELECTOR, 0x0c06, 16, HOST, "host DS selector") \
	VMCS_FIELD(HOST_FS_SELECTOR, 0x0c08, 16, HOST, "host FS selector") \
	VMCS_FIELD(HOST_GS_SELECTOR, 0x0c0a, 16, HOST, "host GS selector") \
	VMCS_FIELD(HOST_TR_SELECTOR, 0x0c0c, 16, HOST, "host TR selector") \
	/* 64-bit control fields */ \
	VMCS_FIELD(IO_BITMAP_A, 0x2000, 64, CONTROL, \
		   "address of I/O bitmap A") \
	VMCS_FIELD(IO_BITMAP_B, 0x2002, 64, CONTROL, \
		   "address of I/O bitmap B") \
	VMCS_FIELD(MSR_BITMAP, 0x2004, 64, CONTROL, "address of MSR bitmaps") \
	VMCS_FIELD(EXIT_MSR_STORE_ADDRESS, 0x2006, 64, CONTROL, \
		   "VM-exit MSR-store address") \
	VMCS_FIELD(EXIT_MSR_LOAD_ADDRESS, 0x2008, 64, CONTROL, \
		   "VM-exit MSR-load address") \
	VMCS_FIELD(ENTRY_MSR_LOAD_ADDRESS, 0x200a, 64, CONTROL, \
		   "VM-entry MSR-load address") \
	VMCS_FIELD(EXECUTIVE_VMCS_POINTER, 0x200c, 64, CONTROL, \
		   "executive-VMCS pointer") \
	VMCS_FIELD(PML_ADDRESS, 0x200e, 64, CONTROL, "PML address") \
	VMCS_FIELD(TSC_OFFSET, 0x2010, 64, CONTROL, "TSC offset") \
	VMCS_FIELD(VIRTUAL_APIC_ADDRESS, 0x2012, 64, CONTROL, \
		   "virtual-APIC address") \
	VMCS_FIELD(APIC_ACCESS_ADDRESS, 0x2014, 64, CONTROL, \
		   "APIC-access address") \
	VMCS_FIELD(POSTED_INTERRUPT_DESCRIPTOR, 0x2016, 64, CONTROL, \
		   "posted-interrupt descriptor address") \
	VMCS_FIELD(VM_FUNCTION_CONTROLS, 0x2018, 64, CONTROL, \
		   "VM-function controls") \
	VMCS_FIELD(EPTP, 0x201a, 64, CONTROL, "EPT pointer") \
	VMCS_FIELD(EOI_EXIT_BITMAP_0, 0x201c, 64, CONTROL, \
		   "EOI-exit bitmap 0") \
	VMCS_FIELD(EOI_EXIT_BITMAP_1, 0x201e, 64, CONTROL, \
		   "EOI-exit bitmap 1") \
	VMCS_FIELD(EOI_EXIT_BITMAP_2, 0x2020, 64, CONTROL, \
		   "EOI-exit bitmap 2") \
	VMCS_FIELD(EOI_EXIT_BITMAP_3, 0x2022, 64, CONTROL, \
		   "EOI-exit bitmap 3") \
	VMCS_FIELD(EPTP_LIST_ADDRESS, 0x2024, 64, CONTROL, \
		   "EPTP-list address") \
	VMCS_FIELD(VMREAD_BITMAP, 0x2026, 64, CONTROL, \
		   "VMREAD-bitmap address") \
	VMCS_FIELD(VMWRITE_BITMAP, 0x2028, 64, CONTROL, \
		   "VMWRITE-bitmap address") \
	VMCS_FIELD(VE_INFORMATION_ADDRESS, 0x202a, 64, CONTROL, \
		   "virtualization-exception information address") \
	VMCS_FIELD(XSS_EXITING_BITMAP, 0x202c, 64, CONTROL, \
		   "XSS-exiting bitmap") \
	VMCS_FIELD(ENCLS_EXITING_BITMAP, 0x202e, 64, CONTROL, \
		   "ENCLS-exiting bitmap") \
	VMCS_FIELD(SPP_TABLE_POINTER, 0x2030, 64, CONTROL, \
		   "sub-page-permission-table pointer") \
	VMCS_FIELD(TSC_MULTIPLIER, 0x2032, 64, CONTROL, "TSC multiplier") \
	VMCS_FIELD(PROC3_CONTROLS, 0x2034, 64, CONTROL, \
		   "tertiary processor-based VM-execution controls") \
	VMCS_FIELD(ENCLV_EXITING_BITMAP, 0x2036, 64, CONTROL, \
		   "ENCLV-exiting bitmap") \
	VMCS_FIELD(LOW_PASID_DIRECTORY, 0x2038, 64, CONTROL, \
		   "low PASID directory address") \
	VMCS_FIELD(HIGH_PASID_DIRECTORY, 0x203a, 64, CONTROL, \
		   "high PASID directory address") \
	VMCS_FIELD(SHARED_EPTP, 0x203c, 64, CONTROL, \
		   "SEAM shared EPT pointer") \
	VMCS_FIELD(PCONFIG_EXITING_BITMAP, 0x203e, 64, CONTROL, \
		   "PCONFIG-exiting bitmap") \
	VMCS_FIELD(HLATP, 0x2040, 64, CONTROL, \
		   "hypervisor-managed linear-address translation pointer") \
	VMCS_FIELD(PID_POINTER_TABLE, 0x2042, 64, CONTROL, \
		   "PID-pointer table address") \
	VMCS_FIELD(EXIT2_CONTROLS, 0x2044, 64, CONTROL, \
		   "secondary VM-exit controls") \
	VMCS_FIELD(SPEC_CTRL_MASK, 0x204a, 64, CONTROL, "IA32_SPEC_CTRL mask") \
	VMCS_FIELD(SPEC_CTRL_SHADOW, 0x204c, 64, CONTROL, \
		   "IA32_SPEC_CTRL shadow") \
	VMCS_FIELD(GUEST_DEADLINE_SHADOW, 0x204e, 64, CONTROL, \
		   "guest deadline shadow") \
	VMCS_FIELD(INJECTED_EVENT_DATA, 0x2052, 64, CONTROL, \
		   "injected-event data") \
	/* 64-bit read-only data fields */ \
	VMCS_FIELD(GUEST_PHYSICAL_ADDRESS, 0x2400, 64, READ_ONLY, \
		   "guest-physical address") \
	VMCS_FIELD(MSR_DATA, 0x2402, 64, READ_ONLY, "MSR data") \
	VMCS_FIELD(ORIGINAL_EVENT_DATA, 0x2404, 64, READ_ONLY, \
		   "original-event data") \
	/* 64-bit guest-state fields */ \
	VMCS_FIELD(VMCS_LINK_POINTER, 0x2800, 64, GUEST, "VMCS link pointer") \
	VMCS_FIELD(GUEST_DEBUGCTL, 0x2802, 64, GUEST, "guest IA32_DEBUGCTL") \
	VMCS_FIELD(GUEST_PAT, 0x2804, 64, GUEST, "guest IA32_PAT") \
	VMCS_FIELD(GUEST_EFER, 0x2806, 64, GUEST, "guest IA32_EFER") \
	VMCS_FIELD(GUEST_PERF_GLOBAL_CTRL, 0x2808, 64, GUEST, \
		   "guest IA32_PERF_GLOBAL_CTRL") \
	VMCS_FIELD(GUEST_PDPTE0, 0x280a, 64, GUEST, "guest PDPTE0") \
	VMCS_FIELD(GUEST_PDPTE1, 0x280c, 64, GUEST, "guest PDPTE1") \
	VMCS_FIELD(GUEST_PDPTE2, 0x280e, 64, GUEST, "guest PDPTE2") \
	VMCS_FIELD(GUEST_PDPTE3, 0x2810, 64, GUEST, "guest PDPTE3") \
	VMCS_FIELD(GUEST_BNDCFGS, 0x2812, 64, GUEST, "guest IA32_BNDCFGS") \
	VMCS_FIELD(GUEST_RTIT_CTL, 0x2814, 64, GUEST, "guest IA32_RTIT_CTL") \
	VMCS_FIELD(GUEST_LBR_CTL, 0x2816, 64, GUEST, "guest IA32_LBR_CTL") \
	VMCS_FIELD(GUEST_PKRS, 0x2818, 64, GUEST, "guest IA32_PKRS") \
	VMCS_FIELD(GUEST_FRED_CONFIG, 0x281a, 64, GUEST, \
		   "guest IA32_FRED_CONFIG") \
	VMCS_FIELD(GUEST_FRED_RSP1, 0x281c, 64, GUEST, "guest IA32_FRED_RSP1") \
	VMCS_FIELD(GUEST_FRED_RSP2, 0x281e, 64, GUEST, "guest IA32_FRED_RSP2") \
	VMCS_FIELD(GUEST_FRED_RSP3, 0x2820, 64, GUEST, "guest IA32_FRED_RSP3") \
	VMCS_FIELD(GUEST_FRED_STKLVLS, 0x2822, 64, GUEST, \
		   "guest IA32_FRED_STKLVLS") \
	VMCS_FIELD(GUEST_FRED_SSP1, 0x2824, 64, GUEST, "guest IA32_FRED_SSP1") \
	VMCS_FIELD(GUEST_FRED_SSP2, 0x2826, 64, GUEST, "guest IA32_FRED_SSP2") \
	VMCS_FIELD(GUEST_FRED_SSP3, 0x2828, 64, GUEST, "guest IA32_FRED_SSP3") \
	VMCS_FIELD(GUEST_SPEC_CTRL, 0x282e, 64, GUEST, "guest IA32_SPEC_CTRL") \
	VMCS_FIELD(GUEST_DEADLINE, 0x2830, 64, GUEST, "guest deadline") \
	/* 64-bit host-state fields */ \
	VMCS_FIELD(HOST_PAT, 0x2c00, 64, HOST, "host IA32_PAT") \
	VMCS_FIELD(HOST_EFER, 0x2c02, 64, HOST, "host IA32_EFER") \
	VMCS_FIELD(HOST_PERF_GLOBAL_CTRL, 0x2c04, 64, HOST, \
		   "host IA32_PERF_GLOBAL_CTRL") \
	VMCS_FIELD(HOST_PKRS, 0x2c06, 64, HOST, "host IA32_PKRS") \
	VMCS_FIELD(HOST_FRED_CONFIG, 0x2c08, 64, HOST, \
		   "host IA32_FRED_CONFIG") \
	VMCS_FIELD(HOST_FRED_RSP1, 0x2c0a, 64, HOST, "host IA32_FRED_RSP1") \
	VMCS_FIELD(HOST_FRED_RSP2, 0x2c0c, 64, HOST, "host IA32_FRED_RSP2") \
	VMCS_FIELD(HOST_FRED_RSP3, 0x2c0e, 64, HOST, "host IA32_FRED_RSP3") \
	VMCS_FIELD(HOST_FRED_STKLVLS, 0x2c10, 64, HOST, \
		   "host IA32_FRED_STKLVLS") \
	VMCS_FIELD(HOST_FRED_SSP1, 0x2c12, 64, HOST, "host IA32_FRED_SSP1") \
	VMCS_FIELD(HOST_FRED_SSP2, 0x2c14, 64, HOST, "host IA32_FRED_SSP2") \
	VMCS_FIELD(HOST_FRED_SSP3, 0x2c16, 64, HOST, "host IA32_FRED_SSP3") \
	VMCS_FIELD(HOST_SPEC_CTRL, 0x2c1a, 64, HOST, "host IA32_SPEC_CTRL") \
	/* 32-bit control fields */ \
	VMCS_FIELD(PIN_CONTROLS, 0x4000, 32, CONTROL, \
		   "pin-based VM-execution controls") \
	VMCS_FIELD(PROC_CONTROLS, 0x4002, 32, CONTROL, \
		   "primary processor-based VM-execution controls") \
	VMCS_FIELD(EXCEPTION_BITMAP, 0x4004, 32, CONTROL, "exception bitmap") \
	VMCS_FIELD(PF_ERROR_CODE_MASK, 0x4006, 32, CONTROL, \
		   "page-fault error-code mask") \
	VMCS_FIELD(PF_ERROR_CODE_MATCH, 0x4008, 32, CONTROL, \
		   "page-fault error-code match") \
	VMCS_FIELD(CR3_TARGET_COUNT, 0x400a, 32, CONTROL, "CR3-target count") \
	VMCS_FIELD(EXIT_CONTROLS, 0x400c, 32, CONTROL, \
		   "primary VM-exit controls") \
	VMCS_FIELD(EXIT_MSR_STORE_COUNT, 0x400e, 32, CONTROL, \
		   "VM-exit MSR-store count") \
	VMCS_FIELD(EXIT_MSR_LOAD_COUNT, 0x4010, 32, CONTROL, \
		   "VM-exit MSR-load count") \
	VMCS_FIELD(ENTRY_CONTROLS, 0x4012, 32, CONTROL, "VM-entry controls") \
	VMCS_FIELD(ENTRY_MSR_LOAD_COUNT, 0x4014, 32, CONTROL, \
		   "VM-entry MSR-load count") \
	VMCS_FIELD(ENTRY_INTERRUPTION_INFO, 0x4016, 32, CONTROL, \
		   "VM-entry interruption information") \
	VMCS_FIELD(ENTRY_EXCEPTION_ERROR_CODE, 0x4018, 32, CONTROL, \
		   "VM-entry exception error code") \
	VMCS_FIELD(ENTRY_INSTRUCTION_LENGTH, 0x401a, 32, CONTROL, \
		   "VM-entry instruction length") \
	VMCS_FIELD(TPR_THRESHOLD, 0x401c, 32, CONTROL, "TPR threshold") \
	VMCS_FIELD(PROC2_CONTROLS, 0x401e, 32, CONTROL, \
		   "secondary processor-based VM-execution controls") \
	VMCS_FIELD(PLE_GAP, 0x4020, 32, CONTROL, "PLE_Gap") \
	VMCS_FIELD(PLE_WINDOW, 0x4022, 32, CONTROL, "PLE_Window") \
	VMCS_FIELD(INSTRUCTION_TIMEOUT, 0x4024, 32, CONTROL, \
		   "instruction-timeout control") \
	VMCS_FIELD(SEAM_GUEST_KEYID, 0x4026, 32, CONTROL, "SEAM-guest KeyID") \
	/* 32-bit read-only data fields */ \
	VMCS_FIELD(VM_INSTRUCTION_ERROR, 0x4400, 32, READ_ONLY, \
		   "VM-instruction error") \
	VMCS_FIELD(EXIT_REASON, 0x4402, 32, READ_ONLY, "exit reason") \
	VMCS_FIELD(EXIT_INTERRUPTION_INFO, 0x4404, 32, READ_ONLY, \
		   "VM-exit interruption information") \
	VMCS_FIELD(EXIT_INTERRUPTION_ERROR_CODE, 0x4406, 32, READ_ONLY, \
		   "VM-exit interruption error code") \
	VMCS_FIELD(IDT_VECTORING_INFO, 0x4408, 32, READ_ONLY, \
		   "IDT-vectoring information") \
	VMCS_FIELD(IDT_VECTORING_ERROR_CODE, 0x440a, 32, READ_ONLY, \
		   "IDT-vectoring error code") \
	VMCS_FIELD(EXIT_INSTRUCTION_LENGTH, 0x440c, 32, READ_ONLY, \
		   "VM-exit instruction length") \
	VMCS_FIELD(EXIT_INSTRUCTION_INFO, 0x440e, 32, READ_ONLY, \
		   "VM-exit instruction information") \
	/* 32-bit guest-state fields */ \
	VMCS_FIELD(GUEST_ES_LIMIT, 0x4800, 32, GUEST, "guest ES limit") \
	VMCS_FIELD(GUEST_CS_LIMIT, 0x4802, 32, GUEST, "guest CS limit") \
	VMCS_FIELD(GUEST_SS_LIMIT, 0x4804, 32, GUEST, "guest SS limit") \
	VMCS_FIELD(GUEST_DS_LIMIT, 0x4806, 32, GUEST, "guest DS limit") \
	VMCS_FIELD(GUEST_FS_LIMIT, 0x4808, 32, GUEST, "guest FS limit") \
	VMCS_FIELD(GUEST_GS_LIMIT, 0x480a, 32, GUEST, "guest GS limit") \
	VMCS_FIELD(GUEST_LDTR_LIMIT, 0x480c, 32, GUEST, "guest LDTR limit") \
	VMCS_FIELD(GUEST_TR_LIMIT, 0x480e, 32, GUEST, "guest TR limit") \
	VMCS_FIELD(GUEST_GDTR_LIMIT, 0x4810, 32, GUEST, "guest GDTR limit") \
	VMCS_FIELD(GUEST_IDTR_LIMIT, 0x4812, 32, GUEST, "guest IDTR limit") \
	VMCS_FIELD(GUEST_ES_ACCESS_RIGHTS, 0x4814, 32, GUEST, \
		   "guest ES access rights") \
	VMCS_FIELD(GUEST_CS_ACCESS_RIGHTS, 0x4816, 32, GUEST, \
		   "guest CS access rights") \
	VMCS_FIELD(GUEST_SS_ACCESS_RIGHTS, 0x4818, 32, GUEST, \
		   "guest SS access rights") \
	VMCS_FIELD(GUEST_DS_ACCESS_RIGHTS, 0x481a, 32, GUEST, \
		   "guest DS access rights") \
	VMCS_FIELD(GUEST_FS_ACCESS_RIGHTS, 0x481c, 32, GUEST, \
		   "guest FS access rights") \
	VMCS_FIELD(GUEST_GS_ACCESS_RIGHTS, 0x481e, 32, GUEST, \
		   "guest GS access rights") \
	VMCS_FIELD(GUEST_LDTR_ACCESS_RIGHTS, 0x4820, 32, GUEST, \
		   "guest LDTR access rights") \
	VMCS_FIELD(GUEST_TR_ACCESS_RIGHTS, 0x4822, 32, GUEST, \
		   "guest TR access rights") \
	VMCS_FIELD(GUEST_INTERRUPTIBILITY, 0x4824, 32, GUEST, \
		   "guest interruptibility state") \
	VMCS_FIELD(GUEST_ACTIVITY, 0x4826, 32, GUEST, "guest activity state") \
	VMCS_FIELD(GUEST_SMBASE, 0x4828, 32, GUEST, "guest SMBASE") \
	VMCS_FIELD(GUEST_SYSENTER_CS, 0x482a, 32, GUEST, \
		   "guest IA32_SYSENTER_CS") \
	VMCS_FIELD(PREEMPTION_TIMER, 0x482e, 32, GUEST, \
		   "VMX-preemption timer value") \
	/* 32-bit host-state field */ \
	VMCS_FIELD(HOST_SYSENTER_CS, 0x4c00, 32, HOST, \
		   "host IA32_SYSENTER_CS") \
	/* Natural-width control fields */ \
	VMCS_FIELD(CR0_MASK, 0x6000, NATURAL, CONTROL, "CR0 guest/host mask") \
	VMCS_FIELD(CR4_MASK, 0x6002, NATURAL, CONTROL, "CR4 guest/host mask") \
	VMCS_FIELD(CR0_READ_SHADOW, 0x6004, NATURAL, CONTROL, \
		   "CR0 read shadow") \
	VMCS_FIELD(CR4_READ_SHADOW, 0x6006, NATURAL, CONTROL, \
		   "CR4 read shadow") \
	VMCS_FIELD(CR3_TARGET_0, 0x6008, NATURAL, CONTROL, \
		   "CR3-target value 0") \
	VMCS_FIELD(CR3_TARGET_1, 0x600a, NATURAL, CONTROL, \
		   "CR3-target value 1") \
	VMCS_FIELD(CR3_TARGET_2, 0x600c, NATURAL, CONTROL, \
		   "CR3-target value 2") \
	VMCS_FIELD(CR3_TARGET_3, 0x600e, NATURAL, CONTROL, \
		   "CR3-target value 3") \
	/* Natural-width read-only data fields */ \
	VMCS_FIELD(EXIT_QUALIFICATION, 0x6400, NATURAL, READ_ONLY, \
		   "exit qualification") \
	VMCS_FIELD(IO_RCX, 0x6402, NATURAL, READ_ONLY, "I/O RCX") \
	VMCS_FIELD(IO_RSI, 0x6404, NATURAL, READ_ONLY, "I/O RSI") \
	VMCS_FIELD(IO_RDI, 0x6406, NATURAL, READ_ONLY, "I/O RDI") \
	VMCS_FIELD(IO_RIP, 0x6408, NATURAL, READ_ONLY, "I/O RIP") \
	VMCS_FIELD(GUEST_LINEAR_ADDRESS, 0x640a, NATURAL, READ_ONLY, \
		   "guest-linear address") \
	/* Natural-width guest-state fields */ \
	VMCS_FIELD(GUEST_CR0, 0x6800, NATURAL, GUEST, "guest CR0") \
	VMCS_FIELD(GUEST_CR3, 0x6802, NATURAL, GUEST, "guest CR3") \
	VMCS_FIELD(GUEST_CR4, 0x6804, NATURAL, GUEST, "guest CR4") \
	VMCS_FIELD(GUEST_ES_BASE, 0x6806, NATURAL, GUEST, "guest ES base") \
	VMCS_FIELD(GUEST_CS_BASE, 0x6808, NATURAL, GUEST, "guest CS base") \
	VMCS_FIELD(GUEST_SS_BASE, 0x680a, NATURAL, GUEST, "guest SS base") \
	VMCS_FIELD(GUEST_DS_BASE, 0x680c, NATURAL, GUEST, "guest DS base") \
	VMCS_FIELD(GUEST_FS_BASE, 0x680e, NATURAL, GUEST, "guest FS base") \
	VMCS_FIELD(GUEST_GS_BASE, 0x6810, NATURAL, GUEST, "guest GS base") \
	VMCS_FIELD(GUEST_LDTR_BASE, 0x6812, NATURAL, GUEST, "guest LDTR base") \
	VMCS_FIELD(GUEST_TR_BASE, 0x6814, NATURAL, GUEST, "guest TR base") \
	VMCS_FIELD(GUEST_GDTR_BASE, 0x6816, NATURAL, GUEST, "guest GDTR base") \
	VMCS_FIELD(GUEST_IDTR_BASE, 0x6818, NATURAL, GUEST, "guest IDTR base") \
	VMCS_FIELD(GUEST_DR7, 0x681a, NATURAL, GUEST, "guest DR7") \
	VMCS_FIELD(GUEST_RSP, 0x681c, NATURAL, GUEST, "guest RSP") \
	VMCS_FIELD(GUEST_RIP, 0x681e, NATURAL, GUEST, "guest RIP") \
	VMCS_FIELD(GUEST_RFLAGS, 0x6820, NATURAL, GUEST, "guest RFLAGS") \
	VMCS_FIELD(GUEST_PENDING_DEBUG, 0x6822, NATURAL, GUEST, \
		   "guest pending debug exceptions") \
	VMCS_FIELD(GUEST_SYSENTER_ESP, 0x6824, NATURAL, GUEST, \
		   "guest IA32_SYSENTER_ESP") \
	VMCS_FIELD(GUEST_SYSENTER_EIP, 0x6826, NATURAL, GUEST, \
		   "guest IA32_SYSENTER_EIP") \
	VMCS_FIELD(GUEST_S_CET, 0x6828, NATURAL, GUEST, "guest IA32_S_CET") \
	VMCS_FIELD(GUEST_SSP, 0x682a, NATURAL, GUEST, "guest SSP") \
	VMCS_FIELD(GUEST_SSP_TABLE, 0x682c, NATURAL, GUEST, \
		   "guest IA32_INTERRUPT_SSP_TABLE_ADDR") \
	/* Natural-width host-state fields */ \
	VMCS_FIELD(HOST_CR0, 0x6c00, NATURAL, HOST, "host CR0") \
	VMCS_FIELD(HOST_CR3, 0x6c02, NATURAL, HOST, "host CR3") \
	VMCS_FIELD(HOST_CR4, 0x6c04, NATURAL, HOST, "host CR4") \
	VMCS_FIELD(HOST_FS_BASE, 0x6c06, NATURAL, HOST, "host FS base") \
	VMCS_FIELD(HOST_GS_BASE, 0x6c08, NATURAL, HOST, "host GS base") \
	VMCS_FIELD(HOST_TR_BASE, 0x6c0a, NATURAL, HOST, "host TR base") \
	VMCS_FIELD(HOST_GDTR_BASE, 0x6c0c, NATURAL, HOST, "host GDTR base") \
	VMCS_FIELD(HOST_IDTR_BASE, 0x6c0e, NATURAL, HOST, "host IDTR base") \
	VMCS_FIELD(HOST_SYSENTER_ESP, 0x6c10, NATURAL, HOST, \
		   "host IA32_SYSENTER_ESP") \
	VMCS_FIELD(HOST_SYSENTER_EIP, 0x6c12, NATURAL, HOST, \
		   "host IA32_SYSENTER_EIP") \
	VMCS_FIELD(HOST_RSP, 0x6c14, NATURAL, HOST, "host RSP") \
	VMCS_FIELD(HOST_RIP, 0x6c16, NATURAL, HOST, "host RIP") \
	VMCS_FIELD(HOST_S_CET, 0x6c18, NATURAL, HOST, "host IA32_S_CET") \
	VMCS_FIELD(HOST_SSP, 0x6c1a, NATURAL, HOST, "host SSP") \
	VMCS_FIELD(HOST_SSP_TABLE, 0x6c1c, NATURAL, HOST, \
		   "host IA32_INTERRUPT_SSP_TABLE_ADDR") \
}

/* VMCS_GUEST_RIP and so on */
#define VMCS_ENUMERATOR(definition) definition
#define VMCS_FIELD(name, encoding, width, group, description) \
	VMCS_ENUMERATOR(VMCS_##name = (encoding)),
enum vmcs_field VMCS_FIELDS;
#undef VMCS_FIELD
#undef VMCS_ENUMERATOR

/*
 * What the encoding itself says (SDM 3C, "VMREAD, VMWRITE, and Encodings of VMCS
 * Fields"). Bit 0 would be the upper half of a 64-bit field, for 32-bit code.
 */
#define VMCS_ENCODING_INDEX	0x03fe
#define VMCS_GROUP_SHIFT	10
#define VMCS_WIDTH_SHIFT	13

enum vmcs_group {
	VMCS_GROUP_CONTROL,
	VMCS_GROUP_READ_ONLY,
	VMCS_GROUP_GUEST,
	VMCS_GROUP_HOST
};

enum vmcs_width {
	VMCS_WIDTH_16,
	VMCS_WIDTH_64,
	VMCS_WIDTH_32,
	VMCS_WIDTH_NATURAL
};

#define VMCS_GROUP(encoding) (((encoding) >> VMCS_GROUP_SHIFT) & 3)
#define VMCS_WIDTH(encoding) (((encoding) >> VMCS_WIDTH_SHIFT) & 3)

/* Of an encoding, what does not follow from width, group and index: nothing. */
#define VMCS_EXCESS(encoding, width, group)				 \
	(((encoding) ^ (width) << VMCS_WIDTH_SHIFT			 \
		     ^ (group) << VMCS_GROUP_SHIFT) & ~VMCS_ENCODING_INDEX)

/*
 * One element a field. A field whose width or group is not what its encoding says
 * makes an array of negative size, so it does not compile.
 */
#define VMCS_FIELD(name, encoding, width, group, description) \
	sizeof(char[VMCS_EXCESS(encoding, VMCS_WIDTH_##width, \
				VMCS_GROUP_##group) ? -1 : 1]),
enum { VMCS_FIELD_COUNT = sizeof((char[])VMCS_FIELDS) };
#undef VMCS_FIELD

#endif /* _VEE_VMX_FIELDS_H */
