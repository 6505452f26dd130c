// SPDX-License-Identifier: GPL-2.0-only
/*
 * Lays out the disk that the lab boots from: boot sector (boot.S), the
 * kernel's real-mode part with the command line, the kernel, and the
 * initramfs, each on a sector boundary, each with an entry in the boot
 * sector's table.
 *
 * usage: image BOOT-SECTOR BZIMAGE VMLINUX CMDLINE MIB OUT INITRAMFS...
 *
 * VMLINUX is what the bzImage's payload unpacks to, so that the emulator need not
 * do it: of some kernels that is longer than the rest of the boot. What the kernel's
 * own decompressor does besides is done here: segments, a random address (KASLR),
 * relocations. With "" instead the kernel unpacks itself.
 *
 * Offsets and names are those of Documentation/x86/boot.rst, "The Real-Mode
 * Kernel Header". All of it is little-endian, as is every host of the lab.
 */
#include <elf.h>
#include <err.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECTOR		512
#define MIB		(1024ul * 1024)

/* Bochs counts in cylinders of 16 heads and 63 sectors a track. */
#define CYLINDER	(16 * 63 * SECTOR)

/* Must agree with boot.S. */
#define TABLE		0x1c0
#define ENTRY		0x1f0
#define SETUP_ADDRESS	0x90000
#define CMDLINE_OFFSET	0xe000
#define SETUP_SIZE	0xe800
#define HEAP_END	0xde00

#define KERNEL_ADDRESS	0x100000
#define HOOK_ADDRESS	(0x7c00 + 0x120)

/* Where the kernel's addresses begin, and how far they go with KASLR. */
#define START_KERNEL_MAP	0xffffffff80000000ul
#define KERNEL_IMAGE_SIZE	(1024 * MIB)
#define KERNEL_ALIGN		(2 * MIB)

/* Rombios keeps its ACPI tables at the top of memory. */
#define TOP_RESERVED	MIB

/* The real-mode kernel header. */
#define HDR_SETUP_SECTS		0x1f1
#define HDR_MAGIC		0x202
#define HDR_TYPE_OF_LOADER	0x210
#define HDR_LOADFLAGS		0x211
#define HDR_CODE32_START	0x214
#define HDR_RAMDISK_IMAGE	0x218
#define HDR_RAMDISK_SIZE	0x21c
#define HDR_HEAP_END_PTR	0x224
#define HDR_CMD_LINE_PTR	0x228
#define HDR_CMDLINE_SIZE	0x238
#define HDR_INIT_SIZE		0x260

#define LOADER_UNDEFINED	0xff
#define LOADFLAG_KASLR		0x02
#define LOADFLAG_QUIET		0x20
#define LOADFLAG_CAN_USE_HEAP	0x80

struct range {
	uint32_t sector;
	uint32_t sectors;
	uint32_t address;
};

struct file {
	const uint8_t *data;
	size_t size;
};

/* The kernel as it is to be in memory. */
struct kernel {
	uint8_t *data;
	size_t size;		/* without the zeros at its end */
	uint32_t address;
	uint32_t end;		/* of what it takes at first, zeros too */
	uint32_t entry;		/* of 64 bits; 0: it unpacks itself */
	bool kaslr;
};

static uint32_t get32(const uint8_t *p)
{
	uint32_t value;

	memcpy(&value, p, sizeof(value));
	return value;
}

static void put32(uint8_t *p, uint32_t value)
{
	memcpy(p, &value, sizeof(value));
}

static size_t round_up(size_t size, size_t to)
{
	return (size + to - 1) / to * to;
}

static struct file map_file(const char *path)
{
	struct file file;
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st))
		err(1, "%s", path);
	file.size = st.st_size;
	file.data = mmap(NULL, file.size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (file.data == MAP_FAILED)
		err(1, "%s", path);
	close(fd);
	return file;
}

static void write_at(int fd, const void *data, size_t size, off_t offset)
{
	const uint8_t *p = data;

	while (size) {
		ssize_t n = pwrite(fd, p, size, offset);

		if (n <= 0)
			err(1, "cannot write the disk image");
		p += n;
		size -= n;
		offset += n;
	}
}

/* The kernel unpacks itself. */
static struct kernel packed_kernel(struct file image, size_t setup_size)
{
	return (struct kernel){
		.data = (uint8_t *)image.data + setup_size,
		.size = image.size - setup_size,
		.address = KERNEL_ADDRESS,
		.end = KERNEL_ADDRESS + get32(image.data + HDR_INIT_SIZE),
	};
}

static const Elf64_Phdr *load_header(const Elf64_Ehdr *elf, int i)
{
	const Elf64_Phdr *header = (const void *)((const uint8_t *)elf + elf->e_phoff);

	return header[i].p_type == PT_LOAD ? &header[i] : NULL;
}

