package peer

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"wavryhost/encode"
)

// maxFormats bounds the number of formats, and maxCodecName the length of a name, such as FLEXFEC-03.
const maxFormats, maxCodecName = 16, 16

// PayloadType is a payload type of an offer that this host can send.
type PayloadType struct {
	number     uint8
	format     encode.Format // its codec is in capitals
	rtx        uint8         // the payload type of retransmissions, or 0
	parameters parameters
	feedback   []string // of feedbacks
	rank       int      // among the payload types of a format; lower is better
}

// The feedback that this host uses, as in rtcp-fb lines.
const (
	feedbackNACK = "nack"
	feedbackPLI  = "nack pli"
	feedbackFIR  = "ccm fir"
	feedbackTWCC = "transport-cc"
	feedbackCCFB = "ack ccfb"
)

var feedbacks = []string{feedbackNACK, feedbackPLI, feedbackFIR, feedbackTWCC, feedbackCCFB}

func (f *PayloadType) hasFeedback(feedback string) bool { return slices.Contains(f.feedback, feedback) }

// ReportsPackets reports whether the viewer reports on single packets.
func (f *PayloadType) ReportsPackets() bool {
	return f.hasFeedback(feedbackTWCC) || f.hasFeedback(feedbackCCFB)
}

// CanRequest reports whether the viewer can request packets or keyframes.
func (f *PayloadType) CanRequest() bool {
	return f.hasFeedback(feedbackNACK) || f.hasFeedback(feedbackPLI) || f.hasFeedback(feedbackFIR)
}

// mapping is the value of an rtpmap line.
type mapping struct {
	name  string // in capitals
	clock int
}

// payloadTypesOf returns the payload types of a section that this host can send, the best of each format first. Without
// a numbered header extension the viewer cannot send transport-cc. The error says why the first other one cannot be
// sent.
func payloadTypesOf(s *section, numbered bool) (list []PayloadType, err error) {
	maps, params := formatLines(s)
	for _, pt := range s.formats {
		m, ok := maps[pt]
		n, bad := strconv.ParseUint(pt, 10, 7)
		if !ok || bad != nil || m.clock != videoClock || slices.Contains(repairs, m.name) {
			continue
		}
		f := PayloadType{number: uint8(n), format: encode.Format{Codec: m.name, Depth: 8}, parameters: params[pt]}
		if slices.ContainsFunc(list, func(o PayloadType) bool { return o.number == f.number }) {
			continue
		}
		var why error
		if f.rank, why = f.suits(); why != nil {
			err = cmp.Or(err, fmt.Errorf("line %d: payload type %s: %w", s.line, pt, why))
			continue
		}
		f.feedback = feedbackOf(s, pt)
		if !numbered {
			f.feedback = slices.DeleteFunc(f.feedback, func(one string) bool { return one == feedbackTWCC })
		}
		f.rtx = retransmissions(s, pt, maps, params)
		list = append(list, f)
	}
	slices.SortStableFunc(list, func(a, b PayloadType) int { return a.rank - b.rank })
	return list, err
}

// formatLines returns the rtpmap and fmtp lines of a section by payload type.
func formatLines(s *section) (map[string]mapping, map[string]parameters) {
	maps := make(map[string]mapping)
	params := make(map[string]parameters)
	for _, a := range s.attributes {
		pt, rest, _ := strings.Cut(a.value, " ")
		switch a.key {
		case "rtpmap":
			name, clock, _ := strings.Cut(strings.TrimSpace(rest), "/")
			clock, _, _ = strings.Cut(clock, "/")
			n, err := strconv.Atoi(clock)
			if name = strings.ToUpper(name); err == nil && isCodecName(name) {
				maps[pt] = mapping{name, n}
			}
		case "fmtp":
			if params[pt] == nil {
				params[pt] = make(parameters)
			}
			params[pt].read(rest)
		}
	}
	return maps, params
}

// isCodecName reports whether a name has the form of a codec's name. Names are repeated in error messages.
func isCodecName(name string) bool {
	return len(name) <= maxCodecName && !strings.ContainsFunc(name, notCodecChar)
}

