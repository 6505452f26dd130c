// SPDX-License-Identifier: LGPL-2.1-or-later
/* What "vee stat" shows of VMs. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"
#include "watch.h"

#define PERCENT		100

/* --- what has come since --- */

static const struct watched_vm *find_vm(const struct watch *watch, uint32_t number)
{
	for (unsigned int i = 0; watch && i < watch->count; i++)
		if (watch->vms[i].text.vm == number)
			return &watch->vms[i];
	return NULL;
}

/* What of @vm is to be compared with @vcpu: its vCPU of this id, or the sum. */
static const struct watched_vcpu *find_vcpu(const struct watched_vm *vm, uint32_t id, bool all)
{
	if (vm && all)
		return &vm->all;
	for (unsigned int i = 0; vm && i < vm->vcpu_count; i++)
		if (vm->vcpus[i].id == id)
			return &vm->vcpus[i];
	return NULL;
}

static uint64_t since(uint64_t before, uint64_t now)
{
	return now > before ? now - before : 0;
}

/* Times of another thread than before are none that compare. */
static void subtract(struct watched_vcpu *now, const struct watched_vcpu *before)
{
	now->runs = since(before->runs, now->runs);
	now->entries = since(before->entries, now->entries);
	now->faults = since(before->faults, now->faults);
	now->flushes = since(before->flushes, now->flushes);
	for (unsigned int i = 0; i < VEE_STATS_REASONS; i++)
		now->exits[i] = since(before->exits[i], now->exits[i]);
	now->has_times &= before->has_times && before->thread == now->thread;
	now->times.guest = since(before->times.guest, now->times.guest);
	now->times.kernel = since(before->times.kernel, now->times.kernel);
	now->times.user = since(before->times.user, now->times.user);
}

/* --- a row --- */

struct scale {
	double seconds;		/* between two watches; 0: there is one alone */
	double ticks;		/* of a thread's times in a second */
};

static void put_time(FILE *out, const struct scale *scale, const struct watched_vcpu *vcpu,
		     uint64_t ticks)
{
	double seconds = ticks / scale->ticks;

	if (!vcpu->has_times)
		fprintf(out, " %8s", "-");
	else if (scale->seconds > 0)
		fprintf(out, " %7.1f%%", PERCENT * seconds / scale->seconds);
	else
		fprintf(out, " %8.2f", seconds);
}

static double per_second(const struct scale *scale, uint64_t count)
{
	return scale->seconds > 0 ? count / scale->seconds : count;
}

static void put_count(FILE *out, const struct scale *scale, uint64_t count)
{
	fprintf(out, " %10.0f", per_second(scale, count));
}

static void put_exits(FILE *out, const struct scale *scale, const __u64 *exits)
{
	struct reason_count counts[VEE_STATS_REASONS];

	sort_exits(counts, exits);
	for (unsigned int i = 0; i < VEE_STATS_REASONS && counts[i].count; i++)
		fprintf(out, "%s%.0f %s", i ? ", " : "  ", per_second(scale, counts[i].count),
			vee_hardware_reason_name(counts[i].reason));
}

/* @before: NULL: it is new. @now is changed into what has come since. */
static void put_row(FILE *out, const struct scale *scale, const struct watched_vcpu *before,
		    struct watched_vcpu *now)
{
	if (before)
		subtract(now, before);
	put_time(out, scale, now, now->times.guest);
	put_time(out, scale, now, now->times.kernel);
	put_time(out, scale, now, now->times.user);
	put_count(out, scale, now->runs);
	put_count(out, scale, now->entries);
	put_count(out, scale, now->faults);
	put_exits(out, scale, now->exits);
	fputc('\n', out);
}

/* --- a VM --- */

static void put_title(FILE *out, const struct watched_vm *vm)
{
	fprintf(out, "VM %" PRIu32 ": process %d of %s: ", vm->text.vm, (int)vm->pid, vm->owner);
	put_plain(out, vm->command);
	fprintf(out, "\nmemory: %" PRIu64 " KiB lent, %" PRIu64 " KiB mapped", vm->text.lent_kib,
		vm->text.mapped_kib);
	fprintf(out, ", EPT %" PRIu64 " KiB\n", vm->text.tables_kib);
}

