package backpressure_test

import (
	"context"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/failsafe-go/failsafe-go/adaptivelimiter"
	"github.com/failsafe-go/failsafe-go/adaptivethrottler"
	"github.com/sony/gobreaker/v2"
	"golang.org/x/sync/semaphore"

	"github.com/go-calm/calm/backpressure"
)

// BenchmarkLimiter acquires and releases where nobody waits.
func BenchmarkLimiter(b *testing.B) {
	ctx := context.Background()
	for name, l := range map[string]*backpressure.Limiter{
		"calm adaptive": backpressure.NewLimiter(), "calm fixed": backpressure.NewLimiter(backpressure.Fixed(100)),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p, err := l.Acquire(ctx)
				if err != nil {
					b.Fatal(err)
				}
				p.Release(backpressure.Done)
			}
		})
	}
	b.Run("x sync semaphore", func(b *testing.B) {
		b.ReportAllocs()
		s := semaphore.NewWeighted(100)
		for b.Loop() {
			if err := s.Acquire(ctx, 1); err != nil {
				b.Fatal(err)
			}
			s.Release(1)
		}
	})
	b.Run("failsafe adaptive", func(b *testing.B) {
		b.ReportAllocs()
		l := adaptivelimiter.NewWithDefaults[any]()
		for b.Loop() {
			p, err := l.AcquirePermit(ctx)
			if err != nil {
				b.Fatal(err)
			}
			p.Record()
		}
	})
}

// BenchmarkRefusal asks a limiter that is full.
func BenchmarkRefusal(b *testing.B) {
	ctx := context.Background()
	l := backpressure.NewLimiter(backpressure.Fixed(1))
	if _, err := l.Acquire(ctx); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := l.Acquire(ctx); err == nil {
			b.Fatal("admitted")
		}
	}
}

// BenchmarkBreaker calls what works.
func BenchmarkBreaker(b *testing.B) {
	ctx := context.Background()
	b.Run("calm", func(b *testing.B) {
		b.ReportAllocs()
		br := backpressure.NewBreaker[string]()
		work := func(context.Context) error { return nil }
		for b.Loop() {
			if err := br.Do(ctx, "key", work); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("gobreaker", func(b *testing.B) {
		b.ReportAllocs()
		cb := gobreaker.NewCircuitBreaker[int](gobreaker.Settings{})
		work := func() (int, error) { return 1, nil }
		for b.Loop() {
			if _, err := cb.Execute(work); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkThrottle asks before a call that succeeds, and says so after it.
func BenchmarkThrottle(b *testing.B) {
	ctx := context.Background()
	b.Run("calm", func(b *testing.B) {
		b.ReportAllocs()
		t := backpressure.NewThrottle()
		work := func(context.Context) error { return nil }
		for b.Loop() {
			if err := t.Do(ctx, work); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("failsafe", func(b *testing.B) {
		b.ReportAllocs()
		t := adaptivethrottler.NewBuilder[any]().WithFailureRateThreshold(0.1, 10, time.Minute).Build()
		for b.Loop() {
			t.TryAcquirePermit()
			t.RecordSuccess()
		}
	})
}

// BenchmarkRetry makes a call that succeeds at once, which is what a retry costs most of the time.
func BenchmarkRetry(b *testing.B) {
	ctx := context.Background()
	b.Run("calm", func(b *testing.B) {
		b.ReportAllocs()
		work := func(context.Context) (int, error) { return 1, nil }
		for b.Loop() {
			if _, err := backpressure.DoValue(ctx, backpressure.Retry{}, work); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("cenkalti", func(b *testing.B) {
		b.ReportAllocs()
		work := func() (int, error) { return 1, nil }
		for b.Loop() {
			if _, err := backoff.Retry(ctx, work); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkGate asks whether a key is in.
func BenchmarkGate(b *testing.B) {
	b.ReportAllocs()
	g := backpressure.NewGate("new checkout")
	g.Set(0.5)
	for b.Loop() {
		g.On("user 4711")
	}
}