func notCodecChar(r rune) bool {
	return (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '.'
}

// videoClock is the RTP clock rate of every video codec (RFC 6184, section 8.2.1; RFC 9628, section 4.1; and so on).
const videoClock = 90_000

// repairs are formats that repair a stream of another format.
var repairs = []string{"RTX", "RED", "ULPFEC", "FLEXFEC-03", "FLEXFEC"}

// suits returns the rank of a payload type among its format's payload types, or an error if this host cannot send it.
func (f *PayloadType) suits() (rank int, err error) {
	if f.number >= 64 && f.number < 96 {
		return 0, fmt.Errorf("the number belongs to RTCP if both share a port (RFC 5761, section 4)")
	}
	switch f.format {
	case encode.H264:
		switch mode, stated := f.parameters["packetization-mode"]; {
		case !stated:
			// This means mode 0. But GStreamer and FFmpeg leave out the parameters and depacketize all modes. The
			// answer says mode 1.
			rank = 10
		case mode != "1":
			return 0, fmt.Errorf("packetization-mode %.10q: this host sends mode 1", mode)
		}
		text, stated := f.parameters["profile-level-id"]
		if !stated {
			return rank + 1, nil
		}
		p, ok := parseProfileLevel(text)
		if !ok {
			return 0, fmt.Errorf("%.20q is not a profile-level-id", text)
		}
		suited := p.rank()
		if suited == 0 {
			return 0, fmt.Errorf("profile-level-id %s: its decoders need not decode any profile that this host sends", text)
		}
		return rank + suited, nil
	case encode.VP9:
		if id := f.parameters["profile-id"]; id != "" && id != "0" {
			return 0, fmt.Errorf("VP9 profile %.10q: this host sends profile 0", id)
		}
	case encode.AV1:
		if profile := f.parameters["profile"]; profile != "" && profile != "0" {
			return 0, fmt.Errorf("AV1 profile %.10q: this host sends profile 0", profile)
		}
	case encode.HEVC:
		return f.suitsHEVC()
	}
	return rank, nil
}

// suitsHEVC is suits for HEVC (RFC 7798, section 7.1). A decoder of profile 2, Main 10, also decodes Main.
func (f *PayloadType) suitsHEVC() (rank int, err error) {
	if mode := f.parameters["tx-mode"]; mode != "" && !strings.EqualFold(mode, "SRST") {
		return 0, fmt.Errorf("tx-mode %.10q: this host sends a single stream (SRST)", mode)
	}
	switch id := f.parameters["profile-id"]; id {
	case "", "1":
		return 0, nil
	case "2":
		return 1, nil
	default:
		return 0, fmt.Errorf("HEVC profile %.10q: this host sends profile 1", id)
	}
}

// feedbackOf returns the feedback that a section offers for a payload type.
func feedbackOf(s *section, pt string) (list []string) {
	for _, a := range s.attributes {
		of, what, _ := strings.Cut(a.value, " ")
		if a.key != "rtcp-fb" || of != pt && of != "*" {
			continue
		}
		what = strings.Join(strings.Fields(strings.ToLower(what)), " ")
		if slices.Contains(feedbacks, what) && !slices.Contains(list, what) {
			list = append(list, what)
		}
	}
	return list
}

// retransmissions returns the payload type for retransmissions of another payload type (RFC 4588), or 0.
func retransmissions(s *section, pt string, maps map[string]mapping, params map[string]parameters) uint8 {
	for _, other := range s.formats {
		n, err := strconv.ParseUint(other, 10, 7)
		rtx := maps[other] == mapping{"RTX", videoClock} && params[other]["apt"] == pt
		if err == nil && rtx && (n < 64 || n >= 96) {
			return uint8(n)
		}
	}
	return 0
}

// formatsOf returns the formats of payload types in the order of the section.
func formatsOf(s *section, list []PayloadType) (formats []encode.Format) {
	for _, pt := range s.formats {
		for _, f := range list {
			same := strconv.Itoa(int(f.number)) == pt
			if same && !slices.Contains(formats, f.format) && len(formats) < maxFormats {
				formats = append(formats, f.format)
			}
		}
	}
	return formats
}

// Limits returns the limits of the viewer's decoder.
func (f *PayloadType) Limits() encode.DecoderLimits {
	l := encode.DecoderLimits{FPS: f.parameters.number("max-fr")}
	switch f.format {
	case encode.H264:
	case encode.HEVC:
		// Browsers state the level of the device that decodes (RFC 7798, section 7.1: 3.1 if there is none).
		level := encode.LevelByIDC(encode.CodecHEVC, uint8(min(cmp.Or(f.parameters.number("level-id"), 93), 255)))
		l.Macroblocks, l.MacroblocksPerSecond = level.Macroblocks, level.MacroblocksPerSecond
		l.BitsPerSecond = level.BitsPerSecond
		return l
	default: // browsers offer level 3.1 of AV1, and decode all levels
		l.Macroblocks = f.parameters.number("max-fs")
		return l
	}
	l.H264 = f.h264()
	// max-fs and max-mbps raise the limits of the level (RFC 6184, section 8.1). The level itself only counts without
	// level-asymmetry-allowed: browsers offer level 3.1 with it, and decode all levels.
	p, stated := parseProfileLevel(f.parameters["profile-level-id"])
	if !stated || f.asymmetric() {
		l.Macroblocks, l.MacroblocksPerSecond = f.parameters.number("max-fs"), f.parameters.number("max-mbps")
		return l
	}
	level := encode.LevelByIDC(encode.CodecH264, p.level)
	l.Macroblocks = max(level.Macroblocks, f.parameters.number("max-fs"))
	l.MacroblocksPerSecond = max(level.MacroblocksPerSecond, f.parameters.number("max-mbps"))
	l.BitsPerSecond = max(level.BitsPerSecond, 1000*f.parameters.number("max-br"))
	same := l.Macroblocks == level.Macroblocks && l.MacroblocksPerSecond == level.MacroblocksPerSecond
	if same && l.BitsPerSecond == level.BitsPerSecond {
		l.Level = int(level.IDC) // otherwise the decoder takes more than its level
	}
	return l
}

func (f *PayloadType) asymmetric() bool { return f.parameters["level-asymmetry-allowed"] == "1" }

// h264 returns the highest profile of H.264 that the stream may use. A viewer that states none, as GStreamer and FFmpeg
// do, accepts baseline (RFC 6184, section 8.1).
func (f *PayloadType) h264() encode.H264Profile {
	if p, stated := parseProfileLevel(f.parameters["profile-level-id"]); stated {
		return p.h264()
	}
	return encode.ConstrainedBaseline
}

// fmtp returns the fmtp line of the answer, or an empty string for a codec without one. The profile is the offer's: the
// stream uses that or a lower one. The level is that of the largest stream that the viewer may be sent. A decoder that
// only takes its own level gets a stream that states this one.
func (f *PayloadType) fmtp(largest encode.Stream) string {
	level := encode.LevelOf(f.format.Codec, f.Limits().Bound(largest)).IDC
	switch f.format {
	case encode.H264:
	case encode.AV1:
		return fmt.Sprintf("level-idx=%d;profile=0;tier=0", level)
	case encode.HEVC:
		return fmt.Sprintf("level-id=%d;profile-id=%s;tier-flag=0;tx-mode=SRST", level,
			cmp.Or(f.parameters["profile-id"], "1"))
	default:
		return ""
	}
	p, stated := parseProfileLevel(f.parameters["profile-level-id"])
	if !stated {
		p = profileLevel{profileBaseline, 0xe0, 0}
	}
	p.level = level
	if !stated || f.asymmetric() {
		p.level = max(p.level, 31) // all decoders take level 3.1
		return "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=" + p.String()
	}
	if l := f.Limits(); l.Level > 0 {
		p.level = uint8(l.Level) //nolint:gosec // it is one of the levels; the stream states it
	}
	return "packetization-mode=1;profile-level-id=" + p.String()
}

// parameters are the parameters of an fmtp line. The names are in lower case.
type parameters map[string]string

func (p parameters) read(text string) {
	for one := range strings.SplitSeq(text, ";") {
		key, value, _ := strings.Cut(strings.TrimSpace(one), "=")
		if key != "" {
			p[strings.ToLower(strings.TrimSpace(key))] = strings.TrimSpace(value)
		}
	}
}

// number returns a positive parameter, or 0 if it is missing or malformed.
func (p parameters) number(key string) int {
	n, err := strconv.ParseUint(p[key], 10, 31)
	if err != nil {
		return 0
	}
	return int(n)
}
