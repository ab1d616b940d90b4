package peer

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/pion/webrtc/v4"

	"wavryhost/session/peer/peertest"
)

// oddOffer is an offer that is unusual and can be answered.
type oddOffer struct {
	name  string
	kinds []string // sections of the viewer's own offer, "video" alone by default
	// payloadType is 96, and form that of constrained baseline, by default.
	payloadType uint8
	form        string
	edit        func(string) string
	// refused are words of the refusal; empty where the viewer must get pictures.
	refused string
	// has and lacks are lines of the answer, by their beginnings.
	has, lacks []string
}

// swap returns an edit that replaces what a regular expression finds in single lines; \n is a line's end.
func swap(pairs ...string) func(string) string {
	return func(offer string) string {
		offer = strings.ReplaceAll(offer, "\r\n", "\n")
		for i := 0; i < len(pairs); i += 2 {
			offer = regexp.MustCompile("(?m)"+pairs[i]).ReplaceAllString(offer, pairs[i+1])
		}
		return strings.ReplaceAll(offer, "\n", "\r\n")
	}
}

// before puts a section in front of the first one.
func before(section string, pairs ...string) func(string) string {
	return func(offer string) string {
		return strings.Replace(swap(pairs...)(offer), "m=", strings.ReplaceAll(section, "\n", "\r\n")+"m=", 1)
	}
}

func after(section string, pairs ...string) func(string) string {
	return func(offer string) string {
		return swap(pairs...)(offer) + strings.ReplaceAll(section, "\n", "\r\n")
	}
}

const (
	rejectedAudio = "m=audio 0 UDP/TLS/RTP/SAVPF 111\nc=IN IP4 0.0.0.0\na=mid:a\na=rtpmap:111 opus/48000/2\n" +
		"a=inactive\n"
	dataSection = "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\nc=IN IP4 0.0.0.0\na=mid:d\na=sctp-port:5000\n"
	wrongHash   = "a=fingerprint:sha-256 " +
		"00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF\n"
	iceLines = `^a=(ice-ufrag|ice-pwd|fingerprint|setup|candidate|end-of-candidates)\b.*\n`
	grouped  = `^a=group:BUNDLE 0`
)

