// SPDX-License-Identifier: GPL-2.0-only
/*
 * The module coming and going: not while somebody has anything of it; and as often as
 * one likes.
 */
#include "module_util.h"

GUEST_CODE(halt, 64, "hlt");

FIXTURE(module) {
	struct module as_it_was;
};

FIXTURE_SETUP(module)
{
	module_take(_metadata, &self->as_it_was);
}

FIXTURE_TEARDOWN(module)
{
	module_give_back(_metadata, &self->as_it_was);
}

static void run_one(struct __test_metadata *_metadata)
{
	struct guest g;

	ASSERT_TRUE(WAIT_FOR(!access("/dev/vee", F_OK)));
	guest_open(_metadata, &g);
	GUEST_LONG(&g, halt);
	ASSERT_HLT(&g, GPA_CODE);
	guest_close(&g);
}

/* Any of the descriptors, or a mapping, keeps it. */
TEST_F(module, unload_refused)
{
	struct guest g;

	guest_open(_metadata, &g);
	GUEST_LONG(&g, halt);
	EXPECT_EQ(-EWOULDBLOCK, module_unload());
	close(g.dev);
	EXPECT_EQ(-EWOULDBLOCK, module_unload());
	close(g.vm);
	EXPECT_EQ(-EWOULDBLOCK, module_unload());
	ASSERT_HLT(&g, GPA_CODE);
	close(g.vcpu);
	EXPECT_EQ(-EWOULDBLOCK, module_unload());
	EXPECT_EQ(VEE_EXIT_HLT, g.page->exit.reason);
	munmap(g.page, VEE_VCPU_PAGE_BYTES);
	munmap(g.mem, GUEST_BYTES);
	EXPECT_TRUE(WAIT_FOR(!module_users()));
	EXPECT_EQ(0, module_unload());
	EXPECT_EQ(-1, access("/dev/vee", F_OK));
	EXPECT_EQ(0, module_load(&self->as_it_was));
	run_one(_metadata);
}

TEST_F_TIMEOUT(module, many_times, 200)
{
	int i;

	for (i = 0; i < 12; i++) {
		ASSERT_EQ(0, module_unload()) TH_LOG("time %d", i);
		ASSERT_EQ(0, module_load(&self->as_it_was))
			TH_LOG("time %d", i);
		if (i % 4 == 0)
			run_one(_metadata);
	}
}

TEST_F(module, bad_parameters)
{
	ASSERT_EQ(0, module_unload());
	/* The kernel ignores what a module doesn't know, but not nonsense. */
	EXPECT_EQ(-EINVAL, module_load_with(&self->as_it_was, "slice_us=many"));
	ASSERT_EQ(0, module_load(&self->as_it_was));
	run_one(_metadata);
}

TEST_HARNESS_MAIN
