// SPDX-License-Identifier: LGPL-2.1-or-later
/* Loaders, with good images, truncated ones and ones with bytes changed. */
#include <asm/bootparam.h>
#include <elf.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../load/load.h"
#include "test.h"

#define MEMORY		(4 * MIB)
#define CHANGES		4000

static struct rig rig;
static uint8_t *ram;

static void begin(uint64_t bytes)
{
	rig_begin(&rig);
	if (vee_vm_alloc(rig.vm, 0, bytes, (void **)&ram))
		abort();
}

static void end(void)
{
	rig_end(&rig);
}

typedef int (*loader)(const void *image, size_t bytes);

static int load_elf(const void *image, size_t bytes)
{
	return vee_load_elf(rig.vcpu, image, bytes);
}

static int load_multiboot(const void *image, size_t bytes)
{
	return vee_load_multiboot(rig.vcpu, image, bytes, "a=b");
}

static int load_linux(const void *image, size_t bytes)
{
	struct vee_linux_boot boot = { "quiet", "initrd", 6 };

	return vee_load_linux(rig.vcpu, image, bytes, &boot);
}

static int load_any(const void *image, size_t bytes)
{
	return vee_load(rig.vcpu, image, bytes, "a=b");
}

static bool expected(int err)
{
	return !err || err == -ENOEXEC || err == -EINVAL || err == -E2BIG ||
	       err == -EOPNOTSUPP;
}

static int load_copy(loader load, const uint8_t *image, size_t bytes)
{
	uint8_t *copy = exact_copy(image, bytes);
	int err = load(copy, bytes);

	free(copy);
	return err;
}

static bool is_untouched(void)
{
	static const uint8_t zeros[4096];

	for (size_t i = 0; i < MEMORY; i += sizeof(zeros))
		if (memcmp(ram + i, zeros, sizeof(zeros)))
			return false;
	return true;
}

/* From @needed bytes on the image may load; below it must not. */
static void truncate_everywhere(loader load, const uint8_t *image, size_t bytes,
				size_t needed)
{
	begin(MEMORY);
	for (size_t length = 0; length <= bytes; length++) {
		int err = load_copy(load, image, length);

		test_case("%zu of %zu bytes: %d", length, bytes, err);
		CHECK(expected(err));
		if (length < needed)
			CHECK(err && is_untouched());
	}
	CHECK_EQUAL(load_copy(load, image, bytes), 0);
	end();
}

static void change_bytes(loader load, const uint8_t *image, size_t bytes,
			 size_t headers)
{
	int refused = 0;

	begin(MEMORY);
	for (int i = 0; i < CHANGES; i++) {
		uint8_t *copy = exact_copy(image, bytes);
		int err;

		for (unsigned int n = 1 + test_random() % 4; n; n--)
			copy[test_random() % headers] = test_random() & 1 ?
				test_random() : 0xff;
		memset(ram, 0, MEMORY);
		err = load(copy, bytes);
		test_case("round %d: %d", i, err);
		CHECK(expected(err));
		if (err)
			CHECK(is_untouched());
		refused += err != 0;
		free(copy);
	}
	CHECK(refused);
	end();
}

/* --- ELF --- */

#define TEXT		0x100000
#define TEXT_BYTES	16
#define BSS_BYTES	4096

static struct {
	Elf64_Ehdr ehdr;
	Elf64_Phdr phdr[2];
	uint8_t text[TEXT_BYTES];
} elf64 = {
	.ehdr = {
		.e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, 1 },
		.e_type = ET_EXEC,
		.e_machine = EM_X86_64,
		.e_version = 1,
		.e_entry = 0xffffffff80000004,
		.e_phoff = sizeof(Elf64_Ehdr),
		.e_ehsize = sizeof(Elf64_Ehdr),
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = 2,
	},
	.phdr = {
		{
			.p_type = PT_LOAD,
			.p_offset = sizeof(Elf64_Ehdr) + 2 * sizeof(Elf64_Phdr),
			.p_vaddr = 0xffffffff80000000,
			.p_paddr = TEXT,
			.p_filesz = TEXT_BYTES,
			.p_memsz = BSS_BYTES,
		},
		{ .p_type = PT_NOTE, .p_offset = UINT64_MAX },
	},
	.text = "sixteen bytes.",
};

static struct {
	Elf32_Ehdr ehdr;
	Elf32_Phdr phdr;
	uint8_t text[TEXT_BYTES];
} elf32 = {
	.ehdr = {
		.e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS32, ELFDATA2LSB, 1 },
		.e_type = ET_EXEC,
		.e_machine = EM_386,
		.e_version = 1,
		.e_entry = TEXT,
		.e_phoff = sizeof(Elf32_Ehdr),
		.e_ehsize = sizeof(Elf32_Ehdr),
		.e_phentsize = sizeof(Elf32_Phdr),
		.e_phnum = 1,
	},
	.phdr = {
		.p_type = PT_LOAD,
		.p_offset = sizeof(Elf32_Ehdr) + sizeof(Elf32_Phdr),
		.p_vaddr = TEXT,
		.p_paddr = TEXT,
		.p_filesz = TEXT_BYTES,
		.p_memsz = TEXT_BYTES,
	},
	.text = "sixteen bytes.",
};

