// SPDX-License-Identifier: LGPL-2.1-or-later
/* Where the library reads and writes a slot that has a template. */
#include "test.h"

#define GPA		0x100000ULL
#define PAGES		4
#define POOL_PAGES	2

static struct rig rig;
static uint8_t mem[PAGES * PAGE_BYTES] __attribute__((aligned(4096)));
static uint8_t pool[POOL_PAGES * PAGE_BYTES] __attribute__((aligned(4096)));

static void begin(void)
{
	rig_begin(&rig);
	for (unsigned int i = 0; i < sizeof(mem); i++)
		mem[i] = i * 7 + i / PAGE_BYTES;
	if (vee_vm_map_template(rig.vm, GPA, mem, sizeof(mem), pool, sizeof(pool),
				VEE_READ | VEE_WRITE))
		abort();
}

static bool mem_is_kept(void)
{
	for (unsigned int i = 0; i < sizeof(mem); i++)
		if (mem[i] != (uint8_t)(i * 7 + i / PAGE_BYTES))
			return false;
	return true;
}

static void what_is_asked_for(void)
{
	uint64_t pages[4];

	begin();
	CHECK_EQUAL(fake.map.hva, (uintptr_t)mem);
	CHECK_EQUAL(fake.map.pool, (uintptr_t)pool);
	CHECK_EQUAL(fake.map.pool_bytes, sizeof(pool));
	CHECK_EQUAL(fake.map.access, VEE_READ | VEE_WRITE);
	CHECK_EQUAL(vee_vm_map_template(rig.vm, 0x900000, mem, sizeof(mem), NULL, 0,
					VEE_READ | VEE_WRITE), -EINVAL);
	CHECK_EQUAL(vee_vm_write(rig.vm, GPA + 2 * PAGE_BYTES, "x", 1), 0);
	CHECK_EQUAL(vee_vm_template_fetch(rig.vm, GPA + 1, pages, 4), 1);
	CHECK_EQUAL(pages[0], GPA + 2 * PAGE_BYTES);
	CHECK(!memcmp(&fake.template, &(struct vee_template) {
		.size = sizeof(fake.template), .operation = VEE_TEMPLATE_FETCH, .gpa = GPA + 1,
		.pages = (uintptr_t)pages, .room = 4,
	}, sizeof(fake.template)));
	CHECK_EQUAL(vee_vm_template_reset(rig.vm, GPA, false), 0);
	CHECK(!memcmp(&fake.template, &(struct vee_template) {
		.size = sizeof(fake.template), .operation = VEE_TEMPLATE_RESET, .gpa = GPA,
	}, sizeof(fake.template)));
	rig_end(&rig);
}

static void reads_what_is_there(void)
{
	uint8_t buf[2 * PAGE_BYTES];

	begin();
	CHECK_EQUAL(vee_vm_read(rig.vm, GPA + 100, buf, sizeof(buf)), 0);
	CHECK(!memcmp(buf, mem + 100, sizeof(buf)));
	CHECK_EQUAL(copies_count(GPA), 0);
	/* Across a border, and what was there around it. */
	CHECK_EQUAL(vee_vm_write(rig.vm, GPA + PAGE_BYTES - 4, "12345678", 8), 0);
	CHECK_EQUAL(copies_count(GPA), 2);
	CHECK(mem_is_kept());
	CHECK(!memcmp(pool + PAGE_BYTES - 4, "1234", 4));
	CHECK(!memcmp(pool + PAGE_BYTES, "5678", 4));
	CHECK_EQUAL(vee_vm_read(rig.vm, GPA + 100, buf, sizeof(buf)), 0);
	CHECK(!memcmp(buf, pool + 100, 2 * PAGE_BYTES - 100));
	CHECK(!memcmp(buf + 2 * PAGE_BYTES - 100, mem + 2 * PAGE_BYTES, 100));
	/* All of it or nothing. */
	CHECK_EQUAL(vee_vm_write(rig.vm, GPA + 2 * PAGE_BYTES - 4, "abcdefgh", 8), -ENOSPC);
	CHECK_EQUAL(pool[2 * PAGE_BYTES - 4], mem[2 * PAGE_BYTES - 4]);
	CHECK_EQUAL(vee_vm_write(rig.vm, GPA + sizeof(mem) - 4, "abcdefgh", 8), -EFAULT);
	CHECK(mem_is_kept());
	rig_end(&rig);
}

