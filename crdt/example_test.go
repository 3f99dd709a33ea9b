package crdt_test

import (
	"errors"
	"fmt"

	"github.com/go-calm/calm/clock"
	"github.com/go-calm/calm/crdt"
)

func ExampleSet() {
	a, b := crdt.NewSet[string](1), crdt.NewSet[string](2)
	b.Merge(a.Add("milk", "eggs"))

	// Without having heard of each other, one removes milk and the other adds it again.
	removed, added := a.Remove("milk"), b.Add("milk")
	a.Merge(added)
	b.Merge(removed)
	fmt.Println(a.Sorted(), b.Sorted())
	// Output: [eggs milk] [eggs milk]
}

func ExampleCounter() {
	a, b := crdt.NewCounter(1), crdt.NewCounter(2)
	da, db := a.Add(5), b.Add(-2)
	a.Merge(db)
	b.Merge(da)
	b.Merge(da) // a delta that comes twice counts once
	fmt.Println(a.Value(), b.Value())
	// Output: 3 3
}

func ExampleTally() {
	visits := crdt.NewCounter(1)
	tally := visits.Tally()
	for range 1_000_000 {
		tally.Add(1)
	}
	d := tally.Flush() // one event, to be sent to the others
	fmt.Println(visits.Value(), d.Len() < 50)
	// Output: 1000000 true
}

func ExampleGTally() {
	visits := crdt.NewGCounter(1)
	tally := visits.Tally()
	for range 1_000_000 {
		tally.Add(1)
	}
	tally.Flush() // one event, to be sent to the others
	fmt.Println(visits.AtLeast(1_000_000), tally.Pending())
	// Output: true 0
}

func ExampleGCounter() {
	visits := crdt.NewGCounter(1)
	visits.Add(1000)
	// Once true this stays true on every replica: act on it without asking anyone.
	if visits.AtLeast(1000) {
		fmt.Println("a thousand!")
	}
	// Output: a thousand!
}

func ExampleLWW() {
	hlc := clock.New()
	a, b := crdt.NewLWW[string](1), crdt.NewLWW[string](2)
	b.Merge(a.Set(hlc.Now(), "draft"))
	a.Merge(b.Set(hlc.Now(), "final"))
	v, ok := a.Value()
	fmt.Println(v, ok)
	// Output: final true
}

func ExampleMap() {
	type stock = crdt.Map[string, *crdt.Map[string, *crdt.Counter]]
	a, b := crdt.Open[*stock](1), crdt.Open[*stock](2)
	b.Merge(a.At("lisbon").At("sku-1").Add(5))

	// One removes what it sees; the other adds one more meanwhile. The one survives, the five do not.
	removed, added := a.Remove("lisbon"), b.At("lisbon").At("sku-1").Add(1)
	a.Merge(added)
	b.Merge(removed)
	fmt.Println(a.At("lisbon").At("sku-1").Value(), b.At("lisbon").At("sku-1").Value())
	// Output: 1 1
}

func ExampleOpenStruct() {
	type Cart struct {
		Items *crdt.Map[string, *crdt.Counter] `crdt:"1"`
		Note  *crdt.LWW[string]                `crdt:"2"`
	}
	store := crdt.NewStore(1)
	cart := crdt.OpenStruct[Cart](store, "cart/42")
	delta := store.Update(func() { // one delta: others see all of it or nothing
		cart.Items.At("tea").Add(2)
		cart.Note.Set(1, "gift wrap")
	})

	other := crdt.NewStore(2)
	other.Merge(delta)
	same := crdt.OpenStruct[Cart](other, "cart/42")
	fmt.Println(same.Items.At("tea").Value(), same.Note)
	// Output: 2 gift wrap
}

func ExampleAt() {
	store := crdt.NewStore(1)
	online := crdt.At[*crdt.Set[string]](store, "online")
	online.Add("ann")
	fmt.Println(online.Sorted())
	store.Delete("online") // leaves nothing behind
	fmt.Println(online.Len())
	// Output:
	// [ann]
	// 0
}

