/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Lab 6: ten guests whose VMCSs are broken, and what becomes of them. This file is the
 * lab's: the grader has its own.
 */
#ifndef LAB_H
#define LAB_H

#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vee.h>

#include "fields.h"

/* What vmcs.c says of a case: which rule is broken, and a field with what mends it. */
struct mend {
	const char *rule;
	uint32_t field;		/* 0: none */
	uint64_t value;
};

#define CASES		10
#define MENDS		2	/* of a case, at most */

/* --- the guests --- */

#define CODE		0x1000
#define NUMBER_AT	0x3000	/* a 42, and a page of 4 KiB of its own */
#define PDPT		0x4000
#define DIRECTORY	0x5000
#define TABLES		0x10000	/* for 64-bit mode */
#define MEMORY		0x200000
#define NUMBER		42
#define VMCALL_BYTES	3

#define RFLAGS_V86	0x23002	/* VM, and IOPL 3 */
#define RIGHTS_V86	0xf3
#define RIGHTS_FS	0xc093
#define CR0_PG		0x80000000ULL
#define CR4_PAE		0x20ULL
#define LARGE_PAGE	0x83	/* present, to be written, 2 MiB */
#define DEADLINE_NS	10000000

/*
 * Each begins by VMCALL, and is broken there; what is left for it to do is to read the number,
 * and to say so by VMCALL. To a CPU in 32-bit mode MOV RAX, RAX of the first one is two
 * instructions, DEC EAX and MOV EAX, EAX.
 */
extern const char guest_long[], guest_protected[], guest_v86[], guest_pae[], guests_end[];
asm(".pushsection .rodata\n"
"guest_long:	vmcall\n"
"		mov	%fs:0, %eax\n"
"		mov	%rax, %rax\n"
"		vmcall\n"
"	.code32\n"
"guest_protected: vmcall\n"
"		mov	0x3000, %eax\n"
"		vmcall\n"
"guest_pae:	vmcall\n"
"		mov	0x80003000, %eax\n"	/* by the third PDPTE */
"		vmcall\n"
"	.code16\n"
"guest_v86:	vmcall\n"
"		mov	0x2000, %eax\n"		/* DS begins at 1000H */
"		vmcall\n"
"guests_end:\n"
"	.code64\n"
"	.popsection\n");

enum mode { LONG, PROTECTED, PAE, V86 };

/* libvee's functions return 0 or more, or -errno. */
static void check(int ret, const char *what)
{
	if (ret < 0) {
		errno = -ret;
		err(1, "%s", what);
	}
}

static struct vee_vm *make_vm(void)
{
	uint64_t pdpt[4] = { DIRECTORY | 1, 0, DIRECTORY | 1, 0 }, page = LARGE_PAGE;
	uint32_t number = NUMBER;
	struct vee_vm *vm;

	check(vee_vm_create(&vm), "making a VM");
	check(vee_vm_alloc(vm, 0, MEMORY, NULL), "giving it memory");
	check(vee_vm_identity_map(vm, TABLES, MEMORY), "page tables");
	check(vee_vm_write(vm, CODE, guest_long, guests_end - guest_long), "the guests");
	check(vee_vm_write(vm, NUMBER_AT, &number, sizeof(number)), "their number");
	check(vee_vm_write(vm, PDPT, pdpt, sizeof(pdpt)), "a PDPT");
	check(vee_vm_write(vm, DIRECTORY, &page, sizeof(page)), "a page directory");
	return vm;
}

static void set_v86(struct vee_vcpu *vcpu)
{
	struct vee_segments *segments = &vcpu->page->segments;
	struct vee_segment *const all[] = {
		&segments->cs, &segments->ss, &segments->ds,
		&segments->es, &segments->fs, &segments->gs,
	};

	vee_vcpu_set_protected_mode(vcpu, guest_v86 - guest_long);
	vcpu->page->regs.rflags = RFLAGS_V86;
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		all[i]->selector = CODE >> 4;
		all[i]->base = CODE;
		all[i]->limit = 0xffff;
		all[i]->access_rights = RIGHTS_V86;
	}
}

static struct vee_vcpu *make_vcpu(struct vee_vm *vm, enum mode mode)
{
	struct vee_vcpu *vcpu;

