// Package amf reads and writes the Action Message Format 0, which RTMP commands
// and metadata are made of ("Action Message Format -- AMF 0", Adobe 2007).
//
// Values are Go values: float64, bool, string, Object, []any, nil for null and
// undefined. A date is its milliseconds as a float64.
package amf

import "errors"

// The markers of section 2.1.
const (
	markNumber = iota
	markBoolean
	markString
	markObject
	_ // movie clip, reserved
	markNull
	markUndefined
	markReference
	markECMAArray
	markObjectEnd
	markStrictArray
	markDate
	markLongString
	markUnsupported
	_ // record set, reserved
	markXML
	markTypedObject
	markAMF3
)

// Limits of what is read. A message has its own size limit.
const (
	maxDepth  = 16   // objects in objects
	maxValues = 4096 // in one message, those in objects too
)

var (
	errShort = errors.New("an AMF0 value ends too early")
	errDeep  = errors.New("AMF0 objects are nested deeper than 16")
	errMany  = errors.New("more than 4096 AMF0 values in one message")
)

// Property is one name and its value.
type Property struct {
	Name  string
	Value any
}

// Object is an AMF0 object, typed object or ECMA array; its order is that of
// the wire. Metadata is written as an ECMA array: see ECMAArray.
type Object []Property

// ECMAArray is an Object that is written as an ECMA array. What is read is
// always an Object.
type ECMAArray Object

// Get returns the value of a name, nil if there is none.
func (o Object) Get(name string) any {
	for _, p := range o {
		if p.Name == name {
			return p.Value
		}
	}
	return nil
}

// Text returns the value of a name if it is a string, else "".
func (o Object) Text(name string) string {
	s, _ := o.Get(name).(string)
	return s
}

// Number returns the value of a name if it is a number, else 0.
func (o Object) Number(name string) float64 {
	n, _ := o.Get(name).(float64)
	return n
}
