package antientropy

// LogLen returns how many deltas a node keeps for its peers.
func (n *Node) LogLen() int { return len(n.log) }
