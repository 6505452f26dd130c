// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * HLT with interrupts off. A guest whose CPUs are all in it, or have yet to be started, is
 * done; one of several is woken by another, with an NMI or INIT: systems take CPUs off line
 * so, and memtest86+ has them wait for each other.
 *
 * Who is in it sleeps in the module, and may be woken and go there again without this
 * process seeing any of it. So the one who is last to halt asks the others, which look at
 * themselves as soon as their runs end. Meanwhile it runs nothing, so that whoever is
 * asleep stays so.
 */
#include "cmd.h"

#define RFLAGS_IF	0x200ULL

static void set(struct cpu *cpu, bool halted)
{
	cpu->halted = halted;
	if (halted)
		cpu->vcpu->page->options |= VEE_OPTION_HLT_MASKED_SLEEPS;
	else
		cpu->vcpu->page->options &= ~VEE_OPTION_HLT_MASKED_SLEEPS;
}

void halt_begin(struct cpu *cpu)
{
	cpu->vcpu->page->options = VEE_OPTION_HLT_SLEEPS;
	set(cpu, cpu != cpu->machine->cpus);
}

void halt_go_on(struct cpu *cpu)
{
	cpu->halted = cpu->vcpu->page->options & VEE_OPTION_HLT_MASKED_SLEEPS;
}

/*
 * As it is now, with what others have sent since the run. The APIC comes first: what is on
 * its way there may be an NMI.
 */
static bool look(struct cpu *cpu)
{
	cpu->vcpu->page->valid &= ~(VEE_STATE_APIC | VEE_STATE_EVENTS);
	return !vee_vcpu_sync(cpu->vcpu, VEE_STATE_APIC) &&
	       !vee_vcpu_sync(cpu->vcpu, VEE_STATE_EVENTS | VEE_STATE_REGS);
}

static bool is_called(const struct vee_vcpu_page *page)
{
	return page->apic.start || page->events.nmi.flags & VEE_EVENT_VALID;
}

static bool is_asleep(struct cpu *cpu)
{
	const struct vee_vcpu_page *page = cpu->vcpu->page;

	if (!look(cpu))
		return false;
	if (page->apic.start == VEE_APIC_WAITS_FOR_SIPI)
		return true;
	return page->events.activity == VEE_ACTIVITY_HLT && !(page->regs.rflags & RFLAGS_IF) &&
	       !is_called(page);
}

static void answer(struct cpu *cpu, bool halted)
{
	struct machine *machine = cpu->machine;

	pthread_mutex_lock(&machine->lock);
	set(cpu, halted);
	cpu->answered = machine->question;
	pthread_cond_broadcast(&machine->answers);
	pthread_mutex_unlock(&machine->lock);
}

void halt_look(struct cpu *cpu)
{
	if (cpu->halted)
		answer(cpu, is_asleep(cpu));
}

void halt_leave(struct cpu *cpu)
{
	answer(cpu, false);
}

static bool all_halted(const struct machine *machine)
{
	for (unsigned int i = 0; i < machine->cpu_count; i++)
		if (!machine->cpus[i].halted)
			return false;
	return true;
}

static bool all_answered(const struct cpu *but)
{
	const struct machine *machine = but->machine;

	for (unsigned int i = 0; i < machine->cpu_count; i++)
		if (&machine->cpus[i] != but &&
		    machine->cpus[i].answered != machine->question)
			return false;
	return true;
}

/*
 * Another one that asks has been woken since, so this one's question is void. Who is in gdb's
 * hands, or waits for the machine to be saved, doesn't answer before this one is there, too:
 * it asks again after the next run.
 */
static bool ask(struct cpu *cpu)
{
	struct machine *machine = cpu->machine;
	uint64_t question = ++machine->question;

	for (unsigned int i = 0; i < machine->cpu_count; i++)
		if (&machine->cpus[i] != cpu)
			cpu_kick(&machine->cpus[i]);
	while (machine->question == question && all_halted(machine) && !all_answered(cpu)) {
		if (!wait_a_while(&machine->answers, &machine->lock) &&
		    (machine->gdb || machine->save_asked))
			set(cpu, false);
	}
	return machine->question == question && all_halted(machine);
}

/* Nobody is left to wake it, nor has anyone before that. */
static bool stays(struct cpu *cpu)
{
	if (!cpu->machine->options->cpus)
		return true;
	return look(cpu) && !is_called(cpu->vcpu->page);
}

bool halt_is_end(struct cpu *cpu)
{
	struct machine *machine = cpu->machine;
	bool end;

	pthread_mutex_lock(&machine->lock);
	set(cpu, true);
	end = all_halted(machine) && ask(cpu) && stays(cpu);
	pthread_mutex_unlock(&machine->lock);
	return end;
}
