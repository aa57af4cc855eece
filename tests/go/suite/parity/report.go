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
	for i, n := range c.Tree {
		if i == 60 {
			fmt.Fprintf(&b, "    … and %d more\n", len(c.Tree)-i)
			break
		}
		line := n.String()
		if len(line) > 400 {
			line = line[:200] + "…" + line[len(line)-100:]
		}
		fmt.Fprintf(&b, "    %s\n", line)
	}
	b.WriteString("  steps:\n")
	for i, s := range c.Steps {
		mark := " "
		if i == f.step {
			mark = ">"
		}
		fmt.Fprintf(&b, "  %s %d %s\n", mark, i, s)
	}
	b.WriteString("  differences:\n")
	for i, d := range f.differences {
		if i == 12 {
			fmt.Fprintf(&b, "    … and %d more\n", len(f.differences)-i)
			break
		}
		fmt.Fprintf(&b, "    %s\n", d)
	}
	for _, side := range []struct {
		name   string
		events []string
	}{{"original", f.eventsA}, {"port", f.eventsB}} {
		if len(side.events) == 0 {
			continue
		}
		fmt.Fprintf(&b, "  tape of the %s:\n", side.name)
		for i, e := range side.events {
			if i == 40 {
				fmt.Fprintf(&b, "    … and %d more\n", len(side.events)-i)
				break
			}
			fmt.Fprintf(&b, "    %s\n", short(e))
		}
	}
	return b.String()
}
