# SPDX-License-Identifier: GPL-2.0-only
#
# lab/bench-plot: a table of lab/bench as horizontal bars, medians on a logarithmic
# scale. Variables: table, name, picture, and bounds: 0 if the table has none.

set datafile separator comma
set output picture
set title "What an exit costs, in instructions (" . name . ")"
set logscale x
set xrange [1:1e7]
set format x "10^{%L}"
# Downwards, as the table has them, from its second line: the first one is of names.
set yrange [*:*] reverse
set ytics nomirror out scale 0 tc rgb "black"
set xtics nomirror out tc rgb "black"
set grid xtics lc rgb "#dddddd"
set border 2 lc rgb "#888888"
set key outside bottom center horizontal
set lmargin 48
set style fill solid noborder
set bars 0

# Columns: 1 what, 3 and 6 the medians, 9 the bound. $0 is the row.
# Right of the bar, and of the bound where that would be in the way.
beside(n) = valid(9) && column(9) > n && column(9) < 10 * n ? column(9) : n
marks = bounds ? 'table every ::1 using (column(9)):($0):(0):(0.42) ' . \
	'with vectors nohead lw 3 lc rgb "#c2410c" title "vee at most",' : ''
plot table every ::1 using (1):($0):(1):(column(3)):($0 - 0.38):($0):ytic(1) \
		with boxxyerror lc rgb "#b0b7c3" title "KVM", \
	table every ::1 using (1):($0):(1):(column(6)):($0):($0 + 0.38) \
		with boxxyerror lc rgb "#2563a8" title "vee", \
	@marks \
	table every ::1 using (column(3)):($0 - 0.19):(sprintf(" %d", column(3))) \
		with labels left font ",9" notitle, \
	table every ::1 using (beside(column(6))):($0 + 0.19):(sprintf(" %d", column(6))) \
		with labels left font ",9" notitle
