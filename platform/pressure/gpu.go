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

	"wavryhost/session/guard"
)

// GPU is what is known of a graphics card. Figures that its driver does not tell are 0.
type GPU struct {
	// ID is unique on the machine: nvidia0, card0.
	ID string
	// Name is for people.
	Name string
	// API is what encodes on it, as FFmpeg's names of encoders end: nvenc or vaapi.
	API string
	// Device is its render node, as /dev/dri/renderD128; empty where that is not known.
	Device string
	// Busy is the part of the time in which the card did anything, and Encoder that of its encoder engine.
	Busy, Encoder float64
	// MemoryUsed and MemoryTotal are in bytes.
	MemoryUsed, MemoryTotal int64
	// Sessions is how many encodes run on it, of whatever program.
	Sessions int
}

// gpuInterval is how often drivers are asked. Some take milliseconds to answer, and average over a second themselves.
const gpuInterval = time.Second

// mostGPUs bounds the cards, and with them the series of the metrics.
const mostGPUs = 16

// gpuPatience is how long a driver may take to answer. What it said before is forgotten then: a card that hangs is not idle.
const gpuPatience = 3 * time.Second

// gpuSearch is how often a driver is looked for that is not there. One that is installed while the daemon runs is found within it, or at once by Look;
// a look that finds nothing costs a few calls of the system.
const gpuSearch = time.Minute

// driver reads the cards of one kind. Read is called by one goroutine, and may hang as a driver does.
type driver struct {
	name string
	read func() ([]GPU, error)
}

// GPUs measures the graphics cards from time to time. Whoever asks gets what was measured last, at once: a driver that hangs holds up
// nobody but its own goroutine.
type GPUs struct {
	log     *slog.Logger
	drivers []driver
	looks   []chan struct{} // one for each driver, with room for one token

	mu    sync.Mutex
	cards [][]GPU // of each driver

	busy, encoder, used, total, sessions *prometheus.GaugeVec
}

// NewGPUs returns GPUs that know nothing until they run, with metrics on reg.
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
		log: log, drivers: list, looks: looks, cards: make([][]GPU, len(list)),
		busy:     gauge("busy_ratio", "Part of the last second or so in which the graphics card did anything."),
		encoder:  gauge("encoder_busy_ratio", "Part of the last second or so in which the graphics card's encoder was at work."),
		used:     gauge("memory_used_bytes", "Memory of the graphics card that is in use."),
		total:    gauge("memory_total_bytes", "Memory of the graphics card."),
		sessions: gauge("encoder_sessions", "Encodes that run on the graphics card, of whatever program."),
	}
}

// Read returns what was measured last, the cards in a fixed order.
func (g *GPUs) Read() []GPU {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Concat(g.cards...)
}

// Look looks for drivers that were not there, and returns at once.
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

// answer is what a driver said.
type answer struct {
	cards []GPU
	err   error
}

// watch asks the i-th driver once in each interval, seldom while it is not there, and has one question under way at most.
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
			log.Warn("graphics driver left behind; it does not return")
		}
	}()
	ticker := time.NewTicker(gpuInterval)
	defer ticker.Stop()
	var since time.Time
	var waiting, stuck, absent, again bool
	ask := func() {
		asked <- struct{}{} // it has room: the question before was answered
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
			if again = waiting; !waiting { // what is under way may have begun before the driver came
				ask()
			}
		case <-ticker.C:
			switch {
			case !waiting:
				ask()
			case !stuck && time.Since(since) >= gpuPatience:
				stuck = true
				log.Warn("graphics driver does not answer; its cards are not known until it does")
				g.put(i, nil)
			}
		}
	}
}

// put takes what a driver said of its cards.
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

// engines is what one open file of a graphics device tells of the work it gave (the kernel's drm-usage-stats): the card by its PCI
// address, the client, which several files may share, and the time that encoder engines worked for it.
type engines struct {
	card, client string
	encoder      time.Duration
}

// parseEngines reads /proc/self/fdinfo/N. Encoders are engines of AMD's called enc, enc_0 …, and of Intel's called video and video-enhance,
// of which the first encodes.
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
