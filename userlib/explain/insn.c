// SPDX-License-Identifier: LGPL-2.1-or-later
/* The instruction at RIP, as far as it can be fetched. */
#include <errno.h>
#include <stdlib.h>

#include <Zydis/Zydis.h>

#include "explain.h"

static int fetch_byte(struct scratch *scratch, struct code *code)
{
	const struct guest *guest = &scratch->guest;
	uint64_t rip = scratch->page.regs.rip + code->count;
	uint64_t gva = guest_linear(guest, SEG_CS, rip);
	const uint8_t *hva;
	uint64_t gpa;
	int err;

	if (!guest_reaches(guest, SEG_CS, rip, 1))
		return guest_fault(guest, VECTOR_GP, 0);
	err = guest_walk(guest, gva, VEE_EXECUTE, &gpa);
	if (err)
		return err;
	hva = vm_at_for(scratch->vcpu.vm, gpa, 1, VEE_EXECUTE);
	if (!hva)
		return -EFAULT;
	code->bytes[code->count++] = *hva;
	return 0;
}

int insn_fetch(struct scratch *scratch, struct code *code)
{
	int err = 0;

	*code = (struct code) {
		.gva = guest_linear(&scratch->guest, SEG_CS, scratch->page.regs.rip),
	};
	while (!err && code->count < VEE_INSN_MAX)
		err = fetch_byte(scratch, code);
	return code->count ? 0 : err;
}

static bool disassemble(const struct scratch *scratch, const struct code *code,
			ZydisDisassembledInstruction *insn)
{
	static const ZydisMachineMode modes[] = {
		[2] = ZYDIS_MACHINE_MODE_LEGACY_16, [4] = ZYDIS_MACHINE_MODE_LEGACY_32,
		[8] = ZYDIS_MACHINE_MODE_LONG_64,
	};

	return ZYAN_SUCCESS(ZydisDisassembleIntel(modes[scratch->guest.mode],
						  scratch->page.regs.rip, code->bytes,
						  code->count, insn));
}

/* In hexadecimal, with a space before each. */
static void list_bytes(const struct code *code, unsigned int count, char *words)
{
	for (unsigned int i = 0; i < count; i++)
		words += sprintf(words, " %02x", code->bytes[i]);
}

static bool is_zeros(const struct code *code)
{
	for (unsigned int i = 0; i < code->count; i++)
		if (code->bytes[i])
			return false;
	return true;
}

static void say_bytes(struct text *text, struct scratch *scratch, const struct code *code)
{
	ZydisDisassembledInstruction insn;
	char bytes[3 * VEE_INSN_MAX + 1];

	if (disassemble(scratch, code, &insn)) {
		list_bytes(code, insn.info.length, bytes);
		say(text, "  instruction: %s (bytes%s)%s", insn.text, bytes,
		    is_zeros(code) ? ": nothing but zeros is there" : "");
	} else {
		list_bytes(code, code->count, bytes);
		say(text, "  instruction: none that the decoder knows (bytes%s)", bytes);
	}
}

void insn_say(struct text *text, struct scratch *scratch)
{
	const struct vee_segment *cs = &scratch->page.segments.cs;
	struct code code;
	int err = insn_fetch(scratch, &code);

	say(text, "  at %04x:%llx, gva %#llx, in %s", cs->selector,
	    U(scratch->page.regs.rip), U(code.gva), scratch_mode_name(&scratch->page));
	scratch_forget(scratch);
	if (!err)
		say_bytes(text, scratch, &code);
	else
		say(text, "  instruction: it can't be fetched");
}

static int disassemble_next(struct scratch *scratch, char *text, size_t room)
{
	ZydisDisassembledInstruction insn;
	struct code code;
	int err = insn_fetch(scratch, &code);

	if (err)
		return err < 0 ? err : -EFAULT;
	if (!disassemble(scratch, &code, &insn))
		return -ENOEXEC;
	snprintf(text, room, "%s", insn.text);
	return 0;
}

int vee_disassemble(struct vee_vcpu *vcpu, char *text, size_t room)
{
	struct scratch *scratch = malloc(sizeof(*scratch));
	int err = scratch ? scratch_begin(scratch, vcpu) : -ENOMEM;

	if (room)
		*text = '\0';
	if (!err)
		err = disassemble_next(scratch, text, room);
	free(scratch);
	return err;
}
