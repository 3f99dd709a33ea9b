package crdttest

import (
	"fmt"
	"strings"
)

// Failure is the error of every check: one broken property and the schedule that breaks it.
type Failure struct {
	Layer    string // "laws", "exhaustive" or "simulation"
	Property string // the property's name, as in the table of the package documentation
	Why      string // why it matters, in one line
	Detail   string // what was got and what was wanted
	Schedule string // a sequence diagram of the shortest schedule found
	Steps    int    // how many steps that schedule has
	Checks   int    // in which check, counted from 1, the property first failed
}

// Error returns the whole report: property, detail, why it matters, diagram.
func (f *Failure) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "crdttest: %s: %s: %s\n", f.Layer, f.Property, f.Detail)
	fmt.Fprintf(&b, "why it matters: %s\n", f.Why)
	if f.Schedule != "" {
		fmt.Fprintf(&b, "\n%s", f.Schedule)
	}
	return b.String()
}

// A property is something demanded of every type; its value is why.
type property struct{ name, why string }

// The properties that the worlds check; those of the laws stand with the laws.
var (
	propValue = property{
		"value is what the specification says",
		"replicas can agree on a wrong answer; only an oracle notices",
	}
	propOracle = property{
		"specification follows from visibility alone",
		"an oracle that takes sides between concurrent operations by their listing is no oracle",
	}
	propInvariant = property{
		"invariant holds of every read",
		"users read while messages are still missing",
	}
	propMonotone = property{
		"value only grows",
		"somebody has acted on what this replica showed before",
	}
	propOwn = property{
		"a replica reads its own writes",
		"a user who saves and sees the old text saves again",
	}
	propForget = property{
		"a replica forgets nothing that it had",
		"reads that go backwards break every cache, cursor and user built on them",
	}
	propStale = property{
		"an old message changes nothing",
		"networks deliver duplicates, and late: removed things come back, counts go up twice",
	}
	propChanged = property{
		"Merge reports a change truthfully",
		"a false no stops gossip before all have heard, a false yes keeps it going for ever",
	}
	propRefused = property{
		"Merge takes what replicas send",
		"a replica that refuses its peers' bytes never converges",
	}
	propArgument = property{
		"Merge leaves its argument alone",
		"the caller reuses or forwards the buffer, and then the state or the message changes by itself",
	}
	propUntouched = property{
		"replicas share no memory",
		"an operation on one replica changes another without a message, racing with its reads",
	}
	propSilent = property{
		"no delta, no change",
		"what changes locally and is not sent is lost to all others until somebody sends a whole state",
	}
	propConverge = property{
		"replicas that exchanged everything are equal",
		"this is what a CRDT is for: without it two users see different data for ever",
	}
	propResume = property{
		"a saved replica restarts",
		"a snapshot that cannot be read back is data lost",
	}
	propBound = property{
		"metadata stays bounded",
		"state that grows with history and not with content kills the process that lives longest",
	}
	propPanic = property{
		"nothing panics",
		"one message must not take a replica down",
	}
)

func (p property) fail(format string, args ...any) {
	panic(&Failure{Property: p.name, Why: p.why, Detail: fmt.Sprintf(format, args...)})
}
