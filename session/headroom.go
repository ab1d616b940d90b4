package session

import (
	"fmt"
	"image"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"wavryhost/encode"
	"wavryhost/session/admission"
)

// Load is how busy the machine is. Figures that are not known are 0.
type Load struct {
	Cores       float64 `json:"cores" doc:"Processor cores that the daemon may use; a number of them."`
	CoresUsed   float64 `json:"cores_used" doc:"Cores in use over the last seconds, by whatever runs there; a number of them."`
	CoresNow    float64 `json:"cores_now" doc:"Cores in use over the last half second, by whatever runs there; a number of them."`
	MemoryFree  int64   `json:"memory_free_bytes" doc:"Memory that is to be had, in bytes."`
	MemoryTotal int64   `json:"memory_total_bytes" doc:"Memory that there is, in bytes."`
	CPUStall    float64 `json:"cpu_stalled" doc:"Part of the last ten seconds in which something waited for a processor, as a fraction of 1."`
	MemoryStall float64 `json:"memory_stalled" doc:"Part of the last ten seconds in which something waited for memory, as a fraction of 1."`
	GPUs        []GPU   `json:"gpus,omitempty" doc:"The graphics cards whose drivers tell how busy they are."`
}

// GPU is how busy a graphics card is. Figures that its driver does not tell are 0.
type GPU struct {
	ID       string  `json:"id" doc:"Names the card on this host: nvidia0, card0."`
	Name     string  `json:"name" doc:"A name for people."`
	API      string  `json:"api" doc:"What encodes on it, as names of encoders end: nvenc, vaapi; empty where it is another card that is used."`
	Busy     float64 `json:"busy" doc:"Part of the last second in which it did anything, as a fraction of 1."`
	Encoder  float64 `json:"encoder_busy" doc:"Part of the last second in which its encoder was at work, as a fraction of 1."`
	Used     int64   `json:"memory_used_bytes" doc:"Its memory that is in use, in bytes."`
	Total    int64   `json:"memory_total_bytes" doc:"Its memory, in bytes."`
	Sessions int     `json:"encoder_sessions" doc:"Number of encodes that run on it, of whatever program."`
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

// bitsPerPixel is the bitrate that is reckoned with for a picture of unknown content, as a moving desktop has it. A terminal that scrolls takes 0.02 to 0.05 (BenchmarkMemory), one full
// of random letters 0.15 (BenchmarkViewers): text that moves all the time, over a part of the screen, is between them.
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
	list := []string{ResourceHandshakes, ResourceOwner}
	for _, r := range admission.Resources() {
		list = append(list, string(r))
	}
	return list
}

// profile returns what a session of a display is reckoned with.
func (m *Manager) profile(d Display, ceiling int) admission.Profile {
	cfg := m.cfg()
	rule := cfg.rule(d.ID)
	size := rule.size(image.Pt(d.Width, d.Height))
	p := admission.Profile{Width: size.X, Height: size.Y, FPS: cfg.fps(d.ID)}
	bits := int(bitsPerPixel * float64(p.Width*p.Height*p.FPS))
	p.BitsPerSecond = min(bits, orMost(cfg.MaxBitrate), orMost(ceiling), orMost(rule.MaxBitrate))
	if cfg.FixedBitrate > 0 {
		p.BitsPerSecond = cfg.FixedBitrate
	}
	return p
}

// headroom returns what is known of the host, and of its best encoder of a codec, as if a session were not there, unless that is nil. The caller
// holds mu.
func (m *Manager) headroom(now time.Time, codec string, without *held) admission.Host {
	cfg := m.cfg()
	h := admission.Host{
		Sessions: len(m.sessions) + m.reserved + len(m.leases.open), SessionLimit: m.limit(), Uplink: cfg.Uplink, Late: m.stages.late(),
	}
	if without != nil {
		h.Sessions--
	}
	encoders := m.stages.order.standings(now, codec)
	if len(encoders) == 0 {
		return h // whoever takes that codec alone is refused before
	}
	best := encoders[0]
	paces := m.stages.paces()
	h.Best, h.EncodeLimit = m.encoder(best.profile, paces), best.most
	for _, e := range encoders[1:] {
		if e.most == 0 || e.uses < e.most {
			spare := m.encoder(e.profile, paces)
			h.Spare = &spare
			break
		}
	}
	if cfg.Load != nil {
		l := cfg.Load()
		h.Cores, h.CoresUsed, h.MemoryFree = l.Cores, l.CoresUsed, l.MemoryFree
		h.GPU = card(l.GPUs, best.profile, h.Best.PerPixel, paces[best.profile.Name])
		if without != nil {
			if st, users := m.stages.find(without.showing()); users == 1 {
				h.CoresUsed = max(0, h.CoresUsed-st.cost())
			}
		}
	}
	encodes := m.stages.encodesOn(best.profile)
	promise := func(e expected) {
		h = h.Promise(e.Need, 1)
		if e.Encode && e.codec == codec && encodes[e.display] == 0 {
			encodes[e.display] = 1
		}
	}
	for _, l := range m.leases.open {
		promise(l.expected)
	}
	for _, e := range m.creating {
		promise(e.expected)
	}
	for _, s := range m.sessions {
		s.mu.Lock()
		connected, sent := s.connected, s.achieved
		s.mu.Unlock()
		switch {
		case s == without:
		case connected.IsZero() || now.Sub(connected) < settling || now.Sub(s.moved) < settling:
			promise(s.expected)
		default:
			h.UplinkUsed += sent
		}
	}
	for _, n := range encodes {
		h.Encodes += n
	}
	return h
}

