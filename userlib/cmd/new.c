// SPDX-License-Identifier: LGPL-2.1-or-later
/* "vee new": a project of one's own, which runs in the lab at once. */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd.h"

static const char usage[] =
	"usage: vee new [options] DIR\n"
	"\n"
	"Makes the folder DIR with a guest in C, a program that runs it, and a Makefile. \"make run\"\n"
	"there builds both and runs them in vee's emulated machine, which stays up for the next time;\n"
	"\"make run BITS=32\" has a guest of 32 bits, BITS=16 one of 16.\n"
	"\n"
	"  -t, --tree FOLDER  vee's sources, which the Makefile uses (those that this command was\n"
	"                     built in, if it is there still)\n"
	"  -h, --help         this text\n";

/* --- what is in it --- */

/* Behind a line that says where vee's sources are, VEE. */
static const char makefile[] =
	"# \"make\" builds it, \"make run\" runs it in vee's emulated machine, which stays up for the\n"
	"# next time; \"make clean\" removes what was built.\n"
	"\n"
	"CFLAGS ?= -O2 -g\n"
	"CFLAGS += -std=gnu11 -Wall -Wextra\n"
	"CPPFLAGS += -D_GNU_SOURCE -I$(VEE)/userlib -I$(VEE)/uapi\n"
	"LDLIBS = $(VEE)/userlib/libvee.a -luring -lZydis -lZycore\n"
	"\n"
	"# The guest's: 64, 32, or 16, which is real mode.\n"
	"BITS = 64\n"
	"IMAGE_64 = guest.elf\n"
	"IMAGE_32 = guest.elf32\n"
	"IMAGE_16 = guest.bin\n"
	"IMAGE = $(IMAGE_$(BITS))\n"
	"\n"
	".PHONY: all run clean\n"
	"all: host $(IMAGE)\n"
	"\n"
	"run: all\n"
	"\t@$(VEE)/lab/live host $(IMAGE) -- ./host $(IMAGE)\n"
	"\n"
	"clean:\n"
	"\t$(RM) host *.elf *.elf32 *.bin *.o\n"
	"\n"
	"# Guests in C: $(VEE)/guest/README.md says what there is to call.\n"
	"include $(VEE)/guest/guest.mk\n"
	"\n"
	"host: host.c $(VEE)/userlib/libvee.a\n"
	"\t$(CC) $(CPPFLAGS) $(CFLAGS) -Wl,--as-needed -o $@ $< $(LDLIBS)\n"
	"\n"
	"$(VEE)/userlib/libvee.a:\n"
	"\t$(MAKE) -s -C $(VEE)/userlib libvee.a\n";

static const char guest[] =
	"/* What runs in the virtual machine, with nothing beneath it. */\n"
	"#include <guest.h>\n"
	"\n"
	"int main(void)\n"
	"{\n"
	"#ifdef GUEST_16\n"
	"\tint bits = 16;\n"
	"#else\n"
	"\tint bits = sizeof(long) * 8;\n"
	"\n"
	"\tguest_catch(NULL);\t/* says what happened, if an exception does */\n"
	"#endif\n"
	"\tguest_print(\"Hello from %d bits\\n\", bits);\n"
	"\treturn 0;\n"
	"}\n";

static const char host[] =
	"/* Runs a guest: what it writes to one port is printed, by the other it ends. */\n"
	"#include <err.h>\n"
	"#include <errno.h>\n"
	"#include <stdio.h>\n"
	"#include <stdlib.h>\n"
	"#include <vee.h>\n"
	"\n"
	"#define MEMORY\t\t(16UL << 20)\n"
	"#define PORT_CONSOLE\t0xe9\t\t/* as guest.h has them */\n"
	"#define PORT_EXIT\t0xf4\n"
	"\n"
	"/* libvee's functions return 0 or more, or -errno. */\n"
	"static void check(int ret, const char *what)\n"
	"{\n"
	"\tif (ret < 0) {\n"
	"\t\terrno = -ret;\n"
	"\t\terr(1, \"%s\", what);\n"
	"\t}\n"
	"}\n"
	"\n"
	"static struct vee_vcpu *load(const char *path)\n"
	"{\n"
	"\tstruct vee_vcpu *vcpu;\n"
	"\tstruct vee_vm *vm;\n"
	"\tsize_t bytes;\n"
	"\tvoid *image;\n"
	"\n"
	"\tcheck(vee_read_file(path, &image, &bytes), path);\n"
	"\tcheck(vee_vm_create(&vm), \"/dev/vee\");\n"
	"\tcheck(vee_vm_alloc(vm, 0, MEMORY, NULL), \"giving the VM memory\");\n"
	"\tcheck(vee_vcpu_create(vm, 0, &vcpu), \"making a vCPU\");\n"
	"\tcheck(vee_load(vcpu, image, bytes, NULL), path);\n"
	"\tfree(image);\n"
	"\treturn vcpu;\n"
	"}\n"
	"\n"
	"int main(int argc, char **argv)\n"
	"{\n"
	"\tstruct vee_vcpu *vcpu;\n"
	"\n"
	"\tif (argc != 2)\n"
	"\t\terrx(2, \"usage: host GUEST\");\n"
	"\tvcpu = load(argv[1]);\n"
	"\tfor (;;) {\n"
	"\t\tconst struct vee_exit *exit = &vcpu->page->exit;\n"
	"\t\tint ret = vee_vcpu_run(vcpu);\n"
	"\n"
	"\t\tif (ret == -EINTR)\t/* a signal, and no exit to answer */\n"
	"\t\t\tcontinue;\n"
	"\t\tif (!ret && exit->reason == VEE_EXIT_PIO && exit->pio.port == PORT_EXIT)\n"
	"\t\t\treturn exit->pio.data;\n"
	"\t\tif (ret || exit->reason != VEE_EXIT_PIO || exit->pio.port != PORT_CONSOLE) {\n"
	"\t\t\tvee_explain(vcpu, stderr);\t/* why, in words */\n"
	"\t\t\treturn 1;\n"
	"\t\t}\n"
	"\t\tputchar(exit->pio.data);\n"
	"\t\tvee_done(vcpu);\t\t/* go on after the OUT */\n"
	"\t}\n"
	"}\n";

