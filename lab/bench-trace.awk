# SPDX-License-Identifier: GPL-2.0-only
#
# The traces of lab/bench-trace as Markdown, after lab/trace-sections.awk has read them.
#
# To the file "listing", if it has a name, each instruction under vee:
# PATH|TICKS|FUNCTION|GROUP|ADDRESS|INSTRUCTION

BEGIN {
	OUTSIDE = "system call: the kernel outside the engine"
	groups = split("guest|VM entry and exit|engine|" OUTSIDE "|program", group_names, "|")
	names = split("VMRESUME, VMLAUNCH|VMREAD|VMWRITE|VMPTRLD, VMCLEAR|INVEPT, INVVPID" \
		"|RDMSR|WRMSR|XSAVE*|XRSTOR*|XSETBV|write to a control register" \
		"|descriptor tables, TR, LDTR|locked|VERW|LFENCE|RDTSC, RDTSCP" \
		"|SYSCALL, SYSRET, IRET|SWAPGS|CLI, STI, POPF|debug registers", dear_names, "|")
}

# --- what an instruction is -----------------------------------------------------------

function dear(insn) {
	if (insn ~ /^vm(resume|launch)/) return 1
	if (insn ~ /^vmread/) return 2
	if (insn ~ /^vmwrite/) return 3
	if (insn ~ /^vm(ptrld|clear)/) return 4
	if (insn ~ /^inv(ept|vpid)/) return 5
	if (insn ~ /^rdmsr/) return 6
	if (insn ~ /^wrmsr/) return 7
	if (insn ~ /^(xsave|fxsave)/) return 8
	if (insn ~ /^(xrstor|fxrstor)/) return 9
	if (insn ~ /^xsetbv/) return 10
	if (insn ~ /^mov cr/) return 11
	if (insn ~ /^(l[gil]dt|ltr|s[gil]dt|str) /) return 12
	if (insn ~ /^lock / || insn ~ /^xchg .*ptr/) return 13
	if (insn ~ /^verw/) return 14
	if (insn ~ /^lfence/) return 15
	if (insn ~ /^rdtsc/) return 16
	if (insn ~ /^(syscall|sysret|iret)/) return 17
	if (insn ~ /^swapgs/) return 18
	if (insn ~ /^(cli|sti|popf)/) return 19
	if (insn ~ /^mov .*dr[0-7]/) return 20
	return 0
}

# The functions that VMRESUME is in, and that an exit comes back to.
function find_crossings(engine, key,   i, m, before) {
	for (i = 1; i <= lines[key]; i++) {
		m = mode(kept_place[key, i])
		if (m == "kernel" && (before == "guest" || dear(kept[key, i]) == 1))
			crossing[find_function(engine, substr(kept_place[key, i], 6))] = 1
		before = m
	}
}

function account(engine, path,   key, i, m, name, group, kind) {
	key = engine SUBSEP path
	find_crossings(engine, key)
	for (i = 1; i < lines[key]; i++) {
		m = mode(kept_place[key, i])
		name = group = m
		if (m == "kernel") {
			name = find_function(engine, substr(kept_place[key, i], 6))
			group = name in crossing ? "VM entry and exit" : of_engine ? "engine" : OUTSIDE
		}
		ticks_of[path, group, name, engine] += kept_ticks[key, i]
		group_ticks[path, group, engine] += kept_ticks[key, i]
		if (!((path, group, name) in listed)) {
			listed[path, group, name] = 1
			members[path, group] = members[path, group] SUBSEP name
		}
		if (engine == "vee" && listing)
			printf "%s|%d|%s|%s|%s|%s\n", path, kept_ticks[key, i], name, group,
				substr(kept_place[key, i], 6), kept[key, i] >listing
		kind = m == "guest" ? 0 : dear(kept[key, i])
		if (kind)
			dear_count[path, kind, engine]++
	}
}

# --- tables -------------------------------------------------------------------------

# A group's functions, the dearest for vee first.
function print_group(path, group,   n, name, i, j, moved) {
	n = split(substr(members[path, group], 2), name, SUBSEP)
	for (i = 2; i <= n; i++) {
		moved = name[i]
		for (j = i - 1; j && before(path, group, moved, name[j]); j--)
			name[j + 1] = name[j]
		name[j + 1] = moved
	}
	printf "| **%s** | **%d** | **%d** |\n", group, group_ticks[path, group, "KVM"],
		group_ticks[path, group, "vee"]
	if (group == "guest" || group == "program")
		return
	for (i = 1; i <= n; i++)
		printf "| `%s` | %s | %s |\n", name[i], cell(ticks_of[path, group, name[i], "KVM"]),
			cell(ticks_of[path, group, name[i], "vee"])
}

function before(path, group, a, b) {
	if (ticks_of[path, group, a, "vee"] + 0 != ticks_of[path, group, b, "vee"] + 0)
		return ticks_of[path, group, a, "vee"] + 0 > ticks_of[path, group, b, "vee"] + 0
	return ticks_of[path, group, a, "KVM"] + 0 > ticks_of[path, group, b, "KVM"] + 0
}

function cell(n) {
	return n ? n : ""
}

function print_path(path,   i) {
	printf "\n### %s: ticks by function\n\n", path
	print "| function | KVM | vee |"
	print "| --- | ---: | ---: |"
	for (i = 1; i <= groups; i++)
		if ((path, group_names[i]) in members)
			print_group(path, group_names[i])
	printf "| **all** | **%d** | **%d** |\n", total["KVM", path], total["vee", path]
}

function print_dear(   i, p) {
	print "\n### Dear instructions: KVM / vee\n"
	print_head("| |", "| --- |")
	for (i = 1; i <= names; i++) {
		printf "| %s |", dear_names[i]
		for (p = 1; p <= paths; p++)
			printf " %d / %d |", dear_count[path_names[p], i, "KVM"],
				dear_count[path_names[p], i, "vee"]
		print ""
	}
	printf "| all instructions, in ticks |"
	for (p = 1; p <= paths; p++)
		printf " %d / %d |", total["KVM", path_names[p]], total["vee", path_names[p]]
	print ""
}

END {
	check_sections()
	sort_all_symbols()
	for (p = 1; p <= paths; p++) {
		account("KVM", path_names[p])
		account("vee", path_names[p])
	}
	print_dear()
	for (p = 1; p <= paths; p++)
		print_path(path_names[p])
}
