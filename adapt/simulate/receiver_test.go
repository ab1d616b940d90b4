package simulate

import (
	"testing"
	"time"

	"wavryhost/adapt"
)

// listener is a controller that holds its rate and keeps all feedback.
type listener struct {
	rate  int
	heard []adapt.Feedback
	keys  int
}

func (l *listener) OnSent(adapt.Packet)                               {}
func (l *listener) OnFeedback(f adapt.Feedback)                       { l.heard = append(l.heard, f) }
func (l *listener) OnSource(adapt.Source)                             {}
func (l *listener) OnKeyframeRequest(time.Time, adapt.KeyframeReason) { l.keys++ }
func (l *listener) OnApplied(adapt.Applied)                           {}
func (l *listener) OnLimit(adapt.Limit)                               {}
func (l *listener) Estimate(time.Time) adapt.Estimate                 { return adapt.Estimate{Target: l.rate} }

func (l *listener) Tick(time.Time) adapt.Targets {
	return adapt.Targets{EncoderBitrate: l.rate, PacingRate: 2 * l.rate, FPS: 30}
}

// listen plays a flow of 1 Mbit/s over a link for half a minute.
func listen(t *testing.T, f Feedback, change func(*Link), seed uint64) (*listener, *Result) {
	t.Helper()
	l := &listener{rate: 1_000_000}
	links := oneWay(Constant(10e6), rfcQueue, 20*time.Millisecond, 0)
	change(&links[0])
	one := flow(desktop(1_000_000, 1_000_000, 30), 0, 30*sec)
	one.Feedback = f
	r, err := Run(Case{Name: "listen", Length: 31 * sec, Links: links, Flows: []Flow{one}}, seed,
		func(adapt.Config) (adapt.Controller, error) { return l, nil })
	if err != nil {
		t.Fatal(err)
	}
	return l, r
}

func (l *listener) of(kind adapt.FeedbackKind) (list []adapt.Feedback) {
	for _, f := range l.heard {
		if f.Kind == kind {
			list = append(list, f)
		}
	}
	return list
}

func TestReceiversReportAsBrowsersDo(t *testing.T) {
	for seed, every := range map[uint64]time.Duration{1: 50 * time.Millisecond, 2: 100 * time.Millisecond} {
		l, _ := listen(t, Feedback{}, func(k *Link) { k.Loss, k.Jitter = .05, 3*time.Millisecond }, seed)
		transport, reports := l.of(adapt.TWCC), l.of(adapt.RR)
		if n, want := len(transport), int(30*sec/every); n < want*9/10 || n > want+20 {
			t.Errorf("%d messages of transport feedback in 30 s; want about %d", n, want)
		}
		if n := len(reports); n < 25 || n > 37 {
			t.Errorf("%d receiver reports in 30 s; want about one a second", n)
		}
		lost := 0.0
		for i, f := range reports {
			lost += f.Loss / float64(len(reports))
			if i > 0 {
				if gap := f.At.Sub(reports[i-1].At); gap < 490*time.Millisecond || gap > 1510*time.Millisecond {
					t.Errorf("receiver reports are %v apart; want 0.5 to 1.5 s", gap)
				}
			}
			if len(f.Packets) > 0 {
				t.Fatal("a receiver report beside transport feedback names packets")
			}
			if i > 2 && (f.RTT < 40*time.Millisecond || f.RTT > 60*time.Millisecond || f.Jitter == 0) {
				t.Errorf("a receiver report has a round trip of %v and a jitter of %v; want 40 ms and some", f.RTT, f.Jitter)
			}
		}
		if lost < .03 || lost > .07 {
			t.Errorf("receiver reports tell of %.3f lost; want 0.05", lost)
		}
	}
	l, _ := listen(t, Feedback{Reports: TransportReports}, func(*Link) {}, 1)
	if len(l.of(adapt.RR)) != 0 || len(l.of(adapt.TWCC)) == 0 {
		t.Error("a receiver with transport feedback alone sends receiver reports")
	}
	l, _ = listen(t, Feedback{Reports: ReceiverReports, Echo: 250 * time.Millisecond}, func(k *Link) { k.Loss = .05 }, 1)
	if len(l.of(adapt.TWCC)) != 0 || len(l.of(adapt.RR)) == 0 || len(l.of(adapt.NACK)) == 0 ||
		len(l.of(adapt.Echo)) < 100 {
		t.Error("a receiver with receiver reports alone sends no NACKs, no echoes, or transport feedback")
	}
}

func TestLostPacketsAreRepairedAndShownInOrder(t *testing.T) {
	_, r := listen(t, Feedback{}, func(k *Link) { k.Loss = .05 }, 1)
	f := r.Flows[0]
	again, spare := 0, 0
	for _, p := range f.Packets {
		if p.Again {
			again++
		}
		if p.Spare {
			spare++
		}
	}
	lost := f.Loss(0, 30*sec) * float64(len(f.Packets))
	if float64(again) < .9*lost || float64(again) > 1.1*lost || spare > again/10 {
		t.Errorf("%.0f packets are lost, %d sent again, %d for nothing; want each sent again once", lost, again, spare)
	}
	if s := f.Stands(sec, 29*sec); s > .4 {
		t.Errorf("the picture stands for %.2f s; want retransmissions within a few round trips", s)
	}
	last := time.Duration(0)
	for i, frame := range f.Frames {
		if frame.Shown > 0 && (frame.Shown < last || frame.Shown < frame.Done) {
			t.Fatalf("frame %d is shown at %v, before the one before it or its own end", i, frame.Shown)
		}
		last = max(last, frame.Shown)
	}
	// Without requests for retransmissions a keyframe repairs each loss.
	l, _ := listen(t, Feedback{Mute: true}, func(k *Link) { k.Loss = .01 }, 1)
	if l.keys == 0 {
		t.Error("a receiver that asks for no retransmission asks for no keyframe")
	}
}
