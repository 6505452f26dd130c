# SPDX-License-Identifier: GPL-2.0-only
#
# Reads what lab/bench-run has printed, with the sections' names and all functions'
# addresses, and then the trace of lab/run: for awk programs to begin with ("-f", before
# their own). What it leaves, KEY being ENGINE SUBSEP PATH and LINE from 1 to lines[KEY]:
#
#   path_names[1 to paths]   in the order of their first sections
#   kept[KEY, LINE]          an instruction, of the path's shortest section
#   kept_place[KEY, LINE]    SELECTOR:OFFSET of it
#   kept_ticks[KEY, LINE]    ticks until the next one: a repeated one has many
#   total[KEY]               all of them
#
# sections and section are to be the same in the end: check_sections().

FNR == 1 { file++ }

file == 1 && /^section\|/ {
	split($0, field, "|")
	engine_of[++sections] = field[2]
	path_of[sections] = field[3]
	if (!(field[3] in known)) {
		known[field[3]] = 1
		path_names[++paths] = field[3]
	}
	next
}

# KVM may have been where vee is now: the functions of a module are the engine's own.
file == 1 {
	owner = $4 ~ /^\[vee\]/ ? "vee" : $4 ~ /^\[kvm/ ? "KVM" : $4 ~ /^\[/ ? "" : "kernel"
	if (owner != "") {
		addresses[owner, ++symbols[owner]] = $1
		function_names[owner, symbols[owner]] = $3
	}
	next
}

/^Tracing enabled/ {
	section++
	delete text
	delete tick
	delete place
	count = 0
	next
}

/^Tracing disabled/ {
	close_section()
	next
}

# (0).[TICK] [0xPHYSICAL] SELECTOR:OFFSET (unk. ctxt): INSTRUCTION ; BYTES
/^\(0\)\.\[/ {
	count++
	tick[count] = substr($1, 6, length($1) - 6)
	place[count] = $3
	text[count] = $0
	sub(/^.*ctxt\): */, "", text[count])
	sub(/ *;[^;]*$/, "", text[count])
}

# The shortest of a path's sections is the one that no interrupt has lengthened.
function close_section(   key, ticks, i) {
	key = engine_of[section] SUBSEP path_of[section]
	if (!count || key == SUBSEP)
		return
	ticks = tick[count] - tick[1]
	if (key in total && total[key] <= ticks)
		return
	total[key] = ticks
	lines[key] = count
	for (i = 1; i <= count; i++) {
		kept[key, i] = text[i]
		kept_place[key, i] = place[i]
		kept_ticks[key, i] = i < count ? tick[i + 1] - tick[i] : 0
	}
}

function check_sections() {
	if (sections && section == sections)
		return
	printf "%d sections in the trace, not %d\n", section, sections >"/dev/stderr"
	exit 1
}

# --- names -------------------------------------------------------------------------

# The function at or before the address, among those of the owner.
function look_up(owner, address,   low, high, middle) {
	low = 0
	high = symbols[owner]
	while (low < high) {
		middle = int((low + high + 1) / 2)
		if (addresses[owner, middle] <= address)
			low = middle
		else
			high = middle - 1
	}
	return low
}

# kallsyms has modules in no order.
function sort_symbols(owner,   i, j, a, f) {
	for (i = 2; i <= symbols[owner]; i++) {
		a = addresses[owner, i]
		f = function_names[owner, i]
		for (j = i - 1; j && addresses[owner, j] > a; j--) {
			addresses[owner, j + 1] = addresses[owner, j]
			function_names[owner, j + 1] = function_names[owner, j]
		}
		addresses[owner, j + 1] = a
		function_names[owner, j + 1] = f
	}
}

# Once all is read.
function sort_all_symbols() {
	sort_symbols("kernel")
	sort_symbols("KVM")
	sort_symbols("vee")
}

# Modules are above the kernel, and no other one is called on these paths.
function find_function(engine, address,   i) {
	if (address >= addresses[engine, 1]) {
		i = look_up(engine, address)
		of_engine = 1
		return function_names[engine, i]
	}
	of_engine = 0
	return function_names["kernel", look_up("kernel", address)]
}

# Selectors: the kernel's and a program's are Linux', any other is the guest's.
function mode(where) {
	if (where ~ /^0010:/) return "kernel"
	if (where ~ /^0033:/) return "program"
	return "guest"
}

# --- tables -------------------------------------------------------------------------

# @names, @rules: of the columns before those of the paths, one each
function print_head(names, rules,   p) {
	for (p = 1; p <= paths; p++) {
		names = names " " path_names[p] " |"
		rules = rules " ---: |"
	}
	print names
	print rules
}
