package session

import (
	"context"
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"
)

const (
	testUfrag = "a=ice-ufrag:abcd\r\na=ice-pwd:0123456789abcdefghijklmn\r\n"
	testMedia = "m=video 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n"
	testHost  = "1 1 udp 2130706431 127.0.0.1 50000 typ host"
)

func TestFragmentsAreRead(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       fragment
	}{
		{"nothing", "", fragment{}},
		{"credentials", testUfrag, fragment{ufrag: "abcd", pwd: "0123456789abcdefghijklmn"}},
		{
			"candidate", testUfrag + testMedia + "a=candidate:" + testHost + "\r\na=end-of-candidates\r\n",
			fragment{
				ufrag: "abcd", pwd: "0123456789abcdefghijklmn", media: "video 9 UDP/TLS/RTP/SAVPF 0", mid: "0",
				candidates: []string{testHost}, end: true,
			},
		},
		{
			"bare line feeds, unknown lines, a second section", "a=group:BUNDLE 0 1\ns=x\n" + strings.ReplaceAll(testMedia, "\r", "") +
				"a=candidate:" + testHost + "\nm=audio 9 UDP/TLS/RTP/SAVPF 0\na=mid:1\na=candidate:nonsense",
			fragment{media: "video 9 UDP/TLS/RTP/SAVPF 0", mid: "0", candidates: []string{testHost}},
		},
		{
			"a name of mDNS", testMedia + "a=candidate:1 1 udp 2113937151 9b36eaac-bb2e-49bb-bb78-21c41c499900.local 50000 typ host",
			fragment{
				media: "video 9 UDP/TLS/RTP/SAVPF 0", mid: "0",
				candidates: []string{"1 1 udp 2113937151 9b36eaac-bb2e-49bb-bb78-21c41c499900.local 50000 typ host"},
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := parseFragment(c.text)
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
			if f, err := parseFragment(text); !errors.Is(err, ErrBadOffer) {
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

// sample returns an offer as Chromium makes it.
func sampleOffer(t testing.TB) string {
	t.Helper()
	b, err := os.ReadFile("testdata/offer-chromium.sdp")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestABrowsersOfferIsAnswered(t *testing.T) {
	h := openHouse(t, nil)
	defer h.close(t)
	a, err := h.Create(t.Context(), Offer{Display: "default", SDP: sampleOffer(t)})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"H264/90000", "a=sendonly", "a=candidate:", "a=mid:0", "a=mid:1", "a=end-of-candidates", "transport-cc", "abs-capture-time",
	} {
		if !strings.Contains(a.SDP, want) {
			t.Errorf("the answer has no %s:\n%s", want, a.SDP)
		}
	}
	for line := range strings.SplitSeq(a.SDP, "\r\n") {
		if strings.HasPrefix(line, "a=candidate:") && !strings.Contains(line, " 127.0.0.1 ") {
			t.Errorf("%s is not on the loopback interface", line)
		}
	}
}

func FuzzFragment(f *testing.F) {
	f.Add(testUfrag + testMedia + "a=candidate:" + testHost + "\r\na=end-of-candidates\r\n")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		first, err := parseFragment(text)
		if err != nil {
			if !errors.Is(err, ErrBadOffer) {
				t.Errorf("got %v; want ErrBadOffer", err)
			}
			return
		}
		first.unusable = nil // it does not go over the wire
		second, err := parseFragment(first.String())
		if err != nil || !reflect.DeepEqual(first, second) {
			t.Errorf("%q became %+v, then %+v, %v", text, first, second, err)
		}
	})
}

// FuzzOffer has a Manager answer whatever comes. It must not panic, and what it admits must be released again.
func FuzzOffer(f *testing.F) {
	f.Add(sampleOffer(f))
	f.Add("")
	h := openHouse(f, nil)
	f.Cleanup(func() { h.close(f) })
	f.Fuzz(func(t *testing.T, sdp string) {
		a, err := h.Create(context.Background(), Offer{Display: "default", SDP: sdp})
		if err == nil {
			if err := h.End(context.Background(), a.ID, EndOperator); err != nil {
				t.Error(err)
			}
		} else if !errors.Is(err, ErrBadOffer) && !errors.Is(err, ErrUnacceptable) {
			t.Errorf("got %v; want ErrBadOffer or ErrUnacceptable", err)
		}
		if n := len(h.Sessions()); n != 0 {
			t.Errorf("%d sessions are left", n)
		}
	})
}

// FuzzPatch gives whatever comes to a session that is there. Each execution moves a peer connection, which is slow.
//
//fuzz:1000x
func FuzzPatch(f *testing.F) {
	f.Add(testUfrag + testMedia + "a=candidate:" + testHost + "\r\na=end-of-candidates\r\n")
	f.Add(testMedia + "a=candidate:" + testHost + "\r\n")
	f.Add("")
	h := openHouse(f, nil)
	f.Cleanup(func() { h.close(f) })
	offer := sampleOffer(f)
	f.Fuzz(func(t *testing.T, text string) {
		a, err := h.Create(context.Background(), Offer{Display: "default", SDP: offer})
		if err != nil {
			t.Fatal(err)
		}
		p, err := h.Patch(context.Background(), a.ID, "*", text)
		switch {
		case err != nil && !errors.Is(err, ErrBadOffer):
			t.Errorf("got %v; want ErrBadOffer", err)
		case err == nil && (p.SDP == "") != (p.ETag == a.ETag):
			t.Errorf("patched %+v of %s: a new tag goes with a new description, and only with it", p, a.ETag)
		}
		if err := h.End(context.Background(), a.ID, EndOperator); err != nil {
			t.Error(err)
		}
	})
}
