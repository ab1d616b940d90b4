package session

import (
	"time"

	"wavryhost/adapt"
)

// The causes of bad quality and of freezes. With causeNone nothing is wrong.
const (
	causeNone   = "none"
	causeHost   = "host"
	causePath   = "path"
	causeViewer = "viewer"
)

var (
	causes       = []string{causeNone, causeHost, causePath, causeViewer}
	freezeCauses = causes[1:]
)

const (
	// slowest bounds the time between two pictures that counts for the mean: a still screen has no frame rate.
	slowest = time.Second
	// freezeMargin is the part of the rule of the W3C's freezeCount: a picture freezes when the next one comes later
	// than three times the mean time between pictures, and than the mean and this margin.
	freezeMargin = 150 * time.Millisecond
	// meanShare is the weight of the newest time between pictures in the mean.
	meanShare = 8
)

// freeze follows the times in which a viewer's picture stands although another one is due. They count while they last:
// a viewer that leaves a frozen picture was frozen.
type freeze struct {
	last   time.Time     // when the pacer got a picture last
	mean   time.Duration // between pictures
	behind time.Time     // since when the pacer has had no room, zero if it has
	cause  string        // of the freeze that lasts, empty for none
	at     time.Time     // of the last step
}

// sent notes that the pacer has got a picture.
func (f *freeze) sent(now time.Time) {
	if !f.last.IsZero() {
		f.mean += (min(now.Sub(f.last), slowest) - f.mean) / meanShare
	}
	f.last, f.behind = now, time.Time{}
}

// late reports whether the path has not taken a due picture for the time of a freeze. ready says whether the pacer has
// room for one.
func (f *freeze) late(now time.Time, ready bool) bool {
	if ready {
		f.behind = time.Time{}
		return false
	}
	if f.behind.IsZero() {
		f.behind = now
	}
	return now.Sub(f.behind) >= max(3*f.mean, f.mean+freezeMargin)
}

// step notes the cause of a freeze at a moment, empty for none. It returns the time to add to that cause, and whether a
// freeze begins.
func (f *freeze) step(now time.Time, cause string) (add time.Duration, begins bool) {
	if f.cause != "" && cause != "" {
		add = now.Sub(f.at)
	}
	begins = f.cause == "" && cause != ""
	f.cause, f.at = cause, now
	return add, begins
}

// due is what a freeze is judged by.
type due struct {
	lost    bool // the display or the encoders have failed
	ready   bool // the pacer has room for a picture
	stalled bool // the path has delivered nothing for a while
	crowded func() bool
}

// qualityCause returns what a quality state is due to. lost says whether the display or the encoders have failed.
func qualityCause(t adapt.Targets, lost bool) string {
	switch {
	case lost:
		return causeHost
	case t.Quality == adapt.Good:
		return causeNone
	}
	switch t.Reason {
	case adapt.ReasonEncoderOverload, adapt.ReasonEncoderOvershoot, adapt.ReasonHostSaturated:
		return causeHost
	case adapt.ReasonUserLimit, adapt.ReasonPeerLimit:
		return causeViewer
	default: // the path, or a climb back from what the path allowed
		return causePath
	}
}
