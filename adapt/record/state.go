package record

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"time"

	"wavryhost/adapt"
)

var timeType = reflect.TypeFor[time.Time]()

// schema names the form of the controller's state: a recording of another form cannot be begun in the middle.
var schema = sync.OnceValue(func() string {
	var b strings.Builder
	describe(&b, reflect.TypeFor[adapt.Loop]())
	h := fnv.New64a()
	_, _ = h.Write([]byte(b.String())) // it never fails
	return strconv.FormatUint(h.Sum64(), 16)
})

// describe writes a type with the names of its fields. Types that refer to something have no copy that a state could
// be.
func describe(b *strings.Builder, t reflect.Type) {
	switch {
	case t == timeType:
		b.WriteString("time")
	case t.Kind() == reflect.Struct:
		b.WriteString("{")
		for f := range t.Fields() {
			b.WriteString(f.Name + ":")
			describe(b, f.Type)
			b.WriteString(";")
		}
		b.WriteString("}")
	case t.Kind() == reflect.Array:
		fmt.Fprintf(b, "[%d]", t.Len())
		describe(b, t.Elem())
	default:
		b.WriteString(t.Kind().String())
	}
}

// each calls visit for all numbers, booleans and times in v, in order. Fields that are not exported are read and
// written too, which takes the address instead of the field.
func each(v reflect.Value, visit func(reflect.Value) error) error {
	switch {
	case v.Type() == timeType:
		return visit(v)
	case v.Kind() == reflect.Struct:
		for _, f := range v.Fields() {
			if err := each(reflect.NewAt(f.Type(), f.Addr().UnsafePointer()).Elem(), visit); err != nil {
				return err
			}
		}
		return nil
	case v.Kind() == reflect.Array:
		for i := range v.Len() {
			if err := each(v.Index(i), visit); err != nil {
				return err
			}
		}
		return nil
	default:
		return visit(v)
	}
}

// appendState packs a controller.
func appendState(b []byte, loop *adapt.Loop) ([]byte, error) {
	err := each(reflect.ValueOf(loop).Elem(), func(v reflect.Value) error {
		switch {
		case v.Type() == timeType:
			t, _ := reflect.TypeAssert[time.Time](v)
			if t.IsZero() {
				b = append(b, 0)
				return nil
			}
			b = binary.AppendVarint(append(b, 1), t.Unix())
			b = binary.AppendUvarint(b, uint64(t.Nanosecond()))
		case v.CanInt():
			b = binary.AppendVarint(b, v.Int())
		case v.CanUint():
			b = binary.AppendUvarint(b, v.Uint())
		case v.CanFloat():
			b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v.Float()))
		case v.Kind() == reflect.Bool && v.Bool():
			b = append(b, 1)
		case v.Kind() == reflect.Bool:
			b = append(b, 0)
		default:
			return fmt.Errorf("record: a %v in the controller has no copy", v.Type())
		}
		return nil
	})
	return b, err
}

// readState unpacks a controller.
func readState(b []byte) (*adapt.Loop, error) {
	loop := new(adapt.Loop)
	d := decoder{b: b}
	err := each(reflect.ValueOf(loop).Elem(), func(v reflect.Value) error {
		switch {
		case v.Type() == timeType:
			if d.octet() != 0 {
				seconds, nanoseconds := d.varint(), d.uvarint()
				if nanoseconds >= 1e9 {
					d.fail("no time")
				}
				v.Set(reflect.ValueOf(time.Unix(seconds, int64(nanoseconds)).UTC()))
			}
		case v.CanInt():
			n := d.varint()
			if v.OverflowInt(n) {
				d.fail("a number too large")
			}
			v.SetInt(n)
		case v.CanUint():
			n := d.uvarint()
			if v.OverflowUint(n) {
				d.fail("a number too large")
			}
			v.SetUint(n)
		case v.CanFloat():
			v.SetFloat(d.float())
		case v.Kind() == reflect.Bool:
			v.SetBool(d.octet() != 0)
		default:
			return fmt.Errorf("record: a %v in the controller has no copy", v.Type())
		}
		return d.err
	})
	if err == nil && d.off != len(b) {
		err = fmt.Errorf("%w: %d bytes too many in the controller's state", ErrDamaged, len(b)-d.off)
	}
	if err != nil {
		return nil, err
	}
	return loop, nil
}
