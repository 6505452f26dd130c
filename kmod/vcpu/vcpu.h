/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A vCPU, and what the files that make up its run loop know of each other.
 */
#ifndef _VEE_VCPU_H
#define _VEE_VCPU_H

#include <linux/bits.h>
#include <linux/jump_label.h>
#include <linux/percpu.h>
#include <linux/sched.h>
#include <linux/wait.h>
#include <asm/debugreg.h>
#include <asm/desc.h>
#include <asm/trapnr.h>

#include "vee.h"
#include "vmx/fields.h"
#include "vmx/controls.h"
#include "vmx/exits.h"
#include "vmx/insn.h"

struct io_uring_cmd;

/* What to do after a VM exit. */
enum next {
	NEXT_ENTER,	/* handled: enter the guest again, interrupts stay off */
	NEXT_PREPARE,	/* likewise, but there is an event for it */
	NEXT_FAULT,	/* exit_fault() must go on, with interrupts on */
	NEXT_HOST,	/* let the host have its interrupts and signals first */
	NEXT_SLEEP,	/* vee_vcpu.sleeper must do the rest, it may sleep */
	NEXT_USER,	/* the caller's: vee_vcpu_page.exit is filled */
};

/* How the entry under way ends after one instruction. */
enum step {
	STEP_NONE,		/* not, or by the monitor trap flag */
	STEP_TRAP,		/* by RFLAGS.TF */
	STEP_GUESTS_TRAP,	/* by RFLAGS.TF, which the guest has set anyway */
	STEP_TIMER,		/* by the preemption timer, after an event */
};

/**
 * struct host_state - what a VM exit or the guest destroys, to be put back
 * @cpu: the CPU that the per-CPU host fields of the VMCS are for
 * @vmcs_cr3: what HOST_CR3 holds
 * @vmcs_cr4: what HOST_CR4 holds
 * @vmcs_fs_base: what HOST_FS_BASE holds
 * @fs_base: the FS base of the caller
 * @kernel_gs_base: IA32_KERNEL_GS_BASE, the GS base of the caller
 * @debugctl: IA32_DEBUGCTL
 * @idt: IDTR
 * @gdt: GDTR
 * @fs: FS selector
 * @gs: GS selector
 * @ds: DS selector
 * @es: ES selector
 * @ldt: LDTR selector
 */
struct host_state {
	int cpu;
	u64 vmcs_cr3;
	u64 vmcs_cr4;
	u64 vmcs_fs_base;
	u64 fs_base;
	u64 kernel_gs_base;
	u64 debugctl;
	struct desc_ptr idt;
	struct desc_ptr gdt;
	u16 fs, gs, ds, es, ldt;
};

/**
 * struct staged_state - what a run took over from the vCPU page
 * @groups: which VEE_STATE_ groups below are to be loaded at the next entry
 * @next: go past the instruction that exited
 * @fault: #GP(0) instead
 * @regs: VEE_STATE_REGS; RSP, RIP and RFLAGS alone matter
 * @segments: VEE_STATE_SEGMENTS
 * @control: VEE_STATE_CONTROL
 * @pdpte: the PDPTEs that go with @control
 * @debug: VEE_STATE_DEBUG
 * @msrs: VEE_STATE_MSRS
 * @events: VEE_STATE_EVENTS
 *
 * The page is the caller's to scribble on, so it is copied once, checked here,
 * and loaded from here.
 */
struct staged_state {
	u32 groups;
	bool next;
	bool fault;
	struct vee_regs regs;
	struct vee_segments segments;
	struct vee_control control;
	u64 pdpte[4];
	struct vee_debug debug;
	struct vee_msrs msrs;
	struct vee_events events;
};

/* A power of two; a slot holds a number of an entry, or VEE_MAX_CPUID. */
#define CPUID_SLOTS	128
static_assert(VEE_MAX_CPUID <= U8_MAX);

/* vee_vcpu.limits: what is under way of these. */
#define LIMIT_DEADLINE	BIT(0)
#define LIMIT_BUDGET	BIT(1)
#define LIMIT_WHOLE	BIT(2)	/* the budget, up to the run's first entry */

/**
 * struct limit - a moment after which a vCPU is not to run on
 * @tsc: the host's TSC at it, U64_MAX: unknown or never
 * @timer: without the VMX-preemption timer: sets @tsc to 0
 * @vcpu: whose it is
 */
