package peer

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"wavryhost/encode"
	"wavryhost/session/wire"
)

// maxOffer is the size of the largest offer, in bytes. A browser's has a few kilobytes.
const maxOffer = 256 << 10

// Offer is a viewer's offer, parsed once: the sections that the answer accepts, and their transport.
type Offer struct {
	*description
	video, data int // the accepted sections; data is -1 for none
	// idle are other sections with the same transport. The answer accepts them as inactive: aiortc waits for the
	// transport of a rejected section.
	idle []int
	// tag is the section whose transport all accepted sections use (RFC 9143, section 7.3).
	tag          int
	grouped      bool            // the accepted sections are in a BUNDLE group
	payloadTypes []PayloadType   // of the video section, the best of each format first
	formats      []encode.Format // their formats, in the viewer's order
	// extensions maps the header extensions of package wire to their ids.
	extensions map[string]int

	ufrag, pwd   string
	candidates   []string // the usable ones, without "candidate:"
	fingerprints []fingerprint
	setup        string
	lite         bool
	trickles     bool // the viewer supports trickle ICE
}

// ParseOffer parses an offer and chooses the sections to accept: the first video section with a format of this host,
// and data channels with the same transport. It skips everything else (RFC 8829, section 5.3.1). If no section
// remains, the error names the line.
func ParseOffer(text string, formats []encode.Format) (*Offer, error) {
	if len(text) > maxOffer {
		return nil, fmt.Errorf("%w: %d bytes are over %d", ErrBadOffer, len(text), maxOffer)
	}
	d, err := parseDescription(text)
	if err != nil {
		return nil, err
	}
	var refused error
	for i, s := range d.sections {
		if s.media != "video" {
			continue
		}
		o := &Offer{description: d, video: i, data: -1, tag: i}
		err := o.accept(s, formats)
		if err == nil {
			return o, nil
		}
		if refused == nil || len(o.payloadTypes) > 0 {
			refused = err // of the section that comes closest
		}
	}
	return nil, cmp.Or(refused, fmt.Errorf("%w: it has no video section", ErrUnacceptable))
}

// accept makes s the video section.
func (o *Offer) accept(s *section, formats []encode.Format) error {
	group := o.groupOf(s)
	o.grouped = len(group) > 0
	switch {
	case s.port == 0 && (!o.grouped || !s.has("bundle-only")):
		return fmt.Errorf("%w: %s is rejected: its port is 0", ErrUnacceptable, s)
	case !o.receives(s):
		return fmt.Errorf("%w: %s does not receive video", ErrUnacceptable, s)
	}
	o.extensions = o.extensionsOf(s, wire.Extensions())
	_, numbered := o.extensions[wire.TransportCC]
	payloadTypes, why := payloadTypesOf(s, numbered)
	o.payloadTypes, o.formats = payloadTypes, formatsOf(s, payloadTypes)
	if !slices.ContainsFunc(formats, func(f encode.Format) bool { return slices.Contains(o.formats, f) }) {
		if why == nil {
			why = fmt.Errorf("line %d", s.line)
		}
		return fmt.Errorf("%w: the viewer takes %s, and this host encodes %s (%w)",
			ErrUnacceptable, listed(o.formats), listed(formats), why)
	}
	o.chooseData(group)
	for _, i := range group {
		s := o.sections[i]
		stream := s.media == "audio" || s.media == "video"
		if i != o.video && stream && (s.port != 0 || s.has("bundle-only")) && s.firstFormat() != "" {
			o.idle = append(o.idle, i)
		}
	}
	if o.grouped {
		o.tag = group[slices.IndexFunc(group, o.accepts)]
	}
	return o.readTransport(group)
}

// listed returns the names of formats in one line.
func listed(formats []encode.Format) string {
	if len(formats) == 0 {
		return "no codec"
	}
	names := make([]string, 0, len(formats))
	for _, f := range formats {
		names = append(names, f.String())
	}
	return strings.Join(names, ", ")
}

