package outbox

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Whatever the file holds, the outbox opens and its items are in order. A restart changes neither them nor a new item.
//
//fuzz:2000x
func FuzzOutbox(f *testing.F) {
	const version = `{"version":1}` + "\n"
	one := `{"item":{"seq":1,"id":7,"kind":"drained","at":"2026-11-29T12:00:00Z","data":{"id":7}}}` + "\n"
	two := `{"item":{"seq":2,"id":8,"kind":"resume","at":"2026-11-29T12:00:01Z","data":{"id":8}}}` + "\n"
	for _, text := range []string{
		"", "hello\nworld\n", version, version + one + two, version + one + two + `{"sent":1}` + "\n",
		version + one + two[:len(two)-9], version + two + one, version + one + one, version + version + one,
		version + `{"sent":18446744073709551615}` + "\n" + one, version + `{"ended":18446744073709551615}` + "\n",
		version + `{"item":{"seq":18446744073709551615,"id":0}}` + "\n", version + `{"item":{}}` + "\n",
		version + `{"item":{"seq":3,"id":9,"kind":"gap","data":null,"after":9}}` + "\n", version + "null\n[]\n",
		`{"version":1,"sent":5,"item":{"seq":5}}` + "\n", version + one + `{"ended":7}` + "\n",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		path := filepath.Join(t.TempDir(), "outbox")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		open := func() *box {
			o, err := load(path, NewMetrics("test"), func(err error) {
				if err != nil {
					t.Errorf("%q: %v", text, err)
				}
			})
			if _, broken := os.Stat(path + ".broken"); (err == nil) != (broken != nil) {
				t.Errorf("%q: %v, and the file is kept: %v", text, err, broken)
			}
			last, bytes := uint64(0), 0
			for _, i := range o.items {
				if i.Seq <= last {
					t.Errorf("%q: the item %d follows %d", text, i.Seq, last)
				}
				if i.Kind == "" || !json.Valid(i.Data) {
					t.Errorf("%q: the item %d has the kind %q and the data %q", text, i.Seq, i.Kind, i.Data)
				}
				last, bytes = i.Seq, bytes+len(i.Data)
			}
			if o.seq < last || o.bytes != bytes {
				t.Errorf("%q: the newest of the items up to %d is %d, and of %d bytes %d count",
					text, last, o.seq, bytes, o.bytes)
			}
			return o
		}
		before := open()
		before.add([]Item{{ID: 9, Kind: "drained", At: time.Unix(1, 0).UTC(), Data: json.RawMessage(`{}`)}})
		_ = os.Remove(path + ".broken")
		after := open()
		got, _ := json.Marshal(after.items)
		want, _ := json.Marshal(before.items)
		if len(after.items) == 0 || string(got) != string(want) {
			t.Errorf("%q: after a restart the outbox has %s; want %s", text, got, want)
		}
		for {
			first, ok := after.first()
			if !ok {
				break
			}
			n := after.len()
			after.done(first)
			if after.len() != n-1 {
				t.Fatalf("%q: one delivery removes %d items", text, n-after.len())
			}
		}
		after.save()
		if empty := open(); empty.len() != 0 {
			t.Errorf("%q: %d items are delivered again", text, empty.len())
		}
	})
}
