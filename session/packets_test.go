package session

import (
	"regexp"
	"strings"
	"testing"

	"github.com/pion/rtcp"

	"wavryhost/capture"
	"wavryhost/encode"
	"wavryhost/session/peer/peertest"
)

func TestReportedLossMakesAKeyframe(t *testing.T) {
	h := openHouse(t, nil)
	defer h.close(t)
	h.alive(t)
	r := &remote{Viewer: peertest.NewOf(t, peertest.Codec{}, "video"), t: t}
	defer r.close()
	a, err := h.Create(t.Context(), Offer{
		Display: "default",
		SDP:     regexp.MustCompile(`a=rtcp-fb.*\r\n`).ReplaceAllString(r.offer(false), ""),
	})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(a.SDP, "a=rtcp-fb") {
		t.Errorf("the answer promises feedback that was not offered:\n%s", a.SDP)
	}
	r.accept(a)
	r.playing(t, 10)
	_, before := r.got()
	ssrc := uint32(r.Track().SSRC())
	report := &rtcp.ReceiverReport{Reports: []rtcp.ReceptionReport{{SSRC: ssrc, FractionLost: 25, TotalLost: 3}}}
	eventually(t, "a keyframe", func() bool {
		if err := r.PC.WriteRTCP([]rtcp.Packet{report}); err != nil {
			t.Fatal(err)
		}
		_, keys := r.got()
		return keys > before
	})
}

// hollow makes access units of which nothing is sent.
type hollow struct{ encode.Factory }

func (f hollow) Open(p encode.Params) (encode.Encoder, error) {
	e, err := f.Factory.Open(p)
	return hollowEncoder{e}, err
}

type hollowEncoder struct{ encode.Encoder }

func (e hollowEncoder) Encode(f *capture.Frame, o encode.Order) (encode.AccessUnit, error) {
	au, err := e.Encoder.Encode(f, o)
	au.Data = []byte{0, 0, 0, 1, 9, 0x10} // a delimiter, which RTP has no use for
	return au, err
}

func TestPicturesWithoutPacketsAreTold(t *testing.T) {
	h := openHouse(t, func(c *Config) { c.Encoders[0] = hollow{c.Encoders[0]} })
	defer h.close(t)
	h.alive(t)
	r := &remote{Viewer: peertest.NewOf(t, peertest.Codec{Feedback: peertest.NACKs()}, "video"), t: t}
	defer r.close()
	r.watch(h)
	eventually(t, "the event", func() bool { return h.events(EventUndelivered) == 1 })
	list, _, _ := h.journal.Events(0)
	for _, e := range list {
		if e.Kind == EventUndelivered.String() && (e.Reason != undeliveredUnpacked || e.Session != r.id) {
			t.Errorf("event %+v", e)
		}
	}
	if n := seriesOf(t, h.reg, "wavry_host_frames_dropped_total", "stage=send", "reason=no_packets"); n < 1 {
		t.Errorf("counted %v pictures; want one at least", n)
	}
}
