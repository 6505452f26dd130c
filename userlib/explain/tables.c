// SPDX-License-Identifier: LGPL-2.1-or-later
/* A walk of the guest's page tables, level by level (SDM 3A, chapter "Paging"). */
#include "explain.h"

#define INDEX_BITS		9
#define INDEX_BITS_32		10
#define PAGE_SHIFT		12
#define PDPTE_SHIFT		30

/*
 * SDM 3A, table "Use of CR3 with 32-Bit Paging" and those of the other modes: what is
 * neither an address nor PWT and PCD.
 */
#define CR3_IGNORED		0xfe7ULL
#define CR3_IGNORED_PAE		0x7ULL

enum paging { PAGING_LONG, PAGING_PAE, PAGING_32 };

static enum paging paging_of(const struct vee_control *control)
{
	if (control->efer & EFER_LMA)
		return PAGING_LONG;
	return control->cr4 & CR4_PAE ? PAGING_PAE : PAGING_32;
}

/* From the last level up. */
static const char *const names[] = { "PTE", "PDE", "PDPTE", "PML4E" };

static unsigned int level_count(enum paging paging)
{
	return paging == PAGING_LONG ? 4 : 2;
}

static unsigned int index_of(enum paging paging, uint64_t gva, unsigned int level)
{
	unsigned int bits = paging == PAGING_32 ? INDEX_BITS_32 : INDEX_BITS;

	return gva >> (PAGE_SHIFT + bits * level) & ((1U << bits) - 1);
}

/* Level of the entry number @at of a path. */
static unsigned int level_of(enum paging paging, unsigned int at)
{
	return level_count(paging) - 1 - at;
}

static bool is_leaf(const struct scratch *scratch, enum paging paging, unsigned int level,
		    uint64_t entry)
{
	if (!level)
		return true;
	if (paging == PAGING_32 && !(scratch->page.control.cr4 & CR4_PSE))
		return false;
	return level < 3 && entry & ENTRY_LARGE;
}

static void say_entry(struct text *text, const struct scratch *scratch, enum paging paging,
		      unsigned int at)
{
	const struct guest_entry *entry = &scratch->path.entries[at];
	unsigned int level = level_of(paging, at);
	const char *name = names[level];
	unsigned int index = index_of(paging, scratch->path.gva, level);

	if (!vm_at_for(scratch->vcpu.vm, entry->gpa, 1, VEE_READ))
		say(text, "    %-5s %3u at gpa %#llx: the VM has no memory there", name, index,
		    U(entry->gpa));
	else if (!(entry->value & ENTRY_PRESENT))
		say(text, "    %-5s %3u at gpa %#llx: %#llx, not present", name, index,
		    U(entry->gpa), U(entry->value));
	else
		say(text, "    %-5s %3u at gpa %#llx: %#llx, %s, %s, %s%s", name, index,
		    U(entry->gpa), U(entry->value),
		    entry->value & ENTRY_WRITE ? "writable" : "read-only",
		    entry->value & ENTRY_USER ? "user" : "supervisor",
		    is_leaf(scratch, paging, level, entry->value) ? "a page" : "a table",
		    entry->value & ENTRY_NO_EXECUTE ? ", not executable" : "");
}

/* The CPU takes no notice of what is below a table's alignment. */
static uint64_t cr3_ignored(const struct vee_control *control, enum paging paging)
{
	if (paging == PAGING_PAE)
		return control->cr3 & CR3_IGNORED_PAE;
	return control->cr4 & CR4_PCIDE ? 0 : control->cr3 & CR3_IGNORED;
}

static void say_cr3(struct text *text, const struct scratch *scratch, enum paging paging)
{
	const struct vee_control *control = &scratch->page.control;
	uint64_t ignored = cr3_ignored(control, paging);

	if (ignored)
		say(text, "  walk of gva %#llx, CR3 %#llx, not aligned: bits %#llx are ignored",
		    U(scratch->path.gva), U(control->cr3), U(ignored));
	else
		say(text, "  walk of gva %#llx, CR3 %#llx:", U(scratch->path.gva),
		    U(control->cr3));
}

/* --- why it faults --- */

/* A level forbids by a bit that it lacks, or for a fetch has. */
static bool forbids(const struct scratch *scratch, unsigned int at, uint64_t right)
{
	return (scratch->path.entries[at].value & right) == (right == ENTRY_NO_EXECUTE ? right : 0);
}

/* The first level that forbids it; -1: none does by itself. */
static int find_forbidding(const struct scratch *scratch, uint32_t error, const char **why)
{
	static const struct {
		uint32_t error;
		uint64_t right;
		const char *words;
	} rights[] = {
		{ PF_USER, ENTRY_USER, "is the supervisor's alone" },
		{ PF_WRITE, ENTRY_WRITE, "is read-only" },
		{ PF_FETCH, ENTRY_NO_EXECUTE, "is not executable" },
	};

	for (unsigned int i = 0; i < sizeof(rights) / sizeof(*rights); i++)
		for (unsigned int at = 0; at < scratch->path.count; at++)
			if (error & rights[i].error && forbids(scratch, at, rights[i].right)) {
				*why = rights[i].words;
				return at;
			}
	return -1;
}

static const char *other_reason(uint32_t error)
{
	if (error & PF_PK)
		return "its protection key forbids it";
	return error & PF_FETCH ? "a user's page is no code for the supervisor (CR4.SMEP)" :
				  "a user's page is not for the supervisor (CR4.SMAP)";
}

void tables_reason(const struct scratch *scratch, uint32_t error, char *words)
{
	enum paging paging = paging_of(&scratch->page.control);
	const struct guest_path *path = &scratch->path;
	const char *why = error & PF_RESERVED ? "has a reserved bit set" : "is not present";
	int at = path->count - 1;

	if (!path->count) {
		snprintf(words, CLAUSE_BYTES, "PDPTE %u %s",
			 (unsigned int)(path->gva >> PDPTE_SHIFT & 3), why);
		return;
	}
	if ((error & (PF_PRESENT | PF_RESERVED)) == PF_PRESENT)
		at = find_forbidding(scratch, error, &why);
	if (at < 0)
		snprintf(words, CLAUSE_BYTES, "%s", other_reason(error));
	else
		snprintf(words, CLAUSE_BYTES, "%s %u at gpa %#llx, %#llx, %s",
			 names[level_of(paging, at)],
			 index_of(paging, path->gva, level_of(paging, at)),
			 U(path->entries[at].gpa), U(path->entries[at].value), why);
}

/* --- level by level --- */

void tables_say(struct text *text, const struct scratch *scratch)
{
	enum paging paging = paging_of(&scratch->page.control);
	const struct guest_path *path = &scratch->path;

	if (!path->count && !path->has_pdpte)
		return;
	say_cr3(text, scratch, paging);
	if (path->has_pdpte)
		say(text, "    PDPTE %3u, a register: %#llx%s",
		    (unsigned int)(path->gva >> PDPTE_SHIFT & 3), U(path->pdpte),
		    path->pdpte & ENTRY_PRESENT ? "" : ", not present");
	for (unsigned int i = 0; i < path->count; i++)
		say_entry(text, scratch, paging, i);
}