/* What a program finds above its stack: no arguments and so on, whatever was there. */
static void check_arguments(void)
{
	static const uint8_t none[40];
	uint64_t rsp = rig.vcpu->page->regs.rsp;

	CHECK_EQUAL(rsp % 16, 0);
	if (CHECK(vee_vm_at(rig.vm, rsp - 16384, 16384 + sizeof(none))))
		CHECK(!memcmp(ram + rsp, none, sizeof(none)));
}

static void elf_64_bit(void)
{
	struct vee_vcpu_page *page;
	uint64_t pml4 = 0;

	begin(MEMORY);
	page = rig.vcpu->page;
	memset(ram, 'x', MEMORY);
	CHECK_EQUAL(load_elf(&elf64, sizeof(elf64)), 0);
	check_arguments();
	CHECK(!memcmp(ram + TEXT, elf64.text, TEXT_BYTES));
	CHECK_EQUAL(ram[TEXT + TEXT_BYTES], 0);
	CHECK_EQUAL(ram[TEXT + BSS_BYTES - 1], 0);
	CHECK_EQUAL(ram[TEXT + BSS_BYTES], 'x');
	CHECK_EQUAL(page->regs.rip, TEXT + 4);
	CHECK(page->segments.cs.access_rights & VEE_AR_L);
	CHECK(page->regs.rsp - 16384 >= TEXT + BSS_BYTES ||
	      page->regs.rsp <= TEXT);
	CHECK_EQUAL(vee_vm_read(rig.vm, page->control.cr3, &pml4, 8), 0);
	CHECK_EQUAL(pml4 & 3, 3);
	end();
	truncate_everywhere(load_elf, (void *)&elf64, sizeof(elf64), sizeof(elf64));
	change_bytes(load_elf, (void *)&elf64, sizeof(elf64),
		     offsetof(typeof(elf64), text));
}

static void elf_32_bit(void)
{
	begin(MEMORY);
	memset(ram, 'x', MEMORY);
	CHECK_EQUAL(load_elf(&elf32, sizeof(elf32)), 0);
	check_arguments();
	CHECK(!memcmp(ram + TEXT, elf32.text, TEXT_BYTES));
	CHECK_EQUAL(rig.vcpu->page->regs.rip, TEXT);
	CHECK(rig.vcpu->page->segments.cs.access_rights & VEE_AR_DB);
	end();
	truncate_everywhere(load_elf, (void *)&elf32, sizeof(elf32), sizeof(elf32));
	change_bytes(load_elf, (void *)&elf32, sizeof(elf32),
		     offsetof(typeof(elf32), text));
}

#define WRONG(field, value, error) do {					\
	typeof(elf64) wrong_ = elf64;					\
									\
	wrong_.field = (value);						\
	test_case("%s", #field " = " #value);				\
	CHECK_EQUAL(load_elf(&wrong_, sizeof(wrong_)), error);		\
	CHECK(is_untouched());						\
} while (0)

static void elf_that_is_wrong(void)
{
	begin(MEMORY);
	WRONG(ehdr.e_ident[0], 0, -ENOEXEC);
	WRONG(ehdr.e_ident[EI_DATA], ELFDATA2MSB, -EOPNOTSUPP);
	WRONG(ehdr.e_machine, EM_AARCH64, -EOPNOTSUPP);
	WRONG(ehdr.e_type, ET_REL, -EOPNOTSUPP);
	WRONG(ehdr.e_phnum, 0, -EINVAL);
	WRONG(ehdr.e_phnum, PN_XNUM - 1, -EINVAL);
	WRONG(ehdr.e_phnum, PN_XNUM, -EOPNOTSUPP);
	WRONG(ehdr.e_phentsize, 1, -EINVAL);
	WRONG(ehdr.e_phoff, UINT64_MAX, -EINVAL);
	WRONG(ehdr.e_entry, 0x200000, -EINVAL);
	WRONG(phdr[1].p_type, PT_INTERP, -EOPNOTSUPP);
	WRONG(phdr[0].p_type, PT_NULL, -EINVAL);
	WRONG(phdr[0].p_offset, UINT64_MAX - 3, -EINVAL);
	WRONG(phdr[0].p_filesz, UINT64_MAX, -EINVAL);
	WRONG(phdr[0].p_memsz, 8, -EINVAL);
	WRONG(phdr[0].p_memsz, UINT64_MAX, -EINVAL);
	WRONG(phdr[0].p_memsz, 0, -EINVAL);
	WRONG(phdr[0].p_memsz, MEMORY, -E2BIG);
	WRONG(phdr[0].p_paddr, UINT64_MAX - 100, -EINVAL);
	WRONG(phdr[0].p_paddr, MEMORY, -E2BIG);
	WRONG(phdr[0].p_paddr, MEMORY - 1, -E2BIG);
	for (int class = 0; class < 256; class++) {
		typeof(elf32) wrong = elf32;

		wrong.ehdr.e_ident[EI_CLASS] = class;
		test_case("class %d", class);
		if (class != ELFCLASS32)
			CHECK_EQUAL(load_elf(&wrong, sizeof(wrong)), -EINVAL);
	}
	CHECK(is_untouched());
	end();
	/* It fits, but nothing is left for page tables and stack. */
	begin(PAGE_BYTES * 3);
	elf64.phdr[0].p_paddr = PAGE_BYTES;
	elf64.ehdr.e_entry = PAGE_BYTES;
	CHECK_EQUAL(load_elf(&elf64, sizeof(elf64)), -E2BIG);
	elf64.phdr[0].p_paddr = TEXT;
	elf64.ehdr.e_entry = 0xffffffff80000004;
	end();
}

