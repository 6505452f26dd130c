// SPDX-License-Identifier: GPL-2.0-only
/*
 * MSRs that the guest has to itself.
 *
 * One bitmap serves every vCPU (SDM 3C, "MSR-Bitmap Address"): a set bit is an
 * exit. Clear are those that VM entry and exit swap, or guest_msrs.c does. Another is for
 * those whose local APIC is in x2APIC mode, if the CPU sees to some of that.
 */
#include <linux/bitops.h>
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/string.h>
#include <asm/msr-index.h>

#include "apic/apic.h"
#include "apic/virtual.h"
#include "vcpu/msr_bitmap.h"

static unsigned long *bitmap;
static unsigned long *x2apic_bitmap;

#define READS		APIC_DIRECT_READS
#define WRITES		APIC_DIRECT_WRITES

/* What the engine must see is in msr.c. */
static const struct {
	u32 index;
	u8 direct;
} direct[] = {
	{ MSR_IA32_SYSENTER_CS,		READS | WRITES },
	{ MSR_IA32_SYSENTER_ESP,	READS | WRITES },
	{ MSR_IA32_SYSENTER_EIP,	READS | WRITES },
	{ MSR_IA32_CR_PAT,		READS | WRITES },
	{ MSR_FS_BASE,			READS | WRITES },
	{ MSR_GS_BASE,			READS | WRITES },
	{ MSR_KERNEL_GS_BASE,		READS | WRITES },
	{ MSR_EFER,			READS },
	/* RDMSR of the TSC adds the offset, like RDTSC. */
	{ MSR_IA32_TSC,			READS },
};

/* Four quarters: reads and writes of MSRs from 0 and from C0000000H. */
#define HIGH_MSRS	0xc0000000U
#define QUARTER_BITS	8192
#define WRITE_QUARTERS	2

static void pass_through(unsigned long *bitmap, u32 index, u8 accesses)
{
	unsigned int bit = index & (QUARTER_BITS - 1);

	if (index >= HIGH_MSRS)
		bit += QUARTER_BITS;
	if (accesses & READS)
		__clear_bit(bit, bitmap);
	if (accesses & WRITES)
		__clear_bit(bit + WRITE_QUARTERS * QUARTER_BITS, bitmap);
}

/* The same, and what the CPU does of a local APIC in x2APIC mode. */
static int x2apic_init(void)
{
	u32 controls = apic_controls_wide();

	if (!controls)
		return 0;
	x2apic_bitmap = (unsigned long *)__get_free_page(GFP_KERNEL);
	if (!x2apic_bitmap)
		return -ENOMEM;
	memcpy(x2apic_bitmap, bitmap, PAGE_SIZE);
	for (u32 index = X2APIC_MSRS; index <= X2APIC_LAST; index++)
		pass_through(x2apic_bitmap, index, apic_direct(index, controls));
	return 0;
}

int msr_bitmap_init(void)
{
	bitmap = (unsigned long *)__get_free_page(GFP_KERNEL);
	if (!bitmap)
		return -ENOMEM;
	memset(bitmap, 0xff, PAGE_SIZE);
	for (int i = 0; i < ARRAY_SIZE(direct); i++)
		pass_through(bitmap, direct[i].index, direct[i].direct);
	return x2apic_init();
}

void msr_bitmap_exit(void)
{
	free_page((unsigned long)x2apic_bitmap);
	free_page((unsigned long)bitmap);
}

u64 msr_bitmap_hpa(bool x2apic)
{
	return virt_to_phys(x2apic ? x2apic_bitmap : bitmap);
}
