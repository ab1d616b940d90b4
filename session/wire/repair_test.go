package wire

import (
	"encoding/binary"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"wavryhost/adapt/pacing"
)

// A retransmission passes the pacer and the recorder: it is counted and has a transport-wide number.
func TestRetransmissionsPassThePacer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{StartRate: 1_000_000}, true)
		r.run(t)
		if _, err := r.sender.track.WriteAccessUnit(unit(20_000, true, time.Now())); err != nil {
			t.Fatal(err)
		}
		r.drain()
		media := r.packets()
		asked := []uint16{media[2].header.SequenceNumber, media[3].header.SequenceNumber}

		// A frame is being sent; retransmissions go first.
		if _, err := r.sender.track.WriteAccessUnit(unit(20_000, false, time.Now())); err != nil {
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
			if got := binary.BigEndian.Uint16(p.payload); got != number ||
				string(p.payload[2:]) != string(media[2+i].payload) {
				t.Errorf("retransmission %d is of packet %d; want %d and the same payload", i, got, number)
			}
		}
		all := r.packets()
		for i, p := range all {
			if got := p.number(t); got != uint16(i) {
				t.Fatalf("packet %d on the wire has the transport-wide number %d", i, got)
			}
		}
		if s := r.sender.Stats(); s.Retransmissions != 2 || int(s.Packets) != len(all) ||
			s.RetransmittedBytes != uint64(after[0].size+after[1].size) {
			t.Errorf("counts are %+v; want 2 retransmissions of %d bytes among %d packets",
				s, after[0].size+after[1].size, len(all))
		}
	})
}

// The retransmission stream is an RTP stream of its own. Repeated numbers are replays to SRTP. Numbers that jump by
// more than half their range make sender and receiver disagree on the rollover counter (RFC 3711, section 3.3.1).
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
			if _, err := r.sender.track.WriteAccessUnit(unit(n, true, time.Now())); err != nil {
				t.Fatal(err)
			}
			r.drain()
		}
		write(500)
		first := again()
		media := r.packets()[0].header.SequenceNumber
		time.Sleep(pacing.RepeatAge / 2) // the responder does not send a packet again twice within a round trip
		r.nack(t, media)
		time.Sleep(10 * time.Millisecond)
		all := r.packets()
		second := all[len(all)-1]
		if len(all) != 3 || second.header.SequenceNumber != first.header.SequenceNumber+1 {
			t.Errorf("sent again twice with the numbers %d and %d; want them in a row",
				first.header.SequenceNumber, second.header.SequenceNumber)
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
		if _, err := r.sender.track.WriteAccessUnit(unit(5_000, true, time.Now())); err != nil {
			t.Fatal(err)
		}
		r.drain()
		media := r.packets()
		r.nack(t, media[1].header.SequenceNumber)
		time.Sleep(10 * time.Millisecond)
		all := r.packets()
		last := all[len(all)-1]
		if len(all) != len(media)+1 || last.header.SequenceNumber != media[1].header.SequenceNumber ||
			last.header.SSRC != mediaSSRC {
			t.Errorf("%d packets, the last %v; want packet %d once more",
				len(all), last.header, media[1].header.SequenceNumber)
		}
	})
}

// Receivers repeat a NACK until the packet arrives. Further copies behind the first would fill the path.
func TestPacketsAreSentAgainOnceARoundTrip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{StartRate: 100_000_000}, true)
		r.run(t)
		if _, err := r.sender.track.WriteAccessUnit(unit(5_000, true, time.Now())); err != nil {
			t.Fatal(err)
		}
		r.drain()
		number := r.packets()[1].header.SequenceNumber
		r.sender.reader.measured(300 * time.Millisecond)
		for range 6 { // each 100 ms, as pion's receiver does
			r.nack(t, number)
			time.Sleep(100 * time.Millisecond)
		}
		if s := r.sender.Stats(); s.Retransmissions != 2 || s.Refused[pacing.RefusedSoon] != 4 {
			t.Errorf("asked six times in two round trips, sent again %d times, %d requests left out; want 2 and 4",
				s.Retransmissions, s.Refused[pacing.RefusedSoon])
		}
	})
}