/* One that is to be moved is refused, one that merely may be isn't. */
static void elf_that_moves(void)
{
	typeof(elf64) moves = elf64;

	begin(MEMORY);
	moves.ehdr.e_type = ET_DYN;
	CHECK_EQUAL(load_elf(&moves, sizeof(moves)), 0);
	memset(ram, 0, MEMORY);
	moves.phdr[1].p_type = PT_DYNAMIC;
	CHECK_EQUAL(load_elf(&moves, sizeof(moves)), -EOPNOTSUPP);
	CHECK(is_untouched());
	moves.ehdr.e_type = ET_EXEC;
	CHECK_EQUAL(load_elf(&moves, sizeof(moves)), 0);
	end();
}

/* A number of program headers that is no number, in an image that has so many. */
static void elf_with_many_headers(void)
{
	const size_t bytes = sizeof(elf64) + PN_XNUM * sizeof(Elf64_Phdr);
	typeof(elf64) *many = calloc(1, bytes);

	*many = elf64;
	begin(MEMORY);
	many->ehdr.e_phnum = PN_XNUM;
	CHECK_EQUAL(load_elf(many, bytes), -EOPNOTSUPP);
	CHECK(is_untouched());
	memset(many->text, 0, TEXT_BYTES);	/* more headers, of no type */
	many->ehdr.e_phnum = PN_XNUM - 1;
	CHECK_EQUAL(load_elf(many, bytes), 0);
	end();
	free(many);
}

/* As many segments as are taken, and one more; some of no bytes don't count. */
static void elf_with_many_segments(void)
{
	enum { COUNT = 70, MOST = 64 };
	const size_t bytes = sizeof(Elf64_Ehdr) + COUNT * sizeof(Elf64_Phdr) + TEXT_BYTES;
	uint8_t *image = calloc(1, bytes);
	Elf64_Ehdr *ehdr = (void *)image;
	Elf64_Phdr *phdr = (void *)(ehdr + 1);

	*ehdr = elf64.ehdr;
	ehdr->e_phnum = COUNT;
	for (unsigned int i = 0; i < COUNT; i++) {
		phdr[i] = elf64.phdr[0];
		phdr[i].p_offset = bytes - TEXT_BYTES;
		phdr[i].p_paddr += i * BSS_BYTES;
		phdr[i].p_memsz = i < MOST ? BSS_BYTES : 0;
		phdr[i].p_filesz = i < MOST ? TEXT_BYTES : 0;
	}
	memcpy(image + bytes - TEXT_BYTES, elf64.text, TEXT_BYTES);
	begin(MEMORY);
	CHECK_EQUAL(load_elf(image, bytes), 0);
	CHECK(!memcmp(ram + TEXT + (MOST - 1) * BSS_BYTES, elf64.text, TEXT_BYTES));
	memset(ram, 0, MEMORY);
	phdr[COUNT - 1].p_memsz = BSS_BYTES;
	CHECK_EQUAL(load_elf(image, bytes), -EOPNOTSUPP);
	CHECK(is_untouched());
	end();
	free(image);
}

#define FAR_GPA		(600 * GIB)
#define LAST_GIB	511

/* Memory beyond what one table of the second level maps: as far as that does. */
static void elf_in_much_memory(void)
{
	uint64_t pml4[2] = { 0 }, last = 0;

	begin(MEMORY);
	CHECK_EQUAL(vee_vm_alloc(rig.vm, FAR_GPA, PAGE_BYTES, NULL), 0);
	CHECK_EQUAL(load_elf(&elf64, sizeof(elf64)), 0);
	CHECK_EQUAL(vee_vm_read(rig.vm, rig.vcpu->page->control.cr3, pml4, sizeof(pml4)), 0);
	CHECK_EQUAL(pml4[0] & 3, 3);
	CHECK_EQUAL(pml4[1], 0);
	CHECK_EQUAL(vee_vm_read(rig.vm, (pml4[0] & ~PAGE_OFFSET) + 8 * LAST_GIB, &last, 8), 0);
	CHECK_EQUAL(last & 3, 3);
	end();
}

/* --- multiboot --- */

#define MAGIC	0x1badb002

static struct {
	uint8_t before[12];	/* the header is anywhere at a multiple of 4 */
	uint32_t header[8];
	uint8_t text[TEXT_BYTES];
} flat_kernel = {
	.header = {
		MAGIC, 0x10003, -(MAGIC + 0x10003U), TEXT + 12, TEXT,
		TEXT + 60, TEXT + 0x1000, TEXT + 44,
	},
	.text = "sixteen bytes.",
};

static struct {
	typeof(elf32) elf;
	uint32_t header[3];
} elf_kernel;

static void make_elf_kernel(void)
{
	elf_kernel.elf = elf32;
	elf_kernel.header[0] = MAGIC;
	elf_kernel.header[1] = 2;
	elf_kernel.header[2] = -(MAGIC + 2U);
}

static uint32_t info(uint64_t at)
{
	uint32_t value = 0;

	vee_vm_read(rig.vm, rig.vcpu->page->regs.rbx + at, &value, 4);
	return value;
}

