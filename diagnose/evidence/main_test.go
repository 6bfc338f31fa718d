package evidence

import (
	"os"
	"testing"

	"github.com/ntdiag/ntdiag/diagnose/lab"
)

func TestMain(m *testing.M) { os.Exit(lab.Main(m.Run)) }
