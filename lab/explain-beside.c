// SPDX-License-Identifier: GPL-2.0-only
/*
 * What vee_explain() takes for the first exception of a triple fault, beside the CPU: a guest
 * with handlers for all exceptions tells which one an instruction raises; without an IDT
 * the same is a triple fault, of which vee_explain() must name that exception, or none.
 * Runs in the lab.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "live.h"

#define GPA_CODE	0x1000U
#define GPA_GDT		0x2000U
#define GPA_IDT		0x3000U
#define GPA_HANDLERS	0x4000U		/* 16 bytes each */
#define GPA_DATA	0x6000U
#define GPA_TSS		0x7000U
#define GPA_STACK	0x8000U
#define GPA_TABLES	0x10000U
#define RAM_BYTES	0x20000U
#define MAPPED_BYTES	0x200000U
#define DEADLINE_NS	1000000000ULL
#define SAID_BYTES	16384

#define EXCEPTIONS	32
#define HANDLER_BYTES	16
#define CODE_64		8ULL
#define CODE_32		0x18ULL
#define GATE_RIGHTS	0x8eULL
#define GATE_IST1	(1ULL << 32)
#define TSS_IST1	36
#define TSS_LIMIT	0x67
#define ERROR_CODES	0x27d00U	/* bit of each vector that has one */
#define VECTOR_NONE	255

#define NONCANONICAL	0x8000000000000000ULL
#define UNMAPPED	0x40000000ULL

/* None, 64-bit code, data, 32-bit code, code that is not present, a TSS. */
static const uint64_t gdt[] = {
	0, 0x00af9b000000ffff, 0x00cf93000000ffff, 0x00cf9b000000ffff, 0x00cf1b000000ffff,
	0x0000890090000067, 0,
};

static struct vee_vm *vm;
static struct vee_vcpu *vcpu;
static char said[SAID_BYTES];
static int failures, unknown;

#define INSN(words, bytes_, ...)						\
	{ .name = words, .code = { bytes_, sizeof(bytes_) - 1 }, __VA_ARGS__ }

/* RAX, RBX and RSP as given, RCX 0; RSI, RDI at data, which is zeros. */
struct insn {
	const char *name;
	struct {
		const char *bytes;
		size_t count;
	} code;
	uint64_t rax, rbx, rsp;
	uint64_t cr0, cr4;		/* bits that are changed */
	uint64_t rflags;
	bool protected;			/* 32-bit code without paging, not 64-bit code */
};

#define PROTECTED(words, bytes_, ...) INSN(words, bytes_, .protected = true, __VA_ARGS__)

#define RFLAGS_1	0x2ULL
#define RFLAGS_OF	0x800ULL
#define CR0_MP	0x2ULL
#define CR0_EM	0x4ULL
#define CR0_TS	0x8ULL
#define CR4_DE		0x8ULL
#define CR4_OSFXSR	0x200ULL

