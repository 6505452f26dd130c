/* SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later */
/*
 * Every documented VMX control, once, and what vee needs of it.
 *
 *	VMX_CONTROL(word, bit, need, name, description)
 *
 * Define VMX_CONTROL to what you need of a control, and VMX_CONTROLS is the whole
 * body, braces and all, of an enum, of an array's initialiser, of a switch.
 *
 * @description is the SDM's own name (SDM 3C, "VM-Execution Control Fields",
 * "VM-Exit Controls", "VM-Entry Controls"). @word is
 *
 *	PIN	pin-based VM-execution controls
 *	PROC	primary processor-based VM-execution controls
 *	PROC2	secondary processor-based VM-execution controls
 *	EXIT	primary VM-exit controls
 *	ENTRY	VM-entry controls
 *
 * and @need
 *
 *	REQUIRED	1 in every VMCS; without it vee does not load
 *	WANTED		1 in every VMCS if the CPU has it
 *	CAPABLE		0 in a new VMCS, switched at run time; without it vee
 *			does not load
 *	OPTIONAL	as CAPABLE, but vee can do without it
 *	UNUSED		always 0; a CPU that forces it to 1 is refused
 *
 * "Acknowledge interrupt on exit" is unused on purpose: an interrupt that stays
 * pending is taken by the host's own IDT as soon as interrupts are on again.
 *
 * Module and library share this list, so there is nothing here of either.
 */
#ifndef _VEE_VMX_CONTROLS_H
#define _VEE_VMX_CONTROLS_H

