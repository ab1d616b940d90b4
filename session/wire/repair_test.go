package wire

import (
	"encoding/binary"
	"testing"
	"testing/synctest"
	"time"
)

// A packet that is sent again passes the pacer and the recorder: it is counted and has a transport-wide number.
func TestRetransmissionsPassThePacer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{StartRate: 1_000_000}, true)
		r.run(t)
		if _, err := r.link.track.WriteAccessUnit(unit(20_000, true, time.Now())); err != nil {
			t.Fatal(err)
		}
		r.drain()
		media := r.packets()
		asked := []uint16{media[2].header.SequenceNumber, media[3].header.SequenceNumber}

		// A frame is on its way; what is asked for again goes first.
		if _, err := r.link.track.WriteAccessUnit(unit(20_000, false, time.Now())); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		before := len(r.packets())
		r.nack(t, asked...)
		r.drain()
		after := r.packets()[before:]
		for i, number := range asked {
			p := after[i]
			if p.header.SSRC != repairSSRC || p.header.PayloadType != repairType {
				t.Fatalf("packet %d after the NACK is %v; want a retransmission ahead of the frame", i, p.header)
			}
			if got := binary.BigEndian.Uint16(p.payload); got != number || string(p.payload[2:]) != string(media[2+i].payload) {
				t.Errorf("retransmission %d is of packet %d; want %d and the same payload", i, got, number)
			}
		}
		all := r.packets()
		for i, p := range all {
			if got := p.number(t); got != uint16(i) {
				t.Fatalf("packet %d on the wire has the transport-wide number %d", i, got)
			}
		}
		if s := r.link.Stats(); s.Retransmissions != 2 || int(s.Packets) != len(all) || s.RetransmittedBytes != uint64(after[0].size+after[1].size) {
			t.Errorf("counts are %+v; want 2 retransmissions of %d bytes among %d packets", s, after[0].size+after[1].size, len(all))
		}
	})
}

// The retransmission stream is an RTP stream of its own: numbers that repeat are replays to SRTP, and numbers that jump by
// more than half their range make sender and receiver disagree on its rollover counter (RFC 3711, section 3.3.1).
func TestRetransmissionStreamHasNumbersInARow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{StartRate: 100_000_000}, true)
		r.run(t)
		again := func() onWire {
			t.Helper()
			all := r.packets()
			r.nack(t, all[len(all)-1].header.SequenceNumber)
			time.Sleep(10 * time.Millisecond)
			all = r.packets()
			return all[len(all)-1]
		}
		write := func(n int) {
			t.Helper()
			if _, err := r.link.track.WriteAccessUnit(unit(n, true, time.Now())); err != nil {
				t.Fatal(err)
			}
			r.drain()
		}
		write(500)
		first := again()
		media := r.packets()[0].header.SequenceNumber
		time.Sleep(time.Second) // the responder does not send a packet again twice within a round trip
		r.nack(t, media)
		time.Sleep(10 * time.Millisecond)
		all := r.packets()
		second := all[len(all)-1]
		if len(all) != 3 || second.header.SequenceNumber != first.header.SequenceNumber+1 {
			t.Errorf("sent again twice with the numbers %d and %d; want them in a row", first.header.SequenceNumber, second.header.SequenceNumber)
		}
		for range 40 { // a long time without loss
			write(1_000_000)
		}
		if third := again(); third.header.SequenceNumber != first.header.SequenceNumber+2 {
			t.Errorf("after %d packets the retransmission has the number %d; want %d",
				len(r.packets()), third.header.SequenceNumber, first.header.SequenceNumber+2)
		}
	})
}

func TestRetransmissionWithoutAStreamOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{StartRate: 10_000_000}, false)
		r.run(t)
		if _, err := r.link.track.WriteAccessUnit(unit(5_000, true, time.Now())); err != nil {
			t.Fatal(err)
		}
		r.drain()
		media := r.packets()
		r.nack(t, media[1].header.SequenceNumber)
		time.Sleep(10 * time.Millisecond)
		all := r.packets()
		last := all[len(all)-1]
		if len(all) != len(media)+1 || last.header.SequenceNumber != media[1].header.SequenceNumber || last.header.SSRC != mediaSSRC {
			t.Errorf("%d packets, the last %v; want packet %d once more", len(all), last.header, media[1].header.SequenceNumber)
		}
	})
}

// Receivers ask again and again until a packet is there. Copies behind the one that is on its way would fill the path.
func TestPacketsAreSentAgainOnceARoundTrip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{StartRate: 100_000_000}, true)
		r.run(t)
		if _, err := r.link.track.WriteAccessUnit(unit(5_000, true, time.Now())); err != nil {
			t.Fatal(err)
		}
		r.drain()
		number := r.packets()[1].header.SequenceNumber
		r.link.measured(300 * time.Millisecond)
		for range 6 { // each 100 ms, as pion's receiver does
			r.nack(t, number)
			time.Sleep(100 * time.Millisecond)
		}
		if s := r.link.Stats(); s.Retransmissions != 2 || s.RepeatedRequests != 4 {
			t.Errorf("asked six times in two round trips, sent again %d times, %d requests left out; want 2 and 4", s.Retransmissions, s.RepeatedRequests)
		}
	})
}

// However much is asked for again, the picture goes on.
func TestRetransmissionsShareWithMedia(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{StartRate: 1_000_000}, true)
		r.run(t)
		if _, err := r.link.track.WriteAccessUnit(unit(100_000, true, time.Now())); err != nil {
			t.Fatal(err)
		}
		r.drain()
		var all []uint16
		for _, p := range r.packets() {
			all = append(all, p.header.SequenceNumber)
		}
		before := r.link.Stats()
		if _, err := r.link.track.WriteAccessUnit(unit(30_000, false, time.Now())); err != nil {
			t.Fatal(err)
		}
		r.nack(t, all...)
		time.Sleep(400 * time.Millisecond) // 50 kB
		s := r.link.Stats()
		again := s.RetransmittedBytes - before.RetransmittedBytes
		media := s.Bytes - before.Bytes - again
		if media < 15_000 || again < 25_000 {
			t.Errorf("of 50 kB %d bytes were media, %d were sent again; want the first 15 kB for the past, then half for each", media, again)
		}
		time.Sleep(time.Second)
		if s := r.link.Stats(); s.Retransmissions != uint64(len(all)) {
			t.Errorf("%d of %d packets were sent again in the end", s.Retransmissions, len(all))
		}
	})
}
