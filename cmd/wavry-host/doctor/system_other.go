//go:build !linux

package doctor

import (
	"errors"
	"time"
)

func space(string) (Space, error) { return Space{}, errors.ErrUnsupported }

func clock() (synchronized bool, off time.Duration, err error) {
	return false, 0, errors.ErrUnsupported
}
