package webhook

import (
	"encoding/base64"
	"reflect"
	"strings"
	"testing"
)

// Any file of secrets is either refused, or has secrets of the allowed size that are the same when written again.
func FuzzParseSecrets(f *testing.F) {
	for _, text := range []string{
		secret, secret + "\n\n" + secret + "\n", "whsec_", "whsec_AAAA", "\n", strings.TrimPrefix(secret, secretPrefix),
		secretPrefix + secret, secret + " " + secret, secret[:len(secret)-1] + "\r\n",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		keys, err := ParseSecrets(text)
		if (err == nil) != (len(keys) > 0) {
			t.Fatalf("%q has %d secrets and the error %v", text, len(keys), err)
		}
		var again []string
		for _, k := range keys {
			if len(k) < minSecret || len(k) > maxSecret {
				t.Errorf("%q has a secret of %d bytes", text, len(k))
			}
			again = append(again, secretPrefix+base64.StdEncoding.EncodeToString(k))
		}
		if err != nil {
			for line := range strings.SplitSeq(text, "\n") {
				line = strings.TrimPrefix(strings.TrimSpace(line), secretPrefix)
				if len(line) >= minSecret && strings.Contains(err.Error(), line) {
					t.Errorf("the error shows a secret: %v", err)
				}
			}
			return
		}
		if same, err := ParseSecrets(strings.Join(again, "\n")); err != nil || !reflect.DeepEqual(same, keys) {
			t.Errorf("%q became %q: %v", text, again, err)
		}
	})
}
