// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The guest's page tables, walked as the CPU does for an access: with all that can
 * make it fault, and with accessed and dirty flags (SDM 3A, chapter "Paging").
 * VEE_VCPU_TRANSLATE looks only.
 */
#include <cpuid.h>
#include <stdlib.h>

#include "internal.h"

/* What else is in an entry (internal.h). */
#define ENTRY_ADDRESS		0x000ffffffffff000ULL
#define ENTRY_KEY_SHIFT		59
#define ENTRY_KEY		0xf

#define PAE_ENTRY_RESERVED	(0x7ffULL << 52)
#define PDPTE_RESERVED		0x1e6ULL
#define CR3_PDPT		0xffffffe0ULL

/* A 4-MByte page has the bits 39:32 of its address in bits 20:13; bit 21 is reserved. */
#define PSE36_LOW		0x1fe000ULL
#define PSE36_SHIFT		(32 - 13)
#define PSE36_RESERVED		0x200000ULL

/* SDM 3D, appendix "Field Encoding in VMCS": the first of four. */
#define GUEST_PDPTE0	0x280aU
#define PDPTE_SHIFT	30

#define SHIFT_512G	39
#define SHIFT_1G	30
#define SHIFT_2M	21
#define SHIFT_4M	22
#define SHIFT_4K	12

struct walk {
	const struct guest *guest;
	uint64_t gva;
	unsigned int access;
	unsigned int entry_bytes;
	struct guest_path path;
	bool writable;
	bool user;
	bool no_execute;
};

/* --- faults --- */

static bool is_user_access(const struct walk *walk)
{
	return !(walk->access & (GUEST_IMPLICIT | GUEST_INNER)) && guest_cpl(walk->guest) == 3;
}

/* SDM 3A, "Page-Fault Exceptions": it is told where fetches have rights of their own. */
static bool tells_fetch(const struct vee_control *control)
{
	return control->cr4 & CR4_SMEP ||
	       (control->cr4 & CR4_PAE && control->efer & EFER_NXE);
}

static int page_fault(const struct walk *walk, uint32_t error)
{
	struct vee_vcpu *vcpu = walk->guest->vcpu;

	if (walk->access & VEE_EXECUTE && tells_fetch(&vcpu->page->control))
		error |= PF_FETCH;
	if (walk->access & VEE_WRITE)
		error |= PF_WRITE;
	if (is_user_access(walk))
		error |= PF_USER;
	vcpu->page->control.cr2 = walk->gva;
	vcpu->page->dirty |= VEE_STATE_CONTROL;
	return guest_fault(walk->guest, VECTOR_PF, error);
}

/* --- the tables --- */

static int read_entry(struct walk *walk, uint64_t gpa)
{
	const struct guest *guest = walk->guest;
	struct guest_entry *entry = &walk->path.entries[walk->path.count++];
	const void *hva = vm_at_for(guest->vcpu->vm, gpa, walk->entry_bytes, VEE_READ);

	*entry = (struct guest_entry) { .gpa = gpa };
	if (!hva && !guest->fn)
		return -EFAULT;
	if (!hva)
		return guest->fn(guest->arg, gpa, &entry->value, walk->entry_bytes, false);
	if (walk->entry_bytes == sizeof(uint32_t))
		entry->value = __atomic_load_n((const uint32_t *)hva, __ATOMIC_RELAXED);
	else
		entry->value = __atomic_load_n((const uint64_t *)hva, __ATOMIC_RELAXED);
	return 0;
}

/* In a ROM, or where nothing is, the flags go nowhere, and the access goes on. */
static void set_flags(const struct walk *walk, const struct guest_entry *entry,
		      uint64_t flags)
{
	uint32_t *hva;

	if ((entry->value & flags) == flags)
		return;
	hva = vm_at_for(walk->guest->vcpu->vm, entry->gpa, walk->entry_bytes, VEE_WRITE);
	if (!hva)
		return;
	__atomic_fetch_or(hva, (uint32_t)flags, __ATOMIC_SEQ_CST);
	vm_mark(walk->guest->vcpu->vm, entry->gpa, walk->entry_bytes);
}

static void set_all_flags(const struct walk *walk)
{
	for (unsigned int i = 0; i < walk->path.count; i++) {
		uint64_t flags = ENTRY_ACCESSED;

		if (i == walk->path.count - 1 && walk->access & VEE_WRITE)
			flags |= ENTRY_DIRTY;
		set_flags(walk, &walk->path.entries[i], flags);
	}
}

static uint64_t physical_bits(const struct walk *walk)
{
	return (1ULL << vm_gpa_bits(walk->guest->vcpu->vm)) - 1;
}

static bool has_1g_pages(void)
{
	unsigned int eax, ebx, ecx, edx;

	return __get_cpuid(0x80000001, &eax, &ebx, &ecx, &edx) && edx & 1U << 26;
}

static bool is_long(const struct guest *guest)
{
	return guest->vcpu->page->control.efer & EFER_LMA;
}

