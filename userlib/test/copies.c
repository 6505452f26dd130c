// SPDX-License-Identifier: LGPL-2.1-or-later
/* The stand-in's slots with a template: who writes a page gets a copy of it. */
#include "test.h"

#define NOTES	2048

/* In the order in which they were made: those of a pool are its pages, in theirs. */
static struct {
	uint64_t pool;
	uint64_t page;
} notes[NOTES];
static unsigned int note_count;
unsigned int copies_resets;

void copies_forget(const struct vee_map *map)
{
	unsigned int kept = 0;

	for (unsigned int i = 0; i < note_count; i++)
		if (!map->pool || notes[i].pool != map->pool)
			notes[kept++] = notes[i];
	note_count = kept;
}

static unsigned int list(const struct vee_map *map, uint64_t *pages, unsigned int first,
			 unsigned int room)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < note_count; i++) {
		if (notes[i].pool != map->pool)
			continue;
		if (count >= first && count - first < room)
			pages[count - first] = notes[i].page;
		count++;
	}
	return count;
}

unsigned int copies_count(uint64_t gpa)
{
	const struct vee_map *map = fake_map_at(gpa);

	return map ? list(map, NULL, 0, 0) : 0;
}

/* The pool's page that is the copy of @page. False: *@number is the next one. */
static bool find(const struct vee_map *map, uint64_t page, unsigned int *number)
{
	*number = 0;
	for (unsigned int i = 0; i < note_count; i++) {
		if (notes[i].pool != map->pool)
			continue;
		if (notes[i].page == page)
			return true;
		++*number;
	}
	return false;
}

static int locate(const struct vee_map *map, struct vee_template *template)
{
	uint64_t page = template->gpa & ~PAGE_OFFSET;
	uint8_t *from = (uint8_t *)(uintptr_t)map->hva + (page - map->gpa), *to;
	unsigned int number;
	bool has = find(map, page, &number);

	to = (uint8_t *)(uintptr_t)map->pool + number * PAGE_BYTES;
	template->hva = (uintptr_t)(has ? to : from) + (template->gpa & PAGE_OFFSET);
	if (has || !(template->flags & VEE_TEMPLATE_WRITE))
		return 0;
	if (number == map->pool_bytes / PAGE_BYTES || note_count == NOTES)
		return -ENOSPC;
	memcpy(to, from, PAGE_BYTES);
	notes[note_count].pool = map->pool;
	notes[note_count++].page = page;
	return locate(map, template);
}

int copies_answer(struct vee_template *template)
{
	const struct vee_map *map = fake_map_at(template->gpa);

	if (!map || !map->pool)
		return -ENOENT;
	switch (template->operation) {
	case VEE_TEMPLATE_LOCATE:
		return locate(map, template);
	case VEE_TEMPLATE_RESET:
		copies_resets++;
		copies_forget(map);
		return 0;
	default:
		return list(map, (void *)(uintptr_t)template->pages, template->first,
			    template->room);
	}
}
