// SPDX-License-Identifier: LGPL-2.1-or-later
#include <string.h>

#include "cmd.h"

static const char usage[] =
	"usage: vee check\n"
	"       vee run [options] FILE\n"
	"       vee dump [options] [FILE]\n"
	"       vee list [options]\n"
	"       vee stat [options] [NUMBER ...]\n"
	"       vee new [options] DIR\n"
	"       vee --help | --version\n"
	"\n"
	"check  what this machine offers, and whether vee can run here\n"
	"run    run a program in a virtual machine: \"vee run --help\"\n"
	"dump   a VMCS, and which rules of a VM entry it breaks: \"vee dump --help\"\n"
	"list   the VMs of this machine: \"vee list --help\"\n"
	"stat   what they are at, as it goes on: \"vee stat --help\"\n"
	"new    a project of your own, with a guest in C: \"vee new --help\"\n"
	"\n"
	"The manual: vee(1), libvee(3), vee(4).\n";

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
} commands[] = {
	{ "check", cmd_check },
	{ "run", cmd_run },
	{ "dump", cmd_dump },
	{ "list", cmd_list },
	{ "stat", cmd_stat },
	{ "new", cmd_new },
};

int end_failure(void)
{
	fputc('\n', stderr);
	return STATUS_FAILED;
}

static int help(void)
{
	fputs(usage, stdout);
	return STATUS_OK;
}

static int version(void)
{
	printf("vee %s, interface %d\n", VEE_VERSION, VEE_API_VERSION);
	return STATUS_OK;
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		fputs(usage, stderr);
		return STATUS_FAILED;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))
		return help();
	if (!strcmp(argv[1], "--version"))
		return version();
	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++)
		if (!strcmp(argv[1], commands[i].name))
			return commands[i].run(argc - 1, argv + 1);
	return fail("no command \"%s\"; try \"vee --help\"", argv[1]);
}
