package video

import (
	"context"
	"strings"
	"unicode"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
	"github.com/serverlessvideo/serverlessvideo/internal/event"
	"github.com/serverlessvideo/serverlessvideo/internal/store"
	"github.com/serverlessvideo/serverlessvideo/internal/video/sqlc"
)

// VideoUpdate is what people may change of a video; what is absent stays.
type VideoUpdate struct {
	Title       *string   `json:"title,omitempty" maxLength:"200" doc:"wins over what plugins call it; empty: theirs again"`
	Description *string   `json:"description,omitempty" maxLength:"5000" doc:"in lines; empty: none"`
	Tags        *[]string `json:"tags,omitempty" maxItems:"50" nullable:"false" doc:"win over those of plugins; empty: theirs again"`
	Event       *string   `json:"event,omitempty" maxLength:"64" doc:"event tag, of letters, digits, - and _; wins over what rules set; empty: none"`
	Visibility  *string   `json:"visibility,omitempty" enum:"public,unlisted,private" doc:"unlisted: never listed, for who has the link; private: for its owner and admins"`
}

func (s *Service) updateVideo(ctx context.Context, in *struct {
	ByID
	Body VideoUpdate
}) (*one, error) {
	v, err := s.Update(ctx, in.ID, in.Body)
	if err != nil {
		return nil, err
	}
	return &one{Body: s.show(ctx, v)}, nil
}

// Update changes what people say of a video. Open pages hear of a valid video
// that changed, as VideoStatusUpdated; whoever made it wins over plugins, also
// over those that have still to run. Errors: errs.Invalid, and those of Delete.
func (s *Service) Update(ctx context.Context, videoID string, u VideoUpdate) (sqlc.Video, error) {
	if err := u.check(); err != nil {
		return sqlc.Video{}, err
	}
	var changed sqlc.Video
	err := s.govern(ctx, videoID, func(ctx context.Context, tx *store.Tx, v *sqlc.Video) error {
		if event.Simulated(v.ID) {
			return errs.New(errs.Conflict, "a simulated video stays as it is: it is removed with its simulation")
		}
		before := *v
		u.apply(v)
		changed = *v
		if *v == before || v.Status != event.StatusValid {
			return nil
		}
		return tx.Emit(ctx, event.New(status(s.lifecycle(*v), *v)))
	})
	return changed, err
}

func (u VideoUpdate) check() error {
	if u.Event != nil && *u.Event != "" {
		if err := checkEventTag(*u.Event); err != nil {
			return err
		}
	}
	if u.Visibility != nil {
		switch *u.Visibility {
		case public, unlisted, private:
		default:
			return errs.Newf(errs.Invalid, "%q is no visibility: it is %s, %s or %s", *u.Visibility, public, unlisted, private)
		}
	}
	return nil
}

func (u VideoUpdate) apply(v *sqlc.Video) {
	if u.Title != nil {
		v.TypedTitle = clean(*u.Title, maxTitle)
	}
	if u.Description != nil {
		v.Description = cleanLines(*u.Description)
	}
	if u.Tags != nil {
		v.TypedTags = encodeTags(cleanTags(*u.Tags))
	}
	if u.Event != nil && *u.Event != v.EventTag {
		v.EventTag, v.EventTyped = *u.Event, true
	}
	if u.Visibility != nil {
		v.Visibility = *u.Visibility
	}
}

const maxDescription = 5000 // characters

// cleanLines makes valid UTF-8 of at most maxDescription characters in lines.
func cleanLines(s string) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\r\n", "\n")
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' {
			return ' '
		}
		return r
	}, s)
	if runes := []rune(s); len(runes) > maxDescription {
		s = string(runes[:maxDescription])
	}
	return strings.TrimSpace(s)
}

func checkEventTag(tag string) error {
	if tag == "" || event.Token(tag) != tag {
		return errs.Newf(errs.Invalid, "%q is no event tag: it is made of letters, digits, - and _", tag)
	}
	return nil
}
