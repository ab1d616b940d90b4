package wire

import (
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"wavryhost/adapt"
	"wavryhost/encode"
	"wavryhost/platform/guard"

	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
)

func newSender(t testing.TB, cfg Config) *Sender {
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

// unit returns an access unit of one slice with n bytes.
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
	l := newSender(t, Config{})
	now := time.Now()
	for i, want := range []error{nil, nil, ErrFull} {
		if _, err := l.track.WriteAccessUnit(unit(3000, false, now)); !errors.Is(err, want) {
			t.Errorf("access unit %d: %v; want %v", i, err, want)
		}
	}
	if _, err := l.track.WriteAccessUnit(unit(9000, true, now)); err != nil {
		t.Errorf("a keyframe does not replace what waits: %v", err)
	}
	if s := l.Stats(); s.Superseded != 1 {
		t.Errorf("%d access units were superseded; want 1", s.Superseded)
	}
	if q := l.Queue(); q.Bytes < 3000+9000 || q.Bytes > 3000+9000+2000 {
		t.Errorf("%+v waits; want the first access unit and the keyframe", q)
	}
}

func TestTimeStampIsCaptureTime(t *testing.T) {
	l := newSender(t, Config{})
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

// A step of the wall clock does not change RTP time.
func TestTimeStampIgnoresClockSteps(t *testing.T) {
	l := newSender(t, Config{})
	stepped := func(at time.Time, seconds int64) time.Time {
		// A time with a monotonic reading has its wall seconds in the 33 bits above 30 bits of nanoseconds.
		word := (*uint64)(unsafe.Pointer(&at))
		*word += uint64(seconds << 30)
		return at
	}
	base := time.Now()
	if d := stepped(base, 3600).Round(0).Sub(base.Round(0)); d != time.Hour {
		t.Fatalf("the test moves the wall clock by %v; want 1h", d)
	}
	first := l.track.stamp(base)
	for i, step := range []int64{0, 3600, -86400} {
		d := time.Duration(i+1) * 100 * time.Millisecond
		if got, want := l.track.stamp(stepped(base.Add(d), step))-first, uint32(d.Milliseconds()*90); got != want {
			t.Errorf("%v after the first, the wall clock stepped by %d s: %d ticks; want %d", d, step, got, want)
		}
	}
}

func TestTimeStampsDiffer(t *testing.T) {
	l := newSender(t, Config{})
	now := time.Now()
	first := l.track.stamp(now)
	for i, at := range []time.Time{now, now.Add(-time.Second), now.Add(time.Microsecond)} {
		if got := l.track.stamp(at) - first; got != uint32(i+1) {
			t.Errorf("time stamp %d is %d ticks after the first; want %d", i+1, got, i+1)
		}
	}
	// 30 years, beyond the range of nanoseconds times 90000 in 64 bits.
	if got, want := l.track.stamp(now.Add(30*365*24*time.Hour))-first,
		uint32(30*365*24*3600*90000&(1<<32-1)); got != want {
		t.Errorf("after 30 years %d ticks; want %d", got, want)
	}
}

func TestLargestPacketSizeGoesThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{MTU: 1500, StartRate: 10_000_000}, true)
		r.run(t)
		w := r.write(t, 10_000, true)
		r.drain()
		all := r.packets()
		if len(all) != w.Packets {
			t.Fatalf("%d of %d packets left", len(all), w.Packets)
		}
		r.nack(t, all[1].header.SequenceNumber)
		time.Sleep(10 * time.Millisecond)
		again := r.packets()
		if last := again[len(again)-1]; len(again) != len(all)+1 || string(last.payload[2:]) != string(all[1].payload) {
			t.Errorf("the packet sent again differs from the first time")
		}
	})
}

