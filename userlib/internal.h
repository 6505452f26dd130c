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
#define CR0_TS		0x8ULL
#define CR0_ET		0x10ULL
#define CR0_NE		0x20ULL
#define CR0_WP		0x10000ULL
#define CR0_AM		0x40000ULL
#define CR0_NW		0x20000000ULL
#define CR0_CD		0x40000000ULL
#define CR0_PG		0x80000000ULL
#define CR4_VME		0x1ULL
#define CR4_DE		0x8ULL
#define CR4_PSE		0x10ULL
#define CR4_PAE		0x20ULL
#define CR4_OSFXSR	0x200ULL
#define CR4_OSXMMEXCPT	0x400ULL
#define CR4_PCIDE	0x20000ULL
#define CR4_SMEP	0x100000ULL
#define CR4_SMAP	0x200000ULL
#define CR4_PKE		0x400000ULL
#define EFER_SCE	0x1ULL
#define EFER_LME	0x100ULL
#define EFER_LMA	0x400ULL
#define EFER_NXE	0x800ULL

#define RFLAGS_CF	0x1ULL
#define RFLAGS_1	0x2ULL	/* always 1 */
#define RFLAGS_PF	0x4ULL
#define RFLAGS_AF	0x10ULL
#define RFLAGS_ZF	0x40ULL
#define RFLAGS_SF	0x80ULL
#define RFLAGS_TF	0x100ULL
#define RFLAGS_IF	0x200ULL
#define RFLAGS_DF	0x400ULL
#define RFLAGS_OF	0x800ULL
#define RFLAGS_IOPL	0x3000ULL
#define RFLAGS_NT	0x4000ULL
#define RFLAGS_RF	0x10000ULL
#define RFLAGS_VM	0x20000ULL
#define RFLAGS_AC	0x40000ULL
#define RFLAGS_VIF	0x80000ULL
#define RFLAGS_VIP	0x100000ULL
#define RFLAGS_ID	0x200000ULL

#define VECTOR_DE	0
#define VECTOR_DB	1
#define VECTOR_BR	5
#define VECTOR_UD	6
#define VECTOR_DF	8
#define VECTOR_TS	10
#define VECTOR_NP	11
#define VECTOR_SS	12
#define VECTOR_GP	13
#define VECTOR_PF	14
#define VECTOR_AC	17
#define VECTOR_MC	18

/* SDM 3A, "Paging-Structure Entries", the same in all paging modes. */
#define ENTRY_PRESENT	0x1ULL
#define ENTRY_WRITE	0x2ULL
#define ENTRY_USER	0x4ULL
#define ENTRY_ACCESSED	0x20ULL
#define ENTRY_DIRTY	0x40ULL
#define ENTRY_LARGE	0x80ULL
#define ENTRY_NO_EXECUTE (1ULL << 63)

/* SDM 3A, "Page-Fault Exceptions", table of error-code bits. */
#define PF_PRESENT	0x1U
#define PF_WRITE	0x2U
#define PF_USER		0x4U
#define PF_RESERVED	0x8U
#define PF_FETCH	0x10U
#define PF_PK		0x20U

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

/* --- template.c --- */

/* What is known of a slot's pool; for free(3). NULL: no memory. */
struct known;

struct known *known_make(void);
/* The page of the pool with this number was located to be written, and so copied if need be. */
void known_locate(struct known *known, uint64_t number);
/* VEE_TEMPLATE_LOCATE */
int template_locate(const struct vee_vm *vm, uint64_t gpa, bool write, uint8_t **hva);
/*
 * As vee_vm_template_reset(): with more than @most pages in the pool it is free then, else they
 * are copied anew and stay there.
 */
int template_put_back(const struct vee_vm *vm, uint64_t gpa, unsigned int most);
/* The pages of the pool, each to where it is in the slot, of which @memory is a copy. */
int template_copy_out(const struct vee_vm *vm, uint64_t gpa, uint8_t *memory);

/* --- snapshot/fork.c: the memory of a VM of vee_vm_fork() --- */

struct fork;

void fork_free(struct fork *fork);
/* Is this one of its pools? @fork may be NULL. */
bool fork_owns(const struct fork *fork, const uint8_t *pool);
/*
 * What of @vm's memory is a template, because it is a fork, is memory like any other from then
 * on. None of its vCPUs runs.
 */
int fork_settle(struct vee_vm *vm);

/* --- vm.c --- */

/* A descriptor of /dev/vee, or -errno. */
int open_device(void);

/* As VEE_VM_MAP counts: a range that the guest may use for @access. */
void *vm_at_for(const struct vee_vm *vm, uint64_t gpa, size_t bytes,
		unsigned int access);
