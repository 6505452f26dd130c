// SPDX-License-Identifier: LGPL-2.1-or-later
/* What "vee run" is told on its command line. */
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cmd.h"

#define DEFAULT_MEMORY	(64ULL << 20)
#define MIN_MEMORY	0x100000ULL
#define MAX_CPUS	VEE_MAX_VCPUS
#define GDB_PORT	"1234"
#define DEFAULT_DOWNTIME	300	/* ms */
#define MAX_DOWNTIME	60000

_Static_assert(MAX_CPUS == 64 && MAX_CPUS <= ACPI_CPUS, "as the texts say");

static const char usage[] =
	"usage: vee run [options] FILE [--and [options] FILE]...\n"
	"\n"
	"Runs FILE in a virtual machine: a Linux kernel (bzImage), a multiboot 1\n"
	"kernel, a static ELF program, or anything else as a flat image in real mode\n"
	"at 7C00H. The guest's first serial port is standard input and output; on a\n"
	"terminal Ctrl-A x ends the guest, Ctrl-A s saves it (--save), Ctrl-A m moves it\n"
	"(--send), Ctrl-A Ctrl-A sends a Ctrl-A.\n"
	"\n"
	"  -k, --kernel FILE     FILE, said in another way\n"
	"  -b, --bios FILE       run the BIOS in FILE, a ROM image, in place of a program\n"
	"  -m, --memory SIZE     memory of the guest: a number with K, M or G, or of\n"
	"                        MiB; 64M unless told otherwise\n"
	"  -p, --cpus N          1 to 64 CPUs, each with a local APIC, and an I/O APIC; one\n"
	"                        CPU without these unless told otherwise\n"
	"  -a, --append CMDLINE  command line of a kernel\n"
	"  -i, --initrd FILE     initial RAM disk of a Linux kernel\n"
	"  -c, --serial PATH     where the serial port is: a terminal, a file for output,\n"
	"                        or two FIFOs, PATH.in and PATH.out\n"
	"  -x, --pci-serial FILE a second serial port, on PCI: its output goes to FILE\n"
	"  -T, --trace[=FILE]    tell of each exit, with the instruction, on standard error\n"
	"                        or in FILE\n"
	"  -I, --trace-io        tell of each access to a device, and of those that\n"
	"                        nothing answers\n"
	"  -n, --stats           at the end, tell which exits there were, and how many\n"
	"  -d, --dump FILE       if a VM entry fails, keep the VMCS in FILE, for \"vee dump\"\n"
	"  -s, --gdb [WHERE]     let gdb debug the guest: \"target remote\" of WHERE, a port of\n"
	"                        this machine (" GDB_PORT " unless told otherwise), or the path\n"
	"                        of a Unix socket to make\n"
	"  -S, --stop            stop before the first instruction, and wait for gdb\n"
	"  -w, --save FILE       where to save the guest when it is asked for, by SIGUSR1 or\n"
	"                        Ctrl-A s; it goes on\n"
	"  -l, --load FILE       go on with a guest that was saved, in place of a program\n"
	"  -o, --send WHERE      where to move the guest, while it runs, when it is asked\n"
	"                        for, by SIGUSR2 or Ctrl-A m: the path of a Unix socket at\n"
	"                        which another \"vee run\" has --receive, or fd:N\n"
	"  -y, --downtime MS     for how long it may stand still, at most, when it is moved;\n"
	"                        300 unless told otherwise\n"
	"  -r, --receive WHERE   go on with a guest that is sent there, in place of a program:\n"
	"                        the path of a Unix socket to make, or fd:N\n"
	"  -t, --timeout S       end the guest after S seconds, with status 124\n"
	"  -h, --help            this\n"
	"  --and                 what follows is of another guest, which runs beside the\n"
	"                        first, until the first ends; needs its own --serial\n"
	"\n"
	"The status is what the guest writes to port F4H, a byte, which ends it; or 0\n"
	"when it is done otherwise: HLT with interrupts off, a reset of the machine,\n"
	"power-off; 1 when it shuts down (triple fault) or something else goes wrong;\n"
	"124 when its time is up. A signal that ends \"vee run\" is its status.\n";

