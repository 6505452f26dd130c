// SPDX-License-Identifier: LGPL-2.1-or-later
/* What "vee run" says of what it can't run, and what to do about it. */
#include <elf.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../cmd/cmd.h"
#include "test.h"

/* main.c's, whose main() the tests have another one for. */
int end_failure(void)
{
	fputc('\n', stderr);
	return STATUS_FAILED;
}

static char path[] = "/tmp/vee-test-XXXXXX";

static void make_file(const void *data, size_t bytes)
{
	int fd;

	strcpy(path + sizeof(path) - 7, "XXXXXX");
	fd = mkstemp(path);
	if (fd < 0 || write(fd, data, bytes) != (ssize_t)bytes)
		abort();
	close(fd);
}

/* In a child: what the command has it leaves to the end of its process. */
static int run_child(FILE *error, int argc, char **argv)
{
	pid_t child = fork();
	int status = 0;

	if (!child) {
		dup2(fileno(error), STDERR_FILENO);
		_exit(cmd_run(argc, argv));
	}
	waitpid(child, &status, 0);
	return status;
}

/* It fails with one line, which has @words. */
static void check_says(const char *words, int argc, char **argv)
{
	FILE *error = tmpfile();
	int status = run_child(error, argc, argv);
	char text[1000];
	size_t bytes;

	rewind(error);
	bytes = fread(text, 1, sizeof(text) - 1, error);
	fclose(error);
	text[bytes] = 0;
	CHECK(bytes && strchr(text, '\n') == text + bytes - 1);
	text[strcspn(text, "\n")] = 0;
	test_case("%.190s", text);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == STATUS_FAILED);
	CHECK(strstr(text, words));
}

#define CHECK_SAYS(words, ...) do {						\
	char *argv_[] = { "run", __VA_ARGS__, NULL };				\
										\
	check_says(words, sizeof(argv_) / sizeof(*argv_) - 1, argv_);		\
} while (0)

/* Without a module, too. */
static void files_come_first(void)
{
	fake.open_error = ENOENT;
	CHECK_SAYS("/nowhere: No such file", "/nowhere");
	CHECK_SAYS("/tmp: Is a directory", "/tmp");
	make_file("", 0);
	CHECK_SAYS("is empty", path);
	unlink(path);
	make_file("\x1f\x8b\x08", 3);
	CHECK_SAYS("gunzip it first", path);
	CHECK_SAYS("not a ROM image", "--bios", path);
	unlink(path);
	make_file("\xf4", 1);
	CHECK_SAYS("/nowhere: No such file", "--initrd", "/nowhere", path);
	CHECK_SAYS("no initramfs", "--initrd", path, path);
	CHECK_SAYS("/nowhere: No such file", path, "--and", "-S", "/dev/null", "/nowhere");
	CHECK_SAYS("see \"vee check\"", path);
	fake.open_error = EACCES;
	CHECK_SAYS("be root", path);
	fake.open_error = 0;
	fake.api_version = VEE_API_VERSION + 1;
	CHECK_SAYS("make unload", path);
	unlink(path);
}

static void programs_that_move(void)
{
	const struct {
		Elf64_Ehdr ehdr;
		Elf64_Phdr phdr;
	} elf = {
		.ehdr = {
			.e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, 1 },
			.e_type = ET_DYN,
			.e_machine = EM_X86_64,
			.e_phoff = sizeof(Elf64_Ehdr),
			.e_phentsize = sizeof(Elf64_Phdr),
			.e_phnum = 1,
		},
		.phdr.p_type = PT_DYNAMIC,
	};

	make_file(&elf, sizeof(elf));
	CHECK_SAYS("-static -no-pie", path);
	unlink(path);
	make_file(&elf, sizeof(elf) - 1);
	CHECK_SAYS("cut short: get it anew", path);
	unlink(path);
}

const struct test tests[] = {
	{ "files come first", files_come_first },
	{ "programs that move", programs_that_move },
	{ 0 }
};
