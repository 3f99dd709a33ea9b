package crdt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"

	"github.com/go-calm/calm/internal/elem"
)

// schema is what a store was opened as, at one place and below. A nil schema is a place that
// nobody has opened: what is there is kept and passed on unread.
type schema struct {
	shape  shape
	key    func([]byte) error // checks a key of a child, nil for any
	value  func([]byte) error // checks a register's value, nil for any
	all    *schema            // of every child
	fields map[string]*schema // of some children, by key
}

var elemSchema = &schema{shape: shape{kind: kindElem}}

func leafSchema(k kind) *schema { return &schema{shape: shape{kind: k}} }

// check returns what tells whether bytes are the encoding of a T; nil if all are.
func check[T any](c elem.Codec[T]) func([]byte) error {
	if c.ID() == elem.String {
		return nil
	}
	return func(b []byte) error {
		_, err := c.Decode(b)
		return err
	}
}

func (s *schema) child(key []byte) *schema {
	if s.all != nil {
		return s.all
	}
	return s.fields[string(key)]
}

func (s *schema) checkKey(key []byte) error {
	if s.key == nil {
		return nil
	}
	return s.key(key)
}

func (s *schema) checkPayload(p []byte) error {
	if s.value == nil {
		return nil
	}
	return s.value(p[stampLen:])
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
	ok := true
	switch parent.kind {
	case kindSet:
		ok = sh == shape{kind: kindElem}
	case kindStruct:
		tag, n := binary.Uvarint(key)
		ok = n == len(key) && tag > 0 && (n == 1 || key[n-1] != 0)
	}
	if sh.kind == kindElem && parent.kind != kindSet || sh.kind == kindStore ||
		sh.kind == kindTotal || sh.kind == kindGTotal {
		ok = false
	}
	if !ok {
		return fmt.Errorf("a %v below a %v", describe(sh), describe(parent))
	}
	return nil
}

// checkPayload checks what can be said of a payload without knowing the type of its value.
func checkPayload(sh shape, p []byte) error {
	switch sh.kind {
	case kindElem, kindStore, kindStruct, kindMap, kindSet:
		if len(p) != 0 {
			return errors.New("a payload where there is none")
		}
		if sh.kind != kindElem {
			return fmt.Errorf("an event at a %v", sh.kind)
		}
	case kindCounter, kindTotal:
		if v, n := binary.Varint(p); n != len(p) || n == 0 || string(binary.AppendVarint(nil, v)) != string(p) {
			return errors.New("not a number")
		}
	case kindGCounter, kindGTotal:
		if v, n := binary.Uvarint(p); n != len(p) || n == 0 || string(binary.AppendUvarint(nil, v)) != string(p) {
			return errors.New("not a number")
		}
	case kindLWW:
		if len(p) < stampLen {
			return errors.New("no stamp")
		}
	}
	return nil
}
