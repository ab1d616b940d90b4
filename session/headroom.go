package session

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"wavryhost/encode"
	"wavryhost/session/admission"
)

// Load is how busy the machine is. Figures that are not known are 0.
type Load struct {
	Cores       float64 `json:"cores" doc:"Processor cores that the daemon may use; a number of them."`
	CoresUsed   float64 `json:"cores_used" doc:"Cores in use over the last seconds, by whatever runs there; a number of them."`
	MemoryFree  int64   `json:"memory_free_bytes" doc:"Memory that is to be had, in bytes."`
	MemoryTotal int64   `json:"memory_total_bytes" doc:"Memory that there is, in bytes."`
	CPUStall    float64 `json:"cpu_stalled" doc:"Part of the last ten seconds in which something waited for a processor, as a fraction of 1."`
	MemoryStall float64 `json:"memory_stalled" doc:"Part of the last ten seconds in which something waited for memory, as a fraction of 1."`
}

// Capacity is how many more sessions at a profile a host has room for.
type Capacity struct {
	Profile   string `json:"profile" doc:"Size and frame rate, as 1280x720@30."`
	Width     int    `json:"width" doc:"Width, in pixels."`
	Height    int    `json:"height" doc:"Height, in pixels."`
	FPS       int    `json:"fps" doc:"Pictures, in frames per second."`
	Bitrate   int    `json:"bitrate" doc:"What is reckoned with, in bit/s."`
	More      int    `json:"more" doc:"Number of sessions that would be admitted now, each of a display of its own."`
	LimitedBy string `json:"limited_by" set:"Resource" doc:"What is short first."`
}

// settling is how long a session is reckoned with at what it is expected to take, before its load shows in what is measured.
const settling = 5 * time.Second

// bitsPerPixel is the bitrate that is reckoned with for a picture of unknown content, as a moving desktop has it.
const bitsPerPixel = 0.08

// ResourceHandshakes is the limit on sessions that are connecting: a host that comes back has all its viewers come at once.
const ResourceHandshakes = "handshakes"

// handshaking returns how many sessions are connecting. The caller holds mu.
func (m *Manager) handshaking() int {
	n := m.reserved
	for _, h := range m.sessions {
		h.mu.Lock()
		if h.life.state == stateConnecting {
			n++
		}
		h.mu.Unlock()
	}
	return n
}

// Resources lists what can be short.
func Resources() []string {
	list := []string{ResourceHandshakes}
	for _, r := range admission.Resources() {
		list = append(list, string(r))
	}
	return list
}

// profile returns what a session of a display is reckoned with.
func (m *Manager) profile(d Display, ceiling int) admission.Profile {
	cfg := m.cfg()
	p := admission.Profile{Width: d.Width, Height: d.Height, FPS: cfg.FPS}
	bits := int(bitsPerPixel * float64(p.Width*p.Height*p.FPS))
	p.BitsPerSecond = min(bits, orMost(cfg.MaxBitrate), orMost(ceiling))
	if cfg.FixedBitrate > 0 {
		p.BitsPerSecond = cfg.FixedBitrate
	}
	return p
}

