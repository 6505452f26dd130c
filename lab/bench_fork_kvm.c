// SPDX-License-Identifier: GPL-2.0-only
/*
 * Machines that begin as a copy of one, under KVM: a private mapping, its dirty log, and the
 * registers that kernel and program share. Debug registers and MSRs are not put back.
 */
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>

#include "bench_calls.h"
#include "bench_fork.h"
#include "bench_kvm.h"
#include "bench_template.h"

static struct kvm_xsave xsave;

static void open_template(void)
{
	template_open(&template_kvm);
}

/* All are alike: what one's registers are the others' are as well. */
static void create(struct guest *g)
{
	template_kvm.create_kept(g);
	calls_kvm.note(g);
	kvm_check(ioctl(g->vcpu, KVM_GET_XSAVE, &xsave), "XSAVE");
}

static uint64_t call_back(struct guest *g, uint64_t argument)
{
	uint64_t result = calls_kvm.call_anew(g, argument);

	template_kvm.put_back(g);
	kvm_check(ioctl(g->vcpu, KVM_SET_XSAVE, &xsave), "XSAVE");
	return result;
}

static void destroy(struct guest *g)
{
	template_kvm.destroy_kept(g);
}

const struct fork_engine fork_kvm = {
	.open = open_template,
	.create = create,
	.call_back = call_back,
	.destroy = destroy,
};
