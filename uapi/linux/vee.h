/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * vee: the interface between the module and user space.
 *
 * Three kinds of file descriptor, each made from the one before; closing is
 * destroying, in any order:
 *
 *	/dev/vee	open(2)			VEE_GET_INFO, VEE_VM_CREATE,
 *						VEE_RUN_EACH
 *	a VM		VEE_VM_CREATE		VEE_VM_MAP, VEE_VM_UNMAP,
 *						VEE_VM_CREATE_VCPU,
 *						VEE_VM_COALESCE, VEE_VM_DOORBELL,
 *						VEE_VM_SIGNAL, VEE_VM_BIND,
 *						VEE_VM_DIRTY, VEE_VM_TEMPLATE, mmap(2)
 *	a vCPU		VEE_VM_CREATE_VCPU	mmap(2) and the VEE_VCPU_ requests
 *
 * What every request has in common:
 *
 *  - Its argument is 0 or points to a struct whose first member, @size, the
 *    caller sets to the struct's sizeof. The kernel takes older, shorter and
 *    newer, longer structs: members that it doesn't know must be zero (-E2BIG
 *    otherwise), members that the caller doesn't know are taken as zero.
 *    A @size below the first published one is -EINVAL, one above 4096 -E2BIG,
 *    whatever is there.
 *  - Flags and reserved members must be zero (-EINVAL otherwise).
 *  - A VM belongs to the address space that made it. From any other one every
 *    request on the VM or its vCPUs is -EIO.
 *  - A request that a descriptor does not know is -ENOTTY, a bad pointer is
 *    -EFAULT, a request on a vCPU that another thread is running is -EBUSY
 *    (VEE_VCPU_KICK and VEE_VCPU_INJECT apart, which are made for that).
 *  - A request that fails has changed nothing.
 *
 * A vCPU's requests, and those of /dev/vee, can also be made through io_uring: struct
 * vee_uring_cmd. So can one of a VM's, VEE_VM_SIGNAL: struct vee_uring_signal.
 *
 * Terms are those of the Intel 64 and IA-32 Architectures Software Developer's
 * Manual (SDM); section titles are given where a rule comes from.
 */
#ifndef _UAPI_LINUX_VEE_H
#define _UAPI_LINUX_VEE_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define VEE_API_VERSION		1

/* The request numbers carry no size: each struct carries its own. */
#define VEE_IOCTL		0xEE

#define VEE_GET_INFO		_IO(VEE_IOCTL, 0x00)	/* struct vee_info */
#define VEE_VM_CREATE		_IO(VEE_IOCTL, 0x01)	/* struct vee_vm_create */
#define VEE_RUN_EACH		_IO(VEE_IOCTL, 0x02)	/* struct vee_run_each */

#define VEE_VM_MAP		_IO(VEE_IOCTL, 0x10)	/* struct vee_map */
#define VEE_VM_UNMAP		_IO(VEE_IOCTL, 0x11)	/* struct vee_unmap */
#define VEE_VM_CREATE_VCPU	_IO(VEE_IOCTL, 0x12)	/* struct vee_vcpu_create */
#define VEE_VM_COALESCE		_IO(VEE_IOCTL, 0x13)	/* struct vee_coalesce */
#define VEE_VM_DOORBELL		_IO(VEE_IOCTL, 0x14)	/* struct vee_doorbell */
#define VEE_VM_SIGNAL		_IO(VEE_IOCTL, 0x15)	/* struct vee_signal */
#define VEE_VM_BIND		_IO(VEE_IOCTL, 0x16)	/* struct vee_bind */
#define VEE_VM_DIRTY		_IO(VEE_IOCTL, 0x17)	/* struct vee_dirty */
#define VEE_VM_TEMPLATE		_IO(VEE_IOCTL, 0x18)	/* struct vee_template */

#define VEE_VCPU_RUN		_IO(VEE_IOCTL, 0x20)	/* 0, or a generation */
#define VEE_VCPU_KICK		_IO(VEE_IOCTL, 0x21)	/* struct vee_kick */
#define VEE_VCPU_SYNC		_IO(VEE_IOCTL, 0x22)	/* struct vee_sync */
#define VEE_VCPU_TRANSLATE	_IO(VEE_IOCTL, 0x23)	/* struct vee_translate */
#define VEE_VCPU_GET_CPUID	_IO(VEE_IOCTL, 0x24)	/* struct vee_cpuid */
#define VEE_VCPU_SET_CPUID	_IO(VEE_IOCTL, 0x25)	/* struct vee_cpuid */
#define VEE_VCPU_GET_XSAVE	_IO(VEE_IOCTL, 0x26)	/* struct vee_xsave */
#define VEE_VCPU_SET_XSAVE	_IO(VEE_IOCTL, 0x27)	/* struct vee_xsave */
#define VEE_VCPU_VMCS_READ	_IO(VEE_IOCTL, 0x28)	/* struct vee_vmcs_field */
#define VEE_VCPU_VMCS_WRITE	_IO(VEE_IOCTL, 0x29)	/* struct vee_vmcs_field */
#define VEE_VCPU_VMCS_SNAPSHOT	_IO(VEE_IOCTL, 0x2a)	/* struct vee_vmcs_snapshot */
#define VEE_VCPU_STATS		_IO(VEE_IOCTL, 0x2b)	/* struct vee_stats */
#define VEE_VCPU_INJECT		_IO(VEE_IOCTL, 0x2c)	/* struct vee_inject */
#define VEE_VCPU_APIC		_IO(VEE_IOCTL, 0x2d)	/* struct vee_apic_access */
#define VEE_VCPU_SAVE		_IO(VEE_IOCTL, 0x2e)	/* struct vee_vcpu_state */
#define VEE_VCPU_LOAD		_IO(VEE_IOCTL, 0x2f)	/* struct vee_vcpu_state */

#define VEE_MAX_VCPUS		64	/* vCPUs of one VM; ids 0 to 63 */
#define VEE_MAX_SLOTS		512	/* memory slots of one VM */
#define VEE_MAX_WATCHES		64	/* ranges and doorbells of one VM, together */
#define VEE_MAX_BINDS		1024	/* of one VM */
#define VEE_MAX_STEPS		1024	/* of one VEE_RUN_EACH */

/* --- /dev/vee ------------------------------------------------------------ */

/* struct vee_info, @features: what this machine gives beyond the required. */
#define VEE_FEATURE_VPID		0x001ULL
#define VEE_FEATURE_PREEMPTION_TIMER	0x002ULL /* else deadlines use an hrtimer */
#define VEE_FEATURE_EPT_2M		0x004ULL
#define VEE_FEATURE_EPT_1G		0x008ULL
#define VEE_FEATURE_EPT_EXECUTE_ONLY	0x010ULL
#define VEE_FEATURE_EPT_AD		0x020ULL
#define VEE_FEATURE_RDTSCP		0x040ULL
#define VEE_FEATURE_INVPCID		0x080ULL
#define VEE_FEATURE_MONITOR_TRAP_FLAG	0x100ULL /* else steps use RFLAGS.TF */
#define VEE_FEATURE_IO_URING		0x200ULL /* the kernel was built with it */
#define VEE_FEATURE_TPR_SHADOW		0x400ULL /* else each access to CR8 exits */
#define VEE_FEATURE_DESCRIPTOR_EXITING	0x800ULL /* VEE_INTERCEPT_DESCRIPTOR */
#define VEE_FEATURE_LOCAL_APIC		0x1000ULL /* VEE_VM_LOCAL_APIC; of any CPU */
/* What spares a guest with a local APIC its exits: see VEE_VM_LOCAL_APIC. */
#define VEE_FEATURE_APIC_ACCESSES	0x2000ULL /* virtualize APIC accesses */
#define VEE_FEATURE_X2APIC_MODE		0x4000ULL /* virtualize x2APIC mode */
#define VEE_FEATURE_APIC_REGISTERS	0x8000ULL /* APIC-register virtualization */
#define VEE_FEATURE_INTERRUPT_DELIVERY	0x10000ULL /* virtual-interrupt delivery */
#define VEE_FEATURE_PML			0x20000ULL /* page-modification logging, for VEE_VM_DIRTY */
#define VEE_FEATURE_PAUSE_LOOP		0x40000ULL /* PAUSE-loop exiting, of several vCPUs */

/**
 * struct vee_info - what the module and the machine offer (VEE_GET_INFO)
 * @size: in: sizeof(struct vee_info)
 * @flags: in: must be zero
 * @api_version: out: VEE_API_VERSION of the module
 * @max_vcpus: out: vCPUs that one VM can have
 * @max_slots: out: memory slots that one VM can have
 * @vcpu_page_bytes: out: how many bytes of a vCPU's descriptor to mmap(2)
 * @features: out: VEE_FEATURE_ bits
 * @gpa_bits: out: width of a guest-physical address; slots end below
 *	1 << @gpa_bits
 * @tsc_khz: out: frequency of the host's TSC in kHz
 * @xcr0: out: the XCR0 bits that a guest may set (SDM 1, "XSAVE-Supported
 *	Features and State-Component Bitmaps")
 * @xsave_bytes: out: size of the guest's XSAVE area (VEE_VCPU_GET_XSAVE)
 * @reserved: out: zero
 * @vmx_basic: out: IA32_VMX_BASIC
 * @vmx_misc: out: IA32_VMX_MISC
 * @vmx_pin: out: IA32_VMX_(TRUE_)PINBASED_CTLS
 * @vmx_proc: out: IA32_VMX_(TRUE_)PROCBASED_CTLS
 * @vmx_proc2: out: IA32_VMX_PROCBASED_CTLS2
 * @vmx_exit: out: IA32_VMX_(TRUE_)EXIT_CTLS
 * @vmx_entry: out: IA32_VMX_(TRUE_)ENTRY_CTLS
 * @vmx_ept_vpid: out: IA32_VMX_EPT_VPID_CAP
 * @vmx_cr0_fixed0: out: IA32_VMX_CR0_FIXED0
 * @vmx_cr0_fixed1: out: IA32_VMX_CR0_FIXED1; 0: the module is too old to tell
 * @vmx_cr4_fixed0: out: IA32_VMX_CR4_FIXED0
 * @vmx_cr4_fixed1: out: IA32_VMX_CR4_FIXED1
 * @vmx_vmfunc: out: IA32_VMX_VMFUNC; 0: the CPU has no VM functions
 * @vmx_proc3: out: IA32_VMX_PROCBASED_CTLS3; 0: it has no tertiary controls
 * @vmx_exit2: out: IA32_VMX_EXIT_CTLS2; 0: it has no secondary VM-exit controls
 * @perf_global_ctrl: out: the bits of IA32_PERF_GLOBAL_CTRL that the CPU has
 * @phys_bits: out: the CPU's physical-address width
 * @linear_bits: out: its linear-address width
 * @cpuid_7_ebx: out: EBX of its CPUID leaf 07H, subleaf 0
 * @cpuid_7_ecx: out: ECX of that
 *
 * The capability MSRs are as SDM 3D, appendix "VMX Capability Reporting
 * Facility" lays them out. From @vmx_cr0_fixed0 on it is what the checks of a VM
 * entry go by, for who repeats them.
 *
 * Returns 0.
 */
