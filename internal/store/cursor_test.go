package store_test

import (
	"encoding/base64"
	"testing"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
)

func TestPages(t *testing.T) {
	rows := []int64{9, 8, 7, 6, 5}
	key := func(n int64) store.Key { return store.Key{At: n, ID: "st-1.2"} }
	show := func(n int64) int64 { return n }

	p, err := store.ParsePage("", 2)
	if err != nil {
		t.Fatal(err)
	}
	first := store.MakeList(p, rows[:3], key, show)
	if first.Count != 2 || first.NextPage == "" {
		t.Fatalf("first page %+v", first)
	}
	p, err = store.ParsePage(first.NextPage, 2)
	if err != nil || p.After != key(8) {
		t.Fatalf("second page after %+v, %v; want after 8", p.After, err)
	}
	if last := store.MakeList(p, rows[3:], key, show); last.Count != 2 || last.NextPage != "" {
		t.Errorf("last page %+v", last)
	}
}

func TestOldestFirst(t *testing.T) {
	p, err := store.ParsePageOldestFirst("", 2)
	if err != nil || p.After.Compare(store.Key{At: -1 << 62}) >= 0 || p.After.Compare(p.After) != 0 {
		t.Errorf("the first page is after %+v, %v", p.After, err)
	}
	places := []store.Key{{At: 1, ID: "b"}, {At: 2, ID: "a"}, {At: 2, ID: "b"}}
	for _, k := range places {
		next, err := store.ParsePageOldestFirst(k.String(), 2)
		if err != nil || next.After != k || p.After.Compare(k) >= 0 {
			t.Errorf("after %+v, %v; want after %+v", next.After, err, k)
		}
		p = next
	}
}

func raw(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

func TestParsePageRefuses(t *testing.T) {
	for _, tt := range []struct {
		offset string
		limit  int
	}{
		{"", -1}, {"", 101}, {"!", 10}, {"eA", 10}, {"MQ", 10},
		{raw("1.\x00"), 10}, {raw("1.\xff"), 10}, {raw("1.a\nb"), 10}, {raw("9223372036854775808.a"), 10}, {raw("+1.a"), 10}, {raw("01.a"), 10},
		{"MS5hYp", 10}, // as MS5hYg, with other bits at its end
	} {
		if _, err := store.ParsePage(tt.offset, tt.limit); errs.CodeOf(err) != errs.Invalid {
			t.Errorf("offset %q, limit %d: %v, want an invalid error", tt.offset, tt.limit, err)
		}
	}
	if p, err := store.ParsePage("", 0); err != nil || p.Limit != store.DefaultLimit {
		t.Errorf("default: %+v, %v", p, err)
	}
}

func FuzzParsePage(f *testing.F) {
	f.Add("MS5h", 10)
	f.Fuzz(func(t *testing.T, offset string, limit int) {
		p, err := store.ParsePage(offset, limit)
		if err != nil || offset == "" {
			return
		}
		again, err := store.ParsePage(p.After.String(), p.Limit)
		if err != nil || again != p {
			t.Errorf("%+v came back as %+v, %v", p, again, err)
		}
	})
}
