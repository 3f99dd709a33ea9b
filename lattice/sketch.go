package lattice

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/bits"
)

// ErrMismatch is matched by the error of a sketch's Merge with one of other parameters; the
// error is a *[MismatchError], and neither sketch was changed.
var ErrMismatch = errors.New("lattice: sketches of different parameters")

// MismatchError says which parameter of two sketches differs.
type MismatchError struct {
	Parameter string
	Have, Got uint64
}

// Error names the parameter and both its values.
func (e *MismatchError) Error() string {
	return fmt.Sprintf("%v: %s %d and %d", ErrMismatch, e.Parameter, e.Have, e.Got)
}

// Is makes the error match [ErrMismatch].
func (e *MismatchError) Is(target error) bool { return target == ErrMismatch }

// The hash of a sketch is part of its format: every machine has to see an element in the same
// place, so it is not seeded. Whoever chooses the elements could therefore choose them to
// collide; against strangers who would, hash with a secret first and use AddHash.

const (
	mulA = 0xa0761d6478bd642f
	mulB = 0xe7037ed1a0b428db
	mulC = 0x8ebc6af09c88c6e3
)

// fold multiplies to 128 bits and folds them to 64, as wyhash does.
func fold(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

// hashBytes hashes 16 bytes at a time.
func hashBytes(p []byte) uint64 {
	h := uint64(len(p)) ^ mulA
	for len(p) > 16 {
		h = fold(binary.LittleEndian.Uint64(p)^mulB, binary.LittleEndian.Uint64(p[8:])^h)
		p = p[16:]
	}
	var a, b uint64
	switch {
	case len(p) >= 8: // the two halves may overlap: the length is in h
		a, b = binary.LittleEndian.Uint64(p), binary.LittleEndian.Uint64(p[len(p)-8:])
	case len(p) >= 4:
		a, b = uint64(binary.LittleEndian.Uint32(p)), uint64(binary.LittleEndian.Uint32(p[len(p)-4:]))
	case len(p) > 0:
		a = uint64(p[0])<<16 | uint64(p[len(p)/2])<<8 | uint64(p[len(p)-1])
	}
	return fold(fold(a^mulB, b^h)^mulC, mulA^uint64(len(p)))
}

// hashString is hashBytes of a string, in pieces that fit a buffer on the stack.
func hashString(s string) uint64 {
	var buf [256]byte
	if len(s) <= len(buf) {
		return hashBytes(buf[:copy(buf[:], s)])
	}
	return hashBytes([]byte(s))
}

// hashUint64 is a bijection: different numbers never collide.
func hashUint64(n uint64) uint64 {
	n += 0x9e3779b97f4a7c15
	n = (n ^ n>>30) * 0xbf58476d1ce4e5b9
	n = (n ^ n>>27) * 0x94d049bb133111eb
	return n ^ n>>31
}

// sketchJSON shows people the estimate and carries the sketch itself along.
type sketchJSON struct {
	Estimate float64 `json:"estimate"`
	Sketch   []byte  `json:"sketch"`
}

func marshalSketch[L any](x form[L], estimate float64) ([]byte, error) {
	b, err := appendForm(nil, x)
	if err != nil {
		return nil, err
	}
	if math.IsInf(estimate, 0) {
		estimate = 0 // JSON has no infinity
	}
	return json.Marshal(sketchJSON{estimate, b})
}

// decodeSketch reads what marshalSketch wrote; null is bottom.
func decodeSketch[L form[L]](b []byte, take func(L)) error {
	j, ok, err := fromJSON[sketchJSON](b)
	if err == nil && !ok {
		var bottom L
		j.Sketch, err = appendForm(nil, bottom)
	}
	if err != nil {
		return err
	}
	return decodeTo(j.Sketch, take)
}
