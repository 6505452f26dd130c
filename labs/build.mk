# SPDX-License-Identifier: GPL-2.0-only
#
# How the labs' programs are built, here and in the lab, and by the grader: a program of
# a lab is made of the C file of its name; guest.elf, a guest of 64 bits, of all its C files.

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

# In the lab it is there.
$(TOP)/userlib/libvee.a:
	$(MAKE) -s -C $(TOP)/userlib libvee.a

%: %.c $(TOP)/userlib/libvee.a
	$(CC) $(CPPFLAGS) $(CFLAGS) -Wl,--as-needed -o $@ $< $(TOP)/userlib/libvee.a \
		-luring -lZydis -lZycore
