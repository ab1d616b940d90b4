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

type copies struct{}

func (copies) close() {}

func (c *Card) copyPixels(uint32, uint32, uint64) (int, error) { return -1, errors.ErrUnsupported }

func mappable(int) bool { return false }
