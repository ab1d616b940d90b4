package admission

// Forecast is what an Admitter knew at one moment of the next session. It is plain data: its methods need no lock.
type Forecast struct {
	host    Host
	profile Profile
	shared  bool
	// handshakes and display tell whether their limits refuse; display is nil for a display without a limit.
	handshakes bool
	display    *bool
}

// Forecast returns what there is to know of a session of a request, as an operator asks for it.
func (a *Admitter) Forecast(r Request, s Snapshot) Forecast {
	f := Forecast{
		host: a.capacity(r.Format, s, nil), profile: r.Profile, shared: s.Displays[r.Display].Shared,
		handshakes: a.handshaking(s) >= s.Limits.Handshakes,
	}
	if r.Viewers > 0 {
		full := a.checkDisplay(r, s) != nil
		f.display = &full
	}
	return f
}

// WouldRefuse reports for each limited resource whether it is too short for the session.
func (f Forecast) WouldRefuse() map[Resource]bool {
	short := map[Resource]bool{Handshakes: f.handshakes}
	if f.display != nil {
		short[DisplayViewers] = *f.display
	}
	fps := min(f.profile.FPS, leastFPS)
	f.host.limits(f.profile, f.shared, fps, func(r Resource, _ float64, _ string, _ ...any) { short[r] = false })
	f.host.lenient().limits(f.profile, f.shared, fps, func(r Resource, left float64, _ string, _ ...any) {
		short[r] = left < 1
	})
	if v := f.host.Decide(f.profile, f.shared); !v.Fits { // on the spare encoder, another resource is named
		short[v.Resource] = true
	}
	return short
}

// Used returns the used part of each resource that is limited and known, with what is promised to new sessions. The
// total of the memory is for the caller to know.
func (f Forecast) Used() map[Resource]float64 {
	h, used := f.host, make(map[Resource]float64)
	if h.SessionLimit > 0 {
		used[Sessions] = float64(h.Sessions) / float64(h.SessionLimit)
	}
	if h.Cores > 0 {
		used[CPU] = (h.CoresUsed + h.Promised) / h.Cores
	}
	if h.Uplink > 0 {
		used[Uplink] = float64(h.UplinkUsed) / float64(h.Uplink)
	}
	if h.EncodeLimit > 0 {
		used[Encoders] = float64(h.Encodes) / float64(h.EncodeLimit)
	}
	if c := h.GPU; c != nil {
		used[GPU] = c.Used + c.Promised
		if c.MemoryTotal > 0 {
			used[GPUMemory] = 1 - float64(c.MemoryFree)/float64(c.MemoryTotal)
		}
	}
	return used
}

// Capacity returns how many more sessions there is room for, for each profile.
func (f Forecast) Capacity(profiles []Profile) []Capacity { return f.host.capacities(profiles) }
