/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vee_mmio_assist(): an instruction decoded, its operands, what it does. Each file
 * calls those to the right of it alone:
 *
 *	assist.c -> plain.c, wide.c, vector.c, string.c, stack.c, system.c, event.c
 *	  -> descriptor.c -> operand.c -> alu.c, insn.c
 *	stack.c -> gate.c; gate.c, event.c -> handler.c, frame.c -> descriptor.c (delivery.h)
 */
#ifndef VEE_MMIO_H
#define VEE_MMIO_H

#include "internal.h"

/* What an instruction does with its operands, for alu(). */
enum alu_op {
	ALU_ADD, ALU_OR, ALU_ADC, ALU_SBB, ALU_AND, ALU_SUB, ALU_XOR,
	ALU_CMP, ALU_TEST,		/* no result */
	ALU_INC, ALU_DEC, ALU_NEG, ALU_NOT,
	ALU_IMUL, ALU_POPCNT, ALU_LZCNT, ALU_TZCNT, ALU_BSF, ALU_BSR, ALU_ADCX, ALU_ADOX,
	ALU_MUL, ALU_DIV, ALU_IDIV,	/* of RDX:RAX: not for alu() */
	ALU_ROL, ALU_ROR, ALU_RCL, ALU_RCR, ALU_SHL, ALU_SHR, ALU_SAR,
	ALU_BT, ALU_BTS, ALU_BTR, ALU_BTC,
};

enum insn_kind {
	INSN_NONE,
	INSN_LOAD,		/* register <- memory, @sign: sign-extended */
	INSN_LOAD_IF,		/* CMOVcc */
	INSN_STORE,		/* memory <- register or immediate */
	INSN_STORE_IF,		/* SETcc */
	INSN_STORE_SEGMENT,	/* memory <- selector */
	INSN_ALU_TO_MEMORY,	/* memory <- memory op (register or immediate) */
	INSN_ALU_TO_REGISTER,	/* register <- register op (memory or immediate) */
	INSN_SHIFT_DOUBLE,	/* SHLD, SHRD */
	INSN_MULTIPLY,		/* RDX:RAX <- RAX op memory */
	INSN_DIVIDE,		/* RAX, RDX <- RDX:RAX op memory */
	INSN_EXCHANGE_PAIR,	/* CMPXCHG8B, CMPXCHG16B */
	INSN_XCHG,
	INSN_XADD,
	INSN_CMPXCHG,
	INSN_XLAT,
	INSN_CRC32,
	INSN_BOUND,
	INSN_PROBE,		/* CLFLUSH and kin: checked as a load, and no more */
	INSN_VECTOR_LOAD,	/* XMM or YMM register <- memory, the rest of it 0 */
	INSN_VECTOR_STORE,
	INSN_HALF_LOAD,		/* half of an XMM register, the rest of it stays */
	INSN_HALF_STORE,
	INSN_MMX_LOAD,
	INSN_MMX_STORE,
	INSN_MXCSR_LOAD,
	INSN_MXCSR_STORE,
	INSN_X87_CONTROL_LOAD,	/* FLDCW, FNSTCW, FNSTSW */
	INSN_X87_CONTROL_STORE,
	INSN_X87_STATUS_STORE,
	INSN_FXSAVE,
	INSN_FXRSTOR,
	INSN_PUSH,
	INSN_POP,
	INSN_PUSH_FLAGS,
	INSN_POP_FLAGS,
	INSN_PUSH_ALL,
	INSN_POP_ALL,
	INSN_ENTER,
	INSN_LEAVE,
	INSN_JUMP,
	INSN_CALL,
	INSN_RETURN,
	INSN_FAR_JUMP,
	INSN_FAR_CALL,
	INSN_FAR_RETURN,
	INSN_IRET,
	INSN_LOAD_SEGMENT,	/* MOV, and LDS and kin */
	INSN_LOAD_POINTER,
	INSN_POP_SEGMENT,
	INSN_LOAD_TABLE,	/* LGDT, LIDT; @reg: which */
	INSN_STORE_TABLE,
	INSN_LOAD_SYSTEM,	/* LLDT, LTR; @reg: which */
	INSN_STORE_SYSTEM,	/* SLDT, STR */
	INSN_LOAD_MSW,
	INSN_STORE_MSW,
	INSN_VERIFY,		/* VERR, VERW */
	INSN_LAR,
	INSN_LSL,
	INSN_ARPL,
	INSN_MOVS,
	INSN_STOS,
	INSN_LODS,
	INSN_CMPS,
	INSN_SCAS,
	INSN_KINDS
};

