package webhook

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
	"strconv"
	"sync"
	"time"

	"wavryhost/session/api/durable"
)

// KindGap is the kind of the event that replaces lost events.
const KindGap = "gap"

const (
	// maxItems and maxBytes bound the events that wait: days of a quiet host.
	maxItems, maxBytes = 10_000, 16 << 20
	// dropShare is the share of the events, as a divisor, that a full outbox drops at once: the file is rewritten then.
	dropShare = 10
	// maxSpare is how many further lines the file may have before it is rewritten without them.
	maxSpare = 2000
	// maxLine bounds a line of the file.
	maxLine = 1 << 20
	// outboxVersion is in the first line of the file.
	outboxVersion = 1
)

// item is an event that waits, or a gap.
type item struct {
	// Seq orders the items of an outbox.
	Seq uint64 `json:"seq"`
	// ID is the number of the event, or of the first one after the gap.
	ID   uint64          `json:"id"`
	Kind string          `json:"kind"`
	At   time.Time       `json:"at"`
	Data json.RawMessage `json:"data"`
	// After is the number of the event before a gap; zero for other items.
	After uint64 `json:"after,omitempty"`
}

// gapItem replaces the events between two numbers.
func gapItem(after, next uint64, at time.Time) item {
	data := fmt.Sprintf(`{"kind":%q,"after":%d,"next":%d}`, KindGap, after, next)
	return item{ID: next, Kind: KindGap, At: at, Data: json.RawMessage(data), After: after}
}

// name returns the ID of the item for receivers, which is the same at each delivery.
func (i item) name(host string) string {
	if i.Kind == KindGap {
		return host + "." + KindGap + "." + strconv.FormatUint(i.ID, 10)
	}
	return host + "." + strconv.FormatUint(i.ID, 10)
}

// line is a line of the file.
type line struct {
	Version int    `json:"version,omitempty"` // of the first line
	Item    *item  `json:"item,omitempty"`
	Sent    uint64 `json:"sent,omitempty"` // the items up to this Seq are delivered
	// Ended is in the last line of a daemon that ended in order: the number of its last event.
	Ended uint64 `json:"ended,omitempty"`
}

// outbox keeps the events that wait, in memory and in a file.
type outbox struct {
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
	items  []item
	bytes  int
	seq    uint64 // of the last item
	newest uint64 // number of the last event that was added, or that an earlier daemon had
	broken bool   // an earlier daemon did not end in order, so it may have had more events than the file has
	wake   chan struct{}
}

// openOutbox reads the file at path, which may be missing. If the file is not understood, it is kept under another
// name, and the outbox begins with a gap; the error says why. report is called when writing begins to fail, and with
// nil when it works again.
func openOutbox(path string, m *Metrics, report func(error)) (*outbox, error) {
	o := &outbox{path: path, met: m, report: report, whole: true, wake: make(chan struct{})}
	durable.Tidy(path)
	err := o.read()
	if err != nil {
		o.items, o.bytes, o.broken = nil, 0, true
		if moved := os.Rename(path, path+".broken"); moved != nil {
			err = errors.Join(err, moved)
		}
	}
	o.show()
	o.save()
	return o, err
}

// read reads the file. An incomplete last line was being written when the daemon ended.
func (o *outbox) read() error {
	f, err := os.Open(o.path)
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
		if err != nil || (n == 1) != (l.Version != 0) || n == 1 && l.Version != outboxVersion {
			return fmt.Errorf("%s: line %d is not of an outbox of version %d", o.path, n, outboxVersion)
		}
		o.broken = l.Ended == 0
		sent, o.newest = max(sent, l.Sent), max(o.newest, l.Ended)
		if l.Item != nil {
			o.put(*l.Item)
		}
		if len(o.items) > 2*maxItems {
			return fmt.Errorf("%s has more than %d events", o.path, 2*maxItems)
		}
	}
	waiting := o.items[:0]
	o.bytes = 0
	for _, i := range o.items {
		if i.Seq > sent {
			waiting, o.bytes = append(waiting, i), o.bytes+len(i.Data)
		}
	}
	o.items, o.seq = waiting, max(o.seq, sent)
	return nil
}

// put adds an item that has its Seq. The caller holds mu, or is the only user of o.
func (o *outbox) put(i item) {
	o.items, o.bytes = append(o.items, i), o.bytes+len(i.Data)
	o.seq, o.newest = max(o.seq, i.Seq), max(o.newest, i.ID)
}

// gap reports, once, whether events may be lost before the event after that number, which is the first one of this
// daemon.
func (o *outbox) gap(before uint64) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	broken := o.broken
	o.broken = false
	return broken && o.newest < before
}