static void gives_a_page(void)
{
	begin();
	CHECK(!vee_vm_at(rig.vm, GPA + PAGE_BYTES - 1, 2));
	CHECK_EQUAL(copies_count(GPA), 0);
	CHECK(vee_vm_at(rig.vm, GPA + PAGE_BYTES, PAGE_BYTES) == pool);
	CHECK(vee_vm_at(rig.vm, GPA + 3, 1) == pool + PAGE_BYTES + 3);
	CHECK(vee_vm_at(rig.vm, GPA + PAGE_BYTES + 5, 1) == pool + 5);
	CHECK(!vee_vm_at(rig.vm, GPA + 2 * PAGE_BYTES, 1));
	CHECK(mem_is_kept());
	rig_end(&rig);
}

static void keeps_pages(void)
{
	uint8_t byte;

	begin();
	CHECK_EQUAL(vee_vm_template_reset(rig.vm, GPA, true), 0);
	CHECK_EQUAL(vee_vm_template_reset(rig.vm, GPA + sizeof(mem), true), -ENOENT);
	CHECK_EQUAL(vee_vm_template_reset(rig.vm, GPA - 1, true), -ENOENT);
	CHECK_EQUAL(vee_vm_write(rig.vm, GPA + 3 * PAGE_BYTES + 5, "x", 1), 0);
	CHECK_EQUAL(vee_vm_write(rig.vm, GPA + 5, "y", 1), 0);
	CHECK_EQUAL(vee_vm_template_reset(rig.vm, GPA, true), 2);
	CHECK_EQUAL(copies_count(GPA), 2);
	CHECK(!memcmp(pool, mem + 3 * PAGE_BYTES, PAGE_BYTES));
	CHECK(!memcmp(pool + PAGE_BYTES, mem, PAGE_BYTES));
	CHECK_EQUAL(vee_vm_write(rig.vm, GPA + 5, "y", 1), 0);
	CHECK_EQUAL(vee_vm_template_reset(rig.vm, GPA, false), 0);
	CHECK_EQUAL(vee_vm_read(rig.vm, GPA + 5, &byte, 1), 0);
	CHECK_EQUAL(byte, mem[5]);
	rig_end(&rig);
}

/* As the guest writes there. */
static void copy_for_guest(unsigned int page, bool tells)
{
	struct vee_template template = {
		.flags = VEE_TEMPLATE_WRITE, .operation = VEE_TEMPLATE_LOCATE,
		.gpa = GPA + page * PAGE_BYTES,
	};

	if (copies_answer(&template))
		abort();
	((uint8_t *)(uintptr_t)template.hva)[9] ^= 1;
	rig.vcpu->page->copies += tells;
}

/* Were so many put back, by a request or without? */
static bool puts_back(int count, bool asks)
{
	fake.template.operation = VEE_TEMPLATE_LOCATE;
	return vee_vm_template_reset(rig.vm, GPA, true) == count &&
	       (fake.template.operation == VEE_TEMPLATE_FETCH) == asks &&
	       (count < 1 || !memcmp(pool, mem + 3 * PAGE_BYTES, PAGE_BYTES)) &&
	       (count < 2 || !memcmp(pool + PAGE_BYTES, mem + PAGE_BYTES, PAGE_BYTES));
}

