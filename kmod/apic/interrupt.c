// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which interrupt comes next (SDM 3A, "Interrupt, Task, and Processor Priority"), and
 * the mailbox that it has come by.
 *
 * The eight words of the IRR are looked through only where there may be something: a bit
 * a word says so. The same for the ISR, which has seldom more than one.
 */
#include <linux/atomic.h>
#include <linux/bitops.h>
#include <linux/kernel.h>

#include "apic/apic.h"

#define PRIORITY_CLASS	0xf0U

static int highest(const struct apic *apic, u32 offset, u8 *words)
{
	while (*words) {
		int n = __fls(*words);
		u32 word = apic_get(apic, APIC_WORD(offset, n));

		if (word)
			return 32 * n + __fls(word);
		*words &= ~BIT(n);
	}
	return -1;
}

void apic_forget_words(struct apic *apic)
{
	apic->requested = U8_MAX;
	apic->in_service = U8_MAX;
}

int apic_requested(struct apic *apic)
{
	return highest(apic, APIC_IRR, &apic->requested);
}

int apic_in_service(struct apic *apic)
{
	return highest(apic, APIC_ISR, &apic->in_service);
}

u32 apic_priority(struct apic *apic)
{
	int in_service = apic_in_service(apic);
	u32 priority = apic_get(apic, APIC_TASKPRI);

	if (in_service >= 0 && (in_service & PRIORITY_CLASS) > (priority & PRIORITY_CLASS))
		priority = in_service & PRIORITY_CLASS;
	apic_set(apic, APIC_PROCPRI, priority);
	return priority;
}

int apic_deliverable(struct apic *apic)
{
	int vector = apic_requested(apic);

	if (vector < 0)
		return -1;
	return (vector & PRIORITY_CLASS) > (apic_priority(apic) & PRIORITY_CLASS) ? vector : -1;
}

void apic_request(struct apic *apic, u8 vector)
{
	apic_set_bit(apic, APIC_IRR, vector);
	apic_clear_bit(apic, APIC_TMR, vector);
	apic->requested |= BIT(vector / 32);
}

void apic_accept(struct apic *apic, u8 vector)
{
	apic_clear_bit(apic, APIC_IRR, vector);
	if (!apic_get(apic, apic_bit_word(APIC_IRR, vector)))
		apic->requested &= ~BIT(vector / 32);
	apic_set_bit(apic, APIC_ISR, vector);
	apic->in_service |= BIT(vector / 32);
	/* It was above all else. */
	apic_set(apic, APIC_PROCPRI, vector & PRIORITY_CLASS);
}

void apic_ended(struct apic *apic, u8 vector)
{
	if (apic_test(apic, APIC_TMR, vector))
		apic->eoi = vector | VEE_APIC_EOI;
}

void apic_end(struct apic *apic)
{
	int vector = apic_in_service(apic);

	if (vector < 0)
		return;
	apic_clear_bit(apic, APIC_ISR, vector);
	apic_priority(apic);
	apic_ended(apic, vector);
}

/* --- mail ------------------------------------------------------------------------------ */

/* The mark after what it stands for: both are full barriers. */
bool apic_call(struct apic *apic, unsigned int call)
{
	return !test_and_set_bit(call, &apic->mail.calls);
}

bool apic_post(struct apic *apic, u8 vector, bool level)
{
	struct mailbox *mail = &apic->mail;

	if (vector < APIC_FIRST_VECTOR)
		return false;
	if (level)
		set_bit(vector, mail->level);
	else
		clear_bit(vector, mail->level);
	return !test_and_set_bit(vector, mail->requests) &&
	       apic_call(apic, vector / BITS_PER_LONG);
}

/* @came: vectors of word @n, of which @level are level-triggered */
static void take_word(struct apic *apic, int n, u32 came, u32 level)
{
	u32 *irr = apic_reg(apic, APIC_WORD(APIC_IRR, n));
	u32 *tmr = apic_reg(apic, APIC_WORD(APIC_TMR, n));

	*irr |= came;
	if (unlikely((*tmr ^ level) & came)) {
		*tmr ^= (*tmr ^ level) & came;
		apic->triggers_changed = true;
	}
	apic->requested |= BIT(n);
}

static void take_words(struct apic *apic, int n, u64 came, u64 level)
{
	if ((u32)came)
		take_word(apic, 2 * n, came, level);
	if (came >> 32)
		take_word(apic, 2 * n + 1, came >> 32, level >> 32);
}

/* The highest. @words: in which of them there are some; they may have been taken before */
static int take_requests(struct apic *apic, unsigned long words)
{
	struct mailbox *mail = &apic->mail;
	int last = -1;

	for (; words; words &= words - 1) {
		unsigned int n = __ffs(words);
		unsigned long came = xchg(&mail->requests[n], 0);

		if (!came)
			continue;
		take_words(apic, n, came, READ_ONCE(mail->level[n]));
		last = n * BITS_PER_LONG + __fls(came);
	}
	return last;
}

/* mailbox.calls that say where in mailbox.requests there are some */
#define ALL_REQUESTS	(BIT(MAIL_WORDS) - 1)

/* Of INIT and SIPI at once the INIT came first: see bus.c. An error may be an interrupt. */
static noinline unsigned long take_seldom(struct apic *apic, unsigned long calls)
{
	if (calls & BIT(CALL_ILLEGAL)) {
		apic_note_error(apic, APIC_ESR_RECVILL);
		calls |= ALL_REQUESTS;
	}
	if (calls & BIT(CALL_INIT))
		apic->start = (apic->start & ~VEE_APIC_SIPI) | VEE_APIC_INIT;
	if (calls & BIT(CALL_SIPI) && !(apic->start & VEE_APIC_SIPI)) {
		apic->start |= VEE_APIC_SIPI;
		apic->sipi_vector = READ_ONCE(apic->mail.sipi_vector);
	}
	return calls;
}

#define NMIS	(BIT(CALL_NMI) | BIT(CALL_NMI_AGAIN))
#define OFTEN	(ALL_REQUESTS | NMIS)

unsigned int apic_take_mail(struct apic *apic, int *came)
{
	unsigned long calls = xchg(&apic->mail.calls, 0);

	if (unlikely(calls & ~OFTEN))
		calls = take_seldom(apic, calls);
	*came = take_requests(apic, calls & ALL_REQUESTS);
	return hweight_long(calls & NMIS);
}

/* --- the local vector table -------------------------------------------------------------- */

/*
 * What can raise one is here: the timer, and errors. LINT0, LINT1 and the rest have no
 * wire of vee's.
 */
void apic_raise(struct apic *apic, u32 lvt)
{
	u32 entry = apic_get(apic, lvt);

	if (entry & APIC_LVT_MASKED || !apic_is_switched_on(apic))
		return;
	/* Of these two the delivery mode is fixed. */
	if ((entry & APIC_VECTOR_MASK) < APIC_FIRST_VECTOR) {
		if (lvt != APIC_LVTERR)
			apic_note_error(apic, APIC_ESR_RECVILL);
		return;
	}
	apic_post(apic, entry & APIC_VECTOR_MASK, false);
}

/* Once, until the register is written (SDM 3A, "Error Handling"). */
void apic_note_error(struct apic *apic, u32 error)
{
	bool armed = !apic->errors;

	apic->errors |= error;
	if (armed)
		apic_raise(apic, APIC_LVTERR);
}
