// SPDX-License-Identifier: LGPL-2.1-or-later
/* "vee check": what this machine offers, and why vee can or can't run here. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "cmd.h"
#include "vmx/controls.h"

#define TRY_LAB "\"make demo\" runs vee in an emulated machine with VMX"

/* --- the table --- */

enum state { OK, MISSING, OPTIONAL, UNKNOWN };

static const char *const state_names[] = {
	[OK] = "ok",
	[MISSING] = "missing",
	[OPTIONAL] = "missing but optional",
	[UNKNOWN] = "unknown",
};

static const char usage[] =
	"usage: vee check\n"
	"\n"
	"Tells what this machine offers, feature by feature, and whether vee can run here;\n"
	"with status 1 if it can't. It tells more to root, after \"modprobe msr\".\n";

static unsigned int blockers;
static unsigned int unknowns;	/* of what is required */

static void heading(const char *text)
{
	printf("%s\n", text);
}

static void row(enum state state, const char *what)
{
	printf("  %-50s %s\n", what, state_names[state]);
}

#define note(...) (printf("      " __VA_ARGS__), putchar('\n'))

/* Without this vee can't run here, and @cure is what to do about it. */
static void require(bool good, const char *what, const char *cure)
{
	row(good ? OK : MISSING, what);
	if (good)
		return;
	note("%s", cure);
	blockers++;
}

/* Nobody may look whether there is what is required. */
static void unknown(const char *what)
{
	row(UNKNOWN, what);
	unknowns++;
}

static void want(bool good, const char *what)
{
	row(good ? OK : OPTIONAL, what);
}

static bool has_word(const char *text, const char *word)
{
	size_t length = strlen(word);

	for (const char *at = strstr(text, word); at; at = strstr(at + 1, word)) {
		bool begins = at == text || strchr(" \t:\n", at[-1]);
		bool ends = !at[length] || strchr(" \t\n", at[length]);

		if (begins && ends)
			return true;
	}
	return false;
}

/* Of the first CPU: what the kernel has found there and left on. */
static bool read_flags(char *flags, size_t room)
{
	return host_line("/proc/cpuinfo", "flags", flags, room);
}

#define FLAGS_BYTES	8192

static bool module_loaded(void)
{
	return host_has("/sys/module/vee");
}

/* --- the CPU --- */

#define ECX_VMX		0x20U
#define ECX_XSAVE	0x4000000U
#define ECX_OSXSAVE	0x8000000U	/* the kernel has switched it on */
#define ECX_HYPERVISOR	0x80000000U

static bool is_intel(char vendor[13])
{
	struct host_cpuid regs;

	host_cpuid(0, &regs);
	memcpy(vendor, &regs.ebx, 4);
	memcpy(vendor + 4, &regs.edx, 4);
	memcpy(vendor + 8, &regs.ecx, 4);
	vendor[12] = 0;
	return !strcmp(vendor, "GenuineIntel");
}

static void check_vmx(unsigned int ecx)
{
	char vendor[13];
	bool intel = is_intel(vendor);

	require(ecx & ECX_VMX, "Intel VMX", intel ?
		"the CPU has none, or the hypervisor below hides it; " TRY_LAB :
		"only Intel's CPUs have it; " TRY_LAB);
	if (!intel)
		note("the CPU is a \"%s\"", vendor);
	require(ecx & ECX_OSXSAVE, "XSAVE, in use by the kernel", ecx & ECX_XSAVE ?
		"boot the kernel without noxsave; or " TRY_LAB :
		"the CPU is too old; " TRY_LAB);
	if (!(ecx & ECX_HYPERVISOR))
		return;
	note("this is a virtual machine already: VMX in it takes nested virtualization,");
	note("which is the hypervisor's to allow (KVM: kvm_intel.nested=1, CPU model \"host\")");
}

#define FEATURE_CONTROL		0x3a
#define FEATURE_LOCKED		0x1U
#define FEATURE_VMX		0x4U

/* Linux takes the flag away from a CPU on which the firmware has VMX off. */
static enum state firmware_state(void)
{
	char flags[FLAGS_BYTES];
	uint64_t control;

	if (module_loaded())
		return OK;
	if (host_msr(FEATURE_CONTROL, &control))
		return !(control & FEATURE_LOCKED) || control & FEATURE_VMX ?
			OK : MISSING;
	if (!read_flags(flags, sizeof(flags)))
		return UNKNOWN;
	return has_word(flags, "vmx") ? OK : MISSING;
}

