package record

// Size is how many bytes of events a recording has.
func Size(r *Recording) (n int) {
	for _, c := range r.chunks {
		n += len(c)
	}
	return n
}

// Chunks are a recording's events.
func Chunks(r *Recording) [][]byte { return r.chunks }

// WithChunk returns the recording with other events.
func WithChunk(r *Recording, events []byte) *Recording {
	r.chunks = [][]byte{events}
	return r
}
