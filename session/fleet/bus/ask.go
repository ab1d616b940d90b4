package bus

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math"
	"regexp"
	"time"

	"github.com/nats-io/nats.go"
)

// Ask is the question of a gateway: which host has room for a session?
type Ask struct {
	// ID identifies the placement. A host that already keeps a place for it answers first.
	ID string `json:"id"`
	// Profile is a size and frame rate, such as 1280x720@30. It defaults to 1920x1080@60.
	Profile string `json:"profile,omitempty"`
	// Display is a capture backend, such as x11, and Codec a codec by its RTP name, such as H264. Empty means any.
	Display string `json:"display,omitempty"`
	Codec   string `json:"codec,omitempty"`
	// Select is the text of a Selector.
	Select string `json:"select,omitempty"`
	// Share is the share of hosts that answer, from 0 to 1; 0 means all. The ID decides which.
	Share float64 `json:"share,omitempty"`
}

// Chosen reports whether a host is in the share that answers.
func (a Ask) Chosen(host string) bool {
	if a.Share == 0 {
		return true
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(a.ID + host))
	return float64(h.Sum32()) <= a.Share*math.MaxUint32
}

// maxAsk bounds an Ask and a Bid, in bytes.
const maxAsk = 2048

// askWord is what the fields of an Ask may have.
var askWord = regexp.MustCompile(`^[A-Za-z0-9_.@:-]{0,64}$`)

// Validate returns an error that names the first invalid field.
func (a Ask) Validate() error {
	for name, text := range map[string]string{
		"id": a.ID, "profile": a.Profile, "display": a.Display, "codec": a.Codec,
	} {
		if !askWord.MatchString(text) || name == "id" && text == "" {
			return fmt.Errorf("fleet: the %s %.80q of a question is not valid", name, text)
		}
	}
	if !(a.Share >= 0 && a.Share <= 1) {
		return fmt.Errorf("fleet: a share of %v is not from 0 to 1", a.Share)
	}
	_, err := ParseSelector(a.Select)
	return err
}

// ParseAsk reads and checks an Ask.
func ParseAsk(m *nats.Msg) (Ask, error) {
	var a Ask
	if err := decode(m.Data, maxAsk, &a); err != nil {
		return Ask{}, err
	}
	return a, a.Validate()
}

// Bid is the answer of a host.
type Bid struct {
	Host string `json:"host"`
	Boot string `json:"boot_id"`
	// Score is from 0 to 1; better hosts have more. It is 0 for a refusal.
	Score float64 `json:"score"`
	// Display is the display to reserve.
	Display string `json:"display,omitempty"`
	// Held reports whether the host already keeps a place for the Ask.
	Held bool `json:"held,omitempty"`
	// Refusal is why the host has no room; empty if it has. RetrySeconds is when to ask again, with jitter.
	Refusal      string  `json:"refusal,omitempty"`
	RetrySeconds float64 `json:"retry_seconds,omitempty"`
}

// Retry returns the time after which to ask again.
func (b Bid) Retry() time.Duration { return time.Duration(b.RetrySeconds * float64(time.Second)) }

// ParseBid reads and checks a Bid.
func ParseBid(m *nats.Msg) (Bid, error) {
	var b Bid
	if err := decode(m.Data, maxAsk, &b); err != nil {
		return Bid{}, err
	}
	if !IsID(b.Host) || !(b.Score >= 0 && b.Score <= 1) || !(b.RetrySeconds >= 0 && b.RetrySeconds <= 3600) ||
		len(b.Display) > 256 {
		return Bid{}, fmt.Errorf("fleet: the bid of %.80q is not valid", b.Host)
	}
	return b, nil
}

// Encode returns the JSON of a message, whose types always have one.
func Encode(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("fleet: encode %T: %v", v, err))
	}
	return data
}
