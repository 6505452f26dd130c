// SPDX-License-Identifier: LGPL-2.1-or-later
/* Snapshots of VMs: is all as it was, whoever has changed it? */
#include <sys/mman.h>
#include <unistd.h>

#include "test.h"

#define RAM_BYTES	(32 * PAGE_BYTES)
#define HIGH_GPA	0x40000000ULL
#define HIGH_BYTES	(8 * PAGE_BYTES)
#define ROM_GPA		0x50000000ULL
#define MIRROR_GPA	0x60000000ULL	/* the middle of what is at 0 */
#define MIRROR_AT	(4 * PAGE_BYTES)
#define MIRROR_BYTES	(4 * PAGE_BYTES)

/* Two slots, a ROM, and a mirror; what is not zero is random. */
struct machine {
	struct rig rig;
	uint8_t *low;
	uint8_t *high;
	uint8_t *rom;
};

static void scribble(uint8_t *at, uint64_t bytes, unsigned int count)
{
	while (count--)
		at[test_random() % bytes] = test_random();
}

/* Like a module that is too old for it: all memory is compared then. */
static int know_nothing(struct vee_dirty *dirty)
{
	(void)dirty;
	return -ENOTTY;
}

static void machine_begin(struct machine *m)
{
	rig_begin(&m->rig);
	fake.answer_dirty = know_nothing;
	m->rom = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		      -1, 0);
	memset(m->rom, 0xee, PAGE_BYTES);
	if (vee_vm_alloc(m->rig.vm, 0, RAM_BYTES, (void **)&m->low) ||
	    vee_vm_alloc(m->rig.vm, HIGH_GPA, HIGH_BYTES, (void **)&m->high) ||
	    vee_vm_map(m->rig.vm, ROM_GPA, m->rom, PAGE_BYTES, VEE_READ) ||
	    vee_vm_map(m->rig.vm, MIRROR_GPA, m->low + MIRROR_AT, MIRROR_BYTES,
		       VEE_READ | VEE_WRITE))
		abort();
	scribble(m->low, RAM_BYTES / 2, 5000);
	scribble(m->high, PAGE_BYTES, 5000);
}

static void machine_end(struct machine *m)
{
	rig_end(&m->rig);
	munmap(m->rom, PAGE_BYTES);
}

static void memory_is_as_it_was(void)
{
	struct vee_vm_snapshot *snapshot;
	struct machine m;
	uint8_t *low, *high;

	machine_begin(&m);
	CHECK_EQUAL(vee_vm_snapshot(m.rig.vm, &snapshot), 0);
	low = exact_copy(m.low, RAM_BYTES);
	high = exact_copy(m.high, HIGH_BYTES);
	for (unsigned int round = 0; round < 20; round++) {
		uint64_t gpa = test_random() % (RAM_BYTES - 8);
		uint64_t value = test_random();

		test_case("round %u", round);
		scribble(m.low, RAM_BYTES, round * 10);
		scribble(m.high, HIGH_BYTES, round);
		CHECK_EQUAL(vee_vm_write(m.rig.vm, gpa, &value, sizeof(value)), 0);
		CHECK_EQUAL(vee_vm_write(m.rig.vm, MIRROR_GPA + round, &value, 8), 0);
		CHECK_EQUAL(vee_vm_restore(m.rig.vm, snapshot), 0);
		CHECK(!memcmp(low, m.low, RAM_BYTES));
		CHECK(!memcmp(high, m.high, HIGH_BYTES));
	}
	vee_vm_snapshot_free(snapshot);
	free(low);
	free(high);
	machine_end(&m);
}

static void either_of_two(void)
{
	struct vee_vm_snapshot *first, *second;
	struct machine m;

	machine_begin(&m);
	m.low[0] = 1;
	CHECK_EQUAL(vee_vm_snapshot(m.rig.vm, &first), 0);
	m.low[0] = 2;
	CHECK_EQUAL(vee_vm_snapshot(m.rig.vm, &second), 0);
	m.low[0] = 3;
	CHECK_EQUAL(vee_vm_restore(m.rig.vm, first), 0);
	CHECK_EQUAL(m.low[0], 1);
	CHECK_EQUAL(vee_vm_restore(m.rig.vm, second), 0);
	CHECK_EQUAL(m.low[0], 2);
	CHECK_EQUAL(vee_vm_restore(m.rig.vm, first), 0);
	CHECK_EQUAL(m.low[0], 1);
	vee_vm_snapshot_free(first);
	vee_vm_snapshot_free(second);
	machine_end(&m);
}

