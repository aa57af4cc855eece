// The attacks on kubernetes v1.37.2's sub path package and on the port; see suite/attack.
package main

import (
	"suite/attack"
	"suite/port"
	"v137"
)

func main() {
	attack.Main(attack.Port(port.V137), attack.Original(v137.Original))
}
