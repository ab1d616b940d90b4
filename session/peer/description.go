package peer

import (
	"fmt"
	"strconv"
	"strings"
)

// maxSections bounds the number of media sections. A browser's offer has one for each track.
const maxSections = 64

// description is a session description (RFC 8866). It holds the lines that an answer needs. Other lines are ignored
// and never make the description unusable.
type description struct {
	lines    // of the session
	sections []*section
}

// section is one media section.
type section struct {
	lines
	line    int // the number of the m= line, counted from 1
	media   string
	port    int
	proto   string
	formats []string
}

// lines are the lines that the session and its sections have in common.
type lines struct {
	attributes []attribute
	// bandwidth is the lowest limit of the b= lines, in bits per second, or 0.
	bandwidth int
}

// attribute is an a= line.
type attribute struct {
	key, value string
	line       int
}

// value returns the value of the first attribute of that name.
func (p *lines) value(key string) (string, bool) {
	for _, a := range p.attributes {
		if a.key == key {
			return a.value, true
		}
	}
	return "", false
}

func (p *lines) has(key string) bool {
	_, ok := p.value(key)
	return ok
}

// mid returns the section's identification, or an empty string.
func (s *section) mid() string {
	mid, _ := s.value("mid")
	return mid
}

// firstFormat returns the first payload type with an rtpmap line, or an empty string.
func (s *section) firstFormat() string {
	for _, pt := range s.formats {
		if s.mapping(pt) != "" {
			return pt
		}
	}
	return ""
}

// mapping returns the value of the rtpmap line of a payload type, or an empty string.
func (s *section) mapping(pt string) string {
	for _, a := range s.attributes {
		if of, _, _ := strings.Cut(a.value, " "); a.key == "rtpmap" && of == pt {
			return a.value
		}
	}
	return ""
}

// String returns the section's name in errors.
func (s *section) String() string {
	return fmt.Sprintf("the %.20s section of line %d", s.media, s.line)
}

// parseDescription parses a description. Lines that RFC 8866 requires must be there, and each line must have the form
// of SDP.
func parseDescription(text string) (*description, error) {
	d := &description{}
	now := &d.lines
	var seen [256]bool
	number := 0
	for line := range strings.SplitSeq(text, "\n") {
		number++
		line = strings.TrimRight(line, "\r")
		if line == "" {
			continue
		}
		if len(line) < 2 || line[1] != '=' || line[0] < 'a' || line[0] > 'z' || strings.ContainsAny(line, "\r\x00") {
			return nil, fmt.Errorf("%w: line %d is not a line of SDP", ErrBadOffer, number)
		}
		if !seen['v'] && line != "v=0" {
			return nil, fmt.Errorf("%w: line %d is not v=0", ErrBadOffer, number)
		}
		seen[line[0]] = true
		value := line[2:]
		switch line[0] {
		case 'm':
			if len(d.sections) == maxSections {
				return nil, fmt.Errorf("%w: line %d: more than %d media sections", ErrBadOffer, number, maxSections)
			}
			s, err := parseSection(value)
			if err != nil {
				return nil, fmt.Errorf("%w: line %d: %w", ErrBadOffer, number, err)
			}
			s.line = number
			d.sections = append(d.sections, s)
			now = &s.lines
		case 'b':
			if n := bandwidth(value); n > 0 && (now.bandwidth == 0 || n < now.bandwidth) {
				now.bandwidth = n
			}
		case 'a':
			key, value, _ := strings.Cut(value, ":")
			now.attributes = append(now.attributes, attribute{key, strings.TrimSpace(value), number})
		}
	}
	for _, letter := range "vost" {
		if !seen[letter] {
			return nil, fmt.Errorf("%w: there is no %c= line", ErrBadOffer, letter)
		}
	}
	if len(d.sections) == 0 {
		return nil, fmt.Errorf("%w: there is no media section", ErrBadOffer)
	}
	return d, nil
}

// parseSection parses the value of an m= line.
func parseSection(value string) (*section, error) {
	f := strings.Fields(value)
	if len(f) < 4 {
		return nil, fmt.Errorf("m=%.40s has no media, port, protocol and format", value)
	}
	port, _, _ := strings.Cut(f[1], "/") // the number of ports may follow
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("%.40q is not a port", f[1])
	}
	return &section{media: f[0], port: int(n), proto: f[2], formats: f[3:]}, nil
}

// payloadShare is the share of media in the bytes on the wire, in percent: of 1200 bytes about 80 are headers, and
// some packets are not full.
const payloadShare = 92

// bandwidth parses the value of a b= line, in bits per second. It returns 0 for modifiers that do not limit the
// bitrate of media, and for malformed values.
func bandwidth(value string) int {
	modifier, text, _ := strings.Cut(value, ":")
	n, err := strconv.ParseUint(strings.TrimSpace(text), 10, 40)
	if err != nil {
		return 0
	}
	switch modifier {
	case "AS", "CT": // kilobits, including headers of IP, UDP and RTP (RFC 8866, section 5.8)
		return int(n) * 1000 * payloadShare / 100
	case "TIAS": // RFC 3890
		return int(n)
	default:
		return 0
	}
}