/*
 * Likewise, in *@hva; NULL: there is none. Of a slot with a template with @write where it may be
 * written. 0, or as VEE_TEMPLATE_LOCATE.
 */
int vm_find(const struct vee_vm *vm, uint64_t gpa, size_t bytes, unsigned int access,
	    bool write, uint8_t **hva);
/* What the slot with @gpa has of vee_vm_map_template(). False: there is no such slot. */
struct vm_template {
	uint64_t gpa;
	const uint8_t *hva;
	uint8_t *pool;
	uint64_t pool_bytes;
	struct known *known;
};

bool vm_template(const struct vee_vm *vm, uint64_t gpa, struct vm_template *template);
unsigned int vm_page_bytes(const struct vee_vm *vm);
unsigned int vm_xsave_bytes(const struct vee_vm *vm);
unsigned int vm_gpa_bits(const struct vee_vm *vm);
/* Likewise, in as many slots as it takes. */
bool vm_has(const struct vee_vm *vm, uint64_t gpa, uint64_t bytes,
	    unsigned int access);
int vm_zero(const struct vee_vm *vm, uint64_t gpa, uint64_t bytes);
/* How many ranges there are of which somebody wants to know what is written. */
unsigned int *vm_dirty_ranges(struct vee_vm *vm);
/* Has each of its vCPUs a local APIC? */
bool vm_has_apics(const struct vee_vm *vm);

unsigned int vm_flags(const struct vee_vm *vm);
/* By vee_vcpu_create() and _destroy(): what vee_vm_vcpu() gives. */
void vm_set_vcpu(struct vee_vm *vm, unsigned int id, struct vee_vcpu *vcpu);
/* How many there are of these. */
unsigned int vm_vcpu_count(const struct vee_vm *vm);
/*
 * The sum of vee_vcpu_page.copies, which is another one after each copy that they tell of. 0:
 * that can't be told.
 */
uint64_t vm_copies(const struct vee_vm *vm);
/* What is for fork_free(), once the VM has gone. */
struct fork **vm_fork(struct vee_vm *vm);
/*
 * Which snapshot the VM was like last: what the kernel says has been written, has been
 * since then. 0: none.
 */
uint64_t *vm_since(struct vee_vm *vm);

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

/* All of its memory. @pool: what it has is not at one address, @hva is its template's */
struct vm_slot {
	uint64_t gpa;
	uint64_t bytes;
	uint8_t *hva;
	unsigned int access;
	uint8_t *pool;
};

/* Ascending; *@slots is for free(3). Returns how many, or -ENOMEM. */
int vm_all_slots(const struct vee_vm *vm, struct vm_slot **slots);
/* Likewise, or -EOPNOTSUPP: one has a template; *@slots is NULL then. */
int vm_slots(const struct vee_vm *vm, struct vm_slot **slots);
/* Has it just these, wherever their memory is? */
bool vm_slots_are(const struct vee_vm *vm, const struct vm_slot *slots, size_t count);
/* As vee_vm_map(), of a mapping that is the VM's from then on, and ends with it. */
int vm_map_owned(struct vee_vm *vm, uint64_t gpa, void *hva, size_t bytes,
		 unsigned int access);

/* --- save/features.c --- */

/* Registers of CPUID that say what the CPU has. */
#define FEATURE_WORDS	9

void features_of(const struct vee_cpuid_entry *entries, unsigned int count,
		 uint32_t features[FEATURE_WORDS]);

/* --- dirty.c --- */

/* After the library has written there for the guest. Without such ranges it is nothing. */
void vm_mark(const struct vee_vm *vm, uint64_t gpa, uint64_t bytes);

/* --- page.c: pages, at page boundaries --- */

void copy_page(uint8_t *to, const uint8_t *from);
/* It is one of these, by what the CPU has: SSE2, AVX, AVX-512. */
void copy_by_16(uint8_t *to, const uint8_t *from);
void copy_by_32(uint8_t *to, const uint8_t *from);
void copy_by_64(uint8_t *to, const uint8_t *from);
bool page_is_zero(const uint8_t *page);

/* --- vcpu.c, state.c --- */

/* As vee_vcpu_load(), of a state that vee_vcpu_save() made, but for the answers to CPUID. */
int vcpu_load(struct vee_vcpu *vcpu, const struct vee_vcpu_state *state);

/* A run gave @err, which is kept for vee_explain(); and which it was. @err */
int run_failed(struct vee_vcpu *vcpu, int err);
/* An ioctl(2) that returns -errno. */
int vee_request(int fd, unsigned long request, void *arg);
/* VEE_VCPU_RUN alone, likewise, by fsync(2): enter.c. */
int run_request(int fd);

/* Sets a general register as an instruction does: @bytes 1 and 2 merge. */
void set_gpr(struct vee_vcpu *vcpu, unsigned int reg, unsigned int bytes,
	     uint64_t value);