struct limit {
	u64 tsc;
	struct hrtimer timer;
	struct vee_vcpu *vcpu;
};

/**
 * struct vee_vcpu - a vCPU
 * @vm: its VM; holds a reference
 * @id: its number in the VM
 * @link: on vee_vm.vcpus
 * @lock: held by a run and by every request but VEE_VCPU_KICK
 * @page: the vCPU page, shared with the caller
 * @vmcs: its VMCS
 * @set_up: the VMCS has been written once
 * @host: the host's state while the guest's is loaded
 * @staged: what the run under way took from @page
 * @loaded_cpu: the CPU that runs it, -1: none; for vm_flush()
 * @vpid: virtual-processor identifier, 0: none
 * @vpid_cpu: the CPU where translations under @vpid are its own
 *
 * @runner: the task that runs it, under RCU
 * @l1d_clean_at: how often that task had been switched out when the L1 data cache
 *	was last flushed for it; L1D_NEVER_CLEAN
 * @generation: number of the run under way, or of the next one
 * @kicked: the last generation that VEE_VCPU_KICK named
 * @prefetch: what the caller wants filled at the exit
 * @intercept: exits that it wants besides
 * @options: VEE_OPTION_ bits
 * @interrupted: the run ends with -EINTR
 * @is_inline: it is in a thread that must not be kept for long or put to sleep
 * @paused: an inline run was interrupted, and is to go on in another thread
 * @halted: where the runner sleeps while the guest is in HLT
 *
 * @limits: LIMIT_ bits
 * @deadline: when the run ends
 * @budget: when an inline run is to be paused
 * @budget_us: a budget in microseconds, 0: none yet
 * @budget_ticks: ... of the TSC
 * @budget_timer: ... as preemption-timer value
 *
 * @pin: what the VMCS holds as pin-based controls
 * @proc: ... as primary processor-based controls
 * @entry: ... as VM-entry controls
 * @exceptions: ... as exception bitmap
 * @timer: ... as preemption-timer value
 * @controls_asked: what vcpu_set_controls() last set them for
 *
 * @exit_reason: of the last VM exit
 * @qualification: of the last VM exit
 * @insn_length: of the instruction that made the last exit, 0: none
 * @exit_rip: RIP of the last exit that the caller saw
 * @paging: at an exit that has to walk the guest's tables
 * @fetch_gva: linear address of the instruction at such an exit
 * @fault_gpa: guest-physical address of an EPT violation
 * @fault_error: why it could not be resolved with preemption off
 * @may_post: it is a write that may be posted, if an instruction's that can be decoded
 * @fault_gva: with @may_post: linear address
 * @fault_rsp: with @may_post: RSP
 * @memory_exit: the caller saw VEE_EXIT_MMIO or _MEMORY: it knows the
 *	instruction's length, the CPU didn't say
 * @sleeper: completes an exit with NEXT_SLEEP
 * @step: how the entry under way ends after one instruction
 * @stepped: an instruction was completed for the guest since the last entry
 *
 * @cr0: CR0 as last written by vee; right in all bits that exit, PE and PG
 *	among them
 * @cr2: CR2
 * @cr8: CR8
 * @xcr0: XCR0
 * @osxsave: CR4.OSXSAVE: @xcr0 is in the CPU
 * @dr: DR0 to DR3
 * @dr6: DR6
 * @dr7: DR7 when last seen
 * @dr_loaded: the guest's DR0 to DR3 and DR6 are in the CPU
 * @msrs: the MSRs that live outside the VMCS
 * @syscall_enabled: IA32_EFER.SCE
 * @syscall_loaded: those of @msrs that SYSCALL uses are in the CPU
 * @xsave: x87, SSE, AVX, AVX-512
 * @cpuid: answers to CPUID, sorted by leaf and subleaf
 * @cpuid_count: how many
 * @cpuid_first: which of them is the first in each slot of an index by leaf
 * @cr4_allowed: bits of CR4 that the guest may set, from @cpuid
 *
 * @delivering: see struct vee_events
 * @interrupt: see struct vee_events
 * @nmi: see struct vee_events
 * @injecting: which of these the entry under way delivers, or NULL
 * @sent_interrupt: a struct vee_event from another thread, 0: none
 * @sent_nmi: likewise
 *
 * @ept_cache: tables for the next EPT violation
 * @stats: counters
 */
