package wire

import (
	"sync"
	"time"

	"wavryhost/adapt"
)

// historySize is how many packets are remembered, a power of two: at 20 Mbit/s in packets of 1200 bytes, 4 seconds.
const historySize = 1 << 13

// history remembers what was sent until it is reported, by sequence number: a transport-wide one, or that of one stream.
type history struct {
	mu     sync.Mutex
	epoch  time.Time // that of the first packet
	ring   []sentPacket
	newest int64 // unwrapped sequence number of the newest packet
	any    bool
	id     uint64
}

// sentPacket holds what an adapt.Packet says in half the memory; there are thousands for every viewer.
type sentPacket struct {
	sequence int64
	id       uint64 // 0 when there is none
	sent     time.Duration
	probe    int32
	size     uint16
	padding  bool
	state    packetState
}

type packetState uint8

const (
	unreported packetState = iota
	reportedLost
	reportedReceived
)

// add remembers a packet. numbered tells whether sequence means anything.
func (h *history) add(sequence uint16, numbered bool, size int, sent time.Time, what label) adapt.Packet {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.id++
	p := adapt.Packet{ID: h.id, Size: size, Sent: sent, Padding: what.padding, ProbeID: what.probe}
	if numbered {
		h.keep(sequence, p)
	}
	return p
}

// put remembers a packet that another history has counted.
func (h *history) put(sequence uint16, p adapt.Packet) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.keep(sequence, p)
}

// keep is put for those who hold mu.
func (h *history) keep(sequence uint16, p adapt.Packet) {
	if h.ring == nil {
		h.ring, h.epoch = make([]sentPacket, historySize), p.Sent
	}
	s := int64(sequence)
	if h.any {
		s = h.newest + int64(int16(sequence-uint16(h.newest))) // the low 16 bits are what is compared
	}
	if !h.any || s > h.newest {
		h.newest, h.any = s, true
	}
	h.ring[s&(historySize-1)] = sentPacket{
		sequence: s, id: p.ID, sent: p.Sent.Sub(h.epoch), size: uint16(p.Size), // packets are below 64 KiB
		padding: p.Padding, probe: int32(p.ProbeID), // probes are counted from 1
	}
}

// withdraw forgets the packet added last, which did not leave after all.
func (h *history) withdraw(sequence uint16, id uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.id == id {
		h.id--
	}
	if h.ring == nil {
		return
	}
	s := h.newest + int64(int16(sequence-uint16(h.newest)))
	if e := &h.ring[s&(historySize-1)]; e.id == id {
		*e = sentPacket{}
	}
}

// base unwraps a sequence number of a report, which is at most one wrap behind the newest packet sent.
func (h *history) base(sequence uint16) (int64, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.newest + int64(int16(sequence-uint16(h.newest))), h.any
}

// find returns a packet that was sent.
func (h *history) find(sequence int64) (adapt.Packet, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if sequence < 0 || h.ring == nil {
		return adapt.Packet{}, false
	}
	s := &h.ring[sequence&(historySize-1)]
	if s.id == 0 || s.sequence != sequence {
		return adapt.Packet{}, false
	}
	return adapt.Packet{ID: s.id, Size: int(s.size), Sent: h.epoch.Add(s.sent), Padding: s.padding}, true
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
	if sequence < 0 || h.ring == nil {
		return adapt.Packet{}, unknown
	}
	s := &h.ring[sequence&(historySize-1)]
	if s.id == 0 || s.sequence != sequence {
		return adapt.Packet{}, unknown
	}
	lost := arrived.IsZero()
	if s.state == reportedReceived || lost && s.state == reportedLost {
		return adapt.Packet{}, repeated
	}
	s.state = reportedReceived
	if lost {
		s.state = reportedLost
	}
	return adapt.Packet{
		ID: s.id, Size: int(s.size), Sent: h.epoch.Add(s.sent), Arrived: arrived, Lost: lost,
		Padding: s.padding, ProbeID: int(s.probe),
	}, fresh
}