static int suffix_shift(const char *suffix)
{
	static const char *const suffixes[] = {
		[10] = "K", [20] = "M", [30] = "G",
	};

	if (!*suffix)
		return 20;
	for (int shift = 10; shift <= 30; shift += 10)
		if (!strcasecmp(suffix, suffixes[shift]))
			return shift;
	return -1;
}

static bool parse_size(const char *text, uint64_t *bytes)
{
	unsigned long long number;
	char *end;
	int shift;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	number = strtoull(text, &end, 0);
	shift = suffix_shift(end);
	if (errno || shift < 0 || number > UINT64_MAX >> shift)
		return false;
	*bytes = number << shift;
	return *bytes >= MIN_MEMORY && !(*bytes % 4096);
}

static bool parse_cpus(const char *text, unsigned int *cpus)
{
	char *end;
	unsigned long number = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end || !number || number > MAX_CPUS)
		return false;
	*cpus = number;
	return true;
}

static bool parse_seconds(const char *text, double *seconds)
{
	char *end;

	*seconds = strtod(text, &end);
	return end != text && !*end && isfinite(*seconds) && *seconds > 0 &&
	       *seconds < 1e9;
}

static bool parse_downtime(const char *text, unsigned int *ms)
{
	char *end;
	unsigned long number = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end || !number || number > MAX_DOWNTIME)
		return false;
	*ms = number;
	return true;
}

static int take_path(struct options *options, const char *path)
{
	if (options->path)
		return fail("%s and %s: a guest runs one file", options->path,
			    path);
	options->path = path;
	return GO_ON;
}

/* Options that are kept as they are given. */
static const char **text_of(int option, struct options *options)
{
	switch (option) {
	case 'a': return &options->cmdline;
	case 'i': return &options->initrd;
	case 'c': return &options->serial;
	case 'x': return &options->pci_serial;
	case 'd': return &options->dump;
	case 'w': return &options->save;
	case 'l': return &options->load;
	case 'o': return &options->send;
	case 'r': return &options->receive;
	default: return NULL;
	}
}

static int take_option(int option, struct options *options)
{
	const char **text = text_of(option, options);

	if (text) {
		*text = optarg;
		return GO_ON;
	}
	switch (option) {
	case 'm':
		if (parse_size(optarg, &options->memory))
			return GO_ON;
		return fail("--memory %s: not a size of at least 1M, in pages of 4K",
			    optarg);
	case 'p':
		if (parse_cpus(optarg, &options->cpus))
			return GO_ON;
		return fail("--cpus %s: not a number from 1 to %d", optarg, MAX_CPUS);
	case 't':
		if (parse_seconds(optarg, &options->timeout))
			return GO_ON;
		return fail("--timeout %s: not a number of seconds", optarg);
	case 'k':
		return take_path(options, optarg);
	case 'b':
		options->bios = true;
		return take_path(options, optarg);
	case 's':
		options->gdb = optarg ? optarg : GDB_PORT;
		return GO_ON;
	case 'S':
		options->gdb_stop = true;
		return GO_ON;
	case 'T':
		options->trace = true;
		options->trace_path = optarg;
		return GO_ON;
	case 'I':
		options->trace_io = true;
		return GO_ON;
	case 'n':
		options->stats = true;
		return GO_ON;
	case 'y':
		if (parse_downtime(optarg, &options->downtime))
			return GO_ON;
		return fail("--downtime %s: not a number of milliseconds from 1 to %d", optarg,
			    MAX_DOWNTIME);
	case 'h':
		fputs(usage, stdout);
		return STATUS_OK;
	default:
		fputs("vee: \"vee run --help\" tells the options\n", stderr);
		return STATUS_FAILED;
	}
}

