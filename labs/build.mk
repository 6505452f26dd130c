# SPDX-License-Identifier: GPL-2.0-only
#
# How the labs' programs are built, here and in the lab, and by the grader: a program of
# a lab is made of the C file of its name; guest.elf, a guest of 64 bits, of all its C files;
# a module, NAME.ko, for the kernel of the lab, of the C file of its name.

LABS := $(patsubst %/,%,$(dir $(lastword $(MAKEFILE_LIST))))
TOP := $(LABS)/..

CFLAGS = -O2 -g -std=gnu11 -Wall -Wextra -Wno-unused -Wno-unused-parameter
CPPFLAGS = -D_GNU_SOURCE -I$(TOP)/userlib -I$(TOP)/uapi -I$(ORIGINAL)

# A solution has what it changes, and the rest is the lab's.
ORIGINAL := $(LABS)/$(notdir $(CURDIR))
vpath %.c $(ORIGINAL)
PARTS := $(sort $(notdir $(wildcard *.c $(ORIGINAL)/*.c)))
GUEST_FLAGS = -I$(ORIGINAL) -Wno-unused -Wno-unused-parameter -Wno-interrupt-service-routine

include $(TOP)/guest/guest.mk

guest.elf: $(PARTS:.c=.guest64.o)

# Kbuild leaves much behind, which is not for the lab's folder. HEADERS: where the
# kernel's are. No types for BPF, which would take a program more.
HEADERS = $(shell $(TOP)/lab/headers)
OWN := $(wildcard *.[ch])
SOURCES := $(OWN) $(filter-out $(addprefix $(ORIGINAL)/,$(OWN)),$(wildcard $(ORIGINAL)/*.[ch])) \
	$(LABS)/vmx.h
define kbuild
	@$(MAKE) -s -C $(HEADERS) M=$(CURDIR)/.build CONFIG_DEBUG_INFO_BTF_MODULES= modules
	@strip --strip-debug -o $@ .build/$@
endef
# In the lab there is no Kbuild, but its commands are, by labs/module-kit.
MODULE_KIT := $(wildcard $(TOP)/module-kit)
%.ko: .build/%.folder
	$(if $(MODULE_KIT),@sh -e $(MODULE_KIT)/$@,$(kbuild))

# What Kbuild makes NAME.ko of, in .build: labs/grade has it make several at once.
.PRECIOUS: .build/%.folder
.build/%.folder: $(SOURCES)
	@mkdir -p .build
	@cp $(SOURCES) .build
	$(if $(MODULE_KIT),,@$(kbuild_file))
	@touch $@
kbuild_file = echo 'obj-m := $*.o' >.build/Kbuild

# Lab 9's module is vee, with a handler more; its test is as those of selftests/ are, and
# its guests have their header.
.build/vee.folder: kbuild_file = $(LABS)/vee-parts $(CURDIR)/.build $(LABS)/09-exit-handler/table.c hypercall
KSFT = $(or $(wildcard $(TOP)/kselftest),$(KSFT_HERE))
KSFT_HERE = $(eval KSFT_HERE := $$(shell bash -c '. $(TOP)/lab/lib.sh && echo "$$$$VEE_SHARED/kselftest"'))$(KSFT_HERE)
test guests: %: %.c
	@[ -e $(KSFT)/kselftest_harness.h ] || { echo "error: there is no kselftest_harness.h: run lab/setup check"; exit 1; }
	$(CC) $(CPPFLAGS) -I$(TOP)/selftests -isystem $(KSFT) $(CFLAGS) -Wno-sign-compare -pthread -o $@ $<

# In the lab they are there.
$(TOP)/userlib/libvee.a $(TOP)/userlib/command.a:
	$(MAKE) -s -C $(TOP)/userlib $(@F)

# Lab 10's program is "vee", which has of the library what is not its own; its kernel is a
# file as Linux' own: three sectors of set-up code, and then what begins at 200000H. What
# is its initial RAM disk makes no difference.
boot: boot.c $(TOP)/userlib/command.a $(TOP)/userlib/libvee.a
	$(CC) $(CPPFLAGS) $(CFLAGS) -pthread -Wl,--as-needed -o $@ $< $(TOP)/userlib/command.a \
		$(TOP)/userlib/libvee.a -luring -lZydis -lZycore -lz
probe.bzimage: probe.guest32.o $(GUEST)/guest32.a
	$(GUEST_LD) -m elf_i386 --oformat binary --section-start=.setup=0x1ffa00 \
		--section-start=.entry=0x200000 -Ttext=0x200100 -e 0x200000 -o $@ $^
	chmod -x $@
probe.gz: probe.c
	gzip -9nc $< >$@

%: %.c $(TOP)/userlib/libvee.a
	$(CC) $(CPPFLAGS) $(CFLAGS) -Wl,--as-needed -o $@ $< $(TOP)/userlib/libvee.a \
		-luring -lZydis -lZycore
