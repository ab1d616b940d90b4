package api

import (
	"crypto/sha256"
	"crypto/subtle"
	"hash/maphash"
	"math"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// wrongBurst wrong tokens in a row are answered at once, then one in wrongEvery for each network. With
	// minTokenLength that is far from a guess, and slows nobody who mistypes.
	wrongBurst = 10
	wrongEvery = 2 * time.Second
	// wrongBuckets bounds the memory: networks share a bucket where their hashes do.
	wrongBuckets = 512
)

// keeper checks tokens.
type keeper struct {
	want [sha256.Size]byte

	seed maphash.Seed
	mu   sync.Mutex // guards all following fields
	// owed is, for each bucket, when the attempts so far are paid for.
	owed [wrongBuckets]time.Time
}

func newKeeper(token string) *keeper {
	return &keeper{want: sha256.Sum256([]byte(token)), seed: maphash.MakeSeed()}
}

// admit tells whether r carries the token. A nil keeper admits everyone.
func (k *keeper) admit(r *http.Request) error {
	if k == nil {
		return nil
	}
	header := r.Header.Get("Authorization")
	if header == "" {
		return refuse(CodeUnauthorized, "this server takes a bearer token").
			with("WWW-Authenticate", `Bearer realm="wavry-host"`)
	}
	bucket := k.bucket(r.RemoteAddr)
	// A network that has used up its attempts is refused unseen: an answer would tell whether the guess is right.
	if wait := k.wait(bucket); wait > 0 {
		return refuse(CodeTooManyAttempts, "too many wrong tokens from your network").
			with("Retry-After", seconds(wait))
	}
	scheme, token, _ := strings.Cut(header, " ")
	got := sha256.Sum256([]byte(strings.TrimSpace(token)))
	if strings.EqualFold(scheme, "Bearer") && subtle.ConstantTimeCompare(got[:], k.want[:]) == 1 {
		return nil
	}
	k.wrong(bucket)
	return refuse(CodeUnauthorized, "the token is not right").
		with("WWW-Authenticate", `Bearer realm="wavry-host", error="invalid_token"`)
}

// bucket returns where the attempts of a remote address are counted: by IPv4 address or IPv6 network, since a subscriber
// has a whole /64.
func (k *keeper) bucket(remote string) int {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		host = remote
	}
	if ip := net.ParseIP(host); ip != nil && ip.To4() == nil {
		host = ip.Mask(net.CIDRMask(64, 128)).String()
	}
	return int(maphash.String(k.seed, host) % wrongBuckets)
}

func (k *keeper) wait(bucket int) time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	return time.Until(k.owed[bucket].Add(-(wrongBurst - 1) * wrongEvery))
}

func (k *keeper) wrong(bucket int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if now := time.Now(); k.owed[bucket].Before(now) {
		k.owed[bucket] = now
	}
	k.owed[bucket] = k.owed[bucket].Add(wrongEvery)
}

// seconds returns d for a Retry-After header: whole seconds, at least one.
func seconds(d time.Duration) string {
	return strconv.Itoa(max(1, int(math.Ceil(d.Seconds()))))
}
