package main

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
)

// labNetworks are the networks on which a viewer must reach its goals before a release: one with losses and a changing
// rate, and one with a long delay.
var labNetworks = []string{"hotel-wifi", "transatlantic"}

// checkLab lets a browser watch the program for this machine over simulated networks.
func checkLab(ctx context.Context, c *checkCmd) (string, error) {
	archs, err := architectures(c.Dir)
	if err != nil {
		return "", err
	}
	if !slices.Contains(archs, runtime.GOARCH) {
		return "no program for this machine to try", nil
	}
	args := append([]string{"lab", "--for", "30s", "--out", filepath.Join("dist", "lab")}, labNetworks...)
	text, err := output(ctx, filepath.Join("dist", "build", runtime.GOARCH, "wavry-host"), args...)
	if err != nil && text != "" {
		err = fmt.Errorf("%s: %w", text, err)
	}
	return text, err
}
