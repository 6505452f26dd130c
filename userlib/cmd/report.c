// SPDX-License-Identifier: LGPL-2.1-or-later
/* For people: accesses to devices, statistics, exits. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"

#define line(...) (fprintf(stderr, __VA_ARGS__), fputc('\n', stderr))
#define U(x) ((unsigned long long)(x))
#define INSN_TEXT	96

/* --- accesses to devices --- */

static void report_access(const char *bus, uint64_t address, unsigned int bytes,
			  bool write)
{
	fprintf(stderr, "%s %s %#llx, %u byte%s", write ? "write to" : "read of",
		bus, U(address), bytes, bytes == 1 ? "" : "s");
}

/* Of those that nothing answers the first: a summary has the rest. */
void trace_io(void *arg, const struct bus_event *event)
{
	uint64_t value = 0;

	if (!event->device && event->misses != 1)
		return;
	memcpy(&value, event->data,
	       event->bytes < sizeof(value) ? event->bytes : sizeof(value));
	flockfile(stderr);
	fputs("vee: ", stderr);
	report_access(arg, event->address, event->bytes, event->write);
	line(", %#llx: %s", U(value),
	     event->device ? event->device->name : "nothing is there");
	funlockfile(stderr);
}

void report_misses(const struct bus *bus, const char *name)
{
	for (unsigned int i = 0; i < bus->miss_count; i++) {
		const struct bus_miss *miss = &bus->misses[i];

		fputs("vee: nothing there: ", stderr);
		report_access(name, miss->address, miss->bytes, miss->write);
		line(": %llu time%s", U(miss->count),
		     miss->count == 1 ? "" : "s");
	}
	if (bus->other_misses)
		line("vee: nothing there: %llu other accesses",
		     U(bus->other_misses));
}

/* --- statistics --- */

static int most_first(const void *a, const void *b)
{
	uint64_t left = ((const struct reason_count *)a)->count;
	uint64_t right = ((const struct reason_count *)b)->count;

	return left < right ? 1 : -(left > right);
}

void sort_exits(struct reason_count *sorted, const __u64 *exits)
{
	for (unsigned int i = 0; i < VEE_STATS_REASONS; i++)
		sorted[i] = (struct reason_count) { i, exits[i] };
	qsort(sorted, VEE_STATS_REASONS, sizeof(*sorted), most_first);
}

void report_stats(struct cpu *cpu)
{
	struct reason_count counts[VEE_STATS_REASONS];
	struct vee_stats stats;

	if (vee_vcpu_stats(cpu->vcpu, &stats))
		return;
	sort_exits(counts, stats.exits);
	line("%s: %llu VM entries, %llu exits to this process, %llu first touches",
	     cpu->name, U(stats.entries), U(stats.user_exits), U(stats.faults));
	for (unsigned int i = 0; i < VEE_STATS_REASONS && counts[i].count; i++)
		line("  %10llu  %s", U(counts[i].count),
		     vee_hardware_reason_name(counts[i].reason));
}

/* --- exits --- */

static const char *device_name(const struct bus *bus, uint64_t address)
{
	const struct bus_device *device = bus_find(bus, address);

	return device ? device->name : "nobody";
}

static void trace_pio(const struct machine *machine, const struct vee_exit_pio *pio)
{
	fprintf(machine->trace, "%s%s port %#x, %u bytes, value %#llx, count %llu: %s",
		pio->direction == VEE_PIO_OUT ? "OUT" : "IN", pio->string ? "S" : "",
		pio->port, pio->width, U(pio->data), U(pio->count),
		device_name(&machine->ports, pio->port));
}

static void trace_memory(const struct machine *machine,
			 const struct vee_exit_memory *memory)
{
	fprintf(machine->trace, "%s%s%s gpa %#llx, gva %#llx: %s",
		memory->access & VEE_READ ? "r" : "-",
		memory->access & VEE_WRITE ? "w" : "-",
		memory->access & VEE_EXECUTE ? "x" : "-", U(memory->gpa), U(memory->gva),
		memory->apic ? "local APIC" : device_name(&machine->memory, memory->gpa));
}

static void trace_what(const struct cpu *cpu)
{
	const struct vee_exit *exit = &cpu->vcpu->page->exit;
	const struct machine *machine = cpu->machine;

	switch (exit->reason) {
	case VEE_EXIT_PIO:
		trace_pio(machine, &exit->pio);
		break;
	case VEE_EXIT_MMIO:
	case VEE_EXIT_MEMORY:
		trace_memory(machine, &exit->memory);
		break;
	case VEE_EXIT_RDMSR:
	case VEE_EXIT_WRMSR:
		fprintf(machine->trace, "%#x %#llx", exit->msr.index, U(exit->msr.value));
		break;
	case VEE_EXIT_EOI:
		fprintf(machine->trace, "vector %#x", exit->eoi.vector);
		break;
	default:
		fprintf(machine->trace, "(%s)",
			vee_hardware_reason_name(exit->hardware_reason));
		break;
	}
}

/* The instruction at the end: what came before has columns. CPUs take turns by lines. */
void trace_exit(const struct cpu *cpu)
{
	const struct vee_vcpu_page *page = cpu->vcpu->page;
	FILE *trace = cpu->machine->trace;
	char insn[INSN_TEXT];

	flockfile(trace);
	fprintf(trace, "%s: %016llx %s ", cpu->name, U(page->regs.rip),
		vee_exit_name(page->exit.reason));
	trace_what(cpu);
	if (!vee_disassemble(cpu->vcpu, insn, sizeof(insn)))
		fprintf(trace, " | %s", insn);
	fputc('\n', trace);
	funlockfile(trace);
}

/* Line by line: whoever looks into it, or is left with it, finds no half ones. */
int trace_open(struct machine *machine)
{
	const char *path = machine->options->trace_path;

	if (!machine->options->trace)
		return STATUS_OK;
	if (!path) {
		machine->trace = stderr;
		return STATUS_OK;
	}
	machine->trace = fopen(path, "we");
	if (!machine->trace)
		return fail("--trace=%s: it can't be written: %s", path, strerror(errno));
	setvbuf(machine->trace, NULL, _IOLBF, 0);
	return STATUS_OK;
}