enum insn_rep { NO_REP, REP_WHILE_EQUAL, REP_WHILE_NOT_EQUAL };

#define NO_REGISTER	0xff
#define REGISTER_RIP	0xfe

/* insn->reg of the kinds for tables and system segments. */
enum insn_system { SYSTEM_GDT, SYSTEM_IDT, SYSTEM_LDT, SYSTEM_TSS };

/**
 * struct insn - an instruction that accesses memory, by an operand or by itself
 * @bytes: what it was decoded from; with @mode, which must follow, the key in the cache
 * @mode: 2, 4 or 8: bytes of a default address in the code segment
 * @length: of @bytes
 * @kind: INSN_LOAD and so on
 * @alu: operation of the two ALU kinds
 * @condition: of the two IF kinds, as encoded in the opcode
 * @width: bytes of the memory operand, of an element, or of what goes to the stack
 * @in_memory: it has an operand in memory, which @segment to @disp tell
 * @reg: the register operand (general, XMM or segment), or NO_REGISTER: @imm it is
 * @reg_width: bytes of it
 * @source: if not @in_memory: the general register in its place
 * @has_imm: @imm is there besides @reg
 * @pair_width: bytes of each half of a number in two registers
 * @high_byte: it is bits 15 to 8 of @reg
 * @is_segment: @reg is a segment register
 * @sign: extend with the sign
 * @swap: reverse the bytes (MOVBE)
 * @write: VERW, not VERR
 * @high_half: the upper half of an XMM register
 * @clears_upper: it is AVX's: what it doesn't load of the whole register is 0
 * @bit_offset: @reg selects a bit beyond the operand (BT and kin)
 * @rep: of string instructions
 * @operand_width: bytes: the operand size, as prefixes and mode have it
 * @address_width: bytes of an address: 2, 4 or 8
 * @segment: of the memory operand, or of the source of a string
 * @base: register, NO_REGISTER or REGISTER_RIP
 * @index: register or NO_REGISTER
 * @scale: of the index
 * @selector: of a far pointer in the instruction
 * @level: of ENTER
 * @disp: displacement, from RIP's and RSP's values of before the instruction
 * @imm: immediate operand, cut to @width
 */
struct insn {
	uint8_t bytes[VEE_INSN_MAX];
	uint8_t mode;
	uint8_t length;
	uint8_t kind;
	uint8_t alu;
	uint8_t condition;
	uint8_t width;
	bool in_memory;
	uint8_t reg;
	uint8_t reg_width;
	uint8_t source;
	bool has_imm;
	uint8_t pair_width;
	bool high_byte;
	bool is_segment;
	bool sign;
	bool swap;
	bool write;
	bool high_half;
	bool clears_upper;
	bool bit_offset;
	uint8_t rep;
	uint8_t operand_width;
	uint8_t address_width;
	uint8_t segment;
	uint8_t base;
	uint8_t index;
	uint8_t scale;
	uint16_t selector;
	uint8_t level;
	int64_t disp;
	uint64_t imm;
};

/* --- insn.c --- */

/* False: not an instruction that the assist does. */
bool insn_decode(const uint8_t *bytes, unsigned int count, unsigned int mode,
		 struct insn *insn);

/* --- assist.c --- */

/*
 * What an instruction would meet, with guest->path set. 0: it is done, in registers, or
 * page->inject is its fault; -EOPNOTSUPP: not one that the assist does; -errno.
 */
int insn_try(struct guest *guest, const uint8_t *bytes, unsigned int count);

/* --- alu.c --- */

/*
 * The result, cut to @bytes, and the flags in *@rflags as the CPU leaves
 * them; those that the SDM calls undefined are as Intel's CPUs leave them, but for
 * shifts by more than 1.
 */
uint64_t alu(enum alu_op op, unsigned int bytes, uint64_t a, uint64_t b,
	     uint64_t *rflags);
