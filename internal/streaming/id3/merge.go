package id3

import (
	"cmp"
	"slices"
)

// Merge makes reactions, oldest first, fit into one tag. When they do not, the
// newest stay as they are, as many as possible, and the older ones become one
// item for each type, in the order in which the types were last seen, before
// them. Where even that is too much, the rarest types are left out. What cannot
// be written at all, malformed or over MaxItem, is left out too. The second
// result is how many reactions were left out; all others are counted.
func Merge(reactions []Reaction) (merged []Reaction, left int) {
	var fit []Reaction
	var sizes []int
	total := headerSize
	for _, r := range reactions {
		size, ok := itemSize(r)
		if !ok {
			left += r.Times()
			continue
		}
		fit, sizes = append(fit, r), append(sizes, size)
		total += size
	}
	counts := tally{byType: map[string]int{}}
	counted := 0
	for ; total > MaxTag && counted < len(fit); counted++ {
		total += counts.add(fit[counted]) - sizes[counted]
	}
	return append(counts.within(&total, &left), fit[counted:]...), left
}

// itemSize returns the bytes of a reaction's frame; false if it cannot have
// one, by itself or merged with others.
func itemSize(r Reaction) (int, bool) {
	value, err := r.value()
	if err != nil {
		return 0, false
	}
	size := frameExtra + len(value)
	return size, size <= MaxItem && len(merge(r, MaxCount)) <= MaxItem-frameExtra
}

// merge returns the JSON of an item that stands for several reactions like r.
func merge(r Reaction, times int) []byte {
	r.UserID, r.Count = "", times
	value, _ := r.value() // whoever calls has checked r
	return value
}

// tally counts reactions by their type.
type tally struct {
	items  []counted
	byType map[string]int // places in items
	added  int
}

// counted is a reaction that stands for all of its type; it is the last of them.
type counted struct {
	Reaction
	size int // of its frame
	last int // the number of the last one that was added
}

// add counts a reaction, and returns how many bytes the tally has become longer.
func (t *tally) add(r Reaction) int {
	i, known := t.byType[r.Type]
	if !known {
		i = len(t.items)
		t.byType[r.Type] = i
		t.items = append(t.items, counted{})
	}
	item := &t.items[i]
	before := item.size
	times := min(item.Count+r.Times(), MaxCount)
	item.Reaction, item.size, item.last = r, frameExtra+len(merge(r, times)), t.added
	item.UserID, item.Count = "", times
	t.added++
	return item.size - before
}

// within returns the items by their age, without the rarest as long as the tag
// would be too large. It keeps the tag's size and the number left out current.
func (t *tally) within(total, left *int) []Reaction {
	slices.SortFunc(t.items, func(a, b counted) int { return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(b.last, a.last)) })
	for *total > MaxTag {
		rarest := t.items[len(t.items)-1]
		t.items = t.items[:len(t.items)-1]
		*total -= rarest.size
		*left += rarest.Count
	}
	slices.SortFunc(t.items, func(a, b counted) int { return cmp.Compare(a.last, b.last) })
	reactions := make([]Reaction, len(t.items))
	for i, item := range t.items {
		reactions[i] = item.Reaction
	}
	return reactions
}