static void check_firmware(void)
{
	static const char what[] = "VMX allowed by the firmware";
	enum state state = firmware_state();

	if (state != UNKNOWN) {
		require(state == OK, what,
			"enable Intel Virtualization Technology (VT-x) in the firmware set-up");
		return;
	}
	unknown(what);
	note("to see: as root, \"modprobe msr\" first");
}

static bool check_cpu(void)
{
	struct host_cpuid regs;

	heading("The CPU");
	host_cpuid(1, &regs);
	check_vmx(regs.ecx);
	if (regs.ecx & ECX_VMX)
		check_firmware();
	return regs.ecx & ECX_VMX;
}

/* --- the kernel --- */

/* Name, size, users: as /proc/modules has them. */
static int kvm_users(void)
{
	char text[256];
	int users;

	if (!host_line("/proc/modules", "kvm_intel ", text, sizeof(text)))
		return -1;
	if (sscanf(text, "%*u %d", &users) != 1)
		return -1;
	return users;
}

/* From Linux 6.12 on KVM takes VMX as soon as it is loaded, unless told not to. */
static bool kvm_takes_vmx_at_load(void)
{
	char text[16];

	return host_text("/sys/module/kvm/parameters/enable_virt_at_load", text,
			 sizeof(text)) && *text == 'Y';
}

/* Of the loaded module: a line for each way in which it has VMX on some CPUs. */
static bool show_modes(void)
{
	FILE *f = fopen("/sys/module/vee/vmx_mode", "re");
	char text[256];

	if (!f)
		return false;
	while (fgets(text, sizeof(text), f)) {
		text[strcspn(text, "\n")] = 0;
		note("%s", text);
	}
	fclose(f);
	return true;
}

/* vee gets along with it: how is what there is to say. */
static void check_kvm(void)
{
	row(OK, "VMX, beside KVM or without");
	if (module_loaded() && show_modes())
		return;
	if (!host_has("/sys/module/kvm_intel"))
		note("resident, or windowed from Linux 6.19 on: KVM is not loaded");
	else if (kvm_users() > 0 || kvm_takes_vmx_at_load())
		note("shared: KVM is loaded, and has VMX on");
	else
		note("windowed: KVM is loaded, and has VMX off");
}

/* The host's NMI handler is reached through the IDT. */
static void check_fred(void)
{
	static const char what[] = "NMIs taken by an IDT, not by FRED";
	char flags[FLAGS_BYTES];

	if (read_flags(flags, sizeof(flags)))
		require(!has_word(flags, "fred"), what,
			"boot the kernel with fred=off");
	else
		unknown(what);
}

#define EFIVARS			"/sys/firmware/efi/efivars/"
#define EFI_GLOBAL_VARIABLE	"8be4df61-93ca-11d2-aa0d-00e098032b8c"

static bool secure_boot(void)
{
	static const char path[] = EFIVARS "SecureBoot-" EFI_GLOBAL_VARIABLE;
	char value[5] = { 0 };
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool on;

	if (fd < 0)
		return false;
	/* Four bytes of attributes come first. */
	on = read(fd, value, sizeof(value)) == sizeof(value) && value[4];
	close(fd);
	return on;
}

static void check_lockdown(void)
{
	char text[100];
	bool locked = host_text("/sys/kernel/security/lockdown", text,
				sizeof(text)) && !strstr(text, "[none]");
	bool enforced = host_text("/sys/module/module/parameters/sig_enforce",
				  text, sizeof(text)) && *text == 'Y';

	if (module_loaded())
		row(OK, "unsigned modules allowed, or vee signed");
	else
		require(!locked && !enforced, "unsigned modules allowed",
			"sign vee.ko with a key that the kernel trusts (mokutil), or switch Secure Boot off");
	if (secure_boot())
		note("Secure Boot is on");
}

#define VULNERABILITIES	"/sys/devices/system/cpu/vulnerabilities/"
#define SMT		"/sys/devices/system/cpu/smt/"

static bool is_affected(const char *path)
{
	char text[200];

	return host_text(path, text, sizeof(text)) && strncmp(text, "Not affected", 12) != 0;
}

