// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest's own page tables, walked as the CPU does (SDM 3A, chapter
 * "Paging"): what VEE_VCPU_TRANSLATE answers with, and how the bytes of an
 * instruction are found. 5-level paging is not offered to guests.
 *
 * The guest, and the caller, may change the tables at any time. So may they
 * under a CPU; each entry is read once, and no entry can lead outside the slots.
 */
#include <linux/bits.h>
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <asm/cpufeature.h>
#include <asm/msr-index.h>
#include <asm/processor.h>
#include <asm/processor-flags.h>

#include "memory/absent.h"
#include "memory/slots.h"
#include "memory/walk.h"

/* SDM 3A, "Paging-Structure Entries", the same in all paging modes. */
#define ENTRY_PRESENT		BIT_ULL(0)
#define ENTRY_WRITE		BIT_ULL(1)
#define ENTRY_USER		BIT_ULL(2)
#define ENTRY_LARGE		BIT_ULL(7)	/* PS */
#define ENTRY_NO_EXECUTE	BIT_ULL(63)	/* XD */
#define ENTRY_ADDRESS		GENMASK_ULL(51, 12)

#define LONG_GVA_BITS		48
#define SHIFT_4M		22
#define SHIFT_1G		30
#define MAX_LEVELS		4

/**
 * struct level - one level of the tables of a paging mode
 * @shift: lowest bit of the linear address that selects an entry
 * @select: how far to shift the linear address right for the entry's offset in its table
 * @maps: an entry with one of these bits maps a page, others refer to a table
 * @reserved: bits that must be 0 in an entry
 * @reserved_page: bits that must be 0 besides if the entry maps a page
 */
struct level {
	u8 shift;
	u8 select;
	u64 maps;
	u64 reserved;
	u64 reserved_page;
};

#define LEVEL_4_BYTES(bit)	.shift = (bit), .select = (bit) - 2
#define LEVEL_8_BYTES(bit)	.shift = (bit), .select = (bit) - 3

/**
 * struct mode - a paging mode
 * @entry_bytes: size of an entry
 * @index: the bits of an entry's offset in its table
 * @root: the bits of CR3 that are the address of the first table; 0 in PAE paging
 * @level: from the first table down to one whose entries all map a page
 */
struct mode {
	u8 entry_bytes;
	u64 index;
	u64 root;
	struct level level[MAX_LEVELS];
};

/*
 * SDM 3A, "32-Bit Paging". Here a 4-MByte page has the bits 39:32 of its address
 * in bits 20:13 of the entry: all CPUs with VMX have PSE-36.
 */
static const struct mode mode_32bit = {
	.entry_bytes = 4,
	.index = GENMASK_ULL(11, 2),
	.root = GENMASK_ULL(31, 12),
	.level = {
		{ LEVEL_4_BYTES(SHIFT_4M), ENTRY_LARGE, .reserved_page = BIT_ULL(21) },
		{ LEVEL_4_BYTES(12), ENTRY_PRESENT },
	},
};

#define PSE36_LOW		GENMASK_ULL(20, 13)
#define PSE36_SHIFT		(32 - 13)

/* ... without CR4.PSE: PS is ignored. */
static const struct mode mode_32bit_no_pse = {
	.entry_bytes = 4,
	.index = GENMASK_ULL(11, 2),
	.root = GENMASK_ULL(31, 12),
	.level = {
		{ LEVEL_4_BYTES(SHIFT_4M) },
		{ LEVEL_4_BYTES(12), ENTRY_PRESENT },
	},
};

/* SDM 3A, "PAE Paging"; a PDPTE register leads to the first table: walk_root() */
static const struct mode mode_pae = {
	.entry_bytes = 8,
	.index = GENMASK_ULL(11, 3),
	.level = {
		{ LEVEL_8_BYTES(21), ENTRY_LARGE, GENMASK_ULL(62, 52), GENMASK_ULL(20, 13) },
		{ LEVEL_8_BYTES(12), ENTRY_PRESENT, GENMASK_ULL(62, 52) },
	},
};

/* SDM 3A, "4-Level Paging and 5-Level Paging" */
static const struct mode mode_4level = {
	.entry_bytes = 8,
	.index = GENMASK_ULL(11, 3),
	.root = ENTRY_ADDRESS,
	.level = {
		{ LEVEL_8_BYTES(39), 0, ENTRY_LARGE },
		{ LEVEL_8_BYTES(SHIFT_1G), ENTRY_LARGE, .reserved_page = GENMASK_ULL(29, 13) },
		{ LEVEL_8_BYTES(21), ENTRY_LARGE, .reserved_page = GENMASK_ULL(20, 13) },
		{ LEVEL_8_BYTES(12), ENTRY_PRESENT },
	},
};

static bool paging_is_long(const struct paging *paging)
{
	return paging->efer & EFER_LMA;
}

