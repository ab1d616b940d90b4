//go:build cgo && !noffmpeg

package ffmpeg

import (
	"errors"
	"fmt"
	"image"
	"testing"

	"wavryhost/encode"
	"wavryhost/encode/encodetest"
)

// sized is a device that refuses sizes in its own way.
type sized struct {
	encode.Factory
	refuse func(p encode.Params) error
}

func (s sized) Open(p encode.Params) (encode.Encoder, error) {
	if err := s.refuse(p); err != nil {
		return nil, err
	}
	return s.Factory.Open(p)
}

func TestSizesAreThoseOfTheDevice(t *testing.T) {
	hardware := encodetest.New(encodetest.Config{Profile: encode.Profile{Hardware: true}})
	limits := encode.Limits{Min: image.Pt(96, 64), Max: image.Pt(4096, 2304)}
	all := encode.Limits{Min: image.Pt(encode.MinSide, encode.MinSide), Max: image.Pt(encode.MaxSide, encode.MaxSide)}
	for _, c := range []struct {
		name    string
		factory encode.Factory
		want    encode.Limits
	}{
		{"it says both", sized{hardware, func(p encode.Params) error { return limits.Check(p.Width, p.Height) }}, limits},
		{"it says one side at a time", sized{hardware, func(p encode.Params) error {
			switch {
			case p.Width > 4096:
				return &encode.SizeError{Limits: encode.Limits{Max: image.Pt(4096, 0)}}
			case p.Height > 2304:
				return &encode.SizeError{Limits: encode.Limits{Max: image.Pt(0, 2304)}}
			}
			return nil
		}}, encode.Limits{Min: all.Min, Max: limits.Max}},
		{"it says nothing", sized{hardware, func(p encode.Params) error {
			if limits.Check(p.Width, p.Height) != nil {
				return fmt.Errorf("refused: %w", encode.ErrSize)
			}
			return nil
		}}, encode.Limits{Min: image.Pt(128, 64), Max: image.Pt(2048, 2048)}},
		{"it supports all", hardware, all},
		{"it fails", sized{hardware, func(encode.Params) error { return errors.New("device lost") }}, encode.Limits{}},
		{"it is no hardware", encodetest.New(encodetest.Config{Sizes: limits}), encode.Limits{}},
		{"it refuses everything", sized{hardware, func(encode.Params) error { return encode.ErrSize }}, encode.Limits{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := encode.Params{Width: 640, Height: 360, FPS: 30, BitsPerSecond: 1e6}
			if got := sizes(t.Context(), c.factory, p); got != c.want {
				t.Errorf("got %+v; want %+v", got, c.want)
			}
		})
	}
	if s := hardware.Stats(); s.Opened != s.Closed {
		t.Errorf("%d encoders opened, %d closed", s.Opened, s.Closed)
	}
}
