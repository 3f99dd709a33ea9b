package clock

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

type member struct {
	in  *Inbox[string, int]
	got []Message[string, int] // sent and delivered, in order
}

func (m *member) requireCausal(t require.TestingT) {
	var have Vector[string]
	for _, msg := range m.got {
		require.False(t, have.Has(msg.Dot), "delivered twice")
		require.NotEqual(t, Before, have.Compare(msg.Past), "delivered before its causes")
		require.NotEqual(t, Concurrent, have.Compare(msg.Past), "delivered before its causes")
		have.Add(msg.Dot)
	}
	require.Equal(t, Equal, have.Compare(m.in.Delivered()))
}

// TestInboxDeliversInCausalOrder sends and delivers in any order, with duplicates and
// messages lost at first; in the end everyone is given all of them.
func TestInboxDeliversInCausalOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ids := []string{"a", "b", "c", "d"}
		members := map[string]*member{}
		for _, id := range ids {
			members[id] = &member{in: NewInbox[string, int](id, Vector[string]{}, 1000)}
		}
		var sent []Message[string, int]
		receive := func(id string, m Message[string, int]) {
			out, err := members[id].in.Receive(m)
			require.NoError(t, err)
			members[id].got = append(members[id].got, out...)
		}
		pick := rapid.SampledFrom(ids)
		t.Repeat(map[string]func(*rapid.T){
			"send": func(t *rapid.T) {
				m := members[pick.Draw(t, "from")]
				msg := m.in.Send(len(sent))
				m.got = append(m.got, msg)
				sent = append(sent, msg)
			},
			"deliver": func(t *rapid.T) {
				if len(sent) > 0 {
					receive(pick.Draw(t, "to"), rapid.SampledFrom(sent).Draw(t, "message"))
				}
			},
		})
		for _, id := range ids {
			// What is missing is exactly what is waited for and not here.
			in := members[id].in
			want := dots{}
			for _, ms := range in.byCause {
				for _, m := range ms {
					ctx := ContextOf(m.Past)
					for d := range ctx.Dots() {
						if !in.have.Has(d) && !in.waiting[d] {
							want[d] = true
						}
					}
				}
			}
			got := dots{}
			for r := range in.Missing() {
				for n := r.Lo; n <= r.Hi; n++ {
					got[Dot[string]{r.Node, n}] = true
				}
			}
			require.Equal(t, want, got)

			order := rapid.Permutation(sent).Draw(t, "order")
			for _, m := range order {
				receive(id, m)
			}
			members[id].requireCausal(t)
			require.Len(t, members[id].got, len(sent))
			require.Zero(t, in.Waiting())
			require.Empty(t, in.byCause)
			require.Empty(t, slices.Collect(in.Missing()))
		}
	})
}

func TestInboxBounds(t *testing.T) {
	a := NewInbox[string, string]("a", Vector[string]{}, 0)
	one, two, three, four := a.Send("1"), a.Send("2"), a.Send("3"), a.Send("4")
	b := NewInbox[string, string]("b", Vector[string]{}, 2)
	for _, m := range []Message[string, string]{two, three, two} {
		out, err := b.Receive(m)
		require.NoError(t, err)
		require.Empty(t, out)
	}
	_, err := b.Receive(four)
	require.ErrorIs(t, err, ErrInboxFull)
	require.Equal(t, 2, b.Waiting())
	require.Equal(t, []Run[string]{{"a", 1, 1}}, slices.Collect(b.Missing()))
	out, err := b.Receive(one)
	require.NoError(t, err)
	require.Equal(t, []Message[string, string]{one, two, three}, out)
	out, err = b.Receive(four)
	require.NoError(t, err)
	require.Len(t, out, 1)

	for _, bad := range []Message[string, string]{{}, {Dot: Dot[string]{"a", 9}}, {Dot: Dot[string]{"a", 1}, Past: VectorOf(map[string]uint64{"a": 1})}} {
		_, err = b.Receive(bad)
		require.ErrorIs(t, err, ErrMalformed)
	}
	require.Panics(t, func() { NewInbox[string, string]("a", Vector[string]{}, -1) })

	restarted := NewInbox[string, string]("b", b.Delivered(), 2)
	require.Equal(t, Dot[string]{"b", 1}, restarted.Send("x").Dot)
	out, err = restarted.Receive(four)
	require.NoError(t, err)
	require.Empty(t, out, "delivered again")
}

// TestInboxWakesNobodyInVain receives n messages of one sender backwards: each is looked at
// when it comes and when the one before it was delivered.
func TestInboxWakesNobodyInVain(t *testing.T) {
	const n = 2000
	a := NewInbox[string, int]("a", Vector[string]{}, 0)
	b := NewInbox[string, int]("b", Vector[string]{}, n)
	var sent []Message[string, int]
	for i := range n {
		sent = append(sent, a.Send(i))
	}
	var got []Message[string, int]
	for _, m := range slices.Backward(sent) {
		out, err := b.Receive(m)
		require.NoError(t, err)
		got = append(got, out...)
	}
	require.Equal(t, fmt.Sprint(sent), fmt.Sprint(got))
}
