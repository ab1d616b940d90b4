package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"wavryhost/adapt/chart"
	"wavryhost/session/api/client"
)

// meter takes the samples of a run.
type meter struct {
	setup *setup
	run   *Run

	seen       seen
	newest     client.Session
	transition int // sequence number of the newest transition of the session
	// Of the link to the viewer, at the sample before:
	at                   time.Duration
	sent, dropped, bytes int64
}

// sample takes one sample. The host may not answer for a moment, and the page may be loading: such samples lack a part.
func (m *meter) sample(ctx context.Context, at time.Duration) error {
	x := Sample{AtSeconds: at.Seconds()}
	s, found, err := m.setup.daemon.session(ctx)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		select {
		case <-m.setup.daemon.process.Done:
			return fmt.Errorf("lab: the daemon ended: %v", m.setup.daemon.process.Err()) //nolint:errorlint // may be nil
		default:
		}
	case found:
		m.note(s)
		x.Reason = string(s.Reason)
		x.Quality, x.RTT, x.HostQueue, x.HostLoss = string(s.Quality), s.RTTSeconds, s.QueueDelaySeconds, s.Loss
		x.Target, x.Achieved, x.FPS = s.TargetBitrate, s.AchievedBitrate, s.FPS
		x.session, x.path = s.ID, string(s.Path)
	}
	switch s, err := m.setup.browser.look(ctx); {
	case err == nil:
		m.seen = s
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, errNoPage):
	default:
		select {
		case <-m.setup.browser.process.Done:
			return fmt.Errorf("lab: Chromium ended: %w", err)
		default: // the page is being replaced
		}
	}
	x.Shown = m.seen.Shown
	m.link(&x, at)
	m.run.Samples = append(m.run.Samples, x)
	return nil
}

// note keeps a session and its new transitions.
func (m *meter) note(s client.Session) {
	if s.ID != m.newest.ID {
		m.transition = 0
	}
	m.newest = s
	for _, t := range s.Transitions {
		if t.Seq > m.transition {
			m.transition = t.Seq
			m.run.Transitions = append(m.run.Transitions, t)
		}
	}
}

// link adds what the link did since the sample before.
func (m *meter) link(x *Sample, at time.Duration) {
	d := m.setup.wire.toViewer
	sent, dropped, bytes := d.sent.Load(), d.dropped.Load()+d.late.Load(), d.bytes.Load()
	x.Queue = d.longestWait().Seconds()
	x.Packets, x.Dropped = int(sent-m.sent), int(dropped-m.dropped)
	if span := (at - m.at).Seconds(); span > 0 {
		x.Bits = float64(bytes-m.bytes) * 8 / span
		x.Capacity = m.run.Profile.ToViewer.Capacity.Bits(m.at, at, math.Inf(1)) / span
	}
	m.at, m.sent, m.dropped, m.bytes = at, sent, dropped, bytes
}

// picture keeps a picture of the page. The report does without it if the browser is too slow for one.
func (m *meter) picture(ctx context.Context, at time.Duration, progress io.Writer) {
	data, err := m.setup.browser.picture(ctx)
	if err != nil {
		_, _ = fmt.Fprintf(progress, "  no picture of the page: %v\n", err)
		return
	}
	m.run.Pictures = append(m.run.Pictures, Picture{at.Seconds(), data})
}

// finish adds to the figures what is known at the end, and keeps the flight recording.
func (m *meter) finish(ctx context.Context, f *Figures, out string) {
	s := m.newest
	f.Codec, f.Encoder, f.Transitions = string(s.Codec), s.Encoder, len(m.run.Transitions)
	f.Load = load()
	if s.ID == "" {
		return
	}
	if data, err := m.setup.daemon.api.Sessions.Recording(ctx, s.ID); err == nil {
		_ = os.WriteFile(filepath.Join(out, "flight.recording"), data, 0o644) //nolint:gosec // it has no secrets
	}
}

// load returns the machine's load of the last minute per core, 0 if it is unknown.
func load() float64 {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0
	}
	first, _, _ := strings.Cut(string(text), " ")
	x, err := strconv.ParseFloat(first, 64)
	if err != nil {
		return 0
	}
	return x / float64(runtime.NumCPU())
}

// draw returns the chart of a run, as SVG.
func (r *Run) draw() (string, error) {
	if len(r.Samples) == 0 {
		return "", nil
	}
	length := time.Duration(r.Samples[len(r.Samples)-1].AtSeconds * float64(time.Second))
	n := int(length/chart.Grain) + 1
	panels := []struct {
		unit  string
		lines []curve
	}{
		{"Mbit/s", []curve{
			{"capacity", chart.Gray, func(x Sample) float64 { return x.Capacity / 1e6 }},
			{"target", chart.Blue, func(x Sample) float64 { return float64(x.Target) / 1e6 }},
			{"achieved", chart.Green, func(x Sample) float64 { return float64(x.Achieved) / 1e6 }},
			{"carried", chart.Orange, func(x Sample) float64 { return x.Bits / 1e6 }},
		}},
		{"ms", []curve{
			{"round trip", chart.Blue, func(x Sample) float64 { return x.RTT * 1e3 }},
			{"queue", chart.Red, func(x Sample) float64 { return x.Queue * 1e3 }},
		}},
		{"pictures/s", []curve{{"sent", chart.Green, func(x Sample) float64 { return x.FPS }}, shownRate(r.Samples)}},
		{"% lost", []curve{
			{"dropped", chart.Red, func(x Sample) float64 {
				return 100 * float64(x.Dropped) / max(1, float64(x.Packets))
			}},
			{"seen by host", chart.Blue, func(x Sample) float64 { return 100 * x.HostLoss }},
		}},
	}
	// The capacity of a fast link would make all other curves flat.
	most := 0.0
	for _, x := range r.Samples {
		most = max(most, float64(x.Target), x.Bits)
	}
	c := chart.Chart{Title: r.Profile.Name + ": " + r.Profile.About, Length: length, States: states(r.Samples)}
	for _, p := range panels {
		panel := chart.Panel{Unit: p.unit}
		for _, one := range p.lines {
			line := chart.NewLine(one.name, one.color, n)
			for _, x := range r.Samples {
				y := one.of(x)
				if one.name == "capacity" {
					y = min(y, 1.5*most/1e6)
				}
				line.Y[min(n-1, int(x.AtSeconds/chart.Grain.Seconds()))] = y
			}
			fill(line.Y)
			panel.Lines = append(panel.Lines, line)
		}
		c.Panels = append(c.Panels, panel)
	}
	var b strings.Builder
	err := c.WriteSVG(&b)
	return b.String(), err
}

// curve is a line of a chart, by samples.
type curve struct {
	name, color string
	of          func(Sample) float64
}

// shownRate returns the curve of pictures that the browser shows, over a second.
func shownRate(all []Sample) curve {
	rates := map[float64]float64{}
	for i, x := range all {
		k := max(0, i-int(time.Second/chart.Grain))
		if span := x.AtSeconds - all[k].AtSeconds; span > 0 {
			rates[x.AtSeconds] = float64(x.Shown-all[k].Shown) / span
		}
	}
	return curve{"shown", chart.Pink, func(x Sample) float64 { return rates[x.AtSeconds] }}
}

// fill closes gaps of values, which come from samples that were late.
func fill(values []float64) {
	for i := 1; i < len(values); i++ {
		if math.IsNaN(values[i]) {
			values[i] = values[i-1]
		}
	}
}
