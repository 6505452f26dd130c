/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * vee: what the rooms of the module know of each other.
 *
 * One section a file, in the order in which the files build on each other:
 *
 *	caps.c		what this CPU can do, and the controls chosen from it
 *	vmx/root.c	VMX operation per CPU; which VMCS is current where
 *	vmcs.c		one VMCS: set-up from tables, host state, guest state
 *	entry.S		VM entry and VM exit
 *	ept.c slots.c	guest-physical memory
 *	walk.c		the guest's own page tables
 *	fpu.c state.c	guest state outside the VMCS; the vCPU page
 *	cpuid.c msr.c	what decides for the guest
 *	event.c exit.c	events in, exits out
 *	post.c		writes that are no exits
 *	vm.c vcpu.c	lifetimes; the run loop
 *	request.c	what can be asked of a vCPU
 *	ioctl.c uring.c	two doors to it
 *	each.c		short runs of many vCPUs by one request
 *	main.c		loading
 */
#ifndef _VEE_KMOD_H
#define _VEE_KMOD_H

#include <linux/bitops.h>
#include <linux/cpumask.h>
#include <linux/hrtimer.h>
#include <linux/interval_tree.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/lockdep.h>
#include <linux/mmu_notifier.h>
#include <linux/mutex.h>
#include <linux/percpu.h>
#include <linux/rbtree.h>
#include <linux/rwsem.h>
#include <linux/smp.h>
#include <linux/spinlock.h>
#include <linux/types.h>

#include "linux/vee.h"

struct vee_vcpu;
struct vee_vm;
struct vm_area_struct;

/* --- caps.c --------------------------------------------------------------- */

enum vmx_word {
	VMX_PIN,	/* pin-based VM-execution controls */
	VMX_PROC,	/* primary processor-based */
	VMX_PROC2,	/* secondary processor-based */
	VMX_EXIT,	/* VM-exit controls */
	VMX_ENTRY,	/* VM-entry controls */
	VMX_WORDS
};

/**
 * struct vee_caps - what this machine's CPUs offer, read once at load
 * @basic: IA32_VMX_BASIC
 * @misc: IA32_VMX_MISC
 * @ept_vpid: IA32_VMX_EPT_VPID_CAP
 * @allowed: the capability MSR of each control word, the TRUE one if there is
 * @control: each control word as a new VMCS starts with
 * @cr0_fixed0: bits of CR0 that must be 1 in VMX operation
 * @cr0_fixed1: bits of CR0 that may be 1
 * @cr4_fixed0: bits of CR4 that must be 1
 * @cr4_fixed1: bits of CR4 that may be 1
 * @features: VEE_FEATURE_ bits
 * @xcr0: components of the extended state that a guest may have
 * @host_xcr0: XCR0 of the host
 * @xsave_bytes: size of a standard-format XSAVE area for @xcr0
 * @mxcsr_mask: bits of MXCSR that may be set
 * @gpa_bits: width of a guest-physical address that the EPT can map
 * @timer_shift: the preemption timer counts down once per 2^@timer_shift ticks
 */
struct vee_caps {
	u64 basic;
	u64 misc;
	u64 ept_vpid;
	u64 allowed[VMX_WORDS];
	u32 control[VMX_WORDS];
	u64 cr0_fixed0;
	u64 cr0_fixed1;
	u64 cr4_fixed0;
	u64 cr4_fixed1;
	u64 features;
	u64 xcr0;
	u64 host_xcr0;
	u32 xsave_bytes;
	u32 mxcsr_mask;
	u8 gpa_bits;
	u8 timer_shift;
};

extern struct vee_caps vee_caps;

/* Reads the capabilities and chooses controls; logs what is missing by name. */
int caps_init(void);
/* On each CPU that comes up: does it offer what the first one did? */
int caps_check_this_cpu(void);

static inline bool caps_has(u64 feature)
{
	return vee_caps.features & feature;
}

/* --- vmx/root.c ------------------------------------------------------------ */

