package wire

import (
	"sync"
	"time"

	"wavryhost/adapt"
)

// historySize is how many packets are remembered, a power of two. At 20 Mbit/s in packets of 1200 bytes it is 4
// seconds.
const historySize = 1 << 13

// history remembers sent packets until they are reported, by sequence number: a transport-wide one, or that of one
// stream.
type history struct {
	mu     sync.Mutex
	epoch  time.Time // that of the first packet
	ring   []sentPacket
	newest int64 // unwrapped sequence number of the newest packet
	any    bool
	id     uint64
	// repeats learns which packets of media arrived; it may be nil.
	repeats *repeats
}

// sentPacket holds an adapt.Packet in half the memory; every viewer has thousands of them.
type sentPacket struct {
	id       uint64 // 0 for none
	sent     time.Duration
	sequence uint32 // low bits of the unwrapped number; they repeat after 5 days at 10,000 packets per second
	probe    int32
	size     uint16
	number   uint16 // of the packet of media that it contains
	flags    packetFlags
	state    packetState
}

type packetFlags uint8

const (
	isPadding packetFlags = 1 << iota
	isMedia               // number is valid
	isCopy                // a copy with the number of the original: its loss says nothing
	wasCopied             // such a copy of it was sent: an arrival after a loss says nothing
)

// content says which packet of media a packet contains.
type content struct {
	media  bool
	number uint16
	// copied reports whether it is retransmitted on the media's stream. A receiver that has the original discards the copy
	// unseen (RFC 3711, section 3.3.2), so the loss of the copy says nothing.
	copied bool
}

func (c content) flags() packetFlags {
	var f packetFlags
	if c.media {
		f |= isMedia
	}
	if c.copied {
		f |= isCopy
	}
	return f
}

type packetState uint8

const (
	unreported packetState = iota
	reportedLost
	reportedReceived
)

// add remembers a packet. numbered reports whether sequence is valid.
func (h *history) add(sequence uint16, numbered bool, size int, sent time.Time, what label,
	carries content,
) adapt.Packet {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.id++
	p := adapt.Packet{ID: h.id, Size: size, Sent: sent, Padding: what.padding, ProbeID: what.probe}
	if numbered {
		h.keep(sequence, p, carries)
	}
	return p
}

// put remembers a packet that another history has counted.
func (h *history) put(sequence uint16, p adapt.Packet, carries content) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.keep(sequence, p, carries)
}

// keep is put without the lock. The caller holds mu.
func (h *history) keep(sequence uint16, p adapt.Packet, carries content) {
	if h.ring == nil {
		h.ring, h.epoch = make([]sentPacket, historySize), p.Sent
	}
	s := int64(sequence)
	if h.any {
		s = h.newest + int64(int16(sequence-uint16(h.newest))) // compares the low 16 bits
	}
	if !h.any || s > h.newest {
		h.newest, h.any = s, true
	}
	flags := carries.flags()
	if p.Padding {
		flags |= isPadding
	}
	h.ring[s&(historySize-1)] = sentPacket{
		sequence: uint32(s), id: p.ID, sent: p.Sent.Sub(h.epoch), size: uint16(p.Size), // packets are below 64 KiB
		number: carries.number, flags: flags, probe: int32(p.ProbeID), // probes are counted from 1
	}
}

// again notes that a packet was retransmitted with its number. If it is then reported lost and later received, it is
// unknown which of the two arrived.
func (h *history) again(sequence uint16) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s := h.at(h.newest + int64(int16(sequence-uint16(h.newest)))); s != nil {
		s.flags |= wasCopied
	}
}

// at returns a sent packet, or nil. The caller holds mu.
func (h *history) at(sequence int64) *sentPacket {
	if sequence < 0 || h.ring == nil {
		return nil
	}
	s := &h.ring[sequence&(historySize-1)]
	if s.id == 0 || s.sequence != uint32(sequence) {
		return nil
	}
	return s
}

// withdraw forgets the last added packet, which was not sent after all.
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

// base unwraps the sequence number of a report, which is at most one wrap behind the newest sent packet.
func (h *history) base(sequence uint16) (int64, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.newest + int64(int16(sequence-uint16(h.newest))), h.any
}

// find returns a sent packet.
func (h *history) find(sequence int64) (adapt.Packet, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.at(sequence)
	if s == nil {
		return adapt.Packet{}, false
	}
	return adapt.Packet{ID: s.id, Size: int(s.size), Sent: h.epoch.Add(s.sent), Padding: s.flags&isPadding != 0}, true
}

// The outcomes of a report.
type outcome uint8

const (
	fresh outcome = iota
	repeated
	unknown
	silent // says nothing about the path
)

// report notes that a packet arrived, or was lost if arrived is zero. It returns the packet if that is new. A packet
// that was reported lost may be reported received later: it was only reordered.
func (h *history) report(sequence int64, arrived time.Time) (adapt.Packet, outcome) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.at(sequence)
	if s == nil {
		return adapt.Packet{}, unknown
	}
	lost, before := arrived.IsZero(), s.state
	if before == reportedReceived || lost && before == reportedLost {
		return adapt.Packet{}, repeated
	}
	s.state = reportedReceived
	if lost {
		s.state = reportedLost
	} else if s.flags&isMedia != 0 && h.repeats != nil {
		h.repeats.arrived(s.number)
	}
	if lost && s.flags&isCopy != 0 || before == reportedLost && s.flags&wasCopied != 0 {
		return adapt.Packet{}, silent
	}
	return adapt.Packet{
		ID: s.id, Size: int(s.size), Sent: h.epoch.Add(s.sent), Arrived: arrived, Lost: lost,
		Padding: s.flags&isPadding != 0, ProbeID: int(s.probe),
	}, fresh
}

// maxStreams bounds the streams that are remembered: media and retransmission.
const maxStreams = 4

// streams are the histories of the sent streams, by SSRC.
type streams struct {
	mu   sync.Mutex
	list map[uint32]*history
	// repeats learns which packets arrived.
	repeats *repeats
}

// of returns a stream's history, and creates it if necessary. It never returns nil.
func (s *streams) of(ssrc uint32) *history {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.list[ssrc]
	if h == nil {
		h = &history{repeats: s.repeats}
		if s.list == nil {
			s.list = make(map[uint32]*history, maxStreams)
		}
		if len(s.list) < maxStreams {
			s.list[ssrc] = h
		}
	}
	return h
}

// known returns a stream's history, or nil.
func (s *streams) known(ssrc uint32) *history {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.list[ssrc]
}

// label is what the pacer knows about a packet beside its header.
type label struct {
	again, padding bool
	key            bool // a keyframe begins with it
	probing        bool // counts towards the requested probe
	probe          int
}
