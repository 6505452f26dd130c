// SPDX-License-Identifier: GPL-2.0-only
/* What waits for the return to user space is done for a struct kvm_vcpu. */
#include <linux/entry-kvm.h>
#include <linux/kvm_host.h>

int probe(struct kvm_vcpu *vcpu);

int probe(struct kvm_vcpu *vcpu)
{
	kvm_handle_signal_exit(vcpu);
	return xfer_to_guest_mode_handle_work(vcpu);
}
