package pressure

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"wavryhost/platform/guard"
)

// GPU describes a graphics card. Figures that its driver does not report are 0.
type GPU struct {
	// ID is unique on the machine: nvidia0, card0.
	ID string
	// Name is a name for people.
	Name string
	// API is the encoder API of the card, in FFmpeg's names: nvenc or vaapi.
	API string
	// Device is its render node, such as /dev/dri/renderD128. It is empty when unknown.
	Device string
	// Busy is the share of time in which the card worked, and Encoder the share of its encoder engine.
	Busy, Encoder float64
	// MemoryUsed and MemoryTotal are in bytes.
	MemoryUsed, MemoryTotal int64
	// Sessions is the number of encodes on the card, of all programs.
	Sessions int
}

// gpuInterval is the interval for asking drivers. Some take milliseconds to answer, and average over a second
// themselves.
const gpuInterval = time.Second

// mostGPUs bounds the number of cards, and so the series of the metrics.
const mostGPUs = 16

// gpuPatience bounds the wait for a driver. After it the last answer is discarded: a card that hangs is not idle.
const gpuPatience = 3 * time.Second

// gpuSearch is the interval for searching a missing driver. A driver installed while the daemon runs is found within
// it, or at once by Look. A search without a result costs a few system calls.
const gpuSearch = time.Minute

// driver reads the cards of one kind. One goroutine calls read, which may hang as a driver does.
type driver struct {
	name string
	read func() ([]GPU, error)
}

// GPUs measures the graphics cards periodically. Callers get the last measurement at once. A driver that hangs blocks
// only its own goroutine.
type GPUs struct {
	log     *slog.Logger
	drivers []driver
	looks   []chan struct{} // one per driver, with room for one token

	mu    sync.Mutex
	cards [][]GPU // one per driver

	busy, encoder, used, total, sessions *prometheus.GaugeVec
}

// NewGPUs returns GPUs that have no measurement until they run, with metrics on reg.
func NewGPUs(reg prometheus.Registerer, log *slog.Logger) *GPUs { return newGPUs(reg, log, drivers()) }

func newGPUs(reg prometheus.Registerer, log *slog.Logger, list []driver) *GPUs {
	gauge := func(name, help string) *prometheus.GaugeVec {
		g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "wavry_host_gpu_" + name, Help: help}, []string{"gpu"})
		reg.MustRegister(g)
		return g
	}
	looks := make([]chan struct{}, len(list))
	for i := range looks {
		looks[i] = make(chan struct{}, 1)
	}
	return &GPUs{
		log:     log,
		drivers: list,
		looks:   looks,
		cards:   make([][]GPU, len(list)),
		busy:    gauge("busy_ratio", "Share of about the last second in which the graphics card worked."),
		encoder: gauge(
			"encoder_busy_ratio", "Share of about the last second in which the graphics card's encoder worked.",
		),
		used:     gauge("memory_used_bytes", "Used memory of the graphics card."),
		total:    gauge("memory_total_bytes", "Memory of the graphics card."),
		sessions: gauge("encoder_sessions", "Encodings that run on the graphics card, of all programs."),
	}
}

// Read returns the last measurement, with the cards in a fixed order.
func (g *GPUs) Read() []GPU {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Concat(g.cards...)
}

// Look searches for missing drivers, and returns at once.
func (g *GPUs) Look() {
	for _, look := range g.looks {
		select {
		case look <- struct{}{}:
		default:
		}
	}
}

// Run measures until ctx ends. A driver that hangs at the end is left behind.
func (g *GPUs) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for i := range g.drivers {
		wg.Go(func() { g.watch(ctx, i) }) // unguarded: the driver in it is guarded
	}
	wg.Wait()
	return nil
}

// answer is a driver's answer.
type answer struct {
	cards []GPU
	err   error
}

