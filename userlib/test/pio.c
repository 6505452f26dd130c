// SPDX-License-Identifier: LGPL-2.1-or-later
#include "test.h"

#define PORT	0x1f0

static struct rig rig;
static uint8_t *ram;
static _Alignas(4096) uint8_t stream[8192];	/* what the port gives, or got */
static unsigned int stream_at;
static int fail_at;		/* access that fails, counted from 1; 0: none */

static int touch_port(void *arg, uint16_t port, void *data, unsigned int bytes,
		      bool write)
{
	CHECK(arg == &rig);
	CHECK_EQUAL(port, PORT);
	if (fail_at && !--fail_at)
		return -EIO;
	move_bytes(stream + stream_at, data, bytes, write);
	stream_at += bytes;
	return 0;
}

static struct vee_exit_pio *begin(unsigned int direction, unsigned int width)
{
	struct vee_exit_pio *pio;

	rig_begin(&rig);
	vee_vcpu_set_protected_mode(rig.vcpu, 0x1000);
	vee_vm_alloc(rig.vm, 0x10000, 0x10000, (void **)&ram);
	rig.vcpu->page->dirty = 0;
	rig.vcpu->page->exit.reason = VEE_EXIT_PIO;
	pio = &rig.vcpu->page->exit.pio;
	*pio = (struct vee_exit_pio) {
		.port = PORT, .direction = direction, .width = width, .count = 1,
	};
	for (size_t i = 0; i < sizeof(stream); i++)
		stream[i] = test_random();
	stream_at = 0;
	fail_at = 0;
	return pio;
}

static int assist(void)
{
	return vee_pio_assist(rig.vcpu, touch_port, &rig);
}

static void plain_out(void)
{
	struct vee_exit_pio *pio = begin(VEE_PIO_OUT, 2);

	pio->data = 0x1234;
	CHECK_EQUAL(assist(), 0);
	CHECK_EQUAL(stream_at, 2);
	CHECK(!memcmp(stream, "\x34\x12", 2));
	CHECK_EQUAL(rig.vcpu->page->resume, VEE_RESUME_NEXT);
	fail_at = 1;
	CHECK_EQUAL(assist(), -EIO);
	CHECK_EQUAL(rig.vcpu->page->resume, VEE_RESUME_HERE);
	rig_end(&rig);
}

static void plain_in(void)
{
	struct vee_regs *regs;
	struct vee_exit_pio *pio = begin(VEE_PIO_IN, 1);

	regs = &rig.vcpu->page->regs;
	memcpy(stream, "\x11\x22\x33\x44\x55\x66\x77", 7);
	regs->rax = UINT64_MAX;
	CHECK_EQUAL(assist(), 0);
	CHECK_EQUAL(regs->rax, 0xffffffffffffff11);
	pio->width = 2;
	CHECK_EQUAL(assist(), 0);
	CHECK_EQUAL(regs->rax, 0xffffffffffff3322);
	pio->width = 4;
	CHECK_EQUAL(assist(), 0);
	CHECK_EQUAL(regs->rax, 0x77665544);
	rig_end(&rig);
}

static void nonsense(void)
{
	struct vee_exit_pio *pio = begin(VEE_PIO_IN, 3);

	CHECK_EQUAL(assist(), -EINVAL);
	pio->width = 255;
	CHECK_EQUAL(assist(), -EINVAL);
	pio->width = 1;
	pio->string = 1;
	pio->address_width = 3;
	CHECK_EQUAL(assist(), -EINVAL);
	pio->string = 0;
	rig.vcpu->page->exit.reason = VEE_EXIT_HLT;
	CHECK_EQUAL(assist(), -EINVAL);
	CHECK_EQUAL(stream_at, 0);
	rig_end(&rig);
}

static void make_string(struct vee_exit_pio *pio, uint64_t gva, uint64_t count)
{
	pio->string = 1;
	pio->rep = count != 1;
	pio->count = count;
	pio->address_width = 4;
	pio->gva = gva;
	rig.vcpu->page->regs.rsi = gva;
	rig.vcpu->page->regs.rdi = gva;
	rig.vcpu->page->regs.rcx = count;
}

