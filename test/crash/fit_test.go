package crash

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/serverlessvideo/serverlessvideo/internal/event"
)

// streams: what is recorded is a video, and nothing else is.
func (a *auditor) streams() {
	a.figures.Streams = len(a.rows.streams)
	for _, s := range a.rows.streams {
		v, isVideo := a.rows.videos[s.ID]
		if s.Recorded {
			a.figures.Recorded++
		}
		switch {
		case s.Recorded && !isVideo:
			a.say("stream %s was recorded and is no video", s.ID)
		case s.Recorded != (isVideo && v.Recorded):
			a.say("stream %s: recorded is %t there and %t of its video", s.ID, s.Recorded, v.Recorded)
		}
	}
}

// videos: each is whole, or says why it is not. None that anybody was told of is
// gone, and what was acknowledged holds.
func (a *auditor) videos() {
	w := a.w
	a.figures.Videos = len(a.rows.videos)
	for _, id := range w.told() {
		if _, ok := a.rows.videos[id]; !ok {
			a.say("video %s was shown to its owner and is gone", id)
		}
	}
	for id := range w.deleted {
		if a.rows.videos[id].DeletedAt == 0 {
			a.say("video %s was deleted, as its owner was told, and is there", id)
		}
	}
	for id, title := range w.titles {
		if v := a.rows.videos[id]; v.Title != title && v.DeletedAt == 0 {
			a.say("video %s was given the title %q, as its owner was told, and has %q", id, title, v.Title)
		}
	}
	for _, v := range a.rows.videos {
		if v.DeletedAt > 0 {
			a.figures.Deleted++
			_, owned := a.rows.users[v.Channel]
			if !w.deletes[v.ID] && !w.due[v.ID] && (owned || !w.expels[v.Channel]) {
				a.say("video %s is deleted, and nobody wanted it", v.ID)
			}
			continue
		}
		a.video(v)
	}
}

func (a *auditor) video(v video) {
	switch {
	case !v.Recorded || !v.Processed && v.Status != event.StatusFailed:
		a.say("video %s is half of one: %+v", v.ID, v)
	case v.Status != event.StatusValid && v.Reason == "":
		a.say("video %s is %s without a reason", v.ID, v.Status)
	case v.Status != event.StatusValid:
		a.say("video %s is %s, though nothing was wrong with it: %s", v.ID, v.Status, v.Reason)
	}
	if size, ok := a.objects[v.MP4]; !ok || size != v.Size {
		a.say("the MP4 of %s has %d bytes in its row and %d in the store", v.ID, v.Size, size)
	} else if err := wholeMP4(filepath.Join(a.w.node.Dir, "objects", filepath.FromSlash(v.MP4))); err != nil {
		a.say("the MP4 of %s: %v", v.ID, err)
	}
	if _, ok := a.objects[v.Thumbnail]; v.Thumbnail != "" && !ok {
		a.say("video %s has no thumbnail, though its row has one", v.ID)
	}
	if !slices.ContainsFunc(slices.Collect(maps.Keys(a.objects)), func(key string) bool { return strings.HasPrefix(key, v.Prefix+"/") }) {
		a.say("video %s has no segments", v.ID)
	}
}

// wholeMP4 walks the boxes of a file (ISO/IEC 14496-12 section 4.2): they fill it
// and there are both a description and media.
func wholeMP4(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var boxes []string
	for at := 0; at < len(data); {
		if len(data)-at < 16 {
			return errors.New("it ends in the middle of a box")
		}
		size := int(data[at])<<24 | int(data[at+1])<<16 | int(data[at+2])<<8 | int(data[at+3])
		if size == 1 {
			size = int(data[at+12])<<24 | int(data[at+13])<<16 | int(data[at+14])<<8 | int(data[at+15])
		}
		if size < 8 || at+size > len(data) {
			return fmt.Errorf("the box at %d has %d bytes, and the file %d", at, size, len(data))
		}
		boxes = append(boxes, string(data[at+4:at+8]))
		at += size
	}
	for _, needed := range []string{"ftyp", "moov", "mdat"} {
		if !slices.Contains(boxes, needed) {
			return fmt.Errorf("it has no %s: %v", needed, boxes)
		}
	}
	return nil
}

// said: the events of each stream and video are on the bus, once each.
func (a *auditor) said() {
	byTopic := map[string]map[string]int{} // kinds by stream or video
	for _, e := range a.events {
		id, kind := topic(e)
		if byTopic[id] == nil {
			byTopic[id] = map[string]int{}
		}
		byTopic[id][kind]++
	}
	for id, kinds := range byTopic {
		for kind, n := range kinds {
			most := 1
			if kind == "VideoStatusUpdated" {
				most += a.w.titled[id] // a new title is said by it, too
			}
			if n > most && slices.Contains(onceEach(), kind) {
				a.say("%s of %s was said %d times, under different ids", kind, id, n)
			}
		}
	}
	for _, s := range a.rows.streams {
		expected := []string{event.StreamStart, event.StreamEnd}
		if s.Recorded {
			expected = append(expected, event.RecordingStart, event.RecordingEnd)
		}
		if v := a.rows.videos[s.ID]; s.Recorded && v.DeletedAt == 0 {
			expected = onceEach()
		}
		for _, kind := range expected {
			if byTopic[s.ID][kind] == 0 {
				a.say("%s of %s was never said", kind, s.ID)
			}
		}
	}
	for id, v := range a.rows.videos {
		if n := byTopic[id]["VideoDeleted"]; v.DeletedAt > 0 && n != 1 || v.DeletedAt == 0 && n != 0 {
			a.say("VideoDeleted of %s was said %d times", id, n)
		}
	}
}

