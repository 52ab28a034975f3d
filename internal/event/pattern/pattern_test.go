package pattern

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
)

const event = `{
	"version":"0","id":"e1","source":"serverlessVideo.streaming","detail-type":"Stream State Change","resources":[],
	"detail":{
		"event_name":"Stream Start","channel_name":"c1","count":300,"ratio":-2.5e3,"live":true,"note":null,"empty":"",
		"address":"10.1.2.3","address6":"2001:db8::1","tags":["conf","Sport"],"none":[],"inner":{"a":{"b":"c"}},
		"people":[{"name":"ann","age":30},{"name":"bob","age":40}],"file":"C:\\clips\\a*b.mp4"
	}}`

func TestMatch(t *testing.T) {
	e, err := Parse([]byte(event))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, pattern string
		want          bool
	}{
		{"exact", `{"source":["serverlessVideo.streaming"]}`, true},
		{"exact, another", `{"source":["serverlessVideo.auth"]}`, false},
		{"exact, one of two", `{"source":["x","serverlessVideo.streaming"]}`, true},
		{"all fields", `{"source":["serverlessVideo.streaming"],"detail":{"channel_name":["c2"]}}`, false},
		{"number as it is written", `{"detail":{"count":[300]}}`, true},
		{"number written in another way", `{"detail":{"count":[300.0]}}`, false},
		{"number is no string", `{"detail":{"count":["300"]}}`, false},
		{"bool", `{"detail":{"live":[true]}}`, true},
		{"bool, the other", `{"detail":{"live":[false]}}`, false},
		{"null", `{"detail":{"note":[null]}}`, true},
		{"null is not the empty string", `{"detail":{"empty":[null]}}`, false},
		{"null is not nothing", `{"detail":{"missing":[null]}}`, false},
		{"empty string", `{"detail":{"empty":[""]}}`, true},
		{"one of an array", `{"detail":{"tags":["conf"]}}`, true},
		{"none of an array", `{"detail":{"tags":["news"]}}`, false},
		{"case matters", `{"detail":{"tags":["sport"]}}`, false},

		{"prefix", `{"source":[{"prefix":"serverlessVideo."}]}`, true},
		{"prefix, another", `{"source":[{"prefix":"aws."}]}`, false},
		{"prefix of a number", `{"detail":{"count":[{"prefix":"3"}]}}`, false},
		{"prefix ignoring case", `{"source":[{"prefix":{"equals-ignore-case":"SERVERLESS"}}]}`, true},
		{"suffix", `{"source":[{"suffix":".streaming"}]}`, true},
		{"suffix, another", `{"source":[{"suffix":"stream"}]}`, false},
		{"suffix ignoring case", `{"source":[{"suffix":{"equals-ignore-case":".STREAMING"}}]}`, true},
		{"suffix longer than the text", `{"detail":{"channel_name":[{"suffix":"ccc1"}]}}`, false},
		{"equals-ignore-case", `{"detail":{"tags":[{"equals-ignore-case":"SPORT"}]}}`, true},

		{"wildcard", `{"source":[{"wildcard":"server*.stream*"}]}`, true},
		{"wildcard alone", `{"source":[{"wildcard":"*"}]}`, true},
		{"wildcard for nothing", `{"detail":{"channel_name":[{"wildcard":"c1*"}]}}`, true},
		{"wildcard without a star", `{"detail":{"channel_name":[{"wildcard":"c"}]}}`, false},
		{"wildcard whose ends overlap", `{"detail":{"channel_name":[{"wildcard":"c1*1"}]}}`, false},
		{"wildcard, pieces in order", `{"source":[{"wildcard":"*Video*server*"}]}`, false},
		{"wildcard with a star itself", `{"detail":{"file":[{"wildcard":"*a\\*b.*"}]}}`, true},
		{"wildcard with a backslash itself", `{"detail":{"file":[{"wildcard":"C:\\\\clips*"}]}}`, true},

		{"anything-but", `{"detail":{"channel_name":[{"anything-but":"c2"}]}}`, true},
		{"anything-but it", `{"detail":{"channel_name":[{"anything-but":"c1"}]}}`, false},
		{"anything-but several", `{"detail":{"channel_name":[{"anything-but":["c0","c1"]}]}}`, false},
		{"anything-but a number", `{"detail":{"count":[{"anything-but":300}]}}`, false},
		{"anything-but, of nothing", `{"detail":{"missing":[{"anything-but":"x"}]}}`, false},
		{"anything-but prefix", `{"source":[{"anything-but":{"prefix":"server"}}]}`, false},
		{"anything-but suffixes", `{"source":[{"anything-but":{"suffix":["x","ming"]}}]}`, false},
		{"anything-but ignoring case", `{"detail":{"channel_name":[{"anything-but":{"equals-ignore-case":["C1","C2"]}}]}}`, false},
		{"anything-but wildcard", `{"source":[{"anything-but":{"wildcard":"*.auth"}}]}`, true},
		{"anything-but of an array: one element will do", `{"detail":{"tags":[{"anything-but":"conf"}]}}`, true},

		{"numeric =", `{"detail":{"count":[{"numeric":["=",3e2]}]}}`, true},
		{"numeric >", `{"detail":{"count":[{"numeric":[">",300]}]}}`, false},
		{"numeric >=", `{"detail":{"count":[{"numeric":[">=",300]}]}}`, true},
		{"numeric <", `{"detail":{"ratio":[{"numeric":["<",0]}]}}`, true},
		{"numeric range", `{"detail":{"count":[{"numeric":[">",0,"<=",300]}]}}`, true},
		{"numeric range, outside", `{"detail":{"count":[{"numeric":[">",0,"<",300]}]}}`, false},
		{"numeric of a string", `{"detail":{"channel_name":[{"numeric":[">",0]}]}}`, false},

		{"exists", `{"detail":{"channel_name":[{"exists":true}]}}`, true},
		{"exists, null", `{"detail":{"note":[{"exists":true}]}}`, true},
		{"exists not", `{"detail":{"missing":[{"exists":false}]}}`, true},
		{"exists not, but it does", `{"detail":{"channel_name":[{"exists":false}]}}`, false},
		{"an object is no value", `{"detail":{"inner":[{"exists":true}]}}`, false},
		{"an object is no value, so none exists", `{"detail":{"inner":[{"exists":false}]}}`, true},
		{"an empty array has no value", `{"detail":{"none":[{"exists":false}]}}`, true},
		{"exists not, below what is not there", `{"detail":{"no":{"such":[{"exists":false}]}}}`, true},
		{"exists not, below a value", `{"detail":{"channel_name":{"such":[{"exists":false}]}}}`, true},
		{"one of that or nothing", `{"detail":{"missing":["a",{"exists":false}]}}`, true},

		{"cidr", `{"detail":{"address":[{"cidr":"10.0.0.0/8"}]}}`, true},
		{"cidr, outside", `{"detail":{"address":[{"cidr":"10.2.0.0/16"}]}}`, false},
		{"cidr, IPv6", `{"detail":{"address6":[{"cidr":"2001:db8::/32"}]}}`, true},
		{"cidr of no address", `{"detail":{"channel_name":[{"cidr":"0.0.0.0/0"}]}}`, false},

		{"nested", `{"detail":{"inner":{"a":{"b":["c"]}}}}`, true},
		{"nested, another", `{"detail":{"inner":{"a":{"b":["d"]}}}}`, false},
		{"objects in an array, one and the same", `{"detail":{"people":{"name":["ann"],"age":[30]}}}`, true},
		{"objects in an array, two different ones", `{"detail":{"people":{"name":["ann"],"age":[40]}}}`, false},

		{"$or, first", `{"$or":[{"source":[{"prefix":"server"}]},{"id":["x"]}]}`, true},
		{"$or, last", `{"$or":[{"source":["x"]},{"detail":{"live":[true]}}]}`, true},
		{"$or, none", `{"$or":[{"source":["x"]},{"id":["y"]}]}`, false},
		{"$or and a field", `{"version":["1"],"$or":[{"id":["e1"]},{"id":["e2"]}]}`, false},
		{"$or within", `{"detail":{"$or":[{"count":[1]},{"live":[true]}]}}`, true},
		{"$or within $or", `{"$or":[{"$or":[{"id":["e1"]}],"version":["0"]},{"id":["z"]}]}`, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := Compile([]byte(c.pattern))
			if err != nil {
				t.Fatal(err)
			}
			if got := p.Match(e); got != c.want {
				t.Errorf("%s: %v", c.pattern, got)
			}
			var set Set[int]
			set.Add(p, 7)
			found := false
			set.Match(e, func(v int) { found = v == 7 })
			if found != c.want {
				t.Errorf("in a set: %v", found)
			}
		})
	}
}

