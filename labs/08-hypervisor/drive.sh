#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Runs in the lab: inserts hv.ko, has it go each of these steps, and prints what it says.
# usage: drive.sh [--beside-vee | --then-vee] STEP...
#
# Without vee, which uses VMX itself; --then-vee puts it back.

# What the kernel's log has of hv's since the last time.
said() {
	dmesg | sed -n "/drive $$ $marks\$/,\$ s/^\[[ .0-9]*\] hv: /hv: /p"
	marks=$((marks + 1))
	echo "<6>drive $$ $marks" >/dev/kmsg
}

step() {
	if echo "$1" 2>/dev/null >/sys/module/hv/parameters/run; then
		said
		echo "step $1: done"
	else
		said
		echo "step $1: refused"
	fi
}

# The console is a serial line, for which a CPU that writes down each instruction is slow.
dmesg -n 1
marks=0
beside=0
back=0
case $1 in
--beside-vee) beside=1; shift ;;
--then-vee) back=1; shift ;;
esac
said
[ "$beside" = 1 ] || [ ! -d /sys/module/vee ] || rmmod vee
insmod hv.ko || exit
said
for step; do
	step "$step"
done
rmmod hv
said
dmesg -n 5
# A vee that may only have VMX for itself sees whether anything is left of it.
if [ "$back" = 1 ]; then
	if insmod /lab/vee.ko slice_us=1000 vmx=resident 2>/dev/null; then
		echo "vee has VMX again"
	else
		echo "vee can't have VMX: it was left on"
		insmod /lab/vee.ko slice_us=1000
	fi
fi