func ExampleStore_Since() {
	a, b := crdt.NewSet[int](1), crdt.NewSet[int](2)
	b.Merge(a.Add(1, 2, 3))
	a.Add(4)
	a.Remove(1)

	// b tells what it has, without content; a answers with what b lacks, and nothing else.
	delta := a.Since(b.Digest())
	changed, err := b.Merge(delta)
	fmt.Println(b.Sorted(), changed, err)
	// Output: [2 3 4] true <nil>
}

func ExampleJoin() {
	a, b := crdt.NewSet[string](1), crdt.NewSet[string](2)
	group, err := crdt.Join(a.Add("x"), a.Add("y"), a.Remove("x"))
	b.Merge(group)
	fmt.Println(b.Sorted(), err)
	// Output: [y] <nil>
}

func ExampleParseDelta() {
	sent, _ := crdt.NewCounter(1).Add(7).MarshalBinary()

	// At the other end, bytes from outside are checked once; a Delta is always whole.
	delta, err := crdt.ParseDelta(sent, crdt.Limits{Bytes: 1 << 20})
	if err != nil {
		fmt.Println(err)
		return
	}
	c := crdt.NewCounter(2)
	c.Merge(delta)
	fmt.Println(c.Value())
	// Output: 7
}

func ExampleDelta_Split() {
	s := crdt.NewSet[int](1)
	for i := range 1000 {
		s.Add(i)
	}
	frames, other := 0, crdt.NewSet[int](2)
	for d := range s.State().Split(1400) { // each fits a packet, each may be lost or late
		frames++
		other.Merge(d)
	}
	fmt.Println(frames > 1, other.Len())
	// Output: true 1000
}

func ExampleNewReplicaID() {
	monday, tuesday := crdt.NewReplicaID(), crdt.NewReplicaID()
	fmt.Println(monday != tuesday)
	// Output: true
}

func ExampleDigest() {
	a, b := crdt.NewGCounter(1), crdt.NewGCounter(2)
	a.Add(1)
	fmt.Println(b.Digest().Lacks(a.Digest()), a.Digest().Covers(b.Digest()))
	// Output: true true
}

// Two replicas that know nothing of each other become equal, at a cost of what differs.
func ExampleQuestion() {
	a, b := crdt.NewSet[int](1), crdt.NewSet[int](2)
	for i := range 10000 {
		a.Add(i)
	}
	b.Merge(a.State())
	a.Remove(17)

	bytes := 0
	var converse func(asked, asker *crdt.Set[int], qs []crdt.Question)
	converse = func(asked, asker *crdt.Set[int], qs []crdt.Question) {
		for _, q := range qs {
			ans := asked.Store().Answer(q, 64<<10, 4<<20)
			bytes += q.Len()
			asked.Merge(ans.Over)
			for _, d := range ans.Patch {
				bytes += d.Len()
				asker.Merge(d)
			}
			converse(asker, asked, ans.Questions)
		}
	}
	converse(a, b, b.Store().Questions(64<<10))
	fmt.Println(b.Len(), b.Contains(17), bytes < 200)
	// Output: 9999 false true
}

func ExampleSchemaError() {
	a, b := crdt.NewSet[string](1), crdt.NewCounter(2)
	_, err := a.Merge(b.Add(1))
	fmt.Println(err)
	// Output: crdt: schemas differ at the root: here is a set of string, the delta has a root counter; open both replicas with the same types
}

func ExampleEquivocationError() {
	a, impostor, c := crdt.NewSet[string](1), crdt.NewSet[string](1), crdt.NewSet[string](3)
	c.Merge(a.Add("x"))
	_, err := c.Merge(impostor.Add("y"))
	fmt.Println(err)
	// Output: crdt: equivocation: event 1 of replica 0000000000000001 is told in two ways; two histories share that replica id
}

func ExampleGSet() {
	votes := crdt.NewGSet[string](1)
	votes.Add("ann", "bob")
	// Grow-only: once this is true it stays true, so it is safe to act on it.
	fmt.Println(votes.AtLeast(2))
	// Output: true
}