static const struct mode *paging_mode(const struct paging *paging)
{
	if (paging_is_long(paging))
		return &mode_4level;
	if (paging->cr4 & X86_CR4_PAE)
		return &mode_pae;
	if (paging->cr4 & X86_CR4_PSE)
		return &mode_32bit;
	return &mode_32bit_no_pse;
}

/* Outside of IA-32e mode a linear address has 32 bits, and wraps there. */
static u64 paging_gva(const struct paging *paging, u64 gva)
{
	return paging_is_long(paging) ? gva : lower_32_bits(gva);
}

/* SDM 1, "Canonical Addressing" */
static bool gva_is_canonical(const struct paging *paging, u64 gva)
{
	return !paging_is_long(paging) ||
	       sign_extend64(gva, LONG_GVA_BITS - 1) == (s64)gva;
}

/*
 * Address bits from MAXPHYADDR up are reserved. It is the CPU's MAXPHYADDR that counts,
 * whatever CPUID tells the guest: the CPU checks the guest's entries.
 */
static u64 address_reserved(void)
{
	return ~(BIT_ULL(boot_cpu_data.x86_phys_bits) - 1);
}

/* Bits that must be 0 in every entry. */
static u64 paging_reserved(const struct paging *paging)
{
	u64 reserved = ENTRY_ADDRESS & address_reserved();

	return paging->efer & EFER_NX ? reserved : reserved | ENTRY_NO_EXECUTE;
}

/* All levels' entries must allow what the translation is to allow: by AND, and by OR. */
static void restrict_to(u64 all, u64 any, struct vee_translate *walk)
{
	if (!(all & ENTRY_WRITE))
		walk->access &= ~VEE_WRITE;
	if (!(all & ENTRY_USER))
		walk->user = 0;
	if (any & ENTRY_NO_EXECUTE)
		walk->access &= ~VEE_EXECUTE;
}

/*
 * Where @gva is in the page that @entry maps. A CPU without 1-GByte pages has PS reserved
 * in a PDPTE.
 */
static int page_gpa(const struct mode *mode, const struct level *level, u64 entry, u64 gva,
		    u64 *gpa)
{
	u64 offset = GENMASK_ULL(level->shift - 1, 0);

	if (entry & level->reserved_page ||
	    (level->shift == SHIFT_1G && !boot_cpu_has(X86_FEATURE_GBPAGES)))
		return -ENOENT;
	*gpa = (entry & ENTRY_ADDRESS & ~offset) | (gva & offset);
	if (mode != &mode_32bit || level->shift != SHIFT_4M)
		return 0;
	*gpa |= (entry & PSE36_LOW) << PSE36_SHIFT;
	return *gpa & address_reserved() ? -ENOENT : 0;
}

/* In here for each level costs a call less. */
static __always_inline int entry_read(struct memory *memory, const struct mode *mode,
				      const struct level *level, u64 table, u64 gva,
				      u64 *entry, struct absent *absent)
{
	u64 gpa = table + ((gva >> level->select) & mode->index);
	const void __user *from = mem_lent_at(memory, gpa);
	u32 low;

	if (!from)
		return -EFAULT;
	if (likely(mode->entry_bytes == sizeof(*entry)))
		return get_user(*entry, (const u64 __user *)from) ?
		       mem_not_at_hand(absent, from) : 0;
	if (get_user(low, (const u32 __user *)from))
		return mem_not_at_hand(absent, from);
	*entry = low;
	return 0;
}

/* False: there is no first table. */
static bool walk_root(const struct paging *paging, const struct mode *mode, u64 gva,
		      u64 *table)
{
	u64 entry;

	if (mode != &mode_pae) {
		*table = paging->cr3 & mode->root;
		return true;
	}
	entry = paging->pdpte[(gva >> SHIFT_1G) % ARRAY_SIZE(paging->pdpte)];
	*table = entry & ENTRY_ADDRESS;
	return entry & ENTRY_PRESENT && !(*table & address_reserved());
}

/* Narrows down @walk, which allows everything, and sets its @gpa. */
static int walk_tables(struct memory *memory, const struct paging *paging, u64 gva,
		       struct vee_translate *walk, struct absent *absent)
{
	const struct mode *mode = paging_mode(paging);
	u64 reserved = paging_reserved(paging), all = ~0ULL, any = 0;
	u64 table;

	if (!walk_root(paging, mode, gva, &table))
		return -ENOENT;
	for (const struct level *level = mode->level;; level++) {
		u64 entry;
		int error = entry_read(memory, mode, level, table, gva, &entry, absent);

		if (error)
			return error;
		if (!(entry & ENTRY_PRESENT) || entry & (reserved | level->reserved))
			return -ENOENT;
		all &= entry;
		any |= entry;
		table = entry & ENTRY_ADDRESS;
		if (entry & level->maps) {
			restrict_to(all, any, walk);
			return page_gpa(mode, level, entry, gva, &walk->gpa);
		}
	}
}

