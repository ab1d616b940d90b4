package admission

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// ErrFull means that there is no room for another session at the moment.
var ErrFull = errors.New("admission: host is full")

// RefusalError says why there is no room for a session. It is an ErrFull.
type RefusalError struct {
	// Resource is what is short, one of Resources.
	Resource string `set:"Resource"`
	// Fit is the largest usual profile that there is room for, as "1280x720@30"; empty for none.
	Fit string
	// RetryAfter is when there may be room again.
	RetryAfter time.Duration
	text       string
}

func (r *RefusalError) Error() string { return ErrFull.Error() + ": " + r.text }

// Unwrap returns ErrFull.
func (r *RefusalError) Unwrap() error { return ErrFull }

// Refuse returns the error that says what is short.
func Refuse(short Resource, format string, args ...any) error {
	return refuse(short, patience(short), format, args...)
}

func refuse(short Resource, wait time.Duration, format string, args ...any) error {
	return &RefusalError{Resource: string(short), RetryAfter: Jitter(wait), text: fmt.Sprintf(format, args...)}
}

// patience returns when a resource may be free again: a session ends, a program is done, somebody changes the
// configuration.
func patience(r Resource) time.Duration {
	switch r {
	case EncodeTime:
		return 5 * time.Minute
	case Memory, GPUMemory:
		return 30 * time.Second
	case CPU, GPU, Uplink:
		return 10 * time.Second
	case Sessions, Encoders, DisplayViewers, Handshakes, PerOwner:
	}
	return 5 * time.Second
}

// Jitter spreads clients that were refused together: it returns half of d to one and a half.
func Jitter(d time.Duration) time.Duration { return d/2 + rand.N(d) }
