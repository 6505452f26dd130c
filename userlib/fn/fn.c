// SPDX-License-Identifier: LGPL-2.1-or-later
/* Functions in machines of their own: loaded once, called often. */
#include <elf.h>
#include <stdlib.h>

#include <fn_abi.h>
#include "fn.h"

#define DEFAULT_MEMORY	(4 * MIB)
#define MAX_MEMORY	(512 * GIB)
#define MAX_MACHINES	65536
#define STACK_BYTES	(16 * 1024)	/* of vee_load_elf() */

/* --- what the caller wants --- */

static int bad_argument(FILE *why, const char *what)
{
	if (why)
		fprintf(why, "%s\n", what);
	return -EINVAL;
}

static int take_options(struct vee_fn *fn, const struct vee_fn_options *wanted, FILE *why)
{
	struct vee_fn_options *options = &fn->options;

	if (wanted)
		*options = *wanted;
	if (!options->memory)
		options->memory = DEFAULT_MEMORY;
	if (!options->machines)
		options->machines = 1;
	if (options->memory % PAGE_BYTES || options->memory > MAX_MEMORY)
		return bad_argument(why, "vee_fn_options.memory: multiples of 4096, up to 512 GiB");
	if (options->machines > MAX_MACHINES)
		return bad_argument(why, "vee_fn_options.machines: at most 65536");
	for (unsigned int i = 0; i < options->host_count; i++)
		if (!options->hosts || !options->hosts[i])
			return bad_argument(why, "vee_fn_options.hosts: one of host_count is NULL");
	return 0;
}

/* The caller's list may be gone by the time of a call. */
static int copy_hosts(struct vee_fn *fn)
{
	size_t bytes = fn->options.host_count * sizeof(*fn->options.hosts);
	vee_fn_host *copy = malloc(bytes + 1);

	if (!copy)
		return -ENOMEM;
	if (bytes)
		memcpy(copy, fn->options.hosts, bytes);
	fn->options.hosts = copy;
	return 0;
}

/* --- the image --- */

static int bad_image(FILE *why, const char *what)
{
	if (why)
		fprintf(why, "the image can't be a function's: %s\n", what);
	return -ENOEXEC;
}

static int load_failed(const struct vee_fn *fn, int err, FILE *why)
{
	switch (err) {
	case -ENOEXEC:
		return bad_image(why, "it is no ELF file");
	case -EINVAL:
		return bad_image(why, "it is damaged");
	case -EOPNOTSUPP:
		return bad_image(why, "it is no static program for x86-64: link it by guest.ld");
	case -E2BIG:
		if (why)
			fprintf(why, "the image is larger than vee_fn_options.memory, %zu\n",
				fn->options.memory);
		return -EDQUOT;
	default:
		return err;
	}
}

static bool is_64bit(const uint8_t *image, size_t bytes)
{
	return bytes > EI_CLASS && image[EI_CLASS] == ELFCLASS64;
}

static int load(struct vee_fn *fn, struct machine *machine, const void *image, size_t bytes,
		FILE *why)
{
	struct vee_vcpu_page *page = machine->vcpu->page;
	int err = vee_load_elf(machine->vcpu, image, bytes);

	if (err)
		return load_failed(fn, err, why);
	if (!is_64bit(image, bytes))
		return load_failed(fn, -EOPNOTSUPP, why);
	/* Tables and stack are at the end of the memory: the heap goes up to these. */
	page->regs.rdi = min_u64(page->control.cr3, page->regs.rsp - STACK_BYTES);
	page->prefetch = 0;
	return 0;
}

static int take_buffers(struct vee_fn *fn, const struct vee_regs *regs, FILE *why)
{
	fn->buffers = (struct buffers) { regs->rdi, regs->rsi, regs->rdx, regs->rcx };
	if (within(regs->rdi, regs->rsi, fn->options.memory) &&
	    within(regs->rdx, regs->rcx, fn->options.memory))
		return 0;
	return bad_image(why, "its buffers, as it has them at FN_READY, are not in its memory");
}

/* From its first instruction to where it can be called. */
static int begin(struct vee_fn *fn, struct machine *machine, const void *image, size_t bytes,
		 FILE *why)
{
	int err = load(fn, machine, image, bytes, why);

	if (!err)
		err = fn_run(fn, machine, FN_READY, why);
	if (err == -ENOTRECOVERABLE)
		return bad_image(why, "it has not come to FN_READY");
	if (!err)
		err = take_buffers(fn, &machine->vcpu->page->regs, why);
	if (err)
		return err;
	vee_done(machine->vcpu);
	return vee_vm_snapshot(machine->vm, &fn->snapshot);
}