/* What no flush helps against: the other thread of the core fills the cache meanwhile. */
static void check_smt(void)
{
	bool affected = is_affected(VULNERABILITIES "l1tf") || is_affected(VULNERABILITIES "mds");
	char text[16];

	if (!affected || !host_text(SMT "active", text, sizeof(text)) || *text != '1')
		return;
	note("this CPU has the bug L1TF or MDS and SMT is on: a guest may read what the other");
	note("thread of its core is at. Against that: \"echo off >" SMT "control\"");
}

static void check_headers(void)
{
	struct utsname name;
	char path[200];

	uname(&name);
	snprintf(path, sizeof(path), "/lib/modules/%s/build/Makefile",
		 name.release);
	if (host_has(path)) {
		row(OK, "kernel headers, to build the module");
		return;
	}
	row(OPTIONAL, "kernel headers, to build the module");
	note("apt-get install linux-headers-%s", name.release);
}

/* Asked for a ring at no address: what can be wrong but that? */
static void check_io_uring(void)
{
	bool there = syscall(SYS_io_uring_setup, 0, NULL) < 0 &&
		     (errno == EFAULT || errno == EINVAL);

	want(there, "io_uring, to run many vCPUs on one thread");
	if (there)
		return;
	note("%s", errno == EPERM ? "it is switched off: \"sysctl kernel.io_uring_disabled=0\"" :
	     "this kernel is built without it: vCPUs run by ioctl alone");
}

/* Is there no device, or nobody behind it? */
static bool is_absence(int error)
{
	return error == -ENOENT || error == -ENXIO || error == -ENODEV;
}

static void check_device(int error)
{
	static const char what[] = "/dev/vee, of the module that is loaded";

	switch (-error) {
	case EACCES:
	case EPERM:
		require(false, "permission for /dev/vee",
			"be root, or give yourself access to the device");
		break;
	case EPROTONOSUPPORT:
		require(false, "the interface that this command knows",
			"the module is of another version: \"make unload load\" (as root)");
		break;
	case ENOENT:
		require(false, what,
			"/dev lacks it: is devtmpfs there? In a container it has to be passed in");
		break;
	default:
		require(false, what,
			"it can't be used: \"make unload load\" (as root), and look at dmesg");
		note("it says: %s", strerror(-error));
	}
}

/* Which of those that are installed, or built, is the one that runs? */
static void check_version(void)
{
	char version[32];

	if (!host_line("/sys/module/vee/version", "", version, sizeof(version)))
		return;
	version[strcspn(version, "\n")] = 0;
	if (!strcmp(version, VEE_VERSION))
		note("its version is %s, as this command's", version);
	else
		note("its version is %s, and this command's %s", version, VEE_VERSION);
}

static void check_module(int error)
{
	if (is_absence(error) && !module_loaded()) {
		row(OPTIONAL, "vee loaded");
		note("\"make load\" (as root) builds and loads it");
		return;
	}
	row(OK, "vee loaded");
	check_version();
	if (error)
		check_device(error);
}

static void check_kernel(int error)
{
	struct utsname name;

	uname(&name);
	printf("The kernel: %s %s\n", name.sysname, name.release);
	check_fred();
	check_kvm();
	check_lockdown();
	check_smt();
	check_headers();
	check_io_uring();
	check_module(error);
}

/* --- capabilities --- */

/* Capability MSRs: what a control may be, by the word that it is in. */
struct capabilities {
	uint64_t basic;
	uint64_t ept_vpid;
	uint64_t word[5];
};

enum { PIN, PROC, PROC2, EXIT, ENTRY };

#define MSR_BASIC	0x480
#define MSR_PROC2	0x48b
#define MSR_EPT_VPID	0x48c
#define BASIC_TRUE	0x80000000000000ULL
#define BASIC_BYTES(basic)	((basic) >> 32 & 0x1fff)
#define BASIC_TYPE(basic)	((basic) >> 50 & 0xf)
#define TYPE_WRITE_BACK		6

static bool read_words(struct capabilities *caps)
{
	/* Pin, proc, exit, entry: the old ones, then the TRUE ones. */
	uint32_t base = caps->basic & BASIC_TRUE ? 0x48d : 0x481;

	return host_msr(base, &caps->word[PIN]) &&
	       host_msr(base + 1, &caps->word[PROC]) &&
	       host_msr(base + 2, &caps->word[EXIT]) &&
	       host_msr(base + 3, &caps->word[ENTRY]);
}

