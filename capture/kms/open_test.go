//go:build linux

package kms

import (
	"image"
	"strings"
	"syscall"
	"testing"

	"wavryhost/capture"
	"wavryhost/capture/capturetest"
	"wavryhost/platform/kms"
	"wavryhost/platform/kms/drm"
	"wavryhost/platform/kms/kmstest"
)

// Surfaces are delivered where they are demanded and can be. Otherwise main memory is used, if that is accepted.
func TestKinds(t *testing.T) {
	intel := capture.Device{Major: 226, Minor: 128}
	reversed := eitherOf
	reversed.Kinds = []capture.Kind{capture.Memory, capture.DMA}
	with := func(d capture.Demand, change func(*capture.Demand)) capture.Demand {
		change(&d)
		return d
	}
	embedded := func(d *capture.Demand) { d.Cursor = capture.CursorEmbedded }
	area := func(d *capture.Demand) { d.Area = image.Rect(0, 0, 8, 8) }
	of := func(device capture.Device) func(*capture.Demand) {
		return func(d *capture.Demand) { d.Device = device }
	}
	tiled := func(k *kmstest.Card) { k.Change(k.Shown(0), func(f *kmstest.FB) { f.Modifiers[0] = 1<<56 | 2 }) }
	unknown := func(k *kmstest.Card) { k.Render = kms.RenderNode{} }
	turned := func(k *kmstest.Card) { k.Set(0, func(o *kmstest.Output) { o.Rotation = 2 }) }
	part := func(k *kmstest.Card) { k.Set(0, func(o *kmstest.Output) { o.Width, o.Height, o.SrcX = 32, 40, 8 }) }
	noPrime := func(k *kmstest.Card) { k.Fail(drm.IoctlPrimeHandleToFD, syscall.ENOSYS) }
	amd := capture.Device{Major: 226, Minor: 129}
	cuda := func(d *capture.Demand) { d.Kinds = []capture.Kind{capture.CUDA} }
	type cards []func(*kmstest.Card)
	for name, tt := range map[string]struct {
		demand capture.Demand
		card   cards
		kind   capture.Kind
		reason error
		text   string
	}{
		"accepted":               {demand: eitherOf, kind: capture.DMA},
		"required":               {demand: passed, kind: capture.DMA},
		"memory is better":       {demand: reversed, kind: capture.Memory},
		"no memory of tiles":     {demand: reversed, card: cards{tiled}, kind: capture.DMA},
		"same device":            {demand: with(passed, of(intel)), kind: capture.DMA},
		"unknown device":         {demand: with(passed, of(intel)), card: cards{unknown}, kind: capture.DMA},
		"another device":         {demand: with(eitherOf, of(amd)), kind: capture.Memory},
		"pointer in the picture": {demand: with(eitherOf, embedded), kind: capture.Memory},
		"no DMA-BUF":             {demand: eitherOf, card: cards{noPrime}, kind: capture.Memory},
		"rows of a part":         {demand: passed, card: cards{part}, kind: capture.DMA},

		"other kinds":                {demand: with(passed, cuda), reason: capture.ErrDemand, text: "[cuda]"},
		"part":                       {demand: with(eitherOf, area), reason: capture.ErrDemand, text: "whole display"},
		"required, pointer embedded": {demand: with(passed, embedded), reason: capture.ErrDemand, text: "pointer"},
		"required, part":             {demand: with(passed, area), reason: capture.ErrDemand, text: "whole display"},
		"required, another device": {
			demand: with(passed, of(amd)), reason: capture.ErrDemand, text: "226:128, and its consumer uses device 226:129",
		},
		"required, turned": {demand: passed, card: cards{turned}, reason: capture.ErrDemand, text: "turns the picture"},
		"required, no DMA-BUF": {
			demand: passed, card: cards{noPrime}, reason: capture.ErrDemand, text: "export framebuffer",
		},
		"required, part of tiles": {
			demand: passed, card: cards{part, tiled}, reason: capture.ErrDemand, text: "(8,0)-(40,40)",
		},
		"part of tiles": {
			demand: eitherOf, card: cards{part, tiled}, reason: capture.ErrUnsupported, text: "(8,0)-(40,40)",
		},
		"turned": {demand: eitherOf, card: cards{turned}, reason: capture.ErrUnsupported, text: "turns the picture"},
		"tiles of another device": {
			demand: with(eitherOf, of(amd)), card: cards{tiled}, reason: capture.ErrUnsupported, text: "device 226:129",
		},
		"tiles, pointer embedded": {
			demand: with(eitherOf, embedded), card: cards{tiled}, reason: capture.ErrUnsupported, text: "in tiles",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := kmstest.New(t, 64, 48)
			k.Render = kms.RenderNode(intel)
			for _, change := range tt.card {
				change(k)
			}
			s, err := New(t.Context(), Config{
				Socket: kmstest.Serve(t, nil, k).Socket, Output: hdmi, Demand: tt.demand,
			}, logger(t))
			if tt.reason != nil {
				capturetest.CheckReason(t, err, tt.reason)
				if err != nil && !strings.Contains(err.Error(), tt.text) {
					t.Errorf("got %q; want it to say %q", err, tt.text)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = s.Close() }()
			if f := next(t, s); s.Traits().Kind != tt.kind || (f.Surface != nil) != (tt.kind == capture.DMA) {
				t.Errorf("got %v, with surface %v; want %v", s.Traits().Kind, f.Surface, tt.kind)
			}
		})
	}
}

// What makes no sense in a buffer has the same reasons as in main memory.
func TestRefusedSurfaces(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*kmstest.FB)
		reason error
		text   string
	}{
		"short rows":      {func(f *kmstest.FB) { f.Pitches[0] = 255 }, capture.ErrDemand, "rows of 255 bytes"},
		"huge rows":       {func(f *kmstest.FB) { f.Pitches[0] = 1 << 30 }, capture.ErrDemand, "rows of 1073741824"},
		"huge second row": {func(f *kmstest.FB) { f.Handles[1], f.Pitches[1] = 1, 1<<32-1 }, capture.ErrDemand, "4294967295"},
		"no width":        {func(f *kmstest.FB) { f.Width = 0 }, capture.ErrDemand, "of 0x48"},
		"offset":          {func(f *kmstest.FB) { f.Offsets[0] = 4 }, capture.ErrUnsupported, "12288 bytes"},
		"far offset":      {func(f *kmstest.FB) { f.Offsets[0] = 0xffffffff }, capture.ErrUnsupported, "12288 bytes"},
		"far tiles": {
			func(f *kmstest.FB) { f.Offsets[0], f.Modifiers[0] = 12288, 1<<56|1 }, capture.ErrUnsupported, "12288 bytes",
		},
		"no handle": {func(f *kmstest.FB) { f.Handles[0] = 0 }, capture.ErrDenied, "CAP_SYS_ADMIN"},
	} {
		t.Run(name, func(t *testing.T) {
			k := kmstest.New(t, 64, 48)
			k.Change(k.Shown(0), tt.change)
			_, err := New(t.Context(), Config{
				Socket: kmstest.Serve(t, nil, k).Socket, Output: hdmi, Demand: passed,
			}, logger(t))
			capturetest.CheckReason(t, err, tt.reason)
			if err != nil && !strings.Contains(err.Error(), tt.text) {
				t.Errorf("got %q; want it to say %q", err, tt.text)
			}
		})
	}
}