/* Its segments, at the addresses that it is linked for. */
static struct kernel load_segments(struct file vmlinux)
{
	const Elf64_Ehdr *elf = (const void *)vmlinux.data;
	struct kernel kernel = { .address = UINT32_MAX, .entry = elf->e_entry };
	const Elf64_Phdr *load;

	if (vmlinux.size < sizeof(*elf) || memcmp(elf->e_ident, ELFMAG, SELFMAG))
		errx(1, "the unpacked kernel is no ELF file");
	for (int i = 0; i < elf->e_phnum; i++) {
		load = load_header(elf, i);
		if (load && load->p_paddr < kernel.address)
			kernel.address = load->p_paddr;
		if (load && load->p_paddr + load->p_memsz > kernel.end)
			kernel.end = load->p_paddr + load->p_memsz;
	}
	kernel.size = kernel.end - kernel.address;
	kernel.data = calloc(1, kernel.size);
	if (!kernel.data)
		err(1, "memory");
	for (int i = 0; i < elf->e_phnum; i++) {
		load = load_header(elf, i);
		if (load)
			memcpy(kernel.data + (load->p_paddr - kernel.address),
			       vmlinux.data + load->p_offset, load->p_filesz);
	}
	return kernel;
}

/* By how much a random place among those that KASLR has is above the kernel's own. */
static uint64_t random_place(const struct kernel *kernel)
{
	uint64_t places = (KERNEL_IMAGE_SIZE - kernel->end) / KERNEL_ALIGN + 1, number;

	if (getrandom(&number, sizeof(number), 0) != sizeof(number))
		err(1, "getrandom");
	return number % places * KERNEL_ALIGN;
}

/*
 * What is at address @place, by the low half of which relocations name it. What it
 * is moved by is added to all 64 bits, or to 32, or taken from 32: offsets from
 * per-CPU data, which stay where they are.
 */
static void relocate(struct kernel *kernel, int32_t place, uint64_t delta, int bits)
{
	size_t offset = (int64_t)place - START_KERNEL_MAP - kernel->address;
	uint64_t value = 0;

	if (offset > kernel->size - sizeof(value))
		errx(1, "a relocation is outside of the kernel");
	memcpy(&value, kernel->data + offset, sizeof(value));
	if (bits == 64)
		value += delta;
	else
		put32((uint8_t *)&value, value + delta);
	memcpy(kernel->data + offset, &value, sizeof(value));
}

/*
 * Relocations follow the ELF file: a list of places of 64 bits, in older kernels one
 * of 32 that are to become less, and one of 32. A zero goes before each.
 */
static void move_kernel(struct kernel *kernel, struct file vmlinux, uint64_t delta)
{
	const Elf64_Ehdr *elf = (const void *)vmlinux.data;
	size_t at = elf->e_shoff + (size_t)elf->e_shnum * elf->e_shentsize;
	int lists = 0, list = 0;

	for (size_t i = at; i + 4 <= vmlinux.size; i += 4)
		lists += !get32(vmlinux.data + i);
	if (!lists)
		return;
	if (lists != 2 && lists != 3)
		errx(1, "the kernel has %d lists of relocations", lists);
	for (; at + 4 <= vmlinux.size; at += 4) {
		uint32_t place = get32(vmlinux.data + at);

		if (!place)
			list++;
		else if (list == 1)
			relocate(kernel, place, delta, 64);
		else
			relocate(kernel, place, list < lists ? -delta : delta, 32);
	}
	kernel->kaslr = true;
}

static bool has_word(const char *text, const char *word)
{
	size_t size = strlen(word);

	for (const char *at = text; (at = strstr(at, word)); at += size)
		if ((at == text || at[-1] == ' ') && (!at[size] || at[size] == ' '))
			return true;
	return false;
}

static struct kernel unpacked_kernel(const char *path, const char *cmdline)
{
	struct file vmlinux = map_file(path);
	struct kernel kernel = load_segments(vmlinux);

	if (!has_word(cmdline, "nokaslr"))
		move_kernel(&kernel, vmlinux, random_place(&kernel));
	/* The machine's memory is zeros to begin with. */
	while (kernel.size && !kernel.data[kernel.size - 1])
		kernel.size--;
	return kernel;
}

