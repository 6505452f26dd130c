#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# "vee list" and "vee stat" beside a guest that lives: a few bytes of machine code under
# "vee run", which most of the time are idle. docs/watching.md says what must hold.

# shellcheck source=selftests/guest_util.sh
. "$(dirname "$0")/guest_util.sh"

# Values $1 and $2 are the same; $3 says what they are.
same() {
	[ "$1" = "$2" ] || { comment "$3: $1, not $2"; return 1; }
}

# --- JSON ---

# Each line of the input must be one object, by RFC 8259's grammar alone. Prints a line
# for each value in it, its path and it: "1.vms.0.vcpus.0.exits.HLT 3".
flatten() {
	awk '
	function bad(what) { print "line " NR ": no JSON: " what " at: " text >"/dev/stderr"; exit failed = 1 }
	# Of what match() has found: with a pattern in a variable awk would compile it each time.
	function token(what) {
		if (RSTART != 1) bad(what)
		found = substr(text, 1, RLENGTH)
		text = substr(text, RLENGTH + 1)
		return found
	}
	function mark(what) {
		if (substr(text, 1, 1) != what) bad(what)
		text = substr(text, 2)
	}
	function string(  s) {
		match(text, /^"([^"\\]|\\["\\\/bfnrt]|\\u[0-9a-fA-F][0-9a-fA-F][0-9a-fA-F][0-9a-fA-F])*"/)
		s = token("string")
		return substr(s, 2, length(s) - 2)
	}
	function other() {
		match(text, /^(true|false|null|-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?)/)
		return token("value")
	}
	function members(path, end, named,  n, name) {
		text = substr(text, 2)
		for (n = 0; substr(text, 1, 1) != end; n++) {
			if (n) mark(",")
			name = n
			if (named) { name = string(); mark(":") }
			if ((path "." name) in seen) bad("twice: " name)
			seen[path "." name]
			value(path "." name)
		}
		text = substr(text, 2)
		print path ".count", n
	}
	function value(path,  first) {
		first = substr(text, 1, 1)
		if (first == "{") members(path, "}", 1)
		else if (first == "[") members(path, "]", 0)
		else if (first == "\"") print path, string()
		else print path, other()
	}
	{
		text = $0
		if (substr(text, 1, 1) != "{") bad("object")
		value(NR)
		if (text != "") bad("end")
	}
	END { exit failed }'
}

# The value at path $1 in file $2, of what flatten() prints.
value() {
	sed -n "s/^$1 //p" "$2"
}

# What "vee $*" has, as values in $work/values, one line of it.
take() {
	vee "$@" >"$work/json" 2>"$work/words" && [ ! -s "$work/words" ] &&
		flatten <"$work/json" >"$work/values" && same "$(wc -l <"$work/json")" 1 lines &&
		return
	sed 's/^/# /' "$work/json" "$work/words"
	return 1
}

# In $work/all, of file $1, the values that must not fall from line to line don't, and
# those of the last line are above those of the first.
counts_grow() {
	flatten <"$1" >"$work/all" || return
	awk '
	{
		line = path = $1
		sub(/\..*/, "", line)
		sub(/^[0-9]*\./, "", path)
		if (path !~ /^seconds$|\.runs$|\.entries$|\.exits\.(HLT|CPUID)$/)
			next
		if (path in last && $2 + 0 < last[path]) { print "# " $1 " is " $2 ", was " last[path]; bad = 1 }
		if (!(path in first)) { first[path] = $2 + 0; paths++ }
		last[path] = $2 + 0
	}
	END {
		for (path in first)
			if (first[path] == last[path]) { print "# " path " stays " last[path]; bad = 1 }
		if (paths < 5) { print "# values: " paths; bad = 1 }
		exit bad
	}' "$work/all"
}

# --- guests ---

# At 7C00H, in real mode: the 8254 interrupts 50 times a second, IRQ 0 as vector 8. In
# between HLT; then CPUID, which the kernel answers, and IN from the serial port, which
# "vee run" does. A byte that comes there ends it: OUT F4H with the 33 of "!".
make_guest() {
	{
		bytes fa 31 c0 8e d8 8e d0 bc 00 7c c7 06 20 00 4b 7c a3 22 00 # IVT
		bytes b0 11 e6 20 b0 08 e6 21 b0 04 e6 21 b0 01 e6 21 b0 fe e6 21 # 8259
		bytes b0 34 e6 43 b0 37 e6 40 b0 5d e6 40 # 8254: 5d37H
		bytes fb f4 31 c0 0f a2 ba fd 03 ec a8 01 74 f2 # STI, HLT, CPUID, LSR
		bytes ba f8 03 ec e6 f4 fa f4 90 90 # what came ends it
		bytes 50 b0 20 e6 20 58 cf # at 7C4BH: EOI, IRET
	} >"$work/guest"
}

