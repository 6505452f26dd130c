#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# gdb on guests of "vee run": a few bytes of machine code, and Debian's kernel with the
# symbols that the running one, which must be the same, has of itself. They are looked for
# in the folder $VEE_GUESTS: that kernel's vmlinuz-6.1, say; linux.cpio.gz, an initramfs with
# a shell on ttyS0; symbols (lab/symbols.c); and gdb, unless one is installed.

# shellcheck source=selftests/guest_util.sh
. "$(dirname "$0")/guest_util.sh"

cmdline="$cmdline nokaslr"

# --- what gdb has said ---

# Test $2, by the status $1.
verdict() {
	if [ "$1" -eq 0 ]; then
		report ok "$2"
	else
		report 'not ok' "$2"
	fi
}

# Test $1: gdb has said all of what follows.
said() {
	name=$1
	silent=0
	shift
	for words; do
		grep -q -e "$words" "$work/gdb" && continue
		comment "it did not say: $words"
		silent=1
	done
	verdict "$silent" "$name"
}

# gdb does what it is told on our input.
start_gdb() {
	cat >"$work/commands"
	"$gdb_program" -nx -batch -x "$work/commands" >"$work/gdb" 2>&1 </dev/null &
	gdb=$!
}

# Whatever became of the guest: $vee has ended, with $status.
end_both() {
	wait "$vee"
	status=$?
	wait "$gdb"
	comment "status $status"
	sed 's/^/# /' "$work/vee" "$work/gdb"
}

# --- machine code ---

# $1: how to start it.
run_bytes() {
	# shellcheck disable=SC2086 # options without spaces
	vee run -S -t 40 $1 "$work/guest" >"$work/vee" 2>&1 </dev/null &
	vee=$!
	wait_for_line 'target remote' "$work/vee" 10
}

debugs_bytes() {
	# At 7C00H, in real mode: MOV AX, 5; ADD AX, 3; OUT F4H, AL; HLT.
	bytes b8 05 00 83 c0 03 e6 f4 f4 >"$work/guest"
	run_bytes -s
	vee run -s -t 1 "$work/guest" >"$work/taken" 2>&1 </dev/null
	taken=$?
	start_gdb <<-'END'
		set architecture i386:x86-64
		target remote 127.0.0.1:1234
		break *0x7c03
		continue
		printf "broke with %d\n", $rax
		stepi
		printf "stepped to %#x with %d\n", $pc, $rax
		set $rax = 33
		hbreak *0x7c08
		continue
	END
	end_both
	said 'break, step, registers, continue, at a port' 'broke with 5' \
		'stepped to 0x7c06 with 8' 'exited with code 041'
	sed 's/^/# /' "$work/taken"
	[ "$taken" -eq 1 ] && grep -q 'in use already' "$work/taken"
	verdict $? 'a port that is taken'
}

# A value of each component: after a step it is what the CPU had.
debugs_vectors() {
	if ! grep -qw avx512f /proc/cpuinfo; then
		report ok 'registers of AVX-512 # SKIP the CPU has none'
		return
	fi
	bytes 90 b0 21 e6 f4 f4 >"$work/guest"
	run_bytes -s
	start_gdb <<-'END'
		set architecture i386:x86-64
		target remote 127.0.0.1:1234
		set $k1 = 0x1234
		set $zmm3.v16_int32[15] = 73
		set $xmm17.v4_int32[1] = 71
		set $zmm17.v16_int32[15] = 77
		stepi
		printf "k1 is %#x\n", $k1
		print $zmm3.v16_int32[15]
		print $zmm17.v16_int32
		continue
	END
	end_both
	said 'registers of AVX-512' 'k1 is 0x1234' '^.1 = 73' '^.2 = {0, 71, 0 .*, 77}' \
		'exited with code 041'
}

