package outbox

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"sync"

	"wavryhost/session/api/durable"
)

const (
	// maxItems and maxBytes bound the events that wait: days of a quiet host.
	maxItems, maxBytes = 10_000, 16 << 20
	// dropShare is the share of the events, as a divisor, that a full outbox drops at once: the file is rewritten then.
	dropShare = 10
	// maxSpare is how many further lines the file may have before it is rewritten without them.
	maxSpare = 2000
	// maxLine bounds a line of the file.
	maxLine = 1 << 20
	// maxNumber bounds the numbers in the file. The numbers of events stay far below it.
	maxNumber = 1 << 53
	// fileVersion is in the first line of the file.
	fileVersion = 1
)

// line is a line of the file.
type line struct {
	Version int    `json:"version,omitempty"` // of the first line
	Item    *Item  `json:"item,omitempty"`
	Sent    uint64 `json:"sent,omitempty"` // the items up to this Seq are delivered
	// Ended is in the last line of a daemon that ended in order: the number of its last event.
	Ended uint64 `json:"ended,omitempty"`
}

// valid reports whether the line may follow items up to seq. Larger numbers than an outbox writes would make it take
// later events for delivered ones.
func (l line) valid(seq uint64) bool {
	i := l.Item
	return l.Sent <= maxNumber && l.Ended <= maxNumber &&
		(i == nil || i.Kind != "" && len(i.Data) > 0 && i.Seq > seq && i.Seq <= maxNumber && i.ID <= maxNumber)
}

// box keeps the events that wait, in memory and in a file.
type box struct {
	path   string
	met    *Metrics
	report func(error)

	// disk is held while the file is written, and taken before mu.
	disk sync.Mutex
	// whole: the file must be rewritten. failed: the last write failed. lines: added since it was rewritten. sent: the
	// last line of deliveries in the file. All are guarded by disk.
	whole, failed bool
	lines         int
	sent          uint64

	mu     sync.Mutex // guards all following fields
	items  []Item
	bytes  int
	seq    uint64 // of the last item
	newest uint64 // number of the last event that was added, or that an earlier daemon had
	broken bool   // an earlier daemon did not end in order, so it may have had more events than the file has
	wake   chan struct{}
}

// load reads the file at path, which may be missing. If the file is not understood, it is kept under another
// name, and the outbox begins with a gap; the error says why. report is called when writing begins to fail, and with
// nil when it works again.
func load(path string, m *Metrics, report func(error)) (*box, error) {
	b := &box{path: path, met: m, report: report, whole: true, wake: make(chan struct{})}
	durable.Tidy(path)
	err := b.read()
	if err != nil {
		b.items, b.bytes, b.broken = nil, 0, true
		if moved := os.Rename(path, path+".broken"); moved != nil {
			err = errors.Join(err, moved)
		}
	}
	b.show()
	b.save()
	return b, err
}

// read reads the file. An incomplete last line was being written when the daemon ended.
func (b *box) read() error {
	f, err := os.Open(b.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	lines, sent := bufio.NewReaderSize(f, maxLine), uint64(0)
	for n := 1; ; n++ {
		text, err := lines.ReadSlice('\n')
		if errors.Is(err, io.EOF) && n > 1 {
			break
		}
		var l line
		if err == nil {
			err = json.Unmarshal(text, &l)
		}
		if err != nil || (n == 1) != (l.Version != 0) || n == 1 && l.Version != fileVersion ||
			!l.valid(b.seq) {
			return fmt.Errorf("%s: line %d is not of an outbox of version %d", b.path, n, fileVersion)
		}
		b.broken = l.Ended == 0
		sent, b.newest = max(sent, l.Sent), max(b.newest, l.Ended)
		if l.Item != nil {
			b.put(*l.Item)
		}
		if len(b.items) > 2*maxItems {
			return fmt.Errorf("%s has more than %d events", b.path, 2*maxItems)
		}
	}
	waiting := b.items[:0]
	b.bytes = 0
	for _, i := range b.items {
		if i.Seq > sent {
			waiting, b.bytes = append(waiting, i), b.bytes+len(i.Data)
		}
	}
	b.items, b.seq = waiting, max(b.seq, sent)
	return nil
}

// put adds an item that has its Seq. The caller holds mu, or is the only user of b.
func (b *box) put(i Item) {
	b.items, b.bytes = append(b.items, i), b.bytes+len(i.Data)
	b.seq, b.newest = max(b.seq, i.Seq), max(b.newest, i.ID)
}

// gap reports, once, whether events may be lost before the event after that number, which is the first one of this
// daemon.
func (b *box) gap(before uint64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	broken := b.broken
	b.broken = false
	return broken && b.newest < before
}

// last returns the number of the last known event.
func (b *box) last() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.newest
}

