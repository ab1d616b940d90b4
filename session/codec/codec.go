// Package codec decides which of the codecs that its decoder and this host have a viewer gets. It is pure: the caller
// passes the conditions and the time.
//
// The host's preferred codec is the usual one. AV1 in software pays for text at a low rate, if the processor has time
// for it: its palettes keep letters sharp where H.264 cannot. Motion, a sufficient rate or a busy processor lead back.
package codec

import (
	"slices"
	"time"

	"wavryhost/adapt"
	"wavryhost/encode"
)

// Reason is why a viewer has its codec.
type Reason string

// The reasons.
const (
	// Only: the viewer and the host have no other one, or the display has no room for another one.
	Only Reason = "only"
	// Preferred: it is the first of the host's codecs, and nothing calls for another one.
	Preferred Reason = "preferred"
	// Text: text at a low rate is sharper in it.
	Text Reason = "text"
	// Motion: photographs and films gain less than they cost in the other one.
	Motion Reason = "motion"
	// Rate: the rate is sufficient for the cheaper one.
	Rate Reason = "rate"
	// CPU: the processor has no time for the other one.
	CPU Reason = "cpu"
	// Setting: the operator has set it.
	Setting Reason = "setting"
)

// Reasons lists the reasons.
func Reasons() []string {
	return []string{
		string(Only), string(Preferred), string(Text), string(Motion), string(Rate), string(CPU), string(Setting),
	}
}

// Mode is when AV1 is used. The zero value is Auto.
type Mode string

// The modes.
const (
	Auto   Mode = "auto"   // while it pays
	Never  Mode = "never"  // only for viewers that take nothing else
	Always Mode = "always" // for all viewers that take it
)

// Conditions are what a decision depends on.
type Conditions struct {
	Mode Mode
	// Formats are the formats that the viewer and the host have and for which the display has room, the host's
	// preferred one first.
	Formats []encode.Format
	// Hardware are the formats among them that a device encodes.
	Hardware []encode.Format
	// Class is the kind of content. Before the first picture it is Mixed.
	Class adapt.ContentClass
	// BitsPerSecond is the viewer's target.
	BitsPerSecond int
	// Width, Height and FPS are the size and rate of its pictures.
	Width, Height, FPS int
	// FreeCores is the number of cores that are not busy, or a negative number if that is unknown.
	FreeCores float64
	// PerPixel is the processor time to encode a pixel in AV1, in seconds, or 0 if it is unknown.
	PerPixel float64
	// Late reports whether the viewer's pictures take nearly all of their frame time.
	Late bool
}

// The rates in bits per second, for each pixel of the picture, below which text is better in AV1 and above which it is
// not. For 1280x720 they are 2 and 3 Mbit/s: at 1 Mbit/s scrolling text has an SSIM of .9549 instead of .8463, and at
// 4 Mbit/s both are above .998 (docs/develop/encoders.md).
const (
	lowRate  = 2_000_000.0 / (1280 * 720)
	highRate = 3_000_000.0 / (1280 * 720)
)

const (
	// spareCores is the part of the free cores that AV1 may take, and mostCores the most: its two threads then take
	// about half of a frame time.
	spareCores = 0.5
	mostCores  = 0.9
)

// Dwell times: how long conditions must hold before a change of codec, which costs a keyframe.
const (
	settle = 5 * time.Second
	// urgent is the time if the processor has no time, or the content moves.
	urgent = time.Second
	// again is the time between two changes.
	again = 30 * time.Second
)

// Choice is a codec and why it is chosen.
type Choice struct {
	Format encode.Format
	Reason Reason
}

// Policy decides for one viewer. One goroutine uses it.
type Policy struct {
	now     Choice
	changed time.Time // zero before the first change
	want    Choice    // what conditions call for, since then
	since   time.Time
}

// First returns why a viewer begins with a format of so many that it and the host have.
func First(formats int) Reason {
	if formats > 1 {
		return Preferred
	}
	return Only
}

// Choice returns the current choice.
func (p *Policy) Choice() Choice { return p.now }

// Next returns the choice that a viewer of a format should change to, and reports whether it should now. The caller
// calls Changed once the viewer has the other format, or could not get it.
func (p *Policy) Next(now time.Time, has encode.Format, c Conditions) (Choice, bool) {
	if p.now.Format != has {
		p.now = Choice{has, Preferred}
	}
	want := best(c, p.now.Format)
	if want.Format == p.now.Format {
		p.now.Reason, p.since = want.Reason, time.Time{}
		return p.now, false
	}
	if p.since.IsZero() || p.want.Format != want.Format {
		p.since = now
	}
	p.want = want
	dwell := settle
	if want.Reason == CPU || want.Reason == Motion || want.Reason == Setting {
		dwell = urgent
	}
	hasty := want.Reason != CPU && want.Reason != Setting && !p.changed.IsZero() && now.Sub(p.changed) < again
	return want, now.Sub(p.since) >= dwell && !hasty
}

// Changed notes that the viewer has another codec, or could not get it.
func (p *Policy) Changed(now time.Time, to Choice, ok bool) {
	p.changed, p.since = now, time.Time{}
	if ok {
		p.now = to
	}
}

// best returns what conditions call for. current is the format in use, which has an advantage.
func best(c Conditions, current encode.Format) Choice {
	if len(c.Formats) == 0 {
		return Choice{current, Only}
	}
	usual := c.Formats[0]
	if len(c.Formats) == 1 {
		return Choice{usual, Only}
	}
	if usual == encode.AV1 || !slices.Contains(c.Formats, encode.AV1) {
		return Choice{usual, Preferred}
	}
	switch c.Mode {
	case Always:
		return Choice{encode.AV1, Setting}
	case Never:
		return Choice{usual, Setting}
	case Auto, "":
	}
	pixels := float64(max(c.Width*c.Height, 1))
	limit := lowRate
	if current == encode.AV1 {
		limit = highRate
	}
	switch low := float64(c.BitsPerSecond)/pixels < limit; {
	case c.Class != adapt.Text && current == encode.AV1:
		return Choice{usual, Motion}
	case c.Class != adapt.Text:
		return Choice{usual, Preferred}
	case !low && current == encode.AV1:
		return Choice{usual, Rate}
	case !low:
		return Choice{usual, Preferred}
	case !c.affords(current):
		return Choice{usual, CPU}
	default:
		return Choice{encode.AV1, Text}
	}
}

// affords reports whether the processor has time for AV1.
func (c Conditions) affords(current encode.Format) bool {
	if slices.Contains(c.Hardware, encode.AV1) {
		return true
	}
	if current == encode.AV1 { // its cost is among what is busy
		return !c.Late
	}
	if c.PerPixel == 0 || c.FreeCores < 0 {
		return false
	}
	return c.PerPixel*float64(c.Width*c.Height*c.FPS) <= min(spareCores*c.FreeCores, mostCores)
}