struct vee_info {
	__u32 size;
	__u32 flags;
	__u32 api_version;
	__u32 max_vcpus;
	__u32 max_slots;
	__u32 vcpu_page_bytes;
	__u64 features;
	__u32 gpa_bits;
	__u32 tsc_khz;
	__u64 xcr0;
	__u32 xsave_bytes;
	__u32 reserved;
	__u64 vmx_basic;
	__u64 vmx_misc;
	__u64 vmx_pin;
	__u64 vmx_proc;
	__u64 vmx_proc2;
	__u64 vmx_exit;
	__u64 vmx_entry;
	__u64 vmx_ept_vpid;
	__u64 vmx_cr0_fixed0;
	__u64 vmx_cr0_fixed1;
	__u64 vmx_cr4_fixed0;
	__u64 vmx_cr4_fixed1;
	__u64 vmx_vmfunc;
	__u64 vmx_proc3;
	__u64 vmx_exit2;
	__u64 perf_global_ctrl;
	__u32 phys_bits;
	__u32 linear_bits;
	__u32 cpuid_7_ebx;
	__u32 cpuid_7_ecx;
};

/* struct vee_vm_create, @flags */
#define VEE_VM_LOCAL_APIC	0x01U	/* each vCPU has a local APIC: docs/apic.md */

/**
 * struct vee_vm_create - make a VM (VEE_VM_CREATE)
 * @size: in: sizeof(struct vee_vm_create)
 * @flags: in: 0, or VEE_VM_LOCAL_APIC (VEE_FEATURE_LOCAL_APIC)
 *
 * VEE_VM_LOCAL_APIC: each vCPU has a local APIC (SDM 3A, "Advanced Programmable
 * Interrupt Controller"), enabled, in xAPIC mode at FEE00000H, its number the vCPU's id.
 * The vCPU with id 0 is the bootstrap processor; the others wait for a SIPI, in a run.
 * What the caller injects goes past it, as from an 8259 by ExtINT. No slot may be at
 * FEE00000H to FEE00FFFH. A run of such a vCPU with VEE_OPTION_HLT_SLEEPS is woken by
 * interrupts of its APIC, and by its timer.
 *
 * In xAPIC mode accesses that the CPU can't see to (VEE_FEATURE_APIC_ACCESSES,
 * VEE_FEATURE_APIC_REGISTERS) are VEE_EXIT_MMIO at that page, and the caller's to do by
 * VEE_VCPU_APIC. In x2APIC mode there are none.
 *
 * Returns the VM's file descriptor (close-on-exec), or -EINVAL (@flags), -EDQUOT (the module's
 * parameter max_vms), -ENOMEM, -EMFILE, -ENFILE.
 */
struct vee_vm_create {
	__u32 size;
	__u32 flags;
};

/* --- a VM ---------------------------------------------------------------- */

/* How guest memory may be, or was, accessed. */
#define VEE_READ	0x01U
#define VEE_WRITE	0x02U
#define VEE_EXECUTE	0x04U

/**
 * struct vee_map - lend memory to a VM: add a slot (VEE_VM_MAP)
 * @size: in: sizeof(struct vee_map)
 * @flags: in: must be zero
 * @gpa: in: first guest-physical address, a multiple of 4096
 * @hva: in: the caller's address of the memory behind it, a multiple of 4096
 * @bytes: in: length, a multiple of 4096, not 0
 * @access: in: VEE_READ, with or without VEE_WRITE and VEE_EXECUTE
 * @reserved: in: must be zero
 * @pool: in: 0, or with @pool_bytes the caller's address of memory for copies, a multiple
 *	of 4096
 * @pool_bytes: in: 0, or how long it is: a multiple of 4096, not more than @bytes; @hva is
 *	then a template, and @access has VEE_WRITE
 *
 * The range may be any mapping: anonymous, shared, a file, hugetlb, a device's.
 * Nothing is pinned and nothing is copied: the guest sees what the caller sees at
 * @hva, at all times; what the caller unmaps later the guest loses
 * (VEE_EXIT_MEMORY). A device's memory has the memory type that it has in the
 * caller's tables, whatever the guest's say.
 *
 * A guest's access may have to wait for such memory (a disk, the network, a
 * userfaultfd), and so may what a run reads itself, an instruction's bytes for
 * VEE_PREFETCH_INSN or PDPTEs: what ends a run ends it then, too, and other requests
 * go on.
 *
 * A template is read by the guest and never written: the page that the guest writes first is
 * copied to the first of the pool, and is there from then on, the next that it writes
 * is copied to the second, and so on (VEE_VM_TEMPLATE). When the pool is used up a write
 * to another page is VEE_EXIT_MEMORY with -ENOSPC. Many slots may have the same template. It
 * must not change as long as they do, and nobody else may write a pool: the guest would see
 * what comes of it. Both may be any mapping of memory, but no device's.
 *
 * Returns 0, or -EINVAL (alignment, length, access, or the end of a range
 * wraps or lies beyond vee_info.gpa_bits; @pool overlaps @hva; a template of 16 TiB or
 * more), -EEXIST (overlaps a slot, or the page of
 * the local APICs: VEE_VM_LOCAL_APIC), -EFAULT
 * (not all of @hva..@hva + @bytes, or of @pool, is mapped in the caller), -ENOSPC
 * (vee_info.max_slots), -ENOMEM, -EINTR (a signal waits; at the first slot of an
 * address space alone).
 */
struct vee_map {
	__u32 size;
	__u32 flags;
	__u64 gpa;
	__u64 hva;
	__u64 bytes;
	__u32 access;
	__u32 reserved;
	__u64 pool;
	__u64 pool_bytes;
};

/**
 * struct vee_unmap - take a slot back (VEE_VM_UNMAP)
 * @size: in: sizeof(struct vee_unmap)
 * @flags: in: must be zero
 * @gpa: in: where the slot begins
 * @bytes: in: its length
 *
 * When this returns no vCPU can reach the memory any more.
 *
 * Returns 0, or -ENOENT (no slot has just this @gpa and @bytes).
 */
struct vee_unmap {
	__u32 size;
	__u32 flags;
	__u64 gpa;
	__u64 bytes;
};

/* struct vee_dirty, @operation */
#define VEE_DIRTY_START		0	/* from here on note what is written */
#define VEE_DIRTY_STOP		1	/* no longer */
#define VEE_DIRTY_FETCH		2	/* tell what was written, and note anew */
#define VEE_DIRTY_MARK		3	/* it was written, on the guest's behalf */

/* struct vee_dirty, @flags */
#define VEE_DIRTY_BITMAP	0x01U	/* FETCH: @pages is a bitmap, not a list */

/**
 * struct vee_dirty - which pages of guest memory were written (VEE_VM_DIRTY)
 * @size: in: sizeof(struct vee_dirty)
 * @flags: in: 0, or with VEE_DIRTY_FETCH VEE_DIRTY_BITMAP
 * @operation: in: VEE_DIRTY_START, VEE_DIRTY_STOP, VEE_DIRTY_FETCH, VEE_DIRTY_MARK
 * @reserved: in: must be zero
 * @gpa: in: where the range begins, a multiple of 4096
 * @bytes: in: its length, a multiple of 4096, not 0
 * @pages: in: with VEE_DIRTY_FETCH where to tell, see there; otherwise 0
 * @room: in: with VEE_DIRTY_FETCH for how many pages there is room, not 0; with
 *	VEE_DIRTY_BITMAP as many as the range has; otherwise 0
 *
 * VEE_DIRTY_START: a range that lies in one slot, all of it or a part. Nothing of it counts
 * as written. Whether vCPUs run makes no difference, here and below. Ranges don't overlap;
 * one ends by VEE_DIRTY_STOP with the same @gpa and @bytes, or with its slot.
 *
 * VEE_DIRTY_FETCH: a range, or a part of one. Told is each page of 4 KiB that the guest has
 * written since the range was begun or the page was last told, or that was marked; it counts
 * as not written from then on. What the guest wrote before the call is told by it; what it
 * writes afterwards, the next time; of what it writes meanwhile the caller sees the new
 * contents, or is told again. Of two callers at once each is told of other pages.
 * Without VEE_DIRTY_BITMAP @pages points to an array of @room 64-bit numbers: the pages'
 * addresses, ascending. If these are fewer than @room, that was all; otherwise there may be more,
 * behind the last, which count as written as ever. With VEE_DIRTY_BITMAP @pages points to a
 * bitmap of 64-bit words, a bit for each page of the range, all of which are written.
 *
 * VEE_DIRTY_MARK: pages that are in no such range are passed over.
 *
 * The CPU's accessed and dirty flags in the guest's own page tables are writes of the guest's.
 * Where the EPT has such flags (VEE_FEATURE_EPT_AD), a page counts as written also if it
 * has page tables that the CPU has only read: SDM 3C, "Accessed and Dirty Flags for EPT".
 * What the caller writes itself, by other means than libvee, is the caller's to know, or
 * to mark.
 *
 * A slot with a template tells by VEE_VM_TEMPLATE what was written, and not by this.
 *
 * Returns 0, VEE_DIRTY_FETCH how many pages it has told, or -EINVAL (a member; the range
 * wraps or lies beyond vee_info.gpa_bits), -ENOENT (VEE_DIRTY_START: no slot has all of the
 * range; VEE_DIRTY_STOP: none has just this @gpa and @bytes; VEE_DIRTY_FETCH: none has all
 * of it), -EEXIST (VEE_DIRTY_START: some of it is in another), -EOPNOTSUPP
 * (VEE_DIRTY_START: the slot has a template), -ENOSPC (vee_info.max_slots
 * of them), -EFAULT (@pages; nothing was told), -ENOMEM, -EINTR (being killed).
 */
struct vee_dirty {
	__u32 size;
	__u32 flags;
	__u32 operation;
	__u32 reserved;
	__u64 gpa;
	__u64 bytes;
	__u64 pages;
	__u64 room;
};

/* struct vee_template, @operation */
#define VEE_TEMPLATE_RESET	0	/* the slot is as its template again */
#define VEE_TEMPLATE_FETCH	1	/* tell which pages were written */
#define VEE_TEMPLATE_LOCATE	2	/* tell where a page is */

/* struct vee_template, @flags */
#define VEE_TEMPLATE_WRITE	0x01U	/* LOCATE: the caller means to write there */

/**
 * struct vee_template - a slot with a template (VEE_VM_TEMPLATE)
 * @size: in: sizeof(struct vee_template)
 * @flags: in: 0, or with VEE_TEMPLATE_LOCATE VEE_TEMPLATE_WRITE
 * @operation: in: VEE_TEMPLATE_RESET, VEE_TEMPLATE_FETCH, VEE_TEMPLATE_LOCATE
 * @first: in: with VEE_TEMPLATE_FETCH how many pages of the pool to pass over; otherwise 0
 * @gpa: in: an address in the slot
 * @pages: in: with VEE_TEMPLATE_FETCH where to tell: @room 64-bit numbers; otherwise 0
 * @room: in: with VEE_TEMPLATE_FETCH for how many pages there is room, may be 0; otherwise 0
 * @hva: in: must be zero; out: with VEE_TEMPLATE_LOCATE the caller's address of what is at
 *	@gpa, up to the end of its page
 *
 * VEE_TEMPLATE_RESET: the guest sees the template again, and the whole pool is free. That
 * takes time by the pages that were written. A guest that runs meanwhile sees page after page
 * change.
 *
 * VEE_TEMPLATE_FETCH: the addresses of the pages that are in the pool, in the order that
 * they have there: the first is that of the pool's page number @first. Which page is where does
 * not change until the slot is reset, so who copies each anew from the template has the slot
 * as it was, too, and what the guest has in the pool it writes without an exit.
 *
 * VEE_TEMPLATE_LOCATE: in the template or in the pool. What a page was located in without
 * VEE_TEMPLATE_WRITE no longer is where it is once the guest has written to it, and with it
 * once the slot was reset. With VEE_TEMPLATE_WRITE it is copied to the pool, if it wasn't yet.
 *
 * Returns 0, VEE_TEMPLATE_FETCH how many pages are in the pool, whatever @first and @room are;
 * or -EINVAL (a member), -ENOENT (no slot with a template has @gpa), -ENOSPC
 * (VEE_TEMPLATE_WRITE: the pool is used up), -EFAULT (@pages; or VEE_TEMPLATE_WRITE: the caller
 * has nothing there), -EHWPOISON, -EDQUOT, -ENOMEM (VEE_TEMPLATE_WRITE), -EINTR (being killed).
 */
