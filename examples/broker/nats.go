package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// natsEngine is a NATS server with JetStream: an own one inside this process, or one elsewhere.
type natsEngine struct {
	url  string
	name string // of the stream and the bucket
	keep bool   // do not remove them in the end
	dir  string // where the own one keeps its data
	own  atomic.Pointer[server.Server]
}

func dialNATS(url, name string, keep bool) (*natsEngine, error) {
	e := &natsEngine{url: url, name: "calm-" + name, keep: keep}
	conn, err := nats.Connect(url, nats.Timeout(5*time.Second)) // once, as nodes will try for ever
	if err != nil {
		return nil, fmt.Errorf("%s: %w", e, err)
	}
	conn.Close()
	return e, nil
}

// embedNATS starts a server that only this process can reach.
func embedNATS(name string) (*natsEngine, error) {
	dir, err := os.MkdirTemp("", "calm-broker-")
	if err != nil {
		return nil, err
	}
	e := &natsEngine{name: "calm-" + name, keep: true, dir: dir}
	if err := e.start(); err != nil {
		e.Close()
		return nil, err
	}
	return e, nil
}

func (e *natsEngine) start() error {
	s, err := server.NewServer(&server.Options{JetStream: true, StoreDir: e.dir, DontListen: true, NoSigs: true, NoLog: true})
	if err != nil {
		return err
	}
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		return errors.New("the NATS server in this process does not start")
	}
	e.own.Store(s)
	return nil
}

func (e *natsEngine) String() string {
	if e.dir != "" {
		return "NATS JetStream in this process"
	}
	return "NATS JetStream at " + e.url
}

func (e *natsEngine) Restart(during func()) bool {
	s := e.own.Load()
	if s == nil {
		return false
	}
	s.Shutdown()
	s.WaitForShutdown()
	during()
	return e.start() == nil
}

func (e *natsEngine) Close() {
	if !e.keep {
		e.forget()
	}
	if s := e.own.Load(); s != nil {
		s.Shutdown()
		s.WaitForShutdown()
	}
	if e.dir != "" {
		os.RemoveAll(e.dir)
	}
}

// forget removes what the run left on somebody's server.
func (e *natsEngine) forget() {
	conn, err := nats.Connect(e.url)
	if err != nil {
		return
	}
	defer conn.Close()
	if js, err := jetstream.New(conn); err == nil {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		_ = js.DeleteStream(ctx, e.name)
		_ = js.DeleteObjectStore(ctx, e.name)
	}
}

// InProcessConn connects to the server of this process, whichever runs now.
func (e *natsEngine) InProcessConn() (net.Conn, error) { return e.own.Load().InProcessConn() }

func (e *natsEngine) Open(ctx context.Context) (Log, error) {
	opts := []nats.Option{
		nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1), nats.ReconnectWait(20 * time.Millisecond),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}), // or it writes to stderr
	}
	if e.dir != "" {
		opts = append(opts, nats.InProcessServer(e))
	}
	conn, err := nats.Connect(e.url, opts...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", e, err)
	}
	l := &natsLog{conn: conn, name: e.name}
	if err := l.open(ctx); err != nil {
		conn.Close()
		return nil, fmt.Errorf("%s: %w", e, err)
	}
	return l, nil
}

// natsLog is a stream that holds one message for each batch, and a bucket with the snapshot.
type natsLog struct {
	name   string
	conn   *nats.Conn
	js     jetstream.JetStream
	stream jetstream.Stream
	bucket jetstream.ObjectStore
}

func (l *natsLog) open(ctx context.Context) (err error) {
	if l.js, err = jetstream.New(l.conn); err != nil {
		return err
	}
	for { // while the server starts
		if err = l.create(ctx); err == nil || ctx.Err() != nil {
			return err
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return err
		}
	}
}

func (l *natsLog) create(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	// One message for each subject, and a new one refused, is what "written once" is to JetStream.
	l.stream, err = l.js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name: l.name, Subjects: []string{l.name + ".*.*"},
		MaxMsgsPerSubject: 1, Discard: jetstream.DiscardNew, DiscardNewPerSubject: true,
	})
	if err != nil {
		return err
	}
	l.bucket, err = l.js.CreateOrUpdateObjectStore(ctx, jetstream.ObjectStoreConfig{Bucket: l.name})
	return err
}