/* The second entry of the map of 4 MiB is all from 1 MiB on. */
static void check_info(void)
{
	uint64_t entry[2];

	CHECK_EQUAL(rig.vcpu->page->regs.rax, 0x2badb002);
	CHECK_EQUAL(info(0) & 0x45, 0x45);
	CHECK_EQUAL(info(4), 640);
	CHECK_EQUAL(info(8), 3072);
	CHECK(!memcmp(ram + info(16), "a=b", 4));
	CHECK_EQUAL(info(44), 48);
	CHECK_EQUAL(vee_vm_read(rig.vm, info(48) + 24 + 4, entry, 16), 0);
	CHECK_EQUAL(entry[0], MIB);
	CHECK_EQUAL(entry[1], 3 * MIB);
	CHECK(rig.vcpu->page->regs.rbx < 0xa0000);
}

static void multiboot_with_addresses(void)
{
	begin(MEMORY);
	memset(ram + TEXT, 'x', 0x2000);
	CHECK_EQUAL(load_multiboot(&flat_kernel, sizeof(flat_kernel)), 0);
	CHECK(!memcmp(ram + TEXT, &flat_kernel, 60));
	CHECK_EQUAL(ram[TEXT + 60], 0);
	CHECK_EQUAL(ram[TEXT + 0xfff], 0);
	CHECK_EQUAL(ram[TEXT + 0x1000], 'x');
	CHECK_EQUAL(rig.vcpu->page->regs.rip, TEXT + 44);
	check_info();
	end();
	truncate_everywhere(load_multiboot, (void *)&flat_kernel,
			    sizeof(flat_kernel), sizeof(flat_kernel));
	change_bytes(load_multiboot, (void *)&flat_kernel, sizeof(flat_kernel),
		     offsetof(typeof(flat_kernel), text));
}

static void multiboot_as_elf(void)
{
	make_elf_kernel();
	begin(MEMORY);
	CHECK_EQUAL(load_multiboot(&elf_kernel, sizeof(elf_kernel)), 0);
	CHECK_EQUAL(rig.vcpu->page->regs.rip, TEXT);
	check_info();
	CHECK_EQUAL(vee_load_multiboot(rig.vcpu, &elf_kernel, sizeof(elf_kernel),
				       NULL), 0);
	CHECK_EQUAL(info(0) & 4, 0);
	end();
	truncate_everywhere(load_multiboot, (void *)&elf_kernel,
			    sizeof(elf_kernel), sizeof(elf_kernel));
	change_bytes(load_multiboot, (void *)&elf_kernel, sizeof(elf_kernel),
		     sizeof(elf_kernel));
}

/* "load_end_addr" of 0 is the end of the file; and there is no memory from 1 MiB on. */
static void multiboot_in_low_memory(void)
{
	typeof(flat_kernel) low = flat_kernel;

	low.header[3] = 0x2000 + sizeof(low.before);
	low.header[4] = 0x2000;
	low.header[5] = 0;
	low.header[6] = 0;
	low.header[7] = 0x2000 + offsetof(typeof(low), text);
	begin(LEGACY_HOLE);
	memset(ram + 0x2000, 'x', 0x1000);
	CHECK_EQUAL(load_multiboot(&low, sizeof(low)), 0);
	CHECK(!memcmp(ram + 0x2000, &low, sizeof(low)));
	CHECK_EQUAL(ram[0x2000 + sizeof(low)], 'x');
	CHECK_EQUAL(rig.vcpu->page->regs.rip, low.header[7]);
	CHECK_EQUAL(info(4), 640);
	CHECK_EQUAL(info(8), 0);
	end();
}

/* An ELF program that begins where a 32-bit kernel can't. */
static void multiboot_above_4_gib(void)
{
	struct {
		typeof(elf64) elf;
		uint32_t header[3];
	} high = { elf64, { MAGIC, 0, -MAGIC } };

	high.elf.phdr[0].p_paddr = 5 * GIB;
	high.elf.ehdr.e_entry = 5 * GIB + 4;
	begin(MEMORY);
	CHECK_EQUAL(vee_vm_alloc(rig.vm, 5 * GIB, PAGE_BYTES, NULL), 0);
	CHECK_EQUAL(load_multiboot(&high, sizeof(high)), -EINVAL);
	CHECK(is_untouched());
	end();
}

static void check_wrong_multiboot(unsigned int index, uint32_t value, int error)
{
	typeof(flat_kernel) wrong = flat_kernel;

	wrong.header[index] = value;
	if (index < 2)
		wrong.header[2] = -(wrong.header[0] + wrong.header[1]);
	test_case("header[%u] = %#x", index, value);
	CHECK_EQUAL(load_multiboot(&wrong, sizeof(wrong)), error);
	CHECK(is_untouched());
}

