package main

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// message is what goes over Maelstrom's network: a line of JSON.
type message struct {
	Src  string          `json:"src"`
	Dest string          `json:"dest"`
	Body json.RawMessage `json:"body"`
}

// request is the body of any message that a node is sent. A node knows by the type which fields to
// look at.
type request struct {
	Type  string `json:"type"`
	MsgID int    `json:"msg_id"`

	NodeID   string              `json:"node_id"`  // init
	NodeIDs  []string            `json:"node_ids"` // init
	Topology map[string][]string `json:"topology"` // topology

	Message json.RawMessage `json:"message"` // broadcast: any JSON value
	Element json.RawMessage `json:"element"` // add to a set: any JSON value
	Delta   int64           `json:"delta"`   // add to a counter

	Gossip []byte `json:"gossip"` // gossip: between nodes, for package antientropy
}

// reply is the body of an answer; its type and whose answer it is are added to it.
type reply map[string]any

// failure is an answer that something was not done, with one of Maelstrom's codes.
type failure struct {
	code int
	text string
}

// The codes that are needed here, all of which say that nothing happened.
const (
	notSupported = 10
	unavailable  = 11
	malformed    = 12
)

func (f *failure) Error() string { return f.text }

func failed(code int, format string, args ...any) error {
	return &failure{code, fmt.Sprintf(format, args...)}
}

// canonical writes a JSON value without the spaces that do not matter, so that it can be compared.
func canonical(value json.RawMessage) (string, error) {
	var b bytes.Buffer
	if len(value) == 0 {
		return "", failed(malformed, "the request has no value")
	}
	if err := json.Compact(&b, value); err != nil {
		return "", failed(malformed, "the value is no JSON")
	}
	return b.String(), nil
}
