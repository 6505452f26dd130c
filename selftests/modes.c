// SPDX-License-Identifier: GPL-2.0-only
/*
 * Processor modes: real, protected with each kind of paging, long with its
 * compatibility mode, the ways between them, and the rules on the control
 * registers that guard these ways.
 */
#include <stddef.h>

#include "vee_util.h"

#define PORT_STAGE	0x10
#define PAE_PDPT	(GPA_PDPT + 0x800)	/* entries without W and U */
#define PAE_PDPT2	(GPA_PDPT + 0xc00)
#define SECOND_PD	0x10000ULL
#define MSR_EFER	0xc0000080U

FIXTURE(modes) {
	struct guest g;
};

FIXTURE_SETUP(modes)
{
	guest_open(_metadata, &self->g);
	self->g.page->prefetch = VEE_STATE_ALL;
}

FIXTURE_TEARDOWN(modes)
{
	guest_close(&self->g);
}

static __u32 guest_cpuid(struct guest *g, __u32 leaf, unsigned int reg)
{
	struct vee_cpuid_entry table[VEE_MAX_CPUID];
	__u32 i, count = VEE_MAX_CPUID;

	if (vcpu_get_cpuid(g->vcpu, table, &count))
		return 0;
	for (i = 0; i < count; i++) {
		const __u32 out[] = {
			table[i].eax, table[i].ebx, table[i].ecx, table[i].edx,
		};

		if (table[i].leaf == leaf && !table[i].subleaf)
			return out[reg];
	}
	return 0;
}

/* --- real mode ------------------------------------------------------------- */

GUEST_LABEL(real_after_int);
GUEST_CODE(real_code, 16,
	   "mov $0x2000, %ax; mov %ax, %ds; movw $0x1234, 0x10;"
	   "mov $0xe000, %sp; push $0x5678; int $0x21;"
	   "real_after_int: hlt");

TEST_F(modes, real)
{
	struct guest *g = &self->g;

	GUEST_REAL(g, real_code);
	ASSERT_VECTOR(g, 0x21);
	EXPECT_EQ(0x20000, g->page->segments.ds.base);
	EXPECT_EQ(0x2000, g->page->segments.ds.selector);
	EXPECT_EQ(0x1234, guest_read32(g, 0x20010) & 0xffff);
	EXPECT_EQ(0x5678, guest_read32(g, 0xdffe) & 0xffff);
	/* FLAGS, CS and IP of INT's frame. */
	EXPECT_EQ(0xdff8, g->page->regs.rsp & 0xffff);
	EXPECT_EQ(AT(real_code, real_after_int),
		  guest_read32(g, 0xdff8) & 0xffff);
	guest_resume_next(g);
	ASSERT_HLT(g, AT(real_code, real_after_int));
}

/* Exceptions in real mode push no error code. */
GUEST_CODE(real_limit, 16, "movl $0x10000, %ebx; movb $0, (%ebx); hlt");

TEST_F(modes, real_limit)
{
	struct guest *g = &self->g;

	GUEST_REAL(g, real_limit);
	ASSERT_VECTOR(g, VECTOR_GP);
	EXPECT_EQ(GPA_STACK - 6, g->page->regs.rsp);
}

/* With a limit of 4 GiB left in DS the same goes through ("unreal" mode). */
TEST_F(modes, real_big)
{
	struct guest *g = &self->g;

	GUEST_REAL(g, real_limit);
	g->page->segments.ds = segment(0, AR_DATA);
	guest_write32(g, 0x10000, -1U);
	ASSERT_RUN(g, VEE_EXIT_HLT);
	EXPECT_EQ(0xffffff00, guest_read32(g, 0x10000));
}

/* --- protected mode -------------------------------------------------------- */

GUEST_CODE(protected_code, 32,
	   "mov $0x10, %eax; mov %ax, %fs; movl $0x12345678, %fs:0x100000;"
	   "str %bx; sldt %cx; hlt");

TEST_F(modes, protected)
{
	struct guest *g = &self->g;

	GUEST_PROTECTED(g, protected_code);
	ASSERT_RUN(g, VEE_EXIT_HLT);
	EXPECT_EQ(0x12345678, guest_read32(g, 0x100000));
	EXPECT_EQ(SEL_DATA, g->page->segments.fs.selector);
	EXPECT_EQ(0xffffffff, g->page->segments.fs.limit);
	EXPECT_EQ(SEL_TSS, g->page->regs.rbx & 0xffff);
	EXPECT_EQ(0, g->page->regs.rcx & 0xffff);
	EXPECT_EQ(0, g->page->control.efer);
}

GUEST_CODE(bad_selector, 32, "mov $0x1000, %eax; mov %ax, %ds; hlt");

TEST_F(modes, protected_fault)
{
	struct guest *g = &self->g;

	GUEST_PROTECTED(g, bad_selector);
	ASSERT_VECTOR(g, VECTOR_GP);
	EXPECT_EQ(0x1000, guest_read32(g, g->page->regs.rsp));
	EXPECT_EQ(GPA_CODE + 5, guest_read32(g, g->page->regs.rsp + 4));
}

/* From CPL 3 to CPL 0 the stack is the TSS's. */
GUEST_CODE(int_80, 32, "int $0x80; hlt");

TEST_F(modes, protected_user)
{
	struct guest *g = &self->g;

	GUEST_PROTECTED(g, int_80);
	guest_set_user(g);
	ASSERT_VECTOR(g, 0x80);
	EXPECT_EQ(GPA_STACK0 - 20, g->page->regs.rsp);
	EXPECT_EQ(SEL_USER_CODE32 | 3, guest_read32(g, GPA_STACK0 - 16));
	EXPECT_EQ(GPA_STACK, guest_read32(g, GPA_STACK0 - 8));
	guest_resume_next(g);
	/* Back at CPL 3, HLT is #GP. */
	ASSERT_VECTOR(g, VECTOR_GP);
}

/* --- 32-bit paging --------------------------------------------------------- */

GUEST_CODE(load_ebx, 32, "mov (%ebx), %eax; hlt");

/* Identity in a 4 MiB page; the page at 4 MiB is the one at GPA_DATA. */
static void set_paging_32(struct guest *g)
{
	guest_write32(g, GPA_PD, PTE_ALL | PTE_PS);
	guest_write32(g, GPA_PD + 4, GPA_PT | PTE_ALL);
	guest_write32(g, GPA_PT, GPA_DATA | PTE_ALL);
	guest_set_control(g, X86_CR0_PG | X86_CR0_PE | X86_CR0_ET, GPA_PD,
			  X86_CR4_PSE, 0);
}

TEST_F(modes, paging_32)
{
	struct guest *g = &self->g;

	GUEST_PROTECTED(g, load_ebx);
	set_paging_32(g);
	guest_write32(g, GPA_DATA + 0x123, 0xcafe1234);
	g->page->regs.rbx = 0x400123;
	ASSERT_RUN(g, VEE_EXIT_HLT);
	EXPECT_EQ(0xcafe1234, g->page->regs.rax);
	EXPECT_EQ(PTE_A, guest_read32(g, GPA_PT) & (PTE_A | PTE_D));
}

TEST_F(modes, paging_32_fault)
{
	struct guest *g = &self->g;

	GUEST_PROTECTED(g, load_ebx);
	set_paging_32(g);
	g->page->regs.rbx = 0x401234;
	ASSERT_VECTOR(g, VECTOR_PF);
	EXPECT_EQ(0x401234, g->page->control.cr2);
	EXPECT_EQ(0, guest_read32(g, g->page->regs.rsp));
	/* The handler repairs it. */
	guest_write32(g, GPA_PT + 4, GPA_DATA | PTE_ALL);
	guest_write32(g, GPA_DATA + 0x234, 77);
	g->page->regs.rsp += 4;
	g->page->dirty = VEE_STATE_REGS;
	guest_resume_next(g);
	ASSERT_RUN(g, VEE_EXIT_HLT);
	EXPECT_EQ(77, g->page->regs.rax);
}

/* --- PAE paging ------------------------------------------------------------ */

/* Identity; PAE_PDPT2 has the first GiB at 1 GiB as well. */
static void set_paging_pae(struct guest *g)
{
	guest_write_page_tables(g);
	guest_write64(g, PAE_PDPT, GPA_PD | PTE_P);
	guest_write64(g, PAE_PDPT2, GPA_PD | PTE_P);
	guest_write64(g, PAE_PDPT2 + 8, GPA_PD | PTE_P);
	guest_set_control(g, X86_CR0_PG | X86_CR0_PE | X86_CR0_ET, PAE_PDPT,
			  X86_CR4_PAE, 0);
}

