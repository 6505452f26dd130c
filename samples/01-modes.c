// SPDX-License-Identifier: GPL-2.0-only
/*
 * One guest that climbs from 16 to 32 to 64 bits, as every PC does when it is
 * switched on. At each level it stops with VMCALL, and this program reads from
 * the virtual CPU what mode it is in, and what its widest register holds.
 */
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <vee.h>

/* The guest, from 16 bits upward. */
extern const char guest[], guest_end[];
asm(".pushsection .rodata; .code16\n"
"guest:	mov	%cs, %ax\n"
"	mov	%ax, %ds\n"
"	mov	$-1, %ax\n"		/* 16 bits of ones */
"	vmcall\n"

    /* To 32 bits: a table of segments, protection on, and a far jump. */
"	lgdtl	gdtr - guest\n"
"	mov	%cr0, %eax\n"
"	or	$1, %al\n"		/* CR0.PE */
"	mov	%eax, %cr0\n"
"	ljmpl	$8, $bits32 - guest + 0x1000; .code32\n"
"bits32:	mov	$24, %eax\n"
"	mov	%eax, %ds\n"
"	mov	$-1, %eax\n"		/* 32 bits of ones */
"	vmcall\n"

    /* To 64 bits: PAE, long mode, page tables, paging on, a far jump. */
"	mov	%cr4, %eax\n"
"	or	$0x20, %eax\n"		/* CR4.PAE */
"	mov	%eax, %cr4\n"
"	mov	$0x10000, %eax\n"
"	mov	%eax, %cr3\n"
"	mov	$0xc0000080, %ecx\n"	/* IA32_EFER */
"	rdmsr\n"
"	or	$0x100, %eax\n"		/* LME */
"	wrmsr\n"
"	mov	%cr0, %eax\n"
"	or	$0x80000000, %eax\n"	/* CR0.PG */
"	mov	%eax, %cr0\n"
"	ljmp	$16, $bits64 - guest + 0x1000; .code64\n"
"bits64:	mov	$-1, %rax\n"	/* 64 bits of ones */
"	vmcall\n"
"	mov	$0x40000000, %ebx\n"	/* WINDOW: paging makes it STRANGE */
"	movl	$0x5eed, (%rbx)\n"
"	hlt\n"

"	.balign 8\n"
"gdt:	.quad	0\n"
"	.quad	0x00cf9b000000ffff\n"	/*  8: 32-bit code, 4 GiB */
"	.quad	0x00af9b000000ffff\n"	/* 16: 64-bit code */
"	.quad	0x00cf93000000ffff\n"	/* 24: data, 4 GiB */
"gdtr:	.word	gdtr - gdt - 1; .long gdt - guest + 0x1000\n"
"guest_end: .popsection\n");

/* The guest's memory, by guest-physical address. */
#define CODE	0x1000
#define TABLES	0x10000		/* page tables: see page_tables() */
#define STRANGE	0x3000		/* a page that paging shows elsewhere, too */
#define WINDOW	0x40000000	/* where: at 1 GiB, far beyond the memory */
#define MEMORY	0x20000
#define NO_VEE	"/dev/vee (loaded? \"vee check\" tells more; \"make demo\" runs this without VMX)"

static void check(int ret, const char *what)
{
	if (ret < 0) {
		errno = -ret;
		err(1, "%s", what);
	}
}

/*
 * Four levels of tables, as CR3 names the first: 0 to 2 MiB as they are, in one
 * large page, and at WINDOW one small page, which is STRANGE. 1: present,
 * 2: writable, 80H: a large page.
 */
static void page_tables(struct vee_vm *vm)
{
	uint64_t (*table)[512] = vee_vm_at(vm, TABLES, 5 * 4096);

	table[0][0] = (TABLES + 0x1000) | 3;		/* 512 GiB */
	table[1][0] = (TABLES + 0x2000) | 3;		/* the first GiB of them */
	table[2][0] = 0x83;				/* its first 2 MiB */
	table[1][1] = (TABLES + 0x3000) | 3;		/* the second GiB */
	table[3][0] = (TABLES + 0x4000) | 3;
	table[4][0] = STRANGE | 3;
}

/* To the next exit; a signal, as after Ctrl-Z and fg, is none. */
static void run(struct vee_vcpu *vcpu)
{
	int ret = -EINTR;

	while (ret == -EINTR)
		ret = vee_vcpu_run(vcpu);
	if (ret)
		vee_explain(vcpu, stderr);
	check(ret, "running the guest");
}

/* Runs to the next stop, and says what mode the vCPU is in. */
static void climb(struct vee_vcpu *vcpu, const char *name, unsigned int bits)
{
	const struct vee_vcpu_page *page = vcpu->page;
	unsigned int cs, is;

	run(vcpu);
	if (page->exit.reason != VEE_EXIT_HYPERCALL) {
		vee_explain(vcpu, stderr);
		errx(1, "%s: the guest stopped with %s, RIP %#llx", name,
		     vee_exit_name(page->exit.reason), page->regs.rip);
	}
	check(vee_vcpu_sync(vcpu, VEE_STATE_SEGMENTS | VEE_STATE_CONTROL), "reading registers");
	cs = page->segments.cs.access_rights;
	is = cs & VEE_AR_L ? 64 : cs & VEE_AR_DB ? 32 : 16;
	printf("%s  %2u bits  CR0.PE %d  CR0.PG %d  EFER.LMA %d  RAX %016llx\n", name, is,
	       !!(page->control.cr0 & 1), !!(page->control.cr0 & 1u << 31),
	       !!(page->control.efer & 1 << 10), page->regs.rax);
	if (is != bits || page->regs.rax != UINT64_MAX >> (64 - bits))
		errx(1, "that should be %u bits, and as many ones in RAX", bits);
	vee_done(vcpu);
}

int main(void)
{
	struct vee_translate found;
	struct vee_vcpu *vcpu;
	struct vee_vm *vm;
	uint32_t seed = 0;

	setlinebuf(stdout);
	check(vee_vm_create(&vm), NO_VEE);
	check(vee_vm_alloc(vm, 0, MEMORY, NULL), "giving the VM memory");
	check(vee_vm_write(vm, CODE, guest, guest_end - guest), "copying the guest");
	page_tables(vm);
	check(vee_vcpu_create(vm, 0, &vcpu), "making a vCPU");
	vee_vcpu_set_real_mode(vcpu, CODE >> 4, 0);
	vcpu->page->regs.rax = 0;

	climb(vcpu, "real mode     ", 16);
	climb(vcpu, "protected mode", 32);
	climb(vcpu, "long mode     ", 64);
	run(vcpu);
	check(vee_vm_read(vm, STRANGE, &seed, sizeof(seed)), "reading guest memory");
	check(vee_vcpu_translate(vcpu, WINDOW, &found), "walking the guest's page tables");
	printf("paging          what it wrote at linear %#x is at physical %#llx: %#x\n",
	       WINDOW, found.gpa, seed);
	vee_vcpu_destroy(vcpu);
	vee_vm_destroy(vm);
	return seed != 0x5eed || found.gpa != STRANGE;
}
