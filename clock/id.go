package clock

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"reflect"

	"github.com/go-calm/calm/internal/wire"
)

// maxCount is the greatest event number that bytes from outside may carry. A node that
// learns of it can still count on for another 2⁶³ events without running over.
const maxCount = math.MaxInt64

// appendID appends one node id: strings as length and bytes, unsigned numbers as LEB128,
// signed ones in zig-zag form, floating-point ones as 8 bytes. Ids that compare equal have
// equal bytes.
func appendID[ID cmp.Ordered](dst []byte, id ID) []byte {
	// The two common kinds go past reflection.
	switch v := any(id).(type) {
	case string:
		return wire.AppendString(dst, v)
	case uint64:
		return binary.AppendUvarint(dst, v)
	}
	switch v := reflect.ValueOf(id); v.Kind() {
	case reflect.String:
		return wire.AppendString(dst, v.String())
	case reflect.Float32, reflect.Float64:
		return binary.BigEndian.AppendUint64(dst, floatBits(v.Float()))
	default:
		if v.CanUint() {
			return binary.AppendUvarint(dst, v.Uint())
		}
		return binary.AppendVarint(dst, v.Int())
	}
}

// floatBits gives 0 and -0, and all NaNs, one representation each.
func floatBits(f float64) uint64 {
	switch {
	case f == 0:
		return 0
	case f != f:
		return math.Float64bits(math.NaN())
	}
	return math.Float64bits(f)
}

// readID reads what appendID wrote, and refuses what it would have written differently.
func readID[ID cmp.Ordered](r *wire.Reader) (id ID) {
	switch p := any(&id).(type) {
	case *string:
		*p = string(r.Bytes())
		return id
	case *uint64:
		*p = r.Uvarint()
		return id
	}
	switch v := reflect.ValueOf(&id).Elem(); v.Kind() {
	case reflect.String:
		v.SetString(string(r.Bytes()))
	case reflect.Float32, reflect.Float64:
		bits := r.Uint64()
		f := math.Float64frombits(bits)
		if floatBits(f) != bits || v.OverflowFloat(f) || v.Kind() == reflect.Float32 && floatBits(float64(float32(f))) != bits {
			r.Fail("a node id that is no canonical %v", v.Type())
			return id
		}
		v.SetFloat(f)
	default:
		if v.CanUint() {
			n := r.Uvarint()
			if v.OverflowUint(n) {
				r.Fail("a node id that does not fit %v", v.Type())
				return id
			}
			v.SetUint(n)
			return id
		}
		n := r.Varint()
		if v.OverflowInt(n) {
			r.Fail("a node id that does not fit %v", v.Type())
			return id
		}
		v.SetInt(n)
	}
	return id
}

// readCount reads an event number from 1 to maxCount.
func readCount(r *wire.Reader) uint64 {
	n := r.Uvarint()
	if r.Err() == nil && (n == 0 || n > maxCount) {
		r.Fail("event number %d out of range", n)
	}
	return n
}

// idSize is the least number of bytes appendID writes for an ID.
func idSize[ID cmp.Ordered]() int {
	if k := reflect.TypeFor[ID]().Kind(); k == reflect.Float32 || k == reflect.Float64 {
		return 8
	}
	return 1
}

// version is the first byte of every binary form that may change one day.
const version = 1

func readVersion(r *wire.Reader) {
	if v := r.Byte(); r.Err() == nil && v != version {
		r.Fail("version %d, want %d", v, version)
	}
}

// errCount says which counter is too great to be written.
func errCount[ID cmp.Ordered](what string, id ID, n uint64) error {
	return fmt.Errorf("clock: %s: event number %d of node %v is beyond %d and cannot be encoded", what, n, id, uint64(maxCount))
}
