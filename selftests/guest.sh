#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# The kit for guests in C, guest/: a guest of 16, 32 and 64 bits that tries all of it,
# under "vee run".

dir=$(dirname "$0")
failed=0

if ! command -v vee >/dev/null || ! [ -e /dev/vee ]; then
	echo '1..0 # SKIP no command "vee", or no /dev/vee'
	exit 4
fi

# What each mode has to print.
common() {
	cat <<-'END'
	number 42, zeros 0
	-5 7 beef x string %
	[   42] [-0042] [  ab] [00000012]
	-1 18446744073709551615 123456789abcdef
	(null) 4
	-101234899 1 0 10
	END
}

exceptions() {
	cat <<-'END'
	exception 6, error code 0
	exception 3, error code 0
	exception 128, error code 0
	exception 129, error code 0
	kept 5eed
	END
}

last() {
	echo 'and now without a handler of its own'
	echo 'guest: exception 6, invalid opcode, error code 0, at X'
}

# $1: number, $2: image, $3: status; what it has to print comes in.
check() {
	expected=$(cat)
	said=$(vee run -t 60 "$dir/$2" 2>&1)
	status=$?
	said=$(printf '%s\n' "$said" | sed 's/ at [0-9a-f]*$/ at X/')
	if [ "$said" = "$expected" ] && [ "$status" = "$3" ]; then
		echo "ok $1 $2"
	else
		printf '%s\n' "$said" "status $status" | sed 's/^/# /'
		echo "not ok $1 $2"
		failed=1
	fi
}

printf 'TAP version 13\n1..3\n'
common | check 1 guest_kit.bin 7
{ common; exceptions; last; } | check 2 guest_kit.elf32 1
{ common; exceptions; echo 'map 0 p q 0'; echo 'heap 1 0 1 1'; last; } | check 3 guest_kit.elf 1
exit $failed