TEST_F(modes, paging_pae)
{
	struct guest *g = &self->g;

	GUEST_PROTECTED(g, load_ebx);
	set_paging_pae(g);
	guest_write32(g, GPA_DATA, 0x11112222);
	g->page->regs.rbx = PAGES_1G + GPA_DATA;
	ASSERT_VECTOR(g, VECTOR_PF);
	/* The caller sets CR3: the four entries are read anew. */
	GUEST_PROTECTED(g, load_ebx);
	set_paging_pae(g);
	g->page->control.cr3 = PAE_PDPT2;
	g->page->regs.rbx = PAGES_1G + GPA_DATA;
	ASSERT_RUN(g, VEE_EXIT_HLT);
	EXPECT_EQ(0x11112222, g->page->regs.rax);
}

GUEST_LABEL(pae_retry);
GUEST_CODE(pae_cr3, 32, "mov %ecx, %cr3; pae_retry: mov (%ebx), %eax; hlt");

/* The guest loads CR3 itself. */
TEST_F(modes, paging_pae_mov_cr3)
{
	struct guest *g = &self->g;

	GUEST_PROTECTED(g, pae_cr3);
	set_paging_pae(g);
	guest_write32(g, GPA_DATA, 0x33334444);
	g->page->regs.rbx = PAGES_1G + GPA_DATA;
	g->page->regs.rcx = PAE_PDPT2;
	ASSERT_RUN(g, VEE_EXIT_HLT);
	EXPECT_EQ(0x33334444, g->page->regs.rax);
	EXPECT_EQ(PAE_PDPT2, g->page->control.cr3);
}

/* The entries are the CPU's own between loads of CR3, across exits too. */
TEST_F(modes, paging_pae_entries_are_registers)
{
	struct guest *g = &self->g;

	GUEST_PROTECTED(g, pae_cr3);
	set_paging_pae(g);
	g->page->regs.rbx = PAGES_1G + GPA_DATA;
	g->page->regs.rcx = PAE_PDPT2;
	ASSERT_RUN(g, VEE_EXIT_HLT);
	guest_write64(g, PAE_PDPT2, 0);
	guest_write64(g, PAE_PDPT2 + 8, 0);
	guest_set_rip(g, AT(pae_cr3, pae_retry));
	ASSERT_RUN(g, VEE_EXIT_HLT);
}

/* Reserved bits in an entry that is present. */
TEST_F(modes, paging_pae_bad_entry)
{
	struct guest *g = &self->g;
	int ret;

	GUEST_PROTECTED(g, pae_cr3);
	set_paging_pae(g);
	guest_write64(g, PAE_PDPT2 + 16, GPA_PD | PTE_P | PTE_W);
	g->page->regs.rcx = PAE_PDPT2;
	ASSERT_VECTOR(g, VECTOR_GP);
	EXPECT_EQ(PAE_PDPT, g->page->control.cr3);
	/* Set by the caller: refused by vee, or else by the VM entry. */
	GUEST_PROTECTED(g, load_ebx);
	set_paging_pae(g);
	g->page->control.cr3 = PAE_PDPT2;
	ret = guest_run(g);
	if (!ret) {
		EXPECT_EQ(VEE_EXIT_ENTRY_FAILED, g->page->exit.reason);
		EXPECT_EQ(0x80000021, g->page->exit.hardware_reason);
	} else {
		EXPECT_EQ(-EINVAL, ret);
	}
}

#define PAE_CR0		(X86_CR0_PG | X86_CR0_PE | X86_CR0_ET)

/* No entry in memory could be loaded now. */
static void spoil_pdptes(struct guest *g, __u64 entry)
{
	unsigned int i;

	for (i = 0; i < 4; i++)
		guest_write64(g, PAE_PDPT + 8 * i, entry);
}

GUEST_CODE(pae_toggle, 32, "hlt; mov %ecx, %cr4; mov %edx, %cr0; mov (%ebx), %eax; hlt");

static void start_pae_toggle(struct __test_metadata *_metadata, struct guest *g,
			     __u64 cr0, __u64 cr4)
{
	GUEST_PROTECTED(g, pae_toggle);
	spoil_pdptes(g, 0);
	set_paging_pae(g);
	guest_write32(g, GPA_DATA, 0x55556666);
	g->page->regs.rbx = GPA_DATA;
	g->page->regs.rcx = X86_CR4_PAE | cr4;
	g->page->regs.rdx = PAE_CR0 | cr0;
	ASSERT_HLT(g, GPA_CODE);
	guest_resume_next(g);
}

/* MOV to CR0 and CR4 read the entries if certain bits change, only then. */
TEST_F(modes, paging_pae_entries_stay)
{
	struct guest *g = &self->g;

	start_pae_toggle(_metadata, g, X86_CR0_NE, X86_CR4_OSXSAVE);
	spoil_pdptes(g, 0x1ff);
	ASSERT_RUN(g, VEE_EXIT_HLT);
	EXPECT_EQ(0x55556666, g->page->regs.rax);
	EXPECT_EQ(PAE_CR0 | X86_CR0_NE, g->page->control.cr0);
	EXPECT_EQ(X86_CR4_PAE | X86_CR4_OSXSAVE, g->page->control.cr4);
}

TEST_F(modes, paging_pae_entries_read)
{
	static const struct {
		__u64 cr0, cr4;
	} cases[] = {
		{ X86_CR0_CD, 0 }, { X86_CR0_CD | X86_CR0_NW, 0 },
		{ 0, X86_CR4_PGE }, { 0, X86_CR4_PSE },
		{ X86_CR0_CD | X86_CR0_NE, 0 }, { 0, X86_CR4_PSE | X86_CR4_OSXSAVE },
	};
	struct guest *g = &self->g;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		start_pae_toggle(_metadata, g, cases[i].cr0, cases[i].cr4);
		spoil_pdptes(g, 0x1ff);
		ASSERT_VECTOR(g, VECTOR_GP);
		EXPECT_EQ(PAE_CR0, g->page->control.cr0);
		EXPECT_EQ(X86_CR4_PAE, g->page->control.cr4);
	}
}

static int translate(struct guest *g, __u64 gva, struct vee_translate *t);

GUEST_CODE(pae_load, 32, "hlt; mov (%ebx), %eax; hlt");

/* Nor does a look at the guest's tables need those in memory. */
TEST_F(modes, paging_pae_walks)
{
	struct guest *g = &self->g;
	struct vee_translate t;

	GUEST_PROTECTED(g, pae_load);
	set_paging_pae(g);
	g->page->regs.rbx = GPA_MMIO;
	g->page->prefetch |= VEE_PREFETCH_INSN;
	ASSERT_HLT(g, GPA_CODE);
	guest_resume_next(g);
	spoil_pdptes(g, 0);
	ASSERT_RUN(g, VEE_EXIT_MMIO);
	EXPECT_EQ(15, g->page->exit.memory.insn_bytes);
	EXPECT_EQ(0x8b, g->page->exit.memory.insn[0]);
	EXPECT_EQ(0, translate(g, GPA_DATA, &t));
	EXPECT_EQ(GPA_DATA, t.gpa);
	EXPECT_EQ(-ENOENT, translate(g, PAGES_1G, &t));
}

/* A caller that sets CR2, say, does not load them. */
TEST_F(modes, paging_pae_set_control)
{
	struct guest *g = &self->g;
	struct vee_translate t;

	start_pae_toggle(_metadata, g, 0, 0);
	spoil_pdptes(g, 0x1ff);
	g->page->control.cr2 = 0x1234;
	g->page->control.cr0 |= X86_CR0_WP;
	g->page->control.cr4 |= X86_CR4_TSD;
	g->page->dirty = VEE_STATE_CONTROL;
	guest_inject_error(g, VECTOR_PF, 2);
	g->page->resume = VEE_RESUME_HERE;
	ASSERT_VECTOR(g, VECTOR_PF);
	EXPECT_EQ(0x1234, g->page->control.cr2);
	/* What would have a MOV read them does. */
	g->page->control.cr4 |= X86_CR4_PGE;
	g->page->dirty = VEE_STATE_CONTROL;
	EXPECT_EQ(-EINVAL, guest_run(g));
	EXPECT_EQ(offsetof(struct vee_vcpu_page, control.cr3), g->page->refused);
	g->page->control.cr4 &= ~(__u64)X86_CR4_PGE;
	g->page->control.cr0 |= X86_CR0_CD;
	EXPECT_EQ(-EINVAL, guest_run(g));
	g->page->control.cr3 = PAE_PDPT2;
	ASSERT_VECTOR(g, VECTOR_PF);
	EXPECT_EQ(0, translate(g, PAGES_1G, &t));
	/* They are there to be read and written, too. */
	ASSERT_EQ(0, vmcs_write(g->vcpu, 0x280c, 0));
	EXPECT_EQ(-ENOENT, translate(g, PAGES_1G, &t));
	EXPECT_EQ(0, translate(g, GPA_DATA, &t));
}