func TestCompileRefuses(t *testing.T) {
	for name, c := range map[string]struct{ pattern, place, says string }{
		"no JSON":                     {"{\n  \"a\": [x]}", "line 2, column 9", "no JSON"},
		"it ends early":               {`{"a":["b"`, "line 1, column 10", "too early"},
		"something after it":          {`{"a":["b"]} 1`, "line 1, column 13", "after the pattern"},
		"no object":                   {`["a"]`, "line 1, column 1", "is an object"},
		"empty":                       {`{}`, "line 1, column 1", "empty object"},
		"an empty object":             {`{"detail":{}}`, "line 1, column 11, at detail", "empty object"},
		"no array, long":              {`{"source":"` + strings.Repeat("x", 61) + `"}`, "line 1, column 11, at source", "[…]"},
		"no array":                    {`{"source":"x"}`, "line 1, column 11, at source", `["x"]`},
		"an empty array":              {`{"source":[]}`, "line 1, column 11, at source", "empty array"},
		"array in array":              {`{"source":["a",["b"]]}`, "column 16, at source[1]", "array in an array"},
		"twice":                       {"{\"a\":[1],\n\"a\":[2]}", "line 2, column 1", "two fields"},
		"unknown operator":            {`{"a":[{"starts-with":"x"}]}`, "column 8, at a[0].starts-with", "prefix, suffix"},
		"no operator":                 {`{"a":[{}]}`, "at a[0]", "empty object"},
		"two operators":               {`{"a":[{"prefix":"x","suffix":"y"}]}`, "column 21, at a[0].prefix", "one operator"},
		"prefix of a number":          {`{"a":[{"prefix":5}]}`, "column 17, at a[0].prefix", "takes a string"},
		"prefix with another":         {`{"a":[{"prefix":{"suffix":"x"}}]}`, "a[0].prefix", "equals-ignore-case"},
		"wildcard, two stars":         {`{"a":[{"wildcard":"a**b"}]}`, "a[0].wildcard", "two stars"},
		"wildcard, lone backslash":    {`{"a":[{"wildcard":"a\\b"}]}`, "a[0].wildcard", "backslash"},
		"wildcard, last backslash":    {`{"a":[{"wildcard":"a\\"}]}`, "a[0].wildcard", "backslash"},
		"anything-but nothing":        {`{"a":[{"anything-but":[]}]}`, "a[0].anything-but", "exists"},
		"anything-but in itself":      {`{"a":[{"anything-but":{"numeric":[">",1]}}]}`, "a[0].anything-but", "numeric"},
		"anything-but an array in it": {`{"a":[{"anything-but":["x",["y"]]}]}`, "a[0].anything-but[1]", "array of them"},
		"numeric without an array":    {`{"a":[{"numeric":5}]}`, "a[0].numeric", "comparison"},
		"numeric without a number":    {`{"a":[{"numeric":[">"]}]}`, "a[0].numeric", "comparison"},
		"numeric with a string":       {`{"a":[{"numeric":[">","5"]}]}`, "a[0].numeric[1]", "number"},
		"numeric, unknown":            {`{"a":[{"numeric":["!=",5]}]}`, "a[0].numeric[0]", "comparison"},
		"numeric, wrong way":          {`{"a":[{"numeric":["<",5,">",1]}]}`, "a[0].numeric", "lower end first"},
		"numeric, nothing is in it":   {`{"a":[{"numeric":[">",5,"<",5]}]}`, "a[0].numeric", "no number"},
		"numeric, three":              {`{"a":[{"numeric":[">",1,"<",5,"<",6]}]}`, "a[0].numeric[4]", "comparison"},
		"exists of a string":          {`{"a":[{"exists":"yes"}]}`, "a[0].exists", "true or false"},
		"cidr without length":         {`{"a":[{"cidr":"10.0.0.0"}]}`, "a[0].cidr", "10.0.0.0/24"},
		"$or without an array":        {`{"$or":{"a":[1]}}`, "at $or", "array of objects"},
		"$or of values":               {`{"$or":["a"]}`, "at $or[0]", "array of objects"},
		"$or of nothing":              {`{"$or":[]}`, "at $or", "no alternatives"},
		"deep":                        {strings.Repeat(`{"a":`, 20) + `[1]` + strings.Repeat(`}`, 20), "a.a.a", "deep"},
		"long":                        {`{"a":["` + strings.Repeat("x", MaxSize) + `"]}`, "line 1", "bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Compile([]byte(c.pattern))
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("%v", err)
			}
			if !strings.Contains(err.Error(), c.place) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, want %q and %q", err, c.place, c.says)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	for _, text := range []string{"", "[]", "null", `{"a"`, "7"} {
		if _, err := Parse([]byte(text)); err == nil {
			t.Errorf("%q was read", text)
		}
	}
}

