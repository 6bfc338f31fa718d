package lab

import (
	"fmt"
	"os/exec"
	"strings"
)

// Run runs a program of the machine inside the host and returns its output; an
// error holds what it said.
func (h *Host) Run(input, name string, args ...string) (string, error) {
	var out, errs strings.Builder
	err := h.Do(func() error {
		cmd := exec.Command(name, args...)
		cmd.Stdin = strings.NewReader(input)
		cmd.Stdout, cmd.Stderr = &out, &errs
		return cmd.Run()
	})
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(errs.String()))
	}
	return out.String(), nil
}