/* --- 4-level paging -------------------------------------------------------- */

GUEST_CODE(load_rbx, 64, "mov (%rbx), %rax; hlt");
GUEST_CODE(store_rbx, 64, "mov %rax, (%rbx); hlt");
GUEST_CODE(jump_rbx, 64, "jmp *%rbx");

/* Page 0x40 of the first 2 MiB is mapped as the test wants. */
#define PAGE_NUMBER	0x40ULL
#define PAGE_GVA	(PAGE_NUMBER * PAGE_BYTES)

struct permission {
	const char *what;
	const unsigned char *code, *end;
	__u64 pte;
	bool user;
	int error;	/* code that #PF pushes; -1: there is none */
};

#define PERMISSION(code, pte, user, error) \
	{ #code ", " #pte, code, code##_end, pte, user, error }

static const struct permission permissions[] = {
	PERMISSION(load_rbx, PTE_ALL, false, -1),
	PERMISSION(load_rbx, PTE_P, false, -1),
	PERMISSION(load_rbx, 0, false, 0),
	PERMISSION(store_rbx, PTE_ALL, false, -1),
	PERMISSION(store_rbx, PTE_P | PTE_U, false, 3),
	PERMISSION(store_rbx, 0, false, 2),
	PERMISSION(jump_rbx, PTE_ALL, false, -1),
	PERMISSION(jump_rbx, PTE_ALL | PTE_NX, false, 0x11),
	PERMISSION(load_rbx, PTE_P | PTE_W, true, 5),
	PERMISSION(store_rbx, PTE_P | PTE_U, true, 7),
};

TEST_F(modes, paging_permissions)
{
	struct guest *g = &self->g;
	const struct permission *p;
	__u64 *pt;

	for (p = permissions; p < permissions + ARRAY_SIZE(permissions); p++) {
		guest_start(g, guest_set_long, p->code, p->end);
		pt = guest_split_page(g);
		pt[PAGE_NUMBER] = PAGE_GVA | p->pte;
		g->mem[PAGE_GVA] = 0xf4;	/* HLT */
		g->page->regs.rbx = PAGE_GVA;
		if (p->user)
			guest_set_user(g);
		if (p->error < 0) {
			ASSERT_RUN(g, VEE_EXIT_HLT);
			continue;
		}
		ASSERT_VECTOR(g, VECTOR_PF);
		EXPECT_EQ(p->error, guest_read64(g, g->page->regs.rsp))
			TH_LOG("%s", p->what);
		EXPECT_EQ(PAGE_GVA, g->page->control.cr2);
	}
}

/* A bit of a 2 MiB page's entry that must be 0. */
TEST_F(modes, paging_reserved_bit)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, load_rbx);
	guest_write64(g, GPA_PD + 8, PTE_ALL | PTE_PS | 0x2000);
	g->page->regs.rbx = PAGES_2M;
	ASSERT_VECTOR(g, VECTOR_PF);
	EXPECT_EQ(9, guest_read64(g, g->page->regs.rsp));
}

/* CR0.WP decides whether CPL 0 may write to what is read-only. */
TEST_F(modes, paging_without_wp)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, store_rbx);
	guest_split_page(g)[PAGE_NUMBER] = PAGE_GVA | PTE_P;
	g->page->control.cr0 &= ~X86_CR0_WP;
	g->page->regs.rbx = PAGE_GVA;
	g->page->regs.rax = 5;
	ASSERT_RUN(g, VEE_EXIT_HLT);
	EXPECT_EQ(5, guest_read64(g, PAGE_GVA));
}

TEST_F(modes, paging_accessed_dirty)
{
	struct guest *g = &self->g;
	__u64 *pt;

	GUEST_LONG(g, load_rbx);
	pt = guest_split_page(g);
	g->page->regs.rbx = PAGE_GVA;
	ASSERT_RUN(g, VEE_EXIT_HLT);
	EXPECT_EQ(PAGE_GVA | PTE_ALL | PTE_A, pt[PAGE_NUMBER]);
	GUEST_LONG(g, store_rbx);
	guest_split_page(g);
	g->page->regs.rbx = PAGE_GVA;
	ASSERT_RUN(g, VEE_EXIT_HLT);
	EXPECT_EQ(PAGE_GVA | PTE_ALL | PTE_A | PTE_D, pt[PAGE_NUMBER]);
}

TEST_F(modes, paging_1g)
{
	struct guest *g = &self->g;

	if (!(guest_cpuid(g, 0x80000001, 3) & 1U << 26))
		VEE_SKIP("the guest's CPU has no 1 GiB pages");
	GUEST_LONG(g, load_rbx);
	guest_write64(g, GPA_PDPT + 8, PTE_ALL | PTE_PS);
	guest_write64(g, GPA_DATA, 0x5a5a);
	g->page->regs.rbx = PAGES_1G + GPA_DATA;
	ASSERT_RUN(g, VEE_EXIT_HLT);
	EXPECT_EQ(0x5a5a, g->page->regs.rax);
}

/* A higher half: linear addresses with all their bits. */
TEST_F(modes, paging_high)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, load_rbx);
	guest_write64(g, GPA_PML4 + 8 * 511, GPA_PDPT | PTE_ALL);
	guest_write64(g, GPA_PDPT + 8 * 511, GPA_PD | PTE_ALL);
	guest_write64(g, GPA_DATA, 0xa5a5);
	g->page->regs.rbx = 0xffffffffc0000000 + GPA_DATA;
	ASSERT_RUN(g, VEE_EXIT_HLT);
	EXPECT_EQ(0xa5a5, g->page->regs.rax);
	g->page->regs.rbx = 0x8000000000000000;
	guest_set_rip(g, GPA_CODE);
	ASSERT_VECTOR(g, VECTOR_GP);
}

GUEST_CODE(switch_cr3, 64,
	   "mov (%rbx), %rax; mov %rcx, %cr3; mov (%rbx), %rdx;"
	   "mov %cr3, %rsi; hlt");

/* The guest changes its tables: what it had cached of the old ones goes. */
TEST_F(modes, paging_mov_cr3)
{
	struct guest *g = &self->g;
	const __u64 pml4 = 0x11000, pdpt = 0x12000;

	GUEST_LONG(g, switch_cr3);
	memcpy(g->mem + SECOND_PD, g->mem + GPA_PD, PAGE_BYTES);
	guest_write64(g, pml4, pdpt | PTE_ALL);
	guest_write64(g, pdpt, SECOND_PD | PTE_ALL);
	/* The same linear address: page 1 of 2 MiB. */
	guest_write64(g, GPA_PD + 8, GPA_PT | PTE_ALL);
	guest_write64(g, GPA_PT, GPA_DATA | PTE_ALL);
	guest_write64(g, SECOND_PD + 8, 0x13000 | PTE_ALL);
	guest_write64(g, 0x13000, (GPA_DATA + PAGE_BYTES) | PTE_ALL);
	guest_write64(g, GPA_DATA, 1);
	guest_write64(g, GPA_DATA + PAGE_BYTES, 2);
	g->page->regs.rbx = PAGES_2M;
	g->page->regs.rcx = pml4;
	ASSERT_RUN(g, VEE_EXIT_HLT);
	EXPECT_EQ(1, g->page->regs.rax);
	EXPECT_EQ(2, g->page->regs.rdx);
	EXPECT_EQ(pml4, g->page->regs.rsi);
	EXPECT_EQ(pml4, g->page->control.cr3);
}

