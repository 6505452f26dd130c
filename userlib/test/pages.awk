# SPDX-License-Identifier: LGPL-2.1-or-later
# Holds the manual pages against the kernel-doc of vee.h, which is the first file.
# -v what=prototypes: SYNOPSIS against declarations; -v what=errors: ERRORS against
# "Return:". Prints what only one side has.

function normal(text)
{
	gsub(/[ \t\n]+/, " ", text)
	gsub(/\* /, "*", text)
	sub(/^ /, "", text)
	return text
}

# --- vee.h ---

function end_comment()
{
	if (function_name)
		returns[function_name] = in_return
	function_name = in_return = ""
	in_comment = 0
}

function comment_line(line)
{
	if (match(line, /^ \* vee_[a-z0-9_]+\(\) - /))
		function_name = substr(line, 4, index(line, "(") - 4)
	if (in_return || line ~ /^ \* Return:/)
		in_return = in_return line "\n"
	if (line ~ /\*\//)
		end_comment()
}

function code_line(line)
{
	code = code line "\n"
	if (line !~ /;$/)
		return
	sub(/;\n$/, "", code)
	if (code ~ /(^|[^a-z_])vee_[a-z0-9_]+\)?\(/)
		declared[normal(code)]
	code = ""
}

FNR == NR && /^#|^$/ { next }
FNR == NR && /^\/\*/ { in_comment = 1 }
FNR == NR && in_comment { comment_line($0); next }
FNR == NR { code_line($0); next }

# --- a page ---

# The names that a "Return:" has: errors, and whose errors come besides.
function expand(name, list, text, at)
{
	text = returns[name]
	while (match(text, /-E[A-Z0-9]+|[a-z_]+\([0-9]?\)/)) {
		at = substr(text, RSTART, RLENGTH)
		text = substr(text, RSTART + RLENGTH)
		if (at ~ /^-/)
			wanted[substr(at, 2)]
		else if (at in referred || at !~ /\(\)$/)
			wanted[at]
		else
			expand(substr(at, 1, length(at) - 2))
	}
}

function end_page(name, only)
{
	split("", wanted)
	for (name in functions)
		expand(name)
	for (name in referred)
		errors[name]
	for (only in wanted)
		if (!(only in errors))
			print page ": ERRORS has no " only
	for (only in errors)
		if (!(only in wanted))
			print page ": \"Return:\" in vee.h has no " only
	split("", functions)
	split("", errors)
	split("", referred)
}

function unquoted(text)
{
	sub(/^\.[A-Z][a-z] /, "", text)
	gsub(/"/, "", text)
	return text
}

FNR == 1 {
	if (page && what == "errors")
		end_page()
	page = FILENAME
	sub(/.*\//, "", page)
}
/^\.Sh / { section = $2 }
section == "SYNOPSIS" && /^\.Ft / { type = unquoted($0) }
section == "SYNOPSIS" && /^\.Fo / {
	prototype = type " " unquoted($0) "("
	functions[$2]
	separator = ""
}
section == "SYNOPSIS" && /^\.Fa / {
	prototype = prototype separator unquoted($0)
	separator = ", "
}
section == "SYNOPSIS" && /^\.Fc/ { documented[normal(prototype ")")] = page }
section == "ERRORS" && /^\.It Bq Er / {
	gsub(/ , Er /, " ")
	for (i = 4; i <= NF; i++)
		errors[$i]
}
section == "ERRORS" && /^\.Xr / {
	referred[$2 "(" ($2 ~ /^vee_/ ? "" : $3) ")"]
}

END {
	if (what == "errors") {
		end_page()
		exit
	}
	for (prototype in declared)
		if (!(prototype in documented))
			print "vee.h: no page has " prototype
	for (prototype in documented)
		if (!(prototype in declared))
			print documented[prototype] ": vee.h has no " prototype
}
