// Package gossip carries the messages of replicas from one to the other, and tells who is there. A
// [Transport] does both: [Memberlist], where hashicorp/memberlist knows who is there, and what is small
// goes in packets; or [HTTP], where all goes in POST requests of net/http. Each is some forty lines. What
// both need is the [Agent]'s: who is a peer, a queue for each that drops what is old, what goes together
// into a packet, and looking for who is missing.
//
// It promises nothing: messages are lost, doubled and reordered, as networks do. What makes the
// replicas equal nevertheless is package antientropy.
package gossip
