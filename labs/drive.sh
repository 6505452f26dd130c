#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Runs in the lab: inserts the module that is there, has it go each of these steps, and
# prints what it says. usage: drive.sh [--beside-vee | --then-vee] STEP...
#
# A step with a range, read:4-6, is one for each: read:4, read:5, read:6.
#
# Without vee, which uses VMX itself; --then-vee puts it back, and --beside-vee comes after
# that.

# To the kernel's log, which is read once: a program costs the emulator more than a step.
note() {
	echo "<6>$name: $*" >/dev/kmsg
}

step() {
	if echo "$1" 2>/dev/null >"/sys/module/$name/parameters/run"; then
		note "step $1: done"
	else
		note "step $1: refused"
	fi
}

steps() {
	rest=${1#*:}
	range=${rest%%:*}
	n=${range%-*}
	while [ "$n" -le "${range#*-}" ]; do
		step "${1%%:*}:$n${rest#"$range"}"
		n=$((n + 1))
	done
}

# A vee that may only have VMX for itself sees whether anything is left of it.
put_back() {
	if insmod /lab/vee.ko slice_us=1000 vmx=resident 2>/dev/null; then
		echo "vee has VMX again"
	else
		echo "vee can't have VMX: it was left on"
		insmod /lab/vee.ko slice_us=1000
	fi
}

for name in *.ko; do
	name=${name%.ko}
done
beside=0
back=0
case $1 in
--beside-vee) beside=1; shift ;;
--then-vee) back=1; shift ;;
esac
# The console is a serial line, for which a CPU that writes down each instruction is slow.
echo 1 >/proc/sys/kernel/printk
echo on >/proc/sys/kernel/printk_devkmsg
note "drive $$"
[ "$beside" = 1 ] || [ ! -d /sys/module/vee ] || rmmod vee
insmod "$name.ko" || exit
for step; do
	case $step in
	*:*[0-9]-[0-9]*) steps "$step" ;;
	*) step "$step" ;;
	esac
done
rmmod "$name"
dmesg | sed -n "/ $name: drive $$\$/,\$ { / drive /d; s/^\[[ .0-9]*\] $name: step /step /p; s/^\[[ .0-9]*\] $name: /$name: /p }"
echo 5 >/proc/sys/kernel/printk
[ "$back" = 0 ] || put_back