struct vee_vcpu {
	struct vee_vm *vm;
	unsigned int id;
	struct list_head link;
	struct mutex lock;
	struct vee_vcpu_page *page;
	struct vmcs vmcs;
	bool set_up;
	struct host_state host;
	struct staged_state staged;
	int loaded_cpu;
	u16 vpid;
	int vpid_cpu;

	struct task_struct __rcu *runner;
	unsigned long l1d_clean_at;
	u64 generation;
	atomic64_t kicked;
	u32 prefetch;
	u32 intercept;
	u32 options;
	bool interrupted;
	bool is_inline;
	bool paused;
	wait_queue_head_t halted;

	u32 limits;
	struct limit deadline;
	struct limit budget;
	u32 budget_us;
	u64 budget_ticks;
	u32 budget_timer;

	u32 pin;
	u32 proc;
	u32 entry;
	u32 exceptions;
	u32 timer;
	u32 controls_asked;

	u32 exit_reason;
	u64 qualification;
	u32 insn_length;
	u64 exit_rip;
	struct paging paging;
	u64 fetch_gva;
	u64 fault_gpa;
	int fault_error;
	bool may_post;
	u64 fault_gva;
	u64 fault_rsp;
	bool memory_exit;
	enum next (*sleeper)(struct vee_vcpu *vcpu);
	enum step step;
	bool stepped;

	u64 cr0;
	u64 cr2;
	u64 cr8;
	u64 xcr0;
	bool osxsave;
	u64 dr[4];
	u64 dr6;
	u64 dr7;
	bool dr_loaded;
	struct vee_msrs msrs;
	bool syscall_enabled;
	bool syscall_loaded;
	void *xsave;
	struct vee_cpuid_entry *cpuid;
	unsigned int cpuid_count;
	u8 cpuid_first[CPUID_SLOTS];
	u64 cr4_allowed;

	struct vee_event delivering;
	struct vee_event interrupt;
	struct vee_event nmi;
	struct vee_event *injecting;
	u64 sent_interrupt;
	u64 sent_nmi;

	struct ept_cache ept_cache;
	struct vee_stats stats;
};

/* --- entry.S -------------------------------------------------------------- */

/* Not for a call from C: see vmx_enter_guest(). */
void vmx_enter(void);
void vmx_exit_point(void);

/* VM entry to VM exit. False: VMLAUNCH or VMRESUME failed. */
static __always_inline bool vmx_enter_guest(struct vee_regs *regs, struct vmx_frame *frame)
{
	int failed;

	asm volatile("call vmx_enter"
		     : "=b" (failed), "+D" (regs), "+S" (frame), ASM_CALL_CONSTRAINT
		     :
		     : "rax", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13",
		       "r14", "r15", "cc", "memory");
	return !failed;
}

/* --- vmcs.c: inside the bracket, but for vmcs_writable() ------------------ */

/*
 * An access that fails leaves a note, which bracket_leave() reads out: a call here
 * would cost every access that works its registers. Two at once leave either.
 */
#define VMCS_FAILED		BIT_ULL(32)
#define VMCS_FAILED_WRITE	BIT_ULL(33)
extern u64 vmcs_failed;

void vmcs_complain(void);

static __always_inline u64 vmcs_read(u32 field)
{
	u64 value;

	if (unlikely(vmread_raw(field, &value)))
		WRITE_ONCE(vmcs_failed, field | VMCS_FAILED);
	return value;
}

static __always_inline void vmcs_write(u32 field, u64 value)
{
	if (unlikely(vmwrite_raw(field, value)))
		WRITE_ONCE(vmcs_failed, field | VMCS_FAILED | VMCS_FAILED_WRITE);
}

/* Fields that a vCPU keeps a copy of are written only when they change. */
static __always_inline void vmcs_set_control(u32 field, u32 *copy, u32 value)
{
	if (*copy == value)
		return;
	*copy = value;
	vmcs_write(field, value);
}

static inline void vmcs_set_proc(struct vee_vcpu *vcpu, u32 bit, bool on)
{
	vmcs_set_control(VMCS_PROC_CONTROLS, &vcpu->proc,
			 on ? vcpu->proc | bit : vcpu->proc & ~bit);
}