static uint64_t written[1000];
static unsigned int written_count;
static bool is_noting;

/* What is in @written and in the range, as the kernel does it. */
static int know(struct vee_dirty *dirty)
{
	uint64_t *pages = (uint64_t *)(uintptr_t)dirty->pages;
	unsigned int kept = 0, count = 0;

	if (dirty->operation == VEE_DIRTY_START && is_noting)
		return -EEXIST;
	if (dirty->operation != VEE_DIRTY_FETCH)
		return 0;
	for (unsigned int i = 0; i < written_count; i++) {
		if (written[i] - dirty->gpa < dirty->bytes && count < dirty->room)
			pages[count++] = written[i];
		else
			written[kept++] = written[i];
	}
	written_count = kept;
	return count;
}

/* As much as is asked for at a time, more, and less. */
static void only_what_is_written(void)
{
	struct vee_vm_snapshot *first, *second;
	uint8_t *ram;
	struct rig rig;

	rig_begin(&rig);
	fake.answer_dirty = know;
	is_noting = false;
	if (vee_vm_alloc(rig.vm, HIGH_GPA, 1000 * PAGE_BYTES, (void **)&ram))
		abort();
	CHECK_EQUAL(vee_vm_snapshot(rig.vm, &first), 0);
	is_noting = true;
	for (unsigned int count = 0; count <= 1000; count += 100) {
		test_case("%u pages", count);
		for (unsigned int i = 0; i < count; i++) {
			ram[i * PAGE_BYTES] = 1;
			written[i] = HIGH_GPA + i * PAGE_BYTES;
		}
		written_count = count;
		ram[999 * PAGE_BYTES + 1] = 7;		/* nobody has told of it */
		CHECK_EQUAL(vee_vm_restore(rig.vm, first), 0);
		CHECK_EQUAL(written_count, 0);
		CHECK(count == 1000 || ram[999 * PAGE_BYTES + 1] == 7);
		CHECK(!memchr(ram, 1, 999 * PAGE_BYTES));
	}
	/* What was written before the second is no matter for it, but for the first. */
	ram[5] = 2;
	written[0] = HIGH_GPA;
	written_count = 1;
	CHECK_EQUAL(vee_vm_snapshot(rig.vm, &second), 0);
	CHECK_EQUAL(written_count, 0);
	CHECK_EQUAL(vee_vm_restore(rig.vm, first), 0);
	CHECK_EQUAL(ram[5], 0);
	CHECK_EQUAL(vee_vm_restore(rig.vm, second), 0);
	CHECK_EQUAL(ram[5], 2);
	vee_vm_snapshot_free(first);
	vee_vm_snapshot_free(second);
	rig_end(&rig);
}

/* All that the page has of the guest, each byte different, but that CR8 is one. */
static void fill_groups(struct vee_vcpu_page *page, uint8_t seed)
{
	uint8_t *at = (uint8_t *)&page->regs;

	for (size_t i = 0; i < offsetof(struct vee_vcpu_page, refused) -
			       offsetof(struct vee_vcpu_page, regs); i++)
		at[i] = seed + i;
	page->control.cr8 = seed % 16;
}

