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
	[1] = { { NULL, 0, 0 } },
	[2] = { { NULL, 0, 0 } },
	[3] = { { NULL, 0, 0 } },
	[4] = { { NULL, 0, 0 } },
	[5] = { { NULL, 0, 0 } },
	[6] = { { NULL, 0, 0 } },
	[7] = { { NULL, 0, 0 } },
	[8] = { { NULL, 0, 0 } },
	[9] = { { NULL, 0, 0 } },
	[10] = { { NULL, 0, 0 }, { NULL, 0, 0 } },
};

int main(int argc, char **argv)
{
	return run_cases(argc, argv, mends);
}