struct vee_template {
	__u32 size;
	__u32 flags;
	__u32 operation;
	__u32 first;
	__u64 gpa;
	__u64 pages;
	__u64 room;
	__u64 hva;
};

/**
 * struct vee_vcpu_create - make a vCPU (VEE_VM_CREATE_VCPU)
 * @size: in: sizeof(struct vee_vcpu_create)
 * @flags: in: must be zero
 * @id: in: below vee_info.max_vcpus; also its initial APIC id in CPUID
 * @reserved: in: must be zero
 * @page: in: 0, or which page of the caller's is to be the vCPU page, rather than one that
 *	it maps by mmap(2) of the vCPU's descriptor: private anonymous memory, a multiple of
 *	VEE_VCPU_PAGE_BYTES
 *
 * The vCPU starts as a processor does after RESET (SDM 3A, "Processor State
 * After Reset"): real mode, at F000:FFF0 with a code-segment base of FFFF0000H.
 *
 * The page at @page is zeroed, and pinned as long as the vCPU lives. It is the caller's
 * own to unmap, or replace: then it no longer sees the vCPU page. A child that fork(2)
 * makes has a copy of it. mmap(2) of the vCPU's descriptor is -EINVAL. To be quick is all
 * that it is for: the mapping costs more than the vCPU does otherwise.
 *
 * Returns the vCPU's file descriptor (close-on-exec), or -EINVAL (@id; @page is no
 * multiple, or a file's), -EFAULT (nothing is mapped at @page, or not to be written),
 * -EEXIST (@id is taken), -EDQUOT (the module's parameter max_vcpus), -ENOMEM, -EMFILE,
 * -ENFILE.
 */
struct vee_vcpu_create {
	__u32 size;
	__u32 flags;
	__u32 id;
	__u32 reserved;
	__u64 page;
};

/* --- writes that end no run ------------------------------------------------ */

/* struct vee_coalesce, struct vee_doorbell, struct vee_post, @space */
#define VEE_SPACE_PORT		0	/* OUT; not OUTS */
#define VEE_SPACE_MEMORY	1	/* MOV, where no slot is: see below */

/**
 * struct vee_coalesce - have writes posted, not ended by an exit (VEE_VM_COALESCE)
 * @size: in: sizeof(struct vee_coalesce)
 * @flags: in: must be zero
 * @first: in: the first port or guest-physical address
 * @bytes: in: how many, not 0
 * @space: in: VEE_SPACE_PORT or VEE_SPACE_MEMORY
 * @remove: in: 1 to remove what was asked for with the same @first, @bytes, @space;
 *	otherwise 0
 *
 * A write of the guest's that lies in the range is put into the VM's ring (struct
 * vee_post_ring), and the guest goes on. While the ring is full it is an exit, as
 * ever. Who looks at the ring after each exit of a vCPU, before handling it, sees all
 * that this vCPU wrote in the order in which it wrote.
 *
 * Of writes to memory that holds for the commonest: a MOV of a general register or an
 * immediate (opcodes 88H, 89H, C6H, C7H) in 64-bit code, without LOCK, REP, an
 * address-size or a segment prefix, to one page, while no event is delivered. All
 * others are VEE_EXIT_MMIO, as ever. While DR7 enables a breakpoint nothing is posted.
 * A range may be where a slot is, or comes to be: what the slot takes or refuses
 * (VEE_EXIT_MEMORY) is not posted.
 *
 * To add a range waits for nobody. Once one is removed nothing of it is posted any more,
 * which may take a wait for vCPUs that are about to.
 *
 * Returns 0, or -EINVAL (the range is beyond port FFFFH or vee_info.gpa_bits, or
 * wraps; @space, @remove), -EEXIST (asked for already),
 * -ENOENT (remove: it wasn't), -ENOSPC (VEE_MAX_WATCHES), -ENOMEM.
 */
struct vee_coalesce {
	__u32 size;
	__u32 flags;
	__u64 first;
	__u64 bytes;
	__u32 space;
	__u32 remove;
};

/**
 * struct vee_doorbell - have a write signal an eventfd (VEE_VM_DOORBELL)
 * @size: in: sizeof(struct vee_doorbell)
 * @flags: in: must be zero
 * @address: in: the port or guest-physical address
 * @data: in: with @match, the value; otherwise 0
 * @space: in: VEE_SPACE_PORT or VEE_SPACE_MEMORY
 * @eventfd: in: an eventfd(2)
 * @width: in: 1, 2, 4, or in memory 8: writes of that many bytes alone; 0: of any
 * @match: in: 1: writes of @data alone
 * @remove: in: 1 to remove the doorbell that has all the same members
 * @reserved: in: must be zero
 *
 * Such a write adds 1 to the eventfd, and the guest goes on. A doorbell in a range of
 * VEE_VM_COALESCE is not posted; of doorbells that the same write could ring, the one
 * that was asked for last is rung. Which writes to memory can ring, and what waits, is
 * said there.
 *
 * Returns 0, or -EINVAL (a member; not an eventfd), -EBADF, -EEXIST, -ENOENT,
 * -ENOSPC, -ENOMEM as for VEE_VM_COALESCE.
 */
struct vee_doorbell {
	__u32 size;
	__u32 flags;
	__u64 address;
	__u64 data;
	__u32 space;
	__s32 eventfd;
	__u8 width;
	__u8 match;
	__u8 remove;
	__u8 reserved[5];
};

/* struct vee_signal, struct vee_bind, @flags */
#define VEE_SIGNAL_LEVEL	0x01U	/* level-triggered: its end is VEE_EXIT_EOI */
/* ... of struct vee_bind alone, with VEE_SIGNAL_LEVEL */
#define VEE_BIND_EOI		0x02U	/* its end signals vee_bind.eoi instead */

/**
 * struct vee_signal - an interrupt by message, an MSI (VEE_VM_SIGNAL)
 * @size: in: sizeof(struct vee_signal)
 * @flags: in: 0, or VEE_SIGNAL_LEVEL
 * @address: in: message address: FEEH in bits 31:20, destination in 19:12, bit 3
 *	redirection hint, bit 2 logical destination mode
 * @data: in: message data: vector in bits 7:0, delivery mode in 10:8; the trigger mode is
 *	in @flags, whatever bits 15:14 are
 * @reserved: in: must be zero
 *
 * SDM 3A, "Message Signalled Interrupts". From any thread of the VM's address space,
 * whether its vCPUs run or not; it waits for none of them. Modes are fixed, lowest
 * priority, NMI and INIT; ExtINT is the caller's (vee_vcpu_page.inject), SMI goes
 * nowhere. A destination that no vCPU has, or whose APIC is disabled, hears nothing, and
 * the caller is not told, as on a bus.
 *
 * Returns 0, or -EINVAL (bits 63:20 of @address, a delivery mode, @reserved), -ENODEV (the
 * VM has no local APICs).
 */
struct vee_signal {
	__u32 size;
	__u32 flags;
	__u64 address;
	__u32 data;
	__u32 reserved;
};

/**
 * struct vee_bind - have an eventfd send an interrupt by message (VEE_VM_BIND)
 * @size: in: sizeof(struct vee_bind)
 * @flags: in: 0, VEE_SIGNAL_LEVEL, or VEE_SIGNAL_LEVEL and VEE_BIND_EOI
 * @address: in: message address, as in struct vee_signal
 * @data: in: message data, likewise
 * @eventfd: in: an eventfd(2)
 * @remove: in: 1 to remove what was bound to @eventfd, with 0 for @flags, @address and
 *	@data; otherwise 0
 * @eoi: in: with VEE_BIND_EOI: another eventfd(2); otherwise 0
 *
 * Whenever the eventfd is signalled, by write(2) in any process or by the kernel, the
 * message is sent then and there, as by VEE_VM_SIGNAL, whether any thread of the caller's
 * runs or not. What was signalled before is sent at once, as one message. The counter is
 * taken as by read(2): who reads the eventfd as well, or binds it in a second VM, takes
 * signals away.
 *
 * An eventfd sends one message: for another one remove it and bind it again; what is
 * signalled meanwhile is counted, and sent then. Once it is removed nothing more is sent.
 * The bind ends when the last descriptor of the eventfd is closed, anywhere, or with the VM.
 *
 * With VEE_SIGNAL_LEVEL the end of the interrupt is VEE_EXIT_EOI, as for VEE_VM_SIGNAL. With
 * VEE_BIND_EOI, too, the end of any level-triggered interrupt with this vector adds 1 to @eoi
 * instead, on whichever vCPU it is: an EOI has no more than the vector, as I/O APICs know. A
 * device whose line is still asserted signals @eventfd anew. The vCPU's run goes on. Several
 * may share a vector, and @eoi; each is signalled. Once this is removed, or has ended, the end
 * of what it has sent is VEE_EXIT_EOI.
 *
 * Returns 0, or -EINVAL (bits 63:20 of @address, a delivery mode, @remove; VEE_BIND_EOI without
 * VEE_SIGNAL_LEVEL, or with @eoi the same eventfd; @eoi without it; with @remove a member that
 * isn't 0; not an eventfd), -EBADF, -EEXIST (it is bound in this VM),
 * -ENOENT (remove: it isn't), -ENOSPC (VEE_MAX_BINDS), -ENOMEM, -ENODEV (the VM has no
 * local APICs).
 */
struct vee_bind {
	__u32 size;
	__u32 flags;
	__u64 address;
	__u32 data;
	__s32 eventfd;
	__u32 remove;
	__s32 eoi;
};

/**
 * struct vee_post - a write of the guest's that was no exit
 * @address: the port or guest-physical address
 * @data: the value, zero-extended
 * @space: VEE_SPACE_PORT or VEE_SPACE_MEMORY
 * @width: bytes: 1, 2, 4, or in memory 8
 * @vcpu: id of the vCPU that wrote
 */
struct vee_post {
	__u64 address;
	__u64 data;
	__u32 space;
	__u16 width;
	__u16 vcpu;
};

#define VEE_POSTS		512

/**
 * struct vee_post_ring - a VM's posted writes
 * @head: caller: how many it has taken, modulo 2^32
 * @reserved1: zero
 * @tail: kernel: how many it has put, modulo 2^32
 * @reserved2: zero
 * @posts: number n is at n % VEE_POSTS
 *
 * Map it shared, at offset 0 of the VM's descriptor, VEE_POST_RING_BYTES. Read @tail
 * with acquire semantics, then the posts from @head on, then write @head with release
 * semantics.
 */
struct vee_post_ring {
	__u32 head;
	__u32 reserved1[15];
	__u32 tail;
	__u32 reserved2[15];
	struct vee_post posts[VEE_POSTS];
};

#define VEE_POST_RING_BYTES	16384

/* --- the vCPU page: the guest's state ------------------------------------ */

/*
 * Groups of guest state, for prefetch, valid and dirty in the vCPU page and
 * for VEE_VCPU_SYNC.
 */
