// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The registers, and how gdb is told of them: a target description for x86-64, or for
 * i386. gdb wants the names and the features that its manual has under "i386 Features".
 */
#include <stdio.h>
#include <stdlib.h>

#include "gdb.h"

/* SDM 1, "Legacy Region of an XSAVE Area". */
#define AREA_FCW	0
#define AREA_FSW	2
#define AREA_TAGS	4
#define AREA_FOP	6
#define AREA_FIP	8
#define AREA_FCS	12
#define AREA_FDP	16
#define AREA_FDS	20
#define AREA_MXCSR	24
#define AREA_ST		32
#define AREA_ST_BYTES	16
#define AREA_XMM	160
#define AREA_XMM_BYTES	16
#define AREA_BV		512
#define AVX_BYTES	16	/* of each register: the upper half */
#define MASK_BYTES	8
#define UPPER_BYTES	32	/* of ZMM0 to ZMM15: the upper half */
#define ZMM_BYTES	64	/* of ZMM16 to ZMM31: all of it */
#define FCW_INITIAL	0x37f

#define ST_COUNT	8
#define TAG_EMPTY	3U

/* SDM 1, "XSAVE-Supported Features and State-Component Bitmaps". */
enum component {
	COMPONENT_X87, COMPONENT_SSE, COMPONENT_AVX, COMPONENT_MASKS = 5, COMPONENT_ZMM_HIGH,
	COMPONENT_HIGH_ZMM,
};

enum feature { CORE, SSE, AVX, AVX512, SEGMENTS, SYSTEM, FEATURES };

/*
 * PLAIN: at @at in the vCPU page, once @group is valid. SELECTOR: likewise. X87, SIMD: at
 * @at in the XSAVE area, of that component. TAGS: the tag word, which that has abridged.
 * The others: at @at in a component of AVX's or AVX-512's, wherever that is.
 */
enum kind { PLAIN, SELECTOR, X87, SIMD, TAGS, UPPER, MASK, ZMM_HIGH, HIGH_ZMM };

/* @bytes: as gdb has it; @stored: as it is at @at */
struct reg {
	const char *name;
	const char *type;
	enum feature feature;
	enum kind kind;
	unsigned int bytes;
	unsigned int stored;
	unsigned int group;
	unsigned int at;
};

#define IN_PAGE(member)	((unsigned int)offsetof(struct vee_vcpu_page, member))
#define GROUPED(name, type, feature, bytes, group, member)	\
	{ name, type, feature, PLAIN, bytes, bytes, group, IN_PAGE(member) }
#define GPR(name, type, bytes, member)	\
	GROUPED(name, type, CORE, bytes, VEE_STATE_REGS, regs.member)
#define SEGMENT(name)	{ #name, "int32", CORE, SELECTOR, 4, 2, VEE_STATE_SEGMENTS, \
			  IN_PAGE(segments.name.selector) }
#define ST(n)		{ "st" #n, "i387_ext", CORE, X87, 10, 10, 0, AREA_ST + (n) * AREA_ST_BYTES }
#define FPU(name, bytes, at)	{ name, "int", CORE, X87, 4, bytes, 0, at }
#define XMM(n)		{ "xmm" #n, "vec128", SSE, SIMD, 16, 16, 0, \
			  AREA_XMM + (n) * AREA_XMM_BYTES }
#define YMMH(n)		{ "ymm" #n "h", "uint128", AVX, UPPER, 16, 16, 0, (n) * AVX_BYTES }
#define MASK(n)		{ "k" #n, "uint64", AVX512, MASK, 8, 8, 0, (n) * MASK_BYTES }
#define ZMMH(n)		{ "zmm" #n "h", "v2ui128", AVX512, ZMM_HIGH, 32, 32, 0, (n) * UPPER_BYTES }
#define HIGH(name, type, bytes, n, at)	\
	{ name, type, AVX512, HIGH_ZMM, bytes, bytes, 0, ((n) - 16) * ZMM_BYTES + (at) }
#define HIGH_XMM(n)	HIGH("xmm" #n, "vec128", 16, n, 0)
#define HIGH_YMMH(n)	HIGH("ymm" #n "h", "uint128", 16, n, 16)
#define HIGH_ZMMH(n)	HIGH("zmm" #n "h", "v2ui128", 32, n, 32)
#define BASE(name, member)	\
	GROUPED(name, "int64", SEGMENTS, 8, VEE_STATE_SEGMENTS, segments.member.base)
