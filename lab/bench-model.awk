# SPDX-License-Identifier: GPL-2.0-only
#
# The traces of lab/bench-model, after lab/trace-sections.awk has read them, as modelled
# cycles. -v weights=FILE: lab/bench-weights or one like it; -v bounds=FILE: lines
# "PATH|PART", the most that vee may come to as a part of KVM's sum.
#
# To the file "listing", if it has a name, each instruction of vee's that isn't "any
# other": ADDRESS|PATH|FUNCTION|INSTRUCTION|AT LEAST|AT MOST

BEGIN {
	read_weights()
	while ((getline line <bounds) > 0) {
		split(line, field, "|")
		bound[field[1]] = field[2]
	}
}

function bad(why) {
	print weights ": " why >"/dev/stderr"
	exit failed = 1
}

function read_weights(   f, n, keys, i) {
	while ((getline line <weights) > 0) {
		n = split(line, f, / +\| +/)
		if (f[1] == "source" && n == 4)
			sources[f[2]] = f[3] " | " f[4]
		else if (f[1] == "weight" && n == 6 && f[3] + 0 <= f[4] + 0) {
			names[++kinds] = f[2]
			low[kinds] = f[3]
			high[kinds] = f[4]
			pattern[kinds] = f[5]
			source[kinds] = f[6]
		} else if (line !~ /^(#|$)/)
			bad("not understood: " line)
	}
	for (i = 1; i <= kinds; i++) {
		n = split(source[i], keys, " ")
		if (!(keys[1] in sources) || !(keys[n] in sources))
			bad("no such source: " source[i])
	}
	if (pattern[kinds] != "^")
		bad("the last weight is not for any instruction: ^")
}

# --- what registers hold, as far as the instructions themselves say ------------------

# eax and rax are one register, r8d and r8 too.
function whole(register) {
	sub(/^[re]/, "", register)
	sub(/d$/, "", register)
	return register
}

function forget_registers() {
	delete value
}

function hexadecimal(number) {
	sub(/^0x0*/, "", number)
	return number
}

function follow(insn,   word, n, to, from) {
	n = split(insn, word, /[ ,]+/)
	if (word[1] ~ /^(cmp|test|push|jmp|call|vmwrite|wrmsr|j[a-z]+)$/ || n < 2)
		return
	if (word[1] ~ /^(cpuid|rdtsc|syscall|sysret)/)
		forget_registers()
	to = whole(word[2])
	from = whole(word[3])
	if (word[1] == "mov" && word[3] ~ /^0x[0-9a-f]+$/)
		value[to] = hexadecimal(word[3])
	else if (word[1] == "mov" && n == 3 && from in value)
		value[to] = value[from]
	else
		delete value[to]
}

# The number of what an MSR's or a VMCS field's instruction is about behind it.
function say_which(insn,   word, register) {
	split(insn, word, /[ ,]+/)
	if (word[1] == "rdmsr" || word[1] == "wrmsr")
		register = "cx"
	else if (word[1] == "vmread")
		register = whole(word[3])
	else if (word[1] == "vmwrite")
		register = whole(word[2])
	else
		return insn
	return word[1] " " (register in value ? value[register] : "?")
}

# --- the sums ------------------------------------------------------------------------

function kind_of(insn,   i) {
	if (insn in kind_known)
		return kind_known[insn]
	for (i = 1; i < kinds; i++)
		if (insn ~ pattern[i])
			break
	return kind_known[insn] = i
}

# An instruction that ends in a VM exit does not do what it would: VM entry and exit is it.
function exits(key, i) {
	return mode(kept_place[key, i]) == "guest" && i < lines[key] &&
		mode(kept_place[key, i + 1]) != "guest"
}

function account(engine, path,   key, i, insn, kind) {
	key = engine SUBSEP path
	if (!(key in lines))
		return
	forget_registers()
	for (i = 1; i < lines[key]; i++) {
		# What repeats is there as often as it does.
		if (i > 1 && kept_place[key, i] == kept_place[key, i - 1])
			continue
		if (exits(key, i))
			continue
		insn = say_which(kept[key, i])
		kind = kind_of(insn)
		number[path, engine, kind]++
		sum_low[path, engine] += low[kind]
		sum_high[path, engine] += high[kind]
		if (engine == "vee" && listing && kind < kinds)
			print_listing(engine, path, kept_place[key, i], insn, kind)
		follow(kept[key, i])
	}
}

function print_listing(engine, path, where, insn, kind,   name) {
	name = mode(where) == "kernel" ? find_function(engine, substr(where, 6)) : mode(where)
	printf "%s|%s|%s|%s|%s|%s\n", substr(where, 6), path, name, insn, low[kind],
		high[kind] >listing
}

# --- tables --------------------------------------------------------------------------

function print_sums(   p, path, missed) {
	print "\n### Modelled cycles: at least; at most\n"
	print "| path | KVM | vee | vee's part of KVM's | at most |"
	print "| --- | ---: | ---: | ---: | ---: |"
	for (p = 1; p <= paths; p++) {
		path = path_names[p]
		if (!sum_low[path, "KVM"] || !sum_low[path, "vee"]) {
			print "not traced: " path >"/dev/stderr"
			failed = 1
			continue
		}
		missed = bound[path] && (sum_low[path, "vee"] > bound[path] * sum_low[path, "KVM"] ||
			sum_high[path, "vee"] > bound[path] * sum_high[path, "KVM"])
		printf "| %s | %s; %s | %s; %s | %.2f; %.2f | %s |\n", path,
			thousands(sum_low[path, "KVM"]), thousands(sum_high[path, "KVM"]),
			thousands(sum_low[path, "vee"]), thousands(sum_high[path, "vee"]),
			sum_low[path, "vee"] / sum_low[path, "KVM"],
			sum_high[path, "vee"] / sum_high[path, "KVM"],
			(bound[path] ? bound[path] : "") (missed ? ", missed" : "")
	}
}

function used(kind,   p) {
	for (p = 1; p <= paths; p++)
		if ((path_names[p], "KVM", kind) in number || (path_names[p], "vee", kind) in number)
			return 1
	return 0
}

function print_numbers(   i, p) {
	print "\n### How many of each: KVM / vee\n"
	print_head("| instruction | cycles |", "| --- | ---: |")
	for (i = 1; i <= kinds; i++) {
		if (!used(i))
			continue
		printf "| %s | %s; %s |", names[i], low[i], high[i]
		for (p = 1; p <= paths; p++)
			printf " %d / %d |", number[path_names[p], "KVM", i],
				number[path_names[p], "vee", i]
		print ""
	}
}

END {
	if (failed)
		exit 1
	check_sections()
	sort_all_symbols()
	for (p = 1; p <= paths; p++) {
		account("KVM", path_names[p])
		account("vee", path_names[p])
	}
	print_sums()
	print_numbers()
	exit failed
}
