//go:build !linux

package drm

import (
	"errors"
	"fmt"
)

// Open opens the node of a card. Only Linux has one.
func Open(path string) (Device, error) {
	return nil, fmt.Errorf("open %s: %w", path, errors.ErrUnsupported)
}

func closeFile(int) {}