static const char ignored[] =
	"/host\n"
	"*.elf\n"
	"*.elf32\n"
	"*.bin\n"
	"*.o\n";

static const struct {
	const char *name, *text;
} files[] = {
	{ "guest.c", guest },
	{ "host.c", host },
	{ ".gitignore", ignored },
};

/* --- where vee's sources are --- */

static bool is_tree(const char *folder)
{
	char path[PATH_MAX + 32];

	snprintf(path, sizeof(path), "%s/guest/guest.mk", folder);
	if (access(path, R_OK))
		return false;
	snprintf(path, sizeof(path), "%s/lab/live", folder);
	return !access(path, X_OK);
}

/* The folder above the one that this command is in. */
static bool own_tree(char tree[PATH_MAX])
{
	ssize_t length = readlink("/proc/self/exe", tree, PATH_MAX - 1);

	if (length < 0)
		return false;
	tree[length] = 0;
	for (int i = 0; i < 2; i++) {
		char *slash = strrchr(tree, '/');

		if (!slash)
			return false;
		*slash = 0;
	}
	return is_tree(tree);
}

/* To @tree, which the caller may have named; an exit status. */
static int find_tree(const char *named, char tree[PATH_MAX])
{
	if (named && !realpath(named, tree))
		return fail("%s: %s", named, strerror(errno));
	if (named && !is_tree(tree))
		return fail("%s is not vee's tree of sources: no guest/guest.mk, lab/live", named);
	if (!named && !own_tree(tree))
		return fail("where are vee's sources? Name them: vee new --tree FOLDER DIR");
	/* What make takes for something else. */
	if (strpbrk(tree, " \t\n#$:%\\"))
		return fail("make can't work with a folder of this name: %s", tree);
	return STATUS_OK;
}

/* --- making it --- */

static int cannot_make(const char *path)
{
	return fail("%s: %s", path, strerror(errno));
}

/* @tree: what a Makefile begins with, or NULL. */
static int write_file(const char *folder, const char *name, const char *tree, const char *text)
{
	char path[PATH_MAX];
	FILE *file;
	bool good;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	file = fopen(path, "wxe");
	if (!file)
		return cannot_make(path);
	if (tree)
		fprintf(file, "# vee's sources.\nVEE ?= %s\n\n", tree);
	good = fputs(text, file) >= 0;
	return fclose(file) || !good ? cannot_make(path) : STATUS_OK;
}

static int make_project(const char *folder, const char *tree)
{
	if (mkdir(folder, 0777))
		return errno == EEXIST ?
			fail("%s is there already, and stays: give a name that isn't", folder) :
			cannot_make(folder);
	if (write_file(folder, "Makefile", tree, makefile))
		return STATUS_FAILED;
	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++)
		if (write_file(folder, files[i].name, NULL, files[i].text))
			return STATUS_FAILED;
	printf("%s has a guest, guest.c, and what runs it, host.c. Next:\n"
	       "  make -C %s run\n", folder, folder);
	return STATUS_OK;
}

int cmd_new(int argc, char **argv)
{
	static const struct option options[] = {
		{ "tree", required_argument, NULL, 't' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 }
	};
	const char *named = NULL;
	char tree[PATH_MAX];
	int c;

	optind = 0;
	while ((c = getopt_long(argc, argv, "t:h", options, NULL)) != -1) {
		if (c == 't') {
			named = optarg;
		} else if (c == 'h') {
			fputs(usage, stdout);
			return STATUS_OK;
		} else {
			return STATUS_FAILED;
		}
	}
	if (optind + 1 != argc)
		return fail("vee new takes the name of one folder to make; see \"vee new --help\"");
	if (find_tree(named, tree))
		return STATUS_FAILED;
	return make_project(argv[optind], tree);
}
