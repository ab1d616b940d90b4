package outbox

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// KindGap is the kind of the event that replaces lost events.
const KindGap = "gap"

// Item is an event that waits, or a gap.
type Item struct {
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
func gapItem(after, next uint64, at time.Time) Item {
	data := fmt.Sprintf(`{"kind":%q,"after":%d,"next":%d}`, KindGap, after, next)
	return Item{ID: next, Kind: KindGap, At: at, Data: json.RawMessage(data), After: after}
}

// Name returns the ID of the item for receivers, which is the same at each delivery.
func (i Item) Name(host string) string {
	if i.Kind == KindGap {
		return host + "." + KindGap + "." + strconv.FormatUint(i.ID, 10)
	}
	return host + "." + strconv.FormatUint(i.ID, 10)
}