# $vee is "vee run" of it; what goes to descriptor 4 is its input.
begin() {
	rm -f "$work/in"
	mkfifo "$work/in"
	exec 4<>"$work/in"
	vee run -t 100 -m 16M "$work/guest" <&4 >"$work/guest-says" 2>&1 &
	vee=$!
	within 10 runs
}

# It has been interrupted: there are exits of the kinds that are looked for.
runs() {
	vee stat --json "$vee" 2>/dev/null | grep -q '"HLT":.*"CPUID":\|"CPUID":.*"HLT":'
}

end() {
	printf '!' >&4
	wait "$vee"
	status=$?
	exec 4>&-
	sed 's/^/# /' "$work/guest-says"
	same "$status" 33 'status of the guest'
}

# It goes on, at 50 ticks a second: $1 seconds see a quarter of them at least.
goes_on() {
	take stat --json "$vee" || return
	before=$(value '1.vms.0.vcpus.0.exits.HLT' "$work/values")
	sleep "$1"
	take stat --json "$vee" || return
	after=$(value '1.vms.0.vcpus.0.exits.HLT' "$work/values")
	comment "$((after - before)) times HLT in $1 s"
	[ $((after - before)) -gt $(($1 * 12)) ]
}

# --- nothing runs ---

nothing_runs() {
	take list --json 2>/dev/null
	[ "$(cat "$work/json")" = '{"vms":[]}' ] || return
	for command in 'list' 'stat' 'stat --once'; do
		# shellcheck disable=SC2086 # words
		vee $command >"$work/out" 2>"$work/words" || return
		[ ! -s "$work/out" ] && grep -q '^vee: no VMs$' "$work/words" || return
	done
	vee stat --json >"$work/json" 2>/dev/null && flatten <"$work/json" >"$work/values" &&
		same "$(value 1.vms.count "$work/values")" 0 VMs
}

# --- one look ---

lists_it() {
	vee list >"$work/out" 2>"$work/words" || return
	sed 's/^/# /' "$work/out"
	[ ! -s "$work/words" ] && same "$(wc -l <"$work/out")" 2 lines || return
	# shellcheck disable=SC2046 # words
	set -- $(sed -n 2p "$work/out")
	same "$2" "$vee" process && same "$3" "$(id -un)" owner && same "$4" 1 vCPUs &&
		same "$5" 16 'MiB lent' && [ "$6" -le 16 ] && [ "$7" -gt 0 ] &&
		same "$8 $9" 'vee run' command
}

lists_as_json() {
	take list --json || return
	sed 's/^/# /' "$work/values"
	same "$(value 1.vms.count "$work/values")" 1 VMs &&
		same "$(value 1.vms.0.pid "$work/values")" "$vee" process &&
		same "$(value 1.vms.0.owner "$work/values")" "$(id -un)" owner &&
		same "$(value 1.vms.0.vcpus "$work/values")" 1 vCPUs &&
		same "$(value 1.vms.0.command "$work/values")" \
			"vee run -t 100 -m 16M $work/guest" command &&
		[ "$(value 1.vms.0.lent_kib "$work/values")" -ge 16384 ] &&
		[ "$(value 1.vms.0.mapped_kib "$work/values")" -ge 4 ] &&
		[ "$(value 1.vms.0.tables_kib "$work/values")" -ge 4 ]
}

# By the VM's number and by the process's, with a name for each column.
shows_it_once() {
	take list --json || return
	vm=$(value 1.vms.0.vm "$work/values")
	for number in "$vm" "$vee"; do
		vee stat --once "$number" >"$work/out" 2>&1 || return
		sed 's/^/# /' "$work/out"
		grep -q "^VM $vm: process $vee of $(id -un): vee run " "$work/out" &&
			grep -q 'runs *entries *faults *exits$' "$work/out" &&
			grep -q '^ *0 .*[0-9] CPUID' "$work/out" || return
	done
}