/* SHLD and SHRD (ALU_SHL, ALU_SHR): what comes in comes from @b. */
uint64_t alu_shift_double(enum alu_op op, unsigned int bytes, uint64_t a, uint64_t b,
			  uint64_t count, uint64_t *rflags);
bool alu_condition(unsigned int condition, uint64_t rflags);

/* --- operand.c --- */

int64_t sign_extend(uint64_t value, unsigned int bytes);
/* The register operand; the other is that or the immediate. */
uint64_t get_register(const struct guest *guest);
void set_register(const struct guest *guest, uint64_t value);
uint64_t get_other(const struct guest *guest);
/* Where the memory operand is, in its segment. */
uint64_t operand_offset(const struct guest *guest);
/* Finds the memory operand, @bytes of it, for VEE_READ, VEE_WRITE or both. */
int operand_find(const struct guest *guest, unsigned int bytes, unsigned int access,
		 struct guest_span *span);
int operand_read(const struct guest *guest, void *data, unsigned int bytes);
int operand_write(const struct guest *guest, const void *data, unsigned int bytes);
/* All @width of it; of a register in its place the same. */
int read_operand(const struct guest *guest, uint64_t *value);
int write_operand(const struct guest *guest, uint64_t value);
void set_rflags(const struct guest *guest, uint64_t rflags);
/* An instruction that has resumed by itself, by one of the two below. */
#define INSN_RESUMED	2

/* Past the instruction. */
void complete(const struct guest *guest);
/* Likewise, but at once; and on at @rip. INSN_RESUMED, or -errno. */
int complete_next(const struct guest *guest);
int complete_branch(const struct guest *guest, uint64_t rip);

/* --- descriptor.c: segments as instructions load them --- */

/* A descriptor in GDT or LDT, system ones in IA-32e mode with their upper half. */
struct descriptor {
	uint64_t gva;
	uint64_t low;
	uint64_t high;
};

/* SDM 3A, "Code- and Data-Segment Descriptor Types": bits of access rights. */
#define TYPE_ACCESSED	0x1U
#define TYPE_WRITE	0x2U	/* of data; of code it may be read */
#define TYPE_CONFORMING	0x4U
#define TYPE_CODE	0x8U

/* SDM 3A, "System Descriptor Types". */
#define TYPE_TSS_16		1
#define TYPE_LDT		2
#define TYPE_CALL_GATE_16	4
#define TYPE_TASK_GATE		5
#define TYPE_TSS		9
#define TYPE_CALL_GATE		12

static inline bool is_code(uint32_t rights)
{
	return rights & VEE_AR_S && rights & TYPE_CODE;
}

#define SELECTOR_RPL	0x3U
#define SELECTOR_TI	0x4U
#define SELECTOR_INDEX	0xfff8U

static inline bool selector_is_null(uint16_t selector)
{
	return !(selector & ~SELECTOR_RPL);
}

/* 0, GUEST_FAULTED with @vector of the selector if a table has it not, -errno. */
int descriptor_read(const struct guest *guest, uint16_t selector, unsigned int vector,
		    struct descriptor *descriptor);
/* For those to whom that is no fault. */
int descriptor_look(const struct guest *guest, uint16_t selector,
		    struct descriptor *descriptor, bool *found);
uint32_t descriptor_rights(const struct descriptor *descriptor);
uint32_t descriptor_limit(const struct descriptor *descriptor);
/* What the register becomes; @wide: with the upper half of the base. */
struct vee_segment descriptor_segment(const struct descriptor *descriptor,
				      uint16_t selector, bool wide);
/* Sets bits of the type in the table, where they go. */
int descriptor_set_type(const struct guest *guest, struct descriptor *descriptor,
			unsigned int type);
/* What was checked is loaded, and notes that it was accessed, in its table too. */
int descriptor_loaded(const struct guest *guest, struct vee_segment *segment);
int selector_fault(const struct guest *guest, unsigned int vector, uint16_t selector);
/* MOV, POP, LDS and kin of a segment register. */
int load_segment(const struct guest *guest, unsigned int segment, uint16_t selector);
/* SS, and past the instruction: INSN_RESUMED if all is well. */
int load_stack_segment(const struct guest *guest, uint16_t selector);
struct vee_segment null_segment(uint16_t selector, unsigned int level);
/* The fault that a segment's descriptor makes, if it is there; EXT of its error code. */
struct blame {
	unsigned int vector;
	uint32_t ext;
};

