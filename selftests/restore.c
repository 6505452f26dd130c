// SPDX-License-Identifier: GPL-2.0-only
/*
 * libvee's snapshots: is a VM as it was, whatever its guest, the library and the program
 * have done, and however it has ended? And VMs that begin from one.
 */
#include <vee.h>

#include "vee_util.h"

/*
 * Writes RSI to where RDI points, each time that it is run; at "wreck" it changes all that
 * it can, and does not come back.
 */
GUEST_CODE(writer, 64,
	   "1:	mov	%rsi, (%rdi)\n"
	   "	out	%al, $0x10\n"
	   "	jmp	1b\n"
	   "wreck:	mov	$0xc0000082, %ecx\n"		/* IA32_LSTAR */
	   "	mov	$0x1234, %eax\n"
	   "	xor	%edx, %edx\n"
	   "	wrmsr\n"
	   "	mov	$0x1d9, %ecx\n"			/* IA32_DEBUGCTL: BTF */
	   "	mov	$2, %eax\n"
	   "	wrmsr\n"
	   "	mov	$0x5555, %eax\n"
	   "	mov	%rax, %dr0\n"
	   "	mov	%rax, %cr2\n"
	   "	movq	%rax, %xmm3\n"
	   "	fld1\n"
	   "	movq	$0x12345fff, (%rsp)\n"
	   "	lidt	(%rsp)\n"
	   "	mov	%eax, %r15d\n"
	   "	mov	%cr0, %rax\n"
	   "	and	$0xfffeffff, %eax\n"		/* WP */
	   "	mov	%rax, %cr0\n"
	   "	xor	%esp, %esp\n"
	   "	movq	$0, 0x10000\n"			/* its page tables */
	   "	out	%al, $0x11\n"
	   "	mov	%cr3, %rax\n"
	   "	mov	%rax, %cr3\n"
	   "	hlt");
GUEST_LABEL(wreck);
GUEST_CODE(halt, 64, "cli; hlt");
GUEST_CODE(device, 64, "mov $0x30000000, %eax; mov %ecx, (%rax)");
GUEST_CODE(fault, 64, "ud2");

#define GUEST_RFLAGS	0x6820
#define TABLES		0x10000ULL
#define TABLES_END	0x14000ULL
#define HIGH		0x20000000ULL
#define HIGH_BYTES	(64 * PAGE_BYTES)

struct machine {
	struct vee_vm *vm;
	struct vee_vcpu *vcpu;
	unsigned char *mem;
	unsigned char *high;
};

FIXTURE(restore) {
	struct machine m;
	struct vee_vm_snapshot *snapshot;
};

static int run_vcpu(struct vee_vcpu *vcpu)
{
	int ret;

	do {
		ret = vee_vcpu_run(vcpu);
	} while (ret == -EINTR);
	return ret ?: (int)vcpu->page->exit.reason;
}

FIXTURE_SETUP(restore)
{
	ASSERT_EQ(0, vee_vm_create(&self->m.vm));
	ASSERT_EQ(0, vee_vm_alloc(self->m.vm, 0, GUEST_BYTES, (void **)&self->m.mem));
	ASSERT_EQ(0, vee_vm_alloc(self->m.vm, HIGH, HIGH_BYTES, (void **)&self->m.high));
	ASSERT_LE(0, vee_vm_identity_map(self->m.vm, TABLES, 2 * PAGES_1G));
	memcpy(self->m.mem + GPA_CODE, writer, writer_end - writer);
	ASSERT_EQ(0, vee_vcpu_create(self->m.vm, 0, &self->m.vcpu));
	vee_vcpu_set_long_mode(self->m.vcpu, TABLES, GPA_CODE);
	self->m.vcpu->page->regs.rsp = GPA_STACK;
	self->m.vcpu->page->regs.rdi = GPA_DATA;
	self->m.vcpu->page->deadline_ns = DEADLINE_NS;
	ASSERT_EQ(VEE_EXIT_PIO, run_vcpu(self->m.vcpu));
	vee_done(self->m.vcpu);
	ASSERT_EQ(0, vee_vm_snapshot(self->m.vm, &self->snapshot));
}

FIXTURE_TEARDOWN(restore)
{
	vee_vm_snapshot_free(self->snapshot);
	vee_vcpu_destroy(self->m.vcpu);
	vee_vm_destroy(self->m.vm);
}

static void go_to(struct vee_vcpu *vcpu, __u64 rip)
{
	vcpu->page->regs.rip = rip;
	vcpu->page->resume = VEE_RESUME_HERE;
	vcpu->page->dirty |= VEE_STATE_REGS;
}