// A set finds each pattern that matches, once and in order, however it is found.
func TestSet(t *testing.T) {
	var set Set[string]
	for _, c := range []struct{ name, pattern string }{
		{"exact", `{"source":["serverlessVideo.streaming"],"detail":{"channel_name":["c1"]}}`},
		{"another", `{"source":["serverlessVideo.streaming"],"detail":{"channel_name":["c2"]}}`},
		{"always", `{"detail":{"count":[{"numeric":[">",1]}]}}`},
		{"twice", `{"detail":{"tags":["conf","conf","Sport"]}}`},
		{"within an array", `{"detail":{"people":{"name":["bob"],"age":[40]}}}`},
		{"within an array, two", `{"detail":{"people":{"name":["bob"],"age":[30]}}}`},
		{"string or nothing", `{"detail":{"missing":["x",{"exists":false}]}}`},
		{"string that is a number", `{"detail":{"count":["300"]}}`},
		{"$or alone", `{"$or":[{"id":["e1"]},{"id":["e2"]}]}`},
		{"string and $or", `{"version":["0"],"$or":[{"id":["e2"]},{"detail":{"live":[true]}}]}`},
		{"string and a false $or", `{"version":["0"],"$or":[{"id":["e2"]},{"id":["e3"]}]}`},
		{"exact again", `{"source":["serverlessVideo.streaming"],"detail":{"channel_name":["c1"]}}`},
	} {
		p, err := Compile([]byte(c.pattern))
		if err != nil {
			t.Fatal(err)
		}
		set.Add(p, c.name)
	}
	e, err := Parse([]byte(event))
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	set.Match(e, func(name string) { found = append(found, name) })
	want := "exact, always, twice, within an array, string or nothing, $or alone, string and $or, exact again"
	if got := strings.Join(found, ", "); got != want {
		t.Errorf("found %s\nwant  %s", got, want)
	}
}

