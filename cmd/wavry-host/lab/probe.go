package lab

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"wavryhost/adapt/simulate"
)

const (
	pings      = 20
	pingPause  = 20 * time.Millisecond
	pingTime   = 3 * time.Second // until a ping counts as lost
	floodTime  = 2 * time.Second
	floodSize  = 1200   // bytes of UDP payload
	floodLimit = 150e6  // bit/s; more costs too much processor time
	overhead   = 20 + 8 // bytes of IP and UDP headers
)

// Accuracy compares a link as it was measured, by UDP packets between the namespaces, with what the profile describes.
type Accuracy struct {
	RoundTripSeconds         float64 `json:"round_trip_seconds"` // median
	ExpectedRoundTripSeconds float64 `json:"expected_round_trip_seconds"`
	Bitrate                  float64 `json:"bitrate"` // to the viewer, of IP packets
	ExpectedBitrate          float64 `json:"expected_bitrate"`
	Lost                     int     `json:"lost_pings"`
}

// listen returns a UDP socket in a place.
func (p *place) listen() (c *net.UDPConn, err error) {
	err = p.within(func() error {
		c, err = net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(p.address, 0)))
		return err
	})
	return c, err
}

// address returns where packets to a socket go.
func address(c *net.UDPConn) netip.AddrPort {
	a, _ := c.LocalAddr().(*net.UDPAddr)
	return a.AddrPort()
}

// prove measures the link between two places.
func prove(ctx context.Context, near, viewer *place, toViewer *direction, p Profile) (a Accuracy, err error) {
	from, err := near.listen()
	if err != nil {
		return a, fmt.Errorf("lab: measure the link: %w", err)
	}
	defer func() { _ = from.Close() }()
	to, err := viewer.listen()
	if err != nil {
		return a, fmt.Errorf("lab: measure the link: %w", err)
	}
	defer func() { _ = to.Close() }()
	a.ExpectedRoundTripSeconds = (expectedDelay(p.ToViewer) + expectedDelay(p.ToHost)).Seconds()
	times, err := ping(ctx, from, to)
	if err != nil {
		return a, fmt.Errorf("lab: measure the round trip: %w", err)
	}
	a.Lost = pings - len(times)
	if len(times) == 0 {
		return a, errors.New("lab: no packet crosses the link in both directions; does its rate begin with 0?")
	}
	slices.Sort(times)
	a.RoundTripSeconds = times[len(times)/2].Seconds()

	if err := toViewer.begin(ctx, p.ToViewer, seed); err != nil {
		return a, err
	}
	begun := time.Now()
	received, err := flood(ctx, from, to, min(1.25*p.ToViewer.Capacity.Bits(0, floodTime, math.Inf(1))/floodTime.Seconds(),
		floodLimit))
	if err != nil {
		return a, fmt.Errorf("lab: measure the rate: %w", err)
	}
	// The queue takes a while to fill. Afterwards the link carries all that it can.
	delay, first, last := expectedDelay(p.ToViewer), floodTime/4, floodTime
	bits := 0.0
	for _, r := range received {
		if at := r.at.Sub(begun) - delay; at >= first && at < last {
			bits += float64(r.size+overhead) * 8
		}
	}
	span := (last - first).Seconds()
	a.Bitrate = bits / span
	a.ExpectedBitrate = min(p.ToViewer.Capacity.Bits(first, last, math.Inf(1))/span, floodLimit) * (1 - p.ToViewer.Loss)
	return a, nil
}

// expectedDelay is the mean delay of a packet on an empty link. The mean of a normal distribution's absolute value is
// 0.8 of its deviation. A packet meets longer pauses between bunches more often than short ones, and waits for half of
// one; after an idle time the link is half a millisecond slower than that.
func expectedDelay(l simulate.Link) time.Duration {
	delay := l.Delay + time.Duration(.8*float64(l.Jitter))
	if mean := float64(l.Bunch[0]+l.Bunch[1]) / 2; mean > 0 {
		width := float64(l.Bunch[1] - l.Bunch[0])
		delay += time.Duration((mean*mean + width*width/12) / mean / 2)
	}
	return delay
}

// ping returns the round trips of small packets.
func ping(ctx context.Context, from, to *net.UDPConn) ([]time.Duration, error) {
	var echo sync.WaitGroup
	defer echo.Wait()
	defer func() { _ = to.SetReadDeadline(time.Unix(1, 0)) }()
	if err := to.SetReadDeadline(time.Time{}); err != nil {
		return nil, err
	}
	echo.Go(func() {
		data := make([]byte, largest)
		for {
			n, sender, err := to.ReadFromUDPAddrPort(data)
			if err != nil {
				return
			}
			_, _ = to.WriteToUDPAddrPort(data[:n], sender) // a lost answer is a lost ping
		}
	})
	var times []time.Duration
	data := make([]byte, 64)
	pause := time.NewTimer(0)
	defer pause.Stop()
	for i := range pings {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-pause.C:
			pause.Reset(pingPause)
		}
		binary.BigEndian.PutUint64(data, uint64(i))
		begun := time.Now()
		if _, err := from.WriteToUDPAddrPort(data[:8], address(to)); err != nil {
			return nil, err
		}
		if err := from.SetReadDeadline(begun.Add(pingTime)); err != nil {
			return nil, err
		}
		for {
			n, _, err := from.ReadFromUDPAddrPort(data)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				break
			}
			if err != nil {
				return nil, err
			}
			if n == 8 && binary.BigEndian.Uint64(data) == uint64(i) { // not a late answer
				times = append(times, time.Since(begun))
				break
			}
		}
	}
	return times, nil
}

// arrival is a packet that arrived.
type arrival struct {
	at   time.Time
	size int
}

// flood sends packets at a rate for floodTime, and returns what arrives until then.
func flood(ctx context.Context, from, to *net.UDPConn, bitsPerSecond float64) ([]arrival, error) {
	var all []arrival
	var reader sync.WaitGroup
	if err := to.SetReadDeadline(time.Now().Add(floodTime + 2*time.Second)); err != nil {
		return nil, err
	}
	reader.Go(func() {
		data := make([]byte, largest)
		for {
			n, _, err := to.ReadFromUDPAddrPort(data)
			if err != nil {
				return
			}
			all = append(all, arrival{time.Now(), n})
		}
	})
	defer reader.Wait()
	data := make([]byte, floodSize)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	sent := 0.0
	for begun := time.Now(); time.Since(begun) < floodTime; {
		select {
		case <-ctx.Done():
			_ = to.SetReadDeadline(time.Unix(1, 0))
			return nil, ctx.Err()
		case <-tick.C:
		}
		for due := time.Since(begun).Seconds() * bitsPerSecond; sent < due; sent += (floodSize + overhead) * 8 {
			if _, err := from.WriteToUDPAddrPort(data, address(to)); err != nil {
				_ = to.SetReadDeadline(time.Unix(1, 0))
				return nil, err
			}
		}
	}
	reader.Wait()
	return all, nil
}
