# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What the lab's scripts share. Sourced, never run.

# Scripts may be started from any folder.
VEE_TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
VEE_CACHE=${VEE_CACHE:-$VEE_TOP/.cache}
mkdir -p "$VEE_CACHE"
VEE_CACHE=$(cd "$VEE_CACHE" && pwd)

# Debian keeps depmod and modprobe where an ordinary user's PATH does not look.
PATH=$PATH:/usr/sbin:/sbin

SCRIPT=lab/${0##*/}

say() {
	printf '%s\n' "$*"
}

die() {
	printf '%s: %s\n' "$SCRIPT" "$*" >&2
	exit "${DIE_STATUS:-1}"
}

# Runs a command with nothing printed unless it fails.
quietly() {
	local log status=0
	log=$(mktemp)
	"$@" >"$log" 2>&1 || status=$?
	if [ "$status" -ne 0 ]; then
		cat "$log" >&2
	fi
	rm -f "$log"
	return "$status"
}

# Is $1 missing or older than any of the other files?
outdated() {
	local target=$1 source
	shift
	[ -e "$target" ] || return 0
	for source; do
		[ ! "$source" -nt "$target" ] || return 0
	done
	return 1
}

# Holds a lock in the cache for as long as the caller's shell lives, so that
# two labs started at once do not build the same file twice. The descriptor is
# closed again for children by those that start long-lived ones.
lock() {
	exec {LOCK_FD}>"$VEE_CACHE/$1.lock"
	flock "$LOCK_FD"
}

unlock() {
	exec {LOCK_FD}>&-
}

kernel_dir() {
	printf '%s\n' "$VEE_CACHE/kernel/$1"
}

kernel_release() {
	cat "$(kernel_dir "$1")/release" 2>/dev/null
}

# The folder to hand to make -C when building a module for kernel $1.
kernel_headers() {
	if [ "$1" = debug ]; then
		readlink -f "$(kernel_dir debug)/build"
	else
		printf '/usr/src/linux-headers-%s\n' "$(kernel_release "$1")"
	fi
}

# Which of Debian's kernels set-up found for this machine, oldest first.
kernels() {
	local series
	for series in 6.1 6.12; do
		if [ -e "$(kernel_dir "$series")/vmlinuz" ]; then
			printf '%s\n' "$series"
		fi
	done
}

# What make load builds for, and what the lab boots unless told otherwise.
default_kernel() {
	kernels | sed -n 1p
}

# linux-source-6.1 or what this Debian has instead.
source_package() {
	apt-cache search --names-only '^linux-source-6\.[0-9]+$' |
		awk '{ print $1 }' | sort -V | sed -n 1p
}

# The source in package $1, which is in the cache, to folder $2; $3...: for tar. A
# record of tar's has 10 KiB.
unpack_linux() {
	local package=$1 dir=$2
	shift 2
	dpkg-deb --fsys-tarfile "$VEE_CACHE/deb/$package.deb" |
		tar -xO "./usr/src/$package.tar.xz" | xz -dc -T0 |
		tar -x -C "$dir" --strip-components=1 --checkpoint=25000 \
			--checkpoint-action=echo='  %u0 of about 1400000 KB' "$@"
}
