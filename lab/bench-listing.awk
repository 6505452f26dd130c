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
	sum += $3
	if (!$1) {
		others += $3
		next
	}
	row = row_of($1, source($1, $4))
	if (!(row in ticks))
		order[++count] = row
	ticks[row] += $3
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

# Of the assembly a row has all that serves one end.
function row_of(where, text,   file) {
	file = where
	sub(/^kmod\//, "", file)
	sub(/:.*/, "", file)
	if (file ~ /entry\.S$/)
		return file " | " end_of(text)
	# A bar would end the cell.
	gsub(/\|/, "\\|", text)
	return file " | `" text "`"
}

function end_of(text) {
	if (text ~ /^xor/)
		return "no value of the guest's left in a register"
	if (text ~ /^push\t%rax|^mov\t8\(%rsp\), %rax|^pop\tRAX|^mov\t%[a-z0-9]+, R[0-9A-Z]+\(/)
		return "the guest's registers stored"
	if (text ~ /^mov\tR[0-9A-Z]+\(|^mov\t%rdi, %rax/)
		return "the guest's registers loaded"
	if (text ~ /^push|^pop|^add|^RET/)
		return "called, and back again"
	if (text ~ /HOST_RSP|host_rsp|^vmwrite|^jna/)
		return "HOST_RSP, if the stack has moved"
	if (text ~ /^vmresume|LAUNCHED|Llaunch/)
		return "VMRESUME, or VMLAUNCH"
	return "mitigations: VERW, return stack, SPEC_CTRL, LFENCE"
}

# In the order in which they come; the kernel's functions are another table's.
function finish_path(   i) {
	if (!path)
		return
	printf "\n## %s\n\n", path >lines
	print "| ticks | where | |" >lines
	print "| ---: | --- | --- |" >lines
	for (i = 1; i <= count; i++)
		printf "| %d | %s |\n", ticks[order[i]], order[i] >lines
	printf "| %d | the guest, the kernel, the program | |\n", others >lines
	printf "| **%d** | all | |\n", sum >lines
	delete ticks
	count = sum = others = 0
	last_where = ""
}