# In real mode the guest has #DB go to 7C36H, and a breakpoint of its own, DR1, on writes of
# the byte at 500H; reads DR7 back, into EBX; INC byte [500H]; and, at 7C2BH, ends with DR7's
# low byte and B0 to B3 of the DR6 that its handler has seen, half a byte each.
shares_debug_registers() {
	bytes 31 c0 8e d8 8e d0 bc 00 7c c7 06 04 00 36 7c a3 06 00 66 b8 00 05 00 00 0f 23 c8 \
		66 b8 04 04 10 00 0f 23 f8 0f 21 fb fe 06 00 05 \
		90 c0 e3 04 08 d9 88 c8 e6 f4 f4 0f 21 f1 80 e1 0f cf >"$work/guest"
	run_bytes --gdb="$work/socket"
	start_gdb <<-END
		set architecture i386:x86-64
		target remote $work/socket
		watch *(char *)0x500
		hbreak *0x7c2b
		continue
		continue
		printf "the guest has seen %d\n", \$rcx & 0xf
		continue
	END
	end_both
	said 'debug registers, of both' '^New value = 1' '^Breakpoint 2, 0x0*7c2b' \
		'the guest has seen 2' 'exited with code 0102'
}

# In real mode the first CPU turns its APIC into an x2APIC and sends INIT, and SIPI for 8000H,
# to the second one. That jumps to 0:8005H and counts there, INC CX; INC word [500H]; the
# first one waits at 7C39H until the byte at 502H is other than 0, and ends with 33.
make_two() {
	{
		bytes 31 c0 8e d8 66 b9 1b 00 00 00 0f 32 80 cc 04 0f 30 # IA32_APIC_BASE
		bytes 66 b9 30 08 00 00 66 ba 01 00 00 00 # ICR, to 1
		bytes 66 b8 00 45 00 00 0f 30 66 b8 08 46 00 00 0f 30 # INIT, SIPI
		bytes 90 90 90 90 90 90 90 90 90 90 90 90 # up to 7C39H
		bytes 80 3e 02 05 00 74 f9 b0 21 e6 f4 f4
		head -c 955 /dev/zero
		bytes ea 05 80 00 00 41 ff 06 00 05 eb f9
	} >"$work/guest"
}

debugs_two() {
	make_two
	run_bytes "--cpus 2 --gdb=$work/two"
	start_gdb <<-END
		set architecture i386:x86-64
		target remote $work/two
		info threads
		break *0x8006
		continue
		printf "thread %d broke\n", \$_thread
		continue
		printf "again, with %d and %d\n", \$rcx & 0xffff, *(short *)0x500
		delete
		stepi
		printf "thread %d stepped to %#x\n", \$_thread, \$pc
		thread 1
		printf "the other one is in its loop: %d\n", \$pc == 0x7c39 || \$pc == 0x7c3e
		set scheduler-locking on
		stepi
		stepi
		printf "it alone has stepped: %d, %d\n", \$pc == 0x7c39 || \$pc == 0x7c3e, *(short *)0x500
		set scheduler-locking off
		thread 2
		watch *(short *)0x500
		continue
		delete
		set variable *(char *)0x502 = 1
		continue
	END
	end_both
	said 'two CPUs are two threads' '^\* 1 .*vCPU 0' '^  2 .*vCPU 1' '^thread 2 broke' \
		'^again, with 2 and 1' '^thread 2 stepped to 0x800a' \
		'the other one is in its loop: 1' 'it alone has stepped: 1, 2' \
		'^New value = 3' 'exited with code 041'
}

# The guest is over before anybody has come.
nobody_comes() {
	vee run -S -t 1 "$work/guest" >"$work/vee" 2>&1 </dev/null
	status=$?
	comment "status $status"
	sed 's/^/# /' "$work/vee"
	[ "$status" -eq 124 ] && grep -q 'not done after 1 s' "$work/vee"
	verdict $? 'nobody comes'
}

# --- Linux ---

