#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# A guest that "vee run" moves to another one while it runs: a few bytes of machine code, and
# Linux, in the middle of a program that writes memory, with two CPUs. Before that the
# connection breaks, and after it. Systems are looked for as in linux.sh.

# shellcheck source=selftests/guest_util.sh
. "$(dirname "$0")/guest_util.sh"

relay=$(dirname "$0")/relay
to=$work/to
through=$work/through
# More than it takes until it is moved.
steps=100

# Writes 20 KB a step, a line each; the sum that it ends with, on the serial port on PCI, too,
# tells whether memory is right.
# shellcheck disable=SC2016 # for the guest's shell
program() {
	echo 'exec 5>/dev/$(basename $(find /sys/devices/pci0000:00 -name ttyS\*)); n=0; while [ $n -lt '"$1"' ]; do n=$((n + 1)); '\
'yes step$n | head -c 20000 >/file$((n % 5)); echo step$n; sleep 0.1; done; '\
'set -- $(cat /file? | md5sum); echo sum$1 >&5; echo sum$1; exit 9'
}

# What that is, and the lines before.
expected() {
	for n in $(seq 1 "$1"); do
		echo "step$n"
	done
	for n in $(seq $(($1 - 4)) "$1"); do
		yes "step$n" | head -c 20000 >"$work/file$((n % 5))"
	done
	echo "sum$(cat "$work"/file? | md5sum | cut -d ' ' -f 1)"
}

# --- two of them ---

# With options $1, $2 steps: it sends to $to or, once there is one, by way of a relay.
start_sender() {
	: >"$work/sender.errors"
	# shellcheck disable=SC2086 # options without spaces
	vee run -t 300 -m 96M $1 -x "$work/pci" --send "$to" \
		-k "$guests/vmlinuz-6.1" -i "$guests/linux.cpio.gz" \
		-a "$cmdline vee.run=\"$(program "$2")\"" </dev/null >"$work/sender" \
		2>>"$work/sender.errors" &
	sender=$!
}

# At $1, with a serial port on PCI if the sender has one: $pci. What it reads is $input.
start_receiver() {
	rm -f "$1"
	# shellcheck disable=SC2086 # options without spaces
	vee run -t 200 $pci --receive "$1" <"$input" >"$work/receiver" 2>"$work/receiver.errors" &
	receiver=$!
	within 20 test -S "$1"
}

wait_for_step() {
	wait_for_line "^step$1[^0-9]" "$work/sender" 100
}

last_step() {
	grep -c '^step.' "$work/sender"
}

gets_on() {
	more=$(($(last_step) + 3))
	wait_for_step "$more"
}

show() {
	sed 's/^/# /' "$work/sender.errors" "$work/receiver.errors"
}

# What both have said, one after the other: no line is lost, and none is there twice.
says_all() {
	cat "$work/sender" "$work/receiver" | tr -d '\r' | grep -E '^(step|sum)' >"$work/said"
	expected "$1" | cmp - "$work/said" && return
	tail -n 3 "$work/said" | sed 's/^/# said /'
	return 1
}

# --- the connection breaks ---

# At step $1 of relay's: the sender goes on, and the receiver ends with a line.
breaks_at() {
	start_receiver "$through" || return 1
	"$relay" "$to" "$through" "$1" >"$work/relayed" &
	within 20 test -S "$to" || return 1
	: >"$work/sender.errors"
	kill -USR2 "$sender"
	wait "$receiver"
	status=$?
	wait_for_line "$2" "$work/sender.errors" 30
	told=$?
	show
	comment "at $1: status $status there, $(cat "$work/relayed") bytes"
	[ "$told" -eq 0 ] && [ "$status" -eq 1 ] && [ ! -s "$work/receiver" ] &&
		[ "$(wc -l <"$work/receiver.errors")" -eq 1 ]
}

# --- a few bytes of machine code ---

# What goes to descriptor 4 is its input: a byte, and it goes on for five letters.
counter_goes_on() {
	make_counter "$work/counter"
	connect counter
	vee run -t 300 -m 16M --send "$to" "$work/counter" <"$work/counter.in" \
		>"$work/sender" 2>"$work/sender.errors" 3>&- 4>&- &
	sender=$!
	wait_for_line e "$work/sender" 20 || return 1
	kill -USR2 "$sender"
	wait_for_line 'the guest goes on' "$work/sender.errors" 20 || return 1
	breaks_at 5000 'connection broke; the guest goes on' || return 1
	printf '!' >&4
	wait_for_line j "$work/sender" 20
}

# In doubt it stands still until somebody says so; then it is moved.
counter_is_moved() {
	breaks_at go 'be known; it stands still here' || return 1
	printf '!' >&4
	sleep 1
	has_counted a j "$work/sender" || return 1
	kill -USR2 "$sender"
	wait_for_line o "$work/sender" 20 || return 1
	start_receiver "$to" || return 1
	kill -USR2 "$sender"
	wait "$receiver"
	there=$?
	wait "$sender"
	status=$?
	show
	comment "status $status here, $there there"
	[ "$there" -eq "$counter_status" ] && has_counted a o "$work/sender" &&
		has_counted p t "$work/receiver"
}

# --- Linux ---

# Nobody is there; then not for long. Where in the stream it breaks the library's tests try.
broken_goes_on() {
	start_sender '--cpus 2' "$steps"
	wait_for_step 3 || return 1
	kill -USR2 "$sender"
	wait_for_line 'the guest goes on' "$work/sender.errors" 20 && gets_on || return 1
	breaks_at 5000 'connection broke; the guest goes on' && gets_on
}

# It doesn't run on either side until somebody says so.
doubt_stands_still() {
	breaks_at go 'be known; it stands still here' || return 1
	before=$(last_step)
	sleep 2
	comment "step $before, and $(last_step) later"
	[ "$(last_step)" -eq "$before" ] || return 1
	kill -USR2 "$sender"
	gets_on
}

# The last word is lost: it runs there, all of it, and stands still here.
is_moved() {
	start_receiver "$through" || return 1
	"$relay" "$to" "$through" 'done' >"$work/relayed" &
	within 20 test -S "$to" || return 1
	kill -USR2 "$sender"
	wait "$receiver"
	wait_for_line 'it stands still here' "$work/sender.errors" 30 || return 1
	kill "$sender"
	wait "$sender"
	status=$?
	show
	comment "status $status here"
	[ "$status" -eq 143 ] && [ -s "$work/receiver" ] && says_all "$steps" &&
		grep -q "$(grep -o '^sum[0-9a-f]*' "$work/said")" "$work/pci.there"
}

sender=
receiver=
pci=
input=$work/input
echo '!' >"$input"
trap 'kill $sender $receiver 2>/dev/null; wait; give_module_back; rm -rf "$work"' EXIT
linux='vmlinuz-6.1 linux.cpio.gz'

echo 'KTAP version 1'
need_vee
echo '1..5'
check 'a guest goes on when the connection breaks' counter_goes_on
check 'it is moved' counter_is_moved
kill "$sender" 2>/dev/null
pci="-x $work/pci.there"
input=/dev/null
[ ! -e "$guests/vmlinuz-6.1" ] || take_module
# shellcheck disable=SC2086 # file names
{
	check 'it goes on when the connection breaks' broken_goes_on $linux
	check 'in doubt it stands still' doubt_stands_still $linux
	check 'Linux is moved while it runs, and the last word lost' is_moved $linux
}
[ "$failed" -eq 0 ]
