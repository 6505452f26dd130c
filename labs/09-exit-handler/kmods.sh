#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Runs in the lab: the guests, or your selftest, with one vee.ko after the other.
# usage: kmods.sh [--stay] [guests | test] [KMOD...]
#
# KMOD: yours; answer, registers, caller: yours, but what its hypercall() does is spoilt;
# stock, as vee has it. Without any: yours for the guests, and all for the test, of which
# then only what came of it is printed.
#
# --stay: what is loaded stays, and is not loaded again. To load one costs the emulator as
# much as all guests do.

spoil=/sys/module/vee/parameters/spoil

insert() {
	[ ! -d /sys/module/vee ] || rmmod vee || exit
	insmod "$1" slice_us=1000 || exit
}

load_stock() {
	insert /lab/vee.ko
	loaded=stock
}

# Your module, with mistake $1 of table.c's.
load_yours() {
	[ "$loaded" = yours ] || insert ./vee.ko
	loaded=yours
	echo "$1" >"$spoil"
}

load() {
	case $1 in
	stock) load_stock ;;
	yours) load_yours 0 ;;
	answer) load_yours 1 ;;
	registers) load_yours 2 ;;
	caller) load_yours 3 ;;
	*) echo "no KMOD $1: there are yours, answer, registers, caller, stock"; exit 2 ;;
	esac
}

verdict() {
	case $2 in
	0) echo "$1: it passes" ;;
	1) echo "$1: it fails" ;;
	4) echo "$1: it is skipped" ;;
	*) echo "$1: it ends with status $2" ;;
	esac
}

put_back() {
	[ "$stay" = 1 ] || [ "$loaded" = stock ] || load_stock
	echo 5 >/proc/sys/kernel/printk
}

stay=0 loaded=nothing
if [ "$1" = --stay ]; then
	stay=1
	shift
	[ ! -e "$spoil" ] || loaded=yours
fi
program=${1:-guests}
[ $# -eq 0 ] || shift
echo 1 >/proc/sys/kernel/printk
trap put_back EXIT
if [ $# -gt 0 ]; then
	for kmod; do
		load "$kmod"
		"./$program"
	done
elif [ "$program" = test ]; then
	for kmod in yours answer registers caller stock; do
		load "$kmod"
		"./$program" >/dev/null 2>&1
		verdict "$kmod" $?
	done
else
	load yours
	"./$program"
fi
