/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Every difference between the kernels that vee builds for, and nowhere else.
 *
 * VEE_HAVE_NAME is set by Kbuild when kmod/probe/name.c compiles against the
 * kernel at hand: what a kernel has is asked, not concluded from its version.
 */
#ifndef _VEE_COMPAT_H
#define _VEE_COMPAT_H

#include <linux/eventfd.h>
#include <linux/file.h>
#include <linux/hrtimer.h>
#include <linux/mm.h>
#include <linux/rcupdate.h>
#include <linux/smp.h>
#include <linux/syscore_ops.h>
#include <asm/cpufeature.h>

#include "vmx/mitigations.h"

/* Where spinlocks sleep, none is taken with preemption off: memory and doorbells wait. */
#define VEE_LOCKS_SLEEP	IS_ENABLED(CONFIG_PREEMPT_RT)

/*
 * Where it is missing Linux is either older, and turns VMX off wherever it is on, or newer,
 * and does so for those alone that got it from KVM's core. In between it is KVM's alone.
 */
#if defined(VEE_HAVE_EMERGENCY) && defined(VEE_EXPORTED_CPU_EMERGENCY_REGISTER_VIRT_CALLBACK)
#include <asm/reboot.h>

#define vee_emergency_register		cpu_emergency_register_virt_callback
#define vee_emergency_unregister	cpu_emergency_unregister_virt_callback
#else
static inline void vee_emergency_register(void (*fn)(void))
{
}

static inline void vee_emergency_unregister(void (*fn)(void))
{
}
#endif

#ifdef VEE_HAVE_EVENTFD_SIGNAL
#define vee_eventfd_signal(ctx) eventfd_signal(ctx)
#else
#define vee_eventfd_signal(ctx) eventfd_signal(ctx, 1)
#endif

#ifdef VEE_HAVE_RCU_VIRT
#define vee_rcu_note_guest() rcu_virt_note_context_switch()
#else
#define vee_rcu_note_guest() rcu_virt_note_context_switch(smp_processor_id())
#endif

#ifndef fd_file
#define fd_file(fd) ((fd).file)
#endif

/*
 * Before preemption is on again after a guest: no branch that it has trained may
 * steer the caller's program (Documentation/admin-guide/hw-vuln/vmscape.rst).
 */
#ifdef VEE_SHIELDS_USER
#include <asm/nospec-branch.h>

static inline void vee_barrier_at_user(void)
{
	if (cpu_feature_enabled(X86_FEATURE_IBPB_EXIT_TO_USER))
		this_cpu_write(x86_ibpb_exit_to_user, true);
}
#else
static inline void vee_barrier_at_user(void)
{
}
#endif

/* Where the payload of an IORING_OP_URING_CMD is. */
#ifdef VEE_HAVE_URING_TYPED
#include <linux/io_uring/cmd.h>
#include "linux/vee.h"

static inline const void *vee_uring_payload(const struct io_uring_cmd *ioucmd)
{
	return io_uring_sqe_cmd(ioucmd->sqe, struct vee_uring_cmd);
}
#elif defined(VEE_HAVE_URING_SQE)
#include <linux/io_uring/cmd.h>

static inline const void *vee_uring_payload(const struct io_uring_cmd *ioucmd)
{
	return io_uring_sqe_cmd(ioucmd->sqe);
}
#else
#include <linux/io_uring.h>

static inline const void *vee_uring_payload(const struct io_uring_cmd *ioucmd)
{
	return ioucmd->cmd;
}
#endif

#ifdef VEE_HAVE_URING_DONE
#define vee_uring_done(ioucmd, ret, issue_flags) io_uring_cmd_done(ioucmd, ret, issue_flags)
#else
#define vee_uring_done(ioucmd, ret, issue_flags) io_uring_cmd_done(ioucmd, ret, 0, issue_flags)
#endif

/* Is it of a ring that polls? Older kernels refuse these themselves. */
#ifdef VEE_HAVE_URING_POLLED
static inline bool vee_uring_polled(struct io_uring_cmd *ioucmd)
{
	return cmd_to_io_kiocb(ioucmd)->ctx->flags & IORING_SETUP_IOPOLL;
}
#else
static inline bool vee_uring_polled(struct io_uring_cmd *ioucmd)
{
	return false;
}
#endif

/*
 * For a request that is about to be given to a worker: as IOSQE_ASYNC. Without it
 * io_uring takes a worker that is in a guest for one that will soon be done, and
 * queues other requests behind it.
 */
