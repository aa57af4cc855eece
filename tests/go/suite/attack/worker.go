// Running one attack on one player: in a process with a mount namespace of its own, which starts the
// attacker's thread and process, makes the calls, watches over them and counts.

package attack

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	mount "k8s.io/mount-utils"
	"suite/parity"
)

// hangs is how long a call may take.
const hangs = 2 * time.Second

// Caller makes the calls of one thread.
type Caller struct {
	number  int
	round   int
	impl    parity.Impl
	mounter mount.Interface
	arena   *Arena
	since   atomic.Int64 // when the call under way began, by the watch's clock; 0 for none
	hung    atomic.Bool
}

// do makes one call and counts how it ended.
func (c *Caller) do(call func() error) error {
	c.hung.Store(false)
	c.since.Store(clock.Load())
	err := call()
	c.since.Store(0)
	a := c.arena
	a.mu.Lock()
	defer a.mu.Unlock()
	a.tally.Calls++
	if err == nil {
		a.tally.Success++
	} else {
		a.tally.Errors[kind(err)]++
	}
	return err
}

// clock counts ticks of a twentieth of a second while this process is really running, so that a
// machine that is busy elsewhere makes no call hang. It begins at 1.
var clock atomic.Int64

const tick = 50 * time.Millisecond

// watch counts the calls that hang, and lets them go.
func watch(a *Arena, attack *Attack, callers []*Caller, stop chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-time.After(tick):
		}
		now := clock.Add(1)
		for _, c := range callers {
			since := c.since.Load()
			if since == 0 || time.Duration(now-since)*tick < hangs {
				continue
			}
			if c.hung.CompareAndSwap(false, true) {
				a.mu.Lock()
				a.tally.Hangs++
				a.mu.Unlock()
			}
			if attack.Release != nil {
				attack.Release(a)
			}
		}
	}
}

func pause() { time.Sleep(5 * time.Millisecond) }

// kind is an error's text without what is different each time.
func kind(err error) string {
	text := err.Error()
	if i := strings.LastIndex(text, ": "); i >= 0 && !strings.Contains(text[i:], "/") {
		text = text[i+2:]
	}
	return paths.ReplaceAllString(text, "PATH")
}

var paths = regexp.MustCompile(`"?(/[^ :"]*)+"?`)

// work runs one attack in this process.
func work(attack *Attack, player *Player, seconds float64) (result Result) {
	result = Result{
		Attack: attack.Name, On: attack.On, Player: player.Name, MustWin: player.MustWin,
		Attacked: len(attack.Moves) > 0,
	}
	if attack.NeedsUsers && !hasUsers() {
		result.NotRun = "there is no second user in this user namespace"
		return result
	}
	unix.Umask(0o022)
	clock.Store(1)
	a, err := newArena()
	if err != nil {
		result.Broken = err.Error()
		return result
	}
	defer a.end()
	if attack.Setup != nil {
		attack.Setup(a)
	}
	a.seal()

	callers := make([]*Caller, max(attack.Callers, 1))
	for i := range callers {
		callers[i] = &Caller{number: i, impl: player.Impl, mounter: player.Mounter(), arena: a}
	}
	stopWatch := make(chan struct{})
	go watch(a, attack, callers, stopWatch)
	attackers, err := startAttackers(a.Paths, a.gate, attack)
	if err != nil {
		result.Broken = err.Error()
		return result
	}
	deadline := time.Now().Add(time.Duration(seconds * float64(time.Second)))
	for round := 0; round == 0 || time.Now().Before(deadline); round++ {
		a.round(attack, callers, deadline)
	}
	moves := attackers.stop()
	close(stopWatch)
	a.check()
	a.checkContent()
	moves[1].Moves, moves[1].ProcessMoves = 0, moves[1].Moves
	for _, tally := range moves {
		a.tally.add(&tally)
	}
	result.Tally = *a.tally
	return result
}

// round lets every caller call: once, where they begin together, else until the deadline.
func (a *Arena) round(attack *Attack, callers []*Caller, deadline time.Time) {
	var ready, done sync.WaitGroup
	begin := make(chan struct{})
	for _, c := range callers {
		ready.Add(1)
		done.Add(1)
		go func() {
			defer done.Done()
			ready.Done()
			<-begin
			for {
				attack.Call(a, c)
				c.round++
				if attack.Together || !time.Now().Before(deadline) {
					return
				}
			}
		}()
	}
	ready.Wait()
	close(begin)
	done.Wait()
	if attack.After != nil {
		attack.After(a)
	}
}

// attackers are a thread and a process that do the same.
type attackers struct {
	stopThread chan struct{}
	thread     chan Tally
	process    *exec.Cmd
	input      *os.File
	output     *json.Decoder
}

func startAttackers(p Paths, g *gate, attack *Attack) (*attackers, error) {
	if len(attack.Moves) == 0 {
		return nil, nil
	}
	at := &attackers{stopThread: make(chan struct{}), thread: make(chan Tally, 1)}
	go func() { at.thread <- move(p, g, 0, attack, at.stopThread) }()
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	at.process = exec.Command("/proc/self/exe", "attacker", attack.On, attack.Name, p.Root)
	at.process.Stdin, at.process.Stderr, at.input = r, os.Stderr, w
	at.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := at.process.StdoutPipe()
	if err != nil {
		return nil, err
	}
	at.output = json.NewDecoder(out)
	if err := at.process.Start(); err != nil {
		return nil, err
	}
	r.Close()
	// It says so when it has begun.
	var begun bool
	return at, at.output.Decode(&begun)
}

func (at *attackers) stop() (tallies [2]Tally) {
	if at == nil {
		return tallies
	}
	close(at.stopThread)
	at.input.Close()
	tallies[0] = <-at.thread
	if err := at.output.Decode(&tallies[1]); err != nil {
		panic(fmt.Errorf("the attacker's process: %w", err))
	}
	at.process.Wait()
	return tallies
}

// move makes the attack's moves until it is stopped; attacker tells the thread from the process.
func move(p Paths, g *gate, attacker int, attack *Attack, stop <-chan struct{}) (t Tally) {
	for {
		select {
		case <-stop:
			return t
		default:
			if !g.enter(attacker) {
				continue
			}
			for _, m := range attack.Moves {
				m(p, &t)
			}
			g.leave(attacker)
		}
	}
}

// attackerMain is the attacker's process: it moves until its input ends.
func attackerMain(attack *Attack, root string) {
	stop := make(chan struct{})
	go func() {
		os.Stdin.Read(make([]byte, 1))
		close(stop)
	}()
	out := json.NewEncoder(os.Stdout)
	out.Encode(true)
	out.Encode(move(Paths{root}, openGate(root), 1, attack, stop))
}

func hasUsers() bool {
	text, err := os.ReadFile("/proc/self/uid_map")
	fields := strings.Fields(string(text))
	return err == nil && len(fields) >= 3 && fields[2] != "1"
}
