// The attacks on kubernetes v1.35.4's sub path package and on the port; see suite/attack.
package main

import (
	"suite/attack"
	"suite/port"
	"v129"
)

func main() {
	attack.Main(
		attack.Port(port.V129),
		attack.PortWithout(port.V129),
		attack.PortByPath(port.V129),
		attack.Original(v129.Original),
	)
}
