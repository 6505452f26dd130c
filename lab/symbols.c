// SPDX-License-Identifier: GPL-2.0-only
/*
 * The symbols of a running kernel for gdb, where its package of debug symbols is 1.7 GB: an
 * ELF file with a symbol table and nothing else. They are where the kernel was linked to
 * be, and where one booted with "nokaslr" is.
 *
 * usage: symbols </proc/kallsyms >FILE		as root
 */
#include <elf.h>
#include <err.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where _text is without KASLR: __START_KERNEL of asm/page_types.h, by default. */
#define KERNEL_TEXT	0xffffffff81000000UL
/* What is below are offsets, of per-CPU variables: KASLR leaves these alone. */
#define KERNEL_BEGIN	0xffff800000000000UL

#define FIRST_SECTION	1	/* 0 is none */
#define CODE_NAME	1	/* where the strings have them */
#define DATA_NAME	(CODE_NAME + sizeof(".text"))

/* What grows as it is filled. @room: how many there may be of @items */
struct table {
	void *items;
	size_t count;
	size_t room;
};

static struct table symbols;	/* of Elf64_Sym */
static struct table sections;	/* of Elf64_Shdr */
static struct table strings;	/* of char */

static void add(struct table *table, const void *items, size_t count, size_t bytes)
{
	if (table->count + count > table->room) {
		table->room = 2 * (table->count + count);
		table->items = realloc(table->items, table->room * bytes);
		if (!table->items)
			err(1, NULL);
	}
	memcpy((char *)table->items + table->count * bytes, items, count * bytes);
	table->count += count;
}

static Elf64_Word add_string(const char *string)
{
	Elf64_Word at = strings.count;

	add(&strings, string, strlen(string) + 1, 1);
	return at;
}

/* --- in --- */

static bool is_code(char type)
{
	return strchr("tTwW", type);
}

static bool is_global(char type)
{
	return type >= 'A' && type <= 'Z';
}

/* gdb goes by sections: code and data in turn are one each, up to the next. */
static Elf64_Half section_of(uint64_t gva, bool code)
{
	Elf64_Shdr *last = (Elf64_Shdr *)sections.items + sections.count - 1;
	const Elf64_Shdr section = {
		.sh_name = code ? CODE_NAME : DATA_NAME,
		.sh_type = SHT_NOBITS,
		.sh_flags = SHF_ALLOC | (code ? SHF_EXECINSTR : SHF_WRITE),
		.sh_addr = gva,
		.sh_addralign = 1,
	};

	if (sections.count > FIRST_SECTION) {
		last->sh_size = gva - last->sh_addr;
		if (last->sh_flags == section.sh_flags)
			return sections.count - 1;
	}
	add(&sections, &section, 1, sizeof(section));
	return sections.count - 1;
}

static void add_symbol(uint64_t gva, char type, const char *name)
{
	const Elf64_Sym symbol = {
		.st_name = add_string(name),
		.st_info = ELF64_ST_INFO(is_global(type) ? STB_GLOBAL : STB_LOCAL,
					 is_code(type) ? STT_FUNC : STT_OBJECT),
		.st_shndx = gva < KERNEL_BEGIN ? SHN_ABS : section_of(gva, is_code(type)),
		.st_value = gva,
	};

	add(&symbols, &symbol, 1, sizeof(symbol));
}

/*
 * "ADDRESS TYPE NAME", by address, and at the end those of modules, with "[MODULE]" besides,
 * of which the first ends it. Returns the name.
 */
static const char *read_symbol(uint64_t *gva, char *type)
{
	static char line[1024];
	char *at, *end;

	if (!fgets(line, sizeof(line), stdin))
		return NULL;
	*gva = strtoul(line, &at, 16);
	end = strpbrk(line, "\t\n");
	if (at == line || !end || end - at < 4 || at[0] != ' ' || at[2] != ' ')
		errx(1, "not a line of /proc/kallsyms: %s", line);
	*type = at[1];
	at += 3;
	if (*end == '\t')
		return NULL;
	*end = 0;
	return at;
}

/* The first of the kernel's is the one that its text begins with. */
static void read_all(void)
{
	uint64_t gva, last = 0, shift = 0;
	const char *name;
	char type;

	while ((name = read_symbol(&gva, &type))) {
		if (gva < last)
			errx(1, "%s is out of order", name);
		if (gva >= KERNEL_BEGIN && last < KERNEL_BEGIN)
			shift = gva - KERNEL_TEXT;
		last = gva;
		add_symbol(gva < KERNEL_BEGIN ? gva : gva - shift, type, name);
	}
	if (last < KERNEL_BEGIN)
		errx(1, "no addresses there: only root sees them");
}

/* --- out --- */

static void put(const void *bytes, size_t count)
{
	if (fwrite(bytes, 1, count, stdout) != count)
		err(1, "stdout");
}

/* The header, the symbols, the strings, which serve sections and symbols, the sections. */
static void write_all(void)
{
	const size_t symbols_at = sizeof(Elf64_Ehdr);
	const size_t strings_at = symbols_at + symbols.count * sizeof(Elf64_Sym);
	const Elf64_Shdr table = {
		.sh_name = add_string(".symtab"),
		.sh_type = SHT_SYMTAB,
		.sh_offset = symbols_at,
		.sh_size = strings_at - symbols_at,
		.sh_link = sections.count + 1,
		.sh_info = symbols.count,
		.sh_entsize = sizeof(Elf64_Sym),
	};
	Elf64_Shdr names = {
		.sh_name = add_string(".strtab"),
		.sh_type = SHT_STRTAB,
		.sh_offset = strings_at,
	};
	Elf64_Ehdr header = {
		.e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
			     EV_CURRENT },
		.e_type = ET_EXEC,
		.e_machine = EM_X86_64,
		.e_version = EV_CURRENT,
		.e_ehsize = sizeof(header),
		.e_shentsize = sizeof(Elf64_Shdr),
	};

	while (strings.count % sizeof(uint64_t))
		add_string("");
	names.sh_size = strings.count;
	add(&sections, &table, 1, sizeof(table));
	add(&sections, &names, 1, sizeof(names));
	header.e_shoff = strings_at + strings.count;
	header.e_shnum = sections.count;
	header.e_shstrndx = sections.count - 1;
	put(&header, sizeof(header));
	put(symbols.items, symbols.count * sizeof(Elf64_Sym));
	put(strings.items, strings.count);
	put(sections.items, sections.count * sizeof(Elf64_Shdr));
	if (fflush(stdout))
		err(1, "stdout");
}

int main(void)
{
	static const Elf64_Shdr no_section;
	static const Elf64_Sym no_symbol;

	add_string("");
	add_string(".text");
	add_string(".data");
	add(&sections, &no_section, 1, sizeof(no_section));
	add(&symbols, &no_symbol, 1, sizeof(no_symbol));
	read_all();
	write_all();
	return 0;
}
