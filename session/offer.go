package session

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/pion/ice/v4"
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"

	"wavryhost/encode"
)

// The limits of an offer. A browser's has a few kilobytes and as many sections as it has tracks.
const (
	maxOffer    = 256 << 10
	maxSections = 16
	// The codecs that are told apart, and the length of a name; H264 and FLEXFEC-03 are names.
	maxCodecs, maxCodecName = 16, 16
)

// skipped tells whether err says that a candidate is of a kind that cannot be used, rather than malformed.
func skipped(err error) bool {
	return errors.Is(err, ice.ErrUnknownCandidateTyp) || errors.Is(err, ice.ErrDetermineNetworkType)
}

// parseOffer checks that text is a session description that a video stream can be sent to, and returns the codecs that its peer takes,
// in capitals, in its order.
func parseOffer(text string) (codecs []string, err error) {
	if len(text) > maxOffer {
		return nil, fmt.Errorf("%w: %d bytes are over %d", ErrBadOffer, len(text), maxOffer)
	}
	var d sdp.SessionDescription
	if err := d.UnmarshalString(text); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadOffer, err)
	}
	if n := len(d.MediaDescriptions); n == 0 || n > maxSections {
		return nil, fmt.Errorf("%w: %d media sections are not from 1 to %d", ErrBadOffer, n, maxSections)
	}
	for _, name := range []string{"ice-ufrag", "ice-pwd", "fingerprint"} {
		if !everywhere(&d, name) {
			return nil, fmt.Errorf("%w: no %s", ErrBadOffer, name)
		}
	}
	if f := fragmentOf(&d); !iceChars(f.ufrag, 4) || !iceChars(f.pwd, 22) {
		return nil, fmt.Errorf("%w: ICE credentials are malformed", ErrBadOffer)
	}
	candidates := 0
	for _, m := range d.MediaDescriptions {
		for _, a := range m.Attributes {
			if a.Key == "candidate" {
				candidates++
				if err := checkCandidate(a.Value); err != nil {
					return nil, err
				}
			}
		}
	}
	if candidates > maxCandidates*len(d.MediaDescriptions) {
		return nil, fmt.Errorf("%w: %d candidates", ErrBadOffer, candidates)
	}
	if codecs, err = takes(&d); err != nil {
		return nil, err
	}
	return codecs, checkData(&d)
}

// checkData checks the sections for data channels (RFC 8841), of which there is one at most.
func checkData(d *sdp.SessionDescription) error {
	found := false
	for _, m := range d.MediaDescriptions {
		if m.MediaName.Media != "application" {
			continue
		}
		if _, bundled := m.Attribute("bundle-only"); m.MediaName.Port.Value == 0 && !bundled {
			continue
		}
		switch proto := strings.Join(m.MediaName.Protos, "/"); {
		case found:
			return fmt.Errorf("%w: two sections for data channels", ErrBadOffer)
		case proto != "UDP/DTLS/SCTP" && proto != "TCP/DTLS/SCTP":
			return fmt.Errorf("%w: data channels over %.40q", ErrBadOffer, proto)
		case !slices.Equal(m.MediaName.Formats, []string{"webrtc-datachannel"}):
			return fmt.Errorf("%w: data channels of another kind than webrtc-datachannel", ErrBadOffer)
		}
		port, _ := m.Attribute("sctp-port")
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return fmt.Errorf("%w: %.40q is no SCTP port", ErrBadOffer, port)
		}
		found = true
	}
	return nil
}

// everywhere tells whether all sections in use have an attribute, of their own or the session's.
func everywhere(d *sdp.SessionDescription, name string) bool {
	if _, ok := d.Attribute(name); ok {
		return true
	}
	for i, m := range d.MediaDescriptions {
		// Only the first of a bundle needs to have it (RFC 9143, section 7.1.3).
		if _, ok := m.Attribute(name); !ok && i == 0 {
			return false
		}
	}
	return true
}