GUEST_CODE(invlpg_code, 64,
	   "mov (%rbx), %rax; mov %rcx, 0x7200; invlpg (%rbx);"
	   "mov (%rbx), %rdx; hlt");

TEST_F(modes, paging_invlpg)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, invlpg_code);
	guest_split_page(g);
	guest_write64(g, PAGE_GVA, 11);
	guest_write64(g, GPA_DATA, 22);
	g->page->regs.rbx = PAGE_GVA;
	g->page->regs.rcx = GPA_DATA | PTE_ALL;
	ASSERT_RUN(g, VEE_EXIT_HLT);
	EXPECT_EQ(11, g->page->regs.rax);
	EXPECT_EQ(22, g->page->regs.rdx);
}

/* --- compatibility mode ---------------------------------------------------- */

GUEST_LABEL(compat_32);
GUEST_LABEL(compat_back);
GUEST_CODE(compat_code, 64,
	   "pushq $0x08; pushq $(0x8000 + compat_32 - compat_code); lretq;"
	   ".code32; compat_32: mov $0x12345678, %eax; inc %eax; vmcall;"
	   "ljmp $0x18, $(0x8000 + compat_back - compat_code);"
	   ".code64; compat_back: mov %rsp, %rbx; hlt");

TEST_F(modes, compatibility)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, compat_code);
	ASSERT_RUN(g, VEE_EXIT_HYPERCALL);
	EXPECT_EQ(0, g->page->exit.hypercall.long_mode);
	EXPECT_EQ(0x12345679, g->page->regs.rax);
	EXPECT_EQ(SEL_CODE32, g->page->segments.cs.selector);
	EXPECT_EQ(EFER_LMA, g->page->control.efer & EFER_LMA);
	guest_resume_next(g);
	ASSERT_RUN(g, VEE_EXIT_HLT);
	EXPECT_EQ(VEE_AR_L, g->page->segments.cs.access_rights & VEE_AR_L);
	EXPECT_EQ(GPA_STACK, g->page->regs.rbx);
}

/* An exception in compatibility mode is taken in 64-bit mode. */
GUEST_CODE(compat_undefined, 32, "ud2");

TEST_F(modes, compatibility_exception)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, compat_undefined);
	g->page->segments.cs = segment(SEL_USER_CODE32 | 3, AR_USER_CODE32);
	g->page->segments.ss = segment(SEL_USER_DATA | 3, AR_USER_DATA);
	ASSERT_VECTOR(g, VECTOR_UD);
	EXPECT_EQ(1, g->page->exit.hypercall.long_mode);
	EXPECT_EQ(GPA_STACK0 - 40, g->page->regs.rsp);
	EXPECT_EQ(SEL_USER_CODE32 | 3, guest_read64(g, GPA_STACK0 - 32));
}

/* --- all of it, by the guest itself ---------------------------------------- */

GUEST_LABEL(up_gdtr);
GUEST_CODE(up_and_down, 16,
	   "out %al, $0x10;"
	   "lgdtl 0x8000 + up_gdtr - up_and_down;"
	   "mov %cr0, %eax; or $1, %eax; mov %eax, %cr0;"
	   "ljmpl $0x08, $(0x8000 + up_protected - up_and_down);"
	   ".code32; up_protected:;"
	   "mov $0x10, %ecx; mov %cx, %ds; mov %cx, %es; mov %cx, %ss;"
	   "out %al, $0x11;"
	   "mov %cr4, %eax; or $0x20, %eax; mov %eax, %cr4;"
	   "mov $0x5800, %eax; mov %eax, %cr3;"
	   "mov %cr0, %eax; or $0x80000000, %eax; mov %eax, %cr0;"
	   "out %al, $0x12;"
	   "mov %cr0, %eax; and $0x7fffffff, %eax; mov %eax, %cr0;"
	   "mov $0x4000, %eax; mov %eax, %cr3;"
	   "mov $0xc0000080, %ecx; rdmsr; or $0x100, %eax; wrmsr;"
	   "mov %cr0, %eax; or $0x80000000, %eax; mov %eax, %cr0;"
	   "out %al, $0x13;"
	   "ljmp $0x18, $(0x8000 + up_long - up_and_down);"
	   ".code64; up_long:;"
	   "mov $0x123456789abcdef, %rbx;"
	   "out %al, $0x14;"
	   "pushq $0x08; pushq $(0x8000 + down_compat - up_and_down); lretq;"
	   ".code32; down_compat:;"
	   "out %al, $0x15;"
	   "mov %cr0, %eax; and $0x7fffffff, %eax; mov %eax, %cr0;"
	   "mov $0xc0000080, %ecx; rdmsr; and $0xfffffeff, %eax; wrmsr;"
	   "mov %cr4, %eax; and $0xffffffdf, %eax; mov %eax, %cr4;"
	   "out %al, $0x16;"
	   "ljmp $0x48, $(0x8000 + down_16 - up_and_down);"
	   ".code16; down_16:;"
	   "mov $0x50, %cx; mov %cx, %ds; mov %cx, %es; mov %cx, %ss;"
	   "mov %cr0, %eax; and $0xfffffffe, %eax; mov %eax, %cr0;"
	   "ljmp $0, $(0x8000 + down_real - up_and_down);"
	   "down_real: xor %cx, %cx; mov %cx, %ds; mov %cx, %es; mov %cx, %ss;"
	   "out %al, $0x17; hlt;"
	   "up_gdtr: .word 0x57; .long 0x800");

struct stage {
	const char *what;
	__u64 cr0, cr4, efer;
	__u32 code_rights;
};

#define AR_L_DB		(VEE_AR_L | VEE_AR_DB)

/* What each stage looks like, of the bits that make the mode. */
static const struct stage stages[] = {
	{ "real", 0, 0, 0, 0 },
	{ "protected", X86_CR0_PE, 0, 0, VEE_AR_DB },
	{ "PAE", X86_CR0_PE | X86_CR0_PG, X86_CR4_PAE, 0, VEE_AR_DB },
	{ "compatibility", X86_CR0_PE | X86_CR0_PG, X86_CR4_PAE,
	  EFER_LME | EFER_LMA, VEE_AR_DB },
	{ "64 bit", X86_CR0_PE | X86_CR0_PG, X86_CR4_PAE, EFER_LME | EFER_LMA,
	  VEE_AR_L },
	{ "compatibility", X86_CR0_PE | X86_CR0_PG, X86_CR4_PAE,
	  EFER_LME | EFER_LMA, VEE_AR_DB },
	{ "protected", X86_CR0_PE, 0, 0, VEE_AR_DB },
	{ "real", 0, 0, 0, 0 },
};

TEST_F(modes, up_and_down)
{
	struct guest *g = &self->g;
	struct vee_control *control = &g->page->control;
	unsigned int i;

	GUEST_REAL(g, up_and_down);
	guest_write_page_tables(g);
	guest_write64(g, PAE_PDPT, GPA_PD | PTE_P);
	for (i = 0; i < ARRAY_SIZE(stages); i++) {
		const struct stage *s = &stages[i];

		ASSERT_RUN(g, VEE_EXIT_PIO);
		ASSERT_EQ(PORT_STAGE + i, g->page->exit.pio.port);
		EXPECT_EQ(s->cr0, control->cr0 & (X86_CR0_PE | X86_CR0_PG))
			TH_LOG("%s", s->what);
		EXPECT_EQ(s->cr4, control->cr4 & X86_CR4_PAE)
			TH_LOG("%s", s->what);
		EXPECT_EQ(s->efer, control->efer) TH_LOG("%s", s->what);
		EXPECT_EQ(s->code_rights,
			  g->page->segments.cs.access_rights & AR_L_DB)
			TH_LOG("%s", s->what);
		guest_resume_next(g);
	}
	/* What is above 32 bits need not outlive 64-bit mode. */
	EXPECT_EQ(0x89abcdef, (__u32)g->page->regs.rbx);
	ASSERT_RUN(g, VEE_EXIT_HLT);
}

/* --- MOV to control registers ---------------------------------------------- */

GUEST_CODE(set_cr0, 64, "mov %rax, %cr0; mov %cr0, %rbx; hlt");
GUEST_CODE(set_cr3, 64, "mov %rax, %cr3; mov %cr3, %rbx; hlt");
GUEST_CODE(set_cr4, 64, "mov %rax, %cr4; mov %cr4, %rbx; hlt");
GUEST_CODE(set_cr8, 64, "mov %rax, %cr8; mov %cr8, %rbx; hlt");

