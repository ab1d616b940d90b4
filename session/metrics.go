package session

import (
	"log/slog"
	"slices"

	"wavryhost/adapt"
	"wavryhost/adapt/pacing"
	"wavryhost/platform/guard"
	"wavryhost/session/admission"
	"wavryhost/session/codec"
	"wavryhost/session/floor"
	"wavryhost/session/hoststate"
	"wavryhost/session/peer"
	"wavryhost/session/pipeline"
	"wavryhost/session/relay"
	"wavryhost/session/wire"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are what the session package counts. There are no per-session labels: every label's set of values is closed,
// except for labelMetrics, where it is bounded.
type Metrics struct {
	pipeline          *pipeline.Metrics
	sessions          *prometheus.GaugeVec
	created           prometheus.Counter
	ended             *prometheus.CounterVec
	refused           *prometheus.CounterVec
	handshakes        *prometheus.CounterVec
	handshakeTime     prometheus.Histogram
	iceFailures       *prometheus.CounterVec
	path              *prometheus.GaugeVec
	paths             *prometheus.CounterVec
	pathSeconds       *prometheus.CounterVec
	oversize          prometheus.Counter
	targetRate        *prometheus.GaugeVec
	achievedRate      *prometheus.GaugeVec
	rtt               prometheus.Histogram
	loss              prometheus.Histogram
	jitter            prometheus.Histogram
	queueDelay        prometheus.Histogram
	transitions       *prometheus.CounterVec
	quality           *prometheus.GaugeVec
	qualitySeconds    *prometheus.CounterVec
	encodingMoves     *prometheus.CounterVec
	codecChanges      *prometheus.CounterVec
	reservations      prometheus.Gauge
	shed              *prometheus.CounterVec
	reservationsEnded *prometheus.CounterVec
	packets           prometheus.Counter
	bytes             *prometheus.CounterVec
	firstFrame        *prometheus.HistogramVec
	setupStages       *prometheus.HistogramVec
	pace              prometheus.Histogram
	ack               prometheus.Histogram
	freezes           *prometheus.CounterVec
	freezeSeconds     *prometheus.CounterVec
	viewerFreezes     prometheus.Counter
	viewerFrozen      prometheus.Counter
	refusals          *prometheus.CounterVec
	oldest            prometheus.Gauge
	forecast          *ComputedGauges
	retransmissions   prometheus.Counter
	refusedRepeats    *prometheus.CounterVec
	feedbackFaults    *prometheus.CounterVec
	unsent            prometheus.Counter
	mediaCut          *prometheus.CounterVec
	requests          *prometheus.CounterVec
	events            *prometheus.CounterVec
	panics            *prometheus.CounterVec
	undelivered       *prometheus.CounterVec
	smallerPackets    prometheus.Counter
	relays            *relay.Metrics
	labels            *labelMetrics
	floor             *floor.Metrics
	host              *hoststate.Metrics
}

// NewMetrics returns metrics that are registered on reg.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	const (
		ns      = "wavry_host"
		byLabel = ", by the labels in sessions.metric_labels and their values."
	)
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Namespace: ns, Name: name, Help: help})
		reg.MustRegister(c)
		return c
	}
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
	gauges := func(name, help string, labels ...string) *prometheus.GaugeVec {
		g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: ns, Name: name, Help: help}, labels)
		reg.MustRegister(g)
		return g
	}
	histogram := func(name, help string, buckets ...float64) prometheus.Histogram {
		h := prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: ns, Name: name, Help: help, Buckets: buckets})
		reg.MustRegister(h)
		return h
	}
	histograms := func(name, help string, buckets []float64, label string) *prometheus.HistogramVec {
		h := prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: ns, Name: name, Help: help, Buckets: buckets,
		}, []string{label})
		reg.MustRegister(h)
		return h
	}
	m := &Metrics{
		pipeline: pipeline.NewMetrics(reg),
		sessions: gauges("sessions", "Sessions by state.", "state"),
		created:  counter("sessions_created_total", "Sessions created."),
		ended:    counters("sessions_ended_total", "Sessions ended, by reason.", "reason"),
		refused:  counters("sessions_refused_total", "Offers refused, by reason.", "reason"),
		handshakes: counters("handshakes_total",
			"Finished handshakes (ICE and DTLS), by result: success, or the failed step and how it failed.", "result"),
		handshakeTime: histogram("handshake_seconds", "Time from the offer to a connected transport.",
			.01, .025, .05, .1, .2, .3, .5, 1, 2, 5, 10),
		iceFailures: counters("ice_failures_total",
			"Viewers without a path, by likely cause: no candidates on either side, mDNS names only, relays without "+
				"an address, refused addresses, or no working pair.", "cause"),
		path: gauges("session_path", "Connected sessions by the path that ICE selected.", "path"),
		paths: counters("session_paths_total",
			"Paths of sessions, counted at the connection and at each change, by path and "+
				"protocol.", "path", "protocol"),
		pathSeconds: counters("session_path_seconds_total", "Time that connected sessions spent on each path.", "path"),
		oversize: counter("frames_oversize_total",
			"Sent pictures that were larger than a viewer's controller allowed."),
		targetRate: gauges("target_rate_bytes_per_second",
			"Target bitrate of the connected sessions, in bytes: the sum and the lowest.", "of"),
		achievedRate: gauges("achieved_rate_bytes_per_second",
			"Bitrate sent to the connected sessions over the last second, in bytes: the sum and the lowest.", "of"),
		rtt: histogram("rtt_seconds", "Round-trip time, sampled once a second for each connected session.",
			.001, .0025, .005, .01, .02, .035, .05, .075, .1, .15, .2, .3, .5, 1, 2),
		loss: histogram("loss_ratio", "Fraction of packets lost, sampled once a second for each connected session.",
			0, .001, .005, .01, .02, .05, .1, .2, .5, 1),
		jitter: histogram("jitter_seconds", "Interarrival jitter, sampled once a second for each connected session.",
			.0005, .001, .0025, .005, .01, .02, .05, .1, .25, 1),
		queueDelay: histogram("queue_delay_seconds",
			"Delay in the path's queue, sampled once a second for each connected session.",
			.005, .01, .02, .035, .05, .075, .1, .15, .25, .5, 1),
		transitions: counters("quality_transitions_total", "Changes of the quality state.", "from", "to", "reason"),
		quality:     gauges("quality_sessions", "Connected sessions by quality state.", "state"),
		qualitySeconds: counters("quality_state_seconds_total",
			"Time that connected sessions spent in each quality state, by cause.", "state", "cause"),
		shed: counters("load_shedding_steps_total", "Load shedding: times that the sessions of a "+
			"display were lowered or raised again, by the new level.", "to"),
		reservations:      gauge("reservations", "Reservations currently held."),
		reservationsEnded: counters("reservations_ended_total", "Ended reservations, by reason.", "reason"),
		encodingMoves: counters("session_encoding_changes_total",
			"Moves of a session to another encoding: a faster or slower one, or one of another display.", "direction"),
		codecChanges: counters("session_codec_changes_total",
			"Changes of a running session to another codec, by reason.", "reason"),
		packets: counter("packets_sent_total", "Sent RTP packets, including retransmissions and padding."),
		bytes: counters("sent_bytes_total", "Bytes of sent RTP packets, including retransmissions and "+
			"padding, by path.", "path"),
		firstFrame: histograms("first_frame_seconds",
			"Time from the offer until the pacer had the first picture, and until the viewer reported its arrival.",
			[]float64{.1, .25, .5, .75, 1.25, 1.5, 2.5, 5.5, 10.5}, "to"),
		setupStages: histograms("setup_stage_seconds",
			"Time of each stage from the offer to the first picture that arrived: answer of the offer, path by ICE, "+
				"DTLS, first encode, and its arrival.",
			[]float64{.01, .05, .1, .25, .5, 1.5, 2.5, 5.5}, "stage"),
		pace: histogram("pace_seconds",
			"Time from the moment when the pacer has a picture until its last packet leaves.",
			.0005, .001, .0025, .005, .01, .0167, .025, .0333, .05, .1, .25, 1.5),
		ack: histogram("ack_seconds",
			"Time from the departure of the newest packet of a viewer's report until the report. It has the round trip and "+
				"the viewer's wait before it reports.",
			.005, .01, .025, .05, .1, .15, .25, .5, 1.5),
		freezes: counters("freezes_total",
			"Times that a viewer's picture stood although another was due, by cause. Still screens do not count.",
			"cause"),
		freezeSeconds: counters("freeze_seconds_total",
			"Time for which viewers' pictures stood although another was due, counted while it lasts, by cause.", "cause"),
		viewerFreezes: counter("viewer_freezes_total",
			"Freezes that viewers have reported, as their browsers count them."),
		viewerFrozen: counter("viewer_frozen_seconds_total",
			"Duration of the freezes that viewers have reported."),
		refusals: counters("refusals_total",
			"Sessions and reservations that were refused because something is short, by resource.", "resource"),
		forecast:        newForecastMetrics(reg),
		oldest:          gauge("oldest_session_seconds", "Age of the oldest session; 0 without sessions."),
		retransmissions: counter("retransmissions_total", "Retransmitted RTP packets."),
		refusedRepeats: counters("retransmissions_refused_total",
			"Requests for retransmission that were refused, by reason: the packet was retransmitted less than a round "+
				"trip ago or often enough, has arrived, is too old for the receiver, or the share of the rate is "+
				"used up.", "reason"),
		mediaCut: counters("media_connections_cut_total",
			"TCP media connections that were closed, by reason: too many from one address, all places in use, or "+
				"silent "+
				"when another needed the place.", "reason"),
		feedbackFaults: counters("feedback_faults_total",
			"Faults of the viewers' feedback, by kind: a message is lost, late or unread, or reports a packet "+
				"twice or an "+
				"unknown packet.", "kind"),
		unsent: counter("packets_unsent_total", "RTP packets that the transport of a connected session "+
			"did not accept."),
		requests: counters("keyframe_requests_total", "Keyframe requests by viewers and operators.", "kind"),
		events:   counters("events_total", "Events, by kind.", "kind"),
		smallerPackets: counter("packet_size_reductions_total", "Times that a session was switched to smaller "+
			"packets because large ones did not arrive."),
		undelivered: counters("sessions_undelivered_total", "Times that a connected session began to show "+
			"nothing, by likely reason.", "reason"),
		panics: counters("panics_total", "Caught panics. Each ends one session, or stops one display "+
			"for a moment; the log has the stack.", "part"),
		relays: relay.NewMetrics(reg),
		labels: &labelMetrics{
			values:       make(map[string][]string),
			sessions:     gauges("labeled_sessions", "Sessions"+byLabel, "label", "value"),
			reservations: gauges("labeled_reservations", "Reservations currently held"+byLabel, "label", "value"),
			created:      counters("labeled_sessions_created_total", "Sessions created"+byLabel, "label", "value"),
			seconds: counters("labeled_session_seconds_total",
				"Time that sessions were connected"+byLabel, "label", "value"),
			bytes: counters("labeled_sent_bytes_total", "Bytes of sent RTP packets"+byLabel, "label", "value"),
			freezes: counters("labeled_freeze_seconds_total",
				"Time for which viewers' pictures stood although another was "+
					"due"+byLabel, "label", "value"),
		},
		floor: floor.NewMetrics(reg),
		host:  hoststate.NewMetrics(reg),
	}
	m.zero()
	return m
}