# The kernel's text is not there yet: so hbreak, and watch, which are debug registers.
start_linux() {
	mkfifo "$work/input"
	exec 4<>"$work/input"
	vee run -S --gdb="$work/socket" -t 200 -m 128M -k "$vmlinuz" \
		-i "$guests/linux.cpio.gz" -a "$cmdline" >"$work/vee" 2>&1 <&4 &
	vee=$!
	# The global ones, and where it idles: each costs gdb 100 us of the lab's. With -F
	# since an expression would be 80 for each line.
	grep -F -e ' T ' -e ' D ' -e halt -e ' rest_init' /proc/kallsyms | "$guests/symbols" >"$work/vmlinux"
	start_gdb <<-END
		symbol-file $work/vmlinux
		target remote $work/socket
		hbreak start_kernel
		continue
		x/s &linux_banner
		info registers rip cr0
		print \$ymm15.v8_int32
		backtrace 2
		stepi
		stepi
		printf "stepped: %d\n", \$pc != (long)&start_kernel
		delete
		watch *(int *)&system_state
		continue
		info symbol \$pc
		delete
		echo goes on to the shell\n
		continue
		info symbol \$pc
		info symbol \$lstar
		break __x64_sys_newuname
		echo waits for uname\n
		continue
		backtrace 2
		info threads
		delete
		detach
		echo has detached\n
	END
}

# With Ctrl-C, as gdb has it from its terminal.
interrupt_idle() {
	# shellcheck disable=SC2016 # for the guest's shell
	say 'echo answer$((6 * 7))'
	wait_for_line answer42 "$work/vee" 100 || return
	"$gdb_program" -nx -batch -ex "target remote $work/socket" >"$work/second" 2>&1 </dev/null
	kill -INT "$gdb"
	wait_for_line 'waits for uname' "$work/gdb" 20
}

leaves() {
	say 'uname -s; exit 6'
	wait_for_line 'has detached' "$work/gdb" 20 || kill "$gdb" "$vee"
	end_both
}

debugs_linux() {
	start_linux
	wait_for_line 'goes on to the shell' "$work/gdb" 60 && interrupt_idle
	leaves
	said 'Linux breaks at start_kernel' '^Breakpoint 1, .* in start_kernel ()' \
		"\"Linux version $(uname -r) " '^rip .*<start_kernel' '^cr0 .*0x8005003[13b]' \
		'^.1 = {0, 0, 0, 0, 0, 0, 0, 0}' \
		'^#1 .* in \(secondary_startup_64\|x86_64_start_reservations\)'
	said 'it steps' '^stepped: 1'
	said 'a variable is watched' '^Hardware watchpoint 2: ' '^New value = 1' \
		'^rest_init + [0-9]* in section'
	said 'Ctrl-C when it is idle' 'received signal SIGINT' \
		'\(idle\|halt\).* in section' '^entry_SYSCALL_64 in section'
	said 'it breaks at a system call' '^Breakpoint 3, .* in __x64_sys_newuname ()' \
		'^#1 .* in \(do_syscall_64\|x64_sys_call\) ()' '^\* 1 .*vCPU 0'
	grep -q '^Linux' "$work/vee" && [ "$status" -eq 6 ]
	verdict $? 'and goes on without gdb'
	sed 's/^/# /' "$work/second"
	grep -q 'another gdb has this guest already' "$work/second"
	verdict $? 'a second gdb is told so'
}

# --- all of it ---

# The guest's kernel, in $vmlinuz.
has_this_kernel() {
	for vmlinuz in "$guests"/vmlinuz-*; do
		! grep -aqs "$(uname -r)" "$vmlinuz" || return 0
	done
	return 1
}

# Why there can't be a Linux to debug, in $missing.
has_linux() {
	for missing in symbols linux.cpio.gz; do
		[ -e "$guests/$missing" ] || return 1
	done
	missing="vmlinuz of $(uname -r)"
	has_this_kernel
}

skip() {
	echo "1..0 # SKIP no $1"
	exit 4
}

trap 'rm -rf "$work"' EXIT
echo 'KTAP version 1'
need_vee
gdb_program=$guests/gdb
[ -e "$gdb_program" ] || gdb_program=$(command -v gdb) || skip "$guests/gdb (VEE_GUESTS)"
if has_linux; then
	echo 1..13
	debugs_bytes
	debugs_vectors
	nobody_comes
	shares_debug_registers
	debugs_two
	debugs_linux
else
	echo 1..7
	debugs_bytes
	debugs_vectors
	nobody_comes
	shares_debug_registers
	debugs_two
	report ok "gdb on Linux # SKIP no $guests/$missing (VEE_GUESTS)"
fi
[ "$failed" -eq 0 ]
