package bus_test

import (
	"net/http"
	"testing"

	"wavryhost/session/fleet/bus"

	"github.com/nats-io/nats.go"
)

// seed is a key for tests: all processes of the fuzzer must have the same.
const seed = "SUACTXXE2OFESO546DFGKAEAX436GWXTDWAMX47JH2MN46NYDNSHSTERZ4"

// Whatever comes from NATS is refused or means what it says.
func FuzzMessages(f *testing.F) {
	id, err := bus.ParseIdentity([]byte(seed))
	if err != nil {
		f.Fatal(err)
	}
	record, err := bus.Record{Description: bus.Description{Boot: "b", State: "active"}}.Message(id, "x")
	if err != nil {
		f.Fatal(err)
	}
	beat, err := bus.Beat{Boot: "b", Sequence: 1}.Message(id)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(bus.SubjectRecord(id.ID()), record.Header.Get("Wavry-Signature"), "GET", "/v1/host", "1", record.Data)
	f.Add(beat.Subject, beat.Header.Get("Wavry-Signature"), "PUT", "/v1/cordon?x=1", "pool=cad,region=eu", beat.Data)
	event, err := bus.Event{Name: id.ID() + ".1", Kind: "drained", Data: []byte(`{"id":1}`)}.Message(id)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(event.Subject, event.Header.Get("Wavry-Signature"), event.Header.Get("Wavry-Key"), "/", "1", event.Data)
	result, err := bus.Result{Order: "0123456789abcdef", Status: 200}.Message(id)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(result.Subject, result.Header.Get("Wavry-Signature"), id.Public(), "/", "1", result.Data)
	f.Add("wavry.v1.order.operator.gw.0123456789abcdef", "", "PUT", "/v1/cordon", "1", []byte("{}"))
	f.Add("wavry.v1.api.x.operator.gw", "", "POST", "//host/v1", "a", []byte(`{"id":"a","codec":"H264"}`))
	f.Add("wavry.v1.all.viewer.gw", "", "", "", "", []byte(`{"host":"aaaaaaaaaaaaaaaa","score":0.5}`))
	f.Fuzz(func(t *testing.T, subject, signature, method, path, text string, data []byte) {
		m := &nats.Msg{Subject: subject, Data: data, Header: nats.Header{
			"Wavry-Signature": {signature}, "Wavry-Method": {method}, "Wavry-Path": {path}, "Wavry-Select": {text},
			"Wavry-Request": {"0123456789abcdef"}, "Wavry-Time": {text}, "Wavry-Part": {text}, "Wavry-Status": {text},
			"Wavry-Key": {method}, "Wavry-Until": {text}, "Nats-Msg-Id": {id.ID() + ".1"},
		}}
		if r, err := bus.ParseRecord(m); err == nil && r.ID != id.ID() {
			t.Errorf("a record of %s is accepted", r.ID)
		}
		if b, err := bus.ParseBeat(m); err == nil {
			if bus.VerifyBeat(m, id.Public()) == nil && b.ID != id.ID() {
				t.Errorf("a beat of %s is accepted", b.ID)
			}
		}
		if e, err := bus.ParseEvent(m.Subject, m.Header, m.Data); err == nil && (e.Host != id.ID() || len(e.Data) == 0) {
			t.Errorf("event %+v", e)
		}
		if o, err := bus.ParseOrder(m); err == nil && (o.ID == "" || o.Until.Sub(o.Time) > bus.MaxOrderAge) {
			t.Errorf("order %+v", o)
		}
		if r, err := bus.ParseResult(m.Subject, m.Header, m.Data); err == nil && r.Host != id.ID() {
			t.Errorf("a result of %s is accepted", r.Host)
		}
		if c, _, err := bus.CallerOf(subject); err == nil && c.Validate() != nil {
			t.Errorf("caller %+v", c)
		}
		if a, err := bus.ParseAsk(m); err == nil && (a.ID == "" || len(a.ID) > 64) {
			t.Errorf("question %+v", a)
		}
		if b, err := bus.ParseBid(m); err == nil && !(b.Score >= 0 && b.Score <= 1) {
			t.Errorf("bid %+v", b)
		}
		if s, err := bus.ParseSelector(text); err == nil {
			if again, err := bus.ParseSelector(s.String()); err != nil || again.String() != s.String() {
				t.Errorf("selector %q became %q", s, again)
			}
		}
		if q, err := bus.ParseRequest(m); err == nil {
			r, err := q.HTTP(t.Context())
			if err == nil && (r.Host != "localhost" || r.Header.Get("Authorization") != "" || r.Method == http.MethodConnect) {
				t.Errorf("request %+v", r)
			}
		}
		_, _ = (&bus.Answer{}).Add(m)
	})
}
