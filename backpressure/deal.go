package backpressure

// deal fills hand with distinct numbers below n, which follow from h alone: shuffle
// sharding. Two tenants that meet in one place hardly ever meet in all, so a greedy one
// leaves every other a place to go. h should be a good hash; n and len(hand) should be such
// that n to the len(hand) is well below 2⁶⁴, and len(hand) at most n.
func deal(h uint64, n int, hand []int) {
	for i := range hand {
		left := uint64(n - i)
		card := int(h % left)
		h /= left
		// card counts those not dealt yet; hand[:i] is sorted, and so it stays.
		at := 0
		for at < i && hand[at] <= card {
			card++
			at++
		}
		copy(hand[at+1:i+1], hand[at:i])
		hand[at] = card
	}
}