// zero makes the series exist from the start whose rates and sums the rules of deploy/monitoring use: without them the
// first event would not count, and sums of several metrics would be empty. Others appear with their first event,
// because an idle host should have few series.
func (m *Metrics) zero() {
	counters := []closedCounters{
		{m.handshakes, handshakeResults},
		{m.pathSeconds, peer.Paths()},
		{m.freezeSeconds, freezeCauses},
		{m.shed, words(admission.Levels()[1:])}, // an alert names these
		{m.undelivered, undeliveredReasons},
		{m.panics, slices.Concat(parts, pipeline.Parts())},
	}
	for _, c := range counters {
		c.exist()
	}
	gauges := []struct {
		of    *prometheus.GaugeVec
		words []string
	}{
		{m.sessions, sessionStates},
		{m.path, peer.Paths()},
		{m.targetRate, rateSums},
		{m.achievedRate, rateSums},
		{m.quality, words(adapt.States())},
	}
	for _, g := range gauges {
		for _, w := range g.words {
			g.of.WithLabelValues(w)
		}
	}
	m.refused.WithLabelValues(refusedFull) // objectives and alerts name these
	m.refused.WithLabelValues(refusedError)
	m.refused.WithLabelValues(refusedNoPicture)
	m.qualitySeconds.WithLabelValues(adapt.Good.String(), causeNone)
	for _, s := range []adapt.State{adapt.Critical, adapt.Stalled} { // the objectives name these
		for _, c := range freezeCauses {
			m.qualitySeconds.WithLabelValues(s.String(), c)
		}
	}
	for _, to := range []string{firstSent, firstAcked} {
		m.firstFrame.WithLabelValues(to)
	}
}

