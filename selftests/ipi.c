// SPDX-License-Identifier: GPL-2.0-only
/*
 * To whom interrupts by message go, from a local APIC and from outside: destinations,
 * shorthands and delivery modes, in both modes of local APICs (SDM 3A, "Issuing
 * Interprocessor Interrupts", "Message Signalled Interrupts" and "Extended XAPIC
 * (x2APIC)"). Only the sender runs: what the others have got is in their state.
 */
#include "apic_util.h"

#define VCPUS		4
#define NOBODY		0
#define ALL		((1U << VCPUS) - 1)

#define ICR_LOWEST	0x00100
#define ICR_SMI		0x00200
#define ICR_RESERVED	0x00300
#define ICR_EXTINT	0x00700
#define ICR_LEVEL	0x08000
#define MSI_LOGICAL	0x4
#define MSI_HINT	0x8
#define DFR_FLAT	0xffffffff
#define DFR_CLUSTER	0x0fffffff

static const __u32 ids[VCPUS] = { 0, 1, 17, 33 };

FIXTURE(ipi) {
	struct guest g[VCPUS];
};

FIXTURE_VARIANT(ipi) {
	APIC_VARIANT;
};

FIXTURE_VARIANT_ADD(ipi, all) {
	APIC_ALL,
};

FIXTURE_VARIANT_ADD(ipi, registers) {
	APIC_REGISTERS,
};

FIXTURE_VARIANT_ADD(ipi, shadow) {
	APIC_SHADOW,
};

FIXTURE_VARIANT_ADD(ipi, nothing) {
	APIC_NOTHING,
};

FIXTURE_SETUP(ipi)
{
	unsigned int i;

	apic_want(_metadata, variant->parameters, variant->needs);
	open_guest(_metadata, &self->g[0]);
	for (i = 1; i < VCPUS; i++)
		guest_open_sibling(_metadata, &self->g[0], &self->g[i], ids[i]);
}

FIXTURE_TEARDOWN(ipi)
{
	unsigned int i = VCPUS;

	if (!self->g[0].vm)
		return;
	while (i--)
		guest_close(&self->g[i]);
}

/* --- who has got what ------------------------------------------------------------- */

/* What is on its way to it is in its state from here on. */
static struct vee_apic *apic_of(struct __test_metadata *_metadata, struct guest *g)
{
	EXPECT_EQ(0, vcpu_sync(g->vcpu, VEE_STATE_APIC | VEE_STATE_EVENTS));
	return &g->page->apic;
}

/* Takes effect when it is looked at next. */
static void apic_load(struct __test_metadata *_metadata, struct guest *g)
{
	g->page->dirty |= VEE_STATE_APIC | VEE_STATE_EVENTS;
	g->page->deadline_ns = 1;
	EXPECT_EQ(0, guest_run(g));
	EXPECT_EQ(VEE_EXIT_DEADLINE, g->page->exit.reason);
	g->page->deadline_ns = DEADLINE_NS;
}

static void set_up(struct __test_metadata *_metadata, struct guest *g, __u64 base, __u32 svr)
{
	struct vee_apic *apic = apic_of(_metadata, g);

	SET_LONG(g, wrmsr_hlt);
	apic->base = APIC_PAGE | base | (apic->base & BASE_BSP);
	apic->svr = svr;
	apic->start = 0;
	apic_load(_metadata, g);
}

static void set_all(struct __test_metadata *_metadata, struct guest *g, __u64 base)
{
	unsigned int i;

	for (i = 0; i < VCPUS; i++)
		set_up(_metadata, &g[i], base, APIC_SVR_ON);
}

/* @dfr: DFR_FLAT or DFR_CLUSTER */
static void set_logical(struct __test_metadata *_metadata, struct guest *g, const __u8 *logical,
			__u32 dfr)
{
	unsigned int i;

	for (i = 0; i < VCPUS; i++) {
		EXPECT_EQ(0, apic_store(&g[i], LDR, logical[i] << 24));
		EXPECT_EQ(0, apic_store(&g[i], DFR, dfr));
	}
}

/* What a message may lead to, each once. */
enum effect { FIXED_LOW, FIXED_HIGH, NMI, INIT, SIPI };

