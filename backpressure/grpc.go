package backpressure

import (
	"context"
	"errors"
)

// UnaryServer is a unary server interceptor for gRPC that runs each call with a permit. It imports
// nothing of gRPC: its types are the parameters.
//
//	grpc.UnaryInterceptor(backpressure.UnaryServer[grpc.UnaryServerInfo, grpc.UnaryHandler](lim, toStatus))
//
// toStatus makes a gRPC error of a refusal, one with the code ResourceExhausted, say, and RetryInfo
// with its RetryAfter. With nil the refusal itself is returned, which gRPC reports as Unknown.
func UnaryServer[Info any, H ~func(context.Context, any) (any, error)](l *Limiter, toStatus func(*Overload) error) func(context.Context, any, *Info, H) (any, error) {
	return func(ctx context.Context, req any, _ *Info, handle H) (resp any, err error) {
		err = l.Do(ctx, func(ctx context.Context) error {
			resp, err = handle(ctx, req)
			return err
		})
		return resp, status(err, toStatus)
	}
}

// StreamServer is a stream server interceptor for gRPC that runs each stream with a permit, from its
// begin to its end:
//
//	grpc.StreamInterceptor(backpressure.StreamServer[grpc.ServerStream, grpc.StreamServerInfo, grpc.StreamHandler](lim, toStatus))
func StreamServer[S interface{ Context() context.Context }, Info any, H ~func(any, S) error](l *Limiter, toStatus func(*Overload) error) func(any, S, *Info, H) error {
	return func(srv any, stream S, _ *Info, handle H) error {
		return status(l.Do(stream.Context(), func(context.Context) error { return handle(srv, stream) }), toStatus)
	}
}

// UnaryClient is a unary client interceptor for gRPC that makes each call with a permit:
//
//	grpc.WithUnaryInterceptor(backpressure.UnaryClient[grpc.ClientConn, grpc.CallOption, grpc.UnaryInvoker](lim, busy))
//
// busy says of an error whether the server refused, or did not answer in time: the codes
// ResourceExhausted, Unavailable and DeadlineExceeded. With nil only what [Limiter.Do] takes for that
// is. A call that got no permit returns the error of [Limiter.Acquire].
func UnaryClient[Conn, Option any, I ~func(context.Context, string, any, any, *Conn, ...Option) error](l *Limiter, busy func(error) bool) func(context.Context, string, any, any, *Conn, I, ...Option) error {
	return func(ctx context.Context, method string, req, reply any, conn *Conn, invoke I, opts ...Option) error {
		p, err := l.Acquire(ctx)
		if err != nil {
			return err
		}
		outcome := Dropped
		defer func() { p.Release(outcome) }()
		err = invoke(ctx, method, req, reply, conn, opts...)
		outcome = outcomeOfCall(err, busy)
		return err
	}
}

// StreamClient is a stream client interceptor for gRPC that opens each stream with a permit, and
// holds it until the stream's context is done, as it is when the stream ends. That it asks for this
// context settles the stream on its first attempt: what gRPC itself would retry it does not.
//
//	grpc.WithStreamInterceptor(backpressure.StreamClient[grpc.StreamDesc, grpc.ClientConn, grpc.CallOption, grpc.ClientStream, grpc.Streamer](lim, busy))
func StreamClient[Desc, Conn, Option any, S interface{ Context() context.Context }, O ~func(context.Context, *Desc, *Conn, string, ...Option) (S, error)](l *Limiter, busy func(error) bool) func(context.Context, *Desc, *Conn, string, O, ...Option) (S, error) {
	return func(ctx context.Context, desc *Desc, conn *Conn, method string, open O, opts ...Option) (stream S, err error) {
		p, err := l.Acquire(ctx)
		if err != nil {
			return stream, err
		}
		outcome, held := Dropped, true
		defer func() {
			if held {
				p.Release(outcome)
			}
		}()
		stream, err = open(ctx, desc, conn, method, opts...)
		if err != nil {
			outcome = outcomeOfCall(err, busy)
			return stream, err
		}
		held = false
		context.AfterFunc(stream.Context(), func() { p.Release(Ignored) }) // streams last as long as they like
		return stream, nil
	}
}

func status(err error, toStatus func(*Overload) error) error {
	var o *Overload
	if toStatus != nil && errors.As(err, &o) {
		return toStatus(o)
	}
	return err
}

func outcomeOfCall(err error, busy func(error) bool) Outcome {
	if err != nil && busy != nil && busy(err) {
		return Dropped
	}
	return outcomeOf(err)
}
