package peer

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"

	"wavryhost/session/peer/peertest"
)

const (
	testUfrag = "a=ice-ufrag:abcd\r\na=ice-pwd:0123456789abcdefghijklmn\r\n"
	testMedia = "m=video 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n"
	testHost  = "1 1 udp 2130706431 127.0.0.1 50000 typ host"
)

func TestFragmentsAreRead(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       Fragment
	}{
		{"nothing", "", Fragment{}},
		{"credentials", testUfrag, Fragment{ufrag: "abcd", pwd: "0123456789abcdefghijklmn"}},
		{
			"candidate", testUfrag + testMedia + "a=candidate:" + testHost + "\r\na=end-of-candidates\r\n",
			Fragment{
				ufrag: "abcd", pwd: "0123456789abcdefghijklmn", media: "video 9 UDP/TLS/RTP/SAVPF 0", mid: "0",
				candidates: []string{testHost}, end: true,
			},
		},
		{
			"bare line feeds, unknown lines, a second section",
			"a=group:BUNDLE 0 1\ns=x\n" + strings.ReplaceAll(testMedia, "\r", "") +
				"a=candidate:" + testHost + "\nm=audio 9 UDP/TLS/RTP/SAVPF 0\na=mid:1\na=candidate:nonsense",
			Fragment{media: "video 9 UDP/TLS/RTP/SAVPF 0", mid: "0", candidates: []string{testHost}},
		},
		{
			"an mDNS name",
			testMedia + "a=candidate:1 1 udp 2113937151 9b36eaac-bb2e-49bb-bb78-21c41c499900.local 50000 typ host",
			Fragment{
				media: "video 9 UDP/TLS/RTP/SAVPF 0", mid: "0",
				candidates: []string{"1 1 udp 2113937151 9b36eaac-bb2e-49bb-bb78-21c41c499900.local 50000 typ host"},
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := ParseFragment(c.text)
			if (got.unusable != nil) != strings.Contains(c.text, "nonsense") {
				t.Errorf("left out: %v", got.unusable)
			}
			got.unusable = nil
			if err != nil || !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %+v, %v; want %+v", got, err, c.want)
			}
		})
	}
}

func TestMalformedFragmentsAreRefused(t *testing.T) {
	for name, text := range map[string]string{
		"not SDP":                "hello",
		"no equals sign":         "a:candidate\r\n",
		"ufrag alone":            "a=ice-ufrag:abcd\r\n",
		"password alone":         "a=ice-pwd:0123456789abcdefghijklmn\r\n",
		"ufrag of other letters": "a=ice-ufrag:ab cd\r\na=ice-pwd:0123456789abcdefghijklmn\r\n",
		"short password":         "a=ice-ufrag:abcd\r\na=ice-pwd:0123\r\n",
		"line break inside":      "a=mid:0\rm=video\r\n",
		"too long":               strings.Repeat("a=x\r\n", maxFragment/5+1),
	} {
		t.Run(name, func(t *testing.T) {
			if f, err := ParseFragment(text); !errors.Is(err, ErrBadOffer) {
				t.Errorf("got %+v, %v; want ErrBadOffer", f, err)
			}
		})
	}
}

func TestEntityTagsMatch(t *testing.T) {
	for _, c := range []struct {
		field string
		want  bool
	}{
		{`"a"`, true},
		{`*`, true},
		{`"b", "a"`, true},
		{`"b"`, false},
		{`a`, false},
		{``, false},
		{`W/"a"`, true},
		{`W/"b"`, false},
		{`"a-gzip"`, true},
		{`"a--gzip"`, true},
		{`"a;gzip"`, true},
		{`"a"-gzip`, true},
		{`"a-br"`, true},
		{`W/"a-zstd"`, true},
		{`"b-gzip"`, false},
		{`"a-b"`, false},
		{`"-gzip"`, false},
	} {
		if got := matches(c.field, `"a"`); got != c.want {
			t.Errorf("%s: got %v; want %v", c.field, got, c.want)
		}
	}
}

func TestABrowsersOfferIsAnswered(t *testing.T) {
	_, answer := openHost(t, nil).mustAnswer(t, peertest.ChromiumOffer)
	for _, want := range []string{
		"H264/90000", "a=sendonly", "a=candidate:", "a=mid:0", "a=mid:1", "a=end-of-candidates",
		"transport-cc", "abs-capture-time",
	} {
		if !strings.Contains(answer, want) {
			t.Errorf("the answer has no %s:\n%s", want, answer)
		}
	}
	for line := range strings.SplitSeq(answer, "\r\n") {
		if strings.HasPrefix(line, "a=candidate:") && !strings.Contains(line, " 127.0.0.1 ") {
			t.Errorf("%s is not on the loopback interface", line)
		}
	}
}

func FuzzFragment(f *testing.F) {
	f.Add(testUfrag + testMedia + "a=candidate:" + testHost + "\r\na=end-of-candidates\r\n")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		first, err := ParseFragment(text)
		if err != nil {
			if !errors.Is(err, ErrBadOffer) {
				t.Errorf("got %v; want ErrBadOffer", err)
			}
			return
		}
		first.unusable = nil // it does not go over the wire
		second, err := ParseFragment(first.String())
		if err != nil || !reflect.DeepEqual(first, second) {
			t.Errorf("%q became %+v, then %+v, %v", text, first, second, err)
		}
	})
}

// FuzzOffer answers all offers. It must not panic.
func FuzzOffer(f *testing.F) {
	f.Add(peertest.ChromiumOffer)
	f.Add("")
	h := openHost(f, nil)
	f.Fuzz(func(t *testing.T, sdp string) {
		c, _, err := h.answer(sdp)
		if err == nil {
			c.close()
		} else if !errors.Is(err, ErrBadOffer) && !errors.Is(err, ErrUnacceptable) {
			t.Errorf("got %v; want ErrBadOffer or ErrUnacceptable", err)
		}
	})
}

// FuzzPatch applies all fragments to a new peer. Each execution makes a peer connection, which is slow.
//
//fuzz:1000x
func FuzzPatch(f *testing.F) {
	f.Add(testUfrag + testMedia + "a=candidate:" + testHost + "\r\na=end-of-candidates\r\n")
	f.Add(testMedia + "a=candidate:" + testHost + "\r\n")
	f.Add("")
	h := openHost(f, nil)
	f.Fuzz(func(t *testing.T, text string) {
		c, _, err := h.answer(peertest.ChromiumOffer)
		if err != nil {
			t.Fatal(err)
		}
		defer c.close()
		before := c.ETag()
		p, err := c.patch(context.Background(), "*", text)
		switch {
		case err != nil && !errors.Is(err, ErrBadOffer):
			t.Errorf("got %v; want ErrBadOffer", err)
		case err == nil && (p.SDP == "") != (p.ETag == before):
			t.Errorf("patched %+v of %s: a new tag goes with a new description, and only with it", p, before)
		}
	})
}
