package encode

import "errors"

// Failure is the kind of reason for which an encoder is not usable.
type Failure string

// The failures.
const (
	FailureMissing Failure = "missing" // not built in, no device, or no driver
	FailureBusy    Failure = "busy"    // the device runs its maximum number of encodes
	FailureSize    Failure = "size"    // it does not support pictures of the tried size
	FailureTimeout Failure = "timeout" // its trial did not finish in time: it hangs, or the machine is busy
	FailureBroken  Failure = "broken"  // it fails, crashes, or makes other pictures
)

// Failures lists the failures.
func Failures() []Failure {
	return []Failure{FailureMissing, FailureBusy, FailureSize, FailureTimeout, FailureBroken}
}

// Faulty reports whether the encoder is there and does not work. Another variant of its profile may.
func (f Failure) Faulty() bool { return f == FailureTimeout || f == FailureBroken }

// FailureOf returns the kind of an error of Factory.Open or of an encoder, or "" for nil.
func FailureOf(err error) Failure {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, ErrBusy):
		return FailureBusy
	case errors.Is(err, ErrSize):
		return FailureSize
	case errors.Is(err, ErrNoEncoder):
		return FailureMissing
	case errors.Is(err, errUnfinished):
		return FailureTimeout
	}
	return FailureBroken
}
