// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guests of the fuzzer's, compared: is there a difference between what came of one under vee and
 * under KVM, and what does it come from?
 */
#include "fuzz_guest_compare.h"

uint8_t *memory_vee, *memory_kvm;

/* --- comparison ------------------------------------------------------------------------- */

#define FX_BYTES	24	/* of the legacy region: what x87 notes */
#define MXCSR_MASK	28
#define ST		32
#define XMM		160
#define XMM_END		416
#define XSTATE_BV	512
#define YMM		576
#define YMM_END		832

static bool same_segment(const struct vee_segment *a, const struct vee_segment *b)
{
	if (a->access_rights & b->access_rights & VEE_AR_UNUSABLE)
		return a->selector == b->selector;
	return a->base == b->base && a->limit == b->limit && a->selector == b->selector &&
	       a->access_rights == b->access_rights;
}

static bool same_segments(const struct vee_segments *a, const struct vee_segments *b)
{
	/* ES to TR. */
	for (int i = 0; i < 8; i++)
		if (!same_segment(&a->es + i, &b->es + i))
			return false;
	return a->gdtr.base == b->gdtr.base && a->gdtr.limit == b->gdtr.limit &&
	       a->idtr.base == b->idtr.base && a->idtr.limit == b->idtr.limit;
}

static bool same_control(const struct vee_control *a, const struct vee_control *b)
{
	return a->cr0 == b->cr0 && a->cr2 == b->cr2 && a->cr3 == b->cr3 && a->cr4 == b->cr4 &&
	       a->cr8 == b->cr8 && a->efer == b->efer;
}

/* What the area doesn't hold is as at first: SDM 1, "XSAVE-Supported Features". */
static void fill_in(uint8_t *area)
{
	if (!(area[XSTATE_BV] & 1)) {
		memset(area, 0, FX_BYTES);
		memcpy(area, "\x7f\x03", 2);
		memset(area + ST, 0, XMM - ST);
	}
	if (!(area[XSTATE_BV] & 2))
		memset(area + XMM, 0, XMM_END - XMM);
	if (!(area[XSTATE_BV] & 4))
		memset(area + YMM, 0, YMM_END - YMM);
	memset(area + MXCSR_MASK, 0, 4);
	memset(area + XMM_END, 0, YMM - XMM_END);
	area[XSTATE_BV] = 7;
}

static const char *end_differs(struct state *a, struct state *b)
{
	if (memcmp(a->debug.dr, b->debug.dr, sizeof(a->debug.dr)) ||
	    a->debug.dr6 != b->debug.dr6 || a->debug.dr7 != b->debug.dr7)
		return "debug registers";
	a->msrs.tsc_offset = b->msrs.tsc_offset;
	if (memcmp(&a->msrs, &b->msrs, sizeof(a->msrs)) || a->debugctl != b->debugctl)
		return "MSRs";
	fill_in(a->xsave);
	fill_in(b->xsave);
	return memcmp(a->xsave, b->xsave, YMM_END) ? "x87, SSE or AVX" : NULL;
}

static const char *step_differs(const struct step *a, const struct step *b)
{
	if (a->stop != b->stop)
		return "exit";
	if (a->stop == END_REFUSED_ENTRY)
		return NULL;
	if (a->what != b->what || a->value != b->value)
		return "what the exit tells";
	if (memcmp(&a->regs, &b->regs, sizeof(a->regs)))
		return "registers";
	if (!same_segments(&a->segments, &b->segments))
		return "segments";
	if (!same_control(&a->control, &b->control))
		return "control registers";
	return a->blocking == b->blocking ? NULL : "blocking by STI or MOV SS";
}

bool same_bus(const struct trail *a, const struct trail *b, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		if (a->bus[i].address != b->bus[i].address || a->bus[i].byte != b->bus[i].byte ||
		    a->bus[i].is_write != b->bus[i].is_write ||
		    a->bus[i].is_port != b->bus[i].is_port)
			return false;
	return true;
}

const struct step *last_step(const struct trail *trail)
{
	return &trail->steps[trail->step_count - 1];
}

bool has_end(const struct trail *trail)
{
	enum stop stop = last_step(trail)->stop;

	return stop == END_HLT || stop == END_SHUTDOWN;
}

