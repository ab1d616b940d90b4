package record

import (
	"fmt"
	"time"

	"wavryhost/adapt"
	"wavryhost/adapt/chart"
)

// Report is what a replay found. Times count from the base of the recording.
type Report struct {
	// From and To are the times of the first and the last event.
	From, To time.Duration
	Events   int
	// Ticks is how often the controller was asked, and Differ how often it answered otherwise than in the recording,
	// FirstDiffer when that was for the first time.
	Ticks, Differ int
	FirstDiffer   time.Duration
	// Feedback counts the receiver's reports by their form, an adapt.FeedbackKind.
	Feedback [adapt.Echo + 1]int
	// Recorded and Replayed are the transitions of either.
	Recorded, Replayed []adapt.Transition

	samples []sample
}

// sample is one Grain of a replay.
type sample struct {
	target, recorded, sent, received, queue, rtt float64
	state                                        adapt.State
	seen                                         bool
}

// Replay runs the recording through the controller of this program.
func (r *Recording) Replay() (*Report, error) {
	loop, err := r.begin()
	if err != nil {
		return nil, err
	}
	p := player{loop: loop, base: r.Base, report: &Report{}}
	for i, c := range r.chunks {
		p.d = decoder{base: r.Base, b: c}
		for p.d.off < len(c) {
			if err := p.step(); err != nil {
				return nil, fmt.Errorf("part %d of %d: %w", i+1, len(r.chunks), err)
			}
		}
	}
	return p.report, nil
}

// player is a replay under way.
type player struct {
	loop     *adapt.Loop
	base     time.Time
	d        decoder
	report   *Report
	started  bool
	recorded uint64 // the number of the newest transition
	replayed uint64
}

// step plays one event.
func (p *player) step() error {
	d := &p.d
	switch kind := d.octet(); kind {
	case kindSent:
		packet := d.packet()
		if p.at(packet.Sent) {
			p.sample().sent += float64(packet.Size) * 8 / chart.Grain.Seconds()
			p.loop.OnSent(packet)
		}
	case kindFeedback:
		if f := d.feedback(); p.at(f.At) {
			if f.Kind <= adapt.Echo {
				p.report.Feedback[f.Kind]++
			}
			p.loop.OnFeedback(f)
		}
	case kindSource:
		if s := d.source(); p.at(s.At) {
			p.loop.OnSource(s)
		}
	case kindKeyframe:
		if at, why := d.diff(&d.at), adapt.KeyframeReason(d.octet()); p.at(at) {
			p.loop.OnKeyframeRequest(at, why)
		}
	case kindApplied:
		if a := d.applied(); p.at(a.At) {
			p.loop.OnApplied(a)
		}
	case kindLimit:
		if l := d.limit(); p.at(l.At) {
			p.loop.OnLimit(l)
		}
	case kindEstimate:
		if at := d.diff(&d.at); p.at(at) {
			p.loop.Estimate(at)
		}
	case kindTick, kindTickAgain:
		at := d.diff(&d.at)
		if kind == kindTick {
			d.last = d.targets()
		}
		if p.at(at) {
			p.tick(at, d.last)
		}
	default:
		d.fail(fmt.Sprintf("event of unknown kind %d", kind))
	}
	return d.err
}

// at notes the time of an event, and reports whether it may be played.
func (p *player) at(t time.Time) bool {
	since := t.Sub(p.base)
	if p.d.err == nil && (since < -furthest || since > furthest) {
		p.d.fail("a time that cannot be")
	}
	if p.d.err != nil {
		return false
	}
	r := p.report
	if !p.started {
		p.started = true
		r.From, r.To = since, since
	}
	r.To = max(r.To, since)
	r.Events++
	return true
}

// longest is how much of a recording is drawn.
const longest = 24 * time.Hour

// sample returns the newest one.
func (p *player) sample() *sample {
	r := p.report
	i := int(min(r.To-r.From, longest) / chart.Grain)
	for len(r.samples) <= i {
		r.samples = append(r.samples, sample{})
	}
	return &r.samples[i]
}

func (p *player) tick(at time.Time, want adapt.Targets) {
	r := p.report
	got := p.loop.Tick(at)
	if r.Ticks == 0 { // earlier ones are not in the recording
		p.recorded, p.replayed = want.Seq, got.Seq
		if want.Seq > 0 && want.Transition.At.Equal(at) {
			p.recorded, p.replayed = want.Seq-1, got.Seq-1
		}
	}
	r.Ticks++
	if want.Seq != p.recorded {
		p.recorded = want.Seq
		r.Recorded = append(r.Recorded, want.Transition)
	}
	if got.Seq != p.replayed {
		p.replayed = got.Seq
		r.Replayed = append(r.Replayed, got.Transition)
	}
	if got != want {
		if r.Differ == 0 {
			r.FirstDiffer = at.Sub(p.base)
		}
		r.Differ++
	}
	now := *p.loop // asking must not change what is asked
	e := now.Estimate(at)
	s := p.sample()
	s.target, s.recorded, s.received = float64(got.EncoderBitrate), float64(want.EncoderBitrate), float64(e.Received)
	s.queue, s.rtt = max(s.queue, e.QueueDelay.Seconds()), e.RTT.Seconds()
	s.state, s.seen = got.Quality, true
}

// Chart draws the replay: targets of the recording and the replay, what was sent and received, delays and states.
func (r *Report) Chart(title string) *chart.Chart {
	n := len(r.samples)
	recorded, target := chart.NewLine("target, recorded", chart.Gray, n), chart.NewLine("target, replayed", chart.Blue, n)
	sent, received := chart.NewLine("sent", chart.Red+chart.Pale, n), chart.NewLine("received", chart.Green, n)
	queue, rtt := chart.NewLine("queue delay", chart.Red, n), chart.NewLine("round trip", chart.Gray, n)
	c := &chart.Chart{
		Title: title, Length: time.Duration(n) * chart.Grain,
		Panels: []chart.Panel{
			{
				Unit:  "Mbit/s",
				Lines: []chart.Line{recorded, target, sent, received},
			},
			{Unit: "ms", Lines: []chart.Line{queue, rtt}},
		},
	}
	for i, s := range r.samples {
		sent.Y[i] = s.sent / 1e6
		if !s.seen {
			continue
		}
		recorded.Y[i], target.Y[i], received.Y[i] = s.recorded/1e6, s.target/1e6, s.received/1e6
		queue.Y[i], rtt.Y[i] = s.queue*1e3, s.rtt*1e3
		if k := len(c.States); k == 0 || c.States[k-1].State != s.state {
			c.States = append(c.States, chart.Span{At: time.Duration(i) * chart.Grain, State: s.state})
		}
	}
	return c
}
