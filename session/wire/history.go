package wire

import (
	"sync"
	"time"

	"wavryhost/adapt"
)

// historySize is how many packets are remembered: at 50 Mbit/s in packets of 1200 bytes, 3 seconds.
const historySize = 1 << 14

// history remembers what was sent until it is reported, by transport-wide sequence number.
type history struct {
	mu      sync.Mutex
	ring    []sentPacket
	newest  int64 // unwrapped sequence number of the newest packet
	any     bool
	id      uint64
	padding bool
	probe   int
}

type sentPacket struct {
	sequence int64
	state    packetState
	packet   adapt.Packet
}

type packetState uint8

const (
	unreported packetState = iota
	reportedLost
	reportedReceived
)

// mark says whether the packets that follow are padding, and for which probe.
func (h *history) mark(padding bool, probe int) {
	h.mu.Lock()
	h.padding, h.probe = padding, probe
	h.mu.Unlock()
}

// add remembers a packet. numbered tells whether sequence means anything.
func (h *history) add(sequence uint16, numbered bool, size int, sent time.Time) adapt.Packet {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.id++
	p := adapt.Packet{ID: h.id, Size: size, Sent: sent, Padding: h.padding, ProbeID: h.probe}
	if !numbered {
		return p
	}
	if h.ring == nil {
		h.ring = make([]sentPacket, historySize)
	}
	s := int64(sequence)
	if h.any {
		s = h.newest + int64(int16(sequence-uint16(h.newest))) // the low 16 bits are what is compared
	}
	if !h.any || s > h.newest {
		h.newest, h.any = s, true
	}
	h.ring[s&(historySize-1)] = sentPacket{sequence: s, packet: p}
	return p
}

// base unwraps a sequence number of a report, which is at most one wrap behind the newest packet sent.
func (h *history) base(sequence uint16) (int64, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.newest + int64(int16(sequence-uint16(h.newest))), h.any
}

// The outcomes of a report.
type outcome uint8

const (
	fresh outcome = iota
	repeated
	unknown
)

// report notes that a packet arrived, or was lost when arrived is zero, and returns it when that is news. A packet once
// reported lost may be reported received later: it was only reordered.
func (h *history) report(sequence int64, arrived time.Time) (adapt.Packet, outcome) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if sequence < 0 || h.ring == nil || h.ring[sequence&(historySize-1)].sequence != sequence || sequence > h.newest {
		return adapt.Packet{}, unknown
	}
	s := &h.ring[sequence&(historySize-1)]
	if s.packet.ID == 0 {
		return adapt.Packet{}, unknown
	}
	lost := arrived.IsZero()
	if s.state == reportedReceived || lost && s.state == reportedLost {
		return adapt.Packet{}, repeated
	}
	p := s.packet
	p.Lost, p.Arrived = lost, arrived
	s.state = reportedReceived
	if lost {
		s.state = reportedLost
	}
	return p, fresh
}
