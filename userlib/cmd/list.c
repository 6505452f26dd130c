// SPDX-License-Identifier: LGPL-2.1-or-later
/* "vee list": the VMs of this machine. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <string.h>

#include "cmd.h"
#include "watch.h"

static const char usage[] =
	"usage: vee list [options]\n"
	"\n"
	"Lists the VMs of this machine that you may see, whichever program has made them:\n"
	"root sees all, anybody else their own. Memory is in MiB: what is lent to the VM,\n"
	"and what of it the VM has now.\n"
	"\n"
	"  -j, --json            as JSON\n"
	"  -h, --help            this\n"
	"\n"
	"The status is 0, also if there are none; 1 if they can't be told.\n";

#define KIB_PER_MIB	1024

static void print_rows(const struct watch *watch)
{
	if (watch->count)
		puts("    VM     PID OWNER    VCPUS     LENT   MAPPED         RUNS COMMAND");
	for (unsigned int i = 0; i < watch->count; i++) {
		const struct watched_vm *vm = &watch->vms[i];

		printf("%6" PRIu32 " %7d %-8s %5" PRIu32, vm->text.vm, (int)vm->pid, vm->owner,
		       vm->text.vcpus);
		printf(" %8" PRIu64 " %8" PRIu64 " %12" PRIu64 " ",
		       vm->text.lent_kib / KIB_PER_MIB, vm->text.mapped_kib / KIB_PER_MIB,
		       vm->all.runs);
		put_plain(stdout, vm->command);
		putchar('\n');
	}
}

static void print_json(const struct watch *watch)
{
	fputs("{\"vms\":[", stdout);
	for (unsigned int i = 0; i < watch->count; i++) {
		const struct watched_vm *vm = &watch->vms[i];

		fputs(i ? ",{" : "{", stdout);
		put_json_vm(stdout, vm);
		printf(",\"vcpus\":%" PRIu32 ",\"runs\":%" PRIu64 "}", vm->text.vcpus,
		       vm->all.runs);
	}
	puts("]}");
}

static int list(bool json)
{
	struct watch watch;
	int status, err = watch_take(&watch);

	if (err)
		return fail("%s can't be read: %s", watch_proc, strerror(-err));
	if (json)
		print_json(&watch);
	else
		print_rows(&watch);
	fflush(stdout);
	status = watch_complain(&watch);
	watch_free(&watch);
	return status;
}

int cmd_list(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 }
	};
	bool json = false;
	int option;

	argv[0] = "vee list";
	while ((option = getopt_long(argc, argv, "jh", longs, NULL)) >= 0) {
		switch (option) {
		case 'j':
			json = true;
			break;
		case 'h':
			fputs(usage, stdout);
			return STATUS_OK;
		default:
			return fail("\"vee list --help\" tells the options");
		}
	}
	if (argc > optind)
		return fail("list takes options alone; \"vee stat\" takes numbers");
	return list(json);
}