struct cr_case {
	const char *what;
	const unsigned char *code, *end;
	__u64 value;
	bool fault;
};

#define CR_CASE(code, value, fault) \
	{ #code " " #value, code, code##_end, value, fault }
#define CR0_LONG	(X86_CR0_PG | X86_CR0_PE | X86_CR0_ET)
#define CR4_LONG	X86_CR4_PAE

static const struct cr_case cr_cases[] = {
	CR_CASE(set_cr0, CR0_LONG, false),
	CR_CASE(set_cr0, CR0_LONG | X86_CR0_NE, false),
	CR_CASE(set_cr0, CR0_LONG | X86_CR0_CD, false),
	CR_CASE(set_cr0, CR0_LONG | X86_CR0_CD | X86_CR0_NW, false),
	CR_CASE(set_cr0, CR0_LONG | X86_CR0_WP | X86_CR0_AM, false),
	CR_CASE(set_cr0, CR0_LONG | X86_CR0_TS | X86_CR0_MP, false),
	CR_CASE(set_cr0, CR0_LONG | X86_CR0_NW, true),
	CR_CASE(set_cr0, X86_CR0_PE | X86_CR0_ET, true),
	CR_CASE(set_cr0, X86_CR0_PG | X86_CR0_ET, true),
	CR_CASE(set_cr0, 0, true),
	CR_CASE(set_cr0, CR0_LONG | BIT_ULL(32), true),
	CR_CASE(set_cr0, CR0_LONG | BIT_ULL(63), true),
	CR_CASE(set_cr3, GPA_PML4, false),
	CR_CASE(set_cr3, GPA_PML4 | 0x18, false),	/* PCD, PWT */
	CR_CASE(set_cr3, GPA_PML4 | BIT_ULL(55), true),
	CR_CASE(set_cr3, GPA_PML4 | BIT_ULL(63), true),
	CR_CASE(set_cr4, CR4_LONG, false),
	CR_CASE(set_cr4, CR4_LONG | X86_CR4_DE | X86_CR4_PGE, false),
	CR_CASE(set_cr4, CR4_LONG | X86_CR4_TSD | X86_CR4_PCE, false),
	CR_CASE(set_cr4, CR4_LONG | X86_CR4_OSFXSR, false),
	CR_CASE(set_cr4, 0, true),
	CR_CASE(set_cr4, X86_CR4_PSE, true),
	CR_CASE(set_cr4, CR4_LONG | X86_CR4_VMXE, true),
	CR_CASE(set_cr4, CR4_LONG | X86_CR4_SMXE, true),
	CR_CASE(set_cr4, CR4_LONG | BIT_ULL(15), true),
	CR_CASE(set_cr4, CR4_LONG | BIT_ULL(31), true),
	CR_CASE(set_cr4, CR4_LONG | BIT_ULL(63), true),
	CR_CASE(set_cr8, 0, false),
	CR_CASE(set_cr8, 15, false),
	CR_CASE(set_cr8, 16, true),
	CR_CASE(set_cr8, BIT_ULL(63), true),
};

TEST_F(modes, control_registers)
{
	struct guest *g = &self->g;
	const struct cr_case *c;

	for (c = cr_cases; c < cr_cases + ARRAY_SIZE(cr_cases); c++) {
		guest_start(g, guest_set_long, c->code, c->end);
		g->page->control.cr0 = CR0_LONG;
		g->page->control.cr4 = CR4_LONG;
		g->page->regs.rax = c->value;
		ASSERT_EQ(0, guest_run(g)) TH_LOG("%s", c->what);
		if (!c->fault) {
			/* The guest reads back what it wrote. */
			EXPECT_EQ(VEE_EXIT_HLT, g->page->exit.reason)
				TH_LOG("%s: %s", c->what, guest_describe(g));
			EXPECT_EQ(c->value, g->page->regs.rbx)
				TH_LOG("%s", c->what);
			continue;
		}
		EXPECT_EQ(STUB(VECTOR_GP), g->page->regs.rip)
			TH_LOG("%s: %s", c->what, guest_describe(g));
		EXPECT_EQ(CR0_LONG, g->page->control.cr0);
		EXPECT_EQ(GPA_PML4, g->page->control.cr3);
		EXPECT_EQ(CR4_LONG, g->page->control.cr4);
		EXPECT_EQ(0, g->page->control.cr8);
	}
}

/* MCE is the guest's to see and set only if its CPUID has it. */
TEST_F(modes, cr4_machine_check)
{
	struct guest *g = &self->g;
	bool offered = guest_cpuid(g, 1, 3) & 1U << 7;

	GUEST_LONG(g, set_cr4);
	g->page->control.cr4 = CR4_LONG;
	g->page->regs.rax = CR4_LONG | X86_CR4_MCE;
	if (offered) {
		ASSERT_RUN(g, VEE_EXIT_HLT);
		EXPECT_EQ(g->page->regs.rax, g->page->regs.rbx);
		EXPECT_EQ(g->page->regs.rax, g->page->control.cr4);
	} else {
		ASSERT_VECTOR(g, VECTOR_GP);
		EXPECT_EQ(CR4_LONG, g->page->control.cr4);
	}
}

/* What the guest wrote is what the caller sees. */
TEST_F(modes, control_registers_shown)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, set_cr0);
	g->page->regs.rax = CR0_LONG | X86_CR0_CD | X86_CR0_AM;
	ASSERT_RUN(g, VEE_EXIT_HLT);
	EXPECT_EQ(g->page->regs.rax, g->page->control.cr0);
	GUEST_LONG(g, set_cr4);
	g->page->regs.rax = CR4_LONG | X86_CR4_DE | X86_CR4_PCE;
	ASSERT_RUN(g, VEE_EXIT_HLT);
	EXPECT_EQ(g->page->regs.rax, g->page->control.cr4);
	GUEST_LONG(g, set_cr8);
	g->page->regs.rax = 11;
	ASSERT_RUN(g, VEE_EXIT_HLT);
	EXPECT_EQ(11, g->page->control.cr8);
}

/* There is no CR1, CR5 or CR7. */
GUEST_CODE(move_cr1, 64, ".byte 0x0f, 0x22, 0xc8; hlt");
GUEST_CODE(move_cr7, 64, ".byte 0x0f, 0x20, 0xf8; hlt");

TEST_F(modes, no_such_control_register)
{
	GUEST_LONG(&self->g, move_cr1);
	ASSERT_VECTOR(&self->g, VECTOR_UD);
	GUEST_LONG(&self->g, move_cr7);
	ASSERT_VECTOR(&self->g, VECTOR_UD);
}

TEST_F(modes, control_registers_user)
{
	GUEST_LONG(&self->g, set_cr0);
	self->g.page->regs.rax = CR0_LONG;
	guest_set_user(&self->g);
	ASSERT_VECTOR(&self->g, VECTOR_GP);
}

/* SMSW, LMSW and CLTS: the old ways to CR0. LMSW cannot clear PE. */
GUEST_CODE(machine_status, 64,
	   "clts; smsw %ecx; mov $0x0e, %ax; lmsw %ax; smsw %edx;"
	   "mov $0, %ax; lmsw %ax; smsw %esi; hlt");

TEST_F(modes, machine_status_word)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, machine_status);
	g->page->control.cr0 |= X86_CR0_TS;
	ASSERT_RUN(g, VEE_EXIT_HLT);
	EXPECT_EQ(X86_CR0_PE, g->page->regs.rcx & 0xf);
	EXPECT_EQ(0xf, g->page->regs.rdx & 0xf);
	EXPECT_EQ(X86_CR0_PE, g->page->regs.rsi & 0xf);
	EXPECT_EQ(X86_CR0_PE, g->page->control.cr0 & 0xf);
}

GUEST_CODE(real_lmsw, 16, "mov $1, %ax; lmsw %ax; smsw %bx; hlt");

TEST_F(modes, machine_status_word_real)
{
	struct guest *g = &self->g;

	GUEST_REAL(g, real_lmsw);
	ASSERT_RUN(g, VEE_EXIT_HLT);
	EXPECT_EQ(X86_CR0_PE, g->page->control.cr0 & X86_CR0_PE);
	EXPECT_EQ(X86_CR0_PE, g->page->regs.rbx & X86_CR0_PE);
}