static bool has(const struct vee_vcpu_page *page, enum effect effect)
{
	const struct vee_apic *apic = &page->apic;

	switch (effect) {
	case FIXED_LOW:
		return apic->irr[LOW / 32] >> LOW % 32 & 1;
	case FIXED_HIGH:
		return apic->irr[HIGH / 32] >> HIGH % 32 & 1;
	case NMI:
		return page->events.nmi.flags & VEE_EVENT_VALID;
	case INIT:
		return apic->start & VEE_APIC_INIT;
	default:
		return apic->start & VEE_APIC_SIPI;
	}
}

static bool has_anything(const struct vee_vcpu_page *page)
{
	enum effect effect;

	for (effect = FIXED_LOW; effect <= SIPI; effect++)
		if (has(page, effect))
			return true;
	return false;
}

/* Which vCPUs have it; nobody has anything else, nor afterwards anything at all. */
static unsigned int receivers(struct __test_metadata *_metadata, struct guest *g,
			      enum effect effect)
{
	unsigned int i, got = 0;

	for (i = 0; i < VCPUS; i++) {
		struct vee_apic *apic = apic_of(_metadata, &g[i]);

		got |= has(g[i].page, effect) << i;
		EXPECT_EQ(has(g[i].page, effect), has_anything(g[i].page)) TH_LOG("vCPU %u", i);
		memset(apic->irr, 0, sizeof(apic->irr));
		memset(&g[i].page->events, 0, sizeof(g[i].page->events));
		apic->start = 0;
		apic_load(_metadata, &g[i]);
	}
	return got;
}

/**
 * struct sent - a message and its receivers
 * @message: ICR of x2APIC mode; or address and data, as MSG() puts them
 * @effect: what it leads to
 * @to: whom, a bit each
 */
struct sent {
	__u64 message;
	enum effect effect;
	unsigned int to;
};

#define TO(id)		((__u64)(id) << 32)
/* An MSI: bits 31:0 of the address, and data. */
#define MSG(id, flags, data)	((0xfee00000ULL | (id) << 12 | (flags)) << 32 | (data))

static void send_msi(struct __test_metadata *_metadata, struct guest *g, __u64 message)
{
	struct vee_signal signal = {
		.size = sizeof(signal),
		.address = message >> 32,
		.data = (__u32)message,
	};

	EXPECT_EQ(0, vee_call(g->vm, VEE_VM_SIGNAL, &signal));
}

/* As xAPIC mode has it, 8 bits of destination in the high half. */
static void send_narrow(struct __test_metadata *_metadata, struct guest *g, __u64 message)
{
	store(_metadata, g, ICR_HIGH, (message >> 32) << 24);
	store(_metadata, g, ICR, message);
}

static void send_wide(struct __test_metadata *_metadata, struct guest *g, __u64 message)
{
	wrmsr(_metadata, g, ICR, message);
}

static void expect_sent(struct __test_metadata *_metadata, struct guest *g,
			void (*send)(struct __test_metadata *_metadata, struct guest *g,
				     __u64 message),
			const struct sent *sent, unsigned int count)
{
	unsigned int i;

	for (i = 0; i < count; i++) {
		send(_metadata, g, sent[i].message);
		EXPECT_EQ(sent[i].to, receivers(_metadata, g, sent[i].effect))
			TH_LOG("%u: %#llx", i, (unsigned long long)sent[i].message);
	}
}

#define EXPECT_SENT(send, sent) \
	expect_sent(_metadata, self->g, send, sent, ARRAY_SIZE(sent))

/* --- x2APIC mode ------------------------------------------------------------------ */