const char *trails_differ(struct trail *a, struct trail *b)
{
	unsigned int both = a->step_count < b->step_count ? a->step_count : b->step_count;
	bool ended = has_end(a) && has_end(b);
	const char *what;

	for (unsigned int i = 0; i < both; i++) {
		if (a->steps[i].stop > END_REFUSED_ENTRY || b->steps[i].stop > END_REFUSED_ENTRY)
			return NULL;
		if (a->steps[i].bus != b->steps[i].bus ||
		    !same_bus(a, b, a->steps[i].bus))
			return "what went over the bus";
		what = step_differs(&a->steps[i], &b->steps[i]);
		if (what)
			return what;
	}
	if (!ended)
		return NULL;
	if (last_step(a)->control.xcr0 != last_step(b)->control.xcr0)
		return "XCR0";
	return end_differs(&a->end, &b->end);
}

const char *find_difference(struct trail *vee, struct trail *kvm)
{
	const char *what = trails_differ(vee, kvm);

	if (what || !has_end(vee) || !has_end(kvm))
		return what;
	return memcmp(memory_vee, memory_kvm, RAM_BYTES) ? "memory" : NULL;
}

/* --- what a difference comes from ------------------------------------------------------- */

void run_both(const struct guest *g, struct trail *vee, struct trail *kvm)
{
	run_on(&engine_vee, g, vee, NULL);
	run_on(&engine_kvm, g, kvm, vee);
}

void keep(struct kept *kept)
{
	memcpy(kept->of_vee, memory_vee, RAM_BYTES);
	memcpy(kept->of_kvm, memory_kvm, RAM_BYTES);
}

void give_back(const struct kept *kept)
{
	memcpy(memory_vee, kept->of_vee, RAM_BYTES);
	memcpy(memory_kvm, kept->of_kvm, RAM_BYTES);
}

void drop_beats(struct trail *trail, unsigned int first, unsigned int count)
{
	memmove(trail->bus + first, trail->bus + first + count,
		(trail->bus_count - first - count) * sizeof(*trail->bus));
	trail->bus_count -= count;
	for (unsigned int i = 0; i < trail->step_count; i++)
		if (trail->steps[i].bus >= first + count)
			trail->steps[i].bus -= count;
		else if (trail->steps[i].bus > first)
			trail->steps[i].bus = first;
}

static bool is_beyond(const struct beat *beat)
{
	return !beat->is_port && beat->address - GPA_MMIO >= MMIO_BYTES;
}

/* Where did it go? To the device not any more. */
static struct went drop_device(struct trail *trail)
{
	struct went went = { 0 };

	for (unsigned int i = trail->bus_count; i-- > 0;) {
		if (trail->bus[i].is_port)
			continue;
		if (is_beyond(&trail->bus[i])) {
			went.beyond = true;
			continue;
		}
		went.device = true;
		drop_beats(trail, i, 1);
	}
	return went;
}

static bool same_stop(const struct trail *vee, const struct trail *plain)
{
	return last_step(vee)->stop == END_CANNOT ||
	       last_step(vee)->stop == last_step(plain)->stop;
}

bool run_plain(const struct guest *g, struct trail *plain, struct went *went)
{
	static uint8_t of_device[MMIO_BYTES];
	static struct kept kept, now;
	static struct trail vee;
	bool right;

	keep(&kept);
	run_on(&engine_vee, g, &vee, NULL);
	memcpy(of_device, device, MMIO_BYTES);
	keep(&now);
	run_on(&engine_plain, g, plain, NULL);
	*went = drop_device(&vee);
	right = same_stop(&vee, plain) && !trails_differ(&vee, plain);
	if (right && has_end(plain))
		right = !memcmp(now.of_vee, memory_vee, RAM_BYTES) &&
			!memcmp(of_device, device, MMIO_BYTES);
	give_back(&kept);
	return right;
}

bool is_as_plain(const struct guest *g, struct went *went)
{
	static struct trail plain;

	return run_plain(g, &plain, went);
}

bool is_right(const struct guest *g)
{
	struct went went;

	return is_as_plain(g, &went) && went.device && !went.beyond;
}

