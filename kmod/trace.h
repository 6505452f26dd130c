/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tracepoints: /sys/kernel/tracing/events/vee.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM vee

#if !defined(_VEE_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _VEE_TRACE_H

#include <linux/tracepoint.h>

TRACE_EVENT(vee_exit,
	    TP_PROTO(u32 id, u32 reason, const char *name, u64 rip, u64 qualification),
	    TP_ARGS(id, reason, name, rip, qualification),
	    TP_STRUCT__entry(__field(u32, id)
			     __field(u32, reason)
			     __field(const char *, name)
			     __field(u64, rip)
			     __field(u64, qualification)),
	    TP_fast_assign(__entry->id = id;
			   __entry->reason = reason;
			   __entry->name = name;
			   __entry->rip = rip;
			   __entry->qualification = qualification;),
	    TP_printk("vcpu %u exit %u (%s) rip %#llx qualification %#llx",
		      __entry->id, __entry->reason, __entry->name,
		      __entry->rip, __entry->qualification)
);

TRACE_EVENT(vee_fault,
	    TP_PROTO(u32 id, u64 gpa, u32 access, int result),
	    TP_ARGS(id, gpa, access, result),
	    TP_STRUCT__entry(__field(u32, id)
			     __field(u64, gpa)
			     __field(u32, access)
			     __field(int, result)),
	    TP_fast_assign(__entry->id = id;
			   __entry->gpa = gpa;
			   __entry->access = access;
			   __entry->result = result;),
	    TP_printk("vcpu %u gpa %#llx access %#x: %d", __entry->id,
		      __entry->gpa, __entry->access, __entry->result)
);

#endif /* _VEE_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace

#include <trace/define_trace.h>
