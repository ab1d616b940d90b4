package child

// Output keeps the first or the last bytes of a child's output.
type Output struct {
	Max  int
	Last bool

	kept []byte
}

// Bytes returns the kept bytes.
func (o *Output) Bytes() []byte { return o.kept }

func (o *Output) Write(p []byte) (int, error) {
	n := len(p)
	o.kept = append(o.kept, p...)
	if over := len(o.kept) - o.Max; over > 0 {
		if o.Last {
			o.kept = append(o.kept[:0], o.kept[over:]...)
		} else {
			o.kept = o.kept[:o.Max]
		}
	}
	return n, nil
}
