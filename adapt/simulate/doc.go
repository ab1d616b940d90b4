// Package simulate runs adaptation controllers over simulated networks, event by event, in virtual time.
//
// A Case describes links, media flows, TCP-like and constant-rate flows; Run plays it with a seed and returns
// everything that was measured. The same case, seed and controller give the same result, bit for bit: there is no
// clock, no goroutine and no shared random source. Cases lists the cases of RFC 8867 and our own, and Gates the
// figures that they must reach.
package simulate