static void asks_for_what_is_new(void)
{
	begin();
	rig.vcpu->page->copies = 1;
	CHECK(puts_back(0, true));
	CHECK(puts_back(0, false));
	copy_for_guest(3, true);
	CHECK(puts_back(1, true));
	pool[8] ^= 1;
	CHECK(puts_back(1, false));
	/* The library's own: of a page that is there, and of another. */
	CHECK_EQUAL(vee_vm_write(rig.vm, GPA + 3 * PAGE_BYTES + 5, "x", 1), 0);
	CHECK(puts_back(1, false));
	CHECK_EQUAL(vee_vm_write(rig.vm, GPA + PAGE_BYTES + 5, "x", 1), 0);
	CHECK(puts_back(2, true));
	CHECK(puts_back(2, false));
	CHECK_EQUAL(vee_vm_template_reset(rig.vm, GPA, false), 0);
	CHECK(puts_back(0, true));
	rig_end(&rig);
}

/* A vCPU that is gone had told, or one that is there can't. */
static void asks_if_none_can_tell(void)
{
	struct vee_vcpu *other;

	begin();
	copy_for_guest(3, false);
	CHECK(puts_back(1, true));
	CHECK(puts_back(1, true));
	rig.vcpu->page->copies = 7;
	CHECK_EQUAL(vee_vcpu_create(rig.vm, 1, &other), 0);
	CHECK(puts_back(1, true));
	CHECK(puts_back(1, true));
	other->page->copies = 7;
	CHECK(puts_back(1, true));
	CHECK(puts_back(1, false));
	/* The same sum as before. */
	rig.vcpu->page->copies = 14;
	vee_vcpu_destroy(other);
	CHECK(puts_back(1, true));
	rig_end(&rig);
}

static void is_not_saved(void)
{
	struct vee_vm_snapshot *snapshot;

	begin();
	CHECK_EQUAL(vee_vm_snapshot(rig.vm, &snapshot), -EOPNOTSUPP);
	rig_end(&rig);
}

/* An instruction of @bytes, at a device. */
static int assist(const uint8_t *insn, unsigned int bytes, uint64_t rsi, uint64_t rdi)
{
	struct vee_vcpu_page *page = rig.vcpu->page;

	vee_vcpu_set_protected_mode(rig.vcpu, 0x1000);
	page->regs.rsi = rsi;
	page->regs.rdi = rdi;
	page->exit = (struct vee_exit) {
		.reason = VEE_EXIT_MMIO,
		.memory = {
			.gpa = 0xd0000000, .gva = 0xd0000000, .gva_valid = 1,
			.access = rsi == 0xd0000000 ? VEE_READ : VEE_WRITE,
			.insn_bytes = bytes, .code_width = 4,
		},
	};
	memcpy(page->exit.memory.insn, insn, bytes);
	page->valid = VEE_STATE_ALL;
	return vee_mmio_assist(rig.vcpu, any_device, NULL);
}

/* MOVSD from a device's memory to two pages, and from one of them to the device. */
static void carries_out(void)
{
	static const uint8_t movs[] = { 0xa5 };

	begin();
	CHECK_EQUAL(assist(movs, sizeof(movs), GPA + 8, 0xd0000000), 0);
	CHECK_EQUAL(copies_count(GPA), 0);
	CHECK_EQUAL(assist(movs, sizeof(movs), 0xd0000000, GPA + PAGE_BYTES - 2), 0);
	CHECK_EQUAL(copies_count(GPA), 2);
	CHECK(!memcmp(pool + PAGE_BYTES - 2, "\x77\x77", 2));
	CHECK(!memcmp(pool + PAGE_BYTES, "\x77\x77", 2));
	CHECK(mem_is_kept());
	/* There is no room for it, and it is no device's. */
	CHECK_EQUAL(assist(movs, sizeof(movs), 0xd0000000, GPA + 3 * PAGE_BYTES), -ENOSPC);
	CHECK(mem_is_kept());
	rig_end(&rig);
}

const struct test tests[] = {
	{ "what is asked for", what_is_asked_for },
	{ "what is read is where it is", reads_what_is_there },
	{ "a page at a time", gives_a_page },
	{ "what was written stays, copied anew", keeps_pages },
	{ "of what is known the kernel is not asked", asks_for_what_is_new },
	{ "of what can't be known it is", asks_if_none_can_tell },
	{ "it can't be saved", is_not_saved },
	{ "what an instruction writes is copied", carries_out },
	{ 0 }
};