#define VEE_STATE_REGS		0x01U	/* struct vee_regs */
#define VEE_STATE_SEGMENTS	0x02U	/* struct vee_segments */
#define VEE_STATE_CONTROL	0x04U	/* struct vee_control */
#define VEE_STATE_DEBUG		0x08U	/* struct vee_debug */
#define VEE_STATE_MSRS		0x10U	/* struct vee_msrs */
#define VEE_STATE_EVENTS	0x20U	/* struct vee_events */
#define VEE_STATE_ALL		0x3fU
/* Not of all: a VM with VEE_VM_LOCAL_APIC alone has it. */
#define VEE_STATE_APIC		0x40U	/* struct vee_apic */
/* Of struct vee_vcpu_state alone, in no mask of the vCPU page. */
#define VEE_STATE_XSAVE		0x100U	/* x87, SSE, AVX, AVX-512 */
#define VEE_STATE_CPUID		0x200U	/* answers to CPUID */
#define VEE_STATE_WISHES	0x400U	/* what the caller asks of each run */

/* In prefetch alone: the bytes of the instruction at MMIO and memory exits. */
#define VEE_PREFETCH_INSN	0x80000000U

/**
 * struct vee_regs - general registers, RIP and RFLAGS
 * @gpr: all sixteen, by the number that instructions encode them with
 * @rip: instruction pointer
 * @rflags: RFLAGS; bit 1 is always 1
 *
 * The general registers but RSP live here while the vCPU is not running: they
 * are valid after every run and loaded by every run, whatever the masks say.
 * RSP, RIP and RFLAGS follow VEE_STATE_REGS like any other group.
 */
struct vee_regs {
	union {
		struct {
			__u64 rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi;
			__u64 r8, r9, r10, r11, r12, r13, r14, r15;
		};
		__u64 gpr[16];
	};
	__u64 rip;
	__u64 rflags;
};

/* struct vee_segment, @access_rights */
#define VEE_AR_TYPE		0x000fU	/* type; 0BH: code, execute/read, accessed */
#define VEE_AR_S		0x0010U	/* code or data, not system */
#define VEE_AR_DPL		0x0060U
#define VEE_AR_PRESENT		0x0080U
#define VEE_AR_AVL		0x1000U
#define VEE_AR_L		0x2000U	/* 64-bit code */
#define VEE_AR_DB		0x4000U	/* default operation size is 32 bits */
#define VEE_AR_G		0x8000U	/* the limit counts 4 KiB units */
#define VEE_AR_UNUSABLE		0x10000U

/**
 * struct vee_segment - a segment register with its hidden part
 * @base: linear base address
 * @limit: in bytes; what the descriptor says after scaling by G
 * @access_rights: VEE_AR_ bits (SDM 3C, "Guest Register State", table "Format
 *	of Access Rights")
 * @selector: the visible part
 * @reserved: ignored, read as zero
 */
struct vee_segment {
	__u64 base;
	__u32 limit;
	__u32 access_rights;
	__u16 selector;
	__u16 reserved[3];
};

/**
 * struct vee_table - GDTR or IDTR
 * @base: linear base address
 * @limit: in bytes, below 65536
 * @reserved: ignored, read as zero
 */
struct vee_table {
	__u64 base;
	__u32 limit;
	__u32 reserved;
};

/**
 * struct vee_segments - the segment and table registers
 * @es: ES
 * @cs: CS
 * @ss: SS; its DPL is the CPL
 * @ds: DS
 * @fs: FS; its base is IA32_FS_BASE
 * @gs: GS; its base is IA32_GS_BASE
 * @ldtr: LDTR
 * @tr: TR
 * @gdtr: GDTR
 * @idtr: IDTR
 */
struct vee_segments {
	struct vee_segment es, cs, ss, ds, fs, gs, ldtr, tr;
	struct vee_table gdtr, idtr;
};

/**
 * struct vee_control - control registers, as the guest sees them
 * @cr0: CR0
 * @cr2: CR2
 * @cr3: CR3
 * @cr4: CR4; only bits that the vCPU's CPUID offers, and never VMXE
 * @cr8: CR8, 0 to 15
 * @efer: IA32_EFER; SCE, LME, LMA and NXE, as far as the vCPU's CPUID offers them. LMA
 *	must be LME and CR0.PG
 * @xcr0: XCR0, within vee_info.xcr0 and what the vCPU's CPUID offers
 *
 * In PAE paging the four PDPTEs are registers (SDM 3A, "PDPTE Registers"). Loading
 * this group has them read from guest memory at CR3 if that is what a MOV to CR would
 * do: if PAE paging begins, or @cr3, CD or NW of @cr0, or PGE, PSE or SMEP of @cr4
 * change; reserved bits there, or no memory, are -EINVAL. Otherwise they stay. They can
 * be read and written by VEE_VCPU_VMCS_READ and _VMCS_WRITE, 280AH to 2810H.
 */
struct vee_control {
	__u64 cr0;
	__u64 cr2;
	__u64 cr3;
	__u64 cr4;
	__u64 cr8;
	__u64 efer;
	__u64 xcr0;
};

/**
 * struct vee_debug - debug registers
 * @dr: DR0 to DR3, linear addresses
 * @dr6: DR6
 * @dr7: DR7
 *
 * While DR7 enables a breakpoint, each exit says so in vee_exit.flags
 * (VEE_EXIT_BREAKPOINTS), and nothing is posted: whoever does an access to memory or a
 * port for the guest has to find out whether it would have trapped, and then sets
 * vee_events.pending_debug.
 */
struct vee_debug {
	__u64 dr[4];
	__u64 dr6;
	__u64 dr7;
};

/**
 * struct vee_msrs - the model-specific registers that vee keeps for the guest
 * @star: IA32_STAR
 * @lstar: IA32_LSTAR
 * @cstar: IA32_CSTAR
 * @sfmask: IA32_FMASK
 * @kernel_gs_base: IA32_KERNEL_GS_BASE
 * @sysenter_cs: IA32_SYSENTER_CS
 * @sysenter_esp: IA32_SYSENTER_ESP
 * @sysenter_eip: IA32_SYSENTER_EIP
 * @tsc_aux: IA32_TSC_AUX, 32 bits; an exit if CPUID has neither RDTSCP nor RDPID
 * @pat: IA32_PAT
 * @tsc_offset: what the guest's TSC is more than the host's, modulo 2^64; 0 at
 *	first. What the host's loses from then on, in a suspend or because the vCPU
 *	moves to a CPU whose TSC is behind, is not in it: vee makes up for that besides
 *	(VEE_VCPU_VMCS_READ of 2010H has both)
 *
 * Every other MSR access is an exit (VEE_EXIT_RDMSR, VEE_EXIT_WRMSR); FS and GS
 * base are in struct vee_segments, IA32_EFER in struct vee_control.
 *
 * Of IA32_DEBUGCTL the guest has BTF, 0 at first; LBR is ignored, and reads as 0; any other
 * bit is #GP. It is the VMCS's field guest IA32_DEBUGCTL (2802H), and in struct
 * vee_vcpu_state.
 */
struct vee_msrs {
	__u64 star;
	__u64 lstar;
	__u64 cstar;
	__u64 sfmask;
	__u64 kernel_gs_base;
	__u64 sysenter_cs;
	__u64 sysenter_esp;
	__u64 sysenter_eip;
	__u64 tsc_aux;
	__u64 pat;
	__u64 tsc_offset;
};

/*
 * struct vee_event, @type: SDM 3C, "VM-Entry Controls for Event Injection",
 * table "Format of the VM-Entry Interruption-Information Field".
 */
#define VEE_EVENT_INTERRUPT		0	/* external interrupt */
#define VEE_EVENT_NMI			2
#define VEE_EVENT_EXCEPTION		3	/* hardware exception */
#define VEE_EVENT_SOFT_INTERRUPT	4	/* INT n */
#define VEE_EVENT_PRIV_SOFT_EXCEPTION	5	/* INT1 */
#define VEE_EVENT_SOFT_EXCEPTION	6	/* INT3, INTO */

/* struct vee_event, @flags */
#define VEE_EVENT_VALID			0x01U
#define VEE_EVENT_ERROR_CODE		0x02U	/* push @error_code */

/**
 * struct vee_event - an event for the guest
 * @vector: 0 to 255; below 32 for exceptions, 2 for an NMI
 * @type: VEE_EVENT_INTERRUPT and so on
 * @flags: VEE_EVENT_VALID, VEE_EVENT_ERROR_CODE (with the exceptions that have one:
 *	8, 10 to 14, 17; not in real mode. With 21, #CP, if bit 56 of
 *	vee_info.vmx_basic is set; other CPUs can't deliver it)
 * @instruction_length: software events alone: bytes of the instruction, 1 to
 *	15; 0 otherwise
 * @error_code: with VEE_EVENT_ERROR_CODE; 0 otherwise
 *
 * RFLAGS in the event's frame are the guest's, but for RF, as the CPU has it: 1 for an
 * exception that is a fault, 0 for a software event; for the others (#DB, #DF, #MC,
 * interrupts, NMIs) as in vee_regs.rflags (SDM 3B, "Instruction-Breakpoint Exception
 * Condition").
 */
struct vee_event {
	__u8 vector;
	__u8 type;
	__u8 flags;
	__u8 instruction_length;
	__u32 error_code;
};

/* struct vee_events, @interruptibility (SDM 3C, "Guest Non-Register State") */
#define VEE_BLOCKING_BY_STI		0x01U
#define VEE_BLOCKING_BY_MOV_SS		0x02U
#define VEE_BLOCKING_BY_NMI		0x08U

/* struct vee_events, @activity */
#define VEE_ACTIVITY_ACTIVE		0
#define VEE_ACTIVITY_HLT		1

/**
 * struct vee_events - what is about to happen to the guest
 * @interruptibility: VEE_BLOCKING_ bits
 * @activity: VEE_ACTIVITY_ACTIVE or VEE_ACTIVITY_HLT
 * @pending_debug: pending debug exceptions, bits as in the SDM's table; bit 16
 *	(RTM) can't be set
 * @delivering: an event whose delivery an exit cut short, or an exception that
 *	was taken over from vee_vcpu_page.inject and not yet delivered; delivered
 *	at the next VM entry
 * @interrupt: an external interrupt that waits for the guest to be ready
 * @nmi: an NMI that waits for the guest to be ready
 */
struct vee_events {
	__u32 interruptibility;
	__u32 activity;
	__u64 pending_debug;
	struct vee_event delivering;
	struct vee_event interrupt;
	struct vee_event nmi;
};

/* struct vee_apic, @start */
#define VEE_APIC_WAITS_FOR_SIPI		0x01U
#define VEE_APIC_INIT			0x02U	/* an INIT is yet to be taken */
#define VEE_APIC_SIPI			0x04U	/* a SIPI with @sipi_vector is */

/* struct vee_apic, @eoi */
#define VEE_APIC_EOI			0x100U	/* of the vector in bits 7:0 */

/* struct vee_apic, @lvt */
#define VEE_APIC_LVT_TIMER		0
#define VEE_APIC_LVT_THERMAL		1
#define VEE_APIC_LVT_PERFORMANCE	2
#define VEE_APIC_LVT_LINT0		3
#define VEE_APIC_LVT_LINT1		4
#define VEE_APIC_LVT_ERROR		5

