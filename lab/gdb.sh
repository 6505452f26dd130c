#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# In the lab: gdb on a guest of "vee run --gdb". Takes a gdb without Python, Debian's
# package gdb-minimal: lab/run --file lab/gdb.sh --file GDB:/root/gdb -- ./gdb.sh

# Bytes, in hexadecimal.
bytes() {
	for byte; do
		# shellcheck disable=SC2059 # the format is the byte
		printf "\\$(printf %03o "0x$byte")"
	done
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# At 7C00H, in real mode: MOV AX, 5; ADD AX, 3; OUT F4H, AL; HLT.
bytes b8 05 00 83 c0 03 e6 f4 f4 >"$work/guest"
cat >"$work/commands" <<END
set architecture i386:x86-64
target remote $work/socket
break *0x7c03
continue
printf "broke with %d\n", \$rax
stepi
printf "stepped to %#x with %d\n", \$pc, \$rax
set \$rax = 33
hbreak *0x7c08
continue
END
vee run -S --gdb="$work/socket" -t 40 "$work/guest" >"$work/vee" 2>&1 </dev/null &
vee=$!
while [ ! -e "$work/socket" ] && kill -0 "$vee"; do sleep 0.1; done
timeout 35 ./gdb -nx -batch -x "$work/commands" >"$work/gdb" 2>&1
wait "$vee"
status=$?
sed 's/^/# /' "$work/vee" "$work/gdb"
printf 'KTAP version 1\n1..1\n'
if [ "$status" -eq 33 ] && grep -q 'broke with 5' "$work/gdb" &&
	grep -q 'stepped to 0x7c06 with 8' "$work/gdb"; then
	echo 'ok 1 gdb: break, step, registers, continue'
else
	echo "# status $status"
	echo 'not ok 1 gdb: break, step, registers, continue'
	exit 1
fi
