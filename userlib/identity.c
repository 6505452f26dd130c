// SPDX-License-Identifier: LGPL-2.1-or-later
/* Page tables that map every address to itself. */
#include <stdlib.h>

#include "internal.h"

#define ENTRIES		512
#define LARGE_PAGE	(2 * MIB)

#define PTE_PRESENT	0x1ULL
#define PTE_WRITABLE	0x2ULL
#define PTE_LARGE	0x80ULL

#define PTE_TABLE	(PTE_PRESENT | PTE_WRITABLE)
#define PTE_MEMORY	(PTE_PRESENT | PTE_WRITABLE | PTE_LARGE)

/* In this order: the PML4, one page-directory-pointer table, the directories. */
static void fill(uint64_t *tables, uint64_t gpa, uint64_t large_pages,
		 uint64_t directories)
{
	uint64_t *pml4 = tables, *pdpt = tables + ENTRIES;
	uint64_t *directory = tables + 2 * ENTRIES;

	pml4[0] = (gpa + PAGE_BYTES) | PTE_TABLE;
	for (uint64_t i = 0; i < directories; i++)
		pdpt[i] = (gpa + (2 + i) * PAGE_BYTES) | PTE_TABLE;
	for (uint64_t i = 0; i < large_pages; i++)
		directory[i] = i * LARGE_PAGE | PTE_MEMORY;
}

int vee_vm_identity_map(struct vee_vm *vm, uint64_t tables_gpa, uint64_t bytes)
{
	uint64_t large_pages, directories, total;
	uint64_t *tables;
	int err;

	if (tables_gpa % PAGE_BYTES || !bytes || bytes > ENTRIES * GIB)
		return -EINVAL;
	large_pages = (bytes + LARGE_PAGE - 1) / LARGE_PAGE;
	directories = (large_pages + ENTRIES - 1) / ENTRIES;
	total = (2 + directories) * PAGE_BYTES;
	tables = calloc(1, total);
	if (!tables)
		return -ENOMEM;
	fill(tables, tables_gpa, large_pages, directories);
	err = vee_vm_write(vm, tables_gpa, tables, total);
	free(tables);
	return err ? err : (int)total;
}