static void registers_are_as_they_were(void)
{
	struct vee_vm_snapshot *snapshot;
	struct vee_vcpu_page *page, then;
	struct machine m;
	uint8_t xsave[XSAVE_BYTES];

	machine_begin(&m);
	page = m.rig.vcpu->page;
	fill_groups(page, 1);
	for (unsigned int i = 0; i < XSAVE_BYTES; i++)
		fake.xsave[i] = 3 * i;
	memcpy(xsave, fake.xsave, sizeof(xsave));
	page->options = VEE_OPTION_HLT_SLEEPS;
	then = *page;
	CHECK_EQUAL(vee_vm_snapshot(m.rig.vm, &snapshot), 0);

	fill_groups(page, 100);
	memset(fake.xsave, 0, sizeof(fake.xsave));
	fake.cpuid_count = 3;
	page->inject.vector = 0x21;
	page->dirty = VEE_STATE_ALL;
	page->resume = VEE_RESUME_NEXT;
	page->options = 0;
	page->exit.reason = VEE_EXIT_SHUTDOWN;
	CHECK_EQUAL(vee_vm_restore(m.rig.vm, snapshot), 0);
	CHECK(!memcmp(&page->regs, &then.regs, offsetof(struct vee_vcpu_page, refused) -
					       offsetof(struct vee_vcpu_page, regs)));
	CHECK(!memcmp(fake.xsave, xsave, sizeof(xsave)));
	CHECK_EQUAL(fake.cpuid_count, 3);
	CHECK_EQUAL(page->dirty, 0);
	CHECK_EQUAL(page->inject.vector, 0);
	CHECK_EQUAL(page->resume, VEE_RESUME_HERE);
	CHECK_EQUAL(page->options, 0);
	CHECK_EQUAL(page->exit.reason, VEE_EXIT_NONE);
	vee_vm_snapshot_free(snapshot);
	machine_end(&m);
}

/* What vee_done() has asked for is done, to the VM as to the snapshot. */
static void an_answer_is_in_it(void)
{
	struct vee_vm_snapshot *snapshot;
	struct vee_vcpu_page *page;
	struct machine m;

	machine_begin(&m);
	page = m.rig.vcpu->page;
	page->regs.rip = 0x1000;
	page->exit.instruction_length = 3;
	vee_done(m.rig.vcpu);
	CHECK_EQUAL(vee_vm_snapshot(m.rig.vm, &snapshot), 0);
	CHECK_EQUAL(page->resume, VEE_RESUME_HERE);
	CHECK_EQUAL(page->regs.rip, 0x1003);
	page->regs.rip = 0;
	CHECK_EQUAL(vee_vm_restore(m.rig.vm, snapshot), 0);
	CHECK_EQUAL(page->regs.rip, 0x1003);
	vee_vm_snapshot_free(snapshot);
	page->exit.instruction_length = 0;
	page->resume = VEE_RESUME_NEXT;
	CHECK_EQUAL(vee_vm_snapshot(m.rig.vm, &snapshot), -EINVAL);
	machine_end(&m);
}

/* Those that the caller has set; a fork has them, too. */
static void cpuid_is_a_forks(void)
{
	const struct vee_cpuid_entry own[] = { { .leaf = 7 }, { .leaf = 8 } };
	struct vee_vm_snapshot *snapshot;
	struct vee_vm *fork;
	struct machine m;

	machine_begin(&m);
	CHECK_EQUAL(vee_vcpu_set_cpuid(m.rig.vcpu, own, 2), 0);
	CHECK_EQUAL(vee_vm_snapshot(m.rig.vm, &snapshot), 0);
	fake.cpuid_count = 0;
	CHECK_EQUAL(vee_vm_fork(snapshot, &fork), 0);
	CHECK_EQUAL(fake.cpuid_count, 2);
	CHECK(!memcmp(fake.cpuid, own, sizeof(own)));
	CHECK(vee_vm_vcpu(fork, 0)->has_cpuid);
	vee_vm_snapshot_free(snapshot);
	vee_vcpu_destroy(vee_vm_vcpu(fork, 0));
	vee_vm_destroy(fork);
	machine_end(&m);
}

