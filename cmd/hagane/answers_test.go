package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/hagane-cloud/hagane/api/openapi/derive"
)

// contract compares answers with the documents that describe them.
type contract struct {
	compiler *jsonschema.Compiler
	schemas  map[string]*jsonschema.Schema // by pointer
	bodies   map[string]string             // "GET /network/v2.0/networks 200" → pointer to the schema of the body
}

func newContract(t *testing.T) *contract {
	t.Helper()
	derived, err := derive.Services("../..")
	if err != nil {
		t.Fatal(err)
	}
	c := &contract{compiler: jsonschema.NewCompiler(), schemas: map[string]*jsonschema.Schema{}, bodies: map[string]string{}}
	for name, text := range derived {
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		url := "mem://" + name + ".json"
		if err := c.compiler.AddResource(url, doc); err != nil {
			t.Fatal(err)
		}
		var paths struct {
			Servers []struct{ URL string }
			Paths   map[string]map[string]struct {
				Responses map[string]struct {
					Content map[string]struct{ Schema any }
				}
			}
		}
		if err := json.Unmarshal(text, &paths); err != nil {
			t.Fatal(err)
		}
		escape := strings.NewReplacer("~", "~0", "/", "~1")
		for path, verbs := range paths.Paths {
			for verb, op := range verbs {
				for status, res := range op.Responses {
					if res.Content["application/json"].Schema == nil {
						continue
					}
					key := strings.ToUpper(verb) + " " + paths.Servers[0].URL + strings.TrimSuffix(path, "/") + " " + status
					c.bodies[key] = fmt.Sprintf("%s#/paths/%s/%s/responses/%s/content/application~1json/schema", url, escape.Replace(path), verb, status)
				}
			}
		}
	}
	return c
}

// check compares an answer to a route with its description. told reports whether there is one.
func (c *contract) check(rt isolatedRoute, a answer) (told bool, err error) {
	key := fmt.Sprintf("%s %s%s %d", rt.Verb, rt.prefix, strings.ReplaceAll(rt.Path, "...}", "}"), a.status)
	at, ok := c.bodies[key]
	if !ok || a.body == "" {
		return false, nil
	}
	s := c.schemas[at]
	if s == nil {
		if s, err = c.compiler.Compile(at); err != nil {
			return true, err
		}
		c.schemas[at] = s
	}
	body, err := jsonschema.UnmarshalJSON(strings.NewReader(a.body))
	if err != nil {
		return true, err
	}
	return true, s.Validate(body)
}
