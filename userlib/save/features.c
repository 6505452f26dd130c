// SPDX-License-Identifier: LGPL-2.1-or-later
/* What the saved guest was told that its CPU has, and this one has not. */
#include "save.h"

enum reg { EAX, EBX, ECX, EDX };

/* Leaves that are features, bit by bit; those that have a name. */
static const struct {
	uint32_t leaf;
	uint32_t subleaf;
	enum reg reg;
	uint32_t but;		/* bits that say nothing of the CPU */
	const char *names[32];
} words[FEATURE_WORDS] = {
	{ 0x1, 0, ECX, 1U << 27 | 1U << 31, {
		"sse3", "pclmulqdq", "dtes64", "monitor", "ds_cpl", "vmx", "smx", "eist",
		"tm2", "ssse3", "cnxt_id", "sdbg", "fma", "cx16", "xtpr", "pdcm", NULL,
		"pcid", "dca", "sse4_1", "sse4_2", "x2apic", "movbe", "popcnt",
		"tsc_deadline", "aes", "xsave", NULL, "avx", "f16c", "rdrand", NULL,
	} },
	{ 0x1, 0, EDX, 1U << 9, {
		"fpu", "vme", "de", "pse", "tsc", "msr", "pae", "mce", "cx8", "apic",
		NULL, "sep", "mtrr", "pge", "mca", "cmov", "pat", "pse36", "psn",
		"clfsh", NULL, "ds", "acpi", "mmx", "fxsr", "sse", "sse2", "ss", "htt",
		"tm", "ia64", "pbe",
	} },
	{ 0x7, 0, EBX, 0, {
		"fsgsbase", "tsc_adjust", "sgx", "bmi1", "hle", "avx2", "fdp", "smep",
		"bmi2", "erms", "invpcid", "rtm", "rdt_m", "fcs", "mpx", "rdt_a",
		"avx512f", "avx512dq", "rdseed", "adx", "smap", "avx512ifma", NULL,
		"clflushopt", "clwb", "pt", "avx512pf", "avx512er", "avx512cd", "sha",
		"avx512bw", "avx512vl",
	} },
	{ 0x7, 0, ECX, 1U << 4, {
		"prefetchwt1", "avx512vbmi", "umip", "pku", "ospke", "waitpkg",
		"avx512vbmi2", "cet_ss", "gfni", "vaes", "vpclmulqdq", "avx512vnni",
		"avx512bitalg", "tme", "avx512vpopcntdq", NULL, "la57", NULL, NULL, NULL,
		NULL, NULL, "rdpid", "kl", NULL, "cldemote", NULL, "movdiri",
		"movdir64b", "enqcmd", "sgx_lc", "pks",
	} },
	{ 0x7, 0, EDX, 0, { NULL } },
	{ 0xd, 0, EAX, 0, {
		"x87", "sse", "avx", "bndregs", "bndcsr", "opmask", "zmm_hi256",
		"hi16_zmm",
	} },
	{ 0xd, 1, EAX, 0, {
		"xsaveopt", "xsavec", "xgetbv1", "xsaves",
	} },
	{ 0x80000001, 0, ECX, 0, {
		"lahf", NULL, NULL, NULL, NULL, "lzcnt", NULL, NULL, "prefetchw",
	} },
	{ 0x80000001, 0, EDX, 0, {
		NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
		"syscall", NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, "nx", NULL,
		NULL, NULL, NULL, NULL, "pdpe1gb", "rdtscp", NULL, "lm",
	} },
};

static uint32_t value(const struct vee_cpuid_entry *entries, unsigned int count,
		      unsigned int word)
{
	for (unsigned int i = 0; i < count; i++) {
		const struct vee_cpuid_entry *entry = &entries[i];
		const uint32_t regs[] = { entry->eax, entry->ebx, entry->ecx, entry->edx };

		if (entry->leaf == words[word].leaf &&
		    (!(entry->flags & VEE_CPUID_SUBLEAF) ||
		     entry->subleaf == words[word].subleaf))
			return regs[words[word].reg] & ~words[word].but;
	}
	return 0;
}

static void add_name(unsigned int word, unsigned int bit, char *text, size_t size)
{
	static const char *const regs[] = { "EAX", "EBX", "ECX", "EDX" };
	const char *name = words[word].names[bit], *comma = *text ? ", " : "";
	size_t at = strlen(text);

	if (name)
		snprintf(text + at, size - at, "%s%s", comma, name);
	else
		snprintf(text + at, size - at, "%sCPUID %XH %s bit %u", comma,
			 words[word].leaf, regs[words[word].reg], bit);
}

void features_of(const struct vee_cpuid_entry *entries, unsigned int count,
		 uint32_t features[FEATURE_WORDS])
{
	for (unsigned int word = 0; word < FEATURE_WORDS; word++)
		features[word] = value(entries, count, word);
}

int features_of_vcpu(struct vee_vcpu *vcpu, uint32_t features[FEATURE_WORDS])
{
	struct vee_cpuid_entry entries[VEE_MAX_CPUID];
	unsigned int count = VEE_MAX_CPUID;
	int err = vee_vcpu_get_cpuid(vcpu, entries, &count);

	if (!err)
		features_of(entries, count, features);
	return err;
}

int features_of_host(unsigned int flags, uint32_t features[FEATURE_WORDS])
{
	struct vee_vcpu *vcpu;
	struct vee_vm *vm;
	int err = vee_vm_create_with(&vm, flags);

	if (err)
		return err;
	err = vee_vcpu_create(vm, 0, &vcpu);
	if (!err) {
		err = features_of_vcpu(vcpu, features);
		vee_vcpu_destroy(vcpu);
	}
	vee_vm_destroy(vm);
	return err;
}

int features_check(const uint32_t wanted[FEATURE_WORDS], const uint32_t here[FEATURE_WORDS],
		   const struct why *why)
{
	char names[FEATURES_BYTES] = "";

	for (unsigned int word = 0; word < FEATURE_WORDS; word++)
		for (unsigned int bit = 0; bit < 32; bit++)
			if ((wanted[word] & ~here[word]) >> bit & 1)
				add_name(word, bit, names, sizeof(names));
	return !*names ? 0 :
	       why_say(why, -EOPNOTSUPP, "it needs what this CPU lacks: %s", names);
}
