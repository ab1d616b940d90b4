package bus

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/nats-io/nkeys"
)

// Identity is the key of a host. Its ID follows from the key, so that no other host can have the same ID. The key is
// also a user key of NATS (nkey), with which the host logs in if it has no other credentials.
type Identity struct {
	pair   nkeys.KeyPair
	public string
}

// NewIdentity makes a key, and returns it with the text to store.
func NewIdentity() (*Identity, []byte, error) {
	pair, err := nkeys.CreateUser()
	if err != nil {
		return nil, nil, fmt.Errorf("fleet: make a key: %w", err)
	}
	seed, err := pair.Seed()
	if err != nil {
		return nil, nil, fmt.Errorf("fleet: make a key: %w", err)
	}
	i, err := ParseIdentity(seed)
	return i, append(seed, '\n'), err
}

// ParseIdentity reads a stored key.
func ParseIdentity(seed []byte) (*Identity, error) {
	pair, err := nkeys.FromSeed([]byte(strings.TrimSpace(string(seed))))
	if err != nil {
		return nil, errors.New("fleet: the text is not the seed of a user key, which begins with SU")
	}
	public, err := pair.PublicKey()
	if err != nil || !nkeys.IsValidPublicUserKey(public) {
		return nil, errors.New("fleet: the seed is of another kind of key; that of a user begins with SU")
	}
	return &Identity{pair, public}, nil
}

// Public returns the public key, as NATS writes it.
func (i *Identity) Public() string { return i.public }

// ID returns the ID of the host.
func (i *Identity) ID() string { return idOf(i.public) }

// Sign signs text, for the login at NATS.
func (i *Identity) Sign(text []byte) ([]byte, error) { return i.pair.Sign(text) }

// idLength is the length of an ID: 80 bits, so that another key with a given ID cannot be found.
const idLength = 16

// idOf returns the ID of the host with a public key.
func idOf(public string) string {
	sum := sha256.Sum256([]byte(public))
	return strings.ToLower(base32.StdEncoding.EncodeToString(sum[:])[:idLength])
}

var hostID = regexp.MustCompile(`^[a-z2-7]{16}$`)

// IsID reports whether text has the form of a host's ID.
func IsID(text string) bool { return hostID.MatchString(text) }

// signed returns what a signature of a message is made of.
func signed(subject string, data []byte) []byte { return append([]byte(subject+"\n"), data...) }

// signature returns the signature of a message.
func (i *Identity) signature(subject string, data []byte) (string, error) {
	s, err := i.pair.Sign(signed(subject, data))
	if err != nil {
		return "", fmt.Errorf("fleet: sign: %w", err)
	}
	return base64.RawStdEncoding.EncodeToString(s), nil
}

// ErrForged means that a message is not from the host that it names.
var ErrForged = errors.New("fleet: the message is not signed by the host that it names")

// verify returns an error if the owner of public has not signed the message.
func verify(public, subject, signature string, data []byte) error {
	pair, err := nkeys.FromPublicKey(public)
	if err != nil {
		return ErrForged
	}
	raw, err := base64.RawStdEncoding.DecodeString(signature)
	if err != nil || pair.Verify(signed(subject, data), raw) != nil {
		return ErrForged
	}
	return nil
}