/* In its data, or high up; not its code, tables or stack. */
static __u64 random_gpa(void)
{
	if (random() % 2)
		return HIGH + random() % (HIGH_BYTES / 8) * 8;
	return GPA_DATA + random() % ((GUEST_BYTES - GPA_DATA) / 8) * 8;
}

static unsigned char *at(const struct machine *m, __u64 gpa)
{
	return gpa < HIGH ? m->mem + gpa : m->high + (gpa - HIGH);
}

static void guest_writes(struct __test_metadata *_metadata, struct vee_vcpu *vcpu, __u64 gpa,
			 __u64 value)
{
	vcpu->page->regs.rdi = gpa;
	vcpu->page->regs.rsi = value;
	ASSERT_EQ(VEE_EXIT_PIO, run_vcpu(vcpu));
	vee_done(vcpu);
}

/* By the guest, by the library, by a system call, by this program. */
static void write_somehow(struct __test_metadata *_metadata, const struct machine *m)
{
	__u64 gpa = random_gpa(), value = random();
	int ends[2];

	switch (random() % 4) {
	case 0:
		ASSERT_EQ(0, vee_vm_write(m->vm, gpa, &value, sizeof(value)));
		break;
	case 1:
		ASSERT_EQ(0, pipe(ends));
		ASSERT_EQ(8, write(ends[1], &value, 8));
		ASSERT_EQ(8, read(ends[0], vee_vm_at(m->vm, gpa, 8), 8));
		close(ends[0]);
		close(ends[1]);
		ASSERT_EQ(0, vee_vm_dirty_mark(m->vm, gpa, 8));
		break;
	case 2:
		memset(at(m, gpa), value, 8);
		ASSERT_EQ(0, vee_vm_dirty_mark(m->vm, gpa, 8));
		break;
	default:
		guest_writes(_metadata, m->vcpu, gpa, value);
	}
}

TEST_F(restore, memory)
{
	unsigned char *mem = malloc(GUEST_BYTES), *high = malloc(HIGH_BYTES);

	for (int i = 0; i < 50; i++)
		write_somehow(_metadata, &self->m);
	vee_vm_snapshot_free(self->snapshot);
	ASSERT_EQ(0, vee_vm_snapshot(self->m.vm, &self->snapshot));
	memcpy(mem, self->m.mem, GUEST_BYTES);
	memcpy(high, self->m.high, HIGH_BYTES);
	for (int round = 0; round < 15; round++) {
		for (int i = 0; i < round * 4; i++)
			write_somehow(_metadata, &self->m);
		ASSERT_EQ(0, vee_vm_restore(self->m.vm, self->snapshot));
		/* The CPU sets accessed and dirty flags in the tables when it likes. */
		ASSERT_EQ(0, memcmp(mem, self->m.mem, GUEST_BYTES)) TH_LOG("round %d", round);
		ASSERT_EQ(0, memcmp(high, self->m.high, HIGH_BYTES)) TH_LOG("round %d", round);
	}
	free(mem);
	free(high);
}

/* Two in turn: what was written since the one is not what was since the other. */
TEST_F(restore, two_snapshots)
{
	struct vee_vm_snapshot *second;
	__u64 *a = (void *)(self->m.mem + GPA_DATA + 8), *b = (void *)self->m.high;

	guest_writes(_metadata, self->m.vcpu, GPA_DATA + 8, 1);
	ASSERT_EQ(0, vee_vm_snapshot(self->m.vm, &second));
	guest_writes(_metadata, self->m.vcpu, HIGH, 2);
	ASSERT_EQ(0, vee_vm_restore(self->m.vm, self->snapshot));
	EXPECT_EQ(0, *a);
	EXPECT_EQ(0, *b);
	ASSERT_EQ(0, vee_vm_restore(self->m.vm, second));
	EXPECT_EQ(1, *a);
	EXPECT_EQ(0, *b);
	guest_writes(_metadata, self->m.vcpu, HIGH, 3);
	ASSERT_EQ(0, vee_vm_restore(self->m.vm, second));
	EXPECT_EQ(1, *a);
	EXPECT_EQ(0, *b);
	vee_vm_snapshot_free(second);
}

struct state {
	struct vee_vcpu_page page;
	uint64_t debugctl;
	unsigned char xsave[4096];
};

