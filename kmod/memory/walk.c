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
#define SHIFT_1G		30
#define MAX_LEVELS		4

/* struct level, @kind */
enum kind {
	TABLE,		/* entries refer to a table */
	LARGE,		/* ... or, with PS, map a large page */
	PAGE,		/* entries map a page */
};

/**
 * struct level - one level of the tables of a paging mode
 * @shift: lowest bit of the linear address that selects an entry
 * @bits: how many bits do
 * @kind: what entries are
 * @reserved: bits that must be 0 in an entry
 * @reserved_large: bits that must be 0 besides if the entry maps a large page
 */
struct level {
	u8 shift;
	u8 bits;
	u8 kind;
	u64 reserved;
	u64 reserved_large;
};

/**
 * struct mode - a paging mode
 * @entry_bytes: size of an entry
 * @levels: how many of @level there are
 * @root: the bits of CR3 that are the address of the first table; 0 in PAE paging
 * @level: from the first table down
 */
struct mode {
	u8 entry_bytes;
	u8 levels;
	u64 root;
	struct level level[MAX_LEVELS];
};

/*
 * SDM 3A, "32-Bit Paging". Here a 4-MByte page has the bits 39:32 of its address
 * in bits 20:13 of the entry: all CPUs with VMX have PSE-36.
 */
static const struct mode mode_32bit = {
	.entry_bytes = 4,
	.levels = 2,
	.root = GENMASK_ULL(31, 12),
	.level = {
		{ 22, 10, LARGE, .reserved_large = BIT_ULL(21) },
		{ 12, 10, PAGE },
	},
};

#define PSE36_LOW		GENMASK_ULL(20, 13)
#define PSE36_SHIFT		(32 - 13)

/* ... without CR4.PSE: PS is ignored. */
static const struct mode mode_32bit_no_pse = {
	.entry_bytes = 4,
	.levels = 2,
	.root = GENMASK_ULL(31, 12),
	.level = {
		{ 22, 10, TABLE },
		{ 12, 10, PAGE },
	},
};

/* SDM 3A, "PAE Paging"; a PDPTE register leads to the first table: walk_root() */
static const struct mode mode_pae = {
	.entry_bytes = 8,
	.levels = 2,
	.level = {
		{ 21, 9, LARGE, GENMASK_ULL(62, 52), GENMASK_ULL(20, 13) },
		{ 12, 9, PAGE, GENMASK_ULL(62, 52) },
	},
};

/* SDM 3A, "4-Level Paging and 5-Level Paging" */
static const struct mode mode_4level = {
	.entry_bytes = 8,
	.levels = 4,
	.root = ENTRY_ADDRESS,
	.level = {
		{ 39, 9, TABLE, ENTRY_LARGE },
		{ SHIFT_1G, 9, LARGE, .reserved_large = GENMASK_ULL(29, 13) },
		{ 21, 9, LARGE, .reserved_large = GENMASK_ULL(20, 13) },
		{ 12, 9, PAGE },
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

static bool level_maps(const struct level *level, u64 entry)
{
	return level->kind == PAGE ||
	       (level->kind == LARGE && (entry & ENTRY_LARGE));
}

/* Bits that must be 0 in every entry. */
static u64 paging_reserved(const struct paging *paging)
{
	return paging->efer & EFER_NX ? 0 : ENTRY_NO_EXECUTE;
}

/*
 * ... in @entry, but for those of an address (address_fits()). A CPU without 1-GByte
 * pages has PS reserved in a PDPTE.
 */
static u64 level_reserved(const struct level *level, u64 entry)
{
	u64 reserved = level->reserved;

	if (level->kind == LARGE && (entry & ENTRY_LARGE)) {
		reserved |= level->reserved_large;
		if (level->shift == SHIFT_1G && !boot_cpu_has(X86_FEATURE_GBPAGES))
			reserved |= ENTRY_LARGE;
	}
	return reserved;
}

/*
 * Address bits from MAXPHYADDR up are reserved. It is the CPU's MAXPHYADDR that
 * counts, whatever CPUID tells the guest: the CPU checks the guest's entries.
 */
static bool address_fits(u64 gpa)
{
	return !(gpa >> boot_cpu_data.x86_phys_bits);
}

/* Every level must allow what the translation is to allow. */
static void level_restrict(const struct level *level, u64 entry,
			   struct vee_translate *walk)
{
	if (!(entry & ENTRY_WRITE))
		walk->access &= ~VEE_WRITE;
	if (!(entry & ENTRY_USER))
		walk->user = 0;
	if (entry & ENTRY_NO_EXECUTE)
		walk->access &= ~VEE_EXECUTE;
}

static u64 level_gpa(const struct mode *mode, const struct level *level,
		     u64 entry, u64 gva)
{
	u64 offset = GENMASK_ULL(level->shift - 1, 0);
	u64 gpa = entry & ENTRY_ADDRESS & ~offset;

	if (mode == &mode_32bit && level->kind == LARGE)
		gpa |= (entry & PSE36_LOW) << PSE36_SHIFT;
	return gpa | (gva & offset);
}

static int entry_read(struct memory *memory, const struct mode *mode,
		      const struct level *level, u64 table, u64 gva, u64 *entry,
		      struct absent *absent)
{
	u64 index = (gva >> level->shift) & GENMASK_ULL(level->bits - 1, 0);

	return mem_read_word(memory, table + index * mode->entry_bytes,
			     mode->entry_bytes, entry, absent);
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
	return entry & ENTRY_PRESENT && address_fits(*table);
}

/* Narrows down @walk, which allows everything, and sets its @gpa. */
static int walk_tables(struct memory *memory, const struct paging *paging, u64 gva,
		       struct vee_translate *walk, struct absent *absent)
{
	const struct mode *mode = paging_mode(paging);
	u64 reserved = paging_reserved(paging);
	u64 table;

	if (!walk_root(paging, mode, gva, &table))
		return -ENOENT;
	for (int i = 0; i < mode->levels; i++) {
		const struct level *level = &mode->level[i];
		u64 entry;
		int error = entry_read(memory, mode, level, table, gva, &entry, absent);

		if (error)
			return error;
		if (!(entry & ENTRY_PRESENT) ||
		    entry & (reserved | level_reserved(level, entry)))
			return -ENOENT;
		level_restrict(level, entry, walk);
		if (level_maps(level, entry)) {
			walk->gpa = level_gpa(mode, level, entry, gva);
			return address_fits(walk->gpa) ? 0 : -ENOENT;
		}
		table = entry & ENTRY_ADDRESS;
		if (!address_fits(table))
			return -ENOENT;
	}
	return -ENOENT;
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
