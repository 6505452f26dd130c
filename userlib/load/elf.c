// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * ELF programs, by the System V ABI, "Object Files" and "Program Loading". The
 * image may be anyone's: no number in it is believed.
 */
#include <elf.h>

#include "load.h"

#define STACK_BYTES	(16 * 1024)
/*
 * Zeros above the stack, where a program finds its arguments, its environment and the
 * auxiliary vector (System V ABI, "Initial Stack and Register State"): none of all
 * these. A C library goes through them first; beyond memory it would for ever.
 */
#define ARGUMENT_BYTES	64

static bool is_elf(const void *image, size_t bytes)
{
	return bytes >= SELFMAG && !memcmp(image, ELFMAG, SELFMAG);
}

/* The parts of both classes of header that a loader needs, in one shape. */
struct header {
	uint16_t type;
	uint16_t machine;
	uint64_t entry;
	uint64_t phoff;
	uint32_t phentsize;
	uint32_t phnum;
};

static bool read_header32(const void *image, size_t bytes, struct header *header)
{
	Elf32_Ehdr ehdr;

	if (bytes < sizeof(ehdr))
		return false;
	memcpy(&ehdr, image, sizeof(ehdr));
	*header = (struct header) {
		.type = ehdr.e_type,
		.machine = ehdr.e_machine,
		.entry = ehdr.e_entry,
		.phoff = ehdr.e_phoff,
		.phentsize = ehdr.e_phentsize,
		.phnum = ehdr.e_phnum,
	};
	return header->phentsize >= sizeof(Elf32_Phdr);
}

static bool read_header64(const void *image, size_t bytes, struct header *header)
{
	Elf64_Ehdr ehdr;

	if (bytes < sizeof(ehdr))
		return false;
	memcpy(&ehdr, image, sizeof(ehdr));
	*header = (struct header) {
		.type = ehdr.e_type,
		.machine = ehdr.e_machine,
		.entry = ehdr.e_entry,
		.phoff = ehdr.e_phoff,
		.phentsize = ehdr.e_phentsize,
		.phnum = ehdr.e_phnum,
	};
	return header->phentsize >= sizeof(Elf64_Phdr);
}

static int read_header(const uint8_t *image, size_t bytes, unsigned int *bits,
		       struct header *header)
{
	bool good;

	if (bytes < EI_NIDENT)
		return -EINVAL;
	if (image[EI_CLASS] != ELFCLASS64 && image[EI_CLASS] != ELFCLASS32)
		return -EINVAL;
	if (image[EI_DATA] != ELFDATA2LSB)
		return -EOPNOTSUPP;
	*bits = image[EI_CLASS] == ELFCLASS64 ? 64 : 32;
	good = *bits == 64 ? read_header64(image, bytes, header) :
			     read_header32(image, bytes, header);
	return good ? 0 : -EINVAL;
}

static int check_header(const struct header *header, unsigned int bits,
			size_t bytes)
{
	if (header->machine != (bits == 64 ? EM_X86_64 : EM_386))
		return -EOPNOTSUPP;
	if (header->type != ET_EXEC && header->type != ET_DYN)
		return -EOPNOTSUPP;
	if (!header->phnum)
		return -EINVAL;
	/* The number is elsewhere, and too large at that. */
	if (header->phnum == PN_XNUM)
		return -EOPNOTSUPP;
	if (!within(header->phoff, (uint64_t)header->phnum * header->phentsize,
		    bytes))
		return -EINVAL;
	return 0;
}

/* Both return the segment's type. */
static uint32_t read_segment32(const uint8_t *at, struct elf_segment *segment)
{
	Elf32_Phdr phdr;

	memcpy(&phdr, at, sizeof(phdr));
	*segment = (struct elf_segment) {
		.offset = phdr.p_offset,
		.file_bytes = phdr.p_filesz,
		.gva = phdr.p_vaddr,
		.gpa = phdr.p_paddr,
		.bytes = phdr.p_memsz,
	};
	return phdr.p_type;
}

static uint32_t read_segment64(const uint8_t *at, struct elf_segment *segment)
{
	Elf64_Phdr phdr;

	memcpy(&phdr, at, sizeof(phdr));
	*segment = (struct elf_segment) {
		.offset = phdr.p_offset,
		.file_bytes = phdr.p_filesz,
		.gva = phdr.p_vaddr,
		.gpa = phdr.p_paddr,
		.bytes = phdr.p_memsz,
	};
	return phdr.p_type;
}

static int add_segment(struct elf *elf, const struct elf_segment *segment,
		       size_t bytes)
{
	if (!segment->bytes)
		return segment->file_bytes ? -EINVAL : 0;
	if (segment->file_bytes > segment->bytes ||
	    !within(segment->offset, segment->file_bytes, bytes) ||
	    !within(segment->gpa, segment->bytes, UINT64_MAX))
		return -EINVAL;
	if (elf->count == ELF_MAX_SEGMENTS)
		return -EOPNOTSUPP;
	elf->segments[elf->count++] = *segment;
	return 0;
}

/*
 * What wants a dynamic linker, that is an operating system; and what wants to be
 * moved, as shared libraries and static-pie programs do: nobody here relocates.
 */
static bool is_dynamic(const struct header *header, uint32_t type)
{
	return type == PT_INTERP ||
	       (type == PT_DYNAMIC && header->type == ET_DYN);
}

