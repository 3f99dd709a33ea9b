// Package calm is the map of a library of coordination-avoidance primitives.
// It holds no code; the packages below it do.
package calm