#define OF_SYSTEM(name, group, member) \
	GROUPED(name, "uint64", SYSTEM, 8, group, member)

static const struct reg general_64[] = {
	GPR("rax", "int64", 8, rax), GPR("rbx", "int64", 8, rbx),
	GPR("rcx", "int64", 8, rcx), GPR("rdx", "int64", 8, rdx),
	GPR("rsi", "int64", 8, rsi), GPR("rdi", "int64", 8, rdi),
	GPR("rbp", "data_ptr", 8, rbp), GPR("rsp", "data_ptr", 8, rsp),
	GPR("r8", "int64", 8, r8), GPR("r9", "int64", 8, r9),
	GPR("r10", "int64", 8, r10), GPR("r11", "int64", 8, r11),
	GPR("r12", "int64", 8, r12), GPR("r13", "int64", 8, r13),
	GPR("r14", "int64", 8, r14), GPR("r15", "int64", 8, r15),
	GPR("rip", "code_ptr", 8, rip), GPR("eflags", "eflags", 4, rflags),
};

static const struct reg general_32[] = {
	GPR("eax", "int32", 4, rax), GPR("ecx", "int32", 4, rcx),
	GPR("edx", "int32", 4, rdx), GPR("ebx", "int32", 4, rbx),
	GPR("esp", "data_ptr", 4, rsp), GPR("ebp", "data_ptr", 4, rbp),
	GPR("esi", "int32", 4, rsi), GPR("edi", "int32", 4, rdi),
	GPR("eip", "code_ptr", 4, rip), GPR("eflags", "eflags", 4, rflags),
};

static const struct reg other_core[] = {
	SEGMENT(cs), SEGMENT(ss), SEGMENT(ds), SEGMENT(es), SEGMENT(fs), SEGMENT(gs),
	ST(0), ST(1), ST(2), ST(3), ST(4), ST(5), ST(6), ST(7),
	FPU("fctrl", 2, AREA_FCW), FPU("fstat", 2, AREA_FSW),
	{ "ftag", "int", CORE, TAGS, 4, 1, 0, AREA_TAGS },
	FPU("fiseg", 2, AREA_FCS), FPU("fioff", 4, AREA_FIP),
	FPU("foseg", 2, AREA_FDS), FPU("fooff", 4, AREA_FDP), FPU("fop", 2, AREA_FOP),
};

static const struct reg vectors[] = {
	{ "mxcsr", "int32", SSE, SIMD, 4, 4, 0, AREA_MXCSR },
	XMM(0), XMM(1), XMM(2), XMM(3), XMM(4), XMM(5), XMM(6), XMM(7),
};

static const struct reg more_vectors[] = {
	XMM(8), XMM(9), XMM(10), XMM(11), XMM(12), XMM(13), XMM(14), XMM(15),
};

static const struct reg upper_halves[] = {
	YMMH(0), YMMH(1), YMMH(2), YMMH(3), YMMH(4), YMMH(5), YMMH(6), YMMH(7),
};

static const struct reg more_upper_halves[] = {
	YMMH(8), YMMH(9), YMMH(10), YMMH(11), YMMH(12), YMMH(13), YMMH(14), YMMH(15),
};

static const struct reg masks[] = {
	MASK(0), MASK(1), MASK(2), MASK(3), MASK(4), MASK(5), MASK(6), MASK(7),
};

static const struct reg zmm_highs[] = {
	ZMMH(0), ZMMH(1), ZMMH(2), ZMMH(3), ZMMH(4), ZMMH(5), ZMMH(6), ZMMH(7),
};

static const struct reg more_zmm_highs[] = {
	ZMMH(8), ZMMH(9), ZMMH(10), ZMMH(11), ZMMH(12), ZMMH(13), ZMMH(14), ZMMH(15),
};

