/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fuzzer of guests: what differs between vee and KVM, what it comes from, and what is printed
 * of it.
 */
#ifndef LAB_FUZZ_GUEST_COMPARE_H
#define LAB_FUZZ_GUEST_COMPARE_H

#include "fuzz_guest.h"

/* The memory of the guest under vee, and of the one under KVM. */
extern uint8_t *memory_vee, *memory_kvm;

/**
 * struct difference - between what came of a guest under vee and under KVM
 * @what: which is the first of it
 */
struct difference {
	const struct guest *g;
	const char *what;
	struct trail *vee, *kvm;
};

/**
 * struct known - a difference that is none of vee's
 * @name: what it is called in the counts
 * @is: is it that, and nothing beside it?
 */
struct known {
	const char *name;
	bool (*is)(const struct difference *d);
	unsigned int count;
};

/**
 * struct kept - both guests' memory, while another runs in its place
 */
struct kept {
	uint8_t of_vee[RAM_BYTES], of_kvm[RAM_BYTES];
};

/**
 * struct tally - how many
 * @compared: guests that came to an end under both
 * @partly: of which what was before could be compared
 * @left: that differed by what guests before had left in KVM, and alone no longer did
 * @differ: without a reason that is known
 */
struct tally {
	unsigned long guests, wild, compared, partly, refused, exits, left, differ;
	unsigned long stops[END_REFUSED + 1];
};

/* --- comparison: fuzz_guest_compare.c --------------------------------------------------- */

const struct step *last_step(const struct trail *trail);
/* Did it come to an end by itself, that all can be asked of? */
bool has_end(const struct trail *trail);
bool same_bus(const struct trail *a, const struct trail *b, unsigned int count);
/* NULL: nothing. Where one has not come to an end what it has done until then is compared. */
const char *trails_differ(struct trail *a, struct trail *b);
/* ... and of memory. */
const char *find_difference(struct trail *vee, struct trail *kvm);

/* --- what a difference comes from: likewise --------------------------------------------- */

#define DR6_BS	0x4000ULL
#define INSN_MOST	15
#define NO_MORE	-1
#define REG(n)	(0x100 | (n) << 3)	/* of ModRM */

void keep(struct kept *kept);
void give_back(const struct kept *kept);
void run_both(const struct guest *g, struct trail *vee, struct trail *kvm);
/* A copy of what came of KVM's, to be mended in one point: then nothing differs. */
struct trail *copy_of(const struct trail *kvm);
void drop_beats(struct trail *trail, unsigned int first, unsigned int count);

/**
 * struct went - where vee has gone to memory that is none
 * @device: to the device, which is memory for the CPU
 * @beyond: or to what there is nothing at for the CPU either
 */
struct went {
	bool device;
	bool beyond;
};

/*
 * Does the CPU do, where the device is memory, what vee has done with the device? @plain: what
 * the CPU does there.
 */
bool run_plain(const struct guest *g, struct trail *plain, struct went *went);
bool is_as_plain(const struct guest *g, struct went *went);
/* It does, and vee has gone there: then it's KVM that has not. */
bool is_right(const struct guest *g);
/* Likewise where it is right not to go there. */
bool is_right_without(const struct guest *g);
/* ... with HLT at @gpa, behind what is asked about. */
bool is_right_until(const struct guest *g, uint32_t gpa);
/* The first of the bus that is not the same, or as many as there are of the shorter one. */
unsigned int first_beat(const struct trail *a, const struct trail *b);
/* As is_right(), though it has gone beyond the device, too, but not where they part. */
bool is_right_there(const struct difference *d);
/* Likewise; or they part beyond the device, where it is vee's alone. */
bool is_right_or_beyond(const struct difference *d);

/*
 * With HLT at @gpa, or UD2 where HLT does what the instruction has done (#GP at CPL 3): does vee
 * come to it, and nothing differ?
 */
bool is_same_until(const struct difference *d, uint32_t gpa);
/* The second byte of an opcode: as it is, by REG() a field of ModRM, NO_MORE: whatever. */
bool is_second(uint8_t byte, int second);
/*
 * Is it an instruction of that opcode where they part? In the guest's code, where vee was then,
 * or in real mode's interrupt table, which has most: who has jumped to what is before it gets
 * there.
 */
bool part_at(const struct difference *d, uint8_t first, int second);
/* Did it come to the handler of @vector? */
bool is_at(const struct trail *trail, unsigned int vector);
/* What is behind the prefixes at @gpa. */
uint32_t skip_prefixes(uint32_t gpa);
/* How long is the instruction there? 0: it is none. */
unsigned int length_at(const struct guest *g, uint32_t gpa);
/* Where the handler of a fault would go back to; @has_code: an error code, not in real mode. */
uint32_t fault_at(const struct trail *trail, const uint8_t *memory, bool has_code);
/* What vee makes of @mended KVM has made of @g already; but for what is known of @mended. */
bool is_as_if(const struct guest *g, const struct guest *mended);
/* What vee has made of the guest it makes of @mended, too, and then KVM as well. */
bool does_as_if(const struct difference *d, const struct guest *mended);
/* Does nothing differ of @g? Or nothing with HLT at @gpa, behind what is asked about? */
bool is_alike(const struct guest *g);
bool is_alike_until(const struct guest *g, uint32_t gpa);
/* After HLT a trap is still to be taken; KVM has it in DR6 as soon as that is asked for. */
bool is_hlt_step(const struct difference *d);

/* --- differences that have a reason: fuzz_guest_knowns.c -------------------------------- */

/* To the one without a name. */
extern struct known knowns[];
/* NULL: none is it. */
struct known *find_known(const struct difference *d);
/* In fuzz_guest_undefined.c. */
bool is_undefined_flag(const struct difference *d);
bool is_undefined_shift(const struct difference *d);
/* One that two runs under vee may have, too. */
bool is_dr_shutdown(const struct difference *d);

/* --- what is told: fuzz_guest_tell.c ---------------------------------------------------- */

void tell_guest(const struct guest *g);
void tell_trail(const char *who, const struct trail *trail);
/* A guest, and what came of it. @what: differs, if anything. @known: why */
void tell_all(const struct guest *g, const char *what, const struct known *known,
	      const struct trail *vee, const struct trail *kvm);
/* @first: the first guest's seed. @took: seconds */
void tell_tally(const struct tally *tally, uint64_t first, double took);

#endif /* LAB_FUZZ_GUEST_COMPARE_H */
