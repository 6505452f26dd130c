# SPDX-License-Identifier: GPL-2.0-only
#
# What lab/bench-growth has measured, "data", as the picture "picture": a panel for each of
# its blocks. Down is how many, up is what each costs, 1 being what it costs where there are
# fewest; at the lines' ends are the ticks.

blocks = int(system(sprintf("grep -c '^# ' %s", data)))
set terminal svg size 1000,1150 background rgb 'white' font "sans,11"
set output picture
set multiplot layout 5,3 title "What a VM costs, with more of them: ticks, as parts of those with the fewest" font ",14"
set border 3 lc rgb "#888888"
set logscale x
set xtics nomirror out tc rgb "black"
set ytics nomirror out tc rgb "black"
set grid ytics lc rgb "#dddddd"
set lmargin 8
unset key

name(i) = system(sprintf("sed -n 's/^# //p' %s | sed -n '%dp'", data, i + 1))
before(text) = text[1:strstrt(text, ";") - 1]
behind(text) = text[strstrt(text, ";") + 2:*]
commas(n) = n < 1000 ? sprintf("%d", n) : n < 1000000 ? \
	sprintf("%d,%03d", int(n / 1000), int(n) % 1000) : \
	sprintf("%d,%03d,%03d", int(n / 1000000), int(n / 1000) % 1000, int(n) % 1000)

# What stands at the line's ends.
end(at, n) = at == 0 || at == last ? commas(n) : ""

do for [i = 0:blocks - 1] {
	set title before(name(i)) font ",11" offset 0, -0.5
	set xlabel behind(name(i)) font ",10" offset 0, 0.5
	set ylabel "times the first" font ",9" offset 1.5, 0
	set autoscale
	stats data index i using 1:2 nooutput
	beyond = (STATS_max_x / STATS_min_x) ** 0.2
	least = STATS_min_x / beyond
	greatest = STATS_max_x * beyond
	stats data index i every ::0::0 using 2:3 nooutput
	kvm = STATS_min_x
	vee = STATS_min_y
	stats data index i using ($2 / kvm):($3 / vee) nooutput
	most = STATS_max_x > STATS_max_y ? STATS_max_x : STATS_max_y
	last = STATS_records - 1
	stats data index i every ::last::last using ($2 / kvm):($3 / vee) nooutput
	side = STATS_min_x > STATS_min_y + 0.1 ? -1 : 1
	set xrange [least:greatest]
	top = most < 1.25 ? 1.6 : 1.3 * most
	# Below 0 there is room for a label.
	set yrange [-0.18 * top:top]
	set ytics 0, most < 1.25 ? 0.5 : most < 3 ? 1 : most < 10 ? 2 : 5
	plot data index i using 1:($2 / kvm):xtic(commas($1)) \
			with linespoints lw 1.5 dt 2 pt 6 ps 0.7 lc rgb "#777777" title "KVM", \
		data index i using 1:($3 / vee) \
			with linespoints lw 2 pt 7 ps 0.6 lc rgb "#2563a8" title "vee", \
		data index i using 1:($3 / vee):(end($0, $3)) \
			with labels offset 0, 0.9 * side font ",9" tc rgb "#2563a8" notitle, \
		data index i using 1:($2 / kvm):(end($0, $2)) \
			with labels offset 0, -0.9 * side font ",9" tc rgb "#777777" notitle
}
# What the lines are.
set border 0
unset title
unset xlabel
unset ylabel
unset xtics
unset ytics
unset grid
unset logscale
set key center center font ",11" spacing 1.5
set yrange [0:1]
set xrange [0:1]
plot NaN with linespoints lw 1.5 dt 2 pt 6 ps 0.7 lc rgb "#777777" title "KVM", \
	NaN with linespoints lw 2 pt 7 ps 0.6 lc rgb "#2563a8" title "vee"
unset multiplot
