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

/* Pages of the pool: each is copied anew, and stays what it is. */
static void copy_anew(const struct vm_template *template, const uint64_t *pages,
		      unsigned int first, unsigned int count)
{
	uint8_t *to = template->pool + (size_t)first * PAGE_BYTES;

	for (unsigned int i = 0; i < count; i++, to += PAGE_BYTES)
		copy_page(to, template->hva + (pages[i] - template->gpa));
}

/* As many as there are when it begins, or fewer. */
static int keep(const struct vee_vm *vm, uint64_t gpa)
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
		if (count < 0)
			return count;
		now = (unsigned int)count > done ? count - done : 0;
		now = min_u64(now, PAGES_MOST);
		copy_anew(&template, pages, done, now);
		done += now;
	} while (done < (unsigned int)count);
	return count;
}

int vee_vm_template_reset(struct vee_vm *vm, uint64_t gpa, bool keeps)
{
	struct vee_template template = { .operation = VEE_TEMPLATE_RESET, .gpa = gpa };

	return keeps ? keep(vm, gpa) : request(vm, &template);
}
