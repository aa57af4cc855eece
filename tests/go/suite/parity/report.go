// The report of a failing seed: the smallest case that shows it, in full.

package parity

import (
	"fmt"
	"strings"
)

// signature groups failures that are most likely the same: the operation and the first facet.
func (f *failure) signature(c Case) string {
	what := "tree"
	if f.step >= 0 {
		what = string(c.Steps[f.step].Op)
	}
	facet := f.differences[0].facet
	if word, _, ok := strings.Cut(facet, " "); ok && (word == "tree" || word == "log" || word == "mounter") {
		facet = word
	}
	return what + ": " + facet
}

func report(c Case, f *failure) string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d (run it alone: make parity SEEDS=%d:%d)\n", c.Seed, c.Seed, c.Seed)
	b.WriteString("  tree:\n")
	list(&b, c.Tree, 60, func(n Node) string {
		line := n.String()
		if len(line) > 400 {
			line = line[:200] + "…" + line[len(line)-100:]
		}
		return line
	})
	b.WriteString("  steps:\n")
	for i, s := range c.Steps {
		mark := " "
		if i == f.step {
			mark = ">"
		}
		fmt.Fprintf(&b, "  %s %d %s\n", mark, i, s)
	}
	b.WriteString("  differences:\n")
	list(&b, f.differences, 12, difference.String)
	for _, side := range []struct {
		name   string
		events []string
	}{{"original", f.eventsA}, {"port", f.eventsB}} {
		if len(side.events) == 0 {
			continue
		}
		fmt.Fprintf(&b, "  tape of the %s:\n", side.name)
		list(&b, side.events, 40, short)
	}
	return b.String()
}

// list writes as many of the items as most, and how many more there are.
func list[T any](b *strings.Builder, items []T, most int, line func(T) string) {
	for _, item := range items[:min(most, len(items))] {
		fmt.Fprintf(b, "    %s\n", line(item))
	}
	if len(items) > most {
		fmt.Fprintf(b, "    … and %d more\n", len(items)-most)
	}
}