static int read_segments(const uint8_t *image, size_t bytes,
			 const struct header *header, struct elf *elf)
{
	for (uint32_t i = 0; i < header->phnum; i++) {
		const uint8_t *phdr = image + header->phoff +
				      (uint64_t)i * header->phentsize;
		struct elf_segment segment;
		uint32_t type;
		int err;

		type = elf->bits == 64 ? read_segment64(phdr, &segment) :
					 read_segment32(phdr, &segment);
		if (is_dynamic(header, type))
			return -EOPNOTSUPP;
		if (type != PT_LOAD)
			continue;
		err = add_segment(elf, &segment, bytes);
		if (err)
			return err;
	}
	return elf->count ? 0 : -EINVAL;
}

/*
 * Kernels are linked to run high and loaded low. Their entry may be given either
 * way; without page tables of their own they start at the physical address.
 */
static uint64_t physical_entry(const struct elf *elf, uint64_t entry)
{
	for (int i = 0; i < elf->count; i++)
		if (entry - elf->segments[i].gpa < elf->segments[i].bytes)
			return entry;
	for (int i = 0; i < elf->count; i++)
		if (entry - elf->segments[i].gva < elf->segments[i].bytes)
			return entry - elf->segments[i].gva + elf->segments[i].gpa;
	return entry;
}

static int check_entry(const struct elf *elf)
{
	for (int i = 0; i < elf->count; i++)
		if (elf->entry - elf->segments[i].gpa < elf->segments[i].bytes)
			return 0;
	return -EINVAL;
}

int elf_parse(const void *image, size_t bytes, struct elf *elf)
{
	struct header header;
	int err;

	if (!is_elf(image, bytes))
		return -ENOEXEC;
	elf->count = 0;
	err = read_header(image, bytes, &elf->bits, &header);
	if (!err)
		err = check_header(&header, elf->bits, bytes);
	if (!err)
		err = read_segments(image, bytes, &header, elf);
	if (err)
		return err;
	elf->entry = physical_entry(elf, header.entry);
	return check_entry(elf);
}

int elf_plan(const struct elf *elf, struct layout *layout)
{
	int err = 0;

	for (int i = 0; i < elf->count && !err; i++)
		err = layout_take(layout, elf->segments[i].gpa,
				  elf->segments[i].bytes);
	return err;
}

int elf_write(const struct elf *elf, const void *image, struct vee_vm *vm)
{
	int err = 0;

	for (int i = 0; i < elf->count && !err; i++) {
		const struct elf_segment *segment = &elf->segments[i];

		err = vee_vm_write(vm, segment->gpa,
				   (const uint8_t *)image + segment->offset,
				   segment->file_bytes);
		if (!err)
			err = vm_zero(vm, segment->gpa + segment->file_bytes,
				      segment->bytes - segment->file_bytes);
	}
	/* The plan saw memory there; someone must have taken it since. */
	return err ? -E2BIG : 0;
}

/* Where the stack goes, and for long mode the page tables. */
struct extras {
	uint64_t stack;
	uint64_t tables;
	uint64_t mapped;
};

static int plan_extras(const struct elf *elf, struct layout *layout,
		       struct extras *extras)
{
	uint64_t directories;
	int err = layout_place(layout, STACK_BYTES + ARGUMENT_BYTES, 16, 4 * GIB,
			       &extras->stack);

	if (err || elf->bits == 32)
		return err;
	extras->mapped = layout_top(layout);
	if (extras->mapped < 4 * GIB)
		extras->mapped = 4 * GIB;
	if (extras->mapped > 512 * GIB)
		extras->mapped = 512 * GIB;
	directories = (extras->mapped + GIB - 1) / GIB;
	return layout_place(layout, (2 + directories) * PAGE_BYTES, PAGE_BYTES,
			    4 * GIB, &extras->tables);
}

static int plan(const struct elf *elf, struct vee_vm *vm, struct extras *extras)
{
	struct layout layout;
	int err = layout_begin(&layout, vm);

	if (err)
		return err;
	err = elf_plan(elf, &layout);
	if (!err)
		err = plan_extras(elf, &layout, extras);
	layout_end(&layout);
	return err;
}

/* First of all that is written: it is what memory of this process can fail for. */
static int write_extras(const struct elf *elf, struct vee_vm *vm,
			const struct extras *extras)
{
	int ret = 0;

	if (elf->bits == 64)
		ret = vee_vm_identity_map(vm, extras->tables, extras->mapped);
	return ret < 0 ? ret : vm_zero(vm, extras->stack + STACK_BYTES, ARGUMENT_BYTES);
}

static void start(struct vee_vcpu *vcpu, const struct elf *elf,
		  const struct extras *extras)
{
	if (elf->bits == 64)
		vee_vcpu_set_long_mode(vcpu, extras->tables, elf->entry);
	else
		vee_vcpu_set_protected_mode(vcpu, elf->entry);
	vcpu->page->regs.rsp = extras->stack + STACK_BYTES;
}

int vee_load_elf(struct vee_vcpu *vcpu, const void *image, size_t bytes)
{
	struct extras extras = { 0 };
	struct elf elf;
	int err = elf_parse(image, bytes, &elf);

	if (!err)
		err = plan(&elf, vcpu->vm, &extras);
	if (!err)
		err = write_extras(&elf, vcpu->vm, &extras);
	if (!err)
		err = elf_write(&elf, image, vcpu->vm);
	if (!err)
		start(vcpu, &elf, &extras);
	return err;
}