/* Under mem_lock(). */
static int translate(struct memory *memory, const struct paging *paging,
		     struct vee_translate *walk, struct absent *absent)
{
	u64 gva = paging_gva(paging, walk->gva);

	walk->access = VEE_READ | VEE_WRITE | VEE_EXECUTE;
	walk->user = 1;
	walk->gpa = gva;
	if (!(paging->cr0 & X86_CR0_PG))
		return 0;
	if (!gva_is_canonical(paging, gva))
		return -ENOENT;
	return walk_tables(memory, paging, gva, walk, absent);
}

int walk_translate(struct memory *memory, const struct paging *paging,
		   struct vee_translate *walk, struct absent *absent)
{
	int error = mem_lock(memory, true);

	if (error)
		return error;
	error = translate(memory, paging, walk, absent);
	mem_unlock(memory);
	return error;
}

/* Under mem_lock(). */
static unsigned int read_pieces(struct memory *memory, const struct paging *paging,
				u64 gva, u8 *buf, unsigned int bytes,
				struct absent *absent)
{
	unsigned int done = 0;

	while (done < bytes) {
		struct vee_translate walk = { .gva = gva + done };
		unsigned int piece;

		if (translate(memory, paging, &walk, absent))
			break;
		piece = min_t(unsigned int, bytes - done,
			      PAGE_SIZE - offset_in_page(walk.gpa));
		if (mem_read(memory, walk.gpa, buf + done, piece, absent))
			break;
		done += piece;
	}
	return done;
}

unsigned int walk_read(struct memory *memory, const struct paging *paging, u64 gva,
		       u8 *buf, unsigned int bytes, bool may_sleep, struct absent *absent)
{
	unsigned int done;
	int error = mem_lock(memory, may_sleep);

	absent->hva = 0;
	if (error)
		return 0;
	done = read_pieces(memory, paging, gva, buf, bytes, absent);
	mem_unlock(memory);
	return done;
}

/* --- the same once more --------------------------------------------------------------- */

/* Of a slot with a template the same address is another page once it is written. */
static bool trail_add(struct memory *memory, u64 gpa, struct trail *trail)
{
	const struct slot *slot = slot_at(memory, gpa);
	const u64 __user *at;

	if (!slot || slot->template || trail->count == ARRAY_SIZE(trail->at))
		return false;
	at = (const u64 __user *)(slot->hva + (gpa - slot->node.start));
	trail->at[trail->count] = at;
	return !get_user(trail->word[trail->count++], at);
}

static bool trail_add_insn(struct memory *memory, u64 gpa, const u8 *insn, struct trail *trail)
{
	const unsigned int second = TRAIL_BYTES - sizeof(u64);

	return offset_in_page(gpa) + TRAIL_BYTES <= PAGE_SIZE &&
	       trail_add(memory, gpa, trail) && trail_add(memory, gpa + second, trail) &&
	       !memcmp(&trail->word[trail->count - 2], insn, sizeof(u64)) &&
	       !memcmp(&trail->word[trail->count - 1], insn + second, sizeof(u64));
}

bool trail_make(struct memory *memory, const struct paging *paging, u64 gva, const u8 *insn,
		struct trail *trail)
{
	const struct mode *mode = &mode_4level;
	u64 table = paging->cr3 & mode->root;

	*trail = (struct trail) { .changes = memory->changes, .root = table };
	for (const struct level *level = mode->level; paging_is_long(paging); level++) {
		u64 entry, gpa;

		if (!trail_add(memory, table + ((gva >> level->select) & mode->index), trail))
			return false;
		entry = trail->word[trail->count - 1];
		if (!(entry & ENTRY_PRESENT))
			return false;
		table = entry & ENTRY_ADDRESS;
		if (entry & level->maps)
			return !page_gpa(mode, level, entry, gva, &gpa) &&
			       trail_add_insn(memory, gpa, insn, trail);
	}
	return false;
}

/*
 * Where they are is within what was lent, which mem_add() has checked to be the caller's. A
 * slot that is taken away has the address looked at once more, at most: whoever does that
 * waits until this CPU has left the bracket.
 */
static bool words_last(const struct trail *trail)
{
	unsigned int i;
	u64 word;

	if (!user_read_access_begin(trail->at[0], sizeof(word)))
		return false;
	for (i = 0; i < trail->count; i++) {
		unsafe_get_user(word, trail->at[i], out);
		if (word != trail->word[i])
			break;
	}
out:
	user_read_access_end();
	return i == trail->count;
}

bool trail_lasts(const struct memory *memory, u64 cr3, const struct trail *trail)
{
	bool lasts;

	if ((cr3 & mode_4level.root) != trail->root ||
	    READ_ONCE(memory->changes) != trail->changes)
		return false;
	pagefault_disable();
	lasts = words_last(trail);
	pagefault_enable();
	return lasts;
}
