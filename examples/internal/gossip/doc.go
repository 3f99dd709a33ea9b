// Package gossip carries the messages of replicas over hashicorp/memberlist: who is there and at
// what address is memberlist's to know, and what the replicas say to each other goes from one to
// the other directly, in packets while it is small and in streams where it is not.
//
// It promises nothing: messages are lost, doubled and reordered, as networks do. What makes the
// replicas equal nevertheless is package antientropy, and a lattice's joining in any order.
package gossip
