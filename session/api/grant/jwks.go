package grant

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
)

// The algorithms (RFC 8037 section 3.1, RFC 7518 section 3.4).
const (
	algEdDSA = "EdDSA"
	algES256 = "ES256"
)

const (
	// maxSet bounds a JWK set, in bytes, and maxKeys the keys in it.
	maxSet  = 64 << 10
	maxKeys = 64
)

// key is a public key and its only algorithm.
type key struct {
	alg    string
	public crypto.PublicKey
}

// same reports whether two keys are equal.
func (k key) same(other key) bool {
	own, ok := k.public.(interface{ Equal(x crypto.PublicKey) bool }) // both kinds have it
	return ok && k.alg == other.alg && own.Equal(other.public)
}

// parseSet reads a JWK set (RFC 7517 section 5) and returns its keys by kid. It ignores keys of other kinds and for
// other uses, as section 5 requires. An invalid key of an accepted kind is an error.
func parseSet(text []byte) (map[string]key, error) {
	var set struct {
		Keys []struct {
			Kty string `json:"kty"`
			Crv string `json:"crv"`
			Kid string `json:"kid"`
			Use string `json:"use"`
			Alg string `json:"alg"`
			X   string `json:"x"`
			Y   string `json:"y"`
			D   string `json:"d"`
		} `json:"keys"`
	}
	if len(text) > maxSet {
		return nil, fmt.Errorf("the JWK set has more than %d bytes", maxSet)
	}
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, errors.New("it is not a JWK set in JSON")
	}
	if set.Keys == nil {
		return nil, errors.New(`it is not a JWK set: it has no "keys"`)
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("the JWK set has %d keys; the limit is %d", len(set.Keys), maxKeys)
	}
	keys := make(map[string]key)
	for i, k := range set.Keys {
		var (
			one key
			err error
		)
		switch {
		case k.D != "":
			return nil, fmt.Errorf("key %d is private: make a new key, and publish its public part only", i)
		case k.Use != "" && k.Use != "sig":
			continue
		case k.Kty == "OKP" && k.Crv == "Ed25519":
			one.alg = algEdDSA
			one.public, err = edwards(k.X)
		case k.Kty == "EC" && k.Crv == "P-256":
			one.alg = algES256
			one.public, err = nist(k.X, k.Y)
		default:
			continue
		}
		switch {
		case err != nil:
			return nil, fmt.Errorf("key %d: %w", i, err)
		case k.Kid == "":
			return nil, fmt.Errorf("key %d has no kid, which grants need to select it", i)
		// RFC 9864 has another name for this algorithm.
		case k.Alg != "" && k.Alg != one.alg && (k.Alg != "Ed25519" || one.alg != algEdDSA):
			return nil, fmt.Errorf("key %d is a key for %s, but names the algorithm %.20q", i, one.alg, k.Alg)
		}
		if _, twice := keys[k.Kid]; twice {
			return nil, fmt.Errorf("two keys are called %.80q", k.Kid)
		}
		keys[k.Kid] = one
	}
	return keys, nil
}

func edwards(x string) (crypto.PublicKey, error) {
	b, err := base64.RawURLEncoding.DecodeString(x)
	if err != nil || len(b) != ed25519.PublicKeySize {
		return nil, errors.New("x is not an Ed25519 key")
	}
	return ed25519.PublicKey(b), nil
}

func nist(x, y string) (crypto.PublicKey, error) {
	bx, err1 := base64.RawURLEncoding.DecodeString(x)
	by, err2 := base64.RawURLEncoding.DecodeString(y)
	if err1 != nil || err2 != nil || len(bx) != 32 || len(by) != 32 {
		return nil, errors.New("x and y are not those of a P-256 key")
	}
	// NewKey refuses points that are not on the curve.
	k, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(append([]byte{4}, bx...), by...))
	if err != nil {
		return nil, errors.New("x and y are no point of P-256")
	}
	return k, nil
}
