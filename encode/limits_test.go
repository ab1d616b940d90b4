package encode_test

import (
	"errors"
	"image"
	"testing"

	"wavryhost/encode"
)

func TestLimitsRefuseASizeAndSayWhichAreSupported(t *testing.T) {
	limits := encode.Limits{Min: image.Pt(146, 50), Max: image.Pt(4096, 2304)}
	for _, c := range []struct {
		size image.Point
		ok   bool
	}{
		{image.Pt(146, 50), true},
		{image.Pt(4096, 2304), true},
		{image.Pt(144, 50), false},
		{image.Pt(146, 48), false},
		{image.Pt(4098, 2304), false},
		{image.Pt(4096, 2306), false},
	} {
		err := limits.Check(c.size.X, c.size.Y)
		if (err == nil) != c.ok {
			t.Errorf("%v: got %v", c.size, err)
		}
		if refused, ok := errors.AsType[*encode.SizeError](err); !c.ok &&
			(!ok || refused.Limits != limits || !errors.Is(err, encode.ErrSize)) {
			t.Errorf("%v: got %#v; want a SizeError with the limits", c.size, err)
		}
	}
	if err := (encode.Limits{}).Check(encode.MaxSide, 2); err != nil {
		t.Errorf("unknown limits refuse a size: %v", err)
	}
}

func TestKnownLimitsReplaceOthers(t *testing.T) {
	limits := encode.Limits{Min: image.Pt(128, 128), Max: image.Pt(4096, 4096)}
	if got := limits.With(encode.Limits{}); got != limits {
		t.Errorf("got %v; want %v", got, limits)
	}
	found := encode.Limits{Min: image.Pt(32, 0), Max: image.Pt(8192, 4352)}
	if got, want := limits.With(found), (encode.Limits{Min: image.Pt(32, 128), Max: found.Max}); got != want {
		t.Errorf("got %v; want %v", got, want)
	}
}
