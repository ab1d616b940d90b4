//go:build integration

package endtoend

import (
	"regexp"
	"strconv"
	"testing"

	"github.com/pion/webrtc/v4"

	"wavryhost/encode"
	"wavryhost/encode/encodetest"
)

// profileOf returns the profile of a profile-level-id (RFC 6184, table 5).
func profileOf(profile, constraints byte) encode.H264Profile {
	switch {
	case profile == 66 && constraints&0x40 != 0, profile == 77 && constraints&0x80 != 0:
		return encode.ConstrainedBaseline
	case profile == 77:
		return encode.Main
	case profile == 100:
		return encode.High
	}
	return 0
}

// For each offered form of H.264, the stream is of the profile, level and size that the answer promises.
func TestStreamIsWhatTheAnswerSays(t *testing.T) {
	t.Parallel()
	h := startHost(t, hostOptions{args: []string{"--display", "synthetic", "--fps", "30"}})
	stated := regexp.MustCompile(`profile-level-id=([0-9a-fA-F]{6})`)
	// The encoder stays open for the next viewer. A lower profile or level must replace it at once.
	for _, c := range []struct {
		offered string
		want    encode.H264Profile
	}{
		{"640033", encode.High},
		{"640c1f", encode.High},
		{"64001f", encode.High},
		{"4d0028", encode.Main},
		{"4d001f", encode.Main},
		{"42e01f", encode.ConstrainedBaseline},
		{"42001f", encode.ConstrainedBaseline},
		{"42e00d", encode.ConstrainedBaseline},
		{"64001f", encode.High},
	} {
		t.Run(c.offered, func(t *testing.T) {
			offered, want := c.offered, c.want
			media := &webrtc.MediaEngine{}
			if err := media.RegisterCodec(webrtc.RTPCodecParameters{
				RTPCodecCapability: webrtc.RTPCodecCapability{
					MimeType: webrtc.MimeTypeH264, ClockRate: 90000,
					SDPFmtpLine:  "packetization-mode=1;profile-level-id=" + offered,
					RTCPFeedback: []webrtc.RTCPFeedback{{Type: "nack"}, {Type: "nack", Parameter: "pli"}},
				},
				PayloadType: 102,
			}, webrtc.RTPCodecTypeVideo); err != nil {
				t.Fatal(err)
			}
			p := &pages{codec: webrtc.MimeTypeH264}
			a := preparedWith(t, loopback(t), p.take, webrtc.WithMediaEngine(media))
			a.join(t, h, "default")
			defer a.leave(t, h)
			var sps encodetest.SPS
			eventually(t, patience, "a keyframe arrives", func() error {
				units, _ := p.units(t)
				if len(units) == 0 {
					return errNotYet
				}
				var err error
				sps, err = encodetest.ReadSPS(units[0])
				return err
			})
			match := stated.FindStringSubmatch(a.pc.RemoteDescription().SDP)
			if match == nil {
				t.Fatalf("the answer has no profile-level-id:\n%s", a.pc.RemoteDescription().SDP)
			}
			id, err := strconv.ParseUint(match[1], 16, 24)
			if err != nil {
				t.Fatal(err)
			}
			promised := profileOf(byte(id>>16), byte(id>>8))
			if id>>16 == 66 { // a baseline decoder need not decode more than constrained baseline
				promised = encode.ConstrainedBaseline
			}
			if got := profileOf(sps.Profile, sps.Constraints); got != want || got != promised {
				t.Errorf("profile %v (%s) for %s, answered with %s; want %v", got, sps.ID(), offered, match[1], want)
			}
			level := encode.LevelByIDC(encode.CodecH264, byte(id))
			if sps.Level > level.IDC {
				t.Errorf("level %d; the answer says %d", sps.Level, level.IDC)
			}
			limits := encode.DecoderLimits{Macroblocks: level.Macroblocks, MacroblocksPerSecond: level.MacroblocksPerSecond}
			if !limits.Admits(sps.Width, sps.Height, 1) {
				t.Errorf("%dx%d exceeds level %d", sps.Width, sps.Height, level.IDC)
			}
			if !sps.Bounded || sps.Reordered != 0 {
				t.Errorf("the decoder may hold pictures back: %+v", sps)
			}
			t.Logf("offered %s, answered %s, sent %s with %dx%d", offered, match[1], sps.ID(), sps.Width, sps.Height)
		})
	}
}
