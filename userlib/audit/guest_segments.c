// SPDX-License-Identifier: LGPL-2.1-or-later
#include "audit/audit.h"

#define AUDIT_GROUP	audit_guest_segments
#define AUDIT_SECTION	"Checks on Guest Segment Registers"

#define SELECTOR_RPL		BITS(1, 0)
#define SELECTOR_TI		BIT(2)

/* Virtual-8086 mode: present, DPL 3, data, read/write, accessed; 64 KiB. */
#define V86_DATA		0xf3
#define V86_LAST		0xffff
#define V86_BASE_SHIFT		4

#define AR_RESERVED_LOW		BITS(11, 8)
#define AR_RESERVED_HIGH	BITS(31, 17)

#define TYPE_ACCESSED		0x1
#define TYPE_READABLE		0x2	/* of code */
#define TYPE_CODE		0x8
#define TYPE_DATA_RW		0x3	/* accessed, as are the others here */
#define TYPE_DATA_RW_DOWN	0x7
#define TYPE_NONCONFORMING	0xb	/* the highest of these */
#define TYPE_LDT		0x2
#define TYPE_TSS_16		0x3	/* busy */
#define TYPE_TSS		0xb	/* likewise */

/* Of limits: what G counts, and what it must count. */
#define LIMIT_LOW		BITS(11, 0)
#define LIMIT_HIGH		BITS(31, 20)

#define AR(S)			((uint32_t)V(GUEST_##S##_ACCESS_RIGHTS))
#define TYPE(S)			(AR(S) & VEE_AR_TYPE)
#define DPL(S)			rights_dpl(AR(S))
#define RPL(S)			(V(GUEST_##S##_SELECTOR) & SELECTOR_RPL)
#define USABLE(S)		(!(AR(S) & VEE_AR_UNUSABLE))
#define UNRESTRICTED		PROC2(UNRESTRICTED_GUEST)

/* Are the access rights of a code or data segment judged? CS is always in use. */
#define JUDGED_CS		(!audit_v86(a))
#define JUDGED(S)		(!audit_v86(a) && USABLE(S))

/* SDM 3C, "Checks on Guest Segment Registers": the access rights of CS. */
static bool is_code(struct audit *a)
{
	uint32_t type = TYPE(CS);

	return (type & TYPE_CODE && type & TYPE_ACCESSED) || (UNRESTRICTED && type == TYPE_DATA_RW);
}

/* Not where the type is none for CS, which is another rule. */
static bool cs_dpl_suits(struct audit *a)
{
	uint32_t type = TYPE(CS);

	if (!is_code(a))
		return true;
	if (type == TYPE_DATA_RW)
		return !DPL(CS);
	return type > TYPE_NONCONFORMING ? DPL(CS) <= DPL(SS) : DPL(CS) == DPL(SS);
}

/* A limit that G can count. */
static bool ends_page(uint64_t limit)
{
	return (limit & LIMIT_LOW) == LIMIT_LOW;
}

static bool is_stack(uint32_t type)
{
	return type == TYPE_DATA_RW || type == TYPE_DATA_RW_DOWN;
}

static bool is_tss(struct audit *a)
{
	return TYPE(TR) == TYPE_TSS || (TYPE(TR) == TYPE_TSS_16 && !ENTRY(IA32E_GUEST));
}