func oddOffers() []oddOffer {
	video, av := []string{"video"}, []string{"audio", "video"}
	list := []oddOffer{
		{
			name: "usual", has: []string{"a=group:BUNDLE 0", "a=sendonly", "a=mid:0", "a=rtcp-mux"},
			lacks: []string{"a=candidate:.* 2 udp", "a=recvonly"},
		},
		{name: "audio first", kinds: av, has: []string{"a=group:BUNDLE 0 1", "m=audio [1-9]", "a=inactive"}},
		{name: "audio second", kinds: []string{"video", "audio"}},
		{name: "data first", kinds: []string{"data", "video"}, has: []string{"a=group:BUNDLE 0 1"}},
		{name: "data second", kinds: []string{"video", "data"}},
		{name: "audio, data, video", kinds: []string{"audio", "data", "video"}, has: []string{"a=group:BUNDLE 0 1 2"}},
		{name: "two videos", kinds: []string{"video", "video"}, has: []string{"a=group:BUNDLE 0 1", "a=inactive"}},

		{name: "no group", edit: swap(`^a=group.*\n`, ""), lacks: []string{"a=group"}},
		{
			name: "no group, audio first", kinds: av, edit: swap(`^a=group.*\n`, ""), lacks: []string{"a=group"},
			has: []string{"m=audio 0 "},
		},
		{name: "no group and no mid", edit: swap(`^a=(group|mid).*\n`, ""), lacks: []string{"a=group", "a=mid"}},
		{name: "no group and no mid, audio first", kinds: av, edit: swap(`^a=(group|mid).*\n`, "")},
		{name: "group without mid", edit: swap(`^a=mid.*\n`, ""), lacks: []string{"a=group", "a=mid"}},
		{
			name: "group of others alone", edit: before(rejectedAudio, grouped, "a=group:BUNDLE a"),
			lacks: []string{"a=group"},
		},
		{name: "LS group", edit: swap(grouped, "a=group:LS 0\na=group:BUNDLE 0")},
		{name: "two groups", kinds: av, edit: swap(`^a=group:BUNDLE 0 1`,
			"a=group:BUNDLE 0\na=group:BUNDLE 1"), has: []string{"a=group:BUNDLE 1", "m=audio 0 "}},
		{name: "same mid twice", kinds: av, edit: swap(`^a=mid:0`, "a=mid:1")},

		{name: "rejected audio in front", edit: before(rejectedAudio)},
		{name: "rejected audio in front, tagged", edit: before(rejectedAudio, grouped, "a=group:BUNDLE a 0")},
		{name: "bundle-only audio in front", edit: before(strings.Replace(rejectedAudio, "a=inactive",
			"a=bundle-only", 1), grouped, "a=group:BUNDLE 0 a")},
		{name: "bundle-only video behind audio", kinds: av, edit: func(o string) string {
			head, video, _ := strings.Cut(o, "m=video 9")
			return head + "m=video 0" + swap(iceLines, "", `^a=mid:1`, "a=bundle-only\na=mid:1")(video)
		}},
		{
			name: "section of T.38", edit: before("m=image 0 udptl t38\na=mid:f\n"),
			has: []string{"m=image 0 udptl t38", "a=mid:f"},
		},
		{name: "section of an unknown kind", edit: before("m=holo 9 TCP/X 1 2\na=mid:h\n")},
		{
			name: "section of BFCP and text",
			edit: after("m=application 9 TCP/DTLS/BFCP *\na=mid:b\nm=text 9 RTP/AVP 98\na=mid:t\n"),
		},
		{name: "16 sections", edit: before(strings.Repeat(rejectedAudio, 15))},
		{name: "data over RTP", edit: after(strings.Replace(dataSection, "UDP/DTLS/SCTP", "UDP/TLS/RTP/SAVPF",
			1), grouped, "a=group:BUNDLE 0 d"), has: []string{"m=application 0 "}},
		{name: "data of another kind", edit: after(strings.Replace(dataSection, "webrtc-datachannel", "t38",
			1), grouped, "a=group:BUNDLE 0 d")},
		{name: "data without a port", edit: after(strings.Replace(dataSection, "a=sctp-port:5000\n", "", 1),
			grouped, "a=group:BUNDLE 0 d")},
		{name: "data on another port", edit: after(strings.Replace(dataSection, "5000", "70000", 1), grouped,
			"a=group:BUNDLE 0 d")},
		{name: "data outside the group", edit: after(dataSection), has: []string{"m=application 0 "}},
		{name: "data twice", edit: after(dataSection+strings.ReplaceAll(dataSection, "mid:d", "mid:e"),
			grouped, "a=group:BUNDLE 0 d e"), has: []string{"a=group:BUNDLE 0 d$"}},

		{name: "ICE at the session", edit: func(o string) string {
			ice := strings.Join(regexp.MustCompile(`a=ice-(ufrag|pwd):.*\r\n`).FindAllString(o, -1), "")
			return strings.Replace(swap(`^a=ice-(ufrag|pwd).*\n`, "")(o), "t=0 0\r\n", "t=0 0\r\n"+ice, 1)
		}},
		{name: "fingerprint and setup in the section", edit: func(o string) string {
			hash := regexp.MustCompile(`a=fingerprint:.*\r\n`).FindString(o)
			return strings.Replace(strings.ReplaceAll(o, hash, ""), "a=mid:0\r\n", "a=mid:0\r\n"+hash, 1)
		}},
		{name: "fingerprint in the audio's section alone", kinds: av, edit: func(o string) string {
			hash := regexp.MustCompile(`a=fingerprint:.*\r\n`).FindString(o)
			return strings.Replace(strings.ReplaceAll(o, hash, ""), "a=mid:0\r\n", "a=mid:0\r\n"+hash, 1)
		}},
		{name: "two fingerprints, the second right", edit: swap(`^a=fingerprint`, wrongHash+"a=fingerprint")},
		{name: "two fingerprints, the first right", edit: swap(`^(a=fingerprint.*\n)`, "${1}"+wrongHash)},
		{name: "a fingerprint of MD5 first", edit: swap(`^a=fingerprint`,
			"a=fingerprint:md5 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF\na=fingerprint")},
		{name: "a fingerprint that is none first", edit: swap(`^a=fingerprint`,
			"a=fingerprint:sha-256 xyz\na=fingerprint:\na=fingerprint")},
		{name: "setup active", edit: swap(`^a=setup:actpass`, "a=setup:active"), has: []string{"a=setup:passive"}},
		{name: "setup passive", edit: swap(`^a=setup:actpass`, "a=setup:passive"), has: []string{"a=setup:active"}},
		{name: "setup missing", edit: swap(`^a=setup.*\n`, "")},
		{name: "setup holdconn", edit: swap(`^a=setup:actpass`, "a=setup:holdconn")},

		{name: "empty candidate", edit: swap(`^a=end-of-candidates`, "a=candidate:\na=end-of-candidates")},
		{name: "malformed candidates", edit: swap(`^a=mid`,
			"a=candidate:x y z\na=candidate:1 1 udp 1 192.0.2.1 99999 typ host\n"+
				"a=candidate:1 1 quic 1 x 1 typ moon\na=mid")},
		{name: "malformed candidates alone", edit: swap(`^a=candidate:.*`, "a=candidate:x y z")},
		{name: "no candidates", edit: swap(`^a=(candidate|end-of).*\n`, "")},
		{name: "100 candidates", edit: func(o string) string {
			var lines strings.Builder
			for i := range 100 {
				fmt.Fprintf(&lines, "a=candidate:%d 1 udp 1 127.0.0.1 %d typ host\r\n", i, 20_000+i)
			}
			return strings.Replace(o, "a=end-of-candidates", lines.String()+"a=end-of-candidates", 1)
		}},

		{name: "extensions of id 0, 15 and 200", edit: swap(`^a=extmap:\d+ (.*)`,
			"a=extmap:0 $1\na=extmap:15 $1\na=extmap:200 $1"), lacks: []string{
			"a=extmap",
			"a=rtcp-fb:.* transport-cc",
		}},
		{
			name: "extensions whose id is left open", edit: swap(`^a=extmap:\d+ (.*)`, "a=extmap:4096 $1"),
			has: []string{"a=extmap:1 "},
		},
		{
			name: "extensions that are not received", edit: swap(`^a=extmap:(\d+) `, "a=extmap:$1/sendonly "),
			lacks: []string{"a=extmap"},
		},
		{name: "malformed extensions", edit: swap(`^a=mid`,
			"a=extmap:\na=extmap:x y\na=extmap:3\na=extmap:4 %zz\na=mid")},
		{name: "extensions at the session", edit: func(o string) string {
			list := strings.Join(regexp.MustCompile(`a=extmap:.*\r\n`).FindAllString(o, -1), "")
			return strings.Replace(swap(`^a=extmap:.*\n`, "")(o), "t=0 0\r\n", "t=0 0\r\n"+list, 1)
		}, has: []string{"a=extmap:"}},
		{name: "simulcast", edit: swap(`^a=mid`,
			"a=rid:h recv pt=96\na=rid:l recv pt=96\na=simulcast:recv h;l\na=mid"), lacks: []string{
			"a=rid",
			"a=simulcast",
		}},
		{name: "unknown attributes", edit: swap(`^a=mid`,
			"a=ptime:20\na=x-foo:bar baz\na=imageattr:96 recv [x=320,y=240]\na=ts-refclk:local\n"+
				"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:AAAA\na=mid", `^t=0 0`, "t=0 0\na=tool:x 1.0\n"+
				"a=identity:ey")},
		{name: "all kinds of lines", edit: swap(`^s=-`,
			"s=-\ni=about\nu=http://x.example/\ne=a@example.net\np=+1 617\nc=IN IP4 0.0.0.0\nb=X-odd:y\n"+
				"b=RS:1", `^t=0 0`, "t=0 0\nr=7d 1h 0 25h\nz=0 0\nk=prompt", `^a=mid`, "i=screen\nk=prompt\na=mid")},
		{name: "no c=", edit: swap(`^c=.*\n`, "")},
		{name: "IPv6 and a name", edit: swap(`^o=- `, "o=jdoe@x ", `^c=.*`, "c=IN IP6 ::", `^s=.*`, "s=Büro — 画面")},
		{name: "long line", edit: swap(`^a=mid`, "a=x-long:"+strings.Repeat("y", 9000)+"\na=mid")},
		{name: "line feeds alone", edit: func(o string) string { return strings.ReplaceAll(o, "\r\n", "\n") }},
		{name: "blank lines at the end", edit: func(o string) string { return o + "\r\n\r\n" }},
		{name: "no line end at the end", edit: strings.TrimSpace},

		{name: "RTP/SAVPF", edit: swap("UDP/TLS/RTP/SAVPF", "RTP/SAVPF"), has: []string{`m=video \d+ RTP/SAVPF 96`}},
		{name: "RTP/AVPF", edit: swap("UDP/TLS/RTP/SAVPF", "RTP/AVPF")},
		{name: "TCP/TLS/RTP/SAVPF", edit: swap("UDP/TLS/RTP/SAVPF", "TCP/TLS/RTP/SAVPF")},
		{
			name: "SIP gateway", kinds: av,
			edit: swap(`^a=(group|mid|extmap|rtcp-fb|rtcp-rsize|ice-options|msid).*\n`, "",
				"UDP/TLS/RTP/SAVPF", "RTP/SAVPF", "^m=(audio|video) 9", "m=$1 5004", "^c=.*", "c=IN IP4 127.0.0.1"),
			has:   []string{`m=video [1-9]\d{3,} RTP/SAVPF 96`, "c=IN IP4 127.0.0.1", "m=audio 0 RTP/SAVPF"},
			lacks: []string{"a=group", "a=mid", "a=extmap", "a=rtcp-fb", "a=rtcp-rsize"},
		},
		{name: "port with a count", edit: swap("^m=video 9 ", "m=video 9/1 ")},
		{name: "no rtcp-mux", edit: swap(`^a=rtcp-mux\n`, "")},
		{
			name: "direction at the session", edit: swap(`^a=recvonly\n`, "", `^t=0 0`, "t=0 0\na=recvonly"),
			has: []string{"a=sendonly"},
		},
		{name: "no direction", edit: swap(`^a=recvonly\n`, ""), has: []string{"a=sendonly"}},
		{
			name: "sendrecv", edit: swap(`^a=recvonly`, "a=sendrecv"), has: []string{"a=sendonly"},
			lacks: []string{"a=sendrecv"},
		},
		{
			name: "a video that is sent in front", kinds: []string{"video", "video"},
			edit: func(o string) string { return strings.Replace(o, "a=recvonly", "a=sendonly", 1) },
			has:  []string{"a=group:BUNDLE 0 1", "a=inactive"},
		},

		{name: "lower case and parameters", edit: swap("H264/90000", "h264/90000/1", `^(a=fmtp:96 .*)`,
			"$1; X-y ;max-br=;sprop-parameter-sets=Z0IA,aM48;")},
		{
			name: "feedback for all formats", edit: swap(`^a=rtcp-fb:96 `, "a=rtcp-fb:* "),
			has: []string{"a=rtcp-fb:96 nack pli"},
		},
		{name: "feedback that is unknown", edit: swap(`^a=rtcp-fb:96 .*`,
			"a=rtcp-fb:96 goog-remb\na=rtcp-fb:96 ccm tmmbr\na=rtcp-fb:"), lacks: []string{"a=rtcp-fb"}},
		{name: "no fmtp", edit: swap(`^a=fmtp:96.*\n`, ""), has: []string{"a=fmtp:96 .*packetization-mode=1"}},
		{name: "payload type 35", payloadType: 35},
		{name: "payload type 63", payloadType: 63},
		{name: "payload type 127", payloadType: 127},
		{name: "payload type 72", payloadType: 72, refused: "payload type 72"},
		{name: "formats that are none", edit: swap(`^(m=video .*)`, "$1 97 200 x 0", `^a=mid`,
			"a=rtpmap:97 H264/8000\na=rtpmap:200 H264/90000\na=rtpmap:x y\na=rtpmap:\na=mid")},
		{
			name: "mode 0 in front of mode 1", edit: swap(`^(m=video \S+ \S+) `, "$1 97 ", `^a=mid`,
				"a=rtpmap:97 H264/90000\na=fmtp:97 packetization-mode=0;profile-level-id=42e01f\na=mid"),
			has: []string{"m=video .* 96$"},
		},
		{
			name: "high profile in front", edit: swap(`^(m=video \S+ \S+) `, "$1 97 ", `^a=mid`,
				"a=rtpmap:97 H264/90000\na=fmtp:97 packetization-mode=1;profile-level-id=640032\na=mid"),
			has: []string{"m=video .* 97$", "a=fmtp:97 .*profile-level-id=6400"},
		},
		{name: "mode 0 alone", form: "packetization-mode=0;profile-level-id=42e01f", refused: "packetization-mode"},
		{name: "mode 2 alone", form: "packetization-mode=2;profile-level-id=42e01f", refused: "packetization-mode"},
		{
			name: "high profile alone",
			form: "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=640032",
			has:  []string{"a=fmtp:96 .*profile-level-id=6400"},
		},
		{
			name: "high 4:4:4 alone",
			form: "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=f4001f",
			has:  []string{"a=fmtp:96 .*profile-level-id=f400"},
		},
		{name: "intra profile alone", form: "packetization-mode=1;profile-level-id=f4101f", refused: "f4101f"},
		{name: "profile that is none", form: "packetization-mode=1;profile-level-id=xyz", refused: "xyz"},

		{name: "rejected video", edit: swap(`^m=video 9`, "m=video 0"), refused: "line "},
		{name: "video that is sent", edit: swap(`^a=recvonly`, "a=sendonly"), refused: "does not receive"},
		{name: "no credentials", edit: swap(`^a=ice-ufrag.*\n`, ""), refused: "ice-ufrag"},
		{name: "malformed credentials", edit: swap(`^a=ice-pwd.*`, "a=ice-pwd:x"), refused: "ice-pwd"},
		{name: "no fingerprint", edit: swap(`^a=fingerprint.*\n`, ""), refused: "fingerprint"},
		{
			name: "fingerprint that is none", edit: swap(`^a=fingerprint.*`, "a=fingerprint:sha-256 00:11"),
			refused: "fingerprint",
		},
		{name: "no s=", edit: swap(`^s=.*\n`, ""), refused: "s= line"},
		{name: "no t=", edit: swap(`^t=.*\n`, ""), refused: "t= line"},
		{name: "malformed m=", edit: swap(`^m=video 9`, "m=video nine"), refused: "line "},
		{name: "a line that is none", edit: swap(`^a=mid`, "nonsense\na=mid"), refused: "line "},
		{name: "carriage return inside", edit: func(o string) string {
			return strings.Replace(o, "a=mid:0",
				"a=mid:0\rx", 1)
		}, refused: "line "},
	}
	for i := range list {
		if list[i].kinds == nil {
			list[i].kinds = video
		}
		if list[i].payloadType == 0 {
			list[i].payloadType = 96
		}
		if list[i].form == "" {
			list[i].form = peertest.FormOfH264
		}
	}
	return list
}

// newViewer returns a viewer for an offer of oddOffers.
func (o *oddOffer) newViewer(t testing.TB) *peertest.Viewer {
	t.Helper()
	feedback := append(peertest.NACKs(), webrtc.RTCPFeedback{Type: "transport-cc"})
	codec := peertest.Codec{PayloadType: o.payloadType, Form: o.form, Feedback: feedback}
	return peertest.NewOf(t, codec, o.kinds...)
}
