// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Guest memory as the CPU finds it outside of IA-32e mode (SDM 3A, "32-Bit Paging",
 * "PAE Paging"), in a state that is not yet the guest's: with its accessed and dirty
 * flags, and its faults.
 */
#include <cpuid.h>

#include "task.h"

#define ENTRY_PRESENT	0x01ULL
#define ENTRY_WRITE	0x02ULL
#define ENTRY_USER	0x04ULL
#define ENTRY_ACCESSED	0x20ULL
#define ENTRY_DIRTY	0x40ULL
#define ENTRY_LARGE	0x80ULL
#define ENTRY_XD	(1ULL << 63)
#define ENTRY_ADDRESS	0xffffffffff000ULL

#define PDPTE_RESERVED	0x1e6ULL	/* and those beyond the address */
#define PDPTE_SHIFT	30
#define CR3_PDPT	0xffffffe0U
#define PDE32_RESERVED	0x200000ULL	/* of a large page */
#define PSE36_BITS	0x1fe000ULL	/* are bits 39:32 of its address */
#define PSE36_SHIFT	19
#define PAE_RESERVED	0x7ff0000000000000ULL
#define PAE_LARGE_RESERVED	0x1fe000ULL

/* SDM 3A, "Page-Fault Exceptions" */
#define PF_PRESENT	0x1U
#define PF_WRITE	0x2U
#define PF_USER		0x4U
#define PF_RSVD		0x8U

#define CPUID_ADDRESS_SIZES	0x80000008U
#define LEVELS		2

/* From linear address to guest-physical, and what is noted on success. */
struct walk {
	uint32_t gva;
	unsigned int access;
	enum access_by by;
	uint64_t gpa;
	bool writable;
	bool user;
	uint8_t *entry[LEVELS];
	unsigned int used;
};

/* --- faults --- */

int task_fault(struct task *task, uint8_t vector, uint32_t error_code)
{
	task->fault = (struct vee_event) {
		.vector = vector, .type = VEE_EVENT_EXCEPTION,
		.flags = VEE_EVENT_VALID | VEE_EVENT_ERROR_CODE,
		.error_code = error_code,
	};
	return TASK_FAULT;
}

static bool by_user(const struct task *task, const struct walk *walk)
{
	return walk->by == BY_PROGRAM && task->cpl == 3;
}

static int page_fault(struct task *task, const struct walk *walk, uint32_t error)
{
	if (walk->access & VEE_WRITE)
		error |= PF_WRITE;
	if (by_user(task, walk))
		error |= PF_USER;
	task->control.cr2 = walk->gva;
	return task_fault(task, VECTOR_PF, error);
}

/* --- tables --- */

static bool has_pae(const struct task *task)
{
	return task->control.cr4 & CR4_PAE;
}

bool task_has_pdptes(const struct task *task)
{
	return task->control.cr0 & CR0_PG && has_pae(task);
}

/* It is the CPU's that counts, whatever CPUID tells the guest. */
static uint64_t beyond_addresses(void)
{
	unsigned int eax = 0, ebx, ecx, edx;

	__get_cpuid(CPUID_ADDRESS_SIZES, &eax, &ebx, &ecx, &edx);
	return ENTRY_ADDRESS & ~((1ULL << (eax & 0xff)) - 1);
}

int task_read_pdptes(struct task *task)
{
	uint64_t reserved = PDPTE_RESERVED | PAE_RESERVED | ENTRY_XD | beyond_addresses();
	int err = vee_vm_read(task->vcpu->vm, task->control.cr3 & CR3_PDPT,
			      task->pdpte, sizeof(task->pdpte));

	if (err)
		return err;
	for (int i = 0; i < 4; i++)
		if (task->pdpte[i] & ENTRY_PRESENT && task->pdpte[i] & reserved)
			return task_fault(task, VECTOR_GP, 0);
	return 0;
}

static bool is_large(const struct task *task, uint64_t entry)
{
	return entry & ENTRY_LARGE && task->control.cr4 & (CR4_PAE | CR4_PSE);
}

