// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guest memory: slots, and the pages of the caller's address space behind them.
 *
 * Nothing is pinned. A page is mapped in the EPT when the guest first touches
 * it, and an MMU notifier takes it out before the host does anything to it that
 * the guest must not miss: unmap, migrate, write-protect, clean. So the guest
 * never reaches, or writes, what the caller could not.
 *
 * Locks, outermost first: memory.slots_lock, mmap_lock, memory.lock. The last is
 * taken in the notifier, where even the OOM killer calls, and where the page's
 * fate waits for us: under it nothing sleeps.
 */
#include <linux/err.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/mmap_lock.h>
#include <linux/mmu_notifier.h>
#include <linux/overflow.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "memory/absent.h"
#include "memory/slots.h"
#include "memory/template.h"
#include "vmx/caps.h"

static u64 slot_bytes(const struct slot *slot)
{
	return slot->node.last - slot->node.start + 1;
}

/* The first with any of it, or NULL. */
static struct slot *slot_find(struct memory *memory, u64 gpa, u64 last)
{
	struct interval_tree_node *node;

	node = interval_tree_iter_first(&memory->slots, gpa, last);
	return node ? container_of(node, struct slot, node) : NULL;
}

struct slot *slot_search(struct memory *memory, u64 gpa)
{
	struct slot *slot = slot_find(memory, gpa, gpa);

	/* Others may be here, too: any of their slots will do. */
	if (slot)
		WRITE_ONCE(memory->found, slot);
	return slot;
}

/* --- taking memory from the guest ------------------------------------------ */

/* When this returns no vCPU can reach so much of the range through the EPT. */
static u64 zap_piece(struct memory *memory, u64 gpa, u64 bytes)
{
	LIST_HEAD(freed);

	spin_lock(&memory->lock);
	bytes = ept_piece(&memory->ept, gpa, bytes);
	if (ept_zap(&memory->ept, gpa, bytes, &freed))
		presence_flush(&memory->presences);
	spin_unlock(&memory->lock);
	ept_free_tables(&freed);
	return bytes;
}

