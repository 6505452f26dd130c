// SPDX-License-Identifier: LGPL-2.1-or-later
/* System calls, and a few of libc's functions, that fail when a test says so (ld's --wrap). */
#include "calls.h"
#include "test.h"

/* Of the thread that has asked for it: others, the test's peers, go on as ever. */
static _Thread_local struct {
	const char *name;	/* NULL: none, or it has failed */
	unsigned int left;
	int error;
	bool held;
} failing;

void hold_calls(bool hold)
{
	failing.held = hold;
}

void fail_call(const char *name, unsigned int number, int error)
{
	failing.name = name;
	failing.left = number;
	failing.error = error;
}

bool call_failed(void)
{
	bool failed = !failing.name;

	failing.name = NULL;
	return failed;
}

static bool fails(const char *name)
{
	if (failing.held || !failing.name || strcmp(failing.name, name) || --failing.left)
		return false;
	failing.name = NULL;
	errno = failing.error;
	return true;
}

unsigned int fail_each_call(const char *name, int error, int expected, int (*call)(void))
{
	unsigned int count = 0;
	bool failed;
	int ret;

	do {
		fail_call(name, ++count, error);
		ret = call();
		failed = call_failed();
		test_case("%s %u", name, count);
		if (failed)
			CHECK_EQUAL(ret, expected);
		else
			CHECK(ret >= 0);
	} while (failed);
	*test_case_name = 0;
	return count - 1;
}

void *__wrap_mmap(void *at, size_t bytes, int prot, int flags, int fd, off_t offset)
{
	return fails("mmap") ? MAP_FAILED : __real_mmap(at, bytes, prot, flags, fd, offset);
}

int __wrap_memfd_create(const char *name, unsigned int flags)
{
	return fails("memfd_create") ? -1 : __real_memfd_create(name, flags);
}

int __wrap_ftruncate(int fd, off_t bytes)
{
	return fails("ftruncate") ? -1 : __real_ftruncate(fd, bytes);
}

int __wrap_fdatasync(int fd)
{
	return fails("fdatasync") ? -1 : __real_fdatasync(fd);
}

ssize_t __wrap_pwrite(int fd, const void *data, size_t bytes, off_t at)
{
	return fails("pwrite") ? -1 : __real_pwrite(fd, data, bytes, at);
}

ssize_t __wrap_send(int fd, const void *data, size_t bytes, int flags)
{
	return fails("send") ? -1 : __real_send(fd, data, bytes, flags);
}

int __wrap_poll(struct pollfd *fds, nfds_t count, int ms)
{
	return fails("poll") ? -1 : __real_poll(fds, count, ms);
}

int __wrap_eventfd(unsigned int value, int flags)
{
	return fails("eventfd") ? -1 : __real_eventfd(value, flags);
}

int __wrap_socket(int domain, int type, int protocol)
{
	return fails("socket") ? -1 : __real_socket(domain, type, protocol);
}

int __wrap_accept4(int fd, struct sockaddr *address, socklen_t *bytes, int flags)
{
	return fails("accept4") ? -1 : __real_accept4(fd, address, bytes, flags);
}

int __wrap_fstat(int fd, struct stat *stat)
{
	return fails("fstat") ? -1 : __real_fstat(fd, stat);
}

FILE *__wrap_open_memstream(char **text, size_t *bytes)
{
	return fails("open_memstream") ? NULL : __real_open_memstream(text, bytes);
}

/* It returns the error. */
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *how,
			  void *(*run)(void *arg), void *arg)
{
	return fails("pthread_create") ? failing.error :
					 __real_pthread_create(thread, how, run, arg);
}

/* With no error it is the end of the file. */
ssize_t __wrap_read(int fd, void *data, size_t bytes)
{
	if (fails("read"))
		return failing.error ? -1 : 0;
	return __real_read(fd, data, bytes);
}

/* It is closed all the same. */
int __wrap_fclose(FILE *file)
{
	int ret = __real_fclose(file);

	return fails("fclose") ? EOF : ret;
}

/* Nobody here says where to. */
void *__wrap_mremap(void *old, size_t old_bytes, size_t bytes, int flags, ...)
{
	return fails("mremap") ? MAP_FAILED : __real_mremap(old, old_bytes, bytes, flags);
}