static void multiboot_that_is_wrong(void)
{
	uint8_t *far = calloc(1, 8192 + sizeof(flat_kernel));

	begin(MEMORY);
	check_wrong_multiboot(0, MAGIC + 1, -ENOEXEC);
	check_wrong_multiboot(1, 0x10004, -EOPNOTSUPP);
	check_wrong_multiboot(1, 0x18003, -EOPNOTSUPP);
	check_wrong_multiboot(2, 0, -ENOEXEC);
	check_wrong_multiboot(3, TEXT - 1, -EINVAL);
	check_wrong_multiboot(3, TEXT + 16, -EINVAL);
	check_wrong_multiboot(4, 0, -EINVAL);
	check_wrong_multiboot(5, TEXT, -EINVAL);
	check_wrong_multiboot(5, TEXT + 0x1000, -EINVAL);
	check_wrong_multiboot(5, UINT32_MAX, -EINVAL);
	check_wrong_multiboot(6, TEXT + 1, -EINVAL);
	check_wrong_multiboot(6, UINT32_MAX, -E2BIG);
	check_wrong_multiboot(7, TEXT - 1, -EINVAL);
	check_wrong_multiboot(7, UINT32_MAX, -EINVAL);
	/* All of the header must be in the first 8192 bytes. */
	memcpy(far + 8192 - 12 - 12, &flat_kernel, sizeof(flat_kernel));
	CHECK_EQUAL(load_multiboot(far, 8192 + sizeof(flat_kernel)), -EINVAL);
	memset(far, 0, 8192 + sizeof(flat_kernel));
	memcpy(far + 8192 - 8 - 12, &flat_kernel, sizeof(flat_kernel));
	CHECK_EQUAL(load_multiboot(far, 8192 + sizeof(flat_kernel)), -ENOEXEC);
	free(far);
	end();
}

/* --- Linux --- */

#define SETUP_BYTES	(3 * 512)
#define PAYLOAD_BYTES	64

static uint8_t bzimage[SETUP_BYTES + PAYLOAD_BYTES];

static struct setup_header *bzimage_header(void)
{
	return (void *)(bzimage + offsetof(struct boot_params, hdr));
}

static void make_bzimage(void)
{
	struct setup_header *header = bzimage_header();

	memset(bzimage, 0, sizeof(bzimage));
	memset(bzimage + SETUP_BYTES, 'k', PAYLOAD_BYTES);
	*header = (struct setup_header) {
		.setup_sects = 2,
		.syssize = PAYLOAD_BYTES / 16,
		.boot_flag = 0xaa55,
		.jump = 0x66eb,
		.header = 0x53726448,
		.version = 0x20c,
		.loadflags = LOADED_HIGH,
		.code32_start = 0x100000,
		.initrd_addr_max = 0x37ffff,
		.kernel_alignment = 0x1000,
		.cmdline_size = 255,
		.pref_address = 0x100000,
		.init_size = 0x10000,
	};
}

static struct boot_params *params(void)
{
	return (void *)(ram + rig.vcpu->page->regs.rsi);
}

static void check_e820(const struct boot_params *zero_page)
{
	CHECK_EQUAL(zero_page->e820_entries, 3);
	CHECK_EQUAL(zero_page->e820_table[0].addr, 0);
	CHECK_EQUAL(zero_page->e820_table[0].size, 0xa0000);
	CHECK_EQUAL(zero_page->e820_table[0].type, 1);
	CHECK_EQUAL(zero_page->e820_table[1].addr, 0xa0000);
	CHECK_EQUAL(zero_page->e820_table[1].size, 0x60000);
	CHECK_EQUAL(zero_page->e820_table[1].type, 2);
	CHECK_EQUAL(zero_page->e820_table[2].addr, MIB);
	CHECK_EQUAL(zero_page->e820_table[2].size, 3 * MIB);
	CHECK_EQUAL(zero_page->e820_table[2].type, 1);
}

static void linux_kernel(void)
{
	const struct boot_params *zero_page;
	struct vee_vcpu_page *page;

	make_bzimage();
	begin(MEMORY);
	page = rig.vcpu->page;
	CHECK_EQUAL(load_linux(bzimage, sizeof(bzimage)), 0);
	CHECK_EQUAL(page->regs.rip, 0x100000);
	CHECK_EQUAL(ram[0x100000], 'k');
	CHECK_EQUAL(ram[0x100000 + PAYLOAD_BYTES], 0);
	CHECK_EQUAL(page->segments.cs.selector, 0x10);
	CHECK_EQUAL(page->segments.ss.selector, 0x18);
	CHECK_EQUAL(page->segments.gdtr.limit, 31);
	CHECK(vee_vm_at(rig.vm, page->segments.gdtr.base, 32));
	zero_page = params();
	CHECK_EQUAL(zero_page->hdr.type_of_loader, 0xff);
	CHECK_EQUAL(zero_page->hdr.version, 0x20c);
	CHECK(!strcmp((char *)ram + zero_page->hdr.cmd_line_ptr, "quiet"));
	CHECK_EQUAL(zero_page->hdr.ramdisk_size, 6);
	CHECK_EQUAL(zero_page->hdr.ramdisk_image, 0x37f000);
	CHECK(!memcmp(ram + zero_page->hdr.ramdisk_image, "initrd", 6));
	check_e820(zero_page);
	CHECK_EQUAL(vee_load_linux(rig.vcpu, bzimage, sizeof(bzimage), NULL), 0);
	CHECK_EQUAL(params()->hdr.ramdisk_size, 0);
	end();
	truncate_everywhere(load_linux, bzimage, sizeof(bzimage),
			    sizeof(bzimage) - 15);
	change_bytes(load_linux, bzimage, sizeof(bzimage), 0x270);
}

