package peer

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/pion/sdp/v3"

	"wavryhost/encode"
	"wavryhost/session/wire"
)

// pion gets an offer that this host makes: the video section, then that of the data channels, in one group, with the
// payload types that are sent. So pion never sees the viewer's text.
const (
	ourVideo = "v"
	ourData  = "d"
)

// forPion returns the offer for pion, with the current ICE credentials and candidates of the viewer.
func (o *Offer) forPion(list []*PayloadType, now Fragment, version uint64) *sdp.SessionDescription {
	d := &sdp.SessionDescription{
		Origin: sdp.Origin{
			Username: "-", SessionID: 1, SessionVersion: version,
			NetworkType: "IN", AddressType: "IP4", UnicastAddress: "127.0.0.1",
		},
		SessionName:      "-",
		TimeDescriptions: []sdp.TimeDescription{{}},
	}
	d.WithFingerprint(o.fingerprints[0].hash, o.fingerprints[0].value)
	if o.lite {
		d.WithPropertyAttribute(sdp.AttrKeyICELite)
	}
	if o.trickles {
		d.WithICETrickleAdvertised()
	}
	video := newSection("video", "UDP/TLS/RTP/SAVPF")
	for _, f := range list {
		video.WithCodec(f.number, f.format.Codec, videoClock, 0, wire.Parameters(f.format))
		for _, one := range f.feedback {
			video.WithValueAttribute("rtcp-fb", fmt.Sprintf("%d %s", f.number, one))
		}
		if f.rtx != 0 {
			video.WithCodec(f.rtx, "rtx", videoClock, 0, fmt.Sprintf("apt=%d", f.number))
		}
	}
	for _, name := range wire.Extensions() {
		if id, ok := o.extensions[name]; ok {
			video.WithValueAttribute("extmap", fmt.Sprintf("%d %s", id, name))
		}
	}
	o.identify(video, ourVideo, now).WithPropertyAttribute("rtcp-mux").WithPropertyAttribute("recvonly")
	for _, c := range now.candidates {
		video.WithValueAttribute("candidate", c)
	}
	d.WithMedia(video)
	group := "BUNDLE " + ourVideo
	if o.data >= 0 {
		data := newSection("application", "UDP/DTLS/SCTP")
		data.MediaName.Formats = []string{"webrtc-datachannel"}
		o.identify(data, ourData, now).WithValueAttribute("sctp-port", "5000")
		if size, ok := o.sections[o.data].value("max-message-size"); ok {
			data.WithValueAttribute("max-message-size", size)
		}
		d.WithMedia(data)
		group += " " + ourData
	}
	return d.WithValueAttribute("group", group)
}

// identify adds the identification and the transport to a section.
func (o *Offer) identify(s *sdp.MediaDescription, mid string, now Fragment) *sdp.MediaDescription {
	return s.WithValueAttribute("mid", mid).WithICECredentials(now.ufrag, now.pwd).WithValueAttribute("setup", o.setup)
}

// newSection returns a section without formats.
func newSection(media, proto string) *sdp.MediaDescription {
	return &sdp.MediaDescription{
		MediaName: sdp.MediaName{
			Media: media, Port: sdp.RangedPort{Value: 9}, Protos: strings.Split(proto, "/"),
		},
		ConnectionInformation: &sdp.ConnectionInformation{
			NetworkType: "IN", AddressType: "IP4", Address: &sdp.Address{Address: "0.0.0.0"},
		},
	}
}

