package wire

import (
	"errors"
	"testing"
	"time"

	"wavryhost/adapt"
	"wavryhost/encode"

	"github.com/pion/rtcp"
)

func newLink(t testing.TB, cfg Config) *Link {
	t.Helper()
	l, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.NewTrack("video", "test"); err != nil {
		t.Fatal(err)
	}
	return l
}

// unit is an access unit of one slice with n bytes.
func unit(n int, key bool, at time.Time) encode.AccessUnit {
	nal := byte(1)
	if key {
		nal = 5
	}
	data := append([]byte{0, 0, 0, 1, nal}, make([]byte, n)...)
	for i := range n {
		data[5+i] = byte(i%250 + 4) // no start codes
	}
	return encode.AccessUnit{Data: data, Key: key, Time: at}
}

func TestOneAccessUnitWaits(t *testing.T) {
	l := newLink(t, Config{})
	now := time.Now()
	for i, want := range []error{nil, nil, ErrFull} {
		if _, err := l.track.WriteAccessUnit(unit(3000, false, now)); !errors.Is(err, want) {
			t.Errorf("access unit %d: %v; want %v", i, err, want)
		}
	}
	if _, err := l.track.WriteAccessUnit(unit(9000, true, now)); err != nil {
		t.Errorf("a keyframe does not replace what waits: %v", err)
	}
	before := l.Queue()
	packets, bytes := l.Drop()
	if after := l.Queue(); packets == 0 || after.Packets != before.Packets-packets || after.Bytes != before.Bytes-bytes || after.Packets == 0 {
		t.Errorf("Drop took %d packets of %+v and left %+v; want the begun access unit kept", packets, before, after)
	}
	if s := l.Stats(); s.DroppedFull != 1 || s.Dropped != 2 {
		t.Errorf("counts are %+v; want 1 refused and 2 dropped", s)
	}
}

func TestTimeStampIsCaptureTime(t *testing.T) {
	l := newLink(t, Config{})
	base := time.Now()
	var stamps []uint32
	for _, d := range []time.Duration{0, 16 * time.Millisecond, 500 * time.Millisecond} {
		l.current, l.waiting = batch{}, batch{}
		if _, err := l.track.WriteAccessUnit(unit(100, true, base.Add(d))); err != nil {
			t.Fatal(err)
		}
		stamps = append(stamps, l.current.packets[0].Timestamp)
		if last := l.current.packets[len(l.current.packets)-1]; !last.Marker {
			t.Error("the last packet has no marker")
		}
	}
	if a, b := stamps[1]-stamps[0], stamps[2]-stamps[0]; a != 1440 || b != 45000 {
		t.Errorf("16 and 500 ms are %d and %d ticks; want 1440 and 45000", a, b)
	}
}

// feedback builds a transport-wide report; 0 is lost, else the delta in units of 250 µs plus one.
func feedback(base uint16, reference uint32, deltas ...int) *rtcp.TransportLayerCC {
	p := &rtcp.TransportLayerCC{BaseSequenceNumber: base, PacketStatusCount: uint16(len(deltas)), ReferenceTime: reference}
	for _, d := range deltas {
		symbol := rtcp.TypeTCCPacketNotReceived
		if d > 0 {
			symbol = rtcp.TypeTCCPacketReceivedSmallDelta
			p.RecvDeltas = append(p.RecvDeltas, &rtcp.RecvDelta{Type: symbol, Delta: int64(d-1) * rtcp.TypeTCCDeltaScaleFactor})
		}
		p.PacketChunks = append(p.PacketChunks, &rtcp.RunLengthChunk{PacketStatusSymbol: symbol, RunLength: 1})
	}
	return p
}

func receive(l *Link, now time.Time, p rtcp.Packet) []adapt.Packet {
	r := l.Receive(now, []rtcp.Packet{p})
	if len(r.Feedback) == 0 {
		return nil
	}
	return r.Feedback[0].Packets
}

