package path

import (
	"time"

	"wavryhost/adapt/tuning"
)

// pause finds times in which the path delivers nothing, and then all that waited at the rate of the line, as Wi-Fi
// does when its channel is busy. Such a queue says nothing about the capacity.
type pause struct {
	lastSent, last time.Duration // the newest packet left and arrived
	any            bool
	gap            time.Duration // the pause that may be one, 0 for none
	from           time.Duration // when it ended
	packets, bytes int           // that arrived since, without the first
}

// packet takes in a packet that arrived, in the order of sending, and reports whether it proves a pause. rate is the
// stream's, in bits per second.
func (p *pause) packet(size int, sent, arrived time.Duration, rate float64) bool {
	apart := arrived - p.last - max(0, sent-p.lastSent)
	in := p.any && sent >= p.lastSent && arrived >= p.last
	p.any, p.lastSent, p.last = true, sent, max(arrived, p.last)
	switch {
	case !in:
		return false
	case apart >= max(tuning.PauseLeast, time.Duration(tuning.PauseUsual*float64(size*8)/rate*float64(time.Second))):
		p.gap, p.from, p.packets, p.bytes = apart, arrived, 0, 0
		return false
	case p.gap == 0:
		return false
	}
	p.packets++
	p.bytes += size
	over := arrived - p.from
	if p.packets < tuning.PausePackets {
		return false
	}
	proved := float64(p.bytes)*8 >= tuning.FasterFactor*rate*over.Seconds()
	if !proved && over < p.gap {
		return false
	}
	if !proved {
		p.gap = 0
	}
	return proved
}