/**
 * struct vee_apic - a local APIC (SDM 3A, "Advanced Programmable Interrupt Controller")
 * @base: IA32_APIC_BASE
 * @tsc_deadline: IA32_TSC_DEADLINE
 * @icr: interrupt command register, both halves
 * @irr: interrupts requested, vector 0 is bit 0 of [0]
 * @isr: ... in service
 * @tmr: ... level-triggered
 * @tpr: task priority; bits 7:4 are CR8, which VEE_STATE_CONTROL loads before
 * @ldr: logical destination; in x2APIC mode given by the id, and ignored
 * @dfr: destination format; xAPIC mode
 * @svr: spurious-interrupt vector
 * @esr: error status, as RDMSR or a read gives it
 * @errors: ... as the next write will make it
 * @lvt: local vector table, VEE_APIC_LVT_TIMER and so on
 * @initial_count: timer: as written
 * @current_count: ... as it is now
 * @divide: divide configuration
 * @start: VEE_APIC_ bits
 * @sipi_vector: where VEE_APIC_SIPI starts it
 * @eoi: VEE_APIC_EOI and a vector: VEE_EXIT_EOI is due; 0: it isn't
 *
 * The timer counts nanoseconds, divided. What is still on its way to the APIC is in the
 * group when that is read.
 */
struct vee_apic {
	__u64 base;
	__u64 tsc_deadline;
	__u64 icr;
	__u32 irr[8];
	__u32 isr[8];
	__u32 tmr[8];
	__u32 tpr;
	__u32 ldr;
	__u32 dfr;
	__u32 svr;
	__u32 esr;
	__u32 errors;
	__u32 lvt[6];
	__u32 initial_count;
	__u32 current_count;
	__u32 divide;
	__u32 start;
	__u32 sipi_vector;
	__u32 eoi;
};

/* --- the vCPU page: the exit --------------------------------------------- */

/*
 * Why VEE_VCPU_RUN came back. RIP is that of the instruction that exited, and
 * nothing of it is done: the caller does it and sets vee_vcpu_page.resume to
 * VEE_RESUME_NEXT, or injects a fault instead.
 */
#define VEE_EXIT_NONE			0	/* never run, or the run failed */
#define VEE_EXIT_INTERRUPTED		1	/* a signal; the call gave -EINTR */
#define VEE_EXIT_KICKED			2	/* VEE_VCPU_KICK named this run */
#define VEE_EXIT_DEADLINE		3	/* vee_vcpu_page.deadline_ns is over */
#define VEE_EXIT_PIO			4	/* IN, OUT, INS, OUTS: .pio */
#define VEE_EXIT_MMIO			5	/* no slot covers it: .memory */
#define VEE_EXIT_MEMORY			6	/* a slot does, but refuses: .memory */
#define VEE_EXIT_HLT			7	/* see VEE_OPTION_HLT_SLEEPS */
#define VEE_EXIT_HYPERCALL		8	/* VMCALL: .hypercall */
#define VEE_EXIT_RDMSR			9	/* .msr; answer in EDX:EAX */
#define VEE_EXIT_WRMSR			10	/* .msr */
#define VEE_EXIT_CPUID			11	/* only if intercepted: .cpuid */
#define VEE_EXIT_DEBUG			12	/* only if intercepted: .debug */
#define VEE_EXIT_INTERRUPT_WINDOW	13	/* only if intercepted */
#define VEE_EXIT_NMI_WINDOW		14	/* only if intercepted */
#define VEE_EXIT_SHUTDOWN		15	/* triple fault */
#define VEE_EXIT_ENTRY_FAILED		16	/* VM entry failed: .entry */
#define VEE_EXIT_OTHER			17	/* see hardware_reason, and below */
#define VEE_EXIT_TPR			18	/* see vee_vcpu_page.tpr_threshold */
#define VEE_EXIT_DESCRIPTOR		19	/* only if intercepted: .memory */
#define VEE_EXIT_EOI			20	/* local APIC, after the EOI: .eoi */

/*
 * VEE_EXIT_OTHER, by hardware_reason:
 *
 *	0	a split lock, on a kernel that lets KVM alone have a guest's seen to: at
 *		RIP, and the guest gets no further (boot with split_lock_detect=ratelimit)
 *	9	a task switch
 *	75	the guest kept its CPU from interrupts for too long, and bit 0 of the
 *		qualification is set: its state is lost. Otherwise it is no exit
 */

/* struct vee_exit, @flags: what the guest could take at this moment. */
#define VEE_EXIT_INTERRUPT_READY	0x01U /* RFLAGS.IF, no blocking */
#define VEE_EXIT_NMI_READY		0x02U /* no blocking */
#define VEE_EXIT_EVENT_PENDING		0x04U /* something in struct vee_events */
#define VEE_EXIT_BREAKPOINTS		0x08U /* DR7 enables some; see vee_debug */

#define VEE_PIO_OUT	0
#define VEE_PIO_IN	1

/**
 * struct vee_exit_pio - an access to an I/O port
 * @port: the port
 * @width: bytes per access: 1, 2 or 4
 * @direction: VEE_PIO_IN or VEE_PIO_OUT
 * @string: 1 for INS and OUTS
 * @rep: 1 with a REP prefix
 * @address_width: @string: bytes of an address in it: 2, 4 or 8
 * @reserved: zero
 * @count: accesses still to do: 1, or RCX (cut to @address_width) with @rep
 * @data: OUT: the value, zero-extended. IN: 0; the answer goes to RAX
 * @gva: @string: linear address of the first access to memory
 */
struct vee_exit_pio {
	__u16 port;
	__u8 width;
	__u8 direction;
	__u8 string;
	__u8 rep;
	__u8 address_width;
	__u8 reserved;
	__u64 count;
	__u64 data;
	__u64 gva;
};

#define VEE_INSN_MAX	15

/**
 * struct vee_exit_memory - an access to memory that vee can't do
 * @gpa: guest-physical address
 * @gva: guest-linear address, if @gva_valid
 * @access: VEE_READ, VEE_WRITE or VEE_EXECUTE; of a read-modify-write some CPUs
 *	tell both, some the write alone
 * @error: VEE_EXIT_MEMORY: -EACCES (the slot forbids the access), -EFAULT (the
 *	caller has nothing, or too little permission, at that address), -EHWPOISON
 *	(the host's memory is broken), -ENOSPC (the pool of a slot with a template is used
 *	up), -EDQUOT (the module's parameter max_tables) or -ENOMEM. VEE_EXIT_MMIO: 0
 * @gva_valid: 1 if @gva is known
 * @walk: 1 if the access was the CPU's own to a guest page table, not that of
 *	the instruction
 * @insn_bytes: how many of @insn are known: 0 if VEE_PREFETCH_INSN is off, up
 *	to 15; fewer than the instruction has if it crosses into a page that can't
 *	be read
 * @insn: the bytes at CS:RIP
 * @code_width: bytes of a default address in that code segment: 2, 4 or 8; 0 if
 *	VEE_PREFETCH_INSN is off
 * @apic: 1 if @gpa is in the page of the vCPU's local APIC, in xAPIC mode, and the
 *	access the caller's to do by VEE_VCPU_APIC
 * @reserved: zero
 */
struct vee_exit_memory {
	__u64 gpa;
	__u64 gva;
	__u32 access;
	__s32 error;
	__u8 gva_valid;
	__u8 walk;
	__u8 insn_bytes;
	__u8 insn[VEE_INSN_MAX];
	__u8 code_width;
	__u8 apic;
	__u8 reserved[4];
};

/**
 * struct vee_exit_msr - RDMSR or WRMSR that user space must answer
 * @index: ECX
 * @reserved: zero
 * @value: WRMSR: EDX:EAX. RDMSR: 0
 */
struct vee_exit_msr {
	__u32 index;
	__u32 reserved;
	__u64 value;
};

/**
 * struct vee_exit_cpuid - a CPUID that the caller asked to see
 * @leaf: EAX
 * @subleaf: ECX
 * @eax: what vee would have answered: EAX
 * @ebx: EBX
 * @ecx: ECX
 * @edx: EDX
 */
struct vee_exit_cpuid {
	__u32 leaf;
	__u32 subleaf;
	__u32 eax, ebx, ecx, edx;
};

/**
 * struct vee_exit_hypercall - VMCALL
 * @cpl: privilege level that it came from, 0 to 3
 * @long_mode: 1 if from 64-bit code
 * @reserved: zero
 */
struct vee_exit_hypercall {
	__u8 cpl;
	__u8 long_mode;
	__u8 reserved[6];
};

/**
 * struct vee_exit_debug - a debug event that the caller asked to see
 * @vector: 1 (#DB, or a single step) or 3 (#BP)
 * @step: 1 if this is VEE_INTERCEPT_STEP's
 * @reserved: zero
 * @dr6: #DB: what it would have set in DR6
 */
struct vee_exit_debug {
	__u8 vector;
	__u8 step;
	__u8 reserved[6];
	__u64 dr6;
};

/**
 * struct vee_exit_entry - VM entry failed
 * @instruction_error: VM-instruction error number (SDM 3C, "VM Instruction
 *	Error Numbers"); 0 if the entry got past the checks on controls and host
 *	state: then vee_exit.hardware_reason and .qualification tell (SDM 3C,
 *	"VM-Entry Failures During or After Loading Guest State")
 * @reserved: zero
 *
 * VEE_VCPU_VMCS_SNAPSHOT then reads the VMCS as the failed entry left it.
 */
struct vee_exit_entry {
	__u32 instruction_error;
	__u32 reserved;
};

/**
 * struct vee_exit_eoi - the guest has ended a level-triggered interrupt
 * @vector: its vector
 * @reserved: zero
 *
 * Of a VM with VEE_VM_LOCAL_APIC. The EOI is done: an I/O APIC whose line is still
 * asserted signals it anew.
 */
struct vee_exit_eoi {
	__u8 vector;
	__u8 reserved[7];
};

/**
 * struct vee_exit - why the guest stopped
 * @reason: VEE_EXIT_PIO and so on
 * @hardware_reason: exit reason as the CPU gave it (SDM 3C, appendix "VMX Basic
 *	Exit Reasons"), for statistics and VEE_EXIT_OTHER
 * @qualification: exit qualification as the CPU gave it
 * @flags: VEE_EXIT_INTERRUPT_READY and so on
 * @instruction_length: bytes; 0 if the exit is no instruction's. Also 0 at
 *	VEE_EXIT_MMIO and VEE_EXIT_MEMORY, where the CPU doesn't say: a caller that
 *	decoded and did the instruction sets it, 1 to 15, for VEE_RESUME_NEXT
 * @reserved: zero
 * @pio: VEE_EXIT_PIO
 * @memory: VEE_EXIT_MMIO, VEE_EXIT_MEMORY
 * @msr: VEE_EXIT_RDMSR, VEE_EXIT_WRMSR
 * @cpuid: VEE_EXIT_CPUID
 * @hypercall: VEE_EXIT_HYPERCALL
 * @debug: VEE_EXIT_DEBUG
 * @entry: VEE_EXIT_ENTRY_FAILED
 * @eoi: VEE_EXIT_EOI
 * @room: what the union may grow to
 */
struct vee_exit {
	__u32 reason;
	__u32 hardware_reason;
	__u64 qualification;
	__u32 flags;
	__u8 instruction_length;
	__u8 reserved[3];
	union {
		struct vee_exit_pio pio;
		struct vee_exit_memory memory;
		struct vee_exit_msr msr;
		struct vee_exit_cpuid cpuid;
		struct vee_exit_hypercall hypercall;
		struct vee_exit_debug debug;
		struct vee_exit_entry entry;
		struct vee_exit_eoi eoi;
		__u64 room[16];
	};
};

/* --- the vCPU page ------------------------------------------------------- */

