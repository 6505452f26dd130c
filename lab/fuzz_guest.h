/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fuzzer of guests: what a guest is made of, what came of it, and who runs it. Both sides
 * speak in the structs of <linux/vee.h>. What is asked of a difference is in
 * fuzz_guest_compare.h.
 */
#ifndef LAB_FUZZ_GUEST_H
#define LAB_FUZZ_GUEST_H

#include <stdbool.h>
#include <stdint.h>

#include <vee.h>

#include "machine.h"

#define CODE_BYTES	64
#define XSAVE_BYTES	4096
#define STEPS_MAX	24	/* exits that are compared, of one guest */
#define BUS_MAX		2048	/* bytes to and from ports and devices, likewise */
#define EXITS_MAX	1024	/* of one guest under vee */
#define BUS_MORE	256	/* what one may have of them over the other, until it has enough */
#define PATIENCE_NS	2000000	/* how long a guest may keep from any exit */
#define GPA_MMIO	RAM_BYTES	/* a device... */
#define MMIO_BYTES	0x10000U
#define MMIO_PAGES	4	/* ...of which so many pages are in the page tables */

/* What a guest stops for: it goes on, or that was its end. */
enum stop {
	GO_PORT,	/* IN, OUT */
	GO_RDMSR,
	GO_WRMSR,
	END_HLT,
	END_SHUTDOWN,
	END_REFUSED_ENTRY,	/* the VM entry failed */
	END_LOOP,	/* it goes on without */
	END_ENOUGH,	/* exits without end */
	END_CANNOT,	/* an instruction that the engine, or libvee, does not do for a guest */
	END_REFUSED,	/* the engine does not take that state */
};

/**
 * struct state - registers
 * @xsave: at the beginning and at the end alone, as are @debug and @msrs
 */
struct state {
	struct vee_regs regs;
	struct vee_segments segments;
	struct vee_control control;
	struct vee_debug debug;
	struct vee_msrs msrs;
	uint32_t blocking;	/* by STI and MOV SS */
	uint64_t debugctl;
	uint8_t xsave[XSAVE_BYTES] __attribute__((aligned(64)));
};

/**
 * struct step - one stop
 * @what: a port and its width, an MSR, an error
 * @bus: how many bytes had gone over the bus before
 */
struct step {
	enum stop stop;
	uint64_t what;
	uint64_t value;
	unsigned int bus;
	struct vee_regs regs;
	struct vee_segments segments;
	struct vee_control control;
	uint32_t blocking;
};

/**
 * struct beat - a byte to or from a port or a device
 * @rip: linear address of the instruction, under vee; 0 under KVM
 */
struct beat {
	uint64_t address;
	uint64_t rip;
	uint8_t byte;
	bool is_port;
	bool is_write;
};

/**
 * struct trail - what came of a guest
 * @rip: of beats to come
 */
struct trail {
	struct step steps[STEPS_MAX];
	unsigned int step_count;
	struct beat bus[BUS_MAX];
	unsigned int bus_count;
	uint64_t rip;
	struct state end;
};

/**
 * struct start - what a guest begins with
 * @memory: RAM_BYTES
 * @inject: an event before its first instruction
 */
struct start {
	const uint8_t *memory;
	struct state state;
	struct vee_event inject;
};

/**
 * struct guest - what is made of a seed
 * @bytes: of @code
 * @is_wild: under vee alone
 */
struct guest {
	uint64_t number;
	enum mode mode;
	struct kind kind;
	struct start start;
	uint8_t code[CODE_BYTES];
	unsigned int bytes;
	bool is_wild;
};

/**
 * struct engine - who runs a guest
 * @open: once, with its memory
 * @renew: what guests may have left is gone
 * @run: from @start on. @guide is the trail of another engine, or NULL
 */
struct engine {
	const char *name;
	void (*open)(uint8_t *memory);
	void (*renew)(void);
	void (*run)(const struct start *start, struct trail *trail, const struct trail *guide);
};

extern const struct engine engine_vee, engine_kvm;
/* vee again, but what is a device to others is memory to it, @device: the CPU does it all. */
extern const struct engine engine_plain;
extern uint8_t device[MMIO_BYTES];

/* For states that KVM has no means to make: fields of the VMCS besides. */
void vee_write_field(uint32_t encoding, uint64_t value);
void vee_run_wild(struct trail *trail, bool kicked);
int vee_load_start(const struct start *start);
struct vee_vcpu *vee_scratch(void);

/* --- a guest from its seed: fuzz_guest_make.c ------------------------------------------- */

/* Once, before any guest: what their data are a part of. */
void make_values(void);
/* Guest @number, whose memory is then in pristine. */
void make_guest(struct guest *g, uint64_t number);
/* One that is wild: with fields of its VMCS, by the numbers that come after its seed's. */
void run_wild(struct guest *g, struct trail *trail);

/* --- what both guests are told: fuzz_guest_bus.c ---------------------------------------- */

int touch_memory(void *trail, uint64_t gpa, void *data, unsigned int bytes, bool write);
int touch_port(void *trail, uint16_t port, void *data, unsigned int bytes, bool write);
/* Which KVM keeps to itself, and has no use for: #GP. */
bool is_x2apic(uint32_t index);
/* Of MSRs that no engine has: false: #GP. */
bool msr_answer(uint32_t index, uint64_t *value);
/* Code that does nothing, and HLT: for each page once, in protected mode. */
void make_touch(uint8_t *page);
/* The next step, to be filled in; NULL: that was enough. */
struct step *next_step(struct trail *trail, enum stop stop, uint64_t what, uint64_t value);
/* @g, with the device as at first. @guide is the trail of another engine, or NULL. */
void run_on(const struct engine *engine, const struct guest *g, struct trail *trail,
	    const struct trail *guide);

#endif /* LAB_FUZZ_GUEST_H */