// Whatever compiles, matches or does not, alone as in a set.
func FuzzPattern(f *testing.F) {
	for _, p := range []string{
		`{"source":[{"wildcard":"a*b"},{"anything-but":{"prefix":["x"]}}]}`, `{"$or":[{"a":[{"exists":false}]},{"b":{"c":[1,null,true]}}]}`,
		`{"detail":{"people":{"age":[{"numeric":[">",1,"<",50]}]},"address":[{"cidr":"10.0.0.0/8"}]}}`, sevenFields,
	} {
		f.Add([]byte(p), []byte(event))
	}
	f.Fuzz(func(t *testing.T, pattern, text []byte) {
		e, err := Parse(text)
		if err != nil {
			return
		}
		p, err := Compile(pattern)
		if err != nil {
			if e := new(Error); !errors.As(err, &e) || e.Line < 1 || e.Column < 1 || e.Reason == "" {
				t.Fatalf("%#v", err)
			}
			return
		}
		// Among others, with which it shares what is asked.
		var set Set[int]
		for i, text := range []string{sevenFields, string(pattern), `{"detail":{"people":{"age":[30]}}}`, string(pattern)} {
			other, err := Compile([]byte(text))
			if err != nil {
				t.Fatal(err)
			}
			set.Add(other, i)
		}
		found, again := false, false
		set.Match(e, func(i int) { found, again = found || i == 1, again || i == 3 })
		if found != again {
			t.Fatalf("%s: %v, then %v", pattern, found, again)
		}
		if got := p.Match(e); got != found {
			t.Fatalf("%s: %v alone, %v in a set", pattern, got, found)
		}
	})
}

