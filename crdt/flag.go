package crdt

// Flag is on or off; of an Enable and a Disable that did not see each other, the Enable wins. It
// starts off. Each operation costs O(1). A Flag belongs to a [Store]; like the store it is not safe
// for concurrent use.
type Flag struct{ Handle }

// NewFlag makes a replica that is a flag.
func NewFlag(id ReplicaID) *Flag { return Open[*Flag](id) }

func (*Flag) fresh() *Flag { return new(Flag) }

func (f *Flag) put(h Handle) { f.Handle = h }

func (*Flag) schema(codecs, bool) *schema { return leafSchema(kindFlag) }

// Enable turns the flag on.
func (f *Flag) Enable() Delta { return f.write("") }

// Disable turns off what this replica has seen turned on. It leaves nothing behind.
func (f *Flag) Disable() Delta { return f.clear() }

// Enabled reports whether the flag is on, as this replica sees it now (a snapshot read).
func (f *Flag) Enabled() bool { return f.exists() }

// StickyFlag is on or off; of an Enable and a Disable that did not see each other, the Disable
// wins. It starts off. A flag that was turned off keeps an event that says so. Each operation costs
// O(1). A StickyFlag belongs to a [Store]; like the store it is not safe for concurrent use.
type StickyFlag struct{ Handle }

// NewStickyFlag makes a replica that is a sticky flag.
func NewStickyFlag(id ReplicaID) *StickyFlag { return Open[*StickyFlag](id) }

func (*StickyFlag) fresh() *StickyFlag { return new(StickyFlag) }

func (f *StickyFlag) put(h Handle) { f.Handle = h }

func (*StickyFlag) schema(codecs, bool) *schema { return leafSchema(kindStickyFlag) }

// Enable turns the flag on. It undoes the Disables that this replica has seen.
func (f *StickyFlag) Enable() Delta { return f.write(added) }

// Disable turns the flag off: Enables that have not seen it do not count.
func (f *StickyFlag) Disable() Delta { return f.write(removed) }

// Enabled reports whether the flag is on, as this replica sees it now (a snapshot read).
func (f *StickyFlag) Enabled() bool {
	at, ok := f.find()
	return ok && f.store.tree.at(at).live() > 0 && unlessRemoved(f.store, at)
}
