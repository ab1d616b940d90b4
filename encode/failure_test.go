package encode_test

import (
	"errors"
	"fmt"
	"image"
	"testing"

	"wavryhost/encode"
)

func TestEachErrorHasItsFailure(t *testing.T) {
	for _, c := range []struct {
		err  error
		want encode.Failure
	}{
		{nil, ""},
		{encode.ErrNoEncoder, encode.FailureMissing},
		{fmt.Errorf("nvenc: %w", encode.ErrBusy), encode.FailureBusy},
		{fmt.Errorf("nvenc: %w", encode.Limits{Max: image.Pt(1920, 1080)}.Check(3840, 2160)), encode.FailureSize},
		{errors.New("driver: operation failed"), encode.FailureBroken},
	} {
		if got := encode.FailureOf(c.err); got != c.want {
			t.Errorf("%v is %q; want %q", c.err, got, c.want)
		}
	}
}
