/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tracepoints: /sys/kernel/tracing/events/vee. "vm" is the VM's number since the module
 * was loaded, from 1, "vcpu" the virtual processor's in it.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM vee

#if !defined(_VEE_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _VEE_TRACE_H

#include <linux/tracepoint.h>

#include "linux/vee.h"
#include "vmx/exits.h"

struct vee_vcpu;
struct vee_vm;

/* vcpu/traced.c: what makes exits, or entries, come by their tracepoints. */
int trace_exits_begin(void);
void trace_exits_end(void);
int trace_entries_begin(void);
void trace_entries_end(void);

#define VEE_SET_WHOSE	(__entry->vm = vcpu->vm->number, __entry->vcpu = vcpu->id)
#define VEE_ACCESS(bits) \
	__print_flags(bits, "|", { VEE_READ, "read" }, { VEE_WRITE, "write" }, \
		      { VEE_EXECUTE, "fetch" })
/* By whom it is done: enum next, by its numbers, since trace-cmd knows no other names. */
#define VEE_BY(next) \
	__print_symbolic(next, { 0, "done" }, { 1, "fault" }, { 5, "to the caller" })

/* An entry follows. */
TRACE_EVENT_FN(vee_entry,
	       TP_PROTO(const struct vee_vcpu *vcpu, u64 rip),
	       TP_ARGS(vcpu, rip),
	       TP_STRUCT__entry(__field(u32, vm)
				__field(u32, vcpu)
				__field(u64, rip)),
	       TP_fast_assign(VEE_SET_WHOSE;
			      __entry->rip = rip;),
	       TP_printk("vm %u vcpu %u rip %#llx", __entry->vm, __entry->vcpu, __entry->rip),
	       trace_entries_begin, trace_entries_end
);

#define VEE_REASON(...)	__print_symbolic(__entry->reason & VMX_EXIT_BASIC, __VA_ARGS__)
#define VMX_REASON(name, number, words) { number, words }

TRACE_EVENT_FN(vee_exit,
	       TP_PROTO(const struct vee_vcpu *vcpu, u32 reason, u64 rip, u64 qualification),
	       TP_ARGS(vcpu, reason, rip, qualification),
	       TP_STRUCT__entry(__field(u32, vm)
				__field(u32, vcpu)
				__field(u32, reason)
				__field(u64, rip)
				__field(u64, qualification)),
	       TP_fast_assign(VEE_SET_WHOSE;
			      __entry->reason = reason;
			      __entry->rip = rip;
			      __entry->qualification = qualification;),
	       TP_printk("vm %u vcpu %u reason %s rip %#llx qualification %#llx",
			 __entry->vm, __entry->vcpu, VMX_REASONS(VEE_REASON),
			 __entry->rip, __entry->qualification),
	       trace_exits_begin, trace_exits_end
);

#undef VMX_REASON

TRACE_EVENT_FN(vee_pio,
	       TP_PROTO(const struct vee_vcpu *vcpu, u64 qualification, u64 rax),
	       TP_ARGS(vcpu, qualification, rax),
	       TP_STRUCT__entry(__field(u32, vm)
				__field(u32, vcpu)
				__field(u16, port)
				__field(u8, width)
				__field(bool, in)
				__field(bool, string)
				__field(u32, value)),
	       TP_fast_assign(VEE_SET_WHOSE;
			      __entry->port = IO_PORT(qualification);
			      __entry->width = IO_WIDTH(qualification);
			      __entry->in = qualification & IO_IN;
			      __entry->string = qualification & IO_STRING;
			      __entry->value = rax;),
	       TP_printk("vm %u vcpu %u %s%s port %#x width %u eax %#x", __entry->vm,
			 __entry->vcpu, __entry->in ? "in" : "out",
			 __entry->string ? "s" : "", __entry->port, __entry->width,
			 __entry->value),
	       trace_exits_begin, trace_exits_end
);

TRACE_EVENT_FN(vee_msr,
	       TP_PROTO(const struct vee_vcpu *vcpu, bool write, u32 index, u64 value, u32 next),
	       TP_ARGS(vcpu, write, index, value, next),
	       TP_STRUCT__entry(__field(u32, vm)
				__field(u32, vcpu)
				__field(bool, write)
				__field(u32, index)
				__field(u64, value)
				__field(u32, next)),
	       TP_fast_assign(VEE_SET_WHOSE;
			      __entry->write = write;
			      __entry->index = index;
			      __entry->value = value;
			      __entry->next = next;),
	       TP_printk("vm %u vcpu %u %s %#x value %#llx: %s", __entry->vm, __entry->vcpu,
			 __entry->write ? "write" : "read", __entry->index, __entry->value,
			 VEE_BY(__entry->next)),
	       trace_exits_begin, trace_exits_end
);

/* @before: the leaf is in EAX, the subleaf in ECX; @after: the answer, if it is given */
TRACE_EVENT_FN(vee_cpuid,
	       TP_PROTO(const struct vee_vcpu *vcpu, const struct vee_regs *before,
			const struct vee_regs *after, u32 next),
	       TP_ARGS(vcpu, before, after, next),
	       TP_STRUCT__entry(__field(u32, vm)
				__field(u32, vcpu)
				__field(u32, leaf)
				__field(u32, subleaf)
				__field(u32, eax)
				__field(u32, ebx)
				__field(u32, ecx)
				__field(u32, edx)
				__field(u32, next)),
	       TP_fast_assign(VEE_SET_WHOSE;
			      __entry->leaf = before->rax;
			      __entry->subleaf = before->rcx;
			      __entry->eax = after->rax;
			      __entry->ebx = after->rbx;
			      __entry->ecx = after->rcx;
			      __entry->edx = after->rdx;
			      __entry->next = next;),
	       TP_printk("vm %u vcpu %u leaf %#x subleaf %#x eax %#x ebx %#x ecx %#x edx %#x: %s",
			 __entry->vm, __entry->vcpu, __entry->leaf, __entry->subleaf,
			 __entry->eax, __entry->ebx, __entry->ecx, __entry->edx,
			 VEE_BY(__entry->next)),
	       trace_exits_begin, trace_exits_end
);

