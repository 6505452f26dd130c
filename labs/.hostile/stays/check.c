// SPDX-License-Identifier: GPL-2.0-only
/* It goes on out of the group in which all that a run has begun is ended. */
#include <fcntl.h>
#include <unistd.h>

int main(void)
{
	int fd = open("/tmp/cgroups/cgroup.procs", O_WRONLY);

	if (write(fd, "0", 1) != 1)
		return 1;
	if (fork())
		return write(1, "VMX: yes\n", 9) != 9;
	setsid();
	for (;;)
		pause();
}
