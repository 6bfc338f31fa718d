package history

import (
	"os"
	"testing"

	"github.com/ntdiag/ntdiag/diagnose/lab"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(writerEnv); dir != "" {
		writeForever(dir)
	}
	os.Exit(lab.Main(m.Run))
}
