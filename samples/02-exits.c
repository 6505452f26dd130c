// SPDX-License-Identifier: GPL-2.0-only
/* Each way in which a guest comes back to its program: what it did, and the answer to it. */
#include <err.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <vee.h>

/* An instruction or two for each exit. */
extern const char guest[], guest_end[];
asm(".pushsection .rodata; .code32\n"
"guest:	out	%al, $0x10; in $0x11, %al\n"
"	mov	%eax, 0xd0000000; mov 0xd0000004, %eax\n"
"	mov	%eax, 0x20000\n"
"	vmcall; mov $0x12345678, %ecx; rdmsr; wrmsr\n"
"	cpuid; int3; sldt %eax; lgdt gdt - guest + 0x1000; lcall $8, $0\n"
"	sti; nop; hlt; jmp .\n"
"	lidt	none - guest + 0x1000; ud2\n"
"none:	.word	0, 0, 0\n"
"gdt:	.word	15; .long gdt - guest + 0x1000; .word 0; .quad 0x890000000067\n" /* 8: a TSS */
"guest_end: .code64; .popsection\n");

#define NO_VEE	"/dev/vee (loaded? \"vee check\" tells more; \"make demo\" runs this without VMX)"
#define CODE			0x1000
#define READ_ONLY		0x20000	/* a page that the guest may only read */
#define CS_ACCESS_RIGHTS	0x4816	/* SDM 3D, appendix "Field Encoding in VMCS" */

static void *lent;		/* what is behind that page */
static const struct step {
	uint32_t exit;
	uint32_t intercept;	/* exits that there are only on demand */
	const char *why;
} steps[] = {
	{ VEE_EXIT_PIO, 0, "out %al, $0x10" },
	{ VEE_EXIT_PIO, 0, "in $0x11, %al" },
	{ VEE_EXIT_MMIO, 0, "mov %eax, 0xd0000000: there is no memory" },
	{ VEE_EXIT_MMIO, 0, "mov 0xd0000004, %eax: nor there" },
	{ VEE_EXIT_MEMORY, 0, "mov %eax, 0x20000: memory, but not to write to" },
	{ VEE_EXIT_HYPERCALL, 0, "vmcall" },
	{ VEE_EXIT_RDMSR, 0, "rdmsr of 0x12345678" },
	{ VEE_EXIT_WRMSR, 0, "wrmsr, likewise" },
	{ VEE_EXIT_CPUID, VEE_INTERCEPT_CPUID, "cpuid, as this program wants to see it" },
	{ VEE_EXIT_DEBUG, VEE_INTERCEPT_BREAKPOINT, "int3, likewise" },
	{ VEE_EXIT_DESCRIPTOR, VEE_INTERCEPT_DESCRIPTOR, "sldt %eax, likewise" },
	{ VEE_EXIT_OTHER, 0, "lcall $8, $0: a task switch, which only libvee does" },
	{ VEE_EXIT_INTERRUPT_WINDOW, VEE_INTERCEPT_INTERRUPT_WINDOW, "sti: ready for interrupts" },
	{ VEE_EXIT_TPR, 0, "ready for interrupts of any class: CR8 is below the threshold" },
	{ VEE_EXIT_NMI_WINDOW, VEE_INTERCEPT_NMI_WINDOW, "ready for an NMI" },
	{ VEE_EXIT_HLT, 0, "hlt" },
	{ VEE_EXIT_DEADLINE, 0, "jmp . for more than a millisecond" },
	{ VEE_EXIT_INTERRUPTED, 0, "jmp . until this program gets a signal" },
	{ VEE_EXIT_KICKED, 0, "jmp . until it is kicked" },
	{ VEE_EXIT_SHUTDOWN, 0, "ud2 without a handler: a triple fault" },
	{ VEE_EXIT_ENTRY_FAILED, 0, "a CS that no CPU would have" },
	{ 0 }
};

static void check(int ret, const char *what)
{
	if (ret < 0) {
		errno = -ret;
		err(1, "%s", what);
	}
}

static void on_alarm(int signal)
{
	/* that it came is enough */
}

