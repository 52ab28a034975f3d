// Package history tells the story of each video: a timeline of what the
// services and plugins did to it, and what was measured. It hears what the
// others say (events.go), keeps one row for each thing that happened (store.go)
// and shows the rows to whoever may see the video (http.go).
package history
