package antientropy_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-calm/calm/crdt"
	"github.com/go-calm/calm/crdt/antientropy"
)

// machine is a host whose process may die at any write: it persists what Ready says, delta by delta,
// and only then sends, message by message.
type machine struct {
	id   crdt.ReplicaID
	disk []crdt.Delta
	set  *crdt.Set[int]
	node *antientropy.Node
}

func (m *machine) boot(t *testing.T, start int) {
	m.set = crdt.NewSet[int](m.id)
	for _, d := range m.disk {
		_, err := m.set.Merge(d)
		require.NoError(t, err)
	}
	m.node = antientropy.NewNode(antientropy.Config{Self: m.id, State: m.set.Store(), Seed: uint64(start)*100 + uint64(m.id), ProbeTicks: 3})
	m.node.AddPeer(3 - m.id)
}

// crashing runs two machines; the first one dies at its n-th write or sending, and starts again from
// its disk, under the same name. It reports whether it got so far, and what went wrong.
func crashing(t *testing.T, n int, sendFirst bool) (died bool, err error) {
	machines := map[crdt.ReplicaID]*machine{1: {id: 1}, 2: {id: 2}}
	for _, m := range machines {
		m.boot(t, 0)
	}
	points := 0
	at := func(m *machine) bool {
		if m.id == 1 {
			points++
		}
		if m.id != 1 || points != n {
			return false
		}
		m.boot(t, 1)
		died = true
		return true
	}
	work := func(m *machine) {
		rd := m.node.Ready()
		persist := func() bool {
			for _, d := range rd.Persist {
				if at(m) {
					return false
				}
				m.disk = append(m.disk, d)
			}
			return !at(m)
		}
		send := func() bool {
			for _, e := range rd.Messages {
				if e := machines[e.To].node.Step(m.id, e.Message); e != nil && err == nil {
					err = e
				}
				if at(m) {
					return false
				}
			}
			return true
		}
		if sendFirst {
			persist, send = send, persist
		}
		if persist() && send() {
			m.node.Advance(rd)
		}
	}
	for round := range 12 {
		for _, id := range []crdt.ReplicaID{1, 2} {
			m := machines[id]
			if round < 6 {
				m.set.Add(100*int(id) + round)
				if round%2 == 1 {
					m.set.Remove(100*int(3-id)+round-1, 100*int(id)+round-1)
				}
			}
			m.node.Tick()
			work(m)
		}
	}
	for range 60 {
		for _, id := range []crdt.ReplicaID{1, 2} {
			machines[id].node.Tick()
			work(machines[id])
		}
	}
	if err != nil {
		return died, err
	}
	if !slices.Equal(machines[1].set.Sorted(), machines[2].set.Sorted()) {
		return died, fmt.Errorf("1 has %v, 2 has %v", machines[1].set.Sorted(), machines[2].set.Sorted())
	}
	// What 2 has added and not removed is nobody else's to lose.
	for round := range 6 {
		mine := 200 + round
		if round%2 == 1 && !machines[1].set.Contains(mine) {
			return died, fmt.Errorf("%d is lost", mine)
		}
	}
	return died, nil
}

// A process may die at every write and every sending, and go on under its old name from what it had
// persisted: nothing goes wrong as long as it persists before it sends. Who sends first is found out.
func TestCrashAtEveryWrite(t *testing.T) {
	points := 0
	for n := 1; ; n++ {
		died, err := crashing(t, n, false)
		require.NoError(t, err, "died at write %d", n)
		if !died {
			break
		}
		points++
	}
	require.Greater(t, points, 30, "so few writes were tried")

	wrong := 0
	for n := 1; ; n++ {
		died, err := crashing(t, n, true)
		if err != nil {
			require.ErrorIs(t, err, crdt.ErrEquivocation)
			wrong++
		}
		if !died {
			break
		}
	}
	require.NotZero(t, wrong, "messages left before what they tell was durable, and nobody noticed")
}
