package app

import (
	"bytes"
	"flag"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"

	"github.com/serverlessvideo/serverlessvideo/internal/config"
)

var update = flag.Bool("update", false, "write api/openapi.yaml anew")

const openAPIFile = "../../api/openapi.yaml"

// quietNode builds a node that listens on free ports of the loopback.
func quietNode(t *testing.T) *App {
	t.Helper()
	cfg, err := config.Load(nil, "--data-dir", t.TempDir(), "--http", "127.0.0.1:0", "--webrtc-udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a, err := New(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.closeAll(); err != nil {
			t.Error(err)
		}
	})
	return a
}

// The committed description is what the program serves.
func TestOpenAPI(t *testing.T) {
	a := quietNode(t)
	answer := httptest.NewRecorder()
	a.gateway.Handler().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/api/openapi.yaml", nil))
	served := answer.Body.Bytes()
	if answer.Code != http.StatusOK {
		t.Fatalf("%d: %s", answer.Code, served)
	}
	if *update {
		if err := os.WriteFile(openAPIFile, served, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	committed, err := os.ReadFile(openAPIFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(committed, served) {
		t.Errorf("%s is not what the program serves: run make generate, and look at the difference", openAPIFile)
	}
	checkOpenAPI(t, served)
	checkOperations(t, a.gateway.API().OpenAPI())
}

func checkOpenAPI(t *testing.T, text []byte) {
	t.Helper()
	document, err := libopenapi.NewDocument(text)
	if err != nil {
		t.Fatal(err)
	}
	defer document.Release()
	v, problems := validator.NewValidator(document)
	for _, err := range problems {
		t.Fatal(err)
	}
	defer v.Release()
	if ok, problems := v.ValidateDocument(); !ok {
		for _, p := range problems {
			t.Errorf("not OpenAPI 3.1: %s: %s", p.Message, p.Reason)
		}
	}
}

// checkOperations holds what all operations have in common.
func checkOperations(t *testing.T, api *huma.OpenAPI) {
	t.Helper()
	seen := map[string]bool{}
	for path, item := range api.Paths {
		for method, op := range map[string]*huma.Operation{
			http.MethodGet: item.Get, http.MethodPost: item.Post, http.MethodPut: item.Put,
			http.MethodPatch: item.Patch, http.MethodDelete: item.Delete,
		} {
			if op == nil {
				continue
			}
			what := method + " " + path
			if !strings.HasPrefix(path, "/api/") {
				t.Errorf("%s is not under /api/", what)
			}
			if op.OperationID == "" || op.Summary == "" || len(op.Tags) == 0 {
				t.Errorf("%s lacks its id, summary or tag", what)
			}
			if seen[op.OperationID] {
				t.Errorf("%s: the id %s is taken", what, op.OperationID)
			}
			seen[op.OperationID] = true
			if problem := op.Responses["default"]; problem == nil || problem.Content["application/problem+json"] == nil {
				t.Errorf("%s does not describe its problem documents", what)
			}
		}
	}
	if len(seen) < 20 {
		t.Errorf("there are only %d operations", len(seen))
	}
}