/* The entry that follows delivers it. */
TRACE_EVENT(vee_inject,
	    TP_PROTO(const struct vee_vcpu *vcpu, const struct vee_event *event),
	    TP_ARGS(vcpu, event),
	    TP_STRUCT__entry(__field(u32, vm)
			     __field(u32, vcpu)
			     __field(u8, vector)
			     __field(u8, type)
			     __field(bool, has_error)
			     __field(u32, error)),
	    TP_fast_assign(VEE_SET_WHOSE;
			   __entry->vector = event->vector;
			   __entry->type = event->type;
			   __entry->has_error = event->flags & VEE_EVENT_ERROR_CODE;
			   __entry->error = event->error_code;),
	    TP_printk("vm %u vcpu %u %s %u error %s%#x", __entry->vm, __entry->vcpu,
		      __print_symbolic(__entry->type,
				       { VEE_EVENT_INTERRUPT, "interrupt" },
				       { VEE_EVENT_NMI, "NMI" },
				       { VEE_EVENT_EXCEPTION, "exception" },
				       { VEE_EVENT_SOFT_INTERRUPT, "software interrupt" },
				       { VEE_EVENT_PRIV_SOFT_EXCEPTION, "INT1" },
				       { VEE_EVENT_SOFT_EXCEPTION, "software exception" }),
		      __entry->vector, __entry->has_error ? "" : "none, ", __entry->error)
);

/* An EPT violation: @result 0: the page is there now; else it goes on with what follows. */
TRACE_EVENT(vee_fault,
	    TP_PROTO(const struct vee_vcpu *vcpu, u64 gpa, u32 access, int result),
	    TP_ARGS(vcpu, gpa, access, result),
	    TP_STRUCT__entry(__field(u32, vm)
			     __field(u32, vcpu)
			     __field(u64, gpa)
			     __field(u32, access)
			     __field(int, result)),
	    TP_fast_assign(VEE_SET_WHOSE;
			   __entry->gpa = gpa;
			   __entry->access = access;
			   __entry->result = result;),
	    TP_printk("vm %u vcpu %u gpa %#llx %s: %d", __entry->vm, __entry->vcpu,
		      __entry->gpa, VEE_ACCESS(__entry->access), __entry->result)
);

/* ... that is the caller's: VEE_EXIT_MMIO, or with an error VEE_EXIT_MEMORY. */
TRACE_EVENT(vee_mmio,
	    TP_PROTO(const struct vee_vcpu *vcpu, const struct vee_exit_memory *exit),
	    TP_ARGS(vcpu, exit),
	    TP_STRUCT__entry(__field(u32, vm)
			     __field(u32, vcpu)
			     __field(u64, gpa)
			     __field(u64, gva)
			     __field(u32, access)
			     __field(int, error)),
	    TP_fast_assign(VEE_SET_WHOSE;
			   __entry->gpa = exit->gpa;
			   __entry->gva = exit->gva;
			   __entry->access = exit->access;
			   __entry->error = exit->error;),
	    TP_printk("vm %u vcpu %u gpa %#llx gva %#llx %s: %d", __entry->vm, __entry->vcpu,
		      __entry->gpa, __entry->gva, VEE_ACCESS(__entry->access),
		      __entry->error)
);

/* A run is over, or paused: VEE_EXIT_ in the page, and what it returned. */
TRACE_EVENT(vee_run,
	    TP_PROTO(const struct vee_vcpu *vcpu, int result),
	    TP_ARGS(vcpu, result),
	    TP_STRUCT__entry(__field(u32, vm)
			     __field(u32, vcpu)
			     __field(u32, reason)
			     __field(int, result)),
	    TP_fast_assign(VEE_SET_WHOSE;
			   __entry->reason = READ_ONCE(vcpu->page->exit.reason);
			   __entry->result = result;),
	    TP_printk("vm %u vcpu %u exit %u: %d", __entry->vm, __entry->vcpu,
		      __entry->reason, __entry->result)
);

/* @vm, @vcpu: whose it is; NULL: the device's, the VM's */
TRACE_EVENT(vee_request,
	    TP_PROTO(const struct vee_vm *vm, const struct vee_vcpu *vcpu, const char *name,
		     long result),
	    TP_ARGS(vm, vcpu, name, result),
	    TP_STRUCT__entry(__field(u32, vm)
			     __field(int, vcpu)
			     __array(char, name, 24)
			     __field(long, result)),
	    TP_fast_assign(__entry->vm = vm ? vm->number : 0;
			   __entry->vcpu = vcpu ? vcpu->id : -1;
			   strscpy(__entry->name, name, sizeof(__entry->name));
			   __entry->result = result;),
	    TP_printk("vm %u vcpu %d %s: %ld", __entry->vm, __entry->vcpu, __entry->name,
		      __entry->result)
);

/* This CPU is in VMX operation to stay, or no longer. Windows are as entries and exits. */
TRACE_EVENT(vee_root,
	    TP_PROTO(bool on),
	    TP_ARGS(on),
	    TP_STRUCT__entry(__field(bool, on)),
	    TP_fast_assign(__entry->on = on;),
	    TP_printk("VMX root operation %s", __entry->on ? "on" : "off")
);

#endif /* _VEE_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace

#include <trace/define_trace.h>