static void put_heads(FILE *out, const struct scale *scale)
{
	bool live = scale->seconds > 0;

	fprintf(out, "vCPU  thread %8s %8s %8s %10s %10s %10s  %s\n", live ? "guest" : "guest s",
		live ? "kernel" : "kernel s", live ? "user" : "user s",
		live ? "runs/s" : "runs", live ? "entries/s" : "entries",
		live ? "faults/s" : "faults", live ? "exits/s" : "exits");
}

static void put_vm(FILE *out, const struct scale *scale, const struct watched_vm *before,
		   const struct watched_vm *vm)
{
	struct watched_vcpu row;

	put_title(out, vm);
	put_heads(out, scale);
	for (unsigned int i = 0; i < vm->vcpu_count; i++) {
		row = vm->vcpus[i];
		fprintf(out, "%4" PRIu32 " %7" PRIu32, row.id, row.thread);
		put_row(out, scale, find_vcpu(before, row.id, false), &row);
	}
	if (vm->vcpu_count < 2)
		return;
	row = vm->all;
	fprintf(out, " all        ");
	put_row(out, scale, find_vcpu(before, 0, true), &row);
}

void put_stat(FILE *out, const struct watch *before, const struct watch *now)
{
	const struct scale scale = {
		.seconds = before ? now->seconds - before->seconds : 0,
		.ticks = sysconf(_SC_CLK_TCK),
	};

	for (unsigned int i = 0; i < now->count; i++) {
		const struct watched_vm *vm = &now->vms[i];

		if (i)
			fputc('\n', out);
		put_vm(out, &scale, find_vm(before, vm->text.vm), vm);
	}
}

/* --- JSON --- */

static void put_json_times(FILE *out, const struct watched_vcpu *vcpu)
{
	double ticks = sysconf(_SC_CLK_TCK);

	if (!vcpu->has_times)
		return;
	fprintf(out, ",\"guest_seconds\":%.2f,\"kernel_seconds\":%.2f,\"user_seconds\":%.2f",
		vcpu->times.guest / ticks, vcpu->times.kernel / ticks,
		vcpu->times.user / ticks);
}

static void put_json_vcpu(FILE *out, const struct watched_vcpu *vcpu)
{
	const char *comma = "";

	fprintf(out, "{\"id\":%" PRIu32 ",\"thread\":%" PRIu32 ",\"runs\":%" PRIu64 ",\"entries\":%"
		PRIu64 ",\"faults\":%" PRIu64 ",\"flushes\":%" PRIu64, vcpu->id, vcpu->thread,
		vcpu->runs, vcpu->entries, vcpu->faults, vcpu->flushes);
	put_json_times(out, vcpu);
	fputs(",\"exits\":{", out);
	for (unsigned int i = 0; i < VEE_STATS_REASONS; i++) {
		if (!vcpu->exits[i])
			continue;
		fputs(comma, out);
		put_json_string(out, vee_hardware_reason_name(i));
		fprintf(out, ":%" PRIu64, (uint64_t)vcpu->exits[i]);
		comma = ",";
	}
	fputs("}}", out);
}

void put_json_stat(FILE *out, const struct watch *now)
{
	fprintf(out, "{\"seconds\":%.3f,\"vms\":[", now->seconds);
	for (unsigned int i = 0; i < now->count; i++) {
		const struct watched_vm *vm = &now->vms[i];

		fputs(i ? ",{" : "{", out);
		put_json_vm(out, vm);
		fputs(",\"vcpus\":[", out);
		for (unsigned int j = 0; j < vm->vcpu_count; j++) {
			if (j)
				fputc(',', out);
			put_json_vcpu(out, &vm->vcpus[j]);
		}
		fputs("]}", out);
	}
	fputs("]}\n", out);
}

/* --- the screen --- */

#define HOME		"\033[H"
#define CLEAR_LINE	"\033[K"
#define CLEAR_BELOW	"\033[J"

/* The last row stays empty: a new line there would move all others. */
void put_screen(FILE *out, const char *text, unsigned int rows, unsigned int columns)
{
	fputs(HOME, out);
	for (unsigned int row = 1; *text && row < rows; row++) {
		size_t bytes = strcspn(text, "\n");

		fwrite(text, 1, bytes < columns ? bytes : columns, out);
		fputs(CLEAR_LINE "\n", out);
		text += bytes + (text[bytes] == '\n');
	}
	fputs(CLEAR_BELOW, out);
	fflush(out);
}
