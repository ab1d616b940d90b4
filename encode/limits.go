package encode

import (
	"fmt"
	"image"
)

// Limits are the supported picture sizes of an encoder, in pixels. A zero field means the limit of Params.
type Limits struct{ Min, Max image.Point }

// Most returns the largest size.
func (l Limits) Most() image.Point {
	most := image.Pt(MaxSide, MaxSide)
	if l.Max.X > 0 {
		most.X = min(most.X, l.Max.X)
	}
	if l.Max.Y > 0 {
		most.Y = min(most.Y, l.Max.Y)
	}
	return most
}

// Check returns an error that wraps ErrSize if a size is out of limits.
func (l Limits) Check(width, height int) error {
	switch most := l.Most(); {
	case width < l.Min.X || height < l.Min.Y:
		return fmt.Errorf("%w: %dx%d is under %dx%d", ErrSize, width, height, l.Min.X, l.Min.Y)
	case width > most.X || height > most.Y:
		return fmt.Errorf("%w: %dx%d is over %dx%d", ErrSize, width, height, most.X, most.Y)
	}
	return nil
}