/*
 * struct vee_vcpu_page, @intercept: exits that the caller wants besides.
 *
 * VEE_INTERCEPT_STEP: one after each instruction, each iteration of a REP, each event that
 * is delivered. The guest can't see it; a trap of its own at that instruction (RFLAGS.TF,
 * DR7) it gets with the next run. Without VEE_FEATURE_MONITOR_TRAP_FLAG MOV SS or POP SS
 * and the instruction behind are one step, in which PUSHF would store TF; blocking by STI
 * or MOV SS ends before that instruction; and if the guest has enabled all four
 * breakpoints, the last is not in force over PUSHF and SYSCALL.
 */
#define VEE_INTERCEPT_CPUID		0x01U /* CPUID */
#define VEE_INTERCEPT_INTERRUPT_WINDOW	0x02U /* the guest can take an interrupt */
#define VEE_INTERCEPT_NMI_WINDOW	0x04U /* the guest can take an NMI */
#define VEE_INTERCEPT_DEBUG		0x08U /* #DB */
#define VEE_INTERCEPT_BREAKPOINT	0x10U /* #BP (INT3) */
#define VEE_INTERCEPT_STEP		0x20U /* after one instruction */
#define VEE_INTERCEPT_DESCRIPTOR	0x40U /* LGDT, SGDT and their like: see below */
#define VEE_INTERCEPT_ALL		0x7fU

/*
 * VEE_INTERCEPT_DESCRIPTOR: LGDT, LIDT, LLDT, LTR, SGDT, SIDT, SLDT and STR are
 * VEE_EXIT_DESCRIPTOR, where the CPU can (VEE_FEATURE_DESCRIPTOR_EXITING; else -EINVAL).
 * exit.memory has the instruction's bytes and @code_width, the rest of it is 0; the
 * caller does the instruction, or has libvee do it (vee_mmio_assist()).
 *
 * It is also how a guest can have UMIP on a CPU without. Who puts UMIP into its CPUID
 * (VEE_VCPU_SET_CPUID) lets it set CR4.UMIP, which does nothing by itself there; with
 * this bit set the four that store are #GP(0) above CPL 0 then, and no exit. SMSW, the
 * fifth that UMIP is about, no control has exit: it goes on giving the low half of CR0.
 */

/*
 * struct vee_vcpu_page, @options.
 *
 * VEE_OPTION_HLT_SLEEPS: a guest that does HLT with RFLAGS.IF set is no exit. The
 * run goes past the instruction, and sleeps until an event comes by VEE_VCPU_INJECT
 * or something else ends the run: a kick, the deadline, a signal. Then
 * vee_events.activity is VEE_ACTIVITY_HLT, and the next run sleeps on, unless it
 * brings an event. HLT with RFLAGS.IF clear is VEE_EXIT_HLT all the same: little
 * can wake that guest.
 *
 * VEE_OPTION_HLT_MASKED_SLEEPS, with VEE_OPTION_HLT_SLEEPS alone: so is HLT with
 * RFLAGS.IF clear, as a processor does it that an operating system takes off line. No
 * interrupt ends that sleep, they wait; an NMI does, with a local APIC an INIT, and what
 * ends a run.
 *
 * VEE_EXIT_HLT: the caller has the guest wait for what ends HLT (SDM 2A, "HLT-Halt"), an
 * interrupt if RFLAGS.IF is set, an NMI, and goes on with VEE_RESUME_NEXT and that event.
 * With RFLAGS.TF set there is no wait: the trap of the single step ends HLT, and
 * VEE_RESUME_NEXT takes it.
 */
#define VEE_OPTION_HLT_SLEEPS		0x01U
#define VEE_OPTION_HLT_MASKED_SLEEPS	0x02U
#define VEE_OPTION_ALL			0x03U

/* struct vee_vcpu_page, @resume */
#define VEE_RESUME_HERE		0	/* at RIP */
#define VEE_RESUME_NEXT		1	/* after the instruction that exited */
#define VEE_RESUME_DONE		2	/* at RIP, which the caller's work has led to */

/**
 * struct vee_vcpu_page - what a vCPU and its caller share
 * @size: kernel: sizeof(struct vee_vcpu_page)
 * @tpr_threshold: caller: end the run as soon as CR8 is below this, 1 to 15, with
 *	VEE_EXIT_TPR; 0: don't. Stays until changed. For a caller with an interrupt
 *	controller of its own and an interrupt that CR8 masks: the interrupt's class,
 *	bits 7:4 of its vector. It is after the MOV to CR8, or before the guest's first
 *	instruction if CR8 is below already: the caller sets it to 0, or to what it
 *	waits for next, and @inject to the interrupt. From the first time on, where
 *	the CPU can (VEE_FEATURE_TPR_SHADOW), other accesses to CR8 are no VM exit any
 *	more; that takes a page of memory: -ENOMEM. With a local APIC, which waits
 *	itself, it must be 0
 * @generation: kernel: the number of the run under way, or between runs that of
 *	the next; for VEE_VCPU_KICK
 * @deadline_ns: caller: end the run after so many nanoseconds, 0: no deadline.
 *	Stays until changed
 * @prefetch: caller: VEE_STATE_ groups to fill at each exit, and
 *	VEE_PREFETCH_INSN. Initially VEE_STATE_REGS | VEE_PREFETCH_INSN
 * @valid: kernel: groups below that hold the guest's state now. A new vCPU's are
 *	all valid but VEE_STATE_APIC, which others change: VEE_VCPU_SYNC fetches it
 * @dirty: caller: groups that the caller changed and the next run must load; the
 *	run clears it. One that is kicked, or has its deadline, while it waits for
 *	PDPTEs that it has to load (struct vee_control) leaves the page as it is, but
 *	for @exit's reason, and the next run loads all of it
 * @intercept: caller: VEE_INTERCEPT_ bits. Stays until changed
 * @resume: caller: VEE_RESUME_HERE, VEE_RESUME_NEXT or VEE_RESUME_DONE; the run sets it
 *	back to VEE_RESUME_HERE. VEE_RESUME_DONE differs from it for VEE_INTERCEPT_STEP
 *	alone: the caller has done a jump, say, or one iteration of a REP, and the step is
 *	over. VEE_RESUME_NEXT goes past the instruction as the CPU does:
 *	it ends blocking by STI and MOV SS, clears RFLAGS.RF and takes a single-step
 *	trap if RFLAGS.TF is set. -EINVAL if the exit had no instruction (see
 *	vee_exit.instruction_length), or if VEE_STATE_REGS is dirty and changed RIP
 * @options: caller: VEE_OPTION_ bits. Stays until changed; 0 at first
 * @inject: caller: an event for the guest; the run takes it over and clears it.
 *	An exception or software interrupt is delivered at the VM entry, an
 *	external interrupt or NMI as soon as the guest is ready for it.
 *	-EINVAL: no such event; -EBUSY: one of the kind is still waiting
 *	(see struct vee_events)
 * @exit: kernel: why the last run ended
 * @regs: VEE_STATE_REGS
 * @segments: VEE_STATE_SEGMENTS
 * @control: VEE_STATE_CONTROL
 * @debug: VEE_STATE_DEBUG
 * @msrs: VEE_STATE_MSRS
 * @events: VEE_STATE_EVENTS
 * @refused: kernel: when a run has given -EINVAL, the offset in this struct of the first
 *	member that can't be as it is: of a group's own member, as control.cr0, or of
 *	@inject, @resume and so on. PDPTEs that can't be are control.cr3. A run that has not
 *	given -EINVAL leaves it as it was. VEE_VCPU_LOAD and VEE_VCPU_SAVE tell here, too:
 *	VEE_REFUSED_STATE
 * @copies: kernel: how many pages of templates (struct vee_map, @pool) the VM had made
 *	copies of, in all its life, when this vCPU was made or when its guest last had one
 *	copied, and 1 more; modulo 2^32. As long as it is the same for each vCPU of a VM,
 *	none of their guests has written to a page that was not in a pool yet, and of these
 *	VEE_TEMPLATE_FETCH need not be asked. What VEE_TEMPLATE_LOCATE had copied does not
 *	show here. 0: that can't be told
 * @apic: VEE_STATE_APIC
 *
 * Map it once, shared, at offset 0 of the vCPU's descriptor:
 * mmap(NULL, vee_info.vcpu_page_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0).
 *
 * It is the caller's to write at any time. The kernel takes what it needs of it
 * once, when a run begins, and trusts none of it.
 */
struct vee_vcpu_page {
	__u32 size;
	__u32 tpr_threshold;
	__u64 generation;
	__u64 deadline_ns;
	__u32 prefetch;
	__u32 valid;
	__u32 dirty;
	__u32 intercept;
	__u32 resume;
	__u32 options;
	struct vee_event inject;
	struct vee_exit exit;
	struct vee_regs regs;
	struct vee_segments segments;
	struct vee_control control;
	struct vee_debug debug;
	struct vee_msrs msrs;
	struct vee_events events;
	__u32 refused;
	__u32 copies;
	struct vee_apic apic;
};

#define VEE_VCPU_PAGE_BYTES	4096

/* --- a vCPU's requests ---------------------------------------------------- */

/*
 * VEE_VCPU_RUN, argument 0: run the guest until something needs the caller; all
 * it says is in the vCPU page. Another argument: go on with the run of that
 * generation, which VEE_RUN_EACH has paused (struct vee_step). Of the page nothing is
 * taken then but the general registers, which live there.
 *
 * fsync(2) on the vCPU's descriptor is VEE_VCPU_RUN with the argument 0, and the shortest
 * way there: no other request is in question. fdatasync(2) is -EINVAL.
 *
 * Returns 0: vee_vcpu_page.exit tells why. Otherwise nothing of the page was
 * taken, except with -EINTR: -EINTR (a signal or other work of the kernel's waits
 * for this thread, or another thread has the vCPU whose run was to go on; what the
 * page asked for was taken over, or is still in it, so just run again, with the
 * argument 0), -EINVAL (an unknown bit in @prefetch, @dirty, @intercept, @options, or
 * there VEE_OPTION_HLT_MASKED_SLEEPS alone; a bad @resume or @tpr_threshold; a state
 * that vee can't let the hardware load: see the group's struct; a generation yet to
 * come), -ESTALE (no run of that generation is paused: it is over), -EBUSY (another
 * thread runs this vCPU; or @inject, see there),
 * -ENOMEM (see @tpr_threshold), -EIO (not the address space of the VM), -ESHUTDOWN (the
 * machine is going down and VMX is off), -ENODEV (somebody else has VMX and vee can't be
 * beside them, or has used it where vee keeps it on and not put back what was there: then
 * for good, if this vCPU's state was in that CPU; the kernel's log says which). Every
 * request with -ESHUTDOWN can also fail with -ENODEV.
 */

/* vee_step.budget_us, vee_uring_cmd.budget_us: no thread is kept for longer. */
#define VEE_MAX_BUDGET_US	20000

/**
 * struct vee_step - a short run of one vCPU
 * @vcpu: in: its descriptor
 * @result: out: what came of it, see below
 * @budget_us: in: for how many microseconds it may run at most; above
 *	VEE_MAX_BUDGET_US it is taken as that
 * @reserved: in: must be zero
 *
 * @result is the exit's reason, VEE_EXIT_PIO and so on, which is more than 0; or
 * -EINPROGRESS: the run has begun and is paused, since its time is over, it would
 * have to sleep, or something waits for this thread. VEE_VCPU_RUN with
 * vee_vcpu_page.generation as its argument goes on with it; a new run begins where
 * it is, and ends it.
 * -EAGAIN: it has not begun, for even that could sleep, or @budget_us is 0:
 * VEE_VCPU_RUN does all of it.
 * -EINTR: it has not begun, for a signal waits: do it again.
 * -EBADF: no open descriptor, or not a vCPU's. -EINVAL, -EBUSY, -EIO, -ESHUTDOWN:
 * as VEE_VCPU_RUN.
 */
