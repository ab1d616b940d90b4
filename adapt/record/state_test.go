package record

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"wavryhost/adapt"
)

func TestStateIsKept(t *testing.T) {
	loop, err := adapt.New(adapt.Config{Start: 2_000_000})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1_700_000_000, 5).UTC()
	for i := range 200 {
		now = now.Add(10 * time.Millisecond)
		p := adapt.Packet{ID: uint64(i), Size: 1100, Sent: now}
		loop.OnSent(p)
		p.Arrived = now.Add(time.Duration(i%7) * time.Millisecond)
		loop.OnFeedback(
			adapt.Feedback{At: now.Add(9 * time.Millisecond), Packets: []adapt.Packet{p}, RTT: 9 * time.Millisecond},
		)
		loop.Tick(now.Add(9 * time.Millisecond))
	}
	b, err := appendState(nil, loop)
	if err != nil {
		t.Fatal(err)
	}
	got, err := readState(b)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, loop) {
		t.Error("what was read is not what was written")
	}
	for _, n := range []int{0, 1, len(b) / 2, len(b) - 1} {
		if _, err := readState(b[:n]); !errors.Is(err, ErrDamaged) {
			t.Errorf("of %d bytes, %d: %v; want %v", len(b), n, err, ErrDamaged)
		}
	}
	if _, err := readState(append(b, 0)); !errors.Is(err, ErrDamaged) {
		t.Errorf("with a byte too many: %v", err)
	}
}

func TestSchemaIsOfValuesOnly(t *testing.T) {
	var walk func(reflect.Type, string)
	walk = func(ty reflect.Type, path string) {
		switch ty.Kind() {
		case reflect.Struct:
			if ty == timeType {
				return
			}
			for f := range ty.Fields() {
				walk(f.Type, path+"."+f.Name)
			}
		case reflect.Array:
			walk(ty.Elem(), path+"[]")
		case reflect.Pointer,
			reflect.Slice,
			reflect.Map,
			reflect.Interface,
			reflect.Chan,
			reflect.Func,
			reflect.String,
			reflect.UnsafePointer:
			t.Errorf("%s is a %v: a copy of the controller would share it", path, ty)
		default:
		}
	}
	walk(reflect.TypeFor[adapt.Loop](), "Loop")
	if len(schema()) < 8 {
		t.Errorf("schema %q", schema())
	}
}
