// SPDX-License-Identifier: GPL-2.0-only
/*
 * vee_audit() beside the CPU: breaks rules of a VM entry on a live vCPU, one at a time. What
 * the last exit left breaks none; then the audit names the rule and no other, before
 * the entry and after it has failed. For each the CPU's own word is expected in the
 * emulator's log, which is for lab/audit-log to look up: a line "broken: RULE: word"
 * each, in the order of the failures. Runs in the lab.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vee.h>

#include "live.h"
#include "test/segments.h"
#include "vmx/fields.h"

/* --- the guest: VMCALL, in whatever mode ---------------------------------------------- */

#define GPA_CODE	0x1000U
#define GPA_TABLES	0x10000U
#define GPA_PDPT	0x4000U
#define GPA_PD		0x5000U
#define RAM_BYTES	0x40000U
#define LARGE_PAGE	0x83	/* present, writable */
#define DEADLINE_NS	1000000000ULL

#define CR0_PG		0x80000000ULL
#define CR4_PAE		0x20ULL
#define CR4_PCIDE	0x20000ULL
#define V86_FLAGS	0x20002ULL
#define V86_SELECTOR	(GPA_CODE >> 4)
#define V86_RIGHTS	0xf3
#define V86_LIMIT	0xffff

static const unsigned char code[] = { 0x0f, 0x01, 0xc1 };

enum mode { LONG, PROTECTED, PAE, V86, REAL };

static const char *const mode_names[] = {
	"64-bit mode", "protected mode", "PAE paging", "virtual-8086 mode", "real mode",
};

static struct vee_vm *vm;
static int failures;

static void make_vm(void)
{
	uint64_t pdpte = GPA_PD | 1, pde = LARGE_PAGE;

	check(vee_vm_create(&vm), "/dev/vee");
	check(vee_vm_alloc(vm, 0, RAM_BYTES, NULL), "memory");
	check(vee_vm_identity_map(vm, GPA_TABLES, RAM_BYTES), "tables");
	check(vee_vm_write(vm, GPA_CODE, code, sizeof(code)), "code");
	check(vee_vm_write(vm, GPA_PDPT, &pdpte, sizeof(pdpte)), "PDPT");
	check(vee_vm_write(vm, GPA_PD, &pde, sizeof(pde)), "page directory");
}

static void set_pae(struct vee_vcpu *vcpu)
{
	struct vee_control *control = &vcpu->page->control;

	vee_vcpu_set_protected_mode(vcpu, GPA_CODE);
	control->cr0 |= CR0_PG;
	control->cr3 = GPA_PDPT;
	control->cr4 |= CR4_PAE;
}

static void set_v86(struct vee_vcpu *vcpu)
{
	struct vee_segments *segments = &vcpu->page->segments;
	struct vee_segment *const all[] = {
		&segments->cs, &segments->ss, &segments->ds,
		&segments->es, &segments->fs, &segments->gs,
	};

	vee_vcpu_set_protected_mode(vcpu, 0);
	vcpu->page->regs.rflags = V86_FLAGS;
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		all[i]->selector = V86_SELECTOR;
		all[i]->base = GPA_CODE;
		all[i]->limit = V86_LIMIT;
		all[i]->access_rights = V86_RIGHTS;
	}
}

static struct vee_vcpu *make_vcpu(enum mode mode)
{
	struct vee_vcpu *vcpu;

	check(vee_vcpu_create(vm, 0, &vcpu), "a vCPU");
	switch (mode) {
	case LONG:
		vee_vcpu_set_long_mode(vcpu, GPA_TABLES, GPA_CODE);
		break;
	case PROTECTED:
		vee_vcpu_set_protected_mode(vcpu, GPA_CODE);
		break;
	case PAE:
		set_pae(vcpu);
		break;
	case V86:
		set_v86(vcpu);
		break;
	case REAL:
		vee_vcpu_set_real_mode(vcpu, 0, GPA_CODE);
		break;
	}
	vcpu->page->deadline_ns = DEADLINE_NS;
	return vcpu;
}

/* --- the rules -------------------------------------------------------------------------- */

