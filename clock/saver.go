package clock

// saver keeps the persisted bound of an opened clock.
type saver struct{}

func (c *Clock) await(int64) bool { return true }