/* SS as a level's own: not null. */
int check_stack_descriptor(const struct guest *guest, uint16_t selector, unsigned int level,
			   const struct blame *blame, struct vee_segment *ss);
int check_stack_segment(const struct guest *guest, uint16_t selector, unsigned int level,
			bool to_64bit, struct vee_segment *ss);
/* What a far jump or call goes to is no code segment. */
#define CODE_IS_SYSTEM	3

/* CS as by a far jump or call, or a return. 0, GUEST_FAULTED, CODE_IS_SYSTEM, -errno. */
int check_code(const struct guest *guest, uint16_t selector, bool returns,
	       struct vee_segment *cs);
void drop_inner_segments(const struct guest *guest, unsigned int level);
/* In real and virtual-8086 mode. */
void set_real_segment(const struct guest *guest, struct vee_segment *segment,
		      uint16_t selector);
bool in_long_mode(const struct guest *guest);

/* --- what the kinds do: plain.c --- */

int do_load(const struct guest *guest);
int do_load_if(const struct guest *guest);
int do_store(const struct guest *guest);
int do_store_if(const struct guest *guest);
int do_store_segment(const struct guest *guest);
int do_alu_to_memory(const struct guest *guest);
int do_alu_to_register(const struct guest *guest);
int do_shift_double(const struct guest *guest);
int do_xchg(const struct guest *guest);
int do_xadd(const struct guest *guest);
int do_cmpxchg(const struct guest *guest);
int do_xlat(const struct guest *guest);
int do_crc32(const struct guest *guest);
int do_bound(const struct guest *guest);
int do_probe(const struct guest *guest);

/* --- wide.c --- */

int do_multiply(const struct guest *guest);
int do_divide(const struct guest *guest);
int do_exchange_pair(const struct guest *guest);

/* --- vector.c --- */

int do_vector_load(const struct guest *guest);
int do_vector_store(const struct guest *guest);
int do_fxsave(const struct guest *guest);
int do_fxrstor(const struct guest *guest);

/* --- stack.c; these resume by themselves where RIP changes --- */

int do_push(const struct guest *guest);
int do_pop(const struct guest *guest);
int do_push_flags(const struct guest *guest);
int do_pop_flags(const struct guest *guest);
int do_push_all(const struct guest *guest);
int do_pop_all(const struct guest *guest);
int do_enter(const struct guest *guest);
int do_leave(const struct guest *guest);
int do_pop_segment(const struct guest *guest);
int do_jump(const struct guest *guest);
int do_call(const struct guest *guest);
int do_return(const struct guest *guest);
int do_far_jump(const struct guest *guest);
int do_far_call(const struct guest *guest);
int do_far_return(const struct guest *guest);
int do_iret(const struct guest *guest);

/* --- gate.c; these resume by themselves --- */

/* JMP (@jumps) or CALL to a gate, or to a task. */
int far_to_system(const struct guest *guest, uint16_t selector, bool jumps);
/* IRET with NT. */
int return_to_task(const struct guest *guest);

/* --- system.c --- */

int do_load_segment(const struct guest *guest);
int do_load_pointer(const struct guest *guest);
int do_load_table(const struct guest *guest);
int do_store_table(const struct guest *guest);
int do_load_system(const struct guest *guest);
int do_store_system(const struct guest *guest);
int do_load_msw(const struct guest *guest);
int do_store_msw(const struct guest *guest);
int do_verify(const struct guest *guest);
int do_lar(const struct guest *guest);
int do_lsl(const struct guest *guest);
int do_arpl(const struct guest *guest);

/* --- event.c --- */

/* Delivers what events.delivering has; 0 also if it faults. */
int deliver_event(const struct guest *guest);
/*
 * What the delivery of @event would meet, with guest->path set. 0: it arrives, or goes
 * through a task gate; GUEST_FAULTED: page->inject is the fault; -errno.
 */
int event_try(const struct guest *guest, const struct vee_event *event);
/* SDM 3A, "Double Fault Exception", table: does @second on the way to @first make #DF? */
bool event_doubles(const struct vee_event *first, unsigned int second);

/* --- string.c --- */

int do_string(const struct guest *guest);

#endif /* VEE_MMIO_H */
