// SPDX-License-Identifier: LGPL-2.1-or-later
#include "said.h"

char said[16384];

static unsigned int count_lines(void)
{
	unsigned int lines = 0;

	for (const char *at = said; *at; at++)
		lines += *at == '\n';
	return lines;
}

void explain(void)
{
	FILE *out = fmemopen(said, sizeof(said), "w");

	memset(said, 0, sizeof(said));
	CHECK_EQUAL(vee_explain(rig.vcpu, out), 0);
	fclose(out);
	CHECK(count_lines() <= VEE_EXPLAIN_LINES);
	if (getenv("VEE_SHOW"))
		fputs(said, stdout);
}

void check_says(const char *words)
{
	test_case("%.190s", words);
	if (!CHECK(strstr(said, words)))
		printf("# said:\n%s", said);
}

void set_exit(uint32_t reason, const char *code, size_t bytes)
{
	memcpy(ram + 0x1000, code, bytes);
	page->exit = (struct vee_exit) { .reason = reason };
}

void put_gate(unsigned int vector, uint64_t low)
{
	unsigned int bytes = page->control.efer & EFER_LMA ? 16 : 8;

	memcpy(ram + IDT_GPA + vector * bytes, &low, sizeof(low));
	memset(ram + IDT_GPA + vector * bytes + 8, 0, bytes - 8);
}

void begin_idt(unsigned int mode)
{
	begin(mode);
	memset(ram + IDT_GPA, 0, PAGE_BYTES);
	page->segments.idtr = (struct vee_table) { .base = IDT_GPA, .limit = 0xfff };
	page->regs.rsp = 0x8000;
}
