package pipeline

import (
	"image"
	"math"
	"time"

	"wavryhost/encode"
)

// expected returns the factory of the open encoder, or else of the encoder that would be opened. It is nil if there is
// none.
func (a *activeEncoder) expected() encode.Factory {
	if a.open != nil {
		return a.factory
	}
	if order := a.of.encoders.order(time.Now(), a.of.format); len(order) > 0 {
		return order[0]
	}
	return nil
}

// limits returns the sizes that the expected encoder supports.
func (a *activeEncoder) limits() encode.Limits {
	if f := a.expected(); f != nil {
		return a.of.encoders.limits(f)
	}
	return encode.Limits{}
}

// sizeFor returns the encoded size. At the display's own size an odd last column or row is kept and repeated once,
// because encoders accept even sizes only: to scale the picture by one pixel would blur all of it.
func (a *activeEncoder) sizeFor(to target, encoder encode.Limits) image.Point {
	p := a.of.limits.Size(a.source)
	if to.scale < 1 {
		p = scaled(p, to.scale)
	}
	if p == a.source {
		p = image.Pt(max((p.X+1)&^1, encode.MinSide), max((p.Y+1)&^1, encode.MinSide))
	} else {
		p = scaled(p, 1)
	}
	most := encoder.Most()
	if f := min(float64(most.X)/float64(p.X), float64(most.Y)/float64(p.Y)); f < 1 {
		p = scaled(p, f)
		p = image.Pt(min(p.X, most.X&^1), min(p.Y, most.Y&^1))
	}
	if f := to.limits.Scale(p.X, p.Y); f < 1 {
		p = image.Pt(int(float64(p.X)*f)&^1, int(float64(p.Y)*f)&^1)
	}
	return image.Pt(max(p.X, encode.MinSide), max(p.Y, encode.MinSide))
}

// misses reports whether a picture must be requested for the size that is wanted. A picture that stands still brings
// no frame, and its repetitions have the size of the encoder. A device may need several frames: see successor.
func (a *activeEncoder) misses(now, lastFrame time.Time, to target) bool {
	if a.open == nil || now.Sub(lastFrame) < aliveInterval || now.Sub(a.resizedAt) < aliveInterval ||
		a.size == a.sizeFor(to, a.limits()) {
		return false
	}
	a.resizedAt = now
	return true
}

// scaled returns a fraction of a size, in even numbers.
func scaled(p image.Point, f float64) image.Point {
	side := func(n int) int { return max(int(math.Round(float64(n)*f))&^1, encode.MinSide) }
	return image.Pt(side(p.X), side(p.Y))
}

// fits reports whether the open encoder has the right size and the best profile that all decoders support.
func (a *activeEncoder) fits(to target) bool {
	return a.sizeFor(to, a.limits()) == a.size && a.h264 == a.open.profile.H264Within(to.limits.H264) && a.decodable(to)
}

// decodable reports whether the stream of the open encoder has a level and a profile that all decoders support.
func (a *activeEncoder) decodable(to target) bool {
	limit := to.limits.Level
	return (limit == 0 || a.level != 0 && a.level <= limit) && a.h264 <= a.open.profile.H264Within(to.limits.H264)
}
