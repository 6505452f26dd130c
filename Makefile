# SPDX-License-Identifier: GPL-2.0-only
#
# vee: "make help" lists what there is. Nothing here but "make load" and
# "make unload" touches the kernel of the machine that it runs on.

DESTDIR ?=
PREFIX ?= /usr/local
# The kernel in the lab that "make build" builds the module for.
KERNEL ?= $(shell . lab/lib.sh && default_kernel)

SHELL = /bin/bash
.DEFAULT_GOAL := all
MAKEFLAGS += --no-print-directory

##@ Try it
.PHONY: demo linux shell
demo: ## Install what is missing, build, and run the samples and memtest86+ in the lab
	@lab/demo
linux: ## Boot Debian's kernel, as packaged, in a guest of vee's in the lab: a prompt
	@lab/linux
shell: build ## A shell in the lab: vee loaded, samples with sources, a C compiler, man pages
	@lab/run --kernel $(KERNEL) --kit

##@ Build
.PHONY: all build module library samples
all: build
build: module library samples ## Module, library, the command "vee", samples (also plain "make")
module: setup ## vee.ko for the lab's kernel, in .cache/build
	@lab/module $(KERNEL)
library: ## libvee and the command "vee", in userlib
	@lab/setup build
	@$(MAKE) -C userlib
samples: library ## The samples
	@$(MAKE) -C samples

##@ Test
.PHONY: check check-static check-crash check-debug check-kernels model faults soak test-instruments coverage
check: ## Build for each kernel, static checks, all kselftests in the lab
	@lab/check
check-static: ## What "make check" does without the lab, in some minutes: before a commit
	@lab/check --static
check-crash: ## The machine crashes while guests run: kdump, panic=1, sysrq-b
	@lab/check --crash
check-kernels: ## All kselftests on each kernel of Debian's other suites, up to sid's
	@lab/check --kernels
check-debug: ## All kselftests on the debug kernel (KASAN, lockdep, kmemleak, ...)
	@lab/check --debug
coverage: ## Which lines of kmod and libvee their tests reach, and why not the others
	@lab/coverage
faults: ## Each allocation and copy of each request fails in turn, on the debug kernel
	@lab/faults
model: ## docs/models: what no test can exhaust, checked by spin, planted bugs too
	@lab/model
soak: ## Up to 200 VMs made, run, killed on two CPUs, while the host is at all of them
	@lab/soak
test-instruments: ## Each planted bug is found by the instrument that it is for
	@lab/test-instruments
.PHONY: fuzz-api fuzz-apic fuzz-guest
fuzz-api: ## Random requests of several threads at once, on the debug kernel (ARGS=)
	@lab/fuzz-api $(ARGS)
fuzz-apic: ## Random accesses to local APICs, under vee and KVM (ARGS=)
	@lab/fuzz-apic $(ARGS)
fuzz-guest: ## Random guests, under vee and KVM: the same must come of both (ARGS=)
	@lab/fuzz-guest $(ARGS)

##@ Measure
.PHONY: bench bench-apic bench-calls bench-growth bench-model bench-move bench-plot bench-trace bench-boot bench-uring
bench: ## What an exit costs, beside KVM, in the same boot of the lab
	@lab/bench
	@lab/bench-apic
bench-apic: ## ... of that the local APICs alone, with one CPU and with two
	@lab/bench-apic
bench-calls: ## What a VM as a function call costs, alone and one of many
	@lab/bench-calls
bench-growth: ## How costs grow: VMs, slots, vCPUs, memory, threads; beside KVM
	@lab/bench-growth
bench-move: ## How long a guest stands still when it is moved while it runs
	@lab/bench-move
bench-plot: ## Draw what "make bench" has measured
	@lab/bench-plot
bench-boot: ## The boot of Linux, on the bare lab machine and as a guest
	@lab/bench-boot
bench-trace: ## Where an exit's ticks go, by function, and its dear instructions
	@lab/bench-trace
bench-model: ## Modelled cycles of an exit, beside KVM's: what is dear on a real CPU, weighted
	@lab/bench-model
bench-uring: ## 64 VMs on one thread by io_uring, beside one by one and KVM
	@lab/bench-uring

##@ This machine
.PHONY: load unload install
load: ## Build vee.ko for THIS machine's kernel and insert it (needs root and VMX)
	@lab/load
unload: ## Remove vee.ko from this machine's kernel
	rmmod vee
install: library ## Install library, header, man pages and "vee" (DESTDIR=, PREFIX=)
	@$(MAKE) -C userlib install DESTDIR=$(DESTDIR) PREFIX=$(PREFIX)

##@ Packages
.PHONY: deb dist check-deb
deb: ## Debian's packages: vee-dkms, vee-tools, libvee0, libvee-dev, in .cache/deb
	@lab/deb
dist: ## A tarball of the tree, .cache/vee-VERSION.tar.xz
	@lab/dist
check-deb: ## Build, install, upgrade and remove the packages in a new Debian (root)
	@lab/check-deb

##@ Housekeeping
.PHONY: help setup clean distclean clean-cache
setup: ## Fetch from Debian's archive what building and the lab need
	@lab/setup demo
clean: ## Remove what was built
	@for dir in userlib samples selftests guest labs; do \
		if [ -e $$dir/Makefile ]; then $(MAKE) -s -C $$dir clean; fi; \
	done
	@rm -rf .cache/{build,lab}
distclean: clean ## Remove also logs and figures: all of .cache
	@rm -rf .cache
clean-cache: ## Remove what all your clones share: what was downloaded, and the debug kernel
	@. lab/lib.sh && rm -rf "$$VEE_SHARED"
help: ## This list
	@awk -F ':.*## ' '/^##@/ { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