struct vee_step {
	__s32 vcpu;
	__s32 result;
	__u32 budget_us;
	__u32 reserved;
};

/**
 * struct vee_run_each - run several vCPUs, one after the other (VEE_RUN_EACH)
 * @size: in: sizeof(struct vee_run_each)
 * @flags: in: must be zero
 * @count: in: how many steps, 1 to VEE_MAX_STEPS
 * @reserved: in: must be zero
 * @steps: in: the address of struct vee_step[@count]
 *
 * One request for many short runs, of vCPUs of any VMs of this address space. A
 * run that needs more time or has to sleep is left to the caller, to go on in
 * another thread (or in a worker of io_uring's: struct vee_uring_cmd).
 *
 * Returns 0: each step's @result says what came of it; or -EINVAL (@count), -EFAULT
 * (a step can't be read, or its @result not written; those before it are done, and
 * perhaps it as well).
 */
struct vee_run_each {
	__u32 size;
	__u32 flags;
	__u32 count;
	__u32 reserved;
	__u64 steps;
};

/**
 * struct vee_kick - end a run (VEE_VCPU_KICK)
 * @size: in: sizeof(struct vee_kick)
 * @flags: in: must be zero
 * @generation: in: the run to end, as read from vee_vcpu_page.generation
 *
 * If that run is under way it ends with VEE_EXIT_KICKED; if it has not begun it
 * will end as soon as it begins; no other run is disturbed.
 *
 * Returns 0, or -ESTALE (that run has ended already), -EINVAL (@generation is
 * yet to come: more than vee_vcpu_page.generation).
 */
struct vee_kick {
	__u32 size;
	__u32 flags;
	__u64 generation;
};

/**
 * struct vee_inject - send an event to a vCPU (VEE_VCPU_INJECT)
 * @size: in: sizeof(struct vee_inject)
 * @flags: in: must be zero
 * @event: in: an external interrupt or an NMI, with VEE_EVENT_VALID
 *
 * For any thread, while the vCPU runs, sleeps in HLT or does neither: it goes to
 * the guest as soon as that is ready for it, as one from vee_vcpu_page.inject
 * does, and wakes it up. One of each kind waits here besides the one in struct
 * vee_events.
 *
 * Returns 0, or -EBUSY (one of the kind waits here already), -EINVAL (@event).
 */
struct vee_inject {
	__u32 size;
	__u32 flags;
	struct vee_event event;
};

/* struct vee_apic_access, @flags */
#define VEE_APIC_WRITE	0x01U

/**
 * struct vee_apic_access - read or write a register of the local APIC (VEE_VCPU_APIC)
 * @size: in: sizeof(struct vee_apic_access)
 * @flags: in: 0, or VEE_APIC_WRITE
 * @offset: in: where in the APIC's page: 0 to FF0H, a multiple of 16
 * @value: write: in; read: out
 *
 * As the guest would in xAPIC mode: for a VEE_EXIT_MMIO there (vee_exit_memory.apic). A
 * register that isn't there reads as 0, and is an error in ESR. What a write sends is
 * sent; an end of interrupt that the caller is to know is the next run's VEE_EXIT_EOI.
 * VEE_STATE_APIC is not valid after it, and vee_control.cr8 is the TPR's.
 *
 * Returns 0, or -EINVAL (@offset), -ENODEV (no local APIC, or it isn't in xAPIC mode),
 * -ESHUTDOWN.
 */
struct vee_apic_access {
	__u32 size;
	__u32 flags;
	__u32 offset;
	__u32 value;
};

/**
 * struct vee_sync - fill groups of the vCPU page (VEE_VCPU_SYNC)
 * @size: in: sizeof(struct vee_sync)
 * @flags: in: must be zero
 * @groups: in: VEE_STATE_ groups that must be valid when this returns; those
 *	that are valid already, or dirty, are left as they are
 * @reserved: in: must be zero
 *
 * Returns 0, or -EINVAL (an unknown group), -ESHUTDOWN.
 */
struct vee_sync {
	__u32 size;
	__u32 flags;
	__u32 groups;
	__u32 reserved;
};

/**
 * struct vee_translate - walk the guest's page tables (VEE_VCPU_TRANSLATE)
 * @size: in: sizeof(struct vee_translate)
 * @flags: in: must be zero
 * @gva: in: guest-linear address
 * @gpa: out: guest-physical address
 * @access: out: what the tables allow: VEE_READ, VEE_WRITE, VEE_EXECUTE
 * @user: out: 1 if the tables allow it at CPL 3
 *
 * Looks only: sets no accessed or dirty flag, checks no privilege. In PAE paging it
 * begins with the PDPTE registers, as the CPU does.
 *
 * A table may have to be waited for (struct vee_map): a signal ends that. Through
 * io_uring it is a worker's from the start.
 *
 * Returns 0, or -ENOENT (not mapped by the guest's tables), -EFAULT (also: a
 * table is in memory that the VM does not have), -EINTR (a signal), -ESHUTDOWN.
 */
struct vee_translate {
	__u32 size;
	__u32 flags;
	__u64 gva;
	__u64 gpa;
	__u32 access;
	__u32 user;
};

/* struct vee_cpuid_entry, @flags */
#define VEE_CPUID_SUBLEAF	0x01U	/* answers @subleaf alone, not any */

#define VEE_MAX_CPUID		128

/**
 * struct vee_cpuid_entry - one answer to CPUID
 * @leaf: EAX
 * @subleaf: ECX, with VEE_CPUID_SUBLEAF; otherwise 0
 * @flags: VEE_CPUID_SUBLEAF
 * @eax: answer in EAX
 * @ebx: EBX
 * @ecx: ECX
 * @edx: EDX
 * @reserved: must be zero
 */
struct vee_cpuid_entry {
	__u32 leaf;
	__u32 subleaf;
	__u32 flags;
	__u32 eax, ebx, ecx, edx;
	__u32 reserved;
};

/**
 * struct vee_cpuid - a vCPU's answers to CPUID (VEE_VCPU_GET_CPUID, _SET_CPUID)
 * @size: in: sizeof(struct vee_cpuid)
 * @flags: in: must be zero
 * @count: in: entries at @entries, at most VEE_MAX_CPUID; get, out: how many
 *	there are
 * @reserved: in: must be zero
 * @entries: in: the address of struct vee_cpuid_entry[@count]
 *
 * A leaf without an entry answers zeros. A new vCPU answers what the host does,
 * less what vee does not offer. Kept up to date by vee, whatever the table says:
 * OSXSAVE (leaf 1), the size for the current XCR0 (leaf 0DH).
 *
 * What the table takes away faults, as on a CPU without it, where the hardware has a
 * means for it:
 *  - Bits of CR4, IA32_EFER (SCE, LME, NXE) and XCR0 (by leaf 0DH, and AVX and AVX512F)
 *    can no longer be set: #GP, and VEE_STATE_CONTROL is refused with them. Set already
 *    they stay set until the guest writes the register again.
 *  - RDTSC, INVPCID, RDRAND and RDSEED are #UD; RDTSCP and RDPID if both are taken away,
 *    for one control is both's, and so is IA32_TSC_AUX: then it is an exit. So are
 *    IA32_STAR, _LSTAR, _CSTAR and _FMASK without SYSCALL.
 * A CPU that lacks a control (bits of vee_info.vmx_proc and .vmx_proc2) can't take its
 * instruction away. Nothing takes these away:
 *  - instructions: CMOV, CMPXCHG8B, CMPXCHG16B, SYSENTER, FXSAVE, CLFLUSH, CLFLUSHOPT,
 *    CLWB, MOVBE, POPCNT, LZCNT, PREFETCHW, LAHF in 64-bit code, BMI1, BMI2, ADX, x87,
 *    MMX, CLAC and STAC; SSE and its successors, AES, PCLMULQDQ, SHA and GFNI once
 *    CR4.OSFXSR is set; FMA, F16C, AVX2, VAES, VPCLMULQDQ and the parts of AVX-512 once
 *    XCR0 has their state; XSAVEOPT, XSAVEC and XGETBV of 1 once CR4.OSXSAVE is set;
 *    and those that vee never offers and that need no state: TSX, MOVDIRI, MOVDIR64B,
 *    SERIALIZE, CLDEMOTE
 *  - in page tables: 1-GByte pages, PSE-36, the width of addresses
 *  - IA32_PAT, IA32_SYSENTER_CS, _ESP and _EIP, IA32_FS_BASE, IA32_GS_BASE and
 *    IA32_KERNEL_GS_BASE, and reads of IA32_EFER and of the TSC by
 *    RDMSR
 * What the table shows and the default doesn't, is not there for that: UMIP on a CPU
 * without it (but see VEE_INTERCEPT_DESCRIPTOR), XSAVES, MONITOR, WAITPKG, SGX, PCONFIG
 * and VMX stay #UD or #GP.
 *
 * Returns 0, or get: -E2BIG (@count was too small; it says how many there are);
 * set: -EINVAL (too many, two for the same leaf and subleaf, unknown flags),
 * -ENOMEM.
 */
struct vee_cpuid {
	__u32 size;
	__u32 flags;
	__u32 count;
	__u32 reserved;
	__u64 entries;
};

/**
 * struct vee_xsave - the guest's x87, SSE, AVX and AVX-512 state
 *	(VEE_VCPU_GET_XSAVE, VEE_VCPU_SET_XSAVE)
 * @size: in: sizeof(struct vee_xsave)
 * @flags: in: must be zero
 * @bytes: in: size of the buffer: vee_info.xsave_bytes
 * @reserved: in: must be zero
 * @area: in: address of the XSAVE area, in the standard format (SDM 1, "XSAVE
 *	Area"), covering the components of vee_info.xcr0
 *
 * Returns 0, or -EINVAL (@bytes; set: a compacted format, a component outside
 * vee_info.xcr0, reserved bits of the header or of MXCSR), -ENOMEM (set).
 */
struct vee_xsave {
	__u32 size;
	__u32 flags;
	__u32 bytes;
	__u32 reserved;
	__u64 area;
};

/* vee_vcpu_page.refused: from here on it is the offset in struct vee_vcpu_state. */
#define VEE_REFUSED_STATE	4096U

