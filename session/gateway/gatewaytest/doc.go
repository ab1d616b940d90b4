// Package gatewaytest is a fake of Wavry's gateway, with its limits, its habits and its faults, to test a link
// against.
//
// It is built to a description of the gateway's observed behavior: accounts with tokens, one route for each user
// name, a relay that authorises nobody, errors that are followed by the end of the connection without a Close frame,
// and no ping of its own.
package gatewaytest
