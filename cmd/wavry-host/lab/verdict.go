package lab

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"wavryhost/session/api/client"
)

// Verdict is the result of a run.
type Verdict string

const (
	// Reached means that all goals were reached.
	Reached Verdict = "reached"
	// Missed means that a goal was missed.
	Missed Verdict = "missed"
	// Undecided means that a goal was missed, and that the machine was too busy to blame the network.
	Undecided Verdict = "undecided"
)

// Goal is a bound, and what was reached.
type Goal struct {
	Name string `json:"goal"`
	Want string `json:"want"`
	Got  string `json:"got"`
	OK   bool   `json:"ok"`
}

// judge compares figures with the goals of a profile. There must be a picture in any case, through the relay if there
// is one.
func judge(g Goals, f Figures, relayed bool) []Goal {
	shown := f.FirstFrameSeconds > 0
	all := []Goal{{"a picture is shown", "yes", word(shown, "yes", "no"), shown}}
	if relayed {
		all = append(all, Goal{
			"media pass the relay", string(client.PathRelay), cmp.Or(f.Path, "no path"),
			f.Path == string(client.PathRelay),
		})
	}
	most := func(name string, bound time.Duration, got float64) {
		if bound > 0 {
			all = append(all, Goal{
				name, "at most " + bound.String(), showSeconds(got), shown && got <= bound.Seconds(),
			})
		}
	}
	least := func(name string, bound, got float64, show func(float64) string) {
		if bound > 0 {
			all = append(all, Goal{name, "at least " + show(bound), show(got), shown && got >= bound})
		}
	}
	most("time to the first picture", g.FirstFrame, f.FirstFrameSeconds)
	most("longest freeze", g.LongestFreeze, f.LongestFreezeSeconds)
	most("queue on the link, 95 % of the time", g.Queue, f.QueueSeconds)
	least("time in the state good", g.Good, f.good(), showShare)
	least("time in the states good and constrained", g.Usable, f.usable(), showShare)
	least("pictures per second", g.FPS, f.FPS, func(x float64) string { return showNumber(x, "") })
	least("bitrate", g.Bitrate, f.Bitrate, showBitrate)
	return all
}

// busyLoad is the load per core above which a machine is too busy for a verdict. The lab alone makes about 1.5 on two
// cores.
const busyLoad = 3

// judge compares the figures with the goals of the profile.
func (r *Run) judge() {
	r.Goals = judge(r.Profile.Goals, r.Figures, r.Relay)
	r.Verdict = Reached
	for _, g := range r.Goals {
		if !g.OK {
			r.Verdict = Missed
		}
	}
	if r.Verdict == Missed && r.busy() != "" {
		r.Verdict = Undecided
	}
}

// busy says why the machine was too busy for a verdict about the network, "" if it was not.
func (r *Run) busy() string {
	for _, x := range r.Samples { // a reason may change without a transition
		switch client.QualityReason(x.Reason) { //nolint:exhaustive // the others are the network's
		case client.QualityReasonEncoderOverload, client.QualityReasonHostSaturated:
			return "the machine was too slow for the encoder (" + x.Reason + ")"
		}
	}
	if r.Figures.Load > busyLoad {
		return fmt.Sprintf("the machine had a load of %.1f per core", r.Figures.Load)
	}
	return ""
}

// summary says in a line how a run ended.
func (r *Run) summary() string {
	var missed []string
	for _, g := range r.Goals {
		if !g.OK {
			missed = append(missed, fmt.Sprintf("%s: %s, not %s", g.Name, g.Got, g.Want))
		}
	}
	switch r.Verdict {
	case Reached:
		return "all goals are reached"
	case Undecided:
		return "undecided, because " + r.busy() + "; missed: " + strings.Join(missed, "; ")
	default:
		return "missed: " + strings.Join(missed, "; ")
	}
}

func word(yes bool, a, b string) string {
	if yes {
		return a
	}
	return b
}
