package lattice

import "math/bits"

// bitWriter appends bits, the highest of each byte first; what is left of the last byte is 0.
type bitWriter struct {
	b    []byte
	free uint // bits of the last byte
}

func (w *bitWriter) bit(bit uint64) { w.bits(bit, 1) }

// bits writes the low k bits of n.
func (w *bitWriter) bits(n uint64, k uint) {
	for k > 0 {
		if w.free == 0 {
			w.b, w.free = append(w.b, 0), 8
		}
		step := min(k, w.free)
		k -= step
		w.free -= step
		w.b[len(w.b)-1] |= byte(n>>k&(1<<step-1)) << w.free
	}
}

// unary writes n ones and a zero.
func (w *bitWriter) unary(n uint64) {
	for range n {
		w.bit(1)
	}
	w.bit(0)
}

// rice writes n with its low k bits as they are and the rest in unary, which is within a
// fraction of a bit of the least for gaps between random places that lie about 2^k apart.
func (w *bitWriter) rice(n uint64, k uint) {
	w.unary(n >> k)
	w.bits(n, k)
}

// bitReader reads what a bitWriter wrote.
type bitReader struct {
	b  []byte
	at int
	ok bool // false once it was asked for more than there is
}

func (r *bitReader) bit() uint64 {
	if r.at >= 8*len(r.b) {
		r.ok = false
		return 0
	}
	bit := r.b[r.at/8] >> (7 - r.at%8) & 1
	r.at++
	return uint64(bit)
}

func (r *bitReader) unary() (n uint64) {
	for r.bit() == 1 {
		n++
	}
	return n
}

func (r *bitReader) rice(k uint) uint64 {
	n := r.unary()
	for range k {
		n = n<<1 | r.bit()
	}
	return n
}

// done reports whether nothing is left but the rest of the last byte, which is 0.
func (r *bitReader) done() bool {
	if (r.at+7)/8 != len(r.b) {
		return false
	}
	for r.at < 8*len(r.b) {
		if r.bit() != 0 {
			return false
		}
	}
	return r.ok
}

// riceFor returns the k for n random places out of 1<<width.
func riceFor(n int, width uint) uint { return uint(bits.Len(uint(1<<width/max(n, 1)|1))) - 1 }
