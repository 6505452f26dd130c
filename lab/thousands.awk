# SPDX-License-Identifier: GPL-2.0-only

# For awk programs to have with theirs: 1234.5 as 1,235.
function thousands(n) {
	n = int(n + 0.5)
	return n < 1000 ? n : thousands(int(n / 1000)) sprintf(",%03d", n % 1000)
}