static uint64_t reserved_bits(const struct task *task, bool large)
{
	uint64_t reserved = 0;

	if (!has_pae(task))
		return large ? PDE32_RESERVED : 0;
	reserved = PAE_RESERVED | beyond_addresses();
	if (!(task->control.efer & EFER_NXE))
		reserved |= ENTRY_XD;
	return large ? reserved | PAE_LARGE_RESERVED : reserved;
}

static void set_gpa(const struct task *task, struct walk *walk, uint64_t entry,
		    unsigned int shift)
{
	uint64_t offset = (1ULL << shift) - 1;

	walk->gpa = (entry & ENTRY_ADDRESS & ~offset) | (walk->gva & offset);
	if (!has_pae(task) && shift > 12)
		walk->gpa |= (entry & PSE36_BITS) << PSE36_SHIFT;
}

static int read_entry(const struct task *task, struct walk *walk, uint64_t table,
		      unsigned int shift, uint64_t *entry)
{
	unsigned int bytes = has_pae(task) ? 8 : 4;
	uint64_t index = walk->gva >> shift & (PAGE_BYTES / bytes - 1);
	uint8_t *hva = vee_vm_at(task->vcpu->vm, table + index * bytes, bytes);

	if (!hva)
		return -EFAULT;
	walk->entry[walk->used++] = vm_at_for(task->vcpu->vm, table + index * bytes,
					      bytes, VEE_WRITE);
	*entry = 0;
	memcpy(entry, hva, bytes);
	return 0;
}

/* The tables that CR3 or the PDPTEs lead to. */
static int walk_tables(struct task *task, struct walk *walk, uint64_t table)
{
	unsigned int shifts[LEVELS] = { has_pae(task) ? 21 : 22, 12 };

	for (int i = 0; i < LEVELS; i++) {
		bool large;
		uint64_t entry;
		int err = read_entry(task, walk, table, shifts[i], &entry);

		if (err)
			return err;
		if (!(entry & ENTRY_PRESENT))
			return page_fault(task, walk, 0);
		large = i < LEVELS - 1 && is_large(task, entry);
		if (entry & reserved_bits(task, large))
			return page_fault(task, walk, PF_PRESENT | PF_RSVD);
		walk->writable &= !!(entry & ENTRY_WRITE);
		walk->user &= !!(entry & ENTRY_USER);
		if (large || i == LEVELS - 1) {
			set_gpa(task, walk, entry, shifts[i]);
			break;
		}
		table = entry & ENTRY_ADDRESS;
	}
	return walk->gpa & beyond_addresses() ?
	       page_fault(task, walk, PF_PRESENT | PF_RSVD) : 0;
}

/* SDM 3A, "Determination of Access Rights" */
static bool is_allowed(const struct task *task, const struct walk *walk)
{
	const struct vee_control *control = &task->control;

	if (by_user(task, walk))
		return walk->user && (walk->writable || !(walk->access & VEE_WRITE));
	if (walk->user && control->cr4 & CR4_SMAP &&
	    (walk->by == BY_CPU || !(task->regs.rflags & RFLAGS_AC)))
		return false;
	return walk->writable || !(walk->access & VEE_WRITE) ||
	       !(control->cr0 & CR0_WP);
}

/* In tables that the guest may only read they stay as they are. */
static void set_flags(const struct walk *walk)
{
	for (unsigned int i = 0; i < walk->used; i++) {
		uint8_t flags = ENTRY_ACCESSED;

		if (i == walk->used - 1 && walk->access & VEE_WRITE)
			flags |= ENTRY_DIRTY;
		if (walk->entry[i])
			__atomic_fetch_or(walk->entry[i], flags, __ATOMIC_SEQ_CST);
	}
}