static bool maps_page(const struct walk *walk, unsigned int shift, uint64_t entry)
{
	if (shift == SHIFT_4K)
		return true;
	if (shift == SHIFT_4M && !(walk->guest->vcpu->page->control.cr4 & CR4_PSE))
		return false;
	return entry & ENTRY_LARGE && shift != SHIFT_512G;
}

static uint64_t reserved_bits(const struct walk *walk, unsigned int shift, bool large)
{
	const struct vee_control *control = &walk->guest->vcpu->page->control;
	uint64_t reserved = ENTRY_ADDRESS & ~physical_bits(walk);

	if (walk->entry_bytes == sizeof(uint32_t))
		return large && shift == SHIFT_4M ?
		       PSE36_RESERVED | (PSE36_LOW & ~(physical_bits(walk) >> PSE36_SHIFT)) : 0;
	if (!(control->efer & EFER_NXE))
		reserved |= ENTRY_NO_EXECUTE;
	if (!is_long(walk->guest))
		reserved |= PAE_ENTRY_RESERVED;
	if (shift == SHIFT_512G || (shift == SHIFT_1G && !has_1g_pages()))
		reserved |= ENTRY_LARGE;
	/* Below the address, but for PAT. */
	if (large && shift > SHIFT_4K)
		reserved |= ((1ULL << shift) - 1) & ~((2ULL << SHIFT_4K) - 1);
	return reserved;
}

static uint64_t page_gpa(const struct walk *walk, unsigned int shift, uint64_t entry)
{
	uint64_t offset = (1ULL << shift) - 1;
	uint64_t gpa = entry & ENTRY_ADDRESS & ~offset;

	if (shift == SHIFT_4M)
		gpa |= (entry & PSE36_LOW) << PSE36_SHIFT;
	return gpa | (walk->gva & offset);
}

static uint64_t table_entry(const struct walk *walk, uint64_t table, unsigned int shift)
{
	uint64_t entries = PAGE_BYTES / walk->entry_bytes;

	return table + (walk->gva >> shift & (entries - 1)) * walk->entry_bytes;
}

/* From the table at @table, whose entries cover 1 << @shift bytes, to the page. */
static int walk_tables(struct walk *walk, uint64_t table, unsigned int shift, uint64_t *gpa)
{
	unsigned int bits = walk->entry_bytes == sizeof(uint32_t) ? 10 : 9;

	for (;; shift -= bits) {
		uint64_t entry;
		bool last;
		int err = read_entry(walk, table_entry(walk, table, shift));

		if (err)
			return err;
		entry = walk->path.entries[walk->path.count - 1].value;
		if (!(entry & ENTRY_PRESENT))
			return page_fault(walk, 0);
		last = maps_page(walk, shift, entry);
		if (entry & reserved_bits(walk, shift, last))
			return page_fault(walk, PF_PRESENT | PF_RESERVED);
		walk->writable &= !!(entry & ENTRY_WRITE);
		walk->user &= !!(entry & ENTRY_USER);
		walk->no_execute |= !!(entry & ENTRY_NO_EXECUTE);
		if (last) {
			*gpa = page_gpa(walk, shift, entry);
			return 0;
		}
		table = entry & ENTRY_ADDRESS;
	}
}

/*
 * SDM 3A, "PDPTE Registers": as they were loaded, whatever is in memory now, unless the
 * next run is to load them.
 */
static int walk_pae(struct walk *walk, uint64_t *gpa)
{
	struct vee_vcpu *vcpu = walk->guest->vcpu;
	unsigned int number = walk->gva >> PDPTE_SHIFT & 3;
	uint64_t table = vcpu->page->control.cr3 & CR3_PDPT;
	uint64_t pdpte;
	int err = -ENOENT;

	if (!(vcpu->page->dirty & VEE_STATE_CONTROL))
		err = vee_vcpu_vmcs_read(vcpu, GUEST_PDPTE0 + 2 * number, &pdpte);
	if (err)
		err = vee_vm_read(vcpu->vm, table + number * sizeof(pdpte), &pdpte,
				  sizeof(pdpte));
	if (err)
		return err;
	walk->path.has_pdpte = true;
	walk->path.pdpte = pdpte;
	if (!(pdpte & ENTRY_PRESENT))
		return page_fault(walk, 0);
	if (pdpte & (PDPTE_RESERVED | ~(physical_bits(walk))))
		return page_fault(walk, PF_PRESENT | PF_RESERVED);
	return walk_tables(walk, pdpte & ENTRY_ADDRESS, SHIFT_2M, gpa);
}

int guest_check_pdptes(const struct guest *guest)
{
	const struct vee_control *control = &guest->vcpu->page->control;
	uint64_t known = (1ULL << vm_gpa_bits(guest->vcpu->vm)) - 1;
	uint64_t pdpte[4];
	int err;

	if (!(control->cr0 & CR0_PG) || !(control->cr4 & CR4_PAE) || is_long(guest))
		return 0;
	err = vee_vm_read(guest->vcpu->vm, control->cr3 & CR3_PDPT, pdpte, sizeof(pdpte));
	if (err)
		return err;
	for (unsigned int i = 0; i < 4; i++)
		if (pdpte[i] & ENTRY_PRESENT && pdpte[i] & (PDPTE_RESERVED | ~known))
			return guest_fault(guest, VECTOR_GP, 0);
	return 0;
}

