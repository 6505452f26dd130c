# SPDX-License-Identifier: GPL-2.0-only
#
# lab/bench-plot: a table of lab/bench as horizontal bars, vee's medians as parts of
# KVM's, from 0. Variables: table, name, picture, and how many bounds the table has.

set datafile separator tab
set output picture
set label "What an exit costs: instructions with vee, of those with KVM (" . name . ")" \
	at screen 0.5, 0.97 center font ",13"
set tmargin 3.5
set xlabel "instructions with vee, those with KVM being 1 (medians)"
stats table using 2 nooutput
# The figures beside the longest bar take some of it, too.
set xrange [0:STATS_max * 1.4 + 0.3]
set xtics 0.5 nomirror out tc rgb "black"
# Downwards, as the table has them.
set yrange [*:*] reverse
set offsets 0, 0, 0.6, 0.6
set ytics nomirror out scale 0 tc rgb "black" font ",11"
set grid xtics lc rgb "#dddddd"
set arrow from 1, graph 0 to 1, graph 1 nohead lw 2 lc rgb "#888888" back
set bmargin 6
set border 3 lc rgb "#888888"
set key at screen 0.5, 0.015 center bottom horizontal maxrows 1
set style fill solid noborder

# Columns: 1 what, 2 the part, 3 both medians, 4 the bound's part, 5 whether it is missed.
# Figures are right of the bar, and of the bound where that would be in the way.
kept(n) = column(5) > 0 ? NaN : n
missed(n) = column(5) > 0 ? n : NaN
beside(n) = valid(4) && column(4) > n && column(4) < n + 0.4 ? column(4) : n
marks = bounds ? 'table using (column(4)):($0 - 0.42):(0):(0.84) with vectors nohead lw 3 ' . \
	'lc rgb "black" title "at most",' : ''
missing = bounds ? 'NaN with boxes lc rgb "#c2410c" title "vee, more than that",' : ''
plot table using (0):($0):(0):(kept(column(2))):($0 - 0.36):($0 + 0.36):ytic(1) \
		with boxxyerror lc rgb "#2563a8" title "vee", \
	table using (0):($0):(0):(missed(column(2))):($0 - 0.36):($0 + 0.36) \
		with boxxyerror lc rgb "#c2410c" notitle, \
	@marks @missing \
	table using (beside(column(2))):($0):3 \
		with labels left offset 0.7, 0 font ",9" notitle
