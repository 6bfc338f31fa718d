package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/rules"
	"github.com/ntdiag/ntdiag/rules/rulesjson"
)

// scratchTime is how long rules may take to load.
const scratchTime = 2 * time.Minute

// nftScratch starts this program again in a user and a network namespace of its
// own, where it loads the text and writes what the kernel has of it. In a user
// namespace nothing makes the kernel load a module.
func nftScratch(ctx context.Context, text string, devices map[uint32]string) (*rules.Ruleset, error) {
	ctx, cancel := context.WithTimeout(ctx, scratchTime)
	defer cancel()
	args := []string{loadNft}
	for index, name := range devices {
		args = append(args, fmt.Sprintf("%d:%s", index, name))
	}
	// the death signal is sent when the starting thread ends
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.CommandContext(ctx, "/proc/self/exe", args...)
	cmd.Args[0] = os.Args[0]
	cmd.Stdin = strings.NewReader(text)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWUSER | unix.CLONE_NEWNET, Pdeathsig: unix.SIGKILL,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("this machine makes none: %w", err)
	}
	if err := cmd.Wait(); err != nil {
		if why := strings.TrimPrefix(strings.TrimSpace(said.String()), "ntdiag: "); why != "" {
			return nil, errors.New(why)
		}
		return nil, err
	}
	return rulesjson.Decode(&out, rulesjson.Options{})
}

// newLoadNftCmd is what runs inside. It refuses to where it was not put by
// nftScratch: there it would load rules into the network that is in use.
func newLoadNftCmd() *cobra.Command {
	return &cobra.Command{
		Use: loadNft, Hidden: true, Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := fresh(); err != nil {
				return usage(err)
			}
			text, err := io.ReadAll(cmd.InOrStdin())
			if err != nil {
				return incomplete(err)
			}
			devices := map[uint32]string{}
			for _, a := range args {
				index, name, _ := strings.Cut(a, ":")
				n, err := strconv.ParseUint(index, 10, 32)
				if err != nil {
					return usage(fmt.Errorf("device %q", a))
				}
				devices[uint32(n)] = name
			}
			rs, err := capture.LoadNft(cmd.Context(), string(text), devices)
			if err != nil {
				return incomplete(err)
			}
			return rulesjson.Encode(cmd.OutOrStdout(), rs)
		},
	}
}

// fresh refuses namespaces that are in use: nftScratch maps one user id, and a
// network namespace that was just made has its loopback alone, and that down,
// and is not the parent's, which from inside may not be told.
func fresh() error {
	own, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		return err
	}
	parents, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", os.Getppid()))
	shared := err == nil && parents == own
	ids, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		return err
	}
	devices, err := net.Interfaces()
	if err != nil {
		return err
	}
	mapped := strings.Fields(string(ids))
	if shared || len(mapped) != 3 || mapped[2] != "1" || len(devices) != 1 || devices[0].Flags&net.FlagUp != 0 {
		return errors.New(loadNft + " runs in namespaces of its own")
	}
	return nil
}
