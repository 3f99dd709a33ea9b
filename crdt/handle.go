package crdt

import (
	"encoding/binary"
	"fmt"
	"reflect"
	"strconv"
)

// Handle is what every type of this package is at heart: a place in a [Store], found anew by each
// operation, so that it is good for ever, whether there is something at the place or not. Handles
// are cheap; hold them or make them again. The zero value belongs to no store and is not usable.
type Handle struct {
	store *Store
	up    *Handle // nil: the root
	key   string
	types *schema
}

// Store returns the store that the place is in.
func (h *Handle) Store() *Store { return h.store }

// Merge takes a delta into the whole store: see [Store.Merge].
func (h *Handle) Merge(d Delta) (changed bool, err error) { return h.store.Merge(d) }

// Since returns what a replica of the whole store with the given digest lacks: see [Store.Since].
func (h *Handle) Since(peer Digest) Delta { return h.store.Since(peer) }

// Digest returns the digest of the whole store: see [Store.Digest].
func (h *Handle) Digest() Digest { return h.store.Digest() }

// State returns the state of the whole store as a delta: see [Store.State].
func (h *Handle) State() Delta { return h.store.State() }

// find returns the node at the place, if there is something.
func (h *Handle) find() (slot, bool) {
	if h.up == nil {
		return rootSlot, true
	}
	up, ok := h.up.find()
	if !ok {
		return 0, false
	}
	return h.store.tree.find(up, h.types.shape, h.key)
}

// ensure returns the node at the place and makes it if need be; the caller then mints an event at
// or below it.
func (h *Handle) ensure() slot {
	if h.up == nil {
		return rootSlot
	}
	return h.store.tree.ensure(h.up.ensure(), h.types.shape, h.key)
}

// exists reports whether anything lives at or below the place.
func (h *Handle) exists() bool {
	at, ok := h.find()
	return ok && h.store.tree.at(at).live() > 0
}

// write makes an event at the place, in the place of all that lives there.
func (h *Handle) write(payload string) Delta {
	h.store.begin()
	h.store.write(h.ensure(), payload)
	return h.store.end()
}

// clear ends all events at and below the place.
func (h *Handle) clear() Delta {
	h.store.begin()
	if at, ok := h.find(); ok {
		h.store.clear(at)
	}
	return h.store.end()
}

// dots calls f for each event at the place.
func (h *Handle) dots(f func(dot)) {
	if at, ok := h.find(); ok {
		h.store.tree.dots(at, f)
	}
}

// Node is what may stand in a [Map], at a name of a [Store], in a field of a struct or at the root:
// the pointer types of this package. It cannot be implemented elsewhere.
type Node[N any] interface {
	value
	// fresh returns a new N that is nowhere yet; it is called on a nil N.
	fresh() N
}

// value is the part of Node that does not name N.
type value interface {
	// put makes the value stand at a place of the type that schema returned.
	put(h Handle)
	// schema returns the value's type at the root, or elsewhere.
	schema(cs codecs, root bool) *schema
}

// Open makes a replica whose root is an N, for example
//
//	stock := crdt.Open[*crdt.Map[string, *crdt.Map[string, *crdt.Counter]]](id)
//
// Each option is a [Codec]. It panics if N has an element, key or value type that cannot be encoded.
func Open[N Node[N]](id ReplicaID, opts ...Option) N {
	var none N
	n := none.fresh()
	cs := gather(opts)
	sc := n.schema(cs, true)
	s := newStore(id, sc.shape)
	s.schema, s.codecs = sc, cs
	n.put(Handle{store: s, types: sc})
	return n
}

// NewStore makes a replica that holds values by name: see [At] and [OpenStruct]. Each option is
// a [Codec].
func NewStore(id ReplicaID, opts ...Option) *Store {
	s := newStore(id, shape{kind: kindStore})
	s.schema, s.codecs = &schema{shape: shape{kind: kindStore}}, gather(opts)
	return s
}

