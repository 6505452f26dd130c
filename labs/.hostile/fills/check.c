// SPDX-License-Identifier: GPL-2.0-only
/* A file without end, which is memory there, and remains. */
#include <fcntl.h>
#include <unistd.h>

int main(void)
{
	int fd = open("/root/full", O_WRONLY | O_CREAT, 0600);
	static char data[1 << 20];

	while (write(fd, data, sizeof(data)) > 0)
		;
	return 1;
}
