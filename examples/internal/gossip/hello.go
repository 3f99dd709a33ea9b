package gossip

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"encoding/json"
	"net"
	"slices"
)

// hello is what an agent tells of itself over [HTTP], before each packet.
type hello struct {
	Addr  string   `json:"addr"`
	Info  string   `json:"info,omitempty"`
	Known []string `json:"known,omitempty"` // addresses of others
}

const (
	maxAddr  = 256
	maxKnown = 4096
)

// with puts the hello before a packet.
func (h hello) with(packet []byte) []byte {
	text, err := json.Marshal(h)
	if err != nil {
		panic(err) // it is made of strings
	}
	return slices.Concat(binary.AppendUvarint(nil, uint64(len(text))), text, packet)
}

// readHello cuts it off again.
func readHello(b []byte) (h hello, packet []byte, err error) {
	size, n := binary.Uvarint(b)
	if n <= 0 || size > uint64(len(b)-n) {
		return h, nil, errMalformed
	}
	text, packet := b[n:n+int(size)], b[n+int(size):]
	if json.Unmarshal(text, &h) != nil || len(h.Known) > maxKnown {
		return h, nil, errMalformed
	}
	for _, addr := range append([]string{h.Addr}, h.Known...) {
		if host, _, err := net.SplitHostPort(addr); err != nil || host == "" || len(addr) > maxAddr {
			return h, nil, errMalformed
		}
	}
	return h, packet, nil
}

// sealer encrypts what is said, and knows what was encrypted with its key. Without a key it does
// nothing.
type sealer struct{ cipher.AEAD }

func newSealer(key []byte) (sealer, error) {
	if len(key) == 0 {
		return sealer{}, nil
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return sealer{}, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	return sealer{aead}, err
}

func (s sealer) seal(b []byte) []byte {
	if s.AEAD == nil {
		return b
	}
	return s.Seal(nil, nil, b, nil)
}

func (s sealer) open(b []byte) ([]byte, error) {
	if s.AEAD == nil {
		return b, nil
	}
	b, err := s.Open(nil, nil, b, nil)
	if err != nil {
		return nil, errMalformed
	}
	return b, nil
}
