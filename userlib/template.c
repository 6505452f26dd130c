// SPDX-License-Identifier: LGPL-2.1-or-later
/* Memory that begins as a template. */
#include "internal.h"

/* What is asked for at once. */
#define PAGES_MOST	64

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

/* For each(): @count pages of the pool, from the one with number @first on. */
typedef void (*pages_fn)(const struct vm_template *template, const uint64_t *pages,
			 unsigned int first, unsigned int count, void *arg);

/*
 * As many as there are when it begins, or fewer; how many that is. With more than @most of
 * them nothing is done.
 */
static int each(const struct vee_vm *vm, uint64_t gpa, unsigned int most, pages_fn fn, void *arg)
{
	struct vm_template template;
	uint64_t pages[PAGES_MOST];
	unsigned int done = 0;
	int count;

	if (!vm_template(vm, gpa, &template))
		return -ENOENT;
	do {
		unsigned int now;

		count = fetch(vm, gpa, done, pages, PAGES_MOST);
		if (count < 0 || (unsigned int)count > most)
			return count;
		now = (unsigned int)count > done ? count - done : 0;
		now = min_u64(now, PAGES_MOST);
		fn(&template, pages, done, now, arg);
		done += now;
	} while (done < (unsigned int)count);
	return count;
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
	return each(vm, gpa, UINT32_MAX, copy_out, memory);
}

static int reset(const struct vee_vm *vm, uint64_t gpa)
{
	struct vee_template template = { .operation = VEE_TEMPLATE_RESET, .gpa = gpa };

	return request(vm, &template);
}

int template_put_back(const struct vee_vm *vm, uint64_t gpa, unsigned int most)
{
	int count = each(vm, gpa, most, copy_anew, NULL);

	return count > 0 && (unsigned int)count > most ? reset(vm, gpa) : count;
}

int vee_vm_template_reset(struct vee_vm *vm, uint64_t gpa, bool keep)
{
	return keep ? template_put_back(vm, gpa, UINT32_MAX) : reset(vm, gpa);
}