static void rep_outs_by_pages(void)
{
	struct vee_exit_pio *pio = begin(VEE_PIO_OUT, 2);
	struct vee_regs *regs = &rig.vcpu->page->regs;

	for (int i = 0; i < 0x2000; i++)
		ram[i] = test_random();
	make_string(pio, 0x10ff1, 10);
	CHECK_EQUAL(assist(), 0);
	CHECK_EQUAL(regs->rcx, 3);	/* 7 lie in the page */
	CHECK_EQUAL(regs->rsi, 0x10fff);
	CHECK_EQUAL(rig.vcpu->page->resume, VEE_RESUME_DONE);
	CHECK_EQUAL(regs->rflags & RFLAGS_RF, RFLAGS_RF);
	make_string(pio, 0x10fff, 3);
	CHECK_EQUAL(assist(), 0);
	CHECK_EQUAL(regs->rcx, 2);	/* this one in two */
	make_string(pio, 0x11001, 2);
	CHECK_EQUAL(assist(), 0);
	CHECK_EQUAL(regs->rcx, 0);
	CHECK_EQUAL(regs->rsi, 0x11005);
	CHECK_EQUAL(rig.vcpu->page->resume, VEE_RESUME_NEXT);
	CHECK_EQUAL(stream_at, 20);
	CHECK(!memcmp(stream, ram + 0xff1, 20));
	rig_end(&rig);
}

static void ins_downwards(void)
{
	struct vee_exit_pio *pio = begin(VEE_PIO_IN, 4);
	struct vee_regs *regs = &rig.vcpu->page->regs;

	memset(ram, 'x', 0x100);
	regs->rflags |= RFLAGS_DF;
	make_string(pio, 0x10008, 3);
	CHECK_EQUAL(assist(), 0);
	CHECK(!memcmp(ram + 8, stream, 4));
	CHECK(!memcmp(ram + 4, stream + 4, 4));
	CHECK(!memcmp(ram, stream + 8, 4));
	CHECK_EQUAL(ram[12], 'x');
	CHECK_EQUAL(regs->rdi, 0xfffc);
	CHECK_EQUAL(regs->rcx, 0);
	CHECK_EQUAL(rig.vcpu->page->resume, VEE_RESUME_NEXT);
	rig_end(&rig);
}

static void registers_keep_their_width(void)
{
	struct vee_exit_pio *pio = begin(VEE_PIO_OUT, 1);
	struct vee_regs *regs = &rig.vcpu->page->regs;

	make_string(pio, 0x1fffe, 4);
	pio->address_width = 2;
	rig.vcpu->page->segments.ds.base = 0x10000;
	regs->rsi = 0xaaaaaaaaaaaafffe;	/* a segment's last two bytes */
	regs->rcx = 0xbbbbbbbbbbbb0004;
	CHECK_EQUAL(assist(), 0);
	CHECK_EQUAL(stream_at, 2);
	CHECK_EQUAL(regs->rsi, 0xaaaaaaaaaaaa0000);
	CHECK_EQUAL(regs->rcx, 0xbbbbbbbbbbbb0002);
	make_string(pio, 0x10000, 1);
	rig.vcpu->page->segments.ds.base = 0x20000;
	regs->rsi = 0xffffffffffff0000;
	regs->rcx = 77;
	CHECK_EQUAL(assist(), 0);
	CHECK_EQUAL(regs->rsi, 0xffff0001);	/* 32 bits: the rest is cleared */
	CHECK_EQUAL(regs->rcx, 77);		/* no REP: not a counter */
	make_string(pio, 0x10000, 0);
	CHECK_EQUAL(assist(), 0);
	CHECK_EQUAL(regs->rsi, 0x10000);
	CHECK_EQUAL(rig.vcpu->page->resume, VEE_RESUME_NEXT);
	rig_end(&rig);
}

static void a_failing_port_stops_in_the_middle(void)
{
	struct vee_exit_pio *pio = begin(VEE_PIO_IN, 1);
	struct vee_regs *regs = &rig.vcpu->page->regs;

	memset(ram, 'x', 16);
	make_string(pio, 0x10000, 8);
	fail_at = 4;
	CHECK_EQUAL(assist(), -EIO);
	CHECK(!memcmp(ram, stream, 3));
	CHECK_EQUAL(ram[3], 'x');
	CHECK_EQUAL(regs->rcx, 5);
	CHECK_EQUAL(regs->rdi, 0x10003);
	CHECK_EQUAL(rig.vcpu->page->resume, VEE_RESUME_HERE);
	rig_end(&rig);
}