# Of what is counted since the vCPU was made, the second look has more.
counts() {
	for look in 1 2; do
		take stat --json "$vee" || return
		cat "$work/json" >>"$work/looks"
		[ "$look" = 2 ] || sleep 1
	done
	counts_grow "$work/looks" || return
	sed -n 's/^2\./# /p' "$work/all"
	thread=$(value 2.vms.0.vcpus.0.thread "$work/all")
	[ -d "/proc/$vee/task/$thread" ] &&
		grep -q '^2\.vms\.0\.vcpus\.0\.guest_seconds [0-9]*\.[0-9][0-9]$' "$work/all"
}

# Who has no right to look into its process. A namespace's user has none outside.
strangers() {
	unshare -U vee list >"$work/out" 2>"$work/words" || return
	sed 's/^/# /' "$work/words"
	[ ! -s "$work/out" ] && grep -q 'no VM that you may see' "$work/words"
}

# --- again and again ---

# An object a line, of which each is whole.
json_again() {
	vee stat --json --interval 0.2 "$vee" >"$work/lines" &
	watcher=$!
	within 20 has_lines "$work/lines" 6
	kill "$watcher"
	wait "$watcher"
	counts_grow "$work/lines"
}

has_lines() {
	[ "$(wc -l <"$1")" -ge "$2" ]
}

# Text that is for no terminal: what there has been, then rates.
text_again() {
	vee stat --interval 0.5 "$vee" >"$work/out" 2>&1 &
	watcher=$!
	within 20 has_lines "$work/out" 25
	kill "$watcher"
	wait "$watcher"
	sed -n '6,10s/^/# /p' "$work/out"
	[ "$(grep -c 'runs *entries *faults *exits$' "$work/out")" = 1 ] || return
	# 50 ticks a second, where nothing else runs.
	rates=$(sed -n 's/^ *0 .*[ ,] \([0-9]*\) HLT.*/\1/p' "$work/out" | sed 1d | xargs)
	comment "HLT a second: $rates"
	for rate in $rates; do
		[ "$rate" -ge 10 ] && [ "$rate" -le 60 ] || return
	done
	[ -n "$rates" ]
}

