# SPDX-License-Identifier: GPL-2.0-only
#
# Adds up what ktap-run printed: "passed N", a line "skipped NAME" for each
# case skipped, a line "failed NAME: why" for each that failed. A program that
# crashed, ran out of time, or ended short of its plan has failed even if every
# case that it printed went well; a suite that was skipped as a whole has too.

function fail(why) { print "failed " why; failed++; bad++ }

/^# selftests: vee: / {
	name = $4; plan = -1; results = 0; bad = 0; running = 1
	next
}
/^1\.\.[0-9]+/ && plan < 0 {
	plan = substr($1, 4) + 0
	why = $0
	sub(/^[^#]*#? *(SKIP)? */, "", why)
	next
}
/^(not )?ok [0-9]+/ && running {
	results++
	line = $0
	sub(/^(not )?ok [0-9]+ *(- )?/, "", line)
	if (line ~ /# *SKIP/) {
		print "skipped " name ": " line
		skipped++
	} else if ($1 == "not" && line !~ /# *(XFAIL|TODO)/) {
		fail(name ": " line)
	} else {
		passed++
	}
	next
}
/^# left: / && running {
	why = $0
	sub(/^# left: [^ ]* /, "", why)
	fail(name ": leaves the module with other parameters: " why)
	next
}
/^# ended: / && running {
	status = $4
	running = 0
	if (status == 4 && results == 0)
		{ print "skipped " name ": all of it: " why; skipped++ }
	else if (status == 137)
		fail(name ": killed, or the time limit (status 137)")
	else if (status >= 128)
		fail(name ": died of signal " status - 128)
	else if (plan < 0)
		fail(name ": printed no plan (status " status ")")
	else if (results != plan)
		fail(name ": " results " results, but " plan " were planned")
	else if (status != 0 && status != 4 && bad == 0)
		fail(name ": exit status " status)
	next
}
/^# suite ended/ { complete = 1 }

END {
	if (running)
		fail(name ": its output is cut off")
	if (!complete)
		fail("the suite did not run to its end")
	else if (!passed && !failed)
		fail(skipped ? "everything was skipped" : "there were no tests")
	print "passed " passed + 0
}