/* Need none of @groups be fetched? */
static inline bool vcpu_has(const struct vee_vcpu *vcpu, unsigned int groups)
{
	return !(groups & ~(vcpu->page->valid | vcpu->page->dirty));
}

/* Where the standard format of XSAVE has a component's state; 0: this CPU has none. */
unsigned int xsave_offset(unsigned int component);
void set_flat_segments(struct vee_vcpu *vcpu, uint16_t cs, uint16_t ds,
		       unsigned int code_bits);

/* --- explain/exits.c: around a run of a vCPU whose exits are kept --- */

void exits_begin(struct vee_vcpu *vcpu);
/* It has ended with an exit. */
void exits_end(struct vee_vcpu *vcpu);

/* --- answer.c --- */

/* What an exception keeps from delivery waits again, as the engine has it. */
void event_put_back(struct vee_events *events, const struct vee_event *event);

/* --- apic.c --- */

/* What is before a device's function, @fn for @arg, where there are local APICs. */
struct apic_front {
	struct vee_vcpu *vcpu;
	vee_mmio_fn fn;
	void *arg;
};

/* A vee_mmio_fn: what is @vcpu's APIC's is done there, all else is @fn's. @arg: a front */
int apic_touch(void *arg, uint64_t gpa, void *data, unsigned int bytes, bool write);

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

/* --- guest.c, walk.c, segment.c: memory as an instruction reaches it --- */

struct insn;

#define PATH_LEVELS	4

/*
 * What the last walk of the guest's tables came by: @entries from the top on, the last
 * one that which ended it. In PAE paging @has_pdpte, a register, comes before.
 */
struct guest_path {
	uint64_t gva;
	bool has_pdpte;
	uint64_t pdpte;
	unsigned int count;
	struct guest_entry {
		uint64_t gpa;
		uint64_t value;
	} entries[PATH_LEVELS];
};

/*
 * An instruction under way, for whoever accesses memory for it.
 * @exit: what it was stopped by, if that was memory
 * @fn: devices' memory, for @arg; NULL: there is none
 * @mode: 2, 4 or 8: bytes of a default address in the code segment
 * @traps: RFLAGS.TF was set when it began
 * @hits: where to note the breakpoints that it meets, as pending debug exceptions;
 *	NULL: none is enabled
 * @path: NULL: the access is made. Otherwise nothing changes in memory, neither data nor
 *	flags, nor outside of @vcpu's page, and this is what the last walk came by
 */
struct guest {
	struct vee_vcpu *vcpu;
	const struct insn *insn;
	const struct vee_exit_memory *exit;
	vee_mmio_fn fn;
	void *arg;
	unsigned int mode;
	bool traps;
	uint64_t *hits;
	struct guest_path *path;
};

/* Segment registers by number, as instructions encode them. */
enum segment_number { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEG_COUNT };

/*
 * A piece of guest memory that an instruction touches: one part, or two if it
 * crosses into another page. @read and @write are NULL where it is for @fn.
 */
struct guest_part {
	uint8_t *read;
	uint8_t *write;
	uint64_t gpa;
	unsigned int bytes;
};

struct guest_span {
	unsigned int count;
	struct guest_part part[2];
};

/* The instruction faults: the event is in the page, and that completes it. */
#define GUEST_FAULTED	1

/* Besides VEE_READ and VEE_WRITE: the CPU's own, to a descriptor table for example. */
#define GUEST_IMPLICIT	0x100U
/* Likewise: by the level that an event takes the CPU to, which is not 3. */
#define GUEST_INNER	0x200U

/*
 * Finds the @bytes (up to a page) at @gva for VEE_READ, VEE_WRITE or both, as the
 * instruction at hand would, or for VEE_EXECUTE. 0, GUEST_FAULTED, -errno.
 */
int guest_find(const struct guest *guest, uint64_t gva, unsigned int bytes,
	       unsigned int access, struct guest_span *span);
/* The same at an offset in a segment, which is checked, and so is alignment to @align. */
int guest_find_in(const struct guest *guest, unsigned int segment, uint64_t offset,
		  unsigned int bytes, unsigned int access, unsigned int align,
		  struct guest_span *span);
/* Slots that allow @access, all of it. */
bool span_is_memory(const struct guest_span *span, unsigned int access);
/* To another place in the same page. */
void span_move(struct guest_span *span, int64_t bytes);
/* Its first @bytes; 0, or what the device's function returned. */
int guest_read(const struct guest *guest, const struct guest_span *span, void *data,
	       unsigned int bytes);
int guest_write(const struct guest *guest, const struct guest_span *span, const void *data,
		unsigned int bytes);