// headroom returns what is known of the host, and of its best encoder of a codec. The caller holds mu.
func (m *Manager) headroom(now time.Time, codec string) admission.Host {
	cfg := m.cfg()
	h := admission.Host{
		Sessions: len(m.sessions) + m.reserved + len(m.leases.open), SessionLimit: m.limit(), Uplink: cfg.Uplink, EncodeLimit: cfg.EncodeLimit,
	}
	if cfg.Load != nil {
		l := cfg.Load()
		h.Cores, h.CoresUsed, h.MemoryFree = l.Cores, l.CoresUsed, l.MemoryFree
	}
	of := m.stages.encoding(now, codec)
	h.PerPixel, h.OnCPU, h.Threads, h.Encodes = of.perPixel, !of.profile.Hardware, of.profile.Threads, of.encodes
	if h.OnCPU {
		h.EncodeLimit = 0 // it is the graphics card's
	}
	h.Late = m.stages.late()
	if h.PerPixel == 0 && cfg.EncoderInfo != nil {
		for _, e := range cfg.EncoderInfo() {
			if e.Usable && e.Name == of.profile.Name {
				h.PerPixel, h.OnCPU = e.PerMegapixel/1e6, !e.Hardware
				break
			}
		}
	}
	promise := func(e expected) {
		h.Promised += e.cores
		h.UplinkUsed += e.bits
	}
	for _, l := range m.leases.open {
		promise(l.expected)
	}
	for _, e := range m.creating {
		promise(e)
	}
	for _, s := range m.sessions {
		s.mu.Lock()
		connected, sent := s.connected, s.achieved
		s.mu.Unlock()
		if connected.IsZero() || now.Sub(connected) < settling {
			promise(s.expected)
		} else {
			h.UplinkUsed += sent
		}
	}
	return h
}

// expected is what a session is reckoned with until it shows.
type expected struct {
	cores float64
	bits  int
}

// room tells whether there is room for one more session of a display in a codec, and what to reckon with for it. It finds its encode
// running where others take the same codec. The caller holds mu.
func (m *Manager) room(d Display, ceiling int, codec string) (expected, error) {
	if m.drain != nil || m.stopped {
		return expected{}, ErrDraining
	}
	p := m.profile(d, ceiling)
	h := m.headroom(time.Now(), codec)
	shared := m.stages.serves(d.ID, codec)
	expect := expected{cores: h.Cost(p, shared), bits: p.BitsPerSecond}
	v := h.Decide(p, shared)
	if v.Fits {
		return expect, nil
	}
	r := &RefusalError{Resource: string(v.Resource), RetryAfter: jitter(patienceFor(v.Resource)), text: v.Why}
	if v.OK {
		r.Fit = v.Fit.String()
	}
	return expect, r
}

// usual is the codec that is reckoned with for a session whose viewer is not known yet: most take the preferred one.
func (m *Manager) usual() string {
	if codecs := m.stages.order.codecs(); len(codecs) > 0 {
		return codecs[0]
	}
	return encode.H264
}

// patienceFor is when what is short may be there again: a session ends, a program is done, somebody changes the configuration.
func patienceFor(r admission.Resource) time.Duration {
	switch r {
	case admission.EncodeTime:
		return 5 * time.Minute
	case admission.Memory:
		return 30 * time.Second
	case admission.CPU, admission.Uplink:
		return 10 * time.Second
	case admission.Sessions, admission.Encoders:
	}
	return 5 * time.Second
}

// jitter spreads clients that were refused together: half of d to one and a half.
func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d) }

// Capacity returns how many more sessions there is room for, at the usual profiles or those of the given names.
func (m *Manager) Capacity(profiles ...admission.Profile) []Capacity {
	if len(profiles) == 0 {
		profiles = admission.Profiles()
	}
	m.mu.Lock()
	h := m.headroom(time.Now(), m.usual())
	closed := m.drain != nil || m.stopped
	m.mu.Unlock()
	list := []Capacity{}
	for _, p := range profiles {
		n, by := h.Capacity(p)
		if closed {
			n, by = 0, admission.Sessions
		}
		list = append(list, Capacity{
			Profile: p.String(), Width: p.Width, Height: p.Height, FPS: p.FPS, Bitrate: p.BitsPerSecond, More: n, LimitedBy: string(by),
		})
	}
	return list
}