// takes returns the codecs that who offers d can be sent.
func takes(d *sdp.SessionDescription) (codecs []string, err error) {
	video, receiving := false, false
	for _, m := range d.MediaDescriptions {
		if m.MediaName.Media != "video" {
			continue
		}
		if _, bundled := m.Attribute("bundle-only"); m.MediaName.Port.Value == 0 && !bundled {
			continue
		}
		video = true
		if !receives(d, m) {
			continue
		}
		receiving = true
		for _, a := range m.Attributes {
			if codec := codecOf(a, m); codec != "" && !slices.Contains(codecs, codec) && len(codecs) < maxCodecs {
				codecs = append(codecs, codec)
			}
		}
	}
	switch {
	case !video:
		return nil, fmt.Errorf("%w: it has no video section", ErrUnacceptable)
	case !receiving:
		return nil, fmt.Errorf("%w: it does not receive video", ErrUnacceptable)
	}
	return codecs, nil
}

// codecOf returns the codec that attribute a of section m maps a payload type to, in capitals. It is empty for all other attributes, for
// what repairs a stream, and for VP9 of more than eight bits, which is a codec of its own for a decoder.
func codecOf(a sdp.Attribute, m *sdp.MediaDescription) string {
	payloadType, encoding, _ := strings.Cut(a.Value, " ")
	name, rate, _ := strings.Cut(strings.ToUpper(encoding), "/")
	if a.Key != "rtpmap" || !strings.HasPrefix(rate, "90000") || len(name) > maxCodecName || strings.ContainsFunc(name, odd) {
		return ""
	}
	switch name {
	case "RTX", "RED", "ULPFEC", "FLEXFEC-03":
		return ""
	case encode.VP9:
		for _, b := range m.Attributes {
			format, ok := strings.CutPrefix(b.Value, payloadType+" ")
			if b.Key == "fmtp" && ok && strings.Contains(format, "profile-id=") && !strings.Contains(format, "profile-id=0") {
				return ""
			}
		}
	}
	return name
}

// odd tells whether a character is none that a codec's name has: names are repeated in the words of a refusal.
func odd(r rune) bool { return (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '.' }

// receives tells whether the peer of section m wants to receive. Without a direction it does (RFC 8866, section 6.7).
func receives(d *sdp.SessionDescription, m *sdp.MediaDescription) bool {
	for _, list := range [][]sdp.Attribute{m.Attributes, d.Attributes} {
		for _, a := range list {
			switch a.Key {
			case "recvonly", "sendrecv":
				return true
			case "sendonly", "inactive":
				return false
			}
		}
	}
	return true
}

// sends tells whether section m of an answer carries video to the viewer.
func sends(m *sdp.MediaDescription) bool {
	_, only := m.Attribute("sendonly")
	_, both := m.Attribute("sendrecv")
	return m.MediaName.Media == "video" && m.MediaName.Port.Value != 0 && (only || both)
}

// identify gives the sections of an answer that have none the identification of the offer's. pion leaves it away where it
// rejects a section, though it belongs there (RFC 8829, section 5.3.1), and refuses such an answer itself later on.
func identify(answer, offer *sdp.SessionDescription) {
	for i, m := range answer.MediaDescriptions {
		if _, ok := m.Attribute("mid"); ok || i >= len(offer.MediaDescriptions) {
			continue
		}
		if mid, ok := offer.MediaDescriptions[i].Attribute("mid"); ok {
			m.Attributes = append(m.Attributes, sdp.NewAttribute("mid", mid))
		}
	}
}

// refusal tells a description that is wrong from one that cannot be answered.
func refusal(err error) error {
	if errors.Is(err, webrtc.ErrUnsupportedCodec) || errors.Is(err, webrtc.ErrCodecNotFound) ||
		errors.Is(err, webrtc.ErrNoCodecsAvailable) {
		return fmt.Errorf("%w: %w", ErrUnacceptable, err)
	}
	return fmt.Errorf("%w: %w", ErrBadOffer, err)
}