static void what_has_changed_is_refused(void)
{
	struct vee_vm_snapshot *snapshot;
	struct vee_vcpu *vcpu;
	struct machine m;
	uint8_t was;

	machine_begin(&m);
	CHECK_EQUAL(vee_vm_snapshot(m.rig.vm, &snapshot), 0);
	was = m.low[0];
	m.low[0] = was + 1;
	CHECK_EQUAL(vee_vm_unmap(m.rig.vm, ROM_GPA, PAGE_BYTES), 0);
	CHECK_EQUAL(vee_vm_restore(m.rig.vm, snapshot), -ESTALE);
	CHECK_EQUAL(vee_vm_map(m.rig.vm, ROM_GPA, m.rom, PAGE_BYTES, VEE_READ | VEE_EXECUTE), 0);
	CHECK_EQUAL(vee_vm_restore(m.rig.vm, snapshot), -ESTALE);
	CHECK_EQUAL(vee_vm_unmap(m.rig.vm, ROM_GPA, PAGE_BYTES), 0);
	CHECK_EQUAL(vee_vm_map(m.rig.vm, ROM_GPA, m.rom, PAGE_BYTES, VEE_READ), 0);
	CHECK_EQUAL(vee_vcpu_create(m.rig.vm, 1, &vcpu), 0);
	CHECK_EQUAL(vee_vm_restore(m.rig.vm, snapshot), -ESTALE);
	CHECK_EQUAL(m.low[0], (uint8_t)(was + 1));
	vee_vcpu_destroy(vcpu);
	CHECK_EQUAL(vee_vm_restore(m.rig.vm, snapshot), 0);
	CHECK_EQUAL(m.low[0], was);
	vee_vm_snapshot_free(snapshot);
	machine_end(&m);
}

static void a_fork_is_its_own(void)
{
	struct vee_vm_snapshot *snapshot;
	struct vee_vm *fork;
	struct machine m;
	uint8_t *low, *theirs, *mirror;

	machine_begin(&m);
	m.rig.vcpu->page->regs.rax = 0x1234;
	m.rig.vcpu->page->options = VEE_OPTION_HLT_SLEEPS;
	CHECK_EQUAL(vee_vm_snapshot(m.rig.vm, &snapshot), 0);
	low = exact_copy(m.low, RAM_BYTES);
	m.low[5] ^= 0xff;
	CHECK_EQUAL(vee_vm_fork(snapshot, &fork), 0);
	theirs = vee_vm_at(fork, 0, RAM_BYTES);
	mirror = vee_vm_at(fork, MIRROR_GPA, MIRROR_BYTES);
	CHECK(!memcmp(theirs, low, RAM_BYTES));
	CHECK(theirs != m.low);
	CHECK(mirror == theirs + MIRROR_AT);
	CHECK(vee_vm_at(fork, ROM_GPA, PAGE_BYTES) == m.rom);
	CHECK_EQUAL(vee_vm_vcpu(fork, 0)->page->regs.rax, 0x1234);
	CHECK_EQUAL(vee_vm_vcpu(fork, 0)->page->options, VEE_OPTION_HLT_SLEEPS);
	CHECK(!vee_vm_vcpu(fork, 1) && !vee_vm_vcpu(fork, VEE_MAX_VCPUS));
	theirs[6] ^= 0xff;
	CHECK_EQUAL(m.low[6], low[6]);
	CHECK_EQUAL(vee_vm_restore(fork, snapshot), 0);
	CHECK(!memcmp(theirs, low, RAM_BYTES));
	CHECK_EQUAL(m.low[5], low[5] ^ 0xff);
	vee_vm_snapshot_free(snapshot);
	theirs[7] = 1;
	vee_vcpu_destroy(vee_vm_vcpu(fork, 0));
	vee_vm_destroy(fork);
	free(low);
	machine_end(&m);
}

/* A fork of a machine with one slot, of @pages with something in each. */
struct forked {
	struct rig rig;
	uint8_t *ram;
	uint64_t bytes;
	struct vee_vm_snapshot *snapshot;
	struct vee_vm *vm;
};

static void forked_begin(struct forked *f, unsigned int pages)
{
	*f = (struct forked) { .bytes = pages * PAGE_BYTES };
	rig_begin(&f->rig);
	if (vee_vm_alloc(f->rig.vm, 0, f->bytes, (void **)&f->ram))
		abort();
	for (unsigned int i = 0; i < pages; i++)
		f->ram[i * PAGE_BYTES + 1] = i + 1;
	if (vee_vm_snapshot(f->rig.vm, &f->snapshot) || vee_vm_fork(f->snapshot, &f->vm))
		abort();
}

static void forked_end(struct forked *f)
{
	vee_vm_snapshot_free(f->snapshot);
	vee_vcpu_destroy(vee_vm_vcpu(f->vm, 0));
	vee_vm_destroy(f->vm);
	rig_end(&f->rig);
}

