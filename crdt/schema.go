package crdt

import (
	"encoding/binary"
	"fmt"
	"maps"

	"github.com/go-calm/calm/internal/elem"
	"github.com/go-calm/calm/internal/wire"
)

// schema is what a store was opened as, at one place and below. A nil schema is a place that
// nobody has opened: what is there is kept and passed on unread.
type schema struct {
	shape  shape
	key    coding             // of the keys of children
	value  coding             // of a register's value
	all    *schema            // of every child
	fields map[string]*schema // of some children, by key
}

func leafSchema(k kind) *schema { return &schema{shape: shape{kind: k}} }

func (s *schema) child(key []byte) *schema {
	if s.all != nil {
		return s.all
	}
	return s.fields[string(key)]
}

func (s *schema) checkKey(key []byte) error {
	if s.key.check == nil {
		return nil
	}
	return s.key.check(key)
}

func (s *schema) checkPayload(p []byte) error {
	if s.value.check == nil {
		return nil
	}
	return s.value.check(p[s.shape.kind.header():])
}

// equal reports whether both are the same types all the way down.
func (s *schema) equal(o *schema) bool {
	if s == nil || o == nil {
		return s == o
	}
	return s.shape == o.shape && s.all.equal(o.all) && maps.EqualFunc(s.fields, o.fields, (*schema).equal)
}

// open records that a child of s is opened as sub.
func (s *schema) open(key string, sub *schema) {
	if old := s.fields[key]; old != nil && !old.equal(sub) {
		panic(fmt.Sprintf("crdt: %q is already open as another type", key))
	}
	if s.fields == nil {
		s.fields = map[string]*schema{}
	}
	s.fields[key] = sub
}

// describe names a shape for people.
func describe(sh shape) string {
	if sh.codec == 0 {
		return sh.kind.String()
	}
	names := map[uint8]string{
		elem.Bool: "bool", elem.Uint: "unsigned integer", elem.Int: "signed integer", elem.Float32: "float32",
		elem.Float64: "float64", elem.String: "string", elem.Bytes: "byte array", elem.Custom: "custom type",
		elem.Slice: "byte slice", elem.Time: "time",
	}
	if sh.codec >= elem.Given {
		return fmt.Sprintf("%v of codec %d", sh.kind, sh.codec)
	}
	name, ok := names[sh.codec&^elem.Array]
	if !ok {
		name = fmt.Sprintf("encoding %d", sh.codec)
	} else if sh.codec >= elem.Array {
		name = "array of " + name
	}
	return sh.kind.String() + " of " + name
}

// checkChild checks what can be said of a node without knowing the types: that nodes of kinds that
// this version knows stand where they can.
func checkChild(parent, sh shape, key []byte) error {
	ok := !sh.kind.known() || !kinds[sh.kind].root
	switch {
	case !parent.kind.known():
	case kinds[parent.kind].elem != 0:
		ok = ok && sh == shape{kind: kinds[parent.kind].elem}
	case parent.kind == kindStruct:
		tag, n := binary.Uvarint(key)
		ok = ok && !sh.kind.isElem() && n == len(key) && tag > 0 && (n == 1 || key[n-1] != 0)
	default:
		ok = ok && !sh.kind.isElem()
	}
	if !ok {
		return fmt.Errorf("a %v below a %v", describe(sh), describe(parent))
	}
	return nil
}

// header returns how long what stands before the value in a payload is.
func (k kind) header() int {
	switch k {
	case kindLWW, kindLWWElem:
		return stampLen
	case kindRegister:
		return len(registerMark)
	}
	return 0
}

// checkPayload checks what can be said of a payload without knowing the type of its value.
func checkPayload(sh shape, p []byte) error {
	ok := true
	switch k := sh.kind; k {
	case kindElem, kindGElem, kindFlag:
		ok = len(p) == 0
	case kindCounter, kindTotal, kindGCounter, kindGTotal:
		r := wire.NewReader(p)
		r.Uvarint() // zig-zag or not, the shortest form is the same
		if r.Len() > 0 && (k == kindCounter || k == kindGCounter) {
			if first, more := r.Uvarint(), r.Uvarint(); first == 0 || first > maxSeq || more > maxSeq-first {
				return fmt.Errorf("a %v that absorbed events from %d", k, first)
			}
		}
		return r.Done()
	case kindLWW:
		ok = len(p) >= stampLen
	case kindRegister:
		ok = len(p) > 0 && p[0] == registerMark[0]
	case kindStickyFlag, kindTwoPhaseElem, kindRWElem:
		ok = string(p) == added || string(p) == removed
	case kindLWWElem:
		ok = len(p) == stampLen+1 && p[stampLen] <= 1
	case kindBounded:
		_, err := parseEscrow(p)
		return err
	default:
		if k.isInner() {
			return fmt.Errorf("an event at a %v", k)
		}
	}
	if !ok {
		return fmt.Errorf("a payload of %d bytes that is not one of a %v", len(p), sh.kind)
	}
	return nil
}
