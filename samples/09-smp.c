// SPDX-License-Identifier: GPL-2.0-only
/*
 * One machine with two processors: the first starts the second as an operating system
 * does, by INIT and SIPI, and then they hand an interrupt to and fro. Their local APICs
 * are vee's, and neither INIT, SIPI nor interrupt is any business of this program: it
 * has a thread for each, and prints what they tell it. Their I/O APIC is libvee's, with
 * nothing at its pins.
 */
#include <err.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <vee.h>

/*
 * The guest, in real mode: both processors begin here. In x2APIC mode the registers of
 * the local APIC are MSRs (SDM 3A, "x2APIC Register Address Space").
 */
extern const char guest[], guest_end[];
asm(".pushsection .rodata; .code16\n"
"guest:	xor	%ax, %ax\n"
"	mov	%ax, %ds\n"
"	mov	%ax, %ss\n"
"	movw	$handler - guest, 4 * 0x20\n"	/* the vector table is at address 0 */
"	movw	%cs, 4 * 0x20 + 2\n"

"	mov	$0x1b, %ecx\n"		/* IA32_APIC_BASE: x2APIC mode */
"	rdmsr\n"
"	or	$0x400, %ax\n"
"	wrmsr\n"
"	mov	$0x80f, %ecx\n"		/* spurious vector: switched on */
"	xor	%edx, %edx\n"
"	mov	$0x1ff, %eax\n"
"	wrmsr\n"
"	mov	$0x802, %ecx\n"		/* ID: who am I? 0 or 1 */
"	rdmsr\n"
"	out	%al, $0x10\n"
"	mov	%eax, %ebx\n"
"	xor	$1, %ebx\n"		/* the other one */
"	shl	$10, %ax\n"		/* a stack each */
"	add	$0x8000, %ax\n"
"	mov	%ax, %sp\n"

"	mov	$0x830, %ecx\n"		/* interrupt command: what in EAX, to whom in EDX */
"	mov	%ebx, %edx\n"
"	test	%bx, %bx\n"
"	jz	second\n"
"	mov	$0x4500, %eax\n"	/* INIT; a real one wants 10 ms after it */
"	wrmsr\n"
"	mov	$0x4601, %eax\n"	/* SIPI: begin at 01000H */
"	wrmsr\n"
"	jmp	sleep\n"
"second: mov	$0x20, %eax\n"		/* up: the first interrupt, with vector 20H */
"	wrmsr\n"
"sleep:	sti\n"
"	hlt\n"
"	jmp	sleep\n"

"handler: incw	0x500\n"		/* how many there were, of both */
"	mov	0x500, %di\n"
"	mov	%di, %ax\n"
"	out	%al, $0x20\n"
"	mov	$0x80b, %ecx\n"		/* end of interrupt */
"	xor	%eax, %eax\n"
"	xor	%edx, %edx\n"
"	wrmsr\n"
"	cmp	$10, %di\n"
"	ja	over\n"
"	mov	$0x830, %ecx\n"		/* back to the other one */
"	mov	%ebx, %edx\n"
"	mov	$0x20, %eax\n"
"	wrmsr\n"
"	je	over\n"			/* still of the comparison */
"	iret\n"
"over:	cli\n"
"	hlt\n"
"guest_end: .code64; .popsection\n");

#define CODE	0x1000			/* 01H in the SIPI */
#define MEMORY	0x10000
#define UP	0x10			/* ports */
#define GOT	0x20
#define LAST	11			/* interrupts: 1 to 10 are sent back */

#define NO_VEE	"/dev/vee (loaded? \"vee check\" tells more; \"make demo\" runs this without VMX)"

static struct vee_irqchip *chip;
static unsigned int interrupts;		/* one processor at a time has the interrupt */

static void check(int ret, const char *what)
{
	if (ret < 0) {
		errno = -ret;
		err(1, "%s", what);
	}
}

static int hear(void *arg, uint16_t port, void *data, unsigned int bytes, bool write)
{
	unsigned int cpu = ((struct vee_vcpu *)arg)->id, what = *(uint8_t *)data;

	if (bytes != 1 || !write)
		return -EPROTO;
	if (port == UP) {
		printf("CPU %u is up; its APIC says that it is number %u\n", cpu, what);
		return 0;
	}
	interrupts++;
	printf("  interrupt %2u: CPU %u has it\n", what, cpu);
	if (what != interrupts || cpu != (interrupts + 1) % 2)
		errx(1, "interrupt %u was to come, and to CPU %u", interrupts,
		     (interrupts + 1) % 2);
	return 0;
}

/* A thread for each processor. The second sleeps in here until its SIPI comes. */
static void *run(void *arg)
{
	struct vee_vcpu *vcpu = arg;
	const struct vee_bus devices = { .port = hear, .arg = vcpu };
	int ret = vee_irqchip_run(vcpu, chip, &devices);

	if (ret || vcpu->page->exit.reason != VEE_EXIT_HLT) {	/* with interrupts off */
		vee_explain(vcpu, stderr);
		errx(1, "not what the guest should do");
	}
	return NULL;
}

int main(void)
{
	struct vee_vcpu *vcpus[2];
	pthread_t threads[2];
	struct vee_vm *vm;

	setlinebuf(stdout);
	check(vee_vm_create_with(&vm, VEE_VM_LOCAL_APIC), NO_VEE);
	check(vee_irqchip_create(vm, &chip), "making an I/O APIC");
	check(vee_vm_alloc(vm, 0, MEMORY, NULL), "giving the VM memory");
	check(vee_vm_write(vm, CODE, guest, guest_end - guest), "copying the guest");
	for (int i = 0; i < 2; i++) {
		check(vee_vcpu_create(vm, i, &vcpus[i]), "making a vCPU");
		vcpus[i]->page->options = VEE_OPTION_HLT_SLEEPS;
	}
	vee_vcpu_set_real_mode(vcpus[0], CODE >> 4, 0);
	for (int i = 0; i < 2; i++)
		if (pthread_create(&threads[i], NULL, run, vcpus[i]))
			errx(1, "no threads");
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	printf("both are done, after %u interrupts\n", interrupts);
	if (interrupts != LAST)
		errx(1, "%d should have come", LAST);
	for (int i = 0; i < 2; i++)
		vee_vcpu_destroy(vcpus[i]);
	vee_irqchip_destroy(chip);
	vee_vm_destroy(vm);
	return 0;
}