static void write_pages(const struct forked *f, unsigned int pages)
{
	for (unsigned int i = 0; i < pages; i++)
		CHECK_EQUAL(vee_vm_write(f->vm, i * PAGE_BYTES + 1, "\xee", 1), 0);
}

static bool is_first(struct vee_vm *vm, const struct forked *f)
{
	uint8_t *all = malloc(f->bytes);
	bool same = !vee_vm_read(vm, 0, all, f->bytes) && !memcmp(all, f->ram, f->bytes);

	free(all);
	return same;
}

/* What it writes stays in the pool, but not more of it than is worth it, and not for ever. */
static void a_fork_is_put_back(void)
{
	struct forked f;
	unsigned int resets;

	forked_begin(&f, 100);
	CHECK_EQUAL(fake.map.pool_bytes, f.bytes);
	resets = copies_resets;
	write_pages(&f, 64);
	CHECK_EQUAL(vee_vm_restore(f.vm, f.snapshot), 0);
	CHECK_EQUAL(copies_count(0), 64);
	CHECK(is_first(f.vm, &f));
	write_pages(&f, 65);
	CHECK_EQUAL(vee_vm_restore(f.vm, f.snapshot), 0);
	CHECK_EQUAL(copies_count(0), 0);
	CHECK(is_first(f.vm, &f));
	CHECK_EQUAL(copies_resets - resets, 1);
	for (unsigned int i = 0; i < 256; i++) {
		write_pages(&f, 4);
		CHECK_EQUAL(vee_vm_restore(f.vm, f.snapshot), 0);
		CHECK(is_first(f.vm, &f));
	}
	CHECK_EQUAL(copies_resets - resets, 2);
	forked_end(&f);
}

/* A snapshot of a fork, and one that is no longer its own. */
static void a_fork_has_a_snapshot(void)
{
	struct vee_vm_snapshot *second;
	struct vee_vm *vm;
	struct forked f;
	uint8_t *all;

	forked_begin(&f, 10);
	write_pages(&f, 2);
	CHECK(!vee_vm_at(f.vm, 0, 2 * PAGE_BYTES));
	CHECK_EQUAL(vee_vm_snapshot(f.vm, &second), 0);
	CHECK_EQUAL(fake.map.pool_bytes, 0);
	all = vee_vm_at(f.vm, 0, f.bytes);
	CHECK(all && all[1] == 0xee && all[PAGE_BYTES + 1] == 0xee);
	CHECK(!memcmp(all + 2 * PAGE_BYTES, f.ram + 2 * PAGE_BYTES, f.bytes - 2 * PAGE_BYTES));
	fake.answer_dirty = know_nothing;
	all[5] = 1;
	CHECK_EQUAL(vee_vm_restore(f.vm, second), 0);
	CHECK(!all[5] && all[1] == 0xee);
	CHECK_EQUAL(vee_vm_restore(f.vm, f.snapshot), 0);
	CHECK(is_first(f.vm, &f));
	CHECK_EQUAL(vee_vm_fork(second, &vm), 0);
	CHECK_EQUAL(vee_vm_read(vm, 0, f.ram, 2), 0);
	CHECK_EQUAL(f.ram[1], 0xee);
	/* Of this one the first is another's. */
	CHECK_EQUAL(vee_vm_restore(vm, f.snapshot), 0);
	f.ram[1] = 1;
	CHECK(is_first(vm, &f));
	vee_vm_snapshot_free(second);
	vee_vcpu_destroy(vee_vm_vcpu(vm, 0));
	vee_vm_destroy(vm);
	forked_end(&f);
}

/* A template of the caller's, in place of the slot. */
static void not_its_own_template(void)
{
	static uint8_t pool[PAGE_BYTES] __attribute__((aligned(4096)));
	struct forked f;

	forked_begin(&f, 10);
	CHECK_EQUAL(vee_vm_unmap(f.vm, 0, f.bytes), 0);
	CHECK_EQUAL(vee_vm_map_template(f.vm, 0, f.ram, f.bytes, pool, PAGE_BYTES,
					VEE_READ | VEE_WRITE | VEE_EXECUTE), 0);
	CHECK_EQUAL(vee_vm_restore(f.vm, f.snapshot), -ESTALE);
	forked_end(&f);
}

