/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A guest's machine for tests of instructions: memory with descriptor tables, a device
 * where it ends, and a ROM for who maps it.
 */
#ifndef VEE_TEST_BOARD_H
#define VEE_TEST_BOARD_H

#include "test.h"

#define DEVICE_GPA	0x200000ULL	/* where memory ends */
#define GDT_GPA		0x10000ULL
#define IDT_GPA		0x11000ULL
#define ROM_GPA		0x400000ULL
#define STACK		(DEVICE_GPA + 0x800)

/* Selectors, and what they stand for; none of it accessed. */
#define CODE_32		0x08
#define DATA_32		0x10
#define READ_ONLY	0x18
#define NOT_PRESENT	0x20
#define TSS		0x28
#define LDT		0x38
#define CODE_64		0x48
#define DATA_USER	0x53
#define GDT_ENTRIES	12

extern const uint64_t gdt[GDT_ENTRIES];
extern struct rig rig;
extern struct vee_vcpu_page *page;
extern uint8_t *ram;
extern uint8_t device[PAGE_BYTES];
extern unsigned int accesses, rom_writes;	/* accesses: of the last instruction */
extern unsigned int fail_access;		/* the how-manieth from now, -EIO; 0: none */
extern unsigned int exit_flags;			/* of the exits of run_insn() */
extern uint64_t rom[PAGE_BYTES / 8];

/* The device's function. */
int touch(void *arg, uint64_t gpa, void *data, unsigned int bytes, bool write);
/* Code of @mode bytes; RBX is the device, RSP within it. */
void begin(unsigned int mode);
/* An exit of that instruction, done. */
int run_insn(unsigned int reason, const uint8_t *code, size_t bytes);

#define RUN_FOR(reason, ...) run_insn(reason, (const uint8_t[]) { __VA_ARGS__ },	\
				      sizeof((const uint8_t[]) { __VA_ARGS__ }))
#define RUN(...) RUN_FOR(VEE_EXIT_MMIO, __VA_ARGS__)

/* What is in the device. */
uint64_t at(unsigned int offset, unsigned int bytes);
void put(unsigned int offset, uint64_t value, unsigned int bytes);

/* Where the GDT in memory has what @selector stands for; and another there. */
uint8_t *descriptor_of(uint16_t selector);
void put_descriptor(uint16_t selector, uint64_t descriptor);

void check_done(void);
/* It has gone on at @rip. */
void check_at(uint64_t rip);
void check_fault(unsigned int vector, uint32_t error);

#endif /* VEE_TEST_BOARD_H */