// feedback builds a transport-wide report: 0 means lost, else the delta in units of 250 µs plus one.
func feedback(base uint16, reference uint32, deltas ...int) *rtcp.TransportLayerCC {
	p := &rtcp.TransportLayerCC{
		BaseSequenceNumber: base, PacketStatusCount: uint16(len(deltas)),
		ReferenceTime: reference,
	}
	for _, d := range deltas {
		symbol := rtcp.TypeTCCPacketNotReceived
		if d > 0 {
			symbol = rtcp.TypeTCCPacketReceivedSmallDelta
			p.RecvDeltas = append(p.RecvDeltas, &rtcp.RecvDelta{
				Type:  symbol,
				Delta: int64(d-1) * rtcp.TypeTCCDeltaScaleFactor,
			})
		}
		p.PacketChunks = append(p.PacketChunks, &rtcp.RunLengthChunk{PacketStatusSymbol: symbol, RunLength: 1})
	}
	return p
}

func receive(l *Sender, now time.Time, p rtcp.Packet) []adapt.Packet {
	r := l.Receive(now, []rtcp.Packet{p})
	if len(r.Feedback) == 0 {
		return nil
	}
	return r.Feedback[0].Packets
}

func TestTransportFeedback(t *testing.T) {
	l := newSender(t, Config{})
	now := time.Now()
	for i := range 10 {
		l.reader.history.add(uint16(65530+i), true, 1000+i, now.Add(time.Duration(i)*time.Millisecond), label{}, content{})
	}
	// Across the wrap of the sequence number, and of the reference time.
	first := receive(l, now.Add(50*time.Millisecond), feedback(65530, 1<<24-1, 1, 5, 0, 9))
	if len(first) != 4 || !first[2].Lost || first[0].Size != 1000 ||
		first[3].Arrived.Sub(first[0].Arrived) != 3*time.Millisecond {
		t.Fatalf("the first report is %+v", first)
	}
	second := receive(l, now.Add(60*time.Millisecond), feedback(65534, 0, 1, 1, 1))
	if len(second) != 3 || second[0].ID != 5 || second[2].ID != 7 {
		t.Fatalf("the second report is %+v; want packets 5 to 7", second)
	}
	if d := second[0].Arrived.Sub(first[0].Arrived); d != 64*time.Millisecond {
		t.Errorf("the reference time moved by %v over its wrap; want 64ms", d)
	}
	// The packet that was reported lost was only late.
	if late := receive(l, now, feedback(65532, 1, 1)); len(late) != 1 || late[0].Lost || late[0].ID != 3 {
		t.Errorf("the late packet is %+v; want packet 3 received", late)
	}
	if again := receive(l, now, feedback(65532, 1, 1)); again != nil {
		t.Errorf("a repeated report is %+v; want nothing", again)
	}
	if never := receive(l, now, feedback(1000, 2, 1, 1)); never != nil {
		t.Errorf("packets that were never sent are %+v; want nothing", never)
	}
	if s := l.Stats(); s.Feedback[FeedbackRepeated] != 1 || s.Feedback[FeedbackUnknown] != 2 {
		t.Errorf("counts are %+v; want 1 repeated, 2 never sent", s)
	}
}

// ccfb returns a report on packets of one stream: -1 for a lost packet, else the age of the arrival in 1/1024 s.
func ccfb(reported uint32, ssrc uint32, begin uint16, ages ...int) *rtcp.CCFeedbackReport {
	b := rtcp.CCFeedbackReportBlock{MediaSSRC: ssrc, BeginSequence: begin}
	for _, age := range ages {
		m := rtcp.CCFeedbackMetricBlock{Received: age >= 0, ECN: rtcp.ECNCE}
		if age >= 0 {
			m.ArrivalTimeOffset = uint16(age)
		}
		b.MetricBlocks = append(b.MetricBlocks, m)
	}
	return &rtcp.CCFeedbackReport{ReportTimestamp: reported, ReportBlocks: []rtcp.CCFeedbackReportBlock{b}}
}

