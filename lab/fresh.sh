# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A new Debian of its own, in a folder: for what is not to be tried on this one. Sourced,
# after lib.sh. Whoever does sets $root, the folder.
root=

# Where this machine itself has its packages from: of security updates, or all others.
archive() {
	# shellcheck disable=SC2016 # apt's own
	apt-get indextargets --format '$(REPO_URI)' | sort -u |
		awk -v security="$1" '/security/ == security { print; exit }'
}

needs_debootstrap() {
	[ "$EUID" -eq 0 ] || die "this takes root"
	command -v debootstrap >/dev/null || die "this takes a package: apt-get install debootstrap"
}

# Debian $1 to $root, with its lists of packages.
make_root() {
	say "$SCRIPT: debootstrap of $1"
	quietly debootstrap --variant=minbase "$1" "$root" "$(archive 0)"
	printf 'deb %s %s main\n' "$(archive 0)" "$1" "$(archive 0)" "$1-updates" \
		"$(archive 1)" "$1-security" >"$root/etc/apt/sources.list"
	mkdir "$root/root/vee"
	tree_files | tar -c -C "$VEE_TOP" -T - -f - | tar -x -C "$root/root/vee"
	quietly inside apt-get update
}

# In a process space of its own, so that nothing that it starts outlives it.
inside() {
	unshare --mount --pid --fork chroot "$root" /usr/bin/env -i HOME=/root \
		PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive \
		sh -c 'mount -t proc proc /proc && cd /root/vee && "$@"' sh "$@"
}