/* Large slots, and all where the module knows no templates, are mappings of their own. */
static void forks_without_templates(void)
{
	struct forked f;

	forked_begin(&f, 4097);
	CHECK_EQUAL(fake.map.pool_bytes, 0);
	CHECK(vee_vm_at(f.vm, 0, f.bytes));
	forked_end(&f);
	fake.no_templates = true;
	forked_begin(&f, 10);
	CHECK_EQUAL(fake.map.pool_bytes, 0);
	CHECK(is_first(f.vm, &f));
	fake.answer_dirty = know_nothing;
	write_pages(&f, 2);
	CHECK_EQUAL(vee_vm_restore(f.vm, f.snapshot), 0);
	CHECK(is_first(f.vm, &f));
	forked_end(&f);
}

static struct machine *failing;

static int take_and_fork(void)
{
	struct vee_vm_snapshot *snapshot;
	struct vee_vm *fork;
	int err = vee_vm_snapshot(failing->rig.vm, &snapshot);

	if (err)
		return err;
	err = vee_vm_fork(snapshot, &fork);
	vee_vm_snapshot_free(snapshot);
	if (err)
		return err;
	vee_vcpu_destroy(vee_vm_vcpu(fork, 0));
	vee_vm_destroy(fork);
	return 0;
}

/* With the address sanitizer also: is nothing left behind? */
static void memory_that_runs_out(void)
{
	struct machine m;

	machine_begin(&m);
	failing = &m;
	CHECK(fail_each_allocation(take_and_fork) >= 8);
	machine_end(&m);
}

/* A snapshot of a fork, whose memory is settled for it. */
static struct forked forking;

static int settle_and_fork(void)
{
	struct vee_vm_snapshot *snapshot;
	struct vee_vm *fork;
	int err;

	failures_hold();
	forked_begin(&forking, 4);
	write_pages(&forking, 2);
	failures_go_on();
	err = vee_vm_snapshot(forking.vm, &snapshot);
	if (!err) {
		err = vee_vm_fork(snapshot, &fork);
		vee_vm_snapshot_free(snapshot);
	}
	if (!err) {
		vee_vcpu_destroy(vee_vm_vcpu(fork, 0));
		vee_vm_destroy(fork);
	}
	failures_hold();
	forked_end(&forking);
	failures_go_on();
	return err;
}

static void addresses_that_run_out(void)
{
	struct machine m;

	machine_begin(&m);
	failing = &m;
	CHECK_EQUAL(fail_each_call("memfd_create", EMFILE, -EMFILE, take_and_fork), 1);
	CHECK_EQUAL(fail_each_call("ftruncate", ENOSPC, -ENOSPC, take_and_fork), 1);
	CHECK(fail_each_call("mmap", ENOMEM, -ENOMEM, take_and_fork) >= 4);
	machine_end(&m);
	CHECK(fail_each_call("mmap", ENOMEM, -ENOMEM, settle_and_fork) >= 3);
	CHECK(fail_each_allocation(settle_and_fork) >= 8);
}

/* The module says of what it can't take away; the fork goes on as it is. */
static void settling_fails(void)
{
	struct vee_vm_snapshot *snapshot;
	struct forked f;

	forked_begin(&f, 4);
	write_pages(&f, 1);
	fake.request_error = -EIO;
	fake.fail_request = 2;		/* the pool's pages have been listed */
	CHECK_EQUAL(vee_vm_snapshot(f.vm, &snapshot), -EIO);
	CHECK_EQUAL(fake.fail_request, 0);
	CHECK(fake.map.pool_bytes);
	CHECK_EQUAL(vee_vm_snapshot(f.vm, &snapshot), 0);
	CHECK(!fake.map.pool_bytes);
	vee_vm_snapshot_free(snapshot);
	forked_end(&f);
}

/* What was written is put back, and a ROM is no matter. */
static void a_rom_beside_what_is_written(void)
{
	struct vee_vm_snapshot *snapshot;
	struct machine m;
	uint8_t was;

	machine_begin(&m);
	fake.answer_dirty = know;
	is_noting = false;
	CHECK_EQUAL(vee_vm_snapshot(m.rig.vm, &snapshot), 0);
	was = m.low[5];
	m.low[5] ^= 0xff;
	m.rom[5] = 0x11;
	written[0] = 0;
	written[1] = ROM_GPA;
	written_count = 2;
	CHECK_EQUAL(vee_vm_restore(m.rig.vm, snapshot), 0);
	CHECK_EQUAL(m.low[5], was);
	CHECK_EQUAL(m.rom[5], 0x11);
	CHECK_EQUAL(written_count, 1);
	vee_vm_snapshot_free(snapshot);
	machine_end(&m);
}

