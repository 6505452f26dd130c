// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest of the fuzzer of local APICs: 64-bit code that does one op after the other and keeps
 * what came of each. Interrupts are noted where they come, #GP is a result.
 */
#include <stddef.h>

#include "fuzz_apic.h"

/*
 * RSI: the next op, RDI: where its result goes, R9: handlers write to EOI, R10: where they note.
 * To an interrupt handler all others are to be as they were: NMIs come at any time. It begins
 * with an IRET since blocking by NMI of the guest before it stays in the emulated CPU.
 */
asm(".pushsection .rodata;"
	"code: mov %rsp, %rdx; push $0x10; push %rdx; pushf; push $8; lea next(%rip), %rbx;"
	"push %rbx; iretq;"
	"next: mov (%rsi), %eax; mov 4(%rsi), %ecx; mov 8(%rsi), %rdx; add $16, %rsi;"
	"lea table(%rip), %rbx; movslq (%rbx, %rax, 4), %rax; add %rbx, %rax; jmp *%rax;"
	"table: .long done - table, end - table, load - table, store - table;"
	".long read - table, write - table, from_cr8 - table, to_cr8 - table;"
	".long open - table, message - table, load1 - table, store1 - table;"
	".long load2 - table, store2 - table, load8 - table, store8 - table;"
	"end: out %eax, $0x10; ud2;"
	"load: mov (%rcx), %eax; jmp keep;"
	"store: mov %edx, (%rcx); jmp done;"
	"read: rdmsr; shl $32, %rdx; or %rdx, %rax; jmp keep;"
	"write: mov %edx, %eax; shr $32, %rdx; wrmsr; jmp done;"
	"from_cr8: mov %cr8, %rax; jmp keep;"
	"to_cr8: mov %rdx, %cr8; jmp done;"
	"open: mov %rdx, %r9; sti; nop; cli; xor %r9d, %r9d; jmp done;"
	"message: lea -16(%rsi), %eax; out %eax, $0x11; jmp done;"
	"load1: movzbl (%rcx), %eax; jmp keep;"
	"store1: mov %dl, (%rcx); jmp done;"
	"load2: movzwl (%rcx), %eax; jmp keep;"
	"store2: mov %dx, (%rcx); jmp done;"
	"load8: mov (%rcx), %rax; jmp keep;"
	"store8: mov %rdx, (%rcx);"
	"done: xor %eax, %eax;"
	"keep: mov %rax, (%rdi); add $8, %rdi; jmp next;"
	/* #GP: its error code is the result. */
	"fault: pop %rax; lea keep(%rip), %rbx; mov %rbx, (%rsp); mov $0xbadbad0000000000, %rbx;"
	"or %rbx, %rax; iretq;"
	"other: mov %esi, %eax; out %eax, $0x12; ud2;"
	/* Its stub has called it, which tells the vector. */
	"interrupt: push %rax; push %rcx; push %rdx; mov 24(%rsp), %rax;"
	"sub $0x13005, %eax; shr $3, %eax; mov %eax, (%r10); mov %esi, 4(%r10); add $8, %r10;"
	"cmp $2, %eax; je 1f; test %r9, %r9; jz 1f;"
	"mov $0x1b, %ecx; rdmsr; bt $11, %eax; jnc 1f; bt $10, %eax; jc 2f;"
	"and $0xfffff000, %eax; shl $32, %rdx; or %rdx, %rax; movl $0, 0xb0(%rax); jmp 1f;"
	"2: mov $0x80b, %ecx; xor %eax, %eax; xor %edx, %edx; wrmsr;"
	"1: pop %rdx; pop %rcx; pop %rax; add $8, %rsp; iretq;"
	"code_end: .popsection");

#define GP	13

static uint32_t handler_of(unsigned int vector)
{
	const uint8_t *handler = vector == GP ? fault :
				 vector < FIRST_VECTOR && vector != NMI ? other : NULL;

	return handler ? GPA_CODE + (handler - code) : GPA_VECTORS + vector * STUB_BYTES;
}

static void put_vector(unsigned int vector)
{
	uint32_t stub = GPA_VECTORS + vector * STUB_BYTES, handler = handler_of(vector);

	/* CALL, which is 5 bytes long. */
	put(stub, 0xe8, 1);
	put(stub + 1, GPA_CODE + (interrupt - code) - (stub + 5), 4);
	put(GPA_IDT + 16 * vector, (handler & 0xffff) | CODE0 << 16 | 0x8e0000000000 |
	    (uint64_t)(handler >> 16) << 48, 8);
	put(GPA_IDT + 16 * vector + 8, 0, 8);
}

#define LARGE		0x83	/* a page of 2 MiB that may be written */
#define LARGE_BYTES	0x200000ULL

void put_machine(void)
{
	put(GPA_GDT + CODE0, 0x00af9a000000ffff, 8);
	put(GPA_GDT + DATA0, 0x00cf92000000ffff, 8);
	put_pages();
	put(GPA_PDPT + 8 * 3, GPA_PD_APIC | 3, 8);
	for (unsigned int i = 0; i < PAGE_BYTES / 8; i++)
		put(GPA_PD_APIC + 8 * i, (3ULL << 30) + i * LARGE_BYTES + LARGE, 8);
	memcpy(pristine + GPA_CODE, code, code_end - code);
	for (unsigned int i = 0; i < VECTORS; i++)
		put_vector(i);
}

void put_guest(const struct guest *g)
{
	const struct op end = { .deed = END };

	memcpy(pristine + GPA_OPS, g->ops, g->count * sizeof(*g->ops));
	memcpy(pristine + GPA_OPS + g->count * sizeof(end), &end, sizeof(end));
}

/* What the timer has counted to: only whether it counts. */
static void forget_time(const struct guest *g, uint64_t *results)
{
	for (unsigned int i = 0; i < g->count; i++)
		if (register_of(&g->ops[i]) == CURRENT_COUNT && !is_write(&g->ops[i]) &&
		    results[i] < RESULT_GP)
			results[i] = !!results[i];
}

void get_results(uint8_t *memory, const struct guest *g, struct outcome *outcome)
{
	memcpy(outcome->results, memory + GPA_RESULTS, sizeof(outcome->results));
	memcpy(outcome->taken, memory + GPA_TAKEN, sizeof(outcome->taken));
	forget_time(g, outcome->results);
	memcpy(memory + GPA_RESULTS, outcome->results, sizeof(outcome->results));
}

enum end do_port(const struct engine *engine, const uint8_t *memory, unsigned int port,
		 uint32_t value)
{
	struct op op;

	switch (port) {
	case PORT_MESSAGE:
		memcpy(&op, memory + value, sizeof(op));
		engine->signal(op.where, op.value);
		return IS_OPEN;
	case PORT_END:
		return HAS_ENDED;
	default:
		return HAS_FAULTED;
	}
}

void stick(struct outcome *outcome, uint64_t what)
{
	outcome->end = IS_STUCK;
	outcome->what = what;
}
