package peer

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/pion/webrtc/v4"

	"wavryhost/encode"
	"wavryhost/session/peer/peertest"
)

func TestLimitsOfDecoders(t *testing.T) {
	for _, c := range []struct {
		format        encode.Format
		form          string
		width, height int
		fps           int // what is left of 60
		scaled        bool
	}{
		{encode.VP9, "", 3840, 2160, 60, false},
		{encode.VP9, "max-fs=12288;max-fr=60", 2560, 1600, 60, true},
		{encode.VP9, "max-fs=12288", 1920, 1080, 60, false},
		{encode.VP9, "max-fs=junk;max-fr=0", 1920, 1080, 60, false},
		{encode.VP9, "max-fr=15", 1920, 1080, 15, false},
		{encode.VP8, "", 3840, 2160, 60, false},
		{encode.VP8, "max-fs=12288;max-fr=60", 2560, 1600, 60, true},
		{encode.VP8, "max-fr=15", 1920, 1080, 15, false},
		{encode.H264, "profile-level-id=42e01f;packetization-mode=1;level-asymmetry-allowed=1", 3840, 2160, 60, false},
		{encode.H264, "profile-level-id=42e01f;packetization-mode=1", 1280, 720, 30, false},
		{encode.H264, "profile-level-id=42e01f;packetization-mode=1", 1920, 1080, 30, true},
		{encode.H264, "profile-level-id=42e033;packetization-mode=1", 5120, 1440, 34, false},
		{encode.H264, "profile-level-id=42e033;packetization-mode=1", 7680, 2160, 30, true},
		{
			encode.H264, "profile-level-id=42e01f;packetization-mode=1;max-fs=8160;max-mbps=489600", 1920, 1080,
			60, false,
		},
		{
			encode.H264, "profile-level-id=42e01f;packetization-mode=1;level-asymmetry-allowed=1;max-fs=3600",
			1920, 1080, 60, true,
		},
		{encode.H264, "", 1920, 1080, 60, false},
		{encode.AV1, "level-idx=5;profile=0;tier=0", 3840, 2160, 60, false},
		{encode.HEVC, "level-id=123;profile-id=1", 1920, 1080, 60, false},
		{encode.HEVC, "level-id=93;profile-id=1", 1920, 1080, 60, true},
		{encode.HEVC, "level-id=999;profile-id=1", 3840, 2160, 60, false},
		{encode.HEVC, "", 1280, 720, 36, false},
	} {
		f := PayloadType{format: c.format, parameters: make(parameters)}
		f.parameters.read(c.form)
		l := f.Limits()
		s := l.Bound(encode.Stream{Width: c.width, Height: c.height, FPS: 60, BitsPerSecond: 20_000_000})
		w, h, scaled := s.Width, s.Height, s.Width < c.width
		if scaled != c.scaled || !l.Admits(w, h, s.FPS) {
			t.Errorf("%s %s: %dx%d becomes %dx%d at %d pictures a second; want scaled %v, within %+v",
				c.format, c.form, c.width, c.height, w, h, s.FPS, c.scaled, l)
		}
		if scaled && l.Admits(w*51/50, h*51/50, s.FPS) {
			t.Errorf("%s %s: %dx%d is smaller than it has to be", c.format, c.form, w, h)
		}
		if !c.scaled && s.FPS != c.fps {
			t.Errorf("%s %s: %d pictures a second; want %d", c.format, c.form, s.FPS, c.fps)
		}
	}
}