bool is_right_without(const struct guest *g)
{
	struct went went;

	return is_as_plain(g, &went) && !went.device && !went.beyond;
}

/* What is in @gpa of memory from now on. */
static uint8_t exchange(uint32_t gpa, uint8_t byte)
{
	uint8_t before = pristine[gpa];

	pristine[gpa] = byte;
	return before;
}

bool is_right_until(const struct guest *g, uint32_t gpa)
{
	uint8_t before = exchange(gpa, HLT);
	bool right = is_right(g);

	exchange(gpa, before);
	return right;
}

unsigned int first_beat(const struct trail *a, const struct trail *b)
{
	unsigned int first = 0;

	while (first < a->bus_count && first < b->bus_count && same_bus(a, b, first + 1))
		first++;
	return first;
}

/* Where they part on the bus; vee's if it has more of it. NULL: nowhere. */
static const struct beat *parting_beat(const struct difference *d)
{
	unsigned int first = first_beat(d->vee, d->kvm);

	if (first < d->vee->bus_count)
		return &d->vee->bus[first];
	return first < d->kvm->bus_count ? &d->kvm->bus[first] : NULL;
}

bool is_right_there(const struct difference *d)
{
	const struct beat *beat = parting_beat(d);
	struct went went;

	return beat && !beat->is_port && !is_beyond(beat) && is_as_plain(d->g, &went) &&
	       went.device;
}

bool is_right_or_beyond(const struct difference *d)
{
	const struct beat *beat = parting_beat(d);

	return (beat && is_beyond(beat)) || is_right(d->g) || is_right_there(d);
}

struct trail *copy_of(const struct trail *kvm)
{
	static struct trail copy;

	copy = *kvm;
	return &copy;
}

bool is_hlt_step(const struct difference *d)
{
	struct trail *kvm = copy_of(d->kvm);

	if (last_step(kvm)->stop != END_HLT || !(last_step(kvm)->regs.rflags & RFLAGS_TF) ||
	    !(kvm->end.debug.dr6 & DR6_BS))
		return false;
	kvm->end.debug.dr6 &= ~DR6_BS;
	return !find_difference(d->vee, kvm);
}

static bool is_other(const struct trail *a, const struct trail *b)
{
	return a->step_count != b->step_count || a->bus_count != b->bus_count ||
	       last_step(a)->stop != last_step(b)->stop ||
	       memcmp(&last_step(a)->regs, &last_step(b)->regs, sizeof(struct vee_regs));
}

/* With @count bytes of @code at @gpa, likewise. */
static bool is_same_with(const struct difference *d, uint32_t gpa, const uint8_t *code,
			 unsigned int count)
{
	static struct trail vee, kvm;
	struct difference until = { d->g, NULL, &vee, &kvm };
	uint8_t before[INSN_MOST];
	static struct kept kept;
	bool same;

	keep(&kept);
	memcpy(before, pristine + gpa, count);
	memcpy(pristine + gpa, code, count);
	engine_kvm.renew();
	run_both(d->g, &vee, &kvm);
	until.what = find_difference(&vee, &kvm);
	memcpy(pristine + gpa, before, count);
	memcpy(memory_vee + gpa, kept.of_vee + gpa, count);
	memcpy(memory_kvm + gpa, kept.of_vee + gpa, count);
	same = (is_other(d->vee, &vee) || memcmp(kept.of_vee, memory_vee, RAM_BYTES)) &&
	       (!until.what || is_hlt_step(&until));
	give_back(&kept);
	return same;
}

bool is_same_until(const struct difference *d, uint32_t gpa)
{
	static const uint8_t hlt[] = { HLT }, ud2[] = { 0x0f, 0x0b };

	if (gpa > RAM_BYTES - sizeof(ud2))
		return false;
	return is_same_with(d, gpa, hlt, sizeof(hlt)) ||
	       (is_at(d->vee, 13) && is_same_with(d, gpa, ud2, sizeof(ud2)));
}

bool is_second(uint8_t byte, int second)
{
	if (second == NO_MORE)
		return true;
	return second & 0x100 ? (byte & 0x38) == (second & 0x38) : byte == second;
}

