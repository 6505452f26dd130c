# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What the lab's scripts share. Sourced, never run.

# Scripts may be started from any folder.
VEE_TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# Whose usage() there is none of has all there is to say at its top.
case ${1:-} in
-h | --help)
	if ! grep -q '^usage()' "$0"; then
		sed -n '4,/^[^#]*$/s/^#$//p; 4,/^[^#]*$/s/^# //p' "$0"
		exit 0
	fi
	;;
esac

# Whose cache it is: through sudo, that of the user who called it.
user_home() {
	if [ "$EUID" -eq 0 ] && [ -n "${SUDO_UID:-}" ]; then
		getent passwd "$SUDO_UID" | cut -d: -f6
	else
		printf '%s\n' "${HOME:-$(getent passwd "$EUID" | cut -d: -f6)}"
	fi
}

# "debian-12", say: what the archive has for one is not for another.
distribution() (
	# shellcheck source=/dev/null
	[ ! -r /etc/os-release ] || . /etc/os-release
	printf '%s-%s\n' "${ID:-linux}" "${VERSION_ID:-rolling}"
)

# Two places. VEE_OUT has what is built from this clone. VEE_SHARED has what is
# not: what was fetched, and the debug kernel, once for all clones of a user. What
# stands there never changes, and comes there whole, by a rename.
VEE_OUT=$VEE_TOP/.cache
VEE_CACHE=${VEE_CACHE:-${XDG_CACHE_HOME:-$(user_home)/.cache}/vee}
[[ $VEE_CACHE == /* ]] || VEE_CACHE=$PWD/$VEE_CACHE
export VEE_CACHE
# shellcheck disable=SC2034 # for those who source this
VEE_SHARED=$VEE_CACHE/$(distribution)

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

# awk that takes each line as it comes: mawk reads pipes by the block.
awk_at_once() {
	if awk -W version 2>/dev/null </dev/null | grep -q '^mawk'; then
		awk -W interactive "$@"
	else
		awk "$@"
	fi
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

# Makes folder $1 of the shared cache, and what leads there. Through sudo it would be
# root's, and the next plain make would fail.
shared_dir() {
	local made=$1
	if [ ! -d "$1" ]; then
		while [ ! -e "$(dirname "$made")" ]; do
			made=$(dirname "$made")
		done
		mkdir -p "$1" 2>/dev/null || cannot_write
		give_back "$made"
	fi
	[ -w "$1" ] || cannot_write
}

cannot_write() {
	die "the cache for all clones, $VEE_CACHE, lacks something and cannot be written: have who owns it call $SCRIPT, or set VEE_CACHE to a folder that can"
}

# Gives what root made for the user who called sudo to that user.
give_back() {
	if [ "$EUID" -eq 0 ] && [ -n "${SUDO_UID:-}" ]; then
		chown -Rh "$SUDO_UID:${SUDO_GID:-$SUDO_UID}" "$@"
	fi
}

# The tree's files: what git has, or, unpacked from a tarball, all but what was built.
tree_files() {
	cd "$VEE_TOP" || return
	git ls-files 2>/dev/null ||
		find . -path ./.cache -prune -o ! -type d ! -name '*.[oad]' ! -name '*.so*' -printf '%P\n'
}

# Holds lock $1 of this clone for as long as the caller's shell lives, so that
# two labs started at once do not build the same file twice. The descriptor is
# closed again for children by those that start long-lived ones.
lock() {
	mkdir -p "$VEE_OUT"
	hold "$VEE_OUT/$1.lock"
}

# Likewise one of all clones, which may be held for minutes. Who can't write there adds
# nothing, and what stands there is whole.
lock_shared() {
	local file=$VEE_SHARED/$1.lock
	[ ! -d "$VEE_SHARED" ] || [ -w "$VEE_SHARED" ] || return 0
	shared_dir "$VEE_SHARED"
	if [ ! -e "$file" ]; then
		: >"$file"
		give_back "$file"
	fi
	hold "$file" "$SCRIPT: another one is at work on $VEE_SHARED: waiting for it"
}

# $2 is said if it has to wait. Reading is all that locking takes.
hold() {
	[ -e "$1" ] || : >"$1"
	exec {LOCK_FD}<"$1"
	flock -n "$LOCK_FD" && return
	[ -z "${2:-}" ] || say "$2"
	flock "$LOCK_FD"
}

unlock() {
	exec {LOCK_FD}<&-
}

debug_kasan_objects() {
	grep '^[^#]' "$VEE_TOP/lab/debug.kasan"
}

# Kernel "debug" is known by what it is made of: the source's version, and
# configuration. Of several versions the newest one counts.
debug_config_key() {
	{
		grep '^CONFIG_' "$VEE_TOP/lab/debug.config"
		debug_kasan_objects
	} | sort | sha256sum | cut -c 1-12
}

# Series 6.1 is a link to the release, as "6.1.0-56-cloud-amd64".
kernel_dir() {
	local dir=$VEE_SHARED/kernel/$1
	if [ "$1" = debug ]; then
		dir=$(compgen -G "$dir-*-$(debug_config_key)" | sort -V | tail -n 1) || true
		dir=${dir:-$VEE_SHARED/kernel/debug}
	fi
	readlink -m "$dir"
}

kernel_release() {
	cat "$(kernel_dir "$1")/release" 2>/dev/null
}

# The folder to hand to make -C when building a module for kernel $1.
kernel_headers() {
	if [ "$1" = debug ]; then
		readlink -m "$(kernel_dir debug)/build"
	else
		printf '%s\n' "$(kernel_dir "$1")/usr/src/linux-headers-$(kernel_release "$1")"
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
	local all
	all=$(kernels)
	[ -n "$all" ] || die "no kernel yet: run lab/setup first"
	printf '%s\n' "${all%%$'\n'*}"
}

# Makes release $2's headers work in folder $1, which is not the root. The vmlinux
# beside some is there for type information, which the lab strips off again and takes
# a program more.
mend_headers() {
	local headers=$1/usr/src/linux-headers-$2
	# shellcheck disable=SC2016 # for make
	sed -i -e 's,^include /usr/src/,include $(dir $(lastword $(MAKEFILE_LIST)))../,' \
		-e 's,^KBUILD_OUTPUT=/usr/src/,KBUILD_OUTPUT:=$(dir $(abspath $(lastword $(MAKEFILE_LIST))))../,' \
		"$headers/Makefile"
	rm -f "$headers/vmlinux"
}

# Folder $1, in which release $2's packages have been unpacked, as a kernel of the lab.
finish_kernel() {
	local dir=$1 release=$2 image
	# Debian 13's packages have no /lib: there it is a link of the system's.
	[ -e "$dir/lib" ] || ln -s usr/lib "$dir/lib"
	depmod -b "$dir" "$release"
	mend_headers "$dir" "$release"
	for image in "$dir/boot/vmlinuz-$release" "$dir/lib/modules/$release/vmlinuz"; do
		[ ! -e "$image" ] || cp "$image" "$dir/vmlinuz"
	done
	printf '%s\n' "$release" >"$dir/release"
}

# The program of Debian's package, whose name from memtest86+ 8 on is the second.
memtest_image() {
	local boot=$VEE_SHARED/memtest86+/boot
	if [ -e "$boot/memtest86+x64.bin" ]; then
		printf '%s\n' "$boot/memtest86+x64.bin"
	elif [ -e "$boot/mt86+x64" ]; then
		printf '%s\n' "$boot/mt86+x64"
	else
		die "no memtest86+ yet: run lab/setup first"
	fi
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
	dpkg-deb --fsys-tarfile "$VEE_SHARED/deb/$package.deb" |
		tar -xO "./usr/src/$package.tar.xz" | xz -dc -T0 |
		tar -x -C "$dir" --strip-components=1 --checkpoint=25000 \
			--checkpoint-action=echo='  %u0 of about 1400000 KB' "$@"
}

# The kselftests that show something more on two CPUs: lab/check, lab/coverage.
# shellcheck disable=SC2034
TWO_CPUS='debug host memory template absent lock tsc reclaim fpu kick deadline halt uring each work
coalesce watches smp apic apic_stress bind lifetime beside taken trace restore fn'
