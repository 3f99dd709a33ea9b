//go:build !race

package crdttest_test

const race = false
