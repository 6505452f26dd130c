# SPDX-License-Identifier: GPL-2.0-only
#
# "FILE:LINE COUNT" of several runs: how many lines of each file were reached, and which
# were not, by function, with the reason that file "reasons" has: "FILE FUNCTION REASON",
# of which FUNCTION may be "*".

function function_of(file, line,   text, n, name, path) {
	if (!(file in read)) {
		read[file] = 1
		path = file
		sub(/^kmod/, sources, path)
		while ((getline text <path) > 0) {
			n++
			if (text ~ /^[a-zA-Z_].*\(/ && text !~ /;$/ && match(text, /[a-z_0-9A-Z]+\(/))
				name = substr(text, RSTART, RLENGTH - 1)
			at[file, n] = name
		}
		close(path)
	}
	return at[file, line]
}

function reason_for(file, name) {
	if ((file, name) in why)
		return why[file, name]
	return why[file, "*"]
}

BEGIN {
	while ((getline text <reasons) > 0) {
		if (text ~ /^#/ || split(text, word, " ") < 3)
			continue
		reason = text
		sub(/^[^ ]+ +[^ ]+ +/, "", reason)
		why[word[1], word[2]] = reason
	}
}

{
	split($1, place, ":")
	if (!($1 in most)) {
		lines[place[1]]++
		order[++count] = $1
	}
	if (!($1 in most) || $2 > most[$1])
		most[$1] = $2
}

END {
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
		missed[file " " name] = missed[file " " name] " " place[2]
		if (reason_for(file, name) != "")
			explained++
	}
	print "| file | lines | reached | % |"
	print "| --- | ---: | ---: | ---: |"
	sorter = "sort"
	for (file in lines)
		printf "| %s | %d | %d | %d |\n", file, lines[file], reached[file],
			100 * reached[file] / lines[file] | sorter
	close(sorter)
	printf "\n%d of %d lines reached: %.1f %%; of the other %d a reason is known for %d\n\n",
		all_reached, all, 100 * all_reached / all, all - all_reached, explained
	for (what in missed) {
		split(what, word, " ")
		reason = reason_for(word[1], word[2])
		printf "%s %s():%s: %s\n", word[1], word[2], missed[what],
			reason == "" ? "?" : reason | sorter
	}
	close(sorter)
}
