// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Memory that begins as a template.
 *
 * Which pages are in a slot's pool changes when the guest writes to another one, which its
 * vCPUs' pages tell, when the library has one copied, and when the slot is reset. As long as
 * none of that has happened, to put them back takes no request.
 */
#include <stdlib.h>

#include "internal.h"

/* What is asked for at once, and what is known at most. */
#define PAGES_MOST	64

/* --- which pages are in the pool, as far as that is known -------------------------- */

/**
 * struct known - the pages of a slot's pool
 * @told: vm_copies() when they were told; 0: they are not known
 * @count: how many
 * @pages: their guest-physical addresses
 */
struct known {
	uint64_t told;
	unsigned int count;
	uint64_t pages[PAGES_MOST];
};

struct known *known_make(void)
{
	struct known *known = malloc(sizeof(*known));

	if (known)
		known->told = 0;
	return known;
}

static void forget(struct known *known)
{
	__atomic_store_n(&known->told, 0, __ATOMIC_RELAXED);
}

void known_locate(struct known *known, uint64_t number)
{
	if (number >= __atomic_load_n(&known->count, __ATOMIC_RELAXED))
		forget(known);
}

/* @told: from before they were told. */
static void remember(struct known *known, uint64_t told, const uint64_t *pages,
		     unsigned int count)
{
	memcpy(known->pages, pages, count * sizeof(*pages));
	known->count = count;
	known->told = told;
}

/* --- requests ------------------------------------------------------------------------ */

static int request(const struct vee_vm *vm, struct vee_template *template)
{
	template->size = sizeof(*template);
	return vee_request(vee_vm_fd(vm), VEE_VM_TEMPLATE, template);
}

int template_locate(const struct vee_vm *vm, uint64_t gpa, bool write, uint8_t **hva)
{
	struct vee_template template = {
		.flags = write ? VEE_TEMPLATE_WRITE : 0,
		.operation = VEE_TEMPLATE_LOCATE,
		.gpa = gpa,
	};
	int err = request(vm, &template);

	*hva = (uint8_t *)(uintptr_t)template.hva;
	return err;
}

static int fetch(const struct vee_vm *vm, uint64_t gpa, unsigned int first, uint64_t *pages,
		 size_t room)
{
	struct vee_template template = {
		.operation = VEE_TEMPLATE_FETCH,
		.first = first,
		.gpa = gpa,
		.pages = (uintptr_t)pages,
		.room = room,
	};

	return request(vm, &template);
}

int vee_vm_template_fetch(const struct vee_vm *vm, uint64_t gpa, uint64_t *pages, size_t room)
{
	return fetch(vm, gpa, 0, pages, room);
}

/* --- each page of the pool ----------------------------------------------------------- */

/* For each(): @count pages of the pool, from the one with number @first on. */
typedef void (*pages_fn)(const struct vm_template *template, const uint64_t *pages,
			 unsigned int first, unsigned int count, void *arg);

static int each_told(const struct vee_vm *vm, const struct vm_template *template,
		     unsigned int most, pages_fn fn, void *arg)
{
	uint64_t pages[PAGES_MOST], told = vm_copies(vm);
	unsigned int done = 0;
	int count;

	do {
		unsigned int now;

		count = fetch(vm, template->gpa, done, pages, PAGES_MOST);
		if (count < 0 || (unsigned int)count > most)
			return count;
		now = (unsigned int)count > done ? count - done : 0;
		now = min_u64(now, PAGES_MOST);
		fn(template, pages, done, now, arg);
		done += now;
	} while (done < (unsigned int)count);
	if (count <= PAGES_MOST)
		remember(template->known, told, pages, count);
	return count;
}

/*
 * As many as there are when it begins, or fewer; how many that is. With more than @most of
 * them nothing is done.
 */
static int each(const struct vee_vm *vm, const struct vm_template *template, unsigned int most,
		pages_fn fn, void *arg)
{
	struct known *known = template->known;

	if (!known->told || known->told != vm_copies(vm))
		return each_told(vm, template, most, fn, arg);
	if (known->count <= most)
		fn(template, known->pages, 0, known->count, arg);
	return known->count;
}

static uint8_t *pool_page(const struct vm_template *template, unsigned int number)
{
	return template->pool + (size_t)number * PAGE_BYTES;
}

/* Each stays what it is. */
static void copy_anew(const struct vm_template *template, const uint64_t *pages,
		      unsigned int first, unsigned int count, void *arg)
{
	(void)arg;
	for (unsigned int i = 0; i < count; i++)
		copy_page(pool_page(template, first + i),
			  template->hva + (pages[i] - template->gpa));
}

static void copy_out(const struct vm_template *template, const uint64_t *pages,
		     unsigned int first, unsigned int count, void *memory)
{
	for (unsigned int i = 0; i < count; i++)
		copy_page((uint8_t *)memory + (pages[i] - template->gpa),
			  pool_page(template, first + i));
}

int template_copy_out(const struct vee_vm *vm, uint64_t gpa, uint8_t *memory)
{
	struct vm_template template;

	if (!vm_template(vm, gpa, &template))
		return -ENOENT;
	return each(vm, &template, UINT32_MAX, copy_out, memory);
}

/* --- back to the template ------------------------------------------------------------- */

static int reset(const struct vee_vm *vm, const struct vm_template *template)
{
	struct vee_template arg = { .operation = VEE_TEMPLATE_RESET, .gpa = template->gpa };

	forget(template->known);
	return request(vm, &arg);
}

static int put_back(const struct vee_vm *vm, const struct vm_template *template,
		    unsigned int most)
{
	int count = each(vm, template, most, copy_anew, NULL);

	return count > 0 && (unsigned int)count > most ? reset(vm, template) : count;
}

int template_put_back(const struct vee_vm *vm, uint64_t gpa, unsigned int most)
{
	struct vm_template template;

	return vm_template(vm, gpa, &template) ? put_back(vm, &template, most) : -ENOENT;
}

int vee_vm_template_reset(struct vee_vm *vm, uint64_t gpa, bool keep)
{
	struct vm_template template;

	if (!vm_template(vm, gpa, &template))
		return -ENOENT;
	return keep ? put_back(vm, &template, UINT32_MAX) : reset(vm, &template);
}
