#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Systems that others wrote, as packaged, under "vee run". They are looked for in
# the folder $VEE_GUESTS: vmlinuz-6.1 and vmlinuz-6.12 (Debian's cloud kernels) with
# linux.cpio.gz, an initramfs with a shell on ttyS0; bios.bin (SeaBIOS), gnumach,
# u-boot.rom.

# shellcheck source=selftests/guest_util.sh
. "$(dirname "$0")/guest_util.sh"

# Runs vee with options $4 for $1 seconds at most, and wants status $2 and, in what
# it says, $3.
run() {
	# shellcheck disable=SC2086 # options without spaces
	timeout "$1" vee run -t "$(($1 - 5))" $4 >"$work/output" 2>&1 </dev/null
	status=$?
	sed 's/^/# /' "$work/output"
	[ "$status" -eq "$2" ] || comment "status $status, not $2"
	[ "$status" -eq "$2" ] && grep -q "$3" "$work/output"
}

# --- the tests ---

boots_6_1() {
	connect a
	vee run -t 80 -m 128M -c "$work/a" -k "$guests/vmlinuz-6.1" \
		-i "$guests/linux.cpio.gz" -a "$cmdline" 3>&- 4>&- &
	vee=$!
	# shellcheck disable=SC2016 # for the guest's shell
	say 'echo answer$((6 * 7))'
	expect '*answer42*' 40
}