// The picture continues however many packets are requested.
func TestRetransmissionsShareWithMedia(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{StartRate: 1_000_000}, true)
		r.run(t)
		if _, err := r.sender.track.WriteAccessUnit(unit(100_000, true, time.Now())); err != nil {
			t.Fatal(err)
		}
		r.drain()
		var all []uint16
		for _, p := range r.packets() {
			all = append(all, p.header.SequenceNumber)
		}
		before := r.sender.Stats()
		if _, err := r.sender.track.WriteAccessUnit(unit(30_000, false, time.Now())); err != nil {
			t.Fatal(err)
		}
		r.nack(t, all...)
		time.Sleep(400 * time.Millisecond) // 50 kB
		s := r.sender.Stats()
		again := s.RetransmittedBytes - before.RetransmittedBytes
		media := s.Bytes - before.Bytes - again
		if media < 15_000 || again < 25_000 {
			t.Errorf("of 50 kB %d bytes were media, %d were sent again; want the first 15 kB for the past, then half for each",
				media, again)
		}
		time.Sleep(time.Second)
		if s := r.sender.Stats(); s.Retransmissions != uint64(len(all)) {
			t.Errorf("%d of %d packets were sent again in the end", s.Retransmissions, len(all))
		}
	})
}

// A receiver that repeats its NACK gets a packet a few times, and none that it can no longer use.
func TestRetransmissionsOfAPacketAreBounded(t *testing.T) {
	for _, c := range []struct {
		name   string
		repair bool
		after  int // packets of media after the requested one
		want   uint64
		why    pacing.Refusal
	}{
		{"on their own stream", true, 0, pacing.MostRepeats, pacing.RefusedOften},
		{"on their own stream, far behind", true, 200, pacing.MostRepeats, pacing.RefusedOften},
		{"on the media's", false, 0, pacing.MostRepeats, pacing.RefusedOften},
		{
			"on the media's, at the end of the replay window", false, pacing.ReplayWindow - 1, pacing.MostRepeats,
			pacing.RefusedOften,
		},
		{"on the media's, behind the replay window", false, pacing.ReplayWindow, 0, pacing.RefusedOld},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, Config{StartRate: 100_000_000}, c.repair)
				r.run(t)
				for range 1 + c.after {
					if _, err := r.sender.track.WriteAccessUnit(unit(500, true, time.Now())); err != nil {
						t.Fatal(err)
					}
					r.drain()
				}
				first := r.packets()[0].header.SequenceNumber
				for range 30 {
					r.nack(t, first)
					time.Sleep(50 * time.Millisecond)
				}
				s := r.sender.Stats()
				if s.Retransmissions != c.want || s.Refused[c.why] == 0 {
					t.Errorf("asked 30 times, sent again %d times, requests refused %v; want %d, and some because of %v",
						s.Retransmissions, s.Refused, c.want, c.why)
				}
			})
		})
	}
}

// A receiver that permanently lacks a packet cannot decode. It may request a keyframe only seconds later.
func TestRefusedPacketBreaksThePicture(t *testing.T) {
	const rtt = 100 * time.Millisecond
	for _, c := range []struct {
		name string
		// key reports whether a keyframe follows the requested packet.
		key  bool
		asks func(t *testing.T, r *rig, number uint16)
		want int
	}{
		{"asked for too often", false, func(t *testing.T, r *rig, number uint16) {
			for range pacing.MostRepeats + 6 {
				r.nack(t, number)
				time.Sleep(rtt)
			}
		}, 1},
		{"the last retransmission is under way", false, func(t *testing.T, r *rig, number uint16) {
			for i := range pacing.MostRepeats {
				if i > 0 {
					time.Sleep(rtt)
				}
				r.nack(t, number)
			}
			time.Sleep(rtt / 2)
			r.nack(t, number)
			synctest.Wait()
		}, 0},
		{"too old", false, func(t *testing.T, r *rig, number uint16) {
			time.Sleep(pacing.RepeatAge + time.Second)
			r.nack(t, number, number+1)
			synctest.Wait()
		}, 1},
		{"a keyframe came since", true, func(t *testing.T, r *rig, number uint16) {
			time.Sleep(pacing.RepeatAge + time.Second)
			r.nack(t, number)
			synctest.Wait()
		}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var broken atomic.Int64
				r := newRig(t, Config{StartRate: 10_000_000, OnBroken: func() { broken.Add(1) }}, true)
				r.run(t)
				for _, key := range []bool{true, false, c.key, false} {
					if _, err := r.sender.track.WriteAccessUnit(unit(500, key, time.Now())); err != nil {
						t.Fatal(err)
					}
					r.drain()
				}
				r.sender.reader.measured(rtt)
				c.asks(t, r, r.packets()[1].header.SequenceNumber)
				if got := int(broken.Load()); got != c.want {
					t.Errorf("the picture was reported broken %d times; want %d", got, c.want)
				}
			})
		})
	}
}