static const struct insn insns[] = {
	INSN("ud2", "\x0f\x0b"),
	INSN("ud0", "\x0f\xff\xc0"),
	INSN("push es, which 64-bit code has not", "\x06"),
	INSN("syscall", "\x0f\x05"),
	INSN("sysret", "\x48\x0f\x07"),
	INSN("sysenter", "\x0f\x34"),
	INSN("sysexit", "\x0f\x35"),
	INSN("rsm", "\x0f\xaa"),
	INSN("vmxoff", "\x0f\x01\xc4"),
	INSN("int3", "\xcc"),
	INSN("int1", "\xf1"),
	INSN("mov [rax], rbx", "\x48\x89\x18", .rax = UNMAPPED),
	INSN("mov rbx, [rax]", "\x48\x8b\x18", .rax = UNMAPPED),
	INSN("mov [rax], rbx", "\x48\x89\x18", .rax = NONCANONICAL),
	INSN("mov rbx, [rsp]", "\x48\x8b\x1c\x24", .rsp = NONCANONICAL),
	INSN("add [rax], ebx", "\x01\x18", .rax = UNMAPPED),
	INSN("lock xadd [rax], ebx", "\xf0\x0f\xc1\x18", .rax = UNMAPPED),
	INSN("lock mov", "\xf0\x89\x18", .rax = GPA_DATA),
	INSN("push rax", "\x50", .rsp = UNMAPPED),
	INSN("push rax", "\x50", .rsp = NONCANONICAL),
	INSN("pop rax", "\x58", .rsp = UNMAPPED),
	INSN("pop rax", "\x58", .rsp = NONCANONICAL),
	INSN("jmp rax", "\xff\xe0", .rax = NONCANONICAL),
	INSN("call rax", "\xff\xd0", .rax = NONCANONICAL),
	INSN("call rax", "\xff\xd0", .rax = GPA_DATA, .rsp = UNMAPPED),
	INSN("ret", "\xc3", .rsp = UNMAPPED),
	INSN("iretq", "\x48\xcf", .rsp = GPA_DATA),
	INSN("iretq", "\x48\xcf", .rsp = UNMAPPED),
	INSN("retf", "\xcb", .rsp = GPA_DATA),
	INSN("jmp far [rax]", "\xff\x28", .rax = GPA_DATA),
	INSN("mov ds, ax", "\x8e\xd8", .rax = 0x80),
	INSN("mov ds, ax", "\x8e\xd8", .rax = 0x28),
	INSN("mov ss, ax", "\x8e\xd0", .rax = 0x10 + 3),
	INSN("mov ss, ax", "\x8e\xd0", .rax = 0x8),
	INSN("mov cs, ax", "\x8e\xc8", .rax = 0x8),
	INSN("ltr ax", "\x0f\x00\xd8", .rax = 0x10),
	INSN("ltr ax", "\x0f\x00\xd8"),
	INSN("lldt ax", "\x0f\x00\xd0", .rax = 0x10),
	INSN("lgdt [rax]", "\x0f\x01\x10", .rax = UNMAPPED),
	INSN("div rcx", "\x48\xf7\xf1", .rax = 1),
	INSN("div rbx", "\x48\xf7\xf3", .rax = 1),
	INSN("div cl", "\xf6\xf1", .rax = 1),
	INSN("div byte [rsi]", "\xf6\x36", .rax = 1),
	INSN("idiv ebx, too large", "\x99\xf7\xfb", .rax = 0x80000000, .rbx = 0xffffffff),
	INSN("div bl, too large", "\xf6\xf3", .rax = 0xffff, .rbx = 1),
	INSN("movaps xmm0, [rax]", "\x0f\x28\x00", .rax = GPA_DATA + 1),
	INSN("movaps xmm0, [rax]", "\x0f\x28\x00", .rax = UNMAPPED),
	INSN("movaps xmm0, xmm1", "\x0f\x28\xc1", .cr4 = CR4_OSFXSR),
	INSN("movaps xmm0, xmm1", "\x0f\x28\xc1", .cr0 = CR0_TS),
	INSN("movaps xmm0, xmm1", "\x0f\x28\xc1", .cr0 = CR0_EM),
	INSN("vmovaps xmm0, xmm1", "\xc5\xf8\x28\xc1"),
	INSN("fld1", "\xd9\xe8", .cr0 = CR0_TS),
	INSN("fld1", "\xd9\xe8", .cr0 = CR0_EM),
	INSN("fninit", "\xdb\xe3", .cr0 = CR0_TS),
	INSN("fwait", "\x9b", .cr0 = CR0_TS),
	INSN("fwait", "\x9b\x0f\x0b", .cr0 = CR0_TS | CR0_MP),
	INSN("div ah", "\xf6\xf4", .rax = 1),
	INSN("idiv bl, too large", "\xf6\xfb", .rax = 0x8000, .rbx = 1),
	INSN("idiv bl, the least", "\xf6\xfb\x0f\x0b", .rax = 0xff80, .rbx = 1),
	INSN("idiv bl, too large", "\xf6\xfb", .rax = 0xff80, .rbx = 0xff),
	INSN("idiv rbx, the most", "\x48\x31\xd2\x48\xf7\xfb\x0f\x0b", .rax = 1ULL << 62, .rbx = 1),
	INSN("emms", "\x0f\x77", .cr0 = CR0_EM),
	INSN("movd mm0, eax", "\x0f\x6e\xc0", .cr0 = CR0_TS),
	INSN("pause, prefetch and ud2", "\xf3\x90\x0f\x18\x08\x0f\x0b", .rax = UNMAPPED),
	INSN("fxsave [rax]", "\x0f\xae\x00", .rax = GPA_DATA + 8),
	INSN("fxsave [rax]", "\x0f\xae\x00", .rax = UNMAPPED),
	INSN("xsave [rax]", "\x0f\xae\x20", .rax = GPA_DATA),
	INSN("xgetbv", "\x0f\x01\xd0"),
	INSN("ldmxcsr [rax]", "\x0f\xae\x10", .rax = UNMAPPED),
	INSN("clflush [rax]", "\x0f\xae\x38", .rax = UNMAPPED),
	INSN("cmpxchg16b [rax]", "\x48\x0f\xc7\x08", .rax = GPA_DATA + 8),
	INSN("cmpxchg8b eax", "\x0f\xc7\xc8"),
	INSN("mov cr1, rax", "\x0f\x22\xc8"),
	INSN("mov cr0, rax: PG without PE", "\x0f\x22\xc0", .rax = 0x80000000),
	INSN("mov cr4, rax: no PAE", "\x0f\x22\xe0"),
	INSN("mov cr4, rax: reserved", "\x0f\x22\xe0", .rax = 0x80000020),
	INSN("mov cr3, rax: reserved", "\x0f\x22\xd8", .rax = NONCANONICAL | GPA_TABLES),
	INSN("mov cr8, rax", "\x44\x0f\x22\xc0", .rax = 16),
	INSN("mov dr7, rax", "\x0f\x23\xf8", .rax = 0x100000000),
	INSN("mov dr4, rax", "\x0f\x23\xe0", .cr4 = CR4_DE),
	INSN("wrmsr of EFER", "\xb9\x80\x00\x00\xc0\x0f\x30", .rax = 2),
	INSN("lods", "\x48\x89\xc6\xac", .rax = UNMAPPED),
	INSN("rep stos", "\x48\x89\xc7\xb1\x04\xf3\xab", .rax = UNMAPPED),
	INSN("movs", "\x48\x89\xc7\xa4", .rax = NONCANONICAL),
	INSN("xlat", "\xd7", .rbx = UNMAPPED),
	INSN("enter", "\xc8\x10\x00\x00", .rsp = UNMAPPED),
	INSN("leave", "\xc9"),
	INSN("mov rax, fs:[rax]", "\x64\x48\x8b\x00", .rax = UNMAPPED),
	INSN("monitor", "\x0f\x01\xc8"),
	INSN("mwait", "\x0f\x01\xc9"),
	PROTECTED("ud2", "\x0f\x0b"),
	PROTECTED("into", "\xce", .rflags = RFLAGS_OF),
	PROTECTED("bound", "\x62\x06", .rax = 1),
	PROTECTED("aam 0", "\xd4\x00"),
	PROTECTED("jmp far 80H:0", "\xea\x00\x00\x00\x00\x80\x00"),
	PROTECTED("jmp far to what is not present", "\xea\x00\x00\x00\x00\x20\x00"),
	PROTECTED("jmp far to data", "\xea\x00\x00\x00\x00\x10\x00"),
	PROTECTED("call far 80H:0", "\x9a\x00\x00\x00\x00\x80\x00"),
	PROTECTED("mov es, ax", "\x8e\xc0", .rax = 0x88),
	PROTECTED("mov ss, ax", "\x8e\xd0", .rax = 0),
	PROTECTED("mov ss, ax: code", "\x8e\xd0", .rax = 8),
	PROTECTED("les eax, [esi]", "\xc7\x46\x04\x88\x00\x00\x00\xc4\x06"),
	PROTECTED("push 80H, pop ds", "\x68\x80\x00\x00\x00\x1f"),
	PROTECTED("mov [cs:esi], eax", "\x2e\x89\x06"),
	PROTECTED("iret", "\xcf", .rsp = GPA_DATA),
	PROTECTED("retf", "\xcb", .rsp = GPA_DATA),
	PROTECTED("ltr ax", "\x0f\x00\xd8", .rax = 0x10),
	PROTECTED("lldt ax", "\x0f\x00\xd0", .rax = 0x28),
	PROTECTED("div ecx", "\xf7\xf1", .rax = 1),
	PROTECTED("idiv bl, too large", "\xf6\xfb", .rax = 0x4000, .rbx = 2),
	PROTECTED("mov cr0, eax: PG with NW", "\x0f\x22\xc0", .rax = 0x20000011),
	PROTECTED("movaps xmm0, xmm1", "\x0f\x28\xc1"),
	PROTECTED("syscall", "\x0f\x05"),
	PROTECTED("sysenter", "\x0f\x34"),
	PROTECTED("lock inc eax", "\xf0\x40"),
	INSN("16 bytes", "\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x90"),
};

