/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A local APIC (SDM 3A, "Advanced Programmable Interrupt Controller").
 *
 * Its registers are in a virtual-APIC page, at the offsets of the manual, where the CPU
 * finds them, too, as far as it sees to them itself (SDM 3C, "APIC Virtualization and
 * Virtual Interrupts"). They belong to the thread that runs the vCPU. What others have for
 * it, another vCPU or a device, they leave in its mailbox, and the thread takes it from
 * there before it enters the guest: so nothing is locked. A posted-interrupt descriptor
 * works like that.
 */
#ifndef _VEE_APIC_H
#define _VEE_APIC_H

#include <linux/bitops.h>
#include <linux/compiler.h>
#include <linux/jump_label.h>
#include <linux/limits.h>
#include <linux/types.h>
#include <asm/apicdef.h>
#include <asm/msr-index.h>

#include "linux/vee.h"

struct apic_bus;

#define APIC_VECTORS		256
#define APIC_FIRST_VECTOR	16	/* lower ones are illegal */

/* The local vector table, by VEE_APIC_LVT_TIMER and so on. */
#define APIC_LVT_ENTRIES	6
#define APIC_LVT(n)		(APIC_LVTT + 0x10 * (n))

/* IA32_APIC_BASE */
#define APIC_BASE_BSP		BIT_ULL(8)
#define APIC_BASE_X2APIC	BIT_ULL(10)
#define APIC_BASE_ENABLED	BIT_ULL(11)
#define APIC_BASE_ADDRESS	GENMASK_ULL(51, 12)
#define APIC_BASE_DEFAULT	0xfee00000ULL

/* apic.offers: what the guest's CPUID says that it has */
#define APIC_OFFERS_X2APIC	BIT(0)
#define APIC_OFFERS_DEADLINE	BIT(1)

#define MAIL_WORDS		BITS_TO_LONGS(APIC_VECTORS)

/* mailbox.calls: bit numbers; the first ones say which of mailbox.requests there are */
enum {
	CALL_NMI = MAIL_WORDS,
	CALL_INIT,
	CALL_SIPI,
	CALL_ILLEGAL,	/* a vector that is none */
	CALL_NMI_AGAIN,	/* before the first was taken */
};

/**
 * struct mailbox - what others have for an APIC
 * @calls: CALL_ bits
 * @requests: fixed interrupts, by vector
 * @level: ... those that are level-triggered
 * @sipi_vector: of the last SIPI
 */
struct mailbox {
	unsigned long calls;
	unsigned long requests[MAIL_WORDS];
	unsigned long level[MAIL_WORDS];
	u8 sipi_vector;
};

/**
 * struct apic_timer - the timer
 * @at: host_time() when it is to fire; U64_MAX: it isn't running
 * @due: ... when it would be, by its periods alone
 * @period: ticks of the TSC from one interrupt to the next; 0: it stops
 * @fired: one has passed, and the guest has yet to be entered
 * @mode: of LVT timer, bits 18:17, as they were when last looked at
 * @shift: by how many bits it divides, likewise
 * @deadline: IA32_TSC_DEADLINE
 */
struct apic_timer {
	u64 at;
	u64 due;
	u64 period;
	u64 deadline;
	u32 mode;
	u8 shift;
	bool fired;
};

/**
 * struct apic - a local APIC
 * @regs: the virtual-APIC page; NULL: the vCPU has no local APIC
 * @bus: the VM's
 * @id: its number
 * @offers: APIC_OFFERS_ bits
 * @base: IA32_APIC_BASE
 * @mail: from others
 * @timer: the timer
 * @errors: for the error status register
 * @start: VEE_APIC_WAITS_FOR_SIPI, and INIT or SIPI that are yet to be taken
 * @sipi_vector: of that SIPI
 * @eoi: VEE_APIC_EOI and a vector: the caller is to hear of it; 0: nothing
 * @requested: words of the IRR that may have bits
 * @in_service: ... of the ISR
 * @triggers_changed: the TMR may not be as the CPU was told
 */
struct apic {
	u8 *regs;
	struct apic_bus *bus;
	u8 id;
	u8 offers;
	u64 base;
	struct mailbox mail;
	struct apic_timer timer;
	u32 errors;
	u32 start;
	u8 sipi_vector;
	u32 eoi;
	u8 requested;
	u8 in_service;
	bool triggers_changed;
};

/* Is there any in this machine? Who has none pays nothing. */
DECLARE_STATIC_KEY_FALSE(apics);

/* --- registers ------------------------------------------------------------------- */

static inline u32 *apic_reg(const struct apic *apic, u32 offset)
{
	return (u32 *)(apic->regs + offset);
}

static inline u32 apic_get(const struct apic *apic, u32 offset)
{
	return READ_ONCE(*apic_reg(apic, offset));
}

static inline void apic_set(struct apic *apic, u32 offset, u32 value)
{
	WRITE_ONCE(*apic_reg(apic, offset), value);
}

/* ISR, TMR and IRR: eight words of 32 vectors, 16 bytes apart. */
#define APIC_WORDS		8
#define APIC_WORD(offset, n)	((offset) + 16 * (n))

static inline u32 apic_bit_word(u32 offset, u8 vector)
{
	return APIC_WORD(offset, vector / 32);
}

static inline bool apic_test(const struct apic *apic, u32 offset, u8 vector)
{
	return apic_get(apic, apic_bit_word(offset, vector)) & BIT(vector % 32);
}

static inline void apic_set_bit(struct apic *apic, u32 offset, u8 vector)
{
	*apic_reg(apic, apic_bit_word(offset, vector)) |= BIT(vector % 32);
}

static inline void apic_clear_bit(struct apic *apic, u32 offset, u8 vector)
{
	*apic_reg(apic, apic_bit_word(offset, vector)) &= ~BIT(vector % 32);
}

static inline bool apic_is_enabled(const struct apic *apic)
{
	return apic->base & APIC_BASE_ENABLED;
}

static inline bool apic_is_x2apic(const struct apic *apic)
{
	return apic->base & APIC_BASE_X2APIC;
}

static inline bool apic_is_bsp(const struct apic *apic)
{
	return apic->base & APIC_BASE_BSP;
}

/* In xAPIC mode where the CPU can see to it. */
static inline bool apic_is_at_default(const struct apic *apic)
{
	return (apic->base & APIC_BASE_ADDRESS) == APIC_BASE_DEFAULT;
}

/*
 * The VM's page for accesses of xAPIC mode is memory like any other to a vCPU whose APIC isn't
 * in that mode and there: it must not have it.
 */
static inline bool apic_hides_page(const struct apic *apic)
{
	return !apic_is_enabled(apic) || apic_is_x2apic(apic) || !apic_is_at_default(apic);
}

/* By software, in the spurious-interrupt vector register. */
static inline bool apic_is_switched_on(const struct apic *apic)
{
	return apic_is_enabled(apic) && apic_get(apic, APIC_SPIV) & APIC_SPIV_APIC_ENABLED;
}

/* --- life ------------------------------------------------------------------------- */

/* @regs: a page of zeros, the caller's to free; @id: 0 is the bootstrap processor */
void apic_init(struct apic *apic, struct apic_bus *bus, u8 *regs, u8 id);
/* SDM 3A, "Local APIC State After an INIT Reset"; the mode stays. */
void apic_reset(struct apic *apic);
/* All of the local vector table. */
void apic_mask_lvts(struct apic *apic);
/* What the guest can read but not write. */
void apic_set_identity(struct apic *apic);
/* False: #GP. */
bool apic_write_base(struct apic *apic, u64 base);

/* --- interrupts --------------------------------------------------------------------- */

/* An interrupt that waits for the CPU, by its vector; -1: none that it may have now. */
int apic_deliverable(struct apic *apic);
/* The processor priority, as it is now. */
u32 apic_priority(struct apic *apic);
/* The highest of the IRR; -1: none. */
int apic_requested(struct apic *apic);
/* ... of the ISR. */
int apic_in_service(struct apic *apic);
/* INTA: it is in service from here on. */
void apic_accept(struct apic *apic, u8 vector);
/* By the vCPU's thread, past the mailbox: an edge-triggered one is in the IRR. */
void apic_request(struct apic *apic, u8 vector);
/* EOI of the highest in service. */
void apic_end(struct apic *apic);
/* ... of a level-triggered one that the CPU has ended itself. */
void apic_ended(struct apic *apic, u8 vector);
/* What only the CPU has changed lately is not known by @requested and @in_service. */
void apic_forget_words(struct apic *apic);

/*
 * EOI, if nothing follows from it: of an edge-triggered one that is the only one, and none
 * waits. False: it is yet to be done. The priority in the page stays as it was.
 *
 * Of who doesn't know, since the CPU has changed them, no bit of @requested is 0.
 */
static inline bool apic_end_alone(struct apic *apic)
{
	u32 words = apic->in_service, *isr, word;

	if (apic->requested || !words || words & (words - 1))
		return false;
	isr = apic_reg(apic, APIC_WORD(APIC_ISR, __fls(words)));
	word = *isr;
	if (word & (word - 1) || word & isr[(APIC_TMR - APIC_ISR) / sizeof(*isr)])
		return false;
	*isr = 0;
	apic->in_service = 0;
	return true;
}

/* --- mail --------------------------------------------------------------------------- */

static inline bool apic_has_mail(const struct apic *apic)
{
	return READ_ONCE(apic->mail.calls);
}

/* From any thread. True: the thread that runs the vCPU has yet to hear of it. */
bool apic_post(struct apic *apic, u8 vector, bool level);
bool apic_call(struct apic *apic, unsigned int call);
/*
 * By the vCPU's thread: interrupts are in the IRR then, INIT and SIPI in apic.start. How many
 * NMIs there were, of which two are kept. @highest: the highest vector that came, -1: none
 */
unsigned int apic_take_mail(struct apic *apic, int *highest);
/* An entry of the local vector table has something, APIC_LVTT and so on. */
void apic_raise(struct apic *apic, u32 lvt);
/* ... one of them an error, APIC_ESR_ */
void apic_note_error(struct apic *apic, u32 error);

/* --- accesses of the guest ------------------------------------------------------------ */

#define X2APIC_MSRS		0x800U
#define X2APIC_LAST		0x8ffU

#define APIC_DIRECT_READS	BIT(0)
#define APIC_DIRECT_WRITES	BIT(1)

/* Which accesses of an MSR of x2APIC mode the CPU does with these secondary controls. */
u8 apic_direct(u32 index, u32 controls);
#define X2APIC_MSR(offset)	(X2APIC_MSRS + ((offset) >> 4))

/* The MSRs of x2APIC mode, IA32_APIC_BASE and IA32_TSC_DEADLINE; of who has an APIC. */
static inline bool apic_has_msr(const struct apic *apic, u32 index)
{
	return (index >= X2APIC_MSRS && index <= X2APIC_LAST) ||
	       (index == MSR_IA32_TSC_DEADLINE && apic->offers & APIC_OFFERS_DEADLINE) ||
	       index == MSR_IA32_APICBASE;
}

/* False: #GP. */
bool apic_rdmsr(struct apic *apic, u32 index, u64 *value);
/* Those that are written often have ways of their own: ICR by WRMSR, IA32_TSC_DEADLINE. */
bool apic_wrmsr(struct apic *apic, u32 index, u64 value);
/* In x2APIC mode: the interrupt command register. False: #GP. */
bool apic_write_icr(struct apic *apic, u64 value);
/* In xAPIC mode; where no register is, that is noted as an error. @offset: a multiple of 16 */
u32 apic_read(struct apic *apic, u32 offset);
void apic_write(struct apic *apic, u32 offset, u32 value);
/* The CPU has written to the page for the guest, and left the rest to do. */
void apic_was_written(struct apic *apic, u32 offset);

/* --- the timer ------------------------------------------------------------------------ */

static inline bool apic_timer_is_due(const struct apic *apic, u64 now)
{
	return unlikely(now >= apic->timer.at);
}

void apic_timer_fire(struct apic *apic, u64 now);
/* Of one that has @fired: the guest is about to be entered. */
void apic_timer_hold_off(struct apic *apic);
void apic_timer_set_count(struct apic *apic, u32 count);
u32 apic_timer_count(const struct apic *apic);
/* @guest_ahead: how much the guest's TSC is more than host_time() */
void apic_timer_set_deadline(struct apic *apic, u64 deadline, u64 guest_ahead);
/* The LVT entry, the divide configuration, may have changed. */
void apic_timer_set_mode(struct apic *apic);
void apic_timer_set_divide(struct apic *apic);
/* As saved: so much is left to count. */
void apic_timer_set_left(struct apic *apic, u32 left);

/* --- as a group of the vCPU page -------------------------------------------------------- */

void apic_save(struct apic *apic, struct vee_apic *to);
/* Offset in struct vee_apic of the first member that can't be so, plus 1; 0: all can. */
unsigned int apic_bad_member(const struct apic *apic, const struct vee_apic *from);
void apic_load(struct apic *apic, const struct vee_apic *from, u64 guest_ahead);

#endif /* _VEE_APIC_H */
