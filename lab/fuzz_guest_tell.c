// SPDX-License-Identifier: GPL-2.0-only
/* What the fuzzer of guests prints. */
#include <stdio.h>

#include "fuzz_guest_compare.h"

static const char *const stop_names[] = {
	[GO_PORT] = "port", [GO_RDMSR] = "RDMSR", [GO_WRMSR] = "WRMSR", [END_HLT] = "HLT",
	[END_SHUTDOWN] = "shutdown", [END_REFUSED_ENTRY] = "entry failed", [END_LOOP] = "loop",
	[END_ENOUGH] = "exits without end", [END_CANNOT] = "can't do it",
	[END_REFUSED] = "state refused",
};

static void tell_code(const struct guest *g)
{
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecodedInstruction insn;
	ZydisFormatter formatter;
	ZydisDecoder decoder;
	char text[96];

	make_decoder(&decoder, g->kind.width);
	ZydisFormatterInit(&formatter, ZYDIS_FORMATTER_STYLE_INTEL);
	for (unsigned int at = 0; at < g->bytes;) {
		unsigned int length = 1;

		snprintf(text, sizeof(text), "?");
		if (ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, pristine + GPA_CODE + at, 15,
							&insn, operands))) {
			ZydisFormatterFormatInstruction(&formatter, &insn, operands,
							insn.operand_count_visible, text,
							sizeof(text), GPA_CODE + at, NULL);
			length = insn.length;
		}
		printf("\t%x: ", GPA_CODE + at);
		for (unsigned int i = 0; i < length; i++)
			printf("%02x ", pristine[GPA_CODE + at + i]);
		printf(" %s\n", text);
		at += length;
	}
}

static void tell_segments(const struct vee_segments *s)
{
	static const char *const names[] = { "ES", "CS", "SS", "DS", "FS", "GS", "LDTR", "TR" };

	printf("\t\t");
	for (int i = 0; i < 8; i++) {
		const struct vee_segment *segment = &s->es + i;

		printf("%s %x:%llx,%x,%x%s", names[i], segment->selector, segment->base,
		       segment->limit, segment->access_rights, i == 3 ? "\n\t\t" : " ");
	}
	printf("GDTR %llx,%x IDTR %llx,%x\n", s->gdtr.base, s->gdtr.limit, s->idtr.base,
	       s->idtr.limit);
}

static void tell_registers(const struct vee_regs *r)
{
	static const char *const names[] = {
		"RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI", "R8", "R9", "R10", "R11",
		"R12", "R13", "R14", "R15",
	};

	printf("\t\tRIP %llx flags %llx", r->rip, r->rflags);
	for (int i = 0; i < 16; i++)
		printf("%s%s %llx", i == 6 ? "\n\t\t" : " ", names[i], r->gpr[i]);
	printf("\n");
}

static void tell_control(const struct vee_control *c, uint32_t blocking)
{
	printf("\t\tCR0 %llx CR2 %llx CR3 %llx CR4 %llx CR8 %llx ", c->cr0, c->cr2, c->cr3, c->cr4,
	       c->cr8);
	printf("EFER %llx XCR0 %llx blocking %x\n", c->efer, c->xcr0, blocking);
}

static void tell_debug(const struct vee_debug *d)
{
	printf("\t\tDR0 %llx DR1 %llx DR2 %llx DR3 %llx DR6 %llx DR7 %llx\n", d->dr[0], d->dr[1],
	       d->dr[2], d->dr[3], d->dr6, d->dr7);
}

void tell_guest(const struct guest *g)
{
	const struct state *s = &g->start.state;

	printf("guest %llu: %s%s\n", (unsigned long long)g->number, g->kind.name,
	       g->is_wild ? ", wild" : "");
	tell_code(g);
	tell_registers(&s->regs);
	tell_segments(&s->segments);
	tell_control(&s->control, s->blocking);
	tell_debug(&s->debug);
	if (g->start.inject.flags)
		printf("\t\tinjected: type %u vector %u error code %x\n", g->start.inject.type,
		       g->start.inject.vector, g->start.inject.error_code);
}

void tell_trail(const char *who, const struct trail *trail)
{
	for (unsigned int i = 0; i < trail->step_count; i++) {
		const struct step *step = &trail->steps[i];

		printf("\t%s: %s %llx %llx, %u bytes over the bus\n", who, stop_names[step->stop],
		       (unsigned long long)step->what, (unsigned long long)step->value, step->bus);
		tell_registers(&step->regs);
		tell_segments(&step->segments);
		tell_control(&step->control, step->blocking);
	}
	tell_debug(&trail->end.debug);
	/* The first ones, and the last. */
	for (unsigned int i = 0; i < trail->bus_count; i++)
		if (i < 16 || i + 16 >= trail->bus_count)
			printf("%s%s%s%llx=%02x", i ? " " : "\t\t",
			       trail->bus[i].is_port ? "port " : "",
			       trail->bus[i].is_write ? ">" : "<",
			       (unsigned long long)trail->bus[i].address,
			       trail->bus[i].byte);
	if (trail->bus_count)
		printf("\n");
}

#define SHOWN_MAX	8

static void tell_memory(void)
{
	unsigned int shown = 0;

	for (uint32_t i = 0; i < RAM_BYTES && shown < SHOWN_MAX; i += 4) {
		uint32_t of_vee, of_kvm, before;

		memcpy(&of_vee, memory_vee + i, 4);
		memcpy(&of_kvm, memory_kvm + i, 4);
		memcpy(&before, pristine + i, 4);
		if (of_vee == of_kvm)
			continue;
		printf("\tat %x: %08x before, vee %08x KVM %08x\n", i, before, of_vee, of_kvm);
		shown++;
	}
}

void tell_all(const struct guest *g, const char *what, const struct known *known,
	      const struct trail *vee, const struct trail *kvm)
{
	static struct trail plain;
	struct went went;

	if (what)
		printf("differs: %s%s%s\n", what, known ? ", which is known: " : "",
		       known ? known->name : "");
	tell_guest(g);
	tell_trail("vee", vee);
	tell_trail("KVM", kvm);
	tell_memory();
	if ((vee->bus_count || kvm->bus_count) &&
	    !(run_plain(g, &plain, &went) && went.device && !went.beyond))
		tell_trail("the CPU, with memory for the device", &plain);
}

void tell_tally(const struct tally *tally, uint64_t first, double took)
{
	printf("%lu guests from seed %llu on, in %.1f s: %lu exits; %lu wild, %lu refused, ",
	       tally->guests, (unsigned long long)first, took, tally->exits, tally->wild,
	       tally->refused);
	printf("%lu compared to their end, %lu until one could no more\n", tally->compared,
	       tally->partly);
	printf("ends under vee:");
	for (int i = END_HLT; i <= END_REFUSED; i++)
		printf(" %s %lu%s", stop_names[i], tally->stops[i], i < END_REFUSED ? "," : "\n");
	for (const struct known *known = knowns; known->name; known++)
		if (known->count)
			printf("known: %s: %u\n", known->name, known->count);
	if (tally->left)
		printf("known: what guests before had left in KVM: %lu\n", tally->left);
	printf("%lu differ\n", tally->differ);
}