/**
 * struct vmx_frame - what entry.S needs to know
 * @host_rsp: what the VMCS field HOST_RSP holds
 * @spec_ctrl: IA32_SPEC_CTRL of the host, if it is to be written after a VM exit
 * @launched: VMLAUNCH has succeeded since the last VMCLEAR: VMRESUME it is
 */
struct vmx_frame {
	u64 host_rsp;
	u64 spec_ctrl;
	u8 launched;
};

/**
 * struct vmcs - a VMCS and where it is
 * @region: the page that the CPU keeps it in
 * @hpa: its host-physical address
 * @cpu: the CPU on which it is active, -1: on none (its data is in @region)
 * @frame: what an entry with it needs
 * @link: on @cpu's list of active VMCSs
 * @owner: tells VMs apart for the branch-predictor barrier
 *
 * SDM 3C, "Software Use of Virtual-Machine Control Structures".
 */
struct vmcs {
	void *region;
	u64 hpa;
	int cpu;
	struct vmx_frame frame;
	struct list_head link;
	const void *owner;
};

int vmx_root_init(void);
void vmx_root_exit(void);

int vmx_root_alloc(struct vmcs *vmcs, const void *owner);
void vmx_root_free(struct vmcs *vmcs);

/*
 * The bracket around every use of VMX: interrupts stay off from enter to leave,
 * and in between @vmcs is the current VMCS. Enter gives -EAGAIN if the VMCS is
 * active on another CPU (call vmx_root_pull() with interrupts on, then try
 * again), and -ESHUTDOWN if this CPU is not in VMX operation.
 */
/* The VMCS that VMREAD and VMLAUNCH work on; NULL also out of VMX operation. */
DECLARE_PER_CPU(struct vmcs *, vmx_current);
int vmx_root_load(struct vmcs *vmcs);

static inline int vmx_root_enter(struct vmcs *vmcs)
{
	lockdep_assert_irqs_disabled();
	return likely(this_cpu_read(vmx_current) == vmcs) ? 0 : vmx_root_load(vmcs);
}

/* Resident: nothing to put back. The VMCS stays current for the next enter. */
static inline void vmx_root_leave(struct vmcs *vmcs)
{
	lockdep_assert_irqs_disabled();
}

void vmx_root_clear(struct vmcs *vmcs);

/* VMCLEARs @vmcs where it is active, unless that is here. Preemption off. */
static inline void vmx_root_pull(struct vmcs *vmcs)
{
	if (unlikely(READ_ONCE(vmcs->cpu) != smp_processor_id()))
		vmx_root_clear(vmcs);
}

/* --- host.c --------------------------------------------------------------- */

/* On a CPU that goes into VMX operation. */
void host_cpu_init(void);

/* --- ept.c ---------------------------------------------------------------- */

#define EPT_LEVELS 4

/**
 * struct ept - a VM's extended page tables
 * @root: the PML4 table
 * @eptp: what the VMCS field EPTP holds
 * @generation: counts invalidations; a CPU whose entry in @cpu_generation
 *	differs may hold stale translations
 * @cpu_generation: the generation that each CPU last ran with (nr_cpu_ids)
 *
 * SDM 3C, "The Extended Page Table Mechanism (EPT)". Guarded by vee_vm.lock.
 */
struct ept {
	u64 *root;
	u64 eptp;
	u64 generation;
	u64 *cpu_generation;
};

/**
 * struct ept_cache - table pages set aside before the lock is taken
 * @count: how many
 * @table: zeroed pages
 */
struct ept_cache {
	unsigned int count;
	void *table[EPT_LEVELS - 1];
};

/* Enough for a walk from the root that finds nothing. */
static inline bool ept_cache_is_full(const struct ept_cache *cache)
{
	return cache->count == ARRAY_SIZE(cache->table);
}