static const struct reg high_zmms[] = {
	HIGH_XMM(16), HIGH_XMM(17), HIGH_XMM(18), HIGH_XMM(19), HIGH_XMM(20), HIGH_XMM(21),
	HIGH_XMM(22), HIGH_XMM(23), HIGH_XMM(24), HIGH_XMM(25), HIGH_XMM(26), HIGH_XMM(27),
	HIGH_XMM(28), HIGH_XMM(29), HIGH_XMM(30), HIGH_XMM(31),
	HIGH_YMMH(16), HIGH_YMMH(17), HIGH_YMMH(18), HIGH_YMMH(19), HIGH_YMMH(20),
	HIGH_YMMH(21), HIGH_YMMH(22), HIGH_YMMH(23), HIGH_YMMH(24), HIGH_YMMH(25),
	HIGH_YMMH(26), HIGH_YMMH(27), HIGH_YMMH(28), HIGH_YMMH(29), HIGH_YMMH(30),
	HIGH_YMMH(31),
	HIGH_ZMMH(16), HIGH_ZMMH(17), HIGH_ZMMH(18), HIGH_ZMMH(19), HIGH_ZMMH(20),
	HIGH_ZMMH(21), HIGH_ZMMH(22), HIGH_ZMMH(23), HIGH_ZMMH(24), HIGH_ZMMH(25),
	HIGH_ZMMH(26), HIGH_ZMMH(27), HIGH_ZMMH(28), HIGH_ZMMH(29), HIGH_ZMMH(30),
	HIGH_ZMMH(31),
};

static const struct reg bases[] = {
	BASE("fs_base", fs), BASE("gs_base", gs),
};

static const struct reg system_regs[] = {
	OF_SYSTEM("cr0", VEE_STATE_CONTROL, control.cr0),
	OF_SYSTEM("cr2", VEE_STATE_CONTROL, control.cr2),
	OF_SYSTEM("cr3", VEE_STATE_CONTROL, control.cr3),
	OF_SYSTEM("cr4", VEE_STATE_CONTROL, control.cr4),
	OF_SYSTEM("cr8", VEE_STATE_CONTROL, control.cr8),
	OF_SYSTEM("efer", VEE_STATE_CONTROL, control.efer),
	OF_SYSTEM("cs_base", VEE_STATE_SEGMENTS, segments.cs.base),
	OF_SYSTEM("ss_base", VEE_STATE_SEGMENTS, segments.ss.base),
	OF_SYSTEM("gdtr_base", VEE_STATE_SEGMENTS, segments.gdtr.base),
	OF_SYSTEM("idtr_base", VEE_STATE_SEGMENTS, segments.idtr.base),
	OF_SYSTEM("tr_base", VEE_STATE_SEGMENTS, segments.tr.base),
	OF_SYSTEM("k_gs_base", VEE_STATE_MSRS, msrs.kernel_gs_base),
	OF_SYSTEM("lstar", VEE_STATE_MSRS, msrs.lstar),
};

#define COUNT(list)	(sizeof(list) / sizeof(*(list)))

/* Those of both architectures in a row, and what one alone has; NULL: the end. */
struct list {
	const struct reg *regs;
	unsigned int count;
};

#define LIST(regs)	{ regs, COUNT(regs) }

static const struct list lists_64[] = {
	LIST(general_64), LIST(other_core), LIST(vectors), LIST(more_vectors), LIST(bases),
	LIST(system_regs), { NULL, 0 },
};

static const struct list lists_64_avx[] = {
	LIST(general_64), LIST(other_core), LIST(vectors), LIST(more_vectors),
	LIST(upper_halves), LIST(more_upper_halves), LIST(bases), LIST(system_regs), { NULL, 0 },
};

static const struct list lists_64_avx512[] = {
	LIST(general_64), LIST(other_core), LIST(vectors), LIST(more_vectors),
	LIST(upper_halves), LIST(more_upper_halves), LIST(masks), LIST(zmm_highs),
	LIST(more_zmm_highs), LIST(high_zmms), LIST(bases), LIST(system_regs), { NULL, 0 },
};

static const struct list lists_32[] = {
	LIST(general_32), LIST(other_core), LIST(vectors), LIST(system_regs), { NULL, 0 },
};

static const struct list lists_32_avx[] = {
	LIST(general_32), LIST(other_core), LIST(vectors), LIST(upper_halves),
	LIST(system_regs), { NULL, 0 },
};

static const struct list lists_32_avx512[] = {
	LIST(general_32), LIST(other_core), LIST(vectors), LIST(upper_halves), LIST(masks),
	LIST(zmm_highs), LIST(system_regs), { NULL, 0 },
};

static bool has_avx(const struct vee_gdb *gdb)
{
	return gdb->at[COMPONENT_AVX];
}

