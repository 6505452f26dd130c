# SPDX-License-Identifier: GPL-2.0-only
#
# "FILE:LINE COUNT" and "FILE:LINE:BRANCH COUNT" of several runs: how many lines of each file
# were reached and how many ways of its branches, and which lines were not, by function, with
# the reason that file "reasons" has: "FILE FUNCTION REASON", of which FUNCTION may be "*", or
# "FUNCTION:TEXT" for the lines of it that have TEXT ("~" is a blank); at the end, those of
# which there is no such line any more. "folder": of what.

function read_source(file,   text, n, name) {
	read[file] = 1
	while ((getline text <(sources "/" file)) > 0) {
		n++
		if (text ~ /^[a-zA-Z_].*\(/ && text !~ /;$/ && match(text, /[a-z_0-9A-Z]+\(/))
			name = substr(text, RSTART, RLENGTH - 1)
		at[file, n] = name
		has[file, n] = text
	}
	close(sources "/" file)
}

function function_of(file, line) {
	if (!(file in read))
		read_source(file)
	return at[file, line]
}

function reason_for(file, name, line,   i) {
	for (i = 1; i <= parts[file, name]; i++)
		if (index(has[file, line], part[file, name, i])) {
			used[file " " name ":" part[file, name, i]] = 1
			return why_part[file, name, i]
		}
	if (!((file, name) in why))
		name = "*"
	used[file " " name] = 1
	return why[file, name]
}

# A line that is reached by now, or is no more, needs none.
function tell_unused(   what) {
	for (what in given)
		if (!(what in used) && index(what, folder "/") == 1)
			print "lab/gcov/reasons: " what ": of no line that is not reached" | sorter
	close(sorter)
}

function note_reason(file, name, reason,   colon, n, text) {
	colon = index(name, ":")
	text = name
	gsub(/~/, " ", text)
	given[file " " text] = 1
	if (!colon) {
		why[file, name] = reason
		return
	}
	text = substr(name, colon + 1)
	gsub(/~/, " ", text)
	name = substr(name, 1, colon - 1)
	n = ++parts[file, name]
	part[file, name, n] = text
	why_part[file, name, n] = reason
}

BEGIN {
	while ((getline text <reasons) > 0) {
		if (text ~ /^#/ || split(text, word, " ") < 3)
			continue
		reason = text
		sub(/^[^ ]+ +[^ ]+ +/, "", reason)
		note_reason(word[1], word[2], reason)
	}
}

$1 == "others" {
	known_only = count > 0
	next
}

known_only && !($1 in most) { next }

split($1, place, ":") == 3 {
	if (!($1 in most))
		branches[place[1]]++
	if ((!($1 in most) || !most[$1]) && $2)
		taken[place[1]]++
	if (!($1 in most) || $2 > most[$1])
		most[$1] = $2
	next
}

{
	if (!($1 in most)) {
		lines[place[1]]++
		order[++count] = $1
	}
	if (!($1 in most) || $2 > most[$1])
		most[$1] = $2
}

END {
	if (!count) {
		print folder ": nothing was kept yet"
		exit
	}
	for (i = 1; i <= count; i++) {
		split(order[i], place, ":")
		file = place[1]
		all++
		if (most[order[i]] > 0) {
			reached[file]++
			all_reached++
			continue
		}
		name = function_of(file, place[2])
		reason = reason_for(file, name, place[2])
		if (reason != "")
			explained++
		missed[file " " name "():", reason] = missed[file " " name "():", reason] " " place[2]
	}
	print "| file | lines | reached | % | branches | taken |"
	print "| --- | ---: | ---: | ---: | ---: | ---: |"
	sorter = "sort"
	for (file in lines) {
		printf "| %s | %d | %d | %d | %d | %d |\n", file, lines[file], reached[file],
			100 * reached[file] / lines[file], branches[file], taken[file] | sorter
		all_branches += branches[file]
		all_taken += taken[file]
	}
	close(sorter)
	printf "\n%d of %d lines reached: %.1f %%; of the other %d a reason is known for %d\n",
		all_reached, all, 100 * all_reached / all, all - all_reached, explained
	printf "%d of %d ways of branches taken: %.1f %%\n\n", all_taken, all_branches,
		all_branches ? 100 * all_taken / all_branches : 0
	for (what in missed) {
		split(what, word, SUBSEP)
		printf "%s%s: %s\n", word[1], missed[what], word[2] == "" ? "?" : word[2] | sorter
	}
	close(sorter)
	tell_unused()
}