TEST_F_TIMEOUT(ipi, wide, 120)
{
	static const struct sent sent[] = {
		{ TO(0) | LOW, FIXED_LOW, 1 },
		{ TO(1) | LOW, FIXED_LOW, 2 },
		{ TO(17) | HIGH, FIXED_HIGH, 4 },
		{ TO(33) | ICR_ASSERT | ICR_LEVEL | HIGH, FIXED_HIGH, 8 },
		{ TO(-1U) | HIGH, FIXED_HIGH, ALL },
		/* Absent ones, 8 bits of ones among them. */
		{ TO(2) | HIGH, FIXED_HIGH, NOBODY },
		{ TO(0xff) | HIGH, FIXED_HIGH, NOBODY },
		{ TO(0x101) | HIGH, FIXED_HIGH, NOBODY },
		{ TO(0x80000001) | HIGH, FIXED_HIGH, NOBODY },
		/* Clusters of 16. */
		{ TO(0x00000003) | ICR_LOGICAL | LOW, FIXED_LOW, 3 },
		{ TO(0x0000fffd) | ICR_LOGICAL | LOW, FIXED_LOW, 1 },
		{ TO(0x00010002) | ICR_LOGICAL | LOW, FIXED_LOW, 4 },
		{ TO(0x0002ffff) | ICR_LOGICAL | LOW, FIXED_LOW, 8 },
		{ TO(0x0003ffff) | ICR_LOGICAL | LOW, FIXED_LOW, NOBODY },
		{ TO(0x00010000) | ICR_LOGICAL | LOW, FIXED_LOW, NOBODY },
		{ TO(-1U) | ICR_LOGICAL | LOW, FIXED_LOW, ALL },
		/* Whatever the destination is. */
		{ TO(1) | ICR_SELF | LOW, FIXED_LOW, 1 },
		{ TO(1) | ICR_ALL | LOW, FIXED_LOW, ALL },
		{ TO(1) | ICR_OTHERS | LOW, FIXED_LOW, ALL & ~1 },
	};

	set_all(_metadata, self->g, BASE_ENABLED | APIC_X2APIC);
	EXPECT_SENT(send_wide, sent);
}

TEST_F_TIMEOUT(ipi, modes, 120)
{
	static const struct sent sent[] = {
		{ TO(1) | ICR_NMI, NMI, 2 },
		/* Its vector is nothing, an illegal one or not. */
		{ TO(17) | ICR_NMI | HIGH, NMI, 4 },
		{ ICR_OTHERS | ICR_NMI, NMI, ALL & ~1 },
		{ TO(1) | ICR_INIT | ICR_ASSERT, INIT, 2 },
		{ TO(33) | ICR_INIT | ICR_ASSERT | ICR_LEVEL, INIT, 8 },
		{ ICR_OTHERS | ICR_INIT | ICR_ASSERT, INIT, ALL & ~1 },
		/* Level de-assert. */
		{ TO(1) | ICR_INIT | ICR_LEVEL, INIT, NOBODY },
		{ TO(1) | ICR_SIPI | ICR_ASSERT | 0x10, SIPI, 2 },
		{ TO(0x00010002) | ICR_LOGICAL | ICR_SIPI | 0x10, SIPI, 4 },
		{ ICR_OTHERS | ICR_SIPI | 0x10, SIPI, ALL & ~1 },
		/* With this shorthand only fixed is valid. */
		{ ICR_SELF | ICR_NMI, NMI, NOBODY },
		{ ICR_SELF | ICR_INIT | ICR_ASSERT, INIT, NOBODY },
		{ ICR_SELF | ICR_SIPI | 0x10, SIPI, NOBODY },
		/* Go nowhere. */
		{ TO(1) | ICR_SMI, NMI, NOBODY },
		{ TO(1) | ICR_RESERVED | HIGH, FIXED_HIGH, NOBODY },
		{ TO(1) | ICR_EXTINT | HIGH, FIXED_HIGH, NOBODY },
	};

	set_all(_metadata, self->g, BASE_ENABLED | APIC_X2APIC);
	EXPECT_SENT(send_wide, sent);
}

/* Of several the one with the lowest task priority has it, and it alone. */
TEST_F(ipi, lowest_priority)
{
	struct guest *g = self->g;
	unsigned int i, got;

	set_all(_metadata, g, BASE_ENABLED | APIC_X2APIC);
	for (i = 0; i < 2; i++) {
		apic_of(_metadata, &g[i])->tpr = 0x40;
		apic_load(_metadata, &g[i]);
		send_wide(_metadata, g, TO(3) | ICR_LOGICAL | ICR_LOWEST | HIGH);
		EXPECT_EQ(2 >> i, receivers(_metadata, g, FIXED_HIGH));
		apic_of(_metadata, &g[i])->tpr = 0;
		apic_load(_metadata, &g[i]);
	}
	send_wide(_metadata, g, TO(3) | ICR_LOGICAL | ICR_LOWEST | HIGH);
	got = receivers(_metadata, g, FIXED_HIGH);
	EXPECT_TRUE(got == 1 || got == 2);
	send_wide(_metadata, g, TO(17) | ICR_LOWEST | HIGH);
	EXPECT_EQ(4, receivers(_metadata, g, FIXED_HIGH));
	/* One that is switched off by software is no receiver. */
	set_up(_metadata, &g[0], BASE_ENABLED | APIC_X2APIC, 0xff);
	send_wide(_metadata, g, TO(3) | ICR_LOGICAL | ICR_LOWEST | HIGH);
	EXPECT_EQ(2, receivers(_metadata, g, FIXED_HIGH));
}