/* All there is to see after one more round of the guest's. */
static void look(struct __test_metadata *_metadata, struct vee_vcpu *vcpu, struct state *state)
{
	struct vee_info info;

	memset(state, 0, sizeof(*state));
	ASSERT_EQ(0, vee_get_info(&info));
	ASSERT_GE(sizeof(state->xsave), info.xsave_bytes);
	ASSERT_EQ(VEE_EXIT_PIO, run_vcpu(vcpu));
	ASSERT_EQ(0x10, vcpu->page->exit.pio.port);
	ASSERT_EQ(0, vee_vcpu_sync(vcpu, VEE_STATE_ALL));
	ASSERT_EQ(0, vee_vcpu_get_xsave(vcpu, state->xsave, info.xsave_bytes));
	ASSERT_EQ(0, vee_vcpu_vmcs_read(vcpu, 0x2802, &state->debugctl));
	state->page = *vcpu->page;
}

static void expect_alike(struct __test_metadata *_metadata, const struct state *a,
			 const struct state *b)
{
	EXPECT_EQ(0, memcmp(&a->page.regs, &b->page.regs, sizeof(a->page.regs)));
	EXPECT_EQ(0, memcmp(&a->page.segments, &b->page.segments, sizeof(a->page.segments)));
	EXPECT_EQ(0, memcmp(&a->page.control, &b->page.control, sizeof(a->page.control)));
	EXPECT_EQ(0, memcmp(&a->page.debug, &b->page.debug, sizeof(a->page.debug)));
	EXPECT_EQ(0, memcmp(&a->page.msrs, &b->page.msrs, sizeof(a->page.msrs)));
	EXPECT_EQ(0, memcmp(&a->page.events, &b->page.events, sizeof(a->page.events)));
	EXPECT_EQ(0, memcmp(a->xsave, b->xsave, sizeof(a->xsave)));
	EXPECT_EQ(a->debugctl, b->debugctl);
}

TEST_F(restore, registers)
{
	static struct state before, wrecked, after;
	struct vee_vcpu *vcpu = self->m.vcpu;

	look(_metadata, vcpu, &before);
	vee_done(vcpu);
	go_to(vcpu, AT(writer, wreck));
	ASSERT_EQ(VEE_EXIT_PIO, run_vcpu(vcpu));
	ASSERT_EQ(0x11, vcpu->page->exit.pio.port);
	ASSERT_EQ(0, vee_vcpu_sync(vcpu, VEE_STATE_ALL));
	wrecked.page = *vcpu->page;
	EXPECT_EQ(0x1234, wrecked.page.msrs.lstar);
	EXPECT_EQ(0x5555, wrecked.page.debug.dr[0]);
	EXPECT_EQ(0x1234, wrecked.page.segments.idtr.base);
	EXPECT_NE(0, memcmp(&before.page.segments, &wrecked.page.segments,
			    sizeof(before.page.segments)));
	ASSERT_EQ(0, vee_vm_restore(self->m.vm, self->snapshot));
	look(_metadata, vcpu, &after);
	expect_alike(_metadata, &before, &after);
	EXPECT_EQ(0, after.debugctl);
}

static void put_code(const struct machine *m, const unsigned char *code,
		     const unsigned char *end)
{
	vee_vm_write(m->vm, GPA_CODE, code, end - code);
}

/* However the guest has ended, it is there again. */
TEST_F(restore, ends)
{
	static struct state before, after;
	struct vee_vcpu *vcpu = self->m.vcpu;

	look(_metadata, vcpu, &before);
	for (int way = 0; way < 6; way++) {
		ASSERT_EQ(0, vee_vm_restore(self->m.vm, self->snapshot));
		switch (way) {
		case 0:			/* page tables gone, and no IDT: a triple fault */
			go_to(vcpu, AT(writer, wreck));
			ASSERT_EQ(VEE_EXIT_PIO, run_vcpu(vcpu));
			vee_done(vcpu);
			ASSERT_EQ(VEE_EXIT_SHUTDOWN, run_vcpu(vcpu));
			break;
		case 1:
			put_code(&self->m, halt, halt_end);
			go_to(vcpu, GPA_CODE);
			ASSERT_EQ(VEE_EXIT_HLT, run_vcpu(vcpu));
			break;
		case 2:			/* not answered */
			put_code(&self->m, device, device_end);
			go_to(vcpu, GPA_CODE);
			ASSERT_EQ(VEE_EXIT_MMIO, run_vcpu(vcpu));
			break;
		case 3:			/* a VM entry that fails */
			ASSERT_EQ(VEE_EXIT_PIO, run_vcpu(vcpu));
			ASSERT_EQ(0, vee_vcpu_vmcs_write(vcpu, GUEST_RFLAGS, 0));
			ASSERT_EQ(VEE_EXIT_ENTRY_FAILED, run_vcpu(vcpu));
			break;
		case 4:			/* an event that waits, and one that is asked for */
			vee_inject_interrupt(vcpu, 0x40);
			ASSERT_EQ(VEE_EXIT_PIO, run_vcpu(vcpu));
			vee_inject_nmi(vcpu);
			break;
		case 5:
			put_code(&self->m, fault, fault_end);
			go_to(vcpu, GPA_CODE);
			vcpu->page->intercept = VEE_INTERCEPT_STEP;
			ASSERT_EQ(VEE_EXIT_SHUTDOWN, run_vcpu(vcpu));
			vcpu->page->intercept = 0;
			break;
		}
		ASSERT_EQ(0, vee_vm_restore(self->m.vm, self->snapshot));
		look(_metadata, vcpu, &after);
		ASSERT_EQ(before.page.regs.rip, after.page.regs.rip) TH_LOG("way %d", way);
		expect_alike(_metadata, &before, &after);
	}
}

