/* SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later */
/*
 * Basic exit reasons (SDM 3D, appendix "VMX Basic Exit Reasons"), once.
 *
 *	VMX_REASON(name, number, words)
 *
 * Define VMX_REASON to what you need of a reason, and VMX_REASONS(use) is use() of all of
 * these: VMX_REASONS(VMX_BRACES) is the whole body of an enum or of an initialiser.
 */
#ifndef _VEE_VMX_EXITS_H
#define _VEE_VMX_EXITS_H

#define VMX_REASONS(use) use( \
	VMX_REASON(EXCEPTION_NMI, 0, "exception or NMI"),		\
	VMX_REASON(EXTERNAL_INTERRUPT, 1, "external interrupt"),		\
	VMX_REASON(TRIPLE_FAULT, 2, "triple fault"),			\
	VMX_REASON(INIT, 3, "INIT signal"),				\
	VMX_REASON(SIPI, 4, "start-up IPI"),				\
	VMX_REASON(IO_SMI, 5, "I/O SMI"),				\
	VMX_REASON(OTHER_SMI, 6, "other SMI"),				\
	VMX_REASON(INTERRUPT_WINDOW, 7, "interrupt window"),		\
	VMX_REASON(NMI_WINDOW, 8, "NMI window"),				\
	VMX_REASON(TASK_SWITCH, 9, "task switch"),			\
	VMX_REASON(CPUID, 10, "CPUID"),					\
	VMX_REASON(GETSEC, 11, "GETSEC"),				\
	VMX_REASON(HLT, 12, "HLT"),					\
	VMX_REASON(INVD, 13, "INVD"),					\
	VMX_REASON(INVLPG, 14, "INVLPG"),				\
	VMX_REASON(RDPMC, 15, "RDPMC"),					\
	VMX_REASON(RDTSC, 16, "RDTSC"),					\
	VMX_REASON(RSM, 17, "RSM"),					\
	VMX_REASON(VMCALL, 18, "VMCALL"),				\
	VMX_REASON(VMCLEAR, 19, "VMCLEAR"),				\
	VMX_REASON(VMLAUNCH, 20, "VMLAUNCH"),				\
	VMX_REASON(VMPTRLD, 21, "VMPTRLD"),				\
	VMX_REASON(VMPTRST, 22, "VMPTRST"),				\
	VMX_REASON(VMREAD, 23, "VMREAD"),				\
	VMX_REASON(VMRESUME, 24, "VMRESUME"),				\
	VMX_REASON(VMWRITE, 25, "VMWRITE"),				\
	VMX_REASON(VMXOFF, 26, "VMXOFF"),				\
	VMX_REASON(VMXON, 27, "VMXON"),					\
	VMX_REASON(CR_ACCESS, 28, "control-register access"),		\
	VMX_REASON(MOV_DR, 29, "MOV DR"),				\
	VMX_REASON(IO, 30, "I/O instruction"),				\
	VMX_REASON(RDMSR, 31, "RDMSR"),					\
	VMX_REASON(WRMSR, 32, "WRMSR"),					\
	VMX_REASON(ENTRY_GUEST_STATE, 33,				\
		   "VM-entry failure due to invalid guest state"),	\
	VMX_REASON(ENTRY_MSR_LOADING, 34,				\
		   "VM-entry failure due to MSR loading"),		\
	VMX_REASON(MWAIT, 36, "MWAIT"),					\
	VMX_REASON(MONITOR_TRAP_FLAG, 37, "monitor trap flag"),		\
	VMX_REASON(MONITOR, 39, "MONITOR"),				\
	VMX_REASON(PAUSE, 40, "PAUSE"),					\
	VMX_REASON(ENTRY_MACHINE_CHECK, 41,				\
		   "VM-entry failure due to machine-check event"),	\
	VMX_REASON(TPR_BELOW_THRESHOLD, 43, "TPR below threshold"),	\
	VMX_REASON(APIC_ACCESS, 44, "APIC access"),			\
	VMX_REASON(VIRTUALIZED_EOI, 45, "virtualized EOI"),		\
	VMX_REASON(GDTR_IDTR, 46, "access to GDTR or IDTR"),		\
	VMX_REASON(LDTR_TR, 47, "access to LDTR or TR"),			\
	VMX_REASON(EPT_VIOLATION, 48, "EPT violation"),			\
	VMX_REASON(EPT_MISCONFIG, 49, "EPT misconfiguration"),		\
	VMX_REASON(INVEPT, 50, "INVEPT"),				\
	VMX_REASON(RDTSCP, 51, "RDTSCP"),				\
	VMX_REASON(PREEMPTION_TIMER, 52, "VMX-preemption timer expired"), \
	VMX_REASON(INVVPID, 53, "INVVPID"),				\
	VMX_REASON(WBINVD, 54, "WBINVD or WBNOINVD"),			\
	VMX_REASON(XSETBV, 55, "XSETBV"),				\
	VMX_REASON(APIC_WRITE, 56, "APIC write"),			\
	VMX_REASON(RDRAND, 57, "RDRAND"),				\
	VMX_REASON(INVPCID, 58, "INVPCID"),				\
	VMX_REASON(VMFUNC, 59, "VMFUNC"),				\
	VMX_REASON(ENCLS, 60, "ENCLS"),					\
	VMX_REASON(RDSEED, 61, "RDSEED"),				\
	VMX_REASON(PML_FULL, 62, "page-modification log full"),		\
	VMX_REASON(XSAVES, 63, "XSAVES"),				\
	VMX_REASON(XRSTORS, 64, "XRSTORS"),				\
	VMX_REASON(PCONFIG, 65, "PCONFIG"),				\
	VMX_REASON(SPP_EVENT, 66, "SPP-related event"),			\
	VMX_REASON(UMWAIT, 67, "UMWAIT"),				\
	VMX_REASON(TPAUSE, 68, "TPAUSE"),				\
	VMX_REASON(LOADIWKEY, 69, "LOADIWKEY"),				\
	VMX_REASON(ENCLV, 70, "ENCLV"),					\
	VMX_REASON(ENQCMD_PASID, 72, "ENQCMD PASID translation failure"), \
	VMX_REASON(ENQCMDS_PASID, 73, "ENQCMDS PASID translation failure"), \
	VMX_REASON(BUS_LOCK, 74, "bus lock"),				\
	VMX_REASON(INSTRUCTION_TIMEOUT, 75, "instruction timeout"))

#define VMX_BRACES(...) { __VA_ARGS__ }

/* VMX_EXIT_HLT and so on */
#define VMX_ENUMERATOR(definition) definition
#define VMX_REASON(name, number, words) \
	VMX_ENUMERATOR(VMX_EXIT_##name = (number))
enum vmx_exit_reason VMX_REASONS(VMX_BRACES);
#undef VMX_REASON
#undef VMX_ENUMERATOR

/* The rest of the exit-reason field (SDM 3C, "Basic VM-Exit Information"). */
#define VMX_EXIT_BASIC		0xffffU
#define VMX_EXIT_AFTER_BUS_LOCK	0x04000000U	/* there was one just before */
#define VMX_EXIT_ENTRY_FAILURE	0x80000000U

/* "Exit Qualification for I/O Instructions" */
#define IO_WIDTH(q)		(((unsigned int)(q) & 7) + 1)
#define IO_IN			0x08U
#define IO_STRING		0x10U
#define IO_REP			0x20U
#define IO_PORT(q)		(((q) >> 16) & 0xffff)

/* "Exit Qualification for Instruction Timeout" */
#define TIMEOUT_CONTEXT_INVALID	0x1U

#endif /* _VEE_VMX_EXITS_H */
