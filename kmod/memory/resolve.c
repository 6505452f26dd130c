// SPDX-License-Identifier: GPL-2.0-only
/*
 * What an EPT violation is resolved with: the page that is behind it in the caller's address
 * space, and how it may be mapped.
 *
 * Nothing here waits for a disk, a network or a program.
 */
#include <linux/cpu.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/pgtable.h>
#include <linux/rcupdate.h>
#include <asm/cpufeature.h>

#include "memory/absent.h"
#include "memory/ept.h"
#include "memory/resolve.h"
#include "memory/slots.h"
#include "vmx/caps.h"

/* --- the page ------------------------------------------------------------------------- */

/*
 * A page that is writable as it is will be mapped so even if the guest only
 * reads: that saves a second fault. It must not be made writable for that, or
 * reading would break copy-on-write and fill holes in files.
 */
int fault_get_page(struct fault *fault)
{
	unsigned int flags = FOLL_HWPOISON | (fault->write ? FOLL_WRITE : 0);
	long got;

	fault->writable = true;
	if (fault->access & VEE_WRITE &&
	    get_user_page_fast_only(fault->hva, FOLL_WRITE, &fault->page))
		return 0;

	fault->writable = fault->write;
	if (!fault->write && get_user_page_fast_only(fault->hva, 0, &fault->page))
		return 0;

	if (!fault->may_sleep ||
	    !(fault->fetched == fault->hva ||
	      mem_is_at_hand(fault->slot->memory->mm, fault->hva)))
		return -EBUSY;
	/* 0: it would take a wait. */
	got = get_user_pages_unlocked(fault->hva, 1, &fault->page, flags | FOLL_NOWAIT);
	if (!got)
		return -EBUSY;
	return got == 1 ? 0 : mem_gup_error(got);
}

/*
 * The guest's writes leave no trace in the host's page tables, and swap and
 * writeback go by the page's dirty flag. It is set before the guest can write.
 * Whoever clears it takes the page from the guest first, or makes it read-only,
 * by way of the notifier: if before the check of the sequence in fault_map(),
 * that notices it, and if after, it zaps what was mapped. So no write is ever to
 * a page that is taken for clean.
 *
 * Nor must a page become dirty that its filesystem has cleaned since it was got,
 * and may have made unfit for writing: it wants to be asked again. It cleans
 * with the page locked, so what the check finds here stays true until unlock.
 */
int fault_dirty(struct fault *fault, unsigned long seq)
{
	int error = 0;

	if (page_dirty_without_lock(fault->page))
		return 0;
	if (!trylock_page(fault->page))
		return -EBUSY;
	if (watch_may_be_over(fault->watch, seq))
		error = -EAGAIN;
	else
		set_page_dirty(fault->page);
	unlock_page(fault->page);
	return error;
}

/* --- how it may be mapped ---------------------------------------------------------------- */

/*
 * How much one entry of the caller's page tables maps at @hva, as a level: all of
 * that is one piece of memory with one set of permissions. Tables are freed only
 * after an interrupt on each CPU that could be walking them.
 */
static int host_level(struct mm_struct *mm, unsigned long hva)
{
	unsigned long flags;
	int level = 1;
	pgd_t pgd;
	p4d_t p4d;
	pud_t pud;
	pmd_t pmd;

	local_irq_save(flags);
	pgd = READ_ONCE(*pgd_offset(mm, hva));
	if (!pgd_present(pgd))
		goto out;
	p4d = READ_ONCE(*p4d_offset(&pgd, hva));
	if (!p4d_present(p4d))
		goto out;
	pud = READ_ONCE(*pud_offset(&p4d, hva));
	if (!pud_present(pud))
		goto out;
	if (pud_leaf(pud)) {
		level = 3;
		goto out;
	}
	pmd = READ_ONCE(*pmd_offset(&pud, hva));
	if (pmd_present(pmd) && pmd_leaf(pmd))
		level = 2;
out:
	local_irq_restore(flags);
	return level;
}

static bool level_offered(int level)
{
	return level == 1 || caps_has(level == 2 ? VEE_FEATURE_EPT_2M : VEE_FEATURE_EPT_1G);
}

/* Gpa and hva agree on where such a piece begins, and the slot has all of it. */
static bool level_fits(const struct fault *fault, int level)
{
	const struct slot *slot = fault->slot;
	u64 mask = ept_span(level) - 1;

	return level == 1 ||
	       (!((fault->gpa ^ fault->hva) & mask) &&
		(fault->gpa & ~mask) >= slot->node.start &&
		(fault->gpa | mask) <= slot->node.last);
}

/*
 * On CPUs with this erratum a guest that changes the size of a page under an
 * instruction fetch hangs the machine: code is in 4 KiB pages there, and larger
 * ones hold none.
 */
static bool small_code(void)
{
	return boot_cpu_has_bug(X86_BUG_ITLB_MULTIHIT) && !cpu_mitigations_off();
}

/* Nearly all memory is of small pages, which takes no walk to find out. */
static bool may_be_large(struct page *page)
{
	return PageCompound(page) || is_zone_device_page(page);
}

int fault_level(const struct fault *fault)
{
	int level;

	if (!may_be_large(fault->page) || (fault->execute && small_code()))
		return 1;
	level = host_level(fault->slot->memory->mm, fault->hva);
	while (!level_offered(level) || !level_fits(fault, level))
		level--;
	return level;
}

unsigned int fault_access(const struct fault *fault, int level)
{
	unsigned int access = fault->access;

	if (!fault->writable)
		access &= ~VEE_WRITE;
	if (level > 1 && small_code())
		access &= ~VEE_EXECUTE;
	return access;
}
