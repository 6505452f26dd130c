/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libvee: what its files know of each other. */
#ifndef VEE_INTERNAL_H
#define VEE_INTERNAL_H

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "vee.h"

#define PAGE_BYTES	4096ULL
#define PAGE_OFFSET	(PAGE_BYTES - 1)

#define MIB		0x100000ULL
#define GIB		0x40000000ULL

/* Between these a PC has video memory and firmware, not memory for programs. */
#define LEGACY_HOLE		0xa0000ULL
#define LEGACY_HOLE_END		0x100000ULL

#define CR0_PE		0x1ULL
#define CR0_MP		0x2ULL
#define CR0_ET		0x10ULL
#define CR0_NE		0x20ULL
#define CR0_WP		0x10000ULL
#define CR0_PG		0x80000000ULL
#define CR4_PAE		0x20ULL
#define CR4_OSFXSR	0x200ULL
#define CR4_OSXMMEXCPT	0x400ULL
#define CR4_SMAP	0x200000ULL
#define EFER_LME	0x100ULL
#define EFER_LMA	0x400ULL

#define RFLAGS_CF	0x1ULL
#define RFLAGS_1	0x2ULL	/* always 1 */
#define RFLAGS_PF	0x4ULL
#define RFLAGS_AF	0x10ULL
#define RFLAGS_ZF	0x40ULL
#define RFLAGS_SF	0x80ULL
#define RFLAGS_DF	0x400ULL
#define RFLAGS_OF	0x800ULL
#define RFLAGS_VM	0x20000ULL
#define RFLAGS_AC	0x40000ULL

#define VECTOR_DE	0
#define VECTOR_SS	12
#define VECTOR_GP	13
#define VECTOR_PF	14

/* The numbers that instructions encode the registers with. */
enum gpr { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI };

static inline uint64_t low_bits(unsigned int bytes)
{
	return bytes >= 8 ? ~0ULL : (1ULL << (bytes * 8)) - 1;
}

static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Does start..start + bytes stay within limit, without wrapping on the way? */
static inline bool within(uint64_t start, uint64_t bytes, uint64_t limit)
{
	return start <= limit && bytes <= limit - start;
}

/* --- vm.c --- */

/* A descriptor of /dev/vee, or -errno. */
int open_device(void);

/* As VEE_VM_MAP counts: a range that the guest may use for @access. */
void *vm_at_for(const struct vee_vm *vm, uint64_t gpa, size_t bytes,
		unsigned int access);
unsigned int vm_page_bytes(const struct vee_vm *vm);
unsigned int vm_xsave_bytes(const struct vee_vm *vm);
/* Likewise, in as many slots as it takes. */
bool vm_has(const struct vee_vm *vm, uint64_t gpa, uint64_t bytes,
	    unsigned int access);
int vm_zero(const struct vee_vm *vm, uint64_t gpa, uint64_t bytes);

/* Memory that the guest may read and write, ranges that touch joined. */
struct range {
	uint64_t gpa;
	uint64_t end;
};

/*
 * Ascending, with room for two more; *@ranges is for free(3). Returns how many,
 * or -ENOMEM.
 */
int vm_ram(const struct vee_vm *vm, struct range **ranges);

/* --- vcpu.c, state.c --- */

/* An ioctl(2) that returns -errno. */
int vee_request(int fd, unsigned long request, void *arg);

/* Sets a general register as an instruction does: @bytes 1 and 2 merge. */
void set_gpr(struct vee_vcpu *vcpu, unsigned int reg, unsigned int bytes,
	     uint64_t value);
void set_flat_segments(struct vee_vcpu *vcpu, uint16_t cs, uint16_t ds,
		       unsigned int code_bits);

/* --- post.c --- */

/*
 * What a VM has for it. @ring is NULL until something may be posted; @lock is for
 * those who look at it.
 */
struct post_office {
	int vm_fd;
	pthread_mutex_t lock;
	struct vee_post_ring *ring;
};

void post_init(struct post_office *office, int vm_fd);
void post_destroy(struct post_office *office);
struct post_office *vm_post_office(struct vee_vm *vm);

/* --- guest.c --- */

/*
 * A piece of guest memory that an instruction touches: one part, or two if it
 * crosses into another page. @hva is NULL where no slot is.
 */
struct guest_part {
	void *hva;
	uint64_t gpa;
	unsigned int bytes;
};

struct guest_span {
	unsigned int count;
	struct guest_part part[2];
};

/* The instruction faults: the event is in the page, and that completes it. */
#define GUEST_FAULTED	1

/*
 * Finds the @bytes (up to a page) at @gva for VEE_READ or VEE_WRITE, as the
 * instruction at hand would at its privilege level. 0, GUEST_FAULTED, -errno.
 */
int guest_find(struct vee_vcpu *vcpu, uint64_t gva, unsigned int bytes,
	       unsigned int access, struct guest_span *span);
/* Injects @vector, with the error code 0. */
int guest_fault(struct vee_vcpu *vcpu, unsigned int vector);
/* A range of guest-linear addresses: SDM 1, "Canonical Addressing"; 48 bits. */
bool guest_is_canonical(uint64_t gva, uint64_t bytes);
bool guest_is_memory(const struct guest_span *span);
void guest_copy_out(const struct guest_span *span, void *buf);
void guest_copy_in(const struct guest_span *span, const void *buf);

/* How many elements of a string instruction lie in the page of the first. */
uint64_t string_batch(uint64_t gva, uint64_t offset, unsigned int address_width,
		      unsigned int width, bool down);
/* Moves RSI or RDI past @count elements, or takes @count off RCX. */
void string_advance(struct vee_vcpu *vcpu, unsigned int reg,
		    unsigned int address_width, unsigned int width,
		    uint64_t count);
void string_count_down(struct vee_vcpu *vcpu, unsigned int address_width,
		       uint64_t count);

#endif /* VEE_INTERNAL_H */