/* CR0.TS makes the first FPU instruction #NM, as lazy switching wants it. */
GUEST_CODE(use_fpu, 64, "fninit; hlt");

TEST_F(modes, task_switched)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, use_fpu);
	g->page->control.cr0 |= X86_CR0_TS;
	ASSERT_VECTOR(g, VECTOR_NM);
	GUEST_LONG(g, use_fpu);
	ASSERT_RUN(g, VEE_EXIT_HLT);
}

/* Paging with EFER.LME set, but without PAE. */
GUEST_CODE(set_cr0_32, 32, "mov %eax, %cr0; hlt");

TEST_F(modes, long_mode_without_pae)
{
	struct guest *g = &self->g;

	GUEST_PROTECTED(g, set_cr0_32);
	guest_write_page_tables(g);
	g->page->control.efer = EFER_LME;
	g->page->control.cr3 = GPA_PML4;
	g->page->regs.rax = X86_CR0_PG | X86_CR0_PE | X86_CR0_ET;
	ASSERT_VECTOR(g, VECTOR_GP);
	EXPECT_EQ(EFER_LME, g->page->control.efer);
}

/* IA-32e mode has no 16-bit TSS: it can't be activated with one in TR. */
TEST_F(modes, long_mode_with_16bit_tss)
{
	struct guest *g = &self->g;
	__u64 cr0 = X86_CR0_PG | X86_CR0_PE | X86_CR0_ET;

	GUEST_PROTECTED(g, set_cr0_32);
	guest_write_page_tables(g);
	g->page->segments.tr.access_rights = 0x83;
	g->page->control.cr3 = GPA_PML4;
	g->page->control.cr4 = X86_CR4_PAE;
	g->page->control.efer = EFER_LME;
	g->page->regs.rax = cr0;
	ASSERT_VECTOR(g, VECTOR_GP);
	EXPECT_EQ(X86_CR0_PE | X86_CR0_ET, g->page->control.cr0);
	EXPECT_EQ(EFER_LME, g->page->control.efer);
}

/* Outside IA-32e mode L means nothing, and EIP wraps, where vee does the last insn, too. */
GUEST_CODE(cpuid_32, 32, "cpuid");

TEST_F(modes, wrap_with_l)
{
	struct guest *g = &self->g;
	unsigned char *top = anon_memory(PAGE_BYTES);

	ASSERT_NE(MAP_FAILED, top);
	ASSERT_EQ(0, vm_map(g->vm, 0xfffff000, top, PAGE_BYTES, VEE_RWX));
	memcpy(top + PAGE_BYTES - 2, cpuid_32, 2);
	GUEST_PROTECTED(g, cpuid_32);
	g->mem[0] = 0xf4;	/* HLT */
	g->page->segments.cs.access_rights |= VEE_AR_L;
	guest_set_rip(g, 0xfffffffe);
	ASSERT_HLT(g, 0);
	munmap(top, PAGE_BYTES);
}

GUEST_CODE(set_cr4_32, 32, "mov %eax, %cr4; hlt");

TEST_F(modes, pcid_outside_long_mode)
{
	struct guest *g = &self->g;

	GUEST_PROTECTED(g, set_cr4_32);
	g->page->regs.rax = X86_CR4_PCIDE;
	ASSERT_VECTOR(g, VECTOR_GP);
}

/* CR4.PCIDE where the guest's CPU has it: not with a PCID in CR3 already. */
TEST_F(modes, pcid)
{
	struct guest *g = &self->g;

	if (!(guest_cpuid(g, 1, 2) & 1U << 17))
		VEE_SKIP("the guest's CPU has no PCIDs");
	GUEST_LONG(g, set_cr4);
	g->page->regs.rax = CR4_LONG | X86_CR4_PCIDE;
	ASSERT_RUN(g, VEE_EXIT_HLT);
	EXPECT_EQ(X86_CR4_PCIDE, g->page->control.cr4 & X86_CR4_PCIDE);
	GUEST_LONG(g, set_cr4);
	g->page->control.cr3 |= 8;
	g->page->regs.rax = CR4_LONG | X86_CR4_PCIDE;
	ASSERT_VECTOR(g, VECTOR_GP);
	/* With it, bit 63 of a new CR3 is an order, not a reserved bit. */
	GUEST_LONG(g, set_cr3);
	g->page->control.cr4 |= X86_CR4_PCIDE;
	g->page->regs.rax = GPA_PML4 | 5 | BIT_ULL(63);
	ASSERT_RUN(g, VEE_EXIT_HLT);
	EXPECT_EQ(GPA_PML4 | 5, g->page->regs.rbx);
	EXPECT_EQ(GPA_PML4 | 5, g->page->control.cr3);
}

/* --- features that hang on CR4 --------------------------------------------- */

GUEST_CODE(jump_to_user_page, 64, "jmp *%rbx");
GUEST_CODE(load_user_page, 64, "mov (%rbx), %al; hlt");
GUEST_CODE(load_user_page_ac, 64, "stac; mov (%rbx), %al; clac; hlt");

static bool has_leaf_7(struct guest *g, unsigned int reg, unsigned int bit)
{
	return guest_cpuid(g, 7, reg) & 1U << bit;
}

/* Leaves what CPL 0 itself needs out of the user's pages. */
static void close_kernel_pages(struct guest *g)
{
	static const __u64 kernel[] = {
		0, GPA_IDT, GPA_STUBS, GPA_CODE, GPA_STACK - PAGE_BYTES,
	};
	__u64 *pt = guest_split_page(g);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(kernel); i++)
		pt[kernel[i] / PAGE_BYTES] &= ~PTE_U;
}

TEST_F(modes, smep)
{
	struct guest *g = &self->g;
	unsigned int i;

	if (!has_leaf_7(g, 1, 7))
		VEE_SKIP("the guest's CPU has no SMEP");
	for (i = 0; i < 2; i++) {
		GUEST_LONG(g, jump_to_user_page);
		close_kernel_pages(g);
		g->mem[PAGE_GVA] = 0xf4;	/* HLT */
		g->page->regs.rbx = PAGE_GVA;
		if (!i) {
			ASSERT_HLT(g, PAGE_GVA);
			continue;
		}
		g->page->control.cr4 |= X86_CR4_SMEP;
		ASSERT_VECTOR(g, VECTOR_PF);
		EXPECT_EQ(0x11, guest_read64(g, g->page->regs.rsp));
	}
}

TEST_F(modes, smap)
{
	struct guest *g = &self->g;

	if (!has_leaf_7(g, 1, 20))
		VEE_SKIP("the guest's CPU has no SMAP");
	GUEST_LONG(g, load_user_page);
	close_kernel_pages(g);
	g->page->regs.rbx = PAGE_GVA;
	g->page->control.cr4 |= X86_CR4_SMAP;
	ASSERT_VECTOR(g, VECTOR_PF);
	EXPECT_EQ(1, guest_read64(g, g->page->regs.rsp));
	GUEST_LONG(g, load_user_page_ac);
	close_kernel_pages(g);
	g->page->regs.rbx = PAGE_GVA;
	g->page->control.cr4 |= X86_CR4_SMAP;
	ASSERT_RUN(g, VEE_EXIT_HLT);
}

GUEST_CODE(store_gdtr, 64, "sgdt 0x20000; hlt");

TEST_F(modes, umip)
{
	struct guest *g = &self->g;

	if (!has_leaf_7(g, 2, 2))
		VEE_SKIP("the guest's CPU has no UMIP");
	GUEST_LONG(g, store_gdtr);
	g->page->control.cr4 |= X86_CR4_UMIP;
	guest_set_user(g);
	ASSERT_VECTOR(g, VECTOR_GP);
	EXPECT_EQ(GPA_CODE, guest_read64(g, g->page->regs.rsp + 8));
}

GUEST_CODE(swap_fs_base, 64, "rdfsbase %rax; wrfsbase %rbx; hlt");

TEST_F(modes, fsgsbase)
{
	struct guest *g = &self->g;

	if (!has_leaf_7(g, 1, 0))
		VEE_SKIP("the guest's CPU has no FSGSBASE");
	GUEST_LONG(g, swap_fs_base);
	ASSERT_VECTOR(g, VECTOR_UD);
	GUEST_LONG(g, swap_fs_base);
	g->page->segments.fs.base = 0x1234;
	g->page->control.cr4 |= X86_CR4_FSGSBASE;
	g->page->regs.rbx = 0xffff812300000000;
	ASSERT_RUN(g, VEE_EXIT_HLT);
	EXPECT_EQ(0x1234, g->page->regs.rax);
	EXPECT_EQ(0xffff812300000000, g->page->segments.fs.base);
}

