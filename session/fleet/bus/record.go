package bus

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
)

// The intervals of presence.
const (
	// BeatInterval is the time between two heartbeats of a host.
	BeatInterval = 3 * time.Second
	// GoneAfter is the time without a heartbeat after which a host is gone. It is longer than a change of the leader of
	// a NATS cluster, which must not make hosts disappear.
	GoneAfter = 15 * time.Second
)

// maxRecord bounds a record or a heartbeat, in bytes.
const maxRecord = 16 << 10

// headerSignature has the signature of a heartbeat or a record.
const headerSignature = "Wavry-Signature"

// Description is what a host says of itself.
type Description struct {
	// HostID and Name are the host's ID and name in the control API.
	HostID string `json:"host_id,omitempty"`
	Name   string `json:"name,omitempty"`
	// Address is where the host serves the control API and metrics; empty if other machines cannot reach it.
	Address string `json:"address,omitempty"`
	// Scheme is http or https.
	Scheme     string            `json:"scheme,omitempty"`
	Labels     map[string]string `json:"labels,omitempty"`
	APIVersion string            `json:"api_version"`
	Version    string            `json:"version"`
	Features   []string          `json:"features,omitempty"`
	// State is the state of the host, and Reason that of its last change.
	State  string    `json:"state"`
	Reason string    `json:"state_reason,omitempty"`
	Since  time.Time `json:"state_since"`
	// Boot identifies the run of the daemon, which began at Started.
	Boot     string     `json:"boot_id"`
	Started  time.Time  `json:"started"`
	Sessions int        `json:"sessions"`
	Limit    int        `json:"session_limit"`
	Capacity []Capacity `json:"capacity,omitempty"`
	// Quality is the number of connected sessions in each quality state.
	Quality map[string]int `json:"quality,omitempty"`
}

// Capacity is the number of further sessions of a profile.
type Capacity struct {
	Profile string `json:"profile"`
	More    int    `json:"more"`
}

// StateStopping is the state of a host whose daemon ends. StateStopped is used after its end.
const (
	StateStopping = "stopping"
	StateStopped  = "stopped"
)

// Record is a Description with what identifies it.
type Record struct {
	ID  string `json:"id"`
	Key string `json:"key"`
	// Revision counts the changes of the record.
	Revision uint64 `json:"revision"`
	// Time is the time of the message, by the host's clock.
	Time time.Time `json:"time"`
	Description
}

// Beat is a heartbeat.
type Beat struct {
	ID       string `json:"-"`
	Boot     string `json:"boot"`
	Sequence uint64 `json:"seq"`
	// Revision is that of the host's record.
	Revision uint64 `json:"rev"`
	// Milliseconds is the time of the beat, by the host's clock, in Unix time.
	Milliseconds int64 `json:"ms"`
	// Started is when the daemon started, in Unix time in milliseconds.
	Started int64 `json:"up"`
}

// Time returns the time of the beat.
func (b Beat) Time() time.Time { return time.UnixMilli(b.Milliseconds) }

// Message returns the signed message of a record. subject is that of the record, or of a reply.
func (r Record) Message(i *Identity, subject string) (*nats.Msg, error) {
	r.ID, r.Key = i.ID(), i.Public()
	return message(i, subject, SubjectRecord(r.ID), r)
}

// Message returns the signed message of a beat.
func (b Beat) Message(i *Identity) (*nats.Msg, error) {
	subject := SubjectBeat(i.ID())
	return message(i, subject, subject, b)
}

// message returns a message to a subject, with the signature of a message to another.
func message(i *Identity, subject, as string, v any) (*nats.Msg, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("fleet: %w", err)
	}
	s, err := i.signature(as, data)
	if err != nil {
		return nil, err
	}
	return &nats.Msg{Subject: subject, Header: nats.Header{headerSignature: {s}}, Data: data}, nil
}

// ParseRecord reads and verifies a record, which may be a reply.
func ParseRecord(m *nats.Msg) (Record, error) {
	var r Record
	if err := decode(m.Data, maxRecord, &r); err != nil {
		return Record{}, err
	}
	if r.ID != idOf(r.Key) {
		return Record{}, ErrForged
	}
	if err := verify(r.Key, SubjectRecord(r.ID), m.Header.Get(headerSignature), m.Data); err != nil {
		return Record{}, err
	}
	if r.Boot == "" || r.State == "" {
		return Record{}, errors.New("fleet: the record has no boot_id or no state")
	}
	return r, nil
}

// ParseBeat reads a beat. The caller verifies it by the key of the host's record.
func ParseBeat(m *nats.Msg) (Beat, error) {
	var b Beat
	if err := decode(m.Data, maxRecord, &b); err != nil {
		return Beat{}, err
	}
	b.ID = hostOf(m.Subject)
	if !IsID(b.ID) || b.Boot == "" {
		return Beat{}, errors.New("fleet: the heartbeat has no ID or no boot")
	}
	return b, nil
}

// VerifyBeat returns an error if the host with this record has not sent the beat.
func VerifyBeat(m *nats.Msg, key string) error {
	if idOf(key) != hostOf(m.Subject) {
		return ErrForged
	}
	return verify(key, m.Subject, m.Header.Get(headerSignature), m.Data)
}

// decode reads the JSON of a message of at most so many bytes.
func decode(data []byte, most int, v any) error {
	if len(data) > most {
		return fmt.Errorf("fleet: the message has %d bytes; at most %d are allowed", len(data), most)
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("fleet: the message is not understood: %w", err)
	}
	return nil
}
