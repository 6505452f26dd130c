# SPDX-License-Identifier: GPL-2.0-only
#
# How the labs' programs are built, here and in the lab, and by the grader: a program of
# a lab is made of the C file of its name, NAME.elf is a guest of 64 bits.

LABS := $(patsubst %/,%,$(dir $(lastword $(MAKEFILE_LIST))))
TOP := $(LABS)/..

CFLAGS = -O2 -g -std=gnu11 -Wall -Wextra -Wno-unused -Wno-unused-parameter
CPPFLAGS = -D_GNU_SOURCE -I$(TOP)/userlib -I$(TOP)/uapi -I$(LABS)/$(notdir $(CURDIR))

include $(TOP)/guest/guest.mk

# In the lab it is there.
$(TOP)/userlib/libvee.a:
	$(MAKE) -s -C $(TOP)/userlib libvee.a

%: %.c $(TOP)/userlib/libvee.a
	$(CC) $(CPPFLAGS) $(CFLAGS) -Wl,--as-needed -o $@ $< $(TOP)/userlib/libvee.a \
		-luring -lZydis -lZycore
