// Package attack races every operation of the sub path package against the owner of a volume, who
// changes it from a thread and from another process while the call runs. What must never happen is
// counted: something made, bound or unmounted outside of the volume, a changed mode, lost data, a
// call that hangs, a mount too many.
//
// The original loses some of the races, which shows that the counting works; the port
// must lose none.
package attack

import (
	"os"

	mount "k8s.io/mount-utils"
	"suite/parity"
)

// Player is an implementation under attack, with the mounter that it is given.
type Player struct {
	Name    string
	Impl    parity.Impl
	Mounter func() mount.Interface
	// Without names calls of the kernel that the port does without (SUBPATH_WITHOUT).
	Without string
	// ByPath says that the mounter is asked by path. Who can change the directories below the
	// pod's own can then lead the mounter astray, whatever the implementation does.
	ByPath bool
	// MustWin says that a single loss is a failure.
	MustWin bool
}

// An Attack is one race.
type Attack struct {
	Name string
	// On is the operation under attack.
	On string
	// OnPod says that what is changed are the directories below the pod's own.
	OnPod bool
	// NeedsUsers says that it needs a second user, whom a user namespace may not have.
	NeedsUsers bool
	Setup      func(a *Arena)
	// Moves are what the volume's owner does, over and over, each in a thread and in a process.
	Moves []Move
	// Callers is how many call at once; 0 is 1.
	Callers int
	// Together lets the callers begin each call at the same moment, and After look at the outcome.
	Together bool
	Call     func(a *Arena, c *Caller)
	After    func(a *Arena)
	// Release lets a call go that hangs.
	Release func(a *Arena)
}

// A Move changes the volume once.
type Move func(p Paths, t *Tally)

// Tally is what an attack did, and what it did harm to.
type Tally struct {
	// Moves counts what the attacker changed, in the thread and in the process.
	Moves        int
	ProcessMoves int

	Calls   int
	Success int
	Errors  map[string]int

	Escapes int // made, bound or unmounted outside of the volume
	Modes   int // of what is not ours, or not as asked for
	Lost    int // the user's data
	Hangs   int // calls over two seconds
	Mounts  int // more than one, or left behind
}

// Harm sums up what must not happen.
func (t *Tally) Harm() int { return t.Escapes + t.Modes + t.Lost + t.Hangs + t.Mounts }

func (t *Tally) add(o *Tally) {
	t.Moves += o.Moves
	t.ProcessMoves += o.ProcessMoves
	t.Calls += o.Calls
	t.Success += o.Success
	t.Escapes += o.Escapes
	t.Modes += o.Modes
	t.Lost += o.Lost
	t.Hangs += o.Hangs
	t.Mounts += o.Mounts
	for kind, n := range o.Errors {
		t.Errors[kind] += n
	}
}

// Result is the outcome of one attack on one player.
type Result struct {
	Attack, On, Player string
	MustWin            bool
	// NotRun says why it cannot run here, Broken how it went wrong.
	NotRun, Broken string
	// Attacked says that there was an attacker beside the callers.
	Attacked bool
	Tally
}

// idle says that the attacker did nothing, so that the result proves nothing.
func (r *Result) idle() bool {
	return r.Broken == "" && r.NotRun == "" && r.Attacked && r.Harm() == 0 && r.Moves+r.ProcessMoves == 0
}

// All are all attacks.
func All() []Attack {
	var all []Attack
	all = append(all, makeDirAttacks()...)
	all = append(all, prepareAttacks()...)
	all = append(all, cleanAttacks()...)
	return all
}

// Mode is asked of SafeMakeDir. No umask leaves it as it is, so that a missing chmod shows.
const Mode = os.FileMode(0o775) | os.ModeSetgid