/**
 * struct vee_vcpu_state - all state of a vCPU (VEE_VCPU_SAVE, VEE_VCPU_LOAD)
 * @size: in: sizeof(struct vee_vcpu_state)
 * @flags: in: must be zero
 * @parts: save, out: VEE_STATE_ bits of what is here: all that the vCPU has, less @skip;
 *	load, in: likewise. With @skip it must be all that the vCPU has
 * @skip: in: VEE_STATE_ bits of what is neither saved nor loaded
 * @xsave: in: VEE_STATE_XSAVE: the address of an XSAVE area as in struct vee_xsave
 * @cpuid: in: VEE_STATE_CPUID: the address of struct vee_cpuid_entry[@cpuid_count]
 * @xsave_bytes: in: VEE_STATE_XSAVE: vee_info.xsave_bytes
 * @cpuid_count: VEE_STATE_CPUID: save, in: room at @cpuid, out: how many there are; load,
 *	in: how many
 * @tsc: save, out: the guest's TSC; load: ignored
 * @debugctl: VEE_STATE_DEBUG: IA32_DEBUGCTL
 * @pdpte: VEE_STATE_CONTROL: the PDPTE registers; of use in PAE paging alone
 * @sent_interrupt: VEE_STATE_EVENTS: what waits from VEE_VCPU_INJECT
 * @sent_nmi: likewise, or the second of two NMIs that the local APIC has got
 * @deadline_ns: VEE_STATE_WISHES: as in the vCPU page, and so are the next four
 * @prefetch: ...
 * @intercept: ...
 * @options: ...
 * @tpr_threshold: ...
 * @regs: VEE_STATE_REGS, with the general registers
 * @segments: VEE_STATE_SEGMENTS
 * @control: VEE_STATE_CONTROL; PDPTEs are not read, but are those in @pdpte
 * @debug: VEE_STATE_DEBUG
 * @msrs: VEE_STATE_MSRS
 * @events: VEE_STATE_EVENTS
 * @apic: VEE_STATE_APIC
 *
 * What is not in @skip is there, or the request fails: nobody can forget some of it. Who
 * puts a vCPU back again and again leaves out what has not changed: the answers to CPUID
 * (a copy and a sort), the XSAVE area.
 *
 * VEE_VCPU_SAVE: what the vCPU page asks the next run for, by @dirty, @resume and @inject
 * there, is taken over before, as a run does it, and what others have sent to the local
 * APIC. An instruction that exited and is not done the guest does again once it is loaded.
 * So the vCPU can go on, and a copy of it elsewhere, with no difference to see.
 *
 * VEE_VCPU_LOAD: the vCPU is as it was when saved; what was on its way to it is gone, in
 * its page, from VEE_VCPU_INJECT, and to its local APIC. Of the page's groups
 * VEE_STATE_REGS alone is valid then. It need not be the same vCPU, VM or machine. The TSC
 * goes on with the host's, from vee_msrs.tsc_offset: the host's was @tsc less that when it
 * was saved. Who wants the guest's to have stood still since adds what the host's is less
 * by now, the same number for all vCPUs of a VM. vee_apic.tsc_deadline is of the guest's.
 *
 * What the memory of the VM holds is not in it, nor counters (struct vee_stats), the run's
 * generation, and exits: an exit that the caller has yet to see to, of
 * VEE_EXIT_EOI say, is the caller's to keep.
 *
 * Returns 0, or -EINVAL (vee_vcpu_page.refused is the offset of what can't be: of a
 * member of a group or of VEE_STATE_WISHES that in the vCPU page, of others
 * VEE_REFUSED_STATE plus that in this struct), -E2BIG (save: @cpuid_count was too small; it
 * says how many there are), -ENOMEM, -ESHUTDOWN; save: also as VEE_VCPU_RUN for
 * what the page asks for, and -EINTR (a signal, while PDPTEs were waited for).
 */
struct vee_vcpu_state {
	__u32 size;
	__u32 flags;
	__u32 parts;
	__u32 skip;
	__u64 xsave;
	__u64 cpuid;
	__u32 xsave_bytes;
	__u32 cpuid_count;
	__u64 tsc;
	__u64 debugctl;
	__u64 pdpte[4];
	struct vee_event sent_interrupt;
	struct vee_event sent_nmi;
	__u64 deadline_ns;
	__u32 prefetch;
	__u32 intercept;
	__u32 options;
	__u32 tpr_threshold;
	struct vee_regs regs;
	struct vee_segments segments;
	struct vee_control control;
	struct vee_debug debug;
	struct vee_msrs msrs;
	struct vee_events events;
	struct vee_apic apic;
};

/**
 * struct vee_vmcs_field - one VMCS field (VEE_VCPU_VMCS_READ, _VMCS_WRITE)
 * @size: in: sizeof(struct vee_vmcs_field)
 * @flags: in: must be zero
 * @encoding: in: SDM 3D, appendix "Field Encoding in VMCS"; full access only
 * @reserved: in: must be zero
 * @value: read: out; write: in
 *
 * Writable are the fields of the guest-state area that can't reach the host:
 * not the VMCS link pointer or the preemption timer; of the activity states active and
 * HLT alone; of IA32_DEBUGCTL BTF alone; CR0, CR4 and IA32_EFER only through struct
 * vee_control.
 * The write is as if made by the last exit: groups of the vCPU page that were
 * valid no longer are.
 *
 * Returns 0, or -ENOENT (no such field, or this CPU has not got it), -EPERM
 * (write: not a writable field; read: an address of the host's, which takes
 * CAP_SYS_ADMIN), -EINVAL (write: the value is too wide, a forbidden activity
 * state, or another bit of IA32_DEBUGCTL), -ESHUTDOWN.
 */
struct vee_vmcs_field {
	__u32 size;
	__u32 flags;
	__u32 encoding;
	__u32 reserved;
	__u64 value;
};

/* struct vee_vmcs_value, @flags */
#define VEE_VMCS_WITHHELD	0x01U	/* the host's; takes CAP_SYS_ADMIN */

/**
 * struct vee_vmcs_value - a field in a snapshot
 * @encoding: which field
 * @flags: VEE_VMCS_WITHHELD: @value is 0, not the field's
 * @value: what it holds
 */
struct vee_vmcs_value {
	__u32 encoding;
	__u32 flags;
	__u64 value;
};

/**
 * struct vee_vmcs_snapshot - all fields of the VMCS (VEE_VCPU_VMCS_SNAPSHOT)
 * @size: in: sizeof(struct vee_vmcs_snapshot)
 * @flags: in: must be zero
 * @count: in: room at @values; out: how many fields there are
 * @reserved: in: must be zero
 * @values: in: address of struct vee_vmcs_value[@count]
 *
 * Returns 0, or -E2BIG (@count was too small; it says how many there are),
 * -ENOMEM, -ESHUTDOWN.
 */
struct vee_vmcs_snapshot {
	__u32 size;
	__u32 flags;
	__u32 count;
	__u32 reserved;
	__u64 values;
};

#define VEE_STATS_REASONS	96

/**
 * struct vee_stats - what a vCPU has been through (VEE_VCPU_STATS)
 * @size: in: sizeof(struct vee_stats)
 * @flags: in: must be zero
 * @runs: out: VEE_VCPU_RUN calls that entered the guest
 * @entries: out: VM entries
 * @user_exits: out: exits that user space saw
 * @faults: out: pages mapped on first touch
 * @flushes: out: INVEPT before an entry
 * @exits: out: VM exits by basic exit reason
 *
 * Returns 0.
 */
struct vee_stats {
	__u32 size;
	__u32 flags;
	__u64 runs;
	__u64 entries;
	__u64 user_exits;
	__u64 faults;
	__u64 flushes;
	__u64 exits[VEE_STATS_REASONS];
};

/*
 * Statistics for others than the caller: /proc/PID/fdinfo/N of a VM's or vCPU's descriptor (the
 * link /proc/PID/fd/N leads to anon_inode:vee-vm or anon_inode:vee-vcpu), for who may look
 * into the process (PTRACE_MODE_READ_FSCREDS in ptrace(2)), at any time. After the kernel's own
 * lines come these, "KEY:<tab>NUMBER" each.
 *
 *	vee-stats-version	VEE_STATS_VERSION; first of all
 *	vee-vm			the VM's number since the module was loaded, from 1
 *	vee-process		PID of the process that made it; 0: it has ended, or the
 *				reader's PID namespace has it not
 *	vee-vcpus		how many vCPUs it has
 *	vee-slots		how many slots
 *	vee-lent-kib		how much memory is in them, in KiB
 *	vee-mapped-kib		how much of it the EPT maps now
 *	vee-tables-kib		how much memory the EPT itself takes
 *
 * A vCPU's has after its VM's:
 *
 *	vee-vcpu		its id
 *	vee-thread		TID of the thread that ran it last, whose times are in
 *				/proc/PID/task/TID/stat; 0: none, or likewise
 *	vee-runs		runs that have ended
 *	vee-entries, vee-faults, vee-flushes
 *				as in struct vee_stats
 *	vee-exit-REASON		VM exits by basic exit reason, a decimal number: how many, and
 *				behind a space what the reason is called; 0 has no line
 *
 * There may come to be other lines, without another version: who reads passes over what it
 * doesn't know. A version is another if what was there means something else, or is gone.
 */
#define VEE_STATS_VERSION	1

/* --- io_uring -------------------------------------------------------------- */

/**
 * struct vee_uring_cmd - a vCPU's or the device's request through io_uring
 * @arg: in: what the ioctl takes: the address of the request's struct; for
 *	VEE_VCPU_RUN 0 or a generation
 * @budget_us: in: VEE_VCPU_RUN: for how many microseconds the thread that submits
 *	may run the guest itself, with the ring locked; above VEE_MAX_BUDGET_US it is
 *	taken as that; 0 for the others
 * @flags: in: must be zero
 *
 * An SQE with opcode IORING_OP_URING_CMD, fd (or index of a fixed file) of a vCPU or
 * of /dev/vee, cmd_op one of its requests, and this at cmd. It fits into an SQE of 64
 * bytes. Checks and errors are the ioctl's, and so is the result; but VEE_VCPU_RUN
 * gives the exit's reason, VEE_EXIT_PIO and so on, which is more than 0.
 *
 * A run begins in the thread that submits it. Once @budget_us are over, or if it
 * would have to sleep, as in HLT or for a page that is on disk, or if a signal
 * waits for that thread, the same run goes on in a worker of io_uring's: it keeps
 * its generation, its deadline, and what it took of the page. With 0, or to go on
 * with a paused run, it is a worker's from the start. So many short steps of many
 * vCPUs cost one system call, and a long one keeps nobody. VEE_RUN_EACH spares even
 * what each request costs io_uring: libvee's rings step by it, and go on with a run
 * that it has paused by VEE_VCPU_RUN.
 *
 * Workers: io_uring has at most as many as the ring has entries, and four a CPU.
 * Guests that wait for each other need one each
 * (IORING_REGISTER_IOWQ_MAX_WORKERS, bounded ones). Even then Linux 6.12 queues one
 * behind another if both are submitted before the first has begun in its worker; an
 * IORING_OP_NOP with IOSQE_ASYNC, some time after, has it make one more worker, and
 * completes once all before it have theirs. libvee's rings do that.
 *
 * What ends a run, besides what ends it by ioctl: IORING_OP_ASYNC_CANCEL, a linked
 * timeout, the end of the ring or of the process. A run that is under way
 * gives -EINTR then, one that waits for a worker -ECANCELED. Either way the state
 * of the guest is that between two runs, and running again is all there is to do.
 * -EINTR may also come of a signal to the process that io_uring's workers see (a
 * stop), and if another thread used the vCPU while this run waited for a worker.
 *
 * A ring with IORING_SETUP_IOPOLL gives -EOPNOTSUPP.
 */
struct vee_uring_cmd {
	__u64 arg;
	__u32 budget_us;
	__u32 flags;
};

/**
 * struct vee_uring_signal - an interrupt by message through io_uring
 * @address: in: message address, as in struct vee_signal
 * @data: in: message data, likewise
 * @flags: in: 0, or VEE_SIGNAL_LEVEL
 *
 * An SQE with opcode IORING_OP_URING_CMD, fd (or index of a fixed file) of a VM, cmd_op
 * VEE_VM_SIGNAL, and this at cmd, which is all of it: there is no struct elsewhere. It is
 * sent when it is submitted, and never waits. Linked behind a read, a device's completion is
 * the guest's interrupt with no thread between them.
 *
 * The result is the ioctl's; -ENOTTY for other requests of a VM, -EOPNOTSUPP of a ring with
 * IORING_SETUP_IOPOLL, and if the module is too old for it.
 */
struct vee_uring_signal {
	__u64 address;
	__u32 data;
	__u32 flags;
};

#endif /* _UAPI_LINUX_VEE_H */
