package wire

import (
	"testing"
	"time"

	"github.com/pion/rtcp"
)

// The wall clock is set between a sender report and the receiver report that answers it. The round trip stays 20 ms, by
// the monotonic clock.
func TestRoundTripsOutliveStepsOfTheClock(t *testing.T) {
	const rtt, held = 20 * time.Millisecond, 100 * time.Millisecond
	for _, c := range []struct {
		name string
		step time.Duration
	}{
		{"none", 0},
		{"3 s ahead", 3 * time.Second},
		{"300 ms ahead", 300 * time.Millisecond},
		{"15 ms back", -15 * time.Millisecond},
		{"3 s back", -3 * time.Second},
		{"an hour ahead", time.Hour},
		{"a day back", -24 * time.Hour},
	} {
		l := newSender(t, Config{})
		l.reader.ssrc.Store(7)
		var clock reportClock
		now := time.Now()
		// The time by the wall clock before the step, as in the report.
		before := uint32(ntp64(now.Add(-c.step)) >> 16)
		clock.note(before, now.Add(-rtt-held))
		for _, p := range []rtcp.Packet{
			&rtcp.ReceiverReport{Reports: []rtcp.ReceptionReport{{SSRC: 9}, {
				SSRC: 7, LastSenderReport: before,
				Delay: uint32(held.Seconds() * 65536),
			}}},
			&rtcp.SenderReport{Reports: []rtcp.ReceptionReport{{
				SSRC: 7, LastSenderReport: before,
				Delay: uint32(held.Seconds() * 65536),
			}}},
		} {
			data, err := rtcp.Marshal([]rtcp.Packet{p, &rtcp.PictureLossIndication{MediaSSRC: 7}})
			if err != nil {
				t.Fatal(err)
			}
			clock.rewrite(data, now)
			packets, err := rtcp.Unmarshal(data)
			if err != nil {
				t.Fatal(err)
			}
			f := l.Receive(now, packets).Feedback
			if got := f[0].RTT; got < rtt-time.Millisecond || got > rtt+time.Millisecond {
				t.Errorf("%s, %T: round trip %v; want %v", c.name, p, got, rtt)
			}
		}
	}
}

// Reports that answer nothing, or that claim to have held a report longer than it exists, give no round trip.
func TestRoundTripsThatCannotBe(t *testing.T) {
	now := time.Now()
	sent := uint32(ntp64(now.Add(-time.Second)) >> 16)
	for _, c := range []struct {
		name        string
		stamp, held uint32
	}{
		{"a report that was never sent", sent + 1, 0},
		{"held longer than it exists", sent, 2 * 65536},
		{"held for ever", sent, 1<<32 - 1},
	} {
		l := newSender(t, Config{})
		l.reader.ssrc.Store(7)
		var clock reportClock
		clock.note(sent, now.Add(-time.Second))
		data, err := (&rtcp.ReceiverReport{Reports: []rtcp.ReceptionReport{{
			SSRC: 7, LastSenderReport: c.stamp,
			Delay: c.held,
		}}}).Marshal()
		if err != nil {
			t.Fatal(err)
		}
		clock.rewrite(data, now)
		packets, err := rtcp.Unmarshal(data)
		if err != nil {
			t.Fatal(err)
		}
		if f := l.Receive(now, packets).Feedback; f[0].RTT != 0 {
			t.Errorf("%s: round trip %v; want none", c.name, f[0].RTT)
		}
	}
}

// FuzzReportClock passes arbitrary bytes to rewrite: only the time of the last sender report may change.
func FuzzReportClock(f *testing.F) {
	data, err := (&rtcp.ReceiverReport{Reports: []rtcp.ReceptionReport{{
		SSRC: 7, LastSenderReport: 5,
		Delay: 1,
	}}}).Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte{0x81, 201, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		var clock reportClock
		clock.note(5, time.Now().Add(-time.Second))
		was := len(b)
		clock.rewrite(b, time.Now())
		if len(b) != was {
			t.Error("the packet has another length")
		}
	})
}
