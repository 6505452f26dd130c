// SPDX-License-Identifier: LGPL-2.1-or-later
/* The stack, and where to go on: PUSH to IRET, jumps and calls. */
#include "mmio.h"

/* --- the stack pointer --- */

/* Bytes of it; the segments must be valid. */
static unsigned int stack_width(const struct guest *guest)
{
	if (guest->mode == 8)
		return 8;
	return guest->vcpu->page->segments.ss.access_rights & VEE_AR_DB ? 4 : 2;
}

/* Registers change when all is done: until then here is how far it came. */
struct stack {
	const struct guest *guest;
	uint64_t rsp;
	unsigned int item;	/* bytes */
};

static int open_stack(const struct guest *guest, struct stack *stack)
{
	*stack = (struct stack) {
		.guest = guest,
		.rsp = guest->vcpu->page->regs.rsp,
		.item = guest->insn->width,
	};
	return guest_sync(guest);
}

static void close_stack(const struct stack *stack)
{
	set_gpr(stack->guest->vcpu, RSP, stack_width(stack->guest), stack->rsp);
}

static int find_bytes(const struct stack *stack, uint64_t rsp, unsigned int bytes,
		      unsigned int access, struct guest_span *span)
{
	uint64_t offset = rsp & low_bits(stack_width(stack->guest));

	return guest_find_in(stack->guest, SEG_SS, offset, bytes, access, bytes, span);
}

static int find_item(const struct stack *stack, uint64_t rsp, unsigned int access,
		     struct guest_span *span)
{
	return find_bytes(stack, rsp, stack->item, access, span);
}

static int push_bytes(struct stack *stack, uint64_t value, unsigned int bytes)
{
	struct guest_span span;
	int err = find_bytes(stack, stack->rsp - stack->item, bytes, VEE_WRITE, &span);

	if (!err)
		err = guest_write(stack->guest, &span, &value, bytes);
	if (!err)
		stack->rsp -= stack->item;
	return err;
}

static int push(struct stack *stack, uint64_t value)
{
	return push_bytes(stack, value, stack->item);
}

static int pop_bytes(struct stack *stack, uint64_t *value, unsigned int bytes)
{
	struct guest_span span;
	int err = find_bytes(stack, stack->rsp, bytes, VEE_READ, &span);

	*value = 0;
	if (!err)
		err = guest_read(stack->guest, &span, value, bytes);
	if (!err)
		stack->rsp += stack->item;
	return err;
}

static int pop(struct stack *stack, uint64_t *value)
{
	return pop_bytes(stack, value, stack->item);
}

static int open_and_pop(const struct guest *guest, struct stack *stack, uint64_t *value)
{
	int err = open_stack(guest, stack);

	return err ? err : pop(stack, value);
}

/* --- PUSH, POP --- */

/* A fault of the operand's comes first; it is read when it is known that it can be pushed. */
static int push_memory(const struct guest *guest, struct stack *stack)
{
	struct guest_span span;
	uint64_t value;
	int err = operand_find(guest, guest->insn->width, VEE_READ, &span);

	if (!err)
		err = find_item(stack, stack->rsp - stack->item, VEE_WRITE, &span);
	if (!err)
		err = read_operand(guest, &value);
	return err ? err : push(stack, value);
}

/* Likewise one of the stack's. */
static int pop_memory(const struct guest *guest, struct stack *stack)
{
	unsigned int width = guest->insn->width;
	struct guest_span from, to;
	uint64_t value = 0;
	int err = find_item(stack, stack->rsp, VEE_READ, &from);

	if (!err)
		err = operand_find(guest, width, VEE_WRITE, &to);
	if (!err)
		err = guest_read(guest, &from, &value, width);
	if (!err)
		err = guest_write(guest, &to, &value, width);
	if (!err)
		stack->rsp += stack->item;
	return err;
}

/* Of 32 bits the upper half stays as it is, of 64 it is zero: SDM 2B, "PUSH". */
static int push_segment(struct stack *stack, uint16_t selector)
{
	return push_bytes(stack, selector, stack->item == sizeof(uint64_t) ?
					   sizeof(uint64_t) : sizeof(uint16_t));
}

