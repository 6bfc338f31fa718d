package nft

import (
	"os"
	"testing"

	"github.com/ntdiag/ntdiag/diagnose/lab"
)

// TestMain runs the tests in a user namespace where they are not root's.
func TestMain(m *testing.M) { os.Exit(lab.Main(m.Run)) }