	check(vee_vcpu_create(vm, 0, &vcpu), "making a vCPU");
	if (mode == LONG) {
		vee_vcpu_set_long_mode(vcpu, TABLES, CODE);
		vcpu->page->segments.fs.base = NUMBER_AT;
	} else if (mode == V86) {
		set_v86(vcpu);
	} else if (mode == PROTECTED) {
		vee_vcpu_set_protected_mode(vcpu, CODE + (guest_protected - guest_long));
	} else {
		vee_vcpu_set_protected_mode(vcpu, CODE + (guest_pae - guest_long));
		vcpu->page->control.cr0 |= CR0_PG;
		vcpu->page->control.cr3 = PDPT;
		vcpu->page->control.cr4 |= CR4_PAE;
	}
	vcpu->page->deadline_ns = DEADLINE_NS;
	return vcpu;
}

/* --- the cases --- */

/* Scrambled, so that nobody reads by accident what is to be found. */
#define SCRAMBLED_FIELD	0x5eed
#define SCRAMBLED_VALUE	0x0123456789abcdefULL

static const struct {
	enum mode mode;
	struct {
		uint32_t field;
		uint64_t value;
	} broken[2];
} cases[CASES] = {
	{ LONG, { { 0x36cd, 0x0123456789abcdefULL } } },
	{ LONG, { { 0x16fb, 0x0123456789ab2d74ULL } } },
	{ LONG, { { 0x36ef, 0x0103456789aacdefULL } } },
	{ LONG, { { 0x16cf, 0x0123456789abcd66ULL } } },
	{ LONG, { { 0x36e3, 0x0123c56789abfdefULL } } },
	{ PROTECTED, { { 0x16f7, 0x0123456789ab8d7cULL } } },
	{ V86, { { 0x16eb, 0x0123456776543210ULL } } },
	{ LONG, { { 0x16c9, 0x0123456789abcdedULL }, { 0x16cb, 0x0123456789abcdeeULL } } },
	{ PAE, { { 0x76e3, 0x0123456789ab9decULL } } },
	{ LONG, { { 0x76e9, 0x0324416189acc9e9ULL }, { 0x16fd, 0x0123456789aacdefULL } } },
};

static const char *const mode_names[] = {
	[LONG] = "64-bit mode", [PROTECTED] = "protected mode", [PAE] = "protected mode with PAE",
	[V86] = "virtual-8086 mode",
};

/* What the caller wants to see of a failed entry. */
struct wishes {
	bool audit;
	bool dump;
};

static uint32_t run(struct vee_vcpu *vcpu)
{
	int ret;

	do {
		ret = vee_vcpu_run(vcpu);
	} while (ret == -EINTR);
	check(ret, "running a guest");
	return vcpu->page->exit.reason;
}

/* Past its first instruction, by the VMCS: so nothing of the vCPU page is for the next entry. */
static void begin(struct vee_vcpu *vcpu)
{
	uint64_t rip;

	if (run(vcpu) != VEE_EXIT_HYPERCALL)
		errx(1, "the guest does not begin: %s", vee_exit_name(vcpu->page->exit.reason));
	check(vee_vcpu_vmcs_read(vcpu, GUEST_RIP, &rip), "reading RIP");
	check(vee_vcpu_vmcs_write(vcpu, GUEST_RIP, rip + VMCALL_BYTES), "writing RIP");
}

static void break_vmcs(struct vee_vcpu *vcpu, unsigned int n)
{
	for (int i = 0; i < 2 && cases[n - 1].broken[i].field; i++)
		check(vee_vcpu_vmcs_write(vcpu, cases[n - 1].broken[i].field ^ SCRAMBLED_FIELD,
					  cases[n - 1].broken[i].value ^ SCRAMBLED_VALUE),
		      "breaking a VMCS");
}

/* The rules that are broken, of which @mends name how many? */
static unsigned int audit(struct vee_vcpu *vcpu, const struct mend *mends)
{
	struct vee_broken_rule broken[4];
	int count = vee_vcpu_audit(vcpu, broken, 4, NULL);
	unsigned int named = 0;
	char line[600];

	check(count, "auditing a VMCS");
	for (int i = 0; i < count && i < 4; i++) {
		vee_audit_text(&broken[i], line, sizeof(line));
		printf("   %s\n", line);
		for (int j = 0; j < MENDS; j++)
			named += mends[j].rule && !strcmp(mends[j].rule, broken[i].rule);
	}
	return named;
}

