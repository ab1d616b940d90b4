package wire

import (
	"encoding/binary"
	"sync"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
)

// keptReports is how many sender reports are remembered. A receiver refers to the newest that it has, and one is sent
// per second.
const keptReports = 16

// reportClock makes round trips from receiver reports independent of steps of the wall clock. A report refers to a
// sender report by its NTP time, and the wall clock may have been set since. reportClock keeps the time of each sender
// report by the monotonic clock. It rewrites incoming reports so that their round trip by the current wall clock is the
// true one. Both this package and pion's NACK responder, which delays packets by a round trip, use it.
type reportClock struct {
	interceptor.NoOp

	mu   sync.Mutex
	sent [keptReports]sentReport
	n    int
}

// sentReport is the middle of a sender report's NTP time, which receivers use to refer to it, and when it was sent.
type sentReport struct {
	stamp uint32
	at    time.Time
}

// BindRTCPWriter notes the sent sender reports.
func (c *reportClock) BindRTCPWriter(next interceptor.RTCPWriter) interceptor.RTCPWriter {
	return interceptor.RTCPWriterFunc(func(packets []rtcp.Packet, a interceptor.Attributes) (int, error) {
		for _, p := range packets {
			if r, ok := p.(*rtcp.SenderReport); ok {
				c.note(uint32(r.NTPTime>>16), time.Now()) // the middle 32 bits
			}
		}
		return next.Write(packets, a)
	})
}

// BindRTCPReader rewrites received reports.
func (c *reportClock) BindRTCPReader(next interceptor.RTCPReader) interceptor.RTCPReader {
	return interceptor.RTCPReaderFunc(func(b []byte, a interceptor.Attributes) (int, interceptor.Attributes, error) {
		n, a, err := next.Read(b, a)
		if err == nil {
			c.rewrite(b[:n], time.Now())
		}
		return n, a, err
	})
}

func (c *reportClock) note(stamp uint32, at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent[c.n%keptReports] = sentReport{stamp, at}
	c.n++
}

// since returns how long ago a sender report was sent, by the monotonic clock.
func (c *reportClock) since(stamp uint32, now time.Time) (time.Duration, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.sent {
		if r.stamp == stamp && !r.at.IsZero() {
			return now.Sub(r.at), true
		}
	}
	return 0, false
}

// rewrite changes the report blocks of a compound packet (RFC 3550, sections 6.4.1 and 6.4.2). The time of the last
// sender report becomes the current wall clock minus the true age of that report. It becomes 0, unknown, if that report
// was never sent, or is younger than the receiver claims to hold it.
func (c *reportClock) rewrite(b []byte, now time.Time) {
	const header, senderInfo, block = 8, 20, 24
	for len(b) >= 4 {
		var h rtcp.Header
		length := 4 * (int(binary.BigEndian.Uint16(b[2:])) + 1)
		if h.Unmarshal(b) != nil || length > len(b) {
			return
		}
		p := b[:length]
		b = b[length:]
		switch h.Type {
		case rtcp.TypeReceiverReport:
			p = p[min(header, len(p)):]
		case rtcp.TypeSenderReport:
			p = p[min(header+senderInfo, len(p)):]
		default:
			continue
		}
		for range h.Count {
			if len(p) < block {
				break
			}
			stamp := p[16:20]
			held := binary.BigEndian.Uint32(p[20:])
			p = p[block:]
			if binary.BigEndian.Uint32(stamp) == 0 {
				continue
			}
			age, ok := c.since(binary.BigEndian.Uint32(stamp), now)
			ticks := uint32(age.Seconds() * 65536) // in 1/65536 s
			if !ok || age > time.Hour || held > ticks {
				binary.BigEndian.PutUint32(stamp, 0)
				continue
			}
			binary.BigEndian.PutUint32(stamp, max(uint32(ntp64(now)>>16)-ticks, 1)) // the middle 32 bits
		}
	}
}