func TestAnsweredLevels(t *testing.T) {
	full := encode.Stream{Width: 1920, Height: 1080, FPS: 60, BitsPerSecond: 20_000_000}
	for _, c := range []struct {
		form string
		most encode.Stream
		want string
	}{
		{
			"profile-level-id=42e01f;packetization-mode=1;level-asymmetry-allowed=1", full,
			"level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e02a",
		},
		{
			"profile-level-id=42e01f;packetization-mode=1;level-asymmetry-allowed=1",
			encode.Stream{
				Width:  320,
				Height: 240, FPS: 10, BitsPerSecond: 1_000_000,
			},
			"level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
		},
		{
			"profile-level-id=640032;packetization-mode=1;level-asymmetry-allowed=1", full,
			"level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=64002a",
		},
		{"profile-level-id=42e01f;packetization-mode=1", full, "packetization-mode=1;profile-level-id=42e01f"},
		{"profile-level-id=42E033;packetization-mode=1", full, "packetization-mode=1;profile-level-id=42e033"},
		{
			"profile-level-id=42e028;packetization-mode=1",
			encode.Stream{Width: 320, Height: 240, FPS: 10, BitsPerSecond: 1e6},
			"packetization-mode=1;profile-level-id=42e028",
		},
		{"", full, "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e02a"},
	} {
		f := PayloadType{format: encode.H264, parameters: make(parameters)}
		f.parameters.read(c.form)
		if got := f.fmtp(c.most); got != c.want {
			t.Errorf("%s for %+v: %s; want %s", c.form, c.most, got, c.want)
		}
	}
}

func TestAnsweredLevelsOfOtherCodecs(t *testing.T) {
	full := encode.Stream{Width: 1920, Height: 1080, FPS: 60, BitsPerSecond: 20_000_000}
	for _, c := range []struct {
		format     encode.Format
		form, want string
	}{
		{encode.AV1, "", "level-idx=9;profile=0;tier=0"},
		{encode.AV1, "level-idx=5;profile=0;tier=0", "level-idx=9;profile=0;tier=0"},
		{
			encode.HEVC, "level-id=186;profile-id=1;tier-flag=0;tx-mode=SRST",
			"level-id=123;profile-id=1;tier-flag=0;tx-mode=SRST",
		},
		{encode.HEVC, "level-id=93;profile-id=2", "level-id=93;profile-id=2;tier-flag=0;tx-mode=SRST"},
		{encode.VP9, "profile-id=0", ""},
		{encode.VP8, "max-fs=12288;max-fr=60", ""},
	} {
		f := PayloadType{format: c.format, parameters: make(parameters)}
		f.parameters.read(c.form)
		if got := f.fmtp(full); got != c.want {
			t.Errorf("%s %s: %s; want %s", c.format, c.form, got, c.want)
		}
	}
}

func TestProfilesOfOtherCodecs(t *testing.T) {
	for _, c := range []struct {
		format encode.Format
		form   string
		rank   int
		why    string
	}{
		{encode.AV1, "", 0, ""},
		{encode.AV1, "profile=1", 0, "AV1 profile"},
		{encode.HEVC, "", 0, ""},
		{encode.HEVC, "profile-id=1;tx-mode=SRST", 0, ""},
		{encode.HEVC, "profile-id=2;tx-mode=srst", 1, ""},
		{encode.HEVC, "profile-id=4", 0, "HEVC profile"},
		{encode.HEVC, "profile-id=1;tx-mode=MRST", 0, "tx-mode"},
	} {
		f := PayloadType{number: 100, format: c.format, parameters: make(parameters)}
		f.parameters.read(c.form)
		rank, err := f.suits()
		if rank != c.rank || (err == nil) != (c.why == "") || err != nil && !strings.Contains(err.Error(), c.why) {
			t.Errorf("%s %s: rank %d, %v; want %d, %q", c.format, c.form, rank, err, c.rank, c.why)
		}
	}
}

