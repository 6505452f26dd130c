// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guest memory: slots, and the pages of the caller's address space behind them.
 *
 * Nothing is pinned. A page is mapped in the EPT when the guest first touches
 * it, and an MMU notifier takes it out before the host does anything to it that
 * the guest must not miss: unmap, migrate, write-protect, clean. So the guest
 * never reaches, or writes, what the caller could not.
 *
 * Locks, outermost first: vee_vm.slots_lock, mmap_lock, vee_vm.lock. The last is
 * taken in the notifier, where even the OOM killer calls, and where the page's
 * fate waits for us: under it nothing sleeps.
 */
#include <linux/cpu.h>
#include <linux/interval_tree.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/mmap_lock.h>
#include <linux/mmu_notifier.h>
#include <linux/overflow.h>
#include <linux/pagemap.h>
#include <linux/pfn.h>
#include <linux/pgtable.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <asm/cpufeature.h>

#include "vcpu.h"
#include "vee.h"

/* What is zapped at once under vee_vm.lock: at most some 260000 entries. */
#define ZAP_PIECE	SZ_1G

/**
 * struct slot - a range of guest-physical memory
 * @node: in vee_vm.slots: its first and last guest-physical address
 * @notifier: watches the memory behind it
 * @vm: its VM
 * @hva: where that memory is in the VM's address space
 * @access: VEE_READ, VEE_WRITE, VEE_EXECUTE
 *
 * Constant while it is in the tree.
 */
struct slot {
	struct interval_tree_node node;
	struct mmu_interval_notifier notifier;
	struct vee_vm *vm;
	unsigned long hva;
	unsigned int access;
};

static u64 slot_bytes(const struct slot *slot)
{
	return slot->node.last - slot->node.start + 1;
}

static struct slot *slot_find(struct vee_vm *vm, u64 gpa, u64 last)
{
	struct interval_tree_node *node;

	node = interval_tree_iter_first(&vm->slots, gpa, last);
	return node ? container_of(node, struct slot, node) : NULL;
}

/* --- taking memory from the guest ------------------------------------------ */

/* When this returns no vCPU can reach the range through the EPT. */
static void zap_piece(struct vee_vm *vm, u64 gpa, u64 bytes)
{
	LIST_HEAD(freed);

	spin_lock(&vm->lock);
	if (ept_zap(&vm->ept, gpa, bytes, &freed))
		vm_flush(vm);
	spin_unlock(&vm->lock);
	ept_free_tables(&freed);
}

/* In pieces, since the lock keeps the CPU from everything else. */
static void zap(struct vee_vm *vm, u64 gpa, u64 bytes, bool may_sleep)
{
	while (bytes) {
		u64 piece = min_t(u64, bytes, ZAP_PIECE);

		zap_piece(vm, gpa, piece);
		gpa += piece;
		bytes -= piece;
		if (may_sleep)
			cond_resched();
	}
}

/*
 * Called before the host changes the range, and waited for. From
 * mmu_interval_set_seq() on, under the lock, until the change is over, no fault
 * can map any of the slot: mem_fault() finds its sequence number gone.
 */
static bool slot_invalidate(struct mmu_interval_notifier *notifier,
			    const struct mmu_notifier_range *range,
			    unsigned long seq)
{
	struct slot *slot = container_of(notifier, struct slot, notifier);
	u64 end = slot->hva + slot_bytes(slot);
	/* At the end of the address space's life the range is all there is. */
	u64 from = max_t(u64, range->start, slot->hva) & PAGE_MASK;
	u64 to = min_t(u64, range->end, end);

	spin_lock(&slot->vm->lock);
	mmu_interval_set_seq(notifier, seq);
	spin_unlock(&slot->vm->lock);

	if (from < to)
		zap(slot->vm, slot->node.start + (from - slot->hva),
		    PAGE_ALIGN(to - from), mmu_notifier_range_blockable(range));
	return true;
}

static const struct mmu_interval_notifier_ops slot_notifier_ops = {
	.invalidate = slot_invalidate,
};

/* --- slots ----------------------------------------------------------------- */

static int map_check(const struct vee_map *map)
{
	const u32 known = VEE_READ | VEE_WRITE | VEE_EXECUTE;
	u64 gpa_end, hva_end;

	if (!PAGE_ALIGNED(map->gpa | map->hva | map->bytes) || !map->bytes)
		return -EINVAL;
	if (map->access & ~known || !(map->access & VEE_READ) || map->reserved)
		return -EINVAL;
	if (check_add_overflow(map->gpa, map->bytes, &gpa_end) ||
	    check_add_overflow(map->hva, map->bytes, &hva_end))
		return -EINVAL;
	if (gpa_end > BIT_ULL(vee_caps.gpa_bits))
		return -EINVAL;
	return 0;
}