#define FORKS	8

static void *work_alone(void *arg)
{
	struct vee_vcpu *vcpu = arg;

	for (__u64 i = 0; i < 200; i++) {
		vcpu->page->regs.rdi = GPA_DATA + i * 64;
		vcpu->page->regs.rsi = (uintptr_t)vcpu + i;
		if (run_vcpu(vcpu) != VEE_EXIT_PIO)
			return "no OUT";
		vee_done(vcpu);
		if (*(__u64 *)vee_vm_at(vcpu->vm, GPA_DATA + i * 64, 8) != (uintptr_t)vcpu + i)
			return "not what it wrote";
	}
	return NULL;
}

TEST_F(restore, forks)
{
	struct vee_vm *forks[FORKS];
	pthread_t threads[FORKS];
	void *wrong;

	guest_writes(_metadata, self->m.vcpu, HIGH, 99);
	for (int i = 0; i < FORKS; i++)
		ASSERT_EQ(0, vee_vm_fork(self->snapshot, &forks[i]));
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < FORKS; i++)
			ASSERT_EQ(0, pthread_create(&threads[i], NULL, work_alone,
						    vee_vm_vcpu(forks[i], 0)));
		for (int i = 0; i < FORKS; i++) {
			ASSERT_EQ(0, pthread_join(threads[i], &wrong));
			EXPECT_EQ(NULL, wrong) TH_LOG("fork %d: %s", i, (char *)wrong);
			ASSERT_EQ(0, vee_vm_restore(forks[i], self->snapshot));
			EXPECT_EQ(0, *(__u64 *)vee_vm_at(forks[i], GPA_DATA + 64, 8));
			EXPECT_EQ(0, *(__u64 *)vee_vm_at(forks[i], HIGH, 8));
		}
	}
	EXPECT_EQ(99, *(__u64 *)self->m.high);
	/* A fork outlives both. */
	vee_vm_snapshot_free(self->snapshot);
	self->snapshot = NULL;
	vee_vcpu_destroy(self->m.vcpu);
	self->m.vcpu = NULL;
	guest_writes(_metadata, vee_vm_vcpu(forks[0], 0), GPA_DATA, 5);
	EXPECT_EQ(5, *(__u64 *)vee_vm_at(forks[0], GPA_DATA, 8));
	for (int i = 0; i < FORKS; i++) {
		vee_vcpu_destroy(vee_vm_vcpu(forks[i], 0));
		vee_vm_destroy(forks[i]);
	}
}

/*
 * What @vm has now, of both slots, less the guest's tables: Bochs 2.7 writes their accessed and
 * dirty flags without asking the EPT, so they are the template's as well.
 */
static void read_all(struct __test_metadata *_metadata, const struct vee_vm *vm,
		     unsigned char *mem, unsigned char *high)
{
	ASSERT_EQ(0, vee_vm_read(vm, 0, mem, GUEST_BYTES));
	ASSERT_EQ(0, vee_vm_read(vm, HIGH, high, HIGH_BYTES));
	memset(mem + TABLES, 0, TABLES_END - TABLES);
}

/* By the guest, by the library, by a pointer: the latter needs no mark here. */
static void write_to_fork(struct __test_metadata *_metadata, struct vee_vm *vm)
{
	__u64 gpa = random_gpa(), value = random();
	__u64 *word;

	switch (random() % 3) {
	case 0:
		ASSERT_EQ(0, vee_vm_write(vm, gpa, &value, sizeof(value)));
		break;
	case 1:
		word = vee_vm_at(vm, gpa, 8);
		ASSERT_NE(NULL, word);
		*word = value;
		break;
	default:
		guest_writes(_metadata, vee_vm_vcpu(vm, 0), gpa, value);
	}
	ASSERT_EQ(0, vee_vm_read(vm, gpa, &gpa, sizeof(gpa)));
	ASSERT_EQ(value, gpa);
}

