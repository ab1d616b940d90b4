package gateway

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestDialectsWriteWhatUpstreamReads(t *testing.T) {
	for _, c := range []struct {
		d    Dialect
		m    Message
		want string
	}{
		{Wavry{}, Message{Kind: KindBind, Token: "t"}, `{"type":"Bind","payload":{"token":"t"}}`},
		{
			Wavry{},
			Message{Kind: KindAnswer, Peer: "Alice", SDP: "v=0\r\n"},
			`{"type":"Answer","payload":{"sdp":"v=0\r\n","target_username":"alice"}}`,
		},
		{
			Wavry{},
			Message{Kind: KindCandidate, Peer: "bob", Candidate: "{}"},
			`{"type":"Candidate","payload":{"candidate":"{}","target_username":"bob"}}`,
		},
		{Master{}, Message{Kind: KindBind, Token: "t"}, `{"token":"t","type":"BIND"}`},
		{
			Master{},
			Message{Kind: KindOffer, Peer: "user_A", SDP: "v=0"},
			`{"sdp":"v=0","target_username":"user_A","type":"OFFER"}`,
		},
		{
			Master{},
			Message{Kind: KindCandidate, Peer: "bob", Candidate: "c"},
			`{"candidate":"c","target_username":"bob","type":"CANDIDATE"}`,
		},
	} {
		if got, err := c.d.Encode(c.m); err != nil || string(got) != c.want {
			t.Errorf("%s: got %s, %v; want %s", c.d.Traits().Name, got, err, c.want)
		}
	}
	for _, d := range Dialects() {
		for _, m := range []Message{
			{Kind: KindAnswer, Peer: "bob", SDP: strings.Repeat("x", maxSDP+1)},
			{Kind: KindCandidate, Peer: "bob", Candidate: strings.Repeat("x", maxCandidate+1)},
			{Kind: KindAnswer, Peer: "bob", SDP: strings.Repeat("\x01", maxSDP)}, // six bytes each in JSON
			{Kind: KindBound},
		} {
			if frame, err := d.Encode(m); err == nil {
				t.Errorf("%s: %v was encoded in %d bytes", d.Traits().Name, m.Kind, len(frame))
			}
		}
	}
}

// Both dialects read both forms, and the mixture that Wavry's web client sends.
func TestDialectsReadBothForms(t *testing.T) {
	for _, c := range []struct {
		frame string
		want  Message
	}{
		{
			`{"type":"Offer","payload":{"target_username":"alice","sdp":"v=0","more":[1]}}`,
			Message{Kind: KindOffer, Peer: "alice", SDP: "v=0"},
		},
		{`{"type":"OFFER","target_username":"alice","sdp":"v=0","public_addr":null}`, Message{
			Kind: KindOffer,
			Peer: "alice", SDP: "v=0",
		}},
		{`{"type":"CANDIDATE","target_username":"a","candidate":"x"}`, Message{
			Kind: KindCandidate, Peer: "a",
			Candidate: "x",
		}},
		{
			`{"type":"Candidate","payload":{"target_username":"a","candidate":{"candidate":"x"}}}`,
			Message{Kind: KindCandidate, Peer: "a", Candidate: `{"candidate":"x"}`},
		},
		{`{"type":"Bound"}`, Message{Kind: KindBound}},
		{`{"type":"Bound","payload":null}`, Message{Kind: KindBound}},
		{`{"type":"Error","payload":{"message":"Invalid\nToken"}}`, Message{Kind: KindError, Text: "Invalid Token"}},
		{`{"type":"ERROR","code":null,"message":"no"}`, Message{Kind: KindError, Text: "no"}},
		{`{"type":"OFFER_RIFT","payload":{"target_username":"a","hello_base64":"eA=="}}`, Message{Kind: KindOther}},
		{
			`{"type":"RELAY_CREDENTIALS","payload":{"token":"secret","addr":"x","session_id":"y"}}`,
			Message{Kind: KindRelay},
		},
	} {
		for _, d := range Dialects() {
			if got, err := d.Decode([]byte(c.frame)); err != nil || got != c.want {
				t.Errorf("%s: %s: got %+v, %v; want %+v", d.Traits().Name, c.frame, got, err, c.want)
			}
		}
	}
}

func TestMalformedFramesAreRefused(t *testing.T) {
	for _, frame := range []string{
		"", "null5", "[]", `"Offer"`, `{"type":1}`, `{"type":"Offer"}`, `{"type":"Offer","payload":[]}`,
		`{"type":"Offer","payload":{"target_username":"alice"}}`,
		`{"type":"Offer","payload":{"target_username":"alice","sdp":7}}`,
		`{"type":"Offer","payload":{"target_username":"al ice","sdp":"v=0"}}`,
		`{"type":"Offer","payload":{"target_username":"","sdp":"v=0"}}`,
		`{"type":"Candidate","payload":{"target_username":"alice","candidate":7}}`,
		`{"type":"Candidate","payload":{"target_username":"alice"}}`,
		`{"type":"Offer","payload":{"target_username":"` + strings.Repeat("a", 65) + `","sdp":"v=0"}}`,
		strings.Repeat(" ", maxFrame) + "{}",
		strings.Repeat("[", maxFrame),
	} {
		if m, err := (Wavry{}).Decode([]byte(frame)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%.60s: got %+v, %v; want ErrMalformed", frame, m, err)
		}
	}
}