/* A segment in virtual-8086 mode. */
#define V86_BASE(S) \
	RULE(GUEST_##S##_V86_BASE, "in virtual-8086 mode it must be the selector times 16", \
	     WHEN(audit_v86(a), V(GUEST_##S##_BASE) == \
		  V(GUEST_##S##_SELECTOR) << V86_BASE_SHIFT), \
	     VMCS_GUEST_##S##_BASE, VMCS_GUEST_##S##_SELECTOR, VMCS_GUEST_RFLAGS)
#define V86_LIMIT(S) \
	RULE(GUEST_##S##_V86_LIMIT, "in virtual-8086 mode it must be 0xffff", \
	     WHEN(audit_v86(a), V(GUEST_##S##_LIMIT) == V86_LAST), \
	     VMCS_GUEST_##S##_LIMIT, VMCS_GUEST_RFLAGS)
#define V86_RIGHTS(S) \
	RULE(GUEST_##S##_V86_RIGHTS, "in virtual-8086 mode they must be 0xf3", \
	     WHEN(audit_v86(a), AR(S) == V86_DATA), \
	     VMCS_GUEST_##S##_ACCESS_RIGHTS, VMCS_GUEST_RFLAGS)

/* What all descriptors have, while they are judged. */
#define PRESENT(S, judged) \
	RULE(GUEST_##S##_PRESENT, "P (bit 7) must be 1", \
	     WHEN(judged, AR(S) & VEE_AR_PRESENT), VMCS_GUEST_##S##_ACCESS_RIGHTS)
#define RESERVED_LOW(S, judged) \
	RULE(GUEST_##S##_RESERVED_LOW, "bits 11:8 must be 0", \
	     WHEN(judged, !(AR(S) & AR_RESERVED_LOW)), VMCS_GUEST_##S##_ACCESS_RIGHTS)
#define RESERVED_HIGH(S, judged) \
	RULE(GUEST_##S##_RESERVED_HIGH, "bits 31:17 must be 0", \
	     WHEN(judged, !(AR(S) & AR_RESERVED_HIGH)), VMCS_GUEST_##S##_ACCESS_RIGHTS)
#define G_0(S, judged) \
	RULE(GUEST_##S##_G_0, "G (bit 15) must be 0 if any bit of 11:0 of the limit is 0", \
	     WHEN((judged) && !ends_page(V(GUEST_##S##_LIMIT)), !(AR(S) & VEE_AR_G)), \
	     VMCS_GUEST_##S##_ACCESS_RIGHTS, VMCS_GUEST_##S##_LIMIT)
#define G_1(S, judged) \
	RULE(GUEST_##S##_G_1, "G (bit 15) must be 1 if any bit of 31:20 of the limit is 1", \
	     WHEN((judged) && V(GUEST_##S##_LIMIT) & LIMIT_HIGH, AR(S) & VEE_AR_G), \
	     VMCS_GUEST_##S##_ACCESS_RIGHTS, VMCS_GUEST_##S##_LIMIT)

#define S_IS_1(S, judged) \
	RULE(GUEST_##S##_S, "S (bit 4) must be 1: code or data", \
	     WHEN(judged, AR(S) & VEE_AR_S), VMCS_GUEST_##S##_ACCESS_RIGHTS)
#define S_IS_0(S, judged) \
	RULE(GUEST_##S##_S, "S (bit 4) must be 0: a system segment", \
	     WHEN(judged, !(AR(S) & VEE_AR_S)), VMCS_GUEST_##S##_ACCESS_RIGHTS)

#define BASE_CANONICAL(S, judged) \
	RULE(GUEST_##S##_BASE, "it must be canonical", \
	     WHEN(judged, audit_canonical(a, V(GUEST_##S##_BASE))), VMCS_GUEST_##S##_BASE)
#define BASE_32(S, judged) \
	RULE(GUEST_##S##_BASE, "bits 63:32 must be 0", \
	     WHEN(judged, !(V(GUEST_##S##_BASE) & HIGH_HALF)), \
	     VMCS_GUEST_##S##_BASE, VMCS_GUEST_##S##_ACCESS_RIGHTS)

/* DS, ES, FS, GS. */
#define ACCESSED(S) \
	RULE(GUEST_##S##_ACCESSED, "the type (bits 3:0) must be an accessed one (bit 0)", \
	     WHEN(JUDGED(S), AR(S) & TYPE_ACCESSED), VMCS_GUEST_##S##_ACCESS_RIGHTS)
#define READABLE(S) \
	RULE(GUEST_##S##_READABLE, "a type of code (bit 3) must be a readable one (bit 1)", \
	     WHEN(JUDGED(S) && AR(S) & TYPE_CODE, AR(S) & TYPE_READABLE), \
	     VMCS_GUEST_##S##_ACCESS_RIGHTS)
#define DATA_DPL(S) \
	RULE(GUEST_##S##_DPL, \
	     "unless it is conforming code, its DPL must not be below the selector's RPL", \
	     WHEN(JUDGED(S) && !UNRESTRICTED && TYPE(S) <= TYPE_NONCONFORMING, \
		  DPL(S) >= RPL(S)), \
	     VMCS_GUEST_##S##_ACCESS_RIGHTS, VMCS_GUEST_##S##_SELECTOR)

/* FRED knows rings 0 and 3 alone, and ring 0 in 64-bit mode alone. */
#define FRED	(V(GUEST_CR4) & CR4_FRED && ENTRY(IA32E_GUEST))

#define RULES { \
	RULE(GUEST_TR_TI, "TI (bit 2) must be 0", \
	     !(V(GUEST_TR_SELECTOR) & SELECTOR_TI), VMCS_GUEST_TR_SELECTOR) \
	RULE(GUEST_LDTR_TI, "TI (bit 2) must be 0 if LDTR is usable", \
	     WHEN(USABLE(LDTR), !(V(GUEST_LDTR_SELECTOR) & SELECTOR_TI)), \
	     VMCS_GUEST_LDTR_SELECTOR, VMCS_GUEST_LDTR_ACCESS_RIGHTS) \
	RULE(GUEST_SS_RPL, "without \"unrestricted guest\" its RPL must be that of CS", \
	     WHEN(!audit_v86(a) && !UNRESTRICTED, RPL(SS) == RPL(CS)), \
	     VMCS_GUEST_SS_SELECTOR, VMCS_GUEST_CS_SELECTOR) \
	V86_BASE(CS) V86_LIMIT(CS) V86_RIGHTS(CS) \
	V86_BASE(SS) V86_LIMIT(SS) V86_RIGHTS(SS) \
	V86_BASE(DS) V86_LIMIT(DS) V86_RIGHTS(DS) \
	V86_BASE(ES) V86_LIMIT(ES) V86_RIGHTS(ES) \
	V86_BASE(FS) V86_LIMIT(FS) V86_RIGHTS(FS) \
	V86_BASE(GS) V86_LIMIT(GS) V86_RIGHTS(GS) \
	BASE_CANONICAL(TR, true) \
	BASE_CANONICAL(FS, !audit_v86(a)) \
	BASE_CANONICAL(GS, !audit_v86(a)) \
	BASE_CANONICAL(LDTR, USABLE(LDTR)) \
	BASE_32(CS, !audit_v86(a)) \
	BASE_32(SS, JUDGED(SS)) \
	BASE_32(DS, JUDGED(DS)) \
	BASE_32(ES, JUDGED(ES)) \
	RULE(GUEST_CS_TYPE, \
	     "type (bits 3:0) 9, 11, 13 or 15 (accessed code); 3 too with \"unrestricted guest\"", \
	     WHEN(JUDGED_CS, is_code(a)), VMCS_GUEST_CS_ACCESS_RIGHTS) \
	S_IS_1(CS, JUDGED_CS) \
	RULE(GUEST_CS_DPL, \
	     "the DPL must be that of SS; at most that, if conforming; 0, if of type 3", \
	     WHEN(JUDGED_CS, cs_dpl_suits(a)), \
	     VMCS_GUEST_CS_ACCESS_RIGHTS, VMCS_GUEST_SS_ACCESS_RIGHTS) \
	RULE(GUEST_CS_DB, "in 64-bit mode (L=1) D/B (bit 14) must be 0", \
	     WHEN(JUDGED_CS && audit_64bit(a), !(AR(CS) & VEE_AR_DB)), \
	     VMCS_GUEST_CS_ACCESS_RIGHTS, VMCS_ENTRY_CONTROLS) \
	PRESENT(CS, JUDGED_CS) RESERVED_LOW(CS, JUDGED_CS) RESERVED_HIGH(CS, JUDGED_CS) \
	G_0(CS, JUDGED_CS) G_1(CS, JUDGED_CS) \
	RULE(GUEST_SS_TYPE, "the type (bits 3:0) must be 3 or 7 (accessed, read/write data)", \
	     WHEN(JUDGED(SS), is_stack(TYPE(SS))), VMCS_GUEST_SS_ACCESS_RIGHTS) \
	S_IS_1(SS, JUDGED(SS)) \
	RULE(GUEST_SS_DPL_RPL, \
	     "without \"unrestricted guest\" its DPL must be the selector's RPL", \
	     WHEN(!audit_v86(a) && !UNRESTRICTED, DPL(SS) == RPL(SS)), \
	     VMCS_GUEST_SS_ACCESS_RIGHTS, VMCS_GUEST_SS_SELECTOR) \
	RULE(GUEST_SS_DPL_0, "the DPL must be 0 in real mode, and where CS is of type 3", \
	     WHEN(!audit_v86(a) && (TYPE(CS) == TYPE_DATA_RW || !audit_protected(a)), !DPL(SS)), \
	     VMCS_GUEST_SS_ACCESS_RIGHTS, VMCS_GUEST_CS_ACCESS_RIGHTS, VMCS_GUEST_CR0) \
	RULE(GUEST_SS_FRED_DPL, "with CR4.FRED the DPL must be 0 or 3", \
	     WHEN(FRED, DPL(SS) == 0 || DPL(SS) == 3), \
	     VMCS_GUEST_SS_ACCESS_RIGHTS, VMCS_GUEST_CR4) \
	RULE(GUEST_CS_FRED_L, "with CR4.FRED and DPL 0 of SS L (bit 13) must be 1", \
	     WHEN(FRED && DPL(SS) == 0, AR(CS) & VEE_AR_L), \
	     VMCS_GUEST_CS_ACCESS_RIGHTS, VMCS_GUEST_SS_ACCESS_RIGHTS, VMCS_GUEST_CR4) \
	RULE(GUEST_RFLAGS_FRED_IOPL, "with CR4.FRED and DPL 3 of SS IOPL (bits 13:12) must be 0", \
	     WHEN(FRED && DPL(SS) == 3, !(V(GUEST_RFLAGS) & RFLAGS_IOPL)), \
	     VMCS_GUEST_RFLAGS, VMCS_GUEST_SS_ACCESS_RIGHTS, VMCS_GUEST_CR4) \
	PRESENT(SS, JUDGED(SS)) RESERVED_LOW(SS, JUDGED(SS)) RESERVED_HIGH(SS, JUDGED(SS)) \
	G_0(SS, JUDGED(SS)) G_1(SS, JUDGED(SS)) \
	ACCESSED(DS) READABLE(DS) S_IS_1(DS, JUDGED(DS)) DATA_DPL(DS) \
	PRESENT(DS, JUDGED(DS)) RESERVED_LOW(DS, JUDGED(DS)) RESERVED_HIGH(DS, JUDGED(DS)) \
	G_0(DS, JUDGED(DS)) G_1(DS, JUDGED(DS)) \
	ACCESSED(ES) READABLE(ES) S_IS_1(ES, JUDGED(ES)) DATA_DPL(ES) \
	PRESENT(ES, JUDGED(ES)) RESERVED_LOW(ES, JUDGED(ES)) RESERVED_HIGH(ES, JUDGED(ES)) \
	G_0(ES, JUDGED(ES)) G_1(ES, JUDGED(ES)) \
	ACCESSED(FS) READABLE(FS) S_IS_1(FS, JUDGED(FS)) DATA_DPL(FS) \
	PRESENT(FS, JUDGED(FS)) RESERVED_LOW(FS, JUDGED(FS)) RESERVED_HIGH(FS, JUDGED(FS)) \
	G_0(FS, JUDGED(FS)) G_1(FS, JUDGED(FS)) \
	ACCESSED(GS) READABLE(GS) S_IS_1(GS, JUDGED(GS)) DATA_DPL(GS) \
	PRESENT(GS, JUDGED(GS)) RESERVED_LOW(GS, JUDGED(GS)) RESERVED_HIGH(GS, JUDGED(GS)) \
	G_0(GS, JUDGED(GS)) G_1(GS, JUDGED(GS)) \
	RULE(GUEST_TR_TYPE, \
	     "type (bits 3:0) 11 (busy TSS); 3 (16 bits) too without \"IA-32e mode guest\"", \
	     is_tss(a), VMCS_GUEST_TR_ACCESS_RIGHTS, VMCS_ENTRY_CONTROLS) \
	S_IS_0(TR, true) \
	PRESENT(TR, true) RESERVED_LOW(TR, true) RESERVED_HIGH(TR, true) \
	G_0(TR, true) G_1(TR, true) \
	RULE(GUEST_TR_USABLE, "it must not be unusable (bit 16)", \
	     USABLE(TR), VMCS_GUEST_TR_ACCESS_RIGHTS) \
	RULE(GUEST_LDTR_TYPE, "the type (bits 3:0) must be 2 (LDT)", \
	     WHEN(USABLE(LDTR), TYPE(LDTR) == TYPE_LDT), VMCS_GUEST_LDTR_ACCESS_RIGHTS) \
	S_IS_0(LDTR, USABLE(LDTR)) \
	PRESENT(LDTR, USABLE(LDTR)) \
	RESERVED_LOW(LDTR, USABLE(LDTR)) RESERVED_HIGH(LDTR, USABLE(LDTR)) \
	G_0(LDTR, USABLE(LDTR)) G_1(LDTR, USABLE(LDTR)) \
}

#include "audit/table.h"
