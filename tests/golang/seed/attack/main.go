// The attacks on kubernetes v1.35.4's sub path package and on the port; see suite/attack.
package main

import (
	"seed"
	"suite/attack"
	"suite/port"
)

func main() {
	attack.Main(
		attack.Port(port.Seed),
		attack.PortWithout(port.Seed),
		attack.PortByPath(port.Seed),
		attack.Original(seed.Original),
	)
}
