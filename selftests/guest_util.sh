# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-only
#
# For tests of systems under "vee run": KTAP, a folder for a while, $work, which is theirs
# to remove, and a guest's console. The systems are in the folder $VEE_GUESTS; what is not
# there is skipped.

guests=${VEE_GUESTS:-/root/guests}
# Linux boots in three quarters of the time without what it gets ready for certificates, BPF,
# lists of ftrace's and random numbers.
# shellcheck disable=SC2034 # for who reads this
cmdline='console=ttyS0 panic=-1 quiet cryptomgr.notests initcall_blacklist='\
'load_system_certificate_list,trace_eval_init,ftrace_check_for_weak_functions,jent_mod_init,'\
'cubictcp_register,bpf_rstat_kfunc_init,bpf_key_sig_kfuncs_init,kfunc_init,'\
'bpf_prog_test_run_init,bpf_tcp_ca_kfunc_init'
work=$(mktemp -d)
count=0
failed=0

# --- KTAP ---

comment() {
	printf '# %s\n' "$*"
}

report() {
	count=$((count + 1))
	printf '%s %d %s\n' "$1" "$count" "$2"
	comment "$(now) hundredths since boot"
	[ "$1" = ok ] || failed=$((failed + 1))
}

need_vee() {
	command -v vee >/dev/null && [ -e /dev/vee ] && return
	echo '1..0 # SKIP no command "vee", or no /dev/vee'
	exit 4
}

# Test $1 if the files $3... are there: function $2.
check() {
	name=$1
	function=$2
	shift 2
	for file; do
		if [ ! -e "$guests/$file" ]; then
			report ok "$name # SKIP no $guests/$file (VEE_GUESTS)"
			return
		fi
	done
	if "$function"; then
		report ok "$name"
	else
		report 'not ok' "$name"
	fi
}

# Bytes, in hexadecimal. With one process for all of them, not one for each.
bytes() {
	numbers=
	for byte; do
		numbers="$numbers 0x$byte"
	done
	# shellcheck disable=SC2059,SC2086 # the format is the bytes, from a list of numbers
	printf "$(printf '\\%03o' $numbers)"
}

# A guest as file $1, for whom Linux is too much, in real mode. The 8254 interrupts 50 times a
# second, as vector 8; at each tick it counts in memory from "a" on, adds up, and writes that
# letter and a line feed to the serial port. At each fifth it waits, idle but for the ticks,
# until a byte has come there. After "t" the sum, what the UART's scratch register and the
# 8259A's mask still have are its status, OUT F4H.
# shellcheck disable=SC2034 # for who reads this
counter_status=101
make_counter() {
	{
		bytes fa 31 c0 8e d8 8e d0 bc 00 7c a3 22 00 c7 06 20 00 89 7c # IVT
		bytes b0 11 e6 20 b0 08 e6 21 b0 04 e6 21 b0 01 e6 21 b0 fe e6 21 # 8259
		bytes b0 34 e6 43 b0 37 e6 40 b0 5d e6 40 # 8254: 5d37H
		bytes ba ff 03 b0 15 ee # the UART's scratch register
		bytes c6 06 00 90 60 c6 06 00 a0 00 # letter and sum, at 9000H and a000H
		bytes fb f4 fe 06 00 90 a0 00 90 00 06 00 a0 # at 7C43H: STI, HLT
		bytes ba f8 03 ee 88 c4 b0 0a ee 88 e0 # a line
		bytes 3c 74 74 18 2c 60 d4 05 84 c0 75 dc # the last; not the fifth
		bytes fb f4 ba fd 03 ec a8 01 74 f6 ba f8 03 ec eb cc # STI, HLT, LSR
		bytes ba ff 03 ec 02 06 00 a0 88 c4 e4 21 00 e0 e6 f4 fa f4
		bytes 50 b0 20 e6 20 58 cf # at 7C89H: EOI, IRET
	} >"$1"
}

# Its lines from letter $1 to letter $2 are all that file $3 has.
has_counted() {
	echo a b c d e f g h i j k l m n o p q r s t | tr ' ' '\n' | sed -n "/$1/,/$2/p" |
		cmp - "$3" && return
	xargs echo '# counted' <"$3"
	return 1
}

# --- a guest's console: two FIFOs, of which descriptors 3 and 4 are our ends ---

connect() {
	mkfifo "$work/$1.in" "$work/$1.out"
	exec 3<>"$work/$1.out" 4<>"$work/$1.in"
}

say() {
	printf '%s\n' "$1" >&4
}

# Hundredths of a second.
now() {
	read -r up rest </proc/uptime
	echo "${up%.*}${up#*.}"
}

# The command $2... succeeds within $1 seconds.
within() {
	end=$(($(now) + $1 * 100))
	shift
	until "$@"; do
		[ "$(now)" -lt "$end" ] || { comment "not in time: $*"; return 1; }
		sleep 0.2
	done
}

# A line like $1 is in file $2, within $3 seconds.
wait_for_line() {
	within "$3" grep -q "$1" "$2"
}

# Reads until a line is like $1, for $2 seconds; it is in $line then. A line that
# comes in parts is no matter: there is nothing in the middle of what is expected.
expect() {
	end=$(($(now) + $2 * 100))
	while [ "$(now)" -lt "$end" ]; do
		line=
		# shellcheck disable=SC3045 # busybox has -t
		read -r -t 2 line <&3 || [ -n "$line" ] || continue
		line=${line%"$(printf '\r')"}
		comment "$line"
		# shellcheck disable=SC2254 # a pattern
		case $line in $1) return 0 ;; esac
	done
	comment "no \"$1\" after $2 s"
	return 1
}

# The system that options $3 start is done when it has said $2, and stays idle then. To
# give it a time and look afterwards is too long or, on a slow kernel, not enough.
says() {
	connect "$1"
	# shellcheck disable=SC2086 # options without spaces
	vee run -t 60 $3 >"$work/$1.out" 2>&1 </dev/null 3>&- 4>&- &
	vee=$!
	expect "$2" 50
	said=$?
	kill "$vee"
	wait "$vee" 2>/dev/null
	return "$said"
}

# --- the module, for guests with local APICs: the lab's CPU delivers interrupts wrongly
# (docs/lab.md) ---

parameters=/sys/module/vee/parameters
module=/lab/vee.ko

insert() {
	# shellcheck disable=SC2086 # words
	rmmod vee && insmod "$module" $1
}

# Each test has its own variables: these names are nobody else's.
module_parameters=

take_module() {
	[ -e "$module" ] || return 0
	for file in "$parameters"/*; do
		module_parameters="$module_parameters ${file##*/}=$(cat "$file")"
	done
	insert "$module_parameters interrupt_delivery=N"
}

give_module_back() {
	[ -z "$module_parameters" ] || insert "$module_parameters"
}