// onceEach is what is said of every broadcast that becomes a valid video.
func onceEach() []string {
	return []string{
		event.StreamStart, event.StreamEnd, event.RecordingStart, event.RecordingEnd, "MP4ProcessingStarted", "MP4ProcessingComplete",
		"recording-ready", "LifeCycleStarted", "preValidate." + pluginName, "plugin-complete", "LifeCycleComplete", "VideoStatusUpdated",
	}
}

// topic returns what an event is about, and what it says of it.
func topic(e event.Envelope) (id, kind string) {
	var d struct {
		ID       string `json:"id"`
		StreamID string `json:"stream_id"`
		Name     string `json:"event_name"`
		Status   string `json:"recording_status"`
		Video    struct {
			ID string `json:"id"`
		} `json:"video"`
		TaskToken string
	}
	_ = json.Unmarshal(e.Detail, &d) // what has none of it is about nothing
	kind = e.DetailType
	switch {
	case d.Name != "":
		kind = d.Name
	case d.Status != "" && kind != "recording-ready":
		kind = d.Status
	}
	for _, found := range []string{d.StreamID, d.ID, d.Video.ID} {
		if found != "" {
			return found, kind
		}
	}
	return "", kind
}

// deliveries: the webhook heard every event, each under one id.
func (a *auditor) deliveries() {
	w := a.w
	w.mu.Lock()
	defer w.mu.Unlock()
	names := map[string]string{}
	for name, id := range w.rules {
		names[id] = name
	}
	of := map[hearing]delivery{}
	for _, d := range a.rows.deliveries {
		key := hearing{names[d.Rule], d.Replay, d.Event}
		if other, twice := of[key]; twice {
			a.say("%+v has the deliveries %s and %s", key, other.ID, d.ID)
		}
		of[key] = d
		if d.State != "delivered" {
			a.say("delivery %s is %s", d.ID, d.State)
		}
		if _, ok := a.events[d.Event]; !ok {
			a.say("delivery %s is of an event that is not on the bus", d.ID)
		}
		if h := w.heard[key]; h.messages[d.ID] == 0 {
			a.say("delivery %s of %+v was made, and was heard under the ids %v", d.ID, key, h.messages)
		}
	}
	for rule := range patterns() {
		for id, e := range a.events {
			if goesTo(rule, e) {
				_, kept := of[hearing{rule: rule, event: id}] // the node keeps the last ones
				a.delivery(rule, e, kept)
			}
		}
	}
}

// delivery is of an event as it happened.
func (a *auditor) delivery(rule string, e event.Envelope, kept bool) {
	h, ok := a.w.heard[hearing{rule: rule, event: e.ID}]
	withdrawn := a.rows.videos[e.About()].DeletedAt > 0 && e.DetailType != "VideoDeleted"
	switch {
	case !ok && !kept && a.w.elders[accountOf(e)]: // before there was the rule
	case !ok && withdrawn && !kept: // what waits about a deleted video goes with it
	case !ok:
		a.say("the webhook never heard %s %s for the rule %s", e.DetailType, e.ID, rule)
	case len(h.messages) != 1:
		a.say("the webhook heard %s under the ids %v for the rule %s", e.ID, h.messages, rule)
	default:
		a.figures.Deliveries++
		for _, times := range h.messages {
			a.figures.Repeated += times - 1
		}
	}
}

// accountOf returns whose account or channel an event tells of, "" of other events.
func accountOf(e event.Envelope) string {
	if e.Source != event.SourceAuth && e.DetailType != "ChannelUpdated" {
		return ""
	}
	var d struct {
		Sub     string `json:"sub"`
		Channel string `json:"channel_name"`
	}
	_ = json.Unmarshal(e.Detail, &d) // what has neither tells of none
	return cmp.Or(d.Sub, d.Channel)
}

// plugins: asked once about each video, and answered.
func (a *auditor) plugins() {
	for task, n := range a.rows.tasks {
		if n != 1 {
			a.say("the plugin has %d tasks: %s", n, task)
		}
	}
	a.w.mu.Lock()
	defer a.w.mu.Unlock()
	for _, v := range a.rows.videos {
		asked := a.rows.tasks[v.ID+" preValidate "+pluginName] == 1
		if v.DeletedAt == 0 && (!asked || a.w.asked[v.ID] == 0) {
			a.say("the plugin was not asked about %s", v.ID)
		}
	}
}

// histories: the timeline of each video is whole, that of a deleted one is gone.
func (a *auditor) histories() {
	whole := []string{
		"stream-start", "stream-end", "recording-start", "recording-end", "processing-start", "processing-complete",
		"recording-ready", "lifecycle-start", "lifecycle-complete", "status-valid",
		"asked.preValidate." + pluginName, "answered.preValidate." + pluginName,
	}
	for _, v := range a.rows.videos {
		facts := a.rows.facts[v.ID]
		if v.DeletedAt > 0 {
			if len(facts) > 0 {
				a.say("deleted video %s has a history", v.ID)
			}
			continue
		}
		for _, name := range whole {
			if !slices.Contains(facts, name) {
				a.say("the history of %s does not tell %s", v.ID, name)
			}
		}
	}
}

// orphans: every object belongs to a video that is there.
func (a *auditor) orphans() {
	for key := range a.objects {
		parts := strings.Split(key, "/")
		var id string
		switch {
		case parts[0] == "videos" && len(parts) > 2:
			id = parts[1]
		case parts[0] == "recordings" && len(parts) > 3:
			id = parts[2]
		}
		if v, ok := a.rows.videos[id]; !ok || v.DeletedAt > 0 {
			a.say("an orphan: %s", key)
		}
	}
	for id, state := range a.rows.jobs {
		if v, ok := a.rows.videos[id]; ok && v.DeletedAt == 0 && state != "done" {
			a.say("the job of %s is %s", id, strconv.Quote(state))
		}
	}
}
