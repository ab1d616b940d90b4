// Package record is the flight recorder of a controller: it keeps the newest of what a controller was told and what it
// answered, in bounded memory, and runs such a recording through the controller again.
//
// A Recorder stands between a session and its adapt.Loop. It hands every call on, with its times put on one clock that
// never steps, so that a replay sees exactly what the live controller saw and decides the same, bit for bit. What it
// keeps is a ring of chunks, each of which begins with a copy of the controller: when the oldest chunk is dropped, a
// replay begins with the controller as it was at that moment. A chunk's events are packed: a packet takes about twenty
// bytes in all, a tick that changes nothing four.
//
// A recording has no addresses, descriptions or credentials: sizes, times and decisions only.
package record
