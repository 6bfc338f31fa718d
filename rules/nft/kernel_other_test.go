//go:build !linux

package nft

import (
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

func recordRuleset(t *testing.T, _ *txtar.Archive) []recorded {
	t.Fatal("recording needs Linux")
	return nil
}