/* The setup sectors as the boot protocol wants them in memory. */
static uint8_t *make_setup(struct file image, size_t setup_size,
			   const char *cmdline, bool kaslr, uint32_t initrd,
			   uint32_t initrd_size)
{
	uint8_t *setup = calloc(1, SETUP_SIZE);

	if (!setup)
		err(1, "memory");
	memcpy(setup, image.data, setup_size);
	if (strlen(cmdline) >= get32(setup + HDR_CMDLINE_SIZE) ||
	    strlen(cmdline) >= SETUP_SIZE - CMDLINE_OFFSET)
		errx(1, "the kernel command line is too long");

	setup[HDR_TYPE_OF_LOADER] = LOADER_UNDEFINED;
	setup[HDR_LOADFLAGS] |= LOADFLAG_CAN_USE_HEAP | LOADFLAG_QUIET;
	if (kaslr)
		setup[HDR_LOADFLAGS] |= LOADFLAG_KASLR;
	setup[HDR_HEAP_END_PTR] = (HEAP_END - 0x200) & 0xff;
	setup[HDR_HEAP_END_PTR + 1] = (HEAP_END - 0x200) >> 8;
	put32(setup + HDR_CODE32_START, HOOK_ADDRESS);
	put32(setup + HDR_RAMDISK_IMAGE, initrd);
	put32(setup + HDR_RAMDISK_SIZE, initrd_size);
	put32(setup + HDR_CMD_LINE_PTR, SETUP_ADDRESS + CMDLINE_OFFSET);
	strcpy((char *)setup + CMDLINE_OFFSET, cmdline);
	return setup;
}

/* One initramfs may be several archives, each starting on 4 bytes. */
static size_t initrd_size_of(char **paths)
{
	size_t size = 0;

	for (; *paths; paths++)
		size += round_up(map_file(*paths).size, 4);
	return size;
}

static struct file map_bzimage(const char *path)
{
	struct file image = map_file(path);

	if (image.size < 0x1000 || memcmp(image.data + HDR_MAGIC, "HdrS", 4))
		errx(1, "%s: not a bzImage", path);
	return image;
}

static struct file map_boot_sector(const char *path)
{
	struct file boot = map_file(path);

	if (boot.size != SECTOR)
		errx(1, "%s: not a boot sector", path);
	return boot;
}

/* What is at @address goes to the disk behind what @range has. */
static struct range range_behind(struct range range, size_t size, uint32_t address)
{
	return (struct range){
		.sector = range.sector + range.sectors,
		.sectors = round_up(size, SECTOR) / SECTOR,
		.address = address,
	};
}

/* Below the top of memory. */
static uint32_t place_initrd(const char *memory_mib, size_t size, uint32_t kernel_end)
{
	size_t memory = strtoul(memory_mib, NULL, 0) * MIB;

	if (memory < 2 * TOP_RESERVED + size + kernel_end + 32 * MIB)
		errx(1, "%s MiB of memory are too few for this kernel and its initramfs of %zu MiB",
		     memory_mib, size / MIB);
	return (memory - TOP_RESERVED - size) & ~0xfffu;
}

int main(int argc, char **argv)
{
	struct range table[4] = { 0 }, boot_sector = { .sectors = 1 };
	size_t setup_size, initrd_size, at;
	struct file boot, image, file;
	uint8_t sector[SECTOR], *setup;
	struct kernel kernel;
	uint32_t initrd;
	int fd;

	if (argc < 8)
		errx(2, "usage: image BOOT-SECTOR BZIMAGE VMLINUX CMDLINE MIB OUT INITRAMFS...");
	boot = map_boot_sector(argv[1]);
	image = map_bzimage(argv[2]);
	setup_size = (image.data[HDR_SETUP_SECTS] + 1) * SECTOR;
	kernel = *argv[3] ? unpacked_kernel(argv[3], argv[4]) : packed_kernel(image, setup_size);
	initrd_size = initrd_size_of(argv + 7);
	initrd = place_initrd(argv[5], initrd_size, kernel.end);
	setup = make_setup(image, setup_size, argv[4], kernel.kaslr, initrd, initrd_size);

	table[0] = range_behind(boot_sector, SETUP_SIZE, SETUP_ADDRESS);
	table[1] = range_behind(table[0], kernel.size, kernel.address);
	table[2] = range_behind(table[1], initrd_size, initrd);
	memcpy(sector, boot.data, SECTOR);
	memcpy(sector + TABLE, table, sizeof(table));
	put32(sector + ENTRY, kernel.entry);

	fd = open(argv[6], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (fd < 0)
		err(1, "%s", argv[6]);
	write_at(fd, sector, SECTOR, 0);
	write_at(fd, setup, SETUP_SIZE, SECTOR);
	write_at(fd, kernel.data, kernel.size, (off_t)table[1].sector * SECTOR);
	at = (size_t)table[2].sector * SECTOR;
	for (char **path = argv + 7; *path; path++) {
		file = map_file(*path);
		write_at(fd, file.data, file.size, at);
		at += round_up(file.size, 4);
	}
	if (ftruncate(fd, round_up(at, CYLINDER)) || close(fd))
		err(1, "%s", argv[6]);

	/* The number of cylinders, for the emulator's configuration. */
	printf("%zu\n", round_up(at, CYLINDER) / CYLINDER);
	return 0;
}
