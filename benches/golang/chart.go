// The chart, as SVG that follows the reader's light or dark scheme.

package main

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// contestants are those in the chart; their names are their classes.
var contestants = []string{"original", "port", "bare"}

// charted are the rows in the chart.
var charted = []string{"cycle-real-dir-1000", "cycle-native-dir-1000", "cycle-fake-dir-100", "mounted-1000", "clean-100-1000",
	"pod-30", "mkdir-1", "mkdir-3", "point-1000", "look-up-10000", "parse-10000"}

// style has plain colours, no variables, which not every program that shows SVG knows.
const style = `<style>
text{fill:#1f2328}.s{fill:#59636e}.g{stroke:#d1d9e0}
.original{fill:#8c959f}.port{fill:#0969da}.bare{fill:#1a7f37}
@media(prefers-color-scheme:dark){text{fill:#f0f6fc}.s{fill:#9198a1}.g{stroke:#3d444d}.original{fill:#656c76}.port{fill:#4493f8}.bare{fill:#3fb950}}
</style>`

func (r results) chart() string {
	w := &strings.Builder{}
	const width, bar, right = 400, 11, 90
	var chosen []result
	longest := 0
	for _, id := range charted {
		for _, row := range r.rows {
			if row.id == id {
				chosen = append(chosen, row)
				longest = max(longest, len(label(row)))
			}
		}
	}
	low, high := math.Inf(1), 0.0
	for _, row := range chosen {
		for _, name := range contestants {
			if x, ok := row.median[name]; ok {
				low, high = min(low, x), max(high, x)
			}
		}
	}
	// Room for the longest label in DejaVu Sans, the widest of the usual fonts.
	left := 20 + longest*15/2
	first, last := math.Floor(math.Log10(low)), math.Ceil(math.Log10(high))
	at := func(x float64) float64 { return (math.Log10(x) - first) / (last - first) * width }
	end := func(x float64) float64 { return float64(left) + at(x) }
	height := 70 + len(chosen)*(3*bar+14) + 30
	fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %[1]d %[2]d" width="%[1]d" height="%[2]d" font-family="system-ui, sans-serif" font-size="13" role="img" aria-label="Time per operation of the original, the port and bare system calls">%[3]s`+"\n",
		left+width+right, height, style)
	for i, name := range []string{"original (Go)", "port (Rust)", "bare system calls"} {
		x := left + i*140
		fmt.Fprintf(w, `<rect class="%s" x="%d" y="14" width="12" height="12" rx="2"/><text x="%d" y="25">%s</text>`+"\n", contestants[i], x, x+18, name)
	}
	for power := first; power <= last; power++ {
		x := end(math.Pow(10, power))
		fmt.Fprintf(w, `<line class="g" x1="%.1f" x2="%.1f" y1="40" y2="%d"/><text class="s" font-size="12" x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n",
			x, x, height-40, x, height-22, duration(math.Pow(10, power)))
	}
	y := 50
	for _, row := range chosen {
		fmt.Fprintf(w, `<text x="%d" y="%d" text-anchor="end">%s</text>`+"\n", left-10, y+20, html.EscapeString(label(row)))
		for i, name := range contestants {
			if x, ok := row.median[name]; ok && !(row.isTable() && name == "bare") {
				fmt.Fprintf(w, `<rect class="%s" x="%d" y="%d" width="%.1f" height="%d" rx="2"/><text class="s" x="%.1f" y="%d" font-size="10">%s</text>`+"\n",
					name, left, y+i*bar, at(x), bar-1, end(x)+5, y+i*bar+9, duration(x))
			}
		}
		y += 3*bar + 14
	}
	fmt.Fprintf(w, `<text class="s" font-size="12" x="%d" y="%d">Medians, logarithmic scale; %s, %s</text>`+"\n</svg>\n", 10, height-4, html.EscapeString(r.machine), html.EscapeString(r.kernel))
	return w.String()
}

// label is what a row is called in the chart.
func label(row result) string {
	if row.mounts > 0 && row.isTable() {
		return row.name + fmt.Sprintf(" of %s lines", number(float64(row.mounts)))
	}
	return row.name
}

func duration(us float64) string {
	switch {
	case us < 1:
		return number(us*1000) + " ns"
	case us < 1000:
		return number(us) + " µs"
	case us < 1e6:
		return number(us/1000) + " ms"
	}
	return number(us/1e6) + " s"
}