/* --- the guest ---------------------------------------------------------------------------- */

static void put_gates(bool protected)
{
	unsigned int bytes = protected ? 8 : 16;

	for (uint64_t vector = 0; vector < EXCEPTIONS; vector++) {
		uint64_t gate[2] = {
			(GPA_HANDLERS + vector * HANDLER_BYTES) | GATE_RIGHTS << 40 |
			(protected ? CODE_32 << 16 : CODE_64 << 16 | GATE_IST1),
		};

		check(vee_vm_write(vm, GPA_IDT + vector * bytes, gate, bytes), "IDT");
		check(vee_vm_write(vm, GPA_HANDLERS + vector * HANDLER_BYTES, "\x0f\x01\xc1", 3),
		      "a handler");
	}
}

static void begin(const struct insn *insn, bool has_idt)
{
	const uint64_t stack = GPA_STACK;
	struct vee_vcpu_page *page;

	check(vee_vm_create(&vm), "/dev/vee");
	check(vee_vm_alloc(vm, 0, RAM_BYTES, NULL), "memory");
	check(vee_vm_identity_map(vm, GPA_TABLES, MAPPED_BYTES), "page tables");
	check(vee_vm_write(vm, GPA_CODE, insn->code.bytes, insn->code.count), "code");
	check(vee_vm_write(vm, GPA_GDT, gdt, sizeof(gdt)), "GDT");
	put_gates(insn->protected);
	check(vee_vm_write(vm, GPA_TSS + TSS_IST1, &stack, sizeof(stack)), "TSS");
	check(vee_vcpu_create(vm, 0, &vcpu), "a vCPU");
	if (insn->protected)
		vee_vcpu_set_protected_mode(vcpu, GPA_CODE);
	else
		vee_vcpu_set_long_mode(vcpu, GPA_TABLES, GPA_CODE);
	page = vcpu->page;
	page->segments.gdtr = (struct vee_table) { .base = GPA_GDT, .limit = sizeof(gdt) - 1 };
	page->segments.idtr = (struct vee_table) {
		.base = GPA_IDT,
		.limit = has_idt ? EXCEPTIONS * (insn->protected ? 8 : 16) - 1 : 0,
	};
	page->segments.tr.base = GPA_TSS;
	page->segments.tr.limit = TSS_LIMIT;
	page->regs.rflags = RFLAGS_1 | insn->rflags;
	page->regs.rax = insn->rax;
	page->regs.rbx = insn->rbx;
	page->regs.rsp = insn->rsp ? insn->rsp : GPA_STACK;
	page->regs.rsi = GPA_DATA;
	page->regs.rdi = GPA_DATA;
	page->regs.rbp = UNMAPPED;
	page->control.cr0 ^= insn->cr0;
	page->control.cr4 ^= insn->cr4;
	page->deadline_ns = DEADLINE_NS;
}

