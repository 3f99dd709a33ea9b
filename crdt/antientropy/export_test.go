package antientropy

import (
	"fmt"

	"github.com/go-calm/calm/crdt"
)

// LogLen returns how many deltas a node keeps for its peers.
func (n *Node) LogLen() int { return len(n.log) }

// Describe tells a message in words.
func Describe(b []byte) string {
	m, err := parse(b, crdt.Limits{})
	if err != nil {
		return err.Error()
	}
	text := func() string {
		flag := func(bit byte, s string) string {
			if m.flags&bit != 0 {
				return s
			}
			return ""
		}
		switch m.kind {
		case deltaMessage:
			return fmt.Sprintf("log %d…%d%s", m.after, m.upto, flag(flagBase, ", what was before is gone"))
		case ackMessage:
			return fmt.Sprintf("have log …%d%s", m.upto, flag(flagWhole, ", and lack nothing"))
		case probeMessage:
			return "are we the same?" + flag(flagAsk, " answer me")
		case questionMessage:
			return fmt.Sprintf("question %d", m.token)
		case answerMessage:
			what := "nothing lacks"
			switch {
			case m.flags&flagQuestion != 0:
				what = "compare this"
			case !m.delta.IsZero():
				what = fmt.Sprintf("patch of %d B", m.delta.Len())
			}
			if m.token == 0 {
				return "unasked: " + what
			}
			return fmt.Sprintf("answer %d (%d/%d): %s%s", m.token, m.index+1, m.count, what, flag(flagMore, ", and there is more"))
		case reportMessage:
			return fmt.Sprintf("at log …%d I had seen %d replicas", m.upto, replicas(m.context))
		case retiredMessage:
			return fmt.Sprintf("gone for ever: %d", m.ids)
		}
		return "?"
	}()
	return fmt.Sprintf("%s [%d B]", text, len(b))
}

func replicas(d crdt.Digest) (n int) {
	for piece := range d.Split(0) {
		_ = piece
		n++
	}
	return n
}