#define VMX_CONTROLS { \
	/* Pin-based VM-execution controls */ \
	VMX_CONTROL(PIN, 0, REQUIRED, EXTERNAL_INTERRUPT_EXITING, \
		    "external-interrupt exiting") \
	VMX_CONTROL(PIN, 3, REQUIRED, NMI_EXITING, "NMI exiting") \
	VMX_CONTROL(PIN, 5, REQUIRED, VIRTUAL_NMIS, "virtual NMIs") \
	VMX_CONTROL(PIN, 6, OPTIONAL, PREEMPTION_TIMER, \
		    "activate VMX-preemption timer") \
	VMX_CONTROL(PIN, 7, UNUSED, POSTED_INTERRUPTS, \
		    "process posted interrupts") \
	/* Primary processor-based VM-execution controls */ \
	VMX_CONTROL(PROC, 2, CAPABLE, INTERRUPT_WINDOW_EXITING, \
		    "interrupt-window exiting") \
	VMX_CONTROL(PROC, 3, REQUIRED, TSC_OFFSETTING, "use TSC offsetting") \
	VMX_CONTROL(PROC, 7, REQUIRED, HLT_EXITING, "HLT exiting") \
	VMX_CONTROL(PROC, 9, UNUSED, INVLPG_EXITING, "INVLPG exiting") \
	VMX_CONTROL(PROC, 10, REQUIRED, MWAIT_EXITING, "MWAIT exiting") \
	VMX_CONTROL(PROC, 11, REQUIRED, RDPMC_EXITING, "RDPMC exiting") \
	VMX_CONTROL(PROC, 12, OPTIONAL, RDTSC_EXITING, "RDTSC exiting") \
	VMX_CONTROL(PROC, 15, UNUSED, CR3_LOAD_EXITING, "CR3-load exiting") \
	VMX_CONTROL(PROC, 16, UNUSED, CR3_STORE_EXITING, "CR3-store exiting") \
	VMX_CONTROL(PROC, 17, UNUSED, TERTIARY_CONTROLS, \
		    "activate tertiary controls") \
	VMX_CONTROL(PROC, 19, REQUIRED, CR8_LOAD_EXITING, "CR8-load exiting") \
	VMX_CONTROL(PROC, 20, REQUIRED, CR8_STORE_EXITING, \
		    "CR8-store exiting") \
	VMX_CONTROL(PROC, 21, OPTIONAL, TPR_SHADOW, "use TPR shadow") \
	VMX_CONTROL(PROC, 22, CAPABLE, NMI_WINDOW_EXITING, \
		    "NMI-window exiting") \
	VMX_CONTROL(PROC, 23, REQUIRED, MOV_DR_EXITING, "MOV-DR exiting") \
	VMX_CONTROL(PROC, 24, REQUIRED, UNCONDITIONAL_IO_EXITING, \
		    "unconditional I/O exiting") \
	VMX_CONTROL(PROC, 25, UNUSED, USE_IO_BITMAPS, "use I/O bitmaps") \
	VMX_CONTROL(PROC, 27, OPTIONAL, MONITOR_TRAP_FLAG, "monitor trap flag") \
	VMX_CONTROL(PROC, 28, REQUIRED, USE_MSR_BITMAPS, "use MSR bitmaps") \
	VMX_CONTROL(PROC, 29, REQUIRED, MONITOR_EXITING, "MONITOR exiting") \
	VMX_CONTROL(PROC, 30, UNUSED, PAUSE_EXITING, "PAUSE exiting") \
	VMX_CONTROL(PROC, 31, REQUIRED, SECONDARY_CONTROLS, \
		    "activate secondary controls") \
	/* Secondary processor-based VM-execution controls */ \
	VMX_CONTROL(PROC2, 0, OPTIONAL, VIRTUALIZE_APIC_ACCESSES, \
		    "virtualize APIC accesses") \
	VMX_CONTROL(PROC2, 1, REQUIRED, EPT, "enable EPT") \
	VMX_CONTROL(PROC2, 2, OPTIONAL, DESCRIPTOR_TABLE_EXITING, \
		    "descriptor-table exiting") \
	VMX_CONTROL(PROC2, 3, WANTED, RDTSCP, "enable RDTSCP") \
	VMX_CONTROL(PROC2, 4, OPTIONAL, VIRTUALIZE_X2APIC_MODE, \
		    "virtualize x2APIC mode") \
	VMX_CONTROL(PROC2, 5, WANTED, VPID, "enable VPID") \
	VMX_CONTROL(PROC2, 6, WANTED, WBINVD_EXITING, "WBINVD exiting") \
	VMX_CONTROL(PROC2, 7, REQUIRED, UNRESTRICTED_GUEST, \
		    "unrestricted guest") \
	VMX_CONTROL(PROC2, 8, OPTIONAL, APIC_REGISTER_VIRTUALIZATION, \
		    "APIC-register virtualization") \
	VMX_CONTROL(PROC2, 9, OPTIONAL, VIRTUAL_INTERRUPT_DELIVERY, \
		    "virtual-interrupt delivery") \
	VMX_CONTROL(PROC2, 10, OPTIONAL, PAUSE_LOOP_EXITING, \
		    "PAUSE-loop exiting") \
	VMX_CONTROL(PROC2, 11, OPTIONAL, RDRAND_EXITING, "RDRAND exiting") \
	VMX_CONTROL(PROC2, 12, WANTED, INVPCID, "enable INVPCID") \
	VMX_CONTROL(PROC2, 13, UNUSED, VM_FUNCTIONS, "enable VM functions") \
	VMX_CONTROL(PROC2, 14, UNUSED, VMCS_SHADOWING, "VMCS shadowing") \
	VMX_CONTROL(PROC2, 15, WANTED, ENCLS_EXITING, "enable ENCLS exiting") \
	VMX_CONTROL(PROC2, 16, OPTIONAL, RDSEED_EXITING, "RDSEED exiting") \
	VMX_CONTROL(PROC2, 17, OPTIONAL, PML, "enable PML") \
	VMX_CONTROL(PROC2, 18, UNUSED, EPT_VIOLATION_VE, "EPT-violation #VE") \
	VMX_CONTROL(PROC2, 19, UNUSED, CONCEAL_FROM_PT, "conceal VMX from PT") \
	VMX_CONTROL(PROC2, 20, UNUSED, XSAVES, "enable XSAVES/XRSTORS") \
	VMX_CONTROL(PROC2, 21, UNUSED, PASID_TRANSLATION, "PASID translation") \
	VMX_CONTROL(PROC2, 22, UNUSED, MODE_BASED_EXECUTE, \
		    "mode-based execute control for EPT") \
	VMX_CONTROL(PROC2, 23, UNUSED, SUB_PAGE_PERMISSIONS, \
		    "sub-page write permissions for EPT") \
	VMX_CONTROL(PROC2, 24, UNUSED, PT_GUEST_PHYSICAL, \
		    "Intel PT uses guest physical addresses") \
	VMX_CONTROL(PROC2, 25, UNUSED, TSC_SCALING, "use TSC scaling") \
	VMX_CONTROL(PROC2, 26, UNUSED, USER_WAIT_PAUSE, \
		    "enable user wait and pause") \
	VMX_CONTROL(PROC2, 27, UNUSED, PCONFIG, "enable PCONFIG") \
	VMX_CONTROL(PROC2, 28, WANTED, ENCLV_EXITING, "enable ENCLV exiting") \
	VMX_CONTROL(PROC2, 30, OPTIONAL, BUS_LOCK_DETECTION, \
		    "VMM bus-lock detection") \
	VMX_CONTROL(PROC2, 31, WANTED, INSTRUCTION_TIMEOUT, \
		    "instruction timeout") \
	/* Primary VM-exit controls */ \
	VMX_CONTROL(EXIT, 2, REQUIRED, SAVE_DEBUG_CONTROLS, \
		    "save debug controls") \
	VMX_CONTROL(EXIT, 9, REQUIRED, HOST_64BIT, "host address-space size") \
	VMX_CONTROL(EXIT, 12, UNUSED, LOAD_PERF_GLOBAL_CTRL, \
		    "load IA32_PERF_GLOBAL_CTRL") \
	VMX_CONTROL(EXIT, 15, UNUSED, ACK_INTERRUPT, \
		    "acknowledge interrupt on exit") \
	VMX_CONTROL(EXIT, 18, REQUIRED, SAVE_PAT, "save IA32_PAT") \
	VMX_CONTROL(EXIT, 19, REQUIRED, LOAD_PAT, "load IA32_PAT") \
	VMX_CONTROL(EXIT, 20, REQUIRED, SAVE_EFER, "save IA32_EFER") \
	VMX_CONTROL(EXIT, 21, REQUIRED, LOAD_EFER, "load IA32_EFER") \
	VMX_CONTROL(EXIT, 22, UNUSED, SAVE_PREEMPTION_TIMER, \
		    "save VMX-preemption timer value") \
	VMX_CONTROL(EXIT, 23, UNUSED, CLEAR_BNDCFGS, "clear IA32_BNDCFGS") \
	VMX_CONTROL(EXIT, 24, UNUSED, CONCEAL_FROM_PT, "conceal VMX from PT") \
	VMX_CONTROL(EXIT, 25, UNUSED, CLEAR_RTIT_CTL, "clear IA32_RTIT_CTL") \
	VMX_CONTROL(EXIT, 26, UNUSED, CLEAR_LBR_CTL, "clear IA32_LBR_CTL") \
	VMX_CONTROL(EXIT, 27, UNUSED, CLEAR_UINV, "clear UINV") \
	VMX_CONTROL(EXIT, 28, UNUSED, LOAD_CET, "load CET state") \
	VMX_CONTROL(EXIT, 29, UNUSED, LOAD_PKRS, "load PKRS") \
	VMX_CONTROL(EXIT, 30, UNUSED, SAVE_PERF_GLOBAL_CTRL, \
		    "save IA32_PERF_GLOBAL_CTRL") \
	VMX_CONTROL(EXIT, 31, UNUSED, SECONDARY_CONTROLS, \
		    "activate secondary controls") \
	/* VM-entry controls */ \
	VMX_CONTROL(ENTRY, 2, REQUIRED, LOAD_DEBUG_CONTROLS, \
		    "load debug controls") \
	VMX_CONTROL(ENTRY, 9, CAPABLE, IA32E_GUEST, "IA-32e mode guest") \
	VMX_CONTROL(ENTRY, 10, UNUSED, TO_SMM, "entry to SMM") \
	VMX_CONTROL(ENTRY, 11, UNUSED, DEACTIVATE_DUAL_MONITOR, \
		    "deactivate dual-monitor treatment") \
	VMX_CONTROL(ENTRY, 13, UNUSED, LOAD_PERF_GLOBAL_CTRL, \
		    "load IA32_PERF_GLOBAL_CTRL") \
	VMX_CONTROL(ENTRY, 14, REQUIRED, LOAD_PAT, "load IA32_PAT") \
	VMX_CONTROL(ENTRY, 15, REQUIRED, LOAD_EFER, "load IA32_EFER") \
	VMX_CONTROL(ENTRY, 16, UNUSED, LOAD_BNDCFGS, "load IA32_BNDCFGS") \
	VMX_CONTROL(ENTRY, 17, UNUSED, CONCEAL_FROM_PT, "conceal VMX from PT") \
	VMX_CONTROL(ENTRY, 18, UNUSED, LOAD_RTIT_CTL, "load IA32_RTIT_CTL") \
	VMX_CONTROL(ENTRY, 19, UNUSED, LOAD_UINV, "load UINV") \
	VMX_CONTROL(ENTRY, 20, UNUSED, LOAD_CET, "load CET state") \
	VMX_CONTROL(ENTRY, 21, UNUSED, LOAD_LBR_CTL, \
		    "load guest IA32_LBR_CTL") \
	VMX_CONTROL(ENTRY, 22, UNUSED, LOAD_PKRS, "load PKRS") \
	VMX_CONTROL(ENTRY, 23, UNUSED, LOAD_FRED, "load FRED") \
	VMX_CONTROL(ENTRY, 24, UNUSED, LOAD_SPEC_CTRL, "load IA32_SPEC_CTRL") \
	VMX_CONTROL(ENTRY, 25, UNUSED, SEAM_TELEMETRY, \
		    "allow SEAM-guest telemetry") \
}

/* PIN_NMI_EXITING, PROC2_EPT, EXIT_HOST_64BIT and so on: the bit's mask. */
#define VMX_ENUMERATOR(definition) definition
#define VMX_CONTROL(word, bit, need, name, description) \
	VMX_ENUMERATOR(word##_##name = 1U << (bit)),
enum vmx_control VMX_CONTROLS;
#undef VMX_CONTROL
#undef VMX_ENUMERATOR

enum vmx_need {
	VMX_REQUIRED,
	VMX_WANTED,
	VMX_CAPABLE,
	VMX_OPTIONAL,
	VMX_UNUSED
};

#endif /* _VEE_VMX_CONTROLS_H */
