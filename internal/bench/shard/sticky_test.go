package shard_test

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// newSticky returns a run of franz-go's sticky planner, which keeps partitions where they are as far as
// an exact balance allows: for a group of consumers that share partitions evenly, and one that joins.
func newSticky(b *testing.B, partitions int32, consumers int) (plan func()) {
	const topic = "events"
	balancer := kgo.StickyBalancer()
	members := make([]kmsg.JoinGroupResponseMember, consumers+1)
	for i := range members {
		owned := map[string][]int32{}
		for p := int32(i); i < consumers && p < partitions; p += int32(consumers) {
			owned[topic] = append(owned[topic], p)
		}
		members[i].MemberID = fmt.Sprintf("node-%05d", i)
		members[i].ProtocolMetadata = balancer.JoinGroupMetadata([]string{topic}, owned, 1)
	}
	m, _, err := balancer.MemberBalancer(members)
	if err != nil {
		b.Fatal(err)
	}
	topics := map[string]int32{topic: partitions}
	balance := func() kgo.IntoSyncAssignment {
		plan, err := m.(kgo.GroupMemberBalancerOrError).BalanceOrError(topics)
		if err != nil {
			b.Fatal(err)
		}
		return plan
	}
	moves := len(balance().(*kgo.BalancePlan).AsMemberIDMap()[members[consumers].MemberID][topic])
	if want := int(partitions) / (consumers + 1); moves != want {
		b.Fatalf("the newcomer gets %d partitions, not %d", moves, want)
	}
	return func() { balance() }
}