// subject returns that of a batch: each has its own.
func (l *natsLog) subject(id batchID) string { return fmt.Sprintf("%s.%d.%d", l.name, id.share, id.n) }

func (l *natsLog) Append(ctx context.Context, id batchID, delta []byte) error {
	_, err := l.js.Publish(ctx, l.subject(id), delta)
	var api *jetstream.APIError
	if errors.As(err, &api) && api.ErrorCode == natsTooManyPerSubject {
		// A publication whose answer was lost is refused when it is sent again. If what is there
		// is what was sent, it is ours.
		if m, err := l.stream.GetLastMsgForSubject(ctx, l.subject(id)); err == nil && string(m.Data) == string(delta) {
			return nil
		}
		return errTaken
	}
	return err
}

// natsTooManyPerSubject is the server's code for a message that the stream's bound refuses.
const natsTooManyPerSubject = 10077

// natsHeartbeat is how often a quiet server says that it is there. After two that lack, a consumer
// starts itself again.
const natsHeartbeat = 500 * time.Millisecond

func (l *natsLog) Follow(ctx context.Context, after position, f func([]byte, position) error) error {
	heard := uint64(0)
	if after != "" {
		var err error
		if heard, err = strconv.ParseUint(string(after), 10, 64); err != nil {
			return fmt.Errorf("position %q: %w", after, err)
		}
	}
	for {
		messages, err := l.consume(ctx, heard+1)
		for err == nil {
			var m jetstream.Msg
			if m, err = messages.Next(); err != nil {
				break
			}
			var meta *jetstream.MsgMetadata
			if meta, err = m.Metadata(); err != nil {
				break
			}
			heard = meta.Sequence.Stream
			if err := f(m.Data(), position(strconv.FormatUint(heard, 10))); err != nil {
				messages.Stop()
				return err
			}
		}
		if messages != nil {
			messages.Stop()
		}
		select { // the server is away: go on from here when it is back
		case <-time.After(natsHeartbeat / 5):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// consume returns the messages from a number on, until ctx is done.
func (l *natsLog) consume(ctx context.Context, start uint64) (jetstream.MessagesContext, error) {
	asking, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	// An ordered consumer starts itself again where it was when a message was lost.
	consumer, err := l.stream.OrderedConsumer(asking, jetstream.OrderedConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: start,
	})
	if err != nil {
		return nil, err
	}
	messages, err := consumer.Messages(jetstream.PullExpiry(4*natsHeartbeat), jetstream.PullHeartbeat(natsHeartbeat))
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, messages.Stop)
	return messages, nil
}

func (l *natsLog) Last(ctx context.Context, share int) (int, error) {
	info, err := l.stream.Info(ctx, jetstream.WithSubjectFilter(fmt.Sprintf("%s.%d.*", l.name, share)))
	if err != nil {
		return 0, err
	}
	return len(info.State.Subjects), nil
}

func (l *natsLog) Save(ctx context.Context, state []byte, at position) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	_, err := l.bucket.PutBytes(ctx, "snapshot", packSnapshot(state, at))
	return err
}

func (l *natsLog) Snapshot(ctx context.Context) ([]byte, position, error) {
	b, err := l.bucket.GetBytes(ctx, "snapshot")
	if errors.Is(err, jetstream.ErrObjectNotFound) {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", err
	}
	return unpackSnapshot(b)
}

func (l *natsLog) Close() { l.conn.Close() }

// packSnapshot puts the position, behind its length, before the state: both are replaced in one step.
func packSnapshot(state []byte, at position) []byte {
	b := binary.AppendUvarint(nil, uint64(len(at)))
	return append(append(b, at...), state...)
}

func unpackSnapshot(b []byte) (state []byte, at position, err error) {
	size, n := binary.Uvarint(b)
	if n <= 0 || size > uint64(len(b)-n) {
		return nil, "", errors.New("the snapshot is damaged")
	}
	b = b[n:]
	return b[size:], position(b[:size]), nil
}
