#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# A guest that "vee run" saves goes on, and so does the one that is loaded, from where it was: a
# few bytes of machine code, with the devices of a machine without local APICs; and Linux with
# two CPUs, in the middle of a program. And what is refused. Systems are looked for as in
# linux.sh.

# shellcheck source=selftests/guest_util.sh
. "$(dirname "$0")/guest_util.sh"

# --- a few bytes of machine code ---

# It runs until it is idle at "e"; what goes to descriptor 4 is its input.
begin_counter() {
	connect "$1"
	vee run -t 100 -m 16M --save "$2" "$work/counter" <"$work/$1.in" >"$work/counted" \
		3>&- 4>&- 2>"$work/errors" &
	vee=$!
	wait_for_line e "$work/counted" 20
}

# To its end. $1: what is to be said.
end_counter() {
	printf '!!!' >&4
	wait "$vee"
	status=$?
	sed 's/^/# /' "$work/errors"
	comment "status $status"
	[ "$status" -eq "$counter_status" ] && has_counted a t "$work/counted" &&
		[ "$(wc -l <"$work/errors")" -eq 1 ] && grep -q "$1" "$work/errors"
}

counter_is_saved() {
	begin_counter small "$work/small" || return 1
	kill -USR1 "$vee"
	wait_for_line saved "$work/errors" 20 || return 1
	comment "$(du -k "$work/small" | cut -f 1) KiB saved"
	end_counter "saved in $work/small"
}

counter_is_loaded() {
	printf '!!!' | vee run -t 50 --load "$work/small" >"$work/counted" 2>"$work/errors"
	status=$?
	sed 's/^/# /' "$work/errors"
	comment "status $status"
	[ "$status" -eq "$counter_status" ] && [ ! -s "$work/errors" ] &&
		has_counted f t "$work/counted"
}

# $1: what is to be said of file $2, with options $3.
refuses() {
	# shellcheck disable=SC2086 # options without spaces
	vee run -t 20 --load "$2" ${3-} >"$work/output" 2>&1 </dev/null
	status=$?
	sed 's/^/# /' "$work/output"
	[ "$status" -eq 1 ] && [ "$(wc -l <"$work/output")" -eq 1 ] && grep -q -e "$1" "$work/output"
}

damaged_is_refused() {
	cp "$work/small" "$work/other"
	printf 'x' | dd of="$work/other" bs=1 seek=300 conv=notrunc 2>/dev/null
	refuses 'the file is damaged' "$work/other" || return 1
	head -c 10000 "$work/small" >"$work/other"
	refuses 'cut short' "$work/other" || return 1
	refuses 'no saved machine' "$0" && refuses 'No such file' "$work/none" &&
		refuses 'without --pci-serial' "$work/small" "-x $work/pci"
}

# The guest goes on, and what was there is as it was.
full_disk_is_told() {
	mkdir "$work/full"
	mount -t tmpfs -o size=16k none "$work/full" || return 1
	echo before >"$work/full/guest"
	begin_counter at-full "$work/full/guest" || return 1
	kill -USR1 "$vee"
	within 20 test -s "$work/errors" && end_counter 'No space left.*the guest goes on'
	said=$?
	left=$(ls "$work/full")
	content=$(cat "$work/full/guest")
	umount "$work/full"
	[ "$said" -eq 0 ] && [ "$left" = guest ] && [ "$content" = before ]
}

# --- Linux ---

# Counts, a line each; the sum that it ends with tells whether its memory is right. So it does
# on the serial port on PCI, which it has open all the time.
# shellcheck disable=SC2016 # for the guest's shell
program='exec 5>/dev/$(basename $(find /sys/devices/pci0000:00 -name ttyS\*)); echo begun >&5; n=0; s=0; while [ $n -lt 20 ]; do n=$((n + 1)); s=$((s + n * n)); '\
'echo step$n; sleep 0.1; done; echo sum$s >&5; echo sum$s; exit 9'

# Saved at step 5 it goes on to its end.
linux_is_saved() {
	connect saved
	vee run -t 100 -m 96M --cpus 2 -x "$work/pci" -c "$work/saved" --save "$work/guest" \
		-k "$guests/vmlinuz-6.1" -i "$guests/linux.cpio.gz" \
		-a "$cmdline vee.run=\"$program\"" 3>&- 4>&- 2>"$work/errors" &
	vee=$!
	expect '*step5' 80 || return 1
	kill -USR1 "$vee"
	within 20 test -s "$work/guest" || return 1
	expect '*sum2870' 40 || return 1
	wait "$vee"
	status=$?
	sed 's/^/# /' "$work/errors"
	comment "status $status, $(du -k "$work/guest" | cut -f 1) KiB saved"
	[ "$status" -eq 9 ] && grep -q "saved in $work/guest" "$work/errors" &&
		grep -q begun "$work/pci" && grep -q sum2870 "$work/pci"
}

# ... and so does the one that is loaded, from there, not from the beginning.
linux_is_loaded() {
	timeout 60 vee run -t 50 --load "$work/guest" -x "$work/pci" >"$work/output" 2>&1 </dev/null
	status=$?
	sed 's/^/# /' "$work/output"
	comment "status $status"
	[ "$status" -eq 9 ] && grep -q sum2870 "$work/output" &&
		! grep -q begun "$work/pci" && grep -q sum2870 "$work/pci" &&
		! grep -q 'step4[^0-9]*$' "$work/output" && grep -q step12 "$work/output" &&
		refuses '--pci-serial FILE, too' "$work/guest"
}

trap 'give_module_back; rm -rf "$work"' EXIT
linux='vmlinuz-6.1 linux.cpio.gz'

echo 'KTAP version 1'
need_vee
echo '1..6'
make_counter "$work/counter"
check 'a guest is saved and goes on' counter_is_saved
check 'it is loaded and goes on' counter_is_loaded
check 'what is damaged is refused' damaged_is_refused
check 'a full disk is told of' full_disk_is_told
[ ! -e "$guests/vmlinuz-6.1" ] || take_module
# shellcheck disable=SC2086 # file names
{
	check 'Linux with two CPUs is saved and goes on' linux_is_saved $linux
	check 'it is loaded and goes on' linux_is_loaded $linux
}
[ "$failed" -eq 0 ]
