// Package parity runs two implementations of kubernetes' sub path package side by side, on twin
// directory trees, with the same calls, and compares everything that a caller can see.
//
// One of them is the original, unmodified; which version of it is up to the module that imports
// this package. A case (a tree and some twenty steps) follows from its seed alone. See generate.go
// for what cases are made of, outcome.go for what is compared, deviation.go for what may differ.
package parity

import (
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// deadly is the signature of cases that end the process or hang for good.
const deadly = "the process died or hung"

// smallRange is run where no seeds are asked for.
const smallRange = "1:600"

// Run is the body of TestParity: the seeds of PARITY_SEEDS, or a small fixed range.
func Run(t *testing.T) {
	text := os.Getenv(seedsVariable)
	if text == "" {
		text = smallRange
	}
	first, last, err := seedRange(text)
	if err != nil {
		t.Fatal(err)
	}
	var (
		mu      sync.Mutex
		total   = newTally()
		seen    = map[string][]uint64{} // signature to failing seeds
		reports = map[string]string{}
		trouble string
		wait    sync.WaitGroup
	)
	started := time.Now()
	workers := uint64(runtime.NumCPU())
	for w := range workers {
		wait.Go(func() {
			from := first + w
			for from <= last {
				at := from
				died, how := startWorker(from, last, workers, func(m message) {
					mu.Lock()
					defer mu.Unlock()
					switch {
					case m.Start != nil:
						at = *m.Start
					case m.Tally != nil:
						total.merge(m.Tally)
					case m.Trouble != "":
						trouble = m.Trouble
					case m.Signature != "":
						seen[m.Signature] = append(seen[m.Signature], at)
						if reports[m.Signature] == "" {
							reports[m.Signature] = m.Report
						}
					}
				})
				if died == nil || trouble != "" {
					return
				}
				if how == "" {
					from = *died
					continue
				}
				mu.Lock()
				known := seen[deadly] != nil
				seen[deadly] = append(seen[deadly], *died)
				tooMany := len(seen[deadly]) >= 20
				mu.Unlock()
				if !known {
					text := reportDeath(*died, how)
					mu.Lock()
					reports[deadly] = text
					mu.Unlock()
				}
				if tooMany {
					return
				}
				from = *died + workers
			}
		})
	}
	wait.Wait()
	if trouble != "" {
		t.Fatal(trouble)
	}
	for _, sig := range sortedKeys(seen) {
		slices.Sort(seen[sig])
		t.Errorf("%s: %d seeds differ: %s\n%s", sig, len(seen[sig]), firstOf(seen[sig], 10), reports[sig])
	}
	t.Log(summary(total, text, time.Since(started)))
	if total.Steps == 0 {
		t.Error("no step was taken")
	}
}

func reportDeath(seed uint64, how string) string {
	c := Generate(seed)
	if kills(c) {
		c = minimise(c, 80, kills)
	}
	return report(c, &failure{step: len(c.Steps) - 1, differences: []difference{{"process", "goes on", how}}})
}

func summary(total *tally, seeds string, took time.Duration) string {
	var b strings.Builder
	fmt.Fprintf(&b, "seeds %s: %d cases, %d steps in %s; the original failed in %d steps and made %d real mounts\n",
		seeds, total.Cases, total.Steps, took.Round(time.Second), total.Failed, total.Mounts)
	for _, op := range sortedKeys(total.ByOp) {
		fmt.Fprintf(&b, "  %-22s %7d\n", op, total.ByOp[op])
	}
	for _, rule := range sortedKeys(total.Excused) {
		fmt.Fprintf(&b, "  excused by %-22s %7d\n", rule, total.Excused[rule])
	}
	return b.String()
}

func firstOf(seeds []uint64, n int) string {
	if len(seeds) > n {
		return strings.Trim(fmt.Sprint(seeds[:n]), "[]") + " …"
	}
	return strings.Trim(fmt.Sprint(seeds), "[]")
}

func sortedKeys[K ~string, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