static bool is_prefix(uint8_t byte)
{
	static const uint8_t prefixes[] = {
		0x66, 0x67, 0x2e, 0x36, 0x3e, 0x26, 0x64, 0x65, 0xf0, 0xf2, 0xf3,
	};

	return memchr(prefixes, byte, sizeof(prefixes));
}

uint32_t skip_prefixes(uint32_t gpa)
{
	while (gpa < RAM_BYTES - 2 && is_prefix(pristine[gpa]))
		gpa++;
	return gpa;
}

static bool is_part(const struct difference *d, uint32_t gpa, uint8_t first, int second)
{
	return pristine[gpa] == first && is_second(pristine[gpa + 1], second) &&
	       is_same_until(d, gpa);
}

bool part_at(const struct difference *d, uint8_t first, int second)
{
	const struct beat *beat = parting_beat(d);

	for (unsigned int i = 0; i < d->g->bytes; i++)
		if (is_part(d, GPA_CODE + i, first, second))
			return true;
	if (is_part(d, 4 * first, first, second))
		return true;
	return beat && beat->rip && beat->rip < RAM_BYTES - INSN_MOST &&
	       is_part(d, skip_prefixes(beat->rip), first, second);
}

bool is_at(const struct trail *trail, unsigned int vector)
{
	return has_end(trail) && last_step(trail)->regs.rip == GPA_STUBS + vector + 1;
}

unsigned int length_at(const struct guest *g, uint32_t gpa)
{
	ZydisDecoder decoder;
	ZydisDecodedInstruction insn;

	make_decoder(&decoder, g->kind.width);
	return ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&decoder, NULL, pristine + gpa,
							  INSN_MOST, &insn)) ? insn.length : 0;
}

uint32_t fault_at(const struct trail *trail, const uint8_t *memory, bool has_code)
{
	const struct vee_control *control = &last_step(trail)->control;
	uint64_t rsp = last_step(trail)->regs.rsp;
	uint16_t frame[4];

	if (has_code)
		rsp += control->efer & EFER_LMA ? 8 : 4;
	if (rsp > RAM_BYTES - sizeof(frame))
		return UINT32_MAX;
	memcpy(frame, memory + rsp, sizeof(frame));
	if (!(control->cr0 & CR0_PE))
		return frame[0] + 16U * frame[1];
	return frame[0] | (uint32_t)frame[1] << 16;
}

/* @ends: do both come to an end, so that all is compared? */
static bool differs_nowhere(const struct guest *g, bool *ends)
{
	static struct trail vee, kvm;
	static struct kept kept;
	bool same;

	keep(&kept);
	engine_kvm.renew();
	run_both(g, &vee, &kvm);
	same = !find_difference(&vee, &kvm);
	*ends = has_end(&vee) && has_end(&kvm);
	give_back(&kept);
	return same;
}

bool is_alike(const struct guest *g)
{
	bool ends;

	return differs_nowhere(g, &ends);
}

bool is_alike_until(const struct guest *g, uint32_t gpa)
{
	uint8_t before = exchange(gpa, HLT);
	bool ends, same = differs_nowhere(g, &ends);

	exchange(gpa, before);
	return same && ends;
}

bool is_as_if(const struct guest *g, const struct guest *mended)
{
	static struct trail vee, kvm, before;
	struct difference d = { mended, NULL, &vee, &kvm };
	static struct kept kept;
	bool same;

	keep(&kept);
	engine_kvm.renew();
	run_both(mended, &vee, &kvm);
	d.what = find_difference(&vee, &kvm);
	same = last_step(&vee)->stop != END_REFUSED_ENTRY && (!d.what || find_known(&d));
	engine_kvm.renew();
	run_on(&engine_kvm, g, &before, &vee);
	same = same && !trails_differ(&before, &kvm);
	give_back(&kept);
	return same;
}

bool does_as_if(const struct difference *d, const struct guest *mended)
{
	static struct trail vee, kvm;
	static struct kept kept;
	bool same;

	keep(&kept);
	engine_kvm.renew();
	run_both(mended, &vee, &kvm);
	same = has_end(&vee) && !find_difference(&vee, &kvm) && !is_other(d->vee, &vee) &&
	       !memcmp(kept.of_vee, memory_vee, RAM_BYTES);
	give_back(&kept);
	return same;
}