int ept_init(struct ept *ept);
void ept_destroy(struct ept *ept);
int ept_cache_fill(struct ept_cache *cache);
void ept_cache_drop(struct ept_cache *cache);
/* How many address bits one entry of a table of @level translates. */
unsigned int ept_shift(int level);
/*
 * Both under vee_vm.lock. Map makes a leaf of @level: 1 for 4 KiB, 2 for 2 MiB, 3
 * for 1 GiB. Zap unlinks emptied tables onto @freed.
 */
void ept_map(struct ept *ept, struct ept_cache *cache, u64 gpa, u64 hpa,
	     unsigned int access, int level);
void ept_map_pages(struct ept *ept, u64 gpa, struct page *const *pages,
		   unsigned int count, unsigned int access);
bool ept_zap(struct ept *ept, u64 gpa, u64 bytes, struct list_head *freed);
void ept_free_tables(struct list_head *freed);
bool ept_flush_to(struct ept *ept, u64 generation);
/*
 * Inside the bracket, before an entry: INVEPT if this CPU may hold stale ones.
 *
 * What is cached is tagged with the root's address, not with a VM (SDM 3C,
 * "Cached Translation Information"), so this holds for all vCPUs on this CPU.
 *
 * The caller must have made known that this CPU is about to run the guest, with
 * a full barrier, before the generation is read here: a vm_flush() that misses
 * it has then changed the generation already.
 */
static inline bool ept_flush_this_cpu(struct ept *ept)
{
	/* Before the INVEPT; pairs with ept_new_generation(). */
	u64 generation = smp_load_acquire(&ept->generation);

	if (likely(ept->cpu_generation[smp_processor_id()] == generation))
		return false;
	return ept_flush_to(ept, generation);
}

/* --- slots.c ---------------------------------------------------------------- */

/**
 * struct slot - a range of guest-physical memory
 * @node: in vee_vm.slots: its first and last guest-physical address
 * @notifier: watches the memory behind it
 * @vm: its VM
 * @hva: where that memory is in the VM's address space
 * @access: VEE_READ, VEE_WRITE, VEE_EXECUTE
 * @seq: of @notifier when last begun to be read; 0: not yet
 *
 * But for @seq constant while it is in the tree.
 */
struct slot {
	struct interval_tree_node node;
	struct mmu_interval_notifier notifier;
	struct vee_vm *vm;
	unsigned long hva;
	unsigned int access;
	unsigned long seq;
};

struct slot *slot_find(struct vee_vm *vm, u64 gpa, u64 last);

int mem_add(struct vee_vm *vm, const struct vee_map *map);
int mem_remove(struct vee_vm *vm, const struct vee_unmap *unmap);
void mem_destroy(struct vee_vm *vm);
/*
 * Around what reads guest memory, in the VM's address space. -EINTR: being killed;
 * -EBUSY: it would have had to sleep.
 */
int mem_lock(struct vee_vm *vm, bool may_sleep);
void mem_unlock(struct vee_vm *vm, bool may_sleep);
/* Copies from guest memory. May sleep. -EFAULT: not all of it is there. */
int mem_read(struct vee_vm *vm, u64 gpa, void *buf, size_t bytes);
/* One aligned number of 4 or 8 bytes, likewise. */
int mem_read_word(struct vee_vm *vm, u64 gpa, unsigned int bytes, u64 *value);

/* --- fault.c -------------------------------------------------------------- */

/*
 * Makes @gpa accessible in the EPT. May sleep, unless the run is inline. 0: the
 * guest can go on; -ENOENT: no slot, it is MMIO; -EINTR: a signal; -EBUSY: it
 * would have had to sleep; else what struct vee_exit_memory, @error says.
 */
int mem_fault(struct vee_vcpu *vcpu, u64 gpa, unsigned int access);
/* With preemption off; also -EBUSY or -EAGAIN: mem_fault() has to do it. */
int mem_fault_now(struct vee_vcpu *vcpu, u64 gpa, unsigned int access);

/* --- walk.c --------------------------------------------------------------- */

/**
 * struct paging - the registers that say how the guest translates addresses
 * @cr0: CR0
 * @cr3: CR3
 * @cr4: CR4
 * @efer: IA32_EFER
 */