func ExampleTwoPhaseSet() {
	tickets := crdt.NewTwoPhaseSet[int](1)
	tickets.Add(7)
	tickets.Remove(7)
	tickets.Add(7) // used once, used for ever
	fmt.Println(tickets.Contains(7))
	// Output: false
}

func ExampleRWSet() {
	a, b := crdt.NewRWSet[string](1), crdt.NewRWSet[string](2)
	b.Merge(a.Add("ann"))
	again, banned := a.Add("ann"), b.Remove("ann") // did not see each other
	a.Merge(banned)
	b.Merge(again)
	fmt.Println(a.Contains("ann"), b.Contains("ann"))
	// Output: false false
}

func ExampleLWWSet() {
	hlc := clock.New()
	a, b := crdt.NewLWWSet[string](1), crdt.NewLWWSet[string](2)
	b.Merge(a.Add(hlc.Now(), "ann"))
	earlier, later := a.Remove(hlc.Now(), "ann"), b.Add(hlc.Now(), "ann")
	a.Merge(later)
	b.Merge(earlier)
	fmt.Println(a.Contains("ann"), b.Contains("ann"))
	// Output: true true
}

func ExampleElements() {
	s := crdt.NewSet[int](1)
	s.Add(3, 1, 2)
	fmt.Println(s.Len(), s.Contains(2), s.Sorted())
	// Output: 3 true [1 2 3]
}

func ExampleFlag() {
	a, b := crdt.NewFlag(1), crdt.NewFlag(2)
	b.Merge(a.Enable())
	on, off := a.Enable(), b.Disable() // did not see each other
	a.Merge(off)
	b.Merge(on)
	fmt.Println(a.Enabled(), b.Enabled())
	// Output: true true
}

func ExampleStickyFlag() {
	a, b := crdt.NewStickyFlag(1), crdt.NewStickyFlag(2)
	b.Merge(a.Enable())
	on, off := a.Enable(), b.Disable() // did not see each other
	a.Merge(off)
	b.Merge(on)
	fmt.Println(a.Enabled(), b.Enabled())
	// Output: false false
}

func ExampleRegister() {
	a, b := crdt.NewRegister[string](1), crdt.NewRegister[string](2)
	da, db := a.Set("tea"), b.Set("milk")
	a.Merge(db)
	b.Merge(da)
	_, conflict := a.Value()
	fmt.Println(a.Values(), conflict)

	b.Merge(a.Resolve(func(vs []string) string { return vs[0] + " and " + vs[1] }))
	fmt.Println(b.Values())
	// Output:
	// [milk tea] true
	// [milk and tea]
}

func ExampleBoundedCounter() {
	lisbon, porto := crdt.NewBoundedCounter(1), crdt.NewBoundedCounter(2)
	porto.Merge(lisbon.Add(10)) // ten in stock, all for Lisbon to sell
	if d, err := lisbon.Transfer(2, 4); err == nil {
		porto.Merge(d) // now four of them are Porto's
	}
	_, err := porto.Sub(5)
	var short *crdt.BoundError
	if errors.As(err, &short) {
		fmt.Println("Porto wants", short.Want, "and may take", short.Have)
	}
	_, err = porto.Sub(4)
	fmt.Println(err, porto.Value())
	// Output:
	// Porto wants 5 and may take 4
	// <nil> 6
}

func ExampleCodec() {
	type cell struct{ row, column uint8 }
	cells := crdt.Codec[cell]{
		ID:     128, // names the encoding: replicas with another one refuse each other
		Append: func(dst []byte, c cell) []byte { return append(dst, c.row, c.column) },
		Decode: func(b []byte) (cell, error) {
			if len(b) != 2 {
				return cell{}, errors.New("not a cell")
			}
			return cell{b[0], b[1]}, nil
		},
	}
	sheet := crdt.Open[*crdt.Map[cell, *crdt.LWW[string]]](1, cells)
	sheet.At(cell{2, 3}).Set(1, "total")
	fmt.Println(sheet.Sorted(), sheet.At(cell{2, 3}))
	// Output: [{2 3}] total
}

