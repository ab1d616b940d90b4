package tracing

// Config says where traces go.
type Config struct {
	// Endpoint is the URL that takes traces. A URL without a path gets the usual one, /v1/traces.
	Endpoint string
	// HeadersFile has headers for the requests, see ParseHeaders. It is read for each request, by ReadFile. Empty is for
	// none.
	HeadersFile string
	ReadFile    func(path string) ([]byte, error)
	// Version is the program's. ID and Name identify this host; either may be empty.
	Version, ID, Name string
}
