#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Guests with several CPUs under "vee run --cpus": a few bytes of machine code, SeaBIOS
# (bios.bin), and Linux as packaged. Which kernels and with how
# many is in $VEE_GUEST_CPUS, a list of KERNEL:CPUS, "6.1:2" unless told otherwise; with
# :reboot behind it the guest ends by a reset and not by power-off. What they take is
# looked for in the folder $VEE_GUESTS: vmlinuz-KERNEL, and linux.cpio.gz, an initramfs with
# a shell on ttyS0.

# shellcheck source=selftests/guest_util.sh
. "$(dirname "$0")/guest_util.sh"

# --- the end ---

# shellcheck disable=SC2317 # at the end
give_back() {
	if [ -n "$vee" ]; then
		kill "$vee"
		wait "$vee"
	fi
	give_module_back
	rm -rf "$work"
}

# --- small ones ---

# The first CPU is at 7C00H, in real mode: it goes to x2APIC mode, starts all others at
# 8000H (INIT and SIPI to all but itself), and does CLI and HLT. There they wait a while
# with interrupts off, and do $1.
two_programs() {
	{
		bytes fa 66 b9 1b 00 00 00 0f 32 66 0d 00 0c 00 00 0f 30
		bytes 66 b9 30 08 00 00 66 31 d2 66 b8 00 45 0c 00 0f 30
		bytes 66 b8 08 46 0c 00 0f 30 f4 eb fd
		head -c $((1024 - 45)) /dev/zero
		bytes 66 b9 00 00 20 00 66 49 75 fc
		# shellcheck disable=SC2086 # a list
		bytes $1
	} >"$work/program"
	timeout 20 vee run -t 10 -p "$2" "$work/program" 2>"$work/output" </dev/null
	status=$?
	sed 's/^/# /' "$work/output"
	comment "status $status"
}

# MOV AL, 33; OUT F4H, AL
halted_is_not_done() {
	two_programs 'b0 21 e6 f4' 2
	[ "$status" -eq 33 ]
}

# HLT; with one CPU nobody is started.
all_halted_is_done() {
	two_programs 'f4' 4
	[ "$status" -eq 0 ] || return 1
	two_programs 'f4' 1
	[ "$status" -eq 0 ]
}

seabios() {
	says bios '*Found 3 cpu(s)*' "-m 4M -p 3 --bios $guests/bios.bin"
}

# --- the tests, of $kernel with $cpus CPUs ---

# A line of the shell's in the guest for each CPU, $cpu, and its $mask for taskset.
# shellcheck disable=SC2016
each='for cpu in $(seq 0 $(($(nproc) - 1))); do mask=$(printf %x $((1 << cpu)));'

all_of() {
	seq -s "$1" 0 $((cpus - 1))
}

boots() {
	connect "$kernel-$cpus-$ending"
	vee run -t 200 -m 192M -p "$cpus" -c "$work/$kernel-$cpus-$ending" -x "$work/pci" \
		-k "$guests/vmlinuz-$kernel" -i "$guests/linux.cpio.gz" \
		-a "$cmdline" 2>"$work/output" 3>&- 4>&- &
	vee=$!
	# shellcheck disable=SC2016 # for the guest's shell
	say 'cd /sys/devices/system/cpu; echo online:$(nproc):$(cat online cpu0/topology/package_cpus_list):'
	range=0-$((cpus - 1))
	expect "*online:$cpus:${range%-0} ${range%-0}:*" 100
}

# A program says which CPU it is on: field 39 of its stat (proc(5)).
work_on_each() {
	# shellcheck disable=SC2016
	say "on=; $each"' on=$on:$(taskset $mask cut -d" " -f39 /proc/self/stat); done; echo on$on:'
	expect "*on:$(all_of :):*" 20
}

# A CPU that is busy for a second has some 250 of them, and few while it is idle.
# shellcheck disable=SC2016
ticks_on_each() {
	say 'ticks() { grep LOC: /proc/interrupts; }; before=$(ticks)'
	say "$each"' taskset $mask timeout 1 sh -c "while :; do :; done"; done'
	say "echo \$before \$(ticks) | awk '{ for (i = 2; i <= NF / 2 - 3; i++) { n = \$(i + NF / 2) - \$i; print \"ticked:\" (n > 50 && n < 1000) } }'"
	for _ in $(all_of ' '); do
		expect '*ticked:[01]*' $((20 + cpus * 2)) && [ "${line##*ticked:}" = 1 ] || return 1
	done
}

