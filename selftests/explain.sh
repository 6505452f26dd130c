#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Guests that die of what beginners do wrong, under "vee run": does it say why? Each is
# a few bytes of machine code.

# shellcheck source=selftests/guest_util.sh
. "$(dirname "$0")/guest_util.sh"

# --- images: these functions are called by name ---
# shellcheck disable=SC2317

# $2 zeros behind what is in hexadecimal in $1.
padded() {
	# shellcheck disable=SC2086 # a list
	bytes $1
	head -c "$2" /dev/zero
}

# A static ELF program of 64 bits, the code $1 at 100000H, where it starts.
elf() {
	bytes 7f 45 4c 46 02 01 01
	head -c 9 /dev/zero
	bytes 02 00 3e 00 01 00 00 00 78 00 10 00 00 00 00 00 # ET_EXEC, x86-64, entry
	bytes 40 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 # headers at 64
	bytes 00 00 00 00 40 00 38 00 01 00 00 00 00 00 00 00
	bytes 01 00 00 00 07 00 00 00 00 00 00 00 00 00 00 00 # PT_LOAD, from 0
	bytes 00 00 10 00 00 00 00 00 00 00 10 00 00 00 00 00
	bytes 00 02 00 00 00 00 00 00 00 02 00 00 00 00 00 00 # 512 bytes
	bytes 00 10 00 00 00 00 00 00
	padded "$1" 512 | head -c 392
}

# A boot sector: LIDT with a limit of 0, then the code $1.
flat() {
	padded "0f 01 1e 00 7d $1" 512 | head -c 512
}

# --- the tests ---

# $1: its name; $2: elf or flat; $3: the code; the others: what must be said.
dies() {
	name=$1
	"$2" "$3" >"$work/image"
	shift 3
	timeout 60 vee run -t 50 -m 16M "$work/image" >"$work/said" 2>&1 </dev/null
	status=$?
	sed 's/^/# /' "$work/said"
	verdict=ok
	[ "$status" -eq 1 ] && [ "$(sed '/^  the last exits/,$d' "$work/said" | wc -l)" -le 24 ] ||
		verdict='not ok'
	for words; do
		grep -qF -e "$words" "$work/said" && continue
		printf '# it did not say: %s\n' "$words"
		verdict='not ok'
	done
	# What is told must agree with what the CPU left.
	! grep -q 'but CR2' "$work/said" || verdict='not ok'
	report "$verdict" "$name"
}

# One that is a C library's: busybox, where it is static.
dies_of_a_libc() {
	# ET_EXEC
	if head -c 18 /bin/busybox 2>/dev/null | od -An -tx1 -j 16 | grep -q '02 00'; then
		dies 'busybox' cat /bin/busybox "$triple" \
			"first #UD, $tried: SYSCALL asks a kernel, and this guest has set up none"
	else
		report ok 'busybox # SKIP no static program /bin/busybox'
	fi
}

triple='the guest has shut down: a triple fault'
tried='by trying the instruction'

