package gossip

import (
	"time"

	"github.com/go-calm/calm/examples/internal/cutnet"
)

// Transport takes packets to other agents and finds out who they are. It tells its agent: up, with how
// to send to a peer, down, and receive. An agent is made with one by [Memberlist] or [HTTP].
type Transport interface {
	// Addr is the address that others reach this agent at.
	Addr() string
	// Join has the agent at an address and this one know each other. It fails if none answered.
	Join(addr string) error
	// Leave tells the others that this agent goes of its own will.
	Leave(timeout time.Duration) error
	Close() error
	// Stats counts what was sent.
	Stats() cutnet.Stats
}
