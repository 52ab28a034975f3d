package sdk

import (
	"encoding/json"
	"testing"
)

// What comes from the bus is an invocation with a token and a video, or an error.
func FuzzParse(f *testing.F) {
	f.Add("preMetadata.x", []byte(`{"video":{"id":"v","durationmillis":7},"taskToken":"t","pluginData":{"preValidate":[{"OutputKey":"plugin-a","OutputValue":1}]}}`))
	f.Add("onEvent.x", []byte(`{"deliveryId":"msg_1","rule":{"id":"ru-1","name":"n"},"event":{"id":"e","detail-type":"t","detail":{}},"taskToken":"t"}`))
	f.Add("LifeCycleStarted", []byte(`{}`))
	f.Add("a.b", []byte(`{"video":{"id":7}}`))
	f.Fuzz(func(t *testing.T, detailType string, detail []byte) {
		in, err := parse(detailType, detail)
		if err != nil {
			return
		}
		if in.token == "" || in.about() == "" || !json.Valid(detail) {
			t.Errorf("%q is an invocation: %+v", detail, in)
		}
		_, e := answerEvent("plugin", in, []byte(`null`))
		if _, err := json.Marshal(e); err != nil {
			t.Error(err)
		}
	})
}