dies_all() {
	dies 'no IDT' elf '0f 0b' "$triple" 'instruction: ud2 (bytes 0f 0b)' "first #UD, $tried" \
		'#UD is not delivered: IDT entry 6 is beyond the IDT'\''s limit 0' \
		'#DF is not delivered: IDT entry 8 is beyond the IDT'\''s limit 0'
	# LIDT of ten bytes at the code's end: an IDT of zeros.
	dies 'an empty IDT' elf '0f 01 1c 25 82 00 10 00 0f 0b ff ff 00 00 20 00' "$triple" \
		'#UD is not delivered: IDT entry 6 at gva 0x200060, 0, is empty' \
		'#DF is not delivered: IDT entry 8 at gva 0x200080, 0, is empty'
	dies 'a program of a C library' elf '0f 05' "$triple" \
		"first #UD, $tried: SYSCALL asks a kernel, and this guest has set up none"
	dies_of_a_libc
	dies 'memory that no table maps' elf \
		'48 b8 00 00 00 00 00 70 00 00 89 08' "$triple" \
		"first #PF(0x2), $tried: the instruction writes gva 0x700000000000" \
		'PML4E 224 at gpa' '0, not present'
	dies 'a stack that no table maps' elf '48 bc 00 00 00 00 00 60 00 00 50' "$triple" \
		'instruction: push rax' \
		"first #PF(0x2), $tried: the instruction writes gva 0x5ffffffffff8"
	dies 'CR3 that leads nowhere' elf 'b8 00 00 20 00 0f 22 d8 90' "$triple" \
		"$tried: the fetch of the instruction at gva 0x100080" \
		'walk of gva 0x100080' 'PML4E   0 at gpa 0x200000: 0, not present'
	dies 'an IDT and no tables' elf \
		'0f 01 1c 25 89 00 10 00 b8 00 00 20 00 0f 22 d8 90 ff ff 00 00 30 00' "$triple" \
		'#PF(0) is not delivered: its IDT entry is at gva 0x3000e0: PML4E 0 at gpa 0x200000, 0'
	dies 'CR3 unaligned' elf 'b8 00 08 20 00 0f 22 d8 90' \
		'CR3 0x200800, not aligned: bits 0x800 are ignored'
	# EFER.NXE, and bit 63 of the first entry.
	dies 'a jump to what may not execute' elf \
		'b9 80 00 00 c0 0f 32 0d 00 08 00 00 0f 30 0f 20 d8 48 0f ba 28 3f 0f 22 d8 90' \
		"first #PF(0x11), $tried: the fetch of the instruction" ', not executable'
	dies 'CR0.PG without PE' flat '0f 20 c0 66 0d 00 00 00 80 0f 22 c0' "$triple" \
		"$tried: CR0.PG is set without CR0.PE" \
		'#GP is not delivered: IDT entry 13 is beyond the IDT'\''s limit 0'
	dies 'long mode without PAE' flat \
		'66 b9 80 00 00 c0 0f 32 0d 00 01 0f 30 0f 20 c0 66 0d 01 00 00 80 0f 22 c0' \
		"$tried: CR0.PG is set with EFER.LME, and CR4.PAE is 0: long mode needs PAE"
	dies 'INT without an IDT' flat 'cd 10' "first INT 0x10, $tried" \
		'INT 0x10 is not delivered: IDT entry 16 is beyond the IDT'\''s limit 0'
	# RDMSR of what nobody has: vee run injects #GP.
	dies 'an event that is injected' flat '66 b9 78 56 34 12 0f 32' "$triple" \
		'the instruction raises none; last injected was #GP' \
		'#GP is not delivered: IDT entry 13 is beyond the IDT'\''s limit 0' \
		'  before that: RDMSR 0x12345678 at 0x7c0b' '  RDMSR 0x12345678 at 0x7c0b'
	# The GDT's limit is 0 as well.
	dies 'a far jump without a GDT' flat \
		'0f 01 16 00 7d 0f 20 c0 0c 01 0f 22 c0 ea 00 00 08 00' "$triple" \
		"first #GP(0x8), $tried" 'selector 0x8'
}

# Each exit with its instruction, in a file, and what the guest says goes elsewhere.
traces() {
	# MOV $'!', %al; OUT to the serial port; CLI; HLT
	flat 'b0 21 ba f8 03 ee fa f4' >"$work/image"
	vee run -t 50 -m 16M --trace="$work/trace" "$work/image" >"$work/said" 2>&1 </dev/null
	sed 's/^/# /' "$work/trace" "$work/said"
	# What the guest says ends in no line.
	echo
	verdict='not ok'
	[ "$(cat "$work/said")" = '!' ] && grep -q 'OUT port 0x3f8.*| out dx, al$' "$work/trace" &&
		grep -q 'HLT.*| hlt$' "$work/trace" && verdict=ok
	report "$verdict" 'a trace of exits'
	verdict='not ok'
	vee run --trace="$work" "$work/image" 2>&1 </dev/null | grep -q "can't be written" &&
		verdict=ok
	report "$verdict" 'a trace that has nowhere to go'
}

# JMP to itself: at the end it is said where the guest is.
goes_round() {
	flat 'eb fe' >"$work/image"
	timeout 60 vee run -t 1 -m 16M "$work/image" >"$work/said" 2>&1 </dev/null
	status=$?
	sed 's/^/# /' "$work/said"
	verdict='not ok'
	[ "$status" -eq 124 ] && grep -q 'the guest was not done after 1 s' "$work/said" &&
		grep -A1 'the last exits' "$work/said" | grep -q ' at 0x7c05$' && verdict=ok
	report "$verdict" 'a guest that is never done'
}

echo 'KTAP version 1'
trap 'rm -rf "$work"' EXIT
need_vee
echo 1..18
dies_all
traces
goes_round
[ "$failed" -eq 0 ]