/* As many vCPUs as there were, and not the same. */
static void another_vcpu(void)
{
	struct vee_vm_snapshot *snapshot;
	struct vee_vcpu *vcpu;
	struct machine m;

	machine_begin(&m);
	CHECK_EQUAL(vee_vm_snapshot(m.rig.vm, &snapshot), 0);
	vee_vcpu_destroy(m.rig.vcpu);
	CHECK_EQUAL(vee_vcpu_create(m.rig.vm, 1, &vcpu), 0);
	CHECK_EQUAL(vee_vm_restore(m.rig.vm, snapshot), -ESTALE);
	vee_vcpu_destroy(vcpu);
	CHECK_EQUAL(vee_vcpu_create(m.rig.vm, 0, &m.rig.vcpu), 0);
	CHECK_EQUAL(vee_vm_restore(m.rig.vm, snapshot), 0);
	vee_vm_snapshot_free(snapshot);
	machine_end(&m);
}

static void errors_of_the_kernel(void)
{
	struct vee_vm_snapshot *snapshot;
	struct machine m;

	machine_begin(&m);
	fake.error = -EBUSY;
	CHECK_EQUAL(vee_vm_snapshot(m.rig.vm, &snapshot), -EBUSY);
	fake.error = 0;
	CHECK_EQUAL(vee_vm_snapshot(m.rig.vm, &snapshot), 0);
	fake.error = -ESHUTDOWN;
	CHECK_EQUAL(vee_vm_restore(m.rig.vm, snapshot), -ESHUTDOWN);
	fake.error = 0;
	CHECK_EQUAL(vee_vm_restore(m.rig.vm, snapshot), 0);
	vee_vm_snapshot_free(NULL);
	vee_vm_snapshot_free(snapshot);
	machine_end(&m);
}

static void no_memory_at_all(void)
{
	struct vee_vm_snapshot *snapshot;
	struct vee_vm *fork;
	struct rig rig;

	rig_begin(&rig);
	CHECK_EQUAL(vee_vm_snapshot(rig.vm, &snapshot), 0);
	CHECK_EQUAL(vee_vm_restore(rig.vm, snapshot), 0);
	CHECK_EQUAL(vee_vm_fork(snapshot, &fork), 0);
	vee_vcpu_destroy(vee_vm_vcpu(fork, 0));
	vee_vm_destroy(fork);
	vee_vm_snapshot_free(snapshot);
	rig_end(&rig);
}

const struct test tests[] = {
	{ "memory is as it was, whoever has written", memory_is_as_it_was },
	{ "what the kernel knows of writes is enough", only_what_is_written },
	{ "a VM goes back to either of two snapshots", either_of_two },
	{ "registers are as they were, settings are as they are", registers_are_as_they_were },
	{ "an answer to the last exit is in it", an_answer_is_in_it },
	{ "answers to CPUID that were set are a fork's, too", cpuid_is_a_forks },
	{ "a VM with other slots or vCPUs is refused", what_has_changed_is_refused },
	{ "a fork has all of it, and nobody else has what it writes", a_fork_is_its_own },
	{ "what a fork writes is put back, and the pool stays small", a_fork_is_put_back },
	{ "a fork has snapshots, and goes back to any", a_fork_has_a_snapshot },
	{ "a template of the caller's is another slot", not_its_own_template },
	{ "forks whose memory is no template", forks_without_templates },
	{ "memory that runs out", memory_that_runs_out },
	{ "addresses and files that run out", addresses_that_run_out },
	{ "memory that can't be settled", settling_fails },
	{ "a ROM beside what is written", a_rom_beside_what_is_written },
	{ "another vCPU", another_vcpu },
	{ "errors of the kernel's", errors_of_the_kernel },
	{ "a VM without memory", no_memory_at_all },
	{ NULL, NULL },
};
