package disk

import (
	"errors"
	"io"
)

// ErrLocked is what [Lock] fails with while somebody holds the lock.
var ErrLocked = errors.New("somebody else holds the lock")

// Lock takes the lock that a file stands for, which it makes if need be, until the lock is closed or
// the process has ended, however it ends. It fails with [ErrLocked] while another process, or this
// one, holds it. Where the system or the file system knows no such locks, everybody gets it.
func Lock(path string) (io.Closer, error) { return lock(path) }
