package session

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"wavryhost/encode"
)

// format is a payload type of an offer that this host can send to.
type format struct {
	payloadType uint8
	codec       string // in capitals
	// rtx is the payload type of its retransmissions, 0 for none.
	rtx        uint8
	parameters parameters
	feedback   []string // of those that this host makes use of, as in rtcp-fb
	rank       int      // of those of one codec; lower is better
}

// feedback is what this host makes use of, as in rtcp-fb lines.
const (
	feedbackNACK = "nack"
	feedbackPLI  = "nack pli"
	feedbackFIR  = "ccm fir"
	feedbackTWCC = "transport-cc"
	feedbackCCFB = "ack ccfb"
)

var feedbacks = []string{feedbackNACK, feedbackPLI, feedbackFIR, feedbackTWCC, feedbackCCFB}

func (f *format) takes(feedback string) bool { return slices.Contains(f.feedback, feedback) }

// mapping is the rtpmap line of a payload type.
type mapping struct {
	name  string // in capitals
	clock int
}

// formatsOf returns the payload types of a section that video can be sent to, the best of each codec first. The error says why those of codecs that this host
// has are left out.
func formatsOf(s *section) (list []format, err error) {
	maps := make(map[string]mapping)
	params := make(map[string]parameters)
	for _, a := range s.attributes {
		pt, rest, _ := strings.Cut(a.value, " ")
		switch a.key {
		case "rtpmap":
			name, clock, _ := strings.Cut(strings.TrimSpace(rest), "/")
			clock, _, _ = strings.Cut(clock, "/")
			n, err := strconv.Atoi(clock)
			if err == nil && len(name) <= maxCodecName && !strings.ContainsFunc(strings.ToUpper(name), notCodecChar) {
				maps[pt] = mapping{strings.ToUpper(name), n}
			}
		case "fmtp":
			if params[pt] == nil {
				params[pt] = make(parameters)
			}
			params[pt].read(rest)
		}
	}
	for _, pt := range s.formats {
		m, ok := maps[pt]
		n, bad := strconv.ParseUint(pt, 10, 7)
		if !ok || bad != nil || m.clock != videoClock || slices.Contains(repairs, m.name) {
			continue
		}
		f := format{payloadType: uint8(n), codec: m.name, parameters: params[pt]}
		if slices.ContainsFunc(list, func(o format) bool { return o.payloadType == f.payloadType }) {
			continue
		}
		var why error
		if f.rank, why = f.suits(); why != nil {
			err = cmp.Or(err, fmt.Errorf("line %d: payload type %s: %w", s.line, pt, why))
			continue
		}
		f.feedback = feedbackOf(s, pt)
		f.rtx = retransmissions(s, pt, maps, params)
		list = append(list, f)
	}
	slices.SortStableFunc(list, func(a, b format) int { return a.rank - b.rank })
	return list, err
}

// videoClock is the clock of every video codec (RFC 6184, section 8.2.1; RFC 9628, section 4.1).
const videoClock = 90_000

// repairs are formats that mend a stream of another format.
var repairs = []string{"RTX", "RED", "ULPFEC", "FLEXFEC-03", "FLEXFEC"}

// suits ranks a format among those of its codec, or says why it cannot be sent to.
func (f *format) suits() (rank int, err error) {
	if f.payloadType >= 64 && f.payloadType < 96 {
		return 0, fmt.Errorf("the number is one of RTCP's where both share a port (RFC 5761, section 4)")
	}
	switch f.codec {
	case encode.H264:
		switch mode, stated := f.parameters["packetization-mode"]; {
		case !stated:
			// By the letter that is mode 0. Whoever leaves the parameters out depacketizes whatever comes (GStreamer, FFmpeg); the answer says mode 1.
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
			return 0, fmt.Errorf("%.20q is no profile-level-id", text)
		}
		suited := p.rank()
		if suited == 0 {
			return 0, fmt.Errorf("profile-level-id %s: such a decoder need not take constrained baseline, which this host sends", text)
		}
		return rank + suited, nil
	case encode.VP9:
		if id := f.parameters["profile-id"]; id != "" && id != "0" {
			return 0, fmt.Errorf("VP9 profile %.10q: this host sends profile 0", id)
		}
	}
	return rank, nil
}

