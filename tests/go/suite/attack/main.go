// The command: every attack on every player, each in a process of its own, and the table.

package attack

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
	mount "k8s.io/mount-utils"
	"suite/parity"
)

// Main is the whole program of a module that binds an original. It appends the results to the file
// of -out as lines of JSON; "table FILE" prints them.
func Main(players ...Player) {
	switch arg(1) {
	case "worker":
		workerMain(players)
		return
	case "attacker":
		attackerMain(attackNamed(arg(2), arg(3)), arg(4))
		return
	case "table":
		os.Exit(table(arg(2)))
	}
	seconds := flag.Float64("seconds", 1, "how long each attack lasts")
	which := flag.String("attacks", "", "only attacks whose name matches the expression")
	who := flag.String("players", "", "only players whose name matches the expression")
	out := flag.String("out", "", "the file that the results are appended to")
	flag.Parse()
	file, err := os.OpenFile(*out, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	fatal(err)
	attacks, whom := regexp.MustCompile(*which), regexp.MustCompile(*who)
	for _, attack := range All() {
		if !attacks.MatchString(attack.On + ": " + attack.Name) {
			continue
		}
		for _, player := range players {
			if !whom.MatchString(player.Name) || attack.OnPod && player.ByPath && player.MustWin {
				continue
			}
			result := runWorker(&attack, &player, *seconds)
			// On a busy machine an attacker may have had no turn yet.
			for longer := 4 * *seconds; result.idle() && longer < 60; longer *= 4 {
				result = runWorker(&attack, &player, longer)
			}
			line, err := json.Marshal(result)
			fatal(err)
			_, err = file.Write(append(line, '\n'))
			fatal(err)
			fmt.Fprint(os.Stderr, ".")
		}
	}
	fmt.Fprintln(os.Stderr)
}

func arg(i int) string {
	if i < len(os.Args) {
		return os.Args[i]
	}
	return ""
}

func fatal(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func attackNamed(on, name string) *Attack {
	for _, attack := range All() {
		if attack.On == on && attack.Name == name {
			return &attack
		}
	}
	panic("no attack " + name)
}

// runWorker runs one attack in a process with a mount namespace of its own; for an ordinary user in
// a user namespace too, where it is root.
func runWorker(attack *Attack, player *Player, seconds float64) Result {
	cmd := exec.Command("/proc/self/exe", "worker", attack.On, attack.Name, player.Name, fmt.Sprint(seconds))
	parity.Namespaced(cmd)
	cmd.Env = append(os.Environ(), "SUBPATH_WITHOUT="+player.Without, "RUSTSUBPATH_MOUNTER=")
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	fatal(cmd.Start())
	// It ends long before, unless a call hangs that cannot be let go.
	timer := time.AfterFunc(time.Duration(seconds*float64(time.Second))+time.Minute, func() { cmd.Process.Kill() })
	err := cmd.Wait()
	timer.Stop()
	result := Result{Attack: attack.Name, On: attack.On, Player: player.Name, MustWin: player.MustWin}
	if err == nil {
		err = json.Unmarshal(out.Bytes(), &result)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "\n%s on %s: %v\n%s", attack.Name, player.Name, err, stderr.Bytes())
		result.Broken = err.Error()
	}
	return result
}

func workerMain(players []Player) {
	fatal(unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	seconds, err := strconv.ParseFloat(arg(5), 64)
	fatal(err)
	for _, player := range players {
		if player.Name == arg(4) {
			result := work(attackNamed(arg(2), arg(3)), &player, seconds)
			fatal(json.NewEncoder(os.Stdout).Encode(result))
			return
		}
	}
	panic("no player " + arg(4))
}

// Native is mount-utils' own mounter, in whose place the port mounts by itself.
func Native() mount.Interface { return mount.New("") }

// Original is a player that may lose.
func Original(impl parity.Impl) Player {
	return Player{Name: impl.Name, Impl: impl, Mounter: parity.RealMounter, ByPath: true}
}

// Port is a player that must not lose, with the kernel's mounter.
func Port(impl parity.Impl) Player {
	return Player{Name: impl.Name, Impl: impl, Mounter: Native, MustWin: true}
}

// PortWithout is the same on a kernel without the newer calls.
func PortWithout(impl parity.Impl) Player {
	player := Port(impl)
	player.Name += ", old kernel"
	player.Without = "openat2,statx_mount_root,open_tree"
	return player
}

// PortByPath is the port with a mounter of the caller's own.
func PortByPath(impl parity.Impl) Player {
	return Player{Name: impl.Name + ", asking a mounter", Impl: impl, Mounter: parity.RealMounter, ByPath: true, MustWin: true}
}