/* What a header's later fields say is nothing where its version has not got them. */
static void linux_that_is_old(void)
{
	struct setup_header *header = bzimage_header();
	char cmdline[257] = "";
	struct vee_linux_boot boot = { .cmdline = cmdline };

	make_bzimage();
	header->version = 0x203;
	header->relocatable_kernel = 1;
	header->kernel_alignment = 3;
	header->cmdline_size = 3;
	header->pref_address = UINT64_MAX;
	header->init_size = UINT32_MAX;
	begin(MEMORY);
	CHECK_EQUAL(load_linux(bzimage, sizeof(bzimage)), 0);
	CHECK_EQUAL(rig.vcpu->page->regs.rip, 0x100000);
	CHECK_EQUAL(ram[0x100000], 'k');
	CHECK(!strcmp((char *)ram + params()->hdr.cmd_line_ptr, "quiet"));
	memset(cmdline, 'c', 256);
	CHECK_EQUAL(vee_load_linux(rig.vcpu, bzimage, sizeof(bzimage), &boot), -E2BIG);
	cmdline[255] = 0;
	CHECK_EQUAL(vee_load_linux(rig.vcpu, bzimage, sizeof(bzimage), &boot), 0);
	end();
}

/* More ranges of memory than the zero page has entries for: the first of them. */
static void linux_in_many_slots(void)
{
	const struct boot_params *zero_page;

	make_bzimage();
	begin(MEMORY);
	for (unsigned int i = 0; i < 2 * E820_MAX_ENTRIES_ZEROPAGE; i++)
		CHECK_EQUAL(vee_vm_map(rig.vm, 16 * MIB + i * 2 * PAGE_BYTES, ram, PAGE_BYTES,
				       VEE_READ | VEE_WRITE), 0);
	CHECK_EQUAL(load_linux(bzimage, sizeof(bzimage)), 0);
	zero_page = params();
	CHECK_EQUAL(zero_page->e820_entries, E820_MAX_ENTRIES_ZEROPAGE);
	CHECK_EQUAL(zero_page->e820_table[2].addr, MIB);
	CHECK_EQUAL(zero_page->e820_table[E820_MAX_ENTRIES_ZEROPAGE - 1].addr,
		    16 * MIB + (E820_MAX_ENTRIES_ZEROPAGE - 4) * 2 * PAGE_BYTES);
	end();
}

static void linux_that_relocates(void)
{
	struct setup_header *header = bzimage_header();

	make_bzimage();
	header->relocatable_kernel = 1;
	header->pref_address = 0x200000;
	header->kernel_alignment = 0x100000;
	begin(MEMORY);
	CHECK_EQUAL(load_linux(bzimage, sizeof(bzimage)), 0);
	CHECK_EQUAL(rig.vcpu->page->regs.rip, 0x200000);
	CHECK_EQUAL(ram[0x200000], 'k');
	header->init_size = 0x180000;	/* the initrd goes below it then */
	CHECK_EQUAL(load_linux(bzimage, sizeof(bzimage)), 0);
	CHECK_EQUAL(params()->hdr.ramdisk_image, 0x1ff000);
	header->init_size = 0x200001;
	CHECK_EQUAL(load_linux(bzimage, sizeof(bzimage)), -E2BIG);
	header->init_size = 0;
	header->kernel_alignment = 3;
	CHECK_EQUAL(load_linux(bzimage, sizeof(bzimage)), -EINVAL);
	header->kernel_alignment = 0;
	CHECK_EQUAL(load_linux(bzimage, sizeof(bzimage)), -EINVAL);
	header->kernel_alignment = 0x100000;
	header->pref_address = UINT64_MAX;
	CHECK_EQUAL(load_linux(bzimage, sizeof(bzimage)), -EINVAL);
	end();
}

static void linux_that_is_wrong(void)
{
	struct setup_header *header = bzimage_header();
	char cmdline[257];
	struct vee_linux_boot boot = { .cmdline = cmdline };

	make_bzimage();
	begin(MEMORY);
	memset(cmdline, 'c', sizeof(cmdline));
	cmdline[256] = 0;
	CHECK_EQUAL(vee_load_linux(rig.vcpu, bzimage, sizeof(bzimage), &boot),
		    -E2BIG);
	cmdline[255] = 0;
	CHECK_EQUAL(vee_load_linux(rig.vcpu, bzimage, sizeof(bzimage), &boot), 0);
	header->version = 0x202;
	CHECK_EQUAL(load_linux(bzimage, sizeof(bzimage)), -EOPNOTSUPP);
	header->version = 0x20c;
	header->loadflags = 0;
	CHECK_EQUAL(load_linux(bzimage, sizeof(bzimage)), -EOPNOTSUPP);
	header->loadflags = LOADED_HIGH;
	header->syssize = 0x1000;
	CHECK_EQUAL(load_linux(bzimage, sizeof(bzimage)), -EINVAL);
	header->syssize = 0;
	header->setup_sects = 255;
	CHECK_EQUAL(load_linux(bzimage, sizeof(bzimage)), -EINVAL);
	header->setup_sects = 2;
	header->init_size = UINT32_MAX;
	CHECK_EQUAL(load_linux(bzimage, sizeof(bzimage)), -EINVAL);
	end();
	make_bzimage();
	begin(MIB);
	CHECK_EQUAL(load_linux(bzimage, sizeof(bzimage)), -E2BIG);
	end();
}

