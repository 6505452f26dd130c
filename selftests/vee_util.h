/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the tests of vee share: a guest with 2 MiB of memory and one vCPU, the
 * tables that each processor mode needs, guest code, and threads to run vCPUs.
 *
 * A guest's handler for each vector is a VMCALL and an IRET: an exception or an
 * interrupt shows up as VEE_EXIT_HYPERCALL at STUB(vector), at any privilege
 * level, and VEE_RESUME_NEXT returns from it.
 */
#ifndef SELFTESTS_VEE_UTIL_H
#define SELFTESTS_VEE_UTIL_H

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include <asm/processor-flags.h>
#include <linux/userfaultfd.h>
#include <linux/vee.h>

#include "kselftest_harness.h"

#define PAGE_BYTES	4096ULL
#define PAGES_2M	0x200000ULL
#define PAGES_1G	0x40000000ULL

/* Guest memory: one slot from 0 up, all accesses allowed. */
#define GUEST_BYTES	PAGES_2M
#define GPA_GDT		0x0800ULL
#define GPA_TSS		0x0c00ULL
#define GPA_IDT		0x2000ULL	/* the real-mode table is at 0 */
#define GPA_STUBS	0x3000ULL
#define GPA_PML4	0x4000ULL
#define GPA_PDPT	0x5000ULL
#define GPA_PD		0x6000ULL
#define GPA_PT		0x7000ULL	/* for tests that need 4 KiB pages */
#define GPA_CODE	0x8000ULL
#define CODE_BYTES	0x4000ULL
#define GPA_STACK0	0xe000ULL	/* top of the stack for entries to CPL 0 */
#define GPA_STACK	0xf000ULL	/* top of the stack */
#define GPA_DATA	0x20000ULL
#define GPA_MMIO	0x30000000ULL	/* no slot, but mapped by the page tables */

/* Selectors in the guest's GDT; the user ones take RPL 3 as well. */
#define SEL_CODE32	0x08
#define SEL_DATA	0x10
#define SEL_CODE64	0x18
#define SEL_USER_DATA	0x20
#define SEL_USER_CODE64	0x28
#define SEL_USER_CODE32	0x30
#define SEL_TSS		0x38		/* two entries in long mode */
#define SEL_CODE16	0x48
#define SEL_DATA16	0x50
#define GDT_BYTES	0x58

#define AR_CODE16	0x009b
#define AR_CODE32	0xc09b
#define AR_CODE64	0xa09b
#define AR_DATA16	0x0093
#define AR_DATA		0xc093
#define AR_USER_CODE32	0xc0fb
#define AR_USER_CODE64	0xa0fb
#define AR_USER_DATA	0xc0f3
#define AR_TSS_BUSY	0x008b

/* The TSS, of either size: its I/O permission map begins behind its limit. */
#define TSS_IO_MAP	0x64
#define TSS_NO_IO_MAP	0x00680000

/* IA32_EFER; the other registers' bits are in asm/processor-flags.h. */
#define EFER_SCE	0x001ULL
#define EFER_LME	0x100ULL
#define EFER_LMA	0x400ULL
#define EFER_NXE	0x800ULL

#define PTE_P		0x01ULL
#define PTE_W		0x02ULL
#define PTE_U		0x04ULL
#define PTE_A		0x20ULL
#define PTE_D		0x40ULL
#define PTE_PS		0x80ULL
#define PTE_NX		0x8000000000000000ULL
#define PTE_ALL		(PTE_P | PTE_W | PTE_U)

#define VECTOR_DE	0
#define VECTOR_DB	1
#define VECTOR_NMI	2
#define VECTOR_BP	3
#define VECTOR_UD	6
#define VECTOR_NM	7
#define VECTOR_DF	8
#define VECTOR_GP	13
#define VECTOR_PF	14
#define VECTOR_AC	17

#define BIT_ULL(bit)	(1ULL << (bit))

#define VEE_RWX		(VEE_READ | VEE_WRITE | VEE_EXECUTE)

/* A guest that a test lets run astray ends with VEE_EXIT_DEADLINE. */
#define DEADLINE_NS	3000000000ULL
#define MS_NS		1000000ULL

/*
 * Guest code, assembled for 16, 32 or 64 bit and kept among the constants.
 * Labels in it are taken into C by GUEST_LABEL. It is copied to GPA_CODE, so it
 * must not depend on where it lies; AT() gives the gpa of a label there.
 */
#define GUEST_LABEL(label) \
	extern const unsigned char label[]
