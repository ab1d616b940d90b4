package session

import "wavryhost/session/admission"

// follow makes the gauges show what the registry knows of the default display. One forecast is made for all of them.
func (g *ComputedGauges) follow(r *registry, c *catalog) {
	values := func() forecastValues {
		f, closed := forecastOf(r, c.usual())
		now := forecastValues{make(map[string]float64), make(map[string]float64), make(map[string]float64)}
		for _, one := range capacities(f, closed, shownProfiles) {
			now.capacity[one.Profile] = float64(one.More)
		}
		for r, short := range f.WouldRefuse() {
			now.wouldRefuse[string(r)] = 0
			if short {
				now.wouldRefuse[string(r)] = 1
			}
		}
		for r, used := range f.Used() {
			now.loadRatio[string(r)] = used
		}
		if load := c.conf.get().Load; load != nil {
			if l := load(); l.MemoryTotal > 0 {
				now.loadRatio[string(admission.Memory)] = 1 - float64(l.MemoryFree)/float64(l.MemoryTotal)
			}
		}
		return now
	}
	g.values.Store(&values)
}

// capacities returns how many more sessions a forecast has room for, for each profile: none if the host is closed.
func capacities(f admission.Forecast, closed bool, profiles []admission.Profile) []admission.Capacity {
	list := f.Capacity(profiles)
	if closed {
		for i := range list {
			list[i].More, list[i].LimitedBy = 0, string(admission.Sessions)
		}
	}
	return list
}

// forecastOf returns what there is to know of another session of a display, and whether the host takes none.
func forecastOf(r *registry, d Display) (f admission.Forecast, closed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	format := r.capacity.usualFormat()
	return r.admission.Forecast(r.capacity.request(d, 0, format), r.snapshot(format)), r.host.Closed()
}