/* --- EFER ------------------------------------------------------------------ */

GUEST_CODE(set_efer, 64,
	   "mov $0xc0000080, %ecx; wrmsr; rdmsr; hlt");
GUEST_CODE(do_syscall, 64, "syscall; hlt");

TEST_F(modes, efer)
{
	struct guest *g = &self->g;
	const __u64 base = EFER_LME | EFER_LMA;
	const struct {
		__u64 value;
		bool fault;
	} cases[] = {
		{ base, false },
		{ base | EFER_SCE | EFER_NXE, false },
		{ base | BIT_ULL(1), true },
		{ base | BIT_ULL(9), true },
		{ base | BIT_ULL(12), true },	/* SVME */
		{ base | BIT_ULL(14), true },	/* FFXSR */
		{ base | BIT_ULL(32), true },
		{ base | BIT_ULL(63), true },
		{ 0, true },			/* LME, with paging on */
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		GUEST_LONG(g, set_efer);
		g->page->control.efer = base;
		g->page->regs.rax = (__u32)cases[i].value;
		g->page->regs.rdx = cases[i].value >> 32;
		if (cases[i].fault) {
			ASSERT_VECTOR(g, VECTOR_GP);
			EXPECT_EQ(base, g->page->control.efer);
			continue;
		}
		ASSERT_RUN(g, VEE_EXIT_HLT);
		EXPECT_EQ(cases[i].value, g->page->control.efer);
		EXPECT_EQ(cases[i].value, g->page->regs.rax);
	}
}

TEST_F(modes, efer_syscall_enable)
{
	struct guest *g = &self->g;

	GUEST_LONG(g, do_syscall);
	g->page->control.efer &= ~EFER_SCE;
	guest_set_user(g);
	ASSERT_VECTOR(g, VECTOR_UD);
}

/* --- XCR0 ------------------------------------------------------------------ */

GUEST_CODE(set_xcr0, 64, "xsetbv; xor %ecx, %ecx; xgetbv; hlt");

static void start_xsetbv(struct guest *g, __u32 index, __u64 value)
{
	GUEST_LONG(g, set_xcr0);
	g->page->control.cr4 |= X86_CR4_OSXSAVE;
	g->page->regs.rcx = index;
	g->page->regs.rax = (__u32)value;
	g->page->regs.rdx = value >> 32;
}

TEST_F(modes, xsetbv)
{
	struct guest *g = &self->g;
	__u64 all = vee_info(g->dev).xcr0;
	const __u64 values[] = { 1, 3, 7, 0xe7, all };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(values); i++) {
		if (values[i] & ~all)
			continue;
		start_xsetbv(g, 0, values[i]);
		ASSERT_RUN(g, VEE_EXIT_HLT);
		EXPECT_EQ(values[i], g->page->control.xcr0);
		EXPECT_EQ(values[i], g->page->regs.rax | g->page->regs.rdx << 32);
	}
}

/* OSXSAVE on and off and on, with an exit to the caller at each. */
GUEST_CODE(switch_osxsave, 64,
	   "xor %ecx, %ecx; xor %edx, %edx; mov $3, %eax; xsetbv; out %al, $0x42;"
	   "mov %cr4, %rbx; btr $18, %rbx; mov %rbx, %cr4; out %al, $0x42;"
	   "bts $18, %rbx; mov %rbx, %cr4; xor %eax, %eax; xgetbv; out %al, $0x42;"
	   "hlt");

TEST_F(modes, xcr0_outlasts_osxsave)
{
	struct guest *g = &self->g;
	unsigned int i;

	GUEST_LONG(g, switch_osxsave);
	g->page->control.cr4 |= X86_CR4_OSXSAVE;
	for (i = 0; i < 3; i++) {
		ASSERT_RUN(g, VEE_EXIT_PIO);
		EXPECT_EQ(3, g->page->control.xcr0);
		guest_resume_next(g);
	}
	EXPECT_EQ(3, g->page->regs.rax | g->page->regs.rdx << 32);
	ASSERT_RUN(g, VEE_EXIT_HLT);
}

TEST_F(modes, xsetbv_refused)
{
	struct guest *g = &self->g;
	__u64 all = vee_info(g->dev).xcr0;
	const struct {
		__u32 index;
		__u64 value;
	} cases[] = {
		{ 0, 0 }, { 0, 2 }, { 0, 5 }, { 0, 0x21 }, { 0, 0x27 },
		{ 0, 0x67 }, { 0, 0xe3 }, { 0, all | BIT_ULL(8) },
		{ 0, all | BIT_ULL(62) }, { 0, all | BIT_ULL(63) },
		{ 1, 1 }, { -1U, 1 },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		start_xsetbv(g, cases[i].index, cases[i].value);
		ASSERT_EQ(0, guest_run(g));
		EXPECT_EQ(STUB(VECTOR_GP), g->page->regs.rip)
			TH_LOG("case %u: %s", i, guest_describe(g));
		EXPECT_EQ(1, g->page->control.xcr0);
	}
}

TEST_F(modes, xsetbv_privilege)
{
	struct guest *g = &self->g;

	start_xsetbv(g, 0, 1);
	guest_set_user(g);
	ASSERT_VECTOR(g, VECTOR_GP);
	start_xsetbv(g, 0, 1);
	g->page->control.cr4 &= ~X86_CR4_OSXSAVE;
	ASSERT_VECTOR(g, VECTOR_UD);
}

/* --- VEE_VCPU_TRANSLATE ---------------------------------------------------- */

GUEST_CODE(halt, 64, "hlt");

static int translate(struct guest *g, __u64 gva, struct vee_translate *t)
{
	*t = (struct vee_translate) { .size = sizeof(*t), .gva = gva };
	return vee_call(g->vcpu, VEE_VCPU_TRANSLATE, t);
}

TEST_F(modes, translate_without_paging)
{
	struct guest *g = &self->g;
	struct vee_translate t;

	GUEST_REAL(g, halt);
	ASSERT_RUN(g, VEE_EXIT_HLT);
	EXPECT_EQ(0, translate(g, 0x12345678, &t));
	EXPECT_EQ(0x12345678, t.gpa);
	EXPECT_EQ(VEE_RWX, t.access);
}

TEST_F(modes, translate_32)
{
	struct guest *g = &self->g;
	struct vee_translate t;

	GUEST_PROTECTED(g, load_ebx);
	set_paging_32(g);
	g->page->regs.rbx = GPA_DATA;
	ASSERT_RUN(g, VEE_EXIT_HLT);
	EXPECT_EQ(0, translate(g, 0x3fffff, &t));
	EXPECT_EQ(0x3fffff, t.gpa);
	EXPECT_EQ(0, translate(g, 0x400123, &t));
	EXPECT_EQ(GPA_DATA + 0x123, t.gpa);
	EXPECT_EQ(-ENOENT, translate(g, 0x401000, &t));
	EXPECT_EQ(-ENOENT, translate(g, 0x800000, &t));
}

TEST_F(modes, translate_pae)
{
	struct guest *g = &self->g;
	struct vee_translate t;

	GUEST_PROTECTED(g, load_ebx);
	set_paging_pae(g);
	g->page->control.cr3 = PAE_PDPT2;
	g->page->regs.rbx = GPA_DATA;
	ASSERT_RUN(g, VEE_EXIT_HLT);
	EXPECT_EQ(0, translate(g, PAGES_1G + GPA_MMIO + 5, &t));
	EXPECT_EQ(GPA_MMIO + 5, t.gpa);
	EXPECT_EQ(-ENOENT, translate(g, 2 * PAGES_1G, &t));
}