func TestCongestionFeedback(t *testing.T) {
	l := newSender(t, Config{})
	now := time.Now()
	for i := range 8 {
		p := l.reader.history.add(0, false, 1000+i, now.Add(time.Duration(i)*time.Millisecond), label{}, content{})
		l.reader.streams.of(mediaSSRC+uint32(i%2)).put(uint16(65534+i/2), p, content{}) // across the wrap
	}
	r := l.Receive(now.Add(100*time.Millisecond), []rtcp.Packet{ccfb(1<<32-65536/2, mediaSSRC, 65534, 1024/4, -1, 0)})
	if len(r.Feedback) != 1 || r.Feedback[0].Kind != adapt.CCFB || len(r.Feedback[0].Packets) != 3 {
		t.Fatalf("the report is %+v", r)
	}
	f := r.Feedback[0]
	if p := f.Packets; p[0].ID != 1 || p[1].ID != 3 || p[2].ID != 5 || !p[1].Lost || p[2].Size != 1004 ||
		p[0].ECN != 3 ||
		p[2].Arrived.Sub(p[0].Arrived) != 250*time.Millisecond || !p[1].Arrived.IsZero() {
		t.Errorf("the packets are %+v", p)
	}
	if f.RTT != 96*time.Millisecond {
		t.Errorf("round trip %v; want 96ms, from the newest packet on", f.RTT)
	}
	// The clock wraps, a block overlaps the previous one, a packet that was reported lost was late, and another has no
	// time.
	second := receive(l, now.Add(time.Second), ccfb(65536/2, mediaSSRC, 65534, 1024, 512, 0, arrivedUnknown))
	if len(second) != 1 || second[0].ID != 3 || second[0].Lost ||
		second[0].Arrived.Sub(f.Packets[2].Arrived) != 500*time.Millisecond {
		t.Errorf("the second report is %+v", second)
	}
	if none := receive(l, now, ccfb(65536, 0xbad, 0, 1, 2, 3)); none != nil {
		t.Errorf("packets of nobody's stream are %+v", none)
	}
	if s := l.Stats(); s.Feedback[FeedbackRepeated] != 2 || s.Feedback[FeedbackUnknown] != 3 {
		t.Errorf("counts are %+v; want 2 repeated, 3 never sent", s)
	}
	// A report lists one stream after the other. The feedback has the packets in the order they were sent.
	both := ccfb(65536*2, mediaSSRC, 1, 0)
	both.ReportBlocks = append(both.ReportBlocks, ccfb(0, mediaSSRC+1, 65534, 0, 0).ReportBlocks...)
	if p := receive(l, now, both); len(p) != 3 || p[0].ID != 2 || p[1].ID != 4 || p[2].ID != 7 {
		t.Errorf("packets of two streams are %+v; want 2, 4 and 7", p)
	}
}

// Only one form of feedback counts, because each has its own clock.
func TestFormsOfFeedbackDoNotMix(t *testing.T) {
	l := newSender(t, Config{})
	now := time.Now()
	for i := range 4 {
		p := l.reader.history.add(uint16(i), true, 1000, now, label{}, content{})
		l.reader.streams.of(mediaSSRC).put(uint16(i), p, content{})
	}
	if p := receive(l, now, ccfb(1, mediaSSRC, 0, 0)); len(p) != 1 {
		t.Errorf("got %+v", p)
	}
	if p := receive(l, now, feedback(1, 0, 1, 1)); p != nil {
		t.Errorf("after a report by RFC 8888 a transport-wide one gives %+v", p)
	}
}