const sevenFields = `{"version":["0"],"source":["serverlessVideo.streaming"],"detail-type":[{"prefix":"Stream"}],
	"detail":{"event_name":["Stream Start","Stream End"],"channel_name":[{"anything-but":"c2"}],
	"count":[{"numeric":[">",100]}],"live":[true]}}`

func BenchmarkMatch(b *testing.B) {
	e, err := Parse([]byte(event))
	if err != nil {
		b.Fatal(err)
	}
	p, err := Compile([]byte(sevenFields))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if !p.Match(e) {
			b.Fatal("no match")
		}
	}
}

// What an event costs with a thousand rules, one of which matches: reading it, and
// asking those that may match. Rules that differ in a string are found by it; of
// those that differ in an operator each is asked.
func BenchmarkThousandRules(b *testing.B) {
	for name, entry := range map[string]string{"strings": `"c%d"`, "operators": `{"suffix":"c%d"}`} {
		b.Run(name, func(b *testing.B) {
			var set Set[int]
			for i := range 1000 {
				p, err := Compile(fmt.Appendf(nil,
					`{"source":["serverlessVideo.streaming"],"detail-type":["Stream State Change"],"detail":{"channel_name":[`+entry+`]}}`, i))
				if err != nil {
					b.Fatal(err)
				}
				set.Add(p, i)
			}
			b.ReportAllocs()
			for b.Loop() {
				e, err := Parse([]byte(event))
				if err != nil {
					b.Fatal(err)
				}
				found := 0
				set.Match(e, func(int) { found++ })
				if found != 1 {
					b.Fatal(found)
				}
			}
		})
	}
}

func TestCompileAt(t *testing.T) {
	if p, err := CompileAt("body.pattern", `{"a":["b"]}`); p == nil || err != nil {
		t.Errorf("%v, %v", p, err)
	}
	p, err := CompileAt("query.pattern", "{\n \"a\": \"b\"}")
	place := errs.Place{Location: "query.pattern", Line: 2, Column: 7, Path: "a"}
	places := errs.PlacesOf(err)
	if p != nil || errs.CodeOf(err) != errs.Invalid || len(places) != 1 || !strings.HasPrefix(errs.MessageOf(err), "query.pattern: line 2, column 7, at a: ") {
		t.Fatalf("%v, %v, %+v", p, err, places)
	}
	place.Message = places[0].Message
	if places[0] != place || place.Message == "" {
		t.Errorf("%+v, want %+v", places[0], place)
	}
}
