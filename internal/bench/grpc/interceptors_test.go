// Package grpc_test runs the interceptors of backpressure, which imports nothing of gRPC, in a
// server and a client of gRPC.
package grpc_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	health "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/go-calm/calm/backpressure"
)

// The generic functions make what gRPC asks for, without a conversion.
var (
	_ grpc.UnaryServerInterceptor  = backpressure.UnaryServer[grpc.UnaryServerInfo, grpc.UnaryHandler](nil, nil)
	_ grpc.StreamServerInterceptor = backpressure.StreamServer[grpc.ServerStream, grpc.StreamServerInfo, grpc.StreamHandler](nil, nil)
	_ grpc.UnaryClientInterceptor  = backpressure.UnaryClient[grpc.ClientConn, grpc.CallOption, grpc.UnaryInvoker](nil, nil)
	_ grpc.StreamClientInterceptor = backpressure.StreamClient[grpc.StreamDesc, grpc.ClientConn, grpc.CallOption, grpc.ClientStream, grpc.Streamer](nil, nil)
)

// toStatus says that the server is full, and when to come back.
func toStatus(o *backpressure.Overload) error {
	s, err := status.New(codes.ResourceExhausted, o.Error()).
		WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(max(o.RetryAfter, time.Millisecond))})
	if err != nil {
		return err
	}
	return s.Err()
}

func busy(err error) bool {
	switch status.Code(err) {
	case codes.ResourceExhausted, codes.Unavailable, codes.DeadlineExceeded:
		return true
	}
	return false
}

// server answers a check of "wait" when it is released, and panics at one of "panic".
type server struct {
	health.UnimplementedHealthServer
	began, release chan struct{}
}

func (s *server) Check(ctx context.Context, req *health.HealthCheckRequest) (*health.HealthCheckResponse, error) {
	return &health.HealthCheckResponse{Status: health.HealthCheckResponse_SERVING}, s.do(ctx, req.Service)
}

func (s *server) Watch(req *health.HealthCheckRequest, stream grpc.ServerStreamingServer[health.HealthCheckResponse]) error {
	if err := stream.Send(&health.HealthCheckResponse{}); err != nil {
		return err
	}
	return s.do(stream.Context(), req.Service)
}

func (s *server) do(ctx context.Context, what string) error {
	switch what {
	case "panic":
		panic("oh")
	case "wait":
		s.began <- struct{}{}
		select {
		case <-s.release:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func recovered(what any) error { return status.Error(codes.Internal, fmt.Sprint("panic: ", what)) }

// Who recovers stands outside the limiter: the panic passes through it.
func recoverUnary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (resp any, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = recovered(p)
		}
	}()
	return handle(ctx, req)
}

func recoverStream(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handle grpc.StreamHandler) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = recovered(p)
		}
	}()
	return handle(srv, stream)
}

// start serves with one limiter, and calls with another.
func start(t *testing.T, here, there *backpressure.Limiter) (*server, health.HealthClient) {
	t.Helper()
	s := &server{began: make(chan struct{}, 1), release: make(chan struct{})}
	g := grpc.NewServer(
		grpc.ChainUnaryInterceptor(recoverUnary, backpressure.UnaryServer[grpc.UnaryServerInfo, grpc.UnaryHandler](here, toStatus)),
		grpc.ChainStreamInterceptor(recoverStream, backpressure.StreamServer[grpc.ServerStream, grpc.StreamServerInfo, grpc.StreamHandler](here, toStatus)),
	)
	health.RegisterHealthServer(g, s)
	pipe := bufconn.Listen(1 << 16)
	var wg sync.WaitGroup
	wg.Go(func() { _ = g.Serve(pipe) })
	conn, err := grpc.NewClient("passthrough:pipe",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return pipe.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithUnaryInterceptor(backpressure.UnaryClient[grpc.ClientConn, grpc.CallOption, grpc.UnaryInvoker](there, busy)),
		grpc.WithStreamInterceptor(backpressure.StreamClient[grpc.StreamDesc, grpc.ClientConn, grpc.CallOption, grpc.ClientStream, grpc.Streamer](there, busy)),
	)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		g.Stop()
		wg.Wait()
		idle(t, here)
		idle(t, there)
	})
	return s, health.NewHealthClient(conn)
}

// idle waits until all permits are released: the end of a stream is told to its context later.
func idle(t *testing.T, l *backpressure.Limiter) {
	t.Helper()
	for l.Stats().InFlight > 0 {
		runtime.Gosched()
	}
}