// The best profile of an offer is chosen, and limits the stream.
func TestH264ProfilesOfOffers(t *testing.T) {
	for _, c := range []struct {
		offered string // profile-level-ids in the viewer's order
		chosen  string
		h264    encode.H264Profile
	}{
		{"42e01f", "42e0", encode.ConstrainedBaseline},
		{"42001f 42e01f", "42e0", encode.ConstrainedBaseline},
		{"42001f", "4200", encode.ConstrainedBaseline},
		{"58001f", "5800", encode.ConstrainedBaseline},
		{"42e01f 4d001f", "4d00", encode.Main},
		{"4d801f", "4d80", encode.ConstrainedBaseline},
		{"42001f 42e01f 4d001f f4001f", "f400", encode.High}, // Chromium without a hardware decoder
		{"42001f 42e01f 4d001f f4001f 64001f", "6400", encode.High},
		{"42e01f 640c1f", "640c", encode.High}, // Safari
		{"6e001f 4d001f", "6e00", encode.High},
		{"f4101f 42e01f", "42e0", encode.ConstrainedBaseline},
	} {
		text, formats := "", ""
		for i, id := range strings.Fields(c.offered) {
			formats += fmt.Sprintf(" %d", 100+i)
			text += fmt.Sprintf("a=rtpmap:%d H264/90000\na=fmtp:%[1]d packetization-mode=1;profile-level-id=%s\n", 100+i, id)
		}
		v := peertest.NewOf(t, peertest.Codec{}, "video")
		o, err := ParseOffer(swap(`^(m=video \S+ \S+) .*`, "$1"+formats, `^a=mid`, text+"a=mid")(v.Offer(false)),
			[]encode.Format{encode.H264})
		v.Close()
		if err != nil {
			t.Fatal(err)
		}
		best := o.PayloadType(encode.H264)
		if got := best.parameters["profile-level-id"][:4]; got != c.chosen || best.Limits().H264 != c.h264 {
			t.Errorf("%s: chose %s for %v; want %s for %v", c.offered, got, best.Limits().H264, c.chosen, c.h264)
		}
	}
}

func TestBandwidthOfOffers(t *testing.T) {
	for _, c := range []struct {
		session, video string
		want           int
	}{
		{"", "", 0},
		{"", "b=AS:500\n", 460_000},
		{"", "b=TIAS:500000\n", 500_000},
		{"b=CT:300\n", "b=AS:500\n", 276_000},
		{"b=AS:500\n", "b=TIAS:400000\n", 400_000},
		{"", "b=AS:500\nb=TIAS:400000\n", 400_000},
		{"", "b=AS:0\nb=AS:x\nb=RS:1\nb=X-y:7\nb=AS:-5\nb=AS:99999999999999999999\n", 0},
		{"", "b=AS:1\n", leastBitrate},
	} {
		v := peertest.NewOf(t, peertest.Codec{}, "video")
		o, err := ParseOffer(swap(`^t=0 0`, strings.TrimSpace(c.session+"t=0 0"), `^(a=setup.*)\n`,
			c.video+"$1\n")(v.Offer(false)), []encode.Format{encode.H264})
		v.Close()
		if err != nil {
			t.Fatal(err)
		}
		if got := o.MaxBitrate(encode.H264); got != c.want {
			t.Errorf("%q and %q: %d; want %d", c.session, c.video, got, c.want)
		}
	}
}

func TestNamesOfCodecsAreNotRepeatedUnread(t *testing.T) {
	v := peertest.NewOf(t, peertest.Codec{Mime: webrtc.MimeTypeVP8}, "video")
	defer v.Close()
	good := v.Offer(false)
	vp8, av1 := encode.Format{Codec: "VP8", Depth: 8}, encode.Format{Codec: "AV1", Depth: 8}
	for name, want := range map[string]string{
		"vp8": "VP8", "AV1": "AV1", "rtx": "", "red": "", "flexfec-03": "", "<script>": "", "A\x1b[31m": "",
		strings.Repeat("A", 17): "",
	} {
		o, err := ParseOffer(strings.ReplaceAll(good, "VP8/90000", name+"/90000"), []encode.Format{vp8, av1})
		switch {
		case want == "" && (!errors.Is(err, ErrUnacceptable) || !strings.Contains(err.Error(), "takes no codec")):
			t.Errorf("%q: got %v; want a refusal that repeats no name", name, err)
		case want != "" && (err != nil || !slices.Equal(o.Formats(), []encode.Format{{Codec: want, Depth: 8}})):
			t.Errorf("%q: got %+v, %v; want %q", name, o, err, want)
		}
	}
}