// groupOf returns the sections of the BUNDLE group of s, in the group's order.
func (o *Offer) groupOf(s *section) (group []int) {
	mid := s.mid()
	if mid == "" {
		return nil
	}
	for _, a := range o.attributes {
		f := strings.Fields(a.value)
		if a.key != "group" || len(f) < 2 || f[0] != "BUNDLE" || !slices.Contains(f[1:], mid) {
			continue
		}
		for _, mid := range f[1:] {
			i := slices.IndexFunc(o.sections, func(s *section) bool { return s.mid() == mid })
			if i >= 0 && !slices.Contains(group, i) {
				group = append(group, i)
			}
		}
		if slices.IndexFunc(group, func(i int) bool { return o.sections[i] == s }) < 0 {
			return nil // another section has the same identification
		}
		return group
	}
	return nil
}

// accepts reports whether the answer accepts section i.
func (o *Offer) accepts(i int) bool { return i == o.video || i == o.data || slices.Contains(o.idle, i) }

// chooseData chooses the section for data channels (RFC 8841). It must share the transport of the video.
func (o *Offer) chooseData(group []int) {
	for i, s := range o.sections {
		if s.media != "application" || !slices.Contains(group, i) || s.port == 0 && !s.has("bundle-only") {
			continue
		}
		port, _ := s.value("sctp-port")
		channel := strings.HasSuffix(s.proto, "/DTLS/SCTP") && slices.Equal(s.formats, []string{"webrtc-datachannel"})
		if channel && port == "5000" { // pion's SCTP has no other port
			o.data = i
			return
		}
	}
}

// receives reports whether the viewer receives section s. Without a direction it does (RFC 8866, section 6.7).
func (o *Offer) receives(s *section) bool {
	for _, p := range []*lines{&s.lines, &o.lines} {
		for _, a := range p.attributes {
			switch a.key {
			case "recvonly", "sendrecv":
				return true
			case "sendonly", "inactive":
				return false
			}
		}
	}
	return true
}

// Formats returns the formats that this host can send to the viewer, in the viewer's order.
func (o *Offer) Formats() []encode.Format { return o.formats }

// PayloadType returns the best payload type of a format, or nil.
func (o *Offer) PayloadType(format encode.Format) *PayloadType {
	if i := slices.IndexFunc(o.payloadTypes, func(p PayloadType) bool { return p.format == format }); i >= 0 {
		return &o.payloadTypes[i]
	}
	return nil
}

// leastBitrate is the least bitrate of any controller.
const leastBitrate = 10_000

// MaxBitrate returns the viewer's limit for video in a format, in bits per second, or 0 for none.
func (o *Offer) MaxBitrate(format encode.Format) int {
	limit := encode.DecoderLimits{BitsPerSecond: o.bandwidth}.
		And(encode.DecoderLimits{BitsPerSecond: o.sections[o.video].bandwidth}).
		And(o.PayloadType(format).Limits()).BitsPerSecond
	if limit == 0 {
		return 0
	}
	return max(limit, leastBitrate)
}

// extensionsOf returns the ids of the named header extensions that section s offers for sending. Only ids that fit in
// a header of one byte count (RFC 8285, section 4.2). An id of the range that leaves the choice to the answerer
// (section 7) is replaced by a free one.
func (o *Offer) extensionsOf(s *section, names []string) map[string]int {
	ids, taken := make(map[string]int), make(map[int]bool)
	var open []string
	for _, p := range []*lines{&s.lines, &o.lines} {
		for _, a := range p.attributes {
			f := strings.Fields(a.value)
			if a.key != "extmap" || len(f) < 2 {
				continue
			}
			number, direction, _ := strings.Cut(f[0], "/")
			id, err := strconv.Atoi(number)
			_, known := ids[f[1]]
			usable := err == nil && !known && slices.Contains(names, f[1]) &&
				direction != "sendonly" && direction != "inactive"
			switch {
			case id >= 1 && id <= maxExtension && !taken[id]:
				taken[id] = true
				if usable {
					ids[f[1]] = id
				}
			case usable && id >= 4096 && id <= 4351:
				open = append(open, f[1])
			}
		}
	}
	for _, name := range open {
		for id := 1; id <= maxExtension; id++ {
			if _, known := ids[name]; !known && !taken[id] {
				ids[name], taken[id] = id, true
			}
		}
	}
	return ids
}

// maxExtension is the highest id in a header of one byte; 15 is reserved.
const maxExtension = 14
