// SPDX-License-Identifier: GPL-2.0-only
/*
 * A debugger in forty lines: it runs a guest one instruction at a time and
 * shows each, with the registers after it. The guest computes the greatest
 * common divisor of 1071 and 462, as Euclid did.
 */
#include <Zydis/Zydis.h>
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <vee.h>

/* The guest, in 64 bits. */
extern const char guest[], guest_end[];
asm(".pushsection .rodata\n"
"guest:	mov	$1071, %eax\n"
"	mov	$462, %ebx\n"
"next:	xor	%edx, %edx\n"
"	div	%ebx\n"			/* EDX = the remainder */
"	mov	%ebx, %eax\n"
"	mov	%edx, %ebx\n"
"	test	%ebx, %ebx\n"
"	jnz	next\n"
"	hlt\n"				/* the divisor is in EAX */
"guest_end:\n"
"	.popsection\n"
);

#define CODE	0x1000
#define TABLES	0x10000		/* page tables: 64 bits need them */
#define MEMORY	0x20000

#define NO_VEE	"/dev/vee (loaded? \"vee check\" tells more; \"make demo\" runs this without VMX)"

static void check(int ret, const char *what)
{
	if (ret < 0) {
		errno = -ret;
		err(1, "%s", what);
	}
}

/* The instruction at RIP, in words. The page tables map all to itself. */
static void show_instruction(struct vee_vcpu *vcpu)
{
	uint64_t rip = vcpu->page->regs.rip;
	unsigned char bytes[ZYDIS_MAX_INSTRUCTION_LENGTH];
	ZydisDisassembledInstruction instruction;

	check(vee_vm_read(vcpu->vm, rip, bytes, sizeof(bytes)), "reading at RIP");
	if (ZYAN_FAILED(ZydisDisassembleIntel(ZYDIS_MACHINE_MODE_LONG_64, rip, bytes,
					      sizeof(bytes), &instruction)))
		errx(1, "no instruction at RIP");
	printf("%#llx  %-24s", (unsigned long long)rip, instruction.text);
}

int main(void)
{
	struct vee_vcpu_page *page;
	struct vee_vcpu *vcpu;
	struct vee_vm *vm;
	int ret, steps = 0;

	setlinebuf(stdout);
	check(vee_vm_create(&vm), NO_VEE);
	check(vee_vm_alloc(vm, 0, MEMORY, NULL), "giving the VM memory");
	check(vee_vm_write(vm, CODE, guest, guest_end - guest), "copying the guest");
	check(vee_vm_identity_map(vm, TABLES, MEMORY), "writing page tables");
	check(vee_vcpu_create(vm, 0, &vcpu), "making a vCPU");
	vee_vcpu_set_long_mode(vcpu, TABLES, CODE);
	page = vcpu->page;
	page->intercept = VEE_INTERCEPT_STEP;

	puts("RIP     instruction               RAX   RBX   RDX  ZF");
	for (;;) {
		show_instruction(vcpu);
		do {
			ret = vee_vcpu_run(vcpu);
		} while (ret == -EINTR);	/* a signal, and no step */
		if (ret)
			vee_explain(vcpu, stderr);
		check(ret, "running the guest");
		if (page->exit.reason == VEE_EXIT_HLT)
			break;
		if (page->exit.reason != VEE_EXIT_DEBUG || !page->exit.debug.step) {
			vee_explain(vcpu, stderr);
			errx(1, "that should be a step: %s", vee_exit_name(page->exit.reason));
		}
		printf("%5llu %5llu %5llu  %2llu\n", page->regs.rax, page->regs.rbx,
		       page->regs.rdx, page->regs.rflags >> 6 & 1);
		steps++;
	}
	printf("\n\n%d steps; the divisor is %llu\n", steps, page->regs.rax);
	/* Two to begin with, then six for each of 1071/462, 462/147, 147/21. */
	if (steps != 2 + 3 * 6 || page->regs.rax != 21)
		errx(1, "it should be 20 steps, and 21");
	vee_vcpu_destroy(vcpu);
	vee_vm_destroy(vm);
	return 0;
}