static inline void vmcs_set_pin(struct vee_vcpu *vcpu, u32 bit, bool on)
{
	vmcs_set_control(VMCS_PIN_CONTROLS, &vcpu->pin,
			 on ? vcpu->pin | bit : vcpu->pin & ~bit);
}

static inline void vmcs_set_exceptions(struct vee_vcpu *vcpu, u32 bitmap)
{
	vmcs_set_control(VMCS_EXCEPTION_BITMAP, &vcpu->exceptions, bitmap);
}

/* An entry loads the timer from the field and leaves the field as it is. */
static inline void vmcs_set_timer(struct vee_vcpu *vcpu, u32 value)
{
	vmcs_set_pin(vcpu, PIN_PREEMPTION_TIMER, true);
	vmcs_set_control(VMCS_PREEMPTION_TIMER, &vcpu->timer, value);
}

void vmcs_setup(struct vee_vcpu *vcpu);
void vmcs_load_host_cpu(struct host_state *host);

static __always_inline void vmcs_set_host(u32 field, u64 *copy, u64 value)
{
	if (*copy == value)
		return;
	*copy = value;
	vmcs_write(field, value);
}

/*
 * What differs from one entry to the next: CR3 (PCID), CR4 (the kernel toggles
 * bits per task), the caller's FS base. @fs_base: as host_save() found it.
 */
static __always_inline void vmcs_load_host(struct vee_vcpu *vcpu)
{
	struct host_state *host = &vcpu->host;

	if (unlikely(host->cpu != smp_processor_id()))
		vmcs_load_host_cpu(host);
	vmcs_set_host(VMCS_HOST_CR3, &host->vmcs_cr3, __read_cr3());
	vmcs_set_host(VMCS_HOST_CR4, &host->vmcs_cr4, native_read_cr4());
	vmcs_set_host(VMCS_HOST_FS_BASE, &host->vmcs_fs_base, host->fs_base);
}

int vmcs_field_check(u32 encoding);
int vmcs_field_writable(u32 encoding, u64 value);
bool vmcs_field_withheld(u32 encoding);
unsigned int vmcs_snapshot(struct vee_vmcs_value *values);
extern const unsigned int vmcs_field_count;

/* --- host.c: preemption off ----------------------------------------------- */

void host_save(struct vee_vcpu *vcpu);
void host_restore(struct vee_vcpu *vcpu);
void host_load_guest_dr(struct vee_vcpu *vcpu);
/* With the guest's state loaded: between it and vee_vcpu. */
void host_need_guest_dr(struct vee_vcpu *vcpu);
void host_reload_guest_dr(struct vee_vcpu *vcpu);
void host_read_guest_dr(struct vee_vcpu *vcpu);
void host_load_syscall_msrs(struct vee_vcpu *vcpu);
void host_set_guest_msrs(struct vee_vcpu *vcpu, const struct vee_msrs *msrs);
void host_get_guest_msrs(struct vee_vcpu *vcpu, struct vee_msrs *msrs);
/* Interrupts off, right before an entry: what an L1TF-affected CPU needs. */
void host_clean_l1d(struct vee_vcpu *vcpu);
DECLARE_STATIC_KEY_FALSE(host_flushes_l1d);
DECLARE_STATIC_KEY_FALSE(host_flushes_l1d_always);

static inline void host_flush_l1d(struct vee_vcpu *vcpu)
{
	if (static_branch_unlikely(&host_flushes_l1d))
		host_clean_l1d(vcpu);
}

/* ... once more in the same bracket. */
static inline void host_flush_l1d_again(struct vee_vcpu *vcpu)
{
	if (static_branch_unlikely(&host_flushes_l1d_always))
		host_clean_l1d(vcpu);
}

/* The caller's secrets are in it. */
#define L1D_NEVER_CLEAN	ULONG_MAX

/* Interrupts off, right after an exit: an NMI or machine check of the host's. */
void host_take_event(u32 reason);
int host_init(void);
void host_exit(void);

/* --- fpu.c ---------------------------------------------------------------- */

