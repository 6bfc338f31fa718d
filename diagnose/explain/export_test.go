package explain

import (
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules/walk"
)

// NewBy prepares an Explainer that walks by w.
func NewBy(s *host.Snapshot, w *walk.Walker) *Explainer {
	return &Explainer{host: s, walker: w, awake: awake(s.Rules)}
}
