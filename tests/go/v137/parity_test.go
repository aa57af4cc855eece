// The suite against kubernetes v1.37.2.

package v137

import (
	"testing"

	"suite/parity"
	rust "suite/port"
)

var port = rust.V137

func TestMain(m *testing.M) { parity.Main(m, Original, port) }

func TestParity(t *testing.T) { parity.Run(t) }

func TestSuiteItself(t *testing.T) { parity.SelfTest(t, Original) }

func TestEveryFault(t *testing.T) { parity.EveryFault(t, Original, port) }

func TestEachDeviation(t *testing.T) { parity.EachDeviation(t, Original, port) }

func TestDeviationsAreListed(t *testing.T) { parity.Listed(t) }

func TestFailingAutomounts(t *testing.T) { parity.FailingAutomounts(t, Original, port) }
