# SPDX-License-Identifier: GPL-2.0-only
#
# One line for each program as it ends, from what ktap-run prints; seconds are the lab's.

/^# selftests: vee: / { ok = bad = skip = 0 }
/^ok [0-9]+/ { if (/# *SKIP/) skip++; else ok++ }
/^not ok [0-9]+/ { bad++ }
/^# ended: / {
	if ($4 == 4 && !ok && !skip) {
		printf "  %-9s %-28s all skipped\n", kernel, $3
		fflush()
		next
	}
	printf "  %-9s %-28s %3d ok", kernel, $3, ok
	if (bad) printf ", %d NOT OK", bad
	if (skip) printf ", %d skipped", skip
	if ($4 != 0) printf ", status %d", $4
	printf " (%.1f s)\n", $5 / 100
	fflush()
}
