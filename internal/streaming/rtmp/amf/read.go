package amf

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Read returns all values of a message. Strings are copied. Errors: values that
// are cut off, nested deeper than 16 or more than 4096, and kinds that no
// publisher sends (references, AMF3).
func Read(message []byte) ([]any, error) {
	r := reader{left: message}
	var values []any
	for len(r.left) > 0 {
		v, err := r.value(0)
		if err != nil {
			return values, err
		}
		values = append(values, v)
	}
	return values, nil
}

type reader struct {
	left   []byte
	values int
}

// take returns the next n bytes.
func (r *reader) take(n int) ([]byte, error) {
	if n > len(r.left) {
		return nil, errShort
	}
	b := r.left[:n]
	r.left = r.left[n:]
	return b, nil
}

func (r *reader) value(depth int) (any, error) {
	mark, err := r.take(1)
	if err != nil {
		return nil, err
	}
	if r.values++; r.values > maxValues {
		return nil, errMany
	}
	if depth > maxDepth {
		return nil, errDeep
	}
	switch mark[0] {
	case markNumber:
		return r.number()
	case markBoolean:
		b, err := r.take(1)
		return err == nil && b[0] != 0, err
	case markString:
		return r.text()
	case markLongString, markXML:
		return r.longText()
	case markNull, markUndefined, markUnsupported:
		return nil, nil
	case markDate:
		return r.date()
	}
	return r.compound(mark[0], depth)
}

// compound reads the kinds that hold other values.
func (r *reader) compound(mark byte, depth int) (any, error) {
	switch mark {
	case markObject:
		return r.object(depth, false)
	case markTypedObject:
		if _, err := r.text(); err != nil { // the class's name
			return nil, err
		}
		return r.object(depth, false)
	case markECMAArray:
		if _, err := r.take(4); err != nil { // its count is only a hint
			return nil, err
		}
		return r.object(depth, true)
	case markStrictArray:
		return r.array(depth)
	default:
		return nil, fmt.Errorf("an AMF0 value of type %#x, which publishers do not send", mark)
	}
}

func (r *reader) number() (float64, error) {
	b, err := r.take(8)
	if err != nil {
		return 0, err
	}
	return math.Float64frombits(binary.BigEndian.Uint64(b)), nil
}

func (r *reader) date() (float64, error) {
	n, err := r.number()
	if err != nil {
		return 0, err
	}
	_, err = r.take(2) // the time zone, reserved
	return n, err
}

func (r *reader) text() (string, error) {
	b, err := r.take(2)
	if err != nil {
		return "", err
	}
	b, err = r.take(int(binary.BigEndian.Uint16(b)))
	return string(b), err
}

func (r *reader) longText() (string, error) {
	b, err := r.take(4)
	if err != nil {
		return "", err
	}
	n := binary.BigEndian.Uint32(b)
	if uint64(n) > uint64(len(r.left)) {
		return "", errShort
	}
	b, err = r.take(int(n))
	return string(b), err
}

// object reads names and values up to the end marker. Some encoders leave it
// out of an ECMA array that ends its message.
func (r *reader) object(depth int, array bool) (Object, error) {
	o := Object{}
	for !array || len(r.left) > 0 {
		name, err := r.text()
		if err != nil {
			return nil, err
		}
		if name == "" && len(r.left) > 0 && r.left[0] == markObjectEnd {
			r.left = r.left[1:]
			break
		}
		v, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		o = append(o, Property{Name: name, Value: v})
	}
	return o, nil
}

func (r *reader) array(depth int) ([]any, error) {
	b, err := r.take(4)
	if err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(b)
	if uint64(n) > uint64(len(r.left)) { // each has a byte at least
		return nil, errShort
	}
	values := []any{}
	for range n {
		v, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		values = append(values, v)
	}
	return values, nil
}