/* --- flat images, and telling them apart --- */

static void flat(void)
{
	const struct vee_regs *regs;

	begin(MEMORY);
	regs = &rig.vcpu->page->regs;
	CHECK_EQUAL(vee_load_flat(rig.vcpu, "code", 4, 0x7c00), 0);
	CHECK(!memcmp(ram + 0x7c00, "code", 4));
	CHECK(regs->rip == 0x7c00 && !rig.vcpu->page->segments.cs.base);
	CHECK_EQUAL(vee_load_flat(rig.vcpu, "code", 4, 0x12345), 0);
	CHECK_EQUAL(rig.vcpu->page->segments.cs.base + regs->rip, 0x12345);
	CHECK_EQUAL(vee_load_flat(rig.vcpu, "code", 4, MIB), 0);
	CHECK(rig.vcpu->page->control.cr0 & CR0_PE);
	CHECK_EQUAL(regs->rip, MIB);
	CHECK_EQUAL(vee_load_flat(rig.vcpu, "code", 0, 0), -ENOEXEC);
	CHECK_EQUAL(vee_load_flat(rig.vcpu, "code", 4, MEMORY - 3), -E2BIG);
	CHECK_EQUAL(vee_load_flat(rig.vcpu, "code", 4, 4 * GIB), -E2BIG);
	CHECK_EQUAL(vee_load_flat(rig.vcpu, "code", 4, UINT64_MAX), -E2BIG);
	end();
}