/* Is all of it mapped in the caller? It may be unmapped later: see mem_fault(). */
static int hva_check(u64 hva, u64 bytes)
{
	struct mm_struct *mm = current->mm;
	u64 end = hva + bytes;

	if (end > TASK_SIZE_MAX)
		return -EFAULT;
	if (mmap_read_lock_killable(mm))
		return -EINTR;
	while (hva < end) {
		struct vm_area_struct *vma = find_vma(mm, hva);

		if (!vma || vma->vm_start > hva)
			break;
		hva = vma->vm_end;
	}
	mmap_read_unlock(mm);
	return hva < end ? -EFAULT : 0;
}

static int slot_add(struct vee_vm *vm, const struct vee_map *map)
{
	struct slot *slot = kzalloc(sizeof(*slot), GFP_KERNEL_ACCOUNT);
	int error;

	if (!slot)
		return -ENOMEM;

	slot->node.start = map->gpa;
	slot->node.last = map->gpa + map->bytes - 1;
	slot->vm = vm;
	slot->hva = map->hva;
	slot->access = map->access;
	error = mmu_interval_notifier_insert(&slot->notifier, vm->mm, map->hva,
					     map->bytes, &slot_notifier_ops);
	if (error) {
		kfree(slot);
		return error;
	}
	interval_tree_insert(&slot->node, &vm->slots);
	vm->slot_count++;
	return 0;
}

/*
 * Zaps first and lets go of the notifier after: in between, the host may still
 * take pages away. Nothing can be mapped anew, since nobody is in mem_fault().
 * The notifier holds its own reference to the address space, which may have
 * ended its life long ago.
 */
static void slot_remove(struct slot *slot)
{
	struct vee_vm *vm = slot->vm;

	interval_tree_remove(&slot->node, &vm->slots);
	vm->slot_count--;
	zap(vm, slot->node.start, slot_bytes(slot), true);
	mmu_interval_notifier_remove(&slot->notifier);
	kfree(slot);
}

int mem_add(struct vee_vm *vm, const struct vee_map *map)
{
	int error = map_check(map);

	if (error)
		return error;
	if (down_write_killable(&vm->slots_lock))
		return -EINTR;

	if (slot_find(vm, map->gpa, map->gpa + map->bytes - 1))
		error = -EEXIST;
	else
		error = hva_check(map->hva, map->bytes);
	if (!error && vm->slot_count >= VEE_MAX_SLOTS)
		error = -ENOSPC;
	if (!error)
		error = slot_add(vm, map);

	up_write(&vm->slots_lock);
	return error;
}

int mem_remove(struct vee_vm *vm, const struct vee_unmap *unmap)
{
	struct slot *slot;
	int error = 0;

	if (down_write_killable(&vm->slots_lock))
		return -EINTR;

	slot = slot_find(vm, unmap->gpa, unmap->gpa);
	if (slot && slot->node.start == unmap->gpa &&
	    slot_bytes(slot) == unmap->bytes)
		slot_remove(slot);
	else
		error = -ENOENT;

	up_write(&vm->slots_lock);
	return error;
}

/*
 * Before ept_destroy(), with no vCPU left. Notifiers still come in, if the
 * address space lives on, so all that vm_flush() looks at must be there yet.
 */
void mem_destroy(struct vee_vm *vm)
{
	struct slot *slot;

	down_write(&vm->slots_lock);
	while ((slot = slot_find(vm, 0, U64_MAX)))
		slot_remove(slot);
	up_write(&vm->slots_lock);
}

/* --- faults ---------------------------------------------------------------- */

/**
 * struct fault - an EPT violation to resolve
 * @slot: where
 * @gpa: the page
 * @hva: the memory behind it
 * @write: the guest means to write
 * @execute: ... or to fetch instructions
 * @may_sleep: the thread may be put to sleep for it
 * @page: that memory's page, with a reference
 * @writable: @page may be written
 */
struct fault {
	struct slot *slot;
	u64 gpa;
	unsigned long hva;
	bool write;
	bool execute;
	bool may_sleep;
	struct page *page;
	bool writable;
};

/* What struct vee_exit_memory, @error knows of. */
static int gup_error(long got)
{
	switch (got) {
	case -EINTR:
	case -ERESTARTSYS:
		return -EINTR;
	case -ENOMEM:
	case -EHWPOISON:
		return got;
	default:
		return -EFAULT;
	}
}

/*
 * A page that is writable as it is will be mapped so even if the guest only
 * reads: that saves a second fault. It must not be made writable for that, or
 * reading would break copy-on-write and fill holes in files.
 */
