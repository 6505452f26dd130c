/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Task switches (SDM 3A, chapter "Task Management"). Each file calls those to the
 * right of it alone:
 *
 *	switch.c -> segment.c -> memory.c
 *
 * Everything is done to copies of the state, and to memory with a record of what
 * was there: whatever fails half-way is undone.
 */
#ifndef VEE_TASK_H
#define VEE_TASK_H

#include "internal.h"

#define UNDO_MAX	64

/* Memory before it was written to; @bytes up to 8. */
struct undo {
	uint64_t gpa;
	uint8_t *hva;
	uint8_t bytes;
	uint8_t before[8];
};

/**
 * struct task - a task switch under way
 * @guest: a guest in the state that there will be...
 * @vcpu: ...this, which is the vCPU but for...
 * @page: ...this
 * @source: by what
 * @selector: of the TSS that is switched to
 * @event: what a task gate of the IDT delivers
 * @undo: what it wrote to
 * @undo_count: how many
 */
struct task {
	struct guest guest;
	struct vee_vcpu vcpu;
	struct vee_vcpu_page page;
	enum task_source source;
	uint16_t selector;
	struct vee_event event;
	struct undo undo[UNDO_MAX];
	unsigned int undo_count;
};

/* All below that return int: 0, GUEST_FAULTED (it is in @page), -errno. */

/* About a selector: error code and EXT bit as SDM 3A, "Error Code" has them. */
int task_fault_of(struct task *task, uint8_t vector, uint16_t selector);

/* --- memory.c --- */

/* Would an access of the CPU's own fault? */
int task_probe(struct task *task, uint32_t gva, unsigned int bytes,
	       unsigned int access);
/* Likewise of task_set_byte(). */
int task_probe_byte(struct task *task, uint32_t gva);
int task_read(struct task *task, uint32_t gva, void *data, unsigned int bytes);
/* @by: GUEST_IMPLICIT, or 0: the privilege level counts. */
int task_write(struct task *task, uint32_t gva, const void *data,
	       unsigned int bytes, unsigned int by);
/* As the CPU sets bits of a descriptor: locked. */
int task_set_byte(struct task *task, uint32_t gva, uint8_t clear, uint8_t set);
void task_undo(struct task *task);

/* --- segment.c --- */

#define SELECTOR_RPL	0x3
#define SELECTOR_TI	0x4
#define SELECTOR_INDEX	0xfff8

#define TYPE_BUSY	0x2
#define TYPE_TSS32	0x8	/* of a TSS: not 16 bits */

/* Where its descriptor is, even if that is beyond the table. */
uint32_t task_gdt_gva(const struct task *task, uint16_t selector);
/* Unpacks what is in the GDT; false: @selector is null, of the LDT, or beyond. */
int task_read_tss(struct task *task, uint16_t selector, bool *found,
		  struct vee_segment *segment);
/* Marks all as not loaded, with these selectors: for faults on the way. */
void task_forget_segments(struct task *task, uint16_t ldt, unsigned int cpl);
/* LDTR and the six others, in the new task: the selectors are in place. */
int task_load_segments(struct task *task);

#endif /* VEE_TASK_H */
