# SPDX-License-Identifier: GPL-2.0-only
#
# Points for one submission: reads a lab's file "tasks" (README.md has its words), then the
# submission's part of what labs/run-jobs printed; prints a line a task, and the sum.
# -v lab=NAME; -v reason=TEXT: why there is nothing to be judged, or no more of it.

function fatal(text) {
	print "tasks, line " FNR ": " text >"/dev/stderr"
	failed = 1
	exit 1
}

# After the first word.
function rest_of(line) {
	sub(/^[^ ]+ +/, "", line)
	return line
}

# As the shell's patterns, but "*" alone means more than itself. Anywhere else in the line
# nothing else may be.
function matches(line, pattern,   parts, n, i, at) {
	n = split(pattern, parts, "*")
	if (n <= 1)
		return line == pattern
	if (substr(line, 1, length(parts[1])) != parts[1])
		return 0
	line = substr(line, length(parts[1]) + 1)
	for (i = 2; i < n; i++) {
		at = index(line, parts[i])
		if (!at)
			return 0
		line = substr(line, at + length(parts[i]))
	}
	return length(line) >= length(parts[n]) &&
		substr(line, length(line) - length(parts[n]) + 1) == parts[n]
}

# --- the list of tasks ---

NR == FNR && (/^#/ || /^ *$/) { next }
NR == FNR && /^(yours|program|guest|needs|module|file|skeleton|try) / { next }
NR == FNR && /^cpu-log$/ { next }
NR == FNR && /^limit [0-9]+$/ { limit = $2; next }
NR == FNR && /^run [a-z0-9-]+ ./ { is_run[$2] = 1; run_limit[$2] = limit; next }
NR == FNR && /^task [0-9]+ [a-z0-9-]+: ./ {
	points[++tasks] = $2
	name[tasks] = substr($3, 1, length($3) - 1)
	total += $2
	next
}
NR == FNR && /^from [a-z0-9-]+$/ {
	if (!($2 in is_run))
		fatal("no run " $2)
	from[tasks] = $2
	next
}
NR == FNR && /^(expect|never|status|exits) ./ {
	kind[tasks, ++wants[tasks]] = $1
	want[tasks, wants[tasks]] = rest_of($0)
	next
}
NR == FNR && /^hint .+ \| ./ {
	at = index($0, " | ")
	hint[tasks, ++hints[tasks]] = substr($0, 6, at - 6)
	help[tasks, hints[tasks]] = substr($0, at + 3)
	next
}
NR == FNR { fatal("what is \"" $0 "\"?") }

# --- what came ---

/^=== run / { current = $3; begun[current] = 1; next }
/^=== status / { status[current] = $3; next }
/^=== exits / { exits[current, rest_of(rest_of(rest_of($0)))] = $3; next }
/^\|/ { line[current, ++lines[current]] = printable(substr($0, 2)); next }

# A submission's output goes to the teacher's terminal.
function printable(text) {
	gsub(/[^ -~]/, "?", text)
	return substr(text, 1, 200)
}

# --- points ---

function quote(text) {
	return "\"" text "\""
}

# Why run @r is no answer to anything, or "".
function trouble(r) {
	if (reason != "" && !(r in status))
		return reason
	if ("build" in status && status["build"] + 0)
		return "it can't be built: " build_error()
	if (!(r in status))
		return "it was not run"
	if (status[r] == 137)
		return "it was ended: " run_limit[r] " s of the lab's time were over, or its memory"
	if (status[r] == 141)
		return "it was ended: it prints without end"
	if (status[r] > 128)
		return "it was ended by signal " (status[r] - 128) signal_name(status[r] - 128)
	return ""
}

function signal_name(n) {
	return n == 11 ? " (an address that it has no memory at)" : n == 8 ? " (a division by zero)" : ""
}

function build_error(   i) {
	for (i = 1; i <= lines["build"]; i++) {
		if (line["build", i] ~ /Killed signal|out of memory/)
			return "it takes the compiler too much memory"
		if (line["build", i] ~ /[Ee]rror: |undefined|No rule/)
			return line["build", i]
	}
	if (status["build"] == 137)
		return "it takes the compiler too long, or too much memory"
	return lines["build"] ? line["build", lines["build"]] : "without a word"
}

# What two lines have in common that differ in numbers alone.
function form(text) {
	gsub(/[0-9]+/, "#", text)
	return text
}

# What to show beside what was wanted: the line that begins as that does, best one that has
# other numbers alone; what "vee run" says, or the last one.
function came(r, pattern,   i, word, alike) {
	word = pattern
	sub(/[ *].*/, "", word)
	for (i = lines[r]; word != "" && i > 0; i--)
		if (index(line[r, i], word) == 1 && !matches(line[r, i], pattern) &&
		    (!alike || form(line[r, i]) == form(pattern) ||
		     form(line[r, alike]) != form(pattern)))
			alike = i
	if (alike)
		return quote(line[r, alike])
	if (status[r] == 141)
		return quote(line[r, 1]) " and so on"
	for (i = 1; i <= lines[r]; i++)
		if (line[r, i] ~ /^vee: /)
			return quote(line[r, i])
	for (i = lines[r]; i > 0; i--)
		if (line[r, i] != "")
			return quote(line[r, i])
	return "nothing"
}

# The place of the line after place @after that is as wanted, or 0.
function find(r, pattern, after,   i) {
	for (i = after + 1; i <= lines[r]; i++)
		if (matches(line[r, i], pattern))
			return i
	return 0
}

# What is wrong with task @t, as "expected ..., came ..."; "" if nothing is.
function wrong(t,   r, i, k, w, at, found) {
	r = from[t]
	for (i = 1; i <= wants[t]; i++) {
		k = kind[t, i]
		w = want[t, i]
		if (k == "expect") {
			found = find(r, w, at)
			if (!found)
				return "expected " quote(w) ", came " came(r, w)
			at = found
			last[t] = line[r, found]
		} else if (k == "never" && (found = find(r, w, 0))) {
			return "expected no " quote(w) ", came " quote(line[r, found])
		} else if (k == "status" && status[r] != w) {
			return "expected status " w ", came " status[r]
		} else if (k == "exits" && exits[r, rest_of(w)] + 0 < w + 0) {
			return "expected " (w + 0) " VM exits of the guest's, " quote(rest_of(w)) \
				", came " (exits[r, rest_of(w)] + 0)
		}
	}
	return ""
}

function hint_for(t,   i) {
	for (i = 1; i <= hints[t]; i++)
		if (find(from[t], hint[t, i], 0) || (from[t] in status &&
		    hint[t, i] == "status " status[from[t]]))
			return ": " help[t, i]
	return ""
}

# Of a task that has gone well: the last line of those that were wanted.
function right(t) {
	return t in last ? "came " quote(last[t]) : "as it should be"
}

# A run that is not in status[] must not come to be there by being asked for.
function judge(t,   why, broken) {
	broken = trouble(from[t])
	if (!(from[t] in status) || ("build" in status && status["build"] + 0))
		why = broken (begun[from[t]] ? hint_for(t) : "")
	else
		why = wrong(t)
	if (why != "" && why != broken && from[t] in status)
		why = why (broken == "" ? "" : "; " broken) hint_for(t)
	printf "  %d/%d  %s: %s\n", why == "" ? points[t] : 0, points[t], name[t],
		why == "" ? right(t) : why
	return why == "" ? points[t] : 0
}

END {
	if (failed)
		exit 1
	for (t = 1; t <= tasks; t++)
		sum += judge(t)
	printf "%s: %d of %d points\n", lab, sum, total
}