// last returns the number of the last known event.
func (o *outbox) last() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.newest
}

func (o *outbox) len() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.items)
}

// first returns the oldest item; ok is false if nothing waits.
func (o *outbox) first() (one item, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.items) == 0 {
		return item{}, false
	}
	return o.items[0], true
}

// more returns a channel that is closed when an item is added.
func (o *outbox) more() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.items) > 0 {
		ready := make(chan struct{})
		close(ready)
		return ready
	}
	return o.wake
}

// done removes an item that was delivered. The file learns it at the next save.
func (o *outbox) done(one item) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.items) > 0 && o.items[0].Seq <= one.Seq {
		o.bytes -= len(o.items[0].Data)
		o.items = o.items[1:]
	}
	o.show()
}

// add adds items, and writes them to the file.
func (o *outbox) add(items []item) {
	o.disk.Lock()
	defer o.disk.Unlock()
	o.mu.Lock()
	for _, i := range items {
		o.seq++
		i.Seq = o.seq
		o.put(i)
	}
	added := slices.Clone(o.items[max(0, len(o.items)-len(items)):])
	if o.bound() {
		o.whole = true
	}
	o.show()
	close(o.wake)
	o.wake = make(chan struct{})
	o.mu.Unlock()
	var lines []line
	for i := range added {
		lines = append(lines, line{Item: &added[i]})
	}
	o.write(lines)
}

// bound drops the oldest items of a full outbox, and leaves a gap in their place. It reports whether it did. The caller
// holds mu.
func (o *outbox) bound() bool {
	if len(o.items) <= maxItems && o.bytes <= maxBytes {
		return false
	}
	n, size := 0, 0
	for n < len(o.items)-1 && (n < maxItems/dropShare || o.bytes-size > maxBytes-maxBytes/dropShare) {
		size += len(o.items[n].Data)
		n++
	}
	before := o.items[0].ID - 1
	if o.items[0].Kind == KindGap {
		before = o.items[0].After
	}
	kept := o.items[n:]
	hole := gapItem(before, kept[0].ID, kept[0].At)
	hole.Seq = o.items[n-1].Seq
	o.items = append([]item{hole}, kept...)
	o.bytes += len(hole.Data) - size
	o.met.lost.Add(float64(n))
	return true
}

// save writes to the file what it does not have yet.
func (o *outbox) save() {
	o.disk.Lock()
	defer o.disk.Unlock()
	o.write(nil)
}

// end writes the last line of a daemon that ends in order. newest is the number of its last event.
func (o *outbox) end(newest uint64) {
	o.disk.Lock()
	defer o.disk.Unlock()
	o.write([]line{{Ended: max(newest, o.last(), 1)}})
}

// write appends lines to the file, and what was delivered. It rewrites a file that lacks something or has grown. The
// caller holds disk.
func (o *outbox) write(lines []line) {
	o.mu.Lock()
	sent := o.seq
	if len(o.items) > 0 {
		sent = o.items[0].Seq - 1
	}
	if sent > o.sent {
		lines = append([]line{{Sent: sent}}, lines...)
	}
	all := o.items
	o.mu.Unlock()
	var (
		err  error
		text bytes.Buffer
	)
	e := json.NewEncoder(&text)
	if o.whole || o.lines > maxSpare {
		_ = e.Encode(line{Version: outboxVersion, Sent: sent})
		for i := range all {
			_ = e.Encode(line{Item: &all[i]})
		}
		for _, l := range lines {
			if l.Ended != 0 {
				_ = e.Encode(l)
			}
		}
		err = durable.Replace(o.path, text.Bytes())
		if err == nil {
			o.lines = 0
		}
	} else if len(lines) > 0 {
		for _, l := range lines {
			_ = e.Encode(l)
		}
		err = durable.Append(o.path, text.Bytes())
		o.lines += len(lines)
	}
	// After a failure the file may end with a part of a line, and lacks what was to be added.
	o.whole = err != nil
	if err == nil {
		o.sent = sent
	} else {
		o.met.unwritten.Inc()
	}
	if o.failed != (err != nil) {
		o.report(err)
	}
	o.failed = err != nil
}

// show updates the metrics. The caller holds mu, or is the only user of o.
func (o *outbox) show() {
	o.met.waiting.Set(float64(len(o.items)))
	oldest := 0.0
	if len(o.items) > 0 {
		oldest = float64(o.items[0].At.UnixMilli()) / 1000
	}
	o.met.oldest.Set(oldest)
}