static void memory_must_be_there(void)
{
	struct vee_exit_pio *pio = begin(VEE_PIO_IN, 1);

	make_string(pio, 0x30000, 2);
	CHECK_EQUAL(assist(), -EFAULT);
	vee_vm_map(rig.vm, 0x30000, stream - ((uintptr_t)stream & PAGE_OFFSET),
		   PAGE_BYTES, VEE_READ);
	CHECK_EQUAL(assist(), -EFAULT);
	CHECK_EQUAL(stream_at, 0);
	CHECK_EQUAL(rig.vcpu->page->regs.rcx, 2);
	rig_end(&rig);
}

/* With paging on: what the guest's tables say, at CPL 0 and at CPL 3. */
static void check_fault(unsigned int cpl, unsigned int access, bool user,
			bool protect, int error_code)
{
	struct vee_exit_pio *pio = begin(VEE_PIO_IN, 1);
	struct vee_vcpu_page *page = rig.vcpu->page;

	test_case("CPL %u, access %u, user %d, WP %d", cpl, access, user, protect);
	if (protect)
		page->control.cr0 |= CR0_WP;
	page->segments.ss.access_rights |= cpl << 5;
	fake.page_count = 0;
	if (access)
		fake_map(0x50000, 0x10000, access, user);
	fake_paging(&rig);
	make_string(pio, 0x50010, 2);
	CHECK_EQUAL(assist(), 0);
	if (error_code < 0) {
		CHECK_EQUAL(page->inject.flags, 0);
		CHECK_EQUAL(page->regs.rcx, 0);
		CHECK(!memcmp(ram + 0x10, stream, 2));
	} else {
		CHECK_EQUAL(page->inject.vector, 14);
		CHECK_EQUAL(page->inject.error_code, error_code);
		CHECK_EQUAL(page->control.cr2, 0x50010);
		CHECK_EQUAL(page->regs.rcx, 2);
		CHECK_EQUAL(stream_at, 0);
		CHECK_EQUAL(page->resume, VEE_RESUME_HERE);
	}
	rig_end(&rig);
}

static void page_faults(void)
{
	unsigned int rw = VEE_READ | VEE_WRITE;

	check_fault(0, 0, false, true, 2);
	check_fault(3, 0, false, true, 6);
	check_fault(0, rw, false, true, -1);
	check_fault(3, rw, false, true, 7);
	check_fault(3, rw, true, true, -1);
	check_fault(0, VEE_READ, false, true, 3);
	check_fault(0, VEE_READ, false, false, -1);
	check_fault(3, VEE_READ, true, false, 7);
}

static void addresses_must_be_canonical(void)
{
	struct vee_exit_pio *pio = begin(VEE_PIO_IN, 4);
	struct vee_vcpu_page *page = rig.vcpu->page;

	vee_vcpu_set_long_mode(rig.vcpu, 0, 0x1000);
	fake.identity = true;
	fake_paging(&rig);
	make_string(pio, 0x7ffffffffffe, 2);
	pio->address_width = 8;
	CHECK_EQUAL(assist(), 0);
	CHECK_EQUAL(page->inject.vector, 13);
	CHECK_EQUAL(page->inject.error_code, 0);
	CHECK_EQUAL(page->regs.rcx, 2);
	CHECK_EQUAL(stream_at, 0);
	CHECK_EQUAL(page->resume, VEE_RESUME_HERE);
	rig_end(&rig);
}

/* One iteration is one step. */
static void rep_outs_by_steps(void)
{
	struct vee_exit_pio *pio = begin(VEE_PIO_OUT, 2);

	rig.vcpu->page->intercept = VEE_INTERCEPT_STEP;
	make_string(pio, 0x10000, 10);
	CHECK_EQUAL(assist(), 0);
	CHECK_EQUAL(rig.vcpu->page->regs.rcx, 9);
	CHECK_EQUAL(rig.vcpu->page->resume, VEE_RESUME_DONE);
	CHECK_EQUAL(stream_at, 2);
	rig_end(&rig);
}

const struct test tests[] = {
	{ "OUT", plain_out },
	{ "IN", plain_in },
	{ "exits that make no sense", nonsense },
	{ "REP OUTS, page by page", rep_outs_by_pages },
	{ "REP OUTS, step by step", rep_outs_by_steps },
	{ "INS with DF", ins_downwards },
	{ "registers keep their width", registers_keep_their_width },
	{ "a failing port stops in the middle", a_failing_port_stops_in_the_middle },
	{ "memory must be there", memory_must_be_there },
	{ "page faults", page_faults },
	{ "addresses must be canonical", addresses_must_be_canonical },
	{ 0 }
};