static int find(struct task *task, struct walk *walk)
{
	uint64_t table = (uint32_t)task->control.cr3;
	int err;

	walk->gpa = walk->gva;
	if (!(task->control.cr0 & CR0_PG))
		return 0;
	walk->writable = true;
	walk->user = true;
	if (has_pae(task))
		table = task->pdpte[walk->gva >> PDPTE_SHIFT];
	if (has_pae(task) && !(table & ENTRY_PRESENT))
		return page_fault(task, walk, 0);
	err = walk_tables(task, walk, table & ENTRY_ADDRESS);
	if (err)
		return err;
	if (!is_allowed(task, walk))
		return page_fault(task, walk, PF_PRESENT);
	set_flags(walk);
	return 0;
}

/* --- accesses --- */

static void write_piece(struct task *task, uint8_t *hva, const uint8_t *data,
			unsigned int bytes)
{
	while (bytes) {
		struct undo *undo = &task->undo[task->undo_count++];

		undo->hva = hva;
		undo->bytes = min_u64(bytes, sizeof(undo->before));
		memcpy(undo->before, hva, undo->bytes);
		memcpy(hva, data, undo->bytes);
		hva += undo->bytes;
		data += undo->bytes;
		bytes -= undo->bytes;
	}
}

/* What is written to memory that the guest may only read goes nowhere. */
static int access_piece(struct task *task, uint64_t gpa, uint8_t *data,
			unsigned int bytes, unsigned int access)
{
	uint8_t *hva = vee_vm_at(task->vcpu->vm, gpa, bytes);

	if (!hva)
		return -EFAULT;
	if (!data)
		return 0;
	if (access & VEE_READ)
		memcpy(data, hva, bytes);
	else if (vm_at_for(task->vcpu->vm, gpa, bytes, VEE_WRITE))
		write_piece(task, hva, data, bytes);
	return 0;
}

/* @data NULL: looks only. */
static int access_pages(struct task *task, struct walk walk, uint8_t *data,
			unsigned int bytes)
{
	while (bytes) {
		unsigned int n = min_u64(bytes, PAGE_BYTES - (walk.gva & PAGE_OFFSET));
		int err;

		walk.used = 0;
		err = find(task, &walk);
		if (!err)
			err = access_piece(task, walk.gpa, data, n, walk.access);
		if (err)
			return err;
		walk.gva += n;
		bytes -= n;
		if (data)
			data += n;
	}
	return 0;
}

int task_probe(struct task *task, uint32_t gva, unsigned int bytes,
	       unsigned int access)
{
	struct walk walk = { .gva = gva, .access = access, .by = BY_CPU };

	return access_pages(task, walk, NULL, bytes);
}

int task_read(struct task *task, uint32_t gva, void *data, unsigned int bytes)
{
	struct walk walk = { .gva = gva, .access = VEE_READ, .by = BY_CPU };

	return access_pages(task, walk, data, bytes);
}

/* Nothing is written unless all can be. */
int task_write(struct task *task, uint32_t gva, const void *data,
	       unsigned int bytes, enum access_by by)
{
	struct walk walk = { .gva = gva, .access = VEE_WRITE, .by = by };
	int err = access_pages(task, walk, NULL, bytes);

	return err ? err : access_pages(task, walk, (uint8_t *)data, bytes);
}

int task_set_byte(struct task *task, uint32_t gva, uint8_t clear, uint8_t set)
{
	struct walk walk = { .gva = gva, .access = VEE_WRITE, .by = BY_CPU };
	int err = find(task, &walk);
	struct undo *undo;
	uint8_t *hva;

	if (err)
		return err;
	if (!vee_vm_at(task->vcpu->vm, walk.gpa, 1))
		return -EFAULT;
	hva = vm_at_for(task->vcpu->vm, walk.gpa, 1, VEE_WRITE);
	if (!hva)
		return 0;
	undo = &task->undo[task->undo_count++];
	undo->hva = hva;
	undo->bytes = 1;
	undo->before[0] = *hva;
	__atomic_fetch_and(hva, (uint8_t)~clear, __ATOMIC_SEQ_CST);
	__atomic_fetch_or(hva, set, __ATOMIC_SEQ_CST);
	return 0;
}

void task_undo(struct task *task)
{
	while (task->undo_count) {
		const struct undo *undo = &task->undo[--task->undo_count];

		memcpy(undo->hva, undo->before, undo->bytes);
	}
}
