// SPDX-License-Identifier: LGPL-2.1-or-later
/* What "vee check" asks this machine: files of the kernel's, the CPU. */
#include <cpuid.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"

bool host_text(const char *path, char *text, size_t room)
{
	FILE *file = fopen(path, "re");
	size_t n;

	*text = 0;
	if (!file)
		return false;
	n = fread(text, 1, room - 1, file);
	text[n] = 0;
	fclose(file);
	return n > 0;
}

bool host_line(const char *path, const char *start, char *text, size_t room)
{
	FILE *file = fopen(path, "re");
	bool found = false;

	if (!file)
		return false;
	while (!found && fgets(text, room, file))
		found = !strncmp(text, start, strlen(start));
	fclose(file);
	if (found)
		memmove(text, text + strlen(start),
			strlen(text + strlen(start)) + 1);
	return found;
}

static int compare_names(const void *one, const void *other)
{
	return strcmp(one, other);
}

size_t host_names(const char *path, char names[][HOST_NAME], size_t room)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	size_t count = 0;

	if (!dir)
		return 0;
	while (count < room && (entry = readdir(dir)))
		if (*entry->d_name != '.' && strlen(entry->d_name) < HOST_NAME)
			strcpy(names[count++], entry->d_name);
	closedir(dir);
	qsort(names, count, HOST_NAME, compare_names);
	return count;
}

bool host_msr(uint32_t index, uint64_t *value)
{
	int fd = open("/dev/cpu/0/msr", O_RDONLY | O_CLOEXEC);
	bool good;

	if (fd < 0)
		return false;
	good = pread(fd, value, sizeof(*value), index) == sizeof(*value);
	close(fd);
	return good;
}

bool host_has(const char *path)
{
	return !access(path, F_OK);
}

void host_cpuid(uint32_t leaf, struct host_cpuid *regs)
{
	*regs = (struct host_cpuid) { 0 };
	__get_cpuid(leaf, &regs->eax, &regs->ebx, &regs->ecx, &regs->edx);
}
