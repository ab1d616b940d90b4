package client

import (
	"net/http"
	"time"
)

// Config says which host a Client asks, and how.
type Config struct {
	// URL is the address of the host, such as https://host7.example.net:8470. A reverse proxy may add a path.
	URL string
	// Token is the bearer token. It is empty if HTTP has a client certificate.
	Token string
	// HTTP sends the requests. It defaults to a client that follows no redirects, because a redirect would take the
	// token to another host.
	HTTP *http.Client
	// Attempts is the largest number of attempts of one request. It defaults to 4.
	Attempts int
	// MaxWait is the longest wait before another attempt. A host that asks for more gets none. It defaults to 10 s.
	MaxWait time.Duration
}
