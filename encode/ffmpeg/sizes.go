//go:build cgo && !noffmpeg

package ffmpeg

import (
	"context"
	"errors"
	"image"

	"wavryhost/encode"
)

// sizes returns the sizes that a device supports, as far as it says so when it refuses the largest and the smallest
// picture of all. Drivers and cards of one make differ, so a list of them would be wrong for some. Encoders on the
// processor support all sizes.
func sizes(ctx context.Context, f encode.Factory, p encode.Params) (found encode.Limits) {
	if !f.Profile().Hardware {
		return found
	}
	proved := image.Pt(p.Width, p.Height)
	most, refused := largest(ctx, f, p)
	found = refused
	found.Max = most
	p.Width, p.Height = encode.MinSide, encode.MinSide
	switch refused, err := try(ctx, f, p); {
	case err == nil:
		found.Min = image.Pt(encode.MinSide, encode.MinSide)
	case refused.Min != image.Point{}:
		found.Min = refused.Min
	case errors.Is(err, encode.ErrSize): // NVENC does not say which sizes it supports
		found.Min = smallest(ctx, f, p, proved)
	}
	return found
}

// smallSides are the sides that are tried for the smallest picture. NVENC's are 146x50 and 160x64 on most cards.
var smallSides = []int{32, 50, 64, 128, 146, 160, 192, 256}

// smallest returns the smallest of the sides that an encoder supports, each beside a side of a size that it supports. A
// side is zero if that does not show.
func smallest(ctx context.Context, f encode.Factory, p encode.Params, proved image.Point) (least image.Point) {
	for _, side := range []struct{ found, tried *int }{{&least.X, &p.Width}, {&least.Y, &p.Height}} {
		for _, n := range smallSides {
			p.Width, p.Height = proved.X, proved.Y
			*side.tried = n
			_, err := try(ctx, f, p)
			if err == nil {
				*side.found = n
			}
			if !errors.Is(err, encode.ErrSize) {
				break
			}
		}
	}
	return least
}

// largest returns the largest size, or zero where that does not show, and what refusals said on the way.
func largest(ctx context.Context, f encode.Factory, p encode.Params) (most image.Point, said encode.Limits) {
	proved, next := image.Pt(p.Width, p.Height), image.Pt(encode.MaxSide, encode.MaxSide)
	for next.X >= proved.X && next.Y >= proved.Y {
		p.Width, p.Height = next.X, next.Y
		refused, err := try(ctx, f, p)
		if err == nil {
			return next, said
		}
		if !errors.Is(err, encode.ErrSize) {
			break
		}
		said = said.With(refused)
		smaller := next
		if refused.Max.X > 0 {
			smaller.X = min(smaller.X, refused.Max.X&^1)
		}
		if refused.Max.Y > 0 {
			smaller.Y = min(smaller.Y, refused.Max.Y&^1)
		}
		if smaller == next { // it does not say what it supports
			smaller = next.Div(2)
		}
		next = smaller
	}
	return image.Point{}, said
}

// try opens and closes an encoder. It returns what a refusal says about the supported sizes.
func try(ctx context.Context, f encode.Factory, p encode.Params) (said encode.Limits, err error) {
	if err := ctx.Err(); err != nil {
		return said, err
	}
	enc, err := f.Open(p)
	if err == nil {
		return said, enc.Close()
	}
	if refused, ok := errors.AsType[*encode.SizeError](err); ok {
		said = refused.Limits
	}
	return said, err
}
