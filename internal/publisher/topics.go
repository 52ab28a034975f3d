package publisher

import (
	"regexp"
	"strings"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
)

// The topics of the contract, section 6.
const (
	topicPrefix = "serverlessVideo-"
	globalTopic = topicPrefix + "global"
	userPrefix  = topicPrefix + "user-"
)

func channelTopic(channel string) string { return topicPrefix + channel }
func userTopic(sub string) string        { return userPrefix + sub }

// topicName is strict: no wildcard, no "$", no shared subscription passes it.
var topicName = regexp.MustCompile(`^serverlessVideo-[A-Za-z0-9_-]{1,128}$`)

// mayHear says whether a topic exists and whether a user, "" when nobody is
// signed in, may hear it.
func mayHear(topic, user string) error {
	if !topicName.MatchString(topic) {
		return errs.Newf(errs.Invalid, "there is no topic %.100q: it is %s, %s{channel} or %s{your id}", topic, globalTopic, topicPrefix, userPrefix)
	}
	if strings.HasPrefix(topic, userPrefix) && (user == "" || topic != userTopic(user)) {
		return errs.New(errs.Forbidden, "this topic is for its own user alone")
	}
	return nil
}
