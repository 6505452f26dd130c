/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The lab's boot sector: reads Linux from the disk by programmed I/O and
 * starts it by the Linux/x86 boot protocol.
 *
 * It stands in for a boot loader because a boot loader that reads 20 MB
 * through the BIOS costs the emulator more than the kernel's own start.
 * lab/image writes the table at the end and lays the disk out to match.
 */
	.code16
	.text
	.globl	_start

	/* Primary ATA channel (ATA/ATAPI-6, "Register addresses"). */
	.set	ATA_DATA,	0x1f0
	.set	ATA_COUNT,	0x1f2
	.set	ATA_LBA_LOW,	0x1f3
	.set	ATA_DEVICE,	0x1f6
	.set	ATA_COMMAND,	0x1f7
	.set	CMD_READ_SECTORS, 0x20
	.set	STATUS_BUSY,	0x80
	.set	STATUS_DRQ,	0x08

	/* lab/host.c watches for this byte: seen twice, the machine reset. */
	.set	E9_PORT,	0xe9
	.set	E9_BOOT,	0xa8

	.set	SETUP_SEG,	0x9000	/* where setup_* and cmdline go */
	.set	STACK_TOP,	0xdf00	/* above heap_end_ptr, below cmdline */
	.set	CMDLINE,	0x9e000	/* begins with "tsc0=00000000" (lab/run) */
	.set	KERNEL,		0x100000 /* one that unpacks itself */
	.set	PML4,		0x70000	/* and behind it the other one's first tables */
	.set	PDPT,		0x71000

	.set	CR0_PG_BIT,	31
	.set	CR4_PAE,	0x20
	.set	MSR_EFER,	0xc0000080
	.set	EFER_LME_BIT,	8

_start:
	cli
	xorw	%ax, %ax
	movw	%ax, %ds
	movw	%ax, %ss
	movw	$0x7c00, %sp
	cld
	movb	$E9_BOOT, %al
	outb	%al, $E9_PORT

	inb	$0x92, %al		/* A20 on, without touching reset */
	orb	$2, %al
	andb	$0xfe, %al
	outb	%al, $0x92

	/* A visit to protected mode leaves ES with a limit of 4 GiB. */
	lgdtl	gdt_ptr
	movl	%cr0, %eax
	orb	$1, %al
	movl	%eax, %cr0
	movw	$8, %bx
	movw	%bx, %es
	andb	$0xfe, %al
	movl	%eax, %cr0
	xorw	%ax, %ax
	movw	%ax, %es

	movw	$table, %si
next_range:
	movl	(%si), %ebp		/* first sector */
	movl	4(%si), %ebx		/* sectors left */
	movl	8(%si), %edi		/* physical address */
	addw	$12, %si
	testl	%ebx, %ebx
	jz	start_linux
next_chunk:
	movl	$256, %ecx		/* a count of 0 means 256 sectors */
	cmpl	%ecx, %ebx
	jae	1f
	movl	%ebx, %ecx
1:	subl	%ecx, %ebx

	movw	$ATA_COUNT, %dx
	movb	%cl, %al
	outb	%al, %dx
	movl	%ebp, %eax
	incw	%dx			/* ATA_LBA_LOW, then middle, high */
	outb	%al, %dx
	shrl	$8, %eax
	incw	%dx
	outb	%al, %dx
	shrl	$8, %eax
	incw	%dx
	outb	%al, %dx
	shrl	$8, %eax
	orb	$0xe0, %al		/* LBA addressing, device 0 */
	incw	%dx
	outb	%al, %dx
	movb	$CMD_READ_SECTORS, %al
	incw	%dx
	outb	%al, %dx
	addl	%ecx, %ebp

next_sector:
	pushw	%cx
	movw	$ATA_COMMAND, %dx
1:	inb	%dx, %al
	andb	$(STATUS_BUSY | STATUS_DRQ), %al
	cmpb	$STATUS_DRQ, %al
	jne	1b
	movw	$ATA_DATA, %dx
	movl	$128, %ecx		/* doublewords in a sector */
	rep insl %dx, %es:(%edi)
	popw	%cx
	loop	next_sector

	testl	%ebx, %ebx
	jnz	next_chunk
	jmp	next_range

start_linux:
	movw	$SETUP_SEG, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %fs
	movw	%ax, %gs
	movw	%ax, %ss
	movw	$STACK_TOP, %sp
	ljmpw	$(SETUP_SEG + 0x20), $0

	.balign	8
gdt:
	.quad	0
	.quad	0x00cf92000000ffff	/* data, base 0, limit 4 GiB */
	.quad	0x00af9a000000ffff	/* code of 64 bits */
gdt_ptr:
	.word	. - gdt - 1
	.long	gdt

	/*
	 * Where the kernel's real-mode part goes when it is done (code32_start):
	 * notes when that was, for benchmarks, in eight digits, and goes to the kernel:
	 * to the 64-bit entry point of one that lab/image has unpacked, with memory below
	 * 4 GiB mapped as it is, and else to the 32-bit one that unpacks it.
	 */
	.org	0x120
	.code32
hook:
	rdtsc
	movl	$(CMDLINE + 5 + 7), %edi
	leal	8(%ebx), %ecx		/* EBX is 0, and is to stay so */
1:	movb	%al, %dl
	andb	$15, %dl
	addb	$'0', %dl
	cmpb	$'9', %dl
	jbe	2f
	addb	$('a' - '0' - 10), %dl
2:	movb	%dl, (%edi)
	decl	%edi
	shrl	$4, %eax
	loop	1b
	movl	%ebx, %edi
	cmpl	%ebx, entry64
	jne	1f
	movl	$KERNEL, %eax
	jmp	*%eax

1:	movl	$PML4, %edi
	movl	%edi, %cr3
	xorl	%eax, %eax
	movw	$(2 * 4096 / 4), %cx	/* ECX was 0 */
	rep stosl
	movl	$(PDPT | 3), PML4
	movl	$PDPT, %edi
	movb	$0x83, %al		/* pages of 1 GiB, writable */
	movb	$4, %cl
1:	movl	%eax, (%edi)
	addl	$8, %edi
	addl	$(1 << 30), %eax
	loop	1b
	movl	$CR4_PAE, %eax
	movl	%eax, %cr4
	movl	$MSR_EFER, %ecx
	rdmsr
	btsl	$EFER_LME_BIT, %eax
	wrmsr
	movl	%cr0, %eax
	btsl	$CR0_PG_BIT, %eax
	movl	%eax, %cr0
	lgdt	gdt_ptr
	ljmpl	$0x10, $1f
	.code64
1:	movl	$entry64, %eax
	movl	(%rax), %eax
	jmp	*%rax

	/* Ranges of sector, sectors, address; ends with no sectors. */
	.org	0x1c0
table:
	.fill	4 * 12, 1, 0
entry64:
	.long	0

	.org	510
	.word	0xaa55