date_agrees() {
	# shellcheck disable=SC2016
	say 'echo date$(date +%s)'
	expect '*date[0-9]*' 10 || return 1
	comment "the host: $(date +%s)"
	off=$(($(date +%s) - ${line##*date}))
	[ "$off" -ge -2 ] && [ "$off" -le 2 ]
}

sleeps_ten_seconds() {
	# shellcheck disable=SC2016
	say 'echo begin$((0 + 1)); sleep 10; echo end$((0 + 1))'
	expect '*begin1*' 10 || return 1
	began=$(now)
	expect '*end1*' 20 || return 1
	took=$(($(now) - began))
	comment "10 s of the guest's took $took hundredths"
	[ "$took" -ge 980 ] && [ "$took" -le 1020 ]
}

# Hundredths of a second that all threads of vee have run.
cpu_time() {
	awk '{ print $14 + $15 }' "/proc/$vee/stat"
}

idles() {
	sleep 1
	before=$(cpu_time)
	sleep 6
	used=$(($(cpu_time) - before))
	comment "6 s at the prompt cost $used hundredths of CPU time"
	# 3 % of a CPU; in the lab, of one that does 100 million instructions a
	# second.
	[ "$used" -lt 18 ]
}

# Many processes, whose registers are saved and restored over page faults and
# switches.
programs_run() {
	# shellcheck disable=SC2016
	say 'n=0; for i in $(seq 50); do dmesg | grep -c . >/dev/null && n=$((n + 1)); done; echo ran$n'
	expect '*ran[0-9]*' 30 && [ "${line##*ran}" = 50 ]
}

exits_with_a_status() {
	say 'exit 6'
	wait "$vee"
	status=$?
	comment "status $status"
	[ "$status" -eq 6 ]
}

# With more memory than the lab has, above and below 4 GiB; and with a serial port on PCI,
# whose interrupts are the 8259As'.
boots_6_12() {
	timeout 60 vee run -t 50 -m 4G -x "$work/pci" -k "$guests/vmlinuz-6.12" \
		-i "$guests/linux.cpio.gz" -a "$cmdline vee.run=\"uname -r; free -m; exec 5>/dev/ttyS1; echo by PCI >&5; grep ttyS /proc/interrupts; exit 12\"" \
		>"$work/output" 2>&1 </dev/null
	status=$?
	sed 's/^/# /' "$work/output"
	[ "$status" -eq 12 ] && grep -q '^6\.12' "$work/output" &&
		grep -q '^Mem: *3[89]' "$work/output" &&
		grep -q '^ *11: *[1-9].* XT-PIC .*ttyS1' "$work/output" &&
		grep -q '^by PCI' "$work/pci"
}

seabios() {
	says bios '*No bootable device*' "-m 4M --bios $guests/bios.bin"
}

gnumach() {
	says mach '*No bootstrap code*' "-m 64M -a console=com0 -k $guests/gnumach"
}

# For Linux to read once it has booted; U-Boot is asked while it does.
linux_says() {
	# shellcheck disable=SC2016
	printf 'echo linux$((6 * 7)); sleep 3; exit 3\n'
}

uboot_answers() {
	say ''
	say 'version'
	expect '*GNU ld*' "$1"
}

# Linux has ended as it should have, and nothing of U-Boot's went there.
linux_answered() {
	wait "$vee"
	status=$?
	comment "status $status"
	sed 's/^/# /' "$work/output"
	[ "$status" -eq 3 ] && grep -q linux42 "$work/output" &&
		! grep -q U-Boot "$work/output"
}

two_at_once() {
	connect b
	linux_says | timeout 80 vee run -m 128M -k "$guests/vmlinuz-6.1" \
		-i "$guests/linux.cpio.gz" -a "$cmdline" \
		--and -m 64M -c "$work/b" --bios "$guests/u-boot.rom" \
		>"$work/output" 2>&1 3>&- 4>&- &
	vee=$!
	uboot_answers 60
	uboot=$?
	say 'reset'
	linux_answered && [ "$uboot" -eq 0 ] &&
		grep -q 'guest 2: the guest has reset' "$work/output"
}

# Another process has U-Boot, which answers while GNU Mach runs, and when it has gone.
two_processes() {
	connect c
	vee run -t 60 -m 64M -a console=com0 -k "$guests/gnumach" \
		>"$work/output" 2>&1 </dev/null 3>&- 4>&- &
	vee=$!
	timeout 100 vee run -m 64M -c "$work/c" --bios "$guests/u-boot.rom" \
		>"$work/other" 2>&1 3>&- 4>&- &
	other=$!
	uboot_answers 60 && wait_for_line 'No bootstrap code' "$work/output" 50 &&
		uboot_answers 20
	both=$?
	kill "$vee"
	wait "$vee"
	[ "$both" -eq 0 ] && uboot_answers 20
	alone=$?
	say 'reset'
	wait "$other" && [ "$alone" -eq 0 ] &&
		grep -q 'the guest has reset' "$work/other"
}

# A BIOS of 64 KiB whose first byte is 33. After RESET it writes another one there,
# MOV byte CS:[0], 55H, and ends with what it then reads: MOV AL, CS:[0]; OUT F4H, AL.
rom_stays() {
	{
		printf '\041'
		head -c 65519 /dev/zero
		printf '\056\306\006\000\000\125\056\240\000\000\346\364'
		head -c 4 /dev/zero
	} >"$work/rom"
	run 9 33 '0x55: ROM' "--trace-io --bios $work/rom"
}

# What a BIOS says at 413H: KiB of memory. MOV AX, [413H]; SHR AX, 4; OUT F4H, AL.
tells_memory() {
	printf '\241\023\004\301\350\004\346\364\364' >"$work/program"
	timeout 9 vee run -t 5 "$work/program" >"$work/output" 2>&1 </dev/null
	[ $? -eq 40 ]
}

# The program $1 ends with what it has received, which is sent before it looks.
gets_a_key() {
	# shellcheck disable=SC2059 # bytes by their numbers
	printf "$1" >"$work/program"
	printf '!' | timeout 9 vee run -t 5 "$work/program" >"$work/output" 2>&1
	[ $? -eq 33 ]
}

# One polls LSR and writes a dot each time; one polls IIR (IER is 1) with OUT2 off.
input_comes_unasked() {
	gets_a_key '\272\375\003\354\250\001\165\011\262\370\260\056\356\262\375\353\362\262\370\354\346\364\364' &&
		gets_a_key '\272\371\003\260\001\356\262\372\354\074\004\165\373\262\370\354\346\364\364'
}

# POPF sets TF, and HLT follows: the handler of the trap ends with 33.
halt_is_stepped() {
	printf '\350\000\000\133\203\303\034\061\300\216\330\211\036\004\000\214\016\006\000\234\130\200\314\001\120\235\364\260\001\346\364\260\041\346\364\364' >"$work/program"
	timeout 9 vee run -t 5 "$work/program" >"$work/output" 2>&1 </dev/null
	[ $? -eq 33 ]
}

# One line and no more.
refused() {
	run 9 1 "$1" "$2" && [ "$(grep -c . "$work/output")" -eq 1 ]
}

corrupt_files() {
	head -c 300000 "$guests/vmlinuz-6.1" >"$work/short"
	head -c 300000 "$guests/gnumach" >"$work/short.elf"
	head -c 100000 "$guests/bios.bin" >"$work/short.bin"
	head -c 500000 "$guests/linux.cpio.gz" >"$work/short.gz"
	: >"$work/empty"
	refused 'cut short' "-m 128M -k $work/short" &&
		refused 'cut short' "-m 64M -k $work/short.elf" &&
		refused 'not a ROM image' "--bios $work/short.bin" &&
		refused 'cut short' "-m 128M -k $guests/vmlinuz-6.1 -i $work/short.gz" &&
		refused 'is empty' "-m 128M -k $guests/vmlinuz-6.1 -i $work/empty"
}

trap 'rm -rf "$work"' EXIT
linux='vmlinuz-6.1 linux.cpio.gz'

echo 'KTAP version 1'
need_vee
echo '1..16'
# shellcheck disable=SC2086 # file names
{
	check 'Linux 6.1 boots to a shell' boots_6_1 $linux
	check 'its date is the host'\''s' date_agrees $linux
	check 'its sleep 10 takes 10 s' sleeps_ten_seconds $linux
	check 'it costs little when idle' idles $linux
	check 'its programs run' programs_run $linux
	check 'it ends with a status' exits_with_a_status $linux
	check 'Linux 6.12 boots, with 4 GiB' boots_6_12 vmlinuz-6.12 linux.cpio.gz
	check 'SeaBIOS gets to its prompt, in 4 MiB' seabios bios.bin
	check 'GNU Mach starts' gnumach gnumach
	check 'a ROM cannot be written' rom_stays
	check 'a program finds its memory where a BIOS says it' tells_memory
	check 'input comes to who polls' input_comes_unasked
	check 'a single step over HLT' halt_is_stepped
	check 'two systems at once' two_at_once $linux u-boot.rom
	check 'two systems in two processes' two_processes gnumach u-boot.rom
	check 'corrupt files' corrupt_files $linux gnumach bios.bin
}
[ "$failed" -eq 0 ]