int fpu_alloc(struct vee_vcpu *vcpu);
void fpu_free(struct vee_vcpu *vcpu);
void fpu_load_guest(struct vee_vcpu *vcpu);
void fpu_load_host(struct vee_vcpu *vcpu);
int fpu_set(struct vee_vcpu *vcpu, const void __user *area);
int fpu_get(struct vee_vcpu *vcpu, void __user *area);
void fpu_set_xcr0(struct vee_vcpu *vcpu, u64 xcr0);
void fpu_set_osxsave(struct vee_vcpu *vcpu, bool osxsave);
bool xcr0_valid(u64 xcr0);

/* --- state.c -------------------------------------------------------------- */

#define VEE_EFER_BITS	(EFER_SCE | EFER_LME | EFER_LMA | EFER_NX)

/* Takes over and checks what the caller changed. Sleeps, or -EAGAIN in an inline run. */
int state_take(struct vee_vcpu *vcpu);
/* Inside the bracket. */
void state_load_staged(struct vee_vcpu *vcpu);

void state_fill(struct vee_vcpu *vcpu, u32 groups);
void state_read_control(struct vee_vcpu *vcpu, struct vee_control *control);
int state_reset(struct vee_vcpu *vcpu);

/* --- cr.c: inside the bracket --------------------------------------------- */

u64 cr0_read(void);
u64 cr4_read(void);
void cr0_write(struct vee_vcpu *vcpu, u64 cr0);
void cr4_write(struct vee_vcpu *vcpu, u64 cr4);
void efer_write(struct vee_vcpu *vcpu, u64 efer);
void cr_own(struct vee_vcpu *vcpu);
bool cr0_valid(u64 cr0);
bool cr4_valid(struct vee_vcpu *vcpu, u64 cr4);
bool efer_valid(u64 efer);
/* Sleeps, or -EAGAIN in an inline run. */
int cr_read_pdptes(struct vee_vcpu *vcpu, u64 cr3, u64 pdpte[4]);
void cr_write_pdptes(const u64 pdpte[4]);
bool cr_uses_pdptes(u64 cr0, u64 cr4, u64 efer);
enum next exit_cr(struct vee_vcpu *vcpu);
enum next exit_xsetbv(struct vee_vcpu *vcpu);
enum next exit_dr(struct vee_vcpu *vcpu);

/* --- cpuid.c -------------------------------------------------------------- */

int cpuid_reset(struct vee_vcpu *vcpu);
int cpuid_set(struct vee_vcpu *vcpu, const struct vee_cpuid *table);
int cpuid_get(struct vee_vcpu *vcpu, struct vee_cpuid *table);
enum next exit_cpuid(struct vee_vcpu *vcpu);

/* --- msr.c ---------------------------------------------------------------- */

int msr_init(void);
void msr_exit(void);
u64 msr_bitmap_hpa(void);
enum next exit_rdmsr(struct vee_vcpu *vcpu);
enum next exit_wrmsr(struct vee_vcpu *vcpu);

/* SDM 3C, "VM-Entry Controls for Event Injection"; exits use the same layout. */
#define INFO_VECTOR(info)	((info) & 0xff)
#define INFO_TYPE(info)		(((info) >> 8) & 7)
#define INFO_TYPE_SHIFT		8
#define INFO_TYPE_VECTOR	0x7ff
#define INFO_ERROR_CODE		BIT(11)
#define INFO_NMI_UNBLOCKING	BIT(12)
#define INFO_VALID		BIT(31)

/* --- event.c: inside the bracket, but for these three --------------------- */

int event_check(const struct vee_event *event, u64 cr0);
/* From any thread. */
int event_send(struct vee_vcpu *vcpu, const struct vee_event *event);
bool event_was_sent(const struct vee_vcpu *vcpu);

void event_take(struct vee_vcpu *vcpu);

static inline void event_take_sent(struct vee_vcpu *vcpu)
{
	if (unlikely(READ_ONCE(vcpu->sent_interrupt) | READ_ONCE(vcpu->sent_nmi)))
		event_take(vcpu);
}

void event_collect(struct vee_vcpu *vcpu);
void event_prepare(struct vee_vcpu *vcpu);

/* Both hold interrupts off for one instruction. */
#define INTERRUPT_SHADOW	(VEE_BLOCKING_BY_STI | VEE_BLOCKING_BY_MOV_SS)

