//go:build !linux

package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/ntdiag/ntdiag/rules"
)

// nftScratch: only Linux has a kernel that reads rules of nft.
func nftScratch(context.Context, string, map[uint32]string) (*rules.Ruleset, error) {
	return nil, errors.New("this system is not Linux")
}

func newLoadNftCmd() *cobra.Command { return &cobra.Command{Use: loadNft, Hidden: true} }