func TestErrorsOfTheGatewayHaveClasses(t *testing.T) {
	for text, want := range map[string]Class{
		"Invalid Token": ClassToken, "Invalid token format": ClassToken, "Bind rate limit exceeded": ClassRate,
		"Rate limit exceeded": ClassRate, "Session replaced by a newer connection": ClassReplaced,
		"Invalid JSON":  ClassProtocol,
		"Already bound": ClassProtocol, "Bind timeout": ClassTimeout, "Token lookup failed": ClassServer,
		"Invalid OFFER payload": ClassNone, "Invalid target username": ClassNone, "": ClassNone,
	} {
		if got := (Wavry{}).Classify(text); got != want {
			t.Errorf("%q: got %v; want %v", text, got, want)
		}
	}
	for text, want := range map[string]Class{
		"Invalid JSON": ClassProtocol, "user is banned": ClassSuspended, "Too many requests": ClassRate,
		"offline":                                ClassNone,
		"Session replaced by a newer connection": ClassReplaced, "unsupported version": ClassProtocol,
	} {
		if got := (Master{}).Classify(text); got != want {
			t.Errorf("master, %q: got %v; want %v", text, got, want)
		}
	}
}

func TestCandidatesComeInTwoForms(t *testing.T) {
	const value = "1 1 udp 2130706431 192.0.2.1 50000 typ host"
	for text, want := range map[string]string{
		"candidate:" + value: value, "a=candidate:" + value + "\r\n": value,
		`{"candidate":"candidate:` + value + `","sdpMid":null,"sdpMLineIndex":0,"usernameFragment":"x"}`: value,
		`{"candidate":""}`: "", `{}`: "", "null": "", "": "", "a=end-of-candidates": "",
	} {
		if got, err := parseCandidate(text); err != nil || got != want {
			t.Errorf("%q: got %q, %v; want %q", text, got, err, want)
		}
	}
	for _, text := range []string{
		"{", "x", `{"candidate":7}`,
		`{"candidate":"candidate:1\r\na=ice-ufrag:evil"}`, "candidate:1\na=x",
	} {
		if got, err := parseCandidate(text); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: got %q, %v; want ErrMalformed", text, got, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, frame := range []string{
		`{"type":"Offer","payload":{"target_username":"alice","sdp":"v=0"}}`,
		`{"type":"OFFER","target_username":"alice","sdp":"v=0"}`,
		`{"type":"Candidate","payload":{"target_username":"a","candidate":"{\"candidate\":\"candidate:1\"}"}}`,
		`{"type":"Bound"}`,
		`{"type":"Error","payload":{"message":"Invalid Token"}}`, `{"type":"Bind","payload":{"token":"t"}}`, `[[[[`,
	} {
		f.Add([]byte(frame))
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		for _, d := range Dialects() {
			m, err := d.Decode(frame)
			if err != nil {
				if !errors.Is(err, ErrMalformed) {
					t.Fatalf("got %v; want ErrMalformed", err)
				}
				continue
			}
			if len(m.SDP) > maxSDP || len(m.Candidate) > maxCandidate || len(m.Text) > maxText ||
				!utf8.ValidString(m.Text) {
				t.Fatalf("over the limits: %+v", m)
			}
			if c := d.Classify(m.Text); strings.Contains(c.String(), "(") {
				t.Fatalf("%q is of no class: %v", m.Text, c)
			}
			switch m.Kind {
			case KindOffer, KindAnswer, KindCandidate:
			default:
				continue
			}
			if !isName(m.Peer) {
				t.Fatalf("user name %q", m.Peer)
			}
			again, err := d.Encode(m)
			if err != nil {
				continue // its escapes do not fit any more
			}
			want := m
			if d.Traits().Name == "wavry" {
				want.Peer = strings.ToLower(m.Peer)
			}
			if got, err := d.Decode(again); err != nil || got != want {
				t.Fatalf("%s: got %+v, %v; want %+v", again, got, err, want)
			}
		}
	})
}

func FuzzCandidate(f *testing.F) {
	for _, text := range []string{
		"candidate:1 1 udp 1 192.0.2.1 5 typ host",
		`{"candidate":"candidate:1 1 udp 1 x.local 5 typ host","sdpMid":"0"}`, "null", "{}",
		"a=candidate:x\r\n", `{"candidate":"candidate:1\r\na=ice-ufrag:evil"}`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		value, err := parseCandidate(text)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatalf("got %v; want ErrMalformed", err)
			}
			return
		}
		if fragment := fragmentOf(value); strings.Count(fragment, "\n") != strings.Count(fragment, "\r\n") ||
			value != "" && strings.Count(fragment, "\r\n") != 3 {
			t.Fatalf("%q makes the fragment %q", text, fragment)
		}
		if value == "" {
			return
		}
		for _, form := range []string{"candidate:" + value, `{"candidate":` + quote(t, "candidate:"+value) + `}`} {
			if got, err := parseCandidate(form); err != nil || got != value {
				t.Fatalf("%q: got %q, %v; want %q", form, got, err, value)
			}
		}
	})
}

func quote(t *testing.T, s string) string {
	t.Helper()
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