int do_push(const struct guest *guest)
{
	const struct insn *insn = guest->insn;
	struct stack stack;
	int err = open_stack(guest, &stack);

	if (err)
		return err;
	if (insn->in_memory)
		err = push_memory(guest, &stack);
	else if (insn->is_segment)
		err = push_segment(&stack, guest_segment(guest, insn->reg)->selector);
	else
		err = push(&stack, insn->has_imm ? insn->imm :
						   guest->vcpu->page->regs.gpr[insn->reg]);
	if (!err)
		close_stack(&stack);
	return err;
}

int do_pop(const struct guest *guest)
{
	const struct insn *insn = guest->insn;
	struct stack stack;
	uint64_t value;
	int err = open_stack(guest, &stack);

	if (!err)
		err = insn->in_memory ? pop_memory(guest, &stack) : pop(&stack, &value);
	if (err)
		return err;
	close_stack(&stack);
	/* POP RSP: what was popped counts. */
	if (!insn->in_memory)
		set_gpr(guest->vcpu, insn->reg, insn->width, value);
	return 0;
}

int do_pop_segment(const struct guest *guest)
{
	struct stack stack;
	uint64_t value;
	int err = open_stack(guest, &stack);

	/* SDM 2, "PUSH": of a segment register it is a move of 16 bits; of POP likewise. */
	if (!err)
		err = pop_bytes(&stack, &value, sizeof(uint16_t));
	if (err)
		return err;
	/* By the width of the old one. */
	if (guest->insn->reg == SEG_SS) {
		uint64_t old = guest->vcpu->page->regs.rsp;

		close_stack(&stack);
		err = load_stack_segment(guest, value);
		if (err != INSN_RESUMED)
			guest->vcpu->page->regs.rsp = old;
		return err;
	}
	err = load_segment(guest, guest->insn->reg, value);
	if (!err)
		close_stack(&stack);
	return err;
}

int do_push_all(const struct guest *guest)
{
	struct stack stack;
	int err = open_stack(guest, &stack);

	for (unsigned int reg = RAX; !err && reg <= RDI; reg++)
		err = push(&stack, guest->vcpu->page->regs.gpr[reg]);
	if (!err)
		close_stack(&stack);
	return err;
}

int do_pop_all(const struct guest *guest)
{
	uint64_t values[RDI + 1];
	struct stack stack;
	int err = open_stack(guest, &stack);

	for (int reg = RDI; !err && reg >= RAX; reg--)
		err = pop(&stack, &values[reg]);
	if (err)
		return err;
	for (unsigned int reg = RAX; reg <= RDI; reg++)
		if (reg != RSP)
			set_gpr(guest->vcpu, reg, guest->insn->width, values[reg]);
	close_stack(&stack);
	return 0;
}

/* --- flags --- */

#define FLAGS_ALWAYS	(RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | \
			 RFLAGS_TF | RFLAGS_DF | RFLAGS_OF | RFLAGS_NT | RFLAGS_AC | \
			 RFLAGS_ID)

/* SDM 3B, "Virtual-8086 Mode Extensions": the program's IF is VIF then. */
static bool has_virtual_if(const struct guest *guest)
{
	return guest_is_virtual_8086(guest) && guest_iopl(guest) < 3;
}

/* Without CR4.VME, or by 32 bits, that is another's affair. */
static int check_virtual_if(const struct guest *guest)
{
	bool emulated = guest->vcpu->page->control.cr4 & CR4_VME && guest->insn->width == 2;

	return has_virtual_if(guest) && !emulated ? guest_fault(guest, VECTOR_GP, 0) : 0;
}

static uint64_t visible_flags(const struct guest *guest)
{
	uint64_t flags = guest->vcpu->page->regs.rflags & ~(RFLAGS_VM | RFLAGS_RF);

	if (!has_virtual_if(guest))
		return flags;
	flags &= ~RFLAGS_IF;
	return flags | RFLAGS_IOPL | (flags & RFLAGS_VIF ? RFLAGS_IF : 0);
}