/* gdb knows all three components or none. */
static bool has_avx512(const struct vee_gdb *gdb)
{
	return has_avx(gdb) && gdb->at[COMPONENT_MASKS] && gdb->at[COMPONENT_ZMM_HIGH] &&
	       gdb->at[COMPONENT_HIGH_ZMM];
}

static const struct list *lists(const struct vee_gdb *gdb)
{
	if (has_avx512(gdb))
		return gdb->i386 ? lists_32_avx512 : lists_64_avx512;
	if (has_avx(gdb))
		return gdb->i386 ? lists_32_avx : lists_64_avx;
	return gdb->i386 ? lists_32 : lists_64;
}

static const unsigned int component_bytes[XSAVE_COMPONENTS] = {
	[COMPONENT_AVX] = 16 * AVX_BYTES,
	[COMPONENT_MASKS] = 8 * MASK_BYTES,
	[COMPONENT_ZMM_HIGH] = 16 * UPPER_BYTES,
	[COMPONENT_HIGH_ZMM] = 16 * ZMM_BYTES,
};

void registers_look(struct vee_gdb *gdb)
{
	uint32_t room = vm_xsave_bytes(gdb->cpu->vcpu->vm);

	for (unsigned int i = 0; i < XSAVE_COMPONENTS; i++) {
		unsigned int at = component_bytes[i] ? xsave_offset(i) : 0;

		gdb->at[i] = at && within(at, component_bytes[i], room) ? at : 0;
	}
}

unsigned int registers_count(const struct vee_gdb *gdb)
{
	unsigned int count = 0;

	for (const struct list *list = lists(gdb); list->regs; list++)
		count += list->count;
	return count;
}

static const struct reg *find(const struct vee_gdb *gdb, unsigned int number)
{
	const struct list *list = lists(gdb);

	while (number >= list->count)
		number -= list++->count;
	return &list->regs[number];
}

unsigned int register_bytes(const struct vee_gdb *gdb, unsigned int number)
{
	return find(gdb, number)->bytes;
}

/* --- the XSAVE area --- */

static int fetch_area(struct gdb_cpu *cpu)
{
	int err = 0;

	if (!cpu->has_area)
		err = vee_vcpu_get_xsave(cpu->vcpu, cpu->area, vm_xsave_bytes(cpu->vcpu->vm));
	cpu->has_area = !err;
	return err;
}

static enum component component(const struct reg *reg)
{
	static const enum component of[] = {
		[X87] = COMPONENT_X87, [TAGS] = COMPONENT_X87, [SIMD] = COMPONENT_SSE,
		[UPPER] = COMPONENT_AVX, [MASK] = COMPONENT_MASKS,
		[ZMM_HIGH] = COMPONENT_ZMM_HIGH, [HIGH_ZMM] = COMPONENT_HIGH_ZMM,
	};

	return of[reg->kind];
}

/* What is in the area's first 512 bytes is at 0 there. */
static uint8_t *in_area(struct vee_gdb *gdb, const struct reg *reg)
{
	return gdb->cpu->area + gdb->at[component(reg)] + reg->at;
}

static bool is_mxcsr(const struct reg *reg)
{
	return reg->kind == SIMD && reg->at == AREA_MXCSR;
}

/* A component that is in its initial state has none in the area, but for MXCSR. */
static bool is_initial(const struct vee_gdb *gdb, const struct reg *reg)
{
	return !is_mxcsr(reg) && !(gdb->cpu->area[AREA_BV] >> component(reg) & 1);
}

static void make_present(struct vee_gdb *gdb, const struct reg *reg)
{
	const uint16_t fcw = FCW_INITIAL;

	if (!is_initial(gdb, reg))
		return;
	gdb->cpu->area[AREA_BV] |= 1U << component(reg);
	if (reg->kind >= UPPER) {
		memset(gdb->cpu->area + gdb->at[component(reg)], 0,
		       component_bytes[component(reg)]);
		return;
	}
	if (reg->kind == SIMD) {
		memset(gdb->cpu->area + AREA_XMM, 0, 16 * AREA_XMM_BYTES);
		return;
	}
	memset(gdb->cpu->area, 0, AREA_MXCSR);
	memset(gdb->cpu->area + AREA_ST, 0, ST_COUNT * AREA_ST_BYTES);
	memcpy(gdb->cpu->area + AREA_FCW, &fcw, sizeof(fcw));
}