# On a terminal, that telnetd makes, each refresh begins where the last one did, and has the
# guest once.
screen() {
	printf '#!/bin/sh\nexec vee stat --interval 0.2\n' >"$work/on-terminal"
	chmod +x "$work/on-terminal"
	ip link set lo up
	mkfifo "$work/keys"
	exec 5<>"$work/keys"
	telnetd -F -b 127.0.0.1:2323 -l "$work/on-terminal" &
	server=$!
	within 10 connects
	within 10 has_refreshes
	shown=$?
	kill "$client" "$server"
	wait "$client" "$server" 2>/dev/null
	exec 5>&-
	# What is between two of "go to the first row".
	tr '\033' '\n' <"$work/out" | awk '
		/^\[H/ { screens++; if (screens > 1 && screens < 5 && vms != 1) bad = 1; vms = 0 }
		/VM [0-9]*: process/ { vms++ }
		/^\[2J/ { cleared++ }
		/entries\/s/ { rates++ }
		END {
			print "# refreshes: " screens ", with rates: " rates
			exit bad || cleared != 1 || screens < 5 || rates < 3
		}' && return "$shown"
}

connects() {
	nc 127.0.0.1 2323 <&5 >"$work/out" 2>/dev/null &
	client=$!
	sleep 1
	[ -s "$work/out" ]
}

has_refreshes() {
	[ "$(tr '\033' '\n' <"$work/out" | grep -c '^\[H')" -ge 5 ]
}

# --- who reads ---

# Three at once; each sees all of it, and the guest goes on.
many_readers() {
	readers=
	for reader in 1 2 3; do
		vee stat --json --interval 0.2 >"$work/reader-$reader" 2>&1 &
		readers="$readers $!"
	done
	goes_on 2
	went=$?
	for reader in 1 2 3; do
		within 20 has_lines "$work/reader-$reader" 4
	done
	# shellcheck disable=SC2086 # a list
	kill $readers
	# shellcheck disable=SC2086
	wait $readers
	for reader in 1 2 3; do
		counts_grow "$work/reader-$reader" || return
	done
	return "$went"
}

# Its output goes nowhere for a while: it waits, the guest doesn't. What was written is
# whole, and it ends when the reader does.
slow_reader() {
	mkfifo "$work/pipe"
	exec 5<>"$work/pipe"
	vee stat --json --interval 0.1 >"$work/pipe" 2>"$work/words" 5>&- &
	watcher=$!
	(kill -STOP "$watcher"; sleep 1; kill -CONT "$watcher")
	goes_on 2
	went=$?
	head -n 4 <&5 >"$work/lines" &
	reader=$!
	within 20 has_lines "$work/lines" 4
	kill "$watcher"
	wait "$watcher" "$reader"
	exec 5>&-
	counts_grow "$work/lines" && return "$went"
}

reader_leaves() {
	vee stat --json --interval 0.1 "$vee" 2>"$work/words" | head -n 1 >"$work/lines"
	flatten <"$work/lines" >/dev/null && [ ! -s "$work/words" ]
}

# A descriptor's text byte by byte, and one that is held open while nobody reads.
slow_descriptor() {
	for fd in "/proc/$vee/fd/"*; do
		[ "$(readlink "$fd")" != anon_inode:vee-vcpu ] || info=/proc/$vee/fdinfo/${fd##*/}
	done
	exec 6<"$info"
	dd bs=1 count=40 <&6 >"$work/text" 2>/dev/null
	goes_on 1
	went=$?
	cat <&6 >>"$work/text"
	exec 6<&-
	same "$(sed 's/\t.*//' "$work/text" | xargs)" "$(sed 's/\t.*//' "$info" | xargs)" keys &&
		return "$went"
}

# --- one that ends ---

# By number: there is no more to show, and that is said. Without: others may come.
ends_meanwhile() {
	vee stat --json --interval 0.2 "$vee" >"$work/lines" 2>"$work/words" &
	named=$!
	vee stat --json --interval 0.2 >"$work/all-lines" 2>/dev/null &
	any=$!
	within 10 has_lines "$work/lines" 2
	within 10 has_lines "$work/all-lines" 2
	end
	ended=$?
	wait "$named"
	status=$?
	sed 's/^/# /' "$work/words"
	within 10 says_none
	none=$?
	kill "$any"
	wait "$any"
	same "$status" 1 status && grep -q "^vee: no VM $vee, nor a process $vee" "$work/words" &&
		counts_grow "$work/lines" && flatten <"$work/all-lines" >/dev/null &&
		[ "$ended$none" = 00 ]
}

says_none() {
	tail -n 1 "$work/all-lines" | grep -q '"vms":\[\]}$'
}

# --- what can't be told ---

# vee $2... says one line, with $1 in it, and has status 1.
refused() {
	words=$1
	shift
	vee "$@" >"$work/out" 2>"$work/words"
	status=$?
	sed 's/^/# /' "$work/words"
	same "$status" 1 "status of vee $*" && [ ! -s "$work/out" ] &&
		grep -q -e "$words" "$work/words"
}

bad_options() {
	refused 'options alone' list 7 && refused 'vee list --help' list --nonsense &&
		refused 'vee stat --help' stat --nonsense &&
		refused '0.1 to 3600' stat --interval 0.01 &&
		refused '0.1 to 3600' stat --interval nan &&
		refused '0.1 to 3600' stat --interval 5x &&
		refused 'no number of a VM' stat x1 && refused 'no number of a VM' stat 0 &&
		refused 'no VM 4294967295, nor a process' stat 4294967295 &&
		refused 'no number of a VM' stat 4294967296
}

# --- all of it ---

echo 'KTAP version 1'
need_vee
if vee list | grep -q .; then
	echo '1..0 # SKIP other VMs run: "vee list" has them'
	exit 4
fi
trap 'rm -rf "$work"' EXIT
echo 1..15
check 'nothing runs' nothing_runs
make_guest
begin
check 'vee list: owner, memory, vCPUs' lists_it
check 'vee list as JSON' lists_as_json
check 'vee stat, once' shows_it_once
check 'vee stat as JSON, twice: what is counted has grown' counts
if unshare -U true 2>/dev/null; then
	check 'who may not see it' strangers
else
	report ok 'who may not see it # SKIP no user namespaces'
fi
check 'JSON again and again' json_again
check 'text again and again' text_again
if [ "$(id -u)" = 0 ] && [ -e /proc/net/tcp ] && command -v telnetd >/dev/null; then
	check 'a screen' screen
else
	report ok 'a screen # SKIP no telnetd to make a terminal, no TCP, or not root'
fi
check 'many readers' many_readers
check 'a slow reader' slow_reader
check 'a reader that leaves' reader_leaves
check 'a slow reader of a descriptor' slow_descriptor
check 'a guest that ends meanwhile' ends_meanwhile
check 'bad options' bad_options
[ "$failed" -eq 0 ]
