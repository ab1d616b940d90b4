package codec

import (
	"testing"
	"time"

	"wavryhost/adapt"
	"wavryhost/encode"
)

// text are conditions under which AV1 pays: scrolling text at 720p60 and 1 Mbit/s, on a machine with time.
func text() Conditions {
	return Conditions{
		Formats: []encode.Format{encode.H264, encode.AV1, encode.VP9}, Class: adapt.Text, BitsPerSecond: 1_000_000,
		Width: 1280, Height: 720, FPS: 60, FreeCores: 3, PerPixel: 9.5e-3 / (1280 * 720),
	}
}

func TestTheCodecFollowsContentRateAndProcessor(t *testing.T) {
	for _, c := range []struct {
		name   string
		now    encode.Format
		change func(*Conditions)
		want   Choice
	}{
		{"text at a low rate", encode.H264, func(*Conditions) {}, Choice{encode.AV1, Text}},
		{"text at a high rate", encode.H264, func(c *Conditions) { c.BitsPerSecond = 4e6 }, Choice{encode.H264, Preferred}},
		{"a rate between the limits", encode.H264, func(c *Conditions) {
			c.BitsPerSecond = 2.5e6
		}, Choice{encode.H264, Preferred}},
		{"a rate between the limits, in AV1", encode.AV1, func(c *Conditions) {
			c.BitsPerSecond = 2.5e6
		}, Choice{encode.AV1, Text}},
		{"a high rate, in AV1", encode.AV1, func(c *Conditions) { c.BitsPerSecond = 4e6 }, Choice{encode.H264, Rate}},
		{"a larger picture", encode.H264, func(c *Conditions) {
			c.BitsPerSecond, c.Width, c.Height, c.FPS = 4e6, 1920, 1080, 30
		}, Choice{encode.AV1, Text}},
		{"film", encode.H264, func(c *Conditions) { c.Class = adapt.Motion }, Choice{encode.H264, Preferred}},
		{"film, in AV1", encode.AV1, func(c *Conditions) { c.Class = adapt.Motion }, Choice{encode.H264, Motion}},
		{"text beside a film, in AV1", encode.AV1, func(c *Conditions) {
			c.Class = adapt.Mixed
		}, Choice{encode.H264, Motion}},
		{"few free cores", encode.H264, func(c *Conditions) { c.FreeCores = 1 }, Choice{encode.H264, CPU}},
		{"an unknown load", encode.H264, func(c *Conditions) { c.FreeCores = -1 }, Choice{encode.H264, CPU}},
		{"an unknown cost", encode.H264, func(c *Conditions) { c.PerPixel = 0 }, Choice{encode.H264, CPU}},
		{"over a core", encode.H264, func(c *Conditions) {
			c.Width, c.Height, c.FreeCores = 2560, 1440, 30
		}, Choice{encode.H264, CPU}},
		{"few free cores, in AV1", encode.AV1, func(c *Conditions) { c.FreeCores = 0 }, Choice{encode.AV1, Text}},
		{"late pictures, in AV1", encode.AV1, func(c *Conditions) { c.Late = true }, Choice{encode.H264, CPU}},
		{"a device", encode.H264, func(c *Conditions) {
			c.Hardware, c.FreeCores = []encode.Format{encode.AV1}, 0
		}, Choice{encode.AV1, Text}},
		{"the setting, for film", encode.H264, func(c *Conditions) {
			c.Mode, c.Class = Always, adapt.Motion
		}, Choice{encode.AV1, Setting}},
		{"the setting, against it", encode.AV1, func(c *Conditions) { c.Mode = Never }, Choice{encode.H264, Setting}},
		{"no AV1", encode.H264, func(c *Conditions) {
			c.Formats = []encode.Format{encode.H264, encode.VP9}
		}, Choice{encode.H264, Preferred}},
		{"AV1 before VP9 only", encode.AV1, func(c *Conditions) {
			c.Formats = []encode.Format{encode.AV1, encode.VP9}
		}, Choice{encode.AV1, Preferred}},
		{"one codec", encode.VP9, func(c *Conditions) { c.Formats = []encode.Format{encode.VP9} }, Choice{encode.VP9, Only}},
		{"no room", encode.H264, func(c *Conditions) { c.Formats = nil }, Choice{encode.H264, Only}},
	} {
		conditions := text()
		c.change(&conditions)
		if got := best(conditions, c.now); got != c.want {
			t.Errorf("%s: %v; want %v", c.name, got, c.want)
		}
	}
}

func TestTheCodecChangesAfterADwellTimeAndNotBackAtOnce(t *testing.T) {
	var p Policy
	now := time.Unix(1000, 0)
	calm, film := text(), text()
	film.Class = adapt.Motion
	has := encode.H264
	step := func(c Conditions, after time.Duration) (Choice, bool) {
		now = now.Add(after)
		return p.Next(now, has, c)
	}
	step(calm, time.Second)
	step(film, 4*time.Second) // a film for a moment
	step(calm, time.Second)
	if _, change := step(calm, 4*time.Second); change {
		t.Error("changes before the conditions have lasted")
	}
	to, change := step(calm, time.Second)
	if !change || to != (Choice{encode.AV1, Text}) {
		t.Errorf("%v, %v; want a change to AV1", to, change)
	}
	if _, change := p.Next(now, encode.AV1, calm); change {
		t.Error("changes to the format that it has")
	}
	p.Changed(now, to, true)
	has = encode.AV1
	if got := p.Choice(); got != to {
		t.Errorf("%v; want %v", got, to)
	}
	step(film, time.Second)
	if _, change := step(film, 10*time.Second); change {
		t.Error("changes back at once")
	}
	late := calm
	late.Late = true
	step(late, time.Second)
	if to, change := step(late, time.Second); !change || to != (Choice{encode.H264, CPU}) {
		t.Errorf("%v, %v; want H264 at once, as the processor has no time", to, change)
	}
	p.Changed(now, to, false) // it could not
	if got := p.Choice().Format; got != encode.AV1 {
		t.Errorf("%v after a change that failed", got)
	}
}
