package store

import (
	"cmp"
	"encoding/base64"
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
)

// The size of a page of a list.
const (
	DefaultLimit = 10
	MaxLimit     = 100
)

// Key is a row's place in a list that is ordered by time and id. A list that
// goes on after a key stays right while rows are added.
type Key struct {
	At int64 // ms
	ID string
}

// String returns the key as the opaque `offset` of the next page.
func (k Key) String() string {
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatInt(k.At, 10) + "." + k.ID))
}

// Compare returns -1 when k is before o, 0 when they are the same, else 1.
func (k Key) Compare(o Key) int {
	return cmp.Or(cmp.Compare(k.At, o.At), strings.Compare(k.ID, o.ID))
}

var (
	// newest is before every row of a list whose newest row comes first.
	newest = Key{At: math.MaxInt64, ID: "~"}
	// oldest is before every row of a list whose oldest row comes first.
	oldest = Key{At: math.MinInt64}
)

// Page is a part of a list: at most Limit rows behind After. A query reads
// Limit+1 rows to see whether there are more.
type Page struct {
	Limit int
	After Key
}

// ParsePage reads a list's `offset` and `limit`; "" and 0 mean the first page
// of a list, newest first, and the default limit. Errors: errs.Invalid.
func ParsePage(offset string, limit int) (Page, error) {
	p := Page{Limit: limit, After: newest}
	if limit == 0 {
		p.Limit = DefaultLimit
	}
	if p.Limit < 1 || p.Limit > MaxLimit {
		return p, errs.Newf(errs.Invalid, "limit %d is not between 1 and %d", limit, MaxLimit)
	}
	if offset == "" {
		return p, nil
	}
	key, ok := parseKey(offset)
	if !ok {
		return p, errs.New(errs.Invalid, "offset is not a nextPage of this list: pass it on as it was answered")
	}
	p.After = key
	return p, nil
}

// parseKey reads what Key.String has made, and nothing else. The id goes into a
// query, and PostgreSQL takes no text that is not UTF-8 or has U+0000.
func parseKey(offset string) (Key, bool) {
	text, err := base64.RawURLEncoding.DecodeString(offset)
	at, rowID, ok := strings.Cut(string(text), ".")
	ms, numErr := strconv.ParseInt(at, 10, 64)
	key := Key{At: ms, ID: rowID}
	if err != nil || numErr != nil || !ok || !utf8.ValidString(rowID) || strings.ContainsFunc(rowID, unicode.IsControl) {
		return Key{}, false
	}
	return key, key.String() == offset
}

// ParsePageOldestFirst is ParsePage for a list whose oldest row comes first.
func ParsePageOldestFirst(offset string, limit int) (Page, error) {
	p, err := ParsePage(offset, limit)
	if offset == "" {
		p.After = oldest
	}
	return p, err
}

// List is the answer of every list: this page's rows and, when there are more,
// the offset of the next page.
type List[T any] struct {
	NextPage string `json:"nextPage,omitempty" doc:"offset of the next page; absent on the last"`
	Count    int    `json:"count" doc:"rows on this page"`
	Data     []T    `json:"data" nullable:"false"`
}

// MakeList makes a page's answer of the up to Limit+1 rows that were read.
func MakeList[R, T any](p Page, rows []R, key func(R) Key, show func(R) T) List[T] {
	list := List[T]{Data: make([]T, 0, len(rows))}
	if len(rows) > p.Limit {
		rows = rows[:p.Limit]
		list.NextPage = key(rows[len(rows)-1]).String()
	}
	for _, r := range rows {
		list.Data = append(list.Data, show(r))
	}
	list.Count = len(list.Data)
	return list
}