/* --- xAPIC mode ------------------------------------------------------------------- */

TEST_F_TIMEOUT(ipi, narrow, 120)
{
	static const __u8 flat[] = { 1, 2, 4, 0x80 }, cluster[] = { 0x11, 0x12, 0x21, 0x28 };
	static const struct sent physical[] = {
		{ TO(0) | LOW, FIXED_LOW, 1 },
		{ TO(17) | LOW, FIXED_LOW, 4 },
		{ TO(2) | LOW, FIXED_LOW, NOBODY },
		{ TO(0xff) | LOW, FIXED_LOW, ALL },
		{ TO(1) | ICR_NMI, NMI, 2 },
		{ ICR_OTHERS | ICR_INIT | ICR_ASSERT, INIT, ALL & ~1 },
		{ ICR_OTHERS | ICR_SIPI | 0x10, SIPI, ALL & ~1 },
		{ ICR_SELF | HIGH, FIXED_HIGH, 1 },
		{ ICR_ALL | HIGH, FIXED_HIGH, ALL },
	};
	static const struct sent in_flat[] = {
		{ TO(5) | ICR_LOGICAL | LOW, FIXED_LOW, 5 },
		{ TO(0x82) | ICR_LOGICAL | LOW, FIXED_LOW, 10 },
		{ TO(0x78) | ICR_LOGICAL | LOW, FIXED_LOW, NOBODY },
		{ TO(0xff) | ICR_LOGICAL | LOW, FIXED_LOW, ALL },
	};
	static const struct sent in_clusters[] = {
		{ TO(0x13) | ICR_LOGICAL | LOW, FIXED_LOW, 3 },
		{ TO(0x1c) | ICR_LOGICAL | LOW, FIXED_LOW, NOBODY },
		{ TO(0x2f) | ICR_LOGICAL | LOW, FIXED_LOW, 12 },
		{ TO(0x33) | ICR_LOGICAL | LOW, FIXED_LOW, NOBODY },
		{ TO(0xff) | ICR_LOGICAL | LOW, FIXED_LOW, ALL },
	};

	set_all(_metadata, self->g, BASE_ENABLED);
	EXPECT_SENT(send_narrow, physical);
	set_logical(_metadata, self->g, flat, DFR_FLAT);
	EXPECT_SENT(send_narrow, in_flat);
	set_logical(_metadata, self->g, cluster, DFR_CLUSTER);
	EXPECT_SENT(send_narrow, in_clusters);
}

/* --- from outside ----------------------------------------------------------------- */

TEST_F_TIMEOUT(ipi, messages, 120)
{
	static const __u8 flat[] = { 1, 2, 4, 0x80 };
	static const struct sent to_number[] = {
		{ MSG(1, 0, LOW), FIXED_LOW, 2 },
		{ MSG(33, 0, HIGH), FIXED_HIGH, 8 },
		{ MSG(0xff, 0, HIGH), FIXED_HIGH, ALL },
		{ MSG(2, 0, HIGH), FIXED_HIGH, NOBODY },
		/* The hint asks for one receiver; a number has but one. */
		{ MSG(17, MSI_HINT, HIGH), FIXED_HIGH, 4 },
		{ MSG(17, 0, ICR_LOWEST | HIGH), FIXED_HIGH, 4 },
		/* The trigger mode in the data is no matter. */
		{ MSG(1, 0, ICR_ASSERT | ICR_LEVEL | HIGH), FIXED_HIGH, 2 },
		{ MSG(17, 0, ICR_NMI | HIGH), NMI, 4 },
		{ MSG(17, 0, ICR_INIT), INIT, 4 },
		{ MSG(17, 0, ICR_SMI), NMI, NOBODY },
	};
	static const struct sent logical[] = {
		{ MSG(5, MSI_LOGICAL, LOW), FIXED_LOW, 5 },
		{ MSG(0x80, MSI_LOGICAL, ICR_NMI), NMI, 8 },
		{ MSG(0x60, MSI_LOGICAL, LOW), FIXED_LOW, NOBODY },
	};
	unsigned int got;

	set_all(_metadata, self->g, BASE_ENABLED | APIC_X2APIC);
	EXPECT_SENT(send_msi, to_number);
	set_all(_metadata, self->g, BASE_ENABLED);
	EXPECT_SENT(send_msi, to_number);
	set_logical(_metadata, self->g, flat, DFR_FLAT);
	EXPECT_SENT(send_msi, logical);
	send_msi(_metadata, self->g, MSG(6, MSI_LOGICAL | MSI_HINT, ICR_LOWEST | LOW));
	got = receivers(_metadata, self->g, FIXED_LOW);
	EXPECT_TRUE(got == 2 || got == 4);
}

