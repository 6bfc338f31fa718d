package remove

import (
	"os"
	"testing"

	"github.com/ntdiag/ntdiag/diagnose/lab"
)

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		os.Exit(child())
	}
	os.Exit(lab.Main(m.Run))
}