int do_push_flags(const struct guest *guest)
{
	struct stack stack;
	int err = open_stack(guest, &stack);

	if (!err)
		err = check_virtual_if(guest);
	if (!err)
		err = push(&stack, visible_flags(guest));
	if (!err)
		close_stack(&stack);
	return err;
}

/* SDM 2, "POPF", table: what the privilege level lets be changed. */
static uint64_t changeable_flags(const struct guest *guest)
{
	unsigned int level = guest_cpl(guest);
	uint64_t mask = FLAGS_ALWAYS;

	if (!level || !(guest->vcpu->page->control.cr0 & CR0_PE))
		mask |= RFLAGS_IOPL | RFLAGS_IF;
	else if (level <= guest_iopl(guest))
		mask |= RFLAGS_IF;
	mask &= low_bits(guest->insn->width);
	return has_virtual_if(guest) ? mask | RFLAGS_VIF : mask;
}

/* What a program pops that has VIF for IF; #GP where it would need another's attention. */
static int take_virtual_if(const struct guest *guest, uint64_t *flags)
{
	uint64_t rflags = guest->vcpu->page->regs.rflags;

	if (!has_virtual_if(guest))
		return 0;
	if (*flags & RFLAGS_TF || (*flags & RFLAGS_IF && rflags & RFLAGS_VIP))
		return guest_fault(guest, VECTOR_GP, 0);
	*flags &= ~RFLAGS_VIF;
	if (*flags & RFLAGS_IF)
		*flags |= RFLAGS_VIF;
	return 0;
}

static void change_flags(const struct guest *guest, uint64_t value, uint64_t mask)
{
	struct vee_vcpu_page *page = guest->vcpu->page;

	page->regs.rflags = (page->regs.rflags & ~mask) | (value & mask);
	page->dirty |= VEE_STATE_REGS;
}

/* A TF that it sets traps after the next instruction, not after this one. */
int do_pop_flags(const struct guest *guest)
{
	struct stack stack;
	uint64_t value;
	int err = open_stack(guest, &stack);

	if (!err)
		err = check_virtual_if(guest);
	if (!err)
		err = pop(&stack, &value);
	if (!err)
		err = take_virtual_if(guest, &value);
	if (err)
		return err;
	close_stack(&stack);
	change_flags(guest, value, changeable_flags(guest));
	return complete_next(guest);
}

/* --- frames --- */

#define ENTER_LEVELS	31U

/* Pointers to the frames of those around it, and to its own. */
static int push_frames(struct stack *stack, unsigned int level, uint64_t frame)
{
	uint64_t rbp = stack->guest->vcpu->page->regs.rbp;
	int err = 0;

	for (unsigned int i = 1; !err && i < level; i++) {
		struct guest_span span;
		uint64_t value = 0;

		rbp -= stack->item;
		err = find_item(stack, rbp, VEE_READ, &span);
		if (!err)
			err = guest_read(stack->guest, &span, &value, stack->item);
		if (!err)
			err = push(stack, value);
	}
	if (!err && level)
		err = push(stack, frame);
	return err;
}

int do_enter(const struct guest *guest)
{
	const struct insn *insn = guest->insn;
	struct guest_span span;
	struct stack stack;
	uint64_t frame;
	int err = open_stack(guest, &stack);

	if (!err)
		err = push(&stack, guest->vcpu->page->regs.rbp);
	if (err)
		return err;
	frame = stack.rsp;
	err = push_frames(&stack, insn->level & ENTER_LEVELS, frame);
	stack.rsp -= insn->imm;
	/* SDM 2, "ENTER": what a write to the new top would fault, it does. */
	if (!err)
		err = find_item(&stack, stack.rsp, VEE_WRITE, &span);
	if (err)
		return err;
	set_gpr(guest->vcpu, RBP, guest->mode == 8 ? sizeof(frame) : insn->width, frame);
	close_stack(&stack);
	return 0;
}

