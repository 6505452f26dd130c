# SPDX-License-Identifier: GPL-2.0-only
#
# Every instruction of vee's paths under the line of source that it is for, and, to the
# file "lines", how many ticks each line takes, as Markdown. Input, of lab/bench-trace:
# SOURCE|PATH|TICKS|FUNCTION|GROUP|ADDRESS|INSTRUCTION
#
# SOURCE is empty for what is not vee's: that is under the name of its function.

BEGIN { FS = "|" }

$2 != path {
	finish_path()
	path = $2
	printf "\n## %s\n", path
}

{
	where = $1 ? $1 : $5 == "guest" || $5 == "program" ? $5 : $4
	if (where != last_where || $4 != last_function) {
		printf "\n%s%s\n", where, $1 ? "\t" source($1, $4) : ""
		last_where = where
		last_function = $4
	}
	printf "\t\t%s\n", $7
	if (!(where in ticks)) {
		order[++count] = where
		is_source[where] = $1 != ""
		function_of[where] = $4
	}
	ticks[where] += $3
	sum += $3
}

END { finish_path() }

# The text of "kmod/FILE:LINE", which says whose brace it is.
function source(where, name,   part, n, text) {
	split(where, part, ":")
	if (!(part[1] in loaded)) {
		loaded[part[1]] = 1
		for (n = 1; (getline text <(top "/" part[1])) > 0; n++) {
			gsub(/^[ \t]+|[ \t]+$/, "", text)
			text_of[part[1], n] = text
		}
		close(top "/" part[1])
	}
	text = text_of[part[1], part[2]]
	return text == "{" ? name "() {" : text == "}" ? "} of " name "()" : text
}

# In the order in which they come; the kernel's functions are another table's.
function finish_path(   i, others) {
	if (!count)
		return
	printf "\n### %s: ticks by line of source\n\n", path >lines
	print "| ticks | where | |" >lines
	print "| ---: | --- | --- |" >lines
	for (i = 1; i <= count; i++) {
		if (is_source[order[i]])
			printf "| %d | %s | `%s` |\n", ticks[order[i]],
				substr(order[i], 6), quote(source(order[i], function_of[order[i]])) >lines
		else
			others += ticks[order[i]]
	}
	printf "| %d | the guest, the kernel, the program | |\n", others >lines
	printf "| %d | all | |\n", sum >lines
	delete ticks
	delete is_source
	count = sum = 0
	last_where = ""
}

# A bar would end the cell.
function quote(text) {
	gsub(/\|/, "\\|", text)
	return text
}
