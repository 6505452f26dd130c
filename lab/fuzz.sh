# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What lab/fuzz-guest and lab/fuzz-apic share, which hold vee against KVM. Sourced, after lib.sh.
# shellcheck disable=SC2034 # much of it is for those that source this

OUT=$VEE_OUT/fuzz

# fuzz_build NAME FOLDER: the program NAME of lab/NAME*.c, with "_" for "-".
fuzz_build() {
	mkdir -p "$2"
	make -s -C "$VEE_TOP/userlib" libvee.a
	gcc -O2 -std=gnu11 -Wall -Wextra -Werror -D_GNU_SOURCE= -I"$VEE_TOP/userlib" \
		-I"$VEE_TOP/uapi" -o "$2/$1" "$VEE_TOP/lab/${1//-/_}"*.c "$VEE_TOP/lab/fuzz_kvm.c" \
		"$VEE_TOP/userlib/libvee.a" -lZydis -lZycore
}

# To the emulator "rep movsb" is an instruction and more for each byte; nor is it quick at what the C
# library compares memory with where there is AVX-512. In GLIBC_TUNABLES.
QUICK_LIBC=glibc.cpu.x86_rep_movsb_threshold=1000000000
QUICK_LIBC=$QUICK_LIBC:glibc.cpu.x86_rep_stosb_threshold=1000000000:glibc.cpu.hwcaps=-AVX512VL

# An option that both have, to kernel, count, seconds and, for the program, options. taken: how many
# words of "$@" it is; 0: it is none of them.
kernel='' count=1000 seconds='' options=()
fuzz_option() {
	taken=2
	case ${1-} in
	--kernel) kernel=${2:?"$(usage)"} ;;
	--seed | --one) options+=("$1" "${2:?"$(usage)"}") ;;
	--count) count=${2:?"$(usage)"}; options+=("$1" "$2") ;;
	--seconds)
		seconds=${2:?"$(usage)"}
		options+=(--count 1000000000 "$1" "$2")
		;;
	--explain) taken=1 options+=("$1") ;;
	*) taken=0 ;;
	esac
}

# fuzz_limit TIMES: the lab has as much time as the guests may take at worst, each of them TIMES,
# and a boot: each that loops ends after some ms under both.
fuzz_limit() {
	if [ -n "$seconds" ]; then
		say $((seconds * $1 + 120))
	else
		say $((count * $1 / 20 + 120))
	fi
}