static void end(void)
{
	vee_vcpu_destroy(vcpu);
	vee_vm_destroy(vm);
}

/* Which exception it is, as vee_explain() names it; false: none that its handler gets. */
static bool look(const struct insn *insn, char *name, size_t room)
{
	static const char *const names[EXCEPTIONS] = {
		"#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM", "#DF", "", "#TS", "#NP",
		"#SS", "#GP", "#PF", "", "#MF", "#AC", "#MC", "#XM", "#VE", "#CP",
	};
	unsigned int vector = VECTOR_NONE;
	uint64_t error = 0;

	begin(insn, true);
	check(run_vcpu(vcpu), "running");
	if (vcpu->page->exit.reason == VEE_EXIT_HYPERCALL)
		vector = (vcpu->page->regs.rip - GPA_HANDLERS) / HANDLER_BYTES;
	if (vector < EXCEPTIONS && ERROR_CODES >> vector & 1) {
		check(vee_vm_read(vm, vcpu->page->regs.rsp, &error, insn->protected ? 4 : 8),
		      "its code");
		snprintf(name, room, "%s(%#llx)", names[vector], (unsigned long long)error);
	} else if (vector < EXCEPTIONS) {
		snprintf(name, room, "%s", names[vector]);
	}
	end();
	return vector < EXCEPTIONS;
}

static void explain(const struct insn *insn)
{
	begin(insn, false);
	check(run_vcpu(vcpu), "running");
	explain_to(vcpu, said, sizeof(said));
	end();
}

static void try(const struct insn *insn)
{
	char name[40] = "", found[60], injected[60];

	if (!look(insn, name, sizeof(name)))
		name[0] = 0;
	explain(insn);
	snprintf(found, sizeof(found), "  first %s,", name);
	snprintf(injected, sizeof(injected), "last injected was %s\n", name);
	if (*name && (strstr(said, found) || strstr(said, injected))) {
		printf("# %s: %s\n", insn->name, name);
	} else if (strstr(said, "first isn't known") || (!*name && !strstr(said, "  first "))) {
		printf("# %s: %s, which isn't known\n", insn->name, name);
		unknown++;
	} else {
		printf("# wrong: %s: %s\n%s", insn->name, name, said);
		failures++;
	}
}

int main(void)
{
	const unsigned int count = sizeof(insns) / sizeof(*insns);

	setlinebuf(stdout);
	for (unsigned int i = 0; i < count; i++)
		try(&insns[i]);
	printf("%u instructions: %d wrong, %d not known\n", count, failures, unknown);
	return failures != 0;
}
