package wire

import (
	"errors"
	"io"
	"testing"
	"time"

	"github.com/pion/rtcp"
)

func marshal(t *testing.T, p rtcp.Packet) []byte {
	t.Helper()
	b, err := p.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestTransportFeedbackAboutAnotherStreamIsRead(t *testing.T) {
	r := newRig(t, Config{}, true)
	var factory func(kind int, ssrc uint32) io.ReadWriteCloser
	useInboxes(r.sender, &factory)
	media, repair, incoming := factory(rtcpPackets, mediaSSRC), factory(rtcpPackets, repairSSRC), factory(1, mediaSSRC)

	wide := feedback(0, 0, 1)
	wide.Header = rtcp.Header{
		Type: rtcp.TypeTransportSpecificFeedback, Count: rtcp.FormatTCC,
		Length: uint16(wide.MarshalSize()/4 - 1),
	}
	loss := marshal(t, &rtcp.PictureLossIndication{MediaSSRC: repairSSRC})
	for _, b := range [][]byte{loss, {1}, nil, marshal(t, wide)} {
		if n, err := repair.Write(b); n != len(b) || err != nil {
			t.Fatalf("Write of %d bytes gives %d, %v", len(b), n, err)
		}
	}
	if _, err := incoming.Write(loss); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1500)
	n, err := media.Read(b)
	if err != nil || string(b[:n]) != string(marshal(t, wide)) {
		t.Errorf("read %x, %v; want the transport-wide feedback and nothing before it", b[:n], err)
	}
	for range inboxSize + 3 { // nobody reads
		if _, err := media.Write(loss); err != nil {
			t.Fatal(err)
		}
	}
	if got := r.sender.Stats().Feedback[FeedbackUnread]; got != 3 {
		t.Errorf("%d reports dropped; want 3", got)
	}
	if _, err := media.Read(b[:4]); !errors.Is(err, io.ErrShortBuffer) {
		t.Errorf("reading into too little gives %v; want io.ErrShortBuffer", err)
	}
}

func TestInboxEndsItsReader(t *testing.T) {
	l := newSender(t, Config{})
	in := &inbox{sender: l, ended: make(chan struct{})}
	done := make(chan error, 1)
	go func() {
		_, err := in.Read(make([]byte, 100))
		done <- err
	}()
	for range 2 {
		if err := in.Close(); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case err := <-done:
		if !errors.Is(err, io.EOF) {
			t.Errorf("Read ended with %v; want io.EOF", err)
		}
	case <-time.After(time.Minute):
		t.Fatal("Read does not end")
	}
}
