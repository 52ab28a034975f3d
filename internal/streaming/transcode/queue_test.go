package transcode

import (
	"strings"
	"testing"
)

func TestVideoQueue(t *testing.T) {
	q := newQueue(Limits{QueueFrames: 4, QueueBytes: 1000})
	at := int64(0)
	push := func(key bool, size int) {
		q.pushVideo(input{key: key, data: make([]byte, size), at: at})
		at++
	}
	for i := range 7 { // 0 to 6; from 4 on there is no room
		push(i == 0, 10)
	}
	push(true, 10) // 7: a key frame, and still no room
	take := func(n int) (times []int64, lost []bool) {
		for range n {
			in, ok, _ := q.pop()
			if !ok {
				break
			}
			times, lost = append(times, in.at), append(lost, in.lost)
		}
		return times, lost
	}
	times, lost := take(9)
	if len(times) != 5 || times[4] != 4 || !lost[4] || lost[3] {
		t.Errorf("%v %v", times, lost)
	}
	push(false, 10) // 8: room, and no key frame
	push(true, 990) // 9
	push(false, 20) // 10: too large together
	if times, lost = take(9); len(times) != 3 || times[1] != 9 || !lost[0] || lost[1] || !lost[2] {
		t.Errorf("%v %v", times, lost)
	}
	q.gap()
	push(false, 1)   // 11: none may be there
	push(true, 2000) // 12: larger than the limit, but alone
	if times, _ = take(9); len(times) != 2 || times[1] != 12 {
		t.Errorf("%v", times)
	}
	if in, dropped := q.counts(); in != 13 || dropped != 7 {
		t.Errorf("%d came, %d were dropped", in, dropped)
	}
	if _, ok, end := q.pop(); ok || end {
		t.Error("it has ended")
	}
	q.end()
	if _, ok, end := q.pop(); ok || !end {
		t.Error("it has not ended")
	}
}

func TestAudioQueue(t *testing.T) {
	q := newQueue(Limits{QueueFrames: 3, QueueBytes: 100})
	for i := range 5 {
		q.pushAudio(input{at: int64(i), data: make([]byte, 10)})
	}
	q.gap()
	q.pushAudio(input{at: 5, data: make([]byte, 85)})
	for _, want := range []int64{4, 5} {
		if in, ok, _ := q.pop(); !ok || in.at != want || in.fresh != (want == 5) {
			t.Errorf("%+v, want %d", in, want)
		}
	}
	if in, dropped := q.counts(); in != 6 || dropped != 4 {
		t.Errorf("%d came, %d were dropped", in, dropped)
	}
}

func TestTail(t *testing.T) {
	said := &tail{}
	long := strings.Repeat("x", 10_000)
	for i := range 20 {
		_, _ = said.Write([]byte(strings.Repeat("y", i) + "\n\n" + long))
	}
	_, _ = said.Write([]byte("\nthe e"))
	_, _ = said.Write([]byte("nd\xff"))
	got := said.String()
	if len(got) > tailLines*(tailWidth+8) || !strings.HasSuffix(got, "| the end?") || strings.Count(got, "|") != tailLines-1 {
		t.Errorf("%d bytes: %q", len(got), got)
	}
}