int do_leave(const struct guest *guest)
{
	struct stack stack;
	uint64_t value;
	int err = open_stack(guest, &stack);

	if (err)
		return err;
	stack.rsp = guest->vcpu->page->regs.rbp;
	err = pop(&stack, &value);
	if (err)
		return err;
	close_stack(&stack);
	set_gpr(guest->vcpu, RBP, guest->insn->width, value);
	return 0;
}

/* --- near --- */

/* Is there code to go on with at @rip of @cs? #GP otherwise. */
static int check_target(const struct guest *guest, const struct vee_segment *cs, uint64_t rip)
{
	bool to_64bit = in_long_mode(guest) && cs->access_rights & VEE_AR_L;

	if (to_64bit ? guest_is_canonical(guest, rip, 1) : rip <= cs->limit)
		return 0;
	return guest_fault(guest, VECTOR_GP, 0);
}

static int check_near(const struct guest *guest, uint64_t rip)
{
	return check_target(guest, &guest->vcpu->page->segments.cs, rip);
}

static uint64_t next_rip(const struct guest *guest)
{
	return guest->vcpu->page->regs.rip + guest->insn->length;
}

static int near_target(const struct guest *guest, uint64_t *rip)
{
	const struct insn *insn = guest->insn;
	int err = 0;

	if (insn->has_imm)
		*rip = next_rip(guest) + insn->imm;
	else
		err = read_operand(guest, rip);
	*rip &= low_bits(insn->width);
	return err ? err : check_near(guest, *rip);
}

int do_jump(const struct guest *guest)
{
	uint64_t rip = 0;
	int err = guest_sync(guest);

	if (!err)
		err = near_target(guest, &rip);
	return err ? err : complete_branch(guest, rip);
}

int do_call(const struct guest *guest)
{
	struct stack stack;
	uint64_t rip = 0;
	int err = open_stack(guest, &stack);

	if (!err)
		err = near_target(guest, &rip);
	if (!err)
		err = push(&stack, next_rip(guest));
	if (err)
		return err;
	close_stack(&stack);
	return complete_branch(guest, rip);
}

int do_return(const struct guest *guest)
{
	struct stack stack;
	uint64_t rip = 0;
	int err = open_and_pop(guest, &stack, &rip);

	if (!err)
		err = check_near(guest, rip);
	if (err)
		return err;
	stack.rsp += guest->insn->imm;
	close_stack(&stack);
	return complete_branch(guest, rip);
}

/* --- far --- */

/* SDM 2, "JMP": for what is no 64-bit code EIP counts, of a pointer of 64 bits, too. */
static int find_code(const struct guest *guest, uint16_t selector, uint64_t *rip, bool returns,
		     struct vee_segment *cs)
{
	int err = 0;

	*cs = guest->vcpu->page->segments.cs;
	if (guest_is_protected(guest))
		err = check_code(guest, selector, returns, cs);
	else
		set_real_segment(guest, cs, selector);
	if (err)
		return err;
	if (!(cs->access_rights & VEE_AR_L))
		*rip = (uint32_t)*rip;
	return check_target(guest, cs, *rip);
}

static void set_code(const struct guest *guest, const struct vee_segment *cs)
{
	guest->vcpu->page->segments.cs = *cs;
	guest->vcpu->page->dirty |= VEE_STATE_SEGMENTS;
}

/* Of a return to an outer level SS is loaded as well. */
static int load_returned(const struct guest *guest, struct vee_segment *cs,
			 struct vee_segment *ss, bool outer)
{
	int err = descriptor_loaded(guest, cs);

	return err || !outer ? err : descriptor_loaded(guest, ss);
}

/* In the instruction, or in memory: the offset, then the selector. */
static int far_target(const struct guest *guest, uint64_t *rip, uint16_t *selector)
{
	const struct insn *insn = guest->insn;
	uint8_t pointer[sizeof(uint64_t) + sizeof(uint16_t)];
	unsigned int width = insn->operand_width;
	int err;

	*rip = insn->imm & low_bits(width);
	*selector = insn->selector;
	if (!insn->in_memory)
		return 0;
	err = operand_read(guest, pointer, width + sizeof(*selector));
	if (err)
		return err;
	*rip = 0;
	memcpy(rip, pointer, width);
	memcpy(selector, pointer + width, sizeof(*selector));
	return 0;
}