TEST_F(modes, translate_long)
{
	struct guest *g = &self->g;
	struct vee_translate t;
	__u64 *pt;

	GUEST_LONG(g, halt);
	pt = guest_split_page(g);
	pt[PAGE_NUMBER] = GPA_DATA | PTE_P | PTE_NX;
	pt[PAGE_NUMBER + 1] = 0;
	ASSERT_RUN(g, VEE_EXIT_HLT);
	EXPECT_EQ(0, translate(g, GPA_CODE, &t));
	EXPECT_EQ(GPA_CODE, t.gpa);
	EXPECT_EQ(VEE_RWX, t.access);
	EXPECT_EQ(1, t.user);
	EXPECT_EQ(0, translate(g, PAGE_GVA + 0x234, &t));
	EXPECT_EQ(GPA_DATA + 0x234, t.gpa);
	EXPECT_EQ(VEE_READ, t.access);
	EXPECT_EQ(0, t.user);
	/* Looked at only. */
	EXPECT_EQ(GPA_DATA | PTE_P | PTE_NX, pt[PAGE_NUMBER]);
	EXPECT_EQ(-ENOENT, translate(g, PAGE_GVA + PAGE_BYTES, &t));
	EXPECT_EQ(-ENOENT, translate(g, 0xffff800000000000, &t));
	EXPECT_EQ(0, translate(g, GPA_MMIO, &t));
	EXPECT_EQ(GPA_MMIO, t.gpa);
}

/* A table where the VM has no memory. */
TEST_F(modes, translate_missing_table)
{
	struct guest *g = &self->g;
	struct vee_translate t;

	GUEST_LONG(g, halt);
	guest_write64(g, GPA_PML4 + 8, GPA_MMIO | PTE_ALL);
	ASSERT_RUN(g, VEE_EXIT_HLT);
	EXPECT_EQ(-EFAULT, translate(g, BIT_ULL(39), &t));
}

/* --- bits that an entry must not have: SDM 3A, "Paging-Structure Entries" --------- */

#define TABLES		(GPA_DATA + 0x10000)	/* of the second 512 GiB, one a level */

/* MAXPHYADDR is the CPU's, whatever the guest's CPUID says. */
static __u64 beyond_address(void)
{
	__u32 host[4];

	host_cpuid(0x80000008, 0, host);
	return BIT_ULL(host[0] & 0xff);
}

/**
 * struct reserved - an entry that is tried
 * @at: where it is
 * @entry: it
 * @ret: what VEE_VCPU_TRANSLATE says of an address that it is for
 */
struct reserved {
	__u64 at;
	__u64 entry;
	int ret;
};

/* Each for itself: the entry that was there comes back. */
static void try_entries(struct __test_metadata *_metadata, struct guest *g, __u64 gva,
			const struct reserved *reserved, unsigned int count, size_t bytes)
{
	struct vee_translate t;

	for (unsigned int i = 0; i < count; i++) {
		unsigned char *at = g->mem + reserved[i].at;
		__u64 old;

		memcpy(&old, at, bytes);
		memcpy(at, &reserved[i].entry, bytes);
		EXPECT_EQ(reserved[i].ret, translate(g, gva, &t))
			TH_LOG("%#llx at %#llx", reserved[i].entry, reserved[i].at);
		memcpy(at, &old, bytes);
	}
}

TEST_F(modes, translate_reserved_long)
{
	const __u64 pml4e = GPA_PML4 + 8, pdpte = TABLES, pde = TABLES + PAGE_BYTES,
		    pte = TABLES + 2 * PAGE_BYTES, beyond = beyond_address();
	const struct reserved reserved[] = {
		{ pml4e, TABLES | PTE_ALL | PTE_PS, -ENOENT },
		{ pml4e, TABLES | PTE_ALL | beyond, -ENOENT },
		{ pdpte, pde | PTE_ALL | beyond, -ENOENT },
		{ pdpte, PTE_ALL | PTE_PS | BIT_ULL(13), -ENOENT },
		{ pdpte, PTE_ALL | PTE_PS | BIT_ULL(29), -ENOENT },
		{ pdpte, PTE_ALL | PTE_PS | beyond, -ENOENT },
		{ pde, pte | PTE_ALL | beyond, -ENOENT },
		{ pde, PTE_ALL | PTE_PS, 0 },
		{ pde, PTE_ALL | PTE_PS | BIT_ULL(12) | PTE_NX, 0 },
		{ pde, PTE_ALL | PTE_PS | BIT_ULL(13), -ENOENT },
		{ pde, PTE_ALL | PTE_PS | BIT_ULL(20), -ENOENT },
		{ pde, PTE_ALL | PTE_PS | beyond, -ENOENT },
		{ pte, PTE_ALL | PTE_PS | BIT_ULL(52) | BIT_ULL(62), 0 },
		{ pte, PTE_ALL | (beyond - PAGE_BYTES), 0 },
		{ pte, PTE_ALL | beyond, -ENOENT },
		{ pte, PTE_ALL | BIT_ULL(51), beyond > BIT_ULL(51) ? 0 : -ENOENT },
		{ pte, PTE_ALL | PTE_NX, 0 },
	};
	const struct reserved no_nx[] = {
		{ pml4e, TABLES | PTE_ALL | PTE_NX, -ENOENT },
		{ pde, PTE_ALL | PTE_PS | PTE_NX, -ENOENT },
		{ pte, PTE_ALL | PTE_NX, -ENOENT },
		{ pte, PTE_ALL, 0 },
	};
	struct guest *g = &self->g;

	GUEST_LONG(g, halt);
	guest_write64(g, pml4e, TABLES | PTE_ALL);
	guest_write64(g, pdpte, pde | PTE_ALL);
	guest_write64(g, pde, pte | PTE_ALL);
	guest_write64(g, pte, PTE_ALL);
	g->page->control.efer |= EFER_NXE;
	g->page->dirty |= VEE_STATE_CONTROL;
	ASSERT_RUN(g, VEE_EXIT_HLT);
	try_entries(_metadata, g, BIT_ULL(39), reserved, ARRAY_SIZE(reserved), 8);
	g->page->control.efer &= ~EFER_NXE;
	g->page->dirty |= VEE_STATE_CONTROL;
	g->page->regs.rip = GPA_CODE;
	g->page->dirty |= VEE_STATE_REGS;
	ASSERT_RUN(g, VEE_EXIT_HLT);
	try_entries(_metadata, g, BIT_ULL(39), no_nx, ARRAY_SIZE(no_nx), 8);
}

/* PDPTEs are registers there: what of them is reserved CR3 is refused for. */
TEST_F(modes, translate_reserved_pae)
{
	const struct reserved reserved[] = {
		{ GPA_PD, PTE_ALL | PTE_PS, 0 },
		{ GPA_PD, PTE_ALL | PTE_PS | BIT_ULL(13), -ENOENT },
		{ GPA_PD, PTE_ALL | PTE_PS | BIT_ULL(52), -ENOENT },
		{ GPA_PD, PTE_ALL | PTE_PS | PTE_NX, -ENOENT },
		{ GPA_PD, PTE_ALL | PTE_PS | beyond_address(), -ENOENT },
		{ GPA_PD, GPA_PT | PTE_ALL | BIT_ULL(62), -ENOENT },
		{ GPA_PT, PTE_ALL | PTE_PS, 0 },
		{ GPA_PT, PTE_ALL | BIT_ULL(52), -ENOENT },
		{ GPA_PT, PTE_ALL | beyond_address(), -ENOENT },
	};
	struct guest *g = &self->g;

	GUEST_PROTECTED(g, halt);
	set_paging_pae(g);
	guest_split_page(g);
	ASSERT_RUN(g, VEE_EXIT_HLT);
	try_entries(_metadata, g, 0, reserved, ARRAY_SIZE(reserved), 8);
}

/* Bits 20:13 of a large page's are more of its address. */
TEST_F(modes, translate_reserved_32)
{
	const struct reserved reserved[] = {
		{ GPA_PD, PTE_ALL | PTE_PS | BIT_ULL(21), -ENOENT },
		{ GPA_PD, PTE_ALL | PTE_PS | BIT_ULL(12), 0 },
		{ GPA_PD, PTE_ALL | PTE_PS | BIT_ULL(13), 0 },
		{ GPA_PD, GPA_PT | PTE_ALL, 0 },
	};
	struct guest *g = &self->g;
	struct vee_translate t;

	GUEST_PROTECTED(g, halt);
	set_paging_32(g);
	ASSERT_RUN(g, VEE_EXIT_HLT);
	try_entries(_metadata, g, 5, reserved, ARRAY_SIZE(reserved), 4);
	guest_write32(g, GPA_PD, PTE_ALL | PTE_PS | BIT_ULL(13));
	EXPECT_EQ(0, translate(g, 5, &t));
	EXPECT_EQ(BIT_ULL(32) + 5, t.gpa);
}

TEST_HARNESS_MAIN