func wants(t *testing.T, err error, code codes.Code) {
	t.Helper()
	if status.Code(err) != code {
		t.Fatalf("got %v, want %v", err, code)
	}
}

// full checks that err says that the server is full, and when to come back.
func full(t *testing.T, err error) {
	t.Helper()
	wants(t, err, codes.ResourceExhausted)
	for _, d := range status.Convert(err).Details() {
		if info, ok := d.(*errdetails.RetryInfo); ok && info.RetryDelay.AsDuration() > 0 {
			return
		}
	}
	t.Fatalf("%v does not say when to come back", err)
}

func check(what string) *health.HealthCheckRequest { return &health.HealthCheckRequest{Service: what} }

// watch reads a stream to its end.
func watch(ctx context.Context, c health.HealthClient, what string) error {
	stream, err := c.Watch(ctx, check(what))
	if err != nil {
		return err
	}
	for {
		if _, err := stream.Recv(); err != nil {
			return err
		}
	}
}

func TestAFullServerRefuses(t *testing.T) {
	here, there := backpressure.NewLimiter(backpressure.Fixed(1)), backpressure.NewLimiter(backpressure.Fixed(10))
	s, c := start(t, here, there)
	for _, held := range []func() error{
		func() error { _, err := c.Check(t.Context(), check("wait")); return err },
		func() error {
			if err := watch(t.Context(), c, "wait"); !errors.Is(err, io.EOF) {
				return err
			}
			return nil
		},
	} {
		done := make(chan error)
		go func() { done <- held() }()
		<-s.began
		_, err := c.Check(t.Context(), check("more"))
		full(t, err)
		full(t, watch(t.Context(), c, "more"))
		s.release <- struct{}{}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		idle(t, here)
		if _, err := c.Check(t.Context(), check("again")); err != nil {
			t.Fatal(err)
		}
	}
	if n := here.Stats().Rejected; n != 4 {
		t.Errorf("%d refusals, want 4", n)
	}
}

func TestAPanicReleasesThePermit(t *testing.T) {
	here, there := backpressure.NewLimiter(backpressure.Fixed(1)), backpressure.NewLimiter(backpressure.Fixed(1))
	_, c := start(t, here, there)
	for range 10 {
		_, err := c.Check(t.Context(), check("panic"))
		wants(t, err, codes.Internal)
		idle(t, here)
		wants(t, watch(t.Context(), c, "panic"), codes.Internal)
		idle(t, here)
		idle(t, there)
	}
	if n := here.Stats().Admitted; n != 20 {
		t.Errorf("%d were admitted, want 20", n)
	}
}

func TestAFullClientSendsNothing(t *testing.T) {
	here, there := backpressure.NewLimiter(backpressure.Fixed(10)), backpressure.NewLimiter(backpressure.Fixed(1))
	s, c := start(t, here, there)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { _, err := c.Check(ctx, check("wait")); done <- err }()
	<-s.began
	_, err := c.Check(t.Context(), check("more"))
	if !errors.Is(err, backpressure.ErrOverload) {
		t.Fatalf("got %v", err)
	}
	if err := watch(t.Context(), c, "more"); !errors.Is(err, backpressure.ErrOverload) {
		t.Fatalf("got %v", err)
	}
	if n := here.Stats().Admitted; n != 1 {
		t.Fatalf("the server has seen %d calls", n)
	}
	cancel()
	wants(t, <-done, codes.Canceled)
}

// TestOverload offers ten times as much as is let in: everybody is answered, by the server or by the
// limiter, and no permit is left.
func TestOverload(t *testing.T) {
	here, there := backpressure.NewLimiter(backpressure.Fixed(4)), backpressure.NewLimiter(backpressure.Fixed(1000))
	_, c := start(t, here, there)
	var mu sync.Mutex
	answers := map[codes.Code]int{}
	var wg sync.WaitGroup
	for range 40 {
		wg.Go(func() {
			for range 25 {
				_, err := c.Check(t.Context(), check(""))
				mu.Lock()
				answers[status.Code(err)]++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	s := here.Stats()
	if answers[codes.OK] != int(s.Admitted) || answers[codes.ResourceExhausted] != int(s.Rejected) || s.Admitted+s.Rejected != 1000 {
		t.Fatalf("%v, where %d were admitted and %d refused", answers, s.Admitted, s.Rejected)
	}
}