int do_far_jump(const struct guest *guest)
{
	struct vee_segment cs;
	uint16_t selector = 0;
	uint64_t rip;
	int err = guest_sync(guest);

	if (!err)
		err = far_target(guest, &rip, &selector);
	if (!err)
		err = find_code(guest, selector, &rip, false, &cs);
	if (err == CODE_IS_SYSTEM)
		return far_to_system(guest, selector, true);
	if (!err)
		err = descriptor_loaded(guest, &cs);
	if (err)
		return err;
	set_code(guest, &cs);
	return complete_branch(guest, rip);
}

int do_far_call(const struct guest *guest)
{
	struct vee_segment cs;
	struct stack stack;
	uint16_t selector = 0;
	uint64_t rip;
	int err = open_stack(guest, &stack);

	if (!err)
		err = far_target(guest, &rip, &selector);
	if (!err)
		err = find_code(guest, selector, &rip, false, &cs);
	if (err == CODE_IS_SYSTEM)
		return far_to_system(guest, selector, false);
	stack.item = guest->insn->operand_width;
	if (!err)
		err = push(&stack, guest->vcpu->page->segments.cs.selector);
	if (!err)
		err = push(&stack, next_rip(guest));
	if (!err)
		err = descriptor_loaded(guest, &cs);
	if (err)
		return err;
	close_stack(&stack);
	set_code(guest, &cs);
	return complete_branch(guest, rip);
}

/* A return to an outer level has the stack to go on with on this one. */
static int pop_stack(const struct guest *guest, struct stack *stack,
		     const struct vee_segment *cs, uint64_t *rsp, struct vee_segment *ss)
{
	bool to_64bit = in_long_mode(guest) && cs->access_rights & VEE_AR_L;
	uint64_t selector = 0;
	int err = pop(stack, rsp);

	if (!err)
		err = pop(stack, &selector);
	if (!err)
		err = check_stack_segment(guest, selector, cs->selector & SELECTOR_RPL,
					  to_64bit, ss);
	return err;
}

static void leave_level(const struct guest *guest, const struct vee_segment *ss, uint64_t rsp)
{
	unsigned int level = guest_cpl(guest);
	unsigned int new = rights_dpl(ss->access_rights);
	unsigned int width = guest->insn->width;

	guest->vcpu->page->segments.ss = *ss;
	if (width != 8 && !(ss->access_rights & VEE_AR_DB))
		width = sizeof(uint16_t);
	set_gpr(guest->vcpu, RSP, width, rsp);
	if (new > level)
		drop_inner_segments(guest, new);
}

int do_far_return(const struct guest *guest)
{
	struct vee_segment cs, ss;
	uint64_t rip, selector, rsp;
	struct stack stack;
	bool outer;
	int err = open_and_pop(guest, &stack, &rip);

	if (!err)
		err = pop(&stack, &selector);
	if (!err)
		err = find_code(guest, selector, &rip, true, &cs);
	if (err)
		return err;
	stack.rsp += guest->insn->imm;
	outer = guest_is_protected(guest) && (selector & SELECTOR_RPL) > guest_cpl(guest);
	if (outer)
		err = pop_stack(guest, &stack, &cs, &rsp, &ss);
	if (!err)
		err = load_returned(guest, &cs, &ss, outer);
	if (err)
		return err;
	if (outer)
		leave_level(guest, &ss, rsp + guest->insn->imm);
	else
		close_stack(&stack);
	set_code(guest, &cs);
	return complete_branch(guest, rip);
}

/* --- IRET --- */

static bool is_nested(const struct guest *guest)
{
	return guest_is_protected(guest) && guest->vcpu->page->regs.rflags & RFLAGS_NT;
}

/* SDM 2, "IRET": what the privilege level lets be changed. */
static uint64_t returned_flags(const struct guest *guest)
{
	uint64_t mask = changeable_flags(guest);

	if (guest_is_protected(guest) && !guest_cpl(guest))
		mask |= (RFLAGS_VIF | RFLAGS_VIP) & low_bits(guest->insn->width);
	return mask;
}

