package session

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/pion/sdp/v3"

	"wavryhost/session/wire"
)

// pion is given an offer of this host's own making, in which nothing is odd: the section of the video, then that of the data channels, in one group, with
// what the viewer's offer says of the one payload type that is sent to.
const (
	ourVideo = "v"
	ourData  = "d"
)

// remote returns the offer for pion, with ICE credentials and candidates as they are at present.
func (o *offer) remote(codec string, now fragment, version uint64) *sdp.SessionDescription {
	d := &sdp.SessionDescription{
		Origin:           sdp.Origin{Username: "-", SessionID: 1, SessionVersion: version, NetworkType: "IN", AddressType: "IP4", UnicastAddress: "127.0.0.1"},
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
	f := o.format(codec)
	video := newSection("video", "UDP/TLS/RTP/SAVPF")
	video.WithCodec(f.payloadType, f.codec, videoClock, 0, wire.Parameters(codec))
	ids := o.extensions(wire.Extensions())
	for _, one := range f.feedback {
		if _, numbered := ids[wire.TransportCC]; one == feedbackTWCC && !numbered {
			continue // there would be nothing to report by
		}
		video.WithValueAttribute("rtcp-fb", fmt.Sprintf("%d %s", f.payloadType, one))
	}
	if f.rtx != 0 {
		video.WithCodec(f.rtx, "rtx", videoClock, 0, fmt.Sprintf("apt=%d", f.payloadType))
	}
	for _, name := range wire.Extensions() {
		if id, ok := ids[name]; ok {
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

func (o *offer) identify(s *sdp.MediaDescription, mid string, now fragment) *sdp.MediaDescription {
	return s.WithValueAttribute("mid", mid).WithICECredentials(now.ufrag, now.pwd).WithValueAttribute("setup", o.setup)
}

// newSection returns a section without formats.
func newSection(media, proto string) *sdp.MediaDescription {
	return &sdp.MediaDescription{
		MediaName:             sdp.MediaName{Media: media, Port: sdp.RangedPort{Value: 9}, Protos: strings.Split(proto, "/")},
		ConnectionInformation: &sdp.ConnectionInformation{NetworkType: "IN", AddressType: "IP4", Address: &sdp.Address{Address: "0.0.0.0"}},
	}
}

// answered turns pion's answer, to what remote gave it, into the answer to o. Form is the video's fmtp, empty for pion's.
func (o *offer) answered(own *sdp.SessionDescription, codec, form string) (*sdp.SessionDescription, error) {
	if len(own.MediaDescriptions) == 0 || o.data >= 0 && len(own.MediaDescriptions) < 2 {
		return nil, errors.New("session: pion left sections out of its answer")
	}
	a := &sdp.SessionDescription{
		Origin: own.Origin, SessionName: "-", TimeDescriptions: []sdp.TimeDescription{{}},
		Attributes: slices.DeleteFunc(slices.Clone(own.Attributes), func(a sdp.Attribute) bool { return a.Key == "group" }),
	}
	ice := iceOf(own.MediaDescriptions[0])
	if o.sections[o.video].has("rtcp-mux") {
		ice.candidates = slices.DeleteFunc(ice.candidates, isSecondComponent)
	}
	for i, asked := range o.sections {
		var s *sdp.MediaDescription
		switch i {
		case o.video:
			s = o.videoSection(own.MediaDescriptions[0], codec, form)
		case o.data:
			s = own.MediaDescriptions[1]
			s.Attributes = without(s.Attributes, "mid", "candidate", "end-of-candidates")
		default:
			s = unused(asked, own.MediaDescriptions[0], o.taken(i))
		}
		s.MediaName.Media, s.MediaName.Protos = asked.media, strings.Split(asked.proto, "/")
		if mid := asked.mid(); mid != "" {
			s.WithValueAttribute("mid", mid)
		}
		// Viewers that do not bundle, or not yet, look for them beside the video.
		if i == o.tag || i == o.video {
			o.place(s, ice)
		}
		a.WithMedia(s)
	}
	if o.grouped {
		group := []string{"BUNDLE"}
		for _, i := range o.groupOf(o.sections[o.video]) {
			if o.taken(i) {
				group = append(group, o.sections[i].mid())
			}
		}
		a.WithValueAttribute("group", strings.Join(group, " "))
	}
	return a, nil
}

// without returns a list without the attributes of these names.
func without(list []sdp.Attribute, names ...string) []sdp.Attribute {
	return slices.DeleteFunc(list, func(a sdp.Attribute) bool { return slices.Contains(names, a.Key) })
}

// videoSection is pion's section of the video with what the offer says in it.
func (o *offer) videoSection(s *sdp.MediaDescription, codec, form string) *sdp.MediaDescription {
	s.Attributes = without(s.Attributes, "mid", "candidate", "end-of-candidates")
	if !o.sections[o.video].has("rtcp-rsize") {
		s.Attributes = without(s.Attributes, "rtcp-rsize")
	}
	prefix := strconv.Itoa(int(o.format(codec).payloadType)) + " "
	for i, a := range s.Attributes {
		if form != "" && a.Key == "fmtp" && strings.HasPrefix(a.Value, prefix) {
			s.Attributes[i].Value = prefix + form
		}
	}
	return s
}

// unused returns a section that carries nothing: one that shares the video's transport, or is rejected. It repeats the offer's formats, and what belongs to the
// transport: aiortc reads both before it looks at the port.
func unused(asked *section, video *sdp.MediaDescription, taken bool) *sdp.MediaDescription {
	s := newSection(asked.media, asked.proto)
	if taken {
		s.MediaName.Formats = []string{asked.firstFormat()}
	} else {
		s.MediaName.Port.Value, s.MediaName.Formats = 0, asked.formats
	}
	for _, pt := range s.MediaName.Formats {
		if m := asked.mapping(pt); m != "" {
			s.WithValueAttribute("rtpmap", m)
		}
	}
	if port, ok := asked.value("sctp-port"); ok {
		s.WithValueAttribute("sctp-port", port)
	}
	if asked.has("rtcp-mux") {
		s.WithPropertyAttribute("rtcp-mux")
	}
	for _, a := range video.Attributes {
		if a.Key == "ice-ufrag" || a.Key == "ice-pwd" || a.Key == "setup" {
			s.Attributes = append(s.Attributes, a)
		}
	}
	return s.WithPropertyAttribute("inactive")
}

// place puts the candidates into the section whose transport is used. A viewer without trickle ICE finds the default one in the section's address, too (RFC 8839,
// section 4.2.1.2).
func (o *offer) place(s *sdp.MediaDescription, ice fragment) {
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

// isSecondComponent reports whether a candidate is one for RTCP alone, which has no use where it shares the media's port.
func isSecondComponent(candidate string) bool {
	f := strings.Fields(candidate)
	return len(f) > 1 && f[1] == "2"
}

// iceOf returns the ICE part of a section.
func iceOf(s *sdp.MediaDescription) fragment {
	f := fragment{}
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

// check demands of an answer that a viewer can connect by it, and that it promises nothing which is not sent.
func (o *offer) check(a *sdp.SessionDescription, codec string) error {
	if len(a.MediaDescriptions) != len(o.sections) {
		return fmt.Errorf("session: the answer has %d sections for %d", len(a.MediaDescriptions), len(o.sections))
	}
	video, tag := a.MediaDescriptions[o.video], a.MediaDescriptions[o.tag]
	ice := iceOf(tag)
	fingerprinted := hasAttribute(a.Attributes, "fingerprint") || hasAttribute(tag.Attributes, "fingerprint")
	setup, _ := tag.Attribute("setup")
	f := o.format(codec)
	switch {
	case len(ice.candidates) == 0:
		return ErrNoNetwork
	case ice.ufrag == "" || ice.pwd == "" || !fingerprinted:
		return errors.New("session: the answer lacks ICE credentials or a fingerprint")
	case setup != "active" && setup != "passive" || setup == o.setup:
		return fmt.Errorf("session: the answer's role in DTLS is %q, for %q", setup, o.setup)
	case video.MediaName.Port.Value == 0 || !hasAttribute(video.Attributes, "sendonly"):
		return fmt.Errorf("%w: no video stream was agreed on", ErrUnacceptable)
	case !slices.Contains(video.MediaName.Formats, strconv.Itoa(int(f.payloadType))):
		return fmt.Errorf("session: the answer has not payload type %d", f.payloadType)
	case hasAttribute(video.Attributes, "rid") || hasAttribute(video.Attributes, "simulcast"):
		return errors.New("session: the answer promises simulcast")
	}
	offered := o.extensions(wire.Extensions())
	for _, one := range video.Attributes {
		if id, name, _ := strings.Cut(one.Value, " "); one.Key == "extmap" && id != strconv.Itoa(offered[name]) {
			return fmt.Errorf("session: the answer gives the header extension %s the id %.10q", name, id)
		}
		if pt, what, _ := strings.Cut(one.Value, " "); one.Key == "rtcp-fb" && pt == strconv.Itoa(int(f.payloadType)) && !f.takes(what) {
			return fmt.Errorf("session: the answer promises feedback %s", what)
		}
	}
	for i, s := range a.MediaDescriptions {
		if i != o.video && i != o.data && s.MediaName.Port.Value != 0 && (!o.taken(i) || !hasAttribute(s.Attributes, "inactive")) {
			return fmt.Errorf("session: the answer takes section %d of %s", i, s.MediaName.Media)
		}
	}
	return nil
}

func hasAttribute(list []sdp.Attribute, name string) bool {
	return slices.ContainsFunc(list, func(a sdp.Attribute) bool { return a.Key == name || strings.HasPrefix(a.Key, name+":") })
}
