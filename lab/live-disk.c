// SPDX-License-Identifier: GPL-2.0-only
/*
 * Runs in the lab: copies the beginning of its second disk to stdout. The lab's kernel
 * has no driver for disks, and needs none, as boot.S does not: the sectors come by port.
 * What the host has written to the disk's file since is there at once.
 *
 * usage: live-disk BYTES
 */
#include <err.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/io.h>

#define SECTOR		512

/* The first channel, device 1, 28-bit addresses (ATA-6, "READ SECTOR(S)"). */
#define ATA_DATA	0x1f0
#define ATA_COUNT	0x1f2
#define ATA_LBA_LOW	0x1f3
#define ATA_LBA_MIDDLE	0x1f4
#define ATA_LBA_HIGH	0x1f5
#define ATA_DEVICE	0x1f6
#define ATA_COMMAND	0x1f7
#define ATA_CONTROL	0x3f6

#define DEVICE_1_LBA	0xf0
#define NO_INTERRUPT	0x02
#define READ_SECTORS	0x20
#define STATUS_ERROR	0x01
#define STATUS_DRQ	0x08
#define STATUS_BUSY	0x80

static void read_sector(uint32_t sector, uint8_t *data)
{
	unsigned long count = SECTOR / 2;
	uint8_t status;

	outb(DEVICE_1_LBA | sector >> 24, ATA_DEVICE);
	outb(1, ATA_COUNT);
	outb(sector, ATA_LBA_LOW);
	outb(sector >> 8, ATA_LBA_MIDDLE);
	outb(sector >> 16, ATA_LBA_HIGH);
	outb(READ_SECTORS, ATA_COMMAND);
	do
		status = inb(ATA_COMMAND);
	while (status & STATUS_BUSY || !(status & (STATUS_DRQ | STATUS_ERROR)));
	if (status & STATUS_ERROR)
		errx(1, "sector %u can't be read", sector);
	asm volatile("rep insw" : "+D"(data), "+c"(count) : "d"(ATA_DATA) : "memory");
}

int main(int argc, char **argv)
{
	unsigned long bytes = argc == 2 ? strtoul(argv[1], NULL, 0) : 0;
	uint8_t data[SECTOR];

	if (!bytes)
		errx(2, "usage: live-disk BYTES");
	if (iopl(3))
		err(1, "iopl");
	outb(NO_INTERRUPT, ATA_CONTROL);
	for (uint32_t sector = 0; bytes; sector++) {
		size_t n = bytes < SECTOR ? bytes : SECTOR;

		read_sector(sector, data);
		if (fwrite(data, 1, n, stdout) != n)
			err(1, "stdout");
		bytes -= n;
	}
	return 0;
}
