package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
)

// redisEngine is a Redis server. How safe a batch is there when Append returns is up to the server's
// settings: with "appendfsync always" as safe as its disk.
type redisEngine struct {
	client *redis.Client
	prefix string // of all keys
	keep   bool   // do not remove them in the end
}

func dialRedis(ctx context.Context, addr, name string, keep bool) (*redisEngine, error) {
	e := &redisEngine{redis.NewClient(&redis.Options{Addr: addr}), "calm:" + name + ":", keep}
	logging.Disable() // it writes to stderr what is returned as errors
	if err := e.client.Ping(ctx).Err(); err != nil {
		e.client.Close()
		return nil, fmt.Errorf("%s: %w", e, err)
	}
	return e, nil
}

func (e *redisEngine) String() string { return "Redis at " + e.client.Options().Addr }

func (e *redisEngine) Restart(func()) bool { return false }

func (e *redisEngine) Close() {
	defer e.client.Close()
	if e.keep {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	l := redisLog{e.client, e.prefix}
	keys := []string{l.shares(), l.snapshot()}
	for _, share := range e.client.SMembers(ctx, l.shares()).Val() {
		keys = append(keys, e.prefix+share)
	}
	e.client.Del(ctx, keys...)
}

func (e *redisEngine) Open(context.Context) (Log, error) { return redisLog{e.client, e.prefix}, nil }

// redisLog is a stream for each share, whose entries are numbered as its batches are.
type redisLog struct {
	client *redis.Client
	prefix string
}

func (l redisLog) stream(share int) string { return l.prefix + strconv.Itoa(share) }
func (l redisLog) shares() string          { return l.prefix + "shares" } // the set of shares that have a stream
func (l redisLog) snapshot() string        { return l.prefix + "snapshot" }

func (l redisLog) Append(ctx context.Context, id batchID, delta []byte) error {
	if err := l.client.SAdd(ctx, l.shares(), id.share).Err(); err != nil {
		return err
	}
	// A stream takes an entry only if its number is above all before it, which is what "written
	// once" is to Redis.
	number := fmt.Sprintf("%d-0", id.n)
	err := l.client.XAdd(ctx, &redis.XAddArgs{Stream: l.stream(id.share), ID: number, Values: []any{"delta", delta}}).Err()
	if err != nil && strings.Contains(err.Error(), "equal or smaller") {
		// The answer to the same call may have been lost: what is there may be ours.
		there, err := l.client.XRange(ctx, l.stream(id.share), number, number).Result()
		if err == nil && len(there) == 1 && there[0].Values["delta"] == string(delta) {
			return nil
		}
		return errTaken
	}
	return err
}

// redisPoll is how long a read waits for something new, and so how late a new share is noticed.
const redisPoll = 100 * time.Millisecond

func (l redisLog) Follow(ctx context.Context, after position, f func([]byte, position) error) error {
	heard, err := parseRedisPosition(after)
	if err != nil {
		return err
	}
	for ctx.Err() == nil {
		entries, err := l.next(ctx, heard)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil: // the server is away: try again
			select {
			case <-time.After(redisPoll):
			case <-ctx.Done():
			}
			continue
		}
		for _, stream := range entries {
			share := strings.TrimPrefix(stream.Stream, l.prefix)
			for _, m := range stream.Messages {
				heard[share] = m.ID
				delta, _ := m.Values["delta"].(string)
				if err := f([]byte(delta), redisPosition(heard)); err != nil {
					return err
				}
			}
		}
	}
	return ctx.Err()
}

// next returns what comes after the entries that were heard last.
func (l redisLog) next(ctx context.Context, heard map[string]string) ([]redis.XStream, error) {
	shares, err := l.client.SMembers(ctx, l.shares()).Result()
	if err != nil {
		return nil, err
	}
	if len(shares) == 0 {
		select {
		case <-time.After(redisPoll):
		case <-ctx.Done():
		}
		return nil, nil
	}
	names := make([]string, 0, 2*len(shares))
	for _, s := range shares {
		names = append(names, l.prefix+s)
	}
	for _, s := range shares {
		id := heard[s]
		if id == "" {
			id = "0-0"
		}
		names = append(names, id)
	}
	entries, err := l.client.XRead(ctx, &redis.XReadArgs{Streams: names, Count: 100, Block: redisPoll}).Result()
	if errors.Is(err, redis.Nil) { // nothing new
		return nil, nil
	}
	return entries, err
}

func (l redisLog) Last(ctx context.Context, share int) (int, error) {
	n, err := l.client.XLen(ctx, l.stream(share)).Result()
	return int(n), err
}

func (l redisLog) Save(ctx context.Context, state []byte, at position) error {
	return l.client.Set(ctx, l.snapshot(), packSnapshot(state, at), 0).Err()
}

func (l redisLog) Snapshot(ctx context.Context) ([]byte, position, error) {
	b, err := l.client.Get(ctx, l.snapshot()).Bytes()
	if errors.Is(err, redis.Nil) {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", err
	}
	return unpackSnapshot(b)
}

func (redisLog) Close() {}

// redisPosition writes the last entry heard of each share as "0=12-0 1=9-0".
func redisPosition(heard map[string]string) position {
	var parts []string
	for share, id := range heard {
		parts = append(parts, share+"="+id)
	}
	return position(strings.Join(parts, " "))
}

func parseRedisPosition(p position) (map[string]string, error) {
	heard := map[string]string{}
	for _, part := range strings.Fields(string(p)) {
		share, id, ok := strings.Cut(part, "=")
		if !ok {
			return nil, fmt.Errorf("position %q is none of this log", p)
		}
		heard[share] = id
	}
	return heard, nil
}