/* What must be so before the run, for this exit to come about. */
static void prepare(struct vee_vcpu *vcpu, const struct step *step)
{
	vcpu->page->intercept = step->intercept;
	vcpu->page->tpr_threshold = step->exit == VEE_EXIT_TPR;
	vcpu->page->deadline_ns = step->exit == VEE_EXIT_DEADLINE ? 1000000 : 0;
	if (step->exit == VEE_EXIT_INTERRUPTED)
		ualarm(10000, 0);
	if (step->exit == VEE_EXIT_KICKED)	/* early is not too early */
		check(vee_vcpu_kick(vcpu, vcpu->page->generation), "kicking");
	if (step->exit == VEE_EXIT_ENTRY_FAILED)
		check(vee_vcpu_vmcs_write(vcpu, CS_ACCESS_RIGHTS, 0), "breaking CS");
}

static int no_device(void *arg, uint64_t gpa, void *data, unsigned int bytes, bool write)
{
	if (!write)
		memset(data, 0xff, bytes);
	return 0;
}

/* Which of the CPU's rules it breaks. */
static void show_broken_rules(struct vee_vcpu *vcpu)
{
	struct vee_broken_rule broken[4];
	int count = vee_vcpu_audit(vcpu, broken, 4, NULL);
	char line[400];

	check(count, "auditing the VMCS");
	for (int i = 0; i < count && i < 4; i++) {
		vee_audit_text(&broken[i], line, sizeof(line));
		printf("    %s\n", line);
	}
}

/* What the guest needs to go on. */
static void answer(struct vee_vcpu *vcpu)
{
	struct vee_vcpu_page *page = vcpu->page;

	switch (page->exit.reason) {
	case VEE_EXIT_MMIO:
	case VEE_EXIT_DESCRIPTOR:
		check(vee_mmio_assist(vcpu, no_device, NULL), "decoding the instruction");
		break;
	case VEE_EXIT_MEMORY:		/* let it write, and try again */
		check(vee_vm_unmap(vcpu->vm, READ_ONLY, 4096), "unmapping");
		check(vee_vm_map(vcpu->vm, READ_ONLY, lent, 4096, VEE_READ | VEE_WRITE), "mapping");
		break;
	case VEE_EXIT_ENTRY_FAILED:	/* nothing goes on */
		show_broken_rules(vcpu);
		break;
	case VEE_EXIT_KICKED:		/* out of the loop: JMP has two bytes */
		page->regs.rip += 2;
		page->dirty |= VEE_STATE_REGS;
		break;
	default:			/* if an instruction exited, on to the next */
		if (page->exit.instruction_length)
			vee_done(vcpu);
	}
}

int main(void)
{
	struct vee_vcpu *vcpu;
	struct vee_vm *vm;
	int ret;

	setlinebuf(stdout);
	signal(SIGALRM, on_alarm);
	check(vee_vm_create(&vm), NO_VEE);
	check(vee_vm_alloc(vm, 0, READ_ONLY, NULL), "giving the VM memory");
	lent = vee_vm_at(vm, 0, 4096);	/* its first page, once more */
	check(vee_vm_map(vm, READ_ONLY, lent, 4096, VEE_READ), "giving it memory to read");
	check(vee_vm_write(vm, CODE, guest, guest_end - guest), "copying the guest");
	check(vee_vcpu_create(vm, 0, &vcpu), "making a vCPU");
	vee_vcpu_set_protected_mode(vcpu, CODE);
	for (const struct step *step = steps; step->why; step++) {
		prepare(vcpu, step);
		do {
			ret = vee_vcpu_run(vcpu);
		} while (ret == -EINTR && step->exit != VEE_EXIT_INTERRUPTED);
		if (ret == -EINVAL && step->intercept == VEE_INTERCEPT_DESCRIPTOR)
			continue;	/* this CPU can't: the guest goes on by itself */
		if (ret && ret != -EINTR)
			vee_explain(vcpu, stderr);
		check(ret == -EINTR ? 0 : ret, "running the guest");
		printf("%-26s %s\n", vee_exit_name(vcpu->page->exit.reason), step->why);
		if (vcpu->page->exit.reason != step->exit) {
			vee_explain(vcpu, stderr);
			errx(1, "that should be %s", vee_exit_name(step->exit));
		}
		answer(vcpu);
	}
	vee_vcpu_destroy(vcpu);
	vee_vm_destroy(vm);
	return 0;
}
