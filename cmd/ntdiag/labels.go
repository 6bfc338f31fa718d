package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ntdiag/ntdiag/diagnose/host"
)

// labelFile names conntrack labels: lines of a number and a name.
const labelFile = "/etc/xtables/connlabel.conf"

// maxLabel is the highest label that the kernel has (XT_CONNLABEL_MAXBIT).
const maxLabel = 127

// labelNames reads labelFile; what cannot be read has no names.
func labelNames() map[string]int {
	b, err := os.ReadFile(labelFile)
	if err != nil {
		return nil
	}
	return labelsNamed(string(b))
}

// labelsNamed reads lines of a number and a name; others, and what follows a #,
// are passed over.
func labelsNamed(text string) map[string]int {
	names := map[string]int{}
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		w := strings.Fields(line)
		if len(w) != 2 {
			continue
		}
		if n, err := strconv.Atoi(w[0]); err == nil && n >= 0 && n <= maxLabel {
			names[w[1]] = n
		}
	}
	return names
}

// parseLabels reads numbers or names, parted by commas.
func parseLabels(text string) (labels [16]byte, err error) {
	return labelsOf(text, labelNames())
}

func labelsOf(text string, names map[string]int) (labels [16]byte, err error) {
	for word := range strings.SplitSeq(text, ",") {
		n, ok := names[word]
		if !ok {
			n, err = strconv.Atoi(word)
		}
		if err != nil || n < 0 || n > maxLabel {
			return labels, fmt.Errorf("unknown label %q (0-%d, or a name of %s)", word, maxLabel, labelFile)
		}
		i, bit := host.LabelBit(n)
		labels[i] |= bit
	}
	return labels, nil
}

// completeLabels offers the names.
func completeLabels(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	var out []string
	for name := range labelNames() {
		out = append(out, name)
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}
