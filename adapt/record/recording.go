package record

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"wavryhost/adapt"
)

const (
	// magic begins a file; what follows is compressed by gzip.
	magic = "wavry-host recording 1\n"
	// largestFile bounds what a file may hold, in bytes, before compression: many times what a Recorder keeps.
	largestFile = 64 << 20
	// furthest bounds the times in a file, seen from its base.
	furthest = 100 * 365 * 24 * time.Hour
)

// ErrForeign is what reading something that is no recording returns.
var ErrForeign = errors.New("record: no recording of wavry-host")

// Header is what a recording says of itself.
type Header struct {
	About
	// Base is the moment that the session began.
	Base time.Time `json:"base"`
	// Config is the controller's at the beginning of the recording.
	Config adapt.Config `json:"config"`
	// Controller names the form of the controller's state.
	Controller string `json:"controller"`
	// Whole tells that the recording begins with the session. Otherwise it begins with the controller's state at some
	// later moment.
	Whole bool `json:"whole"`
}

// Recording is what a Recorder kept.
type Recording struct {
	Header

	loop   *adapt.Loop // at the beginning; nil when it has another form here
	chunks [][]byte
}

// Write writes the recording as a file.
func (r *Recording) Write(w io.Writer) error {
	if r.loop == nil {
		return errors.New("record: the controller's state is of another version")
	}
	header, err := json.Marshal(r.Header)
	if err != nil {
		return fmt.Errorf("record: write header: %w", err)
	}
	state, err := appendState(nil, r.loop)
	if err != nil {
		return err
	}
	if _, err := io.WriteString(w, magic); err != nil {
		return err
	}
	zip := gzip.NewWriter(w)
	parts := append([][]byte{header, state}, r.chunks...)
	for _, p := range parts {
		if _, err := zip.Write(binary.AppendUvarint(nil, uint64(len(p)))); err != nil {
			return err
		}
		if _, err := zip.Write(p); err != nil {
			return err
		}
	}
	return zip.Close()
}

// Read reads what Write wrote. Its errors wrap ErrForeign or ErrDamaged, or are r's.
func Read(r io.Reader) (*Recording, error) {
	start := make([]byte, len(magic))
	if _, err := io.ReadFull(r, start); err != nil || string(start) != magic {
		return nil, ErrForeign
	}
	zip, err := gzip.NewReader(bufio.NewReader(r))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	data, err := io.ReadAll(io.LimitReader(zip, largestFile+1))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if len(data) > largestFile {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrDamaged, largestFile)
	}
	var parts [][]byte
	for len(data) > 0 {
		size, n := binary.Uvarint(data)
		if n <= 0 || size > uint64(len(data)-n) {
			return nil, fmt.Errorf("%w: a part of %d bytes where %d are left", ErrDamaged, size, len(data))
		}
		parts = append(parts, data[n:n+int(size)])
		data = data[n+int(size):]
	}
	if len(parts) < 2 {
		return nil, fmt.Errorf("%w: %d parts", ErrDamaged, len(parts))
	}
	rec := &Recording{chunks: parts[2:]}
	if err := json.NewDecoder(bytes.NewReader(parts[0])).Decode(&rec.Header); err != nil {
		return nil, fmt.Errorf("%w: header: %w", ErrDamaged, err)
	}
	if err := rec.Config.Validate(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if rec.Controller == schema() {
		if rec.loop, err = readState(parts[1]); err != nil {
			return nil, err
		}
	}
	return rec, nil
}

// Exact reports whether a replay begins with exactly the state of the recording. Where it does not, because the
// recording is of another version and begins in the middle of a session, the replay may decide otherwise for a while.
func (r *Recording) Exact() bool { return r.loop != nil || r.Whole }

// begin returns the controller to start with.
func (r *Recording) begin() (*adapt.Loop, error) {
	if r.loop != nil {
		loop := *r.loop
		return &loop, nil
	}
	return adapt.New(r.Config)
}
