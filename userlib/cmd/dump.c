// SPDX-License-Identifier: LGPL-2.1-or-later
/* "vee dump": a VMCS by groups, its bits in words, and the rules that it breaks. */
#include <errno.h>
#include <getopt.h>
#include <string.h>
#include <sys/stat.h>

#include "cmd.h"

#define RULES_SHOWN	32
#define RULE_BYTES	600

static const char usage[] =
	"usage: vee dump [options] [FILE]\n"
	"\n"
	"Prints the VMCS that FILE has, which needs neither the module nor VMX; without\n"
	"FILE that of a virtual CPU of this machine, which has run one HLT in 64-bit\n"
	"mode. Then tells which rules of a VM entry it breaks, as the CPU that it is of\n"
	"would judge it. \"vee run --dump\" writes such a file, too.\n"
	"\n"
	"  -s, --save FILE       write it there instead\n"
	"  -h, --help            this\n"
	"\n"
	"The status is 0, also if a rule is broken; 1 if there is no VMCS to be had.\n";

/* --- where it comes from --- */

#define CODE_GPA	0x1000U
#define TABLES_GPA	0x10000U
#define RAM_BYTES	0x20000U

static int run_hlt(struct vee_vm *vm, struct vee_vcpu *vcpu)
{
	static const uint8_t hlt = 0xf4;
	int err;

	err = vee_vm_alloc(vm, 0, RAM_BYTES, NULL);
	if (!err)
		err = vee_vm_identity_map(vm, TABLES_GPA, RAM_BYTES);
	if (err >= 0)	/* the bytes of the tables */
		err = vee_vm_write(vm, CODE_GPA, &hlt, sizeof(hlt));
	if (err)
		return err;
	vee_vcpu_set_long_mode(vcpu, TABLES_GPA, CODE_GPA);
	do {
		err = vee_vcpu_run(vcpu);
	} while (err == -EINTR);
	return err;
}

static int take(struct vee_snapshot **snapshot)
{
	struct vee_vcpu *vcpu = NULL;
	struct vee_vm *vm;
	int err = vee_vm_create(&vm);

	if (err)
		return cannot_create(err);
	err = vee_vcpu_create(vm, 0, &vcpu);
	if (!err)
		err = run_hlt(vm, vcpu);
	if (!err)
		err = vee_snapshot_take(vcpu, snapshot);
	if (vcpu)
		vee_vcpu_destroy(vcpu);
	vee_vm_destroy(vm);
	return err ? fail("no virtual CPU to be had: %s; \"vee check\" tells more",
			  strerror(-err)) : STATUS_OK;
}

static int explain_file(const char *path, int err, unsigned int line)
{
	switch (err) {
	case -EBADMSG:
		return fail("%s: no snapshot of a VMCS; \"vee dump --save\" writes one", path);
	case -EPROTONOSUPPORT:
		return fail("%s: in another version of the format: the vee that wrote it reads it",
			    path);
	case -ENODATA:
		return fail("%s: cut short after line %u: copy it again", path, line - 1);
	case -EINVAL:
		return fail("%s: line %u makes no sense: somebody changed it", path, line);
	default:
		return fail("%s: %s", path, strerror(-err));
	}
}

/* fopen(3) takes a folder for a file that can't be read. */
static bool is_folder(FILE *file)
{
	struct stat st;

	return !fstat(fileno(file), &st) && S_ISDIR(st.st_mode);
}

static int read_file(const char *path, struct vee_snapshot **snapshot)
{
	FILE *in = fopen(path, "re");
	unsigned int line;
	int err;

	if (!in)
		return fail("%s: %s", path, strerror(errno));
	err = is_folder(in) ? -EISDIR : vee_snapshot_read(snapshot, in, &line);
	fclose(in);
	return err ? explain_file(path, err, line) : STATUS_OK;
}

/* --- where it goes --- */

static int write_file(const struct vee_snapshot *snapshot, const char *path)
{
	FILE *out = fopen(path, "we");
	int err;

	if (!out)
		return fail("%s: %s", path, strerror(errno));
	err = vee_snapshot_write(snapshot, out);
	if (fclose(out) || err)
		return fail("%s: not all of the VMCS could be written", path);
	return STATUS_OK;
}

int dump_save(struct vee_vcpu *vcpu, const char *path)
{
	struct vee_snapshot *snapshot;
	int status, err = vee_snapshot_take(vcpu, &snapshot);

	if (err)
		return fail("%s: the VMCS can't be had: %s", path, strerror(-err));
	status = write_file(snapshot, path);
	vee_snapshot_free(snapshot);
	return status;
}

static void print_rules(const struct vee_snapshot *snapshot)
{
	struct vee_broken_rule broken[RULES_SHOWN];
	unsigned int unjudged;
	char line[RULE_BYTES];
	int count = vee_snapshot_audit(snapshot, broken, RULES_SHOWN, &unjudged);

	if (count < 0) {
		puts("\nNot audited: the module was too old to say what its CPU's checks go by");
		return;
	}
	printf("\nRules of a VM entry that it breaks: %d\n", count);
	for (int i = 0; i < count && i < RULES_SHOWN; i++) {
		vee_audit_text(&broken[i], line, sizeof(line));
		printf("  %s\n", line);
	}
	if (unjudged)
		printf("Rules that can't be judged, for fields are withheld or not there: %u\n",
		       unjudged);
}

static int dump(const char *path, const char *save)
{
	struct vee_snapshot *snapshot = NULL;
	int status = path ? read_file(path, &snapshot) : take(&snapshot);

	if (status)
		return status;
	if (save) {
		status = write_file(snapshot, save);
	} else {
		vee_snapshot_print(snapshot, stdout);
		print_rules(snapshot);
	}
	vee_snapshot_free(snapshot);
	return status;
}

int cmd_dump(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "save", required_argument, NULL, 's' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 }
	};
	const char *save = NULL;
	int option;

	argv[0] = "vee dump";
	while ((option = getopt_long(argc, argv, "s:h", longs, NULL)) >= 0) {
		switch (option) {
		case 's':
			save = optarg;
			break;
		case 'h':
			fputs(usage, stdout);
			return STATUS_OK;
		default:
			return fail("\"vee dump --help\" tells the options");
		}
	}
	if (argc - optind > 1)
		return fail("dump takes one file; \"vee dump --help\" tells more");
	return dump(argv[optind], save);
}