func TestOldPacketsAreNotRetransmitted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{StartRate: 10_000_000}, true)
		r.run(t)
		if _, err := r.sender.track.WriteAccessUnit(unit(500, true, time.Now())); err != nil {
			t.Fatal(err)
		}
		r.drain()
		number := r.packets()[0].header.SequenceNumber
		time.Sleep(pacing.RepeatAge + time.Millisecond)
		r.nack(t, number)
		synctest.Wait()
		if s := r.sender.Stats(); s.Retransmissions != 0 || s.Refused[pacing.RefusedOld] != 1 {
			t.Errorf("a packet of %v is sent again %d times, refused %v",
				pacing.RepeatAge, s.Retransmissions, s.Refused)
		}
		r.sender.reader.measured(400 * time.Millisecond)
		time.Sleep(10 * time.Millisecond) // the responder counts the first request as answered
		r.nack(t, number)
		synctest.Wait()
		if s := r.sender.Stats(); s.Retransmissions != 1 {
			t.Errorf("on a path with a round trip of 400 ms a packet of %v is sent again %d times; want 1",
				pacing.RepeatAge, s.Retransmissions)
		}
	})
}

// pion's receivers do not see packets on the retransmission stream, and repeat their NACK. Their transport feedback
// reports these packets.
func TestWhatArrivedIsNotRetransmitted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{StartRate: 100_000_000}, true)
		r.run(t)
		if _, err := r.sender.track.WriteAccessUnit(unit(5_000, true, time.Now())); err != nil {
			t.Fatal(err)
		}
		r.drain()
		media := r.packets()
		lost, late := media[1].header.SequenceNumber, media[2].header.SequenceNumber
		r.nack(t, lost)
		time.Sleep(30 * time.Millisecond)
		all := r.packets()
		again := all[len(all)-1]
		// The retransmission and the late original have arrived.
		receive(r.sender, time.Now(), feedback(again.number(t), 1, 1))
		receive(r.sender, time.Now(), feedback(media[2].number(t), 1, 1))
		for range 10 {
			r.nack(t, lost, late)
			time.Sleep(50 * time.Millisecond)
		}
		if s := r.sender.Stats(); s.Retransmissions != 1 || s.Refused[pacing.RefusedArrived] != 20 {
			t.Errorf("what has arrived was sent again %d times, refused %v; want once, before it arrived",
				s.Retransmissions, s.Refused)
		}
	})
}

// A receiver's SRTP discards a second copy of a packet before its transport feedback counts it. That is not a loss.
func TestCopiesThatTheReceiverDiscardsAreNoLoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{StartRate: 100_000_000}, false)
		r.run(t)
		if _, err := r.sender.track.WriteAccessUnit(unit(5_000, true, time.Now())); err != nil {
			t.Fatal(err)
		}
		r.drain()
		n := len(r.packets())
		for _, p := range r.packets() {
			r.nack(t, p.header.SequenceNumber)
		}
		r.drain()
		all := r.packets()
		if len(all) != 2*n {
			t.Fatalf("%d packets of %d were sent again", len(all)-n, n)
		}
		// Only the last copy arrives, and all other originals do.
		arrivals := make([]int, 0, len(all))
		for i := range all {
			arrived := 0
			if i < n-1 || i == len(all)-1 {
				arrived = 1
			}
			arrivals = append(arrivals, arrived)
		}
		got := receive(r.sender, time.Now(), feedback(all[0].number(t), 1, arrivals...))
		var lost []uint64
		for _, p := range got {
			if p.Lost {
				lost = append(lost, p.ID)
			}
		}
		if len(got) != n+1 || len(lost) != 1 || lost[0] != uint64(n) {
			t.Errorf("of %d packets and their copies %d are reported, %v as lost; want %d, and the last original as lost",
				n, len(got), lost, n+1)
		}
	})
}

// Retransmissions get at most half of what is sent, whatever a receiver requests.
func TestRetransmissionsHaveAShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{StartRate: 20_000_000}, true)
		r.run(t)
		stop := time.Now().Add(10 * time.Second)
		var media uint64
		for time.Now().Before(stop) { // 1 Mbit/s of media, each packet of which is asked for each 50 ms
			before := len(r.packets())
			w, err := r.sender.track.WriteAccessUnit(unit(6_250, false, time.Now()))
			if err != nil {
				t.Fatal(err)
			}
			media += uint64(w.Bytes)
			time.Sleep(50 * time.Millisecond)
			var numbers []uint16
			for _, p := range r.packets()[max(0, before-100):] {
				if p.header.SSRC == mediaSSRC {
					numbers = append(numbers, p.header.SequenceNumber)
				}
			}
			r.nack(t, numbers...)
		}
		s := r.sender.Stats()
		most := media + media/50 + pacing.LeastAllowance // transport-wide numbers are added at the exit
		if s.RetransmittedBytes > most || s.RetransmittedBytes < media/2 || s.Refused[pacing.RefusedShare] == 0 {
			t.Errorf("%d bytes of media and %d sent again, refused %v; want no more than %d",
				media, s.RetransmittedBytes, s.Refused, most)
		}
	})
}