// Receiver reports and NACKs show the newest packet of media that arrived, if there are no better reports.
func TestReportsNamePackets(t *testing.T) {
	l := newSender(t, Config{})
	l.reader.ssrc.Store(mediaSSRC)
	begun := time.Now()
	for i := range 12 {
		at := begun.Add(time.Duration(i) * 10 * time.Millisecond)
		// Across the wrap.
		p := l.reader.history.add(0, false, 1000+i, at, label{}, content{})
		l.reader.streams.of(mediaSSRC).put(uint16(65530+i), p, content{})
	}
	now := begun.Add(time.Second)
	report := func(highest uint32) []adapt.Packet {
		// Some receivers do not send cycles.
		r := l.Receive(now, []rtcp.Packet{&rtcp.ReceiverReport{Reports: []rtcp.ReceptionReport{{
			SSRC: mediaSSRC, LastSequenceNumber: highest,
		}}}})
		if len(r.Feedback) != 1 || r.Feedback[0].Kind != adapt.RR {
			t.Fatalf("the report is %+v", r)
		}
		return r.Feedback[0].Packets
	}
	missing := func(ssrc uint32, numbers ...uint16) []adapt.Packet {
		return receive(l, now, &rtcp.TransportLayerNack{
			MediaSSRC: ssrc,
			Nacks:     rtcp.NackPairsFromSequenceNumbers(numbers),
		})
	}
	if p := report(65532); len(p) != 2 || p[0].ID != 3 || p[0].Lost || p[0].Size != 1002 ||
		!p[0].Sent.Equal(begun.Add(20*time.Millisecond)) || p[1].ID != 4 || !p[1].Lost {
		t.Errorf("65532 as the newest is %+v; want packet 3, and 4 as the next", p)
	}
	p := missing(mediaSSRC, 65534, 65535, 1)
	if len(p) != 6 {
		t.Fatalf("the request is about %+v; want the packets 4 to 9", p)
	}
	for i, lost := range []bool{false, true, true, false, true, false} {
		if p[i].ID != uint64(4+i) || p[i].Lost != lost {
			t.Errorf("packet %d of the request is %+v; want %d, missing: %v", i, p[i], 4+i, lost)
		}
	}
	for _, again := range [][]uint16{{1}, {65534}, {5}, {40_000}, nil} { // asked before, never sent, and nothing
		if p := missing(mediaSSRC, again...); p != nil {
			t.Errorf("a request for %v is about %+v; want nothing new", again, p)
		}
	}
	if p := missing(0xbad, 3); p != nil {
		t.Errorf("a request for another stream's packets is about %+v", p)
	}
	if p := report(5); len(p) != 1 || p[0].ID != 12 {
		t.Errorf("the last one as the newest is %+v; want packet 12 alone", p)
	}
	if p := report(6); len(p) != 0 {
		t.Errorf("one that was never sent as the newest is %+v", p)
	}
}

func TestReceiverReport(t *testing.T) {
	l := newSender(t, Config{})
	l.reader.ssrc.Store(7)
	now := time.Now()
	sent := uint32(ntp64(now.Add(-120*time.Millisecond)) >> 16)
	r := l.Receive(now, []rtcp.Packet{
		&rtcp.ReceiverReport{Reports: []rtcp.ReceptionReport{
			{SSRC: 7, FractionLost: 64, Jitter: 900, LastSenderReport: sent, Delay: 65536 / 10},
			{SSRC: 8, FractionLost: 255},
		}},
		&rtcp.PictureLossIndication{}, &rtcp.TransportLayerNack{Nacks: []rtcp.NackPair{{PacketID: 5, LostPackets: 3}}},
	})
	if len(r.Feedback) != 1 || !r.PLI || r.FIR {
		t.Fatalf("report is %+v", r)
	}
	f := r.Feedback[0]
	if f.Loss != 0.25 || f.Jitter != 10*time.Millisecond || f.RTT < 19*time.Millisecond || f.RTT > 21*time.Millisecond {
		t.Errorf("feedback is %+v; want loss 0.25, jitter 10ms, RTT about 20ms", f)
	}
}

func TestFullIntraRequestIsToldOnce(t *testing.T) {
	l := newSender(t, Config{})
	for i, c := range []struct {
		number uint8
		want   bool
	}{{254, true}, {254, false}, {255, true}, {0, true}, {255, false}, {0, false}} {
		p := &rtcp.FullIntraRequest{FIR: []rtcp.FIREntry{{SSRC: 7, SequenceNumber: c.number}}}
		if got := l.Receive(time.Now(), []rtcp.Packet{p}).FIR; got != c.want {
			t.Errorf("request %d, number %d: FIR is %t; want %t", i, c.number, got, c.want)
		}
	}
}

func TestMissingFeedbackIsCounted(t *testing.T) {
	l := newSender(t, Config{})
	l.reader.history.add(0, true, 100, time.Now(), label{}, content{})
	for _, count := range []uint8{254, 255, 2, 1, 2} {
		p := feedback(0, 0, 1)
		p.FbPktCount = count
		l.Receive(time.Now(), []rtcp.Packet{p})
	}
	if s := l.Stats(); s.Feedback[FeedbackLost] != 2 || s.Feedback[FeedbackLate] != 2 {
		t.Errorf("%d messages lost and %d late; want 2 and 2", s.Feedback[FeedbackLost], s.Feedback[FeedbackLate])
	}
}

