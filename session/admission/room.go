package admission

import (
	"time"

	"wavryhost/encode"
)

// settling is the time after which the load of a session shows in what is measured.
const settling = 5 * time.Second

// fits returns the load that is reserved for a session, or the error that says what is short. moving is the session
// that moves, nil for a new one.
func (a *Admitter) fits(r Request, s Snapshot, moving *Session) (reservedLoad, error) {
	load := reservedLoad{display: r.Display, format: r.Format}
	if err := a.checkDisplay(r, s); err != nil {
		return load, err
	}
	h := a.capacity(r.Format, s, moving)
	shared := s.Displays[r.Display].Shared
	load.Need = h.Need(r.Profile, shared)
	v := h.Decide(r.Profile, shared)
	if v.Fits {
		return load, nil
	}
	e := &RefusalError{Resource: string(v.Resource), RetryAfter: Jitter(patience(v.Resource)), text: v.Why}
	if v.OK {
		e.Fit = v.Fit.String()
	}
	return load, e
}

// capacity returns the host with all that is promised. If without is not nil, its load is excluded.
func (a *Admitter) capacity(format encode.Format, s Snapshot, without *Session) Host {
	h := s.Host
	h.SessionLimit = s.Limits.Sessions
	h.Sessions = len(s.Sessions) + len(a.tickets) + len(a.reservations)
	if without != nil {
		h.Sessions--
		if d := s.Displays[without.Display]; d.Viewers == 1 {
			h.CoresUsed = max(0, h.CoresUsed-d.Cost)
		}
	}
	began := make(map[string]bool) // displays whose first encode is promised
	add := func(l reservedLoad) {
		h = h.Promise(l.Need, 1)
		if l.Encode && l.format == format && s.Displays[l.display].Encodes == 0 && !began[l.display] {
			began[l.display] = true
			h.Encodes++
		}
	}
	for _, d := range s.Displays {
		h.Encodes += d.Encodes
	}
	for _, r := range a.reservations {
		add(r.load)
	}
	for t := range a.tickets {
		add(t.load)
	}
	for i := range s.Sessions {
		one := &s.Sessions[i]
		p := a.sessions[one.ID]
		switch {
		case without != nil && one.ID == without.ID:
		case one.Connected.IsZero(), s.Now.Sub(one.Connected) < settling, s.Now.Sub(p.moved) < settling:
			add(p.load)
		default:
			h.UplinkUsed += one.Sent
		}
	}
	return h
}

// capacities returns how many more sessions there is room for, for each profile.
func (h Host) capacities(profiles []Profile) []Capacity {
	list := []Capacity{}
	for _, p := range profiles {
		n, by := h.Capacity(p)
		list = append(list, Capacity{
			Profile: p.String(), Width: p.Width, Height: p.Height, FPS: p.FPS, Bitrate: p.BitsPerSecond,
			More: n, LimitedBy: string(by),
		})
	}
	return list
}

// Capacity is the number of sessions at a profile that a host has room for.
type Capacity struct {
	Profile   string `json:"profile" doc:"Size and frame rate, such as 1280x720@30."`
	Width     int    `json:"width" doc:"Width, in pixels."`
	Height    int    `json:"height" doc:"Height, in pixels."`
	FPS       int    `json:"fps" doc:"Frame rate, in frames per second."`
	Bitrate   int    `json:"bitrate" doc:"Assumed bitrate of a session, in bit/s."`
	More      int    `json:"more" doc:"Number of further sessions that fit, each on a display of its own."`
	LimitedBy string `json:"limited_by" set:"Resource" doc:"The resource that runs out first."`
}
