// SPDX-License-Identifier: LGPL-2.1-or-later
/* "vee check": the CPU's side channels, and what vee does about each. */
#include <string.h>

#include "cmd.h"

#define VULNERABILITIES	"/sys/devices/system/cpu/vulnerabilities"
#define NAMES		64
#define SAID		300

/* In docs/security.md, too. */
static const struct {
	const char *name;
	const char *answer;
} answers[] = {
	{ "gather_data_sampling", "the microcode's alone, which no guest can switch off" },
	{ "ghostwrite", "another maker's CPUs, where there is no vee" },
	{ "indirect_target_selection", "the kernel patches vee as itself; IBPB between VMs" },
	{ "itlb_multihit", "no large page of a guest's memory can be executed" },
	{ "l1tf", "empties the L1 data cache before an entry that other host code came before" },
	{ "mds", "VERW right before each entry" },
	{ "meltdown", "a guest's addresses lead to its own memory alone" },
	{ "mmio_stale_data", "VERW before the entries of a guest that has a device's memory" },
	{ "old_microcode", "nothing: what only new microcode mends stays open until it is there" },
	{ "reg_file_data_sampling", "VERW right before each entry" },
	{ "retbleed", "writes IBRS anew after each exit where the kernel uses it" },
	{ "spec_rstack_overflow", "another maker's CPUs, where there is no vee" },
	{ "spec_store_bypass", "nothing of its own: a guest runs with its thread's SSBD (prctl)" },
	{ "spectre_v1", "masks the indices that a guest chooses" },
	{ "spectre_v2", "return stack and branch history after each exit, IBPB between VMs" },
	{ "srbds", "the microcode's alone, which no guest can switch off" },
	{ "tsa", "another maker's CPUs, where there is no vee" },
	{ "tsx_async_abort", "VERW right before each entry" },
	{ "vmscape", "IBPB before the program goes on that ran a guest" },
};

static const char *answer_to(const char *name)
{
	for (size_t i = 0; i < sizeof(answers) / sizeof(*answers); i++)
		if (!strcmp(answers[i].name, name))
			return answers[i].answer;
	return "this command knows no such bug: a newer one may";
}

/* True: the CPU has it. */
static bool show_bug(const char *name)
{
	char path[200], said[SAID];

	snprintf(path, sizeof(path), VULNERABILITIES "/%s", name);
	if (!host_text(path, said, sizeof(said)))
		return true;
	said[strcspn(said, "\n")] = 0;
	if (!strcmp(said, "Not affected"))
		return false;
	printf("  %s: %s\n", name, said);
	printf("      vee: %s\n", answer_to(name));
	return true;
}

void check_bugs(void)
{
	char names[NAMES][HOST_NAME];
	size_t count = host_names(VULNERABILITIES, names, NAMES), without = 0;

	if (!count)
		return;
	puts("Side channels of the CPU, as the kernel has them");
	for (size_t i = 0; i < count; i++)
		if (!show_bug(names[i]))
			memmove(names[without++], names[i], HOST_NAME);
	for (size_t i = 0; i < without; i++)
		printf("%s%s%s", i ? ", " : "  Not affected by ", names[i],
		       i + 1 == without ? "\n" : "");
}
