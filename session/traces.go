package session

import (
	"log/slog"
	"time"

	"wavryhost/adapt"
	"wavryhost/encode"
	"wavryhost/session/lockorder"
	"wavryhost/session/pipeline"
)

// Why a sampled frame has no end: until the next sample, or the end of the session,
const (
	frameUnsent  = "not_sent"         // it has not left the pacer, or never came to it
	frameUnacked = "not_acknowledged" // the viewer has not reported it
)

// traces makes the traces of a session: of its set-up, and of one frame in a while, from its capture until the viewer
// reports it.
type traces struct {
	give   func(Span) // nil without tracing, and then nothing below is used
	every  time.Duration
	parent string             // the W3C traceparent of the offer
	attrs  func() []slog.Attr // what all traces have
	// newest is the ID of the newest packet. It belongs to the goroutine of the pacer.
	newest uint64

	mu      lockorder.Mutex[traceLock] // guards the rest
	due     time.Time                  // of the next sample
	arrived uint64                     // the newest packet that the viewer has reported
	frame   *sampled                   // not reported yet; nil for none
}

// sampled is a frame on its way.
type sampled struct {
	span     Span
	captured time.Time // identifies it to the pacer
	encoded  time.Time
	sent     time.Time // zero before its last packet left
	last     uint64    // the ID of that packet
}

// setup gives the trace of the set-up away. reason is why it failed, empty if it did not, and err the details.
func (t *traces) setup(now time.Time, s setup, reason string, err error) {
	if t.give == nil {
		return
	}
	root := s.span(now, reason, err)
	root.Attrs, root.Parent = append(t.attrs(), root.Attrs...), t.parent
	t.give(root)
}

// close gives away what there is when the session ends.
func (t *traces) close(now time.Time, s setup, why EndReason, err error) {
	t.giveUp(now)
	if !s.over {
		t.setup(now, s, why.String(), err)
	}
}

// begin samples a picture that goes to the pacer next, if one is due. It returns whether it did.
func (t *traces) begin(au encode.AccessUnit, p pipeline.Picture) bool {
	if t.give == nil || p.Taken.IsZero() {
		return false
	}
	now := time.Now()
	t.mu.Lock()
	due := !now.Before(t.due)
	t.mu.Unlock()
	if !due {
		return false
	}
	read, converted := au.Time.Add(p.Took), p.Taken.Add(au.Convert)
	if read.After(p.Taken) {
		read = p.Taken
	}
	f := &sampled{captured: au.Time, encoded: now, span: Span{
		Name: spanFrame, Start: au.Time,
		Attrs: append(t.attrs(), slog.Bool(attrKeyframe, au.Key), slog.Int(attrWidth, au.Width),
			slog.Int(attrHeight, au.Height), slog.Int(attrBytes, len(au.Data))),
		Parts: []Span{
			{Name: spanCapture, Start: au.Time, End: read},
			{Name: spanWait, Start: read, End: p.Taken},
			{Name: spanConvert, Start: p.Taken, End: converted},
			{Name: spanEncode, Start: converted, End: converted.Add(au.Encode)},
		},
	}}
	t.giveUp(now)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.frame, t.due = f, now.Add(t.every)
	return true
}

// refused forgets the sampled picture, which the pacer did not take. The next one is sampled instead.
func (t *traces) refused() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.frame, t.due = nil, time.Time{}
}

// paced notes that the last packet of a picture has left. The goroutine of the pacer calls it.
func (t *traces) paced(captured time.Time) {
	if t.give == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	f := t.frame
	if f == nil || !f.sent.IsZero() || !f.captured.Equal(captured) {
		return
	}
	f.sent, f.last = time.Now(), t.newest
	f.span.Parts = append(f.span.Parts, Span{Name: spanSend, Start: f.encoded, End: f.sent})
	if t.arrived >= f.last { // the report was faster
		t.end(f.sent, "")
	}
}

// reported takes a report of the viewer. The frame is acknowledged when its last packet, or a later one, arrived.
func (t *traces) reported(now time.Time, feedback []adapt.Feedback) {
	if t.give == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, f := range feedback {
		if f.Kind != adapt.RR && !f.Kind.Complete() {
			continue
		}
		for _, p := range f.Packets {
			if !p.Lost && (f.Kind == adapt.RR || !p.Arrived.IsZero()) {
				t.arrived = max(t.arrived, p.ID)
			}
		}
	}
	if f := t.frame; f != nil && !f.sent.IsZero() && t.arrived >= f.last {
		t.end(now, "")
	}
}

// giveUp ends the trace of a frame that was not reported.
func (t *traces) giveUp(now time.Time) {
	if t.give == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.frame == nil:
	case t.frame.sent.IsZero():
		t.end(now, frameUnsent)
	default:
		t.end(now, frameUnacked)
	}
}

// end gives the frame's trace away. The caller holds mu.
func (t *traces) end(now time.Time, reason string) {
	f := t.frame
	t.frame = nil
	last := Span{Name: spanSend, Start: f.encoded, End: now, Reason: reason}
	if !f.sent.IsZero() {
		last.Name, last.Start = spanAck, f.sent
	}
	f.span.End, f.span.Reason, f.span.Parts = now, reason, append(f.span.Parts, last)
	t.give(f.span)
}
