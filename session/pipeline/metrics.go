package pipeline

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"wavryhost/capture"
	"wavryhost/encode"
)

// Metrics are the metrics of the package. No label names a display or a subscriber.
type Metrics struct {
	frames        *prometheus.CounterVec
	dropped       *prometheus.CounterVec
	surfaces      *prometheus.CounterVec
	keyframes     *prometheus.CounterVec
	pictures      *prometheus.CounterVec
	capture       prometheus.Histogram
	convert       prometheus.Histogram
	encode        *prometheus.HistogramVec
	captureToSend prometheus.Histogram
	rateRatio     prometheus.Histogram
	fallbacks     *prometheus.CounterVec
	encodings     prometheus.Gauge
	hungEncoders  prometheus.Gauge
	hungCaptures  prometheus.Gauge
	displaysLost  *prometheus.CounterVec
	polled        *prometheus.CounterVec
	displays      *prometheus.GaugeVec
}

// NewMetrics returns metrics that are registered on reg.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	const ns = "wavry_host"
	counters := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: ns, Name: name, Help: help}, labels)
		reg.MustRegister(c)
		return c
	}
	gauge := func(name, help string) prometheus.Gauge {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Namespace: ns, Name: name, Help: help})
		reg.MustRegister(g)
		return g
	}
	histogram := func(name, help string, buckets ...float64) prometheus.Histogram {
		h := prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: ns, Name: name, Help: help, Buckets: buckets})
		reg.MustRegister(h)
		return h
	}
	// A frame lasts 16.7 ms at 60 Hz. Most steps take a small part of it.
	steps := []float64{.00025, .0005, .001, .002, .003, .005, .0075, .01, .0167, .025, .0333, .05, .1, .25, 1}
	m := &Metrics{
		frames: counters("frames_total",
			"Frames by stage. Captured and encoded frames count once, sent frames once for each viewer.", "stage"),
		dropped: counters("frames_dropped_total",
			"Dropped frames, by stage and reason.", "stage", "reason"),
		surfaces: counters("surface_frames_total",
			"Captured frames that stayed in the memory of a graphics card, by kind of that memory.", "memory"),
		keyframes: counters("keyframes_total", "Encoded keyframes, by the first reason.", "reason"),
		pictures: counters("still_pictures_total",
			"Unchanged pictures that were encoded again, by purpose: refinement, or keeping the path alive.", "kind"),
		capture: histogram("capture_seconds", "Time to capture a frame, without the wait for a change.", steps...),
		convert: histogram("convert_seconds", "Time to convert and scale a frame.", steps...),
		encode: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: ns, Name: "encode_seconds", Help: "Time to encode a picture, by encoder and codec.", Buckets: steps,
		}, []string{"encoder", "codec"}),
		captureToSend: histogram("capture_to_send_seconds",
			"Time from the capture of a frame until the pacer has it.", steps...),
		rateRatio: histogram("encoder_rate_ratio",
			"Encoded bits of a second divided by the requested bits, for seconds without a still screen.",
			.25, .5, .75, .9, 1, 1.1, 1.25, 1.5, 2, 3, 5),
		encodings: gauge("encodings", "Running encodings. Viewers of a display with about the same rate share one."),
		fallbacks: counters("encoder_fallbacks_total",
			"Encoders replaced while in use, by codec, encoder, successor and reason.", "codec", "from", "to",
			"reason"),
		hungEncoders: gauge("encoders_hung",
			"Encoders that were abandoned because a call did not return, and has not returned since."),
		hungCaptures: gauge("captures_hung", "Calls of capture drivers that were abandoned and have not returned."),
		displaysLost: counters("displays_lost_total",
			"Times that a display with viewers was lost, by reason: it is gone, or it hangs.", "reason"),
		polled: counters("displays_polled_total",
			"Times that a display turned out not to report all that changes, and is polled since."),
		displays: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: ns, Name: "displays",
			Help: "Open displays, by state. A display counts twice if some viewers draw its pointer and others do not.",
		}, []string{"state"}),
	}
	reg.MustRegister(m.displays, m.encode)
	for _, s := range states[Live:] {
		m.displays.WithLabelValues(s)
	}
	return m
}

// Complete makes all series of closed sets exist, for the document of all metrics.
func (m *Metrics) Complete() {
	for _, s := range frameStages {
		m.frames.WithLabelValues(s)
	}
	for _, d := range drops {
		m.dropped.WithLabelValues(d.stage, d.reason)
	}
	for _, k := range capture.Kinds() {
		if k != capture.Memory {
			m.surfaces.WithLabelValues(k.String())
		}
	}
	for _, r := range keyReasons[1:] {
		m.keyframes.WithLabelValues(r)
	}
	for _, r := range repetitions[1:] {
		m.pictures.WithLabelValues(r)
	}
	for _, r := range lostReasons {
		m.displaysLost.WithLabelValues(r)
	}
}

// Drop counts a dropped frame.
func (m *Metrics) Drop(d Drop) { m.dropped.WithLabelValues(drops[d].stage, drops[d].reason).Inc() }

// count counts a frame at a stage.
func (m *Metrics) count(s frameStage) { m.frames.WithLabelValues(s.String()).Inc() }

// encoded counts a picture, and why it was encoded again.
func (m *Metrics) encoded(by encode.Profile, au encode.AccessUnit, again repetition) {
	m.count(frameEncoded)
	if again != repeatNone {
		m.pictures.WithLabelValues(again.String()).Inc()
	} else {
		m.convert.Observe(au.Convert.Seconds())
	}
	m.encode.WithLabelValues(by.Name, by.Format.String()).Observe(au.Encode.Seconds())
}

// sent counts a picture that one subscriber got.
func (m *Metrics) sent(au encode.AccessUnit, changed bool, now time.Time) {
	m.count(frameSent)
	if changed {
		m.captureToSend.Observe(now.Sub(au.Time).Seconds())
	}
}