#define CHANGES	4

/*
 * The RPL of CS goes with its DPL, for Bochs 2.7 compares these two, and not its DPL with
 * that of SS.
 * @word: what the emulator says; NULL: it checks no such thing, and is not asked
 */
struct breakage {
	const char *rule;
	enum mode mode;
	const char *word;
	struct {
		uint32_t encoding;
		uint64_t value;
	} changes[CHANGES];	/* ended by encoding 0, no field of the guest's */
	uint64_t cr4;		/* bits that change by way of the page, with the entry */
};

#define F(name, value)	{ VMCS_##name, value }
#define NONCANONICAL	0x0000800000000000ULL
#define TOO_WIDE	0x0001000000000000ULL	/* to be in RIP */
#define TOO_HIGH	(1ULL << 53)

#define BREAK(in, id, says, ...) \
	{ .rule = #id, .mode = in, .word = says, .changes = { __VA_ARGS__ } }
#define FIELD(in, id, says, value) \
	{ .rule = #id, .mode = in, .word = says, .changes = { { VMCS_##id, value } } }
#define CR4(in, id, says, bits)	{ .rule = #id, .mode = in, .word = says, .cr4 = bits }

static const struct breakage breakages[] = {
	BREAK(LONG, GUEST_CR3_WIDTH, "invalid CR3", F(GUEST_CR3, TOO_HIGH)),
	CR4(LONG, GUEST_64BIT_PAE, "CR4.PAE=0 in x86-64 mode", CR4_PAE),
	CR4(PROTECTED, GUEST_32BIT_PCIDE, "CR4.PCIDE set in 32-bit guest", CR4_PCIDE),
	FIELD(LONG, GUEST_DR7, "invalid DR7", 1ULL << 32 | 0x400),
	FIELD(LONG, GUEST_SYSENTER_ESP, "SYSENTER_ESP_MSR non canonical", NONCANONICAL),
	FIELD(LONG, GUEST_SYSENTER_EIP, "SYSENTER_EIP_MSR non canonical", NONCANONICAL),
	FIELD(LONG, GUEST_PAT, "invalid Memory Type in guest MSR_PAT", 0x0207040600070406ULL),
	BREAK(LONG, GUEST_TR_TI, "TR.TI set", F(GUEST_TR_SELECTOR, 4)),
	BREAK(LONG, GUEST_LDTR_TI, "LDTR.TI set", F(GUEST_LDTR_SELECTOR, 4),
	      F(GUEST_LDTR_ACCESS_RIGHTS, 0x82)),
	FIELD(LONG, GUEST_TR_BASE, "TR.BASE non canonical", NONCANONICAL),
	FIELD(LONG, GUEST_FS_BASE, "FS.BASE non canonical", NONCANONICAL),
	FIELD(LONG, GUEST_GS_BASE, "GS.BASE non canonical", NONCANONICAL),
	BREAK(LONG, GUEST_LDTR_BASE, "LDTR.BASE non canonical", F(GUEST_LDTR_BASE, NONCANONICAL),
	      F(GUEST_LDTR_ACCESS_RIGHTS, 0x82)),
	FIELD(LONG, GUEST_CS_BASE, "CS.BASE > 32 bit", 1ULL << 32),
	FIELD(PROTECTED, GUEST_SS_BASE, "SS.BASE > 32 bit", 1ULL << 32),
	FIELD(LONG, GUEST_DS_BASE, "DS.BASE > 32 bit", 1ULL << 32),
	FIELD(LONG, GUEST_ES_BASE, "ES.BASE > 32 bit", 1ULL << 32),
	BREAK(LONG, GUEST_CS_TYPE, "guest CS.TYPE", F(GUEST_CS_ACCESS_RIGHTS, 0xa09a)),
	BREAK(LONG, GUEST_CS_DPL, "non-conforming CS.", F(GUEST_CS_ACCESS_RIGHTS, 0xa0fb)),
	BREAK(LONG, GUEST_CS_DPL, "non-conforming CS.", F(GUEST_CS_ACCESS_RIGHTS, 0xa0ff)),
	BREAK(PROTECTED, GUEST_CS_DPL, "CS.DPL != 0", F(GUEST_CS_ACCESS_RIGHTS, 0xc0f3)),
	BREAK(LONG, GUEST_CS_DB, "CS.D_B/L", F(GUEST_CS_ACCESS_RIGHTS, 0xe09b)),
	BREAK(PROTECTED, GUEST_SS_TYPE, "guest SS.TYPE", F(GUEST_SS_ACCESS_RIGHTS, 0xc091)),
	BREAK(REAL, GUEST_SS_DPL_0, "SS.DPL != 0", F(GUEST_SS_ACCESS_RIGHTS, 0xf3),
	      F(GUEST_CS_ACCESS_RIGHTS, 0xfb), F(GUEST_CS_SELECTOR, 3)),
	BREAK(PROTECTED, GUEST_SS_DPL_0, "SS.DPL != 0", F(GUEST_SS_ACCESS_RIGHTS, 0xc0f3),
	      F(GUEST_CS_ACCESS_RIGHTS, 0xc093)),
	BREAK(LONG, GUEST_TR_TYPE, "incorrect TR type", F(GUEST_TR_ACCESS_RIGHTS, 0x89)),
	BREAK(LONG, GUEST_TR_TYPE, "incorrect TR type", F(GUEST_TR_ACCESS_RIGHTS, 0x83)),
	BREAK(LONG, GUEST_TR_USABLE, "TR invalid", F(GUEST_TR_ACCESS_RIGHTS, 0x1008b)),
	BREAK(LONG, GUEST_LDTR_TYPE, "incorrect LDTR type", F(GUEST_LDTR_ACCESS_RIGHTS, 0x83)),
	FIELD(LONG, GUEST_GDTR_BASE, "IDTR.BASE non canonical", NONCANONICAL),
	FIELD(LONG, GUEST_IDTR_BASE, "IDTR.BASE non canonical", NONCANONICAL),
	FIELD(LONG, GUEST_GDTR_LIMIT, "limit > 0xFFFF", 0x10000),
	FIELD(LONG, GUEST_IDTR_LIMIT, "limit > 0xFFFF", 0x10000),
	BREAK(PROTECTED, GUEST_RIP_32, "RIP > 32 bit", F(GUEST_RIP, 1ULL << 32)),
	BREAK(LONG, GUEST_RIP_CANONICAL, NULL, F(GUEST_RIP, TOO_WIDE)),
	BREAK(LONG, GUEST_RFLAGS_RESERVED, "RFLAGS reserved bits", F(GUEST_RFLAGS, 0x8002)),
	BREAK(LONG, GUEST_RFLAGS_RESERVED, "RFLAGS reserved bits", F(GUEST_RFLAGS, 1ULL << 40 | 2)),
	BREAK(LONG, GUEST_RFLAGS_1, "RFLAGS[1] cleared", F(GUEST_RFLAGS, 0)),
	BREAK(LONG, GUEST_RFLAGS_VM_64, "x86-64 guest with RFLAGS.VM", F(GUEST_RFLAGS, 0x20002)),
	BREAK(REAL, GUEST_RFLAGS_VM_REAL, NULL, F(GUEST_RFLAGS, 0x20002)),
	BREAK(PROTECTED, ACTIVITY_HLT_DPL, "HLT state with SS.DPL", F(GUEST_ACTIVITY, 1),
	      F(GUEST_SS_ACCESS_RIGHTS, 0xc0f3), F(GUEST_CS_ACCESS_RIGHTS, 0xc0fb),
	      F(GUEST_CS_SELECTOR, 11)),
	BREAK(LONG, ACTIVITY_BLOCKING, "entering non active CPU state", F(GUEST_ACTIVITY, 1),
	      F(GUEST_INTERRUPTIBILITY, 2)),
	BREAK(LONG, BLOCKING_RESERVED, "interruptibility state broken",
	      F(GUEST_INTERRUPTIBILITY, 0x20)),
	BREAK(LONG, BLOCKING_BOTH, "interruptibility state broken", F(GUEST_INTERRUPTIBILITY, 3)),
	BREAK(LONG, BLOCKING_STI_IF, "when EFLAGS.IF = 0", F(GUEST_INTERRUPTIBILITY, 1)),
	BREAK(LONG, BLOCKING_SMI, "SMI blocked when not in SMM", F(GUEST_INTERRUPTIBILITY, 4)),
	BREAK(LONG, BLOCKING_ENCLAVE, "interruptibility state broken",
	      F(GUEST_INTERRUPTIBILITY, 0x10)),
	BREAK(LONG, PENDING_RESERVED, "tmpDR6 reserved bits", F(GUEST_PENDING_DEBUG, 0x10)),
	BREAK(LONG, PENDING_RTM, "tmpDR6 reserved bits", F(GUEST_PENDING_DEBUG, 0x11000)),
	BREAK(LONG, PENDING_STEP, NULL, F(GUEST_RFLAGS, 0x102), F(GUEST_INTERRUPTIBILITY, 2)),
	BREAK(LONG, PENDING_NO_STEP, NULL, F(GUEST_INTERRUPTIBILITY, 2),
	      F(GUEST_PENDING_DEBUG, 0x4000)),
	FIELD(PAE, GUEST_PDPTE0, "PDPTRs Checks Failed", 0x5003),
	FIELD(PAE, GUEST_PDPTE1, "PDPTRs Checks Failed", 0x5021),
	FIELD(PAE, GUEST_PDPTE2, "PDPTRs Checks Failed", 0x5101),
	FIELD(PAE, GUEST_PDPTE3, "PDPTRs Checks Failed", 1ULL << 60 | 1),
};

/* In protected mode. */
static const uint32_t good_rights[] = {
	0xc093, 0xc09b, 0xc093, 0xc093, 0xc093, 0xc093, 0x82, 0x8b,
};

/*
 * Those of the segment registers, which differ in the register alone: @word has a %s for it.
 * @set and @clear are of the access rights.
 */
static const struct segment_breakage {
	const char *rule;
	unsigned int registers;
	enum mode mode;
	const char *word;
	uint32_t set, clear;
	uint64_t limit, base;	/* 0: it stays */
} segment_breakages[] = {
	{ "PRESENT", ALL, PROTECTED, "guest %s not present", .clear = VEE_AR_PRESENT },
	{ "RESERVED_LOW", ALL, PROTECTED, "%s.AR/LIMIT malformed", .set = 0x400 },
	{ "RESERVED_HIGH", ALL, PROTECTED, "%s.AR/LIMIT malformed", .set = 0x20000 },
	{ "G_0", ALL, PROTECTED, "%s.AR/LIMIT malformed", .set = VEE_AR_G, .limit = 0xffffff00 },
	{ "G_1", ALL, PROTECTED, "%s.AR/LIMIT malformed", .clear = VEE_AR_G, .limit = 0x100fff },
	{ "S", CODE_AND_DATA, PROTECTED, "guest %s not segment", .clear = VEE_AR_S },
	{ "S", SYSTEM, PROTECTED, "guest %s is not system segment", .set = VEE_AR_S },
	{ "ACCESSED", DATA_ONLY, PROTECTED, "guest %s not ACCESSED", .clear = 1 },
	{ "READABLE", DATA_ONLY, PROTECTED, "CODE segment %s not READABLE", .set = 8, .clear = 2 },
	{ "V86_BASE", CODE_AND_DATA, V86, "v8086 guest bad %s.BASE", .base = 0x1001 },
	{ "V86_LIMIT", CODE_AND_DATA, V86, "v8086 guest %s.LIMIT != 0xFFFF", .limit = 0xffffffff },
	{ "V86_RIGHTS", CODE_AND_DATA, V86, "v8086 guest %s.AR != 0xF3", .clear = VEE_AR_DPL },
};

/* --- one rule --------------------------------------------------------------------------- */

#define ROOM	4

static void complain(const struct breakage *breakage, const char *what)
{
	printf("not ok: %s in %s: %s\n", breakage->rule, mode_names[breakage->mode], what);
	failures++;
}

/* @rule: the one that is to be broken; NULL: none. */
static void audit(struct vee_vcpu *vcpu, const struct breakage *breakage, const char *rule)
{
	struct vee_broken_rule broken[ROOM];
	unsigned int unjudged;
	int count = vee_vcpu_audit(vcpu, broken, ROOM, &unjudged);

	check(count, "auditing");
	if (unjudged)
		complain(breakage, "rules that can't be judged");
	if (count != !!rule || (rule && strcmp(broken[0].rule, rule)))
		complain(breakage, rule ? "not that rule alone" : "broken before it was broken");
	for (int i = 0; i < count && i < ROOM; i++)
		if (!rule || strcmp(broken[i].rule, rule))
			printf("  %s\n", broken[i].rule);
}

static void change(struct vee_vcpu *vcpu, const struct breakage *breakage)
{
	for (int i = 0; i < CHANGES && breakage->changes[i].encoding; i++)
		check(vee_vcpu_vmcs_write(vcpu, breakage->changes[i].encoding,
					  breakage->changes[i].value), breakage->rule);
	if (breakage->cr4) {
		check(vee_vcpu_sync(vcpu, VEE_STATE_CONTROL), "control registers");
		vcpu->page->control.cr4 ^= breakage->cr4;
		vcpu->page->dirty |= VEE_STATE_CONTROL;
	}
}

static void run_into(struct vee_vcpu *vcpu, const struct breakage *breakage, uint32_t reason)
{
	check(run_vcpu(vcpu), "running");
	if (vcpu->page->exit.reason != reason)
		complain(breakage, vee_exit_name(vcpu->page->exit.reason));
}

static void try(const struct breakage *breakage)
{
	struct vee_vcpu *vcpu = make_vcpu(breakage->mode);

	run_into(vcpu, breakage, VEE_EXIT_HYPERCALL);
	audit(vcpu, breakage, NULL);
	change(vcpu, breakage);
	if (!breakage->cr4)
		audit(vcpu, breakage, breakage->rule);
	if (breakage->word) {
		run_into(vcpu, breakage, VEE_EXIT_ENTRY_FAILED);
		audit(vcpu, breakage, breakage->rule);
		printf("broken: %s: %s\n", breakage->rule, breakage->word);
	} else {
		printf("# %s: the emulator does not check it\n", breakage->rule);
	}
	vee_vcpu_destroy(vcpu);
}

static uint32_t of_segment(uint32_t field_of_es, unsigned int segment)
{
	return field_of_es + 2 * segment;
}

static void try_segment(const struct segment_breakage *of, unsigned int segment)
{
	uint32_t rights = of->mode == V86 ? V86_RIGHTS : good_rights[segment];
	struct breakage breakage = { .mode = of->mode };
	char rule[40], word[80];
	int n = 0;

	snprintf(rule, sizeof(rule), "GUEST_%s_%s", segment_names[segment], of->rule);
	snprintf(word, sizeof(word), of->word, segment_names[segment]);
	breakage.rule = rule;
	breakage.word = word;
	breakage.changes[n].encoding = of_segment(VMCS_GUEST_ES_ACCESS_RIGHTS, segment);
	breakage.changes[n++].value = (rights | of->set) & ~of->clear;
	if (of->limit) {
		breakage.changes[n].encoding = of_segment(VMCS_GUEST_ES_LIMIT, segment);
		breakage.changes[n++].value = of->limit;
	}
	if (of->base) {
		breakage.changes[n].encoding = of_segment(VMCS_GUEST_ES_BASE, segment);
		breakage.changes[n++].value = of->base;
	}
	try(&breakage);
}

int main(void)
{
	setlinebuf(stdout);
	make_vm();
	for (size_t i = 0; i < sizeof(breakages) / sizeof(*breakages); i++)
		try(&breakages[i]);
	for (size_t i = 0; i < sizeof(segment_breakages) / sizeof(*segment_breakages); i++)
		for (unsigned int segment = ES; segment <= TR; segment++)
			if (segment_breakages[i].registers & 1 << segment)
				try_segment(&segment_breakages[i], segment);
	vee_vm_destroy(vm);
	return failures != 0;
}