// closedCounters are counters with the closed set of values of their label.
type closedCounters struct {
	of    *prometheus.CounterVec
	words []string
}

func (c closedCounters) exist() {
	for _, w := range c.words {
		c.of.WithLabelValues(w)
	}
}

// Complete makes all series of closed sets exist. The sets are the tables of names; the document of all metrics shows
// them.
func (m *Metrics) Complete() {
	for _, c := range []closedCounters{
		{m.ended, words(EndReasons())},
		{m.refused, refusedReasons},
		{m.shed, words(admission.Levels())},
		{m.reservationsEnded, admission.Ends()},
		{m.encodingMoves, encodingMoves},
		{m.codecChanges, codec.Reasons()},
		{m.iceFailures, peer.Causes()},
		{m.bytes, peer.Paths()},
		{m.freezes, freezeCauses},
		{m.refusals, Resources()},
		{m.mediaCut, peer.CutReasons()},
		{m.refusedRepeats, words(pacing.Refusals())},
		{m.feedbackFaults, words(wire.FeedbackFaults())},
		{m.requests, requestKinds},
		{m.events, words(EventKinds())},
	} {
		c.exist()
	}
	for _, s := range setupStages {
		m.setupStages.WithLabelValues(s)
	}
	for _, p := range peer.Paths() {
		for _, over := range peer.Protocols() {
			m.paths.WithLabelValues(p, over)
		}
	}
	m.pipeline.Complete()
	m.floor.Complete()
	m.forecast.completed()
}

// guard returns a Guard that counts here.
func (m *Metrics) guard(log *slog.Logger, failed func(error)) *guard.Guard {
	return guard.New(log, func(part string) { m.panics.WithLabelValues(part).Inc() }, failed)
}