# A system that trusts its TSC needs neither the 8254 nor an HPET, and has not so much as
# tried whether IRQ0 comes by the I/O APIC.
# shellcheck disable=SC2016
no_other_timer() {
	say 'echo irq0:$(cat ../clocksource/clocksource0/current_clocksource):$(grep -c "^ *0:" /proc/interrupts):'
	expect '*irq0:*:[0-9]:*' 20 || return 1
	case $line in
	*irq0:tsc:0:* | *irq0:[!t]*) ;;
	*) return 1 ;;
	esac
}

# The guest writes "by $1" to the serial port on PCI, and its interrupts have been counted in a
# line of /proc/interrupts that has $2 behind the counts.
# shellcheck disable=SC2016
interrupts_come_by() {
	say 'port=$(basename $(find /sys/devices/pci0000:00 -name "ttyS*")); exec 5>/dev/$port; echo by '"$1"' >&5'
	say "grep -w \$port /proc/interrupts | awk '{ for (i = 2; i < 2 + '\$(nproc)'; i++) n += \$i; print \"pci:\" (n > 0) \":\" \$i \$(i + 1) }'; exec 5>&-"
	expect "*pci:1:$2" 20 || return 1
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		! grep -q "^by $1" "$work/pci" || return 0
		sleep 1
	done
	return 1
}

# By MSI, of which 6.1 and later kernels have other names. And, told that the device has none,
# by INTA#, which of device 1 is at input 17 of the I/O APIC.
interrupts_of_pci() {
	interrupts_come_by message 'PCI-MSI*-edge' || return 1
	say "(cd /sys/bus/pci/devices/0000:00:01.0 && echo 0 >msi_bus && cd driver && echo 0000:00:01.0 >unbind && echo 0000:00:01.0 >bind)"
	interrupts_come_by wire 'IO-APIC17-fasteoi'
}

# The last one.
off_and_on_line() {
	say "echo 0 >cpu$((cpus - 1))/online; echo left:\$(nproc):"
	expect "*left:$((cpus - 1)):*" 20 || return 1
	say "echo 1 >cpu$((cpus - 1))/online; echo again:\$(nproc):\$(taskset $(printf %x $((1 << cpus - 1))) cut -d' ' -f39 /proc/self/stat):"
	expect "*again:$cpus:$((cpus - 1)):*" 20
}

ends() {
	case $ending in
	reboot) said='the guest has reset the machine' ;;
	*) said='the guest has switched itself off' ;;
	esac
	say "$ending -f"
	wait "$vee"
	status=$?
	vee=
	sed 's/^/# /' "$work/output"
	comment "status $status"
	[ "$status" -eq 0 ] && grep -q "$said" "$work/output"
}

test_machine() {
	kernel=${1%%:*}
	cpus=${1#*:}
	ending=poweroff
	case $cpus in
	*:reboot) ending=reboot ;;
	esac
	cpus=${cpus%%:*}
	title="Linux $kernel, CPUs: $cpus:"
	# shellcheck disable=SC2086 # file names
	{
		files="vmlinuz-$kernel linux.cpio.gz"
		check "$title to a shell, all on line" boots $files
		check "$title programs run on each" work_on_each $files
		check "$title timer interrupts on each" ticks_on_each $files
		check "$title and no other timer's" no_other_timer $files
		check "$title those of a PCI device are counted" interrupts_of_pci $files
		if [ "$cpus" -gt 1 ]; then
			check "$title one goes off line and comes back" off_and_on_line $files
		else
			report ok "$title one goes off line and comes back # SKIP there is one"
		fi
		check "$title $ending" ends $files
	}
}

vee=
machines=${VEE_GUEST_CPUS:-6.1:2}

echo 'KTAP version 1'
need_vee
take_module
trap give_back EXIT
# shellcheck disable=SC2086 # a list
set -- $machines
echo "1..$(($# * 7 + 3))"
check 'one CPU in HLT, with interrupts off, is not the end' halted_is_not_done
check 'all of them are' all_halted_is_done
check 'SeaBIOS finds three CPUs' seabios bios.bin
for machine; do
	test_machine "$machine"
done
[ "$failed" -eq 0 ]