#define GUEST_CODE(code, bits, text)					\
	extern const unsigned char code[], code##_end[];		\
	asm(".pushsection .rodata\n.code" #bits "\n"			\
	    #code ":\n" text "\n" #code "_end:\n.code64\n.popsection\n")
#define AT(code, label) \
	(GPA_CODE + (__u64)((label) - (code)))
#define STUB(vector) \
	(GPA_STUBS + 16 * (vector))

/*
 * Counts at GPA_DATA and never exits by itself, with interrupts off. The CLI is
 * for Bochs 2.7, which after a VM entry with RFLAGS.IF clear leaves the guest for
 * an external interrupt only once an instruction has written IF.
 */
#define SPIN	"1: cli; incl 0x20000; jmp 1b"

/* Puts @code in place and the guest before it; the vCPU page says all of it. */
#define GUEST_REAL(g, code) \
	guest_start(g, guest_set_real, code, code##_end)
#define GUEST_PROTECTED(g, code) \
	guest_start(g, guest_set_protected, code, code##_end)
#define GUEST_LONG(g, code) \
	guest_start(g, guest_set_long, code, code##_end)
/* Puts @code in place alone. */
#define GUEST_LOAD(g, code) \
	guest_load(g, code, code##_end)

/*
 * Ends a test as skipped. Before XFAIL_ADD came to the harness, a skip in
 * FIXTURE_SETUP did not keep the test from running, and the code was 255.
 */
#ifdef XFAIL_ADD
#define VEE_SKIP(fmt, ...) SKIP(_exit(KSFT_SKIP), fmt, ##__VA_ARGS__)
#else
#define VEE_SKIP(fmt, ...) SKIP(_exit(255), fmt, ##__VA_ARGS__)
#endif

/* Runs @g and insists on an exit reason. */
#define ASSERT_RUN(g, why)						\
	do {								\
		struct guest *run_g = (g);				\
		int run_ret = guest_run(run_g);				\
									\
		ASSERT_EQ(0, run_ret) TH_LOG("run: %s", strerror(-run_ret)); \
		ASSERT_EQ((why), run_g->page->exit.reason)		\
			TH_LOG("%s", guest_describe(run_g));		\
	} while (0)

/* Runs @g and insists on a VMCALL or HLT, say, at @gpa. */
#define ASSERT_RUN_AT(g, why, gpa)					\
	do {								\
		struct guest *at_g = (g);				\
									\
		ASSERT_RUN(at_g, why);					\
		ASSERT_EQ((gpa), at_g->page->regs.rip)			\
			TH_LOG("%s", guest_describe(at_g));		\
	} while (0)
#define ASSERT_HLT(g, gpa) \
	ASSERT_RUN_AT(g, VEE_EXIT_HLT, gpa)
/* Runs @g and insists that it takes an exception or an interrupt. */
#define ASSERT_VECTOR(g, vector) \
	ASSERT_RUN_AT(g, VEE_EXIT_HYPERCALL, STUB(vector))

/* Waits for what a guest or another thread does, but not for ever. */
#define WAIT_FOR(cond)							\
	({								\
		int wait_left = 5000;					\
		bool wait_met;						\
									\
		for (;;) {						\
			wait_met = (cond);				\
			if (wait_met || !--wait_left)			\
				break;					\
			usleep(1000);					\
		}							\
		wait_met;						\
	})

/**
 * struct guest - a VM, its memory and one vCPU
 * @dev: /dev/vee
 * @vm: the VM
 * @vcpu: the vCPU
 * @page: the vCPU's page
 * @mem: guest memory, GUEST_BYTES from gpa 0
 * @borrowed: @dev, @vm and @mem are another guest's
 */
struct guest {
	int dev;
	int vm;
	int vcpu;
	struct vee_vcpu_page *page;
	unsigned char *mem;
	bool borrowed;
};

static inline int vee_call(int fd, unsigned long request, void *arg)
{
	int ret = ioctl(fd, request, arg);

	return ret < 0 ? -errno : ret;
}

static inline int guest_run_once(struct guest *g)
{
	return vee_call(g->vcpu, VEE_VCPU_RUN, NULL);
}

/* The kernel may have work for this thread at any time: -EINTR, run again. */
static inline int guest_run(struct guest *g)
{
	int ret, tries = 100;

	do {
		ret = guest_run_once(g);
	} while (ret == -EINTR && --tries);
	return ret;
}

static inline const char *guest_describe(const struct guest *g)
{
	const struct vee_exit *exit = &g->page->exit;
	static char text[160];

	snprintf(text, sizeof(text),
		 "exit %u, hardware reason %#x, qualification %#llx, RIP %#llx",
		 exit->reason, exit->hardware_reason,
		 (unsigned long long)exit->qualification,
		 (unsigned long long)g->page->regs.rip);
	return text;
}

/* Guest memory, which the guest may be changing at the same time. */
static inline __u64 guest_read64(const struct guest *g, __u64 gpa)
{
	return __atomic_load_n((__u64 *)(g->mem + gpa), __ATOMIC_ACQUIRE);
}

static inline __u32 guest_read32(const struct guest *g, __u64 gpa)
{
	return __atomic_load_n((__u32 *)(g->mem + gpa), __ATOMIC_ACQUIRE);
}

static inline void guest_write64(const struct guest *g, __u64 gpa, __u64 value)
{
	__atomic_store_n((__u64 *)(g->mem + gpa), value, __ATOMIC_RELEASE);
}

static inline void guest_write32(const struct guest *g, __u64 gpa, __u32 value)
{
	__atomic_store_n((__u32 *)(g->mem + gpa), value, __ATOMIC_RELEASE);
}

/* --- without vee ------------------------------------------------------------- */

/*
 * For a constructor, before any test runs: a program whose tests were all skipped, one
 * by one, would be one that passed.
 */
static inline void skip_all(const char *why)
{
	printf("TAP version 13\n1..0 # SKIP %s\n", why);
	fflush(stdout);
	_exit(KSFT_SKIP);
}

__attribute__((constructor)) static void need_device(void)
{
	if (access("/dev/vee", F_OK))
		skip_all("there is no /dev/vee: load vee.ko");
}

/* --- descriptors ----------------------------------------------------------- */

static inline int vee_open(struct __test_metadata *_metadata)
{
	int fd = open("/dev/vee", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		VEE_SKIP("cannot open /dev/vee: %s", strerror(errno));
	return fd;
}

static inline int vm_create_with(int dev, __u32 flags)
{
	struct vee_vm_create create = { .size = sizeof(create), .flags = flags };

	return vee_call(dev, VEE_VM_CREATE, &create);
}

static inline int vm_create(int dev)
{
	return vm_create_with(dev, 0);
}

static inline int vm_map(int vm, __u64 gpa, const void *hva, __u64 bytes,
			 __u32 access)
{
	struct vee_map map = {
		.size = sizeof(map),
		.gpa = gpa,
		.hva = (unsigned long)hva,
		.bytes = bytes,
		.access = access,
	};

	return vee_call(vm, VEE_VM_MAP, &map);
}

static inline int vm_unmap(int vm, __u64 gpa, __u64 bytes)
{
	struct vee_unmap unmap = {
		.size = sizeof(unmap),
		.gpa = gpa,
		.bytes = bytes,
	};

	return vee_call(vm, VEE_VM_UNMAP, &unmap);
}

static inline int vcpu_create(int vm, __u32 id)
{
	struct vee_vcpu_create create = { .size = sizeof(create), .id = id };

	return vee_call(vm, VEE_VM_CREATE_VCPU, &create);
}

static inline struct vee_vcpu_page *vcpu_page(int vcpu)
{
	return mmap(NULL, VEE_VCPU_PAGE_BYTES, PROT_READ | PROT_WRITE,
		    MAP_SHARED, vcpu, 0);
}

static inline int vcpu_sync(int vcpu, __u32 groups)
{
	struct vee_sync sync = { .size = sizeof(sync), .groups = groups };

	return vee_call(vcpu, VEE_VCPU_SYNC, &sync);
}

/* @count: room at @table, and then how many there are */
static inline int vcpu_get_cpuid(int vcpu, struct vee_cpuid_entry *table, __u32 *count)
{
	struct vee_cpuid cpuid = {
		.size = sizeof(cpuid),
		.count = *count,
		.entries = (unsigned long)table,
	};
	int ret = vee_call(vcpu, VEE_VCPU_GET_CPUID, &cpuid);

	*count = cpuid.count;
	return ret;
}

static inline int vcpu_set_cpuid(int vcpu, const struct vee_cpuid_entry *table, __u32 count)
{
	struct vee_cpuid cpuid = {
		.size = sizeof(cpuid),
		.count = count,
		.entries = (unsigned long)table,
	};

	return vee_call(vcpu, VEE_VCPU_SET_CPUID, &cpuid);
}

static inline int vcpu_kick(int vcpu, __u64 generation)
{
	struct vee_kick kick = {
		.size = sizeof(kick),
		.generation = generation,
	};

	return vee_call(vcpu, VEE_VCPU_KICK, &kick);
}

static inline int vcpu_inject(int vcpu, __u8 type, __u8 vector)
{
	struct vee_inject inject = {
		.size = sizeof(inject),
		.event = {
			.vector = vector,
			.type = type,
			.flags = VEE_EVENT_VALID,
		},
	};

	return vee_call(vcpu, VEE_VCPU_INJECT, &inject);
}

static inline int vmcs_read(int vcpu, __u32 encoding, __u64 *value)
{
	struct vee_vmcs_field field = {
		.size = sizeof(field),
		.encoding = encoding,
	};
	int ret = vee_call(vcpu, VEE_VCPU_VMCS_READ, &field);

	*value = field.value;
	return ret;
}

static inline int vmcs_write(int vcpu, __u32 encoding, __u64 value)
{
	struct vee_vmcs_field field = {
		.size = sizeof(field),
		.encoding = encoding,
		.value = value,
	};

	return vee_call(vcpu, VEE_VCPU_VMCS_WRITE, &field);
}

static inline struct vee_info vee_info(int dev)
{
	struct vee_info info = { .size = sizeof(info) };

	if (vee_call(dev, VEE_GET_INFO, &info))
		info.size = 0;
	return info;
}

static inline void *anon_memory(size_t bytes)
{
	return mmap(NULL, bytes, PROT_READ | PROT_WRITE | PROT_EXEC,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

/* --- tables ---------------------------------------------------------------- */

static inline __u64 gdt_entry(__u32 access_rights)
{
	return 0x0000ffffULL | (__u64)(access_rights & 0xff) << 40 |
	       0xfULL << 48 | (__u64)(access_rights >> 12 & 0xf) << 52;
}

static inline void guest_write_gdt(struct guest *g)
{
	__u64 *gdt = (__u64 *)(g->mem + GPA_GDT);

	gdt[SEL_CODE32 / 8] = gdt_entry(AR_CODE32);
	gdt[SEL_DATA / 8] = gdt_entry(AR_DATA);
	gdt[SEL_CODE64 / 8] = gdt_entry(AR_CODE64);
	gdt[SEL_USER_DATA / 8] = gdt_entry(AR_USER_DATA);
	gdt[SEL_USER_CODE64 / 8] = gdt_entry(AR_USER_CODE64);
	gdt[SEL_USER_CODE32 / 8] = gdt_entry(AR_USER_CODE32);
	gdt[SEL_TSS / 8] = 0x67 | GPA_TSS << 16 | 0x89ULL << 40;
	gdt[SEL_CODE16 / 8] = 0x0000ffff | 0x9bULL << 40;
	gdt[SEL_DATA16 / 8] = 0x0000ffff | 0x93ULL << 40;
}

/* Identity, 1 GiB, in 2 MiB pages open to all privilege levels. */
static inline void guest_write_page_tables(struct guest *g)
{
	__u64 *pd = (__u64 *)(g->mem + GPA_PD);
	unsigned int i;

	guest_write64(g, GPA_PML4, GPA_PDPT | PTE_ALL);
	guest_write64(g, GPA_PDPT, GPA_PD | PTE_ALL);
	for (i = 0; i < 512; i++)
		pd[i] = i * PAGES_2M | PTE_ALL | PTE_PS;
}

/* Maps the first 2 MiB in 4 KiB pages, and returns their page table. */
static inline __u64 *guest_split_page(struct guest *g)
{
	__u64 *pt = (__u64 *)(g->mem + GPA_PT);
	unsigned int i;

	for (i = 0; i < 512; i++)
		pt[i] = i * PAGE_BYTES | PTE_ALL;
	guest_write64(g, GPA_PD, GPA_PT | PTE_ALL);
	return pt;
}

static inline void guest_write_stubs(struct guest *g, const char *code,
				     size_t bytes)
{
	unsigned int i;

	for (i = 0; i < 256; i++)
		memcpy(g->mem + STUB(i), code, bytes);
}

static inline void guest_write_ivt(struct guest *g)
{
	unsigned int i;

	guest_write_stubs(g, "\x0f\x01\xc1\xcf", 4);
	for (i = 0; i < 256; i++)
		guest_write32(g, 4 * i, STUB(i));
}

/* Interrupt gates that CPL 3 may use too, by INT n. */
static inline void guest_write_idt32(struct guest *g)
{
	unsigned int i;

	guest_write_stubs(g, "\x0f\x01\xc1\xcf", 4);
	for (i = 0; i < 256; i++)
		guest_write64(g, GPA_IDT + 8 * i, STUB(i) | SEL_CODE32 << 16 | 0xeeULL << 40);
}

static inline void guest_write_idt64(struct guest *g)
{
	unsigned int i;

	guest_write_stubs(g, "\x0f\x01\xc1\x48\xcf", 5);
	for (i = 0; i < 256; i++) {
		guest_write64(g, GPA_IDT + 16 * i, STUB(i) | SEL_CODE64 << 16 | 0xeeULL << 40);
		guest_write64(g, GPA_IDT + 16 * i + 8, 0);
	}
}

/* --- modes ----------------------------------------------------------------- */

static inline struct vee_segment segment(__u16 selector, __u32 access_rights)
{
	bool pages = access_rights & VEE_AR_G;

	return (struct vee_segment) {
		.limit = pages ? 0xffffffff : 0xffff,
		.access_rights = access_rights,
		.selector = selector,
	};
}

static inline void guest_set_segments(struct guest *g, struct vee_segment cs,
				      struct vee_segment data)
{
	struct vee_segments *s = &g->page->segments;

	s->cs = cs;
	s->ss = data;
	s->ds = data;
	s->es = data;
	s->fs = data;
	s->gs = data;
	s->ldtr = (struct vee_segment) { .access_rights = VEE_AR_UNUSABLE };
	s->tr = (struct vee_segment) {
		.base = GPA_TSS,
		.limit = 0x67,
		.access_rights = AR_TSS_BUSY,
		.selector = SEL_TSS,
	};
	s->gdtr = (struct vee_table) { .base = GPA_GDT, .limit = GDT_BYTES - 1 };
	s->idtr = (struct vee_table) { .base = GPA_IDT, .limit = 256 * 16 - 1 };
	g->page->dirty |= VEE_STATE_SEGMENTS;
}

static inline void guest_set_regs(struct guest *g)
{
	struct vee_regs *regs = &g->page->regs;

	memset(regs, 0, sizeof(*regs));
	regs->rip = GPA_CODE;
	regs->rsp = GPA_STACK;
	regs->rflags = X86_EFLAGS_FIXED;
	g->page->dirty |= VEE_STATE_REGS;
}

static inline void guest_set_control(struct guest *g, __u64 cr0, __u64 cr3,
				     __u64 cr4, __u64 efer)
{
	g->page->control = (struct vee_control) {
		.cr0 = cr0,
		.cr3 = cr3,
		.cr4 = cr4,
		.efer = efer,
		.xcr0 = 1,
	};
	g->page->dirty |= VEE_STATE_CONTROL;
}

static inline void guest_set_real(struct guest *g)
{
	guest_write_gdt(g);
	guest_write_ivt(g);
	guest_set_regs(g);
	guest_set_segments(g, segment(0, AR_CODE16), segment(0, AR_DATA16));
	g->page->segments.idtr.base = 0;
	g->page->segments.idtr.limit = 0x3ff;
	guest_set_control(g, X86_CR0_ET, 0, 0, 0);
}

/* 32 bit, flat, without paging. */
static inline void guest_set_protected(struct guest *g)
{
	guest_write_gdt(g);
	guest_write_idt32(g);
	guest_write32(g, GPA_TSS + 4, GPA_STACK0);
	guest_write32(g, GPA_TSS + 8, SEL_DATA);
	guest_write32(g, GPA_TSS + TSS_IO_MAP, TSS_NO_IO_MAP);
	guest_set_regs(g);
	guest_set_segments(g, segment(SEL_CODE32, AR_CODE32),
			   segment(SEL_DATA, AR_DATA));
	g->page->segments.idtr.limit = 256 * 8 - 1;
	guest_set_control(g, X86_CR0_PE | X86_CR0_ET, 0, 0, 0);
}

/* 64 bit, on the page tables of guest_write_page_tables(). */
static inline void guest_set_long(struct guest *g)
{
	guest_write_gdt(g);
	guest_write_idt64(g);
	guest_write_page_tables(g);
	guest_write64(g, GPA_TSS + 4, GPA_STACK0);
	guest_write32(g, GPA_TSS + TSS_IO_MAP, TSS_NO_IO_MAP);
	guest_set_regs(g);
	guest_set_segments(g, segment(SEL_CODE64, AR_CODE64),
			   segment(SEL_DATA, AR_DATA));
	guest_set_control(g, X86_CR0_PG | X86_CR0_PE | X86_CR0_ET | X86_CR0_WP, GPA_PML4,
			  X86_CR4_PAE | X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT,
			  EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE);
}

/* To CPL 3; from 64 bit to 64 bit, or from 32 to 32. */
static inline void guest_set_user(struct guest *g)
{
	struct vee_segment data = segment(SEL_USER_DATA | 3, AR_USER_DATA);
	struct vee_segments *s = &g->page->segments;

	if (s->cs.access_rights & VEE_AR_L)
		s->cs = segment(SEL_USER_CODE64 | 3, AR_USER_CODE64);
	else
		s->cs = segment(SEL_USER_CODE32 | 3, AR_USER_CODE32);
	s->ss = data;
	s->ds = data;
	s->es = data;
	g->page->dirty |= VEE_STATE_SEGMENTS;
}

static inline void guest_set_rip(struct guest *g, __u64 rip)
{
	g->page->regs.rip = rip;
	g->page->dirty |= VEE_STATE_REGS;
}

static inline void guest_resume_next(struct guest *g)
{
	g->page->resume = VEE_RESUME_NEXT;
}

static inline void guest_inject(struct guest *g, __u8 type, __u8 vector)
{
	g->page->inject = (struct vee_event) {
		.vector = vector,
		.type = type,
		.flags = VEE_EVENT_VALID,
	};
}

static inline void guest_inject_error(struct guest *g, __u8 vector, __u32 error)
{
	guest_inject(g, VEE_EVENT_EXCEPTION, vector);
	g->page->inject.flags |= VEE_EVENT_ERROR_CODE;
	g->page->inject.error_code = error;
}

static inline void guest_load(struct guest *g, const unsigned char *code,
			      const unsigned char *end)
{
	memcpy(g->mem + GPA_CODE, code, end - code);
}

static inline void guest_start(struct guest *g, void (*set_mode)(struct guest *),
			       const unsigned char *code,
			       const unsigned char *end)
{
	guest_load(g, code, end);
	set_mode(g);
}

/* --- lifetimes ------------------------------------------------------------- */

static inline void guest_add_vcpu(struct __test_metadata *_metadata,
				  struct guest *g, __u32 id)
{
	g->vcpu = vcpu_create(g->vm, id);
	ASSERT_LE(0, g->vcpu) TH_LOG("vCPU: %s", strerror(-g->vcpu));
	g->page = vcpu_page(g->vcpu);
	ASSERT_NE(MAP_FAILED, g->page);
	g->page->deadline_ns = DEADLINE_NS;
}

static inline void guest_open_with(struct __test_metadata *_metadata, struct guest *g,
				   __u32 flags)
{
	memset(g, 0, sizeof(*g));
	g->dev = vee_open(_metadata);
	g->vm = vm_create_with(g->dev, flags);
	ASSERT_LE(0, g->vm) TH_LOG("VM: %s", strerror(-g->vm));
	g->mem = anon_memory(GUEST_BYTES);
	ASSERT_NE(MAP_FAILED, g->mem);
	ASSERT_EQ(0, vm_map(g->vm, 0, g->mem, GUEST_BYTES, VEE_RWX));
	guest_add_vcpu(_metadata, g, 0);
}

static inline void guest_open(struct __test_metadata *_metadata,
			      struct guest *g)
{
	guest_open_with(_metadata, g, 0);
}

/* A further vCPU of the VM of @g. */
static inline void guest_open_sibling(struct __test_metadata *_metadata,
				      const struct guest *g,
				      struct guest *sibling, __u32 id)
{
	*sibling = *g;
	sibling->borrowed = true;
	guest_add_vcpu(_metadata, sibling, id);
}

static inline void guest_close(struct guest *g)
{
	munmap(g->page, VEE_VCPU_PAGE_BYTES);
	close(g->vcpu);
	if (g->borrowed)
		return;
	close(g->vm);
	close(g->dev);
	munmap(g->mem, GUEST_BYTES);
}

/* Pages of @mem that are not there are to be asked for: a userfaultfd. */
static inline int watch_missing(struct __test_metadata *_metadata, void *mem,
				__u64 bytes)
{
	struct uffdio_register reg = {
		.range = { (unsigned long)mem, bytes },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	struct uffdio_api api = { .api = UFFD_API };
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		VEE_SKIP("no userfaultfd: %s", strerror(errno));
	ASSERT_EQ(0, ioctl(fd, UFFDIO_API, &api));
	ASSERT_EQ(0, ioctl(fd, UFFDIO_REGISTER, &reg));
	return fd;
}

/* Waits until a page is asked for: whether one was. */
static inline bool wait_missing(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	return poll(&poll_fd, 1, 5000) == 1;
}

/* The page at @page becomes a copy of the one at @source. */
static inline int supply_missing(int fd, void *page, const void *source)
{
	struct uffdio_copy copy = {
		.dst = (unsigned long)page,
		.src = (unsigned long)source,
		.len = PAGE_BYTES,
	};

	return ioctl(fd, UFFDIO_COPY, &copy);
}

/* For kicks. */
static inline __u64 generation(const struct guest *g)
{
	return __atomic_load_n(&g->page->generation, __ATOMIC_ACQUIRE);
}

/* --- first touches --------------------------------------------------------- */

#define PIECE_PAGES	16	/* small ones that come with one fault: see fault.c */

static inline __u64 guest_faults(const struct guest *g)
{
	struct vee_stats stats = { .size = sizeof(stats) };

	vee_call(g->vcpu, VEE_VCPU_STATS, &stats);
	return stats.faults;
}

/* --- time ------------------------------------------------------------------ */

static inline __u64 now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

static inline __u64 thread_cpu_ns(pthread_t thread)
{
	struct timespec t = { 0 };
	clockid_t clock;

	if (!pthread_getcpuclockid(thread, &clock))
		clock_gettime(clock, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

/* Does whoever counts in memory shared with us get on? */
static inline bool shared_counts(const __u32 *shared)
{
	__u32 before = __atomic_load_n(shared, __ATOMIC_ACQUIRE);

	return WAIT_FOR(__atomic_load_n(shared, __ATOMIC_ACQUIRE) != before);
}

/* Does a guest with SPIN, or the like of it, get on? */
static inline bool guest_counts(const struct guest *g)
{
	return shared_counts((const __u32 *)(g->mem + GPA_DATA));
}

/* --- guests of another process ------------------------------------------------ */

static inline void *shared_page(void)
{
	return mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

/* What SPIN counts, in @g in long mode and its siblings, is in @shared: 0 or -errno. */
static inline int guest_counts_in(struct guest *g, __u32 *shared)
{
	guest_split_page(g)[GPA_DATA / PAGE_BYTES] = GPA_MMIO | PTE_ALL;
	return vm_map(g->vm, GPA_MMIO, shared, PAGE_BYTES, VEE_READ | VEE_WRITE);
}

static inline void expect_still(struct __test_metadata *_metadata, const __u32 *shared)
{
	__u32 count = __atomic_load_n(shared, __ATOMIC_ACQUIRE);

	usleep(3000);
	EXPECT_EQ(count, __atomic_load_n(shared, __ATOMIC_ACQUIRE));
}

/* A guest of @child's counts in @shared: it does so no longer than that process lives. */
static inline void expect_killed(struct __test_metadata *_metadata, pid_t child,
				 const __u32 *shared)
{
	int status;

	EXPECT_TRUE(shared_counts(shared));
	EXPECT_EQ(0, kill(child, SIGKILL));
	EXPECT_EQ(child, waitpid(child, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status));
	expect_still(_metadata, shared);
}

/* --- the system -------------------------------------------------------------- */

#define MODULE		"/sys/module/vee"

/* What a file of sysfs or procfs says; -1: it is not there, or says no number. */
static inline long read_number(const char *path)
{
	FILE *file = fopen(path, "re");
	long value = -1;

	if (!file)
		return -1;
	if (fscanf(file, "%ld", &value) != 1)
		value = -1;
	fclose(file);
	return value;
}

/* How many hold the module; -1: it is not loaded, or not a module. */
static inline long module_users(void)
{
	return read_number(MODULE "/refcnt");
}

/*
 * ... once that is the same for a while: the kernel takes an io_uring down after who had it
 * has gone, and looks each 50 ms whether its requests have ended.
 */
static inline long module_users_at_rest(void)
{
	long users = module_users(), before;

	do {
		before = users;
		for (int i = 0; i < 10 && users == before; i++) {
			usleep(10000);
			users = module_users();
		}
	} while (users != before);
	return users;
}

/* --- threads --------------------------------------------------------------- */

/**
 * struct runner - a thread that makes one run
 * @thread: the thread
 * @g: what it runs
 * @ret: what the run returned
 * @done: the run has returned
 */
struct runner {
	pthread_t thread;
	struct guest *g;
	int ret;
	bool done;
};

static inline void *runner_main(void *arg)
{
	struct runner *r = arg;

	r->ret = guest_run_once(r->g);
	__atomic_store_n(&r->done, true, __ATOMIC_RELEASE);
	return NULL;
}

static inline int runner_start(struct runner *r, struct guest *g)
{
	r->g = g;
	r->ret = 0;
	r->done = false;
	return pthread_create(&r->thread, NULL, runner_main, r);
}

static inline bool runner_done(struct runner *r)
{
	return __atomic_load_n(&r->done, __ATOMIC_ACQUIRE);
}

static inline int runner_join(struct runner *r)
{
	pthread_join(r->thread, NULL);
	return r->ret;
}

/* A run for @wait_us, ended by a kick; false: it ended otherwise. */
static inline bool guest_kicked(struct guest *g, unsigned int wait_us)
{
	__u64 number = g->page->generation;
	struct runner r;
	int ret;

	if (runner_start(&r, g))
		return false;
	usleep(wait_us);
	ret = vcpu_kick(g->vcpu, number);
	/* Unless the kernel had work for the thread just then. */
	return (runner_join(&r) == -EINTR || g->page->exit.reason == VEE_EXIT_KICKED) && !ret &&
	       g->page->generation == number + 1;
}

static inline void signal_ignored(int sig)
{
	(void)sig;
}

/* SIGUSR1 then does nothing but end system calls. */
static inline void catch_sigusr1(void)
{
	struct sigaction action = { .sa_handler = signal_ignored };

	sigaction(SIGUSR1, &action, NULL);
}

/* --- local APICs ------------------------------------------------------------ */

#define MSI(id)		(0xfee00000ULL | (__u64)(id) << 12)
#define APIC_X2APIC	0x400ULL	/* of IA32_APIC_BASE */
#define APIC_SVR_ON	0x1ff

GUEST_CODE(begin_apic, 64, "hlt");

/* From its next run on: in x2APIC mode, and not waiting for a SIPI. */
static inline int guest_set_apic_on(struct guest *g)
{
	int ret = vcpu_sync(g->vcpu, VEE_STATE_APIC);

	if (ret)
		return ret;
	g->page->apic.start = 0;
	g->page->apic.base |= APIC_X2APIC;
	g->page->apic.svr = APIC_SVR_ON;
	g->page->dirty |= VEE_STATE_APIC;
	return 0;
}

/* In x2APIC mode it takes interrupts from here on, and they wake it from HLT. */
static inline void guest_turn_apic_on(struct __test_metadata *_metadata, struct guest *g)
{
	GUEST_LONG(g, begin_apic);
	ASSERT_EQ(0, guest_set_apic_on(g));
	ASSERT_RUN(g, VEE_EXIT_HLT);
	g->page->options = VEE_OPTION_HLT_SLEEPS;
}

/* guest_open() with such an APIC. */
static inline void guest_open_apic(struct __test_metadata *_metadata, struct guest *g)
{
	guest_open_with(_metadata, g, VEE_VM_LOCAL_APIC);
	guest_turn_apic_on(_metadata, g);
}

/*
 * The emulated CPU delivers what waits in its APIC, interrupts off or not, as soon as it
 * sees an interrupt of the host's (docs/lab.md): here @early in @first's handler, before
 * its first instruction.
 */
static inline bool guest_took_early(struct guest *g, __u8 first, __u8 early)
{
	__u64 frame = g->page->regs.rsp;

	return g->page->regs.rip == STUB(early) && guest_read64(g, frame) == STUB(first) &&
	       !(guest_read64(g, frame + 16) & X86_EFLAGS_IF);
}

/* Runs @g and insists that it takes @first at @gpa, and once that is over @second. */
#define ASSERT_VECTORS(g, first, gpa, second)				\
	do {								\
		struct guest *two_g = (g);				\
		bool two_early;						\
									\
		ASSERT_RUN(two_g, VEE_EXIT_HYPERCALL);			\
		two_early = guest_took_early(two_g, first, second);	\
		if (two_early) {					\
			guest_resume_next(two_g);			\
			ASSERT_RUN(two_g, VEE_EXIT_HYPERCALL);		\
		}							\
		ASSERT_EQ(STUB(first), two_g->page->regs.rip)		\
			TH_LOG("%s", guest_describe(two_g));		\
		ASSERT_EQ((gpa), guest_read64(two_g, two_g->page->regs.rsp)); \
		if (!two_early) {					\
			guest_resume_next(two_g);			\
			ASSERT_VECTOR(two_g, second);			\
		}							\
	} while (0)

/* --- the machine ----------------------------------------------------------- */

static inline __u64 host_tsc(void)
{
	__u32 low, high;

	asm volatile("lfence; rdtsc" : "=a" (low), "=d" (high));
	return (__u64)high << 32 | low;
}

static inline void host_cpuid(__u32 leaf, __u32 subleaf, __u32 out[4])
{
	__cpuid_count(leaf, subleaf, out[0], out[1], out[2], out[3]);
}

static inline int cpus_online(void)
{
	return sysconf(_SC_NPROCESSORS_ONLN);
}

static inline int pin_to_cpu(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set);
}

static inline int pin_runner(const struct runner *r, int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return pthread_setaffinity_np(r->thread, sizeof(set), &set);
}

GUEST_CODE(iret, 64,
	   "mov %rsp, %rax; mov %ss, %ecx; push %rcx; push %rax; pushf;"
	   "mov %cs, %ecx; lea 1f(%rip), %rax; push %rcx; push %rax; iretq; 1: hlt");

/*
 * For Bochs 2.7, where a guest's blocking by NMI stays behind in the CPU and
 * befalls the next guest there: an IRET on each CPU ends it. Tests in which NMIs
 * are delivered call this when they are taken down, and those that no such must befall
 * before they begin.
 */
static inline void guest_unblock_nmis(struct __test_metadata *_metadata)
{
	cpu_set_t before;
	struct guest g;
	int cpu;

	/* After one that failed an assertion here would begin the teardown anew, for ever. */
	_metadata->trigger = 0;
	sched_getaffinity(0, sizeof(before), &before);
	guest_open(_metadata, &g);
	for (cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &before) || pin_to_cpu(cpu))
			continue;
		GUEST_LONG(&g, iret);
		EXPECT_EQ(0, guest_run(&g));
		EXPECT_EQ(VEE_EXIT_HLT, g.page->exit.reason) TH_LOG("%s", guest_describe(&g));
	}
	guest_close(&g);
	sched_setaffinity(0, sizeof(before), &before);
}

/* As much of a file as fits into @text, which ends with a 0. */
static inline bool read_text(const char *path, char *text, size_t bytes)
{
	FILE *f = fopen(path, "re");

	if (!f)
		return false;
	text[fread(text, 1, bytes - 1, f)] = 0;
	fclose(f);
	return true;
}

/* In the first 16 KiB of it. */
static inline bool file_has(const char *path, const char *word)
{
	char text[16384];

	return read_text(path, text, sizeof(text)) && strstr(text, word);
}

/* Writes @text to a file of sysfs or procfs. */
static inline int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int ret = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		ret = -errno;
	close(fd);
	return ret;
}

/* --- guests under pressure ------------------------------------------------- */

/*
 * Runs @g until it stops for a reason of its own: signals, and memory that is
 * away for the moment, are no reason.
 */
static inline int guest_insist(struct guest *g)
{
	int ret;

	do {
		ret = guest_run(g);
	} while (ret == -EINTR ||
		 (!ret && (g->page->exit.reason == VEE_EXIT_MEMORY ||
			   g->page->exit.reason == VEE_EXIT_MMIO)));
	return ret;
}

static inline void *runner_insist_main(void *arg)
{
	struct runner *r = arg;

	r->ret = guest_insist(r->g);
	__atomic_store_n(&r->done, true, __ATOMIC_RELEASE);
	return NULL;
}

static inline int runner_insist(struct runner *r, struct guest *g)
{
	r->g = g;
	r->ret = 0;
	r->done = false;
	return pthread_create(&r->thread, NULL, runner_insist_main, r);
}

#endif /* SELFTESTS_VEE_UTIL_H */
