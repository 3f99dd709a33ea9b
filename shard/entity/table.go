package entity

// table holds the states of a lane's keys in open addressing, by the hash that routed the message:
// nothing is hashed twice. An entry takes 32 bytes and the table is at least 7/16 full once grown.
type table[S any] struct {
	entries []entry[S]
	n       int
	changes uint64 // how often a key was removed or given another state
}

type entry[S any] struct {
	hash  uint64
	key   string
	state *S // nil in a free entry
}

// get returns the state of a key, a new zero state if it has none.
func (t *table[S]) get(hash uint64, key string) *S {
	if 8*(t.n+1) > 7*len(t.entries) {
		t.grow()
	}
	i := t.find(hash, key)
	e := &t.entries[i]
	if e.state == nil {
		*e = entry[S]{hash, key, new(S)}
		t.n++
	}
	return e.state
}

func (t *table[S]) find(hash uint64, key string) int {
	mask := len(t.entries) - 1
	i := int(hash) & mask
	for {
		e := &t.entries[i]
		if e.state == nil || e.hash == hash && e.key == key {
			return i
		}
		i = (i + 1) & mask
	}
}

func (t *table[S]) grow() {
	old := t.entries
	t.entries = make([]entry[S], max(16, 2*len(old)))
	for _, e := range old {
		if e.state != nil {
			t.entries[t.find(e.hash, e.key)] = e
		}
	}
}

// put sets a state.
func (t *table[S]) put(hash uint64, key string, state *S) {
	t.get(hash, key)
	t.changes++
	t.entries[t.find(hash, key)].state = state
}

// remove forgets a key and moves up entries that it pushed away.
func (t *table[S]) remove(hash uint64, key string) {
	if t.n == 0 {
		return
	}
	mask := len(t.entries) - 1
	free := t.find(hash, key)
	if t.entries[free].state == nil {
		return
	}
	t.n--
	t.changes++
	for i := free; ; {
		i = (i + 1) & mask
		e := &t.entries[i]
		if e.state == nil {
			break
		}
		if home := int(e.hash) & mask; (i-home)&mask >= (i-free)&mask {
			t.entries[free] = *e
			free = i
		}
	}
	t.entries[free] = entry[S]{}
}
