// Package clock measures calm's clock beside its peers.
package clock_test

import (
	"testing"
	"time"

	"github.com/go-calm/calm/clock"
)

func BenchmarkNow(b *testing.B) {
	b.Run("time.Now", func(b *testing.B) {
		for b.Loop() {
			_ = time.Now().UnixNano()
		}
	})
	b.Run("calm", func(b *testing.B) {
		c := clock.New()
		for b.Loop() {
			c.Now()
		}
	})
	b.Run("calm-coarse", func(b *testing.B) {
		c := clock.New(clock.WithCoarse())
		for b.Loop() {
			c.Now()
		}
	})
	b.Run("calm-observe", func(b *testing.B) {
		c := clock.New()
		for b.Loop() {
			c.Observe(5)
		}
	})
	b.Run("calm-witness", func(b *testing.B) {
		c := clock.New()
		c.Now()
		for b.Loop() {
			c.Witness(5)
		}
	})
	b.Run("calm-refuse", func(b *testing.B) {
		c := clock.New()
		far := c.Now().Add(time.Hour)
		for b.Loop() {
			c.Witness(far)
		}
	})
}
