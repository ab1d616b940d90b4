package session

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/pion/ice/v4"
	"github.com/pion/webrtc/v4"
)

// The limits of an offer. A browser's has a few kilobytes and as many sections as it has tracks.
const (
	maxOffer    = 256 << 10
	maxSections = 64
	// The codecs that are told apart, and the length of a name; H264 and FLEXFEC-03 are names.
	maxCodecs, maxCodecName = 16, 16
)

// offer is what a viewer asks for, read once: the sections that are answered, and what their transport is.
type offer struct {
	*description
	video, data int // sections that are answered; data is -1 for none
	// idle are the sections beside them whose transport is the same. They are taken as inactive, since aiortc waits for the transport of a section that is rejected.
	idle []int
	// tag is the section whose transport all that are answered use (RFC 9143, section 7.3).
	tag int
	// grouped: the answered sections are in a BUNDLE group.
	grouped bool
	formats []format // of the video section, the best of each codec first
	codecs  []string // the same by name, in the viewer's order

	ufrag, pwd   string
	candidates   []string // that can be used, without "candidate:"
	fingerprints []fingerprint
	setup        string
	lite         bool
	trickles     bool // the viewer takes part in trickle ICE
}

// parseOffer reads an offer and chooses the sections to answer: the first that video in one of the codecs of has can be sent to, and the data channels beside it. What
// cannot be used is skipped (RFC 8829, section 5.3.1). The error names the line when nothing is left.
func parseOffer(text string, has []string) (*offer, error) {
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
		o := &offer{description: d, video: i, data: -1, tag: i}
		err := o.use(s, has)
		if err == nil {
			return o, nil
		}
		if refused == nil || len(o.formats) > 0 {
			refused = err // of the section that comes nearest
		}
	}
	return nil, cmp.Or(refused, fmt.Errorf("%w: it has no video section", ErrUnacceptable))
}

// use makes s the section of the video.
func (o *offer) use(s *section, has []string) error {
	group := o.groupOf(s)
	o.grouped = len(group) > 0
	switch {
	case s.port == 0 && (!o.grouped || !s.has("bundle-only")):
		return fmt.Errorf("%w: %s is rejected: its port is 0", ErrUnacceptable, s)
	case !o.receives(s):
		return fmt.Errorf("%w: %s does not receive video", ErrUnacceptable, s)
	}
	formats, why := formatsOf(s)
	o.formats, o.codecs = formats, codecsOf(s, formats)
	if !slices.ContainsFunc(has, func(codec string) bool { return slices.Contains(o.codecs, codec) }) {
		if why == nil {
			why = fmt.Errorf("line %d", s.line)
		}
		return fmt.Errorf("%w: the viewer takes %s, and this host encodes %s (%w)", ErrUnacceptable, listed(o.codecs), listed(has), why)
	}
	o.chooseData(group)
	for _, i := range group {
		if s := o.sections[i]; i != o.video && (s.media == "audio" || s.media == "video") && (s.port != 0 || s.has("bundle-only")) && s.firstFormat() != "" {
			o.idle = append(o.idle, i)
		}
	}
	if o.grouped {
		o.tag = group[slices.IndexFunc(group, o.taken)]
	}
	return o.readTransport(group)
}