#define PROC_WINDOWS	(PROC_NMI_WINDOW_EXITING | PROC_INTERRUPT_WINDOW_EXITING)
#define INTERCEPT_WINDOWS	(VEE_INTERCEPT_NMI_WINDOW |	\
				 VEE_INTERCEPT_INTERRUPT_WINDOW)

/* Something is on its way into the guest. */
static inline bool event_pending(const struct vee_vcpu *vcpu)
{
	return (vcpu->delivering.flags | vcpu->nmi.flags | vcpu->interrupt.flags) &
	       VEE_EVENT_VALID;
}

static inline bool event_windows(const struct vee_vcpu *vcpu)
{
	return vcpu->intercept & INTERCEPT_WINDOWS || vcpu->proc & PROC_WINDOWS;
}

/* The entry succeeded: delivered, unless event_collect() finds otherwise. */
static inline void event_entered(struct vee_vcpu *vcpu)
{
	if (unlikely(vcpu->injecting)) {
		vcpu->injecting->flags = 0;
		vcpu->injecting = NULL;
	}
}

void event_entry_failed(struct vee_vcpu *vcpu);
bool event_make_way(struct vee_vcpu *vcpu);
bool event_wakes(struct vee_vcpu *vcpu);
void event_set_error(struct vee_vcpu *vcpu, struct vee_event *event, u32 error_code);
/* The guest gets #UD, #GP(0). NEXT_PREPARE, so that a handler can end with them, or be. */
enum next event_ud(struct vee_vcpu *vcpu);
enum next event_gp(struct vee_vcpu *vcpu);
/* @rflags: the guest's */
u32 event_exit_flags(struct vee_vcpu *vcpu, u64 rflags);
/* NEXT_ENTER, likewise. */
enum next event_skip(struct vee_vcpu *vcpu);
/* TF's trap comes at the next entry, after the instruction that is done. */
void event_trap_pending(void);

/* Inside the bracket: most callers want to go on, past the instruction. */
static inline void state_load(struct vee_vcpu *vcpu)
{
	struct staged_state *staged = &vcpu->staged;

	if (unlikely(staged->groups || staged->fault)) {
		state_load_staged(vcpu);
	} else if (staged->next) {
		staged->next = false;
		event_skip(vcpu);
	}
}

/* --- post.c: with interrupts off ------------------------------------------ */

/* Without it there is nothing that post_write() would take. */
static inline bool post_watches(struct vee_vcpu *vcpu, u32 space)
{
	return unlikely(rcu_access_pointer(vcpu->vm->office.watches[space]));
}

/* --- exit.c --------------------------------------------------------------- */

/* Inside the bracket, after a VM exit. */
enum next exit_handle(struct vee_vcpu *vcpu, u32 reason);
const char *exit_name(u32 reason);
/* Inside the bracket: fills what the caller sees of an exit. */
enum next exit_user(struct vee_vcpu *vcpu, u32 reason);
enum next exit_entry_failed(struct vee_vcpu *vcpu, u32 instruction_error);

/* --- halt.c: inside the bracket ------------------------------------------- */

bool halt_begin(struct vee_vcpu *vcpu);
bool halt_lasts(struct vee_vcpu *vcpu);

/* The guest is in HLT, and nothing ends it. */
static inline bool halt_holds(struct vee_vcpu *vcpu)
{
	return vcpu->options & VEE_OPTION_HLT_SLEEPS && halt_lasts(vcpu);
}

/* For vee_vcpu.sleeper: outside of it. */
enum next halt_sleep(struct vee_vcpu *vcpu);

/* --- mmio.c --------------------------------------------------------------- */

enum next exit_ept_violation(struct vee_vcpu *vcpu);
/* Outside the bracket, for NEXT_FAULT. */
enum next exit_fault(struct vee_vcpu *vcpu);

/* --- store.c -------------------------------------------------------------- */

/**
 * struct store - a MOV to memory
 * @gva: linear address
 * @data: the value, zero-extended
 * @width: bytes: 1, 2, 4 or 8
 * @length: of the instruction in bytes
 */
struct store {
	u64 gva;
	u64 data;
	u8 width;
	u8 length;
};

/* False: these bytes, read as 64-bit code, are something else. */
bool store_decode(const u8 *code, unsigned int bytes, const struct vee_regs *regs,
		  struct store *store);