/* Few pages and many, which the engine puts back in two ways; the guest sees either. */
TEST_F(restore, forks_memory)
{
	static unsigned char was[GUEST_BYTES + HIGH_BYTES], is[GUEST_BYTES + HIGH_BYTES];
	struct vee_vm_snapshot *second;
	struct vee_vm *fork, *grandchild;
	__u64 word;

	read_all(_metadata, self->m.vm, was, was + GUEST_BYTES);
	ASSERT_EQ(0, vee_vm_fork(self->snapshot, &fork));
	for (int round = 0; round < 8; round++) {
		for (int i = 0; i < (round % 4 == 3 ? 300 : round * 4); i++)
			write_to_fork(_metadata, fork);
		ASSERT_EQ(0, vee_vm_restore(fork, self->snapshot));
		read_all(_metadata, fork, is, is + GUEST_BYTES);
		ASSERT_EQ(0, memcmp(was, is, sizeof(is))) TH_LOG("round %d", round);
	}
	guest_writes(_metadata, vee_vm_vcpu(fork, 0), HIGH, 77);
	ASSERT_EQ(0, vee_vm_snapshot(fork, &second));
	guest_writes(_metadata, vee_vm_vcpu(fork, 0), HIGH, 78);
	ASSERT_EQ(0, vee_vm_fork(second, &grandchild));
	ASSERT_EQ(0, vee_vm_read(grandchild, HIGH, &word, 8));
	EXPECT_EQ(77, word);
	ASSERT_EQ(0, vee_vm_read(fork, HIGH, &word, 8));
	EXPECT_EQ(78, word);
	ASSERT_EQ(0, vee_vm_restore(fork, second));
	ASSERT_EQ(0, vee_vm_read(fork, HIGH, &word, 8));
	EXPECT_EQ(77, word);
	ASSERT_EQ(0, vee_vm_restore(grandchild, self->snapshot));
	guest_writes(_metadata, vee_vm_vcpu(grandchild, 0), HIGH + 8, 1);
	ASSERT_EQ(0, vee_vm_read(grandchild, HIGH, &word, 8));
	EXPECT_EQ(0, word);
	vee_vm_snapshot_free(second);
	vee_vcpu_destroy(vee_vm_vcpu(fork, 0));
	vee_vcpu_destroy(vee_vm_vcpu(grandchild, 0));
	vee_vm_destroy(fork);
	vee_vm_destroy(grandchild);
}

TEST_F(restore, with_apics)
{
	struct vee_vm_snapshot *snapshot;
	struct vee_vcpu *vcpus[2];
	struct vee_vm *vm, *fork;
	unsigned int ret;

	ret = vee_vm_create_with(&vm, VEE_VM_LOCAL_APIC);
	if (ret == (unsigned int)-EINVAL)
		VEE_SKIP("no local APICs here");
	ASSERT_EQ(0, ret);
	for (int i = 0; i < 2; i++)
		ASSERT_EQ(0, vee_vcpu_create(vm, i, &vcpus[i]));
	ASSERT_EQ(0, vee_vcpu_sync(vcpus[1], VEE_STATE_APIC));
	vcpus[1]->page->apic.svr = 0x1ff;
	vcpus[1]->page->dirty |= VEE_STATE_APIC;
	ASSERT_EQ(0, vee_vm_snapshot(vm, &snapshot));
	ASSERT_EQ(0, vee_vm_fork(snapshot, &fork));
	ASSERT_EQ(0, vee_vcpu_sync(vee_vm_vcpu(fork, 1), VEE_STATE_APIC));
	EXPECT_EQ(0x1ff, vee_vm_vcpu(fork, 1)->page->apic.svr);
	vcpus[1]->page->apic.svr = 0xff;
	vcpus[1]->page->dirty |= VEE_STATE_APIC;
	ASSERT_EQ(0, vee_vm_restore(vm, snapshot));
	ASSERT_EQ(0, vee_vcpu_sync(vcpus[1], VEE_STATE_APIC));
	EXPECT_EQ(0x1ff, vcpus[1]->page->apic.svr);
	for (int i = 0; i < 2; i++) {
		vee_vcpu_destroy(vcpus[i]);
		vee_vcpu_destroy(vee_vm_vcpu(fork, i));
	}
	vee_vm_destroy(fork);
	vee_vm_destroy(vm);
	vee_vm_snapshot_free(snapshot);
}

TEST_HARNESS_MAIN
