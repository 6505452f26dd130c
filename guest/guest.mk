# SPDX-License-Identifier: LGPL-2.1-or-later
#
# For a Makefile that builds guests: include it, and have it make what you want of
# mine.c:
#
#	mine.elf	an ELF program of 64 bits
#	mine.elf32	one of 32 bits
#	mine.bin	a flat image of 16 bits, for 7C00H, as a boot sector
#
# GUEST_FLAGS are the compiler's besides.

GUEST := $(patsubst %/,%,$(dir $(lastword $(MAKEFILE_LIST))))

GUEST_CFLAGS = -std=gnu11 -O2 -Wall -Wextra -ffreestanding -fno-pic -fno-stack-protector \
	-fno-asynchronous-unwind-tables -fcf-protection=none -mno-red-zone \
	-mgeneral-regs-only -I$(GUEST)
# A compiler that is told only to look, as lab/check has it, makes guests all the same.
GUEST_CC = $(filter-out -fsyntax-only,$(CC))
GUEST_LD = ld -z noexecstack --build-id=none
GUEST_OBJECTS = print memory exception

%.guest64.o: %.c $(wildcard $(GUEST)/*.h)
	$(GUEST_CC) $(GUEST_CFLAGS) $(GUEST_FLAGS) -m64 -c -o $@ $<
%.guest64.o: %.S
	$(GUEST_CC) -m64 -c -o $@ $<
%.guest32.o: %.c $(wildcard $(GUEST)/*.h)
	$(GUEST_CC) $(GUEST_CFLAGS) $(GUEST_FLAGS) -m32 -c -o $@ $<
%.guest32.o: %.S
	$(GUEST_CC) -m32 -c -o $@ $<
%.guest16.o: %.c $(wildcard $(GUEST)/*.h)
	$(GUEST_CC) $(GUEST_CFLAGS) $(GUEST_FLAGS) -DGUEST_16 -m16 -c -o $@ $<
%.guest16.o: %.S
	$(GUEST_CC) -m16 -c -o $@ $<

GUEST64 = $(patsubst %,$(GUEST)/%.guest64.o,start64 $(GUEST_OBJECTS) page heap fn)
GUEST32 = $(patsubst %,$(GUEST)/%.guest32.o,start32 $(GUEST_OBJECTS))
GUEST16 = $(patsubst %,$(GUEST)/%.guest16.o,start16 print memory)

# An archive that is newer than its sources is good without its objects, as in the lab, whose
# shell has an "ar" of its own that makes none: make has to call it.
.SECONDARY: $(GUEST64) $(GUEST32) $(GUEST16)
$(GUEST)/guest64.a: $(GUEST64)
	rm -f $@
	ar rcs $@ $^
$(GUEST)/guest32.a: $(GUEST32)
	rm -f $@
	ar rcs $@ $^
$(GUEST)/guest16.a: $(GUEST16)
	rm -f $@
	ar rcs $@ $^

%.elf: %.guest64.o $(GUEST)/guest64.a $(GUEST)/guest.ld
	$(GUEST_LD) -m elf_x86_64 -T $(GUEST)/guest.ld -o $@ $(filter %.o %.a,$^)
%.elf32: %.guest32.o $(GUEST)/guest32.a $(GUEST)/guest.ld
	$(GUEST_LD) -m elf_i386 -T $(GUEST)/guest.ld -o $@ $(filter %.o %.a,$^)
%.bin: %.guest16.o $(GUEST)/guest16.a $(GUEST)/flat16.ld
	$(GUEST_LD) -m elf_i386 -T $(GUEST)/flat16.ld -o $@ $(filter %.o %.a,$^)