/* These two are there only if controls in the words before say so. */
static bool read_capabilities(struct capabilities *caps)
{
	memset(caps, 0, sizeof(*caps));
	if (!host_msr(MSR_BASIC, &caps->basic) || !read_words(caps))
		return false;
	if (!host_msr(MSR_PROC2, &caps->word[PROC2]))
		caps->word[PROC2] = 0;
	if (!host_msr(MSR_EPT_VPID, &caps->ept_vpid))
		caps->ept_vpid = 0;
	return true;
}

static void take_capabilities(struct capabilities *caps,
			      const struct vee_info *info)
{
	*caps = (struct capabilities) {
		.basic = info->vmx_basic,
		.ept_vpid = info->vmx_ept_vpid,
		.word = {
			[PIN] = info->vmx_pin, [PROC] = info->vmx_proc,
			[PROC2] = info->vmx_proc2, [EXIT] = info->vmx_exit,
			[ENTRY] = info->vmx_entry,
		},
	};
}

struct control {
	uint8_t word;
	uint8_t bit;
	uint8_t need;
	const char *name;
};

#define VMX_CONTROL(word, bit, need, name, description) \
	{ word, bit, VMX_##need, description },
static const struct control controls[] = VMX_CONTROLS;
#undef VMX_CONTROL

static const char *const suffixes[] = {
	[PIN] = "", [PROC] = "", [PROC2] = "",
	[EXIT] = ", at VM exit", [ENTRY] = ", at VM entry",
};

/*
 * SDM 3D, appendix "VM-Execution Controls": the lower half has the bits that must
 * be 1, the upper half those that may be 1.
 */
static void check_control(const struct control *control, uint64_t allowed)
{
	char name[80];
	bool can_be_0 = !(allowed >> control->bit & 1);
	bool can_be_1 = allowed >> (control->bit + 32) & 1;

	/* Some names are in two words. */
	snprintf(name, sizeof(name), "%s%s", control->name, suffixes[control->word]);
	switch (control->need) {
	case VMX_REQUIRED:
		require(can_be_1, name, "this CPU can't do it; " TRY_LAB);
		break;
	case VMX_CAPABLE:
		require(can_be_0 && can_be_1, name,
			"this CPU can't switch it; " TRY_LAB);
		break;
	case VMX_UNUSED:
		if (!can_be_0)
			require(false, name,
				"this CPU insists on it, and vee can't have it; " TRY_LAB);
		break;
	default:
		want(can_be_1, name);
		break;
	}
}

static const struct {
	uint64_t mask;		/* one of these is enough */
	bool required;
	const char *name;
} ept_capabilities[] = {
	{ 1ULL << 6, true, "EPT with a page-walk length of 4" },
	{ 1ULL << 14, true, "EPT in write-back memory" },
	{ 1ULL << 20, true, "INVEPT" },
	{ 1ULL << 25 | 1ULL << 26, true, "INVEPT of one or all contexts" },
	{ 1ULL << 0, false, "EPT: execute-only pages" },
	{ 1ULL << 16, false, "EPT: pages of 2 MiB" },
	{ 1ULL << 17, false, "EPT: pages of 1 GiB" },
	{ 1ULL << 21, false, "EPT: accessed and dirty flags" },
	{ 1ULL << 32, false, "INVVPID" },
};

static void check_capabilities(const struct capabilities *caps)
{
	heading("What its VMX can do");
	require(BASIC_BYTES(caps->basic) <= 4096 &&
		BASIC_TYPE(caps->basic) == TYPE_WRITE_BACK,
		"a VMCS in one page, write-back",
		"this CPU wants it otherwise; " TRY_LAB);
	for (size_t i = 0; i < sizeof(controls) / sizeof(*controls); i++)
		check_control(&controls[i], caps->word[controls[i].word]);
	for (size_t i = 0;
	     i < sizeof(ept_capabilities) / sizeof(*ept_capabilities); i++) {
		bool good = caps->ept_vpid & ept_capabilities[i].mask;

		if (ept_capabilities[i].required)
			require(good, ept_capabilities[i].name,
				"this CPU can't do it; " TRY_LAB);
		else
			want(good, ept_capabilities[i].name);
	}
}

/* What the kernel tells everyone, if nobody tells more. */
static const struct {
	const char *flag;
	bool required;
	const char *name;
} cpuinfo_flags[] = {
	{ "ept", true, "enable EPT" },
	{ "unrestricted_guest", true, "unrestricted guest" },
	{ "vnmi", true, "virtual NMIs" },
	{ "tsc_offset", true, "use TSC offsetting" },
	{ "mtf", false, "monitor trap flag" },
	{ "vpid", false, "enable VPID" },
	{ "preemption_timer", false, "activate VMX-preemption timer" },
	{ "ept_x_only", false, "EPT: execute-only pages" },
	{ "ept_1gb", false, "EPT: pages of 1 GiB" },
	{ "ept_ad", false, "EPT: accessed and dirty flags" },
};

static void check_cpuinfo(void)
{
	char flags[1000];

	heading("What its VMX can do (by /proc/cpuinfo; as root, \"modprobe msr\" tells all)");
	if (!host_line("/proc/cpuinfo", "vmx flags", flags, sizeof(flags))) {
		row(UNKNOWN, "controls");
		return;
	}
	for (size_t i = 0; i < sizeof(cpuinfo_flags) / sizeof(*cpuinfo_flags); i++) {
		bool good = has_word(flags, cpuinfo_flags[i].flag);

		if (cpuinfo_flags[i].required)
			require(good, cpuinfo_flags[i].name,
				"this CPU can't do it; " TRY_LAB);
		else
			want(good, cpuinfo_flags[i].name);
	}
}

static void check_controls(const struct vee_info *info)
{
	struct capabilities caps;

	if (info) {
		take_capabilities(&caps, info);
		check_capabilities(&caps);
	} else if (read_capabilities(&caps)) {
		check_capabilities(&caps);
	} else {
		check_cpuinfo();
		unknowns++;	/* it doesn't have all */
	}
}

/* --- the verdict --- */

static const struct {
	uint64_t feature;
	const char *name;
} apic_features[] = {
	{ VEE_FEATURE_APIC_ACCESSES, "xAPIC mode" },
	{ VEE_FEATURE_X2APIC_MODE, "x2APIC mode" },
	{ VEE_FEATURE_APIC_REGISTERS, "registers" },
	{ VEE_FEATURE_INTERRUPT_DELIVERY, "interrupts" },
};

static void show_apics(uint64_t features)
{
	const char *before = "";

	if (!(features & VEE_FEATURE_LOCAL_APIC))
		return;
	printf("  local APICs, of which the CPU sees to ");
	for (size_t i = 0; i < sizeof(apic_features) / sizeof(*apic_features); i++)
		if (features & apic_features[i].feature) {
			printf("%s%s", before, apic_features[i].name);
			before = ", ";
		}
	puts(*before ? " itself" : "nothing itself");
	if (features & VEE_FEATURE_PAUSE_LOOP)
		puts("  loops with PAUSE, after which a vCPU of several gives its turn to another");
}

static void show_info(const struct vee_info *info)
{
	heading("What the module offers");
	printf("  interface %u, up to %u vCPUs and %u memory slots a VM\n",
	       info->api_version, info->max_vcpus, info->max_slots);
	printf("  guest-physical addresses of %u bits, a TSC of %u kHz, XCR0 %#llx\n",
	       info->gpa_bits, info->tsc_khz, (unsigned long long)info->xcr0);
	show_apics(info->features);
	printf("  dirty pages by %s\n", info->features & VEE_FEATURE_PML ?
	       "page-modification logging" : "write protection");
}

static int verdict(bool loaded)
{
	if (!blockers && loaded)
		printf("\nvee runs here.\n");
	else if (!blockers && unknowns)
		puts("\nvee can probably run here: root knows, after \"modprobe msr\".");
	else if (!blockers)
		printf("\nvee can run here: \"make load\" (as root) loads it.\n");
	else
		printf("\nvee can't run here: %u of what it needs %s missing, see above.\n",
		       blockers, blockers == 1 ? "is" : "are");
	return blockers ? STATUS_FAILED : STATUS_OK;
}

int cmd_check(int argc, char **argv)
{
	struct vee_info info;
	bool has_vmx;
	int error;

	if (argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
		fputs(usage, stdout);
		return STATUS_OK;
	}
	if (argc > 1)
		return fail("check takes no arguments; \"vee check --help\" tells more");
	error = vee_get_info(&info);
	if (!error && info.api_version != VEE_API_VERSION)
		error = -EPROTONOSUPPORT;
	has_vmx = check_cpu();
	check_kernel(error);
	check_bugs();
	if (has_vmx)
		check_controls(error ? NULL : &info);
	if (!error)
		show_info(&info);
	return verdict(!error);
}
