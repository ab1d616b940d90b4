//go:build cgo && !noffmpeg

package ffmpeg

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"wavryhost/capture"
	"wavryhost/encode"
)

const (
	// priceCut is the divisor of the rate, and priceObeyed the largest share of the earlier bits that pictures after
	// the cut may use: an encoder that ignores the cut uses all of them.
	priceCut, priceObeyed = 0.25, 0.6
	// priceSettle is the number of pictures that do not count, priceFrames the number that do, before and after the
	// cut.
	priceSettle, priceFrames = 6, 12
)

// price returns the cost of a rate change by observation: drivers that cannot change the rate in place say so in their
// log at most. Builds of FFmpeg differ, too: ours changes the rate of an open VAAPI encoder (scripts/ffmpeg.patches).
func price(ctx context.Context, f encode.Factory, p encode.Params) (found encode.Price, err error) {
	if f.Profile().Price == encode.PriceReopen {
		f = priced(f, encode.PriceKeyframe)
	}
	enc, err := f.Open(p)
	if err != nil {
		return 0, fmt.Errorf("price: %w", err)
	}
	defer func() { err = errors.Join(err, enc.Close()) }()
	rng := rand.New(rand.NewPCG(11, 12)) //nolint:gosec // a picture, not a secret
	n := uint64(0)
	began := time.Now()
	// noise encodes pictures that need all available bits.
	noise := func(count int) (bits int, key bool, err error) {
		for range count {
			if err := ctx.Err(); err != nil {
				return 0, false, err
			}
			frame := capture.NewFrame(nil)
			frame.Width, frame.Height, frame.Stride, frame.Pix = p.Width, p.Height, 4*p.Width, make([]byte, 4*p.Width*p.Height)
			for i := range frame.Pix {
				frame.Pix[i] = byte(rng.Uint32()) & 0x3f
			}
			n++
			frame.Damage = append(frame.Damage, frame.Bounds())
			frame.Time, frame.Seq = began.Add(time.Duration(n)*time.Second/time.Duration(p.FPS)), n
			unit, err := enc.Encode(frame, encode.Order{})
			if err != nil {
				return 0, false, fmt.Errorf("price: picture %d: %w", n, err)
			}
			bits, key = bits+8*len(unit.Data), key || unit.Key
		}
		return bits, key, nil
	}
	if _, _, err = noise(priceSettle); err != nil {
		return 0, err
	}
	before, _, err := noise(priceFrames)
	if err != nil {
		return 0, err
	}
	cut := max(int(priceCut*float64(p.BitsPerSecond)), 1000)
	if err := enc.SetRate(encode.Rate{BitsPerSecond: cut, FPS: p.FPS}); err != nil {
		return 0, fmt.Errorf("price: change the rate: %w", err)
	}
	_, key, err := noise(priceSettle)
	if err != nil {
		return 0, err
	}
	after, late, err := noise(priceFrames)
	switch {
	case err != nil:
		return 0, err
	case float64(after) > priceObeyed*float64(before), enc.Profile().Price == encode.PriceReopen:
		return encode.PriceReopen, nil
	case key || late:
		return encode.PriceKeyframe, nil
	}
	return encode.PriceFree, nil
}