// answer turns pion's answer to forPion into the answer to o. It states the levels of the largest stream.
func (o *Offer) answer(
	own *sdp.SessionDescription, list []*PayloadType, largest encode.Stream,
) (*sdp.SessionDescription, error) {
	if len(own.MediaDescriptions) == 0 || o.data >= 0 && len(own.MediaDescriptions) < 2 {
		return nil, errors.New("peer: pion left sections out of its answer")
	}
	a := &sdp.SessionDescription{
		Origin: own.Origin, SessionName: "-", TimeDescriptions: []sdp.TimeDescription{{}},
		Attributes: without(slices.Clone(own.Attributes), "group"),
	}
	ice := iceOf(own.MediaDescriptions[0])
	if o.sections[o.video].has("rtcp-mux") {
		ice.candidates = slices.DeleteFunc(ice.candidates, isSecondComponent)
	}
	for i, offered := range o.sections {
		var s *sdp.MediaDescription
		switch i {
		case o.video:
			s = o.videoSection(own.MediaDescriptions[0], list, largest)
		case o.data:
			s = own.MediaDescriptions[1]
			s.Attributes = without(s.Attributes, "mid", "candidate", "end-of-candidates")
		default:
			s = unused(offered, own.MediaDescriptions[0], o.accepts(i))
		}
		s.MediaName.Media, s.MediaName.Protos = offered.media, strings.Split(offered.proto, "/")
		if mid := offered.mid(); mid != "" {
			s.WithValueAttribute("mid", mid)
		}
		// Viewers without BUNDLE look for the candidates in the video section.
		if i == o.tag || i == o.video {
			o.place(s, ice)
		}
		a.WithMedia(s)
	}
	if o.grouped {
		group := []string{"BUNDLE"}
		for _, i := range o.groupOf(o.sections[o.video]) {
			if o.accepts(i) {
				group = append(group, o.sections[i].mid())
			}
		}
		a.WithValueAttribute("group", strings.Join(group, " "))
	}
	return a, nil
}

// without removes the attributes of these names from a list.
func without(list []sdp.Attribute, names ...string) []sdp.Attribute {
	return slices.DeleteFunc(list, func(a sdp.Attribute) bool { return slices.Contains(names, a.Key) })
}

// videoSection returns pion's video section, adapted to the offer.
func (o *Offer) videoSection(
	s *sdp.MediaDescription, list []*PayloadType, largest encode.Stream,
) *sdp.MediaDescription {
	s.Attributes = without(s.Attributes, "mid", "candidate", "end-of-candidates")
	if !o.sections[o.video].has("rtcp-rsize") {
		s.Attributes = without(s.Attributes, "rtcp-rsize")
	}
	for _, f := range list {
		prefix, fmtp := strconv.Itoa(int(f.number))+" ", f.fmtp(largest)
		for i, a := range s.Attributes {
			if fmtp != "" && a.Key == "fmtp" && strings.HasPrefix(a.Value, prefix) {
				s.Attributes[i].Value = prefix + fmtp
			}
		}
	}
	return s
}

// unused returns a section without media: inactive on the video's transport, or rejected. It repeats the formats of
// the offer and the attributes of the transport, which aiortc reads before it looks at the port.
func unused(offered *section, video *sdp.MediaDescription, accepted bool) *sdp.MediaDescription {
	s := newSection(offered.media, offered.proto)
	if accepted {
		s.MediaName.Formats = []string{offered.firstFormat()}
	} else {
		s.MediaName.Port.Value, s.MediaName.Formats = 0, offered.formats
	}
	for _, pt := range s.MediaName.Formats {
		if m := offered.mapping(pt); m != "" {
			s.WithValueAttribute("rtpmap", m)
		}
	}
	if port, ok := offered.value("sctp-port"); ok {
		s.WithValueAttribute("sctp-port", port)
	}
	if offered.has("rtcp-mux") {
		s.WithPropertyAttribute("rtcp-mux")
	}
	for _, a := range video.Attributes {
		if a.Key == "ice-ufrag" || a.Key == "ice-pwd" || a.Key == "setup" {
			s.Attributes = append(s.Attributes, a)
		}
	}
	return s.WithPropertyAttribute("inactive")
}

// place adds the candidates to a section. For a viewer without trickle ICE it also makes the default candidate the
// address of the section (RFC 8839, section 4.2.1.2).
func (o *Offer) place(s *sdp.MediaDescription, ice Fragment) {
	for _, c := range ice.candidates {
		s.WithValueAttribute("candidate", c)
	}
	if ice.end {
		s.WithPropertyAttribute("end-of-candidates")
	}
	if o.trickles {
		return
	}
	best, rank := []string(nil), -1
	for _, c := range ice.candidates {
		f := strings.Fields(c)
		if len(f) < 8 || f[1] != "1" || !strings.EqualFold(f[2], "udp") {
			continue
		}
		if n := slices.Index([]string{"host", "srflx", "relay"}, f[7]); n > rank {
			best, rank = f, n
		}
	}
	if port, err := strconv.ParseUint(field(best, 5), 10, 16); err == nil {
		family := "IP4"
		if strings.Contains(best[4], ":") {
			family = "IP6"
		}
		s.MediaName.Port.Value = int(port)
		s.ConnectionInformation.AddressType, s.ConnectionInformation.Address.Address = family, best[4]
	}
}

