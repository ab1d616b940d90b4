// Package identity tells which machine this is, in a way that lasts and that tells nobody else.
package identity

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// ErrUnknown means that the system gives its machine no identity.
var ErrUnknown = errors.New("identity: this machine has no id of its own")

// app makes ids this program's own: the system's id of a machine is the seed of others, and to be shown to nobody (machine-id(5)).
const app = "d9ceb56ff5501018c616fc82e3d8dd52"

// Machine returns 32 hexadecimal digits that are this machine's and this program's alone. They stay the same until the system is
// installed anew; machines that were cloned whole share them.
func Machine() (string, error) {
	text, err := read()
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	return derive(text)
}

// derive returns the id for the one that the system gives, as sd_id128_get_machine_app_specific(3) does.
func derive(text string) (string, error) {
	machine, err := hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(text), "-", ""))
	if err != nil || len(machine) != 16 {
		return "", fmt.Errorf("%w: what the system says is not 32 hexadecimal digits", ErrUnknown)
	}
	own, err := hex.DecodeString(app)
	if err != nil {
		return "", fmt.Errorf("identity: %w", err)
	}
	mac := hmac.New(sha256.New, machine)
	mac.Write(own)
	id := mac.Sum(nil)[:16]
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80 // a UUID of version 4 (RFC 9562, section 5.4)
	return hex.EncodeToString(id), nil
}
