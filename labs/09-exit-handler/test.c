// SPDX-License-Identifier: GPL-2.0-only
/*
 * Lab 9: the selftest. README.md says what is to be done; ../../selftests/ has examples.
 */
#include "vee_util.h"
#include "hypercall.h"

FIXTURE(hypercall) {
	struct guest g;
};

FIXTURE_SETUP(hypercall)
{
	guest_open(_metadata, &self->g);
}

FIXTURE_TEARDOWN(hypercall)
{
	guest_close(&self->g);
}

GUEST_CODE(call, 64, "vmcall; hlt");

/* Three CPUIDs, and 3 is the answer. */
TEST_F(hypercall, answer)
{
	/* GUEST_LONG(); self->g.page->regs; ASSERT_HLT(); EXPECT_EQ() */
	ASSERT_TRUE(false)
		TH_LOG("the test is missing");
}

TEST_HARNESS_MAIN