/* Both at once, of the CPU's own. */
int guest_read_at(const struct guest *guest, uint64_t gva, void *data, unsigned int bytes);
int guest_write_at(const struct guest *guest, uint64_t gva, const void *data,
		   unsigned int bytes);

/* The groups that all but the simplest accesses need. */
int guest_sync(const struct guest *guest);
bool guest_is_protected(const struct guest *guest);	/* and not virtual-8086 mode */
bool guest_is_virtual_8086(const struct guest *guest);
unsigned int guest_iopl(const struct guest *guest);
unsigned int guest_cpl(const struct guest *guest);

#define DPL_SHIFT	5	/* of access rights */

static inline unsigned int rights_dpl(uint32_t rights)
{
	return (rights & VEE_AR_DPL) >> DPL_SHIFT;
}

/* Injects @vector, with an error code. */
int guest_fault(const struct guest *guest, unsigned int vector, uint32_t error);
bool guest_checks_alignment(const struct guest *guest);
bool guest_is_canonical(const struct guest *guest, uint64_t gva, uint64_t bytes);

/*
 * One page of it, for VEE_EXECUTE too: to a guest-physical address, with flags set.
 * 0, GUEST_FAULTED, -errno.
 */
int guest_walk(const struct guest *guest, uint64_t gva, unsigned int access, uint64_t *gpa);

/* Those at CR3, as if it were written: #GP for reserved bits. Likewise. */
int guest_check_pdptes(const struct guest *guest);

struct vee_segment *guest_segment(const struct guest *guest, unsigned int segment);
/* 0 where 64-bit mode says so; the segments must be valid unless it does. */
uint64_t guest_base(const struct guest *guest, unsigned int segment);
/* In 64-bit mode the bases of CS, DS, ES and SS count as 0. */
static inline bool guest_needs_base(const struct guest *guest, unsigned int segment)
{
	return guest->mode != 8 || segment == SEG_FS || segment == SEG_GS;
}

/* Outside 64-bit mode: usable, and the limit; not the type. */
bool segment_reaches(const struct vee_segment *segment, uint64_t offset, uint64_t bytes);
/* Limits, or canonical form; not the type. */
bool guest_reaches(const struct guest *guest, unsigned int segment, uint64_t offset,
		   uint64_t bytes);
/* As the CPU checks an access before it looks for its page. 0, GUEST_FAULTED. */
int guest_check_segment(const struct guest *guest, unsigned int segment, uint64_t offset,
			uint64_t bytes, unsigned int access);
uint64_t guest_linear(const struct guest *guest, unsigned int segment, uint64_t offset);

/* --- task/switch.c --- */

/* SDM 3C, "Exit Qualification for Task Switches": by what. */
enum task_source { TASK_BY_CALL, TASK_BY_IRET, TASK_BY_JMP, TASK_BY_GATE };

/*
 * A switch that made no exit of its own: TASK_BY_GATE of what events.delivering has, by a
 * task gate of the IDT. @instruction_length: of the instruction, or of the event's. 0 also
 * if it faults; -EOPNOTSUPP: nobody can take that, or a TSS is a device's.
 */
int task_switch(const struct guest *guest, enum task_source source, uint16_t selector,
		unsigned int instruction_length);

/* --- trap.c: what the CPU would have trapped on --- */

/* The rest of what follows, with breakpoints. */
int trap_arm(struct guest *guest, uint64_t *hits);
int trap_note(const struct guest *guest);

/* Before an instruction: is there a breakpoint that it could meet? @hits is then used. */
static inline int trap_begin(struct guest *guest, uint64_t *hits)
{
	const struct vee_vcpu_page *page = guest->vcpu->page;

	guest->traps = page->regs.rflags & RFLAGS_TF;
	return page->exit.flags & VEE_EXIT_BREAKPOINTS ? trap_arm(guest, hits) : 0;
}

/* It is done, and vee_done() sees to a single step. */
static inline int trap_done(const struct guest *guest)
{
	return guest->hits ? trap_note(guest) : 0;
}

/* It accesses @bytes of linear addresses, or ports (SDM 3B, "Debug Registers"). */
void trap_access(const struct guest *guest, uint64_t gva, unsigned int bytes,
		 unsigned int access);
void trap_port(const struct guest *guest, uint16_t port, unsigned int bytes);
/* Must each iteration of a REP be looked at? */
bool trap_watches(const struct guest *guest);
/* An instruction is done: blocking by STI and MOV SS ends. The events are here then. */
int trap_unblock(const struct guest *guest);
/* It is done, like trap_done(), where that doesn't: after what has another RIP. */
int trap_step(const struct guest *guest, bool branches);
/* Likewise: after an iteration of a REP that is not the last. */
int trap_between(const struct guest *guest);

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
