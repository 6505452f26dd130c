// SPDX-License-Identifier: GPL-2.0-only
/* The machine that it runs in crashes. */
#include <fcntl.h>
#include <unistd.h>

int main(void)
{
	int fd = open("/proc/sysrq-trigger", O_WRONLY);

	return write(fd, "c", 1) == 1;
}
