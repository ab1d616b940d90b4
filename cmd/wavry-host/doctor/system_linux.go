package doctor

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// space returns the room at a path.
func space(path string) (Space, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return Space{}, fmt.Errorf("statfs: %w", err)
	}
	block := uint64(s.Bsize) //nolint:gosec // it is positive
	return Space{Free: s.Bavail * block, Total: s.Blocks * block, FreeInodes: s.Ffree, AllInodes: s.Files}, nil
}

// clock reports whether a service keeps the kernel's clock synchronized (adjtimex(2)).
func clock() (synchronized bool, off time.Duration, err error) {
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	if err != nil {
		return false, 0, fmt.Errorf("adjtimex: %w", err)
	}
	return state != unix.TIME_ERROR, time.Duration(t.Maxerror) * time.Microsecond, nil
}