/* Two bits a register, where the area has one: not empty. gdb finds out the rest. */
static uint32_t full_tags(uint8_t tags)
{
	uint32_t full = 0;

	for (unsigned int i = 0; i < ST_COUNT; i++)
		if (!(tags >> i & 1))
			full |= TAG_EMPTY << (2 * i);
	return full;
}

static uint8_t abridged_tags(uint32_t full)
{
	uint8_t tags = 0;

	for (unsigned int i = 0; i < ST_COUNT; i++)
		if ((full >> (2 * i) & TAG_EMPTY) != TAG_EMPTY)
			tags |= 1 << i;
	return tags;
}

static int read_area(struct vee_gdb *gdb, const struct reg *reg, void *value)
{
	uint32_t initial = reg->kind == X87 && reg->at == AREA_FCW ? FCW_INITIAL : 0;
	uint32_t tags;
	int err = fetch_area(gdb->cpu);

	if (err)
		return err;
	if (reg->kind == TAGS) {
		tags = full_tags(is_initial(gdb, reg) ? 0 : gdb->cpu->area[AREA_TAGS]);
		memcpy(value, &tags, sizeof(tags));
	} else if (is_initial(gdb, reg)) {
		memcpy(value, &initial, sizeof(initial));
	} else {
		memcpy(value, in_area(gdb, reg), reg->stored);
	}
	return 0;
}

/* It has been fetched, for what the register was. */
static int write_area(struct vee_gdb *gdb, const struct reg *reg, const void *value)
{
	struct gdb_cpu *cpu = gdb->cpu;
	uint32_t tags;

	make_present(gdb, reg);
	if (reg->kind == TAGS) {
		memcpy(&tags, value, sizeof(tags));
		gdb->cpu->area[AREA_TAGS] = abridged_tags(tags);
	} else {
		memcpy(in_area(gdb, reg), value, reg->stored);
	}
	gdb->cpu->has_area = false;		/* what is refused is forgotten */
	return vee_vcpu_set_xsave(cpu->vcpu, cpu->area, vm_xsave_bytes(cpu->vcpu->vm));
}

/* --- the page --- */

static void *place(struct vee_gdb *gdb, const struct reg *reg)
{
	return (uint8_t *)gdb->cpu->vcpu->page + reg->at;
}

/* In real mode it has a base; elsewhere its descriptor would have to be looked at. */
static int write_selector(struct vee_gdb *gdb, const struct reg *reg, const void *value)
{
	struct vee_segment *segment = (void *)((uint8_t *)place(gdb, reg) -
					       offsetof(struct vee_segment, selector));
	uint16_t selector;
	int err = vee_vcpu_sync(gdb->cpu->vcpu, VEE_STATE_CONTROL);

	if (err)
		return err;
	if (gdb->cpu->vcpu->page->control.cr0 & CR0_PE)
		return -EOPNOTSUPP;
	memcpy(&selector, value, sizeof(selector));
	segment->selector = selector;
	segment->base = (uint64_t)selector << 4;
	return 0;
}

static int write_page(struct vee_gdb *gdb, const struct reg *reg, const void *value)
{
	struct vee_vcpu_page *page = gdb->cpu->vcpu->page;
	int err = vee_vcpu_sync(gdb->cpu->vcpu, reg->group);

	if (!err && reg->kind == SELECTOR)
		err = write_selector(gdb, reg, value);
	else if (!err)
		memcpy(place(gdb, reg), value, reg->stored);
	if (err)
		return err;
	page->regs.rflags |= RFLAGS_1;
	page->dirty |= reg->group;
	return 0;
}

int register_read(struct vee_gdb *gdb, unsigned int number, void *value)
{
	const struct reg *reg = find(gdb, number);
	int err;

	memset(value, 0, reg->bytes);
	if (reg->kind >= X87)
		return read_area(gdb, reg, value);
	err = vee_vcpu_sync(gdb->cpu->vcpu, reg->group);
	if (!err)
		memcpy(value, place(gdb, reg), reg->stored);
	return err;
}

int register_write(struct vee_gdb *gdb, unsigned int number, const void *value)
{
	const struct reg *reg = find(gdb, number);
	uint8_t now[REGISTER_BYTES];
	int err = register_read(gdb, number, now);

	if (err || !memcmp(now, value, reg->bytes))
		return err;
	return reg->kind >= X87 ? write_area(gdb, reg, value) : write_page(gdb, reg, value);
}

/* --- the description --- */

