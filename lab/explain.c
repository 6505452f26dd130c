// SPDX-License-Identifier: GPL-2.0-only
/*
 * What vee_explain() says of twelve mistakes that beginners make, each made here by a
 * program or its guest on a live vCPU. Runs in the lab.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "live.h"

#define GPA_CODE	0x1000U
#define GPA_EMPTY	0x8000U		/* a page that nothing was put into */
#define GPA_TABLES	0x10000U
#define RAM_BYTES	0x20000U
#define MAPPED_BYTES	0x200000U
#define DEADLINE_NS	1000000000ULL
#define RUNS		5		/* of who goes on without an answer */
#define SAID_BYTES	16384
#define WORDS_MAX	4

#define CR0_PG		0x80000000ULL
#define CR4_PAE		0x20ULL
#define CS_32		0xc09bU

static struct vee_vm *vm;
static struct vee_vcpu *vcpu;
static char said[SAID_BYTES];
static int failures;

/* --- the mistakes: what the program does before the run, the guest's code ------------- */

struct mistake {
	const char *name;
	void (*make)(void);
	struct {
		const char *bytes;
		size_t count;
	} code;
	void (*after)(void);		/* the first run */
	const char *words[WORDS_MAX];	/* each must be said */
};

static void start_long(uint64_t cr3)
{
	check(vee_vm_identity_map(vm, GPA_TABLES, MAPPED_BYTES), "page tables");
	vee_vcpu_set_long_mode(vcpu, cr3, GPA_CODE);
	vcpu->page->regs.rsp = GPA_EMPTY;
}

static void plain_long(void)
{
	start_long(GPA_TABLES);
}

static void tables_missing(void)
{
	start_long(GPA_EMPTY);
}

static void cr3_unaligned(void)
{
	start_long(GPA_TABLES - 0x800);
}

static void pg_without_pe(void)
{
	vee_vcpu_set_real_mode(vcpu, GPA_CODE >> 4, 0);
	vcpu->page->control.cr0 |= CR0_PG;
}

static void long_without_pae(void)
{
	plain_long();
	vcpu->page->control.cr4 &= ~CR4_PAE;
}

static void cs_not_64bit(void)
{
	plain_long();
	vcpu->page->segments.cs.access_rights = CS_32;
}

static void stack_beyond_memory(void)
{
	vee_vcpu_set_protected_mode(vcpu, GPA_CODE);
	vcpu->page->regs.rsp = RAM_BYTES + 0x1000;
}

static void plain_protected(void)
{
	vee_vcpu_set_protected_mode(vcpu, GPA_CODE);
}

/* The first page of the VM's memory again, as data. */
static void data_not_executable(void)
{
	plain_protected();
	check(vee_vm_map(vm, RAM_BYTES, vee_vm_at(vm, 0, 4096), 4096, VEE_READ | VEE_WRITE),
	      "data");
}

static void segment_too_large(void)
{
	vee_vcpu_set_real_mode(vcpu, 2 * GPA_CODE, 0);
	check(vee_vm_write(vm, 2 * GPA_CODE, "\xf4", 1), "code");
}

static void map_late(void)
{
	check(vee_vm_alloc(vm, RAM_BYTES, 4096, NULL), "more memory");
}

static void forget(void)
{
	for (int i = 0; i < RUNS; i++)
		run_vcpu(vcpu);
}

#define CODE(bytes)	{ bytes, sizeof(bytes) - 1 }
#define TRIED		", by trying the instruction: "