/* --- vcpu.c --------------------------------------------------------------- */

/* Inside the bracket: what the caller and the state loaded last ask of the controls. */
void vcpu_set_controls(struct vee_vcpu *vcpu);
/* Inside the bracket: what an instruction does that vee completes for the guest. */
void vcpu_flush_tlb(struct vee_vcpu *vcpu);
struct vee_vcpu *vcpu_create(struct vee_vm *vm, unsigned int id);
void vcpu_destroy(struct vee_vcpu *vcpu);
/* These under vcpu->lock. The first begins a run and sees it to its end. */
int vcpu_run(struct vee_vcpu *vcpu);
/*
 * Begins one in a thread that must not be kept for longer than @budget_us or put
 * to sleep. -EINPROGRESS: it is paused, vcpu_run_on() has to go on with it; -EAGAIN: it
 * has not begun, vcpu_run() has to do all of it.
 */
int vcpu_run_inline(struct vee_vcpu *vcpu, u32 budget_us);
/* -ESTALE: run @generation is not paused (any more); -EINVAL: it is yet to come. */
int vcpu_run_on(struct vee_vcpu *vcpu, u64 generation);

/* Of a paused run something was taken already, so its failure is no -EBUSY. */
static inline int vcpu_busy(bool paused)
{
	return paused ? -EINTR : -EBUSY;
}

/* VEE_VCPU_RUN, in a thread that may be kept. */
static inline int vcpu_run_or_go_on(struct vee_vcpu *vcpu, u64 generation)
{
	return unlikely(generation) ? vcpu_run_on(vcpu, generation) : vcpu_run(vcpu);
}

/* What the page says: the caller's to falsify, and its own loss. */
static inline int vcpu_exit_reason(const struct vee_vcpu *vcpu)
{
	return READ_ONCE(vcpu->page->exit.reason) & INT_MAX;
}

int vcpu_kick(struct vee_vcpu *vcpu, u64 generation);
/* Has the thread that runs @vcpu look up. */
void vcpu_interrupt(struct vee_vcpu *vcpu);
/* Runs @fn inside the bracket, from a context that may sleep. */
int vcpu_with_vmcs(struct vee_vcpu *vcpu,
		   void (*fn)(struct vee_vcpu *vcpu, void *arg), void *arg);

/* --- deadline.c ----------------------------------------------------------- */

int deadline_setup(void);
void deadline_init(struct vee_vcpu *vcpu);
void deadline_set(struct vee_vcpu *vcpu, u64 ns);
void deadline_clear(struct vee_vcpu *vcpu);
extern unsigned int slice_us;
/* By the CPU's timer, not by an hrtimer. */
extern bool limits_in_hardware;

static inline void deadline_start(struct vee_vcpu *vcpu)
{
	u64 ns = READ_ONCE(vcpu->page->deadline_ns);

	if (unlikely(ns))
		deadline_set(vcpu, ns);
}

static inline void deadline_stop(struct vee_vcpu *vcpu)
{
	if (unlikely(vcpu->limits & LIMIT_DEADLINE))
		deadline_clear(vcpu);
}

/* Is there a timer to set, or to turn off? */
static inline bool deadline_armed(const struct vee_vcpu *vcpu)
{
	return vcpu->limits || slice_us || vcpu->pin & PIN_PREEMPTION_TIMER;
}

/* Inside the bracket. */
void deadline_prepare(struct vee_vcpu *vcpu);

static inline bool deadline_passed(const struct vee_vcpu *vcpu)
{
	return unlikely(vcpu->limits & LIMIT_DEADLINE) &&
	       rdtsc() >= READ_ONCE(vcpu->deadline.tsc);
}

/* How long a sleep may last that nothing else ends. */
ktime_t deadline_timeout(struct vee_vcpu *vcpu);

void budget_set_timer(struct vee_vcpu *vcpu, u32 budget_us);
void limit_stop(struct limit *limit);
void budget_convert(struct vee_vcpu *vcpu, u32 budget_us);

