package gateway

import (
	"bytes"
	"cmp"
	_ "embed"
	"encoding/json"
	"html/template"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/serverlessvideo/serverlessvideo/internal/errs"
)

//go:embed docs.html
var docsHTML string

// docs serves the API's description, for programs and for people.
type docs struct{ api huma.API }

func (d docs) yaml(w http.ResponseWriter, r *http.Request) {
	b, err := d.api.OpenAPI().YAML()
	d.send(w, r, "application/yaml", b, err)
}

func (d docs) json(w http.ResponseWriter, r *http.Request) {
	b, err := json.MarshalIndent(d.api.OpenAPI(), "", "  ")
	d.send(w, r, "application/json", b, err)
}

func (d docs) page(w http.ResponseWriter, r *http.Request) {
	t, err := template.New("docs").Parse(docsHTML)
	if err != nil {
		Fail(w, r, err)
		return
	}
	var page bytes.Buffer
	err = t.Execute(&page, d.content())
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'")
	d.send(w, r, "text/html; charset=utf-8", page.Bytes(), err)
}

func (d docs) send(w http.ResponseWriter, r *http.Request, contentType string, body []byte, err error) {
	if err != nil {
		Fail(w, r, errs.Wrap(err, errs.Internal, "the description cannot be written"))
		return
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Cache-Control", "public, max-age=60")
	_, _ = w.Write(body) // the client is gone: nobody to tell
}

// docsContent is what the page shows.
type docsContent struct {
	Info   *huma.Info
	Groups []docsGroup
}

type docsGroup struct {
	Name       string
	Operations []docsOperation
}

type docsOperation struct {
	ID, Method, Path, Summary, Description string
	Parameters                             []docsField
	Body                                   []docsField
	Responses                              []docsResponse
}

type docsField struct {
	Name, In, Type, Doc string
	Required            bool
}

type docsResponse struct {
	Status, Doc string
	Fields      []docsField
}

func (d docs) content() docsContent {
	spec := d.api.OpenAPI()
	groups := map[string]*docsGroup{}
	for path, item := range spec.Paths {
		for method, op := range operationsOf(item) {
			name := "Other"
			if len(op.Tags) > 0 {
				name = op.Tags[0]
			}
			if groups[name] == nil {
				groups[name] = &docsGroup{Name: name}
			}
			groups[name].Operations = append(groups[name].Operations, d.operation(method, path, op))
		}
	}
	content := docsContent{Info: spec.Info}
	for _, g := range groups {
		slices.SortFunc(g.Operations, func(a, b docsOperation) int {
			return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Method, b.Method))
		})
		content.Groups = append(content.Groups, *g)
	}
	slices.SortFunc(content.Groups, func(a, b docsGroup) int { return cmp.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)) })
	return content
}

// operationsOf returns the operations of a path by their method.
func operationsOf(item *huma.PathItem) map[string]*huma.Operation {
	all := map[string]*huma.Operation{
		http.MethodGet: item.Get, http.MethodPost: item.Post, http.MethodPut: item.Put,
		http.MethodPatch: item.Patch, http.MethodDelete: item.Delete,
	}
	for method, op := range all {
		if op == nil {
			delete(all, method)
		}
	}
	return all
}

func (d docs) operation(method, path string, op *huma.Operation) docsOperation {
	out := docsOperation{ID: op.OperationID, Method: method, Path: path, Summary: op.Summary, Description: op.Description}
	for _, p := range op.Parameters {
		field := d.field(p.Name, p.Schema)
		field.In, field.Required = p.In, p.Required
		field.Doc = cmp.Or(p.Description, field.Doc)
		out.Parameters = append(out.Parameters, field)
	}
	if op.RequestBody != nil {
		if m := op.RequestBody.Content["application/json"]; m != nil {
			out.Body = d.fields("", m.Schema, 0)
		}
	}
	for status, response := range op.Responses {
		r := docsResponse{Status: status, Doc: response.Description}
		if m := response.Content["application/json"]; m != nil {
			r.Fields = d.fields("", m.Schema, 0)
		}
		out.Responses = append(out.Responses, r)
	}
	slices.SortFunc(out.Responses, func(a, b docsResponse) int { return cmp.Compare(a.Status, b.Status) })
	return out
}

// maxDocsDepth keeps a schema that contains itself from growing for ever.
const maxDocsDepth = 4

// fields lists the properties of a schema, those inside others by their path.
func (d docs) fields(prefix string, s *huma.Schema, depth int) []docsField {
	s = d.resolve(s)
	if s == nil || depth > maxDocsDepth {
		return nil
	}
	if s.Type == huma.TypeArray {
		return d.fields(prefix+"[]", s.Items, depth+1)
	}
	names := make([]string, 0, len(s.Properties))
	for name := range s.Properties {
		names = append(names, name)
	}
	slices.Sort(names)
	var out []docsField
	for _, name := range names {
		full := strings.TrimPrefix(prefix+"."+name, ".")
		field := d.field(full, s.Properties[name])
		field.Required = slices.Contains(s.Required, name)
		out = append(out, field)
		out = append(out, d.fields(full, s.Properties[name], depth+1)...)
	}
	return out
}

func (d docs) field(name string, s *huma.Schema) docsField {
	resolved := d.resolve(s)
	if resolved == nil {
		return docsField{Name: name}
	}
	kind := resolved.Type
	if resolved.Format != "" {
		kind += " (" + resolved.Format + ")"
	}
	if len(resolved.Enum) > 0 {
		words, err := json.Marshal(resolved.Enum)
		if err == nil {
			kind += " " + string(words)
		}
	}
	return docsField{Name: name, Type: kind, Doc: cmp.Or(s.Description, resolved.Description)}
}

func (d docs) resolve(s *huma.Schema) *huma.Schema {
	if s == nil || s.Ref == "" {
		return s
	}
	return d.api.OpenAPI().Components.Schemas.SchemaFromRef(s.Ref)
}
