//go:build !linux

package input

import (
	"errors"
	"fmt"
)

func openUInput() (node, error) { return nil, fmt.Errorf("uinput of Linux: %w", errors.ErrUnsupported) }
