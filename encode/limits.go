package encode

import (
	"fmt"
	"image"
)

// Limits are the supported picture sizes of an encoder, in pixels. A zero field means the limit of Params.
type Limits struct {
	Min image.Point `json:"min,omitzero"`
	Max image.Point `json:"max,omitzero"`
}

// SizeError is an ErrSize with what the encoder said about the sizes that it supports.
type SizeError struct {
	// Limits are zero as far as they are unknown.
	Limits Limits
	// Text says which size is refused.
	Text string
}

func (e *SizeError) Error() string {
	if e.Text == "" {
		return ErrSize.Error()
	}
	return ErrSize.Error() + ": " + e.Text
}

// Unwrap returns ErrSize.
func (e *SizeError) Unwrap() error { return ErrSize }

// With returns l, in which the known limits of o replace its own.
func (l Limits) With(o Limits) Limits {
	for _, side := range []struct {
		to   *int
		from int
	}{{&l.Min.X, o.Min.X}, {&l.Min.Y, o.Min.Y}, {&l.Max.X, o.Max.X}, {&l.Max.Y, o.Max.Y}} {
		if side.from > 0 {
			*side.to = side.from
		}
	}
	return l
}

// Least returns the smallest size.
func (l Limits) Least() image.Point { return image.Pt(max(l.Min.X, MinSide), max(l.Min.Y, MinSide)) }

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

// Check returns a *SizeError if a size is out of limits.
func (l Limits) Check(width, height int) error {
	switch most := l.Most(); {
	case width < l.Min.X || height < l.Min.Y:
		return &SizeError{l, fmt.Sprintf("%dx%d is under %dx%d", width, height, l.Min.X, l.Min.Y)}
	case width > most.X || height > most.Y:
		return &SizeError{l, fmt.Sprintf("%dx%d is over %dx%d", width, height, most.X, most.Y)}
	}
	return nil
}
