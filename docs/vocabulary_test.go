package docs_test

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// plainWords are the words of the vocabulary that need no entry in the glossary: plain English, and abbreviations of
// the field.
const plainWords = `
aborted acceptable achieved acked active address addresses after agent algorithm alive allowed anonymous answer answered
api applied arrived asked at attempts audience audit authentications av awaiting back bad begun binary bind binding
bitrate blocked boot bound broken build busy button by bytes callers capture captured captures cause certificate
certificates change changed changes channel channels checked class clean client closed code codec competing complete
config configuration confirm confirmed congested connect connected connecting connections constrained controlled
controller convert cores cpu created critical cut data deadline default degraded delay deleted delivered deliveries
delivery detail direct direction disabled disconnected dns done down drained draining dropped dtls duplicate duration
dwell encode encoded end ended ending error errors etag event events exceeding exit expired expires expiry external
failed failures fallback fallbacks faster faults features field finished fir first fit fixed forbidden forged former
found fps free from frozen full given gone good goversion gpu gpus h half hang hardware hash header height hold http
hung ice id idle impossible in info input internal io janitor jitter join json keep key keys killed kind label labeled
labels large last late learnt least left limit limited lines link live load log logging long loss lost malformed many
max may mdns media megapixel memory messages method min misbehaved missing more motion move moved moving name needs
network new next no none not note nothing now of off offer offered offers often ok old oldest only open operator origin
other out outbox output overflow overload overshoot oversize own pace packet packetized packets page panic panics
parameter part passed peer pending per planned platform pli pointer policy polled postponable postpone postponed
precondition preferred pressure price primary priority probe problem problems protocol proved proven queue range rate
ratio ready reason reasons received recovered recovery redirected reductions refine refreshes refuse refused relative
release released reload reloads remote reopen repeated replaced replayed request requested requests required reserved
resizable resized restart result resume resumed reused revision revoked rollbacks rolled rotation rtt running saturated
scale scroll sdp second seconds secret self send sent seq server servers setting share shutdown signature silent
similarity since size skipped slow slower smaller soon stale stalled start started startup state status steps still
stopping stored stream streams subject success successful sum summed superseded suspended taken tcp text time timeout
timestamp title tls to token too total totals traffic transport tried try type udp unacceptable unasked unauthorized
unavailable unchanged undelivered unexpected unknown unproven unreachable unread unrouted unsent unsupported until
unusable up upgrades uptime url urls usable use used user username valid value version vp wait waiting whole why width
withdrawn without would wrong x y yet
`

// replacedWords are words that the vocabulary must not contain, with the term to use.
var replacedWords = map[string]string{
	"caps": "limits", "desk": "floor", "headroom": "capacity", "hurry": "wake", "lease": "reservation",
	"relief": "load shedding",
	"roster": "encoder pool", "rung": "encoding", "seat": "subscription", "standing": "host state",
	"told": "announced", "way": "route", "wish": "demand",
}

var word = regexp.MustCompile(`[a-z]+`)

// vocabulary returns the words in the names of the API's fields and values, and of the metrics with their labels and
// values, with one of the names for each.
func vocabulary(t *testing.T) map[string]string {
	t.Helper()
	words := make(map[string]string)
	add := func(name string) {
		for _, w := range word.FindAllString(strings.ToLower(name), -1) {
			words[w] = name
		}
	}
	document, err := os.ReadFile("docs/integrate/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	var walk func(part any)
	walk = func(part any) {
		switch part := part.(type) {
		case map[string]any:
			properties, _ := part["properties"].(map[string]any)
			for name := range properties {
				add(name)
			}
			values, _ := part["enum"].([]any)
			if word, ok := part["const"]; ok {
				values = append(values, word)
			}
			for _, v := range values {
				add(fmt.Sprint(v))
			}
			for _, v := range part {
				walk(v)
			}
		case []any:
			for _, v := range part {
				walk(v)
			}
		}
	}
	var whole any
	if err := json.Unmarshal(document, &whole); err != nil {
		t.Fatal(err)
	}
	walk(whole)
	metrics, err := os.ReadFile("docs/operate/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(metrics)) {
		cells := strings.Split(line, " | ")
		if name, ok := strings.CutPrefix(cells[0], "| `wavry_host_"); ok {
			add(name)
			add(cells[2])
		}
	}
	return words
}

// Each word of the API and the metrics is in the glossary or in the list of plain words, and none is a synonym of a
// term.
func TestVocabularyIsInTheGlossary(t *testing.T) {
	text, err := os.ReadFile("docs/develop/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	_, glossary, _ := strings.Cut(string(text), "## Glossary")
	terms := make(map[string]bool)
	for _, row := range regexp.MustCompile(`(?m)^\| ([^|]+) \| `).FindAllStringSubmatch(glossary, -1) {
		for _, w := range word.FindAllString(row[1], -1) {
			terms[w] = true
		}
	}
	words, plain := vocabulary(t), strings.Fields(plainWords)
	if len(terms) < 40 || len(words) < 200 {
		t.Fatalf("%d terms and %d words; the documents are not understood", len(terms), len(words))
	}
	for w, name := range words {
		singular := strings.TrimSuffix(w, "s")
		switch {
		case replacedWords[w] != "":
			t.Errorf("%s: say %q instead of %q", name, replacedWords[w], w)
		case terms[w] || terms[singular] || terms[strings.TrimSuffix(singular, "ie")+"y"]:
		case !slices.Contains(plain, w):
			t.Errorf("%s: %q is not in the glossary of docs/develop/architecture.md; add the term there, or the word to "+
				"plainWords if it is plain English", name, w)
		}
	}
	for _, w := range plain {
		if words[w] == "" {
			t.Errorf("%q is in plainWords, but not in the vocabulary", w)
		}
	}
	for w := range replacedWords {
		if terms[w] {
			t.Errorf("the glossary has %q; the term is %q", w, replacedWords[w])
		}
	}
}