func field(list []string, i int) string {
	if i < len(list) {
		return list[i]
	}
	return ""
}

// isSecondComponent reports whether a candidate is for RTCP only, which has no use if RTCP shares the port of media.
func isSecondComponent(candidate string) bool {
	f := strings.Fields(candidate)
	return len(f) > 1 && f[1] == "2"
}

// iceOf returns the ICE part of a section.
func iceOf(s *sdp.MediaDescription) Fragment {
	f := Fragment{}
	for _, a := range s.Attributes {
		switch a.Key {
		case "ice-ufrag":
			f.ufrag = a.Value
		case "ice-pwd":
			f.pwd = a.Value
		case "candidate":
			f.candidates = append(f.candidates, a.Value)
		case "end-of-candidates":
			f.end = true
		}
	}
	return f
}

// check returns an error if a viewer could not connect with an answer, or if the answer promises more than is sent.
func (o *Offer) check(a *sdp.SessionDescription, list []*PayloadType) error {
	if len(a.MediaDescriptions) != len(o.sections) {
		return fmt.Errorf("peer: the answer has %d sections for %d", len(a.MediaDescriptions), len(o.sections))
	}
	video, tag := a.MediaDescriptions[o.video], a.MediaDescriptions[o.tag]
	ice := iceOf(tag)
	fingerprinted := hasAttribute(a.Attributes, "fingerprint") || hasAttribute(tag.Attributes, "fingerprint")
	setup, _ := tag.Attribute("setup")
	switch {
	case len(ice.candidates) == 0:
		return ErrNoNetwork
	case ice.ufrag == "" || ice.pwd == "" || !fingerprinted:
		return errors.New("peer: the answer lacks ICE credentials or a fingerprint")
	case setup != "active" && setup != "passive" || setup == o.setup:
		return fmt.Errorf("peer: the answer's role in DTLS is %q, for %q", setup, o.setup)
	case video.MediaName.Port.Value == 0 || !hasAttribute(video.Attributes, "sendonly"):
		return fmt.Errorf("%w: no video stream was agreed on", ErrUnacceptable)
	case hasAttribute(video.Attributes, "rid") || hasAttribute(video.Attributes, "simulcast"):
		return errors.New("peer: the answer promises simulcast")
	}
	for _, one := range video.Attributes {
		first, rest, _ := strings.Cut(one.Value, " ")
		if one.Key == "extmap" && first != strconv.Itoa(o.extensions[rest]) {
			return fmt.Errorf("peer: the answer gives the header extension %s the id %.10q", rest, first)
		}
	}
	for _, f := range list {
		if err := f.check(video); err != nil {
			return err
		}
	}
	for i, s := range a.MediaDescriptions {
		idle := o.accepts(i) && hasAttribute(s.Attributes, "inactive")
		if i != o.video && i != o.data && s.MediaName.Port.Value != 0 && !idle {
			return fmt.Errorf("peer: the answer accepts section %d of %s", i, s.MediaName.Media)
		}
	}
	return nil
}

// check returns an error if the video section of an answer lacks the payload type, or promises feedback that was not
// offered for it.
func (f *PayloadType) check(video *sdp.MediaDescription) error {
	number := strconv.Itoa(int(f.number))
	if !slices.Contains(video.MediaName.Formats, number) {
		return fmt.Errorf("peer: the answer lacks payload type %s", number)
	}
	for _, one := range video.Attributes {
		first, rest, _ := strings.Cut(one.Value, " ")
		if one.Key == "rtcp-fb" && first == number && !f.hasFeedback(rest) {
			return fmt.Errorf("peer: the answer promises feedback %s", rest)
		}
	}
	return nil
}

func hasAttribute(list []sdp.Attribute, name string) bool {
	return slices.ContainsFunc(list, func(a sdp.Attribute) bool {
		return a.Key == name || strings.HasPrefix(a.Key, name+":")
	})
}