/* --- those that don't hear -------------------------------------------------------- */

/* Switched off by software it hears INIT, SIPI and NMI, and sends as before. */
TEST_F(ipi, switched_off)
{
	static const struct sent sent[] = {
		{ TO(1) | HIGH, FIXED_HIGH, NOBODY },
		{ ICR_ALL | HIGH, FIXED_HIGH, 12 },
		{ TO(1) | ICR_NMI, NMI, 2 },
		{ TO(1) | ICR_INIT | ICR_ASSERT, INIT, 2 },
		{ TO(1) | ICR_SIPI | 0x10, SIPI, 2 },
		{ TO(17) | HIGH, FIXED_HIGH, 4 },
		{ ICR_SELF | HIGH, FIXED_HIGH, NOBODY },
	};
	unsigned int i;

	set_all(_metadata, self->g, BASE_ENABLED | APIC_X2APIC);
	for (i = 0; i < 2; i++)
		set_up(_metadata, &self->g[i], BASE_ENABLED | APIC_X2APIC, 0xff);
	EXPECT_SENT(send_wide, sent);
}

/* With its APIC off it hears nothing. */
TEST_F(ipi, disabled)
{
	static const struct sent sent[] = {
		{ TO(1) | HIGH, FIXED_HIGH, NOBODY },
		{ ICR_ALL | HIGH, FIXED_HIGH, 13 },
		{ TO(1) | ICR_NMI, NMI, NOBODY },
		{ TO(1) | ICR_INIT | ICR_ASSERT, INIT, NOBODY },
		{ TO(1) | ICR_SIPI | 0x10, SIPI, NOBODY },
	};

	set_all(_metadata, self->g, BASE_ENABLED | APIC_X2APIC);
	set_up(_metadata, &self->g[1], 0, 0xff);
	EXPECT_SENT(send_wide, sent);
}

/* --- errors ----------------------------------------------------------------------- */

#define ESR_RECEIVE	0x40	/* illegal vector */

/* Vectors 0 to 15 are nobody's: who sends one is told, or who is sent one by a device. */
TEST_F(ipi, illegal_vectors)
{
	struct guest *g = self->g;
	unsigned int vector;

	set_all(_metadata, g, BASE_ENABLED | APIC_X2APIC);
	apic_of(_metadata, &g[1])->lvt[VEE_APIC_LVT_ERROR] = HIGH;
	apic_load(_metadata, &g[1]);
	for (vector = 0; vector < 16; vector++) {
		send_wide(_metadata, g, TO(1) | vector);
		wrmsr(_metadata, g, ESR, 0);
		EXPECT_EQ(ESR_SEND, rdmsr(_metadata, g, ESR));
		EXPECT_EQ(0, receivers(_metadata, g, FIXED_HIGH));
		send_msi(_metadata, g, MSG(1, 0, vector));
		EXPECT_EQ(ESR_RECEIVE, apic_of(_metadata, &g[1])->errors) TH_LOG("%u", vector);
		EXPECT_EQ(0, g[1].page->apic.irr[0]);
		/* Its own entry for errors. */
		EXPECT_EQ(2, receivers(_metadata, g, FIXED_HIGH)) TH_LOG("%u", vector);
		apic_of(_metadata, &g[1])->errors = 0;
		apic_load(_metadata, &g[1]);
	}
}

TEST_HARNESS_MAIN
