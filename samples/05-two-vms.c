// SPDX-License-Identifier: GPL-2.0-only
/*
 * Two virtual machines at once, on two threads, with the same program at the
 * same addresses. Each keeps a secret in memory, in registers, in the FPU and
 * in a debug register, and checks it again each time that the other may have
 * run. Each finds its own, always.
 */
#include <err.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <vee.h>

/* The guest, in 64 bits, with its secret in RDI and a number of rounds in RCX. */
extern const char guest[], guest_end[];
asm(".pushsection .rodata\n"
"guest:	mov	%rdi, 0x5000\n"
"	mov	%rdi, %r15\n"
"	movq	%rdi, %xmm7\n"
"	mov	%rdi, %dr0\n"
"again:	out	%al, $0x10\n"		/* back to the program: others run */
"	cmp	0x5000, %rdi\n"
"	jne	lost\n"
"	cmp	%r15, %rdi\n"
"	jne	lost\n"
"	movq	%xmm7, %rax\n"
"	cmp	%rax, %rdi\n"
"	jne	lost\n"
"	mov	%dr0, %rax\n"
"	cmp	%rax, %rdi\n"
"	jne	lost\n"
"	loop	again\n"
"	hlt\n"
"lost:	ud2\n"				/* no handler: a triple fault */
"guest_end:\n"
"	.popsection\n"
);

#define CODE	0x1000
#define SECRET	0x5000		/* where the guest keeps it, in either VM */
#define TABLES	0x10000
#define MEMORY	0x20000
#define ROUNDS	1000

#define NO_VEE	"/dev/vee (loaded? \"vee check\" tells more; \"make demo\" runs this without VMX)"

struct machine {
	const char *name;
	uint64_t secret;
	struct vee_vm *vm;
	struct vee_vcpu *vcpu;
	unsigned int rounds;
};

static void check(int ret, const char *what)
{
	if (ret < 0) {
		errno = -ret;
		err(1, "%s", what);
	}
}

static void build(struct machine *m)
{
	check(vee_vm_create(&m->vm), NO_VEE);
	check(vee_vm_alloc(m->vm, 0, MEMORY, NULL), "giving the VM memory");
	check(vee_vm_write(m->vm, CODE, guest, guest_end - guest), "copying the guest");
	check(vee_vm_identity_map(m->vm, TABLES, MEMORY), "writing page tables");
	check(vee_vcpu_create(m->vm, 0, &m->vcpu), "making a vCPU");
	vee_vcpu_set_long_mode(m->vcpu, TABLES, CODE);
	m->vcpu->page->regs.rdi = m->secret;
	m->vcpu->page->regs.rcx = ROUNDS;
}

static pthread_barrier_t both;
static atomic_uintptr_t latest;			/* which of the two ran last */
static atomic_uint turns;			/* how often that changed */

/* A thread for each VM. */
static void *run(void *arg)
{
	struct machine *m = arg;
	const struct vee_exit *exit = &m->vcpu->page->exit;
	int ret;

	pthread_barrier_wait(&both);
	for (;;) {
		ret = vee_vcpu_run(m->vcpu);
		if (ret == -EINTR)	/* a signal, and no exit to answer */
			continue;
		if (ret)
			vee_explain(m->vcpu, stderr);
		check(ret, "running the guest");
		if (exit->reason == VEE_EXIT_HLT)
			return NULL;
		if (exit->reason != VEE_EXIT_PIO) {
			vee_explain(m->vcpu, stderr);
			errx(1, "%s lost its secret: %s", m->name, vee_exit_name(exit->reason));
		}
		m->rounds++;
		if (atomic_exchange(&latest, (uintptr_t)m) != (uintptr_t)m)
			turns++;
		vee_done(m->vcpu);
		sched_yield();		/* so that they alternate on one CPU, too */
	}
}

/* Is this machine's secret where it should be, and the other's nowhere? */
static void inspect(const struct machine *m, const struct machine *other)
{
	const char *memory = vee_vm_at(m->vm, 0, MEMORY);

	printf("%s: %u rounds, secret %#llx; its address %#x is %p here\n", m->name, m->rounds,
	       (unsigned long long)m->secret, SECRET, (void *)(memory + SECRET));
	if (m->rounds != ROUNDS || memcmp(memory + SECRET, &m->secret, sizeof(m->secret)))
		errx(1, "%s did not keep its secret", m->name);
	if (memmem(memory, MEMORY, &other->secret, sizeof(other->secret)))
		errx(1, "%s knows the secret of %s", m->name, other->name);
}

int main(void)
{
	struct machine a = { .name = "VM A", .secret = 0xaaaa5ec2e7aaaaaa };
	struct machine b = { .name = "VM B", .secret = 0xbbbb5ec2e7bbbbbb };
	pthread_t thread_a, thread_b;

	setlinebuf(stdout);
	build(&a);
	build(&b);
	pthread_barrier_init(&both, NULL, 2);
	if (pthread_create(&thread_a, NULL, run, &a) || pthread_create(&thread_b, NULL, run, &b))
		errx(1, "no threads");
	pthread_join(thread_a, NULL);
	pthread_join(thread_b, NULL);

	inspect(&a, &b);
	inspect(&b, &a);
	printf("they took turns %u times, and neither saw anything of the other\n", turns);
	if (turns < 10)
		errx(1, "that is too few to prove anything");
	vee_vcpu_destroy(a.vcpu);
	vee_vcpu_destroy(b.vcpu);
	vee_vm_destroy(a.vm);
	vee_vm_destroy(b.vm);
	return 0;
}