func (b *box) len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.items)
}

// first returns the oldest item; ok is false if nothing waits.
func (b *box) first() (one Item, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.items) == 0 {
		return Item{}, false
	}
	return b.items[0], true
}

// more returns a channel that is closed when an item is added.
func (b *box) more() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.items) > 0 {
		ready := make(chan struct{})
		close(ready)
		return ready
	}
	return b.wake
}

// done removes an item that was delivered. The file learns it at the next save.
func (b *box) done(one Item) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.items) > 0 && b.items[0].Seq <= one.Seq {
		b.bytes -= len(b.items[0].Data)
		b.items = b.items[1:]
	}
	b.show()
}

// add adds items, and writes them to the file.
func (b *box) add(items []Item) {
	b.disk.Lock()
	defer b.disk.Unlock()
	b.mu.Lock()
	for _, i := range items {
		b.seq++
		i.Seq = b.seq
		b.put(i)
	}
	added := slices.Clone(b.items[max(0, len(b.items)-len(items)):])
	if b.bound() {
		b.whole = true
	}
	b.show()
	close(b.wake)
	b.wake = make(chan struct{})
	b.mu.Unlock()
	var lines []line
	for i := range added {
		lines = append(lines, line{Item: &added[i]})
	}
	b.write(lines)
}

// bound drops the oldest items of a full outbox, and leaves a gap in their place. It reports whether it did. The caller
// holds mu.
func (b *box) bound() bool {
	if len(b.items) <= maxItems && b.bytes <= maxBytes {
		return false
	}
	n, size := 0, 0
	for n < len(b.items)-1 && (n < maxItems/dropShare || b.bytes-size > maxBytes-maxBytes/dropShare) {
		size += len(b.items[n].Data)
		n++
	}
	before := b.items[0].ID - 1
	if b.items[0].Kind == KindGap {
		before = b.items[0].After
	}
	kept := b.items[n:]
	hole := gapItem(before, kept[0].ID, kept[0].At)
	hole.Seq = b.items[n-1].Seq
	b.items = append([]Item{hole}, kept...)
	b.bytes += len(hole.Data) - size
	b.met.lost.Add(float64(n))
	return true
}

// save writes to the file what it does not have yet.
func (b *box) save() {
	b.disk.Lock()
	defer b.disk.Unlock()
	b.write(nil)
}

// end writes the last line of a daemon that ends in order. newest is the number of its last event.
func (b *box) end(newest uint64) {
	b.disk.Lock()
	defer b.disk.Unlock()
	b.write([]line{{Ended: max(newest, b.last(), 1)}})
}

// write appends lines to the file, and what was delivered. It rewrites a file that lacks something or has grown. The
// caller holds disk.
func (b *box) write(lines []line) {
	b.mu.Lock()
	sent := b.seq
	if len(b.items) > 0 {
		sent = b.items[0].Seq - 1
	}
	if sent > b.sent {
		lines = append([]line{{Sent: sent}}, lines...)
	}
	all := b.items
	b.mu.Unlock()
	var (
		err  error
		text bytes.Buffer
	)
	e := json.NewEncoder(&text)
	if b.whole || b.lines > maxSpare {
		_ = e.Encode(line{Version: fileVersion, Sent: sent})
		for i := range all {
			_ = e.Encode(line{Item: &all[i]})
		}
		for _, l := range lines {
			if l.Ended != 0 {
				_ = e.Encode(l)
			}
		}
		err = durable.Replace(b.path, text.Bytes())
		if err == nil {
			b.lines = 0
		}
	} else if len(lines) > 0 {
		for _, l := range lines {
			_ = e.Encode(l)
		}
		err = durable.Append(b.path, text.Bytes())
		b.lines += len(lines)
	}
	// After a failure the file may end with a part of a line, and lacks what was to be added.
	b.whole = err != nil
	if err == nil {
		b.sent = sent
	} else {
		b.met.unwritten.Inc()
	}
	if b.failed != (err != nil) {
		b.report(err)
	}
	b.failed = err != nil
}

// show updates the metrics. The caller holds mu, or is the only user of b.
func (b *box) show() {
	b.met.waiting.Set(float64(len(b.items)))
	oldest := 0.0
	if len(b.items) > 0 {
		oldest = float64(b.items[0].At.UnixMilli()) / 1000
	}
	b.met.oldest.Set(oldest)
}
