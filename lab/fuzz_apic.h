/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fuzzer of local APICs: what a guest does, what came of it, and who runs it. State is as in
 * struct vee_apic, whose it is.
 */
#ifndef LAB_FUZZ_APIC_H
#define LAB_FUZZ_APIC_H

#include <stdbool.h>
#include <stdint.h>

#include <vee.h>

#include "machine.h"

#define GPA_PD_APIC	0x10000U	/* of 3 to 4 GiB */
#define GPA_OPS		0x11000U
#define GPA_RESULTS	0x12000U	/* 8 bytes for each of them */
#define GPA_TAKEN	0x12800U	/* struct taken, in their order */
#define GPA_VECTORS	0x13000U	/* a stub for each */
#define STUB_BYTES	8
#define OPS_MAX		40
#define TAKEN_MAX	64

#define PORT_END	0x10	/* the guest is done */
#define PORT_MESSAGE	0x11	/* the host sends one: EAX is where the struct op is */
#define PORT_FAULT	0x12	/* an exception that is none of #GP */

#define APIC_PAGE	0xfee00000U
#define MSR_APIC_BASE	0x1bU
#define MSR_DEADLINE	0x6e0U
#define MSR_X2APIC	0x800U
#define BASE_BSP	0x100ULL
#define BASE_X2APIC	0x400ULL
#define BASE_ENABLED	0x800ULL

/* SDM 3A, "Local APIC Register Address Map" */
enum { ID = 0x020, VERSION = 0x030, TPR = 0x080, ARBITRATION = 0x090, PPR = 0x0a0, EOI = 0x0b0,
	REMOTE = 0x0c0, LDR = 0x0d0, DFR = 0x0e0, SVR = 0x0f0, ISR = 0x100, TMR = 0x180,
	IRR = 0x200, ESR = 0x280, ICR = 0x300, ICR_HIGH = 0x310, LVT_TIMER = 0x320,
	LVT_THERMAL = 0x330, LVT_PERFORMANCE = 0x340, LVT_LINT0 = 0x350, LVT_LINT1 = 0x360,
	LVT_ERROR = 0x370, INITIAL_COUNT = 0x380, CURRENT_COUNT = 0x390, DIVIDE = 0x3e0,
	SELF_IPI = 0x3f0 };

#define LOGICAL_NUMBER	0xff000000U	/* in LDR */
#define LVTS		6
#define LVT_MASKED	0x10000U
#define LVT_DEADLINE	0x40000U
#define SVR_ON		0x100U
#define DELIVERY_MODE	0x700U
#define MODE_LOWEST	0x100U
#define MODE_SMI	0x200U
#define MODE_NMI	0x400U
#define MODE_INIT	0x500U
#define LEVEL_TRIGGERED	0x8000U
#define LEVEL_ASSERT	0x4000U
#define ICR_SELF	0x40000U
#define ICR_SHORTHAND	0xc0000U
#define FIRST_VECTOR	16U
#define NMI		2
#define RESET_CS	0xf000

/* What a guest can do; the order of its code's table, see fuzz_apic_guest.c. */
enum deed { NOTHING, END, LOAD, STORE, RDMSR, WRMSR, FROM_CR8, TO_CR8, OPEN, MESSAGE, LOAD_BYTE,
	STORE_BYTE, LOAD_WORD, STORE_WORD, LOAD_LONG, STORE_LONG, DEEDS };

/**
 * struct op - one deed
 * @where: an address, an MSR; MESSAGE: its address
 * @value: that is written; MESSAGE: its data; OPEN: handlers write to EOI
 */
struct op {
	uint32_t deed;
	uint32_t where;
	uint64_t value;
};

/**
 * struct guest - what is made of a seed
 * @base: IA32_APIC_BASE at first
 * @svr: the spurious-interrupt vector register, likewise
 */
struct guest {
	uint64_t number;
	uint64_t base;
	uint32_t svr;
	unsigned int count;
	struct op ops[OPS_MAX];
};

/* What a result is, and not a value, of an op that was #GP. */
#define RESULT_GP	0xbadbad0000000000ULL

/**
 * struct taken - an interrupt, as its handler has noted it
 * @at: after which op, an address
 */
struct taken {
	uint32_t vector;
	uint32_t at;
};

enum end { IS_OPEN, HAS_ENDED, HAS_FAULTED, IS_RESET, IS_SHUTDOWN, IS_ENDLESS, IS_STUCK };

/**
 * struct outcome - what came of a guest
 * @what: an engine's own word for IS_STUCK
 * @cr8: CR8, as the engine has it
 * @apic: its local APIC
 */
struct outcome {
	enum end end;
	uint64_t what;
	struct vee_regs regs;
	uint64_t cr8;
	uint64_t results[OPS_MAX];
	struct taken taken[TAKEN_MAX];
	struct vee_apic apic;
};

/**
 * struct engine - who runs a guest
 * @open: once, with its memory
 * @run: from the beginning, with what is in pristine
 * @signal: a message for its APICs; @level: level-triggered
 */
struct engine {
	const char *name;
	void (*open)(uint8_t *memory);
	void (*run)(const struct guest *g, struct outcome *outcome);
	void (*signal)(uint32_t address, uint32_t data);
};

extern const struct engine engine_vee, engine_kvm;

/* --- fuzz_apic_make.c -------------------------------------------------------------------- */

void make_guest(struct guest *g, uint64_t number);

/* --- fuzz_apic_guest.c ------------------------------------------------------------------- */

/* The guest's code, and its handlers within. */
extern const uint8_t code[], code_end[], fault[], other[], interrupt[];
/* Tables and code: once. */
void put_machine(void);
void put_guest(const struct guest *g);
/* What it has left in @memory, where nothing depends on time afterwards. */
void get_results(uint8_t *memory, const struct guest *g, struct outcome *outcome);
/* The port of an OUT: where it ends, or the message of @engine's is sent. */
enum end do_port(const struct engine *engine, const uint8_t *memory, unsigned int port,
		 uint32_t value);
/* It can go no further: an engine's own @what. */
void stick(struct outcome *outcome, uint64_t what);
/* What is nobody's reads as that, in bytes. */
#define NOBODY	0x5a

/* --- fuzz_apic_knowns.c ------------------------------------------------------------------ */

/**
 * struct known - a difference that is none of vee's
 * @mend: takes from @op what it comes of; false: there is nothing of it
 * @end: KVM's guest has come to that; 0: to any
 */
struct known {
	const char *name;
	bool (*mend)(const struct guest *g, struct op *op);
	enum end end;
	unsigned int count;
};

/* To the one without a name. */
extern struct known knowns[];

/* --- fuzz_apic_tell.c -------------------------------------------------------------------- */

void tell_guest(const struct guest *g);
void tell_outcomes(const struct guest *g, const struct outcome *vee, const struct outcome *kvm);

/* Which register is it? -1: none. */
static inline int register_of(const struct op *op)
{
	switch (op->deed) {
	case RDMSR:
	case WRMSR:
		return op->where - MSR_X2APIC < 0x40 ? (int)(op->where - MSR_X2APIC) << 4 : -1;
	case LOAD:
	case STORE:
		return (int)(op->where & (PAGE_BYTES - 1));
	default:
		return -1;
	}
}

static inline bool is_write(const struct op *op)
{
	return op->deed == STORE || op->deed == WRMSR;
}

#endif /* LAB_FUZZ_APIC_H */
