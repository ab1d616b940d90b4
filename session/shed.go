package session

import (
	"slices"
	"time"

	"wavryhost/session/admission"
	"wavryhost/session/pipeline"
)

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
	streams := m.pool.Load(now, pipeline.AnyCodec)
	if !streams.Late {
		used = min(used, notLate) // what keeps the cores busy does the streams no harm
	}
	units := m.units(list, streams)
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
func (m *Manager) units(list []*held, load pipeline.Load) []admission.Unit {
	var units []admission.Unit
	for _, h := range list {
		id := h.showing()
		i := slices.IndexFunc(units, func(u admission.Unit) bool { return u.ID == id })
		if i < 0 {
			units = append(units, admission.Unit{ID: id, Cost: load.Displays[id].Cores})
			i = len(units) - 1
		}
		units[i].Weight = max(units[i].Weight, h.weight())
	}
	return units
}
