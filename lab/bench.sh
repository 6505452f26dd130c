# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What the benchmarks under vee and KVM share. Sourced, after lib.sh. OUT is the
# benchmark's folder in the cache, KERNEL the kernel to boot.

# What the bounds are for, with each address the same in each boot.
# shellcheck disable=SC2034 # they are for those that source this
NO_MITIGATIONS='nokaslr mitigations=off'
# shellcheck disable=SC2034
DEFAULT_MITIGATIONS=nokaslr

# The program "bench" of lab/$1 and so on, in a folder of its own.
bench_program() {
	make -s -C "$VEE_TOP/userlib" libvee.a
	rm -rf "$OUT/files"
	mkdir -p "$OUT/files"
	gcc -O2 -std=gnu11 -Wall -Wextra -Werror -D_GNU_SOURCE \
		-I"$VEE_TOP/userlib" -I"$VEE_TOP/uapi" -o "$OUT/files/bench" \
		"${@/#/$VEE_TOP/lab/}" "$VEE_TOP"/lab/bench_{common,vee,kvm}.c \
		"$VEE_TOP/userlib/libvee.a" -luring -lZydis -lZycore -pthread
}

# ... with the module in it, for the lab: without debug information, as the lab has it.
bench_build() {
	bench_program "$@"
	objcopy --strip-debug "$("$VEE_TOP/lab/module" "$KERNEL")" \
		"$OUT/files/vee.ko"
}

# bench_run CMDLINE [--trace FILE] [--symbols] [--script NAME]: what lab/bench-run
# prints, or lab/NAME.
bench_run() {
	local options=(--cmdline "$1") symbols=() script=bench-run
	shift
	while [ $# -gt 0 ]; do
		case $1 in
		--symbols) symbols=("$1"); shift ;;
		--script) script=$2; shift 2 ;;
		*) options+=("$1" "$2"); shift 2 ;;
		esac
	done
	"$VEE_TOP/lab/run" --kernel "$KERNEL" --memory 512 --timeout 900 \
		--no-module "${options[@]}" --file "$OUT/files:/root/bench" \
		--file "$VEE_TOP/lab/$script:/bin/$script" \
		-- "$script" /root/bench "${symbols[@]}"
}

# Passes on what bench_run prints, and tells of it on stderr as it comes: of the
# medians, or of engine $1's alone.
tell() {
	# shellcheck disable=SC2016 # for awk
	awk_at_once -F'|' -v engine="${1:-}" '
		{ print; fflush() }
		NF == 6 && (engine == "" || $1 == engine) {
			printf "  %-3s %-48s %9d\n", $1, $2, $4 >"/dev/stderr"
		}
		$1 == "section" && !told[$2, $3]++ {
			printf "  traced: %s, %s\n", $2, $3 >"/dev/stderr"
		}'
}

# Where in vee.ko's source the addresses on stdin come from, a line each, as
# "kmod/FILE:LINE"; an empty one for what is not the module's. What reads a VMCS is where
# that is called. $1: what bench_run --symbols printed, of the machine that they are of.
bench_sources() {
	local ko base address
	ko=$("$VEE_TOP/lab/module" "$KERNEL")
	base=$((0x$(awk '$3 == "vmx_enter" && $4 == "[vee]" { print $1 }' "$1") -
		0x$(nm "$ko" | awk '$3 == "vmx_enter" { print $1 }')))
	# An inlined function's line comes first, then its callers'.
	while read -r address; do
		printf '0x%x\n' $((0x$address - base))
	done | addr2line -e "$ko" -j .text -a -i -f -p | awk '
		/^0x/ { if (seen++) print line; line = "" }
		/ vm(read|write)_raw at | vmcs_(read|write|set_control) at / { next }
		!line && match($0, /\/kmod\/[^ ]*/) { line = substr($0, RSTART + 1, RLENGTH - 1) }
		END { if (seen) print line }'
}
