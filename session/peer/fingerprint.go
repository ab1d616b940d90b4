package peer

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"

	dtls "github.com/pion/dtls/v3/pkg/crypto/fingerprint"
)

// fingerprint is a hash of the viewer's certificate (RFC 8122).
type fingerprint struct{ hash, value string }

// hashLengths maps the accepted hash functions to their length in bytes. RFC 8122, section 5, forbids MD5 and older
// ones.
var hashLengths = map[string]int{"sha-1": 20, "sha-224": 28, "sha-256": 32, "sha-384": 48, "sha-512": 64}

// fingerprintsOf returns the fingerprints that can be checked, up to maxFingerprints.
func fingerprintsOf(p *lines) (list []fingerprint) {
	for _, a := range p.attributes {
		f := strings.Fields(a.value)
		if a.key != "fingerprint" || len(f) != 2 {
			continue
		}
		one := fingerprint{strings.ToLower(f[0]), strings.ToUpper(f[1])}
		n := hashLengths[one.hash]
		if n > 0 && len(one.value) == 3*n-1 && !slices.Contains(list, one) && len(list) < maxFingerprints {
			list = append(list, one)
		}
	}
	return list
}

const maxFingerprints = 8

var errFingerprint = errors.New("peer: the viewer's certificate has none of the fingerprints of its offer")

// checkCertificate returns an error unless a certificate has one of the fingerprints. Any one suffices (RFC 8122,
// section 5).
func checkCertificate(der []byte, list []fingerprint) error {
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return fmt.Errorf("peer: parse the viewer's certificate: %w", err)
	}
	for _, f := range list {
		hash, err := dtls.HashFromString(f.hash)
		if err != nil {
			continue
		}
		if value, err := dtls.Fingerprint(c, hash); err == nil && strings.EqualFold(value, f.value) {
			return nil
		}
	}
	return errFingerprint
}
