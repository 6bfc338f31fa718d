package capture

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"

	"github.com/vishvananda/netlink"

	"github.com/ntdiag/ntdiag/rules"
)

// LoadNft gives the network namespace of the process the devices, by their
// indexes, and the rules of a text of nft, and reads back what the kernel has of
// them. It is for a process that was started in a namespace of its own.
func LoadNft(ctx context.Context, text string, devices map[uint32]string) (*rules.Ruleset, error) {
	for index, name := range devices {
		if err := standIn(index, name); err != nil {
			return nil, fmt.Errorf("device %q: %w", name, err)
		}
	}
	cmd := exec.CommandContext(ctx, "nft", "-f", "-")
	cmd.Stdin = strings.NewReader(text)
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Run(); errors.Is(err, exec.ErrNotFound) {
		return nil, errors.New("there is no nft program")
	} else if err != nil {
		first, _, _ := strings.Cut(said.String(), "\n")
		return nil, fmt.Errorf("nft: %w: %s", err, first)
	}
	l, err := Open("")
	if err != nil {
		return nil, err
	}
	defer l.Close()
	s, err := l.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	return s.Rules, nil
}

// standIn makes a device of that name: of which kind does not matter to rules,
// and not every kernel has every kind.
func standIn(index uint32, name string) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.Index = name, int(index)
	err := errors.New("there is no kind")
	for _, link := range []netlink.Link{
		&netlink.Dummy{LinkAttrs: attrs}, &netlink.Ifb{LinkAttrs: attrs}, &netlink.Bridge{LinkAttrs: attrs},
	} {
		if err = netlink.LinkAdd(link); err == nil {
			return nil
		}
	}
	return err
}