/* In pieces, since the lock keeps the CPU from everything else. */
static void zap(struct memory *memory, u64 gpa, u64 bytes, bool may_sleep)
{
	while (bytes) {
		u64 piece = zap_piece(memory, gpa, bytes);

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
	struct slot *slot = container_of(notifier, struct slot, watch.notifier);
	u64 end = slot->hva + slot_bytes(slot);
	/* At the end of the address space's life the range is all there is. */
	u64 from = max_t(u64, range->start, slot->hva) & PAGE_MASK;
	u64 to = min_t(u64, range->end, end);

	spin_lock(&slot->memory->lock);
	mmu_interval_set_seq(notifier, seq);
	spin_unlock(&slot->memory->lock);

	if (from < to)
		zap(slot->memory, slot->node.start + (from - slot->hva),
		    PAGE_ALIGN(to - from), mmu_notifier_range_blockable(range));
	return true;
}

static const struct mmu_interval_notifier_ops slot_notifier_ops = {
	.invalidate = slot_invalidate,
};

/* --- slots ----------------------------------------------------------------- */

void mem_forget_record(struct memory *memory, struct record *record)
{
	struct record_room room;

	spin_lock(&memory->lock);
	records_remove(&memory->written, record, &room);
	if (!records_any(&memory->written))
		ept_use_flags(&memory->ept, false);
	presence_flush(&memory->presences);
	spin_unlock(&memory->lock);
	record_room_free(&room);
	record_free(record);
}

static void forget_records_in(struct memory *memory, u64 gpa, u64 bytes)
{
	struct record *record;

	while ((record = records_in(&memory->written, gpa, bytes)))
		mem_forget_record(memory, record);
}

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
	return template_check(map);
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

static int add_template(struct slot *slot, const struct vee_map *map)
{
	struct memory *memory = slot->memory;
	struct template *template = template_make(map, memory->mm, &memory->lock, &memory->ept,
						  &memory->presences);

	if (IS_ERR(template)) {
		mmu_interval_notifier_remove(&slot->watch.notifier);
		return PTR_ERR(template);
	}
	slot->template = template;
	return 0;
}

static int slot_add(struct memory *memory, const struct vee_map *map)
{
	struct slot *slot = kzalloc(sizeof(*slot), GFP_KERNEL_ACCOUNT);
	int error;

	if (!slot)
		return -ENOMEM;

	slot->node.start = map->gpa;
	slot->node.last = map->gpa + map->bytes - 1;
	slot->memory = memory;
	slot->hva = map->hva;
	slot->access = map->access;
	error = mmu_interval_notifier_insert(&slot->watch.notifier, memory->mm, map->hva,
					     map->bytes, &slot_notifier_ops);
	if (!error && map->pool_bytes)
		error = add_template(slot, map);
	if (error) {
		kfree(slot);
		return error;
	}
	interval_tree_insert(&slot->node, &memory->slots);
	memory->slot_count++;
	WRITE_ONCE(memory->changes, memory->changes + 1);
	memory->lent += map->bytes;
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
	struct memory *memory = slot->memory;

	interval_tree_remove(&slot->node, &memory->slots);
	memory->slot_count--;
	WRITE_ONCE(memory->changes, memory->changes + 1);
	memory->lent -= slot_bytes(slot);
	memory->found = NULL;
	forget_records_in(memory, slot->node.start, slot_bytes(slot));
	zap(memory, slot->node.start, slot_bytes(slot), true);
	mmu_interval_notifier_remove(&slot->watch.notifier);
	if (slot->template)
		template_free(slot->template);
	kfree(slot);
}

int mem_add(struct memory *memory, const struct vee_map *map)
{
	int error = map_check(map);

	if (error)
		return error;
	if (map->pool_bytes)
		template_use();
	if (down_write_killable(&memory->slots_lock))
		return -EINTR;

	if (slot_find(memory, map->gpa, map->gpa + map->bytes - 1) ||
	    own_is_in(&memory->own, map->gpa, map->bytes))
		error = -EEXIST;
	else
		error = hva_check(map->hva, map->bytes);
	if (!error && map->pool_bytes)
		error = hva_check(map->pool, map->pool_bytes);
	if (!error && memory->slot_count >= VEE_MAX_SLOTS)
		error = -ENOSPC;
	if (!error)
		error = slot_add(memory, map);

	up_write(&memory->slots_lock);
	return error;
}

int mem_remove(struct memory *memory, const struct vee_unmap *unmap)
{
	struct slot *slot;
	int error = 0;

	if (down_write_killable(&memory->slots_lock))
		return -EINTR;

	slot = slot_at(memory, unmap->gpa);
	if (slot && slot->node.start == unmap->gpa &&
	    slot_bytes(slot) == unmap->bytes)
		slot_remove(slot);
	else
		error = -ENOENT;

	up_write(&memory->slots_lock);
	return error;
}

static void remove_all(struct memory *memory)
{
	struct slot *slot;

	down_write(&memory->slots_lock);
	while ((slot = slot_find(memory, 0, U64_MAX)))
		slot_remove(slot);
	up_write(&memory->slots_lock);
}

int memory_init(struct memory *memory)
{
	/* Only to be compared with: it keeps no page and no process alive. */
	memory->mm = current->mm;
	mmgrab(memory->mm);
	init_rwsem(&memory->slots_lock);
	spin_lock_init(&memory->lock);
	memory->slots = RB_ROOT_CACHED;
	return presences_init(&memory->presences) ?: ept_init(&memory->ept, &memory->written);
}

/*
 * Notifiers still come in until the last slot is gone, so all that they look at must
 * be there yet.
 */
void memory_destroy(struct memory *memory)
{
	remove_all(memory);
	ept_destroy(&memory->ept);
	presences_destroy(&memory->presences);
	own_free(&memory->own);
	if (memory->written.counted)
		static_branch_dec(&writes_recorded);
	mmdrop(memory->mm);
}

/* --- access by the host ---------------------------------------------------- */

/* Nobody holds it for long: nothing is brought into memory under it. */
int mem_lock(struct memory *memory, bool may_sleep)
{
	if (may_sleep ? down_read_killable(&memory->slots_lock) :
			!down_read_trylock(&memory->slots_lock))
		return may_sleep ? -EINTR : -EBUSY;
	pagefault_disable();
	return 0;
}

void mem_unlock(struct memory *memory)
{
	pagefault_enable();
	up_read(&memory->slots_lock);
}

/* Slots are of whole pages. */
int mem_read(struct memory *memory, u64 gpa, void *buf, size_t bytes, struct absent *absent)
{
	while (bytes) {
		size_t piece = min_t(size_t, bytes, PAGE_SIZE - offset_in_page(gpa));
		const void __user *from = mem_lent_at(memory, gpa);

		if (!from)
			return -EFAULT;
		if (copy_from_user(buf, from, piece))
			return mem_not_at_hand(absent, from);
		gpa += piece;
		buf += piece;
		bytes -= piece;
	}
	return 0;
}
