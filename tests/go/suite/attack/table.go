// The outcome as a table: a row for each attack, a column for each player.

package attack

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"sort"
	"strings"
	"text/tabwriter"
)

// table prints the results in a file and tells whether the port won.
func table(name string) (status int) {
	file, err := os.Open(name)
	fatal(err)
	defer file.Close()
	var results []Result
	for decoder := json.NewDecoder(file); decoder.More(); {
		var r Result
		fatal(decoder.Decode(&r))
		results = append(results, r)
	}
	players, rows := columns(results)
	var notes []string
	on := ""
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		if row[0] != on {
			on = row[0]
			w.Flush()
			fmt.Printf("\n%s\n", on)
			fmt.Fprintf(w, "  attack\t%s\n", strings.Join(players, "\t"))
		}
		fmt.Fprintf(w, "  %s", row[1])
		for _, player := range players {
			text := "–"
			for _, r := range results {
				if r.On == row[0] && r.Attack == row[1] && r.Player == player {
					text = cell(r)
					notes = append(notes, problems(r)...)
				}
			}
			fmt.Fprintf(w, "\t%s", text)
		}
		fmt.Fprintln(w)
	}
	w.Flush()
	fmt.Println("\nA cell: what must never happen, in how many calls (how many of them succeeded).")
	totals(players, results)
	for _, r := range results {
		if r.MustWin && (r.Harm() > 0 || r.Broken != "") {
			status = 1
		}
	}
	for _, player := range players {
		attacks := slices.DeleteFunc(slices.Clone(results), func(r Result) bool { return r.Player != player || !r.Attacked })
		sum := sumOf(player, attacks)
		if len(attacks) > 20 && sum.Harm() == 0 && !isPort(player) {
			notes = append(notes, "nothing was seen of the weaknesses of "+player)
		}
		if len(attacks) > 20 && (sum.Moves == 0 || sum.ProcessMoves == 0) {
			notes = append(notes, fmt.Sprintf("%s: %d moves in threads, %d in processes", player, sum.Moves, sum.ProcessMoves))
		}
	}
	if len(notes) > 0 {
		fmt.Println("\n" + strings.Join(notes, "\n"))
		status = 1
	}
	return status
}

func columns(results []Result) (players []string, rows [][2]string) {
	for _, r := range results {
		if row := [2]string{r.On, r.Attack}; !slices.Contains(rows, row) {
			rows = append(rows, row)
		}
		if !slices.Contains(players, r.Player) {
			players = append(players, r.Player)
		}
	}
	sort.SliceStable(players, func(i, j int) bool { return isPort(players[i]) && !isPort(players[j]) })
	return players, rows
}

func isPort(player string) bool { return strings.HasPrefix(player, "the port") }

func cell(r Result) string {
	switch {
	case r.Broken != "":
		return "BROKEN"
	case r.NotRun != "":
		return "not run: " + r.NotRun
	}
	return fmt.Sprintf("%s in %d (%d)", harm(&r.Tally), r.Calls, r.Success)
}

func harm(t *Tally) string {
	var parts []string
	for _, part := range []struct {
		count int
		name  string
	}{{t.Escapes, "escapes"}, {t.Modes, "modes"}, {t.Lost, "lost"}, {t.Hangs, "hangs"}, {t.Mounts, "mounts"}} {
		if part.count > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", part.count, part.name))
		}
	}
	if len(parts) == 0 {
		return "0"
	}
	return strings.Join(parts, ", ")
}

// problems are what makes a result worth nothing: an attack that did not attack proves nothing.
func problems(r Result) (notes []string) {
	name := fmt.Sprintf("%s, %s, %s: ", r.On, r.Attack, r.Player)
	switch {
	case r.Broken != "":
		notes = append(notes, name+r.Broken)
	case r.NotRun != "":
	case r.Calls == 0:
		notes = append(notes, name+"nothing was called")
	case r.idle():
		notes = append(notes, name+"the attacker made no move")
	}
	return notes
}

// sumOf adds up what a player's attacks did.
func sumOf(player string, results []Result) Tally {
	sum := Tally{Errors: map[string]int{}}
	for _, r := range results {
		if r.Player == player {
			sum.add(&r.Tally)
		}
	}
	return sum
}

// totals prints each player's sums, and its errors by kind.
func totals(players []string, results []Result) {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Println()
	fmt.Fprintln(w, "calls\tsuccesses\terrors\tattacker's moves\tescapes\twrong modes\tlost\thangs\tmounts\t")
	errors := map[string]map[string]int{}
	for _, player := range players {
		sum := sumOf(player, results)
		errors[player] = sum.Errors
		fmt.Fprintf(w, "%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t  %s\n", sum.Calls, sum.Success, sum.Calls-sum.Success,
			sum.Moves+sum.ProcessMoves, sum.Escapes, sum.Modes, sum.Lost, sum.Hangs, sum.Mounts, player)
	}
	w.Flush()
	for _, player := range players {
		fmt.Printf("\nErrors of %s:\n", player)
		kinds := errors[player]
		names := slices.SortedFunc(maps.Keys(kinds), func(a, b string) int { return kinds[b] - kinds[a] })
		for _, name := range names {
			fmt.Printf("  %8d  %s\n", kinds[name], name)
		}
	}
}
