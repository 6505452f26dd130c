/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A command of vee's, run by a test, and what it has said. */
#ifndef VEE_TEST_COMMAND_H
#define VEE_TEST_COMMAND_H

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"

static char said[16384];	/* on either stream */

/* In a child: what the command has it leaves to the end of its process. */
static int run_command(int (*command)(int argc, char **argv), int argc, char **argv)
{
	FILE *output = tmpfile();
	int status = 0;
	pid_t child;

	fflush(stdout);
	child = fork();
	if (!child) {
		dup2(fileno(output), STDOUT_FILENO);
		dup2(fileno(output), STDERR_FILENO);
		status = command(argc, argv);
		fflush(stdout);
		_exit(status);
	}
	waitpid(child, &status, 0);
	rewind(output);
	said[fread(said, 1, sizeof(said) - 1, output)] = 0;
	fclose(output);
	test_case("%.190s", said);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

#endif /* VEE_TEST_COMMAND_H */