// The packets of a translated report are always ours, in the order they were sent.
func TestHostileFeedback(t *testing.T) {
	for name, p := range map[string]*rtcp.TransportLayerCC{
		"a run without end": {
			BaseSequenceNumber: 0, PacketStatusCount: 65535,
			PacketChunks: []rtcp.PacketStatusChunk{
				&rtcp.RunLengthChunk{PacketStatusSymbol: rtcp.TypeTCCPacketNotReceived, RunLength: 65535},
				&rtcp.RunLengthChunk{PacketStatusSymbol: rtcp.TypeTCCPacketNotReceived, RunLength: 65535},
			},
		},
		"received without a delta": {
			PacketStatusCount: 3,
			PacketChunks: []rtcp.PacketStatusChunk{&rtcp.RunLengthChunk{
				PacketStatusSymbol: rtcp.TypeTCCPacketReceivedSmallDelta, RunLength: 3,
			}},
		},
		"a chunk that is none": {PacketStatusCount: 3, PacketChunks: []rtcp.PacketStatusChunk{nil}},
		"a symbol list of another size": {
			PacketStatusCount: 3,
			PacketChunks:      []rtcp.PacketStatusChunk{&rtcp.StatusVectorChunk{SymbolList: make([]uint16, 40)}},
		},
	} {
		l := newSender(t, Config{})
		for i := range 20 {
			l.reader.history.add(uint16(i), true, 100, time.Now(), label{}, content{})
		}
		last := uint64(0)
		for _, got := range receive(l, time.Now(), p) {
			if got.ID <= last || got.ID > 20 {
				t.Errorf("%s: packet %d after %d", name, got.ID, last)
			}
			last = got.ID
		}
	}
}

func FuzzReceive(f *testing.F) {
	for _, p := range []rtcp.Packet{
		feedback(65530, 5, 1, 0, 3), &rtcp.ReceiverReport{Reports: []rtcp.ReceptionReport{{SSRC: 7}}},
		&rtcp.PictureLossIndication{},
		ccfb(77, mediaSSRC, 65530, 5, -1, arrivedLongAgo, arrivedUnknown),
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
		l := newSender(t, Config{})
		now := time.Now()
		for i := range 40 {
			l.reader.streams.of(mediaSSRC).put(uint16(65520+i), l.reader.history.add(uint16(65520+i), true, 1200, now,
				label{}, content{}), content{})
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
	l := newSender(b, Config{})
	au := unit(20_000, false, time.Now())
	b.ReportAllocs()
	for b.Loop() {
		l.current, l.waiting = batch{}, batch{}
		if _, err := l.track.WriteAccessUnit(au); err != nil {
			b.Fatal(err)
		}
	}
}

// The NACK responder has its own goroutines. A panic there ends the session, not the daemon.
func TestPanicOnTheWayOfARepairIsCaught(t *testing.T) {
	var told error
	l := newSender(t, Config{Guard: guard.New(slog.New(slog.DiscardHandler), nil, func(err error) { told = err })})
	w := (&rtxQueue{sender: l}).BindLocalStream(&interceptor.StreamInfo{SSRC: mediaSSRC}, interceptor.RTPWriterFunc(
		func(*rtp.Header, []byte, interceptor.Attributes) (int, error) { panic("planted") }))
	if n, _ := w.Write(&rtp.Header{SSRC: mediaSSRC}, nil, nil); n != 0 || told == nil {
		t.Errorf("%d bytes were written, and %v was told", n, told)
	}
	told = nil
	in := &inbox{sender: l, packets: make(chan []byte)}
	close(in.packets) // to write there panics
	if _, err := in.Write([]byte{0x81, 206, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0}); err != nil || told == nil {
		t.Errorf("got %v, and %v was told", err, told)
	}
}