// watch asks the i-th driver once per interval, and seldom while it is missing. At most one question is open.
func (g *GPUs) watch(ctx context.Context, i int) {
	d := g.drivers[i]
	log := g.log.With("driver", d.name)
	asked, answers, done := make(chan struct{}, 1), make(chan answer, 1), make(chan struct{})
	guarded := guard.New(log, nil, nil)
	go func() {
		defer close(done)
		for range asked {
			var a answer
			if p := guarded.Run("gpu", func() { a.cards, a.err = d.read() }); p != nil {
				a = answer{err: p}
			}
			answers <- a
		}
	}()
	defer func() {
		close(asked)
		limit := time.NewTimer(gpuPatience)
		defer limit.Stop()
		select {
		case <-done:
		case <-limit.C:
			log.Warn("graphics driver abandoned: it does not return")
		}
	}()
	ticker := time.NewTicker(gpuInterval)
	defer ticker.Stop()
	var since time.Time
	var waiting, stuck, absent, again bool
	ask := func() {
		asked <- struct{}{} // it has room: the previous question was answered
		since, waiting, again = time.Now(), true, false
		ticker.Reset(gpuInterval)
	}
	ask()
	for {
		select {
		case <-ctx.Done():
			return
		case a := <-answers:
			if stuck {
				log.Info("graphics driver answers again", "after_seconds", time.Since(since).Seconds())
			}
			waiting, stuck = false, false
			g.put(i, a.cards)
			gone := errors.Is(a.err, ErrUnsupported)
			switch {
			case a.err != nil && (!gone || !absent):
				log.Debug("graphics cards not measured", "err", a.err)
			case a.err == nil && absent:
				log.Info("graphics driver found", "cards", len(a.cards))
			}
			absent = gone
			switch {
			case gone && again:
				ask()
			case gone:
				ticker.Reset(gpuSearch)
			}
		case <-g.looks[i]:
			if again = waiting; !waiting { // the open question may be older than the driver
				ask()
			}
		case <-ticker.C:
			switch {
			case !waiting:
				ask()
			case !stuck && time.Since(since) >= gpuPatience:
				stuck = true
				log.Warn("graphics driver does not answer; the load of its cards is unknown until it does")
				g.put(i, nil)
			}
		}
	}
}

// put stores a driver's answer.
func (g *GPUs) put(i int, cards []GPU) {
	cards = cards[:min(len(cards), mostGPUs)]
	g.mu.Lock()
	gone := g.cards[i]
	g.cards[i] = cards
	g.mu.Unlock()
	for _, c := range gone {
		if !slices.ContainsFunc(cards, func(n GPU) bool { return n.ID == c.ID }) {
			for _, v := range []*prometheus.GaugeVec{g.busy, g.encoder, g.used, g.total, g.sessions} {
				v.DeleteLabelValues(c.ID)
			}
		}
	}
	for _, c := range cards {
		g.busy.WithLabelValues(c.ID).Set(c.Busy)
		g.encoder.WithLabelValues(c.ID).Set(c.Encoder)
		g.used.WithLabelValues(c.ID).Set(float64(c.MemoryUsed))
		g.total.WithLabelValues(c.ID).Set(float64(c.MemoryTotal))
		g.sessions.WithLabelValues(c.ID).Set(float64(c.Sessions))
	}
}

// engines is the report of one open file of a graphics device (the kernel's drm-usage-stats). It has the card's PCI
// address, the client, which several files may share, and the time that encoder engines worked for it.
type engines struct {
	card, client string
	encoder      time.Duration
}

// parseEngines reads /proc/self/fdinfo/N. Encoder engines are enc, enc_0 … of AMD, and of Intel video and
// video-enhance; of the latter only the first encodes.
func parseEngines(text []byte) (e engines, ok bool) {
	for line := range strings.Lines(string(text)) {
		name, value, found := strings.Cut(line, ":")
		if !found {
			continue
		}
		value = strings.TrimSpace(value)
		engine, is := strings.CutPrefix(name, "drm-engine-")
		switch {
		case name == "drm-pdev":
			e.card = value
		case name == "drm-client-id":
			e.client = value
		case is && (engine == "video" || engine == "enc" || strings.HasPrefix(engine, "enc_")):
			if ns, err := parseNumber([]byte(strings.TrimSuffix(value, " ns"))); err == nil && ns >= 0 && ns != unlimited {
				e.encoder += time.Duration(ns)
			}
		}
	}
	return e, e.card != "" && e.client != ""
}