/* For how long a run may be inline. */
static inline void budget_start(struct vee_vcpu *vcpu, u32 budget_us)
{
	if (unlikely(!limits_in_hardware)) {
		budget_set_timer(vcpu, budget_us);
		return;
	}
	if (unlikely(vcpu->budget_us != budget_us))
		budget_convert(vcpu, budget_us);
	vcpu->budget.tsc = rdtsc() + vcpu->budget_ticks;
	vcpu->limits |= LIMIT_WHOLE;
}

static inline void budget_stop(struct vee_vcpu *vcpu)
{
	if (likely(limits_in_hardware))
		vcpu->budget.tsc = U64_MAX;
	else
		limit_stop(&vcpu->budget);
	vcpu->limits &= LIMIT_DEADLINE;
}

static inline bool budget_passed(const struct vee_vcpu *vcpu)
{
	return unlikely(vcpu->limits & LIMIT_BUDGET) &&
	       rdtsc() >= READ_ONCE(vcpu->budget.tsc);
}

/*
 * For vee_vcpu.sleeper of an inline run: what it has to do may sleep. The guest does
 * its part again, in a thread that may.
 */
enum next budget_end(struct vee_vcpu *vcpu);

/* At the first entry: from then on less is left, and has to be looked after. */
static inline void budget_begin(struct vee_vcpu *vcpu)
{
	vcpu->limits ^= LIMIT_WHOLE | LIMIT_BUDGET;
}

/* The first entry finds all that deadline_prepare() would do for it done. */
static inline bool budget_is_set(const struct vee_vcpu *vcpu)
{
	return vcpu->limits == LIMIT_WHOLE && !slice_us &&
	       vcpu->pin & PIN_PREEMPTION_TIMER &&
	       vcpu->timer == vcpu->budget_timer;
}

/* --- step.c: inside the bracket -------------------------------------------- */

void step_prepare(struct vee_vcpu *vcpu);
void step_untrap(struct vee_vcpu *vcpu);
bool step_is_debug(struct vee_vcpu *vcpu);
bool step_is_timer(struct vee_vcpu *vcpu);

static inline bool step_armed(const struct vee_vcpu *vcpu)
{
	return vcpu->intercept & VEE_INTERCEPT_STEP ||
	       vcpu->proc & PROC_MONITOR_TRAP_FLAG;
}

static inline void step_after_exit(struct vee_vcpu *vcpu)
{
	if (unlikely(vcpu->step == STEP_TRAP))
		step_untrap(vcpu);
}

/*
 * The step is over, too, when the engine or the caller (VEE_RESUME_NEXT) has done
 * the instruction: hardware only counts what the CPU does.
 */
static inline bool step_is_over(struct vee_vcpu *vcpu)
{
	return unlikely(vcpu->intercept & VEE_INTERCEPT_STEP) && vcpu->stepped &&
	       !event_pending(vcpu);
}

/* --- ioctl.c -------------------------------------------------------------- */

extern const struct file_operations device_fops;
/* NULL: it is none. */
struct vee_vcpu *vcpu_of(const struct file *file);

/* --- uring.c -------------------------------------------------------------- */

int vcpu_uring_cmd(struct io_uring_cmd *ioucmd, unsigned int issue_flags);
int device_uring_cmd(struct io_uring_cmd *ioucmd, unsigned int issue_flags);

/* In the VMCS's pending debug exceptions: a single step. */
#define PENDING_DEBUG_BS	BIT_ULL(14)

/* SDM 3B, "Debug Registers": bits that asm/debugreg.h has no name for. */
#define DR6_ACCESS	BIT(13)	/* BD: a debug register was accessed */
#define DR7_DETECT	BIT(13)	/* GD: and that is to be detected */
#define DR7_ALWAYS_ONE	BIT(10)

/* IA32_EFER.LMA of the guest. */
static inline bool long_mode_active(const struct vee_vcpu *vcpu)
{
	return vcpu->entry & ENTRY_IA32E_GUEST;
}

/* Inside the bracket. */
static inline bool in_64bit_code(const struct vee_vcpu *vcpu)
{
	return long_mode_active(vcpu) &&
	       vmcs_read(VMCS_GUEST_CS_ACCESS_RIGHTS) & VEE_AR_L;
}

/* RAX, RDX and so on of the guest: always live in the vCPU page. */
static inline struct vee_regs *guest_regs(struct vee_vcpu *vcpu)
{
	return &vcpu->page->regs;
}

#endif /* _VEE_VCPU_H */
