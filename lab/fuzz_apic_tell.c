// SPDX-License-Identifier: GPL-2.0-only
/* What the fuzzer of local APICs prints of a guest. */
#include <stdio.h>

#include "fuzz_apic.h"

static const char *const deeds[DEEDS] = { "nothing", "end", "load", "store", "RDMSR", "WRMSR",
	"from CR8", "to CR8", "open", "message", "load 1 byte", "store 1 byte", "load 2 bytes",
	"store 2 bytes", "load 8 bytes", "store 8 bytes" };

static const char *const ends[] = { "goes on", "ended", "faulted", "was reset", "shut down",
	"is endless", "is stuck" };

void tell_guest(const struct guest *g)
{
	printf("guest %llu: base %llx, SVR %x\n", (unsigned long long)g->number,
	       (unsigned long long)g->base, g->svr);
}

static void tell_taken(const char *name, const struct outcome *outcome)
{
	printf("\t%s %s %llx, CR8 %llx; taken", name, ends[outcome->end],
	       (unsigned long long)outcome->what, (unsigned long long)outcome->cr8);
	for (unsigned int i = 0; i < TAKEN_MAX && outcome->taken[i].at; i++)
		printf(" %02x at %u", outcome->taken[i].vector,
		       (unsigned int)((outcome->taken[i].at - GPA_OPS) / sizeof(struct op) - 1));
	printf("\n");
}

static void tell_words(const char *name, const uint32_t words[8])
{
	printf(" %s", name);
	for (unsigned int i = 0; i < 256; i++)
		if (words[i / 32] & 1U << i % 32)
			printf(" %02x", i);
	printf(";");
}

static void tell_apic(const char *name, const struct vee_apic *a)
{
	printf("\t%s: base %llx TPR %x SVR %x LDR %x DFR %x ESR %x (%x) ICR %llx timer %x %x;",
	       name, (unsigned long long)a->base, a->tpr, a->svr, a->ldr, a->dfr, a->esr,
	       a->errors, (unsigned long long)a->icr, a->initial_count, a->divide);
	printf(" deadline %llx; LVT", (unsigned long long)a->tsc_deadline);
	for (unsigned int i = 0; i < LVTS; i++)
		printf(" %x", a->lvt[i]);
	printf(";");
	tell_words("IRR", a->irr);
	tell_words("ISR", a->isr);
	tell_words("TMR", a->tmr);
	printf("\n");
}

void tell_outcomes(const struct guest *g, const struct outcome *vee, const struct outcome *kvm)
{
	for (unsigned int i = 0; i < g->count; i++) {
		if (g->ops[i].deed == NOTHING)
			continue;
		printf("\t%2u %-9s %8x %8llx: vee %llx, KVM %llx%s\n", i, deeds[g->ops[i].deed],
		       g->ops[i].where, (unsigned long long)g->ops[i].value,
		       (unsigned long long)vee->results[i], (unsigned long long)kvm->results[i],
		       vee->results[i] == kvm->results[i] ? "" : " <--");
	}
	tell_taken("vee", vee);
	tell_taken("KVM", kvm);
	tell_apic("vee", &vee->apic);
	tell_apic("KVM", &kvm->apic);
}