static const struct mistake mistakes[] = {
	{ "tables missing", tables_missing, CODE("\x90"), NULL,
	  { "a triple fault", "first #PF(0)" TRIED "the fetch of the instruction at gva 0x1000",
	    "PML4E   0 at gpa 0x8000: 0, not present" } },
	{ "CR3 unaligned", cr3_unaligned, CODE("\x90"), NULL,
	  { "CR3 0xf800, not aligned: bits 0x800 are ignored" } },
	{ "no IDT", plain_long, CODE("\x0f\x0b"), NULL,
	  { "first #UD" TRIED, "#UD is not delivered: IDT entry 6 is beyond the IDT's limit 0",
	    "#DF is not delivered: IDT entry 8 is beyond" } },
	{ "CR0.PG without PE", pg_without_pe, CODE("\xf4"), NULL,
	  { "the run failed: Invalid argument", "control.cr0 (group VEE_STATE_CONTROL) is",
	    "PG is set without PE" } },
	{ "long mode without PAE", long_without_pae, CODE("\xf4"), NULL,
	  { "VM entry failed", "PAE" } },
	{ "CS not 64-bit", cs_not_64bit, CODE("\x0f\x0b"), NULL,
	  { "in compatibility mode, 32-bit code (L of CS is 0)" } },
	{ "a stack beyond memory", stack_beyond_memory, CODE("\x50"), NULL,
	  { "the guest writes at gpa 0x20ffc (gva 0x20ffc), where the VM has no memory",
	    "it is the stack: SS:RSP is gva 0x21000", "push eax" } },
	{ "a jump to data that may not execute", data_not_executable,
	  CODE("\xe9\xfb\xef\x01\x00"), NULL,
	  { "the guest fetches an instruction at gpa 0x20000",
	    "which its slot forbids: map it with VEE_EXECUTE" } },
	{ "a segment 16 times too large", segment_too_large, CODE("\xf4"), NULL,
	  { "the guest fetches an instruction at gpa 0x20000",
	    "CS 0x2000 begins at 16 times that, 0x20000; for code at 0x2000 it is 0x200" } },
	{ "a forgotten vee_done()", plain_protected, CODE("\xe6\xe9\xf4"), forget,
	  { "to port 0xe9; then vee_done()",
	    "run again 5 times without an answer: is vee_done() missing?" } },
	{ "a program of a C library", plain_long, CODE("\x0f\x05"), NULL,
	  { "first #UD" TRIED "SYSCALL asks a kernel, and this guest has set up none" } },
	{ "memory mapped after the access", plain_protected, CODE("\xa2\x00\x00\x02\x00\xf4"),
	  map_late,
	  { "the guest writes at gpa 0x20000 (gva 0x20000), where the VM had no memory",
	    "now it has: mapped after the access. Run again, without vee_done()" } },
};

/* --- all of them ----------------------------------------------------------------------- */

static unsigned int count_lines(void)
{
	unsigned int lines = 0;

	for (const char *at = said; *at; at++)
		lines += *at == '\n';
	return lines;
}

/* How much of what must be said is not. */
static int look_for(const struct mistake *mistake)
{
	int missing = count_lines() > VEE_EXPLAIN_LINES;

	for (int i = 0; i < WORDS_MAX && mistake->words[i]; i++)
		if (!strstr(said, mistake->words[i])) {
			printf("# it does not say: %s\n", mistake->words[i]);
			missing++;
		}
	/* What is found by trying must agree with what the CPU left. */
	return missing + !!strstr(said, "but CR2");
}

static void try(const struct mistake *mistake, unsigned int number)
{
	int bad;

	check(vee_vm_create(&vm), "/dev/vee");
	check(vee_vm_alloc(vm, 0, RAM_BYTES, NULL), "memory");
	check(vee_vm_write(vm, GPA_CODE, mistake->code.bytes, mistake->code.count), "code");
	check(vee_vcpu_create(vm, 0, &vcpu), "a vCPU");
	check(vee_vcpu_keep_exits(vcpu), "its exits");
	vcpu->page->deadline_ns = DEADLINE_NS;
	mistake->make();
	run_vcpu(vcpu);
	if (mistake->after)
		mistake->after();
	explain_to(vcpu, said, sizeof(said));
	bad = look_for(mistake);
	if (bad)
		printf("%s", said);
	printf("%sok %u explain: %s\n", bad ? "not " : "", number, mistake->name);
	failures += !!bad;
	vee_vcpu_destroy(vcpu);
	vee_vm_destroy(vm);
}

int main(void)
{
	const unsigned int count = sizeof(mistakes) / sizeof(*mistakes);

	setlinebuf(stdout);
	for (unsigned int i = 0; i < count; i++)
		try(&mistakes[i], i + 1);
	return failures != 0;
}
