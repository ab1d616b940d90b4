package session

import (
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"wavryhost/session/admission"
	"wavryhost/session/pipeline"
)

// shedder sheds load: it lowers the sessions of the least important displays while the host is saturated, and raises
// them again. It belongs to the janitor, except for crowded.
type shedder struct {
	conf *live
	log  *slog.Logger
	met  *Metrics
	emit func(Event) uint64
	// load returns the load of the pipelines.
	load func(now time.Time) pipeline.Load

	levels admission.Shedder
	// exhausted: nothing is left to lower.
	exhausted atomic.Bool
}

// shed takes the next step, if there is one. drop ends a session. The janitor calls it once a second.
func (s *shedder) shed(now time.Time, list []*session, drop func(*session)) {
	cfg := s.conf.get()
	if cfg.Load == nil {
		return
	}
	load := cfg.Load()
	if load.Cores == 0 {
		return
	}
	used := load.CoresUsed / load.Cores
	streams := s.load(now)
	if !streams.Late {
		used = min(used, notLate) // other load on the cores does the streams no harm
	}
	units := units(list, streams)
	if step, ok := s.levels.Next(now, used, units); ok {
		from, to := step.From.String(), step.To.String()
		s.met.shed.WithLabelValues(to).Inc()
		event := s.emit(Event{Kind: EventShed, Display: step.ID, Reason: string(admission.CPU), From: from, To: to})
		s.log.Warn("sessions lowered or raised for the host's load", "event", event, "display", step.ID, "from", from,
			"to", to, "cores_used", load.CoresUsed, "cores", load.Cores)
	}
	lowerable := func(u admission.Unit) bool { return s.levels.Level(u.ID) < admission.Least }
	s.exhausted.Store(!slices.ContainsFunc(units, lowerable))
	for _, one := range list {
		display := one.sub.display()
		level := s.levels.Level(display)
		if rate, size := level.Caps(); level == admission.Whole {
			one.setHostLimit(0, 0)
		} else {
			one.setHostLimit(max(1, int(rate*float64(cfg.fps(display)))), size)
		}
		if level == admission.Dropped {
			drop(one)
		}
	}
}

// crowdedAt is the part of the cores in use from which on pictures are late because other programs have the cores.
const crowdedAt = 0.95

// crowded reports whether pictures are late because of the host's load while there is still something to shed.
// Shedding lowers the least important first; the controllers, which do not know of each other, would lower all. They
// have their turn when nothing is left to shed.
func (s *shedder) crowded() bool {
	load := s.conf.get().Load
	if load == nil || s.exhausted.Load() {
		return false
	}
	l := load()
	return l.Cores > 0 && l.CoresNow >= crowdedAt*l.Cores
}

// notLate is the load that is assumed while no picture is late: no reason to lower and no room to raise.
const notLate = 0.9

// units returns what can be lowered: the displays with viewers.
func units(list []*session, load pipeline.Load) []admission.Unit {
	var units []admission.Unit
	for _, one := range list {
		id := one.sub.display()
		i := slices.IndexFunc(units, func(u admission.Unit) bool { return u.ID == id })
		if i < 0 {
			units = append(units, admission.Unit{ID: id, Cost: load.Displays[id].Cores})
			i = len(units) - 1
		}
		units[i].Weight = max(units[i].Weight, one.limits.sessionWeight())
	}
	return units
}