// groupOf returns the sections of the BUNDLE group that s is in, in the group's order.
func (o *offer) groupOf(s *section) (group []int) {
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
			if i := slices.IndexFunc(o.sections, func(s *section) bool { return s.mid() == mid }); i >= 0 && !slices.Contains(group, i) {
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

// taken reports whether section i is not rejected.
func (o *offer) taken(i int) bool { return i == o.video || i == o.data || slices.Contains(o.idle, i) }

// chooseData chooses the section for data channels (RFC 8841), which has to share the video's transport.
func (o *offer) chooseData(group []int) {
	for i, s := range o.sections {
		if s.media != "application" || !slices.Contains(group, i) || s.port == 0 && !s.has("bundle-only") {
			continue
		}
		// pion's SCTP has this port and no other.
		port, _ := s.value("sctp-port")
		if strings.HasSuffix(s.proto, "/DTLS/SCTP") && slices.Equal(s.formats, []string{"webrtc-datachannel"}) && port == "5000" {
			o.data = i
			return
		}
	}
}

// readTransport reads the ICE credentials, the candidates and the fingerprints. They are those of the tagged section; what it lacks is
// taken from the section of the video, the rest of the group and the session.
func (o *offer) readTransport(group []int) error {
	parts := []*lines{&o.sections[o.tag].lines, &o.sections[o.video].lines, &o.lines}
	for _, i := range group {
		parts = append(parts, &o.sections[i].lines)
	}
	for _, p := range parts {
		ufrag, _ := p.value("ice-ufrag")
		pwd, _ := p.value("ice-pwd")
		if iceChars(ufrag, 4) && iceChars(pwd, 22) {
			o.ufrag, o.pwd = ufrag, pwd
			break
		}
	}
	if o.ufrag == "" {
		return fmt.Errorf("%w: %s has no a=ice-ufrag and a=ice-pwd that can be used, nor has the session", ErrBadOffer, o.sections[o.tag])
	}
	// The certificate is the viewer's, so that any section may tell of it.
	for _, s := range o.sections {
		parts = append(parts, &s.lines)
	}
	for _, p := range parts {
		if o.fingerprints = fingerprintsOf(p); len(o.fingerprints) > 0 {
			break
		}
	}
	if len(o.fingerprints) == 0 {
		return fmt.Errorf("%w: %s has no a=fingerprint that can be used, nor has the session", ErrBadOffer, o.sections[o.tag])
	}
	o.setup = "actpass"
	for _, p := range parts[:3+len(group)] {
		if setup, ok := p.value("setup"); ok {
			if setup == "active" || setup == "passive" {
				o.setup = setup
			}
			break
		}
	}
	o.lite = o.has("ice-lite")
	for _, p := range parts[:3] {
		options, _ := p.value("ice-options")
		o.trickles = o.trickles || slices.Contains(strings.Fields(options), "trickle")
	}
	for _, p := range parts[:3+len(group)] {
		if o.candidates = candidatesOf(p); len(o.candidates) > 0 {
			break
		}
	}
	return nil
}

// candidatesOf returns the candidates that can be used, as many as are looked at.
func candidatesOf(p *lines) (list []string) {
	for _, a := range p.attributes {
		if a.key == "candidate" && len(list) < maxCandidates && checkCandidate(a.value) == nil && !slices.Contains(list, a.value) {
			list = append(list, a.value)
		}
	}
	return list
}

// receives reports whether the viewer wants to receive by section s. Without a direction it does (RFC 8866, section 6.7).
func (o *offer) receives(s *section) bool {
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

// format returns the payload type that a codec is sent to.
func (o *offer) format(codec string) *format {
	if i := slices.IndexFunc(o.formats, func(f format) bool { return f.codec == codec }); i >= 0 {
		return &o.formats[i]
	}
	return nil
}

// ceiling is the highest bitrate that the viewer allows for its video in a codec, in bits per second; 0 for any.
func (o *offer) ceiling(codec string) int {
	allowed := lowest(lowest(o.bandwidth, o.sections[o.video].bandwidth), o.format(codec).limits().BitsPerSecond)
	if allowed == 0 {
		return 0
	}
	return max(allowed, leastCeiling)
}

// leastCeiling is what no controller goes below.
const leastCeiling = 10_000

// lowest returns the lower of two limits, of which 0 is none.
func lowest(a, b int) int {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}

// extensions returns the ids of the header extensions with these names, as far as they are offered for sending and can be written in headers of one byte (RFC 8285, section
// 4.2). An id of the range that leaves the choice to the answerer (section 7) is replaced by a free one.
func (o *offer) extensions(names []string) map[string]int {
	ids, taken := make(map[string]int), make(map[int]bool)
	var open []string
	for _, p := range []*lines{&o.sections[o.video].lines, &o.lines} {
		for _, a := range p.attributes {
			f := strings.Fields(a.value)
			if a.key != "extmap" || len(f) < 2 {
				continue
			}
			number, direction, _ := strings.Cut(f[0], "/")
			id, err := strconv.Atoi(number)
			_, known := ids[f[1]]
			usable := err == nil && !known && slices.Contains(names, f[1]) && direction != "sendonly" && direction != "inactive"
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

// maxExtension is the highest id of a header extension of one byte; 15 is reserved.
const maxExtension = 14

// skipped reports whether err says that a candidate is of a kind that cannot be used, rather than malformed.
func skipped(err error) bool {
	return errors.Is(err, ice.ErrUnknownCandidateTyp) || errors.Is(err, ice.ErrDetermineNetworkType)
}

// refusal tells a description that is wrong from one that cannot be answered.
func refusal(err error) error {
	if errors.Is(err, webrtc.ErrUnsupportedCodec) || errors.Is(err, webrtc.ErrCodecNotFound) ||
		errors.Is(err, webrtc.ErrNoCodecsAvailable) {
		return fmt.Errorf("%w: %w", ErrUnacceptable, err)
	}
	return fmt.Errorf("%w: %w", ErrBadOffer, err)
}
