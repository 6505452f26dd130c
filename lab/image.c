// SPDX-License-Identifier: GPL-2.0-only
/*
 * Lays out the disk that the lab boots from: boot sector (boot.S), the
 * kernel's real-mode part with the command line, its protected-mode part,
 * and the initramfs, each on a sector boundary, each with an entry in the
 * boot sector's table.
 *
 * usage: image BOOT-SECTOR BZIMAGE CMDLINE MEMORY-MIB OUT INITRAMFS...
 *
 * Offsets and names are those of Documentation/x86/boot.rst, "The Real-Mode
 * Kernel Header". All of it is little-endian, as is every host of the lab.
 */
#include <err.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECTOR		512
#define MIB		(1024ul * 1024)

/* Bochs counts in cylinders of 16 heads and 63 sectors a track. */
#define CYLINDER	(16 * 63 * SECTOR)

/* Must agree with boot.S. */
#define TABLE		0x180
#define SETUP_ADDRESS	0x90000
#define CMDLINE_OFFSET	0xe000
#define SETUP_SIZE	0xe800
#define HEAP_END	0xde00

#define KERNEL_ADDRESS	0x100000
#define HOOK_ADDRESS	(0x7c00 + 0x1c8)

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

/* The setup sectors as the boot protocol wants them in memory. */
static uint8_t *make_setup(struct file kernel, size_t setup_size,
			   const char *cmdline, uint32_t initrd,
			   uint32_t initrd_size)
{
	uint8_t *setup = calloc(1, SETUP_SIZE);

	if (!setup)
		err(1, "memory");
	memcpy(setup, kernel.data, setup_size);
	if (strlen(cmdline) >= get32(setup + HDR_CMDLINE_SIZE) ||
	    strlen(cmdline) >= SETUP_SIZE - CMDLINE_OFFSET)
		errx(1, "the kernel command line is too long");

	setup[HDR_TYPE_OF_LOADER] = LOADER_UNDEFINED;
	setup[HDR_LOADFLAGS] |= LOADFLAG_CAN_USE_HEAP | LOADFLAG_QUIET;
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

int main(int argc, char **argv)
{
	struct range table[4] = { 0 };
	size_t memory, setup_size, initrd_size, at;
	struct file boot, kernel, file;
	uint8_t sector[SECTOR], *setup;
	uint32_t initrd;
	int fd;

	if (argc < 7)
		errx(2, "usage: image BOOT-SECTOR BZIMAGE CMDLINE MEMORY-MIB OUT INITRAMFS...");
	boot = map_file(argv[1]);
	kernel = map_file(argv[2]);
	memory = strtoul(argv[4], NULL, 0) * MIB;
	if (boot.size != SECTOR)
		errx(1, "%s: not a boot sector", argv[1]);
	if (kernel.size < 0x1000 || memcmp(kernel.data + HDR_MAGIC, "HdrS", 4))
		errx(1, "%s: not a bzImage", argv[2]);

	setup_size = (kernel.data[HDR_SETUP_SECTS] + 1) * SECTOR;
	initrd_size = initrd_size_of(argv + 6);
	if (memory < 2 * TOP_RESERVED + initrd_size +
		     get32(kernel.data + HDR_INIT_SIZE) + 32 * MIB)
		errx(1, "%s MiB of memory are too few for this kernel and its initramfs of %zu MiB",
		     argv[4], initrd_size / MIB);
	initrd = (memory - TOP_RESERVED - initrd_size) & ~0xfffu;
	setup = make_setup(kernel, setup_size, argv[3], initrd, initrd_size);

	table[0].sector = 1;
	table[0].sectors = SETUP_SIZE / SECTOR;
	table[0].address = SETUP_ADDRESS;
	table[1].sector = table[0].sector + table[0].sectors;
	table[1].sectors = round_up(kernel.size - setup_size, SECTOR) / SECTOR;
	table[1].address = KERNEL_ADDRESS;
	table[2].sector = table[1].sector + table[1].sectors;
	table[2].sectors = round_up(initrd_size, SECTOR) / SECTOR;
	table[2].address = initrd;

	memcpy(sector, boot.data, SECTOR);
	memcpy(sector + TABLE, table, sizeof(table));

	fd = open(argv[5], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (fd < 0)
		err(1, "%s", argv[5]);
	write_at(fd, sector, SECTOR, 0);
	write_at(fd, setup, SETUP_SIZE, SECTOR);
	write_at(fd, kernel.data + setup_size, kernel.size - setup_size,
		 (off_t)table[1].sector * SECTOR);
	at = (size_t)table[2].sector * SECTOR;
	for (char **path = argv + 6; *path; path++) {
		file = map_file(*path);
		write_at(fd, file.data, file.size, at);
		at += round_up(file.size, 4);
	}
	if (ftruncate(fd, round_up(at, CYLINDER)) || close(fd))
		err(1, "%s", argv[5]);

	/* The number of cylinders, for the emulator's configuration. */
	printf("%zu\n", round_up(at, CYLINDER) / CYLINDER);
	return 0;
}
