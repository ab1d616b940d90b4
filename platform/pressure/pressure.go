package pressure

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// ErrUnsupported means that this system does not report its load.
var ErrUnsupported = errors.New("pressure: not measured on this system")

// interval is the interval of Run's measurements, each of which takes half a millisecond. smoothing is the age at which
// a measurement still counts for a third, so that a starting program does not count as load.
const (
	interval  = 500 * time.Millisecond
	smoothing = 2 * time.Second
)

// Reading is a measurement of the machine. Fields that this system does not report are 0.
type Reading struct {
	// Cores is the number of cores that this process may use, by its affinity and by the quotas of its control group and
	// those above.
	Cores float64
	// CoresUsed is Cores minus what was free over the last seconds, of the processors that it may use and of each quota.
	// Other processes may use them up too.
	CoresUsed float64
	// CoresNow is the same since the last measurement.
	CoresNow float64
	// MemoryFree is the free memory in bytes, of the machine and within the limit of each control group. MemoryTotal is
	// the least of the totals.
	MemoryFree, MemoryTotal int64
	// CPUStall, MemoryStall and IOStall are the shares of the last ten seconds in which a task waited for processor,
	// memory or disk (PSI, "some avg10").
	CPUStall, MemoryStall, IOStall float64
	// Resident is the memory of this process, in bytes, and Descriptors the number of its open files.
	Resident    int64
	Descriptors int
}

// sample is one measurement. Counters grow from sample to sample.
type sample struct {
	Reading
	// budgets are the shared processor budgets of this process: the machine's, and one for each control group with a
	// quota.
	budgets []budget
	at      time.Time
}

// budget is a number of cores, and the processor time that was used of them.
type budget struct {
	name  string
	cores float64
	busy  time.Duration
}

// used returns s.Cores minus what was left of each budget since before.
func (s sample) used(before sample) float64 {
	took := s.at.Sub(before.at).Seconds()
	left := s.Cores
	for _, b := range s.budgets {
		for _, old := range before.budgets {
			if old.name == b.name {
				got := max(0, (b.busy-old.busy).Seconds()/took)
				left = min(left, max(0, b.cores-got))
			}
		}
	}
	return s.Cores - left
}

// Sampler measures periodically.
type Sampler struct {
	log   *slog.Logger
	look  func(now time.Time) (sample, error)
	shown []func(Reading) // set the metrics

	mu      sync.Mutex // guards all following fields
	last    sample
	current Reading
}

// New returns a Sampler with one measurement, with metrics on reg. Where the system does not report its load, readings
// are empty.
func New(reg prometheus.Registerer, log *slog.Logger) *Sampler {
	s := &Sampler{log: log, look: look}
	s.register(reg)
	s.measure(time.Now())
	return s
}

func (s *Sampler) register(reg prometheus.Registerer) {
	gauge := func(name, help string, of func(Reading) float64) {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Name: "wavry_host_pressure_" + name, Help: help})
		reg.MustRegister(g)
		s.shown = append(s.shown, func(r Reading) { g.Set(of(r)) })
	}
	gauge(
		"cores", "Processor cores that the daemon may use, by affinity and control group.",
		func(r Reading) float64 { return r.Cores },
	)
	gauge(
		"cores_used", "Cores in use over the last seconds, by all programs on them.",
		func(r Reading) float64 { return r.CoresUsed },
	)
	gauge("memory_free_bytes", "Available memory.", func(r Reading) float64 { return float64(r.MemoryFree) })
	gauge("memory_total_bytes", "Total memory.", func(r Reading) float64 { return float64(r.MemoryTotal) })
	gauge(
		"cpu_stalled_ratio", "Share of the last ten seconds in which a task waited for a processor.",
		func(r Reading) float64 { return r.CPUStall },
	)
	gauge(
		"memory_stalled_ratio", "Share of the last ten seconds in which a task waited for memory.",
		func(r Reading) float64 { return r.MemoryStall },
	)
	gauge(
		"io_stalled_ratio", "Share of the last ten seconds in which a task waited for a disk.",
		func(r Reading) float64 { return r.IOStall },
	)
}

// Run measures until ctx ends.
func (s *Sampler) Run(ctx context.Context) error {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		if !s.measure(time.Now()) {
			<-ctx.Done()
			return nil
		}
	}
}

// Read returns the last measurement.
func (s *Sampler) Read() Reading {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current
}

// measure measures once, and reports whether there is a result.
func (s *Sampler) measure(now time.Time) bool {
	next, err := s.look(now)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case errors.Is(err, ErrUnsupported):
		s.log.Info("the load of the host is unknown: only the configured limits decide on admission", "err", err)
		return false
	case err != nil:
		s.log.Debug("load not measured", "err", err)
		return true
	}
	next.at = now
	used, got := s.current.CoresUsed, s.current.CoresNow
	if took := next.at.Sub(s.last.at); !s.last.at.IsZero() && took > 0 {
		share := min(1, took.Seconds()/smoothing.Seconds())
		got = next.used(s.last)
		used += share * (got - used)
	}
	s.last, s.current = next, next.Reading
	s.current.CoresUsed, s.current.CoresNow = used, got
	for _, set := range s.shown {
		set(s.current)
	}
	return true
}