/* What each of them alone can't tell. */
static int check_together(const struct options *options)
{
	const char *from = options->receive ? options->receive : options->load;

	if (options->receive && options->load)
		return fail("--receive and --load: a guest comes from one of them");
	if (from && (options->path || options->initrd || options->cmdline || options->cpus ||
		     options->memory != DEFAULT_MEMORY))
		return fail("--%s %s: what it runs, and on what, is in there",
			    options->receive ? "receive" : "load", from);
	if (from)
		return GO_ON;
	if (!options->path)
		return fail("run takes a file; \"vee run --help\" tells more");
	if (options->bios && (options->initrd || options->cmdline))
		return fail("--initrd and --append are for kernels, not for a BIOS");
	if (options->bios && options->pci_serial)
		return fail("--pci-serial is for kernels, not for a BIOS");
	return GO_ON;
}

/* Not the file to run: a number, or a path of what is not there yet. */
static bool is_where(const char *text)
{
	struct stat stat_of;

	return !text[strspn(text, "0123456789")] ||
	       (strchr(text, '/') && stat(text, &stat_of));
}

/* Where gdb connects to may be the next word, which getopt(3) leaves out. */
static void take_where(int argc, char **argv)
{
	if (!optarg && optind < argc && is_where(argv[optind]))
		optarg = argv[optind++];
}

/* False: the answer is in *@status. */
static bool parse(int argc, char **argv, struct options *options, int *status)
{
	static const struct option longs[] = {
		{ "kernel", required_argument, NULL, 'k' },
		{ "bios", required_argument, NULL, 'b' },
		{ "memory", required_argument, NULL, 'm' },
		{ "cpus", required_argument, NULL, 'p' },
		{ "append", required_argument, NULL, 'a' },
		{ "initrd", required_argument, NULL, 'i' },
		{ "serial", required_argument, NULL, 'c' },
		{ "pci-serial", required_argument, NULL, 'x' },
		{ "gdb", optional_argument, NULL, 's' },
		{ "stop", no_argument, NULL, 'S' },
		{ "trace", optional_argument, NULL, 'T' },
		{ "trace-io", no_argument, NULL, 'I' },
		{ "stats", no_argument, NULL, 'n' },
		{ "dump", required_argument, NULL, 'd' },
		{ "save", required_argument, NULL, 'w' },
		{ "load", required_argument, NULL, 'l' },
		{ "send", required_argument, NULL, 'o' },
		{ "downtime", required_argument, NULL, 'y' },
		{ "receive", required_argument, NULL, 'r' },
		{ "timeout", required_argument, NULL, 't' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 }
	};
	int option;

	*status = GO_ON;
	while (*status == GO_ON) {
		option = getopt_long(argc, argv, "k:b:m:p:a:i:c:x:sSTInd:w:l:o:y:r:t:h", longs,
				     NULL);
		if (option < 0)
			break;
		if (option == 's')
			take_where(argc, argv);
		*status = take_option(option, options);
	}
	while (*status == GO_ON && optind < argc)
		*status = take_path(options, argv[optind++]);
	if (options->gdb_stop && !options->gdb)
		options->gdb = GDB_PORT;
	if (*status == GO_ON)
		*status = check_together(options);
	/* From here on it is as one that is loaded. */
	if (options->receive)
		options->load = options->receive;
	return *status == GO_ON;
}

/* How many of @argv are the first guest's, with a word before them. */
static int first_guest(int argc, char **argv)
{
	int count = 1;

	while (count < argc && strcmp(argv[count], "--and"))
		count++;
	return count;
}

int cmd_run(int argc, char **argv)
{
	static struct options options[MAX_GUESTS];
	unsigned int count = 0;
	int status;

	while (argc > 0) {
		int n = first_guest(argc, argv);

		if (count == MAX_GUESTS)
			return fail("no more than %d guests; another \"vee run\" takes more",
				    MAX_GUESTS);
		argv[0] = "vee run";
		optind = 0;		/* getopt's state is the last guest's */
		options[count].memory = DEFAULT_MEMORY;
		options[count].downtime = DEFAULT_DOWNTIME;
		if (!parse(n, argv, &options[count], &status))
			return status;
		if (count && !options[count].serial)
			return fail("--and: a guest after the first needs --serial");
		count++;
		argc -= n;
		argv += n;
	}
	return run(options, count);
}