static int find_page(struct walk *walk, uint64_t *gpa)
{
	const struct vee_control *control = &walk->guest->vcpu->page->control;

	walk->path.gva = walk->gva;
	if (is_long(walk->guest))
		return walk_tables(walk, control->cr3 & ENTRY_ADDRESS, SHIFT_512G, gpa);
	walk->gva = (uint32_t)walk->gva;
	if (control->cr4 & CR4_PAE)
		return walk_pae(walk, gpa);
	walk->entry_bytes = sizeof(uint32_t);
	return walk_tables(walk, control->cr3 & ENTRY_ADDRESS & UINT32_MAX, SHIFT_4M, gpa);
}

/* --- rights --- */

static bool may_execute(const struct walk *walk)
{
	if (is_user_access(walk))
		return walk->user && !walk->no_execute;
	return !walk->no_execute &&
	       !(walk->user && walk->guest->vcpu->page->control.cr4 & CR4_SMEP);
}

/* SDM 3A, "Access Rights". */
static bool allowed(const struct walk *walk)
{
	const struct vee_vcpu_page *page = walk->guest->vcpu->page;

	if (walk->access & VEE_EXECUTE)
		return may_execute(walk);
	if (is_user_access(walk))
		return walk->user && (walk->writable || !(walk->access & VEE_WRITE));
	if (walk->user && page->control.cr4 & CR4_SMAP &&
	    (walk->access & GUEST_IMPLICIT || !(page->regs.rflags & RFLAGS_AC)))
		return false;
	return walk->writable || !(walk->access & VEE_WRITE) || !(page->control.cr0 & CR0_WP);
}

/* SDM 1, "XSAVE-Managed Features": where the standard format has PKRU, component 9. */
#define PKRU_COMPONENT	9
#define PKRU_ACCESS	0x1U	/* a key's bits: no access, no write */
#define PKRU_WRITE	0x2U
#define XSAVE_BV	512

static int read_pkru(const struct guest *guest, uint32_t *pkru)
{
	size_t bytes = vm_xsave_bytes(guest->vcpu->vm);
	unsigned int at = xsave_offset(PKRU_COMPONENT);
	uint8_t *area = malloc(bytes);
	int err = area ? vee_vcpu_get_xsave(guest->vcpu, area, bytes) : -ENOMEM;

	*pkru = 0;
	if (!err && at && within(at, sizeof(*pkru), bytes) &&
	    area[XSAVE_BV + PKRU_COMPONENT / 8] & 1U << PKRU_COMPONENT % 8)
		memcpy(pkru, area + at, sizeof(*pkru));
	free(area);
	return err;
}

/*
 * SDM 3A, "Protection Keys": of user pages, whoever the access is by. That is told also
 * where access rights forbid it already ("Page-Fault Exceptions", PK flag).
 */
static int find_key_fault(const struct walk *walk, uint32_t *error)
{
	const struct vee_control *control = &walk->guest->vcpu->page->control;
	uint64_t leaf = walk->path.entries[walk->path.count - 1].value;
	unsigned int key = leaf >> ENTRY_KEY_SHIFT & ENTRY_KEY;
	uint32_t pkru;
	int err;

	if (!(control->cr4 & CR4_PKE) || !is_long(walk->guest) || !walk->user ||
	    walk->access & VEE_EXECUTE)
		return 0;
	err = read_pkru(walk->guest, &pkru);
	if (err)
		return err;
	pkru >>= 2 * key;
	if (pkru & PKRU_ACCESS ||
	    (pkru & PKRU_WRITE && walk->access & VEE_WRITE &&
	     (is_user_access(walk) || control->cr0 & CR0_WP)))
		*error |= PF_PK;
	return 0;
}

static int check_rights(const struct walk *walk)
{
	uint32_t error = 0;
	int err = find_key_fault(walk, &error);

	if (err || (!error && allowed(walk)))
		return err;
	return page_fault(walk, PF_PRESENT | error);
}

static bool paging_is_off(const struct guest *guest)
{
	const struct vee_vcpu_page *page = guest->vcpu->page;

	return !(page->control.cr0 & CR0_PG);
}

int guest_walk(const struct guest *guest, uint64_t gva, unsigned int access, uint64_t *gpa)
{
	struct walk walk = {
		.guest = guest, .gva = gva, .access = access,
		.entry_bytes = sizeof(uint64_t), .writable = true, .user = true,
	};
	int err = guest_sync(guest);

	if (err)
		return err;
	if (paging_is_off(guest)) {
		*gpa = (uint32_t)gva;
		return 0;
	}
	err = find_page(&walk, gpa);
	if (!err)
		err = check_rights(&walk);
	if (guest->path)
		*guest->path = walk.path;
	else if (!err)
		set_all_flags(&walk);
	return err;
}