/* A slot with a template, of which @pages may be written: an image that takes more. */
static void check_pool(loader load, const void *image, size_t bytes, unsigned int pages)
{
	static uint8_t pool[4 * PAGE_BYTES] __attribute__((aligned(4096)));
	uint8_t *template = mmap(NULL, MEMORY, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	rig_begin(&rig);
	CHECK_EQUAL(vee_vm_map_template(rig.vm, 0, template, MEMORY, pool, pages * PAGE_BYTES,
					VEE_READ | VEE_WRITE), 0);
	CHECK_EQUAL(load(image, bytes), -E2BIG);
	CHECK_EQUAL(rig.vcpu->page->regs.rip, 0);
	rig_end(&rig);
	munmap(template, MEMORY);
}

static int load_flat(const void *image, size_t bytes)
{
	return vee_load_flat(rig.vcpu, image, bytes, MIB);
}

static int load_large_initrd(const void *image, size_t bytes)
{
	static const uint8_t initrd[2 * PAGE_BYTES];
	struct vee_linux_boot boot = { "quiet", initrd, sizeof(initrd) };

	return vee_load_linux(rig.vcpu, image, bytes, &boot);
}

static void pools_that_are_full(void)
{
	static const uint8_t code[2 * PAGE_BYTES];

	make_elf_kernel();
	make_bzimage();
	check_pool(load_flat, code, sizeof(code), 1);
	check_pool(load_large_initrd, bzimage, sizeof(bzimage), 1);
	check_pool(load_linux, bzimage, sizeof(bzimage), 1);
	check_pool(load_linux, bzimage, sizeof(bzimage), 2);
	check_pool(load_multiboot, &elf_kernel, sizeof(elf_kernel), 1);
	check_pool(load_elf, &elf32, sizeof(elf32), 1);
}

/* Memory that neither guest nor caller may write, in each image's way. */
static void memory_to_read(void)
{
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS;
	void *rom = mmap(NULL, MIB, PROT_READ, flags, -1, 0);

	make_elf_kernel();
	make_bzimage();
	begin(MIB);
	CHECK_EQUAL(vee_vm_map(rig.vm, MIB, rom, MIB, VEE_READ | VEE_EXECUTE), 0);
	CHECK_EQUAL(load_elf(&elf64, sizeof(elf64)), -EACCES);
	CHECK_EQUAL(load_elf(&elf32, sizeof(elf32)), -EACCES);
	CHECK_EQUAL(load_multiboot(&elf_kernel, sizeof(elf_kernel)), -EACCES);
	CHECK_EQUAL(load_multiboot(&flat_kernel, sizeof(flat_kernel)), -EACCES);
	CHECK_EQUAL(load_linux(bzimage, sizeof(bzimage)), -EACCES);
	CHECK_EQUAL(vee_load_flat(rig.vcpu, "code", 4, MIB), -EACCES);
	CHECK_EQUAL(vee_load_flat(rig.vcpu, "code", 4, MIB - 1), -EACCES);
	CHECK_EQUAL(vee_load_flat(rig.vcpu, "code", 4, 2 * MIB - 3), -E2BIG);
	CHECK_EQUAL(ram[MIB - 1], 0);
	end();
	munmap(rom, MIB);
}

static void told_apart(void)
{
	const struct vee_regs *regs;

	make_elf_kernel();
	make_bzimage();
	begin(MEMORY);
	regs = &rig.vcpu->page->regs;
	CHECK_EQUAL(load_any(&elf_kernel, sizeof(elf_kernel)), 0);
	CHECK_EQUAL(regs->rax, 0x2badb002);
	CHECK_EQUAL(load_any(&elf32, sizeof(elf32)), 0);
	CHECK(regs->rip == TEXT && !regs->rax);
	CHECK_EQUAL(load_any(bzimage, sizeof(bzimage)), 0);
	CHECK(regs->rsi && !strcmp((char *)ram + params()->hdr.cmd_line_ptr, "a=b"));
	CHECK_EQUAL(load_any("\xf4", 1), 0);
	CHECK_EQUAL(regs->rip, 0x7c00);
	CHECK_EQUAL(load_any("", 0), -ENOEXEC);
	CHECK_EQUAL(load_any(&elf32, sizeof(elf32) - 1), -EINVAL);
	end();
}

static int make_file(char *path)
{
	int fd = mkstemp(path);

	CHECK(write(fd, "contents", 8) == 8);
	return fd;
}

static void files(void)
{
	char path[] = "/tmp/vee-test-XXXXXX";
	int fd = make_file(path);
	void *data = NULL;
	size_t bytes;

	CHECK_EQUAL(vee_read_file(path, &data, &bytes), 0);
	CHECK(bytes == 8 && !memcmp(data, "contents", 8));
	free(data);
	CHECK_EQUAL(ftruncate(fd, 0), 0);
	CHECK_EQUAL(vee_read_file(path, &data, &bytes), 0);
	CHECK_EQUAL(bytes, 0);
	free(data);
	CHECK_EQUAL(ftruncate(fd, 3LL << 30), 0);
	CHECK_EQUAL(vee_read_file(path, &data, &bytes), -EFBIG);
	close(fd);
	unlink(path);
	CHECK_EQUAL(vee_read_file(path, &data, &bytes), -ENOENT);
	CHECK_EQUAL(vee_read_file("/tmp", &data, &bytes), -EISDIR);
	CHECK_EQUAL(vee_read_file("/dev/zero", &data, &bytes), -EINVAL);
}

static int read_file(void);

/* Errors, a signal, and a file that is cut off meanwhile. */
static void files_that_fail(void)
{
	char path[] = "/tmp/vee-test-XXXXXX";
	int fd = make_file(path);
	void *data = NULL;
	size_t bytes;

	close(fd);
	CHECK_EQUAL(fail_each_call("fstat", EOVERFLOW, -EOVERFLOW, read_file), 1);
	CHECK(fail_each_call("read", EIO, -EIO, read_file) >= 1);
	fail_call("read", 1, EINTR);
	CHECK_EQUAL(vee_read_file(path, &data, &bytes), 0);
	CHECK(call_failed());
	CHECK(bytes == 8 && !memcmp(data, "contents", 8));
	free(data);
	fail_call("read", 1, 0);
	CHECK_EQUAL(vee_read_file(path, &data, &bytes), 0);
	CHECK(call_failed());
	CHECK_EQUAL(bytes, 0);
	free(data);
	unlink(path);
}

/* What fail_each_allocation() calls. */
static struct {
	loader load;
	const void *image;
	size_t bytes;
} allocating;

static int load_allocating(void)
{
	int err = allocating.load(allocating.image, allocating.bytes);

	CHECK(!err || is_untouched());
	return err;
}

static void fail_allocations(loader load, const void *image, size_t bytes,
			     unsigned int expected_count)
{
	allocating.load = load;
	allocating.image = image;
	allocating.bytes = bytes;
	begin(MEMORY);
	CHECK_EQUAL(fail_each_allocation(load_allocating), expected_count);
	end();
}

static int read_file(void)
{
	void *data = NULL;
	size_t bytes;
	int err = vee_read_file("/proc/self/exe", &data, &bytes);

	CHECK(!data == !!err);
	free(data);
	return err;
}

static void allocations_can_fail(void)
{
	make_elf_kernel();
	make_bzimage();
	fail_allocations(load_elf, &elf32, sizeof(elf32), 1);
	fail_allocations(load_elf, &elf64, sizeof(elf64), 2);
	fail_allocations(load_multiboot, &elf_kernel, sizeof(elf_kernel), 2);
	fail_allocations(load_linux, bzimage, sizeof(bzimage), 2);
	fail_allocations(load_any, bzimage, sizeof(bzimage), 2);
	CHECK_EQUAL(fail_each_allocation(read_file), 1);
}

const struct test tests[] = {
	{ "64-bit ELF", elf_64_bit },
	{ "32-bit ELF", elf_32_bit },
	{ "ELF that is wrong", elf_that_is_wrong },
	{ "ELF that moves", elf_that_moves },
	{ "ELF with many headers", elf_with_many_headers },
	{ "ELF with many segments", elf_with_many_segments },
	{ "ELF in much memory", elf_in_much_memory },
	{ "multiboot in low memory", multiboot_in_low_memory },
	{ "multiboot above 4 GiB", multiboot_above_4_gib },
	{ "multiboot with addresses", multiboot_with_addresses },
	{ "multiboot as ELF", multiboot_as_elf },
	{ "multiboot that is wrong", multiboot_that_is_wrong },
	{ "Linux", linux_kernel },
	{ "Linux of an old version", linux_that_is_old },
	{ "Linux in many slots", linux_in_many_slots },
	{ "Linux that relocates", linux_that_relocates },
	{ "Linux that is wrong", linux_that_is_wrong },
	{ "flat", flat },
	{ "memory that is not to be written", memory_to_read },
	{ "formats are told apart", told_apart },
	{ "pools that are full", pools_that_are_full },
	{ "files", files },
	{ "files that fail", files_that_fail },
	{ "allocations can fail", allocations_can_fail },
	{ 0 }
};