// feedbackOf returns the feedback that a section offers for a payload type.
func feedbackOf(s *section, pt string) (list []string) {
	for _, a := range s.attributes {
		of, what, _ := strings.Cut(a.value, " ")
		what = strings.Join(strings.Fields(strings.ToLower(what)), " ")
		if a.key == "rtcp-fb" && (of == pt || of == "*") && slices.Contains(feedbacks, what) && !slices.Contains(list, what) {
			list = append(list, what)
		}
	}
	return list
}

// retransmissions returns the payload type that retransmissions of another one are offered in (RFC 4588), 0 for none.
func retransmissions(s *section, pt string, maps map[string]mapping, params map[string]parameters) uint8 {
	for _, other := range s.formats {
		n, err := strconv.ParseUint(other, 10, 7)
		if err == nil && maps[other] == (mapping{"RTX", videoClock}) && params[other]["apt"] == pt && (n < 64 || n >= 96) {
			return uint8(n)
		}
	}
	return 0
}

// codecsOf returns the codecs of formats, in their order, without their ranks.
func codecsOf(s *section, list []format) (codecs []string) {
	for _, pt := range s.formats {
		for _, f := range list {
			if strconv.Itoa(int(f.payloadType)) == pt && !slices.Contains(codecs, f.codec) && len(codecs) < maxCodecs {
				codecs = append(codecs, f.codec)
			}
		}
	}
	return codecs
}

// notCodecChar reports whether a character is none that a codec's name has: names are repeated in the words of a refusal.
func notCodecChar(r rune) bool {
	return (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '.'
}

// limits returns what the decoder behind a format takes at most.
func (f *format) limits() encode.DecoderLimits {
	l := encode.DecoderLimits{FPS: f.parameters.number("max-fr")}
	if f.codec != encode.H264 {
		l.Macroblocks = f.parameters.number("max-fs")
		return l
	}
	// max-fs and max-mbps raise the limits of the level (RFC 6184, section 8.1). The level itself only counts without
	// level-asymmetry-allowed: browsers offer level 3.1 with it, and decode all levels.
	p, stated := parseProfileLevel(f.parameters["profile-level-id"])
	if !stated || f.asymmetric() {
		l.Macroblocks, l.MacroblocksPerSecond = f.parameters.number("max-fs"), f.parameters.number("max-mbps")
		return l
	}
	level := encode.LevelByIDC(p.level)
	l.Macroblocks = max(level.Macroblocks, f.parameters.number("max-fs"))
	l.MacroblocksPerSecond = max(level.MacroblocksPerSecond, f.parameters.number("max-mbps"))
	l.BitsPerSecond = max(level.BitsPerSecond, 1000*f.parameters.number("max-br"))
	same := l.Macroblocks == level.Macroblocks && l.MacroblocksPerSecond == level.MacroblocksPerSecond
	if same && l.BitsPerSecond == level.BitsPerSecond {
		l.Level = int(level.IDC) // otherwise the decoder takes more than its level
	}
	return l
}

// deaf reports whether the viewer can ask neither for packets nor for keyframes.
func (f *format) deaf() bool {
	return !f.takes(feedbackNACK) && !f.takes(feedbackPLI) && !f.takes(feedbackFIR)
}

func (f *format) asymmetric() bool { return f.parameters["level-asymmetry-allowed"] == "1" }

// answer returns the fmtp of the answer: the profile is the offer's, of which constrained baseline is a part, and the level is that of the stream. It is
// empty for a codec without.
func (f *format) answer(most encode.Stream) string {
	if f.codec != encode.H264 {
		return ""
	}
	p, stated := parseProfileLevel(f.parameters["profile-level-id"])
	if !stated {
		p = profileLevel{profileBaseline, 0xe0, 0}
	}
	p.level = encode.LevelOf(f.limits().Bound(most)).IDC
	if !stated || f.asymmetric() {
		p.level = max(p.level, 31) // less than this nobody asks of a decoder
		return "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=" + p.String()
	}
	return "packetization-mode=1;profile-level-id=" + p.String()
}