static int fault_get_page(struct fault *fault)
{
	unsigned int flags = FOLL_HWPOISON | (fault->write ? FOLL_WRITE : 0);
	long got;

	fault->writable = true;
	if (fault->slot->access & VEE_WRITE &&
	    get_user_page_fast_only(fault->hva, FOLL_WRITE, &fault->page))
		return 0;

	fault->writable = fault->write;
	if (!fault->write && get_user_page_fast_only(fault->hva, 0, &fault->page))
		return 0;

	if (!fault->may_sleep)
		return -EBUSY;
	got = get_user_pages_unlocked(fault->hva, 1, &fault->page, flags);
	return got == 1 ? 0 : gup_error(got);
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
static int fault_dirty(struct fault *fault, unsigned long seq)
{
	int error = 0;

	if (fault->may_sleep)
		lock_page(fault->page);
	else if (!trylock_page(fault->page))
		return -EBUSY;
	if (mmu_interval_check_retry(&fault->slot->notifier, seq))
		error = -EAGAIN;
	else
		set_page_dirty(fault->page);
	unlock_page(fault->page);
	return error;
}

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
	u64 mask = BIT_ULL(ept_shift(level)) - 1;

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

static int fault_level(const struct fault *fault)
{
	int level;

	if (fault->execute && small_code())
		return 1;
	level = host_level(fault->slot->vm->mm, fault->hva);
	while (!level_offered(level) || !level_fits(fault, level))
		level--;
	return level;
}

/* The lock keeps the notifier out, so the host's page tables are as they were. */
static void fault_map_locked(struct fault *fault, struct ept_cache *cache)
{
	unsigned int access = fault->slot->access;
	int level = fault_level(fault);

	if (!fault->writable)
		access &= ~VEE_WRITE;
	if (level > 1 && small_code())
		access &= ~VEE_EXECUTE;
	ept_map(&fault->slot->vm->ept, cache, fault->gpa,
		PFN_PHYS(page_to_pfn(fault->page)), access, level);
}

static int fault_map(struct fault *fault, unsigned long seq,
		     struct ept_cache *cache)
{
	struct vee_vm *vm = fault->slot->vm;
	int error = -EAGAIN;
	u64 generation;

	spin_lock(&vm->lock);
	generation = vm->ept.generation;
	if (!mmu_interval_read_retry(&fault->slot->notifier, seq)) {
		fault_map_locked(fault, cache);
		error = 0;
	}
	if (vm->ept.generation != generation)
		vm_flush(vm);
	spin_unlock(&vm->lock);
	return error;
}

/* -EAGAIN: the host was at it at the same time. */
static int fault_try(struct fault *fault, struct ept_cache *cache)
{
	unsigned long seq = mmu_interval_read_begin(&fault->slot->notifier);
	int error = fault_get_page(fault);

	if (error)
		return error;
	if (fault->writable)
		error = fault_dirty(fault, seq);
	if (!error)
		error = fault_map(fault, seq, cache);
	put_page(fault->page);
	return error;
}

static int fault_resolve(struct fault *fault, struct ept_cache *cache)
{
	int error = ept_cache_fill(cache);

	while (!error) {
		error = fault_try(fault, cache);
		if (error != -EAGAIN)
			return error;
		/* Others may keep the host busy there for as long as they like. */
		error = signal_pending(current) ? -EINTR : 0;
		cond_resched();
	}
	return error;
}

/* For long it can't be held: but for memory that is being mapped or unmapped. */
static int read_lock_slots(struct vee_vm *vm, bool may_sleep)
{
	if (!may_sleep)
		return down_read_trylock(&vm->slots_lock) ? 0 : -EBUSY;
	return down_read_killable(&vm->slots_lock);
}

int mem_fault(struct vee_vcpu *vcpu, u64 gpa, unsigned int access)
{
	struct vee_vm *vm = vcpu->vm;
	struct fault fault = {
		.gpa = gpa & PAGE_MASK,
		.write = access & VEE_WRITE,
		.execute = access & VEE_EXECUTE,
		.may_sleep = !vcpu->is_inline,
	};
	int error = read_lock_slots(vm, fault.may_sleep);

	if (error)
		return error;

	fault.slot = slot_find(vm, gpa, gpa);
	if (!fault.slot) {
		error = -ENOENT;
	} else if (access & ~fault.slot->access) {
		error = -EACCES;
	} else {
		fault.hva = fault.slot->hva + (fault.gpa - fault.slot->node.start);
		error = fault_resolve(&fault, &vcpu->ept_cache);
	}

	up_read(&vm->slots_lock);
	if (!error)
		vcpu->stats.faults++;
	return error;
}

/* --- access by the host ---------------------------------------------------- */

static int read_slots(struct vee_vm *vm, u64 gpa, void *buf, size_t bytes)
{
	while (bytes) {
		struct slot *slot = slot_find(vm, gpa, gpa);
		unsigned long hva;
		size_t piece;

		if (!slot)
			return -EFAULT;
		hva = slot->hva + (gpa - slot->node.start);
		piece = min_t(u64, bytes, slot->node.last - gpa + 1);
		if (copy_from_user(buf, (const void __user *)hva, piece))
			return -EFAULT;
		gpa += piece;
		buf += piece;
		bytes -= piece;
	}
	return 0;
}

/* The caller runs in the VM's address space. -EINTR: it is being killed. */
int mem_read(struct vee_vm *vm, u64 gpa, void *buf, size_t bytes)
{
	int error;

	if (down_read_killable(&vm->slots_lock))
		return -EINTR;
	error = read_slots(vm, gpa, buf, bytes);
	up_read(&vm->slots_lock);
	return error;
}