func gather(opts []Option) codecs {
	if len(opts) == 0 {
		return nil
	}
	cs := codecs{}
	for _, o := range opts {
		if o == nil {
			panic("crdt: nil option; each is a Codec")
		}
		o.option(cs)
	}
	return cs
}

// named returns the place of a name in a store and records its type there.
func (s *Store) named(name string, sc *schema) Handle {
	if s.schema == nil || s.schema.shape.kind != kindStore {
		panic("crdt: names are for stores made with crdt.NewStore")
	}
	s.schema.open(name, sc)
	return Handle{store: s, up: &Handle{store: s, types: s.schema}, key: name, types: sc}
}

// At returns the value of type N at a name of a store made with [NewStore]. Nothing is stored until
// it is changed. It panics if the name is open as another type or N cannot be encoded.
func At[N Node[N]](s *Store, name string) N {
	var none N
	n := none.fresh()
	n.put(s.named(name, n.schema(s.codecs, false)))
	return n
}

// Delete removes all that is at a name as far as this replica has seen it: what others add
// meanwhile survives. Nothing is left behind.
func (s *Store) Delete(name string) Delta {
	s.begin()
	for c := s.tree.at(rootSlot).child(); c != noSlot; {
		n := s.tree.at(c)
		next := n.next
		if n.key == name {
			s.clear(c)
		}
		c = next
	}
	return s.end()
}

// OpenStruct returns a struct of values at a name of a store made with [NewStore]. T is a struct
// whose exported fields are pointers to types of this package, each with a tag that numbers it:
//
//	type Cart struct {
//		Items *crdt.Map[string, *crdt.Counter] `crdt:"1"`
//		Note  *crdt.LWW[string]                `crdt:"2"`
//	}
//
// The number is the field's name between replicas, so fields may be renamed, and replicas may have
// different ones: fields that are not known here are kept and passed on. A number must never be
// given to a field of another type. It panics if T is not of this form.
func OpenStruct[T any](s *Store, name string) *T {
	out := new(T)
	v := reflect.ValueOf(out).Elem()
	t := v.Type()
	if t.Kind() != reflect.Struct {
		panic(fmt.Sprintf("crdt: OpenStruct of %v, which is no struct", t))
	}
	sc := &schema{shape: shape{kind: kindStruct}, fields: map[string]*schema{}}
	type field struct {
		value value
		key   string
	}
	var fields []field
	for i := range t.NumField() {
		f := t.Field(i)
		tag, tagged := f.Tag.Lookup("crdt")
		if !tagged {
			continue
		}
		number, err := strconv.ParseUint(tag, 10, 32)
		if err != nil || number == 0 || !f.IsExported() || f.Type.Kind() != reflect.Pointer {
			panic(fmt.Sprintf("crdt: field %s of %v: want an exported pointer with a tag crdt:\"1\" or higher", f.Name, t))
		}
		v.Field(i).Set(reflect.New(f.Type.Elem()))
		val, ok := v.Field(i).Interface().(value)
		if !ok {
			panic(fmt.Sprintf("crdt: field %s of %v is no type of package crdt", f.Name, t))
		}
		key := string(binary.AppendUvarint(nil, number))
		if sc.fields[key] != nil {
			panic(fmt.Sprintf("crdt: %v has two fields numbered %d", t, number))
		}
		sc.fields[key] = val.schema(s.codecs, false)
		fields = append(fields, field{val, key})
	}
	if len(fields) == 0 {
		panic(fmt.Sprintf("crdt: %v has no field with a crdt tag", t))
	}
	up := s.named(name, sc)
	for _, f := range fields {
		f.value.put(Handle{store: s, up: &up, key: f.key, types: sc.fields[f.key]})
	}
	return out
}

// children calls f for each node below the place until f returns false. f may end what lives at the
// node that it was given.
func (h *Handle) children(f func(at slot, key string, sh shape) bool) {
	at, ok := h.find()
	if !ok {
		return
	}
	t := h.store.tree
	for c := t.at(at).child(); c != noSlot; {
		n := t.at(c)
		next := n.next
		if !f(c, n.key, n.shape) {
			return
		}
		c = next
	}
}
