// Package edge is the part of the HTTP server that a request passes before anything knows who sent it: the listener
// with its connection limits, the TLS certificate, reverse proxies, the names and origins of the server, and rate
// limits.
package edge
