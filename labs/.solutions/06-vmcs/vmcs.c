// SPDX-License-Identifier: GPL-2.0-only
/*
 * Lab 6: ten broken VMCSs. README.md says what is to be done; lab.h has the guests.
 * usage: vmcs [--audit] [--dump] [CASE]
 */
#include "lab.h"

/*
 * For each case up to two fields, by their names in fields.h, and what is to be in them. The
 * rule, "GUEST_CR0_PG" or such, is the audit's word for what was wrong: it comes last, when
 * the case is mended and the audit has been asked.
 */
static const struct mend mends[CASES + 1][MENDS] = {
	[1] = { { "GUEST_RFLAGS_1", GUEST_RFLAGS, 0x2 } },
	[2] = { { "GUEST_CS_DB", GUEST_CS_ACCESS_RIGHTS, 0xa09b } },
	[3] = { { "GUEST_CR3_WIDTH", GUEST_CR3, TABLES } },
	[4] = { { "GUEST_TR_TYPE", GUEST_TR_ACCESS_RIGHTS, 0x8b } },
	[5] = { { "GUEST_FS_BASE", GUEST_FS_BASE, 0x3000 } },
	[6] = { { "GUEST_DS_G_1", GUEST_DS_ACCESS_RIGHTS, 0xc093 } },
	[7] = { { "GUEST_DS_V86_LIMIT", GUEST_DS_LIMIT, 0xffff } },
	[8] = { { "ACTIVITY_BLOCKING", GUEST_ACTIVITY, 0 } },
	[9] = { { "GUEST_PDPTE2", GUEST_PDPTE2, 0x5001 } },
	[10] = {
		{ "GUEST_PAT", GUEST_PAT, 0x0007040600070406 },
		{ "GUEST_GDTR_LIMIT", GUEST_GDTR_LIMIT, 0xffff },
	},
};

int main(int argc, char **argv)
{
	return run_cases(argc, argv, mends);
}