/* What the hardware says, and that is all. */
static void tell_failure(struct vee_vcpu *vcpu, unsigned int n)
{
	const struct vee_exit *exit = &vcpu->page->exit;

	if (exit->reason != VEE_EXIT_ENTRY_FAILED)
		errx(1, "case %u: %s, and no failed entry", n, vee_exit_name(exit->reason));
	printf("case %u, in %s: the entry fails: exit reason 0x%x, qualification %llu\n", n,
	       mode_names[cases[n - 1].mode], exit->hardware_reason, exit->qualification);
}

static void dump(struct vee_vcpu *vcpu)
{
	struct vee_snapshot *snapshot;

	check(vee_snapshot_take(vcpu, &snapshot), "reading the VMCS");
	vee_snapshot_print(snapshot, stdout);
	vee_snapshot_free(snapshot);
}

static void mend(struct vee_vcpu *vcpu, unsigned int n, const struct mend *mends)
{
	char what[40];

	for (int i = 0; i < MENDS && mends[i].field; i++) {
		snprintf(what, sizeof(what), "case %u: field 0x%x", n, mends[i].field);
		check(vee_vcpu_vmcs_write(vcpu, mends[i].field, mends[i].value), what);
	}
}

/* Does the guest run now, and as it would have? */
static bool tell_outcome(struct vee_vcpu *vcpu, unsigned int n)
{
	uint32_t reason = run(vcpu);

	if (reason == VEE_EXIT_HYPERCALL && vcpu->page->regs.rax == NUMBER)
		printf("%u: mended: the guest has read %u\n", n, NUMBER);
	else if (reason == VEE_EXIT_HYPERCALL)
		printf("%u: the guest runs, but has read %llu\n", n, vcpu->page->regs.rax);
	else if (reason == VEE_EXIT_DEADLINE || reason == VEE_EXIT_HLT)
		printf("%u: the guest is entered, and sleeps\n", n);
	else if (reason == VEE_EXIT_ENTRY_FAILED)
		printf("%u: the entry fails again\n", n);
	else
		printf("%u: the guest is entered, and that is its end: %s\n", n,
		       vee_exit_name(reason));
	return reason == VEE_EXIT_ENTRY_FAILED;
}

/* How many of the rules that it breaks @mends name, if somebody wants to know. */
static unsigned int try_case(unsigned int n, const struct mend *mends,
			     const struct wishes *wishes)
{
	struct vee_vm *vm = make_vm();
	struct vee_vcpu *vcpu = make_vcpu(vm, cases[n - 1].mode);
	unsigned int named = 0;

	begin(vcpu);
	break_vmcs(vcpu, n);
	run(vcpu);
	tell_failure(vcpu, n);
	if (wishes->dump)
		dump(vcpu);
	if (wishes->audit)
		named = audit(vcpu, mends);
	mend(vcpu, n, mends);
	if (tell_outcome(vcpu, n) && mends[0].field && wishes->audit)
		audit(vcpu, mends);
	vee_vcpu_destroy(vcpu);
	vee_vm_destroy(vm);
	return named;
}

static int run_cases(int argc, char **argv, const struct mend (*mends)[MENDS])
{
	struct wishes wishes = { 0 };
	unsigned int only = 0, named = 0;

	setlinebuf(stdout);
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--audit"))
			wishes.audit = true;
		else if (!strcmp(argv[i], "--dump"))
			wishes.dump = true;
		else
			only = strtoul(argv[i], NULL, 0);
		if (*argv[i] != '-' && (only < 1 || only > CASES))
			errx(2, "usage: vmcs [--audit] [--dump] [1 to %u]", CASES);
	}
	for (unsigned int n = 1; n <= CASES; n++)
		if (!only || n == only)
			named += try_case(n, mends[n], &wishes);
	if (wishes.audit && !only)
		printf("rules named: %u of 11\n", named);
	return 0;
}

#endif