static int complete_iret(const struct guest *guest, uint64_t rip, uint64_t flags,
			 uint64_t mask)
{
	int err;

	change_flags(guest, flags, mask);
	err = complete_branch(guest, rip);
	if (err != INSN_RESUMED)
		return err;
	change_flags(guest, flags, RFLAGS_RF & low_bits(guest->insn->width));
	guest->vcpu->page->events.interruptibility &= ~VEE_BLOCKING_BY_NMI;
	return INSN_RESUMED;
}

/* ESP and the segment registers, in the order in which they are popped. */
static const uint8_t popped_segments[] = { SEG_SS, SEG_ES, SEG_DS, SEG_FS, SEG_GS };

static int pop_virtual_8086(struct stack *stack, uint64_t *rsp, uint16_t *selectors)
{
	uint64_t value;
	int err = pop(stack, rsp);

	for (unsigned int i = 0; !err && i < sizeof(popped_segments); i++) {
		err = pop(stack, &value);
		selectors[i] = value;
	}
	return err;
}

/* SDM 2, "IRET", RETURN-TO-VIRTUAL-8086-MODE. */
static int return_to_virtual_8086(const struct guest *guest, struct stack *stack, uint64_t rip,
				  uint16_t selector, uint64_t flags)
{
	uint64_t mask = changeable_flags(guest) | RFLAGS_VM | RFLAGS_VIF | RFLAGS_VIP;
	struct vee_regs *regs = &guest->vcpu->page->regs;
	uint16_t selectors[sizeof(popped_segments)];
	uint64_t rsp;
	int err = pop_virtual_8086(stack, &rsp, selectors);

	if (err)
		return err;
	if (rip > UINT16_MAX)
		return guest_fault(guest, VECTOR_GP, 0);
	regs->rflags |= RFLAGS_VM;
	set_real_segment(guest, guest_segment(guest, SEG_CS), selector);
	for (unsigned int i = 0; i < sizeof(popped_segments); i++)
		set_real_segment(guest, guest_segment(guest, popped_segments[i]), selectors[i]);
	regs->rsp = rsp;
	return complete_iret(guest, rip, flags, mask);
}

static int return_plainly(const struct guest *guest, struct stack *stack, uint64_t rip,
			  uint16_t selector, uint64_t flags)
{
	struct vee_segment cs, ss;
	uint64_t rsp, mask;
	bool pops_stack;
	int err = find_code(guest, selector, &rip, true, &cs);

	if (err)
		return err;
	pops_stack = guest->mode == 8 || (guest_is_protected(guest) &&
					  (selector & SELECTOR_RPL) > guest_cpl(guest));
	if (pops_stack)
		err = pop_stack(guest, stack, &cs, &rsp, &ss);
	if (!err)
		err = take_virtual_if(guest, &flags);
	if (!err)
		err = load_returned(guest, &cs, &ss, pops_stack);
	if (err)
		return err;
	mask = returned_flags(guest);
	if (pops_stack)
		leave_level(guest, &ss, rsp);
	else
		close_stack(stack);
	set_code(guest, &cs);
	return complete_iret(guest, rip, flags, mask);
}

int do_iret(const struct guest *guest)
{
	uint64_t rip, selector, flags;
	struct stack stack;
	int err = open_stack(guest, &stack);

	if (!err && is_nested(guest))
		return in_long_mode(guest) ? guest_fault(guest, VECTOR_GP, 0) :
					     return_to_task(guest);
	if (!err)
		err = check_virtual_if(guest);
	if (!err)
		err = pop(&stack, &rip);
	if (!err)
		err = pop(&stack, &selector);
	if (!err)
		err = pop(&stack, &flags);
	if (err)
		return err;
	if (guest_is_protected(guest) && !in_long_mode(guest) && !guest_cpl(guest) &&
	    flags & RFLAGS_VM)
		return return_to_virtual_8086(guest, &stack, rip, selector, flags);
	return return_plainly(guest, &stack, rip, selector, flags);
}
