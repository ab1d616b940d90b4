package session

import (
	"cmp"
	"image"
	"slices"
	"strings"
	"time"

	"wavryhost/encode"
	"wavryhost/session/admission"
	"wavryhost/session/pipeline"
)

// capacity measures what the machine and the pipelines have left.
type capacity struct {
	conf *live
	pool *pipeline.Pool
}

// request returns what a session of a display asks of admission. ceiling is its own, 0 for none.
func (c *capacity) request(d Display, ceiling int, format encode.Format) admission.Request {
	cfg := c.conf.get()
	rule := cfg.rule(d.ID)
	size := rule.size(image.Pt(d.Width, d.Height))
	p := admission.NewProfile(size.X, size.Y, cfg.fps(d.ID))
	for _, limit := range []int{cfg.MaxBitrate, ceiling, rule.MaxBitrate} {
		p.BitsPerSecond = min(p.BitsPerSecond, unlimitedIfZero(limit))
	}
	if cfg.FixedBitrate > 0 {
		p.BitsPerSecond = cfg.FixedBitrate
	}
	viewers := rule.MaxViewers
	if d.alone {
		viewers = 1
	}
	return admission.Request{
		Display: d.ID, Format: format, Viewers: viewers, Profile: p,
		Weight: cmp.Or(rule.Weight, defaultWeight),
	}
}

// measure returns the load of the machine and of the pipelines, with the encoders of one format. The caller adds the
// sessions.
func (c *capacity) measure(now time.Time, format encode.Format) admission.Snapshot {
	cfg := c.conf.get()
	load := c.pool.Load(now, format)
	s := admission.Snapshot{
		Now:    now,
		Limits: admission.Limits{Sessions: cfg.MaxSessions, Handshakes: cfg.MaxHandshakes, PerOwner: cfg.MaxPerOwner},
		Host:   admission.Host{Uplink: cfg.Uplink, Late: load.Late},
	}
	if len(load.Encoders) == 0 {
		return s // a viewer that takes only that format is refused before
	}
	best := load.Encoders[0]
	s.Displays = make(map[string]admission.Display, len(load.Displays))
	for id, d := range load.Displays {
		s.Displays[id] = admission.Display{Viewers: d.Users, Cost: d.Cores, Encodes: d.Encodings, Shared: d.Shared}
	}
	s.Host.Best, s.Host.EncodeLimit = c.encoder(best.Profile, load), best.Limit
	for _, e := range load.Encoders[1:] {
		if e.Limit == 0 || e.Uses < e.Limit {
			spare := c.encoder(e.Profile, load)
			s.Host.Spare = &spare
			break
		}
	}
	if cfg.Load != nil {
		l := cfg.Load()
		s.Host.Cores, s.Host.CoresUsed, s.Host.MemoryFree = l.Cores, l.CoresUsed, l.MemoryFree
		s.Host.GPU = card(l.GPUs, best.Profile, s.Host.Best.PerPixel, load.Paces[best.Profile.Name])
	}
	return s
}

// encoder returns what is known of an encoder: what its encodes show, else what its trial did.
func (c *capacity) encoder(p encode.Profile, load pipeline.Load) admission.Encoder {
	e := admission.Encoder{PerPixel: load.Paces[p.Name].PerPixel, OnCPU: !p.Hardware, Threads: p.Threads}
	if c.conf.get().Load == nil { // nothing that is measured counts
		e.PerPixel = 0
		return e
	}
	if info := c.conf.get().EncoderInfo; e.PerPixel == 0 && info != nil {
		for _, i := range info() {
			if i.Usable && i.Name == p.Name {
				e.PerPixel = i.PerMegapixel / 1e6
			}
		}
	}
	return e
}

// perPixel returns the time to encode a pixel in a format, in seconds, or 0 if it is unknown.
func (c *capacity) perPixel(now time.Time, format encode.Format) float64 {
	load := c.pool.Load(now, format)
	if len(load.Encoders) == 0 {
		return 0
	}
	return c.encoder(load.Encoders[0].Profile, load).PerPixel
}

// card returns what is known of the graphics card that an encoder encodes on, nil for nothing. perPixel is what a
// picture's pixel takes from the call to the result, which is more than the engine works for it: where encodes run,
// what the engine does at the time is shared out among them.
func card(gpus []GPU, p encode.Profile, perPixel float64, now pipeline.Pace) *admission.Card {
	if !p.Hardware {
		return nil
	}
	i := slices.IndexFunc(gpus, func(g GPU) bool {
		return g.API != "" && strings.HasSuffix(p.Encoder(), "_"+g.API) &&
			(p.Device == "" || g.Device == "" || g.Device == p.Device)
	})
	if i < 0 {
		return nil
	}
	g := gpus[i]
	if now.PixelRate > 0 && g.Encoder > 0 {
		perPixel = min(perPixel, g.Encoder/now.PixelRate)
	}
	return &admission.Card{
		Used: g.Encoder, PerPixel: perPixel, MemoryFree: max(0, g.Total-g.Used),
		MemoryTotal: g.Total,
	}
}

// usualFormat returns the format that is assumed for a session whose viewer is not known yet: most take the preferred
// one.
func (c *capacity) usualFormat() encode.Format {
	if formats := c.pool.Formats(); len(formats) > 0 {
		return formats[0]
	}
	return encode.H264
}
