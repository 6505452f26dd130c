# SPDX-License-Identifier: GPL-2.0-only
#
# After Kbuild, by lab/module --coverage: the module counts what runs, and lab/gcov/gcov.c
# writes it down as it goes. What entry.S has is not compiled and not counted.

vee-y += lab/gcov/gcov.o
ccflags-y += -fprofile-arcs -ftest-coverage -fno-tree-loop-im -Wno-maybe-uninitialized
CFLAGS_REMOVE_lab/gcov/gcov.o := -fprofile-arcs -ftest-coverage
CFLAGS_kmod/main.o += -Dinit_module=covered_init_module -Dcleanup_module=covered_cleanup_module
LDFLAGS_vee.o += -T $(src)/lab/gcov/gcov.lds