struct paging {
	u64 cr0;
	u64 cr3;
	u64 cr4;
	u64 efer;
};

int walk_translate(struct vee_vm *vm, const struct paging *paging,
		   struct vee_translate *walk);
/*
 * Bytes at a linear address, as many as can be read, at most @bytes. Without
 * @may_sleep what the host would have to bring into memory can't be.
 */
unsigned int walk_read(struct vee_vm *vm, const struct paging *paging, u64 gva,
		       u8 *buf, unsigned int bytes, bool may_sleep);

/* --- post.c --------------------------------------------------------------- */

struct watches;

#define POST_SPACES	2	/* VEE_SPACE_PORT, VEE_SPACE_MEMORY */

/**
 * struct post_office - a VM's writes that end no run
 * @change: taken to change @watches, and to make @ring
 * @watches: which they are, by VEE_SPACE_; NULL: none; under RCU
 * @ring: where they are posted, mapped by the caller
 * @taken: how many posts of it were begun
 * @posted: how many were completed: the tail in @ring is the caller's to falsify
 */
struct post_office {
	struct mutex change;
	struct watches __rcu *watches[POST_SPACES];
	struct vee_post_ring *ring;
	u32 taken;
	u32 posted;
};

void post_init(struct post_office *office);
void post_destroy(struct post_office *office);
int post_coalesce(struct vee_vm *vm, const struct vee_coalesce *arg);
int post_doorbell(struct vee_vm *vm, const struct vee_doorbell *arg);
/* Before the caller maps it. */
int post_make_ring(struct post_office *office);

/* What became of a write. */
enum post {
	POST_NONE,	/* nothing: nobody wants it posted, or the ring is full */
	POST_DONE,	/* that's all there was to do about it */
	POST_BELL,	/* post_ring_bell() has to do it */
};

/*
 * Both with interrupts off. The guest writes @width bytes, 1 to 8. The other: a write
 * that begins there may be such a one.
 */
enum post post_write(struct vee_vcpu *vcpu, u32 space, u64 address, u64 data,
		     unsigned int width);
bool post_is_watched(struct vee_vcpu *vcpu, u32 space, u64 address);
/* With preemption on. False: nothing. */
bool post_ring_bell(struct vee_vcpu *vcpu, u32 space, u64 address, u64 data,
		    unsigned int width);

/* --- vm.c ----------------------------------------------------------------- */

/**
 * struct vee_vm - a VM
 * @ref: one for its descriptor, one for each vCPU
 * @mm: the address space that it borrows memory of; never used otherwise
 * @slots_lock: guards @slots and @slot_count; held for reading over a fault
 * @slots: interval tree of memory slots by guest-physical address
 * @slot_count: how many
 * @lock: guards @ept and @vcpus; taken in MMU notifiers, so nothing under it
 *	sleeps or allocates
 * @ept: its guest-physical memory
 * @vcpus: all its vCPUs
 * @ids: which ids are taken, under @lock
 * @flush: room for vm_flush() to gather CPUs in, under @lock
 * @office: writes that end no run
 */
struct vee_vm {
	struct kref ref;
	struct mm_struct *mm;
	struct rw_semaphore slots_lock;
	struct rb_root_cached slots;
	unsigned int slot_count;
	spinlock_t lock;
	struct ept ept;
	struct list_head vcpus;
	DECLARE_BITMAP(ids, VEE_MAX_VCPUS);
	cpumask_var_t flush;
	struct post_office office;
};

/*
 * Under vm->lock, after a change that takes memory from the guest: has every
 * CPU that runs a vCPU of this VM leave the guest, and waits until each has. It
 * looks at the EPT's generation before it enters again.
 */
void vm_flush(struct vee_vm *vm);
struct vee_vm *vm_create(void);
void vm_get(struct vee_vm *vm);
void vm_put(struct vee_vm *vm);

#endif /* _VEE_KMOD_H */
