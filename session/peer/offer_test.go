package peer

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/pion/sdp/v3"

	"wavryhost/encode"
	"wavryhost/session/peer/peertest"
)

// accepted returns the answer to what a viewer's own offer would be without edits: the sections of a that are in use,
// where the viewer has them.
func accepted(t *testing.T, own, answer string) string {
	t.Helper()
	var mine, a sdp.SessionDescription
	if err := mine.UnmarshalString(own); err != nil {
		t.Fatal(err)
	}
	// The sections that are not in use.
	answer = regexp.MustCompile(`(?m)^m=\S+ 0 .*\n([^m].*\n)*`).ReplaceAllString(answer, "")
	if err := a.UnmarshalString(answer); err != nil {
		t.Fatalf("%v in\n%s", err, answer)
	}
	var ice []sdp.Attribute
	used := make(map[string]*sdp.MediaDescription)
	for _, m := range a.MediaDescriptions {
		if hasAttribute(m.Attributes, "inactive") {
			continue
		}
		used[m.MediaName.Media] = m
		for _, c := range m.Attributes {
			if c.Key == "candidate" {
				ice = append(ice, c)
			}
		}
		m.Attributes = without(m.Attributes, "candidate", "end-of-candidates", "mid")
	}
	a.Attributes = without(a.Attributes, "group")
	a.MediaDescriptions = nil
	group := ""
	for _, m := range mine.MediaDescriptions {
		mid, _ := m.Attribute("mid")
		s := used[m.MediaName.Media]
		delete(used, m.MediaName.Media)
		if s == nil {
			s = newSection(m.MediaName.Media, "UDP/TLS/RTP/SAVPF").WithPropertyAttribute("inactive")
			s.MediaName.Port.Value, s.MediaName.Formats = 0, []string{"0"}
		} else {
			if group == "" {
				s.Attributes = append(s.Attributes, ice...)
			}
			group += " " + mid
		}
		s.MediaName.Protos = m.MediaName.Protos
		a.WithMedia(s.WithValueAttribute("mid", mid))
	}
	text, err := a.WithValueAttribute("group", "BUNDLE"+group).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestOddOffers(t *testing.T) {
	h := openHost(t, nil)
	for _, c := range oddOffers() {
		t.Run(c.name, func(t *testing.T) {
			v := c.newViewer(t)
			defer v.Close()
			own := v.Offer(false)
			asked := own
			if c.edit != nil {
				asked = c.edit(own)
			}
			p, answer, err := h.answer(asked)
			if c.refused != "" {
				if !errors.Is(err, ErrBadOffer) && !errors.Is(err, ErrUnacceptable) ||
					!strings.Contains(fmt.Sprint(err), c.refused) {
					t.Fatalf("got %v; want a refusal that says %q", err, c.refused)
				}
				return
			}
			if err != nil {
				t.Fatalf("%v of\n%s", err, asked)
			}
			defer p.close()
			for _, line := range c.has {
				if !regexp.MustCompile("(?m)^" + line).MatchString(strings.ReplaceAll(answer, "\r", "")) {
					t.Errorf("the answer lacks %s:\n%s", line, answer)
				}
			}
			for _, line := range c.lacks {
				if regexp.MustCompile("(?m)^" + line).MatchString(answer) {
					t.Errorf("the answer has %s:\n%s", line, answer)
				}
			}
			mirrors(t, asked, answer)
			if c.edit != nil {
				answer = accepted(t, own, answer)
			}
			v.Accept(answer)
			v.Playing(t, 2)
		})
	}
}

// mirrors demands that an answer has the sections of its offer, in their order (RFC 3264, section 6).
func mirrors(t *testing.T, offer, answer string) {
	t.Helper()
	shape := func(text string) (list []string) {
		mid := regexp.MustCompile(`(?m)^a=mid:(\S*)`)
		for _, s := range regexp.MustCompile(`(?m)^m=`).Split(strings.ReplaceAll(text, "\r", ""), -1)[1:] {
			f := strings.Fields(s)
			list = append(list, fmt.Sprint(f[0], f[2], mid.FindStringSubmatch(s)))
		}
		return list
	}
	if want, got := shape(offer), shape(answer); !slices.Equal(got, want) {
		t.Errorf("the answer has the sections %q; want %q", got, want)
	}
}

// canned is what pion answers to what remote gives it, apart from the address.
const canned = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=fingerprint:sha-256 00:11\r\n" +
	"a=group:BUNDLE v d\r\n" +
	"m=video 9 UDP/TLS/RTP/SAVPF %[1]d\r\nc=IN IP4 0.0.0.0\r\na=setup:%[2]s\r\na=mid:v\r\na=ice-ufrag:abcd\r\n" +
	"a=ice-pwd:0123456789abcdefghijklmn\r\na=rtcp-mux\r\na=rtcp-rsize\r\n" +
	"a=rtpmap:%[1]d H264/90000\r\na=fmtp:%[1]d x\r\na=sendonly\r\na=candidate:" + testHost + "\r\n" +
	"a=end-of-candidates\r\n" +
	"m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=setup:%[2]s\r\na=mid:d\r\n" +
	"a=ice-ufrag:abcd\r\na=ice-pwd:0123456789abcdefghijklmn\r\na=sctp-port:5000\r\n"

// FuzzAnswer lays out answers to whatever is offered. What is made of an offer for pion must be a description that
// pion reads, and the answer must be good.
func FuzzAnswer(f *testing.F) {
	f.Add(peertest.ChromiumOffer)
	for _, c := range oddOffers() {
		v := c.newViewer(f)
		text := v.Offer(false)
		v.Close()
		if c.edit != nil {
			text = c.edit(text)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		o, err := ParseOffer(text, []encode.Format{encode.H264, encode.VP9})
		if err != nil {
			if !errors.Is(err, ErrBadOffer) && !errors.Is(err, ErrUnacceptable) {
				t.Errorf("got %v; want ErrBadOffer or ErrUnacceptable", err)
			}
			return
		}
		format := o.payloadTypes[0].format
		if format != encode.H264 && format != encode.VP9 {
			format = encode.H264
			if o.PayloadType(format) == nil {
				format = encode.VP9
			}
		}
		remote, err := o.forPion([]*PayloadType{o.PayloadType(format)}, Fragment{
			ufrag: o.ufrag, pwd: o.pwd,
			candidates: o.candidates,
		}, 1).Marshal()
		if err != nil {
			t.Fatal(err)
		}
		var read sdp.SessionDescription
		if err := read.Unmarshal(remote); err != nil {
			t.Fatalf("%v of\n%s", err, remote)
		}
		setup := "active"
		if o.setup == "active" {
			setup = "passive"
		}
		var own sdp.SessionDescription
		if err := own.UnmarshalString(fmt.Sprintf(canned, o.PayloadType(format).number, setup)); err != nil {
			t.Fatal(err)
		}
		a, err := o.answer(&own, []*PayloadType{o.PayloadType(format)}, encode.Stream{
			Width: 1920, Height: 1080,
			FPS: 60, BitsPerSecond: 20_000_000,
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := o.check(a, []*PayloadType{o.PayloadType(format)}); err != nil {
			t.Errorf("%v in the answer to\n%s", err, text)
		}
		answer, err := a.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parseDescription(string(answer)); err != nil {
			t.Errorf("%v in\n%s", err, answer)
		}
		o.MaxBitrate(format)
		o.PayloadType(format).ReportsPackets()
	})
}