static const char *const features[FEATURES] = {
	[CORE] = "org.gnu.gdb.i386.core",
	[SSE] = "org.gnu.gdb.i386.sse",
	[AVX] = "org.gnu.gdb.i386.avx",
	[AVX512] = "org.gnu.gdb.i386.avx512",
	[SEGMENTS] = "org.gnu.gdb.i386.segments",
	[SYSTEM] = "org.vee.system",
};

struct flag {
	const char *name;
	unsigned int bit;
};

static const struct flag eflags[] = {
	{ "CF", 0 }, { "", 1 }, { "PF", 2 }, { "AF", 4 }, { "ZF", 6 }, { "SF", 7 },
	{ "TF", 8 }, { "IF", 9 }, { "DF", 10 }, { "OF", 11 }, { "NT", 14 }, { "RF", 16 },
	{ "VM", 17 }, { "AC", 18 }, { "VIF", 19 }, { "VIP", 20 }, { "ID", 21 },
};

static void describe_eflags(FILE *out)
{
	fputs("<flags id=\"eflags\" size=\"4\">\n", out);
	for (unsigned int i = 0; i < COUNT(eflags); i++)
		fprintf(out, "<field name=\"%s\" start=\"%u\" end=\"%u\"/>\n",
			eflags[i].name, eflags[i].bit, eflags[i].bit);
	fputs("</flags>\n", out);
}

/* A register of 128 bits as what it may hold. */
static void describe_vectors(FILE *out)
{
	static const struct {
		const char *name, *type;
		unsigned int count;
	} views[] = {
		{ "v4_float", "ieee_single", 4 }, { "v2_double", "ieee_double", 2 },
		{ "v16_int8", "int8", 16 }, { "v8_int16", "int16", 8 },
		{ "v4_int32", "int32", 4 }, { "v2_int64", "int64", 2 },
	};

	for (unsigned int i = 0; i < COUNT(views); i++)
		fprintf(out, "<vector id=\"%s_t\" type=\"%s\" count=\"%u\"/>\n",
			views[i].name, views[i].type, views[i].count);
	fputs("<union id=\"vec128\">\n", out);
	for (unsigned int i = 0; i < COUNT(views); i++)
		fprintf(out, "<field name=\"%s\" type=\"%s_t\"/>\n", views[i].name,
			views[i].name);
	fputs("<field name=\"uint128\" type=\"uint128\"/>\n</union>\n", out);
}

static void describe_feature(struct vee_gdb *gdb, FILE *out, enum feature feature)
{
	fprintf(out, "<feature name=\"%s\">\n", features[feature]);
	if (feature == CORE)
		describe_eflags(out);
	else if (feature == SSE || feature == AVX512)
		describe_vectors(out);
	if (feature == AVX512)
		fputs("<vector id=\"v2ui128\" type=\"uint128\" count=\"2\"/>\n", out);
	for (unsigned int i = 0; i < registers_count(gdb); i++) {
		const struct reg *reg = find(gdb, i);

		if (reg->feature == feature)
			fprintf(out, "<reg name=\"%s\" bitsize=\"%u\" type=\"%s\"/>\n",
				reg->name, reg->bytes * 8, reg->type);
	}
	fputs("</feature>\n", out);
}

static bool has_feature(const struct vee_gdb *gdb, enum feature feature)
{
	switch (feature) {
	case AVX:
		return has_avx(gdb);
	case AVX512:
		return has_avx512(gdb);
	case SEGMENTS:
		return !gdb->i386;
	default:
		return true;
	}
}

static void describe(struct vee_gdb *gdb, FILE *out)
{
	fprintf(out, "<?xml version=\"1.0\"?>\n<!DOCTYPE target SYSTEM \"gdb-target.dtd\">\n"
		"<target version=\"1.0\">\n<architecture>%s</architecture>\n",
		gdb->i386 ? "i386" : "i386:x86-64");
	for (enum feature i = 0; i < FEATURES; i++)
		if (has_feature(gdb, i))
			describe_feature(gdb, out, i);
	fputs("</target>\n", out);
}

/* Without memory for it the one that there is stays. */
int registers_describe(struct vee_gdb *gdb)
{
	char *text = NULL;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);

	if (!out)
		return -ENOMEM;
	describe(gdb, out);
	if (fclose(out)) {
		free(text);
		return -ENOMEM;
	}
	free(gdb->description);
	gdb->description = text;
	gdb->description_bytes = bytes;
	return 0;
}
