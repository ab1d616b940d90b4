//go:build !linux && !darwin

package identity

import "errors"

func read() (string, error) { return "", errors.New("not implemented on this system") }