// encoder returns what is known of an encoder: what its encodes show, else what its trial did.
func (m *Manager) encoder(p encode.Profile, paces map[string]pace) admission.Encoder {
	e := admission.Encoder{PerPixel: paces[p.Name].perPixel, OnCPU: !p.Hardware, Threads: p.Threads}
	if m.cfg().Load == nil { // nothing that is measured counts
		e.PerPixel = 0
		return e
	}
	if info := m.cfg().EncoderInfo; e.PerPixel == 0 && info != nil {
		for _, i := range info() {
			if i.Usable && i.Name == p.Name {
				e.PerPixel = i.PerMegapixel / 1e6
			}
		}
	}
	return e
}

// card returns what is known of the graphics card that an encoder encodes on, nil for nothing. perPixel is what a picture's pixel takes from the call to
// the result, which is more than the engine works for it: where encodes run, what the engine does at the time is shared out among them.
func card(gpus []GPU, p encode.Profile, perPixel float64, now pace) *admission.Card {
	if !p.Hardware {
		return nil
	}
	i := slices.IndexFunc(gpus, func(g GPU) bool { return g.API != "" && strings.HasSuffix(p.Name, "_"+g.API) })
	if i < 0 {
		return nil
	}
	g := gpus[i]
	if now.pixelRate > 0 && g.Encoder > 0 {
		perPixel = min(perPixel, g.Encoder/now.pixelRate)
	}
	return &admission.Card{Used: g.Encoder, PerPixel: perPixel, MemoryFree: max(0, g.Total-g.Used), MemoryTotal: g.Total}
}

// expected is what a session of a display is reckoned with until it shows.
type expected struct {
	admission.Need
	display, codec string
}

// room tells whether there is room for one more session of a display in a codec, and what to reckon with for it. It finds its encode
// running where others take the same codec. The caller holds mu.
func (m *Manager) room(d Display, ceiling int, codec string) (expected, error) {
	if m.drain != nil || m.stopped {
		return expected{}, ErrDraining
	}
	return m.fits(d, ceiling, codec, nil)
}

// fits is room for a session that is there already and moves, unless moving is nil: what it has now does not count beside what it will have.
func (m *Manager) fits(d Display, ceiling int, codec string, moving *held) (expected, error) {
	if err := m.vacant(d); err != nil {
		return expected{display: d.ID, codec: codec}, err
	}
	p := m.profile(d, ceiling)
	h := m.headroom(time.Now(), codec, moving)
	shared := m.stages.serves(d.ID, codec)
	expect := expected{Need: h.Need(p, shared), display: d.ID, codec: codec}
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
	case admission.Memory, admission.GPUMemory:
		return 30 * time.Second
	case admission.CPU, admission.GPU, admission.Uplink:
		return 10 * time.Second
	case admission.Sessions, admission.Encoders, admission.Display:
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
	h, closed := m.spare()
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

// spare returns what is known of the host for a session to come, and whether it takes none.
func (m *Manager) spare() (h admission.Host, closed bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.headroom(time.Now(), m.usual(), nil), m.drain != nil || m.stopped
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
	units := m.units(list)
	step, ok := m.relief.Next(now, used, units)
	if ok {
		m.met.reliefs.WithLabelValues(step.To.String()).Inc()
		event := m.emit(Event{Kind: EventRelief, Display: step.ID, Reason: string(admission.CPU), From: step.From.String(), To: step.To.String()})
		m.log.Warn("sessions lowered or raised for the host's load", "event", event, "display", step.ID, "from", step.From.String(), "to", step.To.String(),
			"cores_used", load.CoresUsed, "cores", load.Cores)
	}
	m.exhausted.Store(!slices.ContainsFunc(units, func(u admission.Unit) bool { return m.relief.Level(u.ID) < admission.Least }))
	for _, h := range list {
		level := m.relief.Level(h.showing())
		rate, size := level.Caps()
		switch level {
		case admission.Whole:
			h.lower(0, 0)
		default:
			h.lower(max(1, int(rate*float64(cfg.fps(h.showing())))), size)
		}
		if level == admission.Dropped {
			m.wants(h, EndOverload)
		}
	}
}

// crowdedAt is the part of the cores in use from which on pictures are late because others have the cores.
const crowdedAt = 0.95

// crowded tells whether pictures are late for the host's load, and relief has something left to do about it: it lowers the least important first, where
// the controllers, who do not know of each other, would lower all. They have their turn when relief has not.
func (m *Manager) crowded() bool {
	load := m.cfg().Load
	if load == nil || m.exhausted.Load() {
		return false
	}
	l := load()
	return l.Cores > 0 && l.CoresNow >= crowdedAt*l.Cores
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
	if cfg.Uplink == 0 { // there may have been a limit before a reload
		for _, h := range list {
			h.caps.set(func(c *caps) { c.share = 0 })
		}
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
		demand := min(t.EncoderBitrate, orMost(h.caps.ceiling), orMost(h.caps.display))
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
