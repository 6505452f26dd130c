// SPDX-License-Identifier: LGPL-2.1-or-later
/* Files, flat images, and telling formats apart. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "load.h"

#define MAX_FILE	(2 * GIB)
#define BOOT_SECTOR	0x7c00

static int read_all(int fd, uint8_t *data, size_t room, size_t *bytes)
{
	size_t done = 0;

	while (done < room) {
		ssize_t n = read(fd, data + done, room - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (!n)
			break;
		done += n;
	}
	*bytes = done;
	return 0;
}

static int file_size(int fd, size_t *bytes)
{
	struct stat stat;

	if (fstat(fd, &stat))
		return -errno;
	if (S_ISDIR(stat.st_mode))
		return -EISDIR;
	if (!S_ISREG(stat.st_mode))
		return -EINVAL;
	if ((uint64_t)stat.st_size > MAX_FILE)
		return -EFBIG;
	*bytes = stat.st_size;
	return 0;
}

static int read_fd(int fd, void **data, size_t *bytes)
{
	size_t room = 0;
	void *buf;
	int err = file_size(fd, &room);

	if (err)
		return err;
	buf = malloc(room ? room : 1);
	if (!buf)
		return -ENOMEM;
	err = read_all(fd, buf, room, bytes);
	if (err)
		free(buf);
	else
		*data = buf;
	return err;
}

int vee_read_file(const char *path, void **data, size_t *bytes)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	int err;

	if (fd < 0)
		return -errno;
	err = read_fd(fd, data, bytes);
	close(fd);
	return err;
}

/* Most programs assume an instruction pointer of 7C00H with a base of 0. */
static void start_real(struct vee_vcpu *vcpu, uint32_t gpa)
{
	if (gpa <= UINT16_MAX)
		vee_vcpu_set_real_mode(vcpu, 0, gpa);
	else
		vee_vcpu_set_real_mode(vcpu, gpa >> 4, gpa & 0xf);
}

int vee_load_flat(struct vee_vcpu *vcpu, const void *image, size_t bytes,
		  uint64_t gpa)
{
	int err;

	if (!bytes)
		return -ENOEXEC;
	if (gpa > UINT32_MAX)
		return -E2BIG;
	err = layout_check(vcpu->vm, gpa, bytes);
	if (err)
		return err;
	if (vee_vm_write(vcpu->vm, gpa, image, bytes))
		return -E2BIG;
	if (gpa < MIB)
		start_real(vcpu, gpa);
	else
		vee_vcpu_set_protected_mode(vcpu, gpa);
	return 0;
}

int vee_load(struct vee_vcpu *vcpu, const void *image, size_t bytes,
	     const char *cmdline)
{
	struct vee_linux_boot boot = { .cmdline = cmdline };
	int err = vee_load_linux(vcpu, image, bytes, &boot);

	if (err == -ENOEXEC)
		err = vee_load_multiboot(vcpu, image, bytes, cmdline);
	if (err == -ENOEXEC)
		err = vee_load_elf(vcpu, image, bytes);
	if (err == -ENOEXEC)
		err = vee_load_flat(vcpu, image, bytes, BOOT_SECTOR);
	return err;
}