// relieve lowers sessions while the host is saturated and pictures are late for it, and raises them again. The janitor calls it once a second.
func (m *Manager) relieve(now time.Time, list []*held) {
	cfg := m.cfg()
	if cfg.Load == nil {
		return
	}
	load := cfg.Load()
	if load.Cores == 0 {
		return
	}
	used := load.CoresUsed / load.Cores
	if !m.stages.late() {
		used = min(used, notLate) // what keeps the cores busy does the streams no harm
	}
	step, ok := m.relief.Next(now, used, m.units(list))
	if ok {
		m.met.reliefs.WithLabelValues(step.To.String()).Inc()
		event := m.emit(Event{Kind: EventRelief, Display: step.ID, Reason: string(admission.CPU), From: step.From.String(), To: step.To.String()})
		m.log.Warn("sessions lowered or raised for the host's load", "event", event, "display", step.ID, "from", step.From.String(), "to", step.To.String(),
			"cores_used", load.CoresUsed, "cores", load.Cores)
	}
	for _, h := range list {
		level := m.relief.Level(h.showing())
		rate, size := level.Caps()
		h.caps.set(func(c *caps) {
			c.fps, c.scale = 0, 0
			if level != admission.Whole {
				c.fps, c.scale = max(1, int(rate*float64(cfg.FPS))), size
			}
		})
		if level == admission.Dropped {
			m.wants(h, EndOverload)
		}
	}
}

// notLate is the load that is told to the relief while no picture is late: neither reason to lower nor room to raise.
const notLate = 0.9

// units returns what can be lowered: the displays with viewers.
func (m *Manager) units(list []*held) []admission.Unit {
	var units []admission.Unit
	for _, h := range list {
		seat := h.seat()
		id := seat.stage.display.ID
		i := slices.IndexFunc(units, func(u admission.Unit) bool { return u.ID == id })
		if i < 0 {
			units = append(units, admission.Unit{ID: id, Cost: seat.stage.cost()})
			i = len(units) - 1
		}
		units[i].Weight = max(units[i].Weight, h.weight())
	}
	return units
}

// share divides the uplink between the sessions. The janitor calls it once a second.
func (m *Manager) share(list []*held) {
	cfg := m.cfg()
	if cfg.Uplink == 0 {
		return
	}
	floor := cfg.adaptation(minSide, minSide, 0, 0).WithDefaults().Min
	m.claims = m.claims[:0]
	for _, h := range list {
		h.ctl.Lock()
		t := h.targets
		h.ctl.Unlock()
		h.mu.Lock()
		sent := h.achieved
		h.mu.Unlock()
		h.caps.mu.Lock()
		demand := min(t.EncoderBitrate, orMost(h.caps.ceiling))
		h.caps.mu.Unlock()
		if t.Idle { // it leaves what it does not use to others, but for what a burst needs until the next round
			demand = min(demand, 2*sent+8*floor)
		}
		m.claims = append(m.claims, admission.Claim{Weight: h.weight(), Floor: floor, Demand: demand})
	}
	m.shares = admission.Share(int(usableUplink*float64(cfg.Uplink)), m.claims, m.shares[:0])
	for i, h := range list {
		share := 0
		if m.shares[i] < m.claims[i].Demand {
			share = m.shares[i]
		}
		h.caps.set(func(c *caps) { c.share = share })
	}
}

// usableUplink is the part of the uplink that media may take; repairs, probes and audio have the rest.
const usableUplink = 0.9

// ParseProfile reads a profile as "1280x720@30". Its bitrate is that of a moving desktop.
func ParseProfile(text string) (admission.Profile, error) {
	var p admission.Profile
	if _, err := fmt.Sscanf(text, "%dx%d@%d", &p.Width, &p.Height, &p.FPS); err != nil || p.String() != text {
		return p, fmt.Errorf("%w: profile %.40q is not WIDTHxHEIGHT@FPS, as 1280x720@30", ErrBadLease, text)
	}
	if p.Width < minSide || p.Width > maxSide || p.Height < minSide || p.Height > maxSide || p.FPS < 1 || p.FPS > 240 {
		return p, fmt.Errorf("%w: profile %.40q is not from %dx%[3]d@1 to %dx%[4]d@240", ErrBadLease, text, minSide, maxSide)
	}
	p.BitsPerSecond = int(bitsPerPixel * float64(p.Width*p.Height*p.FPS))
	return p, nil
}