func ExampleStore_Observe() {
	store, peer := crdt.NewStore(1), crdt.NewStore(2)
	stock := crdt.At[*crdt.Map[string, *crdt.Counter]](store, "stock")
	cancel := store.Observe(func(c crdt.Change) {
		fmt.Println(c.Path, c.Before, c.After, c.Local)
	})
	stock.At("tea").Add(5)
	peer.Merge(store.State())
	store.Merge(crdt.At[*crdt.Map[string, *crdt.Counter]](peer, "stock").At("tea").Add(-2))
	stock.Remove("tea")
	cancel()
	stock.At("tea").Add(1)
	// Output:
	// "stock" › "tea" <nil> 5 true
	// "stock" › "tea" 5 3 false
	// "stock" › "tea" 3 <nil> true
}

func ExampleChange() {
	tags := crdt.NewSet[string](1)
	tags.Store().Observe(func(c crdt.Change) {
		switch {
		case c.Kind == crdt.KindSet && c.After == true:
			fmt.Println("in:", c.Path[0])
		case c.Kind == crdt.KindSet:
			fmt.Println("out:", c.Path[0])
		}
	})
	tags.Add("new")
	tags.Remove("new")
	// Output:
	// in: new
	// out: new
}

func ExamplePath() {
	fmt.Println(crdt.Path{"cart/42", crdt.Field(1), "tea"})
	// Output: "cart/42" › field 1 › "tea"
}

func ExampleStore_Invert() {
	store, peer := crdt.NewStore(1), crdt.NewStore(2)
	note, votes := crdt.At[*crdt.LWW[string]](store, "note"), crdt.At[*crdt.Counter](store, "votes")
	note.Set(1, "draft")
	d := store.Update(func() {
		note.Set(2, "final")
		votes.Add(10)
	})
	store.Merge(crdt.At[*crdt.Counter](peer, "votes").Add(1)) // meanwhile, elsewhere
	undo := store.Invert(d)
	fmt.Println(note, votes.Value())
	store.Invert(undo)
	fmt.Println(note, votes.Value())
	// Output:
	// draft 1
	// final 11
}

// failing is a log whose disk is full.
type failing struct{}

func (failing) Append(crdt.Delta, bool) error { return errors.New("no space left on device") }

// A replica that was told of an event 2⁶² of its own cannot make another one.
func ExampleExhaustedError() {
	s := crdt.NewSet[string](7)
	_, err := s.Store().TryUpdate(func() { s.Add("milk") })
	var exhausted *crdt.ExhaustedError
	if errors.As(err, &exhausted) {
		fmt.Println("open it again under a new replica id:", exhausted.Replica)
	}
	fmt.Println(err)
	// Output: <nil>
}

func ExampleLogError() {
	s := crdt.NewSet[string](1)
	s.Add("kept")
	s.Store().SetLog(failing{})
	_, err := s.Store().TryUpdate(func() { s.Add("lost") })
	fmt.Println(err, errors.Is(err, crdt.ErrLog))
	fmt.Println(s.Sorted())
	// Output:
	// crdt: refused, for it was not logged: no space left on device true
	// [kept]
}

func ExampleMultiMap() {
	a, b := crdt.NewMultiMap[string, string](1), crdt.NewMultiMap[string, string](2)
	b.Merge(a.Add("anna", "admin", "author"))
	removed, added := a.Remove("anna"), b.Add("anna", "author")
	a.Merge(added)
	b.Merge(removed)
	fmt.Println(a.Values("anna"), b.Has("anna", "admin"))
	// Output: [author] false
}

func ExampleCounterMap() {
	visits := crdt.NewCounterMap[string](1)
	visits.Add("/", 3)
	visits.Add("/about", 1)
	fmt.Println(visits.Value("/"), visits.Total(), visits.Sorted())
	// Output: 3 4 [/ /about]
}