#ifdef VEE_HAVE_URING_KIOCB
#include <linux/io_uring_types.h>

static inline void vee_uring_wants_worker(struct io_uring_cmd *ioucmd)
{
	cmd_to_io_kiocb(ioucmd)->flags |= REQ_F_FORCE_ASYNC;
}
#else
static inline void vee_uring_wants_worker(struct io_uring_cmd *ioucmd)
{
}
#endif

/* As get_user_pages_remote(), for one page. */
#ifdef VEE_HAVE_GUP_VMAS
#define vee_get_user_page_remote(mm, hva, flags, page, locked)	\
	get_user_pages_remote(mm, hva, 1, flags, page, NULL, locked)
#else
#define vee_get_user_page_remote(mm, hva, flags, page, locked)	\
	get_user_pages_remote(mm, hva, 1, flags, page, locked)
#endif

/* Look for pages as an access by their addresses would, also where NUMA balancing watches. */
#ifdef VEE_HAVE_FOLL_NUMA
#define VEE_FOLL_NUMA	FOLL_HONOR_NUMA_FAULT
#else
#define VEE_FOLL_NUMA	0
#endif

/* What the caller's tables have at @hva, of an area without struct pages; 0 if anything. */
#ifdef VEE_HAVE_FOLLOW_PFNMAP
static inline int vee_follow_pfn(struct vm_area_struct *vma, unsigned long hva,
				 unsigned long *pfn, pgprot_t *prot, bool *writable)
{
	struct follow_pfnmap_args args = { .vma = vma, .address = hva };
	int error = follow_pfnmap_start(&args);

	if (error)
		return error;
	*pfn = args.pfn;
	*prot = args.pgprot;
	*writable = args.writable;
	follow_pfnmap_end(&args);
	return 0;
}
#else
static inline int vee_follow_pfn(struct vm_area_struct *vma, unsigned long hva,
				 unsigned long *pfn, pgprot_t *prot, bool *writable)
{
	spinlock_t *lock;
	pte_t *pte;
	int error = follow_pte(vma->vm_mm, hva, &pte, &lock);

	if (error)
		return error;
	/* For sparse: the function that took the lock doesn't say so. */
	__acquire(lock);
	*pfn = pte_pfn(*pte);
	*prot = pte_pgprot(*pte);
	*writable = pte_write(*pte);
	pte_unmap_unlock(pte, lock);
	return 0;
}
#endif

/* What work_do() did was for a guest: what it left undone for the thread's own rseq is due. */
#ifdef VEE_HAVE_RSEQ_VIRT
#include <linux/rseq.h>

#define vee_rseq_due() rseq_virt_userspace_exit()
#else
#define vee_rseq_due() do { } while (0)
#endif

/* What a file in /sys/module/vee has for a description. */
#ifdef VEE_HAVE_CONST_ATTRIBUTE
#define VEE_CONST_ATTRIBUTE	const
#else
#define VEE_CONST_ATTRIBUTE
#endif

#ifdef VEE_HAVE_HRTIMER_SETUP
#define vee_hrtimer_setup hrtimer_setup
#else
static inline void vee_hrtimer_setup(struct hrtimer *timer,
				     enum hrtimer_restart (*fn)(struct hrtimer *),
				     clockid_t clock, enum hrtimer_mode mode)
{
	hrtimer_init(timer, clock, mode);
	timer->function = fn;
}
#endif

/*
 * VEE_SYSCORE(name, suspend, resume) defines what runs on the last CPU as the
 * machine is suspended and resumed: int suspend(void) and void resume(void).
 */
#ifdef VEE_HAVE_SYSCORE
#define VEE_SYSCORE(name, suspend_fn, resume_fn)			\
static int name##_suspend(void *unused)					\
{									\
	return suspend_fn();						\
}									\
									\
static void name##_resume(void *unused)					\
{									\
	resume_fn();							\
}									\
									\
static const struct syscore_ops name##_ops = {				\
	.suspend = name##_suspend,					\
	.resume = name##_resume,					\
};									\
									\
static struct syscore name = { .ops = &name##_ops }

#define vee_syscore_register	register_syscore
#define vee_syscore_unregister	unregister_syscore
#else
#define VEE_SYSCORE(name, suspend_fn, resume_fn)			\
static struct syscore_ops name = {					\
	.suspend = suspend_fn,						\
	.resume = resume_fn,						\
}

#define vee_syscore_register	register_syscore_ops
#define vee_syscore_unregister	unregister_syscore_ops
#endif

#endif /* _VEE_COMPAT_H */
