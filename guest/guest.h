/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A kit for guests in C: programs that run in a virtual machine with nothing
 * beneath them. README.md says how to build one; all of it is meant to be read.
 *
 * A guest has main(), which start64.S, start32.S or start16.S calls. What it returns
 * ends the guest by guest_exit().
 */
#ifndef GUEST_H
#define GUEST_H

#include <stddef.h>
#include <stdint.h>

/* What "vee run" takes: a character, and with what status the guest is over. */
#define GUEST_PORT_CONSOLE	0xe9
#define GUEST_PORT_EXIT		0xf4

int main(void);

/* --- instructions that C has no words for --- */

static inline void guest_out8(uint16_t port, uint8_t value)
{
	asm volatile("outb %0, %1" :: "a"(value), "Nd"(port) : "memory");
}

static inline void guest_out16(uint16_t port, uint16_t value)
{
	asm volatile("outw %0, %1" :: "a"(value), "Nd"(port) : "memory");
}

static inline void guest_out32(uint16_t port, uint32_t value)
{
	asm volatile("outl %0, %1" :: "a"(value), "Nd"(port) : "memory");
}

static inline uint8_t guest_in8(uint16_t port)
{
	uint8_t value;

	asm volatile("inb %1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}

static inline uint16_t guest_in16(uint16_t port)
{
	uint16_t value;

	asm volatile("inw %1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}

static inline uint32_t guest_in32(uint16_t port)
{
	uint32_t value;

	asm volatile("inl %1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}

static inline uint64_t guest_rdmsr(uint32_t msr)
{
	uint32_t low, high;

	asm volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
	return (uint64_t)high << 32 | low;
}

static inline void guest_wrmsr(uint32_t msr, uint64_t value)
{
	asm volatile("wrmsr" :: "a"((uint32_t)value), "d"((uint32_t)(value >> 32)), "c"(msr) :
		     "memory");
}

/* Ends the guest: interrupts are off, so that the HLT is for good. */
static inline __attribute__((noreturn)) void guest_halt(void)
{
	for (;;)
		asm volatile("cli; hlt" ::: "memory");
}

/**
 * guest_exit() - end the guest
 * @status: what "vee run" is to exit with; other programs see an OUT, and then HLT
 */
static inline __attribute__((noreturn)) void guest_exit(int status)
{
	guest_out8(GUEST_PORT_EXIT, status);
	guest_halt();
}

#ifdef __x86_64__
/* What the loader left in RDI; 0 if it is vee_load_elf() alone. */
extern unsigned long guest_argument;

/* VMCALL: what it asks for, and with what; the answer. vee_fn(3) is made of these. */
static inline long guest_call(unsigned long what, unsigned long a, unsigned long b,
			      unsigned long c, unsigned long d)
{
	asm volatile("vmcall" : "+a"(what) : "D"(a), "S"(b), "d"(c), "c"(d) : "memory");
	return what;
}
#endif

/* --- print.c --- */

/**
 * guest_print() - printf(3), of the least that is of use, to the console's port
 * @format: %c %s %d %u %x %p %%, the numbers with l or ll, and with a width: %08lx
 */
void guest_print(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* --- memory.c: these the compiler itself may call --- */

void *memcpy(void *to, const void *from, size_t bytes);
void *memmove(void *to, const void *from, size_t bytes);
void *memset(void *to, int byte, size_t bytes);
int memcmp(const void *a, const void *b, size_t bytes);
size_t strlen(const char *string);

#ifndef GUEST_16
/* --- exception.c --- */

/**
 * struct guest_frame - where an exception or an interrupt came
 * @gpr: the general registers, by the number that instructions encode them with. That of
 *	RSP is meaningless
 * @vector: which
 * @error: its error code, or 0
 * @ip: RIP; what is changed here is what is gone back to
 * @cs: CS
 * @flags: RFLAGS
 * @sp: RSP, in 64-bit code alone
 * @ss: SS, likewise
 */
struct guest_frame {
#ifdef __x86_64__
	unsigned long gpr[16];
#else
	unsigned long gpr[8];
#endif
	unsigned long vector;
	unsigned long error;
	unsigned long ip;
	unsigned long cs;
	unsigned long flags;
#ifdef __x86_64__
	unsigned long sp;
	unsigned long ss;
#endif
};

/* Of start64.S and start32.S: a stub a vector, all of which lead to guest_handler. */
extern const char guest_stubs[];
extern void (*guest_handler)(struct guest_frame *frame);

/**
 * guest_catch() - have a function called for exceptions and interrupts
 * @handler: for all 256 vectors; when it returns the guest goes on at @frame's ip. NULL:
 *	the kit's own, which prints what happened and ends the guest
 *
 * Without it an exception is a triple fault. The handler's file must be compiled without
 * floating point, as GUEST_CFLAGS of guest.mk does.
 */
void guest_catch(void (*handler)(struct guest_frame *frame));
#endif

#ifdef __x86_64__
/* --- page.c --- */

/* SDM 3A, "Paging-Structure Entries". */
#define GUEST_PRESENT		0x01UL
#define GUEST_WRITE		0x02UL
#define GUEST_USER		0x04UL
#define GUEST_LARGE		0x80UL

/**
 * guest_map_page() - change one page of 4 KiB of the page tables
 * @gva: linear address; of it the page
 * @gpa: physical address that it is to have; likewise
 * @flags: GUEST_PRESENT and so on; 0: nothing is there any more
 *
 * A page of 2 MiB that it lies in is split.
 *
 * Return: 0, or -1 (GUEST_TABLES tables have been made, and it takes another one; or the
 * tables have a page of 1 GiB there).
 */
int guest_map_page(uintptr_t gva, uint64_t gpa, unsigned long flags);

#define GUEST_TABLES	8

/* --- heap.c --- */

extern char guest_end[];	/* of guest.ld */

/**
 * guest_heap() - give the heap its memory
 * @end: where the memory that the guest may use ends: it has what is between its image and
 *	that
 */
void guest_heap(uintptr_t end);

/**
 * guest_alloc() - memory, all zeros, which is never freed
 * @bytes: how many
 *
 * Return: its address, a multiple of 16; NULL if there is too little.
 */
void *guest_alloc(size_t bytes);
#endif

#endif /* GUEST_H */