func TestTransportFeedback(t *testing.T) {
	l := newLink(t, Config{})
	now := time.Now()
	for i := range 10 {
		l.history.add(uint16(65530+i), true, 1000+i, now.Add(time.Duration(i)*time.Millisecond), label{})
	}
	// Across the wrap of the sequence number, and of the reference time.
	first := receive(l, now.Add(50*time.Millisecond), feedback(65530, 1<<24-1, 1, 5, 0, 9))
	if len(first) != 4 || !first[2].Lost || first[0].Size != 1000 || first[3].Arrived.Sub(first[0].Arrived) != 3*time.Millisecond {
		t.Fatalf("the first report is %+v", first)
	}
	second := receive(l, now.Add(60*time.Millisecond), feedback(65534, 0, 1, 1, 1))
	if len(second) != 3 || second[0].ID != 5 || second[2].ID != 7 {
		t.Fatalf("the second report is %+v; want packets 5 to 7", second)
	}
	if d := second[0].Arrived.Sub(first[0].Arrived); d != 64*time.Millisecond {
		t.Errorf("the reference time moved by %v over its wrap; want 64ms", d)
	}
	// The packet reported lost was only late.
	if late := receive(l, now, feedback(65532, 1, 1)); len(late) != 1 || late[0].Lost || late[0].ID != 3 {
		t.Errorf("the late packet is %+v; want packet 3 received", late)
	}
	if again := receive(l, now, feedback(65532, 1, 1)); again != nil {
		t.Errorf("a repeated report is %+v; want nothing", again)
	}
	if never := receive(l, now, feedback(1000, 2, 1, 1)); never != nil {
		t.Errorf("packets that were never sent are %+v; want nothing", never)
	}
	if s := l.Stats(); s.ReportedTwice != 1 || s.NeverSent != 2 {
		t.Errorf("counts are %+v; want 1 repeated, 2 never sent", s)
	}
}

func TestReceiverReport(t *testing.T) {
	l := newLink(t, Config{})
	l.track.ssrc = 7
	now := time.Now()
	sent := uint32(ntp64(now.Add(-120*time.Millisecond)) >> 16)
	r := l.Receive(now, []rtcp.Packet{
		&rtcp.ReceiverReport{Reports: []rtcp.ReceptionReport{
			{SSRC: 7, FractionLost: 64, Jitter: 900, LastSenderReport: sent, Delay: 65536 / 10},
			{SSRC: 8, FractionLost: 255},
		}},
		&rtcp.PictureLossIndication{}, &rtcp.TransportLayerNack{Nacks: []rtcp.NackPair{{PacketID: 5, LostPackets: 3}}},
	})
	if len(r.Feedback) != 1 || !r.PLI || r.FIR || r.NACKs != 3 {
		t.Fatalf("report is %+v", r)
	}
	f := r.Feedback[0]
	if f.Loss != 0.25 || f.Jitter != 10*time.Millisecond || f.RTT < 19*time.Millisecond || f.RTT > 21*time.Millisecond {
		t.Errorf("feedback is %+v; want loss 0.25, jitter 10ms, RTT about 20ms", f)
	}
}

func FuzzReceive(f *testing.F) {
	for _, p := range []rtcp.Packet{
		feedback(65530, 5, 1, 0, 3), &rtcp.ReceiverReport{Reports: []rtcp.ReceptionReport{{SSRC: 7}}}, &rtcp.PictureLossIndication{},
	} {
		if data, err := p.Marshal(); err == nil {
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		packets, err := rtcp.Unmarshal(data)
		if err != nil {
			return
		}
		l := newLink(t, Config{})
		now := time.Now()
		for i := range 40 {
			l.history.add(uint16(65520+i), true, 1200, now, label{})
		}
		for _, feedback := range l.Receive(now, packets).Feedback {
			for _, p := range feedback.Packets {
				if p.ID == 0 || p.ID > 40 {
					t.Fatalf("packet %+v was never sent", p)
				}
			}
		}
	})
}

func BenchmarkWriteAccessUnit(b *testing.B) {
	l := newLink(b, Config{})
	au := unit(20_000, false, time.Now())
	b.ReportAllocs()
	for b.Loop() {
		l.current, l.waiting = batch{}, batch{}
		if _, err := l.track.WriteAccessUnit(au); err != nil {
			b.Fatal(err)
		}
	}
}
