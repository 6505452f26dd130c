#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# A guest that "vee run" saves goes on, and so does the one that is loaded, from where it was:
# Linux, in the middle of a program, with one CPU and with two; and what is refused. Systems
# are looked for as in linux.sh.

# shellcheck source=selftests/guest_util.sh
. "$(dirname "$0")/guest_util.sh"

# Counts, a line each; the sum that it ends with tells whether its memory is right. So it does
# on the serial port on PCI, which it has open all the time.
# shellcheck disable=SC2016 # for the guest's shell
program='exec 5>/dev/$(basename $(find /sys/devices/pci0000:00 -name ttyS\*)); echo begun >&5; n=0; s=0; while [ $n -lt 20 ]; do n=$((n + 1)); s=$((s + n * n)); '\
'echo step$n; sleep 0.1; done; echo sum$s >&5; echo sum$s; exit 9'

# Waits for a file, for $2 seconds.
wait_for_file() {
	end=$(($(now) + $2 * 100))
	until [ -s "$1" ]; do
		[ "$(now)" -lt "$end" ] || return 1
		sleep 0.2
	done
}

# With options $1: saved at step 5 it goes on to its end.
saves() {
	connect saved
	# shellcheck disable=SC2086 # options without spaces
	vee run -t 100 -m 96M $1 -x "$work/pci" -c "$work/saved" --save "$work/guest" \
		-k "$guests/vmlinuz-6.1" -i "$guests/linux.cpio.gz" \
		-a "$cmdline vee.run=\"$program\"" 3>&- 4>&- 2>"$work/errors" &
	vee=$!
	expect '*step5' 80 || return 1
	kill -USR1 "$vee"
	wait_for_file "$work/guest" 20 || return 1
	expect '*sum2870' 40 || return 1
	wait "$vee"
	status=$?
	sed 's/^/# /' "$work/errors"
	comment "status $status, $(du -k "$work/guest" | cut -f 1) KiB saved"
	[ "$status" -eq 9 ] && grep -q "saved in $work/guest" "$work/errors" &&
		grep -q begun "$work/pci" && grep -q sum2870 "$work/pci"
}

# ... and so does the one that is loaded, from there, not from the beginning.
loads() {
	timeout 60 vee run -t 50 --load "$work/guest" -x "$work/pci" >"$work/output" 2>&1 </dev/null
	status=$?
	sed 's/^/# /' "$work/output"
	comment "status $status"
	[ "$status" -eq 9 ] && grep -q sum2870 "$work/output" &&
		! grep -q begun "$work/pci" && grep -q sum2870 "$work/pci" &&
		! grep -q 'step4[^0-9]*$' "$work/output" && grep -q step12 "$work/output"
}

one_cpu_is_saved() {
	saves ''
}

two_cpus_are_saved() {
	saves '--cpus 2'
}

is_loaded_again() {
	loads
}

# $1: what is to be said of file $2.
refuses() {
	vee run -t 20 --load "$2" >"$work/output" 2>&1 </dev/null
	status=$?
	sed 's/^/# /' "$work/output"
	[ "$status" -eq 1 ] && [ "$(wc -l <"$work/output")" -eq 1 ] && grep -q -e "$1" "$work/output"
}

damaged_is_refused() {
	cp "$work/guest" "$work/other"
	printf 'x' | dd of="$work/other" bs=1 seek=300 conv=notrunc 2>/dev/null
	refuses 'the file is damaged' "$work/other" || return 1
	head -c 1000000 "$work/guest" >"$work/other"
	refuses 'cut short' "$work/other" || return 1
	refuses 'no saved machine' "$0" && refuses 'No such file' "$work/none" &&
		refuses '--pci-serial FILE, too' "$work/guest"
}

# The guest goes on, and what was there is as it was.
full_disk_is_told() {
	mkdir "$work/small"
	mount -t tmpfs -o size=1m none "$work/small" || return 1
	echo before >"$work/small/guest"
	start_full
	expect '*step12' 40 || return 1
	kill -USR1 "$vee"
	expect '*sum2870' 60
	said=$?
	wait "$vee"
	status=$?
	sed 's/^/# /' "$work/errors"
	left=$(ls "$work/small")
	content=$(cat "$work/small/guest")
	umount "$work/small"
	[ "$said" -eq 0 ] && [ "$status" -eq 9 ] && [ "$left" = guest ] &&
		[ "$content" = before ] && grep -q 'No space left.*the guest goes on' "$work/errors"
}

# Loaded, so that it need not boot.
start_full() {
	connect full
	vee run -t 100 --load "$work/guest" -x "$work/pci" --save "$work/small/guest" \
		>"$work/full.out" </dev/null 3>&- 4>&- 2>"$work/errors" &
	vee=$!
}

trap 'give_module_back; rm -rf "$work"' EXIT
linux='vmlinuz-6.1 linux.cpio.gz'

echo 'KTAP version 1'
need_vee
echo '1..6'
take_module
# shellcheck disable=SC2086 # file names
{
	check 'Linux is saved and goes on' one_cpu_is_saved $linux
	check 'it is loaded and goes on' is_loaded_again $linux
	check 'what is damaged is refused' damaged_is_refused $linux
	rm -f "$work"/saved.* "$work/guest"
	check 'Linux with two CPUs is saved and goes on' two_cpus_are_saved $linux
	check 'it is loaded and goes on' is_loaded_again $linux
	check 'a full disk is told of' full_disk_is_told $linux
}
[ "$failed" -eq 0 ]
