// SPDX-License-Identifier: GPL-2.0-only
/*
 * Lab 7: EPT. README.md says what is to be done. Steps go to the parameter "run":
 *
 *	map:GFN:rwx	guest page GFN may be read, written, executed, or some of that
 *	unmap:GFN
 *	read:GFN	the guest reads it
 *	write:GFN
 *	gone:GFN	the guest reads it, it is unmapped, the guest reads it
 *	count		pages that are mapped, accessed, dirty; then none is either any more
 */
#define pr_fmt(fmt) "ept: " fmt

#include <linux/module.h>
#include <linux/moduleparam.h>

#include "harness.h"

/* An entry of a table: SDM 3C, "EPT Translation Mechanism". */
#define EPT_READ	BIT_ULL(0)
#define EPT_WRITE	BIT_ULL(1)
#define EPT_EXECUTE	BIT_ULL(2)
#define EPT_ALL		(EPT_READ | EPT_WRITE | EPT_EXECUTE)
#define EPT_WRITE_BACK	(6ULL << 3)	/* of a page: its memory type */
#define EPT_ACCESSED	BIT_ULL(8)
#define EPT_DIRTY	BIT_ULL(9)	/* of a page */
#define EPT_ADDRESS	GENMASK_ULL(51, 12)

#define LEVELS		4
#define ENTRIES		512

static u64 *root;	/* the PML4 */

/* --- task "map" --- */

/* What the VMCS is given: SDM 3C, "Extended-Page-Table Pointer (EPTP)". */
static u64 ept_pointer(void)
{
	/* hpa_of(root), memory type, levels, and the bit for accessed and dirty flags */
	return 0;
}

/* The page of 4 KiB at @gpa is the one at @hpa, with @access, bits EPT_READ and so on. */
static int ept_map(u64 gpa, u64 hpa, u64 access)
{
	/* table_alloc() for tables that are missing on the way; table_at(), hpa_of() */
	return MISSING();
}

/* --- task "unmap" --- */

/* There is no page at @gpa any more, for the CPU either: invept(). -ENOENT: nor was there. */
static int ept_unmap(u64 gpa)
{
	return MISSING();
}

/* --- task "count" --- */

struct counts {
	unsigned int mapped, accessed, dirty;
};

/* How many pages are what; and then clears the pages' flags, for the CPU, too. */
static int ept_count(struct counts *counts)
{
	return MISSING();
}

/* --- steps: the lab's -------------------------------------------------------- */

static int step_map(u64 gfn, const char *access)
{
	u64 bits = (strchr(access, 'r') ? EPT_READ : 0) | (strchr(access, 'w') ? EPT_WRITE : 0) |
		   (strchr(access, 'x') ? EPT_EXECUTE : 0);

	return ept_map(gfn << 12, hpa_of(pages[gfn % PAGES]), bits);
}

static int step_gone(u64 gfn)
{
	int error = touch(ept_pointer(), gfn << 12, false);

	if (error)
		return error;
	record();
	error = ept_unmap(gfn << 12);
	record();
	return error ?: touch(ept_pointer(), gfn << 12, false);
}

static int step_count(void)
{
	struct counts counts = { };
	int error;

	record();
	error = ept_count(&counts);
	record();
	if (!error)
		pr_info("%u mapped, %u accessed, %u dirty\n", counts.mapped, counts.accessed,
			counts.dirty);
	return error;
}

/* The guest's code is a page as any other. */
static int map_code(void)
{
	static bool mapped;
	int error = mapped ? 0 : ept_map(CODE_GFN << 12, hpa_of(code), EPT_READ | EPT_EXECUTE);

	mapped = !error;
	return error;
}

static int step(const char *text)
{
	char copy[32], *rest = copy, *name, *number;
	int error = map_code();
	u64 gfn = 0;

	if (error)
		return error;
	strscpy(copy, text, sizeof(copy));
	name = strsep(&rest, ":\n");
	number = strsep(&rest, ":\n");
	if (number && *number && kstrtou64(number, 0, &gfn))
		return -EINVAL;
	if (!strcmp(name, "count"))
		return step_count();
	if (!strcmp(name, "map"))
		return step_map(gfn, rest ?: "");
	if (!strcmp(name, "unmap"))
		return ept_unmap(gfn << 12);
	if (!strcmp(name, "read"))
		return touch(ept_pointer(), gfn << 12, false);
	if (!strcmp(name, "write"))
		return touch(ept_pointer(), gfn << 12, true);
	if (!strcmp(name, "gone"))
		return step_gone(gfn);
	return -EINVAL;
}

static int set_run(const char *text, const struct kernel_param *param)
{
	return in_vmx(step, text);
}

static const struct kernel_param_ops run_ops = { .set = set_run };
module_param_cb(run, &run_ops, NULL, 0200);
MODULE_PARM_DESC(run, "A step: map:GFN:rwx, unmap:GFN, read:GFN, write:GFN, gone:GFN, count");

static int __init ept_init(void)
{
	int error = harness_alloc();

	if (error)
		harness_free();
	else
		root = table_alloc();
	return error;
}

static void __exit ept_exit(void)
{
	harness_free();
}

module_init(ept_init);
module_exit(ept_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("EPT of one's own");
