package quality

import (
	"testing"
	"time"

	"wavryhost/adapt/tuning"
)

// tick is how often the machine is asked.
const tick = 10 * time.Millisecond

// Within a state the reason is what holds now, unless it takes turns, and that is no transition.
func TestReasonChangesWithinAState(t *testing.T) {
	var m Machine
	start := time.Unix(1_000_000, 0)
	at := time.Duration(0)
	during := func(long time.Duration, cause func(time.Duration) Reason) {
		for end := at + long; at < end; at += tick {
			m.Step(start.Add(at), Evidence{Share: .8, Cause: cause(at)})
		}
	}
	always := func(r Reason) func(time.Duration) Reason { return func(time.Duration) Reason { return r } }
	during(5*time.Second, always(ReasonLoss))
	if m.State != Constrained || m.Reason != ReasonLoss || m.Seq != 1 {
		t.Fatalf("%v by %v after %d transitions; want constrained by loss after one", m.State, m.Reason, m.Seq)
	}
	during(20*time.Second, func(at time.Duration) Reason {
		if at/time.Second%2 == 0 {
			return ReasonQueueDelay
		}
		return ReasonLoss
	})
	if m.Reason != ReasonLoss {
		t.Errorf("with reasons that take turns each second the state's is %v; want that it entered by", m.Reason)
	}
	during(tuning.UpDwell+tick, always(ReasonQueueDelay))
	if m.Reason != ReasonQueueDelay {
		t.Errorf("after %v of another reason the state's is %v", tuning.UpDwell, m.Reason)
	}
	during(2*tick, always(ReasonPolicer))
	if m.Reason != ReasonPolicer {
		t.Errorf("a policer that was found is not told: %v", m.Reason)
	}
	during(tuning.UpDwell+tick, always(ReasonProbeOK))
	if m.Reason != ReasonQueueDelay || m.Seq != 1 {
		t.Errorf("a probe that worked makes the reason %v, after %d transitions; want the path's, after one",
			m.Reason, m.Seq)
	}
}

// A coarse picture is a state after a while only, and for the reason that the rate is low.
func TestCoarsePicture(t *testing.T) {
	var m Machine
	start := time.Unix(1_000_000, 0)
	for at := time.Duration(0); at <= tuning.CoarseFor; at += tick {
		m.Step(start.Add(at), Evidence{Share: 1, Coarse: true, Cause: ReasonCompetingTraffic})
		if late := at >= tuning.CoarseFor; (m.State == Constrained) != late {
			t.Fatalf("after %v it is %v", at, m.State)
		}
	}
	if m.Reason != ReasonCompetingTraffic {
		t.Errorf("the reason is %v; want that of the rate", m.Reason)
	}
	for at := time.Duration(0); at < tuning.UpDwell+2*tick; at += tick {
		m.Step(start.Add(tuning.CoarseFor+at), Evidence{Share: 1})
	}
	if m.State != Good {
		t.Errorf("the picture is sharp again, and the state is %v", m.State)
	}
}
