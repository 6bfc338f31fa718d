package plain

import (
	"fmt"
	"io"

	"github.com/ntdiag/ntdiag/diagnose/counters"
)

// Counters writes what `conntrack -S` prints.
func Counters(w io.Writer, s *counters.Stats) error {
	var b []byte
	for _, c := range s.CPUs {
		b = fmt.Appendf(b, "cpu=%-4d\t", c.CPU)
		for k, has := range c.Has {
			if has {
				b = fmt.Appendf(b, "%s=%d ", counters.Table[k].Name, c.Values[k])
			}
		}
		b = append(b, '\n')
	}
	_, err := w.Write(b)
	return err
}
