// SPDX-License-Identifier: LGPL-2.1-or-later
/* Instructions on the real CPU, to hold the assists against. */
#include <sys/mman.h>

#include "test.h"

uint64_t native_gpr[16], native_rflags;
_Alignas(16) uint8_t native_fxsave[512];
void *native_code;

/* The code ends in RET and leaves RSP as it is. */
__asm__(".text\n"
	".globl native_enter\n"
	"native_enter:\n"
	"	push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
	"	fxrstor64 native_fxsave(%rip)\n"
	"	pushq native_rflags(%rip); popfq\n"
	"	mov native_gpr+0(%rip), %rax;  mov native_gpr+8(%rip), %rcx\n"
	"	mov native_gpr+16(%rip), %rdx; mov native_gpr+24(%rip), %rbx\n"
	"	mov native_gpr+40(%rip), %rbp; mov native_gpr+48(%rip), %rsi\n"
	"	mov native_gpr+56(%rip), %rdi; mov native_gpr+64(%rip), %r8\n"
	"	mov native_gpr+72(%rip), %r9;  mov native_gpr+80(%rip), %r10\n"
	"	mov native_gpr+88(%rip), %r11; mov native_gpr+96(%rip), %r12\n"
	"	mov native_gpr+104(%rip), %r13; mov native_gpr+112(%rip), %r14\n"
	"	mov native_gpr+120(%rip), %r15\n"
	"	call *native_code(%rip)\n"
	"	mov %rax, native_gpr+0(%rip);  mov %rcx, native_gpr+8(%rip)\n"
	"	mov %rdx, native_gpr+16(%rip); mov %rbx, native_gpr+24(%rip)\n"
	"	mov %rbp, native_gpr+40(%rip); mov %rsi, native_gpr+48(%rip)\n"
	"	mov %rdi, native_gpr+56(%rip); mov %r8, native_gpr+64(%rip)\n"
	"	mov %r9, native_gpr+72(%rip);  mov %r10, native_gpr+80(%rip)\n"
	"	mov %r11, native_gpr+88(%rip); mov %r12, native_gpr+96(%rip)\n"
	"	mov %r13, native_gpr+104(%rip); mov %r14, native_gpr+112(%rip)\n"
	"	mov %r15, native_gpr+120(%rip)\n"
	"	pushfq; popq native_rflags(%rip)\n"
	"	fxsave64 native_fxsave(%rip)\n"
	"	cld\n"
	"	pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
	"	ret\n");

#define RET 0xc3

void native_run(struct native *native, const uint8_t *code, size_t bytes)
{
	static uint8_t *room;

	if (!room)
		room = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE | PROT_EXEC,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memcpy(room, code, bytes);
	room[bytes] = RET;
	native_code = room;
	__asm__("fxsave64 %0" : "=m" (native_fxsave));
	memcpy(native_fxsave + XSAVE_XMM, native->xmm, sizeof(native->xmm));
	memcpy(native_gpr, native->gpr, sizeof(native_gpr));
	native_rflags = native->rflags;
	native_enter();
	native->rflags = native_rflags;
	memcpy(native->xmm, native_fxsave + XSAVE_XMM, sizeof(native->xmm));
	native_gpr[RSP] = native->gpr[RSP];
	memcpy(native->gpr, native_gpr, sizeof(native_gpr));
}