static int make_first(struct vee_fn *fn, struct machine *machine)
{
	int err = vee_vm_create(&machine->vm);

	if (!err)
		err = vee_vm_alloc(machine->vm, 0, fn->options.memory, NULL);
	if (!err)
		err = vee_vcpu_create(machine->vm, 0, &machine->vcpu);
	return err;
}

static int prepare(struct vee_fn *fn, const void *image, size_t bytes, FILE *why)
{
	struct machine machine = { 0 };
	int err = copy_hosts(fn);

	fn->idle = calloc(fn->options.machines, sizeof(*fn->idle));
	if (!fn->idle)
		err = -ENOMEM;
	if (!err)
		err = make_first(fn, &machine);
	if (!err)
		err = begin(fn, &machine, image, bytes, why);
	fn_destroy_machine(&machine);
	if (!err)
		err = fn_make_machine(fn, &fn->idle[0]);
	if (err)
		return err;
	fn->idle_count = 1;
	fn->made = 1;
	return 0;
}

int vee_fn_load(struct vee_fn **fn, const void *image, size_t bytes,
		const struct vee_fn_options *options, FILE *why)
{
	struct vee_fn *new = calloc(1, sizeof(*new));
	int err;

	if (!new)
		return -ENOMEM;
	err = take_options(new, options, why);
	if (err) {
		free(new);
		return err;
	}
	new->options.hosts = new->options.host_count ? new->options.hosts : NULL;
	pthread_mutex_init(&new->lock, NULL);
	pthread_cond_init(&new->given_back, NULL);
	err = prepare(new, image, bytes, why);
	if (err)
		vee_fn_free(new);
	else
		*fn = new;
	return err;
}

void vee_fn_free(struct vee_fn *fn)
{
	if (!fn)
		return;
	while (fn->idle_count)
		fn_destroy_machine(&fn->idle[--fn->idle_count]);
	vee_vm_snapshot_free(fn->snapshot);
	pthread_mutex_destroy(&fn->lock);
	pthread_cond_destroy(&fn->given_back);
	free((void *)fn->options.hosts);
	free(fn->idle);
	free(fn);
}

/* --- calls --- */

static int too_much(FILE *why, int err, const char *what, uint64_t is, uint64_t room)
{
	if (why)
		fprintf(why, "%s: %llu bytes, and there is room for %llu\n", what,
			(unsigned long long)is, (unsigned long long)room);
	return err;
}

static int take_result(const struct vee_fn *fn, const struct machine *machine, void *out,
		       size_t out_room, FILE *why)
{
	int64_t bytes = machine->vcpu->page->regs.rdi;
	int err;

	if (bytes < 0) {
		if (why)
			fprintf(why, "the function itself says that it has failed: %lld\n",
				(long long)bytes);
		return -EBADMSG;
	}
	if ((uint64_t)bytes > fn->buffers.out_room || bytes > INT32_MAX)
		return too_much(why, -ENOTRECOVERABLE, "the function claims a result that can't be",
				bytes, fn->buffers.out_room);
	if ((uint64_t)bytes > out_room)
		return too_much(why, -ENOBUFS, "the result is longer than the caller's buffer",
				bytes, out_room);
	err = vee_vm_read(machine->vm, fn->buffers.out, out, bytes);
	return err ? err : (int)bytes;
}

static int call(const struct vee_fn *fn, struct machine *machine, const void *in,
		size_t in_bytes, void *out, size_t out_room, FILE *why)
{
	int err = vee_vm_write(machine->vm, fn->buffers.in, in, in_bytes);

	if (err)
		return err;
	machine->vcpu->page->regs.rax = in_bytes;
	machine->vcpu->page->dirty |= VEE_STATE_REGS;
	err = fn_run(fn, machine, FN_DONE, why);
	return err ? err : take_result(fn, machine, out, out_room, why);
}

int vee_fn_call(struct vee_fn *fn, const void *in, size_t in_bytes, void *out,
		size_t out_room, FILE *why)
{
	struct machine machine;
	int ret;

	if (in_bytes > fn->buffers.in_room)
		return too_much(why, -E2BIG, "the call is longer than the function takes",
				in_bytes, fn->buffers.in_room);
	ret = fn_take(fn, &machine);
	if (ret) {
		if (why)
			fprintf(why, "there is no machine for it: %s\n", strerror(-ret));
		return ret;
	}
	ret = call(fn, &machine, in, in_bytes, out, out_room, why);
	fn_give_back(fn, &machine);
	return ret;
}
