package bus

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// StreamEvents is the JetStream stream in which the events of all hosts are stored. SubjectEvents are its subjects.
const (
	StreamEvents  = "WAVRY_EVENTS"
	SubjectEvents = prefix + "event.>"
)

// SubjectEvent returns the subject of a host's events of a kind. Either may be "*", for all.
func SubjectEvent(id, kind string) string { return prefix + "event." + id + "." + kind }

// headerKey has the public key of the sender.
const headerKey = "Wavry-Key"

// maxEvent bounds an event, in bytes.
const maxEvent = 64 << 10

// Event is an event of a host.
type Event struct {
	// Host is the ID of the host in the fleet.
	Host string `json:"host"`
	// Name is the same each time the event is delivered: the ID of the host, and the number of the event.
	Name string    `json:"name"`
	Kind string    `json:"kind"`
	At   time.Time `json:"at"`
	// Data is the event as in /v1/events. Of the kind "gap" it has the numbers of the events around the gap.
	Data json.RawMessage `json:"data"`
}

// Message returns the signed message of an event.
func (e Event) Message(i *Identity) (*nats.Msg, error) {
	m, err := message(i, SubjectEvent(i.ID(), e.Kind), SubjectEvent(i.ID(), e.Kind), e.Data)
	if err != nil {
		return nil, err
	}
	m.Header.Set(headerKey, i.Public())
	m.Header.Set(nats.MsgIdHdr, e.Name)
	m.Header.Set(headerTime, strconv.FormatInt(e.At.UnixMilli(), 10))
	return m, nil
}

// ParseEvent reads and verifies an event.
func ParseEvent(subject string, header nats.Header, data []byte) (Event, error) {
	parts := strings.Split(strings.TrimPrefix(subject, prefix), ".")
	if len(parts) != 3 || parts[0] != "event" || !IsID(parts[1]) {
		return Event{}, fmt.Errorf("fleet: subject %.80q is not one of an event", subject)
	}
	e := Event{Host: parts[1], Kind: parts[2], Name: header.Get(nats.MsgIdHdr), Data: data}
	if len(data) > maxEvent || !json.Valid(data) {
		return Event{}, errors.New("fleet: the event is too long, or not understood")
	}
	key := header.Get(headerKey)
	if idOf(key) != e.Host || !strings.HasPrefix(e.Name, e.Host+".") {
		return Event{}, ErrForged
	}
	if err := verify(key, subject, header.Get(headerSignature), data); err != nil {
		return Event{}, err
	}
	ms, err := strconv.ParseInt(header.Get(headerTime), 10, 64)
	if err != nil {
		return Event{}, errors.New("fleet: the event has no time")
	}
	e.At = time.UnixMilli(ms)
	return e, nil
}
