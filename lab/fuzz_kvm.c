// SPDX-License-Identifier: GPL-2.0-only
/* KVM's ioctls, as the fuzzers use them that hold vee against it. */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/time.h>

#include "fuzz_kvm.h"

static union {
	struct kvm_cpuid2 table;
	uint8_t room[sizeof(struct kvm_cpuid2) + VEE_MAX_CPUID * sizeof(struct kvm_cpuid_entry2)];
} cpuid;

static volatile sig_atomic_t ticks;

int kvm_call(int fd, unsigned long request, void *arg, const char *what)
{
	int ret = ioctl(fd, request, arg);

	if (ret < 0)
		err(1, "KVM: %s", what);
	return ret;
}

int kvm_open(const char *cure)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		err(1, "/dev/kvm: %s", cure);
	return fd;
}

void kvm_enable(int fd, uint32_t cap, uint64_t arg)
{
	struct kvm_enable_cap enable = { .cap = cap, .args = { arg } };

	kvm_call(fd, KVM_ENABLE_CAP, &enable, "a capability");
}

void kvm_disable_quirks(int vm)
{
	int quirks = kvm_call(vm, KVM_CHECK_EXTENSION, (void *)KVM_CAP_DISABLE_QUIRKS2, "quirks");

	kvm_enable(vm, KVM_CAP_DISABLE_QUIRKS2, quirks);
}

struct kvm_run *kvm_map(int vcpu, int bytes)
{
	struct kvm_run *page = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);

	if (page == MAP_FAILED)
		err(1, "KVM: a vCPU's page");
	return page;
}

void kvm_ask_vee(void)
{
	static struct vee_cpuid_entry entries[VEE_MAX_CPUID];
	unsigned int count = VEE_MAX_CPUID;

	if (vee_answers(entries, &count))
		errx(1, "vee: CPUID");
	cpuid.table.nent = count;
	for (unsigned int i = 0; i < count; i++)
		cpuid.table.entries[i] = (struct kvm_cpuid_entry2) {
			.function = entries[i].leaf, .index = entries[i].subleaf,
			.flags = entries[i].flags & VEE_CPUID_SUBLEAF ?
				 KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0,
			.eax = entries[i].eax, .ebx = entries[i].ebx,
			.ecx = entries[i].ecx, .edx = entries[i].edx,
		};
}

void kvm_set_cpuid(int vcpu)
{
	kvm_call(vcpu, KVM_SET_CPUID2, &cpuid, "CPUID");
}

struct vee_regs kvm_regs_from(const struct kvm_regs *r)
{
	return (struct vee_regs) {
		.rax = r->rax, .rcx = r->rcx, .rdx = r->rdx, .rbx = r->rbx, .rsp = r->rsp,
		.rbp = r->rbp, .rsi = r->rsi, .rdi = r->rdi, .r8 = r->r8, .r9 = r->r9,
		.r10 = r->r10, .r11 = r->r11, .r12 = r->r12, .r13 = r->r13, .r14 = r->r14,
		.r15 = r->r15, .rip = r->rip, .rflags = r->rflags,
	};
}

static void tick(int sig)
{
	(void)sig;
	ticks++;
}

void kvm_start_ticks(long us)
{
	const struct itimerval each = { { 0, us }, { 0, us } };
	struct sigaction action = { .sa_handler = tick };

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &each, NULL);
}

int kvm_run_once(int vcpu)
{
	sig_atomic_t began = ticks;

	while (ioctl(vcpu, KVM_RUN, 0))
		if (errno != EINTR || ticks - began >= 2)
			return errno;
	return 0;
}
